/*
 * config.h: what to tune.
 *
 * A config file, configs/NAME.yaml, names formats, shapes, tokens, threads, activation formats,
 * families and ISAs; every name is checked against the generator, except those of classes of cores,
 * which only the device knows (cores.h).  A model file may take the place
 * of the shapes: then every matrix of the model is tuned in the format its type has.
 */
#ifndef TUNER_CONFIG_H
#define TUNER_CONFIG_H

#include "gen/gen.h"

#define CONFIG_ALL 0 /* threads: one per core */

struct config_names {
	char **list;
	size_t n;
};

struct config_numbers {
	long *list;
	size_t n;
};

struct config_shape {
	long m, k;
	unsigned long formats; /* bit i: for formats.list[i] */
};

struct config {
	struct config_names formats, acts, families, isas; /* isas empty: what the device has */
	struct config_shape *shapes;
	size_t n_shapes;
	struct config_numbers tokens, threads;
	struct config_names cores; /* classes of cores; empty: all */
	double max_nmse;           /* of lossy points; 0: there are none */
};

/* Reads a file; 0, or -1 with "path:line: ..." (nothing is kept then). */
int config_read(struct config *config, struct gen *gen, const char *path, struct gen_error *err);
void config_free(struct config *config);

/* Words of the command line, separated by commas, in the place of what the file says. */
int config_set_formats(struct config *config, struct gen *gen, const char *text,
		       struct gen_error *err);
int config_set_threads(struct config *config, const char *text, struct gen_error *err);
int config_set_tokens(struct config *config, const char *text, struct gen_error *err);
int config_set_cores(struct config *config, const char *text, struct gen_error *err);
int config_set_shapes(struct config *config, const char *text, struct gen_error *err);

/*
 * Takes the shapes from a GGUF file: Q4_0 is tuned as w4g32, Q8_0 as w8g32, float matrices in the
 * config's formats.  With only_formats, a format that the config does not have is left out; else
 * it is added.
 */
int config_set_model(struct config *config, const char *path, int only_formats,
		     struct gen_error *err);

/*
 * What activation format number `act` of the config is for a format, by its index: "own" is what the runtime takes for it
 * unless another is asked for.  NULL where it is not for this format or an earlier one was the same.
 */
const char *config_act(const struct config *config, size_t format, size_t act);

/* How many shapes a format, by its index, is tuned for. */
size_t config_n_shapes(const struct config *config, size_t format);

/* The whole config as one line: equal for equal configs; the caller frees it. */
char *config_text(const struct config *config);

#endif
