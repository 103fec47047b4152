/*
 * pool.h: persistent threads that run one function together.
 *
 * Thread 0 is the caller.  Workers spin for a while after a job and then sleep, so that
 * back-to-back jobs start within a microsecond and idle pools cost nothing.
 */
#ifndef QN_POOL_H
#define QN_POOL_H

#include "quern.h"

struct qn_pool;

typedef void qn_pool_fn(void *arg, int thread, int n_threads);

/* Where threads may run. */
struct qn_pool_cpus {
	const int *list;
	int n;      /* at least one a thread unless they float */
	int floats; /* 0: thread i is pinned to list[i]; 1: all threads run on any of the list */
};

/*
 * Starts n_threads - 1 workers (n_threads >= 1).  cpus: NULL leaves them where they are.  The caller
 * is moved only while it runs a job and gets its mask back.  A cpu that cannot be pinned to is an
 * error; of those that threads float on, one has to be usable.
 */
int qn_pool_open(struct qn_pool **pool, int n_threads, const struct qn_pool_cpus *cpus, int spin_us,
		 struct quern_error *err);
void qn_pool_close(struct qn_pool *pool);
int qn_pool_n_threads(const struct qn_pool *pool);

/*
 * Of n cpus, those that this process may run on (online, in its cpuset), ascending, into allowed[n];
 * returns how many.  The calling thread's mask need not have them, and is left as it was.
 */
int qn_pool_allowed(const int *cpus, int n, int *allowed);

/* Runs fn(arg, thread, n_threads) on every thread and returns when all have returned. */
void qn_pool_run(struct qn_pool *pool, qn_pool_fn *fn, void *arg);

/* Inside a job: waits until every thread of the pool has come here (sense-reversing, spins). */
void qn_pool_barrier(struct qn_pool *pool);

#endif
