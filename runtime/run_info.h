/* run_info.h: quern-run info. */
#ifndef QN_RUN_INFO_H
#define QN_RUN_INFO_H

#include <stdio.h>

#include "quern.h"

/*
 * Writes what a GGUF file holds to out: a summary, keys, tensors, and bytes by type.  Returns 0, or
 * -1 with a sentence when the file is refused.  Whether out took it is the caller's to ask.
 */
int run_info(const char *path, FILE *out, struct quern_error *err);

/* Writes what this machine is: features, caches, classes of cores. */
void run_info_machine(FILE *out);

#endif
