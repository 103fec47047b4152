/*
 * tiny_model.h: tiny models of each architecture as GGUF files in memory, F32.
 *
 * The numbers of a tensor follow from its name alone, so that two models with tensors of the same
 * names and shapes have the same weights, whatever else tells them apart.
 */
#ifndef TESTS_TINY_MODEL_H
#define TESTS_TINY_MODEL_H

#include <math.h>
#include <stdarg.h>

#include "check.h"
#include "gguf_plan.h"

enum { TINY_EMBD = 32, TINY_FF = 48, TINY_HEADS = 4, TINY_VOCAB = 64, TINY_TENSORS = 1000 };

struct tiny_tensor {
	char name[48];
	long m, k; /* m 0: a vector */
	float *at;
};

struct tiny {
	struct plan plan;
	char arch[16];
	long n_layers, n_kv_heads, d_head, n_rot;
	struct tiny_tensor tensors[TINY_TENSORS];
	int n_tensors;
};

/* What layers have beside attn_norm, q, k, v, attn_output, ffn_up and ffn_down. */
enum tiny_parts {
	TINY_GATE = 1,
	TINY_FFN_NORM = 2,
	TINY_QKV_BIAS = 4,
	TINY_HEAD_NORMS = 8,
	TINY_SUB_NORMS = 16,
	TINY_POST_NORMS = 32,
	TINY_BIASES = 64,
	TINY_SCALES = 128,
	TINY_OUTPUT = 256 /* not tied */
};

/* ---- keys ---- */

static inline const char *tiny_key(const struct tiny *t, const char *name, char *full)
{
	snprintf(full, 80, "%s.%s", t->arch, name);
	return full;
}

static inline void tiny_count(struct tiny *t, const char *name, uint32_t value)
{
	char full[80];

	add_u32(&t->plan, tiny_key(t, name, full), value);
}

static inline void tiny_float(struct tiny *t, const char *name, float value)
{
	char full[80];

	add_key(&t->plan, tiny_key(t, name, full), QUERN_FLOAT32);
	put(&t->plan.keys, &value, sizeof(value));
}

static inline void tiny_text(struct tiny *t, const char *name, const char *value)
{
	char full[80];

	add_string(&t->plan, tiny_key(t, name, full), value);
}

/* ---- tensors ---- */

static inline struct tiny_tensor *tiny_find(struct tiny *t, const char *name)
{
	for (int i = 0; i < t->n_tensors; i++)
		if (strcmp(t->tensors[i].name, name) == 0)
			return &t->tensors[i];
	printf("no tensor %s\n", name);
	abort();
}

static inline long tiny_size(const struct tiny_tensor *tensor)
{
	return (tensor->m ? tensor->m : 1) * tensor->k;
}

/* Uniform within middle +- spread. */
static inline void tiny_fill(struct tiny_tensor *tensor, double middle, double spread)
{
	uint64_t seed = 0xcbf29ce484222325u; /* FNV-1a of the name */

	for (const char *s = tensor->name; *s; s++)
		seed = (seed ^ (uint8_t)*s) * 0x100000001b3u;
	for (long i = 0; i < tiny_size(tensor); i++)
		tensor->at[i] = (float)(middle + spread * (double)check_float(&seed));
}

static inline struct tiny_tensor *tiny_add(struct tiny *t, long m, long k, const char *name)
{
	struct tiny_tensor *tensor = &t->tensors[t->n_tensors++];

	if (t->n_tensors > TINY_TENSORS)
		abort();
	snprintf(tensor->name, sizeof(tensor->name), "%s", name);
	tensor->m = m;
	tensor->k = k;
	tensor->at = malloc((size_t)tiny_size(tensor) * sizeof(float));
	if (!tensor->at)
		abort();
	return tensor;
}

/* A matrix that keeps the size of what it multiplies; a vector about `middle`. */
static inline void tiny_matrix(struct tiny *t, long m, long k, const char *name)
{
	tiny_fill(tiny_add(t, m, k, name), 0, sqrt(3.0 / (double)k));
}

static inline void tiny_vector(struct tiny *t, long k, double middle, const char *name)
{
	tiny_fill(tiny_add(t, 0, k, name), middle, 0.5);
}

/* Names of a layer's tensors: "attn_q.weight" of layer 2 is "blk.2.attn_q.weight". */
static inline const char *tiny_name(long layer, const char *name, const char *suffix)
{
	static char full[4][48];
	static int turn;

	turn = (turn + 1) % 4;
	snprintf(full[turn], sizeof(full[turn]), "blk.%ld.%s.%s", layer, name, suffix);
	return full[turn];
}

static inline void tiny_drop(struct tiny *t, struct tiny_tensor *tensor)
{
	free(tensor->at);
	*tensor = t->tensors[--t->n_tensors];
}

/* One tensor in the place of several: their rows, one after the other. */
static inline void tiny_fuse(struct tiny *t, long layer, const char *suffix, const char *into,
			     const char *const *names, int n)
{
	struct bytes rows = {.data = NULL};
	long m = 0, k = 0;

	for (int i = 0; i < n; i++) {
		struct tiny_tensor *one = tiny_find(t, tiny_name(layer, names[i], suffix));

		put(&rows, one->at, (size_t)tiny_size(one) * sizeof(float));
		m += one->m;
		k = one->m ? one->k : k + one->k;
		tiny_drop(t, one);
	}
	memcpy(tiny_add(t, m, k, tiny_name(layer, into, suffix))->at, rows.data, rows.n);
	free(rows.data);
}

/* ---- models ---- */

static inline void tiny_linear(struct tiny *t, int parts, long layer, const char *name, long m,
			       long k)
{
	int is_qkv = strlen(name) == strlen("attn_q") && strncmp(name, "attn_", 5) == 0;

	tiny_matrix(t, m, k, tiny_name(layer, name, "weight"));
	if ((parts & TINY_BIASES) || ((parts & TINY_QKV_BIAS) && is_qkv))
		tiny_vector(t, m, 0, tiny_name(layer, name, "bias"));
	if (parts & TINY_SCALES)
		tiny_vector(t, 1, 1, tiny_name(layer, name, "scale"));
}

static inline void tiny_norm(struct tiny *t, int parts, long layer, const char *name, long k)
{
	tiny_vector(t, k, 1, tiny_name(layer, name, "weight"));
	if (parts & TINY_BIASES)
		tiny_vector(t, k, 0, tiny_name(layer, name, "bias"));
}

static inline void tiny_layer(struct tiny *t, int parts, long layer)
{
	long n_q = TINY_HEADS * t->d_head, n_kv = t->n_kv_heads * t->d_head;

	tiny_norm(t, parts, layer, "attn_norm", TINY_EMBD);
	tiny_linear(t, parts, layer, "attn_q", n_q, TINY_EMBD);
	tiny_linear(t, parts, layer, "attn_k", n_kv, TINY_EMBD);
	tiny_linear(t, parts, layer, "attn_v", n_kv, TINY_EMBD);
	tiny_linear(t, parts, layer, "attn_output", TINY_EMBD, n_q);
	tiny_linear(t, parts, layer, "ffn_up", TINY_FF, TINY_EMBD);
	tiny_linear(t, parts, layer, "ffn_down", TINY_EMBD, TINY_FF);
	if (parts & TINY_GATE)
		tiny_linear(t, parts, layer, "ffn_gate", TINY_FF, TINY_EMBD);
	if (parts & TINY_FFN_NORM)
		tiny_norm(t, parts, layer, "ffn_norm", TINY_EMBD);
	if (parts & TINY_HEAD_NORMS) {
		tiny_norm(t, parts, layer, "attn_q_norm", t->d_head);
		tiny_norm(t, parts, layer, "attn_k_norm", t->d_head);
	}
	if (parts & TINY_SUB_NORMS) {
		tiny_norm(t, parts, layer, "attn_sub_norm", n_q);
		tiny_norm(t, parts, layer, "ffn_sub_norm", TINY_FF);
	}
	if (parts & TINY_POST_NORMS) {
		tiny_norm(t, parts, layer, "post_attention_norm", TINY_EMBD);
		tiny_norm(t, parts, layer, "post_ffw_norm", TINY_EMBD);
	}
}

static inline void tiny_shape(struct tiny *t, const char *arch, long n_layers, long n_kv_heads,
			      long d_head, long n_rot)
{
	*t = (struct tiny){.plan = start_plan(), .n_layers = n_layers, .n_kv_heads = n_kv_heads};
	snprintf(t->arch, sizeof(t->arch), "%s", arch);
	t->d_head = d_head;
	t->n_rot = n_rot;
}

/* A model of the shape that is set. */
static inline void tiny_model(struct tiny *t, int parts)
{
	int has_layer_norms = (parts & TINY_BIASES) != 0;
	const char *epsilon = has_layer_norms ? "attention.layer_norm_epsilon"
					      : "attention.layer_norm_rms_epsilon";

	add_string(&t->plan, "general.architecture", t->arch);
	add_string(&t->plan, "tokenizer.ggml.model", "none"); /* llama.cpp asks for one */
	tiny_count(t, "vocab_size", TINY_VOCAB);
	tiny_count(t, "context_length", 1024);
	tiny_count(t, "embedding_length", TINY_EMBD);
	tiny_count(t, "block_count", (uint32_t)t->n_layers);
	tiny_count(t, "feed_forward_length", TINY_FF);
	tiny_count(t, "attention.head_count", TINY_HEADS);
	tiny_count(t, "attention.head_count_kv", (uint32_t)t->n_kv_heads);
	tiny_count(t, "attention.key_length", (uint32_t)t->d_head);
	tiny_count(t, "attention.value_length", (uint32_t)t->d_head);
	tiny_count(t, "rope.dimension_count", (uint32_t)t->n_rot);
	tiny_float(t, epsilon, 1e-5f);

	tiny_fill(tiny_add(t, TINY_VOCAB, TINY_EMBD, "token_embd.weight"), 0, 1);
	for (long layer = 0; layer < t->n_layers; layer++)
		tiny_layer(t, parts, layer);
	tiny_vector(t, TINY_EMBD, 1, "output_norm.weight");
	if (has_layer_norms)
		tiny_vector(t, TINY_EMBD, 0, "output_norm.bias");
	if (parts & TINY_OUTPUT)
		tiny_matrix(t, TINY_VOCAB, TINY_EMBD, "output.weight");
	if (has_layer_norms && (parts & TINY_OUTPUT))
		tiny_vector(t, TINY_VOCAB, 0, "output.bias");
}

/* The file; consumes the model.  The caller frees it. */
static inline uint8_t *tiny_write(struct tiny *t, size_t *n_bytes)
{
	size_t size = 0;
	uint8_t *data, *at;

	for (int i = 0; i < t->n_tensors; i++) {
		const struct tiny_tensor *one = &t->tensors[i];
		const uint64_t dims[2] = {(uint64_t)one->k, (uint64_t)one->m};

		add_tensor(&t->plan, one->name, QUERN_F32, one->m ? 2 : 1, dims, size);
		size = (size + (size_t)tiny_size(one) * sizeof(float) + 31) / 32 * 32;
	}
	t->plan.data_bytes = size;
	data = write_plan(&t->plan, n_bytes);
	at = data + *n_bytes - size;
	for (int i = 0; i < t->n_tensors; i++) {
		size_t n = (size_t)tiny_size(&t->tensors[i]) * sizeof(float);

		memcpy(at, t->tensors[i].at, n);
		at += (n + 31) / 32 * 32;
		free(t->tensors[i].at);
	}
	return data;
}

#endif
