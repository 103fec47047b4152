/*
 * layouts.h: in which layouts of packed weights a case needs finalists.
 *
 * Weights are packed once, so the cases of one matrix have to agree on a layout (ship.h), and that takes
 * finalists of the same layouts in all their finals: in those for one token the best of each of the
 * best layouts, in those for more tokens the best of each that is near the best for one token.
 */
#ifndef TUNER_LAYOUTS_H
#define TUNER_LAYOUTS_H

#include "pass.h"

#define LAYOUTS_MAX 3
#define LAYOUTS_NEAR 1.10 /* times the winner's time: more is not made good by faster prompts */

struct layouts {
	char names[LAYOUTS_MAX][32];
	const char *keys[LAYOUTS_MAX]; /* of kernels with them; NULL where is_open */
	int n_taken[LAYOUTS_MAX];
	size_t n;
	int is_open; /* the first that come are those that are wanted */
	int n_each;  /* candidates of each */
};

/*
 * What is wanted in the pass's place, of its shape and threads, or for any of its format and cores;
 * n_each: candidates of each.
 * Nothing where the config has one number of tokens only.
 */
void layouts_list(struct layouts *layouts, const struct pass *pass, int is_exact, int n_each);

/* 1: a candidate of this layout is wanted, the better ones being asked for first; and it is counted. */
int layouts_take(struct layouts *layouts, const char *layout);

#endif
