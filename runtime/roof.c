/*
 * roof.c: how fast this machine reads memory and multiplies bytes.
 */
#include "roof.h"

#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "error.h"
#include "matmul.h"
#include "pages.h"
#include "topology.h"

static const int stream_counts[] = {1, 2, 4, 8};
#define N_READS 16      /* stream counts, on small and on huge pages, without and with prefetches */
#define AHEAD 8192      /* bytes that prefetches run in front */
#define MAX_SAMPLES 255 /* the latest of each kind count */

/* What one thread reads at a time; a multiple of 4096 * 8. */
#define READ_BYTES ((size_t)8 << 20)

struct qn_roof_state {
	struct quern_engine *engine;
	const struct qn_lane *lane; /* of it, whose threads are measured */
	size_t n_bytes;             /* of each buffer */
	uint8_t *buffers[2];        /* on small and on huge pages */
	size_t at;                  /* where the next read starts */
	double reads[N_READS][MAX_SAMPLES], peaks[MAX_SAMPLES]; /* rates */
	long n_samples;
};

/* What all threads read at a time, at most. */
static size_t round_bytes(const struct quern_engine *engine)
{
	return READ_BYTES * (size_t)engine->most_threads;
}

static void free_buffers(struct qn_roof_state *s)
{
	for (int huge = 0; huge < 2; huge++) {
		qn_pages_free(s->buffers[huge], s->n_bytes);
		s->buffers[huge] = NULL;
	}
	s->n_bytes = 0;
}

int qn_roof_use(struct qn_roof_state *s, struct quern_engine *engine, struct quern_error *err)
{
	const size_t round = round_bytes(engine);
	struct qn_topology topology;
	size_t n_bytes;

	qn_topology_read(&topology);
	n_bytes = (4 * topology.llc_bytes + round - 1) / round * round + round;
	s->engine = engine;
	qn_roof_tokens(s, 1);
	if (s->n_bytes >= n_bytes)
		return 0;
	free_buffers(s);
	s->n_bytes = n_bytes;
	for (int huge = 0; huge < 2; huge++) {
		s->buffers[huge] = qn_pages_alloc(n_bytes, huge);
		if (!s->buffers[huge]) {
			free_buffers(s);
			return qn_error_set(err, "no memory for %zu bytes to measure the roof with",
					    n_bytes);
		}
		memset(s->buffers[huge], 1, n_bytes);
	}
	return 0;
}

void qn_roof_tokens(struct qn_roof_state *s, long n_tokens)
{
	s->lane = qn_matmul_lane(s->engine, n_tokens);
	s->at = 0;
	qn_roof_reset(s);
}

int qn_roof_open(struct qn_roof_state **out, struct quern_engine *engine, struct quern_error *err)
{
	struct qn_roof_state *s = calloc(1, sizeof *s);

	*out = NULL;
	if (!s)
		return qn_error_set(err, "no memory to measure roofs");
	if (qn_roof_use(s, engine, err)) {
		qn_roof_close(s);
		return -1;
	}
	*out = s;
	return 0;
}

void qn_roof_close(struct qn_roof_state *s)
{
	if (!s)
		return;
	free_buffers(s);
	free(s);
}

struct work {
	const struct qn_isa *isa;
	const uint8_t *p;
	int n_streams;
	size_t ahead;
	long n_rounds, macs;
};

static void read_thread(void *arg, int thread, int n_threads)
{
	const struct work *w = arg;

	(void)n_threads;
	w->isa->read(w->p + (size_t)thread * READ_BYTES, READ_BYTES, w->n_streams, w->ahead);
}

static void peak_thread(void *arg, int thread, int n_threads)
{
	struct work *w = arg;
	long macs;

	(void)n_threads;
	w->isa->peak(w->n_rounds, &macs);
	if (thread == 0)
		w->macs = macs;
}

/* Rates are per nanosecond: 1e9 a second. */
static double run_rate(struct qn_roof_state *s, qn_pool_fn *fn, struct work *w, double amount)
{
	int64_t ns = qn_bench_now_ns();

	qn_pool_run(s->lane->pool, fn, w);
	ns = qn_bench_now_ns() - ns;
	return amount / (double)(ns > 0 ? ns : 1);
}

void qn_roof_sample(struct qn_roof_state *s)
{
	const size_t round = READ_BYTES * (size_t)s->lane->n_threads;
	const int slot = (int)(s->n_samples++ % MAX_SAMPLES);
	struct work w = {.isa = s->engine->isa, .n_rounds = 20000};
	double rounds;

	for (int i = 0; i < N_READS; i++) {
		w.n_streams = stream_counts[i / 4];
		w.ahead = i / 2 % 2 ? AHEAD : 0;
		w.p = s->buffers[i % 2] + s->at;
		s->reads[i][slot] = run_rate(s, read_thread, &w, (double)round);
		s->at += round;
		if (s->at + round > s->n_bytes)
			s->at = 0;
	}
	rounds = run_rate(s, peak_thread, &w, (double)w.n_rounds * s->lane->n_threads);
	s->peaks[slot] = rounds * (double)w.macs;
}

void qn_roof_reset(struct qn_roof_state *s)
{
	s->n_samples = 0;
}

static int compare_rates(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *rates, long n)
{
	double sorted[MAX_SAMPLES];

	if (n > MAX_SAMPLES)
		n = MAX_SAMPLES;
	if (n == 0)
		return 0;
	memcpy(sorted, rates, (size_t)n * sizeof *sorted);
	qsort(sorted, (size_t)n, sizeof *sorted, compare_rates);
	return sorted[n / 2];
}

void qn_roof_get(const struct qn_roof_state *s, struct qn_roof *roof)
{
	*roof = (struct qn_roof){.int8_gmacs = median(s->peaks, s->n_samples)};
	for (int i = 0; i < N_READS; i++) {
		const double rate = median(s->reads[i], s->n_samples);

		if (rate > roof->dram_gbps) {
			roof->dram_gbps = rate;
			roof->n_streams = stream_counts[i / 4];
			roof->huge_pages = i % 2;
		}
	}
}
