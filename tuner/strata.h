/*
 * strata.h: points at random, each space by itself.
 */
#ifndef TUNER_STRATA_H
#define TUNER_STRATA_H

#include <stdint.h>

#include "points.h"

struct strata {
	long *list;  /* exact points that may be drawn, by stratum */
	long *first; /* of n_strata + 1 */
};

void strata_open(struct strata *strata, const struct points *points);
void strata_close(struct strata *strata);

/* A point of a stratum that is not taken; -1: some draws found none.  is_taken: by point. */
long strata_draw(const struct strata *strata, int stratum, const unsigned char *is_taken,
		 uint64_t *random);

#endif
