/* survey.c: rounds over all candidates, and space files. */
#include "survey.h"

#include <errno.h>
#include <math.h>
#include <unistd.h>

#include "fail.h"
#include "stats.h"
#include "gen/folder.h"

int survey_rounds(size_t n)
{
	return n < SURVEY_MANY ? SURVEY_ROUNDS : SURVEY_ROUNDS / 2;
}

/* Every round in an order of its own; those that fail are out. */
static int run_rounds(struct pass *pass, struct race_runner *runners, size_t n, uint64_t seed)
{
	size_t *order = fail_alloc(n, sizeof(*order));
	int status = 0;

	pass->stage = "survey";
	for (int round = 0; round < SURVEY_PASSES * survey_rounds(n) && status >= 0; round++) {
		race_order(order, n, seed + (uint64_t)round);
		for (size_t i = 0; i < n && status >= 0; i++) {
			struct race_runner *one = &runners[order[i]];
			double ns;

			if (one->out)
				continue;
			status = pass_sample(pass, one->id, round, &ns);
			one->out = status > 0;
			if (!status)
				one->log_ns[one->n++] = log(ns);
		}
		if (status >= 0 && (status = pass_over(pass, round, 2)) > 0)
			status = 0;
	}
	free(order);
	return status < 0 ? -1 : 0;
}

/* ---- the file ---- */

static void write_head(FILE *out, const struct pass *pass, const struct points *points, size_t n,
		       uint64_t seed)
{
	const struct session_case *place = &pass->place;
	const struct record *record = pass->contest->record;
	const struct compile *compile = pass->contest->compile;

	fprintf(out, "# quern space: two passes over every legal point\n");
	fprintf(out, "case %s %ldx%ld n%ld %s %s\n", place->format, place->m, place->k, place->n,
		place->target, pass->act);
	fprintf(out, "device %s; %s; %s\n", record->device.cpu, record->device.os,
		record->compiler.version);
	fprintf(out, "templates %s\n", record->generator.templates);
	fprintf(out, "passes %d rounds %d seed %llu slots %zu calls %ld compile_ms %.1f\n",
		SURVEY_PASSES, survey_rounds(n), (unsigned long long)seed, n, pass->calls,
		compile_count(compile)
			? 1e3 * compile_seconds(compile) / (double)compile_count(compile)
			: 0.0);
	for (int p = 0; p < points->n_parameters; p++) {
		const struct points_parameter *one = &points->parameters[p];

		fprintf(out, "parameter %s %c", one->name, one->is_ordered ? '+' : '.');
		for (int v = 0; v < one->n_values; v++)
			fprintf(out, " %s", one->words[v]);
		putc('\n', out);
	}
}

static int write_file(FILE *out, struct pass *pass, const struct points *points,
		      const struct race_runner *runners, size_t n, uint64_t seed)
{
	const int n_samples = SURVEY_PASSES * survey_rounds(n);
	size_t n_good = 0;
	long base = -1;

	for (size_t i = 0; i < n; i++) {
		if (runners[i].n == n_samples && runners[i].id == (int)pass->base)
			base = (long)n_good;
		n_good += runners[i].n == n_samples;
	}
	write_head(out, pass, points, n, seed);
	fprintf(out, "default %ld\npoints %zu\n", base, n_good);
	for (size_t i = 0; i < n; i++) {
		const struct search_candidate *one =
			search_candidate(pass->search, (size_t)runners[i].id);
		const short *row = points_row(points, search_find(pass->search, one->point.key));

		if (runners[i].n < n_samples)
			continue;
		for (int p = 0; p < points->n_parameters; p++)
			fprintf(out, "%s ", points->parameters[p].words[row[p]]);
		fprintf(out, ": %zu %s", i, one->point.is_lossy ? "lossy" : "exact");
		for (int r = 0; r < n_samples; r++)
			fprintf(out, " %.0f", exp(runners[i].log_ns[r]));
		putc('\n', out);
	}
	return ferror(out) ? -1 : 0;
}

static int write_space(struct pass *pass, const char *folder, const struct race_runner *runners,
		       size_t n, uint64_t seed)
{
	const struct session_case *place = &pass->place;
	char *path = fail_text("%s/%s-%ldx%ld-n%ld-%s-%s.space", folder, place->format, place->m,
			       place->k, place->n, place->target, pass->act);
	char *temporary = fail_text("%s.tmp", path);
	const struct points *points = search_points(pass->search, pass->err);
	FILE *out = NULL;
	int status = points ? folder_make_above(path, pass->err) : -1;

	if (!status) {
		out = fopen(temporary, "w");
		status = out ? write_file(out, pass, points, runners, n, seed) : -1;
		if (out && fclose(out))
			status = -1;
		if (!status)
			status = rename(temporary, path);
		if (status)
			fail_set(pass->err, "cannot write %s: %s", path, strerror(errno));
		if (status && out)
			unlink(temporary);
	}
	free(temporary);
	free(path);
	return status ? -1 : 0;
}

/* ---- a survey ---- */

/* The best by the median of all samples, per kind. */
static void carry_best(struct pass *pass, struct race_runner *runners, size_t n)
{
	int n_carried[RACE_KINDS] = {0};
	double sorted[RACE_MAX_ROUNDS];

	for (size_t i = 0; i < n; i++) {
		memcpy(sorted, runners[i].log_ns, sizeof(sorted));
		runners[i].score =
			runners[i].out ? INFINITY : stats_median(sorted, (size_t)runners[i].n);
	}
	race_sort(runners, n);
	pass->n_carry = 0;
	for (size_t i = 0; i < n && !runners[i].out; i++) {
		int *n_kind = &n_carried[runners[i].kind];

		if ((*n_kind)++ < pass->contest->effort.n_carry)
			pass->carry[pass->n_carry++] = (size_t)runners[i].id;
	}
	if (pass->n_carry)
		pass_tell_best(pass, &runners[0]);
}

int survey_run(struct pass *pass, const char *folder)
{
	struct race_runner *runners = fail_alloc(search_n(pass->search) + 1, sizeof(*runners));
	const uint64_t seed = pass_seed(pass, "survey");
	size_t n;
	int status;

	pass->n_carry = 0;
	n = pass_enter(pass, runners, 0);
	for (size_t i = 0; i < n; i++)
		runners[i].keep = 1; /* slow ones, too */
	status = pass_line_up(pass, runners, n);
	if (!status)
		status = run_rounds(pass, runners, n, seed);
	if (!status && folder)
		status = write_space(pass, folder, runners, n, seed);
	if (!status)
		carry_best(pass, runners, n);
	free(runners);
	return status;
}
