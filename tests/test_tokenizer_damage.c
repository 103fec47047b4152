/*
 * test_tokenizer_damage.c: vocabularies that are wrong in one place are refused with a sentence,
 * and any damage is survived.
 */
#include "check.h"

#include "fuzz_tokenizer.c"

#include <math.h>

/* Consumes the plan; is it refused with a sentence that holds `words`? */
static int refuses(struct plan *plan, const char *words)
{
	struct quern_error err = {.text = "success"};
	struct quern_tokenizer *t = open_plan(plan, &err);

	quern_tokenizer_close(t);
	if (!t && strstr(err.text, words))
		return 1;
	printf("expected '%s', got '%s'\n", words, err.text);
	return 0;
}

static int refuses_vocabulary(struct vocabulary *v, const char *words)
{
	struct plan plan = start_plan();

	add_vocabulary(&plan, v);
	return refuses(&plan, words);
}

static int takes_vocabulary(struct vocabulary *v)
{
	struct plan plan = start_plan();
	struct quern_error err = {.text = ""};
	struct quern_tokenizer *t;

	add_vocabulary(&plan, v);
	t = open_plan(&plan, &err);
	if (!t)
		printf("%s\n", err.text);
	quern_tokenizer_close(t);
	return t != NULL;
}

static void test_kinds(void)
{
	static const char *const models[] = {"bert", "t5", "", "llam", "llama2", "gpt2\x1b[2J"};
	static const char *const pres[] = {"gpt2", "llama-bpe ", "deepseek-v3", "gpt-4o"};
	struct plan plan = start_plan();
	struct vocabulary v;

	CHECK(refuses(&plan, "tokenizer.ggml.model: missing"));
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		v = spm_vocabulary(0);
		v.model = models[i];
		CHECK(refuses_vocabulary(&v, "tokenizer.ggml.model: "));
	}
	v = spm_vocabulary(0);
	v.pre = "whatever"; /* is for BPE only */
	CHECK(takes_vocabulary(&v));
	for (size_t i = 0; i < sizeof(pres) / sizeof(pres[0]); i++) {
		v = bpe_vocabulary(pres[i], 1);
		CHECK(refuses_vocabulary(&v, "is not a known rule"));
	}
	v = bpe_vocabulary("deepseek-v3", 1);
	CHECK(refuses_vocabulary(&v, "tokenizer.ggml.pre: 'deepseek-v3'"));
	plan = start_plan();
	add_u32(&plan, "tokenizer.ggml.model", 1);
	CHECK(refuses(&plan, "tokenizer.ggml.model: value type 4"));
	plan = start_plan();
	add_string(&plan, "tokenizer.ggml.model", "gpt2");
	CHECK(refuses(&plan, "tokenizer.ggml.tokens: missing"));
}

static void test_tokens(void)
{
	struct vocabulary v = {.model = "llama"};
	struct plan plan = start_plan();
	char *text = malloc(65537);

	if (!text)
		abort();
	CHECK(refuses_vocabulary(&v, "tokens: missing"));
	add_string(&plan, "tokenizer.ggml.model", "llama");
	add_u32(&plan, "tokenizer.ggml.tokens", 3);
	CHECK(refuses(&plan, "tokenizer.ggml.tokens: it must be an array"));
	plan = start_plan();
	add_string(&plan, "tokenizer.ggml.model", "llama");
	add_array(&plan, "tokenizer.ggml.tokens", QUERN_STRING, 0);
	CHECK(refuses(&plan, "tokens: empty"));
	plan = start_plan();
	add_string(&plan, "tokenizer.ggml.model", "llama");
	add_array(&plan, "tokenizer.ggml.tokens", QUERN_U32, 1);
	put_u32(&plan.keys, 1);
	CHECK(refuses(&plan, "tokens: no strings"));

	v = spm_vocabulary(0);
	add_token(&v, "hello", 0, NORMAL);
	CHECK(refuses_vocabulary(&v, "tokens[29]: 'hello' is token 18 already"));
	v = spm_vocabulary(0);
	add_token(&v, "", 0, NORMAL); /* never found, as llama.cpp has it */
	add_token(&v, "", 0, CONTROL);
	CHECK(takes_vocabulary(&v));
	memset(text, 'x', 65536);
	text[65536] = '\0';
	v = spm_vocabulary(0);
	add_token(&v, text, 0, NORMAL);
	CHECK(refuses_vocabulary(&v, "tokens[29]: 65536 bytes"));
	v = spm_vocabulary(0);
	add_token(&v, text + 1, 0, NORMAL);
	CHECK(takes_vocabulary(&v));
	v = spm_vocabulary(0);
	add_token(&v, "<0xGG>", 0, BYTE);
	CHECK(refuses_vocabulary(&v, "tokens[29]: '<0xGG>' has the type of a byte"));
	v = spm_vocabulary(0);
	add_token(&v, "<0xff>", 0, NORMAL);
	CHECK(takes_vocabulary(&v));
	free(text);
}

static void test_numbers(void)
{
	static const int32_t types[] = {-1, 7, INT32_MAX, INT32_MIN};
	struct vocabulary v = spm_vocabulary(0);

	v.n_scores = 0;
	CHECK(refuses_vocabulary(&v, "scores: missing"));
	v = spm_vocabulary(0);
	v.n_types = 0;
	CHECK(takes_vocabulary(&v));
	v = spm_vocabulary(0);
	add_token(&v, "x", NAN, NORMAL);
	CHECK(refuses_vocabulary(&v, "scores[29]: it is not a number"));
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		v = spm_vocabulary(0);
		add_token(&v, "x", 0, types[i]);
		CHECK(refuses_vocabulary(&v, "token_type[29]: "));
	}
	v = spm_vocabulary(0);
	add_token(&v, "x", 0, 0);
	CHECK(takes_vocabulary(&v));
}

/* An array of another length or type in place of scores or types. */
static void test_other_arrays(void)
{
	static const struct {
		const char *name;
		uint32_t type;
		uint64_t n;
		const char *words;
	} cases[] = {{"tokenizer.ggml.scores", QUERN_FLOAT32, 28, "scores: 28 elements"},
		     {"tokenizer.ggml.scores", QUERN_FLOAT32, 30, "scores: 30 elements"},
		     {"tokenizer.ggml.scores", QUERN_FLOAT32, 0, "scores: 0 elements"},
		     {"tokenizer.ggml.scores", QUERN_U8, 29, "scores: elements of type 0"},
		     {"tokenizer.ggml.scores", QUERN_FLOAT64, 29, "scores: elements of type 12"},
		     {"tokenizer.ggml.token_type", QUERN_I32, 28, "token_type: 28 elements"},
		     {"tokenizer.ggml.token_type", QUERN_FLOAT32, 29, "token_type: elements"},
		     {"tokenizer.ggml.token_type", QUERN_I64, 29, "token_type: elements"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vocabulary v = spm_vocabulary(0);
		struct plan plan = start_plan();

		v.n_types = 0;
		if (strstr(cases[i].name, "scores"))
			v.n_scores = 0;
		add_vocabulary(&plan, &v);
		add_array(&plan, cases[i].name, cases[i].type, cases[i].n);
		put_zeros(&plan.keys, cases[i].n * qn_gguf_scalar_bytes[cases[i].type]);
		CHECK(refuses(&plan, cases[i].words));
	}
}

static void test_merges(void)
{
	static const struct {
		const char *merge, *words;
	} cases[] = {{"ab", "merges[11]: 'ab'; a merge is"},
		     {"", "merges[11]: ''; a merge is"},
		     {" ", "merges[11]: ' '; a merge is"},
		     {" h", "merges[11]: ' h'; a merge is"},
		     {"h ", "merges[11]: 'h '; a merge is"},
		     {"hh e", "merges[11]: 'hh' is not a token"},
		     {"h ee", "merges[11]: 'ee' is not a token"},
		     {"h  e", "merges[11]: ' e' is not a token"},
		     {"h h", "merges[11]: 'h h' joined is not a token"},
		     {"hello hellohellohellohellohello", "is not a token"},
		     {"c t", "merges[11]: 'c t' joined is a control token"}};
	struct vocabulary v;
	struct plan plan;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		v = bpe_vocabulary("gpt-2", 1);
		add_token(&v, "ct", 0, CONTROL);
		add_merge(&v, cases[i].merge);
		CHECK(refuses_vocabulary(&v, cases[i].words));
	}
	v = bpe_vocabulary("gpt-2", 1);
	add_merge(&v, "h e"); /* again: the first counts */
	CHECK(takes_vocabulary(&v));
	v = bpe_vocabulary("gpt-2", 1);
	v.n_merges = 0;
	CHECK(refuses_vocabulary(&v, "merges: missing"));
	v = bpe_vocabulary("gpt-2", 1);
	v.n_merges = 0;
	plan = start_plan();
	add_vocabulary(&plan, &v);
	add_array(&plan, "tokenizer.ggml.merges", QUERN_U8, 1);
	put_u8(&plan.keys, 1);
	CHECK(refuses(&plan, "merges: no strings"));
}

static void test_special_keys(void)
{
	static const char *const ids[] = {"bos", "eos", "eot", "eom", "unknown", "padding"};
	static const char *const flags[] = {"add_bos_token", "add_eos_token", "add_space_prefix"};
	char name[64], words[100];

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct vocabulary v = spm_vocabulary(0);
		struct plan plan = start_plan();

		snprintf(name, sizeof(name), "tokenizer.ggml.%s_token_id", ids[i]);
		snprintf(words, sizeof(words), "%s: 29; ids are 0 to 28", name);
		add_vocabulary(&plan, &v);
		add_u32(&plan, name, 29);
		CHECK(refuses(&plan, words));
		v = spm_vocabulary(0);
		plan = start_plan();
		add_vocabulary(&plan, &v);
		add_string(&plan, name, "1");
		snprintf(words, sizeof(words), "%s: value type 8", name);
		CHECK(refuses(&plan, words));
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct vocabulary v = spm_vocabulary(0);
		struct plan plan = start_plan();

		snprintf(name, sizeof(name), "tokenizer.ggml.%s", flags[i]);
		snprintf(words, sizeof(words), "%s: value type 4; it must be a bool", name);
		add_vocabulary(&plan, &v);
		add_u32(&plan, name, 1);
		CHECK(refuses(&plan, words));
		if (i == 2)
			continue;
		v = bpe_vocabulary("gpt-2", 1);
		plan = start_plan();
		add_vocabulary(&plan, &v);
		add_bool(&plan, name, 1);
		snprintf(words, sizeof(words), "%s: true, but there is no", name);
		CHECK(refuses(&plan, words));
	}
}

static void test_chat_key(void)
{
	struct vocabulary v = spm_vocabulary(0);
	struct plan plan = start_plan();

	add_vocabulary(&plan, &v);
	add_u32(&plan, "tokenizer.chat_template", 1);
	CHECK(refuses(&plan, "tokenizer.chat_template: value type 4"));
}

/* A vocabulary that is too small for SentencePiece's own ids does without them. */
static void test_tiny(void)
{
	struct vocabulary v = {.model = "llama"};
	struct quern_tokenizer *t;

	add_token(&v, "x", 0, NORMAL);
	t = open_vocabulary(&v);
	CHECK(quern_tokenizer_special(t, QUERN_BOS) == -1);
	CHECK(quern_tokenizer_special(t, QUERN_EOS) == -1);
	CHECK(quern_tokenizer_special(t, QUERN_UNKNOWN) == 0);
	CHECK(quern_tokenize(t, "x", 1, QUERN_ADD_BOS, NULL, 0, NULL) == 2);
	quern_tokenizer_close(t);
}

static void test_mutations(int n_rounds)
{
	uint64_t seed = 9;
	uint8_t input[1 + 4 * 6];

	for (int kind = 0; kind < 3; kind++) {
		input[0] = (uint8_t)kind;
		CHECK(fuzz_one_file(input, 1) == 0); /* sound */
	}
	for (int round = 0; round < n_rounds; round++) {
		size_t n = 1 + 4 * (1 + check_random(&seed) % 6);

		for (size_t i = 0; i < n; i++)
			input[i] = (uint8_t)check_random(&seed);
		if (input[0] == 255)
			continue;
		fuzz_one_file(input, n);
	}
}

int main(void)
{
	test_kinds();
	test_tokens();
	test_numbers();
	test_other_arrays();
	test_merges();
	test_special_keys();
	test_chat_key();
	test_tiny();
	test_mutations(20000);
	return check_exit();
}
