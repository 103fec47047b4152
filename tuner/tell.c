/* tell.c: hello, vitals and doctor, key by key. */
#include "tell.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "clock.h"
#include "runtime/cpu.h"

#define MAX_CLASSES 8  /* that fit a line */
#define LIST_BYTES 768 /* of a list that may be cut */

void tell_number(struct line_out *out, const char *key, int64_t number)
{
	if (number == SYSFS_ABSENT)
		line_put(out, " %s=-", key);
	else
		line_put(out, " %s=%lld", key, (long long)number);
}

/* A key that ends in the number of the class. */
static void tell_class_number(struct line_out *out, const char *key, int class_index,
			      int64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%s%d", key, class_index);
	tell_number(out, text, number);
}

/* ---- hello ---- */

static void put_features(uint32_t features, struct line_out *out)
{
	char text[256];

	qn_cpu_feature_text(features, text, sizeof(text));
	for (char *p = text; *p; p++)
		if (*p == ' ')
			*p = ',';
	line_put_value(out, "features", text);
}

static void put_counters(const struct counters *counters, struct line_out *out)
{
	char text[256];
	size_t n = 0;

	line_put_value(out, "counters", counters_source(counters));
	counters_why(counters, text, sizeof(text));
	line_put_value(out, "why", text);
	text[0] = 0;
	for (int i = 0; i < counters_count(counters) && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? "," : "",
				      counters_name(counters, i));
	line_put_value(out, "events", text);
}

static const char *arch_name(void)
{
#if defined(__x86_64__)
	return "x86_64";
#elif defined(__aarch64__)
	return "aarch64";
#else
	return "other";
#endif
}

/* Keys that end in the number of the class. */
static void put_classes(const struct qn_topology *topology, struct line_out *out)
{
	for (int i = 0; i < topology->n_classes && i < MAX_CLASSES; i++) {
		struct qn_core_class c;
		char text[128], key[16];

		qn_topology_class(topology, i, &c);
		snprintf(key, sizeof(key), "name%d", i);
		line_put_value(out, key, qn_cpu_kind_text(c.first.kind, text, sizeof(text)));
		line_put(out, " core%d=0x%x part%d=0x%llx", i, (unsigned)c.first.kind, i,
			 (unsigned long long)c.first.part);
		snprintf(key, sizeof(key), "cpus%d", i);
		qn_topology_cpus_text(c.cpus, c.n_cpus, text, sizeof(text));
		/* Half a list would be a wrong one. */
		line_put_value(out, key, strlen(text) + 1 < sizeof(text) ? text : "-");
		line_put(out, " max_khz%d=%ld capacity%d=%d", i, c.first.max_khz, i,
			 c.first.capacity);
	}
}

void tell_hello(const struct qn_topology *topology, uint32_t features,
		const struct counters *counters, struct line_out *out)
{
	struct utsname name;
	char kernel[sizeof(name.sysname) + sizeof(name.release) + 2] = "unknown";

	if (uname(&name) == 0)
		snprintf(kernel, sizeof(kernel), "%s %s", name.sysname, name.release);
	line_put(out, " arch=%s", arch_name());
	put_features(features, out);
	line_put(out, " cores=%d classes=%d llc_bytes=%zu l2_bytes=%zu l1d_bytes=%zu",
		 topology->n_cores, topology->n_classes, topology->llc_bytes, topology->l2_bytes,
		 topology->l1d_bytes);
	line_put_value(out, "cpu", topology->name);
	line_put_value(out, "kernel", kernel);
	put_classes(topology, out);
	put_counters(counters, out);
}

/* ---- vitals ---- */

/* The first cpu of a class. */
static int first_cpu(const struct qn_topology *topology, int class_index)
{
	struct qn_core_class c;

	qn_topology_class(topology, class_index, &c);
	return c.first.cpu;
}

/* A whole number that may be unknown, -1. */
static void put_flag(struct line_out *out, const char *key, int flag)
{
	tell_number(out, key, flag < 0 ? SYSFS_ABSENT : flag);
}

void tell_vitals(const struct qn_topology *topology, struct meter *meter, struct line_out *out)
{
	struct vitals_zone zones[VITALS_ZONES];
	struct vitals_battery battery;
	const char *gauge;
	char source[2 * sizeof(meter->counter_name)];
	int has_zone = vitals_read_zones(meter->root, zones) > 0 && zones[0].is_cpu;
	int64_t energy = meter_read_energy(meter), power = meter_read_power(meter, &gauge);

	tell_number(out, "temp_mc", has_zone ? zones[0].temp_mc : SYSFS_ABSENT);
	line_put_value(out, "zone", has_zone ? zones[0].name : "");
	put_flag(out, "throttled", vitals_read_throttled(meter->root));
	vitals_read_battery(meter->root, &battery);
	put_flag(out, "charging", vitals_is_charging(&battery));
	for (int i = 0; i < topology->n_classes && i < MAX_CLASSES; i++)
		tell_class_number(out, "khz", i,
				  vitals_read_khz(meter->root, first_cpu(topology, i),
						  "scaling_cur_freq"));
	tell_number(out, "energy_uj", energy);
	tell_number(out, "power_uw", power);
	snprintf(source, sizeof(source), "%s%s%s",
		 energy != SYSFS_ABSENT ? meter->counter_name : "",
		 energy != SYSFS_ABSENT && power != SYSFS_ABSENT ? "," : "",
		 power != SYSFS_ABSENT ? gauge : "");
	line_put_value(out, "source", source);
}

/* ---- doctor ---- */

/* "name:millidegrees,..."; those of processors come first, and what does not fit is left out. */
static void put_zones(const char *root, struct line_out *out)
{
	struct vitals_zone zones[VITALS_ZONES];
	int n_zones = vitals_read_zones(root, zones);
	char text[LIST_BYTES] = "";
	size_t n = 0;

	for (int i = 0; i < n_zones; i++) {
		char item[64];

		snprintf(item, sizeof(item), "%s%.31s:%lld", i ? "," : "", zones[i].name,
			 (long long)zones[i].temp_mc);
		if (n + strlen(item) >= sizeof(text))
			break;
		strcpy(text + n, item);
		n += strlen(item);
	}
	line_put_value(out, "zones", text);
}

static void put_battery(const char *root, struct line_out *out)
{
	struct vitals_battery battery;
	char text[96] = "", percent[24] = "-";

	if (vitals_read_battery(root, &battery)) {
		if (battery.percent != SYSFS_ABSENT)
			snprintf(percent, sizeof(percent), "%lld", (long long)battery.percent);
		snprintf(text, sizeof(text), "%s:%s:%s", battery.name,
			 *battery.status ? battery.status : "-", percent);
	}
	line_put_value(out, "battery", text);
}

void tell_doctor(const struct qn_topology *topology, const struct meter *meter,
		 struct line_out *out)
{
	int cpus[QN_MAX_CPUS];
	char text[256], key[32];

	for (int i = 0; i < topology->n_classes && i < MAX_CLASSES; i++) {
		int cpu = first_cpu(topology, i);

		vitals_read_governor(meter->root, cpu, text, 32);
		snprintf(key, sizeof(key), "governor%d", i);
		line_put_value(out, key, text);
		tell_class_number(out, "min_khz", i,
				  vitals_read_khz(meter->root, cpu, "cpuinfo_min_freq"));
		tell_class_number(out, "limit_khz", i,
				  vitals_read_khz(meter->root, cpu, "scaling_max_freq"));
		tell_class_number(out, "cur_khz", i,
				  vitals_read_khz(meter->root, cpu, "scaling_cur_freq"));
	}
	line_put(out, " clock_ns=%lld", (long long)clock_resolution_ns());
	tell_number(out, "paranoid", vitals_read_paranoid(meter->root));
	for (int i = 0; i < topology->n_cores; i++)
		cpus[i] = topology->cores[i].cpu;
	qn_topology_cpus_text(cpus, topology->n_cores, text, sizeof(text));
	line_put_value(out, "allowed", strlen(text) + 1 < sizeof(text) ? text : "");
	line_put(out, " page_bytes=%ld", sysconf(_SC_PAGESIZE));
	vitals_read_boot_id(meter->root, text, 64);
	line_put_value(out, "boot", text);
	put_battery(meter->root, out);
	line_put_value(out, "sensors", meter->sensors);
	put_zones(meter->root, out);
}
