/*
 * find.h: the candidates of one search, by the strategy that the run asks for.
 */
#ifndef TUNER_FIND_H
#define TUNER_FIND_H

#include "pass.h"

/*
 * Searches in the pass's place, from seconds `begin` of the journal's clock on for about `seconds`;
 * the best are carried afterwards.  0; 1: no candidate is any good; -1.
 */
int find_candidates(struct pass *pass, double begin, double seconds);

#endif
