/*
 * probe.h: what the tuner and the probe say to each other.
 *
 * The probe (quern-probe) runs on the target and holds one batch of candidate kernels, compiled in
 * as a registry.  The tuner writes one request a line to its standard input; the probe answers each
 * with one line on its standard output: "ok key=value ...", "fail SENTENCE" (the candidate is to
 * blame) or "error SENTENCE" (the request is).  Lines are at most PROBE_LINE bytes, newline
 * included; values hold no spaces ('%20' and so on stand for bytes outside 0x21..0x7e and for '%').
 * At end of input the probe exits.  A probe that dies, stays silent past its time or floods was
 * killed by the candidate it was working on; the tuner says so in the record and starts it again.
 *
 *   hello                       ok protocol=1 kernels=N arch=x86_64 features=avx2,avx512,...
 *                                  cores=N classes=N llc_bytes=N l2_bytes=N l1d_bytes=N
 *                                  cpu=NAME kernel=OS%20RELEASE
 *                                  name0=cortex-x3 core0=0x41d4e part0=0x411fd4e0 cpus0=7
 *                                  max_khz0=N capacity0=N name1=...
 *                                                (the first classes of cores, fastest first)
 *                                  counters=papi|perf|none why=SENTENCE
 *                                  events=cycles,instructions,...
 *   kernel i=I                  ok name=NAME
 *   engine threads=T cpus=LIST  ok threads=T cpus=LIST
 *                                                (T=0: the default; cpus=-: not pinned;
 *                                                 cpus=class:I: T cpus of that class, T=0: all;
 *                                                 replaces the engine and closes the case)
 *   verify i=I seed=S           ok nmse=F        (in a forked child with a time limit; "fail crash
 *                                                 ...", "fail hang ..." or "fail wrong ...")
 *   case format=F m=M k=K n=N cold_bytes=B
 *                               ok               (needs an engine; B=0: the default)
 *   prepare i=I                 ok bytes=B       (makes room; B bytes streamed per call)
 *   time i=I calls=C            ok ns=T calls=C flags=F
 *                                                (T: total; C=0: as many calls as fill 1 ms, up to
 *                                                 2 ms where the clock ticks slowly)
 *   roof                        ok dram_gbps=F streams=N huge=0|1 int8_gmacs=F
 *                                                (of the engine's threads, medians of some sweeps)
 *   count i=I calls=C event=E   ok value=V ns=T  (one event of the calling thread, in a pass of
 *                                                 its own; needs an engine of one thread)
 *   vitals                      ok temp_mc=N zone=NAME throttled=0|1 charging=0|1 khz0=N khz1=...
 *                                  energy_uj=N power_uw=N source=NAME
 *                                                (the hottest zone of a processor, in 1/1000
 *                                                 degree; khzI: the first cpu of class I now;
 *                                                 energy_uj only rises; source: which sensors)
 *   canary                      ok ns=N khz=N    (always the same work on the engine's threads; of
 *                                                 the slowest of them, and of the first one's cpu)
 *   sustain i=I seconds=S       ok calls=N ns=N ns_first=N ns_last=N energy_uj=N source=NAME
 *                                                (calls for 0.1 to 30 seconds, a point is allowed;
 *                                                 ns: of all; ns_first, ns_last: of one, in the
 *                                                 first and in the last tenth; energy_uj: of the
 *                                                 whole time, see meter.h for when it is told)
 *   doctor                      ok governor0=NAME min_khz0=N limit_khz0=N cur_khz0=N governor1=...
 *                                  clock_ns=N paranoid=N allowed=LIST page_bytes=N boot=ID
 *                                  battery=NAME:STATUS:PERCENT sensors=NAME,NAME:denied,...
 *                                  zones=NAME:MILLIDEGREES,...
 *                                                (limit: the most that is allowed now; clock_ns: a
 *                                                 tick; paranoid: perf_event_paranoid; sensors: of
 *                                                 energy and power, denied: root may read it; zones:
 *                                                 hottest first, processors before others)
 *   quit                        ok
 *
 * What the machine does not tell is "-" in the answers to vitals, canary, sustain and doctor.
 * verify, prepare, time, sustain and count answer "fail unsupported ..." for a kernel that this CPU cannot
 * run.  why: reasons for hardware events that are not counted, "-" when all are; events: those that
 * passed their self-test, software events included.  flags: PROBE_* bits of what disturbed the
 * sample, decimal.  A request that is refused changes nothing, but an engine or case that cannot be
 * opened leaves none.
 */
#ifndef TUNER_PROBE_H
#define TUNER_PROBE_H

#include <stdio.h>

#include "clock.h" /* PROBE_SWITCHED, ... */
#include "line.h"  /* PROBE_LINE */
#include "runtime/quern.h"

#define PROBE_PROTOCOL 1

/* Serves requests until quit, end of input, or nobody reads; -1 when it cannot start. */
int probe_serve(FILE *in, FILE *out, struct quern_error *err);

#endif
