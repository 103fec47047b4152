/*
 * targets.h: what is measured where: numbers of threads for each class of cores, or one list where cores
 * are all alike.
 */
#ifndef TUNER_TARGETS_H
#define TUNER_TARGETS_H

#include "contest.h"

struct targets {
	const struct config *config;
	struct cores *cores; /* of the device; those of the config are left */
	long n_cores;
	int is_pinned;    /* the device wants threads on cores of their own */
	const char *from; /* who names classes of cores: "--cores" */
	struct show *show;
	struct contest *contest; /* gets them */
};

#define TARGETS_MISUSED 1 /* the named classes are none of the device */

/* 0, TARGETS_MISUSED, or -1 when nothing is left to tune for; *err says why. */
int targets_list(const struct targets *in, struct gen_error *err);

#endif
