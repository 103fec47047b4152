/*
 * matmul.h: Y = W X with all threads of an engine.
 */
#ifndef QN_MATMUL_H
#define QN_MATMUL_H

#include <pthread.h>

#include "lane.h"
#include "matrix.h"

/* Distinct forms of prepared activations that the matrices of one call may need. */
#define QN_MAX_PREPARES 4

struct quern_engine {
	struct qn_lane *lanes[QN_SHARES_N_WORKS]; /* see qn_matmul_lane */
	int most_threads;                         /* of any lane */
	pthread_mutex_t lock;
	uint32_t features;              /* of all its cores, less what QUERN_ISA forbids */
	const struct qn_isa *isa;       /* quantises activations */
	const struct qn_floats *floats; /* of it; NULL in a library of kernels alone */

	struct qn_chunk *chunk; /* of the next matrix's packed bytes, see pages.h */

	/* Activations of one pass.  Grown when a matrix is packed, never by a multiplication. */
	long k_capacity;
	size_t prepared_capacity; /* bytes of 32 k of all tokens, in each of prepared[] */
	int8_t *q;                /* [QN_PASS_TOKENS][k] */
	float *scale;             /* [QN_PASS_TOKENS][k / 32] */
	int32_t *sum, *half_sum;  /* [QN_PASS_TOKENS][k / 32], [QN_PASS_TOKENS][k / 16] */
	float *amax;              /* [most_threads][QN_PASS_TOKENS], of a thread's slice of K */
	uint8_t *prepared[QN_MAX_PREPARES];
	void *acts_memory;
	size_t scratch_capacity; /* of one thread */
	uint8_t *scratch_memory;
};

/* The threads that a step of so many tokens runs on: a product, attention, or what is done token by token. */
static inline struct qn_lane *qn_matmul_lane(const struct quern_engine *engine, long n_tokens)
{
	return engine->lanes[qn_shares_work_of(n_tokens)];
}

/* Makes room for activations of k and for what n kernels want of them.  Not while a product runs. */
int qn_matmul_reserve(struct quern_engine *engine, long k, const struct qn_kernel *const *kernels,
		      int n, struct quern_error *err);
void qn_matmul_release(struct quern_engine *engine);

struct qn_matmul {
	const struct quern_matrix *const *matrices; /* of equal k */
	int n;
	const float *x; /* n_tokens rows, x_stride floats apart */
	long n_tokens, x_stride;
	float *const *y; /* one per matrix */
	const long *y_stride;
};

/* The caller holds the engine's lock and has checked everything. */
void qn_matmul_run(struct quern_engine *engine, const struct qn_matmul *call);

#endif
