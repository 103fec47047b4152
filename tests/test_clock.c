/* test_clock.c: the clock runs, and each thing that can disturb a sample raises its flag. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/check.h"
#include "tuner/clock.h"

static void test_readings(void)
{
	int64_t last = clock_read_ns(), from = last, resolution = clock_resolution_ns();
	struct timespec nap = {.tv_nsec = 20000000};

	CHECK(resolution >= 1 && resolution < 20000000);
	for (int i = 0; i < 1000; i++) {
		int64_t now = clock_read_ns();

		CHECK(now >= last);
		last = now;
	}
	from = clock_read_ns();
	nanosleep(&nap, NULL);
	CHECK(clock_read_ns() - from >= 19000000);
}

static void test_steal(void)
{
	CHECK(clock_parse_steal("cpu  2347 0 2571 226147 454 0 35 13 0 0\ncpu0 1") == 13);
	CHECK(clock_parse_steal("cpu  1 2 3 4 5 6 7 8") == 8);
	CHECK(clock_parse_steal("cpu  1 2 3 4 5 6 7\ncpu0 1 2 3 4 5 6 7 8") == -1);
	CHECK(clock_parse_steal("cpu0 1 2 3 4 5 6 7 8 9 10") == -1);
	CHECK(clock_parse_steal("cpu  1 2 3 4 5 6 7 99999999999999999999999") == -1);
	CHECK(clock_parse_steal("cpu  1 2 3 4 -5 6 7 8") == -1);
	CHECK(clock_parse_steal("cpu ") == -1);
	CHECK(clock_parse_steal("") == -1);
}

/* A quiet stretch this short is sure to happen in so many tries. */
static void test_quiet(struct clock_watch *watch)
{
	unsigned flags = ~0u;

	for (int i = 0; i < 1000 && flags != 0; i++) {
		clock_watch_start(watch, 1);
		flags = clock_watch_stop(watch);
	}
	CHECK(flags == 0);
}

static void test_faults(struct clock_watch *watch)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n_bytes = 256 * page;
	volatile char *p =
		mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!CHECK(p != MAP_FAILED))
		return;
	madvise((void *)p, n_bytes, MADV_NOHUGEPAGE);
	clock_watch_start(watch, 0);
	for (size_t i = 0; i < n_bytes; i += page)
		p[i] = 1;
	CHECK(clock_watch_stop(watch) & PROBE_FAULTED);
	munmap((void *)p, n_bytes);
}

static void pin(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
}

static void test_migration(struct clock_watch *watch, const int *cpus)
{
	pin(cpus[0]);
	clock_watch_start(watch, 1);
	pin(cpus[1]);
	CHECK(clock_watch_stop(watch) & PROBE_MIGRATED);

	pin(cpus[0]);
	clock_watch_start(watch, 0);
	pin(cpus[1]);
	CHECK(!(clock_watch_stop(watch) & PROBE_MIGRATED));
}

static volatile int stop_spinning;

static void *spin(void *arg)
{
	(void)arg;
	while (!stop_spinning)
		;
	return NULL;
}

/* Two threads that never sleep, on one core: the kernel has to take it from one of them. */
static void test_switch(struct clock_watch *watch, int cpu)
{
	int64_t end = clock_read_ns() + 10000000000;
	unsigned flags = 0;
	pthread_t other;

	pin(cpu);
	if (!CHECK(pthread_create(&other, NULL, spin, NULL) == 0))
		return;
	clock_watch_start(watch, 0);
	while (!(flags & PROBE_SWITCHED) && clock_read_ns() < end)
		flags = clock_watch_stop(watch);
	CHECK(flags & PROBE_SWITCHED);
	stop_spinning = 1;
	pthread_join(other, NULL);
}

int main(void)
{
	struct clock_watch watch;
	cpu_set_t home;
	int cpus[2], n_cpus = 0;

	test_readings();
	test_steal();
	clock_watch_open(&watch);
	test_quiet(&watch);
	test_faults(&watch);
	CHECK(sched_getaffinity(0, sizeof(home), &home) == 0);
	for (int cpu = 0; cpu < CPU_SETSIZE && n_cpus < 2; cpu++)
		if (CPU_ISSET(cpu, &home))
			cpus[n_cpus++] = cpu;
	if (n_cpus == 2)
		test_migration(&watch, cpus);
	if (CHECK(n_cpus > 0))
		test_switch(&watch, cpus[0]);
	clock_watch_close(&watch);
	clock_watch_start(&watch, 1); /* works, but sees no steal */
	clock_watch_stop(&watch);
	return check_exit();
}
