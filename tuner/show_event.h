/*
 * show_event.h: what a run tells scripts (--json): events, one JSON object a line.
 *
 * quern(1) describes them all.  A run without --json tells nothing here, but for what a terminal or
 * a log shows of the same event.  When nobody reads any more the run is asked to stop, as by the
 * user; show->lost says why.  Texts may hold anything: what is not UTF-8 is replaced.
 */
#ifndef TUNER_SHOW_EVENT_H
#define TUNER_SHOW_EVENT_H

#include "record.h"

struct show;

/* The device is known and the search begins, with a budget and so many answers of earlier runs. */
void show_event_start(struct show *show, const struct record *record, const char *results,
		      double seconds, size_t n_known);

/* A sentence for people. */
void show_event_note(struct show *show, const char *text);

/* A batch of kernels is compiled. */
void show_event_compile(struct show *show, const char *format, const char *act, size_t n_kernels);

/* A kernel does not compile, crashes, hangs, is wrong. */
void show_event_invalid(struct show *show, const char *kernel, const char *reason);

/* A race dropped a kernel for being slow; over: its time over the leader's. */
void show_event_pruned(struct show *show, const char *kernel, const char *stage, double over);

/* After a round of a race, from 1 on; n_left are still in. */
void show_event_race(struct show *show, const char *stage, int round, size_t n_left,
		     const char *best, double best_us);

/* A case is done; again when races under load change it.  A log gets a line of it, too. */
void show_event_case(struct show *show, const struct record_entry *entry, const char *target);

/* Where the run is. */
void show_event_progress(struct show *show);

/* The last one.  results: the file that was written, or NULL; error: NULL when all is well. */
void show_event_end(struct show *show, int exit_status, const char *results, double seconds,
		    const char *error);

#endif
