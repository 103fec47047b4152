/*
 * units.h: the parts that a tuning consists of, and which of them are to be done.
 *
 * A unit is a format, a kind of activations and a number of tokens: on every class of cores it is one
 * search with all the cases (shapes, threads) that are decided by it.  Units of one format and activations
 * that differ in tokens share packed weights: they go together, that of the fewest tokens first.
 * Nothing of one such group has an influence on another's winners, so groups may be dealt out to several
 * runs (--shard), and a unit that an earlier record answers whole needs no measurement.
 */
#ifndef TUNER_UNITS_H
#define TUNER_UNITS_H

#include "contest.h"

struct units {
	struct contest_unit *list;
	size_t n;
	size_t n_kept; /* of these */
	size_t n_all;  /* those of other shards included */
};

/* Those of shard 1 <= shard <= n_shards; n_shards 0: all. */
void units_list(struct units *units, const struct config *config, long shard, long n_shards);
void units_free(struct units *units);

/*
 * Marks as kept the units of which an earlier record has every case: measured here, with the same
 * compilers and the same sources of all families that have kernels for it, searched as widely, with a
 * budget of at least so many seconds.  The contest's record says what is the case now.
 */
int units_keep(struct units *units, const struct contest *contest, const struct record *earlier,
	       double seconds, struct gen_error *err);

/* Moves the entries of kept units to the contest's record, with the runs that they come from. */
void units_take(const struct units *units, struct contest *contest, struct record *earlier);

#endif
