/*
 * tiny_architectures.h: tiny models of every architecture, and the reference model run on them.
 */
#ifndef TESTS_TINY_ARCHITECTURES_H
#define TESTS_TINY_ARCHITECTURES_H

#include "reference_model.h"
#include "tiny_model.h"

enum { N_TOKENS = 24, N_LOGITS = N_TOKENS * TINY_VOCAB };

/* ---- tiny models ---- */

enum { LLAMA_PARTS = TINY_GATE | TINY_FFN_NORM };

static inline void make_llama(struct tiny *t)
{
	tiny_shape(t, "llama", 2, 2, 8, 8);
	tiny_model(t, LLAMA_PARTS | TINY_OUTPUT);
}

static inline void make_llama3(struct tiny *t)
{
	make_llama(t);
	tiny_float(t, "rope.freq_base", 500000);
	tiny_vector(t, 4, 2, "rope_freqs.weight");
}

static inline void make_linear(struct tiny *t)
{
	make_llama(t);
	tiny_text(t, "rope.scaling.type", "linear");
	tiny_float(t, "rope.scaling.factor", 4);
}

static inline void make_qwen2(struct tiny *t)
{
	tiny_shape(t, "qwen2", 2, 2, 8, 8);
	tiny_model(t, LLAMA_PARTS | TINY_QKV_BIAS);
}

static inline void make_yarn(struct tiny *t)
{
	make_qwen2(t);
	tiny_text(t, "rope.scaling.type", "yarn");
	tiny_float(t, "rope.scaling.factor", 4);
	tiny_count(t, "rope.scaling.original_context_length", 64);
}

static inline void make_qwen3(struct tiny *t)
{
	tiny_shape(t, "qwen3", 2, 2, 16, 16);
	tiny_model(t, LLAMA_PARTS | TINY_HEAD_NORMS);
}

static inline void make_phi2_parts(struct tiny *t)
{
	tiny_shape(t, "phi2", 2, 4, 8, 4);
	tiny_model(t, TINY_BIASES | TINY_OUTPUT);
}

static inline void fuse_qkv(struct tiny *t, const char *suffix)
{
	static const char *const names[] = {"attn_q", "attn_k", "attn_v"};

	for (long layer = 0; layer < t->n_layers; layer++)
		tiny_fuse(t, layer, suffix, "attn_qkv", names, 3);
}

static inline void make_phi2(struct tiny *t)
{
	make_phi2_parts(t);
	fuse_qkv(t, "weight");
	fuse_qkv(t, "bias");
}

static inline void make_phi3(struct tiny *t)
{
	static const char *const names[] = {"ffn_gate", "ffn_up"};

	tiny_shape(t, "phi3", 2, 2, 8, 6);
	tiny_model(t, LLAMA_PARTS | TINY_OUTPUT);
	fuse_qkv(t, "weight");
	for (long layer = 0; layer < t->n_layers; layer++)
		tiny_fuse(t, layer, "weight", "ffn_up", names, 2);
}

static inline void make_longrope(struct tiny *t)
{
	make_phi3(t);
	tiny_count(t, "rope.scaling.original_context_length", 512);
	tiny_float(t, "rope.scaling.attn_factor", 1.19f);
	tiny_vector(t, 3, 1, "rope_factors_short.weight");
	tiny_vector(t, 3, 4, "rope_factors_long.weight");
}

static inline void make_bitnet_of(struct tiny *t, const char *arch)
{
	tiny_shape(t, arch, 2, 2, 8, 8);
	tiny_model(t, LLAMA_PARTS | TINY_SUB_NORMS | TINY_SCALES);
}

static inline void make_bitnet(struct tiny *t)
{
	make_bitnet_of(t, "bitnet");
}

static inline void make_bitnet_relu2(struct tiny *t)
{
	make_bitnet_of(t, "bitnet");
	tiny_text(t, "hidden_activation", "relu2");
}

static inline void make_bitnet_b158(struct tiny *t)
{
	make_bitnet_of(t, "bitnet-b1.58");
}

static inline void make_gemma2(struct tiny *t)
{
	tiny_shape(t, "gemma2", 3, 2, 16, 16);
	tiny_model(t, LLAMA_PARTS | TINY_POST_NORMS);
	tiny_count(t, "attention.sliding_window", 5);
	tiny_float(t, "attn_logit_softcapping", 2);
	tiny_float(t, "final_logit_softcapping", 3);
}

/* Caps and window as Gemma 2 has them; as many layers as its 27B model, which scales queries its way. */
static inline void make_gemma2_27b(struct tiny *t)
{
	tiny_shape(t, "gemma2", 46, 2, 16, 16);
	tiny_model(t, LLAMA_PARTS | TINY_POST_NORMS);
}

static inline void make_gemma3_of(struct tiny *t, long n_layers)
{
	tiny_shape(t, "gemma3", n_layers, 1, 16, 16);
	tiny_model(t, LLAMA_PARTS | TINY_POST_NORMS | TINY_HEAD_NORMS);
	tiny_count(t, "attention.sliding_window", 5);
	tiny_float(t, "rope.freq_base", 1000000);
}

static inline void make_gemma3(struct tiny *t)
{
	make_gemma3_of(t, 7);
}

static inline void make_gemma3_27b(struct tiny *t)
{
	make_gemma3_of(t, 62);
}

static inline void make_gemma3_linear(struct tiny *t)
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

static inline int32_t token_at(long i)
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
static inline int open_tiny(struct tiny *t, long n_context, struct opened *o)
{
	size_t n_bytes;

	*o = (struct opened){.data = tiny_write(t, &n_bytes)};
	if (qn_gguf_parse(o->data, n_bytes, "tiny", &o->file, &o->err) != 0)
		return -1;
	return reference_open(&o->reference, o->file, n_context, &o->err);
}

static inline void close_tiny(struct opened *o)
{
	reference_close(o->reference);
	quern_gguf_close(o->file);
	free(o->data);
}

/* logits[N_TOKENS][TINY_VOCAB]; consumes the model. */
static inline void run(struct tiny *t, long n_context, double *logits)
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

static inline double distance(const double *a, const double *b, long n)
{
	double most = 0;

	for (long i = 0; i < n; i++)
		most = fabs(a[i] - b[i]) <= most ? most : fabs(a[i] - b[i]);
	return most;
}

/* How far the logits of two models are from each other; consumes both. */
static inline double compare(struct tiny *a, struct tiny *b)
{
	static double of_a[N_LOGITS], of_b[N_LOGITS];

	run(a, 0, of_a);
	run(b, 0, of_b);
	return distance(of_a, of_b, N_LOGITS);
}

#endif
