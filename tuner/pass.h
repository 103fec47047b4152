/*
 * pass.h: what the races of one format and its activations share: the candidates, where they run, samples, decisions.
 *
 * Whatever is decided by the clock is written to the journal as an answer ("decide ..."), so that
 * a run that is taken up takes the same way.  Functions return 0, or -1 with a sentence in
 * *pass->err, unless they say otherwise.
 */
#ifndef TUNER_PASS_H
#define TUNER_PASS_H

#include "contest.h"
#include "race.h"

#define PASS_MAX_CARRY 64 /* of all kinds */

/* What a runner's samples were disturbed by. */
struct pass_flags {
	long n; /* samples that were */
	struct record_flags by;
	int now; /* PROBE_* of this round's; -1: there is none */
};

struct pass {
	struct contest *contest;
	const char *format, *act;
	struct search *search;
	size_t base; /* the default's candidate */
	size_t carry[PASS_MAX_CARRY + 1];
	size_t n_carry;
	double deadline; /* of this format */

	/* Of the race that is under way. */
	struct session_case place;
	const char *stage;
	long calls;
	struct pass_flags *flags; /* of the final, by candidate and the twin; NULL: not counted */
	struct record_ratio control; /* of the final, as in an entry */
	int n_hot;                   /* how often this round was measured on a hot device */
	struct gen_error *err;
};

/* Seconds of the journal's clock. */
double pass_now(const struct pass *pass);

/* What the clock says now, or what it said when this was asked first. */
int pass_decide(struct pass *pass, const char *what, long value, long *decided);

/*
 * The id of the default's twin, which runs beside it as if it were another kernel: what a final makes
 * of the two is its A/A control.
 */
int pass_twin(const struct pass *pass);

/* A runner's candidate; that of the twin is the default. */
struct search_candidate *pass_candidate(const struct pass *pass, int id);

/* The name of a runner's kernel. */
const char *pass_name(const struct pass *pass, const struct race_runner *runner);

/* The progress line. */
void pass_show(struct pass *pass, const char *format, ...) __attribute__((format(printf, 2, 3)));
void pass_tell_best(struct pass *pass, const struct race_runner *best);

/* The entries of a case, from the first one on. */
void pass_tell_entries(struct pass *pass, size_t first);

/* race_told_fn: the round, and who was dropped in it. */
void pass_told(void *context, int round, const struct race_runner *runners, size_t n_left,
	       size_t n);

/* A candidate is out of everything that follows. */
void pass_drop(struct pass *pass, size_t i, const char *why);

/*
 * race_sample_fn; ids are indices of candidates.  A disturbed sample is taken again at most twice
 * and then kept; the final counts what it keeps.
 */
int pass_sample(void *context, int id, int round, double *ns);

/* race_over_fn: the gate's verdict.  A round on a hot device is run again at most twice and then kept, flagged. */
int pass_over(void *context, int round, int n_before);

/* The seed of a race's random numbers: the run's, the place and the stage. */
uint64_t pass_seed(const struct pass *pass, const char *stage);

/* Links candidates to the program that the session asks from now on. */
int pass_link(struct contest *contest, const char *const *keys, const char *const *names,
	      const char *const *objects, size_t n, struct gen_error *err);

/* Is a reading one of the place's target? */
int pass_is_roof(const struct contest_roof *reading, const struct session_case *place);

/* Reads the roof for the place's target once more; the record keeps the median of all. */
int pass_roof(struct pass *pass, const char *when);

/*
 * Lists the carried ones and all candidates from first_new on; returns how many.  The default goes
 * first: it tells how many calls a sample has.  Should it have failed, the best takes its part.
 */
size_t pass_enter(struct pass *pass, struct race_runner *runners, size_t first_new);

/* Makes room, first calls of everyone, and the number of calls of a sample from the first runner. */
int pass_line_up(struct pass *pass, struct race_runner *runners, size_t n);

#endif
