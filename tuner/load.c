/* load.c: a chain of multiplications and loads, and a kernel in blocks. */
#include "load.h"

#include <sched.h>
#include <string.h>

#include "clock.h"
#include "runtime/matmul.h"
#include "runtime/topology.h"

#define N_STEPS 400000   /* of a canary; 9 to 11 cycles each, all of them latency */
#define TABLE_BITS 10    /* 8 KiB, in every first-level cache */
#define BLOCK_NS 1e7     /* of a sustained run, between looks at the clock */
#define N_BLOCKS_MIN 100 /* of a short one, where calls are short enough */

/* ---- canary ---- */

struct canary {
	uint64_t table[1 << TABLE_BITS];
	int64_t ns[QN_MAX_CPUS];
	uint64_t ends[QN_MAX_CPUS];
	int cpu;
};

/* Every step needs the one before, so neither the compiler nor a wider core makes it shorter. */
static uint64_t walk(const uint64_t *table)
{
	uint64_t x = 1;

	for (long i = 0; i < N_STEPS; i++)
		x = x * 6364136223846793005u + table[x >> (64 - TABLE_BITS)];
	return x;
}

static void run_canary(void *arg, int thread, int n_threads)
{
	struct canary *canary = arg;
	int64_t begin = clock_read_ns();

	(void)n_threads;
	canary->ends[thread] = walk(canary->table);
	canary->ns[thread] = clock_read_ns() - begin;
	if (thread == 0)
		canary->cpu = sched_getcpu();
}

int64_t load_canary(struct quern_engine *engine, int *cpu)
{
	struct canary canary;
	int64_t slowest = 1;

	memset(&canary, 0, sizeof(canary));
	for (uint64_t i = 0; i < 1 << TABLE_BITS; i++)
		canary.table[i] = (2 * i + 1) * 0x9e3779b97f4a7c15u;
	qn_pool_run(qn_matmul_lane(engine, 1)->pool, run_canary, &canary);
	for (int i = 0; i < quern_n_threads(engine); i++)
		slowest = canary.ns[i] > slowest ? canary.ns[i] : slowest;
	*cpu = canary.cpu;
	return slowest;
}

/* ---- a kernel ---- */

/* Calls that took so long. */
struct span {
	double n_calls, ns;
};

static void add(struct span *span, long n_calls, int64_t ns)
{
	span->n_calls += (double)n_calls;
	span->ns += (double)ns;
}

static int64_t average(const struct span *span)
{
	return span->n_calls > 0 ? (int64_t)(span->ns / span->n_calls + 0.5) : 0;
}

int load_sustain(struct qn_bench *bench, const struct qn_kernel *kernel, double seconds,
		 struct meter *meter, struct load *load, struct quern_error *err)
{
	const double total_ns = 1e9 * seconds;
	const double block_ns =
		total_ns / N_BLOCKS_MIN < BLOCK_NS ? total_ns / N_BLOCKS_MIN : BLOCK_NS;
	struct span all = {0, 0}, first = {0, 0}, last = {0, 0};
	struct meter_run run;
	int64_t begin = clock_read_ns(), now = begin;
	long n_calls = 1;
	int is_last_tenth = 0;

	meter_start(&run, meter, begin);
	do {
		const double done_ns = (double)(now - begin);
		int64_t ns;

		if (qn_bench_run(bench, kernel, n_calls, &ns, err) < 0)
			return -1;
		add(&all, n_calls, ns);
		if (done_ns < 0.1 * total_ns)
			add(&first, n_calls, ns);
		if (!is_last_tenth) /* the last block counts, wherever it began */
			last = (struct span){0, 0};
		is_last_tenth = done_ns >= 0.9 * total_ns;
		add(&last, n_calls, ns);
		n_calls = (long)(block_ns * all.n_calls / (all.ns > 1 ? all.ns : 1));
		n_calls = n_calls < 1 ? 1 : n_calls;
		now = clock_read_ns();
		meter_note(&run, now);
	} while ((double)(now - begin) < total_ns);
	load->energy_uj = meter_stop(&run, now, &load->source);
	load->n_calls = (long)all.n_calls;
	load->ns = (int64_t)all.ns;
	load->first_ns = average(&first);
	load->last_ns = average(&last);
	return 0;
}
