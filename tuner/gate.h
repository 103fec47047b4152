/*
 * gate.h: keeps what is measured on a device that heats up comparable.
 *
 * A canary, a fixed amount of work, tells how fast the device is at the moment.  Before a batch of
 * samples it is asked until it is steady; the best it ever was on a target is the baseline.  After
 * every round it is asked again: slower than 1.10 times the baseline, and the device is left alone
 * until it is within 1.03 times, or until there is no hope, when a new baseline is taken.  A device that
 * gets hot again and again is measured as it is in the end.
 *
 * Verdicts and baselines are kept in the journal, so that a run that is taken up takes the same
 * way.  A gate of NULL lets everything pass, as does one whose probe has no canary.
 */
#ifndef TUNER_GATE_H
#define TUNER_GATE_H

#include "journal.h"
#include "record.h"
#include "session.h"
#include "show.h"

struct gate;

/*
 * What it did is added to the record.  budget_s: seconds that pauses may take in all, if that is more than
 * the least (10 minutes).
 */
struct gate *gate_open(struct session *session, struct journal *journal, const char *device,
		       double budget_s, struct show *show, struct record *record);
void gate_close(struct gate *gate);

/* A batch of samples begins: the first that the device is asked for comes after a warm-up. */
void gate_begin(struct gate *gate);

/*
 * After samples: 0 when the device was as fast as ever; 1 when it was not (it has cooled down
 * since, or has a new baseline); -1.  what: names the samples in the journal.
 */
int gate_judge(struct gate *gate, const struct session_case *place, const char *what,
	       struct gen_error *err);

#endif
