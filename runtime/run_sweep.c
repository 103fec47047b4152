/*
 * run_sweep.c: looks for cliffs: are shapes that nobody tuned as fast as those that somebody did?
 *
 * Every case is a random M, K and N, run as quern_multiply runs it after quern_pack without a hint.
 * Its efficiency is the least time that the roofs allow over the time it takes, counting what the
 * product needs: weights and products that only pad M and K are waste.  The ratio of a case is its
 * efficiency over that of the nearest tuned shape, measured in the same rounds so that what a
 * shared machine does meanwhile cancels.  Formats take cases in turn, so that whatever changes during
 * a long sweep does not look like one of them.
 */
#include "run_sweep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "matmul.h"
#include "run_measure.h"
#include "run_options.h"
#include "run_sweep_out.h"
#include "topology.h"
#include "verify.h"

#define MAX_M 12000
#define MIN_K 32
#define MAX_K 14000
#define MAX_N 64

/* Rounds of a case: an odd number, the fewer the longer they take. */
#define MIN_ROUNDS 5
#define MAX_ROUNDS 15
#define ROUNDS_NS 150000000

/* A case below the ratio is measured so often at most. */
#define MAX_ATTEMPTS 3

struct sweep {
	const struct run_sweep_options *options;
	struct quern_engine *engine;
	struct qn_roof_state *roofs;
	struct qn_ring ring;
	struct run_sweep_out out;
	long n_below;
	const struct qn_kernel **verified; /* room for all of the registry */
	int n_verified;
};

/* ---- options ---- */

static int parse_ratio(const char *value, double *ratio)
{
	char *end;

	*ratio = strtod(value, &end);
	if (end == value || *end || *value == ' ' || !(*ratio > 0 && *ratio <= 1))
		return run_options_complain(
			"--min-ratio %s: must be a fraction above 0 and up to 1, such as 0.60",
			value);
	return 0;
}

/* An option with a value; 1 when there is no such option. */
static int parse_value(const char *name, const char *value, struct run_sweep_options *o)
{
	if (!strcmp(name, "--format"))
		return run_options_formats(value, o->formats, &o->n_formats);
	if (!strcmp(name, "--act"))
		return run_options_act(value, &o->act);
	if (!strcmp(name, "--cases"))
		return run_options_number(name, value, 100000, &o->n_cases);
	if (!strcmp(name, "--seed"))
		return run_options_number(name, value, 1000000000, &o->seed);
	if (!strcmp(name, "--threads"))
		return run_options_number(name, value, QN_MAX_CPUS, &o->n_threads);
	if (!strcmp(name, "--cpus")) {
		o->cpus = value;
		return run_options_cpus(name, value);
	}
	if (!strcmp(name, "--min-ratio"))
		return parse_ratio(value, &o->min_ratio);
	if (strcmp(name, "--out"))
		return 1;
	o->out = value;
	return *value ? 0 : run_options_complain("--out needs the name of a file, not '%s'", value);
}

static int parse_options(int argc, char **argv, struct run_sweep_options *o)
{
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
		int status;

		if (!strcmp(name, "--json")) {
			o->json = 1;
			continue;
		}
		if (!strcmp(name, "--strict")) {
			o->strict = 1;
			continue;
		}
		if (!strcmp(name, "--loose")) {
			o->loose = 1;
			continue;
		}
		status = value ? parse_value(name, value, o) : 1;
		if (status > 0)
			return run_options_complain(
				"sweep: '%s' is no option or lacks its value, see quern-run --help",
				name);
		if (status)
			return status;
		i++;
	}
	if (run_options_loose(o->cpus, o->loose))
		return -1;
	if (!o->n_formats)
		o->formats[o->n_formats++] = QN_W4G32;
	if (o->n_cases >= o->n_formats)
		return 0;
	fprintf(stderr, "quern-run: --cases %ld: must be at least %d, one for each format\n",
		o->n_cases, o->n_formats);
	return -1;
}

/* ---- cases ---- */

/* Splitmix64; ranges are tiny beside 2^64. */
static long next_number(uint64_t *state, long low, long high)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return low + (long)((z ^ z >> 31) % (uint64_t)(high - low + 1));
}

/* The kernel that a matrix which was packed without a hint has for so many tokens. */
static int choose_kernel(const struct quern_engine *engine, struct run_product *p,
			 struct quern_error *err)
{
	p->matrix = (struct quern_matrix){.what = p->what};
	p->matrix.what.n_tokens = 1;
	if (qn_matrix_choose(&p->matrix, engine->lanes, engine->features, run_options_forced(NULL),
			     err))
		return -1;
	p->kernel = qn_matrix_kernel(&p->matrix, p->what.n_tokens);
	return 0;
}

/*
 * What a case is measured against.  "tuned": the nearest case that was tuned for so many tokens,
 * with its winner.  "shape": nothing was tuned for so many tokens, so the nearest shape that was
 * for one, as the library runs it, for as many tokens as their class stands for.  "default": no
 * shape was tuned, so 4096x4096.
 */
static int choose_reference(const struct quern_engine *engine, const struct qn_case *what,
			    struct run_row *row, struct quern_error *err)
{
	struct run_product *r = &row->reference;
	struct qn_case single = *what;
	struct qn_chosen chosen;

	r->what = *what;
	if (qn_choose(&qn_registry, engine->features, what, NULL, NULL, &chosen, err))
		return -1;
	if (chosen.source.m) {
		row->reference_kind = "tuned";
		r->what.m = chosen.source.m;
		r->what.k = chosen.source.k;
		r->what.n_tokens = chosen.source.n_tokens;
		r->kernel = chosen.kernel;
		return 0;
	}
	single.n_tokens = 1;
	if (qn_choose(&qn_registry, engine->features, &single, NULL, NULL, &chosen, err))
		return -1;
	row->reference_kind = chosen.source.m ? "shape" : "default";
	r->what.m = chosen.source.m ? chosen.source.m : 4096;
	r->what.k = chosen.source.m ? chosen.source.k : 4096;
	r->what.n_tokens = qn_matrix_class_tokens(qn_matrix_class(what->n_tokens));
	return choose_kernel(engine, r, err);
}

/* ---- measuring ---- */

/* Nothing is timed that was not checked. */
static int verify(struct sweep *s, const struct qn_kernel *kernel, struct quern_error *err)
{
	double nmse;

	for (int i = 0; i < s->n_verified; i++) {
		if (s->verified[i] == kernel)
			return 0;
	}
	if (qn_verify_kernel(kernel, 1, &nmse, err))
		return -1;
	s->verified[s->n_verified++] = kernel;
	return 0;
}

static int start(struct sweep *s, struct run_product *p, struct run_timed *timed,
		 struct quern_error *err)
{
	const double m = (double)p->what.m, k = (double)p->what.k;
	struct quern_matrix matrix;

	if (!p->matrix.kernel) /* a winner on its own? */
		qn_matrix_shape(&p->matrix, p->kernel, p->what.m, p->what.k);
	timed->kernel = p->kernel;
	if (verify(s, p->kernel, err) ||
	    qn_bench_open(&timed->bench, s->engine, p->what.format, p->what.m, p->what.k,
			  p->what.n_tokens, 0, &s->ring, err))
		return -1;
	qn_bench_use(timed->bench, &p->matrix);
	if (run_measure_start(timed, err))
		return -1;
	qn_matrix_shape(&matrix, p->kernel, p->what.m, p->what.k);
	p->n_bytes = (double)qn_matrix_bytes(&matrix) * m * k /
		     ((double)matrix.n_panels * (double)p->kernel->layout.panel_rows *
		      (double)qn_matrix_padded_k(&matrix));
	return 0;
}

static void finish(struct run_product *p, struct run_timed *timed, int n_rounds,
		   const struct qn_roof *roof)
{
	const double macs = (double)p->what.m * (double)p->what.k * (double)p->what.n_tokens;

	run_measure_sort(timed, n_rounds);
	p->us = run_measure_us(timed, n_rounds / 2);
	run_measure_share(p->n_bytes, macs, p->us, roof, &p->share);
}

static int measure_once(struct sweep *s, struct run_row *row, struct quern_error *err)
{
	struct run_timed tested = {.n_calls = 0}, reference = {.n_calls = 0};
	struct run_timed *const both[2] = {&tested, &reference};
	int64_t end;
	int n = 0, status = -1;

	if (start(s, &row->tested, &tested, err) || start(s, &row->reference, &reference, err))
		goto out;
	end = qn_bench_now_ns() + ROUNDS_NS;
	while (n < MIN_ROUNDS || (n < MAX_ROUNDS && (n % 2 == 0 || qn_bench_now_ns() < end))) {
		if (run_measure_round(both, 2, n++, s->roofs, err))
			goto out;
	}
	qn_roof_get(s->roofs, &row->roof);
	finish(&row->tested, &tested, n, &row->roof);
	finish(&row->reference, &reference, n, &row->roof);
	row->ratio = row->tested.share.fraction / row->reference.share.fraction;
	status = 0;
out:
	qn_bench_close(tested.bench);
	qn_bench_close(reference.bench);
	return status;
}

/* What disturbs a case makes it slower, so the best of several attempts stands. */
static int measure(struct sweep *s, struct run_row *row, struct quern_error *err)
{
	struct run_row next = *row;

	row->ratio = 0;
	for (int i = 1; i <= MAX_ATTEMPTS && row->ratio < s->options->min_ratio; i++) {
		if (measure_once(s, &next, err))
			return -1;
		if (i == 1 || next.ratio > row->ratio)
			*row = next;
		row->n_attempts = i;
	}
	return 0;
}

/* ---- the command ---- */

static void write_head(const struct sweep *s)
{
	struct qn_roof roof;

	qn_roof_reset(s->roofs);
	for (int i = 0; i < MAX_ROUNDS; i++)
		qn_roof_sample(s->roofs);
	qn_roof_get(s->roofs, &roof);
	run_sweep_out_head(&s->out, &roof);
}

static int run_case(struct sweep *s, struct run_row *rows, long i, uint64_t *random,
		    struct quern_error *err)
{
	const struct run_sweep_options *o = s->options;
	struct run_row *row = &rows[i];
	struct qn_case *what = &row->tested.what;

	what->format = o->formats[i % o->n_formats];
	what->m = next_number(random, 1, MAX_M);
	what->k = next_number(random, MIN_K, MAX_K);
	what->n_tokens = next_number(random, 1, MAX_N);
	what->act = run_options_act_of(o->act, what->format);
	qn_matrix_place(what, s->engine->lanes);
	if (choose_kernel(s->engine, &row->tested, err) ||
	    choose_reference(s->engine, what, row, err) || measure(s, row, err))
		return -1;
	s->n_below += row->ratio < o->min_ratio;
	if (run_sweep_out_row(&s->out, row, i == 0, err))
		return -1;
	run_sweep_out_progress(&s->out, row, i + 1, s->n_below);
	return 0;
}

static int run_cases(struct sweep *s, struct quern_error *err)
{
	const struct run_sweep_options *o = s->options;
	const struct quern_options options = {.size = sizeof options,
					      .n_threads = (int)o->n_threads,
					      .cpus = o->cpus,
					      .loose = o->loose};
	struct run_row *rows = calloc((size_t)o->n_cases, sizeof *rows);
	uint64_t random = (uint64_t)o->seed;
	int status = -1;

	s->verified = calloc((size_t)qn_registry.n_kernels, sizeof *s->verified);
	if (!rows || !s->verified) {
		qn_error_set(err, "no memory for %ld cases", o->n_cases);
		goto out;
	}
	if (quern_open(&s->engine, &options, err) || qn_roof_open(&s->roofs, s->engine, err))
		goto out;
	if (!o->json)
		write_head(s);
	for (long i = 0; i < o->n_cases; i++) {
		if (run_case(s, rows, i, &random, err))
			goto out;
	}
	run_sweep_out_summary(&s->out, rows);
	status = 0;
out:
	qn_roof_close(s->roofs);
	quern_close(s->engine);
	qn_ring_free(&s->ring);
	free(s->verified);
	free(rows);
	return status;
}

int run_sweep(int argc, char **argv)
{
	struct run_sweep_options o = {.n_cases = 200,
				      .seed = 1,
				      .n_threads = 1,
				      .act = RUN_OWN_ACT,
				      .min_ratio = 0.60};
	struct sweep s = {.options = &o, .out = {.options = &o, .rows = stdout, .summary = stderr}};
	struct quern_error err;
	int status;

	if (parse_options(argc, argv, &o))
		return 2;
	if (o.out) {
		s.out.rows = fopen(o.out, "w");
		s.out.summary = stdout;
		if (!s.out.rows) {
			fprintf(stderr, "quern-run: cannot write %s: %s\n", o.out, strerror(errno));
			return 1;
		}
	}
	s.out.shows_progress = o.out && isatty(STDERR_FILENO);
	status = run_cases(&s, &err);
	if (status)
		fprintf(stderr, "quern-run: %s\n", err.text);
	if (o.out && fclose(s.out.rows) && !status) {
		fprintf(stderr, "quern-run: cannot write %s: %s\n", o.out, strerror(errno));
		status = -1;
	}
	return status || (o.strict && s.n_below > 0);
}
