/*
 * show.h: what the user sees of a run.
 *
 * On a terminal one line is redrawn: where the run is, the best so far, counts, time left.
 * Elsewhere there are only full lines, one per case.
 */
#ifndef TUNER_SHOW_H
#define TUNER_SHOW_H

#include <stdio.h>

#include "record.h"

struct show {
	FILE *out;
	int is_terminal;
	double drawn; /* when the line was last drawn */
	int is_dirty; /* the line is on the screen */

	/* Set by the run. */
	char place[96]; /* "w4g32 4096x4096 1 thread" */
	char what[64];  /* "compiling 26 kernels" */
	char best[160]; /* "dot_... 312.4 us 30.1 GB/s" */
	long tried, invalid;
	size_t n_cases, cases_done;
	double left_s; /* of the time budget; below 0: there is none */
};

void show_open(struct show *show, FILE *out);

/* Redraws the line, at most ten times a second. */
void show_progress(struct show *show);

/* A line that stays. */
void show_say(struct show *show, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Removes the progress line. */
void show_clear(struct show *show);

/* The winners, the ceilings and what failed. */
void show_record(FILE *out, const struct record *record);

#endif
