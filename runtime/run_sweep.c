/*
 * run_sweep.c: looks for cliffs: are shapes that nobody tuned as fast as those that somebody did?
 *
 * Every case is a random M, K and N, run as quern_multiply runs it after quern_pack without a hint.
 * Its efficiency is the least time that the roofs allow over the time it takes, counting what the
 * product needs: weights and products that only pad M and K are waste.  The ratio of a case is its
 * efficiency over that of the nearest tuned shape, measured in the same rounds so that what a
 * shared machine does meanwhile cancels.
 */
#include "run_sweep.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "format.h"
#include "matmul.h"
#include "run_measure.h"
#include "run_options.h"
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

#define N_WORST 5
#define MAX_VERIFIED 64

struct options {
	int formats[QN_N_FORMATS], n_formats;
	long n_cases, seed, n_threads;
	double min_ratio;
	const char *out;
	int json, strict;
};

/* A product and what it came to. */
struct product {
	struct qn_case what;
	struct quern_matrix matrix; /* its kernels, as the library packs it */
	const struct qn_kernel *kernel;
	double n_bytes; /* of weights without padding */
	double us;
	struct run_share share;
};

struct row {
	struct product tested, reference;
	const char *reference_kind; /* see choose_reference */
	struct qn_roof roof;
	double ratio;
	int n_attempts;
};

struct sweep {
	const struct options *options;
	struct quern_engine *engine;
	struct qn_roof_state *roofs;
	FILE *out, *summary;
	int shows_progress;
	long n_below;
	const struct qn_kernel *verified[MAX_VERIFIED];
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
static int parse_value(const char *name, const char *value, struct options *o)
{
	if (!strcmp(name, "--format"))
		return run_options_formats(value, o->formats, &o->n_formats);
	if (!strcmp(name, "--cases"))
		return run_options_number(name, value, 100000, &o->n_cases);
	if (!strcmp(name, "--seed"))
		return run_options_number(name, value, 1000000000, &o->seed);
	if (!strcmp(name, "--threads"))
		return run_options_number(name, value, QN_MAX_CPUS, &o->n_threads);
	if (!strcmp(name, "--min-ratio"))
		return parse_ratio(value, &o->min_ratio);
	if (strcmp(name, "--out"))
		return 1;
	o->out = value;
	return *value ? 0 : run_options_complain("--out needs the name of a file, not '%s'", value);
}

static int parse_options(int argc, char **argv, struct options *o)
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
		status = value ? parse_value(name, value, o) : 1;
		if (status > 0)
			return run_options_complain(
				"sweep: '%s' is no option or lacks its value, see quern-run --help",
				name);
		if (status)
			return status;
		i++;
	}
	return 0;
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

static const char *forced_kernels(void)
{
	const char *names = getenv("QUERN_KERNEL");

	return names && *names ? names : NULL;
}

/* The kernel that a matrix which was packed without a hint has for so many tokens. */
static int choose_kernel(const struct quern_engine *engine, struct product *p,
			 struct quern_error *err)
{
	p->matrix = (struct quern_matrix){.what = p->what};
	p->matrix.what.n_tokens = 1;
	if (qn_matrix_choose(&p->matrix, engine->features, forced_kernels(), err))
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
			    struct row *row, struct quern_error *err)
{
	struct product *r = &row->reference;
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
	if (s->n_verified < MAX_VERIFIED)
		s->verified[s->n_verified++] = kernel;
	return 0;
}

static int start(struct sweep *s, struct product *p, struct run_timed *timed,
		 struct quern_error *err)
{
	const double m = (double)p->what.m, k = (double)p->what.k;
	struct quern_matrix matrix;

	if (!p->matrix.kernel) /* a winner on its own? */
		qn_matrix_shape(&p->matrix, p->kernel, p->what.m, p->what.k);
	timed->kernel = p->kernel;
	if (verify(s, p->kernel, err) ||
	    qn_bench_open(&timed->bench, s->engine, p->what.format, p->what.m, p->what.k,
			  p->what.n_tokens, 0, err))
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

static void finish(struct product *p, struct run_timed *timed, int n_rounds,
		   const struct qn_roof *roof)
{
	const double macs = (double)p->what.m * (double)p->what.k * (double)p->what.n_tokens;

	run_measure_sort(timed, n_rounds);
	p->us = run_measure_us(timed, n_rounds / 2);
	run_measure_share(p->n_bytes, macs, p->us, roof, &p->share);
}

static int measure_once(struct sweep *s, struct row *row, struct quern_error *err)
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
static int measure(struct sweep *s, struct row *row, struct quern_error *err)
{
	struct row next = *row;

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

/* ---- output ---- */

struct column {
	const char *name;
	int is_text;
	char value[64];
};

#define MAX_COLUMNS 32

struct table {
	struct column columns[MAX_COLUMNS];
	int n;
};

__attribute__((format(printf, 4, 5))) static void add(struct table *t, const char *name,
						      int is_text, const char *format, ...)
{
	struct column *c = &t->columns[t->n++];
	va_list args;

	c->name = name;
	c->is_text = is_text;
	va_start(args, format);
	vsnprintf(c->value, sizeof c->value, format, args);
	va_end(args);
}

static void add_shape(struct table *t, const char *m, const char *k, const char *n,
		      const struct qn_case *what)
{
	add(t, m, 0, "%ld", what->m);
	add(t, k, 0, "%ld", what->k);
	add(t, n, 0, "%ld", what->n_tokens);
}

static void list_columns(const struct row *row, struct table *t)
{
	const struct product *p = &row->tested, *r = &row->reference;

	t->n = 0;
	add(t, "format", 1, "%s", qn_formats[p->what.format].name);
	add_shape(t, "M", "K", "N", &p->what);
	add(t, "threads", 0, "%d", p->what.n_threads);
	add(t, "kernel", 1, "%s", p->kernel->name);
	add(t, "weight_bytes", 0, "%.0f", p->n_bytes);
	add(t, "median_us", 0, "%.3f", p->us);
	add(t, "gbps", 0, "%.3f", p->share.gbps);
	add(t, "gmacs", 0, "%.3f", p->share.gmacs);
	add(t, "roof", 1, "%s", p->share.is_dram ? "dram" : "compute");
	add(t, "dram_gbps", 0, "%.3f", row->roof.dram_gbps);
	add(t, "int8_gmacs", 0, "%.3f", row->roof.int8_gmacs);
	add(t, "reference", 1, "%s", row->reference_kind);
	add_shape(t, "reference_M", "reference_K", "reference_N", &r->what);
	add(t, "reference_kernel", 1, "%s", r->kernel->name);
	add(t, "reference_us", 0, "%.3f", r->us);
	add(t, "attempts", 0, "%d", row->n_attempts);
	add(t, "efficiency_percent", 0, "%.2f", 100 * p->share.fraction);
	add(t, "reference_percent", 0, "%.2f", 100 * r->share.fraction);
	add(t, "ratio_percent", 0, "%.2f", 100 * row->ratio);
}

/* Full disks are met here, at the first row that does not fit. */
static int flush(const struct sweep *s, struct quern_error *err)
{
	if (!fflush(s->out) && !ferror(s->out))
		return 0;
	return qn_error_set(err, "cannot write %s: %s",
			    s->options->out ? s->options->out : "to standard output",
			    strerror(errno));
}

static void print_object(FILE *out, const struct table *t)
{
	for (int i = 0; i < t->n; i++) {
		const struct column *c = &t->columns[i];
		const char *quote = c->is_text ? "\"" : "";

		fprintf(out, "%s\"%s\": %s%s%s", i ? ", " : "{", c->name, quote, c->value, quote);
	}
	fputs("}\n", out);
}

static void print_line(FILE *out, const struct table *t, int names)
{
	for (int i = 0; i < t->n; i++)
		fprintf(out, "%s%c", names ? t->columns[i].name : t->columns[i].value,
			i + 1 < t->n ? '\t' : '\n');
}

static void print_row(const struct sweep *s, const struct row *row, int is_first)
{
	struct table t;

	list_columns(row, &t);
	if (s->options->json) {
		print_object(s->out, &t);
		return;
	}
	if (is_first)
		print_line(s->out, &t, 1);
	print_line(s->out, &t, 0);
}

/* Says what all rows share. */
static void print_head(const struct sweep *s)
{
	const struct options *o = s->options;
	struct qn_topology topology;
	struct qn_roof roof;

	qn_roof_reset(s->roofs);
	for (int i = 0; i < MAX_ROUNDS; i++)
		qn_roof_sample(s->roofs);
	qn_roof_get(s->roofs, &roof);
	qn_topology_read(&topology);
	fprintf(s->out, "# quern-run sweep: formats");
	for (int i = 0; i < o->n_formats; i++)
		fprintf(s->out, " %s", qn_formats[o->formats[i]].name);
	fprintf(s->out,
		"; seed %ld, %ld cases each, threads %ld; %s; roofs at the start %.1f GB/s, %.0f int8 "
		"GMAC/s; kernels of %s\n",
		o->seed, o->n_cases, o->n_threads, topology.name, roof.dram_gbps, roof.int8_gmacs,
		qn_registry.origin);
}

static void show_progress(const struct sweep *s, const struct row *row, long n_done, int ends)
{
	if (!s->shows_progress)
		return;
	fprintf(stderr, "\r%s: %ld of %ld, %ld below %.0f %%; %ldx%ld, N = %ld: %.0f %%\033[K%s",
		qn_formats[row->tested.what.format].name, n_done, s->options->n_cases, s->n_below,
		100 * s->options->min_ratio, row->tested.what.m, row->tested.what.k,
		row->tested.what.n_tokens, 100 * row->ratio, ends ? "\r\033[K" : "");
}

static int compare_rows(const void *a, const void *b)
{
	const double x = ((const struct row *)a)->ratio, y = ((const struct row *)b)->ratio;

	return (x > y) - (x < y);
}

static void print_summary(const struct sweep *s, struct row *rows, long n, long n_below)
{
	const double least = s->options->min_ratio;
	FILE *out = s->summary;
	long n_slow = 0;

	qsort(rows, (size_t)n, sizeof *rows, compare_rows);
	fprintf(out,
		"%s, threads %ld, seed %ld: %ld case%s, %ld below %.0f %% of the nearest tuned "
		"shape; least %.0f %%, median %.0f %%\n",
		qn_formats[rows->tested.what.format].name, s->options->n_threads, s->options->seed,
		n, n == 1 ? "" : "s", n_below, 100 * least, 100 * rows[0].ratio,
		100 * rows[n / 2].ratio);
	/* The cliff may be on the other side. */
	for (long i = 0; i < n; i++)
		n_slow += rows[i].ratio * least > 1;
	if (n_slow)
		fprintf(out,
			"  %ld tuned shape%s below %.0f %% of the case beside %s, the worst: %s, "
			"%ldx%ld, N = %ld, %s\n",
			n_slow, n_slow == 1 ? " is" : "s are", 100 * least,
			n_slow == 1 ? "it" : "them", rows[n - 1].reference_kind,
			rows[n - 1].reference.what.m, rows[n - 1].reference.what.k,
			rows[n - 1].reference.what.n_tokens, rows[n - 1].reference.kernel->name);
	fprintf(out, "  %5s  %5s  %5sx%-5s %3s  %-40s %9s  %5s  %s\n", "ratio", "effic", "M", "K",
		"N", "kernel", "us", "effic", "reference");
	for (long i = 0; i < n && i < N_WORST; i++) {
		const struct product *p = &rows[i].tested, *r = &rows[i].reference;

		fprintf(out, "  %3.0f %%  %3.0f %%  %5ldx%-5ld %3ld  %-40s %9.1f  %3.0f %%  ",
			100 * rows[i].ratio, 100 * p->share.fraction, p->what.m, p->what.k,
			p->what.n_tokens, p->kernel->name, p->us, 100 * r->share.fraction);
		fprintf(out, "%s, %ldx%ld, N = %ld, %s\n", rows[i].reference_kind, r->what.m,
			r->what.k, r->what.n_tokens, r->kernel->name);
	}
}

/* ---- the command ---- */

/* All cases of one format; the same shapes for every format. */
static int run_format(struct sweep *s, int format, int is_first, struct row *rows,
		      struct quern_error *err)
{
	const struct options *o = s->options;
	uint64_t random = (uint64_t)o->seed;
	long n_below = 0;

	for (long i = 0; i < o->n_cases; i++) {
		struct row *row = &rows[i];
		struct qn_case *what = &row->tested.what;

		*row = (struct row){.n_attempts = 0};
		what->format = format;
		what->m = next_number(&random, 1, MAX_M);
		what->k = next_number(&random, MIN_K, MAX_K);
		what->n_tokens = next_number(&random, 1, MAX_N);
		what->n_threads = (int)o->n_threads;
		if (choose_kernel(s->engine, &row->tested, err) ||
		    choose_reference(s->engine, what, row, err) || measure(s, row, err))
			return -1;
		n_below += row->ratio < o->min_ratio;
		s->n_below += row->ratio < o->min_ratio;
		print_row(s, row, is_first && i == 0);
		if (flush(s, err))
			return -1;
		show_progress(s, row, i + 1, i + 1 == o->n_cases);
	}
	print_summary(s, rows, o->n_cases, n_below);
	return 0;
}

static int run_formats(struct sweep *s, struct quern_error *err)
{
	const struct options *o = s->options;
	const struct quern_options options = {.size = sizeof options,
					      .n_threads = (int)o->n_threads};
	struct row *rows = calloc((size_t)o->n_cases, sizeof *rows);
	int status = -1;

	if (!rows) {
		qn_error_set(err, "no memory for %ld cases", o->n_cases);
		goto out;
	}
	if (quern_open(&s->engine, &options, err) || qn_roof_open(&s->roofs, s->engine, err))
		goto out;
	if (!o->json)
		print_head(s);
	for (int f = 0; f < o->n_formats; f++) {
		if (run_format(s, o->formats[f], f == 0, rows, err))
			goto out;
	}
	status = 0;
out:
	qn_roof_close(s->roofs);
	quern_close(s->engine);
	free(rows);
	return status;
}

int run_sweep(int argc, char **argv)
{
	struct options o = {.n_cases = 200, .seed = 1, .n_threads = 1, .min_ratio = 0.60};
	struct sweep s = {.options = &o, .out = stdout, .summary = stderr};
	struct quern_error err;
	int status;

	if (parse_options(argc, argv, &o))
		return 2;
	if (!o.n_formats)
		o.formats[o.n_formats++] = QN_W4G32;
	if (o.out) {
		s.out = fopen(o.out, "w");
		s.summary = stdout;
		if (!s.out) {
			fprintf(stderr, "quern-run: cannot write %s: %s\n", o.out, strerror(errno));
			return 1;
		}
	}
	s.shows_progress = o.out && isatty(STDERR_FILENO);
	status = run_formats(&s, &err);
	if (status)
		fprintf(stderr, "quern-run: %s\n", err.text);
	if (o.out && fclose(s.out) && !status) {
		fprintf(stderr, "quern-run: cannot write %s: %s\n", o.out, strerror(errno));
		status = -1;
	}
	return status || (o.strict && s.n_below > 0);
}
