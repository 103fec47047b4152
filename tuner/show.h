/*
 * show.h: what the user sees of a run.
 *
 * On a terminal one line is redrawn: cases, time left, counts, the best so far, where the run is.
 * Elsewhere there are only full lines, one per case.  Scripts get events (show_event.h).
 */
#ifndef TUNER_SHOW_H
#define TUNER_SHOW_H

#include <stdio.h>

#include "record.h"
#include "show_event.h"

struct show {
	FILE *out;
	int is_terminal;
	double drawn, told; /* when the line was last drawn, the last event of progress */
	int is_dirty;       /* the line is on the screen */
	int events;         /* where events go, a file descriptor; -1: nowhere */
	int lost;           /* errno since they cannot be written */

	/* Set by the run. */
	char place[96];              /* "w4g32 4096x4096 1 thread" */
	char what[64];               /* "compiling 26 kernels" */
	char best[64];               /* the kernel; empty: none yet */
	char figure[32];             /* "312.4 us" */
	double best_us;              /* 0: nothing is measured */
	long tried, pruned, invalid; /* kernels; pruned: dropped by some race for being slow */
	size_t n_cases, cases_done;
	double left_s; /* of the time budget; below 0: there is none */
};

/* events: as in struct show. */
void show_open(struct show *show, FILE *out, int events);

/* Redraws the line, at most ten times a second; an event once a second. */
void show_progress(struct show *show);

/* A line that stays. */
void show_line(struct show *show, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Likewise, and an event of it. */
void show_say(struct show *show, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Another search begins. */
void show_forget_best(struct show *show);

/* Removes the progress line. */
void show_clear(struct show *show);

/* The ceilings, a line each. */
void show_ceilings(FILE *out, const struct record *record);

/*
 * A line on finals' controls and one on samples that were disturbed, where there were any: what is wrong with
 * the machine or with intervals shows here first.
 */
void show_quality(FILE *out, const struct record *record);

/* Who met whom in cases, and by how much they differ; behind by more than chance and this part counts. */
#define SHOW_EQUAL 0.015
void show_duels(FILE *out, const struct record *record);

/* The winners, the ceilings and what failed. */
void show_record(FILE *out, const struct record *record);

#endif
