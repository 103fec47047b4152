/*
 * forward.c: one pass of tokens through a model, from top to bottom.
 *
 * A row of x is a token's vector all the way; everything else is what a layer reads from it and
 * adds to it.  Products take all rows at a time (matmul.c), attention is in attention.c, and
 * what is left is done token by token.
 */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "context.h"

/* ---- tokens on all threads ---- */

struct each {
	struct quern_context *context;
	qn_token_fn *fn;
	const void *arg;
};

static void run_each(void *arg, int thread, int n_threads)
{
	const struct each *each = arg;
	const long n = each->context->n_tokens;

	for (long t = n * thread / n_threads; t < n * (thread + 1) / n_threads; t++)
		each->fn(each->context, t, each->arg);
}

void qn_context_each(struct quern_context *context, qn_token_fn *fn, const void *arg)
{
	const struct qn_lane *lane = qn_context_lane(context);
	struct each each = {context, fn, arg};

	/* A token or two take less time than waking a thread does. */
	if (context->n_tokens < 2 * lane->n_threads)
		run_each(&each, 0, 1);
	else
		qn_pool_run(lane->pool, run_each, &each);
}

/* ---- products ---- */

/* Rows of float weights that a thread takes at a time. */
enum { CHUNK_ROWS = 16 };

struct float_job {
	const struct qn_floats *floats;
	struct qn_float_product product;
	long m;
	_Atomic long next;
};

static void multiply_floats(void *arg, int thread, int n_threads)
{
	struct float_job *job = arg;
	long first;

	(void)thread;
	(void)n_threads;
	while ((first = atomic_fetch_add_explicit(&job->next, CHUNK_ROWS, memory_order_relaxed)) <
	       job->m)
		job->floats->multiply(&job->product, first,
				      first + CHUNK_ROWS < job->m ? first + CHUNK_ROWS : job->m);
}

/* What is added behind a product. */
struct finish {
	const struct qn_linear *linear;
	float *y;
	long y_stride;
};

static void finish_product(struct quern_context *c, long t, const void *arg)
{
	const struct finish *f = arg;
	float *y = f->y + t * f->y_stride;

	for (long i = 0; i < f->linear->m && f->linear->scale != 1; i++)
		y[i] *= f->linear->scale;
	if (f->linear->bias)
		c->engine->floats->add(f->linear->bias, f->linear->m, y);
}

/* y = [linears[0] x, linears[1] x, ...] for all tokens, in rows of y. */
static void multiply(struct quern_context *c, const struct qn_linear *linears, int n,
		     const float *x, long x_stride, float *y, long y_stride)
{
	const struct quern_matrix *packed[3];
	float *outputs[3];
	long strides[3];
	struct qn_matmul call = {packed, 0, x, c->n_tokens, x_stride, outputs, strides};

	for (int i = 0; i < n; i++) {
		const struct qn_linear *linear = &linears[i];

		if (linear->packed) {
			packed[call.n] = linear->packed;
			outputs[call.n] = y;
			strides[call.n++] = y_stride;
		} else {
			struct float_job job = {c->engine->floats,
						{linear->float_type, linear->rows, linear->k,
						 c->n_tokens, x, x_stride, y, y_stride},
						linear->m,
						0};

			qn_pool_run(qn_context_lane(c)->pool, multiply_floats, &job);
		}
		y += linear->m;
	}
	if (call.n)
		qn_matmul_run(c->engine, &call);
	for (int i = n - 1; i >= 0; i--) {
		const struct finish finish = {&linears[i], y -= linears[i].m, y_stride};

		if (linears[i].bias || linears[i].scale != 1)
			qn_context_each(c, finish_product, &finish);
	}
}

/* ---- what is done token by token ---- */

struct norm {
	const struct qn_norm *norm;
	const float *x;
	float *y;
	long n; /* of a token */
};

static void norm_token(struct quern_context *c, long t, const void *arg)
{
	const struct norm *a = arg;

	qn_context_norm(c, a->norm, a->x + t * a->n, a->n, a->y + t * a->n);
}

/* The same for rows of all tokens. */
static void normalize(struct quern_context *c, const struct qn_norm *norm, const float *x, float *y,
		      long n)
{
	const struct norm arg = {norm, x, y, n};

	if (norm->weight)
		qn_context_each(c, norm_token, &arg);
}

/* The first n_ff floats of a row of ff become what ffn_down reads. */
static void activate_token(struct quern_context *c, long t, const void *arg)
{
	const struct quern_model *m = c->model;
	const struct qn_layer *layer = arg;
	float *gate = c->ff + t * 2 * m->n_ff;

	c->engine->floats->activate(m->activation, gate,
				    m->arch->has_no_gate ? NULL : gate + m->n_ff, m->n_ff, gate);
	qn_context_norm(c, &layer->ffn_sub_norm, gate, m->n_ff, gate);
}

static void add_token(struct quern_context *c, long t, const void *arg)
{
	const long n = c->model->n_embd;

	(void)arg;
	c->engine->floats->add(c->o + t * n, n, c->x + t * n);
}

static void embed_token(struct quern_context *c, long t, const void *arg)
{
	const struct quern_model *m = c->model;
	const struct qn_token *token = &c->tokens[t];

	(void)arg;
	qn_model_embed(m, token->id, c->scratch + (size_t)t * qn_model_embed_bytes(m),
		       c->x + t * m->n_embd);
	for (int i = 0; i < m->n_ropes; i++) {
		const long n = m->ropes[i].n_dims / 2;
		float *turn = c->turns[i] + t * 2 * n;

		for (long d = 0; d < n; d++) {
			const double angle = (double)token->position * c->frequencies[i][d];

			turn[d] = (float)(cos(angle) * m->ropes[i].magnitude);
			turn[n + d] = (float)(sin(angle) * m->ropes[i].magnitude);
		}
	}
}

/* ---- layers ---- */

/* Only the last layer's rows whose logits are wanted go on, in the same order. */
static void keep_wanted(struct quern_context *c)
{
	const long n = c->model->n_embd;
	long kept = 0;

	for (long t = 0; t < c->n_tokens; t++) {
		if (!c->tokens[t].is_wanted)
			continue;
		memmove(c->x + kept * n, c->x + t * n, (size_t)n * sizeof *c->x);
		memmove(c->h + kept * n, c->h + t * n, (size_t)n * sizeof *c->h);
		kept++;
	}
	c->n_tokens = kept;
}

static void run_layer(struct quern_context *c, long i)
{
	const struct quern_model *m = c->model;
	const struct qn_layer *layer = &m->layers[i];
	const long n_heads = m->n_heads * m->d_v;

	normalize(c, &layer->attn_norm, c->x, c->h, m->n_embd);
	multiply(c, layer->qkv, layer->n_qkv, c->h, m->n_embd, c->qkv, qn_model_qkv_floats(m));
	qn_attention_run(c, i);
	normalize(c, &layer->attn_sub_norm, c->heads, c->heads, n_heads);
	multiply(c, &layer->out, 1, c->heads, n_heads, c->o, m->n_embd);
	normalize(c, &layer->attn_post_norm, c->o, c->o, m->n_embd);
	qn_context_each(c, add_token, NULL);
	if (i == m->n_layers - 1)
		keep_wanted(c);

	/* In parallel blocks there is no such norm: h stays what attention has read. */
	normalize(c, &layer->ffn_norm, c->x, c->h, m->n_embd);
	multiply(c, layer->up, layer->n_up, c->h, m->n_embd, c->ff, 2 * m->n_ff);
	qn_context_each(c, activate_token, layer);
	multiply(c, &layer->down, 1, c->ff, 2 * m->n_ff, c->o, m->n_embd);
	normalize(c, &layer->ffn_post_norm, c->o, c->o, m->n_embd);
	qn_context_each(c, add_token, NULL);
}

static void cap_logits(struct quern_context *c, float *logits)
{
	const float cap = c->model->logit_softcap;

	for (long i = 0; i < c->n_tokens * c->model->n_vocab && cap > 0; i++)
		logits[i] = cap * tanhf(logits[i] / cap);
}

void qn_forward_run(struct quern_context *c)
{
	const struct quern_model *m = c->model;
	float *logits = c->logits + c->n_outputs * m->n_vocab;

	qn_context_each(c, embed_token, NULL);
	for (long i = 0; i < m->n_layers; i++)
		run_layer(c, i);
	if (!c->n_tokens)
		return;
	normalize(c, &m->output_norm, c->x, c->h, m->n_embd);
	multiply(c, &m->output, 1, c->h, m->n_embd, logits, m->n_vocab);
	cap_logits(c, logits);
	c->n_outputs += c->n_tokens;
}
