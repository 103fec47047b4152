/*
 * clock.h: time on the target, and whether a sample can be trusted.
 *
 * Noise is one-sided and comes from outside: the kernel took the core away, moved the thread,
 * filled in pages, or the hypervisor ran somebody else.  All of that leaves traces in counters that
 * any process may read, so a sample carries flags instead of being trimmed.
 */
#ifndef TUNER_CLOCK_H
#define TUNER_CLOCK_H

#include <stdint.h>
#include <sys/resource.h>

/* CLOCK_MONOTONIC_RAW in nanoseconds: no NTP slewing. */
int64_t clock_read_ns(void);

/* Smallest step seen between two readings; at least 1. */
int64_t clock_resolution_ns(void);

/* What disturbed a sample. */
enum {
	PROBE_SWITCHED = 1, /* involuntary context switch */
	PROBE_MIGRATED = 2, /* the thread changed cores */
	PROBE_FAULTED = 4,  /* major or many minor page faults */
	PROBE_STOLEN = 8    /* the hypervisor took time */
};

struct clock_watch {
	int stat_fd;   /* /proc/stat, or -1 */
	int core;      /* where the thread was, or -1 when moving is no news */
	int64_t steal; /* ticks, or -1 */
	struct rusage usage;
};

/* Never fails; what the machine does not tell is never flagged. */
void clock_watch_open(struct clock_watch *watch);
void clock_watch_close(struct clock_watch *watch);

/*
 * Around a sample; stop returns PROBE_* flags.  stays: the calling thread should stay on its core,
 * because it is pinned or works alone.  Switches and faults are those of the whole process.
 */
void clock_watch_start(struct clock_watch *watch, int stays);
unsigned clock_watch_stop(const struct clock_watch *watch);

/* Steal time in the text of /proc/stat, in ticks; -1 where it is not given. */
int64_t clock_parse_steal(const char *stat_text);

#endif
