/*
 * test_reference.c: the reference model against what is known without it: a trained model's published
 * text, logits that llama.cpp gives for tiny models, and what must not change the logits.
 *
 * With a folder as argument: writes the tiny models there as NAME.gguf and their logits, a line a
 * token, as NAME.txt, to compare with another program's.
 */
#include <unistd.h>

#include "reference_model.h"
#include "tiny_model.h"

enum { N_TOKENS = 24, N_LOGITS = N_TOKENS * TINY_VOCAB };

/* ---- tiny models ---- */

enum { LLAMA_PARTS = TINY_GATE | TINY_FFN_NORM };

static void make_llama(struct tiny *t)
{
	tiny_shape(t, "llama", 2, 2, 8, 8);
	tiny_model(t, LLAMA_PARTS | TINY_OUTPUT);
}

static void make_llama3(struct tiny *t)
{
	make_llama(t);
	tiny_float(t, "rope.freq_base", 500000);
	tiny_vector(t, 4, 2, "rope_freqs.weight");
}

static void make_linear(struct tiny *t)
{
	make_llama(t);
	tiny_text(t, "rope.scaling.type", "linear");
	tiny_float(t, "rope.scaling.factor", 4);
}

static void make_qwen2(struct tiny *t)
{
	tiny_shape(t, "qwen2", 2, 2, 8, 8);
	tiny_model(t, LLAMA_PARTS | TINY_QKV_BIAS);
}

static void make_yarn(struct tiny *t)
{
	make_qwen2(t);
	tiny_text(t, "rope.scaling.type", "yarn");
	tiny_float(t, "rope.scaling.factor", 4);
	tiny_count(t, "rope.scaling.original_context_length", 64);
}

static void make_qwen3(struct tiny *t)
{
	tiny_shape(t, "qwen3", 2, 2, 16, 16);
	tiny_model(t, LLAMA_PARTS | TINY_HEAD_NORMS);
}

static void make_phi2_parts(struct tiny *t)
{
	tiny_shape(t, "phi2", 2, 4, 8, 4);
	tiny_model(t, TINY_BIASES | TINY_OUTPUT);
}

static void fuse_qkv(struct tiny *t, const char *suffix)
{
	static const char *const names[] = {"attn_q", "attn_k", "attn_v"};

	for (long layer = 0; layer < t->n_layers; layer++)
		tiny_fuse(t, layer, suffix, "attn_qkv", names, 3);
}

static void make_phi2(struct tiny *t)
{
	make_phi2_parts(t);
	fuse_qkv(t, "weight");
	fuse_qkv(t, "bias");
}

static void make_phi3(struct tiny *t)
{
	static const char *const names[] = {"ffn_gate", "ffn_up"};

	tiny_shape(t, "phi3", 2, 2, 8, 6);
	tiny_model(t, LLAMA_PARTS | TINY_OUTPUT);
	fuse_qkv(t, "weight");
	for (long layer = 0; layer < t->n_layers; layer++)
		tiny_fuse(t, layer, "weight", "ffn_up", names, 2);
}

static void make_longrope(struct tiny *t)
{
	make_phi3(t);
	tiny_count(t, "rope.scaling.original_context_length", 512);
	tiny_float(t, "rope.scaling.attn_factor", 1.19f);
	tiny_vector(t, 3, 1, "rope_factors_short.weight");
	tiny_vector(t, 3, 4, "rope_factors_long.weight");
}

static void make_bitnet_of(struct tiny *t, const char *arch)
{
	tiny_shape(t, arch, 2, 2, 8, 8);
	tiny_model(t, LLAMA_PARTS | TINY_SUB_NORMS | TINY_SCALES);
}

static void make_bitnet(struct tiny *t)
{
	make_bitnet_of(t, "bitnet");
}

static void make_bitnet_relu2(struct tiny *t)
{
	make_bitnet_of(t, "bitnet");
	tiny_text(t, "hidden_activation", "relu2");
}

static void make_bitnet_b158(struct tiny *t)
{
	make_bitnet_of(t, "bitnet-b1.58");
}

static void make_gemma2(struct tiny *t)
{
	tiny_shape(t, "gemma2", 3, 2, 16, 16);
	tiny_model(t, LLAMA_PARTS | TINY_POST_NORMS);
	tiny_count(t, "attention.sliding_window", 5);
	tiny_float(t, "attn_logit_softcapping", 2);
	tiny_float(t, "final_logit_softcapping", 3);
}

/* Caps and window as Gemma 2 has them; as many layers as its 27B model, which scales queries its way. */
static void make_gemma2_27b(struct tiny *t)
{
	tiny_shape(t, "gemma2", 46, 2, 16, 16);
	tiny_model(t, LLAMA_PARTS | TINY_POST_NORMS);
}

static void make_gemma3_of(struct tiny *t, long n_layers)
{
	tiny_shape(t, "gemma3", n_layers, 1, 16, 16);
	tiny_model(t, LLAMA_PARTS | TINY_POST_NORMS | TINY_HEAD_NORMS);
	tiny_count(t, "attention.sliding_window", 5);
	tiny_float(t, "rope.freq_base", 1000000);
}

static void make_gemma3(struct tiny *t)
{
	make_gemma3_of(t, 7);
}

static void make_gemma3_27b(struct tiny *t)
{
	make_gemma3_of(t, 62);
}

static void make_gemma3_linear(struct tiny *t)
{
	make_gemma3(t);
	tiny_text(t, "rope.scaling.type", "linear");
	tiny_float(t, "rope.scaling.factor", 8);
}

struct model {
	const char *name;
	void (*make)(struct tiny *t);
	long n_context;
};

static const struct model models[] = {
	{"llama", make_llama, 256},
	{"llama3", make_llama3, 256},
	{"linear", make_linear, 256},
	{"qwen2", make_qwen2, 256},
	{"yarn", make_yarn, 256},
	{"qwen3", make_qwen3, 256},
	{"phi2", make_phi2, 256},
	{"phi3", make_phi3, 256},
	{"longrope-short", make_longrope, 256},
	{"longrope-long", make_longrope, 1024},
	{"bitnet", make_bitnet, 256},
	{"bitnet-relu2", make_bitnet_relu2, 256},
	{"bitnet-b1.58", make_bitnet_b158, 256},
	{"gemma2", make_gemma2, 256},
	{"gemma3", make_gemma3, 256},
	{"gemma3-linear", make_gemma3_linear, 256},
	{"gemma2-27b", make_gemma2_27b, 256},
	{"gemma3-27b", make_gemma3_27b, 256},
};

static const int n_models = sizeof(models) / sizeof(models[0]);

/* ---- running them ---- */

static int32_t token_at(long i)
{
	return (int32_t)((7 * i * i + 3 * i + 1) % TINY_VOCAB);
}

struct opened {
	uint8_t *data;
	struct quern_gguf *file;
	struct reference *reference;
	struct quern_error err;
};

/* Consumes the model. */
static int open_tiny(struct tiny *t, long n_context, struct opened *o)
{
	size_t n_bytes;

	*o = (struct opened){.data = tiny_write(t, &n_bytes)};
	if (qn_gguf_parse(o->data, n_bytes, "tiny", &o->file, &o->err) != 0)
		return -1;
	return reference_open(&o->reference, o->file, n_context, &o->err);
}

static void close_tiny(struct opened *o)
{
	reference_close(o->reference);
	quern_gguf_close(o->file);
	free(o->data);
}

/* logits[N_TOKENS][TINY_VOCAB]; consumes the model. */
static void run(struct tiny *t, long n_context, double *logits)
{
	struct opened o;
	int32_t tokens[N_TOKENS];

	for (long i = 0; i < N_TOKENS; i++)
		tokens[i] = token_at(i);
	if (CHECK(open_tiny(t, n_context, &o) == 0)) {
		CHECK(reference_n_vocab(o.reference) == TINY_VOCAB);
		CHECK(reference_logits(o.reference, tokens, N_TOKENS, logits) == 0);
	} else {
		printf("%s\n", o.err.text);
	}
	close_tiny(&o);
}

static double distance(const double *a, const double *b, long n)
{
	double most = 0;

	for (long i = 0; i < n; i++)
		most = fabs(a[i] - b[i]) <= most ? most : fabs(a[i] - b[i]);
	return most;
}

/* How far the logits of two models are from each other; consumes both. */
static double compare(struct tiny *a, struct tiny *b)
{
	static double of_a[N_LOGITS], of_b[N_LOGITS];

	run(a, 0, of_a);
	run(b, 0, of_b);
	return distance(of_a, of_b, N_LOGITS);
}

/* ---- other programs ---- */

/*
 * llama.cpp's logits (0.7.0, build 11669 of Debian; F32 keys and values, no flash attention) of tokens
 * 0 to 5 after the last one.  It looks GELU up in a table of f16, so that models with it are not
 * nearer than that.  It does not model BitNet's squared ReLU, nor Phi-3's window.
 */
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
	{"gemma3-linear",
	 8e-3,
	 {-0.373394f, 2.92799f, 0.223463f, 2.36097f, 0.579384f, 0.00633187f}},
	{"gemma2-27b", 3e-2, {-3.98846f, -3.11801f, -2.00415f, 3.32683f, -0.780278f, -2.53988f}},
	{"gemma3-27b", 4e-2, {2.3781f, -0.855983f, 3.13856f, 6.18923f, 6.64364f, 3.0195f}},
	{NULL, 0, {0}},
};

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

/* ---- order and positions ---- */

/* Positions count by their differences; tokens by their order; nothing stays from another text. */
static void test_positions(void)
{
	static double all[N_LOGITS], shifted[N_LOGITS];

	for (int i = 0; i < n_models; i++) {
		struct opened o;
		struct tiny t;
		int32_t tokens[N_TOKENS];

		models[i].make(&t);
		if (!CHECK(open_tiny(&t, models[i].n_context, &o) == 0)) {
			printf("%s: %s\n", models[i].name, o.err.text);
			close_tiny(&o);
			continue;
		}
		for (long j = 0; j < N_TOKENS; j++)
			tokens[j] = token_at(j);
		CHECK(reference_logits(o.reference, tokens, N_TOKENS, all) == 0);
		reference_start(o.reference, 777);
		for (long j = 0; j < N_TOKENS; j++)
			CHECK(reference_append(o.reference, tokens[j], shifted + j * TINY_VOCAB) ==
			      0);
		CHECK(distance(all, shifted, N_LOGITS) < 1e-9);

		CHECK(reference_logits(o.reference, tokens, N_TOKENS / 2, shifted) == 0);
		CHECK(distance(all, shifted, N_LOGITS / 2) == 0);

		tokens[N_TOKENS - 3] = token_at(N_TOKENS - 2);
		tokens[N_TOKENS - 2] = token_at(N_TOKENS - 3);
		CHECK(reference_logits(o.reference, tokens, N_TOKENS, shifted) == 0);
		CHECK(distance(all, shifted, N_LOGITS - 3 * TINY_VOCAB) == 0);
		CHECK(distance(all + N_LOGITS - TINY_VOCAB, shifted + N_LOGITS - TINY_VOCAB,
			       TINY_VOCAB) > 1e-3);
		CHECK(reference_append(o.reference, TINY_VOCAB, NULL) == -1);
		CHECK(reference_append(o.reference, -1, NULL) == -1);
		close_tiny(&o);
	}
}

/* Is the last token's output another one when the token `back` before it is? */
static int reaches(struct opened *o, long back)
{
	static double logits[2][N_LOGITS];
	int32_t tokens[N_TOKENS];

	for (long i = 0; i < N_TOKENS; i++)
		tokens[i] = token_at(i);
	CHECK(reference_logits(o->reference, tokens, N_TOKENS, logits[0]) == 0);
	tokens[N_TOKENS - 1 - back] ^= 1;
	CHECK(reference_logits(o->reference, tokens, N_TOKENS, logits[1]) == 0);
	return distance(logits[0] + N_LOGITS - TINY_VOCAB, logits[1] + N_LOGITS - TINY_VOCAB,
			TINY_VOCAB) > 0;
}

/* A layer with a window of 5 sees 4 tokens back. */
static void test_windows(void)
{
	struct opened o;
	struct tiny t;

	make_phi3(&t); /* two layers */
	tiny_count(&t, "attention.sliding_window", 5);
	if (CHECK(open_tiny(&t, 0, &o) == 0))
		CHECK(reaches(&o, 8) && !reaches(&o, 9));
	close_tiny(&o);

	/* Layers 0 and 2 are local, 1 is not: with one of them only, and with all. */
	tiny_shape(&t, "gemma2", 1, 2, 16, 16);
	tiny_model(&t, LLAMA_PARTS | TINY_POST_NORMS);
	tiny_count(&t, "attention.sliding_window", 5);
	if (CHECK(open_tiny(&t, 0, &o) == 0))
		CHECK(reaches(&o, 4) && !reaches(&o, 5));
	close_tiny(&o);
	make_gemma2(&t);
	if (CHECK(open_tiny(&t, 0, &o) == 0))
		CHECK(reaches(&o, N_TOKENS - 1));
	close_tiny(&o);

	/* Five local layers before the first global one. */
	tiny_shape(&t, "gemma3", 5, 2, 16, 16);
	tiny_model(&t, LLAMA_PARTS | TINY_POST_NORMS | TINY_HEAD_NORMS);
	tiny_count(&t, "attention.sliding_window", 3);
	if (CHECK(open_tiny(&t, 0, &o) == 0))
		CHECK(reaches(&o, 10) && !reaches(&o, 11));
	close_tiny(&o);
	tiny_shape(&t, "gemma3", 6, 2, 16, 16);
	tiny_model(&t, LLAMA_PARTS | TINY_POST_NORMS | TINY_HEAD_NORMS);
	tiny_count(&t, "attention.sliding_window", 3);
	if (CHECK(open_tiny(&t, 0, &o) == 0))
		CHECK(reaches(&o, 11) && reaches(&o, N_TOKENS - 1));
	close_tiny(&o);
}

/* ---- two ways to say the same ---- */

/* Rows of pairs (i, i + d/2) of each head -> (2i, 2i + 1), as converters do for llama. */
static void interleave(struct tiny_tensor *w, long d)
{
	float *rows = malloc((size_t)tiny_size(w) * sizeof(float));

	if (!rows)
		abort();
	for (long row = 0; row < w->m; row++) {
		long head = row / d, i = row % d;
		long to = head * d + (i < d / 2 ? 2 * i : 2 * (i - d / 2) + 1);

		memcpy(rows + to * w->k, w->at + row * w->k, (size_t)w->k * sizeof(float));
	}
	free(w->at);
	w->at = rows;
}

static void scale_tensor(struct tiny *t, const char *name, float factor)
{
	struct tiny_tensor *w = tiny_find(t, name);

	for (long i = 0; i < tiny_size(w); i++)
		w->at[i] *= factor;
}

static void test_layouts(void)
{
	struct tiny a, b;

	/* Which elements make a pair. */
	make_llama(&a);
	for (long layer = 0; layer < a.n_layers; layer++) {
		interleave(tiny_find(&a, tiny_name(layer, "attn_q", "weight")), a.d_head);
		interleave(tiny_find(&a, tiny_name(layer, "attn_k", "weight")), a.d_head);
	}
	tiny_shape(&b, "qwen2", 2, 2, 8, 8);
	tiny_model(&b, LLAMA_PARTS | TINY_OUTPUT);
	CHECK(compare(&a, &b) < 1e-12);

	/* Fused matrices. */
	make_phi2(&a);
	make_phi2_parts(&b);
	CHECK(compare(&a, &b) == 0);
	make_phi3(&a);
	tiny_shape(&b, "qwen2", 2, 2, 8, 6);
	tiny_model(&b, LLAMA_PARTS | TINY_OUTPUT);
	CHECK(compare(&a, &b) == 0);

	/* Tied embeddings. */
	make_qwen2(&a);
	make_qwen2(&b);
	memcpy(tiny_add(&b, TINY_VOCAB, TINY_EMBD, "output.weight")->at,
	       tiny_find(&b, "token_embd.weight")->at, TINY_VOCAB * TINY_EMBD * sizeof(float));
	CHECK(compare(&a, &b) == 0);
}

/* Two heads for keys and values, or each of them twice. */
static void test_grouped_queries(void)
{
	struct tiny a, b;

	make_llama(&a);
	tiny_shape(&b, "llama", 2, 4, 8, 8);
	tiny_model(&b, LLAMA_PARTS | TINY_OUTPUT);
	for (long layer = 0; layer < 2; layer++) {
		for (int which = 0; which < 2; which++) {
			const char *name = tiny_name(layer, which ? "attn_v" : "attn_k", "weight");
			const float *from = tiny_find(&a, name)->at;
			float *to = tiny_find(&b, name)->at;

			for (long head = 0; head < 4; head++)
				memcpy(to + head * 8 * TINY_EMBD, from + head / 2 * 8 * TINY_EMBD,
				       8 * TINY_EMBD * sizeof(float));
		}
	}
	CHECK(compare(&a, &b) == 0);
}

static void test_scales(void)
{
	static const char *const names[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
					    "ffn_gate", "ffn_up", "ffn_down"};
	struct tiny a, b;

	/* A scale is a factor of its matrix. */
	make_bitnet(&a);
	make_bitnet(&b);
	for (long layer = 0; layer < 2; layer++) {
		for (int i = 0; i < 7; i++) {
			tiny_find(&a, tiny_name(layer, names[i], "scale"))->at[0] = 0.25f;
			tiny_find(&b, tiny_name(layer, names[i], "scale"))->at[0] = 1;
			scale_tensor(&b, tiny_name(layer, names[i], "weight"), 0.25f);
		}
	}
	CHECK(compare(&a, &b) == 0);

	/* The FFN's activation, by architecture or by key. */
	make_bitnet_relu2(&a);
	make_bitnet_b158(&b);
	CHECK(compare(&a, &b) == 0);
	make_bitnet(&a);
	make_bitnet_b158(&b);
	CHECK(compare(&a, &b) > 1e-3);

	/* Heads that are normalised do not know how long they were. */
	make_qwen3(&a);
	make_qwen3(&b);
	scale_tensor(&a, "blk.0.attn_q.weight", 1024);
	scale_tensor(&b, "blk.0.attn_q.weight", 2048);
	CHECK(compare(&a, &b) < 1e-6);

	/* Magnitudes of q and k both go into a score. */
	make_llama(&a);
	make_llama(&b);
	tiny_float(&a, "rope.scaling.attn_factor", 2);
	for (long layer = 0; layer < 2; layer++)
		scale_tensor(&b, tiny_name(layer, "attn_q", "weight"), 4);
	CHECK(compare(&a, &b) == 0);
}

static void test_ropes(void)
{
	static double logits[4][N_LOGITS];
	struct tiny a, b;

	/* Factors that are all the same are linear scaling. */
	make_linear(&a);
	make_llama(&b);
	tiny_fill(tiny_add(&b, 0, 4, "rope_freqs.weight"), 4, 0);
	CHECK(compare(&a, &b) == 0);
	make_linear(&a);
	make_llama(&b);
	CHECK(compare(&a, &b) > 1e-3);

	/* Which factors, decided by the context. */
	for (int i = 0; i < 4; i++) {
		make_longrope(&a);
		run(&a, (const long[]){0, 513, 512, 1}[i], logits[i]);
	}
	CHECK(distance(logits[0], logits[1], N_LOGITS) == 0);
	CHECK(distance(logits[2], logits[3], N_LOGITS) == 0);
	CHECK(distance(logits[1], logits[2], N_LOGITS) > 1e-3);

	/* With the same base everywhere a window wider than the text is none. */
	make_gemma3(&a);
	tiny_float(&a, "rope.freq_base_swa", 1000000);
	make_gemma3(&b);
	CHECK(compare(&a, &b) > 1e-3);
}

/* What a cap did can be undone. */
static void test_caps(void)
{
	static double capped[N_LOGITS], wide[N_LOGITS];
	struct tiny t;

	make_gemma2(&t);
	run(&t, 0, capped);
	tiny_shape(&t, "gemma2", 3, 2, 16, 16);
	tiny_model(&t, LLAMA_PARTS | TINY_POST_NORMS);
	tiny_count(&t, "attention.sliding_window", 5);
	tiny_float(&t, "attn_logit_softcapping", 2);
	tiny_float(&t, "final_logit_softcapping", 1e9f);
	run(&t, 0, wide);
	for (long i = 0; i < N_LOGITS; i++)
		CHECK(fabs(capped[i] - 3 * tanh(wide[i] / 3)) < 1e-9);
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
	if (argc > 1) {
		write_models(argv[1]);
		return check_exit();
	}
	test_peers();
	test_story();
	test_positions();
	test_windows();
	test_layouts();
	test_grouped_queries();
	test_scales();
	test_ropes();
	test_caps();
	test_refusals();
	return check_exit();
}
