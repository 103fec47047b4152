/*
 * probe.c: the protocol of probe.h, one function a verb.
 *
 * Requests may come in any order and hold anything: a verb checks what it needs (an engine, a case)
 * and says what is missing.  Only a kernel that is timed or counted runs in this process.
 */
#include "probe.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "counters.h"
#include "isolate.h"
#include "line.h"
#include "load.h"
#include "tell.h"
#include "runtime/bench.h"
#include "runtime/cpu.h"
#include "runtime/error.h"
#include "runtime/format.h"
#include "runtime/matmul.h"
#include "runtime/roof.h"
#include "runtime/topology.h"

#define VERIFY_SECONDS 20
#define ROOF_SWEEPS 7 /* of one answer, about 20 ms */
#define MAX_DIM ((uint64_t)1 << 24)
#define MAX_CALLS 100000000

struct probe {
	struct qn_topology topology;
	uint32_t features;
	struct counters *counters;
	struct clock_watch watch;
	struct meter meter;
	int64_t sample_ns; /* that a sample should fill */
	unsigned verify_seconds;
	cpu_set_t home; /* affinity mask at the start */
	int has_home;

	struct quern_engine *engine; /* these two: NULL until asked for */
	struct qn_bench *bench;
	int n_threads, is_pinned;
	int cpus[QN_MAX_CPUS];      /* of a pinned engine's threads */
	int format;                 /* of the case */
	struct qn_ring ring;        /* of all cases */
	struct qn_roof_state *roof; /* of all engines; NULL until asked for */
};

enum result { DONE, FAIL, ERROR, QUIT };

typedef enum result verb_fn(struct probe *probe, const struct line *line, struct line_out *out,
			    struct quern_error *err);

/* ---- state ---- */

static unsigned read_verify_seconds(void)
{
	const char *text = getenv("QUERN_VERIFY_SECONDS");
	char *end;
	unsigned long seconds = text ? strtoul(text, &end, 10) : 0;

	return text && *end == 0 && seconds >= 1 && seconds <= 3600 ? (unsigned)seconds
								    : VERIFY_SECONDS;
}

static int open_probe(struct probe *probe, struct quern_error *err)
{
	memset(probe, 0, sizeof(*probe));
	qn_topology_read(&probe->topology);
	probe->features = qn_topology_features(&probe->topology);
	probe->has_home = sched_getaffinity(0, sizeof(probe->home), &probe->home) == 0;
	probe->verify_seconds = read_verify_seconds();
	/* 1 ms where the clock is fine; 2 ms where it ticks at 50 ns or slower. */
	probe->sample_ns = 40000 * clock_resolution_ns();
	if (probe->sample_ns < 1000000)
		probe->sample_ns = 1000000;
	if (probe->sample_ns > 2000000)
		probe->sample_ns = 2000000;
	clock_watch_open(&probe->watch);
	meter_open(&probe->meter, sysfs_root());
	return counters_open(&probe->counters, err);
}

static void close_case(struct probe *probe)
{
	if (probe->bench)
		qn_bench_close(probe->bench);
	probe->bench = NULL;
}

static void close_engine(struct probe *probe)
{
	close_case(probe);
	quern_close(probe->engine);
	probe->engine = NULL;
	if (probe->has_home)
		sched_setaffinity(0, sizeof(probe->home), &probe->home);
}

static void close_probe(struct probe *probe)
{
	close_engine(probe);
	qn_roof_close(probe->roof);
	qn_ring_free(&probe->ring);
	counters_close(probe->counters);
	clock_watch_close(&probe->watch);
}

static const struct qn_kernel *find_kernel(const struct line *line, struct quern_error *err)
{
	uint64_t i;

	if (qn_registry.n_kernels < 1) {
		qn_error_set(err, "%s: this probe holds no kernels", line->word);
		return NULL;
	}
	if (line_number(line, "i", 0, (uint64_t)qn_registry.n_kernels - 1, &i, err) < 0)
		return NULL;
	return qn_registry.kernels[i];
}

/* A batch may hold kernels that this machine cannot run: that is no fault of the request. */
static enum result check_features(const struct probe *probe, const struct qn_kernel *kernel,
				  struct quern_error *err)
{
	uint32_t missing = (kernel->needs | kernel->isa->needs) & ~probe->features;
	char text[128];

	if (!missing)
		return DONE;
	qn_error_set(err, "unsupported needs %s, which this machine does not have",
		     qn_cpu_feature_text(missing, text, sizeof(text)));
	return FAIL;
}

/* The kernel of a request that runs in the case. */
static enum result find_runnable(const struct probe *probe, const struct line *line,
				 const struct qn_kernel **kernel, struct quern_error *err)
{
	*kernel = find_kernel(line, err);
	if (!*kernel)
		return ERROR;
	if (!probe->bench) {
		qn_error_set(err, "%s: needs a case", line->word);
		return ERROR;
	}
	if ((*kernel)->format != probe->format) {
		qn_error_set(err, "%s: kernel %s is for %s, the case is %s", line->word,
			     (*kernel)->name, qn_formats[(*kernel)->format].name,
			     qn_formats[probe->format].name);
		return ERROR;
	}
	return check_features(probe, *kernel, err);
}

/* ---- verbs ---- */

static enum result answer_hello(struct probe *probe, const struct line *line, struct line_out *out,
				struct quern_error *err)
{
	(void)line;
	(void)err;
	line_put(out, " protocol=%d kernels=%d", PROBE_PROTOCOL, qn_registry.n_kernels);
	tell_hello(&probe->topology, probe->features, probe->counters, out);
	return DONE;
}

static enum result answer_vitals(struct probe *probe, const struct line *line, struct line_out *out,
				 struct quern_error *err)
{
	(void)line;
	(void)err;
	tell_vitals(&probe->topology, &probe->meter, out);
	return DONE;
}

static enum result answer_doctor(struct probe *probe, const struct line *line, struct line_out *out,
				 struct quern_error *err)
{
	(void)line;
	(void)err;
	tell_doctor(&probe->topology, &probe->meter, out);
	return DONE;
}

static enum result answer_kernel(struct probe *probe, const struct line *line, struct line_out *out,
				 struct quern_error *err)
{
	const struct qn_kernel *kernel = find_kernel(line, err);

	(void)probe;
	if (!kernel)
		return ERROR;
	line_put_value(out, "name", kernel->name);
	return DONE;
}

/* The calling thread goes where the engine's first thread is, so that it can be watched. */
static void pin_self(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

/* "class:I": n_threads cpus of that class, or all of them; how many, or -1. */
static int list_class(const struct probe *probe, const char *number, uint64_t n_threads, int *cpus,
		      struct quern_error *err)
{
	struct qn_core_class c;
	char *end;
	long i = *number >= '0' && *number <= '9' ? strtol(number, &end, 10) : -1;

	if (i < 0 || *end || i >= probe->topology.n_classes)
		return qn_error_set(err, "engine: cpus=class:%.20s: classes are 0 to %d", number,
				    probe->topology.n_classes - 1);
	qn_topology_class(&probe->topology, (int)i, &c);
	if (n_threads > (uint64_t)c.n_cpus)
		return qn_error_set(err, "engine: class %ld has %d cpus, for %llu threads", i,
				    c.n_cpus, (unsigned long long)n_threads);
	memcpy(cpus, c.cpus, sizeof(c.cpus));
	return n_threads ? (int)n_threads : c.n_cpus;
}

/* The cpus to pin to; 0: none; -1 for a list that is none. */
static int list_cpus(const struct probe *probe, const char *list, uint64_t n_threads, int *cpus,
		     struct quern_error *err)
{
	int n;

	if (strcmp(list, "-") == 0)
		return 0;
	if (strncmp(list, "class:", 6) == 0)
		return list_class(probe, list + 6, n_threads, cpus, err);
	n = qn_topology_parse_cpus(list, cpus, QN_MAX_CPUS);
	if (n < 1 || (n_threads != 0 && n_threads != (uint64_t)n))
		return qn_error_set(err,
				    "engine: cpus=%.80s: must name one cpu a thread, like 0-3,7, "
				    "each once, or a class, like class:0",
				    list);
	return n;
}

/* Events are tested on the core that they will count on, where cores differ. */
static int reopen_counters(struct probe *probe, struct quern_error *err)
{
	struct counters *counters;

	if (probe->topology.n_classes < 2)
		return 0;
	if (counters_open(&counters, err) < 0)
		return -1;
	counters_close(probe->counters);
	probe->counters = counters;
	return 0;
}

static enum result answer_engine(struct probe *probe, const struct line *line, struct line_out *out,
				 struct quern_error *err)
{
	struct quern_options options = {.size = sizeof(options)};
	int cpus[QN_MAX_CPUS], n_cpus;
	char text[QN_MAX_CPUS * 6];
	uint64_t n_threads;

	if (line_number(line, "threads", 0, QN_MAX_CPUS, &n_threads, err) < 0)
		return ERROR;
	n_cpus = list_cpus(probe, line_value(line, "cpus"), n_threads, cpus, err);
	if (n_cpus < 0)
		return ERROR;
	qn_topology_cpus_text(cpus, n_cpus, text, sizeof(text));
	if (n_cpus > 0)
		options.cpus = text;
	options.n_threads = n_cpus > 0 ? n_cpus : (int)n_threads;
	close_engine(probe);
	if (quern_open(&probe->engine, &options, err) < 0) {
		probe->engine = NULL;
		return ERROR;
	}
	probe->n_threads = quern_n_threads(probe->engine);
	probe->is_pinned = n_cpus > 0;
	if (probe->is_pinned) {
		memcpy(probe->cpus, cpus, sizeof(cpus));
		pin_self(cpus[0]);
		if (reopen_counters(probe, err) < 0)
			return ERROR;
	}
	line_put(out, " threads=%d", probe->n_threads);
	line_put_value(out, "cpus", text);
	return DONE;
}

static enum result answer_verify(struct probe *probe, const struct line *line, struct line_out *out,
				 struct quern_error *err)
{
	const struct qn_kernel *kernel = find_kernel(line, err);
	enum result result;
	uint64_t seed;
	double nmse;

	if (!kernel || line_number(line, "seed", 0, UINT64_MAX, &seed, err) < 0)
		return ERROR;
	result = check_features(probe, kernel, err);
	if (result != DONE)
		return result;
	switch (isolate_verify(kernel, seed, probe->verify_seconds, &nmse, err)) {
	case ISOLATE_OK: line_put(out, " nmse=%.9g", nmse); return DONE;
	case ISOLATE_FAILED: return FAIL;
	default: return ERROR;
	}
}

/* Codes, activations, outputs and copies should leave some memory to the rest of the machine. */
static int check_memory(uint64_t m, uint64_t k, uint64_t n, uint64_t cold, struct quern_error *err)
{
	double need = (double)m * (double)k + 4.0 * (double)n * (double)(m + k) + (double)cold;
	double have = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);

	if (have > 0 && need > 0.75 * have)
		return qn_error_set(err, "case: needs %.1f GB, this machine has %.1f GB",
				    need / 1e9, have / 1e9);
	return 0;
}

static enum result answer_case(struct probe *probe, const struct line *line, struct line_out *out,
			       struct quern_error *err)
{
	const char *name = line_value(line, "format");
	int format = qn_format_find(name);
	uint64_t m, k, n, cold;

	(void)out;
	if (format < 0) {
		qn_error_set(err, "case: format '%.40s' is not known", name);
		return ERROR;
	}
	if (line_number(line, "m", 1, MAX_DIM, &m, err) < 0 ||
	    line_number(line, "k", 1, MAX_DIM, &k, err) < 0 ||
	    line_number(line, "n", 1, 65536, &n, err) < 0 ||
	    line_number(line, "cold_bytes", 0, (uint64_t)1 << 40, &cold, err) < 0 ||
	    check_memory(m, k, n, cold, err) < 0)
		return ERROR;
	if (!probe->engine) {
		qn_error_set(err, "case: needs an engine");
		return ERROR;
	}
	close_case(probe);
	probe->format = format;
	if (qn_bench_open(&probe->bench, probe->engine, format, (long)m, (long)k, (long)n,
			  (size_t)cold, &probe->ring, err) < 0) {
		probe->bench = NULL;
		return ERROR;
	}
	return DONE;
}

static enum result answer_prepare(struct probe *probe, const struct line *line,
				  struct line_out *out, struct quern_error *err)
{
	const struct qn_kernel *kernel;
	enum result result = find_runnable(probe, line, &kernel, err);

	if (result != DONE)
		return result;
	if (qn_bench_prepare(probe->bench, kernel, err) < 0)
		return ERROR;
	line_put(out, " bytes=%zu", qn_bench_bytes(probe->bench, kernel));
	return DONE;
}

struct places {
	const int *cpus;
	atomic_int n_away;
};

static void check_place(void *arg, int thread, int n_threads)
{
	struct places *places = arg;

	(void)n_threads;
	if (sched_getcpu() != places->cpus[thread])
		atomic_fetch_add(&places->n_away, 1);
}

/*
 * Is a pinned engine's thread elsewhere?  The system moves it when its core is unplugged or taken out of the
 * process's cpuset, and tells nobody.
 */
static int is_away(const struct probe *probe)
{
	struct places places = {.cpus = probe->cpus};

	if (probe->is_pinned)
		qn_pool_run(qn_matmul_lane(probe->engine, 1)->pool, check_place, &places);
	return atomic_load(&places.n_away) > 0;
}

static int take_sample(struct probe *probe, const struct qn_kernel *kernel, long n_calls,
		       int64_t *ns, unsigned *flags, struct quern_error *err)
{
	int result, was_away = is_away(probe);

	clock_watch_start(&probe->watch, probe->is_pinned || probe->n_threads == 1);
	result = qn_bench_run(probe->bench, kernel, n_calls, ns, err);
	*flags = clock_watch_stop(&probe->watch);
	if (was_away || is_away(probe))
		*flags |= PROBE_MIGRATED;
	return result;
}

/* How many calls to try after n_calls took ns: a tenth more than it seems to need. */
static long next_calls(long n_calls, int64_t ns, int64_t goal_ns)
{
	double guess = 1.1 * (double)n_calls * (double)goal_ns / (double)(ns > 0 ? ns : 1);
	double most = 64.0 * (double)n_calls;

	if (guess > most)
		guess = most;
	return guess > (double)n_calls ? (long)guess + 1 : n_calls + 1;
}

static enum result answer_time(struct probe *probe, const struct line *line, struct line_out *out,
			       struct quern_error *err)
{
	const struct qn_kernel *kernel;
	enum result result = find_runnable(probe, line, &kernel, err);
	uint64_t asked;
	unsigned flags;
	int64_t ns = 0;
	long n_calls;

	if (result != DONE)
		return result;
	if (line_number(line, "calls", 0, MAX_CALLS, &asked, err) < 0 ||
	    qn_bench_prepare(probe->bench, kernel, err) < 0)
		return ERROR;
	n_calls = asked ? (long)asked : 1;
	if (take_sample(probe, kernel, n_calls, &ns, &flags, err) < 0)
		return ERROR;
	while (asked == 0 && ns < probe->sample_ns && n_calls < MAX_CALLS) {
		n_calls = next_calls(n_calls, ns, probe->sample_ns);
		if (take_sample(probe, kernel, n_calls, &ns, &flags, err) < 0)
			return ERROR;
	}
	line_put(out, " ns=%lld calls=%ld flags=%u", (long long)ns, n_calls, flags);
	return DONE;
}

static enum result answer_roof(struct probe *probe, const struct line *line, struct line_out *out,
			       struct quern_error *err)
{
	struct qn_roof roof;

	(void)line;
	if (!probe->engine) {
		qn_error_set(err, "roof: needs an engine");
		return ERROR;
	}
	if (probe->roof ? qn_roof_use(probe->roof, probe->engine, err) < 0
			: qn_roof_open(&probe->roof, probe->engine, err) < 0)
		return ERROR;
	for (int i = 0; i < ROOF_SWEEPS; i++)
		qn_roof_sample(probe->roof);
	qn_roof_get(probe->roof, &roof);
	line_put(out, " dram_gbps=%.6g streams=%d huge=%d int8_gmacs=%.6g", roof.dram_gbps,
		 roof.n_streams, !!roof.huge_pages, roof.int8_gmacs);
	return DONE;
}

static enum result answer_canary(struct probe *probe, const struct line *line, struct line_out *out,
				 struct quern_error *err)
{
	int64_t ns;
	int cpu;

	(void)line;
	if (!probe->engine) {
		qn_error_set(err, "canary: needs an engine");
		return ERROR;
	}
	ns = load_canary(probe->engine, &cpu);
	line_put(out, " ns=%lld", (long long)ns);
	tell_number(out, "khz", vitals_read_khz(sysfs_root(), cpu, "scaling_cur_freq"));
	return DONE;
}

static enum result answer_sustain(struct probe *probe, const struct line *line,
				  struct line_out *out, struct quern_error *err)
{
	const struct qn_kernel *kernel;
	enum result result = find_runnable(probe, line, &kernel, err);
	struct load load;
	double seconds;

	if (result != DONE)
		return result;
	if (line_decimal(line, "seconds", 0.1, 30, &seconds, err) < 0 ||
	    qn_bench_prepare(probe->bench, kernel, err) < 0 ||
	    load_sustain(probe->bench, kernel, seconds, &probe->meter, &load, err) < 0)
		return ERROR;
	line_put(out, " calls=%ld ns=%lld ns_first=%lld ns_last=%lld", load.n_calls,
		 (long long)load.ns, (long long)load.first_ns, (long long)load.last_ns);
	tell_number(out, "energy_uj", load.energy_uj);
	line_put_value(out, "source", load.source);
	return DONE;
}

static enum result answer_count(struct probe *probe, const struct line *line, struct line_out *out,
				struct quern_error *err)
{
	const struct qn_kernel *kernel;
	enum result result = find_runnable(probe, line, &kernel, err);
	uint64_t n_calls, value;
	int64_t ns = 0;
	int event, ran;

	if (result != DONE)
		return result;
	if (line_number(line, "calls", 1, MAX_CALLS, &n_calls, err) < 0)
		return ERROR;
	if (probe->n_threads != 1) { /* counters follow the calling thread */
		qn_error_set(err, "counters need threads=1");
		return ERROR;
	}
	event = counters_find(probe->counters, line_value(line, "event"), err);
	if (event < 0 || qn_bench_prepare(probe->bench, kernel, err) < 0 ||
	    counters_start(probe->counters, event, err) < 0)
		return ERROR;
	ran = qn_bench_run(probe->bench, kernel, (long)n_calls, &ns, err);
	if (counters_stop(probe->counters, &value, ran < 0 ? NULL : err) < 0 || ran < 0)
		return ERROR;
	line_put(out, " value=%llu ns=%lld", (unsigned long long)value, (long long)ns);
	return DONE;
}

static enum result answer_quit(struct probe *probe, const struct line *line, struct line_out *out,
			       struct quern_error *err)
{
	(void)probe;
	(void)line;
	(void)out;
	(void)err;
	return QUIT;
}

static const struct {
	const char *word, *keys;
	verb_fn *answer;
} verbs[] = {{"hello", "", answer_hello},
	     {"kernel", "i", answer_kernel},
	     {"engine", "threads cpus", answer_engine},
	     {"verify", "i seed", answer_verify},
	     {"case", "format m k n cold_bytes", answer_case},
	     {"prepare", "i", answer_prepare},
	     {"time", "i calls", answer_time},
	     {"roof", "", answer_roof},
	     {"vitals", "", answer_vitals},
	     {"canary", "", answer_canary},
	     {"sustain", "i seconds", answer_sustain},
	     {"doctor", "", answer_doctor},
	     {"count", "i calls event", answer_count},
	     {"quit", "", answer_quit}};

/* ---- loop ---- */

static enum result answer_line(struct probe *probe, const struct line *line, struct line_out *out,
			       struct quern_error *err)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(line->word, verbs[i].word) == 0) {
			if (line_check_keys(line, verbs[i].keys, err) < 0)
				return ERROR;
			return verbs[i].answer(probe, line, out, err);
		}
	qn_error_set(err, "unknown request '%.40s'", line->word);
	return ERROR;
}

/* Returns QUIT when it was the last line. */
static enum result serve_line(struct probe *probe, FILE *in, FILE *out)
{
	struct line line;
	struct line_out answer = {.n = 0};
	struct quern_error err = {""};
	enum result result = ERROR;
	int got = line_read(&line, in, &err);

	if (got == 0)
		return QUIT;
	line_put(&answer, "ok");
	if (got > 0)
		result = answer_line(probe, &line, &answer, &err);
	if (result == FAIL || result == ERROR) {
		answer.n = 0;
		line_put(&answer, "%s %s", result == FAIL ? "fail" : "error", err.text);
	}
	return line_write(&answer, out) < 0 ? QUIT : result;
}

int probe_serve(FILE *in, FILE *out, struct quern_error *err)
{
	struct probe probe;
	int result = open_probe(&probe, err);

	while (result == 0 && serve_line(&probe, in, out) != QUIT)
		;
	close_probe(&probe);
	return result;
}
