/*
 * run_model.h: a model with its engine and context, as the commands of quern-run that run one open it.
 */
#ifndef QN_RUN_MODEL_H
#define QN_RUN_MODEL_H

#include "quern.h"

struct run_model_options {
	const char *path; /* of the GGUF file */
	long n_threads;   /* 0: all */
	const char *cpus;
	int loose;
	struct quern_context_options context;
};

struct run_model {
	struct quern_engine *engine;
	struct quern_model *model;
	struct quern_tokenizer *tokenizer; /* NULL when the file has none and needs none */
	struct quern_context *context;
	double load_s;
};

/*
 * Takes an option that all these commands have: --model -m, --threads -t, --cpus, --loose, --context
 * -c, --batch -b, --cache.  Returns how many words that were (1 or 2), 0 for another option, or -1 after a
 * complaint.  value may be NULL.
 */
int run_model_option(const char *name, const char *value, struct run_model_options *o);

/* What is wrong with them together: -1 after a complaint. */
int run_model_check(const char *command, const struct run_model_options *o);

/*
 * Opens all of it, telling of progress on standard error when it takes longer than two seconds.
 * needs_tokenizer: a file without one is an error.  Close also after an error.
 */
int run_model_open(struct run_model *m, const struct run_model_options *o, int needs_tokenizer,
		   struct quern_error *err);
void run_model_close(struct run_model *m);

/* Seconds of a clock that only goes forward. */
double run_model_now_s(void);

#endif
