/*
 * estimate.h: the loops of a kernel in a compiler's assembly, and what is in them.
 *
 * The outermost loop with a mark (assembly.h) is written out as one straight sequence: each marked
 * loop inside of it as often as its products fit into those of the outer pass, and each function of
 * the kernel that it calls in the place of the call.  What a compiler moved in front of the loop is
 * not counted, both sides of a branch are.
 */
#ifndef TUNER_ESTIMATE_H
#define TUNER_ESTIMATE_H

#include "assembly.h"
#include "gen/gen.h"

#define ESTIMATE_MAX_LOOPS 8

struct estimate_loop {
	char mark[32];
	char *text;        /* instructions, one a line */
	double n_products; /* of the text */
	/* Memory: what loads, stores or prefetches and does nothing else; x86-64's arithmetic may load, too. */
	long n_instructions, n_vector, n_memory, n_integer;
	long n_spills;   /* of all, vectors to or from the stack */
	long n_unmarked; /* loops inside that say nothing and stand in the text once */
};

/* What is done for all products comes first; decoding, done once for many tokens, follows. */
struct estimate {
	struct estimate_loop loops[ESTIMATE_MAX_LOOPS];
	size_t n;
};

/*
 * Reads the functions whose names are `kernel`, an underscore and more.  0, or -1 with the reason:
 * no mark is in a loop, or a loop calls a function of others.
 */
int estimate_read(struct estimate *estimate, enum assembly_arch arch, const char *text,
		  const char *kernel, struct gen_error *err);
void estimate_free(struct estimate *estimate);

/* Is a loop's work done once for all tokens? */
int estimate_is_shared(const struct estimate_loop *loop);

#endif
