/* find.c: known points, strategies, and what they ask of the device. */
#include "find.h"

#include <math.h>

#include "bring.h"
#include "fail.h"
#include "known.h"
#include "layouts.h"
#include "strategy.h"
#include "survey.h"

#define SEARCH_SHARE 0.5 /* of a format's time for finding candidates */

/* Where no default is known, the first legal point of the widest ISA takes its part. */
static int first_point(struct pass *pass, struct gen_point *point)
{
	struct contest *contest = pass->contest;
	const struct config *config = contest->config;
	int widest = 0;

	for (size_t i = 0; i < contest->n_isas; i++) {
		for (size_t f = 0; f < config->families.n; f++) {
			int width = 1 + contest->isas[i].n_features, status = 0;
			struct gen_space *space;

			if (width <= widest)
				continue;
			space = gen_space_open(contest->gen, config->families.list[f], pass->format,
					       pass->act, contest->isas[i].info.name, pass->place.n,
					       0, 0, pass->err);
			if (!space)
				return -1;
			if (gen_space_count(space) > 0) {
				status = gen_space_point(space, 0, point, pass->err);
				widest = width;
			}
			gen_space_close(space);
			if (status < 0)
				return -1;
		}
	}
	return widest ? 0
		      : fail_set(pass->err,
				 "%s: no family of the config has a legal point on "
				 "this device",
				 pass->format);
}

#define MAX_KEYS 64

/*
 * Known good points: defaults, the first of which is what an untuned library takes, then seeds and
 * earlier winners; how many, or -1.  point: for a key that no record has.
 */
static long collect_keys(struct pass *pass, const char **keys, struct gen_point *point)
{
	const struct contest *contest = pass->contest;
	struct known_place place = {
		.format = pass->format,
		.act = pass->act,
		.n_tokens = pass->place.n,
		.isas = contest->isas,
		.n_isas = contest->n_isas,
	};
	size_t n = known_collect(&place, contest->defaults, keys, 0, 32, 1);

	if (!n) {
		if (first_point(pass, point) < 0)
			return -1;
		keys[n++] = point->key;
	}
	if (contest->strategy == CONTEST_DUEL)
		return (long)known_collect(&place, contest->seeds, keys, 1, MAX_KEYS, 0);
	n = known_collect(&place, contest->seeds, keys, n, 48, 0);
	/* An interrupted run has left those of some cores, which others did not begin with. */
	if (pass->place.cores)
		place.core = (long)pass->place.cores->kind;
	return (long)known_collect(&place, contest->earlier, keys, n, MAX_KEYS, 0);
}

/* Writes the first of some keys that there is in each layout that is wanted, relaid.  0, or -1. */
static int write_relaid(struct pass *pass, const char *const *keys, long n_keys, FILE *out)
{
	struct layouts layouts;

	layouts_list(&layouts, pass, 0, 1);
	for (size_t i = 0; i < layouts.n; i++) {
		char *relaid = NULL;

		for (long j = 0; j < n_keys && !relaid; j++) {
			if (gen_relayout(pass->contest->gen, keys[j], layouts.keys[i], &relaid,
					 pass->err) < 0)
				return -1;
		}
		if (relaid)
			fprintf(out, "%s;", relaid);
		free(relaid);
	}
	return 0;
}

/* The default, or where it fails the next that runs. */
static void set_base(struct pass *pass)
{
	pass->base = 0;
	while (search_candidate(pass->search, pass->base)->failed)
		pass->base++;
}

/*
 * Their numbers among the points; how many, or -1.  A run that is taken up begins with those of the
 * journal: results files may have changed since, by this very run.
 */
static long list_known(struct pass *pass, long known[MAX_KEYS])
{
	const struct cores_class *at = pass->place.cores;
	struct journal *journal = pass->contest->journal;
	char *question = fail_text("known %s %s n%ld%s%s", pass->format, pass->act, pass->place.n,
				   at ? " @" : "", at ? at->name : "");
	char *text = NULL, *rest, *key;
	long n = 0, n_keys;

	if (journal_find(journal, question)) {
		text = fail_text("%s", journal_find(journal, question));
	} else {
		const char *keys[MAX_KEYS];
		struct gen_point point;
		size_t n_bytes;
		FILE *out = fail_check(open_memstream(&text, &n_bytes));

		n_keys = collect_keys(pass, keys, &point);
		for (long i = 0; i < n_keys; i++)
			fprintf(out, "%s;", keys[i]);
		if (n_keys >= 0 && write_relaid(pass, keys, n_keys, out) < 0)
			n_keys = -1;
		fclose(out);
		if (n_keys < 0 || journal_add(journal, question, text, pass->err) < 0)
			n = -1;
	}
	for (rest = text; n >= 0 && n < MAX_KEYS && (key = strsep(&rest, ";"));) {
		known[n] = *key ? search_find(pass->search, key) : -1;
		n += known[n] >= 0;
	}
	free(text);
	free(question);
	return n;
}

/* ---- all at once ---- */

/* Brings in points, known ones first.  0; 1: none of them runs; -1. */
static int bring_all(struct pass *pass, const long *list, size_t n)
{
	long *candidates = fail_alloc(n, sizeof(*candidates));
	int status = search_add(pass->search, 0, list, n, candidates, pass->err);

	free(candidates);
	if (status >= 0)
		status = bring_in(pass, 0);
	if (!status)
		set_base(pass);
	return status;
}

static int duel_all(struct pass *pass)
{
	const struct points *points = search_points(pass->search, pass->err);
	long known[MAX_KEYS], n;
	int status;

	if (!points || (n = list_known(pass, known)) < 0)
		return -1;
	status = bring_all(pass, known, (size_t)n);
	pass->n_carry = 0;
	for (size_t i = 0; i < search_n(pass->search) && !status; i++) {
		if (!search_candidate(pass->search, i)->failed)
			pass->carry[pass->n_carry++] = i;
	}
	return status;
}

/* Known points first, then all others that the device has a use for. */
static int survey_all(struct pass *pass)
{
	const struct points *points = search_points(pass->search, pass->err);
	long known[MAX_KEYS], *list, n;
	int status;

	if (!points || (n = list_known(pass, known)) < 0)
		return -1;
	list = fail_alloc((size_t)(n + points->n), sizeof(*list));
	memcpy(list, known, (size_t)n * sizeof(*list));
	for (long i = 0; i < points->n; i++) {
		if (points->is_drawn[i])
			list[n++] = i;
	}
	status = bring_all(pass, list, (size_t)n);
	free(list);
	return status ? status : survey_run(pass, pass->contest->spaces);
}

/* ---- races ---- */

struct find {
	struct pass *pass;
	double begin, seconds;
	long n_brought;
	char stage[16];
};

static int bring(void *context, int step, const long *points, size_t n, long *ids)
{
	struct find *find = context;
	struct pass *pass = find->pass;
	const size_t first = search_n(pass->search);

	if (search_add(pass->search, step, points, n, ids, pass->err) < 0 ||
	    (search_n(pass->search) > first && bring_in(pass, first) < 0))
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (ids[i] >= 0 && search_candidate(pass->search, (size_t)ids[i])->failed)
			ids[i] = -1;
	}
	find->n_brought += (long)n;
	return 0;
}

static int line_up(void *context, int step, struct race_runner *runners, size_t n)
{
	struct find *find = context;

	snprintf(find->stage, sizeof(find->stage), "race%d", step);
	find->pass->stage = find->stage;
	return pass_line_up(find->pass, runners, n);
}

/* Seconds that are left of the search's part. */
static double seconds_left(const struct find *find)
{
	return find->begin + SEARCH_SHARE * find->seconds - pass_now(find->pass);
}

/* Decides a number of a step of the search, by the clock; what: which. */
static int decide_step(const struct find *find, const char *what, int step, long value, long *n)
{
	struct pass *pass = find->pass;
	const struct cores_class *at = pass->place.cores;
	char *question = fail_text("%s n%ld %d%s%s", what, pass->place.n, step, at ? " @" : "",
				   at ? at->name : "");
	const int status = pass_decide(pass, question, value, n);

	free(question);
	return status;
}

/* By what a point has taken so far, compiling and all. */
static int afford(void *context, int step, long n_wanted, long *n)
{
	const struct find *find = context;
	const double left = seconds_left(find);
	const double each = (pass_now(find->pass) - find->begin) /
			    (double)(find->n_brought ? find->n_brought : 1);
	const long n_left = find->pass->contest->effort.n_candidates - find->n_brought;
	long fit = left <= 0 ? 0 : left > each * (double)n_wanted ? n_wanted : (long)(left / each);

	fit = fit < n_left ? fit : n_left > 0 ? n_left : 0;
	return decide_step(find, "newcomers", step, fit, n);
}

static int spare(void *context, int step, long *n_samples)
{
	const struct find *find = context;
	const double left = seconds_left(find);
	const double each = session_seconds(find->pass->contest->session);

	return decide_step(find, "spare", step,
			   left > 0 && each > 0 ? lround(fmin(left / each, 1e6)) : 0, n_samples);
}

/* The best n of each kind, and behind them those whose layouts are wanted. */
static void carry(struct pass *pass, const struct strategy_result *result, int n)
{
	pass->base = (size_t)result->base;
	pass->n_carry = 0;
	for (int kind = 0; kind < RACE_KINDS; kind++) {
		struct layouts layouts;

		layouts_list(&layouts, pass, 0, pass->place.n == 1 ? 1 : 2);
		for (int i = 0; i < result->n_elites[kind]; i++) {
			const size_t id = (size_t)result->elites[kind][i].id;
			const int is_wanted =
				layouts_take(&layouts,
					     search_candidate(pass->search, id)->point.layout);

			if (i < n || is_wanted)
				pass->carry[pass->n_carry++] = id;
		}
	}
}

static int race_all(struct pass *pass, double begin, double seconds)
{
	const struct contest_effort *effort = &pass->contest->effort;
	const struct points *points = search_points(pass->search, pass->err);
	struct find find = {.pass = pass, .begin = begin, .seconds = seconds};
	const struct strategy_world world = {
		.context = &find,
		.bring = bring,
		.line_up = line_up,
		.race = {pass, pass_sample, pass_over, pass_told},
		.afford = afford,
		.spare = spare,
	};
	struct strategy_constants constants = strategy_constants;
	struct strategy_result result;
	long known[MAX_KEYS], n_known;

	if (!points || (n_known = list_known(pass, known)) < 0)
		return -1;
	constants.n_start = (int)effort->n_random;
	if (pass->contest->strategy == CONTEST_RANDOM) {
		constants.n_near = 0;
		constants.modelled = 0;
		constants.random = 1;
	}
	if (strategy_run(points, &world, &constants, known, (size_t)n_known, STRATEGY_MAX_ELITES,
			 pass_seed(pass, "search"), &result) < 0)
		return -1;
	if (result.base < 0)
		return 1;
	carry(pass, &result, effort->n_carry);
	return 0;
}

int find_candidates(struct pass *pass, double begin, double seconds)
{
	if (pass->contest->strategy == CONTEST_EXHAUSTIVE)
		return survey_all(pass);
	if (pass->contest->strategy == CONTEST_DUEL)
		return duel_all(pass);
	return race_all(pass, begin, seconds);
}
