/*
 * checkup.h: what was found when a device was looked at, as a report.
 *
 * The probe's answers are taken apart here, and put together for a person or as JSON.  What a device does
 * not tell stays CHECKUP_ABSENT or empty and is never printed as a number.
 */
#ifndef TUNER_CHECKUP_H
#define TUNER_CHECKUP_H

#include <limits.h>
#include <stdio.h>

#include "facts.h"

#define CHECKUP_ABSENT LLONG_MIN
#define CHECKUP_CLASSES 8 /* that fit an answer */

/* What threads that are pinned to cores of one class reach. */
struct checkup_speed {
	long n_threads;
	double dram_gbps, int8_gmacs;
	double canary_ns, canary_most_ns; /* the least of several, and the most */
	char why[256];                    /* it could not be measured; or empty */
};

struct checkup_class {
	char name[64], part[32], cpus[128], governor[32];
	long long max_khz, min_khz, limit_khz, cur_khz, capacity;
	struct checkup_speed speeds[2]; /* of one thread, and of all */
	int n_speeds;
};

struct checkup {
	const char *device, *at; /* at: NULL when there is none */
	struct facts facts;
	struct checkup_class classes[CHECKUP_CLASSES];
	int n_classes;
	char isa[32]; /* that speeds were measured with */
	char allowed[256], zones[1024], boot[64];
	char zone[64], source[256];
	long long page_bytes, temp_mc, throttled, charging, power_uw, energy_uj;
};

/*
 * From answers to hello, doctor and vitals (the last two may be empty); speeds are left to the caller.
 */
int checkup_take(struct checkup *checkup, const char *hello, const char *doctor, const char *vitals,
		 struct gen_error *err);

void checkup_print(FILE *out, const struct checkup *checkup);
void checkup_print_json(FILE *out, const struct checkup *checkup);

#endif
