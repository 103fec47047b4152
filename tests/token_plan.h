/*
 * token_plan.h: GGUF files with small vocabularies, made in memory.
 */
#ifndef TESTS_TOKEN_PLAN_H
#define TESTS_TOKEN_PLAN_H

#include "gguf_plan.h"

#define SPACE "\xe2\x96\x81" /* U+2581 */

enum { NORMAL = 1, UNKNOWN, CONTROL, USER, UNUSED, BYTE };

/* Arrays of a vocabulary as bytes; a test may damage them or what is told of them. */
struct vocabulary {
	const char *model, *pre; /* NULL: no such key */
	struct bytes tokens, scores, types, merges;
	uint64_t n_tokens, n_scores, n_types, n_merges; /* 0: no such key */
};

static inline void add_token(struct vocabulary *v, const char *text, float score, int32_t type)
{
	put_string(&v->tokens, text);
	put(&v->scores, &score, sizeof(score));
	put(&v->types, &type, sizeof(type));
	v->n_tokens++;
	v->n_scores++;
	v->n_types++;
}

static inline void add_merge(struct vocabulary *v, const char *merge)
{
	put_string(&v->merges, merge);
	v->n_merges++;
}

/* Consumes the vocabulary. */
static inline void add_vocabulary(struct plan *plan, struct vocabulary *v)
{
	if (v->model)
		add_string(plan, "tokenizer.ggml.model", v->model);
	if (v->pre)
		add_string(plan, "tokenizer.ggml.pre", v->pre);
	if (v->n_tokens) {
		add_array(plan, "tokenizer.ggml.tokens", QUERN_STRING, v->n_tokens);
		put(&plan->keys, v->tokens.data, v->tokens.n);
	}
	if (v->n_scores) {
		add_array(plan, "tokenizer.ggml.scores", QUERN_FLOAT32, v->n_scores);
		put(&plan->keys, v->scores.data, v->scores.n);
	}
	if (v->n_types) {
		add_array(plan, "tokenizer.ggml.token_type", QUERN_I32, v->n_types);
		put(&plan->keys, v->types.data, v->types.n);
	}
	if (v->n_merges) {
		add_array(plan, "tokenizer.ggml.merges", QUERN_STRING, v->n_merges);
		put(&plan->keys, v->merges.data, v->merges.n);
	}
	free(v->tokens.data);
	free(v->scores.data);
	free(v->types.data);
	free(v->merges.data);
}

static inline void add_bool(struct plan *plan, const char *name, uint8_t value)
{
	add_key(plan, name, QUERN_BOOL);
	put_u8(&plan->keys, value);
}

/* A byte as GPT-2's alphabet spells it. */
static inline const char *spell_byte(int byte, char text[3])
{
	int code = byte <= ' '                    ? byte + 0x100
		   : byte >= 0x7f && byte <= 0xa0 ? byte - 0x7f + 0x121
		   : byte == 0xad                 ? 0x143
						  : byte;

	snprintf(text, 3, "%c%c", code < 0x80 ? code : 0xc0 | code >> 6,
		 code < 0x80 ? 0 : 0x80 | (code & 0x3f));
	return text;
}

enum { SPM_BYTES = 3, SPM_WORDS = 3 + 256 };

/*
 * Ids: <unk> <s> </s>, the bytes if with_bytes (else those of 0x0a to 0x0c), words in this order.
 */
static inline struct vocabulary spm_vocabulary(int with_bytes)
{
	static const char *const words[] = {
		SPACE,          "e",         "h",       "l",           "o",
		"lo",           SPACE SPACE, SPACE "h", "he",          SPACE "he",
		"ll",           "hell",      "hello",   SPACE "hello", "\xc3\xa9",
		"\xe4\xb8\xad", "a",         "aa",      "aaaa",        "\n",
	};
	struct vocabulary v = {.model = "llama"};
	char text[8];

	add_token(&v, "<unk>", 0, UNKNOWN);
	add_token(&v, "<s>", 0, CONTROL);
	add_token(&v, "</s>", 0, CONTROL);
	for (int byte = with_bytes ? 0 : 10; byte < (with_bytes ? 256 : 13); byte++) {
		snprintf(text, sizeof(text), "<0x%02X>", (unsigned)byte);
		add_token(&v, text, 0, BYTE);
	}
	for (int i = 0; i < (int)(sizeof(words) / sizeof(words[0])); i++)
		add_token(&v, words[i], (float)(i < 5 ? -100 : i), NORMAL);
	add_token(&v, "[user]", 0, USER);
	add_token(&v, "   ", 0, USER);
	add_token(&v, "<unused>", 0, UNUSED);
	return v;
}

/*
 * Ids: the bytes (or those of "\n Ahello1", each once), then what the merges make, then special
 * tokens.
 */
static inline struct vocabulary bpe_vocabulary(const char *pre, int with_bytes)
{
	static const char *const merges[] = {"h e",
					     "l l",
					     "he ll",
					     "hell o",
					     "\xc4\xa0 hello",
					     "1 1",
					     "o o",
					     "\xc4\xa0 \xc4\xa0",
					     "11 1",
					     "a a",
					     "aa aa"};
	struct vocabulary v = {.model = "gpt2", .pre = pre};
	char text[3], joined[32];

	for (int byte = 0; byte < 256; byte++) {
		if (with_bytes || (byte && strchr("\n Aahelo1", byte)))
			add_token(&v, spell_byte(byte, text), 0, NORMAL);
	}
	for (int i = 0; i < (int)(sizeof(merges) / sizeof(merges[0])); i++) {
		const char *space = strchr(merges[i], ' ');

		snprintf(joined, sizeof(joined), "%.*s%s", (int)(space - merges[i]), merges[i],
			 space + 1);
		add_token(&v, joined, 0, NORMAL);
		add_merge(&v, merges[i]);
	}
	add_token(&v, "olleh", 0, NORMAL); /* a word that no merges make */
	add_token(&v, "<|begin|>", 0, CONTROL);
	add_token(&v, "<|im_end|>", 0, CONTROL);
	add_token(&v, "<think>", 0, USER);
	add_token(&v, "  \t", 0, USER);
	return v;
}

/* Consumes the plan; the file is gone when this returns.  NULL: refused, with a sentence. */
static inline struct quern_tokenizer *open_plan(struct plan *plan, struct quern_error *err)
{
	struct quern_tokenizer *tokenizer = NULL;
	struct quern_gguf *file;
	size_t n_bytes;
	uint8_t *data = write_plan(plan, &n_bytes);

	if (qn_gguf_parse(data, n_bytes, "x.gguf", &file, err) == 0) {
		quern_tokenizer_open(&tokenizer, file, err);
		quern_gguf_close(file);
	}
	free(data);
	return tokenizer;
}

static inline struct quern_tokenizer *open_vocabulary(struct vocabulary *v)
{
	struct plan plan = start_plan();
	struct quern_error err = {.text = ""};
	struct quern_tokenizer *tokenizer;

	add_vocabulary(&plan, v);
	tokenizer = open_plan(&plan, &err);
	if (!tokenizer) {
		printf("%s\n", err.text);
		abort();
	}
	return tokenizer;
}

#endif
