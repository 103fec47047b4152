/*
 * cost.h: what kernels cost by their assembly and a model of a core.
 *
 * All figures are for one weight times one token.  A kernel whose pass takes 4 tokens is passed
 * twice for 5, and pays for 8.  What is done once for all tokens (a decoded weight) is shared among
 * them in the cycles; instructions are those of the loop that multiplies.
 */
#ifndef TUNER_COST_H
#define TUNER_COST_H

#include "compile.h"
#include "mca.h"
#include "models.h"

struct cost {
	double instructions, vector, memory, integer; /* of the loop, of a product */
	double n_products;                            /* of a pass of the loop */
	long spills;
	double cycles;   /* with decoding, for n_tokens; 0: not asked */
	double shared;   /* cycles a weight of what is done once for all tokens */
	long n_unmarked; /* loops inside that were counted once */
	char bottleneck[96];
};

struct cost_item {
	const char *object, *name; /* of compile.h: assembly that has this kernel */
	long pass_tokens, n_tokens;
	struct cost cost; /* out */
	char *why; /* out: NULL, or why there are no cycles, if that was asked, or nothing at all
			     (instructions 0); the caller frees it */
};

/*
 * Loops that are equal are modelled once.  mca NULL: not at all, and the model tells the architecture
 * only.  0, or -1 when nothing works or the user stops.
 */
int cost_items(const struct compile *compile, const struct mca *mca, const struct model *model,
	       struct cost_item *items, size_t n, void (*progress)(void *context, size_t n_done),
	       void *context, struct gen_error *err);

#endif
