/*
 * vitals.h: what a machine says of its own state: heat, frequencies, battery.
 *
 * Everything is read anew at each call, from <root>/sys and <root>/proc, and everything may be absent:
 * numbers are then SYSFS_ABSENT and texts empty.  What cannot be true (a processor at 0 or at 200
 * degrees, a frequency of 1 kHz) counts as absent.
 */
#ifndef TUNER_VITALS_H
#define TUNER_VITALS_H

#include "sysfs.h"

#define VITALS_ZONES 128

struct vitals_zone {
	char name[32];
	int64_t temp_mc; /* 1/1000 degree Celsius */
	int is_cpu;      /* by its name */
};

/* Thermal zones, and sensors of x86 processors; those of processors first, then by heat. */
int vitals_read_zones(const char *root, struct vitals_zone zones[VITALS_ZONES]);

/* Does a cooling device slow processors down right now?  1, 0, or -1 where none tells. */
int vitals_read_throttled(const char *root);

/* A file of a cpu's cpufreq, in kHz: "scaling_cur_freq", "scaling_max_freq", "cpuinfo_min_freq". */
int64_t vitals_read_khz(const char *root, int cpu, const char *file);

size_t vitals_read_governor(const char *root, int cpu, char *text, size_t n_bytes);

struct vitals_battery {
	char name[32], status[24]; /* "Charging", "Discharging", "Not_charging", "Full" */
	int64_t percent;
	int64_t current_ua, voltage_uv; /* the current's sign means what the maker likes */
	int64_t draw_uw;                /* of the whole device; absent unless it discharges */
};

/* The battery that the machine runs on; 0: there is none. */
int vitals_read_battery(const char *root, struct vitals_battery *battery);

/* 1: it charges; 0: it does not; -1: no battery, or it does not say. */
int vitals_is_charging(const struct vitals_battery *battery);

/* perf_event_paranoid. */
int64_t vitals_read_paranoid(const char *root);

size_t vitals_read_boot_id(const char *root, char *text, size_t n_bytes);

#endif
