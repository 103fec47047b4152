/*
 * attention.c: attention of one layer over all tokens of a pass.
 *
 * First all threads finish queries and keys of their share of the tokens and put keys and values into
 * the cache; then they take units from a counter, a unit being one KV head for one tile of
 * tokens that follow each other, so that a page of the cache is read once for all queries of the
 * unit.  In passes of few tokens a unit is only a span of the positions that the tile sees, so that one long
 * sequence has work for all threads; what comes out for each span is merged at the end.  A
 * unit is computed the same way by whichever thread.
 */
#include <math.h>
#include <stdatomic.h>

#include "context.h"

/* Queries of a unit, and tokens of a tile at most. */
enum { UNIT_QUERIES = 32, TILE_TOKENS = 16 };

/*
 * Passes of up to SPLIT_TOKENS are split, for larger ones have tiles enough; into spans of SPAN_PAGES, or longer
 * ones where these would be more than MAX_SPANS.  The number of threads has no say, for results must not depend on it.
 */
enum { SPLIT_TOKENS = 32, SPAN_PAGES = 8, MAX_SPANS = 32 };

struct job {
	struct quern_context *context;
	const struct qn_layer *layer;
	long index;       /* of the layer */
	long tile_tokens; /* at most */
	long max_spans;   /* of a tile */
	int is_split;     /* is any tile? */
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

/* ---- tiles and spans ---- */

/* Tokens first .. first + n - 1, which see positions from a page on, a span after the other. */
struct tile {
	long run, first, n;
	long page, n_spans, span_pages;
};

/* The first position that a token sees. */
static long first_seen(const struct job *job, long t)
{
	const long end = job->context->tokens[t].position + 1, window = job->context->model->window;

	return job->layer->is_local && end > window ? end - window : 0;
}

static long count_spans(long n_pages)
{
	const long n = (n_pages + SPAN_PAGES - 1) / SPAN_PAGES;

	return n < MAX_SPANS ? n : MAX_SPANS;
}

static void cut_spans(const struct job *job, struct tile *tile)
{
	const struct quern_context *c = job->context;
	const long end = c->tokens[tile->first + tile->n - 1].position + 1;
	long n_pages;

	tile->page = first_seen(job, tile->first) / QN_PAGE;
	n_pages = (end + QN_PAGE - 1) / QN_PAGE - tile->page;
	tile->n_spans = c->n_tokens > SPLIT_TOKENS ? 1 : count_spans(n_pages);
	tile->span_pages = (n_pages + tile->n_spans - 1) / tile->n_spans;
	tile->n_spans = (n_pages + tile->span_pages - 1) / tile->span_pages;
}

/* From a tile, at first {0}, to the next one; 0: there is none. */
static int next_tile(const struct job *job, struct tile *tile)
{
	const struct quern_context *c = job->context;
	long left;

	tile->first += tile->n;
	if (tile->first == c->runs[tile->run].first + c->runs[tile->run].n)
		tile->run++;
	if (tile->run == c->n_runs)
		return 0;
	left = c->runs[tile->run].first + c->runs[tile->run].n - tile->first;
	tile->n = left < job->tile_tokens ? left : job->tile_tokens;
	cut_spans(job, tile);
	return 1;
}

/* What comes out for a span: the peak and the sum that qn_query has, then d_v floats. */
static float *part_of(const struct job *job, long t, long span, long head)
{
	const struct quern_model *m = job->context->model;

	return job->context->parts +
	       ((t * job->max_spans + span) * m->n_heads + head) * (2 + m->d_v);
}

size_t qn_attention_floats(const struct quern_model *m, long n_batch, long n_context)
{
	const long n_tokens = n_batch < SPLIT_TOKENS ? n_batch : SPLIT_TOKENS;
	const long n_spans = count_spans((n_context + QN_PAGE - 1) / QN_PAGE);

	return n_spans < 2 ? 0 : (size_t)(n_tokens * n_spans * m->n_heads * (2 + m->d_v));
}

/* ---- units ---- */

/* What token t and a head see of positions low .. high - 1. */
static struct qn_query make_query(const struct job *job, long t, long head, long low, long high)
{
	const struct quern_context *c = job->context;
	const struct quern_model *m = c->model;
	const long first = first_seen(job, t), end = c->tokens[t].position + 1;

	return (struct qn_query){
		.q = c->qkv + t * qn_model_qkv_floats(m) + head * m->d_k,
		.out = c->heads + (t * m->n_heads + head) * m->d_v,
		.first = first > low ? first : low,
		.end = end < high ? end : high,
	};
}

/* All queries of a tile that read this KV head. */
static void attend_unit(const struct job *job, const struct tile *tile, long span, long kv_head)
{
	const struct quern_context *c = job->context;
	const struct quern_model *m = c->model;
	const long group = m->n_heads / m->n_kv_heads;
	const long low = (tile->page + span * tile->span_pages) * QN_PAGE;
	const long high = low + tile->span_pages * QN_PAGE;
	struct qn_query queries[UNIT_QUERIES];
	struct qn_attend attend = {
		.cache = c->cache.memory + (size_t)job->index * c->cache.layer_bytes +
			 (size_t)kv_head * c->cache.head_bytes,
		.pages = c->cache.sequences[c->tokens[tile->first].sequence].pages,
		.page_bytes = c->cache.page_bytes,
		.is_bytes = c->cache.is_bytes,
		.d_k = m->d_k,
		.d_v = c->cache.d_v,
		.d_out = m->d_v,
		.scale = m->attn_scale,
		.softcap = m->attn_softcap,
		.queries = queries,
	};

	for (long t = tile->first; t < tile->first + tile->n; t++) {
		for (long h = kv_head * group; h < (kv_head + 1) * group; h++) {
			struct qn_query *query = &queries[attend.n_queries];

			*query = make_query(job, t, h, low, high);
			if (tile->n_spans > 1) {
				query->part = part_of(job, t, span, h);
				query->out = query->part + 2;
			}
			if (query->first >= query->end) { /* the token sees nothing of it */
				query->part[0] = -INFINITY;
				continue;
			}
			if (++attend.n_queries == UNIT_QUERIES) {
				c->engine->floats->attend(&attend);
				attend.n_queries = 0;
			}
		}
	}
	if (attend.n_queries)
		c->engine->floats->attend(&attend);
}

static void attend_units(struct job *job)
{
	const long n_heads = job->context->model->n_kv_heads;
	struct tile tile = {0};
	long unit, before = 0, n = 0; /* units of tiles before this one, and its own */

	while ((unit = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed)) >= 0) {
		/* Units come in ascending order, and so do tiles. */
		while (unit - before >= n) {
			before += n;
			if (!next_tile(job, &tile))
				return;
			n = tile.n_spans * n_heads;
		}
		attend_unit(job, &tile, (unit - before) / n_heads, (unit - before) % n_heads);
	}
}

/* A thread's share of the heads of all tokens of tiles that are split. */
static void merge_heads(const struct job *job, int thread, int n_threads)
{
	const struct quern_context *c = job->context;
	const long n = c->model->n_heads, d = c->model->d_v, stride = n * (2 + d);
	struct tile tile = {0};

	while (next_tile(job, &tile)) {
		for (long t = tile.first; t < tile.first + tile.n && tile.n_spans > 1; t++) {
			for (long h = n * thread / n_threads; h < n * (thread + 1) / n_threads; h++)
				c->engine->floats->merge(part_of(job, t, 0, h), stride,
							 tile.n_spans, d,
							 c->heads + (t * n + h) * d);
		}
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
	if (!job->is_split)
		return;
	if (n_threads > 1)
		qn_pool_barrier(qn_context_lane(job->context)->pool);
	merge_heads(job, thread, n_threads);
}

void qn_attention_run(struct quern_context *context, long layer)
{
	const struct quern_model *model = context->model;
	const long group = model->n_heads / model->n_kv_heads;
	struct job job = {.context = context, .layer = &model->layers[layer], .index = layer};
	struct tile tile = {0};

	job.tile_tokens = UNIT_QUERIES / group;
	job.tile_tokens = job.tile_tokens > TILE_TOKENS ? TILE_TOKENS : job.tile_tokens;
	job.tile_tokens = job.tile_tokens < 1 ? 1 : job.tile_tokens;
	job.max_spans = count_spans((context->cache.n_context + QN_PAGE - 1) / QN_PAGE);
	while (!job.is_split && context->n_tokens <= SPLIT_TOKENS && next_tile(&job, &tile))
		job.is_split = tile.n_spans > 1;
	atomic_store_explicit(&job.next, 0, memory_order_relaxed);
	qn_pool_run(qn_context_lane(context)->pool, run_thread, &job);
}
