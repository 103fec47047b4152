/*
 * history.h: what a journal says, for those who only read it.
 *
 * journal.c knows answers by their questions; here they are put together: which kernels were tried in
 * which search and order, every sample of each in the order in which it was taken, and what failed.  A
 * journal may belong to a run that goes on, so nothing is locked, and a torn last line counts as not
 * there.
 */
#ifndef TUNER_HISTORY_H
#define TUNER_HISTORY_H

#include "gen/gen.h"

#define HISTORY_NONE ((size_t)-1)

/* Where something was measured. */
struct history_place {
	char text[160]; /* "4096x4096 n1 t1", or "... t4@cortex-a715" where cores are named */
	char format[32];
	long m, k, n;
	int threads;
	char cores[64]; /* their name, or empty */
};

struct history_sample {
	size_t place; /* of the history's places */
	char stage
		[16]; /* "warm", "race0", "race1", ..., "race", "final", "twin" (its A/A control), "sustained" */
	int round;         /* from 0 */
	int is_superseded; /* disturbed, and taken again: a later one counts */
	double ns_per_call;
	long calls;
	int flags; /* PROBE_* of clock.h */
	double at; /* seconds since the search began */
};

struct history_candidate {
	char *name;
	char *key;     /* as of gen.h; NULL: no longer legal, or no batch names it */
	int is_lossy;  /* as of gen.h */
	double nmse;   /* below 0: not verified */
	double at;     /* when it was first heard of */
	char *failure; /* why it is out of the search; NULL: it is not */
	struct history_sample *samples;
	size_t n_samples;
};

/* Kernels that were brought in together; number 0 begins a search. */
struct history_batch {
	char format[32], act[16], cores[64];
	long n_tokens;
	int number;
	double at;
	size_t *candidates; /* only those that can be named */
	size_t n_candidates;
	size_t n_unknown; /* points that are no longer legal, so that their names are not known */
};

struct history_failure {
	size_t candidate;
	size_t place;  /* HISTORY_NONE: none */
	char verb[16]; /* what was asked: "verify", "prepare", "time", "count", "sustain" */
	char *why;     /* "crash signal 11", "hang ...", "wrong ...", ... */
	double at;
};

/* What had to be equal for its answers to count: "config", "seed", "compiler", "device", ... */
struct history_fact {
	char *name, *value;
};

struct history {
	struct history_fact *facts;
	size_t n_facts;
	struct history_place *places;
	size_t n_places;
	struct history_candidate *candidates; /* in the order in which they were first heard of */
	size_t n_candidates;
	struct history_batch *batches;
	size_t n_batches;
	struct history_failure *failures;
	size_t n_failures;
	double seconds; /* of the last answer */
	size_t *index;  /* of candidates by name, for history_find */
	size_t n_index;
};

/*
 * Reads a journal.  gen gives the points of batches their names; with NULL there are no batches and
 * no keys.  0, or -1 with "path:line: ..." (nothing is kept then).
 */
int history_read(struct history *history, const char *path, struct gen *gen, struct gen_error *err);
void history_free(struct history *history);

/* The candidate of a name, or HISTORY_NONE. */
size_t history_find(const struct history *history, const char *name);

/* The value of a fact, or NULL. */
const char *history_fact(const struct history *history, const char *name);

#endif
