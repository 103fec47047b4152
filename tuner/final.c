/*
 * final.c: one case, its own race and its final, and who wins it.
 */
#include <math.h>

#include "explain.h"
#include "fail.h"
#include "final.h"
#include "layouts.h"
#include "sittings.h"
#include "stats.h"
#include "strategy.h"

#define N_ELITES 8
#define DUEL_ROUNDS 51
#define LEAST_HASTE 1.10 /* what takes longer may still take less energy, but not from here on */

/* Of the same unit, for others may be done by another run; the name tells format and activations. */
static int is_chosen(const struct pass *pass, const char *name)
{
	const struct record *record = pass->contest->record;

	for (size_t i = 0; i < record->n_entries; i++) {
		if (record->entries[i].n == pass->place.n &&
		    !strcmp(record->entries[i].kernel, name))
			return 1;
	}
	return 0;
}

/* Above 0: of two that are equally fast the first is the one to choose. */
static int prefer(const struct pass *pass, const struct race_runner *a, const struct race_runner *b)
{
	const struct search_candidate *x = search_candidate(pass->search, (size_t)a->id);
	const struct search_candidate *y = search_candidate(pass->search, (size_t)b->id);
	int better = x->isa->n_features - y->isa->n_features;

	if (!better)
		better = (int)y->point.compiler - (int)x->point.compiler;
	if (!better)
		better = is_chosen(pass, x->point.name) - is_chosen(pass, y->point.name);
	if (!better)
		better = (y->n_text > x->n_text) - (y->n_text < x->n_text);
	return better ? better : strcmp(y->point.name, x->point.name);
}

/*
 * The default where it is as good as the best or none is shown to be faster.  Else, among those that
 * are shown to be as good as the best and to beat the default: one of the widest instruction set, whose
 * layout kernels for more tokens can read as well; then one that needs no second compiler; then a kernel
 * that won another case of the unit, then the shorter one, then the first by name, so that winners are few and do
 * not change from run to run.
 */
static size_t choose(const struct pass *pass, const struct race_runner *runners,
		     const struct race_verdict *verdicts, size_t n, size_t base)
{
	size_t winner = race_choose(verdicts, n, base);

	if (base < n && (winner == base || verdicts[base].is_equivalent))
		return base;
	for (size_t i = 0; i < n; i++) {
		if (verdicts[i].is_equivalent && (base >= n || verdicts[i].beats_base) &&
		    prefer(pass, &runners[i], &runners[winner]) > 0)
			winner = i;
	}
	return winner;
}

/* What reasons need of all finalists; bytes are known since they were lined up. */
static int note_finalists(struct pass *pass, const struct race_runner *runners, size_t n)
{
	struct session_error error;

	for (size_t i = 0; i < n; i++) {
		const char *name = pass_name(pass, &runners[i]);
		double bytes = 0;

		if (session_prepare(pass->contest->session, &pass->place, name, &bytes, &error) <
		    0) {
			*pass->err = error.fatal;
			return -1;
		}
		explain_note(pass->contest->explain, &pass->place, name,
			     search_candidate(pass->search, (size_t)runners[i].id)->object, bytes);
	}
	return 0;
}

/* Counts events of all finalists, those that explain nothing for entries only; entries: theirs, or NULL. */
static int count_events(struct pass *pass, const struct race_runner *runners, size_t n,
			struct record_entry *const *entries)
{
	char *copy = fail_text("%s", pass->contest->events), *rest = copy, *event;
	struct session_error error;
	int status = 0;

	while (status >= 0 && pass->place.threads == 1 && (event = strsep(&rest, ","))) {
		for (size_t i = 0; i < n && *event && status >= 0; i++) {
			double value;

			if (!entries[i] && !explain_wants(event))
				continue;
			pass_show(pass, "counting %s", event);
			status = session_count(pass->contest->session, &pass->place,
					       pass_name(pass, &runners[i]), event, pass->calls,
					       &value, &error);
			if (status)
				continue;
			value /= (double)pass->calls;
			explain_count(pass->contest->explain, &pass->place,
				      pass_name(pass, &runners[i]), event, value);
			if (entries[i])
				record_add_counter(entries[i], event, value);
		}
	}
	if (status < 0)
		*pass->err = error.fatal;
	free(copy);
	return status < 0 ? -1 : 0;
}

static void compare_to_base(const struct race_runner *one, const struct race_runner *base,
			    struct record_ratio *speedup)
{
	const int n = one->n < base->n ? one->n : base->n;

	if (n)
		speedup->ratio = race_ratio(base, one, n, &speedup->low, &speedup->high);
}

/* One that did not win, with its time over the winner's in the rounds that both ran. */
static void add_finalist(struct pass *pass, const struct race_runner *one,
			 const struct race_runner *winner, const struct race_runner *base,
			 int is_equivalent, struct record_entry *entry)
{
	struct record_finalist *finalist = record_add_finalist(entry);
	const struct search_candidate *candidate = search_candidate(pass->search, (size_t)one->id);

	strcpy(finalist->kernel, pass_name(pass, one));
	snprintf(finalist->code, sizeof(finalist->code), "%016llx",
		 (unsigned long long)candidate->fingerprint);
	strcpy(finalist->key, candidate->point.key);
	strcpy(finalist->layout, candidate->point.layout);
	finalist->ratio =
		race_ratio(one, winner, one->n, &finalist->ratio_low, &finalist->ratio_high);
	compare_to_base(one, base, &finalist->speedup);
	finalist->is_equivalent = is_equivalent;
}

/* The entry of a runner as the winner. */
static int fill_entry(struct pass *pass, const struct race_runner *runners,
		      const struct race_verdict *verdicts, size_t n, size_t winner, size_t base,
		      struct record_entry *entry)
{
	const struct race_runner *one = &runners[winner];
	const struct search_candidate *candidate = search_candidate(pass->search, (size_t)one->id);
	const struct session_case *place = &pass->place;
	double ns[RACE_MAX_ROUNDS], low, high, bytes = 0;
	struct session_error error;

	if (session_prepare(pass->contest->session, place, candidate->point.name, &bytes, &error) <
	    0) {
		*pass->err = error.fatal;
		return -1;
	}
	for (int i = 0; i < one->n; i++)
		ns[i] = exp(one->log_ns[i]);
	stats_interval(ns, (size_t)one->n, 0.05, &low, &high);
	snprintf(entry->format, sizeof(entry->format), "%s", place->format);
	entry->m = place->m;
	entry->k = place->k;
	entry->n = place->n;
	entry->threads = place->threads;
	if (place->cores) {
		entry->core = (long)place->cores->kind;
		strcpy(entry->core_name, place->cores->name);
	}
	snprintf(entry->kernel, sizeof(entry->kernel), "%s", candidate->point.name);
	snprintf(entry->key, sizeof(entry->key), "%s", candidate->point.key);
	snprintf(entry->code, sizeof(entry->code), "%016llx",
		 (unsigned long long)candidate->fingerprint);
	strcpy(entry->layout, candidate->point.layout);
	entry->is_lossy = candidate->point.is_lossy;
	snprintf(entry->default_kernel, sizeof(entry->default_kernel), "%s",
		 pass_name(pass, &runners[base]));
	entry->median_us = 1e-3 * stats_median(ns, (size_t)one->n);
	entry->ci_low_us = 1e-3 * low;
	entry->ci_high_us = 1e-3 * high;
	entry->gbps = 1e-3 * bytes / entry->median_us;
	entry->nmse = candidate->nmse;
	compare_to_base(one, &runners[base], &entry->speedup);
	entry->samples = one->n;
	entry->flagged = pass->flags[one->id].n;
	entry->flags = pass->flags[one->id].by;
	entry->control = pass->control;
	for (size_t i = 0; i < n; i++) {
		if (i != winner && verdicts[i].is_equivalent)
			record_add_equivalent(entry, pass_name(pass, &runners[i]));
		if (i != winner)
			add_finalist(pass, &runners[i], one, &runners[base],
				     verdicts[i].is_equivalent, entry);
	}
	return 0;
}

/* Rounds of the final that fit into the case's part of the time: all, or an odd number of them. */
static long final_rounds(const struct pass *pass, size_t n, size_t n_cases_left)
{
	const struct contest_effort *effort = &pass->contest->effort;
	double left = (pass->deadline - pass_now(pass)) / (double)n_cases_left;
	double round = (double)n * session_seconds(pass->contest->session);
	double fit = round > 0 ? left / round : 0;

	if (pass->contest->strategy == CONTEST_DUEL)
		return DUEL_ROUNDS;
	if (fit >= effort->final_rounds)
		return effort->final_rounds;
	return fit <= effort->least_rounds ? effort->least_rounds : (long)fit | 1;
}

/*
 * Those that are not dropped for being slow: the default, and of each layout that is wanted the first
 * n_each, in order; with scores, of one token only those that are not too far behind.
 */
static void keep_layouts(const struct pass *pass, struct race_runner *runners, size_t n, int n_each,
			 int has_scores)
{
	struct layouts layouts[RACE_KINDS];
	const double *leaders[RACE_KINDS] = {0};

	for (int kind = 0; kind < RACE_KINDS; kind++)
		layouts_list(&layouts[kind], pass, 1, n_each);
	for (size_t i = 0; i < n; i++) {
		const int kind = runners[i].kind;
		const struct search_candidate *one =
			search_candidate(pass->search, (size_t)runners[i].id);
		int is_wanted = layouts_take(&layouts[kind], one->point.layout);

		if (!leaders[kind])
			leaders[kind] = &runners[i].score;
		if (has_scores && pass->place.n == 1)
			is_wanted &= runners[i].score < *leaders[kind] + log(LAYOUTS_NEAR);
		runners[i].keep = is_wanted || (size_t)runners[i].id == pass->base;
	}
}

/* The default and those that won this very case in the files that are compared, all to the end. */
static long enter_duel(const struct pass *pass, struct race_runner *runners, size_t n)
{
	const struct record *seeds = pass->contest->seeds;
	const struct session_case *place = &pass->place;
	long n_in = 0;

	for (size_t i = 0; i < n; i++) {
		const char *name = pass_name(pass, &runners[i]);
		int is_in = (size_t)runners[i].id == pass->base;

		for (size_t j = 0; j < seeds->n_entries && !is_in; j++) {
			const struct record_entry *entry = &seeds->entries[j];

			is_in = entry->m == place->m && entry->k == place->k &&
				entry->n == place->n && entry->threads == place->threads &&
				!strcmp(entry->core_name, place->cores ? place->cores->name : "") &&
				!strcmp(entry->kernel, name);
		}
		if (!is_in || runners[i].out)
			continue;
		runners[n_in] = runners[i];
		runners[n_in++].keep = 1;
	}
	return n_in;
}

/* Sorted by the case's own race: at most N_ELITES of a kind and those to keep are left. */
static long race_case(struct pass *pass, struct race_runner *runners, size_t n)
{
	struct race_rules rules = {
		.n_elites = N_ELITES,
		.margins = {0.30, 0.15, 0.10, 0.07, 0.05},
		.n_margins = 5,
	};
	const struct race_calls calls = {pass, pass_sample, pass_over, pass_told};
	size_t left = 0, kept = 0, n_kind[RACE_KINDS] = {0};
	long rounds;
	char what[192];

	if (pass->contest->strategy == CONTEST_DUEL)
		return enter_duel(pass, runners, n);
	snprintf(what, sizeof(what), "rounds %ldx%ld n%ld %s", pass->place.m, pass->place.k,
		 pass->place.n, pass->place.target);
	if (pass_decide(pass, what,
			pass_now(pass) < pass->deadline ? pass->contest->effort.case_rounds : 1,
			&rounds) < 0)
		return -1;
	pass->stage = "race";
	rules.n_rounds = (int)rounds;
	keep_layouts(pass, runners, n, 2, 0);
	if (race_run(runners, n, &rules, pass_seed(pass, "race"), &calls) < 0)
		return -1;
	while (left < n && !runners[left].out)
		left++;
	keep_layouts(pass, runners, left, 1, 1);
	for (size_t i = 0; i < left; i++) {
		if (n_kind[runners[i].kind]++ < N_ELITES || runners[i].keep)
			runners[kept++] = runners[i];
	}
	return (long)kept;
}

/* The default, or where it failed the best of the exact ones, which begin at `exact`. */
static size_t find_base(const struct race_runner *runners, size_t n, size_t base, size_t exact)
{
	for (size_t i = 0; i < n; i++) {
		if (runners[i].id == (int)base)
			return i;
	}
	return exact < n ? exact : 0;
}

/*
 * Keeps those that may run against each other again under load, with entries of their own, in
 * `entries` where these have none: the winner, those as good as it (or nearly, where energy counts),
 * and the default if it is of their kind.
 */
static int keep_final(struct pass *pass, const struct race_runner *runners,
		      const struct race_verdict *verdicts, size_t n, size_t winner, size_t base,
		      struct record_entry **entries)
{
	struct contest *contest = pass->contest;
	struct contest_final *final;

	contest->finals = fail_grow(contest->finals, contest->n_finals, sizeof(*contest->finals));
	final = &contest->finals[contest->n_finals++];
	memset(final, 0, sizeof(*final));
	final->entry = contest->record->n_entries - 1;
	final->place = pass->place;
	final->calls = pass->calls;
	final->list = fail_alloc(n, sizeof(*final->list));
	for (size_t turn = 0; turn < n; turn++) {
		/* The winner goes first. */
		const size_t i = !turn ? winner : turn <= winner ? turn - 1 : turn;
		struct contest_finalist *one = &final->list[final->n];

		if (i != winner && i != base && !verdicts[i].is_equivalent &&
		    (contest->objective == SHIP_TIME || verdicts[i].ratio > LEAST_HASTE))
			continue;
		final->n++;
		memcpy(one->object, search_candidate(pass->search, (size_t)runners[i].id)->object,
		       sizeof(one->object));
		if (fill_entry(pass, runners, verdicts, n, i, base, &one->entry) < 0)
			return -1;
		if (i != winner)
			entries[i] = &one->entry;
	}
	return 0;
}

/*
 * The entry of the best of n runners, which all are of one kind; base may lie behind them.  dropped: of
 * all kinds, by the final.
 */
static int finish_kind(struct pass *pass, const struct race_runner *runners, size_t n, size_t base,
		       const struct race_runner *dropped, size_t n_dropped)
{
	struct contest *contest = pass->contest;
	struct race_verdict verdicts[PASS_MAX_CARRY + 1];
	size_t winner, n_started = n;
	struct record_entry *entries[PASS_MAX_CARRY + 1] = {0}, *entry;

	for (size_t i = 0; i < n_dropped; i++)
		n_started += dropped[i].kind == runners[0].kind;
	race_judge(runners, n, n_started, base, verdicts);
	winner = choose(pass, runners, verdicts, n, base);
	entry = entries[winner] = record_add_entry(contest->record);
	if (fill_entry(pass, runners, verdicts, n, winner, base, entry) < 0)
		return -1;
	for (size_t i = 0; i < n_dropped; i++) {
		if (dropped[i].kind == runners[winner].kind)
			add_finalist(pass, &dropped[i], &runners[winner], &runners[base], 0, entry);
	}
	if ((contest->sustained_s > 0 &&
	     keep_final(pass, runners, verdicts, n, winner, base, entries) < 0) ||
	    note_finalists(pass, runners, n) < 0 || count_events(pass, runners, n, entries) < 0)
		return -1;
	pass_tell_best(pass, &runners[winner]);
	return 0;
}

static int by_kind(const void *a, const void *b)
{
	const struct race_runner *x = a, *y = b;

	return x->kind != y->kind    ? y->kind - x->kind
	       : x->score < y->score ? -1
				     : x->score > y->score;
}

/* An entry for the best exact kernel and, where lossy ones ran beside, one for the best of them. */
static int finish_case(struct pass *pass, struct race_runner *runners, size_t n, size_t n_all)
{
	struct record_entry *const none[PASS_MAX_CARRY + 1] = {0};
	struct race_runner *dropped = runners + n;
	size_t n_dropped = 0;
	size_t n_lossy = 0, base;

	for (size_t i = n; i < n_all; i++) { /* without those that failed */
		if (runners[i].n && !search_candidate(pass->search, (size_t)runners[i].id)->failed)
			dropped[n_dropped++] = runners[i];
	}
	if (note_finalists(pass, dropped, n_dropped) < 0 ||
	    count_events(pass, dropped, n_dropped, none) < 0)
		return -1;
	qsort(runners, n, sizeof(*runners), by_kind);
	while (n_lossy < n && runners[n_lossy].kind)
		n_lossy++;
	base = find_base(runners, n, pass->base, n_lossy);
	if (n_lossy < n && finish_kind(pass, runners + n_lossy, n - n_lossy, base - n_lossy,
				       dropped, n_dropped) < 0)
		return -1;
	return n_lossy ? finish_kind(pass, runners, n_lossy, base, dropped, n_dropped) : 0;
}

int final_run(struct pass *pass, size_t n_cases_left)
{
	struct race_runner runners[PASS_MAX_CARRY + 2];
	size_t n = pass_enter(pass, runners, search_n(pass->search));
	char what[192];
	long n_in, left = 0, rounds;
	int status;

	if (pass_line_up(pass, runners, n) < 0 || (n_in = race_case(pass, runners, n)) < 0)
		return -1;
	snprintf(what, sizeof(what), "final %ldx%ld n%ld %s", pass->place.m, pass->place.k,
		 pass->place.n, pass->place.target);
	if (pass_decide(pass, what, final_rounds(pass, (size_t)n_in, n_cases_left), &rounds) < 0)
		return -1;
	pass->flags = fail_alloc(search_n(pass->search) + 1, sizeof(*pass->flags));
	if (n_in > 0)
		left = sittings_run(pass, runners, &n_in, rounds, what, n_cases_left);
	status = left > 0 ? finish_case(pass, runners, (size_t)left, (size_t)n_in) : (int)left;
	free(pass->flags);
	pass->flags = NULL;
	if (!left) {
		char *where = fail_text("%s %ldx%ld n%ld %s", pass->format, pass->place.m,
					pass->place.k, pass->place.n, pass->place.target);

		record_add_failure(pass->contest->record, where, "no candidate ran");
		free(where);
	}
	if (rounds > pass->contest->record->protocol.rounds)
		pass->contest->record->protocol.rounds = rounds;
	return status;
}
