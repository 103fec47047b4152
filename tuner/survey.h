/*
 * survey.h: everything measured, for the exhaustive strategy and for replays of others.
 *
 * Every round samples all candidates in a new random order.  What is written is a space file:
 *
 *   # quern space: two passes over every legal point
 *   case w4g32 4096x4096 n1 t1
 *   device AMD EPYC; Linux ...
 *   templates 199621153b7aea8c
 *   passes 2 rounds 15 seed 1234 slots 1150 calls 4 compile_ms 143.2
 *   parameter RV + 1 2 3 4 6 8 12         ordered; "-" is what a point has that lacks it
 *   parameter UNPACK . shift affine
 *   default 17
 *   points 1148
 *   VALUE... : SLOT KIND NS...            in the order of the parameters; kind is exact or lossy; passes x
 *                                         rounds samples of nanoseconds a call
 *
 * Within a round the points stand in the order race_order gives for n = slots and seed + round, counted over
 * both passes; a slot without a line failed.  A point of which another one has the very text has no line.
 */
#ifndef TUNER_SURVEY_H
#define TUNER_SURVEY_H

#include "pass.h"

#define SURVEY_PASSES 2
#define SURVEY_ROUNDS 31 /* of a pass */
#define SURVEY_MANY 1500 /* from so many points on they are half as many */

/* Rounds of a pass over n points. */
int survey_rounds(size_t n);

/*
 * Measures all good candidates of the search in the pass's place.  The best are carried; with a
 * folder there also is a space file CASE.space in it.  0 or -1.
 */
int survey_run(struct pass *pass, const char *folder);

#endif
