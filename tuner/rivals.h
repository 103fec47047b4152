/*
 * rivals.h: how the families of kernels compare in a case.
 *
 * The finalists of an entry have a paired ratio each.  A family that did not come into the final may
 * have lost in a race before; the journal knows by how much.
 */
#ifndef TUNER_RIVALS_H
#define TUNER_RIVALS_H

#include "history.h"
#include "record.h"

/* The best of one family in the case of an entry. */
struct rivals_best {
	char family[16];
	const char *kernel; /* of the record or the history */
	double ratio, ratio_low,
		ratio_high; /* time over the winner's; an interval of 0: none is known */
	int is_final;       /* from the final; else from a race before it */
};

/* The value of a word of a key ("family", "isa", "RV"): 1; 0 and an empty text when it is not there. */
int rivals_word(const char *key, const char *name, char *text, size_t n_bytes);

/*
 * The winner's family first, then the others that are known, by time.  history: NULL when there is
 * none.  Returns how many, at most max.
 */
size_t rivals_find(const struct record_entry *entry, const struct history *history,
		   struct rivals_best *best, size_t max);

#endif
