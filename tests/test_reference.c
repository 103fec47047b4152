/*
 * test_reference.c: the reference model against what is known without it: a trained model's published
 * text, and logits that llama.cpp gives for tiny models.
 *
 * With a folder as argument: writes the tiny models there as NAME.gguf and their logits, a line a
 * token, as NAME.txt, to compare with another program's.
 */
#include "llm/random.h"
#include "scratch.h"
#include "tiny_architectures.h"

/* ---- other programs ---- */

/*
 * llama.cpp's logits (0.7.0, build 11669 of Debian; F32 keys and values, no flash attention) of tokens
 * 0 to 5 after the last one.  It looks GELU up in a table of f16, so that models with it are not
 * nearer than that.  It does not model BitNet's squared ReLU, nor Phi-3's window.
 */
/* clang-format off */
static const struct peer {
	const char *name;
	double tolerance;
	float logits[6];
} peers[] = {
	{"llama", 2e-5, {-0.781665f, 1.64334f, -0.423183f, 0.937398f, -0.0967459f, 0.697568f}},
	{"llama3", 2e-5, {-0.414547f, 2.02937f, -0.361563f, 0.461692f, 0.0549332f, 0.35512f}},
	{"linear", 2e-5, {-1.04129f, 1.79041f, -0.708405f, 0.522454f, -0.21698f, 0.515136f}},
	{"qwen2", 2e-5, {-1.20896f, 4.19001f, 0.482932f, -0.169341f, 0.0513881f, -1.1385f}},
	{"yarn", 2e-5, {-0.468555f, 5.46982f, 1.06903f, 0.682174f, -1.60745f, -1.69096f}},
	{"qwen3", 2e-5, {-4.84589f, -1.92953f, -3.15294f, -2.01181f, 2.00417f, 2.16673f}},
	{"phi2", 3e-3, {2.09714f, 0.753592f, -1.74379f, 0.5837f, 1.84696f, -0.597873f}},
	{"phi3", 2e-5, {0.0509951f, 0.788221f, -0.103277f, 1.36626f, 1.10673f, 0.330777f}},
	{"longrope-short", 2e-5, {-0.0103336f, 1.094f, 0.156851f, 1.38149f, 1.54753f, -0.0552111f}},
	{"longrope-long", 2e-5, {0.519695f, 1.1088f, 0.757545f, 1.70134f, 0.898468f, 0.359415f}},
	{"bitnet", 2e-5, {2.6463f, 4.84898f, 1.16932f, 3.85037f, -2.43545f, -3.82025f}},
	{"gemma2", 3e-3, {-0.576983f, 2.81019f, 2.39617f, 0.422805f, -1.05601f, 0.207543f}},
	{"gemma3", 8e-3, {-0.425565f, 2.82098f, -0.569584f, 2.12833f, 1.0193f, -0.38742f}},
	{"gemma3-linear", 8e-3, {-0.373394f, 2.92799f, 0.223463f, 2.36097f, 0.579384f, 0.00633187f}},
	{"gemma2-27b", 3e-2, {-3.98846f, -3.11801f, -2.00415f, 3.32683f, -0.780278f, -2.53988f}},
	{"gemma3-27b", 4e-2, {2.3781f, -0.855983f, 3.13856f, 6.18923f, 6.64364f, 3.0195f}},
	{NULL, 0, {0}},
};
/* clang-format on */

static void test_peers(void)
{
	static double logits[N_LOGITS];
	const double *last = logits + (N_TOKENS - 1) * TINY_VOCAB;

	for (const struct peer *peer = peers; peer->name; peer++) {
		for (int i = 0; i < n_models; i++) {
			struct tiny t;

			if (strcmp(models[i].name, peer->name) != 0)
				continue;
			models[i].make(&t);
			run(&t, models[i].n_context, logits);
			for (int j = 0; j < 6; j++)
				if (!CHECK(fabs(last[j] - peer->logits[j]) <= peer->tolerance))
					printf("%s: logit %d is %g, llama.cpp's %g\n", peer->name,
					       j, last[j], peer->logits[j]);
		}
	}
}

static void write_file(const char *folder, const char *name, const char *end, const void *data,
		       size_t n)
{
	char path[1024];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.%s", folder, name, end);
	file = fopen(path, "wb");
	CHECK(file && fwrite(data, 1, n, file) == n);
	if (file)
		fclose(file);
}

static void write_models(const char *folder)
{
	static double logits[N_LOGITS];

	for (int i = 0; i < n_models; i++) {
		struct bytes text = {.data = NULL};
		struct tiny t;
		uint8_t *data;
		size_t n;

		models[i].make(&t);
		data = tiny_write(&t, &n);
		write_file(folder, models[i].name, "gguf", data, n);
		free(data);
		models[i].make(&t);
		run(&t, models[i].n_context, logits);
		for (long j = 0; j < N_LOGITS; j++) {
			char number[32];
			int length = snprintf(number, sizeof(number), "%.9g%c", logits[j],
					      j % TINY_VOCAB < TINY_VOCAB - 1 ? ' ' : '\n');

			put(&text, number, (size_t)length);
		}
		write_file(folder, models[i].name, "txt", text.data, text.n);
		free(text.data);
	}
}

/* ---- a trained model ---- */

static const char story[] =
	"Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
	"One day, she saw a big, red ball. She wanted to play with it, but it was too high.\n"
	"Lily's mom said, \"Lily, let's go to the park.\" Lily was sad and didn't know what to do. "
	"She said, \"I want to play with your ball, but I can't find it.\"\n"
	"Lily was sad and didn't know what to do. She said, \"I'm sorry, Lily. I didn't know what to "
	"do.\"\n"
	"Lily didn't want to help her mom, so she said, \"I'm sorry, mom. I didn't know what to do.\" "
	"Her mom said, \"Don't worry, Lily. We can help you.";

static int32_t best(const double *logits, long n)
{
	long at = 0;

	for (long i = 1; i < n; i++)
		at = logits[i] > logits[at] ? i : at;
	return (int32_t)at;
}

/* SentencePiece's text of a token: U+2581 is a space, <0x0A> a byte. */
static void put_token(struct bytes *text, const struct quern_gguf *file, int32_t token)
{
	struct quern_value tokens, piece;
	char byte[8] = "";
	unsigned value;

	if (!CHECK(quern_gguf_find_key(file, "tokenizer.ggml.tokens", &tokens) == 0 &&
		   quern_gguf_element(file, &tokens, (uint64_t)token, &piece) == 0))
		return;
	if (piece.count == 6)
		memcpy(byte, piece.s, 6);
	if (sscanf(byte, "<0x%2X>", &value) == 1) {
		put_u8(text, (uint8_t)value);
		return;
	}
	for (uint64_t i = 0; i < piece.count; i++) {
		if (piece.count - i >= 3 && memcmp(piece.s + i, "\xe2\x96\x81", 3) == 0) {
			put_u8(text, ' ');
			i += 2;
		} else {
			put_u8(text, (uint8_t)piece.s[i]);
		}
	}
}

/* From the token that begins a text (1), always the likeliest next one. */
static void check_story(const struct quern_gguf *file, struct reference *r)
{
	struct bytes text = {.data = NULL};
	double logits[512];
	int32_t token = 1;

	if (!CHECK(reference_n_vocab(r) == 512))
		return;
	for (int i = 0; i < 300 && text.n < sizeof(story); i++) {
		CHECK(reference_append(r, token, logits) == 0);
		token = best(logits, 512);
		put_token(&text, file, token);
	}
	put_u8(&text, 0);
	if (!CHECK(text.n > sizeof(story) && text.data[0] == ' ' &&
		   memcmp(text.data + 1, story, sizeof(story) - 1) == 0))
		printf("%s\n", (const char *)text.data);
	free(text.data);
}

static void test_story(void)
{
	const char *shared = getenv("QUERN_SHARED");
	struct quern_error err = {.text = ""};
	struct quern_gguf *file;
	struct reference *r;
	char path[1024];

	snprintf(path, sizeof(path), "%s/models/stories260K-f32.gguf",
		 shared ? shared : "../shared");
	if (access(path, F_OK) != 0)
		return;
	if (!CHECK(quern_gguf_open(&file, path, &err) == 0)) {
		printf("%s\n", err.text);
		return;
	}
	if (CHECK(reference_open(&r, file, 0, &err) == 0)) {
		check_story(file, r);
		reference_close(r);
	} else {
		printf("%s\n", err.text);
	}
	quern_gguf_close(file);
}

/* ---- random models of the library ---- */

/* Logits after some tokens; the caller frees them.  NULL: it failed. */
static double *run_random(const struct qn_random *what, long *n)
{
	struct quern_error err = {.text = ""};
	struct quern_gguf *file = NULL;
	struct reference *r = NULL;
	double *logits = NULL;

	if (CHECK(qn_random_write("x.gguf", what, &err) == 0 &&
		  quern_gguf_open(&file, "x.gguf", &err) == 0 &&
		  reference_open(&r, file, 0, &err) == 0)) {
		*n = reference_n_vocab(r);
		logits = calloc((size_t)*n, sizeof(*logits));
		if (!logits)
			abort();
		for (int32_t i = 0; i < 30; i++)
			CHECK(reference_append(r, 260 + 7 * i, i < 29 ? NULL : logits) == 0);
	} else {
		printf("%s %s, type %d: %s\n", what->arch, what->size, what->type, err.text);
	}
	reference_close(r);
	quern_gguf_close(file);
	return logits;
}

/* Their names and shapes of tensors are what is looked for here. */
static void test_random_models(void)
{
	static const char *const models_of[][2] = {
		{"llama", "tiny"},  {"llama", "tiny-3"}, {"mistral", "tiny"},
		{"phi2", "tiny"},   {"phi3", "tiny"},    {"bitnet", "tiny"},
		{"qwen2", "tiny"},  {"qwen3", "tiny"},   {"bitnet-b1.58", "tiny"},
		{"gemma2", "tiny"}, {"gemma3", "tiny"},
	};

	for (size_t i = 0; i < sizeof(models_of) / sizeof(models_of[0]); i++) {
		const struct qn_random what = {.arch = models_of[i][0],
					       .size = models_of[i][1],
					       .type = QUERN_F32,
					       .output_type = -1,
					       .seed = 5};
		double *logits, sum = 0;
		long n = 0;

		logits = run_random(&what, &n);
		for (long j = 0; logits && j < n; j++)
			sum += logits[j] * logits[j];
		CHECK(sum > 1e-3 * (double)n && sum < 1e3 * (double)n);
		free(logits);
	}
}

/*
 * Weights of all types are read: their logits are as near to those of floats as the bits allow, which
 * for two bits and less is nothing but a size.
 */
static void test_types(void)
{
	static const struct {
		int type;
		double most; /* error, of the logits' length */
	} types[] = {
		{QUERN_F16, 1e-3},  {QUERN_BF16, 0.01}, {QUERN_Q8_0, 0.03},  {QUERN_Q6_K, 0.08},
		{QUERN_Q5_K, 0.17}, {QUERN_Q5_1, 0.17}, {QUERN_Q5_0, 0.2},   {QUERN_Q4_K, 0.3},
		{QUERN_Q4_1, 0.3},  {QUERN_Q4_0, 0.5},  {QUERN_IQ4_NL, 0.3}, {QUERN_IQ4_XS, 0.3},
		{QUERN_Q3_K, 0.6},  {QUERN_Q2_K, 0.9},  {QUERN_TQ1_0, 2},    {QUERN_TQ2_0, 2},
		{QUERN_I2_S, 2},    {QUERN_Q1_0, 2},    {QUERN_Q2_0, 2},
	};
	struct qn_random what = {.arch = "llama", .size = "tiny", .type = QUERN_F32, .seed = 6};
	double *exact;
	long n = 0;

	what.n_embd = 256;
	what.n_ff = 512;
	what.n_layers = 1;
	exact = run_random(&what, &n);
	for (size_t i = 0; exact && i < sizeof(types) / sizeof(types[0]); i++) {
		double *logits, error = 0, size = 0;

		what.type = types[i].type;
		logits = run_random(&what, &n);
		for (long j = 0; logits && j < n; j++) {
			error += (logits[j] - exact[j]) * (logits[j] - exact[j]);
			size += exact[j] * exact[j];
		}
		error = sqrt(error / size);
		if (!CHECK(error <= types[i].most))
			printf("type %s: error %g\n", quern_type_name(what.type), error);
		free(logits);
	}
	free(exact);
}

/* ---- files that are refused ---- */

/* Consumes the model. */
static int refused_with(struct tiny *t, const char *words)
{
	struct opened o;
	int result = open_tiny(t, 0, &o);

	if (result == 0 || !o.file || !strstr(o.err.text, words)) {
		printf("expected '%s', got '%s'\n", words, result ? o.err.text : "success");
		result = 0;
	}
	close_tiny(&o);
	return result != 0;
}

static void test_refusals(void)
{
	struct tiny t;

	tiny_shape(&t, "mamba", 2, 2, 8, 8);
	tiny_model(&t, LLAMA_PARTS);
	CHECK(refused_with(&t, "general.architecture"));
	make_llama(&t);
	tiny_drop(&t, tiny_find(&t, "blk.1.ffn_down.weight"));
	CHECK(refused_with(&t, "no tensor blk.1.ffn_down.weight"));
	make_llama(&t);
	tiny_drop(&t, tiny_find(&t, "output_norm.weight"));
	CHECK(refused_with(&t, "no tensor output_norm.weight"));
	make_llama(&t);
	tiny_drop(&t, tiny_find(&t, "token_embd.weight"));
	CHECK(refused_with(&t, "no tensor token_embd.weight"));
	make_phi2(&t);
	tiny_find(&t, "blk.0.ffn_up.bias")->k--;
	CHECK(refused_with(&t, "tensor blk.0.ffn_up.bias: 1 rows of 48 expected"));
	make_llama(&t);
	tiny_count(&t, "expert_count", 8);
	CHECK(refused_with(&t, "experts"));
	make_llama(&t);
	tiny_text(&t, "rope.scaling.type", "dynamic");
	CHECK(refused_with(&t, "scaling"));
	tiny_shape(&t, "llama", 2, 3, 8, 8);
	tiny_model(&t, LLAMA_PARTS);
	CHECK(refused_with(&t, "heads"));
}

int main(int argc, char **argv)
{
	char folder[64];

	if (argc > 1) {
		write_models(argv[1]);
		return check_exit();
	}
	test_peers();
	test_story();
	test_refusals();
	if (CHECK(scratch_open(folder))) {
		test_random_models();
		test_types();
		CHECK(chdir("/") == 0);
		scratch_remove_tree(folder);
	}
	return check_exit();
}
