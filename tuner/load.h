/*
 * load.h: work that shows how fast the machine is at the moment, and for how long it stays so.
 */
#ifndef TUNER_LOAD_H
#define TUNER_LOAD_H

#include "meter.h"
#include "runtime/bench.h"

/*
 * Always the same work in registers and first-level caches, on every thread of an engine: 1 or 2 ms on a
 * fast core.  Returns the time of the slowest thread; *cpu: where the first one was.
 */
int64_t load_canary(struct quern_engine *engine, int *cpu);

struct load {
	long n_calls;
	int64_t ns;                /* of all calls */
	int64_t first_ns, last_ns; /* of one call, in the first tenth of the time and in the last */
	int64_t energy_uj;         /* absent where it cannot be told */
	const char *source;        /* what told it, or "" */
};

/* Runs a kernel without a break for so many seconds, one call at least. */
int load_sustain(struct qn_bench *bench, const struct qn_kernel *kernel, double seconds,
		 struct meter *meter, struct load *load, struct quern_error *err);

#endif
