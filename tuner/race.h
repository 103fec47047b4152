/*
 * race.h: candidates side by side, losers dropped as evidence comes, and what the samples say in
 * the end.
 *
 * Everyone who is still in gets one sample a round, in a new random order, so that what disturbs
 * the machine disturbs all alike and ratios within a round stay true.  A machine that gets slower
 * within a round is seen by everyone who runs then: from the second round on the median of what samples
 * around one are off their runners' own tells its level, which is taken out where levels differ
 * enough to matter.  So all runners together are the sentinel, and it costs nothing.  Nothing here knows
 * what is measured.
 */
#ifndef TUNER_RACE_H
#define TUNER_RACE_H

#include <stddef.h>
#include <stdint.h>

#define RACE_MAX_ROUNDS 64
#define RACE_KINDS 2

struct race_runner {
	int id;         /* the caller's */
	int keep;       /* never dropped for being slow */
	int kind;       /* 0 .. RACE_KINDS-1; each kind has a race of its own, in the same rounds */
	int out;        /* dropped, or it failed */
	int failed;     /* out because a sample failed */
	double warm_ns; /* one call, cold */
	double log_ns[RACE_MAX_ROUNDS];
	double level[RACE_MAX_ROUNDS]; /* how slow the machine was then, by all samples around it */
	long at[RACE_MAX_ROUNDS];      /* the sample's number in the race */
	int n;                         /* samples */
	double score;                  /* median of log_ns - level */
};

/*
 * One sample: round -1 asks for the time of a single call, rounds from 0 on for the time per call
 * of a block.  0, 1 when the runner failed, -1 to stop.
 */
typedef int race_sample_fn(void *context, int id, int round, double *ns);

/*
 * The first call of everyone who is not out; those above twice the best are asked once more, then
 * leave.  The first runner goes first and is never dropped for it.
 */
int race_warm(struct race_runner *runners, size_t n, race_sample_fn *sample, void *context);

/*
 * After the samples of a round, n_before times before: 0 when they can be kept, 1 when all are to
 * be taken again, -1 to stop.
 */
typedef int race_over_fn(void *context, int round, int n_before);

/* After a round: the survivors, best first, then from n_left to n those who left in it. */
typedef void race_told_fn(void *context, int round, const struct race_runner *runners,
			  size_t n_left, size_t n);

/* What a race asks and tells; over and told may be NULL. */
struct race_calls {
	void *context;
	race_sample_fn *sample;
	race_over_fn *over;
	race_told_fn *told;
};

/*
 * How a race goes: rounds, and after each of them by how much of the leader's time a runner may be
 * behind (the last margin holds for all further rounds); the best n_elites of a kind stay anyway.
 */
struct race_rules {
	int n_rounds;
	size_t n_elites;
	double margins[16];
	int n_margins;
};

/*
 * Runs the rounds.  After each, those slower than the leader of their kind by more
 * than the round's margin are out.  Survivors come first afterwards, by score.  Returns how many,
 * or -1.
 */
long race_run(struct race_runner *runners, size_t n, const struct race_rules *rules, uint64_t seed,
	      const struct race_calls *calls);

/* The order of n in a round: random, and always the same for a seed. */
void race_order(size_t *order, size_t n, uint64_t seed);

/* Those that are out go behind the others, these by score, equal ones by id. */
void race_sort(struct race_runner *runners, size_t n);

/* Logarithm of the ratio of two times: the median over the rounds that both ran, at least one. */
double race_compare(const struct race_runner *a, const struct race_runner *b);

/* Median of a's time over b's, paired, in the first n rounds, which both ran, and its 95 % interval. */
double race_ratio(const struct race_runner *a, const struct race_runner *b, int n, double *low,
		  double *high);

struct race_verdict {
	double ratio;      /* median of the time over the best one's, paired by round */
	int is_equivalent; /* shown to be within 1.5 % of the best (sign test, Holm) */
	double over_base;  /* like ratio, over the base's time */
	int beats_base;    /* shown to be faster than the base (sign test, Holm) */
};

/*
 * Judges n runners with equally many samples, what is left of n_started; returns the index of the
 * best.  base may lie behind them.
 */
size_t race_judge(const struct race_runner *runners, size_t n, size_t n_started, size_t base,
		  struct race_verdict *verdicts);

/*
 * The one to choose by verdicts alone: the best of those that are shown to beat the base, else the
 * base.  base = n: it did not take part in this race, any may win.
 */
size_t race_choose(const struct race_verdict *verdicts, size_t n, size_t base);

#endif
