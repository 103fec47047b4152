/*
 * random_shape.h: the models that random.h knows by name.
 */
#ifndef QN_RANDOM_SHAPE_H
#define QN_RANDOM_SHAPE_H

#include <stdio.h>

#include "../quern.h"

/* What sets an architecture apart. */
enum {
	QN_RANDOM_BIASES = 1 << 0,    /* norms, matrices and output have biases */
	QN_RANDOM_QKV_BIAS = 1 << 1,  /* q, k and v have biases */
	QN_RANDOM_FUSED_QKV = 1 << 2, /* one matrix for q, k and v */
	QN_RANDOM_FUSED_UP = 1 << 3,  /* gate and up in one matrix */
	QN_RANDOM_NO_GATE = 1 << 4,
	QN_RANDOM_PARALLEL = 1 << 5, /* one norm feeds attention and FFN */
	QN_RANDOM_QK_NORM = 1 << 6,
	QN_RANDOM_SUB_NORM = 1 << 7,   /* norms in front of attn_output and ffn_down */
	QN_RANDOM_POST_NORM = 1 << 8,  /* norms behind attention and FFN */
	QN_RANDOM_TIED = 1 << 9,       /* never a matrix for output */
	QN_RANDOM_ONE_WIDTH = 1 << 10, /* heads are as wide together as the embedding */
	QN_RANDOM_HEAD_KEYS = 1 << 11, /* has keys for the width of a head, */
	QN_RANDOM_ROT_KEY = 1 << 12    /* for what of it is rotated */
};

enum qn_random_vocab_kind {
	QN_RANDOM_SPM,
	QN_RANDOM_SPM_GEMMA,
	QN_RANDOM_BPE_LLAMA,
	QN_RANDOM_BPE_QWEN,
	QN_RANDOM_BPE_GPT2
};

/* How positions beyond the context that a model was first trained for are reached. */
enum qn_random_rope {
	QN_RANDOM_ROPE_PLAIN,
	QN_RANDOM_ROPE_LLAMA3, /* rope_freqs.weight */
	QN_RANDOM_ROPE_LONG,   /* rope_factors_long.weight and rope_factors_short.weight */
	QN_RANDOM_ROPE_LINEAR
};

struct qn_random_arch {
	const char *name; /* general.architecture */
	unsigned flags;
	float epsilon;
	enum qn_random_vocab_kind vocab;
};

struct qn_random_shape {
	const char *family, *size, *name; /* "llama", "7b", "llama-2-7b" */
	const struct qn_random_arch *arch;
	long n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab, n_context;
	float freq_base; /* 0: no such key */
	int is_tied;
	long n_rot, window, original_context;
	enum qn_random_rope rope;
	float factor; /* of rope */
	float attention_cap, logit_cap;
};

/*
 * The shape of an architecture (NULL: any) and a size or name (NULL: "tiny"), with those numbers from
 * n_layers to n_context that `wanted` has; those of tiny models that it leaves 0 are multiples of
 * `block`.  -1 with a sentence: there is none, or its numbers do not fit each other.
 */
int qn_random_shape_find(const char *arch, const char *size, const struct qn_random_shape *wanted,
			 long block, struct qn_random_shape *shape, struct quern_error *err);

/* All architectures, sizes and names, one model a line. */
void qn_random_shape_list(FILE *out);

#endif
