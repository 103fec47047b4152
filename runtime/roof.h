/*
 * roof.h: the machine's ceilings, measured with the engine's own threads.
 */
#ifndef QN_ROOF_H
#define QN_ROOF_H

#include "quern.h"

struct qn_roof_state;

struct qn_roof {
	double dram_gbps; /* pure reads, 1e9 bytes/s: the best of page sizes, 1 to 8
				 streams, with prefetches or without */
	int n_streams;    /* per thread, where it was reached */
	int huge_pages;
	double int8_gmacs; /* the widest int8 dot instruction, 1e9 products/s */
};

/* Maps the buffers (4 times the last-level cache, twice). */
int qn_roof_open(struct qn_roof_state **state, struct quern_engine *engine,
		 struct quern_error *err);
void qn_roof_close(struct qn_roof_state *state);

/* Goes on with another engine; buffers that are large enough for it stay.  After -1 it can be tried again. */
int qn_roof_use(struct qn_roof_state *state, struct quern_engine *engine, struct quern_error *err);

/* From now on with the threads that so many tokens run on; first those for one. */
void qn_roof_tokens(struct qn_roof_state *state, long n_tokens);

/*
 * One sweep of some milliseconds.  Rates are medians over the sweeps since the last reset, as the
 * times of kernels are; interleave the two, for shared machines drift.
 */
void qn_roof_sample(struct qn_roof_state *state);
void qn_roof_reset(struct qn_roof_state *state);
void qn_roof_get(const struct qn_roof_state *state, struct qn_roof *roof);

#endif
