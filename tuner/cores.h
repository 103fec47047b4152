/*
 * cores.h: the classes of cores of a device, as its probe's hello gives them.
 *
 * Cores of one class are alike (kind, frequency, capacity).  Kinds tell winners apart in a results
 * file and at run time; of two classes of one kind the faster stands for both.
 */
#ifndef TUNER_CORES_H
#define TUNER_CORES_H

#include "config.h"

#define CORES_MOST 8 /* classes that fit a hello */

struct cores_class {
	char name[64];
	unsigned kind; /* of runtime/cpu.h; 0: not known */
	long max_khz;
	long n_cpus;
	int index; /* what the probe calls it now */
};

struct cores {
	struct cores_class list[CORES_MOST]; /* fastest first */
	int n;                               /* 0: the probe tells of none */
};

/* From an answer to hello. */
int cores_read(struct cores *cores, const char *hello, struct gen_error *err);

/* " at 3000 MHz", or nothing where that is not known; returns text. */
char *cores_speed(const struct cores_class *one, char *text, size_t n_bytes);

/*
 * Is it worth while to tune classes apart?  Not where all are of one known kind and within 15 % of
 * the fastest: PCs let a few of their cores, which are like the others, clock higher.
 */
int cores_differ(const struct cores *cores);

/* The class of the list that is like this one, or NULL. */
const struct cores_class *cores_find(const struct cores *cores, const struct cores_class *like);

/*
 * Keeps the classes that are named: by name, "all" or "fastest".  No names: all.  from: where the
 * names come from, for complaints.
 */
int cores_choose(struct cores *cores, const struct config_names *names, const char *from,
		 struct gen_error *err);

#endif
