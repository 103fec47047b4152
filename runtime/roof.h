/*
 * roof.h: the machine's ceilings, measured with the engine's own threads.
 */
#ifndef QN_ROOF_H
#define QN_ROOF_H

#include "quern.h"

struct qn_roof_state;

struct qn_roof {
	double dram_gbps;       /* best pure-read rate over page sizes and 1 to 8 streams, 1e9 bytes/s */
	int n_streams;          /* where it was reached, per thread */
	int huge_pages;
	double int8_gmacs;      /* best rate of the widest int8 dot instruction, 1e9 products/s */
};

/* Maps the buffers (4 times the last-level cache, twice). */
int qn_roof_open(struct qn_roof_state **state, struct quern_engine *engine, struct quern_error *err);
void qn_roof_close(struct qn_roof_state *state);

/* One sweep of a few tens of milliseconds; keeps the best so far.  Interleave with what is compared. */
void qn_roof_sample(struct qn_roof_state *state);
void qn_roof_get(const struct qn_roof_state *state, struct qn_roof *roof);

#endif
