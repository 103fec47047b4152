/* vitals.c: thermal zones, cooling devices, cpufreq, power supplies. */
#include "vitals.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ENTRIES 256

/* ---- heat ---- */

/* Does a name hold one of the words, in any case?  NULL ends them. */
static int has_word(const char *name, const char *const *words)
{
	for (; *words; words++)
		for (const char *p = name; *p; p++) {
			size_t i = 0;

			while ((*words)[i] && tolower((unsigned char)p[i]) == (*words)[i])
				i++;
			if (!(*words)[i])
				return 1;
		}
	return 0;
}

/* As makers call zones: cpu-1-0-usr, mtktscpu, BIG, LITTLE, soc-thermal, bigcore0, x86_pkg_temp. */
static int is_cpu_name(const char *name)
{
	static const char *const yes[] = {"cpu", "soc", "pkg",    "package", "core",     "cluster",
					  "big", "mid", "little", "k10temp", "zenpower", NULL};
	static const char *const no[] = {"gpu", "batt", "modem", NULL};

	return has_word(name, yes) && !has_word(name, no);
}

/*
 * In 1/1000 degree; kernels of old phones give whole degrees.  What is off reads 0 or below; what is
 * between the two units is neither.  A Snapdragon's zones soc and socd are what is left in its battery
 * and what is gone, in percent.
 */
static int64_t read_temperature(const char *root, const char *folder, const char *file,
				const char *name)
{
	int64_t value = sysfs_number(1, 150000, "%s/sys/class/%s/%s", root, folder, file);

	if (value == SYSFS_ABSENT || (value > 150 && value < 1000) ||
	    (value <= 150 && (!strcmp(name, "soc") || !strcmp(name, "socd"))))
		return SYSFS_ABSENT;
	return value <= 150 ? 1000 * value : value;
}

static void add_zone(struct vitals_zone *zones, int *n, const char *name, int64_t temp_mc)
{
	struct vitals_zone *zone = &zones[*n];

	if (temp_mc == SYSFS_ABSENT || *n == VITALS_ZONES)
		return;
	snprintf(zone->name, sizeof(zone->name), "%s", *name ? name : "unnamed");
	zone->temp_mc = temp_mc;
	zone->is_cpu = is_cpu_name(zone->name);
	++*n;
}

static int compare_zones(const void *a, const void *b)
{
	const struct vitals_zone *x = a, *y = b;

	if (x->is_cpu != y->is_cpu)
		return y->is_cpu - x->is_cpu;
	if (x->temp_mc != y->temp_mc)
		return x->temp_mc > y->temp_mc ? -1 : 1;
	return strcmp(x->name, y->name);
}

int vitals_read_zones(const char *root, struct vitals_zone zones[VITALS_ZONES])
{
	static const char *const chips[] = {"coretemp", "k10temp", "zenpower", NULL};
	char names[MAX_ENTRIES][SYSFS_NAME], folder[SYSFS_NAME + 16], text[32];
	int n = 0,
	    n_names = sysfs_list(names, MAX_ENTRIES, root, "sys/class/thermal", "thermal_zone");

	for (int i = 0; i < n_names; i++) {
		snprintf(folder, sizeof(folder), "thermal/%.47s", names[i]);
		sysfs_text(text, sizeof(text), "%s/sys/class/%s/type", root, folder);
		add_zone(zones, &n, text, read_temperature(root, folder, "temp", text));
	}
	n_names = sysfs_list(names, MAX_ENTRIES, root, "sys/class/hwmon", "hwmon");
	for (int i = 0; i < n_names; i++) {
		snprintf(folder, sizeof(folder), "hwmon/%.47s", names[i]);
		sysfs_text(text, sizeof(text), "%s/sys/class/%s/name", root, folder);
		if (has_word(text, chips))
			add_zone(zones, &n, text,
				 read_temperature(root, folder, "temp1_input", text));
	}
	qsort(zones, (size_t)n, sizeof(*zones), compare_zones);
	return n;
}

int vitals_read_throttled(const char *root)
{
	/* thermal-cpufreq-0, cpu-hotplug3, Processor; not fans, screens, modems or chargers. */
	static const char *const words[] = {"cpu", "processor", NULL};
	char names[MAX_ENTRIES][SYSFS_NAME], type[32];
	int throttled = -1;
	int n = sysfs_list(names, MAX_ENTRIES, root, "sys/class/thermal", "cooling_device");

	for (int i = 0; i < n; i++) {
		int64_t state = sysfs_number(0, 1000000, "%s/sys/class/thermal/%s/cur_state", root,
					     names[i]);

		sysfs_text(type, sizeof(type), "%s/sys/class/thermal/%s/type", root, names[i]);
		if (state == SYSFS_ABSENT || !has_word(type, words))
			continue;
		if (throttled < 1)
			throttled = state > 0;
	}
	return throttled;
}

/* ---- frequencies ---- */

int64_t vitals_read_khz(const char *root, int cpu, const char *file)
{
	return sysfs_number(1000, 100000000, "%s/sys/devices/system/cpu/cpu%d/cpufreq/%s", root,
			    cpu, file);
}

size_t vitals_read_governor(const char *root, int cpu, char *text, size_t n_bytes)
{
	return sysfs_text(text, n_bytes, "%s/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor",
			  root, cpu);
}

/* ---- power ---- */

static int64_t read_supply(const char *root, const char *name, const char *file, int64_t min,
			   int64_t max)
{
	return sysfs_number(min, max, "%s/sys/class/power_supply/%s/%s", root, name, file);
}

/*
 * Some phones give the current in mA, against the kernel's rules.  A device that is awake draws more
 * than 5000 uA and less than 5000 mA, so a small number is one of those and is not believed.
 */
static int64_t find_draw(const char *root, const char *name, const struct vitals_battery *battery)
{
	int64_t power = read_supply(root, name, "power_now", -1000000000, 1000000000);
	int64_t current = battery->current_ua < 0 ? -battery->current_ua : battery->current_ua;

	if (strcmp(battery->status, "Discharging") != 0)
		return SYSFS_ABSENT;
	if (power != SYSFS_ABSENT && power != 0)
		return power < 0 ? -power : power;
	if (battery->current_ua == SYSFS_ABSENT || battery->voltage_uv == SYSFS_ABSENT ||
	    current < 5000)
		return SYSFS_ABSENT;
	return (int64_t)((double)current * (double)battery->voltage_uv * 1e-6);
}

int vitals_read_battery(const char *root, struct vitals_battery *battery)
{
	char names[MAX_ENTRIES][SYSFS_NAME], text[32];
	int n = sysfs_list(names, MAX_ENTRIES, root, "sys/class/power_supply", "");

	memset(battery, 0, sizeof(*battery));
	battery->percent = battery->current_ua = battery->voltage_uv = battery->draw_uw =
		SYSFS_ABSENT;
	for (int i = 0; i < n; i++) {
		const char *name = names[i];

		sysfs_text(text, sizeof(text), "%s/sys/class/power_supply/%s/type", root, name);
		if (strcmp(text, "Battery") != 0)
			continue;
		sysfs_text(text, sizeof(text), "%s/sys/class/power_supply/%s/scope", root, name);
		if (strcmp(text, "Device") == 0) /* of a mouse, say */
			continue;
		if (read_supply(root, name, "present", 0, 1) == 0)
			continue;
		sysfs_text(battery->status, sizeof(battery->status),
			   "%s/sys/class/power_supply/%s/status", root, name);
		battery->percent = read_supply(root, name, "capacity", 0, 100);
		battery->current_ua = read_supply(root, name, "current_now", -100000000, 100000000);
		battery->voltage_uv = read_supply(root, name, "voltage_now", 1000000, 1000000000);
		battery->draw_uw = find_draw(root, name, battery);
		snprintf(battery->name, sizeof(battery->name), "%.31s", name);
		for (char *p = battery->name; *p; p++)
			if (!isgraph((unsigned char)*p) || strchr("%:,=", *p))
				*p = '_';
		return 1;
	}
	return 0;
}

int vitals_is_charging(const struct vitals_battery *battery)
{
	static const char *const resting[] = {"Discharging", "Not_charging", "Full"};

	if (strcmp(battery->status, "Charging") == 0)
		return 1;
	for (size_t i = 0; i < sizeof(resting) / sizeof(*resting); i++)
		if (strcmp(battery->status, resting[i]) == 0)
			return 0;
	return -1;
}

int64_t vitals_read_paranoid(const char *root)
{
	return sysfs_number(-1, 100, "%s/proc/sys/kernel/perf_event_paranoid", root);
}

size_t vitals_read_boot_id(const char *root, char *text, size_t n_bytes)
{
	return sysfs_text(text, n_bytes, "%s/proc/sys/kernel/random/boot_id", root);
}
