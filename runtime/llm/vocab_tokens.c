/*
 * vocab_tokens.c: reads tokens, their types and scores, and merges from a GGUF file.
 *
 * A stranger wrote these arrays: their types and lengths, each number and each string in them is
 * checked before it is used.  What is kept are tokens as they stand in text: SentencePiece's U+2581
 * is a space, the alphabet in which byte-level BPE spells bytes is decoded.  Merges are given by
 * spellings; these are looked up here, once, in a table that is then dropped.
 */
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "unicode.h"
#include "vocab_read.h"

#define KEY "tokenizer.ggml."

int qn_vocab_fail_memory(const struct qn_vocab_reader *r)
{
	return qn_error_set(r->err, "out of memory for the tokenizer");
}

const char *qn_vocab_show(char text[64], const char *s, size_t n_bytes)
{
	size_t n = n_bytes < 48 ? n_bytes : 48;

	for (size_t i = 0; i < n; i++)
		text[i] = (unsigned char)s[i] < ' ' || s[i] == 0x7f ? '?' : s[i];
	memcpy(text + n, n < n_bytes ? "..." : "", n < n_bytes ? 4 : 1);
	return text;
}

/* An array of the file: 1 found, 0 absent, -1 it is something else. */
static int find_array(const struct qn_vocab_reader *r, const char *name, struct quern_value *array)
{
	if (quern_gguf_find_key(r->file, name, array))
		return 0;
	if (array->type != QUERN_ARRAY)
		return qn_error_set(r->err, "%s: it must be an array", name);
	return 1;
}

/* One number for each token. */
static int find_numbers(const struct qn_vocab_reader *r, const char *name,
			struct quern_value *array)
{
	int found = find_array(r, name, array);

	if (found <= 0)
		return found;
	if (array->count != (uint64_t)r->t->n_tokens)
		return qn_error_set(r->err, "%s: %llu elements for a vocabulary of %ld tokens",
				    name, (unsigned long long)array->count, r->t->n_tokens);
	return 1;
}

/* ---- tokens by spelling ---- */

int32_t qn_vocab_find_spelling(const struct qn_vocab_reader *r, const char *s, size_t n_bytes)
{
	uint32_t at = qn_vocab_hash(s, n_bytes) & r->slot_mask;

	for (; r->slots[at]; at = (at + 1) & r->slot_mask) {
		const struct qn_spelling *other = &r->spellings[r->slots[at] - 1];

		if (other->n_bytes == n_bytes && memcmp(other->s, s, n_bytes) == 0)
			return (int32_t)(r->slots[at] - 1);
	}
	return -1;
}

static int add_spelling(struct qn_vocab_reader *r, long id, const struct quern_value *string)
{
	int32_t other = qn_vocab_find_spelling(r, string->s, string->count);
	uint32_t at = qn_vocab_hash(string->s, string->count) & r->slot_mask;
	char text[64];

	r->spellings[id] = (struct qn_spelling){string->s, (uint32_t)string->count};
	if (string->count == 0)
		return 0; /* never found, and not a reason to refuse the file */
	if (other >= 0)
		return qn_error_set(r->err, KEY "tokens[%ld]: '%s' is token %d already", id,
				    qn_vocab_show(text, string->s, string->count), (int)other);
	while (r->slots[at])
		at = (at + 1) & r->slot_mask;
	r->slots[at] = (uint32_t)id + 1;
	if (string->count > r->longest)
		r->longest = (uint32_t)string->count;
	return 0;
}

int qn_vocab_read_spellings(struct qn_vocab_reader *r)
{
	struct quern_value array, string;
	int found = find_array(r, KEY "tokens", &array);
	uint64_t n_bytes = 0;
	size_t size;

	if (found < 0)
		return -1;
	if (!found || array.element_type != QUERN_STRING || array.count == 0)
		return qn_error_set(r->err, KEY "tokens: %s; a vocabulary is an array of strings",
				    !found             ? "missing"
				    : array.count == 0 ? "empty"
						       : "no strings");
	size = qn_vocab_table_size(array.count);
	r->t->n_tokens = (long)array.count;
	r->t->tokens = calloc(array.count, sizeof(*r->t->tokens));
	r->spellings = calloc(array.count, sizeof(*r->spellings));
	r->slots = calloc(size, sizeof(*r->slots));
	r->slot_mask = (uint32_t)(size - 1);
	if (!r->t->tokens || !r->spellings || !r->slots)
		return qn_vocab_fail_memory(r);
	for (long id = 0; id < r->t->n_tokens; id++) {
		quern_gguf_element(r->file, &array, (uint64_t)id, &string);
		if (string.count > QN_TOKEN_BYTES)
			return qn_error_set(r->err, KEY "tokens[%ld]: %llu bytes; the limit is %d",
					    id, (unsigned long long)string.count, QN_TOKEN_BYTES);
		n_bytes += string.count;
		if (add_spelling(r, id, &string))
			return -1;
	}
	if (n_bytes > UINT32_MAX)
		return qn_error_set(r->err, KEY "tokens: %llu bytes; the limit is 4 GiB",
				    (unsigned long long)n_bytes);
	r->t->bytes = malloc(n_bytes + 1);
	return r->t->bytes ? 0 : qn_vocab_fail_memory(r);
}

/* ---- types and scores ---- */

int qn_vocab_read_types(struct qn_vocab_reader *r)
{
	struct quern_value array, x;
	int found = find_numbers(r, KEY "token_type", &array);

	if (found < 0)
		return -1;
	if (found && array.element_type != QUERN_I32 && array.element_type != QUERN_U32)
		return qn_error_set(r->err, KEY "token_type: elements of type %d; they must be i32",
				    array.element_type);
	for (long id = 0; id < r->t->n_tokens; id++) {
		r->t->tokens[id].type = QN_TOKEN_NORMAL;
		if (!found)
			continue;
		quern_gguf_element(r->file, &array, (uint64_t)id, &x);
		if (x.i < 0 || x.i > QN_TOKEN_BYTE)
			return qn_error_set(r->err, KEY "token_type[%ld]: %lld; types are 0 to 6",
					    id, (long long)x.i);
		r->t->tokens[id].type = x.i ? (uint8_t)x.i : QN_TOKEN_UNUSED;
	}
	return 0;
}

/* High scores first: the order of floats is that of their bits, turned round for negative ones. */
static uint32_t order_of(float score)
{
	uint32_t bits;

	score = score == 0 ? 0 : score; /* -0 as well */
	memcpy(&bits, &score, sizeof(bits));
	return bits >> 31 ? bits : 0x7fffffff - bits;
}

int qn_vocab_read_scores(struct qn_vocab_reader *r)
{
	struct quern_value array, x;
	int found = find_numbers(r, KEY "scores", &array);

	if (found < 0)
		return -1;
	if (!found)
		return qn_error_set(r->err, KEY "scores: missing; a llama vocabulary needs them");
	if (array.element_type != QUERN_FLOAT32 && array.element_type != QUERN_I32)
		return qn_error_set(r->err, KEY "scores: elements of type %d; they must be f32",
				    array.element_type);
	for (long id = 0; id < r->t->n_tokens; id++) {
		double score;

		quern_gguf_element(r->file, &array, (uint64_t)id, &x);
		score = array.element_type == QUERN_I32 ? (double)x.i : x.f;
		if (score != score)
			return qn_error_set(r->err, KEY "scores[%ld]: it is not a number", id);
		r->t->tokens[id].order = order_of((float)score);
	}
	return 0;
}

/* ---- texts ---- */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
				      : -1;
}

/* The byte that "<0x0A>" stands for; -1: it reads otherwise. */
static int byte_of(const struct qn_spelling *s)
{
	if (s->n_bytes != 6 || memcmp(s->s, "<0x", 3) != 0 || s->s[5] != '>' ||
	    hex_digit(s->s[3]) < 0 || hex_digit(s->s[4]) < 0)
		return -1;
	return hex_digit(s->s[3]) * 16 + hex_digit(s->s[4]);
}

/*
 * The byte that a character of GPT-2's alphabet stands for; -1: none.  Printable bytes of Latin-1
 * are themselves; the 33 below '!', the 34 from 0x7f to 0xa0 and 0xad are U+0100 and up, in this
 * order.
 */
static int letter_byte(uint32_t code)
{
	if (code >= 0x100)
		return code < 0x121    ? (int)code - 0x100
		       : code < 0x143  ? (int)code - 0x121 + 0x7f
		       : code == 0x143 ? 0xad
				       : -1;
	return code <= ' ' || (code >= 0x7f && code <= 0xa0) || code == 0xad ? -1 : (int)code;
}

/* Decodes GPT-2's alphabet; 0 bytes: some character is not of it. */
static uint32_t decode_letters(const struct qn_spelling *s, char *out)
{
	uint32_t n = 0, code;

	for (uint32_t i = 0; i < s->n_bytes;) {
		int length = qn_unicode_decode(s->s + i, s->n_bytes - i, &code);
		int byte = length > 0 ? letter_byte(code) : -1;

		if (byte < 0)
			return 0;
		out[n++] = (char)byte;
		i += (uint32_t)length;
	}
	return n;
}

/* U+2581 to a space. */
static uint32_t decode_spaces(const struct qn_spelling *s, char *out)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n_bytes; n++) {
		int is_space = s->n_bytes - i >= 3 && memcmp(s->s + i, "\xe2\x96\x81", 3) == 0;

		out[n] = is_space ? ' ' : s->s[i];
		i += is_space ? 3 : 1;
	}
	return n;
}

static int set_byte(struct qn_vocab_reader *r, long id, char *out)
{
	int byte = byte_of(&r->spellings[id]);
	char text[64];

	if (byte < 0)
		return qn_error_set(
			r->err,
			KEY "tokens[%ld]: '%s' has the type of a byte; bytes read <0x00> to "
			    "<0xFF>",
			id, qn_vocab_show(text, r->spellings[id].s, r->spellings[id].n_bytes));
	if (!r->t->split && r->t->byte_ids[byte] < 0)
		r->t->byte_ids[byte] = (int32_t)id;
	*out = (char)byte;
	return 0;
}

/* The text of a token, and whether merges may make it. */
static int set_text(struct qn_vocab_reader *r, long id)
{
	struct qn_token *token = &r->t->tokens[id];
	const struct qn_spelling *s = &r->spellings[id];
	char *out = r->t->bytes + r->n_bytes;

	token->start = r->n_bytes;
	token->n_bytes = 0;
	if (!r->t->split && token->type == QN_TOKEN_NORMAL && byte_of(s) >= 0)
		token->type = QN_TOKEN_BYTE; /* as older files have it */
	if (token->type == QN_TOKEN_BYTE) {
		if (set_byte(r, id, out))
			return -1;
		token->n_bytes = 1;
	} else if (token->type == QN_TOKEN_NORMAL || token->type == QN_TOKEN_UNUSED) {
		token->n_bytes = r->t->split ? decode_letters(s, out) : decode_spaces(s, out);
		token->is_plain = token->n_bytes > 0;
		if (r->t->split && token->n_bytes == 1 && r->t->byte_ids[(uint8_t)*out] < 0)
			r->t->byte_ids[(uint8_t)*out] = (int32_t)id;
	} else if (token->type == QN_TOKEN_USER && !r->t->split) {
		token->n_bytes = decode_spaces(s, out);
		token->is_plain = token->n_bytes > 0;
	}
	if (!r->t->split && memchr(s->s, ' ', s->n_bytes))
		token->is_plain = 0; /* SentencePiece has no spaces, so nothing merges to this */
	if (token->n_bytes == 0) {
		memcpy(out, s->s, s->n_bytes);
		token->n_bytes = s->n_bytes;
	}
	r->n_bytes += token->n_bytes;
	return 0;
}

int qn_vocab_read_texts(struct qn_vocab_reader *r)
{
	memset(r->t->byte_ids, -1, sizeof(r->t->byte_ids));
	for (long id = 0; id < r->t->n_tokens; id++) {
		if (set_text(r, id))
			return -1;
	}
	return 0;
}

/* ---- merges ---- */

/* "left right", of which the left begins with the first character whatever that is. */
static int read_merge(struct qn_vocab_reader *r, long rank, const struct quern_value *merge,
		      char *joined)
{
	const char *space = merge->count > 1 ? memchr(merge->s + 1, ' ', merge->count - 1) : NULL;
	size_t n_left = space ? (size_t)(space - merge->s) : 0, n_right;
	struct qn_pair pair = {.rank = (uint32_t)rank, .id = -1};
	char text[64];

	if (!space || n_left + 1 == merge->count)
		return qn_error_set(r->err,
				    KEY "merges[%ld]: '%s'; a merge is two tokens and a "
					"space between them",
				    rank, qn_vocab_show(text, merge->s, merge->count));
	n_right = merge->count - n_left - 1;
	pair.left = qn_vocab_find_spelling(r, merge->s, n_left);
	pair.right = qn_vocab_find_spelling(r, space + 1, n_right);
	if (pair.left < 0 || pair.right < 0)
		return qn_error_set(r->err, KEY "merges[%ld]: '%s' is not a token", rank,
				    pair.left < 0 ? qn_vocab_show(text, merge->s, n_left)
						  : qn_vocab_show(text, space + 1, n_right));
	if (n_left + n_right <= r->longest) {
		memcpy(joined, merge->s, n_left);
		memcpy(joined + n_left, space + 1, n_right);
		pair.id = qn_vocab_find_spelling(r, joined, n_left + n_right);
	}
	if (pair.id < 0 || r->t->tokens[pair.id].type == QN_TOKEN_CONTROL)
		return qn_error_set(r->err, KEY "merges[%ld]: '%s' joined is %s token", rank,
				    qn_vocab_show(text, merge->s, merge->count),
				    pair.id < 0 ? "not a" : "a control");
	qn_vocab_add_pair(r->t, &pair);
	return 0;
}

int qn_vocab_read_merges(struct qn_vocab_reader *r)
{
	struct quern_value array, merge;
	int found = find_array(r, KEY "merges", &array), failed = 0;
	size_t size;
	char *joined;

	if (found < 0)
		return -1;
	if (!found || (array.element_type != QUERN_STRING && array.count))
		return qn_error_set(r->err,
				    KEY "merges: %s; a gpt2 vocabulary has an array of "
					"strings here",
				    found ? "no strings" : "missing");
	size = qn_vocab_table_size(array.count);
	r->t->pairs = calloc(size, sizeof(*r->t->pairs));
	r->t->pair_mask = size - 1;
	joined = malloc(r->longest + 1);
	if (!r->t->pairs || !joined) {
		free(joined);
		return qn_vocab_fail_memory(r);
	}
	for (size_t i = 0; i < size; i++)
		r->t->pairs[i].left = -1;
	for (long i = 0; !failed && i < (long)array.count; i++) {
		quern_gguf_element(r->file, &array, (uint64_t)i, &merge);
		failed = read_merge(r, i, &merge, joined);
	}
	free(joined);
	return failed;
}
