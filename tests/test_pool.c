/*
 * test_pool.c: jobs, barriers, sleeping and pinning, on more threads than there are cores.
 */
#include "check.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "../runtime/pool.h"

enum { MAX_THREADS = 8 };

/* ---- jobs ---- */

struct tally {
	long calls[MAX_THREADS]; /* each thread writes its own */
	long sum;
	int n_threads;
};

static void count_call(void *arg, int thread, int n_threads)
{
	struct tally *tally = arg;

	tally->calls[thread]++;
	if (thread == 0)
		tally->n_threads = n_threads;
}

/* Every thread runs every job once, and what it wrote is seen after qn_pool_run. */
static void test_jobs(int n_threads, int spin_us, int n_jobs)
{
	struct tally tally = {.n_threads = 0};
	struct qn_pool *pool;

	if (!CHECK(qn_pool_open(&pool, n_threads, NULL, spin_us, NULL) == 0))
		return;
	CHECK(qn_pool_n_threads(pool) == n_threads);
	for (int job = 1; job <= n_jobs; job++) {
		long sum = 0;

		qn_pool_run(pool, count_call, &tally);
		for (int i = 0; i < MAX_THREADS; i++)
			sum += tally.calls[i];
		CHECK(sum == (long)job * n_threads);
	}
	CHECK(tally.n_threads == n_threads);
	for (int i = 0; i < MAX_THREADS; i++)
		CHECK(tally.calls[i] == (i < n_threads ? n_jobs : 0));
	qn_pool_close(pool);
}

/* Workers that have gone to sleep hear of the next job. */
static void test_sleep(void)
{
	struct tally tally = {.n_threads = 0};
	struct qn_pool *pool;

	if (!CHECK(qn_pool_open(&pool, 4, NULL, 0, NULL) == 0))
		return;
	for (int job = 0; job < 100; job++) {
		usleep((unsigned)(job % 5) * 500);
		qn_pool_run(pool, count_call, &tally);
	}
	for (int i = 0; i < 4; i++)
		CHECK(tally.calls[i] == 100);
	usleep(2000);
	qn_pool_close(pool);
}

static void work_long(void *arg, int thread, int n_threads)
{
	(void)n_threads;
	if (thread == 1)
		usleep(20000);
	((struct tally *)arg)->calls[thread]++;
}

/* The caller sleeps too when a worker takes long. */
static void test_slow_worker(void)
{
	struct tally tally = {.n_threads = 0};
	struct qn_pool *pool;

	if (!CHECK(qn_pool_open(&pool, 3, NULL, 20, NULL) == 0))
		return;
	for (int job = 0; job < 5; job++) {
		qn_pool_run(pool, work_long, &tally);
		CHECK(tally.calls[1] == job + 1);
	}
	qn_pool_close(pool);
}

static void test_open_close(void)
{
	struct tally tally = {.n_threads = 0};

	for (int i = 0; i < 100; i++) {
		struct qn_pool *pool;

		if (!CHECK(qn_pool_open(&pool, 1 + i % MAX_THREADS, NULL, i % 3 * 20, NULL) == 0))
			return;
		for (int job = 0; job < i % 4; job++)
			qn_pool_run(pool, count_call, &tally);
		qn_pool_close(pool);
	}
	qn_pool_close(NULL);
}

/* Two pools at once, one used inside the other's job. */
static void run_inner(void *arg, int thread, int n_threads)
{
	struct tally tally = {.n_threads = 0};

	(void)n_threads;
	if (thread != 1)
		return;
	for (int job = 0; job < 50; job++)
		qn_pool_run(arg, count_call, &tally);
	CHECK(tally.calls[0] == 50 && tally.calls[1] == 50);
}

static void test_nested(void)
{
	struct qn_pool *outer, *inner;

	if (!CHECK(qn_pool_open(&outer, 3, NULL, 10, NULL) == 0))
		return;
	if (CHECK(qn_pool_open(&inner, 2, NULL, 10, NULL) == 0)) {
		qn_pool_run(outer, run_inner, inner);
		qn_pool_close(inner);
	}
	qn_pool_close(outer);
}

/* ---- barriers ---- */

enum { N_PHASES = 20 };

struct phases {
	struct qn_pool *pool;
	int values[MAX_THREADS];
	atomic_int n_wrong;
};

/* In each phase everybody writes, then everybody reads what all the others wrote. */
static void walk_phases(void *arg, int thread, int n_threads)
{
	struct phases *phases = arg;

	for (int phase = 1; phase <= N_PHASES; phase++) {
		phases->values[thread] = phase;
		qn_pool_barrier(phases->pool);
		for (int i = 0; i < n_threads; i++)
			if (phases->values[i] != phase)
				atomic_fetch_add(&phases->n_wrong, 1);
		qn_pool_barrier(phases->pool);
	}
}

static void test_barrier(int n_threads, int n_jobs)
{
	struct phases phases = {.pool = NULL};

	if (!CHECK(qn_pool_open(&phases.pool, n_threads, NULL, 50, NULL) == 0))
		return;
	for (int job = 0; job < n_jobs; job++)
		qn_pool_run(phases.pool, walk_phases, &phases);
	CHECK(atomic_load(&phases.n_wrong) == 0);
	qn_pool_close(phases.pool);
}

/* ---- pinning ---- */

struct places {
	const int *cpus;
	atomic_int n_wrong;
};

static void check_place(void *arg, int thread, int n_threads)
{
	struct places *places = arg;
	cpu_set_t mask;

	(void)n_threads;
	if (sched_getaffinity(0, sizeof(mask), &mask) || CPU_COUNT(&mask) != 1 ||
	    !CPU_ISSET(places->cpus[thread], &mask))
		atomic_fetch_add(&places->n_wrong, 1);
}

/* Takes the allowed cpus in turn, last one first. */
static int list_cpus(const cpu_set_t *mask, int *cpus, int n)
{
	int found = 0;

	while (found < n) {
		int before = found;

		for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && found < n; cpu--)
			if (CPU_ISSET(cpu, mask))
				cpus[found++] = cpu;
		if (found == before)
			return 0;
	}
	return 1;
}

static void test_pinning(void)
{
	int cpus[MAX_THREADS];
	cpu_set_t before, after;
	struct places places = {.cpus = cpus};
	struct quern_error err;
	struct qn_pool *pool;

	/* Nothing to learn where the mask cannot be read (more than 1024 cpus). */
	if (sched_getaffinity(0, sizeof(before), &before) || !list_cpus(&before, cpus, MAX_THREADS))
		return;
	for (int n = 1; n <= MAX_THREADS; n += n < 3 ? 1 : 5) {
		if (!CHECK(qn_pool_open(&pool, n, &(struct qn_pool_cpus){cpus, n, 0}, 50, &err) ==
			   0))
			continue;
		CHECK(sched_getaffinity(0, sizeof(after), &after) == 0);
		CHECK(CPU_EQUAL(&before, &after));
		for (int job = 0; job < 20; job++) {
			qn_pool_run(pool, check_place, &places);
			CHECK(sched_getaffinity(0, sizeof(after), &after) == 0);
			CHECK(CPU_EQUAL(&before, &after));
		}
		CHECK(atomic_load(&places.n_wrong) == 0);
		qn_pool_close(pool);
	}
}

static void test_bad_cpus(void)
{
	static const int bad[] = {8191, 8192, -1, 1 << 30};
	cpu_set_t before, after;
	struct quern_error err;
	struct qn_pool *pool;

	if (sched_getaffinity(0, sizeof(before), &before))
		return;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (int at = 0; at < 3; at++) {
			int cpus[3], wrong = 0;
			const struct qn_pool_cpus list = {cpus, 3, 0};
			char number[16];

			if (!list_cpus(&before, cpus, 3))
				return;
			cpus[at] = bad[i];
			pool = (struct qn_pool *)&wrong;
			err.text[0] = '\0';
			CHECK(qn_pool_open(&pool, 3, &list, 50, &err) == -1);
			CHECK(pool == NULL);
			snprintf(number, sizeof(number), "cpu %d", bad[i]);
			CHECK(strstr(err.text, number) != NULL);
			CHECK(qn_pool_open(&pool, 3, &list, 50, NULL) == -1);
			CHECK(sched_getaffinity(0, sizeof(after), &after) == 0);
			CHECK(CPU_EQUAL(&before, &after));
		}
	}
}

/* Any of the allowed cpus, and what cannot be used is left out. */
static void check_within(void *arg, int thread, int n_threads)
{
	struct places *places = arg;
	cpu_set_t mask, expected;

	(void)thread;
	(void)n_threads;
	CPU_ZERO(&expected);
	for (int i = 0; places->cpus[i] < CPU_SETSIZE; i++)
		CPU_SET(places->cpus[i], &expected);
	if (sched_getaffinity(0, sizeof(mask), &mask) || !CPU_EQUAL(&mask, &expected))
		atomic_fetch_add(&places->n_wrong, 1);
}

static void test_floating(void)
{
	int cpus[CPU_SETSIZE + 1], allowed[CPU_SETSIZE + 1], n = 0, n_allowed;
	struct places places = {.cpus = cpus};
	struct qn_pool_cpus list = {cpus, 0, 1};
	cpu_set_t before, after;
	struct quern_error err;
	struct qn_pool *pool;

	if (sched_getaffinity(0, sizeof(before), &before))
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &before))
			cpus[n++] = cpu;
	cpus[n] = 8191; /* no such cpu */
	n_allowed = qn_pool_allowed(cpus, n + 1, allowed);
	CHECK(n_allowed == n && memcmp(cpus, allowed, (size_t)n * sizeof(*cpus)) == 0);
	CHECK(qn_pool_allowed(cpus + n, 1, allowed) == 0);
	CHECK(qn_pool_allowed(cpus, 0, allowed) == 0);
	for (int first = 0; first < n && first < 2; first++) { /* all, then all but one */
		list.list = places.cpus = cpus + first;
		list.n = n + 1 - first;
		for (int n_threads = 1; n_threads <= 3; n_threads++) {
			if (!CHECK(qn_pool_open(&pool, n_threads, &list, 50, &err) == 0))
				continue;
			for (int job = 0; job < 20; job++) {
				qn_pool_run(pool, check_within, &places);
				CHECK(sched_getaffinity(0, sizeof(after), &after) == 0);
				CHECK(CPU_EQUAL(&before, &after));
			}
			qn_pool_close(pool);
		}
	}
	CHECK(atomic_load(&places.n_wrong) == 0);
	list = (struct qn_pool_cpus){cpus + n, 1, 1};
	CHECK(qn_pool_open(&pool, 2, &list, 50, &err) == -1 && !pool && err.text[0]);
	CHECK(sched_getaffinity(0, sizeof(after), &after) == 0 && CPU_EQUAL(&before, &after));
}

/* Two pools of one caller, pinned otherwise, in turn: each job where its pool is, the caller at home between them. */
static void test_two_pools(void)
{
	int cpus[2][3];
	struct places places[2] = {{.cpus = cpus[0]}, {.cpus = cpus[1]}};
	struct qn_pool *pools[2] = {NULL, NULL};
	cpu_set_t before, after;
	struct quern_error err;

	if (sched_getaffinity(0, sizeof(before), &before) || !list_cpus(&before, cpus[0], 3))
		return;
	for (int i = 0; i < 3; i++)
		cpus[1][i] = cpus[0][2 - i];
	for (int i = 0; i < 2; i++)
		CHECK(qn_pool_open(&pools[i], i ? 3 : 2, &(struct qn_pool_cpus){cpus[i], 3, 0}, 50,
				   &err) == 0);
	for (int job = 0; job < 40 && pools[0] && pools[1]; job++) {
		qn_pool_run(pools[job / 3 % 2], check_place, &places[job / 3 % 2]);
		CHECK(sched_getaffinity(0, sizeof(after), &after) == 0);
		CHECK(CPU_EQUAL(&before, &after));
	}
	CHECK(atomic_load(&places[0].n_wrong) == 0 && atomic_load(&places[1].n_wrong) == 0);
	qn_pool_close(pools[0]);
	qn_pool_close(pools[1]);
}

int main(void)
{
	for (int n = 1; n <= MAX_THREADS; n++) {
		test_jobs(n, 50, 1000);
		test_jobs(n, 0, 200);
		test_barrier(n, 20);
	}
	test_jobs(2, 1000, 5000);
	test_sleep();
	test_slow_worker();
	test_open_close();
	test_nested();
	test_pinning();
	test_bad_cpus();
	test_floating();
	test_two_pools();
	return check_exit();
}
