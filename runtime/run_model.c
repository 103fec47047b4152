/*
 * run_model.c: a model with its engine and context, as the commands of quern-run that run one open it.
 */
#include "run_model.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "run_options.h"
#include "topology.h"

double run_model_now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

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
		status = run_options_cpus(value);
	} else if (is_either(name, "--context", "-c")) {
		status = run_options_number(name, value, 1L << 30, &o->context.n_context);
	} else if (is_either(name, "--batch", "-b")) {
		status = run_options_number(name, value, 1 << 16, &o->context.n_batch);
	} else if (!strcmp(name, "--cache")) {
		o->context.cache_type = !strcmp(value, "q8_0") ? QUERN_Q8_0 : QUERN_F16;
		if (strcmp(value, "q8_0") && strcmp(value, "f16"))
			status = run_options_complain("--cache %s: must be f16 or q8_0", value);
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

struct progress {
	double start_s, told_s;
	int is_terminal;
};

static void tell_progress(void *arg, double done)
{
	struct progress *p = arg;
	const double now = run_model_now_s();

	if (now - p->start_s < 2 || now - p->told_s < (p->is_terminal ? 0.2 : 5))
		return;
	p->told_s = now;
	fprintf(stderr,
		p->is_terminal ? "\rpacking weights: %3.0f %%" : "packing weights: %.0f %%\n",
		100 * done);
}

static int open_parts(struct run_model *m, const struct run_model_options *o, int needs_tokenizer,
		      struct quern_error *err)
{
	const struct quern_options options = {.size = sizeof options,
					      .n_threads = (int)o->n_threads,
					      .cpus = o->cpus,
					      .loose = o->loose};
	struct progress progress = {.start_s = run_model_now_s(),
				    .is_terminal = isatty(STDERR_FILENO)};
	const struct quern_model_options how = {.size = sizeof how,
						.progress = tell_progress,
						.progress_arg = &progress};
	struct quern_context_options context = o->context;
	int status;

	context.size = sizeof context;
	if (quern_open(&m->engine, &options, err))
		return -1;
	status = quern_model_open(&m->model, m->engine, o->path, &how, err);
	if (progress.told_s > 0 && progress.is_terminal)
		fputs("\r\033[K", stderr);
	m->load_s = run_model_now_s() - progress.start_s;
	if (status || quern_context_open(&m->context, m->model, &context, err))
		return -1;
	return needs_tokenizer &&
			       quern_tokenizer_open(&m->tokenizer, quern_model_file(m->model), err)
		       ? -1
		       : 0;
}

int run_model_open(struct run_model *m, const struct run_model_options *o, int needs_tokenizer,
		   struct quern_error *err)
{
	*m = (struct run_model){0};
	return open_parts(m, o, needs_tokenizer, err);
}

void run_model_close(struct run_model *m)
{
	quern_tokenizer_close(m->tokenizer);
	quern_context_close(m->context);
	quern_model_close(m->model);
	quern_close(m->engine);
}
