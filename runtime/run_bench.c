/*
 * run_bench.c: how fast a model reads prompts and generates, with the flags and tests of llama.cpp's
 * llama-bench, beside the machine's roofs.
 *
 * A repetition of a test is followed by one reading of the roofs, so that both see the same machine.
 */
#include "run_bench.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "error.h"
#include "roof.h"
#include "run_clock.h"
#include "run_model.h"
#include "run_options.h"
#include "topology.h"

enum { MAX_LIST = 16, MAX_REPETITIONS = 100 };

struct list {
	long values[MAX_LIST];
	int n;
};

enum output { OUTPUT_MD, OUTPUT_CSV, OUTPUT_JSON };

struct options {
	struct run_model_options model;
	struct list prompts, generations, threads, sequences, depths;
	long n_repetitions;
	enum output output;
};

/* One test: a prompt of n_prompt tokens, or n_generation tokens one after the other, of n_sequences each. */
struct test {
	long n_prompt, n_generation, n_sequences, depth;
	double s[MAX_REPETITIONS]; /* of each repetition */
	double dram_gbps, int8_gmacs;
};

struct bench {
	const struct options *o;
	struct run_model m;
	struct quern_model_info info;
	struct qn_roof_state *roofs;
	int32_t *ids;
	struct quern_input *inputs;
	long n_rows;     /* written */
	double peak_mib; /* of the process, before roofs are measured */
};

/* ---- options ---- */

/* Numbers from low to max, separated by commas. */
static int parse_list(const char *name, const char *text, long low, long max, struct list *list)
{
	list->n = 0;
	for (const char *p = text;; p++) {
		char *end;
		const long n = strtol(p, &end, 10);

		if (end == p || n < low || n > max || list->n == MAX_LIST ||
		    (*end && *end != ',')) {
			fprintf(stderr,
				"quern-run: %s %s: must be up to %d numbers from %ld to %ld, "
				"separated by commas\n",
				name, text, MAX_LIST, low, max);
			return -1;
		}
		list->values[list->n++] = n;
		p = end;
		if (!*p)
			return 0;
	}
}

static int parse_output(const char *value, enum output *output)
{
	static const char *const names[] = {"md", "csv", "json"};

	for (int i = 0; i < 3; i++) {
		if (!strcmp(value, names[i])) {
			*output = (enum output)i;
			return 0;
		}
	}
	return run_options_complain("--output %s: must be md, csv or json", value);
}

/* A run_model_own_fn. */
static int parse_own(const char *name, const char *value, void *arg)
{
	struct options *o = arg;

	static const struct {
		const char *word, *letter;
		size_t list;
		long low, max;
	} lists[] = {
		{"--n-prompt", "-p", offsetof(struct options, prompts), 0, 1 << 20},
		{"--n-gen", "-n", offsetof(struct options, generations), 0, 1 << 20},
		{"--threads", "-t", offsetof(struct options, threads), 1, QN_MAX_CPUS},
		{"--n-parallel", "-np", offsetof(struct options, sequences), 1, 1 << 12},
		{"--n-depth", "-d", offsetof(struct options, depths), 0, 1 << 20},
	};

	if (!value)
		return 0;
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		if (!strcmp(name, lists[i].word) || !strcmp(name, lists[i].letter))
			return parse_list(name, value, lists[i].low, lists[i].max,
					  (struct list *)(void *)((char *)o + lists[i].list))
				       ? -1
				       : 2;
	}
	if (!strcmp(name, "--repetitions") || !strcmp(name, "-r"))
		return run_options_number(name, value, MAX_REPETITIONS, &o->n_repetitions) ? -1 : 2;
	if (!strcmp(name, "--output") || !strcmp(name, "-o"))
		return parse_output(value, &o->output) ? -1 : 2;
	return 0;
}

/* ---- tests ---- */

static int feed(struct bench *b, long n_sequences, long n, int logits, struct quern_error *err)
{
	for (long i = 0; i < n_sequences; i++)
		b->inputs[i] = (struct quern_input){.sequence = (int)i,
						    .ids = b->ids + i % 7,
						    .n = n,
						    .logits = logits};
	return quern_feed(b->m.context, b->inputs, (int)n_sequences, err);
}

static int run_once(struct bench *b, const struct test *t, double *s, struct quern_error *err)
{
	double start;

	for (long i = 0; i < t->n_sequences; i++)
		quern_sequence_cut(b->m.context, (int)i, 0);
	if (t->depth && feed(b, t->n_sequences, t->depth, QUERN_NO_LOGITS, err))
		return -1;
	start = run_clock_s();
	if (t->n_prompt && feed(b, t->n_sequences, t->n_prompt, QUERN_LAST_LOGITS, err))
		return -1;
	for (long i = 0; i < t->n_generation; i++) {
		if (feed(b, t->n_sequences, 1, QUERN_LAST_LOGITS, err))
			return -1;
	}
	*s = run_clock_s() - start;
	return 0;
}

/* Of most of its passes. */
static long tokens_of_pass(const struct bench *b, const struct test *t)
{
	const long n_batch =
		b->o->model.context.n_batch ? b->o->model.context.n_batch : QN_PASS_TOKENS;
	const long n = t->n_sequences * (t->n_prompt ? t->n_prompt : 1);

	return n < n_batch ? n : n_batch;
}

static int run_test(struct bench *b, struct test *t, struct quern_error *err)
{
	struct test warm_up = *t;
	struct qn_roof roof;
	double ignored;

	warm_up.n_generation = t->n_generation ? 1 : 0;
	if (run_once(b, &warm_up, &ignored, err))
		return -1;
	qn_roof_tokens(b->roofs, tokens_of_pass(b, t));
	for (long i = 0; i < b->o->n_repetitions; i++) {
		if (run_once(b, t, &t->s[i], err))
			return -1;
		for (int n = 0; n < 5; n++)
			qn_roof_sample(b->roofs);
	}
	qn_roof_get(b->roofs, &roof);
	t->dram_gbps = roof.dram_gbps;
	t->int8_gmacs = roof.int8_gmacs;
	return 0;
}

/* ---- rows ---- */

struct row {
	double mean, deviation; /* tokens a second, of all sequences together */
	double gbps, fraction;  /* weights and cache read a second; of the nearer roof */
	double mb_per_token;    /* weights and cache that one pass reads, a token of one sequence */
};

static double tokens_of(const struct test *t)
{
	return (double)(t->n_sequences * (t->n_prompt + t->n_generation));
}

/* Bytes of keys and values that n positions have. */
static double cache_bytes(const struct bench *b, double n)
{
	return n * (double)b->info.cache_bytes *
	       (b->o->model.context.cache_type == QUERN_Q8_0 ? 0.5 : 1);
}

static void summarize(const struct bench *b, const struct test *t, struct row *row)
{
	const long n = b->o->n_repetitions;
	double sum = 0, squares = 0;

	for (long i = 0; i < n; i++) {
		const double rate = tokens_of(t) / t->s[i];

		sum += rate;
		squares += rate * rate;
	}
	row->mean = sum / (double)n;
	row->deviation = n > 1 ? sqrt(fmax(0, (squares - sum * row->mean) / (double)(n - 1))) : 0;
	if (t->n_generation) {
		const double depth = (double)t->depth + (double)t->n_generation / 2;
		const double bytes = (double)b->info.weight_bytes +
				     (double)t->n_sequences * cache_bytes(b, depth);

		row->mb_per_token = 1e-6 * bytes;
		row->gbps = 1e-9 * bytes * row->mean / (double)t->n_sequences;
		row->fraction = row->gbps / t->dram_gbps;
	} else {
		row->gbps = 0;
		row->mb_per_token = 0;
		row->fraction = 1e-9 * (double)b->info.n_macs * row->mean / t->int8_gmacs;
	}
}

/* Of model, cache and one whole pass. */
static int measure_peak(struct bench *b, long n, struct quern_error *err)
{
	struct rusage usage;

	if (feed(b, 1, n, QUERN_LAST_LOGITS, err))
		return -1;
	getrusage(RUSAGE_SELF, &usage);
	b->peak_mib = (double)usage.ru_maxrss / 1024;
	return 0;
}

static void name_test(const struct test *t, char *text, size_t n_bytes)
{
	const char *kind = t->n_prompt ? "pp" : "tg";
	int n = snprintf(text, n_bytes, "%s%ld", kind, t->n_prompt + t->n_generation);

	if (t->n_sequences > 1)
		n += snprintf(text + n, n_bytes - (size_t)n, " x %ld", t->n_sequences);
	if (t->depth)
		snprintf(text + n, n_bytes - (size_t)n, " @ d%ld", t->depth);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void write_row(struct bench *b, const struct test *t)
{
	const int n_threads = quern_n_threads(b->m.engine);
	const int n_prompt_threads = quern_n_prompt_threads(b->m.engine);
	const char *file = base_name(b->o->model.path);
	struct row row;
	char name[64], threads[64];

	summarize(b, t, &row);
	snprintf(threads, sizeof threads, n_threads == n_prompt_threads ? "%d" : "%d, batch %d",
		 n_threads, n_prompt_threads);
	name_test(t, name, sizeof name);
	switch (b->o->output) {
	case OUTPUT_MD:
		if (!b->n_rows)
			puts("| model | MiB | threads | test | t/s | MB/token | GB/s | of roof | "
			     "s/token | peak MiB |\n"
			     "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
		printf("| %s | %.0f | %s | %s | %.2f ± %.2f | %.0f | %.1f | %.0f %% | %.4f | %.0f |\n",
		       file, (double)b->info.weight_bytes / 1048576, threads, name, row.mean,
		       row.deviation, row.mb_per_token, row.gbps, 100 * row.fraction,
		       (double)t->n_sequences / row.mean, b->peak_mib);
		break;
	case OUTPUT_CSV:
		if (!b->n_rows)
			puts("model_filename,model_arch,weight_bytes,n_threads,n_threads_batch,n_prompt,"
			     "n_gen,n_depth,n_parallel,avg_ts,stddev_ts,mb_per_token,gbps,roof_gbps,roof_gmacs,"
			     "of_roof,peak_mib");
		printf("\"%s\",\"%s\",%zu,%d,%d,%ld,%ld,%ld,%ld,%.4f,%.4f,%.3f,%.3f,%.2f,%.1f,%.4f,%.0f\n",
		       file, b->info.arch, b->info.weight_bytes, n_threads, n_prompt_threads,
		       t->n_prompt, t->n_generation, t->depth, t->n_sequences, row.mean,
		       row.deviation, row.mb_per_token, row.gbps, t->dram_gbps, t->int8_gmacs,
		       row.fraction, b->peak_mib);
		break;
	case OUTPUT_JSON:
		printf("%s{\"model_filename\": \"%s\", \"model_arch\": \"%s\", \"weight_bytes\": %zu, "
		       "\"n_threads\": %d, \"n_threads_batch\": %d, \"n_prompt\": %ld, \"n_gen\": %ld, \"n_depth\": %ld, "
		       "\"n_parallel\": %ld, \"avg_ts\": %.4f, \"stddev_ts\": %.4f, \"mb_per_token\": "
		       "%.3f, \"gbps\": %.3f, \"roof_gbps\": %.2f, \"roof_gmacs\": %.1f, \"of_roof\": "
		       "%.4f, \"peak_mib\": %.0f, \"samples_s\": [",
		       b->n_rows ? ",\n  " : "[\n  ", file, b->info.arch, b->info.weight_bytes,
		       n_threads, n_prompt_threads, t->n_prompt, t->n_generation, t->depth,
		       t->n_sequences, row.mean, row.deviation, row.mb_per_token, row.gbps,
		       t->dram_gbps, t->int8_gmacs, row.fraction, b->peak_mib);
		for (long i = 0; i < b->o->n_repetitions; i++)
			printf("%s%.6f", i ? ", " : "", t->s[i]);
		fputs("]}", stdout);
		break;
	}
	b->n_rows++;
	fflush(stdout);
}

/* ---- the command ---- */

static long largest(const struct list *list)
{
	long most = 0;

	for (int i = 0; i < list->n; i++)
		most = list->values[i] > most ? list->values[i] : most;
	return most;
}

static int run_tests(struct bench *b, struct quern_error *err)
{
	const struct options *o = b->o;

	for (int d = 0; d < o->depths.n; d++) {
		for (int s = 0; s < o->sequences.n; s++) {
			for (int i = 0; i < o->prompts.n + o->generations.n; i++) {
				const int is_prompt = i < o->prompts.n;
				const long n = is_prompt ? o->prompts.values[i]
							 : o->generations.values[i - o->prompts.n];
				struct test test = {.n_prompt = is_prompt ? n : 0,
						    .n_generation = is_prompt ? 0 : n,
						    .n_sequences = o->sequences.values[s],
						    .depth = o->depths.values[d]};

				if (!n)
					continue;
				if (run_test(b, &test, err))
					return -1;
				write_row(b, &test);
			}
		}
	}
	return 0;
}

static int run_threads(struct bench *b, long n_threads, struct quern_error *err)
{
	struct run_model_options o = b->o->model;
	const long longest = largest(&b->o->prompts) > largest(&b->o->generations)
				     ? largest(&b->o->prompts)
				     : largest(&b->o->generations);
	const long n_tokens = longest + largest(&b->o->depths);
	int status = -1;

	o.n_threads = n_threads;
	o.context.n_context = o.context.n_context ? o.context.n_context : n_tokens;
	o.context.n_sequences = (int)largest(&b->o->sequences);
	b->ids = calloc((size_t)n_tokens + 8, sizeof *b->ids);
	b->inputs = calloc((size_t)o.context.n_sequences, sizeof *b->inputs);
	if (!b->ids || !b->inputs) {
		qn_error_set(err, "no memory for %ld tokens", n_tokens);
		goto out;
	}
	if (run_model_open(&b->m, &o, 0, err))
		goto out;
	quern_model_info(b->m.model, &b->info);
	/* Any tokens will do. */
	for (long i = 0; i < n_tokens + 8; i++)
		b->ids[i] = (int32_t)(i * 7919 % b->info.n_vocab);
	if (!b->roofs && measure_peak(b, longest < 512 ? longest : 512, err))
		goto out;
	if (b->roofs ? qn_roof_use(b->roofs, b->m.engine, err)
		     : qn_roof_open(&b->roofs, b->m.engine, err))
		goto out;
	status = run_tests(b, err);
out:
	free(b->ids);
	free(b->inputs);
	return status;
}

int run_bench(int argc, char **argv)
{
	struct options o = {.prompts = {{512}, 1},
			    .generations = {{128}, 1},
			    .sequences = {{1}, 1},
			    .depths = {{0}, 1},
			    .n_repetitions = 5};
	struct bench b = {.o = &o};
	struct quern_error err;
	int status = 0;

	if (run_model_parse("bench", argc, argv, &o.model, parse_own, &o))
		return 2;
	if (!o.threads.n)
		o.threads = (struct list){{0}, 1};
	for (int i = 0; i < o.threads.n && !status; i++) {
		status = run_threads(&b, o.threads.values[i], &err);
		if (i == o.threads.n - 1 || status) {
			qn_roof_close(b.roofs);
			b.roofs = NULL;
		}
		run_model_close(&b.m);
	}
	if (o.output == OUTPUT_JSON && b.n_rows)
		puts("\n]");
	if (status)
		fprintf(stderr, "quern-run: %s\n", err.text);
	return status != 0;
}
