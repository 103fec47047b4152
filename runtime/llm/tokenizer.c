/*
 * tokenizer.c: text to tokens and tokens to text.
 *
 * Special tokens are found first; the text between two of them is one word for SentencePiece, and
 * is split into words for byte-level BPE.  A word begins as its characters (or bytes), which are
 * then merged.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "merge.h"
#include "unicode.h"
#include "vocab.h"

/* One call of quern_tokenize. */
struct job {
	const struct quern_tokenizer *t;
	int32_t *ids;
	long n_ids, max_ids;
	struct qn_merge merge;
	struct quern_error *err;
};

/* ---- opening ---- */

int quern_tokenizer_open(struct quern_tokenizer **tokenizer, const struct quern_gguf *file,
			 struct quern_error *err)
{
	*tokenizer = calloc(1, sizeof(**tokenizer));
	if (!*tokenizer)
		return qn_error_set(err, "out of memory for the tokenizer");
	if (qn_vocab_read(*tokenizer, file, err)) {
		quern_tokenizer_close(*tokenizer);
		*tokenizer = NULL;
		return -1;
	}
	return 0;
}

void quern_tokenizer_close(struct quern_tokenizer *tokenizer)
{
	if (!tokenizer)
		return;
	qn_vocab_free(tokenizer);
	free(tokenizer);
}

int quern_tokenizer_explain(const struct quern_tokenizer *t, char *text, size_t n_bytes)
{
	if (t->split)
		return snprintf(text, n_bytes,
				"byte-level BPE, %ld tokens, words by the rule %s (%s)",
				t->n_tokens, t->split->name, t->split_reason);
	return snprintf(text, n_bytes, "SentencePiece, %ld tokens, %s space before a text",
			t->n_tokens, t->adds_space ? "a" : "no");
}

long quern_tokenizer_n_tokens(const struct quern_tokenizer *tokenizer)
{
	return tokenizer->n_tokens;
}

int32_t quern_tokenizer_special(const struct quern_tokenizer *tokenizer, int special)
{
	return special < 0 || special > QUERN_NEWLINE ? -1 : tokenizer->special[special];
}

int quern_tokenizer_is_end(const struct quern_tokenizer *tokenizer, int32_t id)
{
	return id >= 0 && id < tokenizer->n_tokens && tokenizer->tokens[id].is_end;
}

/* ---- text to tokens ---- */

static void put(struct job *job, int32_t id)
{
	if (job->n_ids < job->max_ids)
		job->ids[job->n_ids] = id;
	job->n_ids++;
}

static int fail_memory(const struct job *job)
{
	return qn_error_set(job->err, "out of memory for a text to tokenize");
}

/* A piece that is no token: its bytes as tokens, or the unknown token. */
static int put_bytes(struct job *job, const char *text, uint32_t n_bytes)
{
	const struct quern_tokenizer *t = job->t;

	for (uint32_t i = 0; i < n_bytes; i++) {
		if (t->byte_ids[(uint8_t)text[i]] >= 0)
			continue;
		if (t->special[QUERN_UNKNOWN] < 0)
			return qn_error_set(
				job->err,
				"the vocabulary has no token for byte 0x%02x of the text, "
				"and none for what is unknown",
				(uint8_t)text[i]);
		put(job, t->special[QUERN_UNKNOWN]);
		return 0;
	}
	for (uint32_t i = 0; i < n_bytes; i++)
		put(job, t->byte_ids[(uint8_t)text[i]]);
	return 0;
}

/* Merges the pieces of job->merge, at least one, and puts what they become. */
static int put_merged(struct job *job, const char *text)
{
	const struct qn_symbol *symbols;
	int failed = 0;

	if (qn_merge_run(&job->merge, job->t, text))
		return fail_memory(job);
	symbols = job->merge.symbols;
	for (int32_t i = 0; i >= 0 && !failed; i = symbols[i].next) {
		if (symbols[i].id >= 0)
			put(job, symbols[i].id);
		else
			failed = put_bytes(job, text + symbols[i].start, symbols[i].n_bytes);
	}
	return failed;
}

/* Spaces of a copy are spaces, and so is U+2581, which the vocabulary cannot tell from one. */
static size_t copy_spaces(char *copy, const char *text, size_t n_bytes, int adds_space)
{
	size_t n = 0;

	if (adds_space)
		copy[n++] = ' ';
	for (size_t i = 0; i < n_bytes;) {
		int is_space = n_bytes - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0;

		copy[n++] = is_space ? ' ' : text[i];
		i += is_space ? 3 : 1;
	}
	return n;
}

static int put_sentence(struct job *job, const char *text, size_t n_bytes, int adds_space)
{
	char *copy = malloc(n_bytes + 1);
	size_t n;
	int failed = 0;

	if (!copy)
		return fail_memory(job);
	n = copy_spaces(copy, text, n_bytes, adds_space);
	job->merge.n_symbols = 0;
	for (size_t i = 0; i < n && !failed;) {
		uint32_t code;
		int length = qn_unicode_decode(copy + i, n - i, &code);

		if (length <= 0)
			length = 1;
		failed = qn_merge_add(&job->merge, (uint32_t)i, (uint32_t)length,
				      qn_vocab_find(job->t, copy + i, (size_t)length));
		i += (size_t)length;
	}
	failed = failed ? fail_memory(job) : put_merged(job, copy);
	free(copy);
	return failed;
}

static int put_words(struct job *job, const char *text, size_t n_bytes)
{
	const struct quern_tokenizer *t = job->t;

	for (const char *end = text + n_bytes; text < end;) {
		size_t n = qn_split_word(t->split->rule, text, (size_t)(end - text));
		int32_t id = t->split->takes_words ? qn_vocab_find(t, text, n) : -1;
		int failed = 0;

		if (id >= 0) {
			put(job, id);
			text += n;
			continue;
		}
		job->merge.n_symbols = 0;
		for (size_t i = 0; i < n && !failed; i++)
			failed = qn_merge_add(&job->merge, (uint32_t)i, 1,
					      t->byte_ids[(uint8_t)text[i]]);
		if (failed ? fail_memory(job) : put_merged(job, text))
			return -1;
		text += n;
	}
	return 0;
}

/* Bytes before the next special token, and that token in *id; -1: there is none. */
static size_t find_special(const struct quern_tokenizer *t, const char *text, size_t n_bytes,
			   int with_control, int32_t *id)
{
	*id = -1;
	for (size_t i = 0; i < n_bytes; i++) {
		*id = qn_vocab_match(t, text + i, n_bytes - i, with_control);
		if (*id >= 0)
			return i;
	}
	return n_bytes;
}

static int put_text(struct job *job, const char *text, size_t n_bytes, int flags)
{
	const struct quern_tokenizer *t = job->t;
	int follows_special = 1; /* the start counts as one */

	while (n_bytes > 0) {
		int32_t id;
		size_t n = find_special(t, text, n_bytes, !!(flags & QUERN_PARSE_SPECIAL), &id);

		if (n > 0 &&
		    (t->split ? put_words(job, text, n)
			      : put_sentence(job, text, n, t->adds_space && follows_special)))
			return -1;
		follows_special = id >= 0;
		text += n;
		n_bytes -= n;
		if (id < 0)
			break;
		put(job, id);
		text += t->tokens[id].n_bytes;
		n_bytes -= t->tokens[id].n_bytes;
		while (t->tokens[id].strips && n_bytes > 0 && memchr(" \t\n\v\f\r", *text, 6)) {
			text++;
			n_bytes--;
		}
	}
	return 0;
}

long quern_tokenize(const struct quern_tokenizer *tokenizer, const char *text, size_t n_bytes,
		    int flags, int32_t *ids, long max_ids, struct quern_error *err)
{
	struct job job = {.t = tokenizer, .ids = ids, .max_ids = max_ids, .err = err};
	int failed;

	if (n_bytes >= INT_MAX)
		return qn_error_set(err, "a text of %zu bytes; the limit is 2 GiB", n_bytes);
	if ((flags & QUERN_ADD_BOS) && tokenizer->adds_bos)
		put(&job, tokenizer->special[QUERN_BOS]);
	failed = put_text(&job, text, n_bytes, flags);
	if ((flags & QUERN_ADD_BOS) && tokenizer->adds_eos)
		put(&job, tokenizer->special[QUERN_EOS]);
	qn_merge_free(&job.merge);
	return failed ? -1 : job.n_ids;
}

/* ---- tokens to text ---- */

long quern_token_text(const struct quern_tokenizer *t, int32_t id, int flags, char *text,
		      size_t n_bytes)
{
	const struct qn_token *token;

	if (id < 0 || id >= t->n_tokens)
		return -1;
	token = &t->tokens[id];
	if (!(flags & QUERN_SHOW_SPECIAL) &&
	    (token->type == QN_TOKEN_CONTROL || token->type == QN_TOKEN_UNKNOWN))
		return 0;
	if (n_bytes > 0)
		memcpy(text, t->bytes + token->start,
		       n_bytes < token->n_bytes ? n_bytes : token->n_bytes);
	return (long)token->n_bytes;
}
