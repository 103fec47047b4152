/*
 * pool.c: persistent threads that run one function together.
 *
 * Every wait in here is for a counter to move: workers wait for the next job, the caller for the
 * end of it, a barrier for its next phase.  A waiter spins, then yields, then sleeps in a futex;
 * whoever moves the counter calls the kernel only when somebody sleeps.  No wake-up is
 * lost: the sleeper counts itself and then compares the counter (the kernel does), the mover
 * writes the counter and then reads the number of sleepers; all four are sequentially
 * consistent, so at least one of the two sees the other.
 */
#include "pool.h"

#include <assert.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "topology.h"

/* Two cache lines, because x86 fetches lines in pairs. */
#define LINE_BYTES 128

/*
 * Who waits longer than PAUSE_NS yields, for the thread that it waits for may want this very core.
 * Threads of one job arrive close together, so they wait long before they sleep.
 */
enum { PAUSE_NS = 10000, JOB_SPIN_NS = 1000000 };

struct counter {
	_Alignas(LINE_BYTES) atomic_uint value;
	atomic_uint n_sleepers;
};

_Static_assert(sizeof(atomic_uint) == 4, "a futex is 32 bits");

struct worker {
	struct qn_pool *pool;
	pthread_t id;
	int thread;
};

struct mask {
	cpu_set_t sets[QN_CPU_LIMIT / CPU_SETSIZE];
};

struct qn_pool {
	struct counter jobs;                       /* started */
	struct counter ends;                       /* of jobs */
	struct counter phase;                      /* of the barrier */
	_Alignas(LINE_BYTES) atomic_int n_running; /* workers */
	_Alignas(LINE_BYTES) atomic_int n_arrived; /* at the barrier */
	_Alignas(LINE_BYTES) qn_pool_fn *fn;       /* NULL: the pool closes */
	void *arg;
	int n_threads;
	int64_t spin_ns;
	struct mask *places; /* NULL: anywhere; one for all threads, or one for each */
	int floats;          /* one for all */
	atomic_int unplaced; /* thread that cannot be sent to its place, or -1 */
	struct worker workers[];
};

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void pause_core(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* ---- counters ---- */

static void move(struct counter *counter)
{
	atomic_fetch_add(&counter->value, 1);
	if (atomic_load(&counter->n_sleepers) > 0)
		syscall(SYS_futex, &counter->value, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Has the counter moved away from `from` within spin_ns? */
static int spin(struct counter *counter, unsigned from, int64_t spin_ns)
{
	int64_t start = 0, waited;

	for (;;) {
		for (int i = 0; i < 64; i++) {
			if (atomic_load_explicit(&counter->value, memory_order_acquire) != from)
				return 1;
			pause_core();
		}
		if (start == 0)
			start = now_ns();
		waited = now_ns() - start;
		if (waited >= spin_ns)
			return 0;
		if (waited >= PAUSE_NS)
			sched_yield();
	}
}

static void await(struct counter *counter, unsigned from, int64_t spin_ns)
{
	if (spin(counter, from, spin_ns))
		return;
	atomic_fetch_add(&counter->n_sleepers, 1);
	while (atomic_load(&counter->value) == from)
		syscall(SYS_futex, &counter->value, FUTEX_WAIT_PRIVATE, from, NULL, NULL, 0);
	atomic_fetch_sub(&counter->n_sleepers, 1);
}

/* ---- affinity of the calling thread ---- */

static int read_mask(struct mask *mask)
{
	CPU_ZERO_S(sizeof(*mask), mask->sets);
	return sched_getaffinity(0, sizeof(*mask), mask->sets);
}

static int move_to(const struct mask *mask)
{
	return sched_setaffinity(0, sizeof(*mask), mask->sets);
}

static void add_cpu(struct mask *mask, int cpu)
{
	if (cpu >= 0 && cpu < QN_CPU_LIMIT)
		CPU_SET_S((size_t)cpu, sizeof(*mask), mask->sets);
}

static const struct mask *place_of(const struct qn_pool *pool, int thread)
{
	return &pool->places[pool->floats ? 0 : thread];
}

/* Returns 1 with the former mask in *home when the thread must be sent back there. */
static int leave_home(const struct mask *place, struct mask *home)
{
	struct mask both;

	if (read_mask(home))
		return 0;
	CPU_AND_S(sizeof(both), both.sets, home->sets, place->sets);
	if (CPU_EQUAL_S(sizeof(both), both.sets, home->sets))
		return 0; /* already there */

	/* A cpu may go offline or leave our cpuset after the pool was opened; then run anywhere. */
	return move_to(place) == 0;
}

static void place_thread(void *arg, int thread, int n_threads)
{
	struct qn_pool *pool = arg;

	(void)n_threads;
	if (move_to(place_of(pool, thread)))
		atomic_store(&pool->unplaced, thread);
}

/* ---- jobs ---- */

static void *work(void *arg)
{
	struct worker *self = arg;
	struct qn_pool *pool = self->pool;

	/* The caller waits for every worker, so no job can be missed. */
	for (unsigned job = 0;; job++) {
		await(&pool->jobs, job, pool->spin_ns);
		if (!pool->fn)
			return NULL;
		pool->fn(pool->arg, self->thread, pool->n_threads);
		if (atomic_fetch_sub(&pool->n_running, 1) == 1) /* the last one? */
			move(&pool->ends);
	}
}

static void run_job(struct qn_pool *pool, qn_pool_fn *fn, void *arg)
{
	unsigned end = atomic_load_explicit(&pool->ends.value, memory_order_relaxed);

	if (pool->n_threads == 1) {
		fn(arg, 0, 1);
		return;
	}
	pool->fn = fn;
	pool->arg = arg;
	atomic_store_explicit(&pool->n_running, pool->n_threads - 1, memory_order_relaxed);
	move(&pool->jobs);
	fn(arg, 0, pool->n_threads);
	await(&pool->ends, end, JOB_SPIN_NS);
}

void qn_pool_run(struct qn_pool *pool, qn_pool_fn *fn, void *arg)
{
	struct mask home;
	int away;

	assert(fn);
	away = pool->places && leave_home(place_of(pool, 0), &home);
	run_job(pool, fn, arg);
	if (away)
		move_to(&home);
}

void qn_pool_barrier(struct qn_pool *pool)
{
	/* The phase cannot move before this thread has arrived, so it is read in time. */
	unsigned phase = atomic_load_explicit(&pool->phase.value, memory_order_relaxed);

	if (atomic_fetch_add(&pool->n_arrived, 1) + 1 < pool->n_threads) {
		await(&pool->phase, phase, JOB_SPIN_NS);
		return;
	}
	atomic_store_explicit(&pool->n_arrived, 0, memory_order_relaxed);
	move(&pool->phase);
}

int qn_pool_n_threads(const struct qn_pool *pool)
{
	return pool->n_threads;
}

int qn_pool_allowed(const int *cpus, int n, int *allowed)
{
	struct mask home, wanted;
	int n_allowed = 0;

	CPU_ZERO_S(sizeof(wanted), wanted.sets);
	for (int i = 0; i < n; i++)
		add_cpu(&wanted, cpus[i]);
	if (read_mask(&home) || move_to(&wanted))
		return 0;
	if (!read_mask(&wanted)) { /* what the kernel left of it */
		for (int cpu = 0; cpu < QN_CPU_LIMIT && n_allowed < n; cpu++)
			if (CPU_ISSET_S((size_t)cpu, sizeof(wanted), wanted.sets))
				allowed[n_allowed++] = cpu;
	}
	move_to(&home);
	return n_allowed;
}

/* ---- opening and closing ---- */

/* Stops and joins workers 1 .. n_threads-1. */
static void stop_workers(struct qn_pool *pool, int n_threads)
{
	pool->fn = NULL;
	move(&pool->jobs);
	for (int i = 1; i < n_threads; i++)
		pthread_join(pool->workers[i].id, NULL);
}

static int start_workers(struct qn_pool *pool, struct quern_error *err)
{
	sigset_t asynchronous, before;
	int i, failure = 0;

	/* Signals from outside are for the application's own threads. */
	sigfillset(&asynchronous);
	sigdelset(&asynchronous, SIGSEGV);
	sigdelset(&asynchronous, SIGBUS);
	sigdelset(&asynchronous, SIGILL);
	sigdelset(&asynchronous, SIGFPE);
	pthread_sigmask(SIG_BLOCK, &asynchronous, &before);
	for (i = 1; i < pool->n_threads && failure == 0; i++) {
		pool->workers[i].pool = pool;
		pool->workers[i].thread = i;
		failure = pthread_create(&pool->workers[i].id, NULL, work, &pool->workers[i]);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failure == 0)
		return 0;
	stop_workers(pool, i - 1);
	return qn_error_set(err, "cannot start thread %d of %d: %s", i, pool->n_threads,
			    strerror(failure));
}

static int place_threads(struct qn_pool *pool, const struct qn_pool_cpus *cpus,
			 struct quern_error *err)
{
	const int n_places = cpus->floats ? 1 : pool->n_threads;
	struct mask home;
	int failed;

	assert(cpus->n >= n_places);
	pool->floats = cpus->floats;
	pool->places = calloc((size_t)n_places, sizeof(*pool->places));
	if (!pool->places)
		return qn_error_set(err, "out of memory for %d threads", pool->n_threads);
	for (int i = 0; i < (cpus->floats ? cpus->n : n_places); i++)
		add_cpu(&pool->places[cpus->floats ? 0 : i], cpus->list[i]);
	if (read_mask(&home))
		return qn_error_set(err, "cannot read which cpus this thread may use");

	run_job(pool, place_thread, pool);
	move_to(&home);
	failed = atomic_load(&pool->unplaced);
	if (failed >= 0 && cpus->floats)
		return qn_error_set(err, "none of the cpus is online and allowed for this process");
	if (failed >= 0)
		return qn_error_set(err,
				    "cannot pin a thread to cpu %d: it must be online and "
				    "allowed for this process",
				    cpus->list[failed]);
	return 0;
}

static void free_pool(struct qn_pool *pool)
{
	free(pool->places);
	free(pool);
}

int qn_pool_open(struct qn_pool **pool, int n_threads, const struct qn_pool_cpus *cpus, int spin_us,
		 struct quern_error *err)
{
	size_t n_bytes;
	void *memory;
	struct qn_pool *new_pool;

	assert(n_threads >= 1);
	*pool = NULL;
	n_bytes = sizeof(struct qn_pool) + (size_t)n_threads * sizeof(struct worker);
	if (posix_memalign(&memory, LINE_BYTES, n_bytes))
		return qn_error_set(err, "out of memory for %d threads", n_threads);
	new_pool = memset(memory, 0, n_bytes);
	new_pool->n_threads = n_threads;
	new_pool->spin_ns = spin_us > 0 ? spin_us * (int64_t)1000 : 0;
	atomic_store(&new_pool->unplaced, -1);
	if (start_workers(new_pool, err)) {
		free_pool(new_pool);
		return -1;
	}
	if (cpus && place_threads(new_pool, cpus, err)) {
		qn_pool_close(new_pool);
		return -1;
	}
	*pool = new_pool;
	return 0;
}

void qn_pool_close(struct qn_pool *pool)
{
	if (!pool)
		return;
	stop_workers(pool, pool->n_threads);
	free_pool(pool);
}
