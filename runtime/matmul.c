/*
 * matmul.c: one job of the pool per call.
 *
 * For every pass of tokens all threads quantise a slice of K each and prepare it for the kernels,
 * meet at a barrier, then take chunks of panels from a counter until none is left.  shares.h says
 * how large slices and chunks are.  A row is computed the same way in whatever chunk it lies, so results
 * do not depend on that.
 */
#include "matmul.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "error.h"
#include "pages.h"

/* Memory that a call does not touch is never backed, so room for whole passes costs nothing. */
static size_t acts_bytes(const struct quern_engine *engine, long k, size_t prepared_bytes)
{
	const size_t n = (size_t)k * QN_PASS_TOKENS, groups = n / QN_GROUP;

	return n + groups * (sizeof(float) + 3 * sizeof(int32_t)) +
	       (size_t)engine->most_threads * QN_PASS_TOKENS * sizeof(float) +
	       QN_MAX_PREPARES * (size_t)k / QN_GROUP * prepared_bytes;
}

static int reserve_acts(struct quern_engine *engine, long k, size_t prepared_bytes,
			struct quern_error *err)
{
	const size_t groups = (size_t)k / QN_GROUP, n_bytes = acts_bytes(engine, k, prepared_bytes);
	uint8_t *p = qn_pages_alloc(n_bytes, 1);

	if (!p)
		return qn_error_set(err, "no memory for the activations of K = %ld (%zu bytes)", k,
				    n_bytes);
	qn_pages_free(engine->acts_memory,
		      acts_bytes(engine, engine->k_capacity, engine->prepared_capacity));
	engine->acts_memory = p;
	engine->k_capacity = k;
	engine->prepared_capacity = prepared_bytes;
	for (int i = 0; i < QN_MAX_PREPARES; i++) {
		engine->prepared[i] = p;
		p += groups * prepared_bytes;
	}
	engine->q = (int8_t *)p;
	p += (size_t)k * QN_PASS_TOKENS;
	engine->scale = (float *)(void *)p;
	p += groups * QN_PASS_TOKENS * sizeof(float);
	engine->sum = (int32_t *)(void *)p;
	engine->half_sum = engine->sum + groups * QN_PASS_TOKENS;
	engine->amax = (float *)(engine->half_sum + 2 * groups * QN_PASS_TOKENS);
	return 0;
}

static int reserve_scratch(struct quern_engine *engine, size_t n_bytes, struct quern_error *err)
{
	const size_t rounded = (n_bytes + 4095) / 4096 * 4096;
	uint8_t *p = qn_pages_alloc(rounded * (size_t)engine->most_threads, 1);

	if (!p)
		return qn_error_set(err, "no memory for %zu bytes of scratch for %d threads",
				    rounded, engine->most_threads);
	qn_pages_free(engine->scratch_memory,
		      engine->scratch_capacity * (size_t)engine->most_threads);
	engine->scratch_memory = p;
	engine->scratch_capacity = rounded;
	return 0;
}

/* Of 32 k of a pass; rounding up to whole tiles may add tokens. */
static size_t prepared_room(const struct qn_kernel *kernel)
{
	return (QN_PASS_TOKENS + (size_t)kernel->token_tile) * kernel->prepared_bytes;
}

int qn_matmul_reserve(struct quern_engine *engine, long k, const struct qn_kernel *const *kernels,
		      int n, struct quern_error *err)
{
	const long padded = (k + QN_K_PAD - 1) / QN_K_PAD * QN_K_PAD;
	size_t scratch = 0, prepared = engine->prepared_capacity;

	for (int i = 0; i < n; i++) {
		if (kernels[i]->scratch_bytes > scratch)
			scratch = kernels[i]->scratch_bytes;
		if (prepared_room(kernels[i]) > prepared)
			prepared = prepared_room(kernels[i]);
	}
	if (scratch > engine->scratch_capacity && reserve_scratch(engine, scratch, err))
		return -1;
	if (padded <= engine->k_capacity && prepared <= engine->prepared_capacity)
		return 0;
	return reserve_acts(engine, padded > engine->k_capacity ? padded : engine->k_capacity,
			    prepared, err);
}

void qn_matmul_release(struct quern_engine *engine)
{
	qn_pages_free(engine->acts_memory,
		      acts_bytes(engine, engine->k_capacity, engine->prepared_capacity));
	qn_pages_free(engine->scratch_memory,
		      engine->scratch_capacity * (size_t)engine->most_threads);
}

/* One pass. */
struct job {
	struct quern_engine *engine;
	struct qn_lane *lane;
	const struct qn_matmul *call;
	struct qn_acts x;
	long first_token;
	int act, act_top;                                  /* of all matrices' kernels */
	const struct qn_kernel *prepares[QN_MAX_PREPARES]; /* one kernel of each distinct form */
	int n_prepares;
	const long *first; /* units of each thread's chunk, see qn_shares_first */
	int learns;
	long n_units, n_all_units; /* of a matrix, of all */
	_Atomic long next;
};

static int same_prepared(const struct qn_kernel *a, const struct qn_kernel *b)
{
	return a->prepare == b->prepare && a->token_tile == b->token_tile && a->bias == b->bias &&
	       a->start_k == b->start_k && a->float_start == b->float_start && a->sums == b->sums &&
	       a->prepared_bytes == b->prepared_bytes && a->act == b->act && a->adds == b->adds &&
	       a->per_step == b->per_step;
}

/* Slot of what a kernel wants prepared, or -1. */
static int slot_of(const struct job *job, const struct qn_kernel *kernel)
{
	for (int i = 0; i < job->n_prepares && kernel->prepare; i++) {
		if (same_prepared(job->prepares[i], kernel))
			return i;
	}
	return -1;
}

/* A slice of K of one token: whole groups where they lie, then what is left over, padded with zeros. */
struct slice {
	const float *whole;
	long n_whole, n_rest, n_zero; /* groups */
	float tail[QN_GROUP];
};

static void cut_slice(const struct job *job, long token, long first, long end, struct slice *s)
{
	const struct qn_matmul *call = job->call;
	const float *x = call->x + (job->first_token + token) * call->x_stride;
	const long k = call->matrices[0]->k, whole = k / QN_GROUP, left = k % QN_GROUP;

	s->whole = x + first * QN_GROUP;
	s->n_whole = (whole < end ? whole : end) - first;
	if (s->n_whole < 0)
		s->n_whole = 0;
	s->n_rest = left && whole >= first && whole < end;
	s->n_zero = end - first - s->n_whole - s->n_rest;
	memset(s->tail, 0, sizeof s->tail);
	if (s->n_rest)
		memcpy(s->tail, x + whole * QN_GROUP, (size_t)left * sizeof(float));
}

/* Groups first .. end-1 of a token; amax of all of it, or less than 0 for one a group. */
static void quantize_slice(const struct job *job, long token, long first, long end, float amax)
{
	const struct quern_engine *engine = job->engine;
	const long at = token * (job->x.k / QN_GROUP) + first;
	int8_t *q = engine->q + at * QN_GROUP;
	float *scale = engine->scale + at;
	int32_t *sum = engine->sum + at, *half = engine->half_sum + 2 * at;
	struct slice s;
	long n;

	cut_slice(job, token, first, end, &s);
	n = s.n_whole;
	if (n)
		engine->isa->quantize(s.whole, n * QN_GROUP, amax, job->act_top, q, scale, sum,
				      half);
	if (s.n_rest) {
		engine->isa->quantize(s.tail, QN_GROUP, amax, job->act_top, q + n * QN_GROUP,
				      scale + n, sum + n, half + 2 * n);
		n++;
	}
	memset(q + n * QN_GROUP, 0, (size_t)(s.n_zero * QN_GROUP));
	memset(sum + n, 0, (size_t)s.n_zero * sizeof *sum);
	memset(half + 2 * n, 0, 2 * (size_t)s.n_zero * sizeof *half);
	for (long i = 0; i < s.n_zero; i++)
		scale[n + i] = amax < 0 ? 0 : amax / (float)job->act_top;
}

/* NaN stays. */
static float larger(float a, float b)
{
	return a != a || b <= a ? a : b;
}

/* The peak of groups first .. end-1 of a token. */
static float find_peak(const struct job *job, long token, long first, long end)
{
	const struct qn_isa *isa = job->engine->isa;
	struct slice s;

	cut_slice(job, token, first, end, &s);
	return larger(isa->amax(s.whole, s.n_whole * QN_GROUP), isa->amax(s.tail, QN_GROUP));
}

/* a8r, more tokens than threads: each thread takes whole tokens, which stay near while it does. */
static void quantize_tokens(const struct job *job, int thread, int n_threads)
{
	const long groups = job->x.k / QN_GROUP, n = job->x.n_tokens, *first = job->first;

	for (long t = n * first[thread] / first[n_threads];
	     t < n * first[thread + 1] / first[n_threads]; t++)
		quantize_slice(job, t, 0, groups, find_peak(job, t, 0, groups));
	if (n_threads > 1)
		qn_pool_barrier(job->lane->pool);
}

/* a8r, few tokens: each thread finds the peaks of its slice of K, then knows those of all. */
static void quantize_shared(const struct job *job, int thread, int n_threads, long first, long end)
{
	const struct quern_engine *engine = job->engine;

	for (long t = 0; t < job->x.n_tokens; t++)
		engine->amax[(long)thread * QN_PASS_TOKENS + t] = find_peak(job, t, first, end);
	if (n_threads > 1)
		qn_pool_barrier(job->lane->pool);
	for (long t = 0; t < job->x.n_tokens; t++) {
		float peak = 0;

		for (int i = 0; i < n_threads; i++)
			peak = larger(peak, engine->amax[(long)i * QN_PASS_TOKENS + t]);
		quantize_slice(job, t, first, end, peak);
	}
}

/* a8g256: peaks of 256 at a time; first and end are multiples of them. */
static void quantize_blocks(const struct job *job, long first, long end)
{
	const long each = QN_K_PAD / QN_GROUP;

	for (long t = 0; t < job->x.n_tokens; t++) {
		for (long g = first; g < end; g += each)
			quantize_slice(job, t, g, g + each, find_peak(job, t, g, g + each));
	}
}

static void prepare_slice(const struct job *job, int thread, int n_threads)
{
	const long n_pads = job->x.k / QN_K_PAD, pad_groups = QN_K_PAD / QN_GROUP;
	const long first = n_pads * job->first[thread] / job->first[n_threads] * pad_groups;
	const long end = n_pads * job->first[thread + 1] / job->first[n_threads] * pad_groups;

	if (job->act == QN_A8R && job->x.n_tokens >= n_threads) {
		quantize_tokens(job, thread, n_threads);
	} else if (job->act == QN_A8R) {
		quantize_shared(job, thread, n_threads, first, end);
	} else if (job->act == QN_A8G256) {
		quantize_blocks(job, first, end);
	} else {
		for (long t = 0; t < job->x.n_tokens; t++)
			quantize_slice(job, t, first, end, -1);
	}
	if (first == end)
		return;
	for (int i = 0; i < job->n_prepares; i++)
		job->prepares[i]->prepare(job->prepares[i], &job->x, first, end,
					  job->engine->prepared[i]);
}

/*
 * Panels first .. end-1.  Tokens that do not fill the kernel's last tile go through the matrix's kernel
 * for so few, panel by panel, while the panel is near.
 */
static void run_panels(const struct quern_matrix *matrix, const struct qn_kernel *kernel,
		       const struct qn_job *work, long first, long end)
{
	const long left = work->x.n_tokens % kernel->token_tile, whole = work->x.n_tokens - left;
	const struct qn_kernel *few = left ? qn_matrix_kernel(matrix, left) : kernel;
	struct qn_job most = *work, rest = *work;

	if (!whole || few->token_tile >= kernel->token_tile || kernel->prepare || few->prepare ||
	    few->act_top != kernel->act_top) {
		kernel->run(work, first, end);
		return;
	}
	most.x.n_tokens = whole;
	rest.x = qn_token(&work->x, whole, 0);
	rest.x.n_tokens = left;
	rest.y += whole * work->y_stride;
	for (long p = first; p < end; p++) {
		kernel->run(&most, p, p + 1);
		few->run(&rest, p, p + 1);
	}
}

/* Units first .. end-1 of matrix i; returns how many bytes of weights that took. */
static double multiply_units(const struct job *job, int i, long first, long end, int thread)
{
	const struct quern_engine *engine = job->engine;
	const struct qn_matmul *call = job->call;
	const struct quern_matrix *matrix = call->matrices[i];
	const struct qn_kernel *kernel = qn_matrix_kernel(matrix, call->n_tokens);
	const int slot = slot_of(job, kernel);
	struct qn_job work = {
		.weights = matrix->packed,
		.panel_bytes = matrix->panel_bytes,
		.n_rows = matrix->m,
		.n_blocks = matrix->n_blocks,
		.x = job->x,
		.y = call->y[i] + job->first_token * call->y_stride[i],
		.y_stride = call->y_stride[i],
	};

	if (engine->scratch_memory) /* does a kernel want some? */
		work.scratch = engine->scratch_memory + (size_t)thread * engine->scratch_capacity;
	work.x.prepared = slot < 0 ? NULL : engine->prepared[slot];
	first = matrix->n_panels * first / job->n_units;
	end = matrix->n_panels * end / job->n_units;
	work.n_near = end;
	if (first < end)
		run_panels(matrix, kernel, &work, first, end);
	return (double)(end - first) * (double)matrix->panel_bytes;
}

/* Takes chunks until none is left, which may reach from one matrix into the next. */
static double multiply_chunks(struct job *job, int thread)
{
	const long size = job->first[thread + 1] - job->first[thread];
	double n_bytes = 0;
	long unit;

	while ((unit = atomic_fetch_add_explicit(&job->next, size, memory_order_relaxed)) <
	       job->n_all_units) {
		const long end = unit + size < job->n_all_units ? unit + size : job->n_all_units;

		while (unit < end) {
			const long i = unit / job->n_units, start = i * job->n_units;
			const long stop = end < start + job->n_units ? end : start + job->n_units;

			n_bytes += multiply_units(job, (int)i, unit - start, stop - start, thread);
			unit = stop;
		}
	}
	return n_bytes;
}

static void run_thread(void *arg, int thread, int n_threads)
{
	struct job *job = arg;
	struct qn_shares *shares = job->lane->shares;
	int64_t start;
	double n_bytes;

	prepare_slice(job, thread, n_threads);
	if (n_threads > 1)
		qn_pool_barrier(job->lane->pool);
	if (!job->learns) {
		multiply_chunks(job, thread);
		return;
	}
	start = qn_shares_now_ns(shares);
	n_bytes = multiply_chunks(job, thread);
	qn_shares_note(shares, thread, n_bytes, qn_shares_now_ns(shares) - start);
}

/*
 * Lists what the first matrices want prepared; returns how many of them share activations and find
 * room for it.
 */
static int collect_prepares(struct job *job)
{
	const struct quern_engine *engine = job->engine;

	job->act = job->call->matrices[0]->what.act;
	job->act_top = qn_matrix_kernel(job->call->matrices[0], job->call->n_tokens)->act_top;
	for (int i = 0; i < job->call->n; i++) {
		const struct quern_matrix *matrix = job->call->matrices[i];
		const struct qn_kernel *kernel = qn_matrix_kernel(matrix, job->call->n_tokens);

		assert(matrix->k <= engine->k_capacity &&
		       prepared_room(kernel) <= engine->prepared_capacity &&
		       kernel->scratch_bytes <= engine->scratch_capacity);
		if (matrix->what.act != job->act || kernel->act_top != job->act_top)
			return i;
		if (!kernel->prepare || slot_of(job, kernel) >= 0)
			continue;
		if (job->n_prepares == QN_MAX_PREPARES)
			return i;
		job->prepares[job->n_prepares++] = kernel;
	}
	return job->call->n;
}

/* Bytes of weights times tokens that are not worth waking other threads for, about a microsecond's.
 */
#define ALONE_BYTES (32 << 10)

static int run_alone(const struct qn_matmul *call)
{
	size_t n_bytes = 0;

	for (int i = 0; i < call->n; i++)
		n_bytes += qn_matrix_bytes(call->matrices[i]);
	return n_bytes * (size_t)call->n_tokens < ALONE_BYTES;
}

static void run_passes(struct job *job, int n_matrices)
{
	const struct qn_matmul *call = job->call;
	struct quern_engine *engine = job->engine;
	const int n_threads = run_alone(call) ? 1 : job->lane->n_threads;
	const enum qn_shares_work work = qn_shares_work_of(call->n_tokens);
	static const long alone[] = {0, 1};

	/* Alone, a thread takes whole matrices. */
	job->first = n_threads == 1 ? alone : qn_shares_first(job->lane->shares, work);
	job->learns = n_threads > 1 && qn_shares_learns(job->lane->shares);
	job->n_units = n_threads == 1 ? 1 : QN_SHARES_CHUNKS * job->first[n_threads];
	job->n_all_units = job->n_units * n_matrices;
	for (long t = 0; t < call->n_tokens; t += QN_PASS_TOKENS) {
		job->first_token = t;
		job->x = (struct qn_acts){
			.n_tokens = call->n_tokens - t < QN_PASS_TOKENS ? call->n_tokens - t
									: QN_PASS_TOKENS,
			.k = (call->matrices[0]->k + QN_K_PAD - 1) / QN_K_PAD * QN_K_PAD,
			.q = engine->q,
			.scale = engine->scale,
			.sum = engine->sum,
			.half_sum = engine->half_sum,
			.x = call->x + t * call->x_stride,
			.x_stride = call->x_stride,
			.x_k = call->matrices[0]->k,
		};
		atomic_store_explicit(&job->next, 0, memory_order_relaxed);
		if (n_threads == 1)
			run_thread(job, 0, 1);
		else
			qn_pool_run(job->lane->pool, run_thread, job);
		if (job->learns)
			qn_shares_learn(job->lane->shares, work);
	}
}

void qn_matmul_run(struct quern_engine *engine, const struct qn_matmul *call)
{
	struct qn_matmul rest = *call;

	while (rest.n > 0) { /* more than once only when they want different things */
		struct job job = {.engine = engine,
				  .lane = qn_matmul_lane(engine, call->n_tokens),
				  .call = &rest};
		const int n = collect_prepares(&job);

		run_passes(&job, n);
		rest.matrices += n;
		rest.y += n;
		rest.y_stride += n;
		rest.n -= n;
	}
}
