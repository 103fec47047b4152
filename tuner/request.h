/* request.h: what the command line asks for, together with what it leaves open. */
#ifndef TUNER_REQUEST_H
#define TUNER_REQUEST_H

#include "config.h"
#include "options.h"

/* The config file, or the default one, and options over it; *is_misused when an option is to blame. */
int request_config(const struct options *options, const char *home, struct gen *gen,
		   struct config *config, int *is_misused, struct gen_error *err);

/* The work folder; the caller frees it. */
char *request_work(const struct options *options);

/* A hash of all texts that kernels are made from; the caller frees it. */
char *request_texts(const char *home);

/*
 * "dot=HASH lut=HASH", sorted: of each family a hash of the texts that its kernels are made from, its own
 * and those of no family; the caller frees it.
 */
char *request_families(const char *home, struct gen *gen, const struct config_names *families);

#endif
