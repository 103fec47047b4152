/*
 * mca.h: running llvm-mca, LLVM's model of how processors schedule instructions, on loops.
 *
 * It takes data to be in the first-level cache and branches to be foreseen, so what it says is a
 * bound that no core beats by much, not a time.
 */
#ifndef TUNER_MCA_H
#define TUNER_MCA_H

#include "models.h"
#include "gen/gen.h"

struct mca {
	char program[32], version[64];
	char *work; /* a folder whose logs/ and tmp/ are there */
	int n_parallel;
	int n_passes; /* of a loop that are simulated; fewer are quicker and a little too high */
};

/* Finds the program, that of LLVM 19 before others; -1 with what to install. */
int mca_open(struct mca *mca, const char *work, int n_parallel, struct gen_error *err);
void mca_close(struct mca *mca);

struct mca_item {
	const char *text;    /* instructions, one a line */
	double cycles;       /* out: of one pass, in the steady state */
	char bottleneck[96]; /* out: in plain words */
	char *why;           /* out: NULL, or why there is no figure; the caller frees it */
};

/*
 * Asks about all texts; the model has a cpu.  0, or -1 when nothing can be asked or the user stops.  progress, when not NULL, is called now and then with how many are done.
 */
int mca_run(const struct mca *mca, const struct model *model, struct mca_item *items, size_t n,
	    void (*progress)(void *context, size_t n_done), void *context, struct gen_error *err);

/*
 * Takes the figures of n items, in order, from what llvm-mca printed.  Returns how many were there
 * (texts are not looked at); the others stay as they are.
 */
size_t mca_read(const char *output, struct mca_item *items, size_t n);

#endif
