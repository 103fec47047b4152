/*
 * topology.h: caches, cores and core classes of this machine, from sysfs.
 *
 * Everything has a fall-back, for sandboxes and phones that hide sysfs.
 */
#ifndef QN_TOPOLOGY_H
#define QN_TOPOLOGY_H

#include <stddef.h>
#include <stdint.h>

#define QN_MAX_CPUS 256

/* Every cpu number is below this, the largest NR_CPUS of Linux. */
#define QN_CPU_LIMIT 8192

struct qn_core {
	int cpu;         /* number of the operating system */
	int class_index; /* cores of equal capacity, maximum frequency and kind; 0 = fastest */
	int capacity;    /* cpu_capacity, that of its like, or by frequency; 1024 = the fastest */
	long max_khz;    /* 0 where unknown */
	uint64_t part;   /* MIDR on AArch64, signature of CPUID on x86, 0 where unknown */
	uint32_t kind;   /* part without revisions, see cpu.h */
	int domain;      /* lowest cpu that shares its frequency, -1 where unknown */
};

struct qn_topology {
	struct qn_core cores[QN_MAX_CPUS]; /* those of the process's affinity mask, by cpu */
	int n_cores;
	int n_classes;
	size_t l1d_bytes, l2_bytes,
		llc_bytes; /* of the first core; defaults 32 KiB, 512 KiB, 32 (x86) or 8 MiB */
	char name[80];     /* model name or SoC, "unknown" otherwise */
};

void qn_topology_read(struct qn_topology *topology);

/* The same of n cpus (QN_MAX_CPUS at most), whether the affinity mask has them or not. */
void qn_topology_read_cpus(const int *cpus, int n, struct qn_topology *topology);

/*
 * The same from a copy of /sys and /proc under root.  Its cores are those of
 * sys/devices/system/cpu/online, or cpu 0 alone without that file; no affinity mask counts.
 */
void qn_topology_read_from(const char *root, struct qn_topology *topology);

/* NULL when it is not among the cores. */
const struct qn_core *qn_topology_core(const struct qn_topology *topology, int cpu);

struct qn_core_class {
	struct qn_core first; /* the one with the lowest number */
	int cpus[QN_MAX_CPUS], n_cpus;
};

/* Class 0 .. n_classes-1. */
void qn_topology_class(const struct qn_topology *topology, int index, struct qn_core_class *c);

/* What all cores can run: qn_cpu_features, less what one of their kinds cannot have. */
uint32_t qn_topology_features(const struct qn_topology *topology);

/*
 * Do the cores differ?  speeds[n] gets what threads that are pinned to cpus[n] start from: the capacities, or
 * 1 each when cpus is NULL because threads move.
 */
int qn_topology_speeds(const struct qn_topology *topology, const int *cpus, int n, int *speeds);

/*
 * Parses "0-3,7" into cpus[]; returns how many, or -1 for bad syntax, a repeated or too large
 * number, or more than max.
 */
int qn_topology_parse_cpus(const char *text, int *cpus, int max);

/* Writes ascending cpus as "0-3,7", cut where it does not fit; returns text. */
char *qn_topology_cpus_text(const int *cpus, int n, char *text, size_t n_bytes);

#endif
