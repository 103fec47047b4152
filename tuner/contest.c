/* contest.c: one unit from first candidates to winners. */
#include <math.h>

#include "contest.h"
#include "fail.h"
#include "final.h"
#include "find.h"
#include "pass.h"

#define ROOF_SECONDS 20 /* from one reading of a target's roof to the next */

const char *const contest_strategies[CONTEST_N_STRATEGIES] = {"race", "random", "exhaustive",
							      "duel"};

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
 * The share of the roof that binds, by the larger of the last two readings, those before and after the
 * case: a shared machine's memory is not equally fast all the time.
 */
static double roof_fraction(const struct contest *contest, const struct record_entry *entry,
			    const struct session_case *place)
{
	double macs = (double)entry->m * (double)entry->k * (double)entry->n;
	double gbps = 0, gmacs = 0, dram, compute;
	int n = 0;

	for (size_t i = contest->n_roofs; i > 0 && n < 2; i--) {
		const struct contest_roof *reading = &contest->roofs[i - 1];

		if (!pass_is_roof(reading, place))
			continue;
		gbps = fmax(gbps, reading->roof.dram_gbps);
		gmacs = fmax(gmacs, reading->roof.int8_gmacs);
		n++;
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

/* Reads the roof of the place's target if that was long ago, or has to be; *is_read: it was. */
static int read_roof(struct pass *pass, const char *when, int is_needed, long *is_read)
{
	const struct contest *contest = pass->contest;
	double at = -ROOF_SECONDS;
	char what[192];

	for (size_t i = 0; i < contest->n_roofs; i++) {
		if (pass_is_roof(&contest->roofs[i], &pass->place))
			at = contest->roofs[i].at;
	}
	snprintf(what, sizeof(what), "roof %s", when);
	if (pass_decide(pass, what, is_needed || pass_now(pass) - at >= ROOF_SECONDS, is_read) < 0)
		return -1;
	return *is_read ? pass_roof(pass, when) : 0;
}

/*
 * Cases of the place's target, which share an engine.  The roof is read now and then and after the last
 * case of all.  Fractions of it are those of the reading before until there is one after.
 */
static int run_cases(struct pass *pass, size_t format, long n_tokens, size_t *n_cases_left)
{
	struct contest *contest = pass->contest;
	const struct config *config = contest->config;
	const struct session_case target = pass->place;
	size_t n_entries = contest->record->n_entries, n_finals = contest->n_finals;

	for (size_t i = 0; i < config->n_shapes; i++) {
		const size_t first = contest->record->n_entries;
		char when[160];
		long is_read;

		if (!has_format(&config->shapes[i], format))
			continue;
		set_place(pass, &config->shapes[i], n_tokens, target.threads, target.cores);
		snprintf(when, sizeof(when), "%ldx%ld n%ld %s", pass->place.m, pass->place.k,
			 pass->place.n, pass->place.target);
		if (final_run(pass, *n_cases_left) < 0 ||
		    read_roof(pass, when, *n_cases_left == 1, &is_read) < 0)
			return -1;
		set_fractions(pass, n_entries, n_finals);
		if (is_read) {
			n_entries = contest->record->n_entries;
			n_finals = contest->n_finals;
		}
		--*n_cases_left;
		contest->show->cases_done++;
		pass_tell_entries(pass, first);
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
	show_forget_best(contest->show);
	set_place(pass, first_shape(config, format), n_tokens, on->threads.list[0], on->cores);
	status = find_candidates(pass, begin, share);
	if (status > 0)
		record_add_failure(contest->record, pass->format, "no candidate is left");
	for (size_t i = 0; i < on->threads.n && !status; i++) {
		char when[128];
		long is_read;

		session_set_target(&pass->place, (int)on->threads.list[i], on->cores);
		snprintf(when, sizeof(when), "before n%ld %s", n_tokens, pass->place.target);
		if (read_roof(pass, when, 0, &is_read) < 0 ||
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
		status = run_search(contest, unit->format,
				    config_act(config, unit->format, unit->act),
				    config->tokens.list[unit->tokens], &contest->cores[i],
				    (double)(n_left * n - i), err);
	return status;
}
