/*
 * known.h: points that records know for a format, to begin a search with.
 */
#ifndef TUNER_KNOWN_H
#define TUNER_KNOWN_H

#include "record.h"
#include "search.h"

struct known_place {
	const char *format, *act;
	long n_tokens;
	long core; /* winners of other kinds of cores do not count; 0: all do */
	const struct search_isa *isas;
	size_t n_isas;
};

/*
 * Adds keys of the record's entries for this place to a list of n, each once, up to max; returns how
 * many there are then.  to_front: what an untuned library takes comes to the front, the widest ISA's
 * first one for the nearest number of tokens, as qn_choose has it.  Keys belong to the record.
 */
size_t known_collect(const struct known_place *place, const struct record *record,
		     const char **keys, size_t n, size_t max, int to_front);

#endif
