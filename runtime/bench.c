/*
 * bench.c: a ring of weights that every layout reads, and a clock around quern_multiply's core.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "format.h"
#include "matmul.h"
#include "pages.h"
#include "topology.h"

#define STEP 4096 /* matrices begin at pages, as those of an engine do */

struct qn_bench {
	struct quern_engine *engine;
	int format;
	long m, k, n_tokens;
	size_t cold_bytes;
	float *x, *y;
	struct qn_ring *ring, own;
	const struct quern_matrix *like; /* NULL: one kernel for any tokens */
};

int qn_bench_open(struct qn_bench **out, struct quern_engine *engine, int format, long m, long k,
		  long n_tokens, size_t cold_bytes, struct qn_ring *ring, struct quern_error *err)
{
	struct qn_bench *b = calloc(1, sizeof *b);
	struct qn_topology topology;

	*out = NULL;
	if (!b)
		return qn_error_set(err, "no memory for a benchmark");
	qn_topology_read(&topology);
	*b = (struct qn_bench){
		.engine = engine,
		.format = format,
		.m = m,
		.k = k,
		.n_tokens = n_tokens,
		.cold_bytes = cold_bytes ? cold_bytes : 4 * topology.llc_bytes,
	};
	b->ring = ring ? ring : &b->own;
	/* As an engine keeps them: aligned, on huge pages. */
	b->x = qn_pages_alloc((size_t)(n_tokens * k) * sizeof(float), 1);
	b->y = qn_pages_alloc((size_t)(n_tokens * m) * sizeof(float), 1);

	if (!b->x || !b->y || qn_matmul_reserve(engine, k, NULL, 0, err)) {
		qn_bench_close(b);
		return qn_error_set(err, "no memory for the activations of a %ldx%ld matrix", m, k);
	}
	for (long i = 0; i < n_tokens * k; i++)
		b->x[i] = (float)(i * 7919 % 1009) / 504.5f - 1;
	*out = b;
	return 0;
}

void qn_bench_close(struct qn_bench *b)
{
	if (!b)
		return;
	qn_ring_free(&b->own);
	qn_pages_free(b->x, (size_t)(b->n_tokens * b->k) * sizeof(float));
	qn_pages_free(b->y, (size_t)(b->n_tokens * b->m) * sizeof(float));
	free(b);
}

void qn_ring_free(struct qn_ring *ring)
{
	qn_pages_free(ring->bytes, ring->n_bytes);
	*ring = (struct qn_ring){0};
}

/*
 * Random bytes that are sane whatever a layout takes them for: floats of 16 and 32 bits are neither
 * subnormal nor infinite, for those alone would cost time.
 */
static void fill(uint8_t *bytes, size_t n_bytes)
{
	uint64_t state = 88172645463325252u;

	for (size_t i = 0; i < n_bytes; i += sizeof state) {
		uint64_t word;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		word = (state & 0x1b1b1b1b1b1b1b1bu) | 0x2020202020202020u;
		memcpy(bytes + i, &word, sizeof word);
	}
}

/* Room for `bytes` and then so many more that they are cold when their turn comes again. */
static int make_room(struct qn_bench *b, size_t bytes, struct quern_error *err)
{
	struct qn_ring *ring = b->ring;
	const size_t block = 1 << 20;
	const size_t total = (b->cold_bytes + 2 * bytes + block - 1) / block * block;

	if (ring->n_bytes >= b->cold_bytes + bytes)
		return 0;
	qn_ring_free(ring);
	ring->bytes = qn_pages_alloc(total, 1);
	if (!ring->bytes)
		return qn_error_set(err, "no memory for %zu bytes of cold weights", total);
	ring->n_bytes = total;
	fill(ring->bytes, block);
	for (size_t at = block; at < total; at += block)
		memcpy(ring->bytes + at, ring->bytes, block);
	return 0;
}

/* The next `bytes` of the ring. */
static uint8_t *take(struct qn_ring *ring, size_t bytes)
{
	uint8_t *weights;

	if (ring->next + bytes > ring->n_bytes)
		ring->next = 0;
	weights = ring->bytes + ring->next;
	ring->next += (bytes + STEP - 1) / STEP * STEP;
	return weights;
}

int qn_bench_prepare(struct qn_bench *b, const struct qn_kernel *kernel, struct quern_error *err)
{
	if (kernel->format != b->format)
		return qn_error_set(err, "kernel %s is not one for %s", kernel->name,
				    qn_formats[b->format].name);
	if (kernel->needs & ~b->engine->features)
		return qn_error_set(err, "kernel %s needs what this CPU lacks", kernel->name);
	return make_room(b, qn_bench_bytes(b, kernel), err);
}

size_t qn_bench_bytes(struct qn_bench *b, const struct qn_kernel *kernel)
{
	struct quern_matrix matrix;

	qn_matrix_shape(&matrix, kernel, b->m, b->k);
	return qn_matrix_bytes(&matrix);
}

int64_t qn_bench_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}

void qn_bench_use(struct qn_bench *b, const struct quern_matrix *matrix)
{
	b->like = matrix;
}

int qn_bench_run(struct qn_bench *b, const struct qn_kernel *kernel, long n_calls, int64_t *ns,
		 struct quern_error *err)
{
	struct quern_matrix matrix = {.engine = b->engine};
	const struct quern_matrix *const list[1] = {&matrix};
	const struct qn_matmul call = {list, 1, b->x, b->n_tokens, b->k, &b->y, &b->m};
	size_t bytes;

	if (qn_bench_prepare(b, kernel, err) || qn_matmul_reserve(b->engine, b->k, &kernel, 1, err))
		return -1;
	matrix.what.act = kernel->act;
	qn_matrix_shape(&matrix, kernel, b->m, b->k);
	bytes = qn_matrix_bytes(&matrix);
	if (b->like)
		memcpy(matrix.by_tokens, b->like->by_tokens, sizeof matrix.by_tokens);
	pthread_mutex_lock(&b->engine->lock);
	*ns = qn_bench_now_ns();
	for (long i = 0; i < n_calls; i++) {
		matrix.packed = take(b->ring, bytes);
		qn_matmul_run(b->engine, &call);
	}
	*ns = qn_bench_now_ns() - *ns;
	pthread_mutex_unlock(&b->engine->lock);
	return 0;
}
