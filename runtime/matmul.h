/*
 * matmul.h: y = W x with all threads of an engine.
 */
#ifndef QN_MATMUL_H
#define QN_MATMUL_H

#include <pthread.h>

#include "matrix.h"
#include "pool.h"

/* Distinct table layouts that the matrices of one call may need. */
#define QN_MAX_PREPARES 4

struct quern_engine {
	struct qn_pool *pool;
	pthread_mutex_t lock;
	uint32_t features;      /* of the CPU, less what QUERN_ISA forbids */
	const struct qn_isa *isa;       /* quantises activations */
	int n_threads;

	/*
	 * Prepared activations of two tokens, so that the next one is prepared while others still multiply.
	 * Grown when a matrix is packed, never by a multiplication.
	 */
	long k_capacity;
	struct qn_scratch {
		int8_t *q;
		float *scale;
		int32_t *sum;
		uint8_t *tables[QN_MAX_PREPARES];
	} scratch[2];
	void *scratch_memory;
};

/* Makes room for activations of k.  Not while a multiplication runs. */
int qn_matmul_reserve(struct quern_engine *engine, long k, struct quern_error *err);

void qn_matmul_release(struct quern_engine *engine);

struct qn_matmul {
	const struct quern_matrix *const *matrices;     /* of equal k */
	int n;
	const float *x;         /* n_tokens rows, x_stride floats apart */
	long n_tokens, x_stride;
	float *const *y;        /* one per matrix */
	const long *y_stride;
};

/* The caller holds the engine's lock and has checked everything. */
void qn_matmul_run(struct quern_engine *engine, const struct qn_matmul *call);

#endif
