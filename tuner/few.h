/*
 * few.h: winners of many cases, from few kernels.
 *
 * A library of 12 kernels beats one of 200: less code to carry, to check and to keep in caches.  What the
 * others of the finals would cost is known (record.h: finalists), so nothing is measured anew.
 * Kernels are taken greedily: next the one that lowers the loss over all cases most, cases of one token
 * together weighing 80 %, those of more 20 %, as a language model spends its time; until no case loses more
 * than 2 % against its winner.
 */
#ifndef TUNER_FEW_H
#define TUNER_FEW_H

#include "record.h"

#define FEW_LOSS 0.02

/*
 * Puts other finalists in the place of winners where the record then needs fewer kernels; what is told
 * of a winner becomes what its final knew of that one.  Nothing is done when winners are at most
 * n_max kernels already.  Lossy, estimated and default entries, and those of runs under load,
 * stay.  Returns how many kernels there are then, which may be above n_max: no case loses more than 2 %.
 */
size_t few_choose(struct record *record, size_t n_max);

#endif
