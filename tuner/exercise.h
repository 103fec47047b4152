/*
 * exercise.h: work of known size, to see whether an event counter tells the truth.
 *
 * memory: what exercises share, from malloc; *memory is NULL at first, the caller frees it.
 */
#ifndef TUNER_EXERCISE_H
#define TUNER_EXERCISE_H

#include <stdint.h>

#include "runtime/quern.h"

/* What to do, and what is then a plausible count, given the time it took. */
struct exercise {
	void (*set_up)(void **memory); /* may be NULL; not counted */
	int (*run)(void **memory, struct quern_error *err);
	double low, low_per_ns, high, high_per_ns;
};

extern const struct exercise exercise_cycles, exercise_instructions, exercise_misses,
	exercise_walks, exercise_stalls, exercise_mistakes, exercise_spin, exercise_naps,
	exercise_faults, exercise_moves;

#endif
