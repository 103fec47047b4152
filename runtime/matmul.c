/*
 * matmul.c: one job of the pool per call.
 *
 * For every token all threads quantise a slice of the activations each and build its
 * tables, meet at a barrier, then take chunks of panels from a counter until none is left.
 * Two sets of buffers take turns, so that one barrier a token is enough.
 */
#include "matmul.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "pages.h"

/* Bytes of tables for 32 activations; every family's fit. */
#define TABLE_BYTES 256

static size_t scratch_bytes(long k)
{
	const size_t n = (size_t)k, groups = n / QN_GROUP;

	return n + groups * (sizeof(float) + sizeof(int32_t) + QN_MAX_PREPARES * TABLE_BYTES);
}

int qn_matmul_reserve(struct quern_engine *engine, long k, struct quern_error *err)
{
	const long padded = (k + QN_K_PAD - 1) / QN_K_PAD * QN_K_PAD;
	uint8_t *p;

	if (padded <= engine->k_capacity)
		return 0;
	p = qn_pages_alloc(2 * scratch_bytes(padded), 1);
	if (!p)
		return qn_error_set(err, "no memory for the activations of K = %ld (%zu bytes)", k,
				    2 * scratch_bytes(padded));
	qn_pages_free(engine->scratch_memory, 2 * scratch_bytes(engine->k_capacity));
	engine->scratch_memory = p;
	engine->k_capacity = padded;
	for (int i = 0; i < 2; i++) {
		struct qn_scratch *s = &engine->scratch[i];
		const size_t groups = (size_t)padded / QN_GROUP;

		for (int t = 0; t < QN_MAX_PREPARES; t++, p += groups * TABLE_BYTES)
			s->tables[t] = p;
		s->q = (int8_t *)p;
		p += padded;
		s->scale = (float *)(void *)p;
		p += groups * sizeof(float);
		s->sum = (int32_t *)(void *)p;
		p += groups * sizeof(int32_t);
	}
	return 0;
}

void qn_matmul_release(struct quern_engine *engine)
{
	qn_pages_free(engine->scratch_memory, 2 * scratch_bytes(engine->k_capacity));
}

struct job {
	struct quern_engine *engine;
	const struct qn_matmul *call;
	qn_prepare_fn *prepares[QN_MAX_PREPARES];
	int n_prepares;
	long n_chunks, n_all_chunks;            /* of a matrix, of all */
	_Atomic long next[2];
};

/* Table slot of a kernel, or -1 when it needs none. */
static int slot_of(const struct job *job, const struct qn_kernel *kernel)
{
	for (int i = 0; i < job->n_prepares; i++) {
		if (job->prepares[i] == kernel->prepare)
			return i;
	}
	return -1;
}

/* Quantises groups first .. end-1 of x, zeros beyond k. */
static void quantize_slice(const struct qn_isa *isa, const float *x, long k, long first, long end,
			   struct qn_scratch *s)
{
	const long whole = k / QN_GROUP < end ? k / QN_GROUP : end;
	float tail[QN_GROUP] = { 0 };

	if (first < whole)
		isa->quantize(x + first * QN_GROUP, (whole - first) * QN_GROUP, s->q + first * QN_GROUP,
			      s->scale + first, s->sum + first);
	for (long g = first > whole ? first : whole; g < end; g++) {
		const long left = k - g * QN_GROUP;

		memset(tail, 0, sizeof tail);
		if (left > 0)
			memcpy(tail, x + g * QN_GROUP, (size_t)left * sizeof(float));
		isa->quantize(tail, QN_GROUP, s->q + g * QN_GROUP, s->scale + g, s->sum + g);
	}
}

static void prepare_slice(const struct job *job, long token, int thread, int n_threads)
{
	struct qn_scratch *s = &job->engine->scratch[token & 1];
	const long k = job->call->matrices[0]->k;
	const long n_pads = (k + QN_K_PAD - 1) / QN_K_PAD, pad_groups = QN_K_PAD / QN_GROUP;
	const long first = n_pads * thread / n_threads * pad_groups;
	const long end = n_pads * (thread + 1) / n_threads * pad_groups;

	quantize_slice(job->engine->isa, job->call->x + token * job->call->x_stride, k, first, end, s);
	for (int i = 0; i < job->n_prepares; i++)
		job->prepares[i](s->q + first * QN_GROUP, end - first,
				 s->tables[i] + first * TABLE_BYTES);
}

static void multiply_chunk(const struct job *job, long token, long chunk)
{
	const struct qn_matmul *call = job->call;
	const int i = (int)(chunk / job->n_chunks);
	const struct quern_matrix *matrix = call->matrices[i];
	const struct qn_scratch *s = &job->engine->scratch[token & 1];
	const int slot = slot_of(job, matrix->kernel);
	const struct qn_job work = {
		.weights = matrix->packed,
		.panel_bytes = matrix->panel_bytes,
		.n_rows = matrix->m,
		.n_blocks = matrix->n_blocks,
		.x = { s->q, s->scale, s->sum, slot < 0 ? NULL : s->tables[slot] },
		.y = call->y[i] + token * call->y_stride[i],
	};

	chunk %= job->n_chunks;
	matrix->kernel->run(&work, matrix->n_panels * chunk / job->n_chunks,
			    matrix->n_panels * (chunk + 1) / job->n_chunks);
}

static void run_thread(void *arg, int thread, int n_threads)
{
	struct job *job = arg;

	for (long token = 0; token < job->call->n_tokens; token++) {
		_Atomic long *next = &job->next[token & 1];
		long chunk;

		if (thread == 0)
			atomic_store_explicit(next, 0, memory_order_relaxed);
		prepare_slice(job, token, thread, n_threads);
		if (n_threads > 1)
			qn_pool_barrier(job->engine->pool);
		while ((chunk = atomic_fetch_add_explicit(next, 1, memory_order_relaxed)) <
		       job->n_all_chunks)
			multiply_chunk(job, token, chunk);
	}
}

void qn_matmul_run(struct quern_engine *engine, const struct qn_matmul *call)
{
	struct job job = { .engine = engine, .call = call };

	for (int i = 0; i < call->n; i++) {
		const struct qn_kernel *kernel = call->matrices[i]->kernel;

		assert(call->matrices[i]->k <= engine->k_capacity && kernel->table_bytes <= TABLE_BYTES);
		if (kernel->prepare && slot_of(&job, kernel) < 0) {
			assert(job.n_prepares < QN_MAX_PREPARES);
			job.prepares[job.n_prepares++] = kernel->prepare;
		}
	}
	/* Alone, a thread takes whole matrices; else 8 chunks each even out what disturbs them. */
	job.n_chunks = engine->n_threads == 1 ? 1 : 8 * engine->n_threads;
	job.n_all_chunks = job.n_chunks * call->n;
	qn_pool_run(engine->pool, run_thread, &job);
}
