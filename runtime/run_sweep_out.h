/*
 * run_sweep_out.h: cases of a sweep and what is written of them.
 */
#ifndef QN_RUN_SWEEP_OUT_H
#define QN_RUN_SWEEP_OUT_H

#include <stdio.h>

#include "matrix.h"
#include "run_measure.h"

/* How the command was called. */
struct run_sweep_options {
	int formats[QN_N_FORMATS], n_formats;
	long n_cases, seed, n_threads;
	double min_ratio;
	const char *out, *cpus;
	int act, json, strict, loose;
};

/* A product and what it came to. */
struct run_product {
	struct qn_case what;
	struct quern_matrix matrix; /* its kernels, as the library packs it */
	const struct qn_kernel *kernel;
	double n_bytes; /* of weights without padding */
	double us;
	struct run_share share;
};

/* A case beside the nearest tuned shape. */
struct run_row {
	struct run_product tested, reference;
	const char *reference_kind; /* "tuned", "shape" or "default" */
	struct qn_roof roof;
	double ratio; /* of their efficiencies */
	int n_attempts;
};

struct run_sweep_out {
	const struct run_sweep_options *options;
	FILE *rows, *summary;
	int shows_progress; /* on standard error */
};

/* A comment that says what all rows share; roof is that of the start. */
void run_sweep_out_head(const struct run_sweep_out *out, const struct qn_roof *roof);

/* A row, in front of the first one the names; -1 when the disk is full. */
int run_sweep_out_row(const struct run_sweep_out *out, const struct run_row *row, int is_first,
		      struct quern_error *err);

/* n_done cases are done, the last of them is row, n_below of them are below the ratio. */
void run_sweep_out_progress(const struct run_sweep_out *out, const struct run_row *row, long n_done,
			    long n_below);

/* Sorts the rows of all cases; numbers for all and for each format, and the worst. */
void run_sweep_out_summary(const struct run_sweep_out *out, struct run_row *rows);

#endif
