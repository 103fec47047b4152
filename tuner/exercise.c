/* exercise.c: a counting loop, a chase through memory, a walk through pages, branches nobody can foresee, naps, faults, and moves between cores. */
#include "exercise.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "runtime/error.h"

#define N_STEPS 1000000   /* of the counting loop, 2 instructions each */
#define N_CHASED 16384    /* dependent loads that miss every cache */
#define CHASE_STRIDE 256  /* bytes: beyond every line and its neighbour */
#define N_BRANCHES 200000 /* half of them mispredicted */
#define N_PAGES 64
#define N_WALKED 8192    /* pages: more than a second-level TLB has entries */
#define WALK_STRIDE 4160 /* bytes: a page, and a line, so that sets of caches are used evenly */
#define N_NAPS 8
#define N_MOVES 8

static int run_loop(void **memory, struct quern_error *err)
{
	long n = N_STEPS;

	(void)memory;
	(void)err;
#if defined(__x86_64__)
	__asm__ volatile("1:\n\tdec %0\n\tjnz 1b" : "+r"(n) : : "cc");
#elif defined(__aarch64__)
	__asm__ volatile("1:\n\tsubs %0, %0, #1\n\tb.ne 1b" : "+r"(n) : : "cc");
#else
	for (; n > 0; n--)
		__asm__ volatile("" : "+r"(n));
#endif
	return 0;
}

static void flush_line(void *p)
{
#if defined(__x86_64__)
	__asm__ volatile("clflush (%0)\n\tmfence" : : "r"(p) : "memory");
#elif defined(__aarch64__)
	__asm__ volatile("dc civac, %0\n\tdsb ish" : : "r"(p) : "memory");
#else
	(void)p;
#endif
}

/* A walk through memory: places so many bytes apart. */
struct ring {
	uint32_t n;
	size_t stride;
};

static const struct ring chase = {N_CHASED, CHASE_STRIDE}, walk = {N_WALKED, WALK_STRIDE};

static uint32_t *ring_place(const struct ring *ring, void *memory, size_t i)
{
	return (uint32_t *)((char *)memory + i * ring->stride);
}

/* Links the places into one random ring (Sattolo). */
static void link_ring(const struct ring *ring, void *memory)
{
	uint64_t random = 1;

	for (uint32_t i = 0; i < ring->n; i++)
		*ring_place(ring, memory, i) = i;
	for (uint32_t i = ring->n - 1; i > 0; i--) {
		uint32_t *a = ring_place(ring, memory, i), *b, swap = *a;

		random = random * 6364136223846793005u + 1442695040888963407u;
		b = ring_place(ring, memory, (random >> 33) % i);
		*a = *b;
		*b = swap;
	}
}

static int run_ring(const struct ring *ring, void *memory, struct quern_error *err)
{
	uint32_t at = 0;

	if (!memory)
		return qn_error_set(err, "no memory to test it with");
	for (uint32_t i = 0; i < ring->n; i++)
		at = *(volatile uint32_t *)ring_place(ring, memory, at);
	return 0;
}

/* Room for either ring in small pages, which cost nothing before they are touched. */
static int find_memory(void **memory)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const size_t n_bytes = ((size_t)N_WALKED * WALK_STRIDE + page - 1) / page * page;

	if (*memory)
		return 0;
	if (posix_memalign(memory, page, n_bytes)) {
		*memory = NULL;
		return -1;
	}
	madvise(*memory, n_bytes, MADV_NOHUGEPAGE);
	return 0;
}

/* Out of the caches, too. */
static void set_up_chase(void **memory)
{
	if (find_memory(memory) < 0)
		return;
	link_ring(&chase, *memory);
	for (size_t i = 0; i < N_CHASED; i++)
		flush_line(ring_place(&chase, *memory, i));
}

static int run_chase(void **memory, struct quern_error *err)
{
	return run_ring(&chase, *memory, err);
}

static void set_up_walk(void **memory)
{
	if (find_memory(memory) == 0)
		link_ring(&walk, *memory);
}

static int run_walk(void **memory, struct quern_error *err)
{
	return run_ring(&walk, *memory, err);
}

static int run_branches(void **memory, struct quern_error *err)
{
	uint64_t random = 88172645463325252u;

	(void)memory;
	(void)err;
	for (int i = 0; i < N_BRANCHES; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		/* A branch, not the select that a compiler would make of it. */
#if defined(__x86_64__)
		__asm__ volatile("test $1, %b0\n\tjz 1f\n\tnop\n1:" : : "q"(random) : "cc");
#elif defined(__aarch64__)
		__asm__ volatile("tbz %0, #0, 1f\n\tnop\n1:" : : "r"(random));
#else
		__asm__ volatile("" : : "r"(random));
#endif
	}
	return 0;
}

static int run_spin(void **memory, struct quern_error *err)
{
	int64_t end = clock_read_ns() + 2000000;

	(void)memory;
	(void)err;
	while (clock_read_ns() < end)
		;
	return 0;
}

static int run_naps(void **memory, struct quern_error *err)
{
	(void)memory;
	(void)err;
	for (int i = 0; i < N_NAPS; i++)
		nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
	return 0;
}

static int run_faults(void **memory, struct quern_error *err)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n_bytes = N_PAGES * page;
	volatile char *p =
		mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)memory;
	if (p == MAP_FAILED)
		return qn_error_set(err, "no memory to test it with");
	madvise((void *)p, n_bytes, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < n_bytes; i += page)
		p[i] = 1;
	munmap((void *)p, n_bytes);
	return 0;
}

/* To and fro between the first two cores that the thread may use. */
static int run_moves(void **memory, struct quern_error *err)
{
	cpu_set_t home, one;
	int cpus[2], n = 0;

	(void)memory;
	CPU_ZERO(&home);
	sched_getaffinity(0, sizeof(home), &home);
	for (int cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
		if (CPU_ISSET(cpu, &home))
			cpus[n++] = cpu;
	if (n < 2)
		return qn_error_set(err, "one core is not enough to test it");
	for (int i = 0; i < N_MOVES; i++) {
		CPU_ZERO(&one);
		CPU_SET(cpus[i % 2], &one);
		sched_setaffinity(0, sizeof(one), &one);
	}
	sched_setaffinity(0, sizeof(home), &home);
	return 0;
}

const struct exercise
	/* 0.1 to 20 instructions a cycle. */
	exercise_cycles = {NULL, run_loop, 2.0 * N_STEPS / 20, 0, 2.0 * N_STEPS / 0.1, 0},
	exercise_instructions = {NULL, run_loop, 2.0 * N_STEPS / 2, 0, 2.0 * N_STEPS * 2, 0},
	/* A miss a load; some events count prefetched neighbours and page walks as well. */
	exercise_misses = {set_up_chase, run_chase, N_CHASED / 4.0, 0, N_CHASED * 4.0, 0},
	/* A walk for most loads; some events count those of prefetches as well. */
	exercise_walks = {set_up_walk, run_walk, N_WALKED / 4.0, 0, N_WALKED * 4.0, 0},
	/* At least a cycle a miss; at most all the time, at 10 GHz. */
	exercise_stalls = {set_up_chase, run_chase, N_CHASED, 0, 0, 10},
	/* At least a cycle to turn back in every second wrong guess; at most all the time, at 10 GHz. */
	exercise_mistakes = {NULL, run_branches, N_BRANCHES / 4.0, 0, 0, 10},
	/* Others may hold the core for most of the time. */
	exercise_spin = {NULL, run_spin, 0, 0.05, 0, 1.1},
	exercise_naps = {NULL, run_naps, N_NAPS, 0, N_NAPS, 1e-4},
	exercise_faults = {NULL, run_faults, N_PAGES, 0, 2 * N_PAGES, 0},
	/* The first one may lead to where the thread is. */
	exercise_moves = {NULL, run_moves, N_MOVES - 1, 0, 2 * N_MOVES, 0};
