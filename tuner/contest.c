/* contest.c: one unit from first candidates to winners. */
#include <math.h>

#include "contest.h"
#include "fail.h"
#include "final.h"
#include "known.h"
#include "pass.h"

#define SEARCH_SHARE 0.5 /* of a format's time for finding candidates */

/* ---- from texts to a running probe ---- */

static int compile_new(struct pass *pass, size_t first)
{
	size_t n = search_n(pass->search) - first;
	struct compile_item *items = fail_alloc(n, sizeof(*items));
	int status;

	for (size_t i = 0; i < n; i++) {
		struct search_candidate *one = search_candidate(pass->search, first + i);

		items[i].text = one->text;
		items[i].flags = one->isa->info.flags;
		items[i].compiler = one->point.compiler;
	}
	pass_show(pass, "compiling %zu kernels", n);
	status = compile_items(pass->contest->compile, items, n, pass->err);
	for (size_t i = 0; i < n; i++) {
		struct search_candidate *one = search_candidate(pass->search, first + i);

		memcpy(one->object, items[i].object, sizeof(one->object));
		if (!status && items[i].why) {
			char *why = fail_text("compile %s", items[i].why);

			pass_drop(pass, first + i, why);
			free(why);
		}
		free(items[i].why);
		free(one->text);
		one->text = NULL;
	}
	free(items);
	if (!status) {
		pass->contest->record->protocol.tried += (long)n;
		pass->contest->show->tried += (long)n;
	}
	return status;
}

/* One program with all candidates of the format that are still good. */
static int link_all(struct pass *pass)
{
	size_t n_all = search_n(pass->search), n = 0;
	const char **keys = fail_alloc(n_all, sizeof(*keys));
	const char **names = fail_alloc(n_all, sizeof(*names));
	const char **objects = fail_alloc(n_all, sizeof(*objects));
	int status;

	for (size_t i = 0; i < n_all; i++) {
		struct search_candidate *one = search_candidate(pass->search, i);

		if (one->failed)
			continue;
		keys[n] = one->point.key;
		names[n] = one->point.name;
		objects[n++] = one->object;
	}
	pass_show(pass, "linking");
	status = pass_link(pass->contest, keys, names, objects, n, pass->err);
	free(objects);
	free(names);
	free(keys);
	return status;
}

static int verify_new(struct pass *pass, size_t first)
{
	struct contest *contest = pass->contest;
	struct session_error error;

	for (size_t i = first; i < search_n(pass->search); i++) {
		struct search_candidate *one = search_candidate(pass->search, i);
		int status;

		if (one->failed)
			continue;
		pass_show(pass, "verifying %zu of %zu", i - first + 1,
			  search_n(pass->search) - first);
		status = session_verify(contest->session, one->point.name, &one->nmse, &error);
		if (status < 0) {
			*pass->err = error.fatal;
			return -1;
		}
		if (status)
			pass_drop(pass, i, error.why);
		else
			contest->record->protocol.verified++;
		/* Right, but not wanted. */
		if (!status && one->point.is_lossy && one->nmse > contest->config->max_nmse)
			one->failed = 1;
	}
	return 0;
}

static size_t count_good(const struct pass *pass)
{
	size_t n = 0;

	for (size_t i = 0; i < search_n(pass->search); i++)
		n += !search_candidate(pass->search, i)->failed;
	return n;
}

/* Compiles, links and verifies the candidates from first on.  1: none at all is good. */
static int bring_in(struct pass *pass, size_t first)
{
	if (compile_new(pass, first) < 0)
		return -1;
	if (!count_good(pass))
		return 1;
	if (link_all(pass) < 0 || verify_new(pass, first) < 0)
		return -1;
	return !count_good(pass);
}

/* ---- finding candidates ---- */

/* Races the carried ones and all from first_new on; the best are carried on. */
static int race_batch(struct pass *pass, const char *stage, size_t first_new)
{
	const struct contest_effort *effort = &pass->contest->effort;
	struct race_runner *runners = fail_alloc(search_n(pass->search) + 1, sizeof(*runners));
	size_t n = pass_enter(pass, runners, first_new);
	int n_carried[RACE_KINDS] = {0};
	long left = -1;

	pass->stage = stage;
	pass->n_carry = 0;
	if (pass_line_up(pass, runners, n) == 0)
		left = race_run(runners, n, effort->first_rounds, (size_t)effort->n_carry,
				pass_seed(pass, stage), pass_sample, pass_over, pass);
	for (long i = 0; i < left; i++) {
		int *n_kind = &n_carried[runners[i].kind];

		if ((*n_kind)++ < effort->n_carry)
			pass->carry[pass->n_carry++] = (size_t)runners[i].id;
	}
	if (left > 0)
		pass_tell_best(pass, &runners[0]);
	free(runners);
	return left < 0 ? -1 : 0;
}

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

static int start_search(struct pass *pass)
{
	const struct contest *contest = pass->contest;
	const char *keys[64];
	struct gen_point point;
	struct known_place place = {
		.format = pass->format,
		.act = pass->act,
		.n_tokens = pass->place.n,
		.isas = contest->isas,
		.n_isas = contest->n_isas,
	};
	size_t n = known_collect(&place, contest->defaults, keys, 0, 32, 1);
	int status;

	if (!n) {
		if (first_point(pass, &point) < 0)
			return -1;
		keys[n++] = point.key;
	}
	n = known_collect(&place, contest->seeds, keys, n, 48, 0);
	/* An interrupted run has left those of some cores, which others did not begin with. */
	if (pass->place.cores)
		place.core = (long)pass->place.cores->kind;
	n = known_collect(&place, contest->earlier, keys, n, 64, 0);
	if (search_start(pass->search, keys, n, contest->effort.n_random, pass->err) < 0)
		return -1;
	status = bring_in(pass, 0);
	if (status)
		return status;
	pass->base = 0;
	while (search_candidate(pass->search, pass->base)->failed)
		pass->base++;
	return race_batch(pass, "race0", 0);
}

/* How many neighbours can be compiled and raced in the time that the search has left. */
static long affordable(const struct pass *pass, double begin, double share)
{
	const struct compile *compile = pass->contest->compile;
	double left = begin + SEARCH_SHARE * share - pass_now(pass);
	double each = compile_count(compile)
			      ? compile_seconds(compile) / (double)compile_count(compile)
			      : 0.1;

	return left <= 0 ? 0 : left > 64 * each ? 64 : (long)(left / each);
}

/* 0; 1 when no candidate is any good; -1. */
static int find_candidates(struct pass *pass, double begin, double share)
{
	const struct cores_class *at = pass->place.cores;
	int status = start_search(pass);

	if (status)
		return status;
	for (int generation = 1; generation <= pass->contest->effort.n_generations; generation++) {
		size_t first = search_n(pass->search);
		char what[112], stage[32];
		long max;

		snprintf(what, sizeof(what), "neighbours %d%s%s", generation, at ? " @" : "",
			 at ? at->name : "");
		snprintf(stage, sizeof(stage), "race%d", generation);
		if (pass_decide(pass, what, affordable(pass, begin, share), &max) < 0)
			return -1;
		if (max <= 0 || !pass->n_carry)
			break;
		if (search_grow(pass->search, generation, pass->carry, pass->n_carry > 1 ? 2 : 1,
				max, pass->err) < 0)
			return -1;
		if (search_n(pass->search) == first)
			break;
		status = bring_in(pass, first);
		if (!status)
			status = race_batch(pass, stage, first);
		if (status)
			return status;
	}
	return pass->n_carry ? 0 : 1;
}

/* ---- a format ---- */

static int has_format(const struct config_shape *shape, size_t format)
{
	return shape->formats >> format & 1;
}

size_t contest_n_cases(const struct contest *contest, const struct contest_unit *unit)
{
	size_t n_targets = 0;

	for (size_t i = 0; i < contest->n_cores; i++)
		n_targets += contest->cores[i].threads.n;
	return config_n_shapes(contest->config, unit->format) * n_targets;
}

static void set_place(struct pass *pass, const struct config_shape *shape, long n, long threads,
		      const struct cores_class *cores)
{
	struct show *show = pass->contest->show;

	pass->place = (struct session_case){
		.format = pass->format,
		.m = shape->m,
		.k = shape->k,
		.n = n,
		.cold_bytes = pass->contest->cold_bytes,
	};
	session_set_target(&pass->place, (int)threads, cores);
	snprintf(show->place, sizeof(show->place), "%s %s %ldx%ld n%ld %s", pass->format, pass->act,
		 shape->m, shape->k, n, pass->place.target);
}

/*
 * The share of the roof that binds, by the larger of its readings just before and just after the
 * case: a shared machine's memory is not equally fast all the time.
 */
static double roof_fraction(const struct contest *contest, const struct record_entry *entry,
			    const struct session_case *place)
{
	double macs = (double)entry->m * (double)entry->k * (double)entry->n;
	double gbps = 0, gmacs = 0, dram, compute;

	for (size_t i = contest->n_roofs; i > 0 && i + 2 > contest->n_roofs; i--) {
		const struct contest_roof *reading = &contest->roofs[i - 1];

		if (reading->threads != place->threads || reading->cores != place->cores)
			break;
		gbps = fmax(gbps, reading->roof.dram_gbps);
		gmacs = fmax(gmacs, reading->roof.int8_gmacs);
	}
	if (gbps <= 0 || gmacs <= 0)
		return 0;
	dram = entry->gbps / gbps;
	compute = macs / entry->median_us / 1e3 / gmacs;
	return dram > compute ? dram : compute;
}

/* For entries and finals from these on. */
static void set_fractions(struct pass *pass, size_t n_entries, size_t n_finals)
{
	const struct contest *contest = pass->contest;
	struct record *record = contest->record;

	for (; n_entries < record->n_entries; n_entries++)
		record->entries[n_entries].roof_fraction =
			roof_fraction(contest, &record->entries[n_entries], &pass->place);
	for (; n_finals < contest->n_finals; n_finals++) {
		const struct contest_final *one = &contest->finals[n_finals];

		for (size_t i = 0; i < one->n; i++)
			one->list[i].entry.roof_fraction =
				roof_fraction(contest, &one->list[i].entry, &pass->place);
	}
}

/* Cases of the place's target, which share an engine. */
static int run_cases(struct pass *pass, size_t format, long n_tokens, size_t *n_cases_left)
{
	const struct config *config = pass->contest->config;
	const struct session_case target = pass->place;

	for (size_t i = 0; i < config->n_shapes; i++) {
		size_t n_entries = pass->contest->record->n_entries;
		size_t n_finals = pass->contest->n_finals;
		char when[64];

		if (!has_format(&config->shapes[i], format))
			continue;
		set_place(pass, &config->shapes[i], n_tokens, target.threads, target.cores);
		snprintf(when, sizeof(when), "%ldx%ld n%ld", pass->place.m, pass->place.k,
			 pass->place.n);
		if (final_run(pass, *n_cases_left) < 0 || pass_roof(pass, when) < 0)
			return -1;
		set_fractions(pass, n_entries, n_finals);
		--*n_cases_left;
		pass->contest->show->cases_done++;
	}
	return 0;
}

static const struct config_shape *first_shape(const struct config *config, size_t format)
{
	for (size_t i = 0; i < config->n_shapes; i++) {
		if (has_format(&config->shapes[i], format))
			return &config->shapes[i];
	}
	return NULL;
}

/* One number of tokens on one class of cores: candidates, then all cases.  share: seconds. */
static int run_tokens(struct pass *pass, size_t format, long n_tokens,
		      const struct contest_cores *on, double share)
{
	struct contest *contest = pass->contest;
	const struct config *config = contest->config;
	size_t n_cases_left = config_n_shapes(config, format) * on->threads.n;
	double begin = journal_elapsed(contest->journal);
	int status;

	pass->deadline = begin + share;
	*contest->show->best = 0;
	set_place(pass, first_shape(config, format), n_tokens, on->threads.list[0], on->cores);
	status = find_candidates(pass, begin, share);
	if (status > 0)
		record_add_failure(contest->record, pass->format, "no candidate is left");
	for (size_t i = 0; i < on->threads.n && !status; i++) {
		char when[32];

		session_set_target(&pass->place, (int)on->threads.list[i], on->cores);
		snprintf(when, sizeof(when), "before n%ld", n_tokens);
		if (pass_roof(pass, when) < 0 ||
		    run_cases(pass, format, n_tokens, &n_cases_left) < 0)
			status = -1;
	}
	return status < 0 ? -1 : 0;
}

/* One format with one kind of activations, one number of tokens and one class of cores. */
static int run_search(struct contest *contest, size_t format, const char *act, long n_tokens,
		      const struct contest_cores *on, double n_searches, struct gen_error *err)
{
	const double left = contest->deadline - journal_elapsed(contest->journal);
	struct pass pass = {
		.contest = contest,
		.format = contest->config->formats.list[format],
		.act = act,
		.err = err,
	};
	int status;

	pass.search = search_open(contest->gen, contest->config, pass.format, act, n_tokens,
				  contest->isas, contest->n_isas,
				  compile_version(contest->compile, GEN_CLANG) != NULL,
				  on->cores ? on->cores->name : NULL, contest->journal,
				  contest->seed, err);
	if (!pass.search)
		return -1;
	if (on == contest->cores)
		contest->n_legal += search_n_legal(pass.search);
	status = run_tokens(&pass, format, n_tokens, on, left > 0 ? left / n_searches : 0);
	search_close(pass.search);
	return status;
}

int contest_run(struct contest *contest, const struct contest_unit *unit, size_t n_left,
		struct gen_error *err)
{
	const struct config *config = contest->config;
	const size_t n = contest->n_cores;
	int status = 0;

	/* Searches that differ in cores only come together: they share what is compiled. */
	for (size_t i = 0; i < n && !status; i++)
		status = run_search(contest, unit->format, config->acts.list[unit->act],
				    config->tokens.list[unit->tokens], &contest->cores[i],
				    (double)(n_left * n - i), err);
	return status;
}
