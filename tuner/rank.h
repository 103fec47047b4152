/*
 * rank.h: quern tune --estimate: the search of quern tune with llvm-mca in the place of a device.
 *
 * Candidates are compiled to assembly and ranked by the cycles that a model of the core needs for a
 * weight (cost.h).  This is the same whenever it is asked and for every shape, so there are no
 * rounds, and every case of a format and a number of tokens gets the same winner.  What a model that
 * takes all data to be in the first-level cache cannot tell, how far ahead to prefetch, is not
 * searched for: it stays as in the defaults.  Costs go to the journal, as samples do.
 */
#ifndef TUNER_RANK_H
#define TUNER_RANK_H

#include "options.h"

/* Prints what goes wrong; returns what tune_main does. */
int rank_main(const struct options *options, const char *home);

#endif
