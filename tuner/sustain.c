/* sustain.c: load, races under load, energy. */
#include <math.h>

#include "fail.h"
#include "hash.h"
#include "pass.h"
#include "stats.h"
#include "sustain.h"

#define LOAD_S 5.0    /* of one request */
#define ENERGY_S 10.0 /* of a kernel, for its energy: the least that meter.h believes a battery */

/* A final that is run again. */
struct heat {
	struct contest *contest;
	struct contest_final *final;
	struct gen_error *err;
};

/* The progress line; where NULL: where it was. */
static void tell(struct contest *contest, const char *where, const char *what)
{
	if (where)
		snprintf(contest->show->place, sizeof(contest->show->place), "%s", where);
	snprintf(contest->show->what, sizeof(contest->show->what), "%s", what);
	contest->show->left_s = -1;
	show_progress(contest->show);
}

/* "w4g32 4096x4096 n1 t1@cortex-x3" */
static char *describe(const struct session_case *place)
{
	return fail_text("%s %ldx%ld n%ld %s", place->format, place->m, place->k, place->n,
			 place->target);
}

/* ---- the program ---- */

/* One program with all kernels of all finals. */
static int link_finals(struct contest *contest, struct gen_error *err)
{
	const char **keys = NULL, **names = NULL, **objects = NULL;
	size_t n = 0;
	int status;

	for (size_t i = 0; i < contest->n_finals; i++) {
		for (size_t j = 0; j < contest->finals[i].n; j++) {
			const struct contest_finalist *one = &contest->finals[i].list[j];
			size_t k = 0;

			while (k < n && strcmp(names[k], one->entry.kernel))
				k++;
			if (k < n)
				continue;
			keys = fail_grow(keys, n, sizeof(*keys));
			names = fail_grow(names, n, sizeof(*names));
			objects = fail_grow(objects, n, sizeof(*objects));
			keys[n] = one->entry.key;
			names[n] = one->entry.kernel;
			objects[n++] = one->object;
		}
	}
	status = pass_link(contest, keys, names, objects, n, err);
	free(keys);
	free(names);
	free(objects);
	return status;
}

/* ---- load ---- */

/* Seconds of load by a kernel.  0, 1 when the device cannot do it (*why), -1. */
static int put_under_load(struct contest *contest, const struct contest_final *final,
			  struct session_error *error)
{
	const double seconds = contest->sustained_s;
	const int n = (int)ceil(seconds / LOAD_S);
	char *where = fail_text("%s under load", final->place.target);
	int status = 0;

	for (int i = 0; i < n && !status; i++) {
		struct session_load load;
		char what[64];

		snprintf(what, sizeof(what), "%.0f of %.0f s", seconds * i / n, seconds);
		tell(contest, where, what);
		status = session_sustain(contest->session, &final->place,
					 contest->record->entries[final->entry].kernel, seconds / n,
					 NULL, &load, error);
	}
	free(where);
	return status;
}

/* ---- a race ---- */

/* race_sample_fn; ids are indices of finalists. */
static int take_sample(void *context, int id, int round, double *ns)
{
	struct heat *heat = context;
	const struct contest_final *final = heat->final;
	const char *name = final->list[id].entry.kernel;
	const double seconds = heat->contest->sustained_s;
	const int is_warm = round < 0;
	struct session_sample sample = {0};
	struct session_error error;
	int status = 0;

	for (int again = 0; again < 3; again++) {
		char stage[64], what[32];

		/* Samples after another load are others. */
		if (again)
			snprintf(stage, sizeof(stage), "sustained %g s again%d", seconds, again);
		else
			snprintf(stage, sizeof(stage), "sustained %g s%s", seconds,
				 is_warm ? " warm" : "");
		status = session_time(heat->contest->session, &final->place, name, stage,
				      is_warm ? -1 - round : round, is_warm ? 1 : final->calls,
				      &sample, &error);
		snprintf(what, sizeof(what), "sustained, round %d", round + 1);
		if (!is_warm)
			tell(heat->contest, NULL, what);
		if (status || is_warm || !sample.flags)
			break;
	}
	if (status < 0) {
		*heat->err = error.fatal;
		return -1;
	}
	if (status) {
		char *where = describe(&final->place);
		char *why = fail_text("under load: %s (%s)", error.why, where);

		record_add_failure(heat->contest->record, name, why);
		free(why);
		free(where);
		return 1;
	}
	*ns = (double)sample.ns / (double)sample.calls;
	return 0;
}

/* Median and interval of a runner in ns. */
static double summarise(const struct race_runner *runner, double *low, double *high)
{
	double ns[RACE_MAX_ROUNDS];

	for (int i = 0; i < runner->n; i++)
		ns[i] = exp(runner->log_ns[i]);
	stats_interval(ns, (size_t)runner->n, 0.05, low, high);
	return stats_median(ns, (size_t)runner->n);
}

/* The entry becomes that of the runner which is the best under load. */
static void replace(struct heat *heat, const struct race_runner *runners,
		    const struct race_verdict *verdicts, size_t n, size_t best)
{
	struct record_entry *entry = &heat->contest->record->entries[heat->final->entry];
	struct contest_finalist *one = &heat->final->list[runners[best].id];
	struct record_entry other = one->entry;

	memset(&one->entry, 0, sizeof(one->entry));
	for (size_t i = 0; i < other.n_equivalent; i++)
		free(other.equivalent[i]);
	free(other.equivalent);
	other.equivalent = NULL;
	other.n_equivalent = 0;
	for (size_t i = 0; i < n; i++) {
		const char *name = heat->final->list[runners[i].id].entry.kernel;

		if (i != best && verdicts[i].is_equivalent)
			record_add_equivalent(&other, name);
	}
	strcpy(other.burst_kernel, entry->kernel);
	record_clear_entry(entry);
	*entry = other;
}

/* What the rounds say of the case. */
static void conclude(struct heat *heat, const struct race_runner *runners, size_t n)
{
	struct contest *contest = heat->contest;
	struct record_entry *entry = &contest->record->entries[heat->final->entry];
	struct race_verdict verdicts[PASS_MAX_CARRY + 1];
	size_t best = race_judge(runners, n, n, 0, verdicts), winner = 0;
	double low, high, burst, ns = summarise(&runners[best], &low, &high);
	char *where = describe(&heat->final->place);

	while (winner < n && runners[winner].id)
		winner++;
	if (winner < n) {
		double ignored;

		burst = summarise(&runners[winner], &ignored, &ignored);
		if (best == winner || burst <= high) {
			entry->sustained_us = 1e-3 * burst;
			free(where);
			return;
		}
		show_say(contest->show,
			 "%s: under load %s is faster than %s, %.1f against %.1f us, and takes "
			 "its place",
			 where, heat->final->list[runners[best].id].entry.kernel, entry->kernel,
			 1e-3 * ns, 1e-3 * burst);
	} else {
		show_say(contest->show, "%s: under load %s fails and %s takes its place", where,
			 entry->kernel, heat->final->list[runners[best].id].entry.kernel);
	}
	replace(heat, runners, verdicts, n, best);
	entry->sustained_us = 1e-3 * ns;
	free(where);
}

static uint64_t seed_of(const struct heat *heat)
{
	char *where = describe(&heat->final->place);
	char *text = fail_text("%llu %s sustained", heat->contest->seed, where);
	uint64_t seed = hash_text(HASH_START, text);

	free(text);
	free(where);
	return seed;
}

static int race_again(struct contest *contest, struct contest_final *final, struct gen_error *err)
{
	struct heat heat = {contest, final, err};
	struct race_runner runners[PASS_MAX_CARRY + 1];
	const size_t n = final->n;
	const int n_rounds = contest->effort.final_rounds;
	char *where = describe(&final->place);
	long left;

	tell(contest, where, "sustained");
	free(where);
	memset(runners, 0, sizeof(runners));
	for (size_t i = 0; i < n; i++) {
		runners[i].id = (int)i;
		runners[i].keep = 1;
	}
	if (race_warm(runners, n, take_sample, &heat) < 0)
		return -1;
	left = race_run(runners, n, &(struct race_rules){.n_rounds = n_rounds}, seed_of(&heat),
			&(struct race_calls){.context = &heat, .sample = take_sample});
	if (left < 0)
		return -1;
	if (left > 0)
		conclude(&heat, runners, (size_t)left);
	return 0;
}

/* ---- energy ---- */

#define N_WEIGHINGS 3 /* of each finalist where energy is the objective, in turns */

/* Where the energy of a final's kernel goes: its winner, or a finalist; NULL: neither. */
static double *place_of_energy(struct record_entry *entry, const char *kernel)
{
	if (!*kernel || !strcmp(kernel, entry->kernel)) /* the winner has taken the name along */
		return &entry->energy_uj;
	for (size_t i = 0; i < entry->n_finalists; i++) {
		if (!strcmp(entry->finalists[i].kernel, kernel))
			return &entry->finalists[i].energy_uj;
	}
	return NULL;
}

/*
 * Of one call of a kernel, in one request: a battery's gauge wants all of its time.  0; 1 when the device
 * does not tell or the kernel fails; -1.
 */
static int weigh_once(struct contest *contest, const struct contest_final *final,
		      const char *kernel, int turn, double *energy_uj, struct session_error *error)
{
	struct record_entry *entry = &contest->record->entries[final->entry];
	struct session_load load;
	char number[48];
	int status;

	if (turn)
		snprintf(number, sizeof(number), "energy %g s turn%d", contest->sustained_s, turn);
	else
		snprintf(number, sizeof(number), "energy %g s", contest->sustained_s);
	status = session_sustain(contest->session, &final->place, kernel,
				 fmin(ENERGY_S, contest->sustained_s), number, &load, error);
	if (status)
		return status;
	if (!(load.energy_uj > 0))
		return 1;
	*energy_uj = load.energy_uj / (double)load.calls;
	strcpy(entry->energy_source, load.source);
	return 0;
}

/* Of the winner, and where energy is the objective of all others as well, medians of some turns. */
static int weigh(struct contest *contest, const struct contest_final *final,
		 struct session_error *error)
{
	struct record_entry *entry = &contest->record->entries[final->entry];
	const int is_objective = contest->objective != SHIP_TIME;
	const int n_turns = is_objective ? N_WEIGHINGS : 1;
	double(*energies)[N_WEIGHINGS] = fail_alloc(final->n, sizeof(*energies));
	int status = 0;

	for (int turn = 0; turn < n_turns && !status; turn++) {
		for (size_t i = 0; i < final->n && !status; i++) {
			const char *kernel = final->list[i].entry.kernel;

			if (!*kernel)
				kernel = entry->kernel;
			if (!is_objective && strcmp(kernel, entry->kernel))
				continue;
			tell(contest, NULL, "energy");
			status =
				weigh_once(contest, final, kernel, turn, &energies[i][turn], error);
		}
	}
	for (size_t i = 0; i < final->n && !status; i++) {
		double *to = place_of_energy(entry, final->list[i].entry.kernel);

		if (to && energies[i][0] > 0)
			*to = stats_median(energies[i], (size_t)n_turns);
	}
	if (status)
		*entry->energy_source = 0;
	free(energies);
	return status;
}

/* ---- targets ---- */

/* All finals of the target of finals[first].  0, 1 when the device cannot be put under load, -1. */
static int run_target(struct contest *contest, size_t first, struct gen_error *err)
{
	const char *target = contest->finals[first].place.target;
	char *question = fail_text("under load %s %g s", target, contest->sustained_s);
	int is_done = journal_find(contest->journal, question) != NULL, status = 0, tells = 1;
	struct session_error error;

	if (!is_done)
		status = put_under_load(contest, &contest->finals[first], &error);
	if (status > 0)
		show_say(contest->show, "%s cannot be put under load: %s", target,
			 strncmp(error.why, "error ", 6) ? error.why : error.why + 6);
	if (status < 0)
		*err = error.fatal;
	for (size_t i = first; i < contest->n_finals && !status; i++) {
		if (strcmp(contest->finals[i].place.target, target))
			continue;
		status = race_again(contest, &contest->finals[i], err);
		if (!status && tells) {
			tells = weigh(contest, &contest->finals[i], &error);
			if (tells < 0) {
				*err = error.fatal;
				status = -1;
			}
			tells = !tells;
		}
		if (!status)
			show_event_case(contest->show,
					&contest->record->entries[contest->finals[i].entry],
					target);
	}
	if (!is_done && !status)
		status = journal_add(contest->journal, question, "done", err);
	free(question);
	return status;
}

static int is_first(const struct contest *contest, size_t i)
{
	for (size_t j = 0; j < i; j++) {
		if (!strcmp(contest->finals[i].place.target, contest->finals[j].place.target))
			return 0;
	}
	return 1;
}

double sustain_seconds(const struct contest *contest)
{
	size_t n = 0;

	for (size_t i = 0; i < contest->n_cores; i++)
		n += contest->cores[i].threads.n;
	return (double)n * contest->sustained_s;
}

int sustain_run(struct contest *contest, struct gen_error *err)
{
	int status = 0, n_done = 0;

	if (!contest->n_finals)
		return 0;
	session_set_before(contest->session, NULL, NULL); /* nothing cools down from here on */
	if (link_finals(contest, err) < 0)
		return -1;
	for (size_t i = 0; i < contest->n_finals && status >= 0; i++) {
		if (!is_first(contest, i))
			continue;
		status = run_target(contest, i, err);
		n_done += !status;
	}
	if (status >= 0 && n_done)
		contest->record->protocol.sustained = contest->sustained_s;
	return status < 0 ? -1 : 0;
}
