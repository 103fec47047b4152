/* sittings.c: rounds, the control, and once more where that says so. */
#include "sittings.h"

#include <math.h>
#include <time.h>

#include "fail.h"
#include "process.h"
#include "strategy.h"

/* ---- the A/A control ---- */

static void add_twin(struct pass *pass, struct race_runner *twin)
{
	memset(twin, 0, sizeof(*twin));
	twin->id = pass_twin(pass);
	twin->keep = 1;
}

/* Takes the twin out of a final, of whom `left` of *n_in are left; how many are left without it. */
static long take_twin(struct pass *pass, struct race_runner *runners, long left, long *n_in)
{
	const struct race_runner *base = NULL;
	struct race_runner twin;
	long at = 0;

	for (long i = 0; i < left; i++) {
		if (runners[i].id == (int)pass->base)
			base = &runners[i];
	}
	while (runners[at].id != pass_twin(pass))
		at++;
	twin = runners[at];
	memset(&pass->control, 0, sizeof(pass->control));
	if (base && twin.n == base->n)
		pass->control.ratio =
			race_ratio(&twin, base, twin.n, &pass->control.low, &pass->control.high);
	memmove(&runners[at], &runners[at + 1], (size_t)(*n_in - at - 1) * sizeof(*runners));
	--*n_in;
	return left - (at < left);
}

/* ---- sittings ---- */

#define N_SITTINGS 4
#define UNQUIET 0.04 /* width of a control's interval that is too much for a final of all rounds */

/* Nothing runs for some seconds, but those of an earlier run count. */
static int rest(struct pass *pass, const char *where, int sitting, double seconds)
{
	struct journal *journal = pass->contest->journal;
	char *question = fail_text("rest before sitting %d of %s", sitting, where);
	const double end = process_now() + seconds;
	int status = 0, is_known = journal_find(journal, question) != NULL;

	while (!is_known && !status && process_now() < end) {
		const struct timespec nap = {0, 20000000};

		if (process_stopping())
			status = fail_set(pass->err, "stopped by the user");
		pass_show(pass, "unquiet: final once more in %.0f s", end - process_now());
		nanosleep(&nap, NULL);
	}
	if (!is_known && !status)
		status = journal_add(journal, question, "done", pass->err);
	free(question);
	return status;
}

/*
 * Is the final to be run once more?  Where the default and its twin could not be told to be equal, nobody could
 * be told apart; the machine may be quieter in some seconds.
 */
static int is_unquiet(struct pass *pass, const char *where, long rounds, int sitting, double took_s,
		      size_t n_cases_left, long *is_again)
{
	const double left = (pass->deadline - pass_now(pass)) / (double)n_cases_left;
	const double pause = 1 << sitting;
	char *what = fail_text("sitting %d of %s", sitting + 1, where);
	int status = 0;

	*is_again = sitting < N_SITTINGS && pass->control.ratio > 0 &&
		    pass->control.high - pass->control.low >
			    UNQUIET * sqrt((double)strategy_final.n_rounds / (double)rounds);
	if (*is_again)
		status = pass_decide(pass, what, left > pause + took_s, is_again);
	free(what);
	if (!status && *is_again)
		status = rest(pass, where, sitting + 1, pause);
	return status;
}

/* Those who started, without those that have failed meanwhile; nothing is flagged yet. */
static void start_again(const struct pass *pass, struct race_runner *runners,
			const struct race_runner *started, size_t n)
{
	memcpy(runners, started, n * sizeof(*started));
	for (size_t i = 0; i < n; i++)
		runners[i].out |= search_candidate(pass->search, (size_t)runners[i].id)->failed;
	for (size_t i = 0; i <= search_n(pass->search); i++)
		pass->flags[i] = (struct pass_flags){.now = -1};
}

long sittings_run(struct pass *pass, struct race_runner *runners, long *n_in, long rounds,
		  const char *where, size_t n_cases_left)
{
	const struct race_calls calls = {pass, pass_sample, pass_over, pass_told};
	const size_t n_started = (size_t)*n_in;
	struct race_runner *started = fail_alloc(n_started, sizeof(*started));
	struct race_rules rules = strategy_final;
	char stage[32] = "final";
	long left = -1, is_again = 1;

	memcpy(started, runners, n_started * sizeof(*started));
	rules.n_rounds = (int)rounds;
	pass->stage = stage;
	for (int sitting = 1; is_again; sitting++) {
		const double begin = pass_now(pass);

		if (sitting > 1)
			snprintf(stage, sizeof(stage), "final sitting%d", sitting);
		start_again(pass, runners, started, n_started);
		*n_in = (long)n_started;
		add_twin(pass, &runners[(*n_in)++]);
		left = race_run(runners, (size_t)*n_in, &rules, pass_seed(pass, stage), &calls);
		if (left > 0)
			left = take_twin(pass, runners, left, n_in);
		if (left <= 0)
			break;
		if (is_unquiet(pass, where, rounds, sitting, pass_now(pass) - begin, n_cases_left,
			       &is_again) < 0)
			left = -1;
		is_again = is_again && left > 0;
	}
	pass->stage = "final";
	free(started);
	return left;
}
