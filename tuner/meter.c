/* meter.c: finds what measures energy, and sums it up. */
#include "meter.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_ENTRIES 64
#define MAX_INPUTS 16 /* of a chip */
#define MAX_UJ (INT64_MAX / 4)
#define MAX_UW 10000000000 /* 10 kW */
#define READ_NS 100000000  /* between readings of power */
#define MIN_READINGS 10
#define MIN_NS 1000000000
#define MIN_BATTERY_NS 10000000000

/* ---- what there is ---- */

static void append(char *list, size_t n_bytes, const char *separator, const char *name)
{
	size_t n = strlen(list);

	if (n + strlen(name) + 1 < n_bytes) /* half a name would be a wrong one */
		snprintf(list + n, n_bytes - n, "%s%s", n ? separator : "", name);
}

/* Is a name one of those of a list with such a separator? */
static int is_listed(const char *list, char separator, const char *name)
{
	size_t n = strlen(name);

	while (list) {
		if (strncmp(list, name, n) == 0 && (list[n] == separator || !list[n]))
			return 1;
		list = strchr(list, separator);
		list = list ? list + 1 : NULL;
	}
	return 0;
}

static void list_sensor(struct meter *meter, const char *name, int is_readable)
{
	char item[96];

	snprintf(item, sizeof(item), "%s%s", name, is_readable ? "" : ":denied");
	if (!is_listed(meter->sensors, ',', item))
		append(meter->sensors, sizeof(meter->sensors), ",", item);
}

/* 0 when it cannot be read. */
static int add_counter(struct meter *meter, const char *name, const char *path, int64_t range_uj)
{
	int64_t value = sysfs_number(0, MAX_UJ, "%s", path);
	int i = meter->n_counters;

	if (value == SYSFS_ABSENT || i == METER_COUNTERS)
		return 0;
	snprintf(meter->counters[i].path, sizeof(meter->counters[i].path), "%s", path);
	meter->counters[i].range_uj = range_uj;
	meter->counters[i].last_uj = value;
	meter->n_counters++;
	append(meter->counter_name, sizeof(meter->counter_name), "+", name);
	return 1;
}

/* Zones are intel-rapl:0 (package-0), intel-rapl:0:1 (core, a part of it), intel-rapl:1 (psys). */
static void find_powercap(struct meter *meter, const char *kind)
{
	char names[MAX_ENTRIES][SYSFS_NAME], name[32], path[SYSFS_PATH];
	int n = sysfs_list(names, MAX_ENTRIES, meter->root, "sys/class/powercap", "");

	for (int i = 0; i < n; i++) {
		const char *colon = strchr(names[i], ':');
		int64_t range;
		int is_readable;

		if (!colon || strchr(colon + 1, ':'))
			continue;
		sysfs_text(name, sizeof(name), "%s/sys/class/powercap/%s/name", meter->root,
			   names[i]);
		if (strncmp(name, kind, strlen(kind)) != 0 ||
		    is_listed(meter->counter_name, '+', name) || /* one package, seen twice */
		    snprintf(path, sizeof(path), "%s/sys/class/powercap/%s/energy_uj", meter->root,
			     names[i]) >= (int)sizeof(path) ||
		    !sysfs_exists("%s", path))
			continue;
		range = sysfs_number(1, MAX_UJ, "%s/sys/class/powercap/%s/max_energy_range_uj",
				     meter->root, names[i]);
		is_readable = add_counter(meter, name, path, range);
		list_sensor(meter, name, is_readable);
	}
}

/* How well a rail's label stands for the machine. */
static int rate_label(const char *label)
{
	static const char *const words[] = {"cpu", "soc",   "package", "socket",
					    "in",  "total", "sys"};
	int best = 0;

	for (int i = 0; i < (int)(sizeof(words) / sizeof(*words)); i++)
		for (const char *p = label; *p; p++)
			if (strncasecmp(p, words[i], strlen(words[i])) == 0)
				best = i + 1;
	return best;
}

/* Chips that measure something else, or the battery that vitals.h reads by itself. */
static int is_foreign(const char *root, const char *hwmon, const char *chip)
{
	static const char *const foreign[] = {"amdgpu", "nouveau", "nvme", "i915", "xe", "radeon"};
	char type[16];

	for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++)
		if (strcmp(chip, foreign[i]) == 0)
			return 1;
	return sysfs_text(type, sizeof(type), "%s/sys/class/hwmon/%s/device/type", root, hwmon) >
		       0 &&
	       (strcmp(type, "Battery") == 0 || strcmp(type, "USB") == 0 ||
		strcmp(type, "Mains") == 0);
}

struct rail {
	char path[SYSFS_PATH], name[64];
	int rating;
};

/* The best of a chip's inputs called like kind%d_suffix that is better than the best so far. */
static void find_rails(struct meter *meter, const char *hwmon, const char *chip, const char *kind,
		       const char *suffix, int64_t max, struct rail *best)
{
	char label[32], name[64], path[SYSFS_PATH];

	for (int i = 1; i <= MAX_INPUTS; i++) {
		int is_readable, rating;

		if (snprintf(path, sizeof(path), "%s/sys/class/hwmon/%s/%s%d_%s", meter->root,
			     hwmon, kind, i, suffix) >= (int)sizeof(path) ||
		    !sysfs_exists("%s", path))
			continue;
		if (!sysfs_text(label, sizeof(label), "%s/sys/class/hwmon/%s/%s%d_label",
				meter->root, hwmon, kind, i))
			snprintf(label, sizeof(label), "%s%d", kind, i);
		snprintf(name, sizeof(name), "%.24s.%s", *chip ? chip : hwmon, label);
		is_readable = sysfs_number(0, max, "%s", path) != SYSFS_ABSENT;
		list_sensor(meter, name, is_readable);
		rating = 1 + rate_label(label);
		if (!is_readable || rating <= best->rating)
			continue;
		snprintf(best->path, sizeof(best->path), "%s", path);
		snprintf(best->name, sizeof(best->name), "%s", name);
		best->rating = rating;
	}
}

static void find_hwmon(struct meter *meter)
{
	char names[MAX_ENTRIES][SYSFS_NAME], chip[32];
	struct rail energy = {.rating = 0}, power = {.rating = 0};
	int n = sysfs_list(names, MAX_ENTRIES, meter->root, "sys/class/hwmon", "hwmon");

	for (int i = 0; i < n; i++) {
		sysfs_text(chip, sizeof(chip), "%s/sys/class/hwmon/%s/name", meter->root, names[i]);
		if (is_foreign(meter->root, names[i], chip))
			continue;
		find_rails(meter, names[i], chip, "energy", "input", MAX_UJ, &energy);
		find_rails(meter, names[i], chip, "power", "input", MAX_UW, &power);
		find_rails(meter, names[i], chip, "power", "average", MAX_UW, &power);
	}
	if (!meter->n_counters && energy.rating)
		add_counter(meter, energy.name, energy.path, SYSFS_ABSENT);
	if (power.rating) {
		memcpy(meter->gauge, power.path, sizeof(meter->gauge));
		memcpy(meter->gauge_name, power.name, sizeof(meter->gauge_name));
	}
}

void meter_open(struct meter *meter, const char *root)
{
	struct vitals_battery battery;

	memset(meter, 0, sizeof(*meter));
	meter->root = root;
	find_powercap(meter, "package");
	if (!meter->n_counters)
		find_powercap(meter, "psys");
	find_hwmon(meter);
	if (!vitals_read_battery(root, &battery))
		return;
	snprintf(meter->battery_name, sizeof(meter->battery_name), "%s", battery.name);
	list_sensor(meter, battery.name,
		    battery.draw_uw != SYSFS_ABSENT || battery.current_ua != SYSFS_ABSENT);
}

/* ---- readings ---- */

int64_t meter_read_energy(struct meter *meter)
{
	int64_t sum = 0, values[METER_COUNTERS];

	if (!meter->n_counters)
		return SYSFS_ABSENT;
	for (int i = 0; i < meter->n_counters; i++) {
		values[i] = sysfs_number(0, MAX_UJ, "%s", meter->counters[i].path);
		if (values[i] == SYSFS_ABSENT)
			return SYSFS_ABSENT;
	}
	for (int i = 0; i < meter->n_counters; i++) {
		int64_t last = meter->counters[i].last_uj, range = meter->counters[i].range_uj;

		if (values[i] >= last)
			sum += values[i] - last;
		else if (range != SYSFS_ABSENT && last <= range)
			sum += range - last + values[i];
		else /* it was reset */
			sum += values[i];
		meter->counters[i].last_uj = values[i];
	}
	/* Numbers that jump are no reason to overflow. */
	meter->total_uj = sum < INT64_MAX - meter->total_uj ? meter->total_uj + sum : INT64_MAX;
	return meter->total_uj;
}

int64_t meter_read_power(const struct meter *meter, const char **name)
{
	struct vitals_battery battery;
	int64_t value;

	*name = meter->gauge_name;
	if (*meter->gauge) {
		value = sysfs_number(0, MAX_UW, "%s", meter->gauge);
		if (value != SYSFS_ABSENT)
			return value;
	}
	*name = meter->battery_name;
	if (!*meter->battery_name || !vitals_read_battery(meter->root, &battery))
		return SYSFS_ABSENT;
	return battery.draw_uw;
}

/* ---- over a time ---- */

/* One that is absent, or of another gauge, spoils the sum. */
static void read_gauge(struct meter_run *run, int64_t now_ns)
{
	const char *name;
	int64_t uw = meter_read_power(run->meter, &name);

	if (uw == SYSFS_ABSENT || (run->gauge_name && name != run->gauge_name)) {
		run->last_uw = SYSFS_ABSENT;
		return;
	}
	if (run->gauge_name)
		run->sum_uj += 0.5 * ((double)run->last_uw + (double)uw) *
			       (double)(now_ns - run->last_ns) * 1e-9;
	run->last_uw = uw;
	run->gauge_name = name;
	run->last_ns = now_ns;
	run->n_readings++;
}

static void take_reading(struct meter_run *run, int64_t now_ns)
{
	if (run->meter->n_counters) {
		int64_t uj = meter_read_energy(run->meter);

		run->end_uj = run->end_uj == SYSFS_ABSENT ? SYSFS_ABSENT : uj;
	} else if (run->last_uw != SYSFS_ABSENT) {
		read_gauge(run, now_ns);
	}
	run->due_ns += READ_NS;
	if (run->due_ns <= now_ns) /* the caller was late */
		run->due_ns = now_ns + READ_NS;
}

void meter_start(struct meter_run *run, struct meter *meter, int64_t now_ns)
{
	memset(run, 0, sizeof(*run));
	run->meter = meter;
	run->begin_ns = run->last_ns = run->due_ns = now_ns;
	take_reading(run, now_ns);
	run->begin_uj = run->end_uj;
}

void meter_note(struct meter_run *run, int64_t now_ns)
{
	if (now_ns >= run->due_ns)
		take_reading(run, now_ns);
}

int64_t meter_stop(struct meter_run *run, int64_t now_ns, const char **name)
{
	struct meter *meter = run->meter;
	int64_t ns = now_ns - run->begin_ns;

	take_reading(run, now_ns);
	*name = "";
	if (meter->n_counters) {
		/* One that stands still counts nothing. */
		if (ns < MIN_NS || run->begin_uj == SYSFS_ABSENT || run->end_uj == SYSFS_ABSENT ||
		    run->end_uj <= run->begin_uj)
			return SYSFS_ABSENT;
		*name = meter->counter_name;
		return run->end_uj - run->begin_uj;
	}
	if (!run->gauge_name || run->last_uw == SYSFS_ABSENT || run->n_readings < MIN_READINGS ||
	    ns < (run->gauge_name == meter->battery_name ? MIN_BATTERY_NS : MIN_NS))
		return SYSFS_ABSENT;
	*name = run->gauge_name;
	return run->sum_uj < (double)MAX_UJ ? (int64_t)run->sum_uj : SYSFS_ABSENT;
}
