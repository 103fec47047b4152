/*
 * vocab_read.c: reads the tokenizer of a GGUF file: its kind, special tokens, and how it is used.
 *
 * Files do not tell all: which tokens end a turn and which drop the white space behind them is
 * known by their names and by the model's, as llama.cpp knows it.
 */
#include "vocab_read.h"

#include <stdlib.h>
#include <string.h>

#include "../error.h"

#define KEY "tokenizer.ggml."

/* ---- keys ---- */

/* *value stays as it is where the key is absent. */
static int read_bool(const struct qn_vocab_reader *r, const char *name, int *value)
{
	struct quern_value key;

	if (quern_gguf_find_key(r->file, name, &key))
		return 0;
	if (key.type != QUERN_BOOL)
		return qn_error_set(r->err, "%s: value type %d; it must be a bool (type 7)", name,
				    key.type);
	*value = (int)key.u;
	return 0;
}

/* A string: 1 found, 0 absent, -1 it is something else. */
static int find_string(const struct qn_vocab_reader *r, const char *name, struct quern_value *key)
{
	if (quern_gguf_find_key(r->file, name, key))
		return 0;
	if (key->type != QUERN_STRING)
		return qn_error_set(r->err, "%s: value type %d; it must be a string (type 8)", name,
				    key->type);
	return 1;
}

static int is_text(const struct quern_value *key, const char *text)
{
	return key->count == strlen(text) && memcmp(key->s, text, key->count) == 0;
}

/* Does a text contain a word, in whatever case? */
static int contains(const struct quern_value *key, const char *word)
{
	size_t n = strlen(word);

	for (uint64_t i = 0; i + n <= key->count; i++) {
		size_t same = 0;

		while (same < n && (key->s[i + same] | 0x20) == (word[same] | 0x20))
			same++;
		if (same == n)
			return 1;
	}
	return 0;
}

/* ---- special tokens ---- */

/* Tokens that end what a model says, in the order in which one of them is the end of a turn. */
static const char *const ends[] = {
	"<|eot_id|>",
	"<|im_end|>",
	"<|end|>",
	"<end_of_turn>",
	"<|eom_id|>",
	"<|end_of_text|>",
	"<|endoftext|>",
	"<EOT>",
	"<|eot|>",
	"<end_of_utterance>",
	"<\xef\xbd\x9c"
	"end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>",
	"<eos>",
};

/* Files differ in the types of these; they are control tokens. */
static void mark_ends(struct qn_vocab_reader *r)
{
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		int32_t id = qn_vocab_find_spelling(r, ends[i], strlen(ends[i]));

		if (id < 0)
			continue;
		r->t->tokens[id].is_end = 1;
		r->t->tokens[id].type = QN_TOKEN_CONTROL;
		if (r->t->special[QUERN_EOT] < 0)
			r->t->special[QUERN_EOT] = id;
	}
}

static const struct {
	const char *name;
	int special, is_end;
} id_keys[] = {{KEY "bos_token_id", QUERN_BOS, 0},         {KEY "eos_token_id", QUERN_EOS, 1},
	       {KEY "eot_token_id", QUERN_EOT, 1},         {KEY "eom_token_id", -1, 1},
	       {KEY "unknown_token_id", QUERN_UNKNOWN, 0}, {KEY "padding_token_id", QUERN_PAD, 0}};

/*
 * BitNet's files have no types but "normal": what is in the role of a special token and looks it is
 * one.
 */
static void mark_control(struct qn_vocab_reader *r, int32_t id)
{
	const struct qn_spelling *s = &r->spellings[id];

	if (r->t->tokens[id].type == QN_TOKEN_NORMAL && s->n_bytes > 2 && s->s[0] == '<' &&
	    s->s[s->n_bytes - 1] == '>')
		r->t->tokens[id].type = QN_TOKEN_CONTROL;
}

static int read_ids(struct qn_vocab_reader *r)
{
	for (size_t i = 0; i < sizeof(id_keys) / sizeof(id_keys[0]); i++) {
		int special = id_keys[i].special;
		int32_t id = special < 0 ? -1 : r->t->special[special];
		struct quern_value key;

		if (quern_gguf_find_key(r->file, id_keys[i].name, &key) == 0) {
			if (key.type > QUERN_I32 && key.type != QUERN_U64 && key.type != QUERN_I64)
				return qn_error_set(r->err, "%s: value type %d; it must be a u32",
						    id_keys[i].name, key.type);
			if (key.u >= (uint64_t)r->t->n_tokens && key.u != UINT32_MAX && key.i != -1)
				return qn_error_set(r->err, "%s: %lld; ids are 0 to %ld",
						    id_keys[i].name, (long long)key.i,
						    r->t->n_tokens - 1);
			id = (int32_t)key.u; /* 2^32-1 and -1: none */
		}
		if (id >= r->t->n_tokens)
			id = -1; /* a default that this vocabulary does not have */
		if (id >= 0)
			mark_control(r, id);
		if (id >= 0 && id_keys[i].is_end)
			r->t->tokens[id].is_end = 1;
		if (special >= 0)
			r->t->special[special] = id;
	}
	return 0;
}

/* What the file says of the tokens put around a text. */
static int read_flags(struct qn_vocab_reader *r)
{
	static const char *const names[] = {KEY "add_bos_token", KEY "add_eos_token"};
	struct quern_tokenizer *t = r->t;
	int is_set[2] = {-1, -1};

	for (int i = 0; i < 2; i++) {
		if (read_bool(r, names[i], &is_set[i]))
			return -1;
		if (is_set[i] == 1 && t->special[i ? QUERN_EOS : QUERN_BOS] < 0)
			return qn_error_set(r->err, "%s: true, but there is no " KEY "%s_token_id",
					    names[i], i ? "eos" : "bos");
	}
	t->adds_bos = is_set[0] >= 0 ? is_set[0] : !t->split || t->split->adds_bos;
	t->adds_eos = is_set[1] == 1;
	if (t->special[QUERN_BOS] < 0)
		t->adds_bos = 0;
	t->adds_space = !t->split;
	if (read_bool(r, KEY "add_space_prefix", &t->adds_space))
		return -1;
	t->adds_space = t->adds_space && !t->split;
	return 0;
}

/* Phi-3 drops white space behind its special tokens, but for three of them. */
static void mark_strips(struct qn_vocab_reader *r)
{
	static const char *const others[] = {"<unk>", "<s>", "<|endoftext|>"};
	struct quern_tokenizer *t = r->t;
	struct quern_value key;
	int is_phi3 = 0;

	if (quern_gguf_find_key(r->file, "general.architecture", &key) == 0)
		is_phi3 = key.type == QUERN_STRING && is_text(&key, "phi3");
	if (!is_phi3 && quern_gguf_find_key(r->file, "general.name", &key) == 0)
		is_phi3 = key.type == QUERN_STRING &&
			  (contains(&key, "phi-3") || contains(&key, "phi3"));
	if (t->split || !is_phi3)
		return;
	for (long id = 0; id < t->n_tokens; id++) {
		int type = t->tokens[id].type;

		t->tokens[id].strips = type == QN_TOKEN_CONTROL || type == QN_TOKEN_USER ||
				       type == QN_TOKEN_UNKNOWN;
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		int32_t id = qn_vocab_find_spelling(r, others[i], strlen(others[i]));

		if (id >= 0)
			t->tokens[id].strips = 0;
	}
}

/* ---- the whole ---- */

static int read_chat(struct qn_vocab_reader *r)
{
	struct quern_value key;
	int found = find_string(r, "tokenizer.chat_template", &key);

	if (found <= 0)
		return found;
	r->t->chat = malloc(key.count + 1);
	if (!r->t->chat)
		return qn_vocab_fail_memory(r);
	memcpy(r->t->chat, key.s, key.count);
	r->t->chat[key.count] = '\0';
	r->t->chat_bytes = key.count;
	return 0;
}

/* A rule for a file that names none, by what else is in it. */
static void assume_split(struct qn_vocab_reader *r)
{
	struct quern_value key;
	int has_architecture = quern_gguf_find_key(r->file, "general.architecture", &key) == 0 &&
			       key.type == QUERN_STRING;

	if (qn_vocab_find_spelling(r, "<|begin_of_text|>", 17) >= 0 &&
	    qn_vocab_find_spelling(r, "<|eot_id|>", 10) >= 0) {
		r->t->split = qn_split_find("llama-bpe", 9);
		r->t->split_reason = "not told by " KEY "pre, the vocabulary is that of Llama 3";
	} else if (has_architecture && (is_text(&key, "qwen2") || is_text(&key, "qwen3"))) {
		r->t->split = qn_split_find("qwen2", 5);
		r->t->split_reason = "not told by " KEY "pre, the architecture is Qwen's";
	} else {
		r->t->split = qn_split_find("gpt-2", 5);
		r->t->split_reason = "assumed, for " KEY "pre does not tell";
	}
}

/* The rule for words of byte-level BPE. */
static int read_split(struct qn_vocab_reader *r)
{
	struct quern_value pre;
	int found = find_string(r, KEY "pre", &pre);
	char text[64];

	if (found < 0)
		return -1;
	if (!found || pre.count == 0 || is_text(&pre, "default")) {
		assume_split(r);
		return 0;
	}
	r->t->split = qn_split_find(pre.s, pre.count);
	r->t->split_reason = "as " KEY "pre says";
	if (!r->t->split)
		return qn_error_set(r->err, KEY "pre: '%s' is not a known rule for words",
				    qn_vocab_show(text, pre.s, pre.count));
	return 0;
}

static int read_all(struct qn_vocab_reader *r)
{
	struct quern_value model;
	struct quern_tokenizer *t = r->t;
	int found = find_string(r, KEY "model", &model), is_bpe;
	char text[64];

	if (found < 0)
		return -1;
	is_bpe = found && is_text(&model, "gpt2");
	if (!found || (!is_bpe && !is_text(&model, "llama")))
		return qn_error_set(r->err,
				    KEY "model: %s; it must be llama (SentencePiece) or gpt2 "
					"(byte-level BPE)",
				    found ? qn_vocab_show(text, model.s, model.count) : "missing");
	for (int i = 0; i <= QUERN_NEWLINE; i++)
		t->special[i] = -1;
	if (!is_bpe) { /* as SentencePiece numbers them */
		t->special[QUERN_UNKNOWN] = 0;
		t->special[QUERN_BOS] = 1;
		t->special[QUERN_EOS] = 2;
	}
	if (qn_vocab_read_spellings(r) || qn_vocab_read_types(r) ||
	    (is_bpe ? read_split(r) : qn_vocab_read_scores(r)))
		return -1;
	mark_ends(r);
	if (read_ids(r) || qn_vocab_read_texts(r) || (is_bpe && qn_vocab_read_merges(r)) ||
	    read_flags(r) || read_chat(r))
		return -1;
	mark_strips(r);
	if (qn_vocab_index(t))
		return qn_vocab_fail_memory(r);
	t->special[QUERN_NEWLINE] = t->byte_ids['\n'];
	if (t->special[QUERN_NEWLINE] < 0)
		t->special[QUERN_NEWLINE] = qn_vocab_find(t, "\n", 1);
	return 0;
}

int qn_vocab_read(struct quern_tokenizer *t, const struct quern_gguf *file, struct quern_error *err)
{
	struct qn_vocab_reader r = {.file = file, .t = t, .err = err};
	int failed = read_all(&r);

	free(r.spellings);
	free(r.slots);
	return failed;
}
