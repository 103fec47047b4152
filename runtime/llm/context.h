/*
 * context.h: what a model computes with: the cache, and room for the vectors of one pass.
 */
#ifndef QN_CONTEXT_H
#define QN_CONTEXT_H

#include "cache.h"

struct qn_token {
	int32_t id;
	int sequence;
	long position;
	int is_wanted; /* its logits are */
};

/* Tokens of a pass that follow each other in a sequence, so that they read the same keys together. */
struct qn_run {
	long first, n;
};

struct quern_context {
	const struct quern_model *model;
	struct quern_engine *engine;
	struct qn_cache cache;
	long n_batch, max_outputs;
	double *frequencies[2]; /* [n_dims / 2] of each rope, in radians a position */

	/* Of one pass: tokens in the order of their rows. */
	struct qn_token *tokens; /* [n_batch] */
	long n_tokens;
	struct qn_run *runs; /* [n_batch] */
	long n_runs;
	float *x;         /* [n_batch][n_embd], what layers add to */
	float *h;         /* [n_batch][n_embd], normalized: what matrices read */
	float *o;         /* [n_batch][n_embd], what attention and feed-forward add to x */
	float *qkv;       /* [n_batch][qn_model_qkv_floats], queries, keys, values */
	float *heads;     /* [n_batch][n_heads d_v], what attention gives */
	float *ff;        /* [n_batch][2 n_ff], gate (if any) and up */
	float *turns[2];  /* [n_batch][n_dims], cosines, then sines, of each rope */
	uint8_t *scratch; /* [n_batch] of qn_model_embed_bytes */
	float *parts;     /* of attention, see qn_attention_floats */

	float *logits; /* [max_outputs][n_vocab] */
	long n_outputs;

	void *memory; /* of all of the vectors */
	size_t memory_bytes;
};

/* Runs context->tokens through the model; their keys and values have pages.  Adds rows to logits. */
void qn_forward_run(struct quern_context *context);

/* Room for parts in a context of this length. */
size_t qn_attention_floats(const struct quern_model *model, long n_batch, long n_context);

/*
 * Attention of one layer over all tokens of the pass: qkv -> heads.  Norms of heads, turns and the
 * cache included.
 */
void qn_attention_run(struct quern_context *context, long layer);

/* Calls fn for each token, on all threads where there are many.  fn(context, token, arg) */
typedef void qn_token_fn(struct quern_context *context, long token, const void *arg);
void qn_context_each(struct quern_context *context, qn_token_fn *fn, const void *arg);

/*
 * The threads of this step of the pass.  Behind a prompt only the tokens whose logits are wanted go
 * through the last layer's products, mostly one: those are few tokens' work.
 */
static inline struct qn_lane *qn_context_lane(const struct quern_context *context)
{
	return qn_matmul_lane(context->engine, context->n_tokens);
}

/* y = norm(x), n floats; a model without this norm leaves y as it is.  y may be x. */
static inline void qn_context_norm(const struct quern_context *context, const struct qn_norm *norm,
				   const float *x, long n, float *y)
{
	if (norm->weight)
		context->engine->floats->norm(x, n, context->model->arch->is_centred,
					      (float)context->model->norm_eps, norm->weight,
					      norm->bias, y);
}

#endif
