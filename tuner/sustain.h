/*
 * sustain.h: which kernels are the fastest on a device that has been busy for minutes.
 *
 * After all finals every target (cores and threads) is put under load, and then each case's
 * winner, those as good as it and the default run against each other again, round by round without
 * a pause.  Where another one is faster now, beyond the interval of its median, it takes the
 * winner's place; so does the best when the winner fails.  The journal keeps the samples; a target
 * that is taken up half done is put under load once more.
 */
#ifndef TUNER_SUSTAIN_H
#define TUNER_SUSTAIN_H

#include "contest.h"

/* Changes the record's entries that contest->finals name.  0, or -1 (also when the user stops). */
int sustain_run(struct contest *contest, struct gen_error *err);

/* Seconds of load that a run needs at least, before any race. */
double sustain_seconds(const struct contest *contest);

#endif
