/* run_sampling.h: how tokens are chosen, on the command line. */
#ifndef QN_RUN_SAMPLING_H
#define QN_RUN_SAMPLING_H

#include "quern.h"

/*
 * Takes --temp, --top-k, --top-p, --min-p, --repeat-penalty, --repeat-last or --seed with its value (not NULL).  Returns
 * 2, 0 for another option, or -1 after a complaint.
 */
int run_sampling_option(const char *name, const char *value, struct quern_sampler_options *o);

#endif
