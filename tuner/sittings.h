/*
 * sittings.h: the rounds of a final.
 *
 * In every final the default has a twin, the same kernel once more, which should be found equal: the A/A
 * control.  Where the two cannot even be told to be so, the machine was too unquiet to tell anybody
 * apart, and the final is run again after some seconds, while the case's part of the time lasts.  What
 * the others did has no say in that, and the last sitting counts whatever it shows.
 */
#ifndef TUNER_SITTINGS_H
#define TUNER_SITTINGS_H

#include "pass.h"

/*
 * Races the *n_in runners, with room for one more; pass->flags and pass->control are the last sitting's.
 * How many are left, as race_run says it; *n_in: with those who were dropped.  where: names the final.
 */
long sittings_run(struct pass *pass, struct race_runner *runners, long *n_in, long rounds,
		  const char *where, size_t n_cases_left);

#endif
