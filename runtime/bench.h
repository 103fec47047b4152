/*
 * bench.h: times what quern_multiply does, on cold weights.
 *
 * Every call takes the next part of a ring of bytes that is larger than the last-level cache, so that
 * weights come from memory as they do when a model decodes; activations stay hot.  The time of a
 * kernel does not depend on the values it multiplies, so kernels of all layouts read the same
 * random bytes: they can be interleaved freely, nothing is packed, and none is slower for where its
 * weights happen to lie.
 */
#ifndef QN_BENCH_H
#define QN_BENCH_H

#include "kernel.h"
#include "quern.h"

struct qn_bench;

/* Zeroed at first.  May serve any number of benches, one at a time or in turns. */
struct qn_ring {
	uint8_t *bytes;
	size_t n_bytes, next;
};

void qn_ring_free(struct qn_ring *ring);

/* Nanoseconds of a clock that nothing adjusts. */
int64_t qn_bench_now_ns(void);

/*
 * cold_bytes: read before any is read again; 0: 4 times the last-level cache.  ring: outlives the
 * bench and grows where it has to; NULL: one of its own.
 */
int qn_bench_open(struct qn_bench **bench, struct quern_engine *engine, int format, long m, long k,
		  long n_tokens, size_t cold_bytes, struct qn_ring *ring, struct quern_error *err);
void qn_bench_close(struct qn_bench *bench);

/* Makes the room in the ring that a kernel needs (qn_bench_run does it, too, before its clock starts). */
int qn_bench_prepare(struct qn_bench *bench, const struct qn_kernel *kernel,
		     struct quern_error *err);

/* A matrix's kernels for other numbers of tokens, which the last tokens of a product may take. */
void qn_bench_use(struct qn_bench *bench, const struct quern_matrix *matrix);

/* Times n_calls multiplications (activation preparation included); *ns gets the total. */
int qn_bench_run(struct qn_bench *bench, const struct qn_kernel *kernel, long n_calls, int64_t *ns,
		 struct quern_error *err);

/* Bytes that one call streams: packed weights. */
size_t qn_bench_bytes(struct qn_bench *bench, const struct qn_kernel *kernel);

#endif
