/*
 * attention.c: attention of one layer over all tokens of a pass.
 *
 * First all threads finish queries and keys of their share of the tokens and put keys and values into
 * the cache; then they take units from a counter, a unit being one KV head for one tile of
 * tokens that follow each other, so that a page of the cache is read once for all queries of the
 * unit.  A unit is computed the same way by whichever thread.
 */
#include <stdatomic.h>

#include "context.h"

/* Queries of a unit, and tokens of a tile at most. */
enum { UNIT_QUERIES = 32, TILE_TOKENS = 16 };

struct job {
	struct quern_context *context;
	const struct qn_layer *layer;
	long index;       /* of the layer */
	long tile_tokens; /* at most */
	_Atomic long next;
};

/* ---- queries and keys ---- */

static void turn_head(const struct qn_rope *rope, const float *turn, float *head)
{
	const long n = rope->n_dims / 2, step = rope->halves ? 1 : 2, other = rope->halves ? n : 1;
	const float *cosines = turn, *sines = turn + n;

	for (long i = 0; i < n; i++) {
		float *a = head + i * step, *b = a + other;
		const float x = *a, y = *b;

		*a = x * cosines[i] - y * sines[i];
		*b = x * sines[i] + y * cosines[i];
	}
}

static void finish_heads(const struct job *job, const struct qn_norm *norm, const float *turn,
			 float *heads, long n)
{
	const struct quern_context *c = job->context;
	const struct quern_model *model = c->model;
	const struct qn_rope *rope = &model->ropes[job->layer->rope];

	for (long h = 0; h < n; h++, heads += model->d_k) {
		qn_context_norm(c, norm, heads, model->d_k, heads);
		turn_head(rope, turn, heads);
	}
}

static void store_token(const struct job *job, long t)
{
	const struct quern_context *c = job->context;
	const struct quern_model *m = c->model;
	const struct qn_token *token = &c->tokens[t];
	const int rope = job->layer->rope;
	const float *turn = c->turns[rope] + t * m->ropes[rope].n_dims;
	float *q = c->qkv + t * qn_model_qkv_floats(m), *k = q + m->n_heads * m->d_k;

	finish_heads(job, &job->layer->q_norm, turn, q, m->n_heads);
	finish_heads(job, &job->layer->k_norm, turn, k, m->n_kv_heads);
	qn_cache_store(&c->cache, job->index, token->sequence, token->position, k,
		       k + m->n_kv_heads * m->d_k, m->d_v);
}

/* ---- units ---- */

/* All queries of tokens first .. first + n - 1 (of one sequence) that read this KV head. */
static void attend_unit(const struct job *job, long first, long n, long kv_head)
{
	const struct quern_context *c = job->context;
	const struct quern_model *m = c->model;
	const long group = m->n_heads / m->n_kv_heads;
	struct qn_query queries[UNIT_QUERIES];
	struct qn_attend attend = {
		.cache = c->cache.memory + (size_t)job->index * c->cache.layer_bytes +
			 (size_t)kv_head * c->cache.head_bytes,
		.pages = c->cache.sequences[c->tokens[first].sequence].pages,
		.page_bytes = c->cache.page_bytes,
		.is_bytes = c->cache.is_bytes,
		.d_k = m->d_k,
		.d_v = c->cache.d_v,
		.d_out = m->d_v,
		.scale = m->attn_scale,
		.softcap = m->attn_softcap,
		.queries = queries,
	};

	for (long t = first; t < first + n; t++) {
		const long end = c->tokens[t].position + 1;
		const long start = job->layer->is_local && end > m->window ? end - m->window : 0;

		for (long h = kv_head * group; h < (kv_head + 1) * group; h++) {
			queries[attend.n_queries++] = (struct qn_query){
				.q = c->qkv + t * qn_model_qkv_floats(m) + h * m->d_k,
				.out = c->heads + (t * m->n_heads + h) * m->d_v,
				.first = start,
				.end = end,
			};
			if (attend.n_queries == UNIT_QUERIES) {
				c->engine->floats->attend(&attend);
				attend.n_queries = 0;
			}
		}
	}
	if (attend.n_queries)
		c->engine->floats->attend(&attend);
}

static long tiles_of(const struct job *job, const struct qn_run *run)
{
	return (run->n + job->tile_tokens - 1) / job->tile_tokens;
}

static void attend_units(struct job *job)
{
	const struct quern_context *c = job->context;
	const long n_heads = c->model->n_kv_heads;
	long unit, before = 0, run = 0;

	while ((unit = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed)) >= 0) {
		long tile = unit / n_heads, first, n;

		/* Units come in ascending order, and so do runs. */
		while (run < c->n_runs && tile - before >= tiles_of(job, &c->runs[run]))
			before += tiles_of(job, &c->runs[run++]);
		if (run == c->n_runs)
			return;
		first = (tile - before) * job->tile_tokens;
		n = c->runs[run].n - first;
		attend_unit(job, c->runs[run].first + first,
			    n < job->tile_tokens ? n : job->tile_tokens, unit % n_heads);
	}
}

static void run_thread(void *arg, int thread, int n_threads)
{
	struct job *job = arg;
	const long n = job->context->n_tokens;

	for (long t = n * thread / n_threads; t < n * (thread + 1) / n_threads; t++)
		store_token(job, t);
	if (n_threads > 1)
		qn_pool_barrier(qn_context_lane(job->context)->pool);
	attend_units(job);
}

void qn_attention_run(struct quern_context *context, long layer)
{
	const struct quern_model *model = context->model;
	const long group = model->n_heads / model->n_kv_heads;
	struct job job = {.context = context, .layer = &model->layers[layer], .index = layer};

	job.tile_tokens = UNIT_QUERIES / group;
	job.tile_tokens = job.tile_tokens > TILE_TOKENS ? TILE_TOKENS : job.tile_tokens;
	job.tile_tokens = job.tile_tokens < 1 ? 1 : job.tile_tokens;
	atomic_store_explicit(&job.next, 0, memory_order_relaxed);
	qn_pool_run(qn_context_lane(context)->pool, run_thread, &job);
}
