/*
 * final.h: one case: a race among the carried candidates, a final of interleaved rounds, an entry.
 */
#ifndef TUNER_FINAL_H
#define TUNER_FINAL_H

#include "pass.h"

/* The case is pass->place; n_cases_left shares the time, this one included.  0 or -1. */
int final_run(struct pass *pass, size_t n_cases_left);

#endif
