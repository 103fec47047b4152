/*
 * run_sweep_out.c: rows as tab-separated lines or JSON objects, and the summary behind them.
 */
#include "run_sweep_out.h"
#include "run_options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "format.h"
#include "topology.h"

#define N_WORST 5
#define ANY_FORMAT -1

/* ---- rows ---- */

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

static void list_columns(const struct run_row *row, struct table *t)
{
	const struct run_product *p = &row->tested, *r = &row->reference;

	t->n = 0;
	add(t, "format", 1, "%s", qn_formats[p->what.format].name);
	add_shape(t, "M", "K", "N", &p->what);
	add(t, "threads", 0, "%d", p->what.n_threads);
	add(t, "act", 1, "%s", qn_format_acts[p->what.act]);
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

/* Full disks are met here, at the first row that does not fit. */
static int flush(const struct run_sweep_out *out, struct quern_error *err)
{
	const char *path = out->options->out;

	if (!fflush(out->rows) && !ferror(out->rows))
		return 0;
	return qn_error_set(err, "cannot write %s: %s", path ? path : "to standard output",
			    strerror(errno));
}

int run_sweep_out_row(const struct run_sweep_out *out, const struct run_row *row, int is_first,
		      struct quern_error *err)
{
	struct table t;

	list_columns(row, &t);
	if (out->options->json) {
		print_object(out->rows, &t);
	} else {
		if (is_first)
			print_line(out->rows, &t, 1);
		print_line(out->rows, &t, 0);
	}
	return flush(out, err);
}

void run_sweep_out_head(const struct run_sweep_out *out, const struct qn_roof *roof)
{
	const struct run_sweep_options *o = out->options;
	struct qn_topology topology;

	qn_topology_read(&topology);
	fprintf(out->rows, "# quern-run sweep: ");
	if (o->n_formats == QN_N_FORMATS)
		fprintf(out->rows, "all formats");
	for (int i = 0; o->n_formats < QN_N_FORMATS && i < o->n_formats; i++)
		fprintf(out->rows, "%s%s", i ? " " : "", qn_formats[o->formats[i]].name);
	fprintf(out->rows,
		", %s; seed %ld, %ld cases, threads %ld; %s; roofs at the start %.1f GB/s, %.0f int8 "
		"GMAC/s; kernels of %s\n",
		run_options_act_text(o->act), o->seed, o->n_cases, o->n_threads, topology.name,
		roof->dram_gbps, roof->int8_gmacs, qn_registry.origin);
}

void run_sweep_out_progress(const struct run_sweep_out *out, const struct run_row *row, long n_done,
			    long n_below)
{
	const struct run_sweep_options *o = out->options;
	const struct qn_case *what = &row->tested.what;

	if (!out->shows_progress)
		return;
	fprintf(stderr, "\r%ld of %ld, %ld below %.0f %%; %s %ldx%ld, N = %ld: %.0f %%\033[K%s",
		n_done, o->n_cases, n_below, 100 * o->min_ratio, qn_formats[what->format].name,
		what->m, what->k, what->n_tokens, 100 * row->ratio,
		n_done == o->n_cases ? "\r\033[K" : "");
}

/* ---- the summary ---- */

static int compare_rows(const void *a, const void *b)
{
	const double x = ((const struct run_row *)a)->ratio, y = ((const struct run_row *)b)->ratio;

	return (x > y) - (x < y);
}

/* What the cases of some formats came to. */
struct tally {
	long n, n_below;
	double least, median;
};

static int is_of(const struct run_row *row, int format)
{
	return format == ANY_FORMAT || row->tested.what.format == format;
}

/* The rows are sorted. */
static struct tally count_rows(const struct run_sweep_options *o, const struct run_row *rows,
			       int format)
{
	struct tally t = {.n = 0};
	long n_seen = 0;

	for (long i = 0; i < o->n_cases; i++) {
		if (is_of(&rows[i], format)) {
			t.n++;
			t.n_below += rows[i].ratio < o->min_ratio;
		}
	}
	for (long i = 0; i < o->n_cases; i++) {
		if (is_of(&rows[i], format)) {
			if (n_seen == 0)
				t.least = rows[i].ratio;
			if (n_seen++ == t.n / 2)
				t.median = rows[i].ratio;
		}
	}
	return t;
}

/* A line for all cases, then one for each of several formats. */
static void print_tallies(const struct run_sweep_out *out, const struct run_row *rows)
{
	const struct run_sweep_options *o = out->options;
	const double least = 100 * o->min_ratio;
	struct tally t = count_rows(o, rows, ANY_FORMAT);

	if (o->n_formats > 1)
		fprintf(out->summary, "%d formats", o->n_formats);
	else
		fprintf(out->summary, "%s", qn_formats[o->formats[0]].name);
	fprintf(out->summary,
		", %s, threads %ld, seed %ld: %ld case%s, %ld below %.0f %% of the nearest tuned "
		"shape; least %.0f %%, median %.0f %%\n",
		run_options_act_text(o->act), o->n_threads, o->seed, t.n, t.n == 1 ? "" : "s",
		t.n_below, least, 100 * t.least, 100 * t.median);
	if (o->n_formats == 1)
		return;
	fprintf(out->summary, "  %-7s  %5s  %6s  %6s  below %.0f %%\n", "format", "cases", "median",
		"least", least);
	for (int f = 0; f < o->n_formats; f++) {
		t = count_rows(o, rows, o->formats[f]);
		fprintf(out->summary, "  %-7s  %5ld  %4.0f %%  %4.0f %%  %5ld\n",
			qn_formats[o->formats[f]].name, t.n, 100 * t.median, 100 * t.least,
			t.n_below);
	}
}

void run_sweep_out_summary(const struct run_sweep_out *to, struct run_row *rows)
{
	const double least = to->options->min_ratio;
	const long n = to->options->n_cases;
	FILE *out = to->summary;
	long n_slow = 0;

	qsort(rows, (size_t)n, sizeof *rows, compare_rows);
	print_tallies(to, rows);
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
		const struct run_product *p = &rows[i].tested, *r = &rows[i].reference;

		fprintf(out, "  %3.0f %%  %3.0f %%  %5ldx%-5ld %3ld  %-40s %9.1f  %3.0f %%  ",
			100 * rows[i].ratio, 100 * p->share.fraction, p->what.m, p->what.k,
			p->what.n_tokens, p->kernel->name, p->us, 100 * r->share.fraction);
		fprintf(out, "%s, %ldx%ld, N = %ld, %s\n", rows[i].reference_kind, r->what.m,
			r->what.k, r->what.n_tokens, r->kernel->name);
	}
}
