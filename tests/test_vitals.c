/*
 * test_vitals.c: what is read of machines that are made of files: a phone, a server, a board, one that
 * lies, one that hides everything.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/scratch.h"
#include "tuner/meter.h"
#include "tuner/tell.h"

static char root[64];

static void start_machine(void)
{
	if (!CHECK(scratch_open(root)))
		exit(check_exit());
}

static void end_machine(void)
{
	scratch_remove_tree(root);
}

static void put(const char *path, const char *text)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	scratch_write_text(full, text);
}

/* A number of files at once: path, text, ..., NULL. */
static void put_all(const char *path, ...)
{
	va_list args;

	va_start(args, path);
	for (; path; path = va_arg(args, const char *))
		put(path, va_arg(args, const char *));
	va_end(args);
}

#define THERMAL "sys/class/thermal/"
#define SUPPLY "sys/class/power_supply/"
#define POWERCAP "sys/class/powercap/"
#define HWMON "sys/class/hwmon/"
#define CPU "sys/devices/system/cpu/"
#define PROC "proc/sys/kernel/"

static const char *tell(const struct qn_topology *topology, struct meter *meter, int is_doctor)
{
	static struct line_out out;

	memset(&out, 0, sizeof(out));
	if (is_doctor)
		tell_doctor(topology, meter, &out);
	else
		tell_vitals(topology, meter, &out);
	return out.text;
}

/* ---- a phone ---- */

static void put_phone(void)
{
	put_all(THERMAL "thermal_zone0/type", "battery\n", THERMAL "thermal_zone0/temp", "61000\n",
		THERMAL "thermal_zone1/type", "cpu-0-0-usr\n", THERMAL "thermal_zone1/temp",
		"43100\n", THERMAL "thermal_zone2/type", "cpu-1-0-usr\n",
		THERMAL "thermal_zone2/temp", "52300\n", THERMAL "thermal_zone3/type",
		"gpuss-0-usr\n", THERMAL "thermal_zone3/temp", "70000\n",
		THERMAL "thermal_zone4/type", "cpu-off\n", THERMAL "thermal_zone4/temp",
		"-273000\n", THERMAL "thermal_zone10/type", "old cpu\n",
		THERMAL "thermal_zone10/temp", "38\n", THERMAL "thermal_zone11/type", "soc\n",
		THERMAL "thermal_zone11/temp", "87\n", THERMAL "thermal_zone12/type", "socd\n",
		THERMAL "thermal_zone12/temp", "93\n", THERMAL "cooling_device0/type",
		"thermal-cpufreq-0\n", THERMAL "cooling_device0/cur_state", "0\n",
		THERMAL "cooling_device1/type", "panel0-backlight\n",
		THERMAL "cooling_device1/cur_state", "3\n", NULL);
	put_all(SUPPLY "usb/type", "USB\n", SUPPLY "mouse/type", "Battery\n", SUPPLY "mouse/scope",
		"Device\n", SUPPLY "mouse/status", "Charging\n", SUPPLY "main/type", "Battery\n",
		SUPPLY "main/status", "Discharging\n", SUPPLY "main/capacity", "87\n",
		SUPPLY "main/current_now", "-450000\n", SUPPLY "main/voltage_now", "4000000\n",
		NULL);
	for (int cpu = 0; cpu < 2; cpu++) {
		char path[128];

		snprintf(path, sizeof(path), CPU "cpu%d/cpufreq/scaling_governor", cpu);
		put(path, cpu ? "walt\n" : "schedutil\n");
		snprintf(path, sizeof(path), CPU "cpu%d/cpufreq/cpuinfo_max_freq", cpu);
		put(path, cpu ? "2800000\n" : "1800000\n");
		snprintf(path, sizeof(path), CPU "cpu%d/cpufreq/cpuinfo_min_freq", cpu);
		put(path, "300000\n");
		snprintf(path, sizeof(path), CPU "cpu%d/cpufreq/scaling_max_freq", cpu);
		put(path, cpu ? "2000000\n" : "1800000\n");
		snprintf(path, sizeof(path), CPU "cpu%d/cpufreq/scaling_cur_freq", cpu);
		put(path, cpu ? "1900000\n" : "998400\n");
	}
	put_all(CPU "online", "0-1\n", PROC "perf_event_paranoid", "3\n", PROC "random/boot_id",
		"6f1c\n", NULL);
}

static void test_phone(void)
{
	struct vitals_zone zones[VITALS_ZONES];
	struct vitals_battery battery;
	struct qn_topology topology;
	struct meter meter;
	const char *name;

	start_machine();
	put_phone();
	CHECK(vitals_read_zones(root, zones) == 5);
	CHECK(!strcmp(zones[0].name, "cpu-1-0-usr") && zones[0].temp_mc == 52300);
	CHECK(zones[1].temp_mc == 43100 && zones[1].is_cpu);
	CHECK(!strcmp(zones[2].name, "old_cpu") && zones[2].temp_mc == 38000);
	CHECK(!strcmp(zones[3].name, "gpuss-0-usr") && !zones[3].is_cpu);
	CHECK(vitals_read_throttled(root) == 0);
	CHECK(vitals_read_battery(root, &battery) == 1 && !strcmp(battery.name, "main"));
	CHECK(battery.percent == 87 && battery.draw_uw == 1800000);
	CHECK(vitals_is_charging(&battery) == 0);
	meter_open(&meter, root);
	CHECK(meter_read_energy(&meter) == SYSFS_ABSENT);
	CHECK(meter_read_power(&meter, &name) == 1800000 && !strcmp(name, "main"));
	qn_topology_read_from(root, &topology);
	CHECK_SAYS(
		tell(&topology, &meter, 0),
		" temp_mc=52300 zone=cpu-1-0-usr throttled=0 charging=0 khz0=1900000 khz1=998400 "
		"energy_uj=- power_uw=1800000 source=main");
	CHECK_SAYS(tell(&topology, &meter, 1),
		   " governor0=walt min_khz0=300000 limit_khz0=2000000 cur_khz0=1900000 "
		   "governor1=schedutil min_khz1=300000 ");
	CHECK_SAYS(tell(&topology, &meter, 1), " paranoid=3 allowed=0-1 page_bytes=");
	CHECK_SAYS(tell(&topology, &meter, 1),
		   " boot=6f1c battery=main:Discharging:87 sensors=main "
		   "zones=cpu-1-0-usr:52300,cpu-0-0-usr:43100,old_cpu:38000,gpuss-0-usr:70000,");

	put(THERMAL "cooling_device0/cur_state", "2\n");
	CHECK(vitals_read_throttled(root) == 1);
	put(SUPPLY "main/status", "Charging\n");
	CHECK(vitals_read_battery(root, &battery) == 1 && vitals_is_charging(&battery) == 1);
	CHECK(battery.draw_uw == SYSFS_ABSENT && battery.current_ua == -450000);
	CHECK(meter_read_power(&meter, &name) == SYSFS_ABSENT);
	put(SUPPLY "main/status", "Not charging\n");
	CHECK(vitals_read_battery(root, &battery) == 1 && vitals_is_charging(&battery) == 0);
	put(SUPPLY "main/status", "Discharging\n");
	put(SUPPLY "main/current_now", "-450\n"); /* in mA */
	CHECK(vitals_read_battery(root, &battery) == 1 && battery.draw_uw == SYSFS_ABSENT);
	put(SUPPLY "main/power_now", "2500000\n");
	CHECK(vitals_read_battery(root, &battery) == 1 && battery.draw_uw == 2500000);
	put(SUPPLY "main/present", "0\n");
	CHECK(vitals_read_battery(root, &battery) == 0 && vitals_is_charging(&battery) == -1);
	end_machine();
}

/* ---- a server ---- */

static void put_server(void)
{
	put_all(POWERCAP "intel-rapl/enabled", "1\n", POWERCAP "intel-rapl:0/name", "package-0\n",
		POWERCAP "intel-rapl:0/energy_uj", "1000\n",
		POWERCAP "intel-rapl:0/max_energy_range_uj", "262143328850\n",
		POWERCAP "intel-rapl:0:0/name", "core\n", POWERCAP "intel-rapl:0:0/energy_uj",
		"77\n", POWERCAP "intel-rapl:1/name", "package-1\n",
		POWERCAP "intel-rapl:1/energy_uj", "262143328000\n",
		POWERCAP "intel-rapl:1/max_energy_range_uj", "262143328850\n",
		POWERCAP "intel-rapl:2/name", "psys\n", POWERCAP "intel-rapl:2/energy_uj", "9\n",
		POWERCAP "intel-rapl-mmio:0/name", "package-0\n",
		POWERCAP "intel-rapl-mmio:0/energy_uj", "500\n", NULL);
	put_all(HWMON "hwmon0/name", "coretemp\n", HWMON "hwmon0/temp1_input", "48000\n",
		HWMON "hwmon1/name", "nvme\n", HWMON "hwmon1/temp1_input", "60000\n",
		HWMON "hwmon2/name", "amdgpu\n", HWMON "hwmon2/power1_average", "9000000\n", NULL);
}

static void test_server(void)
{
	struct vitals_zone zones[VITALS_ZONES];
	struct meter meter;
	const char *name;

	start_machine();
	put_server();
	CHECK(vitals_read_zones(root, zones) == 1);
	CHECK(!strcmp(zones[0].name, "coretemp") && zones[0].temp_mc == 48000);
	meter_open(&meter, root);
	CHECK(meter.n_counters == 2 && !strcmp(meter.counter_name, "package-0+package-1"));
	CHECK(!strcmp(meter.sensors, "package-0,package-1"));
	CHECK(meter_read_energy(&meter) == 0);
	CHECK(meter_read_power(&meter, &name) == SYSFS_ABSENT);
	put(POWERCAP "intel-rapl-mmio:0/energy_uj",
	    "700\n"); /* which it comes from is its own choice */
	put(POWERCAP "intel-rapl:0/energy_uj", "1200\n");
	CHECK(meter_read_energy(&meter) == 200);
	put(POWERCAP "intel-rapl:1/energy_uj", "150\n"); /* begins again */
	CHECK(meter_read_energy(&meter) == 200 + 850 + 150);
	put(POWERCAP "intel-rapl:1/energy_uj", "-5\n");
	CHECK(meter_read_energy(&meter) == SYSFS_ABSENT);
	put(POWERCAP "intel-rapl:1/energy_uj", "250\n");
	CHECK(meter_read_energy(&meter) == 1300);
	end_machine();
}

/* Counters that only root may read. */
static void test_denied(void)
{
	char path[128];
	struct meter meter;

	if (geteuid() == 0) /* who may read everything */
		return;
	start_machine();
	put(POWERCAP "intel-rapl:0/name", "package-0\n");
	put(POWERCAP "intel-rapl:0/energy_uj", "1\n");
	snprintf(path, sizeof(path), "%s/" POWERCAP "intel-rapl:0/energy_uj", root);
	chmod(path, 0);
	meter_open(&meter, root);
	CHECK(meter.n_counters == 0 && !strcmp(meter.sensors, "package-0:denied"));
	end_machine();
}

/* ---- a board ---- */

static void test_board(void)
{
	struct meter meter;
	const char *name;

	start_machine();
	put_all(HWMON "hwmon0/name", "ina226\n", HWMON "hwmon0/power1_input", "800000\n",
		HWMON "hwmon0/power1_label", "VDD_GPU\n", HWMON "hwmon0/power2_input", "4000000\n",
		HWMON "hwmon0/power2_label", "VDD_IN\n", HWMON "hwmon0/power3_input", "900000\n",
		HWMON "hwmon0/power3_label", "VDD_CPU\n", HWMON "hwmon1/name", "bat\n",
		HWMON "hwmon1/device/type", "Battery\n", HWMON "hwmon1/power1_label", "sys\n",
		HWMON "hwmon1/power1_input", "7\n", NULL);
	meter_open(&meter, root);
	CHECK(meter_read_power(&meter, &name) == 4000000 && !strcmp(name, "ina226.VDD_IN"));
	CHECK(meter_read_energy(&meter) == SYSFS_ABSENT);
	CHECK(!strcmp(meter.sensors, "ina226.VDD_GPU,ina226.VDD_IN,ina226.VDD_CPU"));

	put_all(HWMON "hwmon2/name", "scmi_sensors\n", HWMON "hwmon2/energy1_input", "5000\n",
		HWMON "hwmon2/energy2_input", "6000\n", HWMON "hwmon2/energy2_label", "soc\n",
		NULL);
	meter_open(&meter, root);
	CHECK(!strcmp(meter.counter_name, "scmi_sensors.soc"));
	put(HWMON "hwmon2/energy2_input", "7000\n");
	CHECK(meter_read_energy(&meter) == 1000);
	put(HWMON "hwmon2/energy2_input", "300\n"); /* was reset */
	CHECK(meter_read_energy(&meter) == 1300);
	end_machine();
}

/* ---- energy over a time ---- */

#define SECOND 1000000000ll

/* From a gauge of 2 W, read so often: what is told of that time. */
static int64_t run_gauge(struct meter *meter, int64_t total_ns, int64_t step_ns, const char **name)
{
	struct meter_run run;
	int64_t now = 5 * SECOND;

	meter_start(&run, meter, now);
	for (int64_t end = now + total_ns; now + step_ns < end; meter_note(&run, now))
		now += step_ns;
	return meter_stop(&run, 5 * SECOND + total_ns, name);
}

static void test_gauges(void)
{
	struct meter_run run;
	struct meter meter;
	const char *name;

	start_machine();
	put_all(SUPPLY "main/type", "Battery\n", SUPPLY "main/status", "Discharging\n",
		SUPPLY "main/current_now", "500000\n", SUPPLY "main/voltage_now", "4000000\n",
		NULL);
	meter_open(&meter, root);
	CHECK(run_gauge(&meter, 20 * SECOND, SECOND / 100, &name) == 40000000);
	CHECK(!strcmp(name, "main"));
	CHECK(run_gauge(&meter, 10 * SECOND, SECOND / 10, &name) == 20000000);
	CHECK(run_gauge(&meter, 9 * SECOND, SECOND / 100, &name) == SYSFS_ABSENT && !*name);
	CHECK(run_gauge(&meter, 20 * SECOND, 4 * SECOND, &name) == SYSFS_ABSENT); /* too few */

	/* Unplugged for a part of the time. */
	meter_start(&run, &meter, 0);
	for (int64_t now = 0; now < 20 * SECOND; now += SECOND / 10) {
		if (now == 7 * SECOND)
			put(SUPPLY "main/status", "Charging\n");
		if (now == 8 * SECOND)
			put(SUPPLY "main/status", "Discharging\n");
		meter_note(&run, now);
	}
	CHECK(meter_stop(&run, 20 * SECOND, &name) == SYSFS_ABSENT);

	put_all(HWMON "hwmon0/name", "ina\n", HWMON "hwmon0/power1_input", "3000000\n", NULL);
	meter_open(&meter, root);
	CHECK(run_gauge(&meter, SECOND, SECOND / 50, &name) == 3000000);
	CHECK(!strcmp(name, "ina.power1"));
	CHECK(run_gauge(&meter, SECOND - 1, SECOND / 50, &name) == SYSFS_ABSENT);
	end_machine();
}

static void test_counters(void)
{
	struct meter_run run;
	struct meter meter;
	const char *name;

	start_machine();
	put_server();
	meter_open(&meter, root);
	meter_start(&run, &meter, 0);
	put(POWERCAP "intel-rapl:0/energy_uj", "5001000\n");
	put(POWERCAP "intel-rapl-mmio:0/energy_uj", "5000500\n");
	CHECK(meter_stop(&run, SECOND, &name) == 5000000);
	CHECK(!strcmp(name, "package-0+package-1"));
	meter_start(&run, &meter, 0);
	CHECK(meter_stop(&run, SECOND, &name) == SYSFS_ABSENT); /* it stands still */
	meter_start(&run, &meter, 0);
	put(POWERCAP "intel-rapl:1/energy_uj", "262143328800\n");
	CHECK(meter_stop(&run, SECOND / 2, &name) == SYSFS_ABSENT && !*name);
	meter_start(&run, &meter, 0);
	put(POWERCAP "intel-rapl:1/energy_uj", "oops\n");
	meter_note(&run, SECOND);
	put(POWERCAP "intel-rapl:1/energy_uj", "262143328840\n");
	CHECK(meter_stop(&run, 2 * SECOND, &name) == SYSFS_ABSENT);
	end_machine();
}

/* ---- what no kernel would say ---- */

static void test_garbage(void)
{
	static const char *const texts[] = {"",
					    "\n",
					    "-",
					    "oops",
					    "12x",
					    "1 2",
					    "0x10",
					    "1e9",
					    "99999999999999999999999999",
					    "-99999999999999999999999999",
					    "9223372036854775807",
					    "-9223372036854775808",
					    "\xff\xfe=,%:\n",
					    "0",
					    "-1"};
	static const char *const files[] = {THERMAL "thermal_zone0/temp",
					    THERMAL "thermal_zone0/type",
					    THERMAL "cooling_device0/type",
					    THERMAL "cooling_device0/cur_state",
					    SUPPLY "main/status",
					    SUPPLY "main/capacity",
					    SUPPLY "main/current_now",
					    SUPPLY "main/voltage_now",
					    SUPPLY "main/power_now",
					    POWERCAP "intel-rapl:0/energy_uj",
					    POWERCAP "intel-rapl:0/max_energy_range_uj",
					    HWMON "hwmon0/name",
					    HWMON "hwmon0/energy1_input",
					    HWMON "hwmon0/energy1_label",
					    HWMON "hwmon0/power1_input",
					    CPU "cpu0/cpufreq/scaling_governor",
					    CPU "cpu0/cpufreq/scaling_cur_freq",
					    PROC "perf_event_paranoid",
					    PROC "random/boot_id"};
	static char huge[1 << 20];
	struct qn_topology topology;
	struct meter meter;

	start_machine();
	memset(huge, '7', sizeof(huge) - 1);
	put_all(SUPPLY "main/type", "Battery\n", POWERCAP "intel-rapl:0/name", "package-0\n",
		POWERCAP "plain/name", "package-9\n", NULL);
	for (size_t i = 0; i <= sizeof(texts) / sizeof(*texts); i++) {
		const char *text = i < sizeof(texts) / sizeof(*texts) ? texts[i] : huge;

		for (size_t j = 0; j < sizeof(files) / sizeof(*files); j++)
			put(files[j], text);
		meter_open(&meter, root);
		qn_topology_read_from(root, &topology);
		CHECK_SAYS(tell(&topology, &meter, 0), " temp_mc=- zone=- throttled=- charging=- ");
		CHECK_SAYS(tell(&topology, &meter, 0), " khz0=- ");
		CHECK(strlen(tell(&topology, &meter, 1)) < PROBE_LINE - 64);
		CHECK(!strchr(tell(&topology, &meter, 1), '%'));
		for (const char *p = tell(&topology, &meter, 1); *p; p++)
			if (!CHECK(*p >= 0x20 && *p < 0x7f && strncmp(p, "  ", 2) != 0))
				break;
	}
	end_machine();
}

/* More zones than fit, all with long names; a folder where a file should be. */
static void test_crowd(void)
{
	struct vitals_zone zones[VITALS_ZONES];
	struct qn_topology topology;
	struct meter meter;
	const char *text;

	start_machine();
	for (int i = 0; i < 200; i++) {
		char path[96], name[96];

		snprintf(path, sizeof(path), THERMAL "thermal_zone%d/type", i);
		snprintf(name, sizeof(name), "a-rather-long-name-of-a-cpu-zone-number-%d\n", i);
		put(path, name);
		snprintf(path, sizeof(path), THERMAL "thermal_zone%d/temp", i);
		put(path, "45000\n");
	}
	put(THERMAL "thermal_zone300/temp/file", "1");
	CHECK(vitals_read_zones(root, zones) == VITALS_ZONES);
	meter_open(&meter, root);
	qn_topology_read_from(root, &topology);
	text = tell(&topology, &meter, 1);
	CHECK(strlen(text) < PROBE_LINE - 64);
	CHECK(!strcmp(text + strlen(text) - 6, ":45000"));
	end_machine();
}

static void test_nothing(void)
{
	struct qn_topology topology;
	struct meter meter;
	const char *name;

	start_machine();
	meter_open(&meter, root);
	qn_topology_read_from(root, &topology);
	CHECK(!strcmp(tell(&topology, &meter, 0),
		      " temp_mc=- zone=- throttled=- charging=- khz0=- energy_uj=- power_uw=- "
		      "source=-"));
	CHECK_SAYS(tell(&topology, &meter, 1),
		   " governor0=- min_khz0=- limit_khz0=- cur_khz0=- clock_ns=");
	CHECK_SAYS(tell(&topology, &meter, 1), " paranoid=- allowed=0 page_bytes=");
	CHECK_SAYS(tell(&topology, &meter, 1), " boot=- battery=- sensors=- zones=-");
	CHECK(run_gauge(&meter, 20 * SECOND, SECOND / 10, &name) == SYSFS_ABSENT);
	end_machine();
}

int main(void)
{
	test_phone();
	test_server();
	test_denied();
	test_board();
	test_gauges();
	test_counters();
	test_garbage();
	test_crowd();
	test_nothing();
	return check_exit();
}
