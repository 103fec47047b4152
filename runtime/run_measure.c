/*
 * run_measure.c: rounds of blocks.
 */
#include "run_measure.h"

#include <assert.h>
#include <stdlib.h>

#define BLOCK_NS 2000000

int run_measure_start(struct run_timed *timed, struct quern_error *err)
{
	int64_t ns = 0;

	/* By the second of two. */
	for (int i = 0; i < 2; i++) {
		if (qn_bench_run(timed->bench, timed->kernel, 1, &ns, err))
			return -1;
	}
	timed->n_calls = ns > 0 && ns < BLOCK_NS ? BLOCK_NS / ns + 1 : 1;
	return 0;
}

int run_measure_round(struct run_timed *const *timed, int n, int round, struct qn_roof_state *roofs,
		      struct quern_error *err)
{
	assert(round < RUN_MEASURE_MAX_ROUNDS);
	if (round == 0)
		qn_roof_reset(roofs);
	for (int i = 0; i < n; i++) {
		if (qn_bench_run(timed[i]->bench, timed[i]->kernel, timed[i]->n_calls,
				 &timed[i]->ns[round], err))
			return -1;
	}
	qn_roof_sample(roofs);
	return 0;
}

static int compare_ns(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

void run_measure_sort(struct run_timed *timed, int n_rounds)
{
	qsort(timed->ns, (size_t)n_rounds, sizeof *timed->ns, compare_ns);
}

double run_measure_us(const struct run_timed *timed, int i)
{
	return (double)timed->ns[i] / (double)timed->n_calls / 1e3;
}

void run_measure_share(double n_bytes, double macs, double us, const struct qn_roof *roof,
		       struct run_share *share)
{
	double dram, compute;

	share->gbps = n_bytes / us / 1e3;
	share->gmacs = macs / us / 1e3;
	dram = share->gbps / roof->dram_gbps;
	compute = share->gmacs / roof->int8_gmacs;
	share->is_dram = dram >= compute;
	share->fraction = share->is_dram ? dram : compute;
}
