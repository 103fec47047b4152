/*
 * prepare.h: what a run of quern tune has when it begins, and what it knows then.
 */
#ifndef TUNER_PREPARE_H
#define TUNER_PREPARE_H

#include "contest.h"
#include "facts.h"
#include "options.h"
#include "units.h"

/* Everything that a run opens. */
struct run {
	const struct options *options;
	const char *home;
	struct gen *gen;
	struct config config;
	struct device device;
	struct compile *compile;
	struct facts facts;
	struct cores cores; /* those of the config */
	struct gen_error cores_error;
	int is_greeted;
	struct search_isa *isas;
	size_t n_isas;
	struct journal *journal;
	struct session *session;
	struct record record, defaults, seeds, earlier;
	struct units units;
	struct show show;
	struct contest contest;
	char *output, *work, *templates;
	char seeded[32];    /* which seeds, or empty */
	int is_misused;     /* an option has a wrong value */
	int is_written;     /* the results file, by this run */
	size_t n_shipped;   /* kernels, as ship.h counts them */
	int is_chosen_anew; /* by ship.h, from what was there already */
	char shard[32];     /* "2/3", or empty */
};

/*
 * Reads the config, reaches the device, learns what it is, opens the journal unless the results file
 * has all that is asked for.  begin: when the command began.  0, or -1.
 */
int prepare_run(struct run *run, double begin, struct gen_error *err);

/* Closes whatever is open. */
void prepare_close(struct run *run);

/* A part of the units gets a part of the time, so that each has as much as in a run of all. */
double prepare_share(const struct run *run, double seconds);

/* The results file has all that is asked for. */
int prepare_is_answered(const struct run *run);

#endif
