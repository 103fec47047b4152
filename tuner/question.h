/*
 * question.h: between session.c, which asks, and question.c, which knows what to ask.
 */
#ifndef TUNER_QUESTION_H
#define TUNER_QUESTION_H

#include "session.h"

#define QUESTION_SLOW 6 /* slow requests get so many times the device's time-out */

/* What a question needs, and how its answer is checked. */
struct question {
	const char *key;  /* in the journal */
	const char *verb; /* to the probe: verb, " i=KERNEL" when there is one, rest */
	const char *name; /* of the kernel; NULL: none */
	const char *rest;
	const struct session_case *target; /* its threads and cores; NULL: no engine needed */
	const struct session_case *place;  /* NULL: none needed */
	int with_weights;                  /* packed before */
	double time_out_s;
	int (*check)(const char *answer, double wall_s, long calls);
	long calls;
};

/* From the journal or the probe.  0: answer (PROBE_LINE + 1 bytes) gets what follows "ok". */
int question_ask(struct session *session, const struct question *question, char *answer,
		 struct session_error *error);

/* Likewise, of the probe every time. */
int question_ask_now(struct session *session, const struct question *question, char *answer,
		     struct session_error *error);

const struct device *question_device(const struct session *session);
unsigned long long question_seed(const struct session *session);

#endif
