/*
 * replay_rivals.h: how others search, on the same devices and with the same budgets.
 */
#ifndef TESTS_REPLAY_RIVALS_H
#define TESTS_REPLAY_RIVALS_H

#include "replay_space.h"

/* Shares of the exhaustive measuring time and of its compilations. */
struct replay_budget {
	double cost, compiles;
};

/* Each returns the point that it would ship.  All know the default, where there is one. */
typedef long replay_search_fn(struct replay_device *device, const struct replay_budget *budget,
			      uint64_t seed);

replay_search_fn replay_exhaustive; /* mean of 7 of every point; no budget */
replay_search_fn replay_random;     /* mean of 7 of random points */
replay_search_fn
	replay_greedy; /* mean of 7; first better neighbour, else a jump of two parameters */
replay_search_fn replay_genetic; /* mean of 7; 20 parents, tournaments, uniform crosses, mutants */

#endif
