/*
 * test_tokenizer.c: small vocabularies made in memory, any bytes as text, streams, and the real
 * vocabularies of the shared folder with the ids that llama.cpp's tests expect.
 */
#include "check.h"

#include "fuzz_tokenizer.c"

#include <unistd.h>

/* ---- what a test asks for ---- */

/* "1 2 3" of the ids of a text. */
static const char *ids_of(const struct quern_tokenizer *t, const char *text, int flags)
{
	static char line[4096];
	int32_t ids[512];
	struct quern_error err = {.text = ""};
	long n = quern_tokenize(t, text, strlen(text), flags, ids, 512, &err);
	int at = 0;

	line[0] = '\0';
	if (n < 0)
		return strcpy(line, err.text);
	for (long i = 0; i < n && i < 512; i++)
		at += snprintf(line + at, sizeof(line) - (size_t)at, "%s%d", i ? " " : "",
			       (int)ids[i]);
	return line;
}

#define CHECK_IDS(t, text, flags, expected) check_ids(t, text, flags, expected, __LINE__)

static void check_ids(const struct quern_tokenizer *t, const char *text, int flags,
		      const char *expected, int line)
{
	const char *found = ids_of(t, text, flags);

	if (!check_that(strcmp(found, expected) == 0, __FILE__, line, text))
		printf("ids: %s\n     %s expected\n", found, expected);
}

/* Texts of the tokens of a text, with | between them. */
static void check_pieces(const struct quern_tokenizer *t, const char *text, const char *expected)
{
	int32_t ids[64];
	char line[1024] = "";
	long n = quern_tokenize(t, text, strlen(text), 0, ids, 64, NULL);
	size_t at = 0;

	for (long i = 0; i < n && i < 64; i++) {
		if (i)
			line[at++] = '|';
		at += (size_t)quern_token_text(t, ids[i], QUERN_SHOW_SPECIAL, line + at, 100);
	}
	line[at] = '\0';
	if (!CHECK(strcmp(line, expected) == 0))
		printf("'%s': %s, not %s\n", text, line, expected);
}

/* ---- SentencePiece ---- */

static void test_spm(void)
{
	struct vocabulary v = spm_vocabulary(1);
	struct quern_tokenizer *t = open_vocabulary(&v);
	char text[16];

	CHECK(quern_tokenizer_n_tokens(t) == SPM_WORDS + 23);
	check_pieces(t, "hello", " hello");
	check_pieces(t, "hello hello", " hello| hello");
	check_pieces(t, " hello", " | hello");
	check_pieces(t, "hellohe", " hello|he");
	check_pieces(t, "helo", " he|lo");
	check_pieces(t, "x[user]hello", " |x|[user]| hello"); /* again a space before the text */
	check_pieces(t, "e" SPACE "e", " |e| |e");
	check_pieces(t, "\xc3\xa9\xe4\xb8\xad", " |\xc3\xa9|\xe4\xb8\xad");
	CHECK_IDS(t, "", 0, "");
	CHECK_IDS(t, "", QUERN_ADD_BOS, "1");
	CHECK_IDS(t, "hello", QUERN_ADD_BOS, "1 272");
	CHECK_IDS(t, "\xf0\x9f\x9a\x80", 0, "259 243 162 157 131");
	CHECK_IDS(t, "\xff\xe2\x96", 0, "259 258 229 153");
	CHECK_IDS(t, "\xe2hello", 0, "259 229 271"); /* a bad byte takes no others along */

	/* "</s>" is text unless it is asked for; a user's token always is one. */
	CHECK_IDS(t, "</s>", 0, "259 63 50 118 65");
	CHECK_IDS(t, "</s>", QUERN_PARSE_SPECIAL, "2");
	CHECK_IDS(t, "<s>hello</s>hello", QUERN_PARSE_SPECIAL, "1 272 2 272");
	CHECK_IDS(t, "a   a", 0, "259 275 280 259 275");
	CHECK(quern_tokenizer_special(t, QUERN_BOS) == 1 && quern_tokenizer_special(t, -1) == -1);
	CHECK(quern_tokenizer_special(t, QUERN_NEWLINE) == 3 + '\n');
	CHECK(quern_tokenizer_special(t, QUERN_UNKNOWN) == 0);
	CHECK(quern_tokenizer_special(t, QUERN_PAD) == -1);
	CHECK(quern_tokenizer_is_end(t, 2) && !quern_tokenizer_is_end(t, 1));
	CHECK(!quern_tokenizer_is_end(t, -1) && !quern_tokenizer_is_end(t, 1000000));

	CHECK(quern_token_text(t, 2, 0, text, 16) == 0);
	CHECK(quern_token_text(t, 2, QUERN_SHOW_SPECIAL, text, 2) == 4 && !memcmp(text, "</", 2));
	CHECK(quern_token_text(t, -1, 0, text, 16) == -1);
	CHECK(quern_token_text(t, SPM_WORDS + 23, 0, text, 16) == -1);
	quern_tokenizer_close(t);
	quern_tokenizer_close(NULL);
}

/* Without bytes, characters that are unknown are the unknown token, or an error. */
static void test_unknown(void)
{
	struct vocabulary v = spm_vocabulary(0);
	struct quern_tokenizer *t = open_vocabulary(&v);
	struct quern_error err = {.text = ""};

	CHECK_IDS(t, "h\xf0\x9f\x9a\x80h", 0, "13 0 8");
	quern_tokenizer_close(t);
	v = bpe_vocabulary("gpt-2", 0);
	t = open_vocabulary(&v);
	CHECK(quern_tokenize(t, "hex", 3, 0, NULL, 0, &err) == -1);
	CHECK_SAYS(err.text, "no token for byte 0x78");
	quern_tokenizer_close(t);
}

static void test_scores(void)
{
	static const float scores[] = {-1e30f, -3, -0.0f, 0, 1e-40f, 2, 1e30f};
	struct quern_tokenizer *t;
	struct vocabulary v;
	struct plan plan;

	/* "abc" can be "ab" "c" or "a" "bc": the better one wins, or the left one. */
	for (size_t i = 0; i < sizeof(scores) / sizeof(scores[0]); i++) {
		for (size_t j = 0; j < sizeof(scores) / sizeof(scores[0]); j++) {
			v = (struct vocabulary){.model = "llama"};
			add_token(&v, "a", 0, NORMAL);
			add_token(&v, "b", 0, NORMAL);
			add_token(&v, "c", 0, NORMAL);
			add_token(&v, "ab", scores[i], NORMAL);
			add_token(&v, "bc", scores[j], NORMAL);
			plan = start_plan();
			add_vocabulary(&plan, &v);
			add_bool(&plan, "tokenizer.ggml.add_space_prefix", 0);
			t = open_plan(&plan, NULL);
			if (CHECK(t != NULL))
				CHECK_IDS(t, "abc", 0, scores[i] >= scores[j] ? "3 2" : "0 4");
			quern_tokenizer_close(t);
		}
	}
}

/* Of tokens that begin alike the longest is found, and of those that read alike the first. */
static void test_longest(void)
{
	struct vocabulary v = spm_vocabulary(1);
	struct quern_tokenizer *t;

	add_token(&v, "<a>", 0, CONTROL); /* 282 */
	add_token(&v, "<a><b>", 0, CONTROL);
	add_token(&v, "<a><bc>", 0, USER);
	add_token(&v, "<a", 0, USER);
	add_token(&v, SPACE SPACE SPACE, 0, USER);
	t = open_vocabulary(&v);
	CHECK_IDS(t, "<a><b><a><b", QUERN_PARSE_SPECIAL, "283 282 259 63 101");
	CHECK_IDS(t, "<a><bc><a", QUERN_PARSE_SPECIAL, "284 285");
	CHECK_IDS(t, "<a><bc><a>", 0, "284 285 259 65");
	CHECK_IDS(t, "   ", 0, "280");
	quern_tokenizer_close(t);
}

/* Phi-3 drops white space behind special tokens, but not behind <s>; known by two keys. */
static void test_strips(void)
{
	static const char *const keys[][2] = {{"general.architecture", "phi3"},
					      {"general.name", "Phi 3"},
					      {"general.name", "Microsoft PHI-3 mini"},
					      {"general.name", "some-phi3"}};

	for (int i = 0; i < 4; i++) {
		struct vocabulary v = spm_vocabulary(1);
		struct plan plan = start_plan();
		struct quern_tokenizer *t;

		add_string(&plan, keys[i][0], keys[i][1]);
		add_vocabulary(&plan, &v);
		t = open_plan(&plan, NULL);
		if (CHECK(t != NULL))
			CHECK_IDS(t, "</s>\n \thello<s>\nhello", QUERN_PARSE_SPECIAL,
				  i == 1 ? "2 259 278 259 12 271 1 259 278 271"
					 : "2 272 1 259 278 271");
		quern_tokenizer_close(t);
	}
}

/* ---- byte-level BPE ---- */

static void test_bpe(void)
{
	struct vocabulary v = bpe_vocabulary("gpt-2", 1);
	struct quern_tokenizer *t = open_vocabulary(&v);
	char line[200];

	check_pieces(t, "hello hello", "hello| hello");
	check_pieces(t, "hell hhelloo", "hell| |h|hello|o");
	check_pieces(t, "111 1111", "111| |11|11");
	check_pieces(t, "ooo", "oo|o");
	check_pieces(t, "olleh", "o|ll|e|h");
	check_pieces(t, "aaaaaaa", "aaaa|aa|a");
	check_pieces(t, "x   ", "x|  | ");
	check_pieces(t, "<think>\n<|begin|>", "<think>|\n|<|||b|e|g|i|n|||>");
	check_pieces(t, "x  \ty", "x|  \t|y");
	CHECK_IDS(t, "<|begin|>h<|im_end|>", QUERN_PARSE_SPECIAL, "268 104 269");
	CHECK_IDS(t, "h", QUERN_ADD_BOS, "104"); /* nothing to add */
	CHECK_IDS(t, "\xff\x80", 0, "255 128");
	CHECK(quern_tokenizer_special(t, QUERN_BOS) == -1);
	CHECK(quern_tokenizer_special(t, QUERN_EOT) == 269 && quern_tokenizer_is_end(t, 269));
	CHECK(quern_tokenizer_special(t, QUERN_NEWLINE) == '\n');
	CHECK(quern_tokenizer_explain(t, line, sizeof(line)) == (int)strlen(line));
	CHECK_SAYS(line, "rule gpt-2 (as tokenizer.ggml.pre says)");
	quern_tokenizer_close(t);

	/* Words that are tokens are not taken apart, and so whole words only. */
	v = bpe_vocabulary("llama-bpe", 1);
	t = open_vocabulary(&v);
	check_pieces(t, "olleh", "olleh");
	check_pieces(t, "ollehs", "o|ll|e|h|s");
	check_pieces(t, "1111", "111|1");
	quern_tokenizer_close(t);
}

static void test_rules(void)
{
	static const struct {
		const char *pre, *architecture, *token, *words;
	} cases[] = {{NULL, "phi2", "x1", "gpt-2 (assumed"},
		     {"", "phi2", "x1", "gpt-2 (assumed"},
		     {"default", "llama", "x1", "gpt-2 (assumed"},
		     {NULL, "bitnet-b1.58", "<|begin_of_text|>", "llama-bpe (not told"},
		     {"default", "llama", "<|begin_of_text|>", "llama-bpe (not told"},
		     {NULL, "qwen2", "x1", "qwen2 (not told"},
		     {"gpt-2", "qwen2", "<|begin_of_text|>", "gpt-2 (as "},
		     {"llama3", "llama", "x1", "llama3 (as "},
		     {"qwen2", "qwen3", "x1", "qwen2 (as "},
		     {"phi-2", "phi2", "x1", "phi-2 (as "}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vocabulary v = bpe_vocabulary(cases[i].pre, 1);
		struct plan plan = start_plan();
		struct quern_tokenizer *t;
		char line[200];

		add_token(&v, cases[i].token, 0, CONTROL);
		add_token(&v, "<|eot_id|>", 0, CONTROL);
		add_string(&plan, "general.architecture", cases[i].architecture);
		add_vocabulary(&plan, &v);
		t = open_plan(&plan, NULL);
		if (!CHECK(t != NULL))
			continue;
		quern_tokenizer_explain(t, line, sizeof(line));
		CHECK_SAYS(line, cases[i].words);
		quern_tokenizer_close(t);
	}
}

/* Types that tell nothing: tokens in special roles are control tokens all the same. */
static void test_untyped(void)
{
	struct vocabulary v = bpe_vocabulary("llama-bpe", 1);
	struct plan plan = start_plan();
	struct quern_tokenizer *t;
	char text[16];

	add_token(&v, "<|first|>", 0, NORMAL); /* 272 */
	add_token(&v, "<|last|>", 0, NORMAL);
	add_token(&v, "<|eot_id|>", 0, NORMAL);
	v.n_types = 0;
	add_vocabulary(&plan, &v);
	add_u32(&plan, "tokenizer.ggml.bos_token_id", 272);
	add_u32(&plan, "tokenizer.ggml.eos_token_id", 273);
	t = open_plan(&plan, NULL);
	if (!CHECK(t != NULL))
		return;
	CHECK_IDS(t, "<|eot_id|>h<|last|>", QUERN_ADD_BOS | QUERN_PARSE_SPECIAL, "272 274 104 273");
	for (int32_t id = 272; id < 275; id++) {
		CHECK(quern_token_text(t, id, 0, text, 16) == 0);
		CHECK(quern_tokenizer_is_end(t, id) == (id > 272));
	}
	quern_tokenizer_close(t);
}

/* What is put around a text: as the keys say, else as the kind of the tokenizer has it. */
static void test_around(void)
{
	for (int set = 0; set < 9; set++) { /* of each key: absent, false, true */
		for (int kind = 0; kind < 3; kind++) {
			int bos = set % 3, eos = set / 3;
			struct vocabulary v =
				kind == 0 ? spm_vocabulary(1)
					  : bpe_vocabulary(kind == 1 ? "qwen2" : "llama3", 1);
			struct plan plan = start_plan();
			struct quern_tokenizer *t;
			int32_t ids[4];
			int wants_bos = bos == 2 || (bos == 0 && kind != 1);
			long n;

			add_vocabulary(&plan, &v);
			add_u32(&plan, "tokenizer.ggml.bos_token_id", 268);
			add_u32(&plan, "tokenizer.ggml.eos_token_id", 269);
			add_u32(&plan, "tokenizer.ggml.padding_token_id", UINT32_MAX); /* none */
			if (bos)
				add_bool(&plan, "tokenizer.ggml.add_bos_token", bos == 2);
			if (eos)
				add_bool(&plan, "tokenizer.ggml.add_eos_token", eos == 2);
			t = open_plan(&plan, NULL);
			if (!CHECK(t != NULL))
				continue;
			n = quern_tokenize(t, "", 0, QUERN_ADD_BOS, ids, 4, NULL);
			CHECK(n == wants_bos + (eos == 2));
			CHECK(!wants_bos || ids[0] == 268);
			CHECK(eos != 2 || ids[n - 1] == 269);
			CHECK(quern_tokenize(t, "", 0, 0, ids, 4, NULL) == 0);
			quern_tokenizer_close(t);
		}
	}
}

/* ---- streams ---- */

/* All that a stream makes of tokens that are bytes. */
static void check_stream(const struct quern_tokenizer *t, const char *bytes, const char *expected)
{
	struct quern_stream stream;
	char text[256];
	size_t n = 0;

	quern_stream_start(&stream, t, 0);
	for (const char *p = bytes; *p; p++) {
		long more = quern_stream_put(&stream, 3 + (uint8_t)*p, text + n, 100);

		CHECK(more >= 0 && fuzz_is_utf8(text + n, (size_t)more));
		n += (size_t)more;
	}
	n += (size_t)quern_stream_end(&stream, text + n, 3);
	text[n] = '\0';
	if (!CHECK(strcmp(text, expected) == 0))
		printf("stream: '%s', not '%s'\n", text, expected);
}

static void test_stream(void)
{
	struct vocabulary v = spm_vocabulary(1);
	struct quern_tokenizer *t = open_vocabulary(&v);
	struct quern_stream stream;
	int32_t ids[8];
	char text[64];

	check_stream(t, "ab\xc3\xa9\xe4\xb8\xad\xf0\x9f\x9a\x80.",
		     "ab\xc3\xa9\xe4\xb8\xad\xf0\x9f\x9a\x80.");
	check_stream(t,
		     "\xff"
		     "a\x80",
		     "\xef\xbf\xbd"
		     "a\xef\xbf\xbd");
	check_stream(t,
		     "\xf0\x9f\x9a"
		     "a",
		     "\xef\xbf\xbd"
		     "a"); /* three bytes, one sign */
	check_stream(t, "\xf0\x9f\xf0\x9f\x9a\x80", "\xef\xbf\xbd\xf0\x9f\x9a\x80");
	check_stream(t, "\xe2\x82", "\xef\xbf\xbd");
	check_stream(t, "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");

	/* The space at the start goes, others stay; special tokens say nothing. */
	CHECK(quern_tokenize(t, "hello hello", 11, QUERN_ADD_BOS, ids, 8, NULL) == 3);
	quern_stream_start(&stream, t, QUERN_AT_START);
	CHECK(quern_stream_put(&stream, ids[0], text, 64) == 0);
	CHECK(quern_stream_put(&stream, ids[1], text, 4) == 5); /* no room: nothing happened */
	CHECK(quern_stream_put(&stream, ids[1], text, 64) == 5 && !memcmp(text, "hello", 5));
	CHECK(quern_stream_put(&stream, ids[2], text, 64) == 6 && !memcmp(text, " hello", 6));
	CHECK(quern_stream_put(&stream, 100000, text, 64) == -1);
	CHECK(quern_stream_end(&stream, text, 64) == 0);
	quern_stream_start(&stream, t, 0);
	CHECK(quern_stream_put(&stream, ids[1], text, 64) == 6);
	quern_stream_start(&stream, t, QUERN_SHOW_SPECIAL);
	CHECK(quern_stream_put(&stream, 2, text, 64) == 4 && !memcmp(text, "</s>", 4));
	quern_tokenizer_close(t);
}

/* ---- any bytes ---- */

/* Random bytes, with what the vocabularies know among them. */
static void test_any_bytes(int n_rounds)
{
	static const char *const parts[] = {"hello",
					    " ",
					    "  ",
					    SPACE,
					    "<s>",
					    "</s>",
					    "<|begin|>",
					    "\n",
					    "11",
					    "'s",
					    "[user]",
					    "<think>",
					    "   ",
					    "aaaa",
					    "\xe4\xb8\xad",
					    "\xc3\xa9",
					    "\xf0\x9f\x9a\x80",
					    "A"};
	const size_t n_parts = sizeof(parts) / sizeof(parts[0]);
	uint64_t seed = 5;

	for (int round = 0; round < n_rounds; round++) {
		struct bytes b = {.data = NULL};
		uint64_t n = 2 + check_random(&seed) % 12;

		put_u8(&b, (uint8_t)check_random(&seed));
		put_u8(&b, (uint8_t)check_random(&seed));
		while (n-- > 0) {
			const char *part = parts[check_random(&seed) % n_parts];

			if (check_random(&seed) % 3)
				put(&b, part, strlen(part));
			else
				put_u8(&b, (uint8_t)check_random(&seed));
		}
		fuzz_one_text(b.data, b.n);
		free(b.data);
	}
}

/* ---- real vocabularies ---- */

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	char *text = calloc(1, 1 << 16);

	if (!text)
		abort();
	if (CHECK(file != NULL)) {
		CHECK(fread(text, 1, (1 << 16) - 1, file) > 0);
		fclose(file);
	}
	return text;
}

static void check_case(const struct quern_tokenizer *t, const char *text, const char *expected)
{
	int32_t ids[1024];
	size_t n_joined;
	long n = quern_tokenize(t, text, strlen(text), 0, ids, 1024, NULL);
	char *joined;

	CHECK_IDS(t, text, 0, expected);
	if (!CHECK(n >= 0 && n <= 1024))
		return;
	joined = fuzz_join(t, ids, n, &n_joined);
	if (n_joined == strlen(text) + 1) { /* SentencePiece puts a space before the text */
		CHECK(joined[0] == ' ' && memcmp(joined + 1, text, n_joined - 1) == 0);
	} else {
		CHECK(n_joined == strlen(text) && memcmp(joined, text, n_joined) == 0);
	}
	fuzz_stream(t, ids, n, 0);
	free(joined);
}

/* Cases of NAME.inp, separated by a line, and a line of ids for each in NAME.out. */
static void check_vocabulary(const struct quern_tokenizer *t, const char *path, int n_expected)
{
	static const char separator[] = "\n__ggml_vocab_test__\n";
	char name[1100], *texts, *lines, *text, *line;
	int n = 0;

	snprintf(name, sizeof(name), "%s.inp", path);
	text = texts = read_file(name);
	snprintf(name, sizeof(name), "%s.out", path);
	line = lines = read_file(name);
	while (*line) {
		char *end = strstr(text, separator), *newline = strchr(line, '\n');

		if (!CHECK(newline != NULL))
			break;
		if (end)
			*end = '\0';
		*newline = '\0';
		check_case(t, text, line + strspn(line, " "));
		n++;
		line = newline + 1;
		text = end ? end + strlen(separator) : text + strlen(text);
	}
	CHECK(n == n_expected);
	free(texts);
	free(lines);
}

static void check_phi3(const struct quern_tokenizer *t)
{
	/* As Hugging Face's tokenizer of Phi-3 has it: no token for the newlines. */
	CHECK_IDS(t, "<|user|>\nHello<|end|>\n<|assistant|>\n", QUERN_PARSE_SPECIAL,
		  "32010 15043 32007 32001");
	CHECK(quern_tokenizer_is_end(t, 32007) && quern_tokenizer_is_end(t, 32000));
}

static void check_stories(const struct quern_tokenizer *t)
{
	struct quern_stream stream;
	int32_t ids[64];
	char text[256];
	size_t n_text = 0;
	long n = quern_tokenize(t, "Once upon a time, there was a girl \xf0\x9f\x9a\x80.", 40,
				QUERN_ADD_BOS, ids, 64, NULL);

	CHECK(n > 8 && n < 64 && ids[0] == 1 && ids[1] == 403); /* "▁Once" */
	quern_stream_start(&stream, t, QUERN_AT_START);
	for (long i = 0; i < n; i++)
		n_text += (size_t)quern_stream_put(&stream, ids[i], text + n_text, 64);
	CHECK(n_text == 40 &&
	      memcmp(text, "Once upon a time, there was a girl \xf0\x9f\x9a\x80.", 40) == 0);
	CHECK(quern_tokenizer_is_end(t, 2) && !quern_tokenizer_is_end(t, 403));
}

static void test_real_files(void)
{
	static const struct {
		const char *path;
		long n_tokens;
		int n_cases;
	} files[] = {{"models/stories260K-f32.gguf", 512, 0},
		     {"models/vocab/ggml-vocab-gpt-2.gguf", 50257, 46},
		     {"models/vocab/ggml-vocab-llama-spm.gguf", 32000, 46},
		     {"models/vocab/ggml-vocab-phi-3.gguf", 32064, 46}};
	const char *shared = getenv("QUERN_SHARED");

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct quern_error err = {.text = ""};
		struct quern_tokenizer *t;
		struct quern_gguf *file;
		char path[1024];

		snprintf(path, sizeof(path), "%s/%s", shared ? shared : "../shared", files[i].path);
		if (access(path, F_OK) != 0)
			continue;
		if (!CHECK(quern_gguf_open(&file, path, &err) == 0))
			continue;
		if (CHECK(quern_tokenizer_open(&t, file, &err) == 0)) {
			quern_gguf_close(file);
			CHECK(quern_tokenizer_n_tokens(t) == files[i].n_tokens);
			if (i == 0)
				check_stories(t);
			else
				check_vocabulary(t, path, files[i].n_cases);
			if (i == 3)
				check_phi3(t);
			quern_tokenizer_close(t);
		} else {
			printf("%s: %s\n", path, err.text);
			quern_gguf_close(file);
		}
	}
}

int main(void)
{
	test_spm();
	test_unknown();
	test_scores();
	test_longest();
	test_strips();
	test_bpe();
	test_rules();
	test_untyped();
	test_around();
	test_stream();
	test_any_bytes(20000);
	test_real_files();
	return check_exit();
}
