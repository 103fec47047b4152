/*
 * topology.c: reads sysfs and procfs, believes only what is plausible.
 *
 * A value is taken when its file can be read and it lies in a sensible range; otherwise the
 * fall-back of topology.h stands.
 */
#include "topology.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "cpu.h"

struct mask {
	cpu_set_t sets[QN_CPU_LIMIT / CPU_SETSIZE];
};

int qn_topology_parse_cpus(const char *text, int *cpus, int max)
{
	struct mask seen;
	int n = 0;

	CPU_ZERO_S(sizeof(seen), seen.sets);
	for (;;) {
		long range[2];

		for (int i = 0; i < 2; i++) {
			char *end;

			if (*text < '0' || *text > '9')
				return -1;
			range[i] = strtol(text, &end, 10);
			if (range[i] >= QN_CPU_LIMIT)
				return -1;
			text = end;
			if (i == 0 && *text == '-') {
				text++;
			} else if (i == 0) {
				range[1] = range[0];
				break;
			}
		}
		if (range[1] < range[0])
			return -1;
		for (long cpu = range[0]; cpu <= range[1]; cpu++) {
			if (n == max || CPU_ISSET_S(cpu, sizeof(seen), seen.sets))
				return -1;
			CPU_SET_S(cpu, sizeof(seen), seen.sets);
			cpus[n++] = (int)cpu;
		}
		if (*text == '\0')
			return n;
		if (*text++ != ',')
			return -1;
	}
}

char *qn_topology_cpus_text(const int *cpus, int n, char *text, size_t n_bytes)
{
	size_t at = 0;

	if (n_bytes)
		text[0] = '\0';
	for (int i = 0, end; i < n && at < n_bytes; i = end) {
		for (end = i + 1; end < n && cpus[end] == cpus[end - 1] + 1; end++)
			;
		at += (size_t)snprintf(text + at, n_bytes - at, end - i > 1 ? "%s%d-%d" : "%s%d",
				       i ? "," : "", cpus[i], cpus[end - 1]);
	}
	return text;
}

/* ---- files ---- */

/* Reads a small file into text, without white space at its end; returns the length, maybe 0. */
__attribute__((format(printf, 3, 4))) static size_t read_text(char *text, size_t n_bytes,
							      const char *format, ...)
{
	char path[512];
	va_list args;
	ssize_t got = -1;
	size_t n;
	int fd, length;

	text[0] = '\0';
	va_start(args, format);
	length = vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	if (length < 0 || (size_t)length >= sizeof(path))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0) {
		got = read(fd, text, n_bytes - 1);
		close(fd);
	}
	n = got > 0 ? (size_t)got : 0;
	while (n > 0 && strchr(" \t\r\n", text[n - 1])) /* finds '\0' too */
		n--;
	text[n] = '\0';
	return n;
}

/* A whole number in min .. max, with nothing behind it but one of `units`, or `otherwise`. */
static uint64_t parse_number(const char *text, int base, const char *units, uint64_t min,
			     uint64_t max, uint64_t otherwise)
{
	unsigned long long value;
	char *end;

	if (*text < '0' || *text > '9')
		return otherwise;
	errno = 0;
	value = strtoull(text, &end, base);
	if (errno || value < min || value > max)
		return otherwise;
	if (*end != '\0' && (end[1] != '\0' || !strchr(units, *end)))
		return otherwise;
	return value;
}

static size_t parse_size(const char *text)
{
	uint64_t size = parse_number(text, 10, "KMG", 1, (uint64_t)1 << 30, 0);

	switch (text[0] ? text[strlen(text) - 1] : '\0') {
	case 'K': return size << 10;
	case 'M': return size << 20;
	case 'G': return size << 30;
	default: return size;
	}
}

static uint64_t read_number(const char *root, int cpu, const char *file, int base, uint64_t min,
			    uint64_t max, uint64_t otherwise)
{
	char text[64];

	read_text(text, sizeof(text), "%s/sys/devices/system/cpu/cpu%d/%s", root, cpu, file);
	return parse_number(text, base, "", min, max, otherwise);
}

/* ---- caches ---- */

static void read_caches(const char *root, struct qn_topology *topology)
{
	uint64_t last_level = 1;
	size_t last_bytes = 0;

	for (int i = 0; i < 16; i++) {
		char text[32], folder[64];
		uint64_t level;
		size_t bytes;

		snprintf(folder, sizeof(folder), "sys/devices/system/cpu/cpu%d/cache/index%d",
			 topology->cores[0].cpu, i);
		read_text(text, sizeof(text), "%s/%s/type", root, folder);
		if (strcmp(text, "Data") != 0 && strcmp(text, "Unified") != 0)
			continue;
		read_text(text, sizeof(text), "%s/%s/level", root, folder);
		level = parse_number(text, 10, "", 1, 8, 0);
		read_text(text, sizeof(text), "%s/%s/size", root, folder);
		bytes = parse_size(text);
		if (level == 1 && bytes)
			topology->l1d_bytes = bytes;
		if (level == 2 && bytes)
			topology->l2_bytes = bytes;

		/* Arm may tell that a level is there and not how large; then the default stands. */
		if (level > last_level) {
			last_level = level;
			last_bytes = bytes;
		}
	}
	if (last_bytes)
		topology->llc_bytes = last_bytes;
}

/* ---- names and parts ---- */

/* Index of a core, or -1. */
static int find_core(const struct qn_topology *topology, int cpu)
{
	for (int i = 0; i < topology->n_cores; i++)
		if (topology->cores[i].cpu == cpu)
			return i;
	return -1;
}

const struct qn_core *qn_topology_core(const struct qn_topology *topology, int cpu)
{
	int i = find_core(topology, cpu);

	return i < 0 ? NULL : &topology->cores[i];
}

/* Copies printable characters, without blanks at both ends. */
static void set_name(struct qn_topology *topology, const char *name)
{
	size_t n = 0;

	while (*name == ' ')
		name++;
	for (; *name && n < sizeof(topology->name) - 1; name++)
		topology->name[n++] = (unsigned char)*name < ' ' || *name == 0x7f ? '?' : *name;
	while (n > 0 && topology->name[n - 1] == ' ')
		n--;
	topology->name[n] = '\0';
}

/*
 * The lines "key : value" of /proc/cpuinfo.  Arm kernels give the fields of MIDR one by one,
 * revision last: implementer at bit 24, variant at 20, 0xf at 16, part at 4.  Where no name is
 * known yet, that of the SoC ("Hardware") is better than that of a core.
 */
static void read_cpuinfo(const char *root, struct qn_topology *topology)
{
	char line[1024], path[512];
	uint64_t midr = 0;
	int core = -1, length, named = topology->name[0] != '\0';
	FILE *file;

	length = snprintf(path, sizeof(path), "%s/proc/cpuinfo", root);
	if (length < 0 || (size_t)length >= sizeof(path))
		return;
	file = fopen(path, "re");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		char *value = strchr(line, ':');
		size_t n = strcspn(line, "\t:");

		if (!value)
			continue;
		line[n] = '\0';
		value += 1 + strspn(value + 1, " \t");
		value[strcspn(value, "\n")] = '\0';
		if (strcmp(line, "processor") == 0) {
			core = find_core(topology,
					 (int)parse_number(value, 10, "", 0, QN_CPU_LIMIT - 1,
							   QN_CPU_LIMIT));
			midr = 0;
		} else if (strcmp(line, "CPU implementer") == 0) {
			midr |= parse_number(value, 0, "", 0, 0xff, 0) << 24 | 0xf0000;
		} else if (strcmp(line, "CPU variant") == 0) {
			midr |= parse_number(value, 0, "", 0, 0xf, 0) << 20;
		} else if (strcmp(line, "CPU part") == 0) {
			midr |= parse_number(value, 0, "", 0, 0xfff, 0) << 4;
		} else if (strcmp(line, "CPU revision") == 0) {
			if (core >= 0 && midr)
				topology->cores[core].part =
					midr | parse_number(value, 0, "", 0, 0xf, 0);
		} else if (!named && (strcmp(line, "Hardware") == 0 ||
				      (!topology->name[0] && strcmp(line, "model name") == 0))) {
			set_name(topology, value);
		}
	}
	fclose(file);
}

/* Family, model and stepping as CPUID leaf 1 packs them; hybrid parts give all cores the same. */
static uint64_t own_part(void)
{
#if defined(__x86_64__)
	unsigned a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) ? a : 0;
#else
	return 0;
#endif
}

/*
 * The kind of a core that does not say (a register file or an entry of /proc/cpuinfo is missing): that of
 * the cores that share its frequency, when they agree.  A Snapdragon 8 Gen 2 has two kinds in
 * one domain.
 */
static uint64_t guess_part(const struct qn_topology *topology, const struct qn_core *core)
{
	uint64_t part = 0;

	for (int i = 0; i < topology->n_cores && core->domain >= 0; i++) {
		const struct qn_core *other = &topology->cores[i];

		if (other->domain != core->domain || !other->kind)
			continue;
		if (part && qn_cpu_kind_of_midr(part) != other->kind)
			return 0;
		part = other->part;
	}
	return part;
}

static void read_parts(const char *root, struct qn_topology *topology)
{
	for (int i = 0; i < topology->n_cores; i++) {
		struct qn_core *core = &topology->cores[i];

		core->part = read_number(root, core->cpu, "regs/identification/midr_el1", 16, 1,
					 UINT32_MAX, core->part);
		core->kind = core->part ? qn_cpu_kind_of_midr(core->part) : 0;
	}
	for (int i = 0; i < topology->n_cores; i++) {
		struct qn_core *core = &topology->cores[i];

		if (!core->part) /* its kind stays 0 until all have been looked at */
			core->part = guess_part(topology, core);
	}
	for (int i = 0; i < topology->n_cores; i++) {
		struct qn_core *core = &topology->cores[i];

		if (core->part) {
			core->kind = qn_cpu_kind_of_midr(core->part);
		} else if (!*root) { /* not a copy of another machine's files */
			core->part = own_part();
			core->kind = (uint32_t)(core->part & ~(uint64_t)0xf);
		}
	}
}

/* Where nothing names the whole: the names of its kinds of cores, or the number of the first. */
static void name_by_kinds(struct qn_topology *topology)
{
	char text[sizeof(topology->name)] = "";
	uint32_t last = 0;
	size_t n = 0;

	for (int i = 0; i < topology->n_classes; i++) {
		struct qn_core_class c;
		const char *name;

		qn_topology_class(topology, i, &c);
		name = qn_cpu_kind_name(c.first.kind);
		if (!name) {
			n = 0;
			break;
		}
		if (c.first.kind != last && n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n ? "+" : "",
					      name);
		last = c.first.kind;
	}
	if (!n && topology->cores[0].part)
		snprintf(text, sizeof(text), "CPU part 0x%03x",
			 (unsigned)(topology->cores[0].part >> 4 & 0xfff));
	set_name(topology, *text ? text : "unknown");
}

/* ---- classes ---- */

/*
 * Faster first; the kind decides between equals, newer designs mostly have larger numbers.  The
 * revision of a design makes no class of its own.
 */
static int compare_cores(const struct qn_core *a, const struct qn_core *b)
{
	if (a->capacity != b->capacity)
		return a->capacity > b->capacity ? -1 : 1;
	if (a->max_khz != b->max_khz)
		return a->max_khz > b->max_khz ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind > b->kind ? -1 : 1;
	return 0;
}

static void rank_classes(struct qn_topology *topology)
{
	const struct qn_core *classes[QN_MAX_CPUS];
	int n = 0;

	for (int i = 0; i < topology->n_cores; i++) {
		const struct qn_core *core = &topology->cores[i];
		int at = 0;

		while (at < n && compare_cores(classes[at], core) < 0)
			at++;
		if (at < n && compare_cores(classes[at], core) == 0)
			continue;
		memmove(classes + at + 1, classes + at, (size_t)(n - at) * sizeof(classes[0]));
		classes[at] = core;
		n++;
	}
	topology->n_classes = n;
	for (int i = 0; i < topology->n_cores; i++) {
		struct qn_core *core = &topology->cores[i];

		while (compare_cores(classes[core->class_index], core) != 0)
			core->class_index++;
	}
}

void qn_topology_class(const struct qn_topology *topology, int index, struct qn_core_class *c)
{
	c->n_cpus = 0;
	for (int i = 0; i < topology->n_cores; i++) {
		if (topology->cores[i].class_index != index)
			continue;
		if (!c->n_cpus)
			c->first = topology->cores[i];
		c->cpus[c->n_cpus++] = topology->cores[i].cpu;
	}
}

uint32_t qn_topology_features(const struct qn_topology *topology)
{
	uint32_t features = qn_cpu_features();

	for (int i = 0; i < topology->n_cores; i++)
		features &= qn_cpu_kind_features(topology->cores[i].kind);
	return features;
}

int qn_topology_speeds(const struct qn_topology *topology, const int *cpus, int n, int *speeds)
{
	for (int i = 0; i < n; i++) {
		const struct qn_core *core = cpus ? qn_topology_core(topology, cpus[i]) : NULL;

		speeds[i] = core ? core->capacity : 1;
	}
	return topology->n_classes > 1;
}

/* ---- frequencies and capacities ---- */

/* "0 1 2 3 ", or a list with commas and ranges. */
static int read_related(const char *root, const char *folder, int *cpus)
{
	char text[4096];

	read_text(text, sizeof(text), "%s/sys/devices/system/cpu/%s/related_cpus", root, folder);
	for (char *p = text; (p = strchr(p, ' '));)
		*p = ',';
	return qn_topology_parse_cpus(text, cpus, QN_MAX_CPUS);
}

static long read_khz(const char *root, const char *folder)
{
	char text[64];

	read_text(text, sizeof(text), "%s/sys/devices/system/cpu/%s/cpuinfo_max_freq", root,
		  folder);
	return (long)parse_number(text, 10, "", 1, 100000000, 0);
}

/* A domain and its frequency for those of its cores that lack them. */
static void spread_policy(const char *root, const char *folder, struct qn_topology *topology)
{
	int cpus[QN_MAX_CPUS], n = read_related(root, folder, cpus);
	const long khz = n > 0 ? read_khz(root, folder) : 0;
	int lowest = QN_CPU_LIMIT;

	for (int i = 0; i < n; i++)
		lowest = cpus[i] < lowest ? cpus[i] : lowest;
	for (int i = 0; i < n; i++) {
		const int at = find_core(topology, cpus[i]);
		struct qn_core *core = &topology->cores[at < 0 ? 0 : at];

		if (at < 0)
			continue;
		if (core->domain < 0)
			core->domain = lowest;
		if (!core->max_khz)
			core->max_khz = khz;
	}
}

/*
 * A cpu's own link to its policy may be missing (it was offline when the driver came) while the policy, or
 * that of a neighbour, names it.
 */
static void read_frequencies(const char *root, struct qn_topology *topology)
{
	char folder[64];
	int n_domains = 0; /* cores whose domain is known */

	for (int i = 0; i < topology->n_cores; i++) {
		snprintf(folder, sizeof(folder), "cpu%d/cpufreq", topology->cores[i].cpu);
		topology->cores[i].max_khz = read_khz(root, folder);
	}
	for (int i = 0; i < topology->n_cores; i++) {
		snprintf(folder, sizeof(folder), "cpu%d/cpufreq", topology->cores[i].cpu);
		if (topology->cores[i].domain < 0)
			spread_policy(root, folder, topology);
		n_domains += topology->cores[i].domain >= 0;
	}
	for (int cpu = 0; n_domains < topology->n_cores && cpu < QN_MAX_CPUS; cpu++) {
		snprintf(folder, sizeof(folder), "cpufreq/policy%d", cpu);
		spread_policy(root, folder, topology);
	}
}

/* Of cores that do not tell: what their like tell; else by frequency; else all are alike. */
static void fill_capacities(struct qn_topology *topology)
{
	int known[QN_MAX_CPUS]; /* 0: not */
	long most_khz = 0;

	for (int i = 0; i < topology->n_cores; i++) {
		known[i] = topology->cores[i].capacity;
		if (topology->cores[i].max_khz > most_khz)
			most_khz = topology->cores[i].max_khz;
	}
	for (int i = 0; i < topology->n_cores; i++) {
		struct qn_core *core = &topology->cores[i];

		for (int j = 0; j < topology->n_cores && !core->capacity; j++) {
			const struct qn_core *other = &topology->cores[j];

			if (known[j] && other->kind == core->kind &&
			    other->max_khz == core->max_khz && (core->kind || core->max_khz))
				core->capacity = known[j];
		}
		if (!core->capacity && core->max_khz)
			core->capacity = (int)(1024 * core->max_khz / most_khz);
		if (!core->capacity)
			core->capacity = 1024;
	}
}

/* ---- the whole ---- */

/*
 * The last-level cache where nobody tells its size.  Virtual machines hide it (on x86 CPUID, too); what is
 * taken for too small makes weights that are to come from memory come from the cache, so it is that of a
 * large core complex.
 */
#if defined(__x86_64__)
#define UNKNOWN_LLC_BYTES (32 << 20)
#else
#define UNKNOWN_LLC_BYTES (8 << 20)
#endif

static void read_cores(const char *root, const struct mask *allowed, struct qn_topology *topology)
{
	char text[128];

	*topology = (struct qn_topology){.l1d_bytes = 32 << 10,
					 .l2_bytes = 512 << 10,
					 .llc_bytes = UNKNOWN_LLC_BYTES};
	for (int cpu = 0; cpu < QN_CPU_LIMIT && topology->n_cores < QN_MAX_CPUS; cpu++) {
		struct qn_core *core = &topology->cores[topology->n_cores];

		if (!CPU_ISSET_S(cpu, sizeof(*allowed), allowed->sets))
			continue;
		core->cpu = cpu;
		core->domain = -1;
		core->capacity = (int)read_number(root, cpu, "cpu_capacity", 10, 1, 1 << 16, 0);
		topology->n_cores++;
	}
	read_frequencies(root, topology);
	if (read_text(text, sizeof(text), "%s/proc/device-tree/model", root) > 0)
		set_name(topology, text);
	read_cpuinfo(root, topology);
	read_parts(root, topology);
	fill_capacities(topology);
	read_caches(root, topology);
	rank_classes(topology);
	if (!topology->name[0])
		name_by_kinds(topology);
}

void qn_topology_read_from(const char *root, struct qn_topology *topology)
{
	char text[4096];
	int cpus[QN_CPU_LIMIT], n;
	struct mask online;

	CPU_ZERO_S(sizeof(online), online.sets);
	read_text(text, sizeof(text), "%s/sys/devices/system/cpu/online", root);
	n = qn_topology_parse_cpus(text, cpus, QN_CPU_LIMIT);
	for (int i = 0; i < n; i++)
		CPU_SET_S(cpus[i], sizeof(online), online.sets);
	if (n <= 0)
		CPU_SET_S(0, sizeof(online), online.sets);
	read_cores(root, &online, topology);
}

void qn_topology_read(struct qn_topology *topology)
{
	struct mask allowed;

	CPU_ZERO_S(sizeof(allowed), allowed.sets);
	if (sched_getaffinity(0, sizeof(allowed), allowed.sets))
		CPU_SET_S(0, sizeof(allowed), allowed.sets);
	read_cores("", &allowed, topology);
}

void qn_topology_read_cpus(const int *cpus, int n, struct qn_topology *topology)
{
	struct mask wanted;

	CPU_ZERO_S(sizeof(wanted), wanted.sets);
	for (int i = 0; i < n; i++)
		CPU_SET_S((size_t)cpus[i], sizeof(wanted), wanted.sets);
	read_cores("", &wanted, topology);
}
