/* run_clock.h: time as the commands of quern-run tell it. */
#ifndef QN_RUN_CLOCK_H
#define QN_RUN_CLOCK_H

#include "bench.h"

/* Seconds of a clock that only goes forward. */
static inline double run_clock_s(void)
{
	return 1e-9 * (double)qn_bench_now_ns();
}

#endif
