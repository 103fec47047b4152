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
	long n_prompt_threads; /* 0 and NULL: as n_threads and cpus */
	const char *prompt_cpus;
	int loose;
	const char *packed; /* folder that keeps packed weights, or NULL */
	struct quern_context_options context;
};

struct run_model {
	struct quern_engine *engine;
	struct quern_model *model;
	struct quern_tokenizer *tokenizer; /* NULL when the file has none and needs none */
	struct quern_context *context;
	double load_s;
};

/* Takes an option: how many words that were (1 or 2), 0 for another option, -1 after a complaint.  value may be NULL. */
typedef int run_model_own_fn(const char *name, const char *value, void *arg);

/*
 * Reads the words of a command: its own options, then those that all these commands have: --model -m, --threads -t,
 * --cpus, --threads-batch -tb, --cpus-batch, --loose, --context -c, --batch -b, --cache-type, --cache.  -1 after a complaint.
 */
int run_model_parse(const char *command, int argc, char **argv, struct run_model_options *o,
		    run_model_own_fn *own, void *arg);

/*
 * Opens all of it, telling of progress on standard error when it takes longer than two seconds.
 * needs_tokenizer: a file without one is an error.  Close also after an error.
 */
int run_model_open(struct run_model *m, const struct run_model_options *o, int needs_tokenizer,
		   struct quern_error *err);
void run_model_close(struct run_model *m);

/* Tokens of a text into *ids, which the caller frees, also after an error; their number, or -1. */
long run_model_tokenize(const struct run_model *m, const char *text, size_t n_bytes, int flags,
			int32_t **ids, struct quern_error *err);

/* The next tokens of sequence 0; logits are wanted behind the last. */
int run_model_feed(struct run_model *m, const int32_t *ids, long n, struct quern_error *err);

#endif
