/*
 * fuzz_tokenizer.c: any bytes as text for small vocabularies, and small vocabularies with damage.
 *
 * For libFuzzer, and for the tests of tokenizers, which include this file.  -DFUZZ_FILES damages
 * files.
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined -std=c11 -D_GNU_SOURCE -DFUZZ_TOKENIZER \
 *		tests/fuzz_tokenizer.c runtime/error.c \
 *		runtime/llm/{unicode*,split,vocab*,merge,tokenizer,stream,chat,gguf*}.c
 */
#define LLVMFuzzerTestOneInput fuzz_gguf_one
#include "token_plan.h"
#undef LLVMFuzzerTestOneInput

#include "../runtime/llm/unicode.h"

/* ---- what holds for any text ---- */

static int fuzz_is_utf8(const char *text, size_t n_bytes)
{
	while (n_bytes > 0) {
		uint32_t code;
		int n = qn_unicode_decode(text, n_bytes, &code);

		if (n <= 0)
			return 0;
		text += n;
		n_bytes -= (size_t)n;
	}
	return 1;
}

/* Room for what a token can add to a text: each byte a U+FFFD, and those pending as well. */
static char fuzz_room[3 * (65535 + 3)];

/* Texts of all tokens, one after the other; the caller frees it. */
static char *fuzz_join(const struct quern_tokenizer *t, const int32_t *ids, long n, size_t *n_bytes)
{
	struct bytes b = {.data = NULL};

	put(&b, "", 1);
	b.n = 0;
	for (long i = 0; i < n; i++) {
		long n_text = quern_token_text(t, ids[i], QUERN_SHOW_SPECIAL, fuzz_room,
					       sizeof(fuzz_room));

		fuzz_require(n_text >= 0 && n_text <= 65535);
		put(&b, fuzz_room, (size_t)n_text);
	}
	*n_bytes = b.n;
	return (char *)b.data;
}

/* What a stream makes of all is UTF-8, and it takes no token for which there is no room. */
static void fuzz_stream(const struct quern_tokenizer *t, const int32_t *ids, long n, int flags)
{
	struct quern_stream stream;

	quern_stream_start(&stream, t, flags);
	for (long i = 0; i <= n; i++) {
		long n_text = i < n ? quern_stream_put(&stream, ids[i], NULL, 0)
				    : quern_stream_end(&stream, NULL, 0);

		fuzz_require(n_text >= 0 && n_text <= (long)sizeof(fuzz_room));
		fuzz_require(stream.n_pending >= 0 && stream.n_pending < 4);
		if (n_text == 0)
			continue;
		if (i < n)
			fuzz_require(quern_stream_put(&stream, ids[i], fuzz_room, (size_t)n_text) ==
				     n_text);
		else
			fuzz_require(quern_stream_end(&stream, fuzz_room, (size_t)n_text) ==
				     n_text);
		fuzz_require(fuzz_is_utf8(fuzz_room, (size_t)n_text));
	}
	fuzz_require(stream.n_pending == 0);
}

/* is_exact: the tokens' texts joined are the text. */
static void fuzz_text(const struct quern_tokenizer *t, const char *text, size_t n_bytes, int flags,
		      int is_exact)
{
	struct quern_error err = {.text = ""};
	long n = quern_tokenize(t, text, n_bytes, flags, NULL, 0, &err), again;
	int32_t *ids;
	size_t n_joined;
	char *joined;

	if (n < 0) {
		fuzz_require(!is_exact && strlen(err.text) > 12);
		return;
	}
	ids = malloc((size_t)n * sizeof(*ids) + 1);
	fuzz_require(ids != NULL);
	again = quern_tokenize(t, text, n_bytes, flags, ids, n, &err);
	fuzz_require(again == n);
	for (long i = 0; i < n; i++)
		fuzz_require(ids[i] >= 0 && ids[i] < quern_tokenizer_n_tokens(t));
	joined = fuzz_join(t, ids, n, &n_joined);
	if (is_exact)
		fuzz_require(n_joined == n_bytes && memcmp(joined, text, n_bytes) == 0);
	fuzz_stream(t, ids, n, flags & (QUERN_SHOW_SPECIAL | QUERN_AT_START));
	free(joined);
	free(ids);
}

/* ---- any text, sound vocabularies ---- */

enum { N_FUZZ_KINDS = 7 };

static inline struct quern_tokenizer *fuzz_open(int kind)
{
	static const char *const pres[] = {"gpt-2", "llama-bpe", "qwen2", "tekken", "smollm"};
	struct vocabulary v = kind < 2 ? spm_vocabulary(1) : bpe_vocabulary(pres[kind - 2], 1);
	struct quern_error err = {.text = ""};
	struct quern_tokenizer *tokenizer;
	struct plan plan = start_plan();

	add_vocabulary(&plan, &v);
	if (kind == 0)
		add_bool(&plan, "tokenizer.ggml.add_space_prefix", 0);
	tokenizer = open_plan(&plan, &err);
	fuzz_require(tokenizer != NULL);
	return tokenizer;
}

static inline int fuzz_one_text(const uint8_t *data, size_t n_bytes)
{
	static struct quern_tokenizer *tokenizers[N_FUZZ_KINDS];
	int kind, flags, is_exact;

	if (n_bytes < 2)
		return 0;
	kind = data[0] % N_FUZZ_KINDS;
	flags = data[1] & 15;
	/* U+2581 becomes a space, and a space is put before. */
	is_exact = kind != 1 && !(flags & QUERN_ADD_BOS) &&
		   !(kind == 0 && memmem(data + 2, n_bytes - 2, SPACE, 3));
	if (!tokenizers[kind])
		tokenizers[kind] = fuzz_open(kind);
	fuzz_text(tokenizers[kind], (const char *)data + 2, n_bytes - 2, flags, is_exact);
	return 0;
}

/* ---- damaged vocabularies ---- */

static inline uint8_t *fuzz_sound_file(int kind, size_t *n_bytes)
{
	static const char *const chats[] =
		{"{{ bos_token }}'[INST] ' + content.strip() + ' [/INST]' <<SYS>>",
		 "<|im_start|>system\\nYou are.<|im_end|>", "<start_of_turn> <end_of_turn>"};
	struct vocabulary v =
		kind == 0 ? spm_vocabulary(0) : bpe_vocabulary(kind == 1 ? "llama-bpe" : NULL, 0);
	struct plan plan = start_plan();

	add_string(&plan, "general.architecture", kind == 0 ? "phi3" : "llama");
	add_vocabulary(&plan, &v);
	add_u32(&plan, "tokenizer.ggml.bos_token_id", 1);
	add_u32(&plan, "tokenizer.ggml.eos_token_id", 2);
	add_bool(&plan, "tokenizer.ggml.add_bos_token", 1);
	add_bool(&plan, "tokenizer.ggml.add_eos_token", 1);
	add_bool(&plan, "tokenizer.ggml.add_space_prefix", 1);
	add_string(&plan, "tokenizer.chat_template", chats[kind]);
	return write_plan(&plan, n_bytes);
}

static inline void fuzz_chat(const struct quern_tokenizer *t)
{
	static const struct quern_message messages[] = {{"system", "be"},
							{"user", "hello"},
							{"assistant", " hello "},
							{"user", "11"}};
	struct quern_error err = {.text = ""};
	int has_bos;
	long n = quern_chat_format(t, messages, 4, QUERN_ADD_REPLY, NULL, 0, &has_bos, &err);
	char *text;

	if (n < 0) {
		fuzz_require(strlen(err.text) > 12);
		return;
	}
	text = malloc((size_t)n + 1);
	fuzz_require(text != NULL && quern_chat_family(t, NULL) != NULL);
	fuzz_require(quern_chat_format(t, messages, 4, QUERN_ADD_REPLY, text, (size_t)n, &has_bos,
				       NULL) == n);
	fuzz_text(t, text, (size_t)n, QUERN_PARSE_SPECIAL, 0);
	free(text);
}

/* All that can be asked of a tokenizer; choice: two of the texts. */
static inline void fuzz_use(const struct quern_tokenizer *t, unsigned choice)
{
	static const char texts[][16] = {"hello  hello", "A11\n 1111\n\n", "aaaaaaa</s>",
					 "<|im_end|> h\xff\xe2\x96\x81", "[user]   \t"};
	char line[200];

	fuzz_require(quern_tokenizer_explain(t, line, sizeof(line)) > 12);
	for (int special = -1; special <= QUERN_NEWLINE + 1; special++) {
		int32_t id = quern_tokenizer_special(t, special);

		fuzz_require(id >= -1 && id < quern_tokenizer_n_tokens(t));
		fuzz_require(id >= 0 || !quern_tokenizer_is_end(t, id));
	}
	fuzz_text(t, texts[choice % 5], strlen(texts[choice % 5]), 0, 0);
	fuzz_text(t, texts[choice / 5 % 5], strlen(texts[choice / 5 % 5]),
		  QUERN_ADD_BOS | QUERN_PARSE_SPECIAL, 0);
	fuzz_chat(t);
}

/* The tokenizer of a file, if it is one. */
static inline void fuzz_open_file(const uint8_t *data, size_t n_bytes, unsigned choice)
{
	struct quern_error err = {.text = ""};
	struct quern_tokenizer *t;
	struct quern_gguf *file;

	if (qn_gguf_parse(data, n_bytes, "fuzz", &file, &err))
		return;
	if (quern_tokenizer_open(&t, file, &err)) {
		fuzz_require(t == NULL && strlen(err.text) > 12);
		quern_gguf_close(file);
		return;
	}
	quern_gguf_close(file);
	fuzz_use(t, choice);
	quern_tokenizer_close(t);
}

/*
 * The first byte chooses a sound file; then come edits of it, four bytes each: place (2), width,
 * value.
 */
static inline int fuzz_one_file(const uint8_t *data, size_t n_bytes)
{
	static uint8_t *sound[3];
	static size_t sizes[3];
	uint8_t *copy;
	size_t n;
	int kind;

	if (n_bytes < 1)
		return 0;
	if (data[0] == 255) {
		fuzz_open_file(data + 1, n_bytes - 1, data[n_bytes - 1]);
		return 0;
	}
	kind = data[0] % 3;
	if (!sound[kind])
		sound[kind] = fuzz_sound_file(kind, &sizes[kind]);
	n = sizes[kind];
	copy = malloc(n);
	fuzz_require(copy != NULL);
	memcpy(copy, sound[kind], n);
	for (size_t i = 1; i + 4 <= n_bytes; i += 4) {
		size_t at = (size_t)(data[i] | data[i + 1] << 8) % n;
		int64_t value = data[i + 3] < 0xf0 ? data[i + 3] : (int8_t)data[i + 3];
		size_t width = (size_t)1 << data[i + 2] % 4;

		memcpy(copy + at, &value, width < n - at ? width : n - at);
	}
	fuzz_open_file(copy, n, data[0] / 3);
	free(copy);
	return 0;
}

#ifdef FUZZ_TOKENIZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
#ifdef FUZZ_FILES
	return fuzz_one_file(data, n_bytes);
#else
	return fuzz_one_text(data, n_bytes);
#endif
}
#endif
