/*
 * strategy.h: the search, whatever is searched.
 *
 * Random legal points and known good ones race; what is near the leaders races against them, and
 * when nothing near is new, newcomers: random points, crosses and mutants of the best, and what a
 * surrogate thinks is fast.  All that is in a race is measured in the same rounds, the best of
 * earlier ones, too, so that only what stood side by side is compared.  The search knows
 * points, not kernels: the tuner and the replay of recorded spaces run the same one.
 */
#ifndef TUNER_STRATEGY_H
#define TUNER_STRATEGY_H

#include "points.h"
#include "race.h"

/* Where points run.  Functions return 0, or -1 to stop. */
struct strategy_world {
	void *context;
	/*
	 * Makes points ready to run; ids[i]: what races call it, from 0, or -1 where it cannot run
	 * or is the same kernel as another.
	 */
	int (*bring)(void *context, int step, const long *points, size_t n, long *ids);
	/* Before a race; NULL: nothing but first calls is to be done (race_warm). */
	int (*line_up)(void *context, int step, struct race_runner *runners, size_t n);
	struct race_calls race; /* its context is of its own */
	/* How many of n_wanted new points the budget has room for; 0 ends the search.  Not asked for the start. */
	int (*afford)(void *context, int step, long n_wanted, long *n);
	/* When no more points are asked for: how many samples there is room for before the finals. */
	int (*spare)(void *context, int step, long *n_samples);
};

/* Chosen by replay: make bench-replay. */
struct strategy_constants {
	int n_start;     /* points of the first race, known ones not counted */
	int n_newcomers; /* of a generation */
	int n_near;      /* neighbours of a race, the most promising ones */
	int n_elites;    /* of a kind; never dropped in a race, measured again in the next */
	int start_rounds, rounds, recall_rounds;
	double margins[5]; /* of races, as of race.h */
	double modelled; /* share of newcomers that the surrogate proposes, once 20 points are known */
	double random, crossed; /* shares of the others; the rest are mutants */
	int patience;           /* generations without a new leader */
	/* At the end once more: those that look best by all that is known, more where there is room. */
	int n_recalled, most_recalled;
	int samples_recalled; /* that there has to be room for, for each of them */
	int n_finalists;      /* elites of that race */
};

extern const struct strategy_constants strategy_constants;

/* Of a final; its rounds are as the budget says. */
extern const struct race_rules strategy_final;

#define STRATEGY_MAX_ELITES 64

struct strategy_elite {
	long point, id;
	double score; /* log of time over the first known point's, paired; of those behind them, a guess */
};

struct strategy_result {
	/* Best first: those of the last race, then the next best of all. */
	struct strategy_elite elites[RACE_KINDS][STRATEGY_MAX_ELITES];
	int n_elites[RACE_KINDS];
	long base;      /* id of the first known point that runs; -1: nothing runs */
	long n_brought; /* points that were made ready */
};

/*
 * known: points to begin with, the default first; n_wanted: elites of a kind to list.  0, or -1 (the
 * world stopped).
 */
int strategy_run(const struct points *points, const struct strategy_world *world,
		 const struct strategy_constants *constants, const long *known, size_t n_known,
		 int n_wanted, uint64_t seed, struct strategy_result *result);

#endif
