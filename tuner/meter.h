/*
 * meter.h: energy that a machine drew, where it can be read.
 *
 * A counter is best: powercap's packages (x86, readable by root on most systems), or a hwmon chip
 * with energy inputs.  Next come readings of power, a hwmon chip's or a battery's while it
 * discharges, which have to be taken often and summed up.  Counters count processors, gauges the
 * device or a rail of it, so the name of what was used belongs to every figure.
 */
#ifndef TUNER_METER_H
#define TUNER_METER_H

#include "vitals.h"

#define METER_COUNTERS 8

struct meter {
	const char *root;
	struct {
		char path[SYSFS_PATH];
		int64_t range_uj; /* at which it starts again; absent where not told */
		int64_t last_uj;
	} counters[METER_COUNTERS]; /* to be added up */
	int n_counters;
	int64_t total_uj;
	char gauge[SYSFS_PATH];                                  /* a hwmon file of uW, or empty */
	char counter_name[96], gauge_name[64], battery_name[32]; /* empty: none that is readable */
	char sensors[256]; /* names separated by commas; "NAME:denied" for what cannot be read */
};

void meter_open(struct meter *meter, const char *root);

/*
 * uJ since meter_open; absent without counters.  Calls have to be closer together than a counter
 * takes to start again (an hour at 70 W, for powercap).
 */
int64_t meter_read_energy(struct meter *meter);

/* uW at the moment, by hwmon or by the battery; *name: which.  Absent when neither tells. */
int64_t meter_read_power(const struct meter *meter, const char **name);

/* ---- over a time ---- */

struct meter_run {
	struct meter *meter;
	int64_t begin_ns, last_ns, due_ns;
	int64_t begin_uj, end_uj; /* of counters */
	int64_t last_uw;
	double sum_uj; /* of readings of power */
	long n_readings;
	const char *gauge_name;
};

/* now_ns: of one clock throughout. */
void meter_start(struct meter_run *run, struct meter *meter, int64_t now_ns);

/* Takes a reading when one is due, every 100 ms. */
void meter_note(struct meter_run *run, int64_t now_ns);

/*
 * uJ drawn, and *name of what by.  Absent when nothing was readable all the time, or the time was too
 * short to believe it: 1 s for counters and hwmon, 10 s for batteries, and at least 10 readings of power.
 */
int64_t meter_stop(struct meter_run *run, int64_t now_ns, const char **name);

#endif
