/*
 * explain.h: why winners and finalists are as fast as they are, for the record.
 *
 * While a run measures it only notes what it learns; after all measuring the objects and the assembly
 * of those that need it are looked at, for a few percent of the run's time at most, what matters most
 * first.  Whatever cannot be had (a compiler, llvm-mca) leaves its numbers out and nothing else.
 */
#ifndef TUNER_EXPLAIN_H
#define TUNER_EXPLAIN_H

#include "contest.h"

struct explain *explain_open(void);
void explain_close(struct explain *explain);

/* A finalist of a case: its object, of compile.h, and the bytes that a call streams. */
void explain_note(struct explain *explain, const struct session_case *place, const char *kernel,
		  const char *object, double bytes);

/* Does an event explain anything? */
int explain_wants(const char *event);

/* An event of one call of a kernel that was noted. */
void explain_count(struct explain *explain, const struct session_case *place, const char *kernel,
		   const char *event, double value);

struct explain_device {
	const struct device *device;
	const char *arch;
	const struct cores *cores;
	const char *work; /* folder, as of mca.h */
	int n_parallel;
};

/*
 * Fills in reasons and numbers of all entries of the contest's record.  Its compile makes assembly
 * from now on.  0, or -1 when the user stops.
 */
int explain_run(struct contest *contest, const struct explain_device *on, struct gen_error *err);

#endif
