/*
 * run_kernels.c: times what the library would run.
 *
 * Every case alternates short blocks of calls on cold weights with short measurements of the
 * roofs, so that both see the same machine; medians with sign-test confidence intervals.
 */
#include "run_kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "error.h"
#include "format.h"
#include "matmul.h"
#include "run_measure.h"
#include "run_options.h"
#include "topology.h"
#include "verify.h"

#define N_ROUNDS 25 /* an odd number: the median is a sample */
#define CI_LOW 7    /* of 25 sorted samples the 8th to the 18th: 95.7 % */
#define CI_HIGH 17
#define MAX_LIST 64

struct options {
	int formats[QN_N_FORMATS], n_formats;
	struct {
		long m, k;
	} shapes[MAX_LIST];
	int n_shapes;
	int threads[MAX_LIST], n_threads;
	long n_tokens;
	const char *kernels, *cpus;
	int json, list, loose, act;
	double max_nmse;
};

struct result {
	struct qn_case what;
	const struct quern_matrix *matrix; /* how the library packs it */
	const struct qn_kernel *kernel;
	double median_us, low_us, high_us; /* of one call */
	double gbps, gmacs, roof_fraction, nmse;
	double roof_rate; /* of the roof that binds, measured beside the case */
	const char *roof, *roof_unit;
};

/* ---- options ---- */

/* Each is timed once. */
static void add_threads(struct options *o, int n_threads)
{
	for (int i = 0; i < o->n_threads; i++) {
		if (o->threads[i] == n_threads)
			return;
	}
	o->threads[o->n_threads++] = n_threads;
}

static int parse_shapes(const char *text, struct options *o)
{
	o->n_shapes = 0;
	for (const char *p = text;; p++) {
		const long m = run_options_take_number(&p, 1 << 20),
			   k = m && *p == 'x' ? (p++, run_options_take_number(&p, 1 << 20)) : 0;

		if (!k || (*p && *p != ',') || o->n_shapes == MAX_LIST)
			return run_options_complain(
				"--shape %s: must be MxK such as 4096x4096, each up to 1048576, separated by commas",
				text);
		o->shapes[o->n_shapes].m = m;
		o->shapes[o->n_shapes++].k = k;
		if (!*p)
			return 0;
	}
}

static int parse_threads(const char *text, struct options *o)
{
	o->n_threads = 0;
	for (const char *p = text;; p++) {
		const long n = run_options_take_number(&p, QN_MAX_CPUS);

		if (!n || (*p && *p != ',') || o->n_threads == MAX_LIST)
			return run_options_complain(
				"--threads %s: must be numbers from 1 to 256, separated by commas",
				text);
		add_threads(o, (int)n);
		if (!*p)
			return 0;
	}
}

static int parse_options(int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
		int status = 0;

		if (!strcmp(name, "--json")) {
			o->json = 1;
			continue;
		}
		if (!strcmp(name, "--list")) {
			o->list = 1;
			continue;
		}
		if (!strcmp(name, "--loose")) {
			o->loose = 1;
			continue;
		}
		if (!strcmp(name, "--format") && value) {
			status = run_options_formats(value, o->formats, &o->n_formats);
		} else if (!strcmp(name, "--shape") && value) {
			status = parse_shapes(value, o);
		} else if (!strcmp(name, "--threads") && value) {
			status = parse_threads(value, o);
		} else if (!strcmp(name, "--kernel") && value) {
			o->kernels = value;
		} else if (!strcmp(name, "--cpus") && value) {
			o->cpus = value;
			status = run_options_cpus(name, value);
		} else if (!strcmp(name, "--act") && value) {
			status = run_options_act(value, &o->act);
		} else if (!strcmp(name, "--max-nmse") && value) {
			status = run_options_nmse(name, value, &o->max_nmse);
		} else if (!strcmp(name, "--tokens") && value) {
			status = run_options_number(name, value, 4096, &o->n_tokens);
		} else {
			status = run_options_complain(
				"kernels: '%s' is no option or lacks its value, see quern-run --help",
				name);
		}
		if (status)
			return status;
		i++;
	}
	return run_options_loose(o->cpus, o->loose);
}

/* Shapes that the registry has winners for, in its order; else one that every peer reports. */
static void default_shapes(struct options *o)
{
	for (int i = 0; i < qn_registry.n_choices; i++) {
		const struct qn_choice *c = &qn_registry.choices[i];
		int known = c->m == 0 || o->n_shapes == MAX_LIST;

		for (int s = 0; s < o->n_shapes; s++)
			known |= o->shapes[s].m == c->m && o->shapes[s].k == c->k;
		if (!known) {
			o->shapes[o->n_shapes].m = c->m;
			o->shapes[o->n_shapes++].k = c->k;
		}
	}
	if (!o->n_shapes) {
		o->shapes[0].m = o->shapes[0].k = 4096;
		o->n_shapes = 1;
	}
}

/* Formats that were tuned, or else all. */
static void default_formats(struct options *o)
{
	for (int f = 0; f < QN_N_FORMATS; f++) {
		int tuned = 0;

		for (int i = 0; i < qn_registry.n_choices; i++)
			tuned |= qn_registry.choices[i].m > 0 && qn_registry.choices[i].format == f;
		if (tuned)
			o->formats[o->n_formats++] = f;
	}
	if (!o->n_formats) {
		for (int f = 0; f < QN_N_FORMATS; f++)
			o->formats[o->n_formats++] = f;
	}
}

static void default_threads(struct options *o)
{
	struct qn_topology topology;
	int cpus[QN_MAX_CPUS], n;

	qn_topology_read(&topology);
	n = o->cpus ? qn_topology_parse_cpus(o->cpus, cpus, QN_MAX_CPUS) : topology.n_cores;
	o->threads[o->n_threads++] = 1;
	if (n > 1)
		o->threads[o->n_threads++] = n;
}

/* ---- measuring ---- */

static void fill_result(struct result *r, struct run_timed *timed, const struct qn_roof *roof)
{
	const double macs = (double)r->what.m * (double)r->what.k * (double)r->what.n_tokens;
	struct run_share share;

	run_measure_sort(timed, N_ROUNDS);
	r->median_us = run_measure_us(timed, N_ROUNDS / 2);
	r->low_us = run_measure_us(timed, CI_LOW);
	r->high_us = run_measure_us(timed, CI_HIGH);
	run_measure_share((double)qn_bench_bytes(timed->bench, r->kernel), macs, r->median_us, roof,
			  &share);
	r->gbps = share.gbps;
	r->gmacs = share.gmacs;
	r->roof = share.is_dram ? "dram" : "compute";
	r->roof_unit = share.is_dram ? "GB/s" : "GMAC/s";
	r->roof_rate = share.is_dram ? roof->dram_gbps : roof->int8_gmacs;
	r->roof_fraction = share.fraction;
}

static int measure(struct quern_engine *engine, struct qn_roof_state *roofs, struct result *r,
		   struct quern_error *err)
{
	struct run_timed timed = {.kernel = r->kernel}, *const list[1] = {&timed};
	struct qn_roof roof;
	int status = -1;

	if (qn_verify_kernel(r->kernel, 1, &r->nmse, err) ||
	    qn_bench_open(&timed.bench, engine, r->what.format, r->what.m, r->what.k,
			  r->what.n_tokens, 0, NULL, err))
		goto out;
	qn_bench_use(timed.bench, r->matrix);
	if (run_measure_start(&timed, err))
		goto out;
	for (int i = 0; i < N_ROUNDS; i++) {
		if (run_measure_round(list, 1, i, roofs, err))
			goto out;
	}
	qn_roof_get(roofs, &roof);
	fill_result(r, &timed, &roof);
	status = 0;
out:
	qn_bench_close(timed.bench);
	return status;
}

/* ---- output ---- */

static void print_result(const struct result *r, int json)
{
	const struct qn_case *c = &r->what;
	const char *format = qn_formats[c->format].name;

	if (json)
		printf("{\"op\": \"%s\", \"format\": \"%s\", \"M\": %ld, \"K\": %ld, \"N\": %ld, "
		       "\"threads\": %d, \"act\": \"%s\", \"kernel\": \"%s\", \"median_us\": %.3f, \"ci_low_us\": %.3f, "
		       "\"ci_high_us\": %.3f, \"gbps\": %.3f, \"gmacs\": %.3f, \"roof\": \"%s\", "
		       "\"roof_fraction\": %.4f, \"nmse\": %.3g, \"lossy\": %s}\n",
		       c->n_tokens == 1 ? "gemv" : "gemm", format, c->m, c->k, c->n_tokens,
		       c->n_threads, qn_format_acts[c->act], r->kernel->name, r->median_us,
		       r->low_us, r->high_us, r->gbps, r->gmacs, r->roof, r->roof_fraction, r->nmse,
		       qn_is_lossy(r->kernel) ? "true" : "false");
	else
		printf("%-6s %6ldx%-6ld %3ld %3d  %-40s %8.1f %8.1f-%-8.1f %6.1f %7.1f %4.0f%% of %5.1f "
		       "%-6s %.1e\n",
		       format, c->m, c->k, c->n_tokens, c->n_threads, r->kernel->name, r->median_us,
		       r->low_us, r->high_us, r->gbps, r->gmacs, 100 * r->roof_fraction,
		       r->roof_rate, r->roof_unit, r->nmse);
	fflush(stdout);
}

static void print_head(void)
{
	printf("%-6s %6sx%-6s %3s %3s  %-40s %8s %8s-%-8s %6s %7s %5s %-15s %s\n", "format", "M",
	       "K", "N", "thr", "kernel", "us", "ci low", "high", "GB/s", "GMAC/s", "share",
	       "of the roof", "NMSE");
}

static int list_kernels(void)
{
	struct qn_topology topology;
	uint32_t features;

	qn_topology_read(&topology);
	features = qn_topology_features(&topology);

	for (int i = 0; i < qn_registry.n_kernels; i++) {
		const struct qn_kernel *kernel = qn_registry.kernels[i];

		printf("%-44s %-6s %-8s %s%s\n", kernel->name, qn_formats[kernel->format].name,
		       kernel->isa->name, kernel->point,
		       kernel->needs & ~features ? "  (not on this CPU)" : "");
	}
	return 0;
}

/* One case: what the library takes when sums have to be exact, and what it takes when max_nmse allows more. */
static int run_case(struct quern_engine *engine, struct qn_roof_state *roofs,
		    const struct options *o, const struct qn_case *what, int *has_head,
		    struct quern_error *err)
{
	const struct qn_kernel *timed = NULL;

	for (int lossy = 0; lossy <= (o->max_nmse > 0); lossy++) {
		struct result r = {.what = *what};
		struct quern_matrix matrix = {.what = *what};

		/* As quern_pack does without a hint: the layout of the kernel for one token. */
		matrix.what.n_tokens = 1;
		matrix.what.max_nmse = lossy ? o->max_nmse : 0;
		if (qn_matrix_choose(&matrix, engine->lanes, engine->features,
				     run_options_forced(o->kernels), err))
			return -1;
		r.matrix = &matrix;
		r.kernel = qn_matrix_kernel(&matrix, o->n_tokens);
		if (r.kernel == timed)
			break;
		timed = r.kernel;
		if (measure(engine, roofs, &r, err))
			return -1;
		if (!o->json && !*has_head)
			print_head();
		*has_head = 1;
		print_result(&r, o->json);
	}
	return 0;
}

/* All formats and shapes with one number of threads. */
static int run_threads(const struct options *o, int n_threads, int *has_head,
		       struct quern_error *err)
{
	const struct quern_options options = {.size = sizeof options,
					      .n_threads = n_threads,
					      .cpus = o->cpus,
					      .loose = o->loose};
	struct quern_engine *engine = NULL;
	struct qn_roof_state *roofs = NULL;
	int status = -1;

	if (quern_open(&engine, &options, err) || qn_roof_open(&roofs, engine, err))
		goto out;
	for (int f = 0; f < o->n_formats; f++) {
		for (int s = 0; s < o->n_shapes; s++) {
			struct qn_case what = {
				.format = o->formats[f],
				.m = o->shapes[s].m,
				.k = o->shapes[s].k,
				.n_tokens = o->n_tokens,
				.act = run_options_act_of(o->act, o->formats[f]),
			};

			qn_matrix_place(&what, engine->lanes);
			if (run_case(engine, roofs, o, &what, has_head, err))
				goto out;
		}
	}
	status = 0;
out:
	qn_roof_close(roofs);
	quern_close(engine);
	return status;
}

int run_kernels(int argc, char **argv)
{
	struct options o = {.n_tokens = 1, .act = RUN_OWN_ACT};
	struct quern_error err;
	int has_head = 0;

	if (parse_options(argc, argv, &o))
		return 2;
	if (o.list)
		return list_kernels();
	if (!o.n_formats)
		default_formats(&o);
	if (!o.n_shapes)
		default_shapes(&o);
	if (!o.n_threads)
		default_threads(&o);
	for (int t = 0; t < o.n_threads; t++) {
		if (run_threads(&o, o.threads[t], &has_head, &err)) {
			fprintf(stderr, "quern-run: %s\n", err.text);
			return 1;
		}
	}
	return 0;
}
