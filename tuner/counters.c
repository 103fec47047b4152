/*
 * counters.c: a table of events, and two ways of counting one.
 *
 * On AArch64 the events are PMUv3's numbers on the PMU of the core we stand on: the kernel's
 * generic events bind to whichever PMU was registered first, and its generic "cache misses" are
 * L1 refills.
 */
#include "counters.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef HAVE_PAPI
#include <papi.h>
#endif

#include "clock.h"
#include "exercise.h"
#include "runtime/error.h"
#include "runtime/topology.h"

#define READ_MISSES(cache) \
	(PERF_COUNT_HW_CACHE_##cache | PERF_COUNT_HW_CACHE_OP_READ << 8 | \
	 PERF_COUNT_HW_CACHE_RESULT_MISS << 16)

/* For perf_event, where PMUv3 is not there: it has no name for the event that means the same on all. */
#define NO_TYPE UINT32_MAX

#define MAX_EVENTS 16

struct event {
	const char *name;
	const char *papi[2]; /* names to try in this order */
	uint32_t type;       /* of struct perf_event_attr */
	uint64_t config;
	uint64_t pmuv3; /* AArch64 */
	const struct exercise *exercise;
};

enum source { ABSENT, PERF, PAPI };

struct counters {
	struct {
		enum source source;
		const char *papi_name;
		char why[120];
	} state[MAX_EVENTS];    /* by index into events */
	int listed[MAX_EVENTS]; /* the events that passed */
	int n_listed;
	int has_papi;
	int papi_set;
	int fd; /* of the running event, or -1 */
	enum source running;
	void *memory; /* of the exercises */
};

/* ---- events ---- */

/*
 * llc_misses: never perf's generic "cache misses", which are misses of the L2 on Zen and of the L1
 * on Arm.  PMUv3: CPU_CYCLES, INST_RETIRED, L1D_CACHE_REFILL, L2D_CACHE_REFILL, LL_CACHE_MISS_RD,
 * DTLB_WALK, STALL_BACKEND, STALL_FRONTEND, STALL_BACKEND_MEM (of Armv8.6; older cores count nothing
 * and fail the test).
 */
static const struct event events[] = {
	{"cycles",
	 {"PAPI_TOT_CYC", "perf::CYCLES"},
	 PERF_TYPE_HARDWARE,
	 PERF_COUNT_HW_CPU_CYCLES,
	 0x11,
	 &exercise_cycles},
	{"instructions",
	 {"PAPI_TOT_INS", "perf::INSTRUCTIONS"},
	 PERF_TYPE_HARDWARE,
	 PERF_COUNT_HW_INSTRUCTIONS,
	 0x08,
	 &exercise_instructions},
	{"l1d_misses",
	 {"PAPI_L1_DCM", "perf::L1-DCACHE-LOAD-MISSES"},
	 PERF_TYPE_HW_CACHE,
	 READ_MISSES(L1D),
	 0x03,
	 &exercise_misses},
	{"l2_misses", {"PAPI_L2_DCM", "PAPI_L2_TCM"}, NO_TYPE, 0, 0x17, &exercise_misses},
	{"llc_misses",
	 {"PAPI_L3_TCM", "perf::LLC-LOAD-MISSES"},
	 PERF_TYPE_HW_CACHE,
	 READ_MISSES(LL),
	 0x37,
	 &exercise_misses},
	{"dtlb_walks",
	 {"PAPI_TLB_DM", "perf::DTLB-LOAD-MISSES"},
	 PERF_TYPE_HW_CACHE,
	 READ_MISSES(DTLB),
	 0x34,
	 &exercise_walks},
	{"stalls",
	 {"PAPI_RES_STL", "perf::STALLED-CYCLES-BACKEND"},
	 PERF_TYPE_HARDWARE,
	 PERF_COUNT_HW_STALLED_CYCLES_BACKEND,
	 0x24,
	 &exercise_stalls},
	{"frontend_stalls",
	 {"PAPI_STL_ICY", "perf::STALLED-CYCLES-FRONTEND"},
	 PERF_TYPE_HARDWARE,
	 PERF_COUNT_HW_STALLED_CYCLES_FRONTEND,
	 0x23,
	 &exercise_mistakes},
	{"memory_stalls",
	 {"PAPI_MEM_SCY", "CYCLE_ACTIVITY:STALLS_MEM_ANY"},
	 NO_TYPE,
	 0,
	 0x4005,
	 &exercise_stalls},
	{"task_clock_ns",
	 {NULL, NULL},
	 PERF_TYPE_SOFTWARE,
	 PERF_COUNT_SW_TASK_CLOCK,
	 0,
	 &exercise_spin},
	{"context_switches",
	 {NULL, NULL},
	 PERF_TYPE_SOFTWARE,
	 PERF_COUNT_SW_CONTEXT_SWITCHES,
	 0,
	 &exercise_naps},
	{"page_faults",
	 {NULL, NULL},
	 PERF_TYPE_SOFTWARE,
	 PERF_COUNT_SW_PAGE_FAULTS,
	 0,
	 &exercise_faults},
	{"migrations",
	 {NULL, NULL},
	 PERF_TYPE_SOFTWARE,
	 PERF_COUNT_SW_CPU_MIGRATIONS,
	 0,
	 &exercise_moves},
};

#define N_EVENTS ((int)(sizeof(events) / sizeof(events[0])))

_Static_assert(sizeof(events) / sizeof(events[0]) <= MAX_EVENTS, "events and their state");

static int is_hardware(int i)
{
	return events[i].type != PERF_TYPE_SOFTWARE;
}

/* ---- perf_event ---- */

static int read_text(const char *folder, const char *name, const char *file, char *text, int n)
{
	char path[384];
	FILE *f;
	int ok;

	snprintf(path, sizeof(path), "%s/%s/%s", folder, name, file);
	f = fopen(path, "re");
	if (!f)
		return -1;
	ok = fgets(text, n, f) != NULL;
	fclose(f);
	text[ok ? strcspn(text, "\n") : 0] = 0;
	return ok ? 0 : -1;
}

int counters_find_pmu(const char *root, int cpu, int *n_pmus)
{
	char folder[256];
	DIR *dir;
	int found = -1;

	snprintf(folder, sizeof(folder), "%s/sys/bus/event_source/devices", root);
	dir = opendir(folder);
	*n_pmus = 0;
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		char text[1024];
		int cpus[QN_MAX_CPUS], n;

		/* Those of caches and interconnects have "cpumask" instead. */
		if (read_text(folder, entry->d_name, "cpus", text, sizeof(text)) < 0)
			continue;
		n = qn_topology_parse_cpus(text, cpus, QN_MAX_CPUS);
		*n_pmus += n > 0;
		for (int i = 0; i < n; i++)
			if (cpus[i] == cpu &&
			    read_text(folder, entry->d_name, "type", text, sizeof(text)) == 0 &&
			    *text >= '0' && *text <= '9')
				found = atoi(text);
	}
	if (dir)
		closedir(dir);
	return found;
}

static void fill_attr(const struct event *event, struct perf_event_attr *attr)
{
	int pmu, n_pmus;

	memset(attr, 0, sizeof(*attr));
	attr->size = sizeof(*attr);
	attr->type = event->type;
	attr->config = event->config;
	attr->disabled = 1;
	attr->exclude_hv = 1;
	attr->read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
	if (event->type == PERF_TYPE_SOFTWARE)
		return;
	attr->exclude_kernel = 1;
	pmu = counters_find_pmu("", sched_getcpu(), &n_pmus);
#if defined(__aarch64__)
	attr->type = pmu >= 0 ? (uint32_t)pmu : PERF_TYPE_RAW;
	attr->config = event->pmuv3;
#else
	if (pmu >= 0) /* several kinds of cores: PERF_PMU_TYPE_SHIFT is 32 */
		attr->config |= (uint64_t)pmu << 32;
#endif
}

static int explain_refusal(int code, struct quern_error *err)
{
	char level[16] = "unknown";

	switch (code) {
	case ENOENT:
	case ENODEV:
	case EOPNOTSUPP:
		return qn_error_set(err, "the kernel offers no such counter (a machine without "
					 "a PMU, or a virtual one)");
	case EACCES:
	case EPERM:
		read_text("/proc/sys", "kernel", "perf_event_paranoid", level, sizeof(level));
		return qn_error_set(err, "not permitted (perf_event_paranoid is %s)", level);
	case ENOSYS:
		return qn_error_set(err, "the kernel, or an emulator in front of it, has no "
					 "perf_event_open");
	default: return qn_error_set(err, "perf_event_open: %s", strerror(code));
	}
}

static int open_perf(struct perf_event_attr *attr)
{
	return (int)syscall(SYS_perf_event_open, attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static int start_perf(struct counters *counters, int i, struct quern_error *err)
{
	struct perf_event_attr attr;

	fill_attr(&events[i], &attr);
	if (attr.type == NO_TYPE)
		return qn_error_set(err, "perf_event has no name for it on this architecture");
	counters->fd = open_perf(&attr);
	if (counters->fd < 0 && (errno == EACCES || errno == EPERM) && !attr.exclude_kernel) {
		attr.exclude_kernel = 1;
		counters->fd = open_perf(&attr);
	}
	if (counters->fd < 0 || ioctl(counters->fd, PERF_EVENT_IOC_ENABLE, 0) != 0) {
		explain_refusal(errno, err);
		if (counters->fd >= 0)
			close(counters->fd);
		counters->fd = -1;
		return -1;
	}
	return 0;
}

static int stop_perf(struct counters *counters, uint64_t *value, struct quern_error *err)
{
	uint64_t got[3]; /* value, ns enabled, ns running */
	ssize_t n;

	ioctl(counters->fd, PERF_EVENT_IOC_DISABLE, 0);
	n = read(counters->fd, got, sizeof(got));
	close(counters->fd);
	counters->fd = -1;
	if (n != sizeof(got))
		return qn_error_set(err, "the counter cannot be read");
	/* Shared, or the thread was on a kind of core that this PMU does not count? */
	if ((double)got[2] < 0.99 * (double)got[1] || got[2] == 0)
		return qn_error_set(err, "the counter ran for %.0f %% of the time only",
				    got[1] ? 100.0 * (double)got[2] / (double)got[1] : 0.0);
	*value = got[0];
	return 0;
}

/* ---- PAPI ---- */

#ifdef HAVE_PAPI

static int refuse_papi(struct counters *counters, const char *name, int code,
		       struct quern_error *err)
{
	const char *text = PAPI_strerror(code);

	if (counters->papi_set != PAPI_NULL) {
		PAPI_cleanup_eventset(counters->papi_set);
		PAPI_destroy_eventset(&counters->papi_set);
	}
	return qn_error_set(err, "%s: %s", name, text ? text : "PAPI failed");
}

static void open_papi(struct counters *counters)
{
	int n_pmus;

	/* PAPI 7.0.0 would count one kind of core only, and would not tell. */
	counters_find_pmu("", 0, &n_pmus);
	counters->papi_set = PAPI_NULL;
	counters->has_papi = n_pmus <= 1 && PAPI_library_init(PAPI_VER_CURRENT) == PAPI_VER_CURRENT;
}

static void close_papi(struct counters *counters)
{
	if (counters->has_papi)
		PAPI_shutdown();
}

static int start_papi(struct counters *counters, const char *name, struct quern_error *err)
{
	int code = PAPI_create_eventset(&counters->papi_set);

	if (code == PAPI_OK)
		code = PAPI_add_named_event(counters->papi_set, name);
	if (code == PAPI_OK)
		code = PAPI_start(counters->papi_set);
	return code == PAPI_OK ? 0 : refuse_papi(counters, name, code, err);
}

static int stop_papi(struct counters *counters, uint64_t *value, struct quern_error *err)
{
	long long got = 0;
	int code = PAPI_stop(counters->papi_set, &got);

	if (code != PAPI_OK)
		return refuse_papi(counters, "PAPI_stop", code, err);
	PAPI_cleanup_eventset(counters->papi_set);
	PAPI_destroy_eventset(&counters->papi_set);
	*value = (uint64_t)got;
	return 0;
}

#else

static void open_papi(struct counters *counters)
{
	counters->has_papi = 0;
}

static void close_papi(struct counters *counters)
{
	(void)counters;
}

static int start_papi(struct counters *counters, const char *name, struct quern_error *err)
{
	(void)counters;
	return qn_error_set(err, "%s: built without PAPI", name);
}

static int stop_papi(struct counters *counters, uint64_t *value, struct quern_error *err)
{
	(void)counters;
	(void)value;
	return qn_error_set(err, "built without PAPI");
}

#endif

/* ---- both ---- */

static int start_event(struct counters *counters, int i, struct quern_error *err)
{
	int result = counters->state[i].source == PAPI
			     ? start_papi(counters, counters->state[i].papi_name, err)
			     : start_perf(counters, i, err);

	counters->running = result == 0 ? counters->state[i].source : ABSENT;
	return result;
}

int counters_stop(struct counters *counters, uint64_t *value, struct quern_error *err)
{
	enum source source = counters->running;

	counters->running = ABSENT;
	if (source == ABSENT)
		return qn_error_set(err, "no counter is running");
	return source == PAPI ? stop_papi(counters, value, err) : stop_perf(counters, value, err);
}

static int test_event(struct counters *counters, int i, struct quern_error *err)
{
	const struct exercise *exercise = events[i].exercise;
	double low, high;
	uint64_t value = 0;
	int64_t ns;
	int result;

	if (start_event(counters, i, err) < 0)
		return -1;
	if (exercise->set_up) { /* again, without the set-up */
		counters_stop(counters, &value, NULL);
		exercise->set_up(&counters->memory);
		if (start_event(counters, i, err) < 0)
			return -1;
	}
	ns = clock_read_ns();
	result = exercise->run(&counters->memory, err);
	ns = clock_read_ns() - ns;
	if (counters_stop(counters, &value, result < 0 ? NULL : err) < 0 || result < 0)
		return -1;
	low = exercise->low + exercise->low_per_ns * (double)ns;
	high = exercise->high + exercise->high_per_ns * (double)ns;
	if ((double)value < low || (double)value > high)
		return qn_error_set(err, "counted %llu where %.0f to %.0f are plausible",
				    (unsigned long long)value, low, high);
	return 0;
}

/* Leaves the source that passed, or none and the reason of the last one. */
static void pick_source(struct counters *counters, int i)
{
	struct quern_error err;

	counters->state[i].source = PAPI;
	for (int n = 0; n < 2 && counters->has_papi && events[i].papi[n]; n++) {
		counters->state[i].papi_name = events[i].papi[n];
		if (test_event(counters, i, &err) == 0)
			return;
	}
	counters->state[i].source = PERF;
	if (test_event(counters, i, &err) == 0)
		return;
	counters->state[i].source = ABSENT;
	snprintf(counters->state[i].why, sizeof(counters->state[i].why), "%.*s",
		 (int)sizeof(counters->state[i].why) - 1, err.text);
}

int counters_open(struct counters **counters, struct quern_error *err)
{
	struct counters *c = calloc(1, sizeof(*c));

	if (!c)
		return qn_error_set(err, "out of memory");
	c->fd = -1;
	open_papi(c);
	for (int i = 0; i < N_EVENTS; i++) {
		pick_source(c, i);
		if (c->state[i].source != ABSENT)
			c->listed[c->n_listed++] = i;
	}
	free(c->memory);
	c->memory = NULL;
	*counters = c;
	return 0;
}

void counters_close(struct counters *counters)
{
	uint64_t value;

	if (!counters)
		return;
	counters_stop(counters, &value, NULL);
	close_papi(counters);
	free(counters->memory);
	free(counters);
}

int counters_count(const struct counters *counters)
{
	return counters->n_listed;
}

const char *counters_name(const struct counters *counters, int index)
{
	return events[counters->listed[index]].name;
}

int counters_find(const struct counters *counters, const char *name, struct quern_error *err)
{
	for (int index = 0; index < counters->n_listed; index++)
		if (strcmp(counters_name(counters, index), name) == 0)
			return index;
	for (int i = 0; i < N_EVENTS; i++)
		if (strcmp(events[i].name, name) == 0)
			return qn_error_set(err, "event %s: %s", name, counters->state[i].why);
	return qn_error_set(err, "event %.40s: not known", name);
}

int counters_start(struct counters *counters, int index, struct quern_error *err)
{
	if (counters->running != ABSENT)
		return qn_error_set(err, "a counter is running already");
	return start_event(counters, counters->listed[index], err);
}

const char *counters_source(const struct counters *counters)
{
	for (int i = 0; i < N_EVENTS; i++)
		if (is_hardware(i) && counters->state[i].source != ABSENT)
			return counters->state[i].source == PAPI ? "papi" : "perf";
	return "none";
}

void counters_why(const struct counters *counters, char *text, size_t n_bytes)
{
	int none = strcmp(counters_source(counters), "none") == 0;
	size_t n = 0;

	text[0] = 0;
	for (int i = 0; i < N_EVENTS && n < n_bytes; i++) {
		if (!is_hardware(i) || counters->state[i].source != ABSENT)
			continue;
		n += (size_t)snprintf(text + n, n_bytes - n, "%s%s: %s", n ? "; " : "",
				      none ? "no hardware events" : events[i].name,
				      counters->state[i].why);
		if (none)
			return;
	}
}
