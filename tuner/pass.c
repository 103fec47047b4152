/* pass.c: samples and entry lists. */
#include <math.h>

#include "clock.h"
#include "fail.h"
#include "hash.h"
#include "pass.h"
#include "stats.h"

double pass_now(const struct pass *pass)
{
	return journal_elapsed(pass->contest->journal);
}

int pass_decide(struct pass *pass, const char *what, long value, long *decided)
{
	char *question = fail_text("decide %s %s %s", pass->format, pass->act, what), answer[32];
	const char *known = journal_find(pass->contest->journal, question);
	int status = 0;

	snprintf(answer, sizeof(answer), "%ld", value);
	if (!known)
		status = journal_add(pass->contest->journal, question, answer, pass->err);
	*decided = known ? strtol(known, NULL, 10) : value;
	free(question);
	return status;
}

int pass_twin(const struct pass *pass)
{
	return (int)search_n(pass->search);
}

struct search_candidate *pass_candidate(const struct pass *pass, int id)
{
	return search_candidate(pass->search, id == pass_twin(pass) ? pass->base : (size_t)id);
}

const char *pass_name(const struct pass *pass, const struct race_runner *runner)
{
	return pass_candidate(pass, runner->id)->point.name;
}

void pass_show(struct pass *pass, const char *format, ...)
{
	struct show *show = pass->contest->show;
	va_list args;

	va_start(args, format);
	vsnprintf(show->what, sizeof(show->what), format, args);
	va_end(args);
	show->left_s = pass->contest->deadline - pass_now(pass);
	show_progress(show);
}

/* 1; 0 when it is known, of the same kernel on other cores. */
static int add_failure(struct pass *pass, const char *name, const char *why)
{
	struct record *record = pass->contest->record;

	for (size_t i = 0; pass->place.cores && i < record->protocol.n_failed; i++) {
		if (!strcmp(record->protocol.failed[i].point, name) &&
		    !strcmp(record->protocol.failed[i].reason, why))
			return 0;
	}
	record_add_failure(record, name, why);
	return 1;
}

void pass_drop(struct pass *pass, size_t i, const char *why)
{
	struct search_candidate *one = search_candidate(pass->search, i);

	one->failed = 1;
	if (add_failure(pass, one->point.name, why)) {
		pass->contest->show->invalid++;
		show_event_invalid(pass->contest->show, one->point.name, why);
	}
}

/* ---- samples ---- */

/* 1: candidate i is out of this case, and of all unless only the case is to blame. */
static int blame(struct pass *pass, size_t i, const struct session_error *error)
{
	struct search_candidate *one = search_candidate(pass->search, i);
	const struct session_case *place = &pass->place;
	char *why = fail_text("%s (%s %ldx%ld n%ld %s)", error->why, place->format, place->m,
			      place->k, place->n, place->target);

	if (strncmp(error->why, "case ", 5) && strncmp(error->why, "error ", 6)) {
		pass_drop(pass, i, why);
	} else {
		record_add_failure(pass->contest->record, one->point.name, why);
		show_event_invalid(pass->contest->show, one->point.name, why);
	}
	free(why);
	return 1;
}

int pass_sample(void *context, int id, int round, double *ns)
{
	struct pass *pass = context;
	struct search_candidate *one = pass_candidate(pass, id);
	const int is_twin = id == pass_twin(pass);
	int is_warm = round < 0, status = 0;
	struct session_sample sample = {0};
	struct session_error error;
	char of[48], stage[96], hot[24] = "", more[24] = "";

	if (is_twin) /* "twin", "twin sitting2" */
		snprintf(of, sizeof(of), "twin%s", pass->stage + strcspn(pass->stage, " "));
	else
		snprintf(of, sizeof(of), "%s", is_warm ? "warm" : pass->stage);
	if (pass->n_hot && !is_warm)
		snprintf(hot, sizeof(hot), " hot%d", pass->n_hot);
	for (int again = 0; again < 3; again++) {
		if (again)
			snprintf(more, sizeof(more), " again%d", again);
		snprintf(stage, sizeof(stage), "%s%s%s", of, hot, more);
		status = session_time(pass->contest->session, &pass->place, one->point.name, stage,
				      is_warm ? -1 - round : round, is_warm ? 1 : pass->calls,
				      &sample, &error);
		if (status || is_warm || !sample.flags)
			break;
	}
	if (status < 0) {
		*pass->err = error.fatal;
		return -1;
	}
	if (status)
		return is_twin ? 1 : blame(pass, (size_t)id, &error);
	if (pass->flags && !is_warm)
		pass->flags[id].now = sample.flags;
	*ns = (double)sample.ns / (double)sample.calls;
	if (is_warm)
		pass_show(pass, "first calls");
	else
		pass_show(pass, "%s, round %d", pass->stage, round + 1);
	return 0;
}

/* Counts what disturbed the samples that the round keeps. */
static void count_flags(struct pass *pass, int is_hot)
{
	const size_t n = pass->flags ? search_n(pass->search) + 1 : 0;

	for (size_t i = 0; i < n; i++) {
		struct pass_flags *flags = &pass->flags[i];

		if (flags->now < 0)
			continue;
		flags->n += is_hot || flags->now;
		flags->by.switched += (flags->now & PROBE_SWITCHED) != 0;
		flags->by.migrated += (flags->now & PROBE_MIGRATED) != 0;
		flags->by.faulted += (flags->now & PROBE_FAULTED) != 0;
		flags->by.stolen += (flags->now & PROBE_STOLEN) != 0;
		flags->by.hot += is_hot;
		flags->now = -1;
	}
}

int pass_over(void *context, int round, int n_before)
{
	struct pass *pass = context;
	const struct session_case *place = &pass->place;
	char *what;
	int is_hot;

	what = fail_text("%s %s %ldx%ld n%ld %s %s %d %d", pass->format, pass->act, place->m,
			 place->k, place->n, place->target, pass->stage, round, n_before);
	is_hot = gate_judge(pass->contest->gate, place, what, pass->err);
	free(what);
	if (is_hot < 0)
		return -1;
	pass->n_hot = is_hot && n_before < 2 ? n_before + 1 : 0;
	if (!pass->n_hot)
		count_flags(pass, is_hot);
	return pass->n_hot > 0;
}

uint64_t pass_seed(const struct pass *pass, const char *stage)
{
	const struct session_case *place = &pass->place;
	char *text = fail_text("%llu %s %s %ld %ld %ld %s %s", pass->contest->seed, place->format,
			       pass->act, place->m, place->k, place->n, place->target + 1, stage);
	uint64_t seed = hash_text(HASH_START, text);

	free(text);
	return seed;
}

int pass_is_roof(const struct contest_roof *reading, const struct session_case *place)
{
	return reading->threads == place->threads && reading->cores == place->cores;
}

/* Medians over all readings of the place's target. */
static void update_ceiling(struct contest *contest, const struct session_case *place)
{
	const struct cores_class *cores = place->cores;
	double *gbps = fail_alloc(contest->n_roofs, sizeof(*gbps));
	double *gmacs = fail_alloc(contest->n_roofs, sizeof(*gmacs));
	struct record *record = contest->record;
	struct record_ceiling *ceiling;
	size_t n = 0, i = 0;

	while (i < record->n_ceilings &&
	       (record->ceilings[i].threads != place->threads ||
		strcmp(record->ceilings[i].core_name, cores ? cores->name : "")))
		i++;
	ceiling = i < record->n_ceilings ? &record->ceilings[i] : record_add_ceiling(record);
	ceiling->threads = place->threads;
	ceiling->core = cores ? (long)cores->kind : 0;
	strcpy(ceiling->core_name, cores ? cores->name : "");
	for (i = 0; i < contest->n_roofs; i++) {
		const struct session_roof *roof = &contest->roofs[i].roof;

		if (!pass_is_roof(&contest->roofs[i], place))
			continue;
		gbps[n] = roof->dram_gbps;
		gmacs[n++] = roof->int8_gmacs;
		ceiling->streams = roof->streams;
		ceiling->huge_pages = roof->huge_pages;
	}
	ceiling->dram_gbps = stats_median(gbps, n);
	ceiling->int8_gmacs = stats_median(gmacs, n);
	free(gbps);
	free(gmacs);
}

int pass_roof(struct pass *pass, const char *when)
{
	struct contest *contest = pass->contest;
	struct session_error error;
	struct contest_roof *reading;
	struct session_roof roof;
	char *number = fail_text("%s %s %s", pass->format, pass->act, when);
	int status;

	pass_show(pass, "measuring the roof");
	status = session_roof(contest->session, &pass->place, number, &roof, &error);
	free(number);
	if (status < 0)
		*pass->err = error.fatal;
	if (status)
		return status < 0 ? -1 : 0;
	contest->roofs = fail_grow(contest->roofs, contest->n_roofs, sizeof(*contest->roofs));
	reading = &contest->roofs[contest->n_roofs++];
	reading->threads = pass->place.threads;
	reading->cores = pass->place.cores;
	reading->roof = roof;
	reading->at = pass_now(pass);
	update_ceiling(contest, &pass->place);
	return 0;
}

/* ---- a race ---- */

int pass_link(struct contest *contest, const char *const *keys, const char *const *names,
	      const char *const *objects, size_t n, struct gen_error *err)
{
	struct compile_item *isas = fail_alloc(contest->n_isas, sizeof(*isas));
	char path[4096], *registry = gen_emit_registry(contest->gen, keys, n, err);
	int status = -1;

	for (size_t i = 0; i < contest->n_isas; i++)
		isas[i] = (struct compile_item){.text = contest->isas[i].text,
						.flags = contest->isas[i].info.flags};
	if (registry)
		status = compile_program(contest->compile, objects, n, registry, isas,
					 contest->n_isas, path, sizeof(path), err);
	if (!status)
		session_use(contest->session, path, names, (int)n);
	free(registry);
	free(isas);
	return status;
}

/* Counts and tells of a runner that is out for being slow; over: its time over the leader's. */
static void prune(struct pass *pass, const struct race_runner *runner, const char *stage,
		  double over)
{
	struct search_candidate *one = pass_candidate(pass, runner->id);

	pass->contest->show->pruned += !one->is_pruned;
	one->is_pruned = 1;
	show_event_pruned(pass->contest->show, one->point.name, stage, over);
}

/* The first call of everyone, as race_warm. */
static int warm(struct pass *pass, struct race_runner *runners, size_t n)
{
	double best = INFINITY;

	if (race_warm(runners, n, pass_sample, pass) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!runners[i].out)
			best = fmin(best, runners[i].warm_ns);
	}
	for (size_t i = 0; i < n; i++) {
		/* Who failed did so without a time, or is told of already. */
		if (runners[i].out && runners[i].warm_ns > 0 &&
		    !search_candidate(pass->search, (size_t)runners[i].id)->failed)
			prune(pass, &runners[i], "first calls", runners[i].warm_ns / best);
	}
	return 0;
}

int pass_line_up(struct pass *pass, struct race_runner *runners, size_t n)
{
	struct session_error error;
	struct session_sample sample;
	double bytes;
	int status = 1;

	gate_begin(pass->contest->gate);
	for (size_t i = 0; i < n; i++) {
		const char *name = pass_name(pass, &runners[i]);
		int prepared;

		pass_show(pass, "lining up %zu of %zu", i + 1, n);
		prepared =
			session_prepare(pass->contest->session, &pass->place, name, &bytes, &error);
		if (prepared < 0) {
			*pass->err = error.fatal;
			return -1;
		}
		runners[i].out = prepared ? blame(pass, (size_t)runners[i].id, &error) : 0;
		runners[i].failed = runners[i].out;
	}
	if (warm(pass, runners, n) < 0)
		return -1;
	for (size_t i = 0; i < n && status > 0; i++) {
		if (runners[i].out)
			continue;
		status = session_time(pass->contest->session, &pass->place,
				      pass_name(pass, &runners[i]), "calls", 0, 0, &sample, &error);
		if (status < 0)
			*pass->err = error.fatal;
		if (status > 0)
			runners[i].out = runners[i].failed =
				blame(pass, (size_t)runners[i].id, &error);
	}
	pass->calls = status ? 1 : sample.calls;
	return status < 0 ? -1 : 0;
}

static void enter(struct race_runner *runner, const struct pass *pass, size_t candidate)
{
	memset(runner, 0, sizeof(*runner));
	runner->id = (int)candidate;
	runner->keep = candidate == pass->base;
	runner->kind = search_candidate(pass->search, candidate)->point.is_lossy;
}

size_t pass_enter(struct pass *pass, struct race_runner *runners, size_t first_new)
{
	size_t n = 0;

	for (size_t i = 0; i < pass->n_carry; i++) {
		if (search_candidate(pass->search, pass->base)->failed &&
		    !search_candidate(pass->search, pass->carry[i])->point.is_lossy)
			pass->base = pass->carry[i];
	}
	enter(&runners[n++], pass, pass->base);
	for (size_t i = 0; i < pass->n_carry; i++) {
		size_t one = pass->carry[i];

		if (one != pass->base && !search_candidate(pass->search, one)->failed)
			enter(&runners[n++], pass, one);
	}
	for (size_t i = first_new; i < search_n(pass->search); i++) {
		if (i != pass->base && !search_candidate(pass->search, i)->failed)
			enter(&runners[n++], pass, i);
	}
	return n;
}

void pass_tell_best(struct pass *pass, const struct race_runner *best)
{
	struct show *show = pass->contest->show;

	snprintf(show->best, sizeof(show->best), "%s", pass_name(pass, best));
	show->best_us = 1e-3 * exp(best->score);
	snprintf(show->figure, sizeof(show->figure), "%.1f us", show->best_us);
}

void pass_tell_entries(struct pass *pass, size_t first)
{
	const struct record *record = pass->contest->record;

	for (; first < record->n_entries; first++)
		show_event_case(pass->contest->show, &record->entries[first], pass->place.target);
}

void pass_told(void *context, int round, const struct race_runner *runners, size_t n_left, size_t n)
{
	struct pass *pass = context;

	if (!n_left)
		return;
	for (size_t i = n_left; i < n; i++) {
		size_t leader = 0;

		while (leader + 1 < n_left && runners[leader].kind != runners[i].kind)
			leader++;
		if (runners[i].n == round + 1) /* no sample: it failed */
			prune(pass, &runners[i], pass->stage,
			      exp(runners[i].score - runners[leader].score));
	}
	show_event_race(pass->contest->show, pass->stage, round + 1, n_left,
			pass_name(pass, &runners[0]), 1e-3 * exp(runners[0].score));
}
