/*
 * merge.h: records of one device become one record.
 *
 * What runs have found is a set.  Each run is kept once, of two entries for one case the stronger one
 * stays, and whatever sums runs up is made anew from their list; so it does not matter in which order
 * records are merged, nor how often.
 *
 * A case is format, activations, M, K, N, threads, core, lossy or not, measured or estimated.  Of two
 * entries the one with more samples is the stronger, then the faster one, then the first as a text.  Both have to be
 * made from the same templates.
 */
#ifndef TUNER_MERGE_H
#define TUNER_MERGE_H

#include "record.h"

/*
 * Moves entries, runs, ceilings and failures of `from` to `to`, which has to be settled afterwards.
 * 0, or -1 where they are of different devices or compilers; then both are as they were.
 */
int merge_add(struct record *to, const char *to_path, struct record *from, const char *from_path,
	      struct gen_error *err);

/*
 * Leaves what merge.h promises, in a fixed order: a record of one run is as its run wrote it.  0, or
 * -1 where two entries of a case are made from different templates.
 */
int merge_settle(struct record *record, struct gen_error *err);

/* quern merge; returns the exit status. */
int merge_main(int argc, char **argv);

#endif
