/*
 * random_vocab.c: vocabularies of any size for SentencePiece and byte-level BPE tokenizers.
 *
 * Pieces are all that two, three and four letters make, the first of which may be a space.  Each but
 * its last letter is a piece as well, so that merges reach it.
 */
#include "random_vocab.h"

#include <stdio.h>
#include <string.h>

/* Token types. */
enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, UNUSED = 5, BYTE = 6 };

enum { MAX_SPECIALS = 4, N_BYTES = 256, N_PRINTABLE = 94, MAX_PIECE = 24 };

struct special {
	const char *text;
	int type;
};

static const struct vocab {
	const char *model, *pre;
	struct special specials[MAX_SPECIALS]; /* at the start of SPM, at the end of BPE */
	int bos, eos, unknown, padding;        /* of the specials; -1: no such key */
	int adds_bos, adds_space;              /* adds_space -1: no such key */
} vocabs[] = {
	[QN_RANDOM_SPM] = {.model = "llama",
			   .pre = "default",
			   .specials = {{"<unk>", UNKNOWN}, {"<s>", CONTROL}, {"</s>", CONTROL}},
			   .bos = 1,
			   .eos = 2,
			   .unknown = 0,
			   .padding = -1,
			   .adds_bos = 1,
			   .adds_space = -1},
	[QN_RANDOM_SPM_GEMMA] = {.model = "llama",
				 .pre = "default",
				 .specials = {{"<pad>", CONTROL},
					      {"<eos>", CONTROL},
					      {"<bos>", CONTROL},
					      {"<unk>", UNKNOWN}},
				 .bos = 2,
				 .eos = 1,
				 .unknown = 3,
				 .padding = 0,
				 .adds_bos = 1,
				 .adds_space = 0},
	[QN_RANDOM_BPE_LLAMA] = {.model = "gpt2",
				 .pre = "llama-bpe",
				 .specials = {{"<|begin_of_text|>", CONTROL},
					      {"<|end_of_text|>", CONTROL}},
				 .bos = 0,
				 .eos = 1,
				 .unknown = -1,
				 .padding = -1,
				 .adds_bos = 1,
				 .adds_space = -1},
	[QN_RANDOM_BPE_QWEN] = {.model = "gpt2",
				.pre = "qwen2",
				.specials = {{"<|endoftext|>", CONTROL},
					     {"<|im_start|>", CONTROL},
					     {"<|im_end|>", CONTROL}},
				.bos = 0,
				.eos = 2,
				.unknown = -1,
				.padding = 0,
				.adds_bos = 0,
				.adds_space = -1},
	[QN_RANDOM_BPE_GPT2] = {.model = "gpt2",
				.pre = "gpt-2",
				.specials = {{"<|endoftext|>", CONTROL}},
				.bos = 0,
				.eos = 0,
				.unknown = 0,
				.padding = -1,
				.adds_bos = 0,
				.adds_space = -1},
};

struct token {
	char text[MAX_PIECE];
	int type;
	float score;
	int n_left; /* bytes of the left half of a merge; 0: it is none */
};

static int is_spm(const struct vocab *vocab)
{
	return !strcmp(vocab->model, "llama");
}

static int count_specials(const struct vocab *vocab)
{
	int n = 0;

	while (n < MAX_SPECIALS && vocab->specials[n].text)
		n++;
	return n;
}

/* ---- tokens ---- */

/* A character below U+0800 as UTF-8. */
static int put_character(char *text, int character)
{
	if (character < 0x80) {
		text[0] = (char)character;
		return 1;
	}
	text[0] = (char)(0xc0 | character >> 6);
	text[1] = (char)(0x80 | (character & 63));
	return 2;
}

static int is_printable_byte(int byte)
{
	return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/*
 * The character that byte-level BPE writes for byte number `index`: printable ones of Latin-1 stand
 * for themselves and come first, the others are U+0100 and so on.
 */
static int choose_byte_character(int index)
{
	for (int byte = 0, n = 0; byte < N_BYTES; byte++) {
		if (is_printable_byte(byte) && n++ == index)
			return byte;
	}
	return 0x100 + index - (94 + 12 + 82);
}

/* Piece number index: all of two letters, of three, of four; `space` stands for a space. */
static void write_piece(long index, const char *space, struct token *token)
{
	long n_ends = 26; /* ways to go on after the first letter */
	int n_letters = 2;
	char *p = token->text;

	while (index >= 27 * n_ends) {
		index -= 27 * n_ends;
		n_ends *= 26;
		n_letters++;
	}
	if (index < n_ends)
		p += sprintf(p, "%s", space);
	else
		*p++ = (char)('a' + index / n_ends - 1);
	for (int i = 1; i < n_letters; i++) {
		index %= n_ends;
		n_ends /= 26;
		*p++ = (char)('a' + index / n_ends);
	}
	*p = '\0';
	token->n_left = (int)(p - token->text) - 1;
}

static void find_spm_token(const struct vocab *vocab, long index, struct token *token)
{
	static const char mark[] = "\xe2\x96\x81"; /* U+2581 */
	const int n_specials = count_specials(vocab);
	const long piece = index - n_specials - N_BYTES;

	*token = (struct token){.type = NORMAL, .score = (float)-piece};
	if (index < n_specials) {
		strcpy(token->text, vocab->specials[index].text);
		token->type = vocab->specials[index].type;
		token->score = 0;
	} else if (piece < 0) {
		sprintf(token->text, "<0x%02X>", (unsigned)(index - n_specials) & 255);
		token->type = BYTE;
		token->score = 0;
	} else if (piece == 0) {
		strcpy(token->text, mark);
	} else if (piece <= N_PRINTABLE) {
		token->text[0] = (char)('!' + piece - 1);
	} else {
		write_piece(piece - 1 - N_PRINTABLE, mark, token);
	}
}

static void find_bpe_token(const struct vocab *vocab, long n_tokens, long index,
			   struct token *token)
{
	const long special = index - (n_tokens - count_specials(vocab));

	*token = (struct token){.type = NORMAL};
	if (special >= 0) {
		strcpy(token->text, vocab->specials[special].text);
		token->type = vocab->specials[special].type;
	} else if (index < N_BYTES) {
		put_character(token->text, choose_byte_character((int)index));
	} else {
		write_piece(index - N_BYTES, "\xc4\xa0", token); /* U+0120 */
	}
}

static void find_token(const struct vocab *vocab, long n_tokens, long index, struct token *token)
{
	if (is_spm(vocab))
		find_spm_token(vocab, index, token);
	else
		find_bpe_token(vocab, n_tokens, index, token);
}

/* ---- keys ---- */

static void put_text(struct qn_gguf_write *file, const char *text)
{
	qn_gguf_write_element(file, &(struct quern_value){.type = QUERN_STRING,
							  .count = strlen(text),
							  .s = text});
}

static void put_number(struct qn_gguf_write *file, int number)
{
	qn_gguf_write_element(file, &(struct quern_value){.type = QUERN_I32, .i = number});
}

static void put_score(struct qn_gguf_write *file, float score)
{
	qn_gguf_write_element(file,
			      &(struct quern_value){.type = QUERN_FLOAT32, .f = (double)score});
}

static void write_tokens(struct qn_gguf_write *file, const struct vocab *vocab, long n_tokens)
{
	struct token token;

	qn_gguf_write_array(file, "tokenizer.ggml.tokens", QUERN_STRING, (uint64_t)n_tokens);
	for (long i = 0; i < n_tokens; i++) {
		find_token(vocab, n_tokens, i, &token);
		put_text(file, token.text);
	}
	if (is_spm(vocab)) {
		qn_gguf_write_array(file, "tokenizer.ggml.scores", QUERN_FLOAT32,
				    (uint64_t)n_tokens);
		for (long i = 0; i < n_tokens; i++) {
			find_token(vocab, n_tokens, i, &token);
			put_score(file, token.score);
		}
	}
	qn_gguf_write_array(file, "tokenizer.ggml.token_type", QUERN_I32, (uint64_t)n_tokens);
	for (long i = 0; i < n_tokens; i++) {
		find_token(vocab, n_tokens, i, &token);
		put_number(file, token.type);
	}
}

static void write_merges(struct qn_gguf_write *file, const struct vocab *vocab, long n_tokens)
{
	const long end = n_tokens - count_specials(vocab);
	struct token token;
	char merge[MAX_PIECE + 1];

	qn_gguf_write_array(file, "tokenizer.ggml.merges", QUERN_STRING, (uint64_t)(end - N_BYTES));
	for (long i = N_BYTES; i < end; i++) {
		find_token(vocab, n_tokens, i, &token);
		sprintf(merge, "%.*s %s", token.n_left, token.text, token.text + token.n_left);
		put_text(file, merge);
	}
}

void qn_random_vocab_write(struct qn_gguf_write *file, enum qn_random_vocab_kind kind,
			   long n_tokens)
{
	const struct vocab *vocab = &vocabs[kind];
	const long first = is_spm(vocab) ? 0 : n_tokens - count_specials(vocab);
	const struct {
		const char *name;
		int special;
	} ids[] = {{"tokenizer.ggml.bos_token_id", vocab->bos},
		   {"tokenizer.ggml.eos_token_id", vocab->eos},
		   {"tokenizer.ggml.unknown_token_id", vocab->unknown},
		   {"tokenizer.ggml.padding_token_id", vocab->padding}};

	qn_gguf_write_string(file, "tokenizer.ggml.model", vocab->model);
	qn_gguf_write_string(file, "tokenizer.ggml.pre", vocab->pre);
	write_tokens(file, vocab, n_tokens);
	if (!is_spm(vocab))
		write_merges(file, vocab, n_tokens);
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		if (ids[i].special >= 0)
			qn_gguf_write_u32(file, ids[i].name, (uint32_t)(first + ids[i].special));
	}
	qn_gguf_write_bool(file, "tokenizer.ggml.add_bos_token", vocab->adds_bos);
	qn_gguf_write_bool(file, "tokenizer.ggml.add_eos_token", 0);
	if (vocab->adds_space >= 0)
		qn_gguf_write_bool(file, "tokenizer.ggml.add_space_prefix", vocab->adds_space);
}

/* ---- taken from a file ---- */

static int is_token_array(const struct quern_value *key, const char *name, int type)
{
	return !strcmp(key->name, name) && key->type == QUERN_ARRAY && key->element_type == type;
}

long qn_random_vocab_count(const struct quern_gguf *from)
{
	struct quern_value key;

	if (quern_gguf_find_key(from, "tokenizer.ggml.tokens", &key) ||
	    !is_token_array(&key, "tokenizer.ggml.tokens", QUERN_STRING))
		return -1;
	return (long)key.count;
}

/* One of the arrays with an element a token. */
static void copy_padded(struct qn_gguf_write *file, const struct quern_gguf *from,
			const struct quern_value *key, long n_tokens)
{
	struct quern_value element;
	char text[32];

	qn_gguf_write_array(file, key->name, key->element_type, (uint64_t)n_tokens);
	for (long i = 0; i < n_tokens; i++) {
		if (quern_gguf_element(from, key, (uint64_t)i, &element) == 0) {
			qn_gguf_write_element(file, &element);
		} else if (key->element_type == QUERN_STRING) {
			sprintf(text, "[PAD%ld]", i);
			put_text(file, text);
		} else if (key->element_type == QUERN_FLOAT32) {
			put_score(file, -1000);
		} else {
			put_number(file, UNUSED);
		}
	}
}

void qn_random_vocab_copy(struct qn_gguf_write *file, const struct quern_gguf *from, long n_tokens,
			  int has_template)
{
	struct quern_value key;

	for (size_t i = 0; quern_gguf_key(from, i, &key) == 0; i++) {
		if (strncmp(key.name, "tokenizer.", 10) != 0 ||
		    (!has_template && !strcmp(key.name, "tokenizer.chat_template")))
			continue;
		if (is_token_array(&key, "tokenizer.ggml.tokens", QUERN_STRING) ||
		    is_token_array(&key, "tokenizer.ggml.scores", QUERN_FLOAT32) ||
		    is_token_array(&key, "tokenizer.ggml.token_type", QUERN_I32))
			copy_padded(file, from, &key, n_tokens);
		else
			qn_gguf_write_copy(file, from, &key);
	}
}
