/*
 * test_counters.c: an event that is listed counts, one that is not says why.
 *
 * Which events there are depends on the machine, so the test holds the list to its word instead
 * of expecting one.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/check.h"
#include "tuner/counters.h"

static const char *const hardware[] = {"cycles",    "instructions",    "l1d_misses",
				       "l2_misses", "llc_misses",      "dtlb_walks",
				       "stalls",    "frontend_stalls", "memory_stalls"};
static const char *const software[] = {"task_clock_ns", "context_switches", "page_faults",
				       "migrations"};

static volatile long sink;

static void work(long n)
{
	while (n-- > 0)
		sink = n;
}

static void touch_pages(size_t n_pages)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n_bytes = n_pages * page;
	volatile char *p =
		mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!CHECK(p != MAP_FAILED))
		return;
	madvise((void *)p, n_bytes, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < n_bytes; i += page)
		p[i] = 1;
	munmap((void *)p, n_bytes);
}

static int count_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* Counts n units of work; *value stays 0 when the counter was shared and refused. */
static int count_work(struct counters *counters, int event, long n, uint64_t *value)
{
	struct quern_error err = {""};

	if (!CHECK(counters_start(counters, event, &err) == 0))
		return -1;
	CHECK(counters_start(counters, event, &err) == -1);
	work(n);
	touch_pages((size_t)n / 100000);
	if (counters_stop(counters, value, &err) == 0)
		return 0;
	CHECK(err.text[0]);
	return -1;
}

/* Ten times the work counts more, for events that follow work at all. */
static void test_listed(struct counters *counters, int event)
{
	const char *name = counters_name(counters, event);
	uint64_t little = 0, much = 0;

	CHECK(counters_find(counters, name, NULL) == event);
	if (count_work(counters, event, 1000000, &little) < 0 ||
	    count_work(counters, event, 10000000, &much) < 0)
		return;
	if (strcmp(name, "cycles") == 0 || strcmp(name, "instructions") == 0) {
		CHECK(little >= 1000000 / 4);
		CHECK(much > 4 * little);
	}
	if (strcmp(name, "task_clock_ns") == 0)
		CHECK(little > 0 && much > 2 * little);
	if (strcmp(name, "page_faults") == 0)
		CHECK(little >= 10 && much >= 100 && much < 1000);
}

static int n_listed(struct counters *counters, const char *const *names, int n)
{
	struct quern_error err;
	int found = 0;

	for (int i = 0; i < n; i++) {
		err.text[0] = 0;
		if (counters_find(counters, names[i], &err) >= 0)
			found++;
		else
			CHECK(strstr(err.text, names[i]) &&
			      strlen(err.text) > strlen("event : ") + strlen(names[i]));
	}
	return found;
}

static void test_words(struct counters *counters)
{
	const char *source = counters_source(counters);
	int n_hardware = n_listed(counters, hardware, 9);
	int n_software = n_listed(counters, software, 4);
	struct quern_error err = {""};
	char why[900], cut[8];

	CHECK(counters_count(counters) == n_hardware + n_software);
	CHECK(strcmp(source, "papi") == 0 || strcmp(source, "perf") == 0 ||
	      strcmp(source, "none") == 0);
	CHECK((strcmp(source, "none") == 0) == (n_hardware == 0));
	counters_why(counters, why, sizeof(why));
	CHECK((n_hardware == 9) == (why[0] == 0));
	counters_why(counters, cut, sizeof(cut));
	CHECK(strlen(cut) < sizeof(cut) && strncmp(cut, why, strlen(cut)) == 0);
	CHECK(counters_find(counters, "no_such_event", &err) == -1 && err.text[0]);
	CHECK(counters_find(counters, "", &err) == -1);
}

/* ---- which PMU ---- */

static char root[128];

static void put(const char *pmu, const char *file, const char *text)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "mkdir -p %s/sys/bus/event_source/devices/%s", root, pmu);
	CHECK(system(path) == 0);
	snprintf(path, sizeof(path), "%s/sys/bus/event_source/devices/%s/%s", root, pmu, file);
	f = fopen(path, "w");
	if (!CHECK(f != NULL))
		return;
	fputs(text, f);
	fclose(f);
}

/* 3 + 4 + 1 cores with a PMU for each kind, beside PMUs of other things. */
static void test_pmus(void)
{
	static const int types[] = {10, 10, 10, 11, 11, 11, 11, 12, -1};
	char command[160];
	int n;

	snprintf(root, sizeof(root), "%s/quern-pmus-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!CHECK(mkdtemp(root) != NULL))
		return;
	CHECK(counters_find_pmu(root, 0, &n) == -1 && n == 0);
	put("software", "type", "1\n");
	put("armv9_cortex_a510", "type", "10\n");
	put("armv9_cortex_a510", "cpus", "0-2\n");
	put("armv8_pmuv3_1", "type", "11\n");
	put("armv8_pmuv3_1", "cpus", "3-6\n");
	put("armv9_cortex_x3", "type", "12\n");
	put("armv9_cortex_x3", "cpus", "7\n");
	put("arm_dsu_0", "type", "13\n");
	put("arm_dsu_0", "cpumask", "0\n");
	put("odd", "cpus", "0-\n");
	put("mute", "cpus", "40\n");
	put("mute", "type", "x\n");
	for (int cpu = 0; cpu < 9; cpu++)
		CHECK(counters_find_pmu(root, cpu, &n) == types[cpu] && n == 4);
	CHECK(counters_find_pmu(root, 40, &n) == -1);
	snprintf(command, sizeof(command), "rm -r %s", root);
	CHECK(system(command) == 0);
}

int main(void)
{
	struct counters *counters;
	struct quern_error err = {""};
	uint64_t value;
	int n_files;

	test_pmus();
	if (!CHECK(counters_open(&counters, &err) == 0))
		return check_exit();
	test_words(counters);
	CHECK(counters_stop(counters, &value, &err) == -1 && err.text[0]);
	n_files = count_files();
	for (int event = 0; event < counters_count(counters); event++)
		test_listed(counters, event);
	CHECK(count_files() == n_files);
	if (counters_count(counters) > 0) /* close stops what runs */
		CHECK(counters_start(counters, 0, &err) == 0);
	counters_close(counters);
	counters_close(NULL);
	return check_exit();
}
