/*
 * ship.h: which kernels of a record a library is built from.
 *
 * The winner of a case need not be what serves it best.  Weights are packed once, so cases of one
 * matrix (format, activations, shape, threads and core) that differ in tokens have to agree on a layout: that
 * in which the best finalists of all of them together cost least, cases of one token weighing as
 * much as a language model spends on them.  Where energy is known it may count instead of time.
 * And a library of 12 kernels beats one of 200: less code to carry, to check and to keep in caches.
 *
 * All of it follows from what finals have measured (record.h: finalists), nothing is measured anew,
 * and it can be chosen anew at any time: a winner stays what it is, and what is shipped in its place stands
 * beside it.
 */
#ifndef TUNER_SHIP_H
#define TUNER_SHIP_H

#include "record.h"

#define SHIP_LOSS 0.02
#define SHIP_DECODE_SHARE 0.8

enum ship_objective {
	SHIP_TIME,
	SHIP_ENERGY, /* of a call, where finalists have it; else time */
	SHIP_EDP,    /* energy times time, the product that is least at the knee of the two */
	SHIP_N_OBJECTIVES
};

extern const char *const ship_objectives[SHIP_N_OBJECTIVES];

struct ship_wish {
	enum ship_objective objective;
	double decode_share; /* weight of all cases of one token, 0 to 1; those of more have the rest */
	size_t max_kernels; /* then kernels are taken that serve several cases; 0: any number */
};

/*
 * Sets `shipped` of all measured entries.  With max_kernels, where more than so many would be needed,
 * kernels are taken greedily: next the one that lowers the loss over all cases most, until no case
 * loses more than 2 % against the best that its layout allows.  Returns how many kernels there are then,
 * which may be above max_kernels.
 */
size_t ship_choose(struct record *record, const struct ship_wish *wish);

/* What is shipped for an entry: its own kernel, or the name of a finalist. */
const char *ship_kernel(const struct record_entry *entry);

/* The finalist that is shipped in the place of an entry's winner; NULL: the winner is. */
const struct record_finalist *ship_finalist(const struct record_entry *entry);

#endif
