/*
 * run_model.c: a model with its engine and context, as the commands of quern-run that run one open it.
 */
#include "run_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "run_clock.h"
#include "run_options.h"
#include "run_progress.h"
#include "topology.h"

/* ---- options ---- */

static int is_either(const char *name, const char *word, const char *letter)
{
	return !strcmp(name, word) || !strcmp(name, letter);
}

/* As a run_model_own_fn. */
static int take_option(const char *name, const char *value, struct run_model_options *o)
{
	int status = 0;

	if (!strcmp(name, "--loose")) {
		o->loose = 1;
		return 1;
	}
	if (!value)
		return 0;
	if (is_either(name, "--model", "-m")) {
		o->path = value;
	} else if (is_either(name, "--threads", "-t")) {
		status = run_options_number(name, value, QN_MAX_CPUS, &o->n_threads);
	} else if (!strcmp(name, "--cpus")) {
		o->cpus = value;
		status = run_options_cpus(name, value);
	} else if (is_either(name, "--threads-batch", "-tb")) {
		status = run_options_number(name, value, QN_MAX_CPUS, &o->n_prompt_threads);
	} else if (!strcmp(name, "--cpus-batch")) {
		o->prompt_cpus = value;
		status = run_options_cpus(name, value);
	} else if (is_either(name, "--context", "-c")) {
		status = run_options_number(name, value, 1L << 30, &o->context.n_context);
	} else if (is_either(name, "--batch", "-b")) {
		status = run_options_number(name, value, 1 << 16, &o->context.n_batch);
	} else if (!strcmp(name, "--cache")) {
		o->packed = value;
		if (!*value)
			status = run_options_complain("%s needs the name of a folder", name);
	} else if (!strcmp(name, "--cache-type")) {
		o->context.cache_type = !strcmp(value, "q8_0") ? QUERN_Q8_0 : QUERN_F16;
		if (strcmp(value, "q8_0") && strcmp(value, "f16"))
			status =
				run_options_complain("--cache-type %s: must be f16 or q8_0", value);
	} else {
		return 0;
	}
	return status ? -1 : 2;
}

int run_model_parse(const char *command, int argc, char **argv, struct run_model_options *o,
		    run_model_own_fn *own, void *arg)
{
	for (int i = 1, n; i < argc; i += n) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		n = own(argv[i], value, arg);
		if (n == 0)
			n = take_option(argv[i], value, o);
		if (n == 0) {
			fprintf(stderr,
				"quern-run: %s: '%s' is no option or lacks its value, see quern-run --help\n",
				command, argv[i]);
			n = -1;
		}
		if (n < 0)
			return -1;
	}
	if (!o->path)
		return run_options_complain("%s needs --model FILE.gguf", command);
	return run_options_loose(o->cpus, o->loose);
}

/* ---- opening ---- */

static int open_model(struct run_model *m, const struct run_model_options *o,
		      struct quern_error *err)
{
	struct run_progress progress;
	const struct quern_model_options how = {.size = sizeof how,
						.progress = run_progress_show,
						.context = &progress,
						.cache = o->packed};
	int status;

	run_progress_start(&progress, o->path);
	if (o->packed) /* half a file would be left */
		run_progress_catch();
	status = quern_model_open(&m->model, m->engine, o->path, &how, err);
	run_progress_hide(&progress);
	if (o->packed)
		run_progress_release();
	if (!status && quern_model_note(m->model))
		fprintf(stderr, "quern-run: packed weights are not kept: %s\n",
			quern_model_note(m->model));
	m->load_s = run_clock_s() - progress.start;
	return status;
}

int run_model_open(struct run_model *m, const struct run_model_options *o, int needs_tokenizer,
		   struct quern_error *err)
{
	const struct quern_options options = {.size = sizeof options,
					      .n_threads = (int)o->n_threads,
					      .cpus = o->cpus,
					      .loose = o->loose,
					      .n_prompt_threads = (int)o->n_prompt_threads,
					      .prompt_cpus = o->prompt_cpus};
	struct quern_context_options context = o->context;

	*m = (struct run_model){0};
	context.size = sizeof context;
	if (quern_open(&m->engine, &options, err) || open_model(m, o, err) ||
	    quern_context_open(&m->context, m->model, &context, err))
		return -1;
	return needs_tokenizer &&
			       quern_tokenizer_open(&m->tokenizer, quern_model_file(m->model), err)
		       ? -1
		       : 0;
}

void run_model_close(struct run_model *m)
{
	quern_tokenizer_close(m->tokenizer);
	quern_context_close(m->context);
	quern_model_close(m->model);
	quern_close(m->engine);
}

/* ---- tokens ---- */

long run_model_tokenize(const struct run_model *m, const char *text, size_t n_bytes, int flags,
			int32_t **ids, struct quern_error *err)
{
	const long n = quern_tokenize(m->tokenizer, text, n_bytes, flags, NULL, 0, err);

	*ids = n < 0 ? NULL : malloc((size_t)n * sizeof **ids + 1);
	if (n < 0)
		return -1;
	if (!*ids)
		return qn_error_set(err, "no memory for %ld tokens", n);
	return quern_tokenize(m->tokenizer, text, n_bytes, flags, *ids, n, err);
}

int run_model_feed(struct run_model *m, const int32_t *ids, long n, struct quern_error *err)
{
	const struct quern_input input = {.ids = ids, .n = n, .logits = QUERN_LAST_LOGITS};

	return quern_feed(m->context, &input, 1, err);
}
