/*
 * counters.h: event counters of the calling thread that can be believed.
 *
 * PAPI and the kernel both list events that count nothing (PAPI 7.0.0 calls its perf_event
 * component active on virtual machines without a PMU), so every event first counts an exercise of
 * known size; one that fails to open, or whose answer is not plausible, is dropped with its reason.
 * Hardware events come from PAPI where it was compiled in (HAVE_PAPI) and works, else straight from
 * perf_event; software events always come from perf_event.
 */
#ifndef TUNER_COUNTERS_H
#define TUNER_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/quern.h"

struct counters;

/*
 * Tests every event, which takes up to a tenth of a second.  -1 only when out of memory.  Where there are
 * several kinds of cores, what passes on one may fail on another: open them on the core that counts.
 */
int counters_open(struct counters **counters, struct quern_error *err);
void counters_close(struct counters *counters);

/*
 * Events that passed, by index: cycles, instructions, l1d_misses, l2_misses, llc_misses, dtlb_walks
 * (through page tables, for data), stalls and frontend_stalls (cycles in which the backend, or the
 * frontend, kept instructions from flowing), memory_stalls (in which the backend waited for memory;
 * all of these in user mode), task_clock_ns, context_switches, page_faults, migrations.
 */
int counters_count(const struct counters *counters);
const char *counters_name(const struct counters *counters, int index);

/* Index of a name, or -1 with the reason why it is not counted here. */
int counters_find(const struct counters *counters, const char *name, struct quern_error *err);

/*
 * Counts one event of the calling thread; one at a time.  A count that the hardware kept for part
 * of the time only is an error, not scaled.
 */
int counters_start(struct counters *counters, int index, struct quern_error *err);
int counters_stop(struct counters *counters, uint64_t *value, struct quern_error *err);

/* Where the hardware events come from: "papi", "perf" or "none". */
const char *counters_source(const struct counters *counters);

/*
 * perf's type number of the PMU that counts on a cpu, from <root>/sys, or -1 when the kernel does not
 * tell (x86 with cores of one kind, hidden sysfs).  *n_pmus: how many PMUs of cores there are.
 */
int counters_find_pmu(const char *root, int cpu, int *n_pmus);

/* Why hardware events are missing, as one sentence; empty when none is. */
void counters_why(const struct counters *counters, char *text, size_t n_bytes);

#endif
