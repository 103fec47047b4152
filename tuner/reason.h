/*
 * reason.h: why a kernel is as fast as it is, as one sentence.
 *
 * Pure reasoning about numbers.  Counted events come first, what the compiler's assembly tells
 * (static) only where those say nothing, and a number that is not known is never taken for 0.
 */
#ifndef TUNER_REASON_H
#define TUNER_REASON_H

#include <stddef.h>

#include "record.h"

#define REASON_AT_ROOF 0.85 /* of what the machine can do: nothing else needs to be explained */

enum reason_tier { REASON_NONE, REASON_MEASURED, REASON_STATIC };

/* NAN: not known. */
struct reason_numbers {
	double ratio;      /* time over the winner's */
	int is_equivalent; /* shown to be as good as the winner, or not shown to be slower */
	double roof_fraction, roof;
	const char *roof_unit;            /* of roof, "GB/s" */
	struct record_numbers per_weight; /* not all of it is */
	double pass_weights;              /* of one pass of the loop */
	double core_ns;                   /* nanoseconds of a core, a weight times a token */
	const char *bottleneck;           /* of the loop in a model of the core; empty: not known */
};

/*
 * Why it is slower than the winner; winner NULL: it is the winner, and what holds it back.  text gets the
 * sentence, cut when it is too long, or nothing (REASON_NONE).
 */
enum reason_tier reason_find(const struct reason_numbers *kernel,
			     const struct reason_numbers *winner, char *text, size_t n_bytes);

/* The word of a tier in results files; of REASON_NONE an empty one. */
const char *reason_tier_name(enum reason_tier tier);

/* Where events of these names are kept; NULL: it explains nothing. */
double *reason_event(struct record_numbers *numbers, const char *event);

/* All are unknown; is any of them known? */
void reason_clear(struct record_numbers *numbers);
int reason_is_known(const struct record_numbers *numbers);

#endif
