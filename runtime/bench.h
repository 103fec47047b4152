/*
 * bench.h: times what quern_multiply does, on cold weights.
 *
 * Every call takes the next of several copies of the packed weights, together larger than the
 * last-level cache, so that weights come from memory as they do when a model decodes; activations
 * stay hot.  One bench holds the copies of every layout that was asked for, so kernels can be
 * interleaved freely.
 */
#ifndef QN_BENCH_H
#define QN_BENCH_H

#include "kernel.h"
#include "quern.h"

struct qn_bench;

/* Nanoseconds of a clock that nothing adjusts. */
int64_t qn_bench_now_ns(void);

/* cold_bytes: least size of all copies of a layout; 0: 4 times the last-level cache. */
int qn_bench_open(struct qn_bench **bench, struct quern_engine *engine, int format, long m, long k,
		  long n_tokens, size_t cold_bytes, struct quern_error *err);
void qn_bench_close(struct qn_bench *bench);

/* Makes the copies that a kernel needs (progress for callers; qn_bench_run does it too). */
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
