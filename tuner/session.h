/*
 * session.h: questions to the device, asked once.
 *
 * A session stands between the search and the probe.  It looks every question up in the journal
 * first; only then it starts the probe, brings it into the state that the question needs (engine,
 * case, room for weights), asks, checks that the answer makes sense, and writes it down.  When the
 * probe dies or talks nonsense it is started again and the request repeated once; then the
 * candidate is to blame.  It never is for a device that was started anew or is out of reach.
 *
 * What says how the device is at the moment (canary, vitals, a soak) is asked every time.
 */
#ifndef TUNER_SESSION_H
#define TUNER_SESSION_H

#include "cores.h"
#include "device.h"
#include "gen/gen.h"
#include "journal.h"

struct session;

struct session_case {
	const char *format;
	long m, k, n;
	int threads;
	long long cold_bytes;
	const struct cores_class *cores; /* that the threads are pinned to; NULL: any */
	char target[80];                 /* "t4", or "t4@cortex-a715" where cores are named */
};

/* Sets the three fields that say where a case runs. */
void session_set_target(struct session_case *place, int threads, const struct cores_class *cores);

struct session_roof {
	double dram_gbps, int8_gmacs;
	int streams, huge_pages;
};

struct session_sample {
	long long ns; /* of all calls */
	long calls;
	int flags; /* PROBE_* */
};

/*
 * 0: answered; SESSION_FAILED: the candidate failed, *why says how; -1: the run cannot go on, or
 * the user stops (process_stopping), *err says why.
 */
#define SESSION_FAILED 1

struct session_error {
	char why[512];          /* of SESSION_FAILED: "crash ...", "hang ...", "wrong ...", ... */
	struct gen_error fatal; /* of -1 */
};

struct session *session_open(const struct device *device, struct journal *journal,
			     unsigned long long seed, const char *log_path);
void session_close(struct session *session);

/* From now on this program is asked; names of its kernels in any order.  Started when needed. */
void session_use(struct session *session, const char *program, const char *const *names, int n);

int session_verify(struct session *session, const char *name, double *nmse,
		   struct session_error *error);

/* Makes room for weights; *bytes: streamed by one call. */
int session_prepare(struct session *session, const struct session_case *place, const char *name,
		    double *bytes, struct session_error *error);

/*
 * One sample.  stage and round tell it from others of the same candidate and case.  calls 0 lets
 * the probe find out how many fill its block.
 */
int session_time(struct session *session, const struct session_case *place, const char *name,
		 const char *stage, int round, long calls, struct session_sample *sample,
		 struct session_error *error);

/* The ceilings of the place's target, as far as this probe knows; number tells calls apart. */
int session_roof(struct session *session, const struct session_case *place, const char *number,
		 struct session_roof *roof, struct session_error *error);

/* One event over so many calls. */
int session_count(struct session *session, const struct session_case *place, const char *name,
		  const char *event, long calls, double *value, struct session_error *error);

/* ---- how the device is now ---- */

/* Nanoseconds of a fixed amount of work on the target's cores. */
int session_canary(struct session *session, const struct session_case *place, double *ns,
		   struct session_error *error);

/* *temperature: degrees; *is_throttled: the system says so.  NAN and 0 where that is not told. */
int session_vitals(struct session *session, double *temperature, int *is_throttled,
		   struct session_error *error);

struct session_load {
	long long ns;
	long calls;
	double energy_uj; /* of all calls; 0: not told */
	char source[32];  /* of the energy */
};

/* Runs a kernel without a pause for 0.1 to 30 seconds.  number NULL: not kept in the journal. */
int session_sustain(struct session *session, const struct session_case *place, const char *name,
		    double seconds, const char *number, struct session_load *load,
		    struct session_error *error);

/* Called before a time is asked of the device, not of the journal; NULL: nothing is. */
typedef int session_before_fn(void *context, const struct session_case *place,
			      struct session_error *error);
void session_set_before(struct session *session, session_before_fn *before, void *context);

/* Wall-clock seconds of a request for a time, a running average; 0 before the first. */
double session_seconds(const struct session *session);

#endif
