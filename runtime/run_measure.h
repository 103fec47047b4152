/*
 * run_measure.h: times of products beside roofs, as the benchmarks of quern-run take them.
 *
 * Rounds alternate a short block of calls of every product with a short measurement of the roofs,
 * so that all see the same machine.
 */
#ifndef QN_RUN_MEASURE_H
#define QN_RUN_MEASURE_H

#include "bench.h"
#include "roof.h"

#define RUN_MEASURE_MAX_ROUNDS 25

/* One product.  The caller opens the bench, names the kernel and closes the bench. */
struct run_timed {
	struct qn_bench *bench;
	const struct qn_kernel *kernel;
	long n_calls;                       /* of a block */
	int64_t ns[RUN_MEASURE_MAX_ROUNDS]; /* of a block in each round */
};

/* What a time means on this machine. */
struct run_share {
	double gbps, gmacs;
	double fraction; /* of the nearer roof */
	int is_dram;     /* that is the roof of memory, not the one of int8 products */
};

/* Warms up and finds out how many calls fill a block. */
int run_measure_start(struct run_timed *timed, struct quern_error *err);

/* Round number `round`, counted from 0 and less than RUN_MEASURE_MAX_ROUNDS, of n products. */
int run_measure_round(struct run_timed *const *timed, int n, int round, struct qn_roof_state *roofs,
		      struct quern_error *err);

/* Sorts what n_rounds rounds saw, for run_measure_us: sample i, microseconds of one call. */
void run_measure_sort(struct run_timed *timed, int n_rounds);
double run_measure_us(const struct run_timed *timed, int i);

void run_measure_share(double n_bytes, double macs, double us, const struct qn_roof *roof,
		       struct run_share *share);

#endif
