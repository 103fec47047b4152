/*
 * model.h: a model as its GGUF file describes it, weights packed.
 *
 * Architectures differ in a few features (which norms there are, how positions turn vectors, what the
 * feed-forward layer computes), not in code of their own: model.c has a table of them, and what
 * a file's tensors show (biases, fused or separate matrices, norms of heads) is taken from there.
 */
#ifndef QN_MODEL_H
#define QN_MODEL_H

#include "../kernel.h"
#include "../matmul.h"
#include "../quern.h"

/* y = scale W x + bias */
struct qn_linear {
	struct quern_matrix *packed; /* NULL: float weights, read where they lie */
	const void *rows;
	int float_type; /* enum qn_float_weights of rows */
	long m, k;      /* m = 0: there is none */
	float scale;
	float *bias; /* [m] or NULL */
};

/* NULL weight: there is none. */
struct qn_norm {
	float *weight, *bias;
};

/* Turning pairs of a vector by angles that grow with the position (Su et al., "RoFormer", 2021). */
struct qn_rope {
	long n_dims;                         /* of a head, even; the rest stays */
	int halves;                          /* pairs are (i, i + n_dims / 2); 0: (2 i, 2 i + 1) */
	double base;                         /* of frequencies base^(-2 i / n_dims) */
	double factor;                       /* divides positions */
	float *short_factors, *long_factors; /* [n_dims / 2] that divide frequencies, or NULL; long
						ones for contexts above long_context */
	long long_context;
	double ramp_low, ramp_high; /* 0, 0: the factor holds for all pairs; else for those from
				       ramp_high on, not for those to ramp_low, in parts between */
	double magnitude;           /* what turned vectors are multiplied with */
};

struct qn_layer {
	struct qn_norm attn_norm, q_norm, k_norm, attn_sub_norm, attn_post_norm;
	struct qn_norm ffn_norm, ffn_sub_norm, ffn_post_norm;
	struct qn_linear qkv[3]; /* one that gives all, or q, k and v */
	struct qn_linear out;
	struct qn_linear up[2]; /* one that gives gate (if any) and up, or gate and up */
	struct qn_linear down;
	int n_qkv, n_up;
	int is_local; /* sees model->window positions */
	int rope;     /* number of the one that it turns by */
};

/* What an architecture has that most have not. */
struct qn_arch {
	const char *name;
	int is_centred;       /* LayerNorm; 0: root mean square norm */
	int is_parallel;      /* attention and feed-forward read the same norm's output */
	int has_no_gate;      /* activation(up); 0: activation(gate) * up */
	int joins_gate;       /* its rows stand in front of those of up, in one tensor */
	int activation;       /* enum qn_activation, where the file does not say */
	int turns_neighbours; /* pairs of a turn are (2 i, 2 i + 1), see qn_rope */
	int embd_scaled;      /* by sqrt(n_embd) */
	int has_head_norms, has_sub_norms, has_post_norms;
	int global_each; /* where there is a window: each such layer sees all; 0: none does */
	const char *act; /* how activations are rounded: BitNet's rule, or NULL */
	double window, attn_softcap, logit_softcap; /* where the file does not say */
	double local_base; /* of turns of local layers, 0: as of all layers */
	long plain_layers; /* a model of so many layers scales scores by (n_embd / n_heads)^-1/2 */
};

struct quern_model {
	struct quern_engine *engine;
	struct quern_gguf *file; /* with the keys, files[0] */
	struct quern_gguf **files;
	int n_files;
	const struct qn_arch *arch;

	long n_embd, n_layers, n_heads, n_kv_heads, d_k, d_v, n_ff, n_vocab, n_context;
	double norm_eps;
	int activation;                    /* enum qn_activation */
	float embd_scale;                  /* of token embeddings */
	float attn_scale;                  /* of scores */
	float attn_softcap, logit_softcap; /* 0: none */
	long window; /* positions that a token of a local layer sees; 0: no local layers */
	struct qn_rope ropes[2]; /* of all layers; of local ones where these have another */
	int n_ropes;

	struct quern_tensor embd; /* [n_vocab][n_embd] */
	struct qn_norm output_norm;
	struct qn_linear output;
	struct qn_layer *layers; /* [n_layers] */
	size_t weight_bytes;     /* read for one token, embeddings not counted */
	uint64_t
		fingerprint; /* of the file: its tensors' names, types and shapes, some of their bytes */
	struct quern_error note; /* why packed weights were not kept; "": nothing is wrong */
};

/*
 * Opens a model's file, or all files of one that is split (<name>-00001-of-00003.gguf and so on, keys in the
 * first), into files, n_files and file (parts.c).
 */
int qn_parts_open(struct quern_model *model, const char *path, struct quern_error *err);
void qn_parts_close(struct quern_model *model);

/* Tensor number i of all files; -1 when there are fewer.  By name: its number, or -1. */
int qn_parts_tensor(const struct quern_model *model, size_t i, struct quern_tensor *tensor);
long qn_parts_find(const struct quern_model *model, const char *name, struct quern_tensor *tensor);

/* Reads the numbers above the tensors from the file's keys (arch.c). */
int qn_arch_read(struct quern_model *model, struct quern_error *err);

/* Is layer i one that sees only a window? */
int qn_arch_is_local(const struct quern_model *model, long i);

/* Row `id` of the embeddings as floats, scaled; scratch has qn_model_embed_bytes bytes. */
size_t qn_model_embed_bytes(const struct quern_model *model);
void qn_model_embed(const struct quern_model *model, int32_t id, void *scratch, float *x);

/* Floats of a head's query, key and value vectors behind each other: what qkv gives. */
static inline long qn_model_qkv_floats(const struct quern_model *model)
{
	return (model->n_heads + model->n_kv_heads) * model->d_k + model->n_kv_heads * model->d_v;
}

#endif
