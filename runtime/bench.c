/*
 * bench.c: rings of packed copies, one per layout, and a clock around quern_multiply's core.
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

#define MAX_RINGS 64

/* Copies of the packed weights in one layout. */
struct ring {
	struct quern_matrix matrix; /* packed points at all copies */
	long n_copies, next;
};

struct qn_bench {
	struct quern_engine *engine;
	int format;
	long m, k, n_tokens;
	size_t cold_bytes;
	float *x, *y;
	struct ring rings[MAX_RINGS];
	int n_rings;
	const struct quern_matrix *like; /* NULL: one kernel for any tokens */
};

int qn_bench_open(struct qn_bench **out, struct quern_engine *engine, int format, long m, long k,
		  long n_tokens, size_t cold_bytes, struct quern_error *err)
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
	for (int i = 0; i < b->n_rings; i++)
		qn_pages_free(b->rings[i].matrix.packed,
			      (size_t)b->rings[i].n_copies * qn_matrix_bytes(&b->rings[i].matrix));
	qn_pages_free(b->x, (size_t)(b->n_tokens * b->k) * sizeof(float));
	qn_pages_free(b->y, (size_t)(b->n_tokens * b->m) * sizeof(float));
	free(b);
}

/* One panel of random codes and sane scales. */
static int pack_random_panel(const struct quern_matrix *matrix, uint8_t *panel)
{
	const long n_rows = matrix->kernel->layout.panel_rows;
	const unsigned n_codes = (unsigned)qn_formats[matrix->kernel->format].n_codes;
	struct qn_rows rows;
	uint32_t state = 1;

	if (qn_matrix_alloc_rows(matrix, n_rows, &rows))
		return -1;
	for (long i = 0; i < n_rows * rows.k; i++) {
		state = state * 1664525 + 1013904223;
		rows.codes[i] = (uint8_t)((state >> 16) % n_codes);
	}
	for (long i = 0; i < n_rows * rows.n_scales; i++) {
		rows.scales[i] = 0.0078125f;
		rows.mins[i] = -0.0078125f;
	}
	for (long i = 0; i < n_rows * rows.n_subs; i++) {
		rows.sub_scales[i] = (int8_t)(1 + i % 7);
		rows.sub_mins[i] = (uint8_t)(1 + i % 5);
	}
	qn_matrix_pack_panel(matrix, &rows, panel);
	qn_matrix_free_rows(&rows);
	return 0;
}

/*
 * The time of a kernel does not depend on the values it multiplies, so one random panel is packed
 * and repeated.
 */
static int fill_ring(struct qn_bench *b, struct ring *ring, const struct qn_kernel *kernel,
		     struct quern_error *err)
{
	struct quern_matrix *matrix = &ring->matrix;
	size_t panel, bytes, total;

	matrix->engine = b->engine;
	qn_matrix_shape(matrix, kernel, b->m, b->k);
	panel = matrix->panel_bytes;
	bytes = qn_matrix_bytes(matrix);
	ring->n_copies = (long)((b->cold_bytes + bytes - 1) / bytes) + 1;
	total = (size_t)ring->n_copies * bytes;
	matrix->packed = qn_pages_alloc(total, 1);
	if (!matrix->packed)
		return qn_error_set(err, "no memory for %zu bytes of cold weights", total);
	if (pack_random_panel(matrix, matrix->packed)) {
		qn_pages_free(matrix->packed, total);
		return qn_error_set(err, "no memory to pack a panel of a %ldx%ld matrix", b->m,
				    b->k);
	}
	for (size_t at = panel; at < total; at += panel)
		memcpy(matrix->packed + at, matrix->packed, panel);
	return 0;
}

/* The ring of a kernel's layout, made when it is not there; NULL when it cannot be or must not run. */
static struct ring *find_ring(struct qn_bench *b, const struct qn_kernel *kernel,
			      struct quern_error *err)
{
	if (kernel->format != b->format) {
		qn_error_set(err, "kernel %s is not one for %s", kernel->name,
			     qn_formats[b->format].name);
		return NULL;
	}
	if (kernel->needs & ~b->engine->features) {
		qn_error_set(err, "kernel %s needs what this CPU lacks", kernel->name);
		return NULL;
	}
	for (int i = 0; i < b->n_rings; i++) {
		if (qn_same_layout(&b->rings[i].matrix.kernel->layout, &kernel->layout))
			return &b->rings[i];
	}
	if (b->n_rings == MAX_RINGS) {
		qn_error_set(err, "more than %d layouts in one benchmark", MAX_RINGS);
		return NULL;
	}
	if (fill_ring(b, &b->rings[b->n_rings], kernel, err))
		return NULL;
	return &b->rings[b->n_rings++];
}

int qn_bench_prepare(struct qn_bench *b, const struct qn_kernel *kernel, struct quern_error *err)
{
	return find_ring(b, kernel, err) ? 0 : -1;
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
	struct ring *ring = find_ring(b, kernel, err);
	struct quern_matrix matrix;
	const struct quern_matrix *const list[1] = {&matrix};
	const struct qn_matmul call = {list, 1, b->x, b->n_tokens, b->k, &b->y, &b->m};

	if (!ring || qn_matmul_reserve(b->engine, b->k, &kernel, 1, err))
		return -1;
	matrix = ring->matrix;
	matrix.what.act = kernel->act;
	qn_matrix_shape(&matrix, kernel, b->m, b->k);
	if (b->like)
		memcpy(matrix.by_tokens, b->like->by_tokens, sizeof matrix.by_tokens);
	pthread_mutex_lock(&b->engine->lock);
	*ns = qn_bench_now_ns();
	for (long i = 0; i < n_calls; i++) {
		matrix.packed = ring->matrix.packed + (size_t)ring->next * qn_matrix_bytes(&matrix);
		ring->next = (ring->next + 1) % ring->n_copies;
		qn_matmul_run(b->engine, &call);
	}
	*ns = qn_bench_now_ns() - *ns;
	pthread_mutex_unlock(&b->engine->lock);
	return 0;
}
