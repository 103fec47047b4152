/* session.c: the journal in front, the probe behind. */
#include <assert.h>
#include <math.h>

#include "fail.h"
#include "probe.h"
#include "process.h"
#include "session.h"

#define SLOW 6      /* slow requests get so many times the device's time-out */
#define MOST_LOST 3 /* times in a row that a device may start anew at one request */

struct session {
	const struct device *device;
	struct journal *journal;
	unsigned long long seed;
	char *log_path;

	char *program; /* that is to be asked */
	char **names;  /* its kernels, by index in the probe once that is running */
	int n_names;

	/* State of the running probe. */
	struct device_probe *probe; /* NULL: not running */
	struct cores cores;         /* as it numbers them */
	int threads;                /* of its engine; 0: none */
	const struct cores_class *pinned;
	char place[160]; /* its case; empty: none */
	unsigned char *prepared;
	char wrong_place[160]; /* a case that cannot be opened, and why */
	char wrong_why[256];

	double seconds; /* average of a time request */

	session_before_fn *before;
	void *before_context;
};

/* What a question needs, and how its answer is checked. */
struct question {
	const char *key;  /* in the journal */
	const char *verb; /* to the probe: verb, " i=KERNEL" when there is one, rest */
	const char *name; /* of the kernel; NULL: none */
	const char *rest;
	const struct session_case *target; /* its threads and cores; NULL: no engine needed */
	const struct session_case *place;  /* NULL: none needed */
	int with_weights;                  /* packed before */
	double time_out_s;
	int (*check)(const char *answer, double wall_s, long calls);
	long calls;
};

struct session *session_open(const struct device *device, struct journal *journal,
			     unsigned long long seed, const char *log_path)
{
	struct session *session = fail_alloc(1, sizeof(*session));

	session->device = device;
	session->journal = journal;
	session->seed = seed;
	session->log_path = fail_text("%s", log_path);
	return session;
}

static void stop_probe(struct session *session)
{
	device_stop(session->probe);
	session->probe = NULL;
	session->threads = 0;
	*session->place = 0;
	if (session->prepared)
		memset(session->prepared, 0, (size_t)session->n_names);
}

static void free_program(struct session *session)
{
	for (int i = 0; i < session->n_names; i++)
		free(session->names[i]);
	free(session->names);
	free(session->prepared);
	free(session->program);
	session->names = NULL;
	session->prepared = NULL;
	session->program = NULL;
	session->n_names = 0;
}

void session_close(struct session *session)
{
	if (!session)
		return;
	stop_probe(session);
	free_program(session);
	free(session->log_path);
	free(session);
}

void session_set_target(struct session_case *place, int threads, const struct cores_class *cores)
{
	place->threads = threads;
	place->cores = cores;
	snprintf(place->target, sizeof(place->target), "t%d%s%s", threads, cores ? "@" : "",
		 cores ? cores->name : "");
}

void session_use(struct session *session, const char *program, const char *const *names, int n)
{
	stop_probe(session);
	free_program(session);
	*session->wrong_place = 0;
	session->program = fail_text("%s", program);
	session->names = fail_alloc((size_t)n, sizeof(*session->names));
	session->prepared = fail_alloc((size_t)n, 1);
	session->n_names = n;
	for (int i = 0; i < n; i++)
		session->names[i] = fail_text("%s", names[i]);
}

/* ---- bringing the probe up ---- */

static int find_kernel(const struct session *session, const char *name)
{
	int i = 0;

	while (i < session->n_names && strcmp(session->names[i], name))
		i++;
	assert(i < session->n_names);
	return i;
}

/* The probe's kernels must be those that were linked, in whatever order. */
static enum device_outcome learn_names(struct session *session, char *answer)
{
	for (int i = 0; i < session->n_names; i++) {
		char request[64], name[64], *other;
		enum device_outcome outcome;
		int j = i;

		snprintf(request, sizeof(request), "kernel i=%d", i);
		outcome = device_ask(session->probe, session->device->time_out_s, request, answer);
		if (outcome != DEVICE_OK)
			return outcome;
		if (device_value(answer, "name", name, sizeof(name)) < 0)
			*name = 0;
		while (j < session->n_names && strcmp(session->names[j], name))
			j++;
		if (j == session->n_names) {
			snprintf(answer, PROBE_LINE, "the probe has an unknown kernel '%s'", name);
			return DEVICE_ERROR;
		}
		other = session->names[i];
		session->names[i] = session->names[j];
		session->names[j] = other;
	}
	return DEVICE_OK;
}

static enum device_outcome start_probe(struct session *session, char *answer)
{
	struct gen_error err;
	long long protocol, n;
	enum device_outcome outcome;

	stop_probe(session);
	session->probe = device_start(session->device, session->program, session->log_path, &err);
	if (!session->probe) {
		snprintf(answer, PROBE_LINE, "%s", err.text);
		return session->device->remote ? DEVICE_STUCK : DEVICE_ERROR;
	}
	outcome = device_ask(session->probe, session->device->time_out_s, "hello", answer);
	if (outcome != DEVICE_OK)
		return outcome;
	if (device_value_long(answer, "protocol", &protocol) < 0 || protocol != PROBE_PROTOCOL ||
	    device_value_long(answer, "kernels", &n) < 0 || n != session->n_names) {
		snprintf(answer, PROBE_LINE, "the probe is not the one that was linked");
		return DEVICE_ERROR;
	}
	if (cores_read(&session->cores, answer, &err) < 0) {
		snprintf(answer, PROBE_LINE, "%s", err.text);
		return DEVICE_ERROR;
	}
	return learn_names(session, answer);
}

static void describe_case(const struct session_case *place, char *text, size_t n_bytes)
{
	snprintf(text, n_bytes, "format=%s m=%ld k=%ld n=%ld cold_bytes=%lld", place->format,
		 place->m, place->k, place->n, place->cold_bytes);
}

static enum device_outcome open_engine(struct session *session, const struct session_case *target,
				       char *answer)
{
	const struct cores_class *pinned = target->cores, *now;
	const int threads = target->threads;
	char request[64], cpus[32] = "-";
	long long have;
	enum device_outcome outcome;

	if (session->threads == threads && session->pinned == pinned)
		return DEVICE_OK;
	if (pinned) {
		now = cores_find(&session->cores, pinned);
		if (!now) {
			snprintf(answer, PROBE_LINE,
				 "of class %s, %ld cores at %ld kHz, nothing is there now",
				 pinned->name, pinned->n_cpus, pinned->max_khz);
			return DEVICE_ERROR;
		}
		snprintf(cpus, sizeof(cpus), "class:%d", now->index);
	}
	snprintf(request, sizeof(request), "engine threads=%d cpus=%s", threads, cpus);
	session->threads = 0;
	*session->place = 0;
	outcome = device_ask(session->probe, session->device->time_out_s, request, answer);
	if (outcome != DEVICE_OK)
		return outcome;
	if (device_value_long(answer, "threads", &have) < 0 || have != threads) {
		snprintf(answer, PROBE_LINE, "the probe's engine does not have %d threads",
			 threads);
		return DEVICE_ERROR;
	}
	session->threads = threads;
	session->pinned = pinned;
	return DEVICE_OK;
}

static enum device_outcome open_case(struct session *session, const struct session_case *place,
				     char *answer)
{
	char text[160], request[192];
	enum device_outcome outcome;

	describe_case(place, text, sizeof(text));
	if (!strcmp(session->place, text))
		return DEVICE_OK;
	snprintf(request, sizeof(request), "case %s", text);
	*session->place = 0;
	memset(session->prepared, 0, (size_t)session->n_names);
	outcome = device_ask(session->probe, SLOW * session->device->time_out_s, request, answer);
	if (outcome == DEVICE_OK)
		strcpy(session->place, text);
	return outcome;
}

static enum device_outcome pack_weights(struct session *session, int kernel, char *answer)
{
	char request[64];
	enum device_outcome outcome;

	if (session->prepared[kernel])
		return DEVICE_OK;
	snprintf(request, sizeof(request), "prepare i=%d", kernel);
	outcome = device_ask(session->probe, SLOW * session->device->time_out_s, request, answer);
	session->prepared[kernel] = outcome == DEVICE_OK;
	return outcome;
}

enum stage { AT_START, AT_ENGINE, AT_CASE, AT_KERNEL };

/* One attempt at an answer; *stage says how far it came. */
static enum device_outcome attempt(struct session *session, const struct question *question,
				   enum stage *stage, char *answer)
{
	enum device_outcome outcome = DEVICE_OK;
	char request[PROBE_LINE];
	double begin;
	int kernel = 0;

	*stage = AT_START;
	if (!session->probe)
		outcome = start_probe(session, answer);
	if (outcome == DEVICE_OK && question->target) {
		*stage = AT_ENGINE;
		outcome = open_engine(session, question->target, answer);
	}
	if (outcome == DEVICE_OK && question->place) {
		*stage = AT_CASE;
		outcome = open_case(session, question->place, answer);
	}
	if (outcome != DEVICE_OK)
		return outcome;
	*stage = AT_KERNEL;
	snprintf(request, sizeof(request), "%s%s", question->verb, question->rest);
	if (question->name) {
		kernel = find_kernel(session, question->name);
		snprintf(request, sizeof(request), "%s i=%d%s", question->verb, kernel,
			 question->rest);
	}
	if (question->with_weights)
		outcome = pack_weights(session, kernel, answer);
	if (outcome != DEVICE_OK)
		return outcome;
	begin = process_now();
	outcome = device_ask(session->probe, question->time_out_s, request, answer);
	if (outcome == DEVICE_OK &&
	    !question->check(answer, process_now() - begin, question->calls)) {
		char copy[80];

		snprintf(copy, sizeof(copy), "%.79s", answer);
		snprintf(answer, PROBE_LINE, "garbage the answer to '%.60s' makes no sense: '%s'",
			 request, copy);
		device_kill(session->probe);
		outcome = DEVICE_DEAD;
	}
	return outcome;
}

/* ---- asking ---- */

static int stopped(struct session_error *error)
{
	return fail_set(&error->fatal, "stopped by the user");
}

/* What an unlucky attempt means: text gets "fail ..." for the journal, or it is fatal (-1). */
static int blame(struct session *session, const struct question *question,
		 enum device_outcome outcome, enum stage stage, const char *answer, char *text,
		 struct session_error *error)
{
	if (stage == AT_START || stage == AT_ENGINE)
		return fail_set(&error->fatal, "the probe cannot be used: %s (see %s)", answer,
				session->log_path);
	if (stage == AT_CASE) {
		describe_case(question->place, session->wrong_place, sizeof(session->wrong_place));
		snprintf(session->wrong_why, sizeof(session->wrong_why), "case %.240s",
			 answer + (strncmp(answer, "case: ", 6) ? 0 : 6));
		answer = session->wrong_why;
	}
	snprintf(text, PROBE_LINE + 8, "fail %s%.2000s",
		 outcome == DEVICE_ERROR && stage == AT_KERNEL ? "error " : "", answer);
	return 0;
}

static void say_lost(const struct session *session, const char *why)
{
	const struct device *device = session->device;
	char *text = fail_text("%s was lost: %s; starting its probe again", device->name, why);

	if (device->say)
		device->say(device->context, text);
	free(text);
}

/* Asks the probe, twice if need be; text gets the answer as the journal keeps it. */
static int ask_probe(struct session *session, const struct question *question, char *text,
		     struct session_error *error)
{
	char answer[PROBE_LINE + 1], place[160];
	enum device_outcome outcome;
	enum stage stage = AT_START;
	int n_dead = 0, n_lost = 0;
	double begin;

	if (question->place) {
		describe_case(question->place, place, sizeof(place));
		if (!strcmp(place, session->wrong_place)) {
			snprintf(text, PROBE_LINE + 8, "fail %s", session->wrong_why);
			return 0;
		}
	}
	do {
		if (process_stopping())
			return stopped(error);
		begin = process_now();
		outcome = attempt(session, question, &stage, answer);
		if (outcome == DEVICE_DEAD || outcome == DEVICE_LOST)
			stop_probe(session);
		n_dead += outcome == DEVICE_DEAD;
		n_lost += outcome == DEVICE_LOST;
		if (outcome == DEVICE_LOST && n_lost <= MOST_LOST && !process_stopping())
			say_lost(session, answer);
	} while ((outcome == DEVICE_DEAD && n_dead < 2) ||
		 (outcome == DEVICE_LOST && n_lost <= MOST_LOST));
	if ((outcome == DEVICE_DEAD && process_stopping() > 1) ||
	    (outcome == DEVICE_STUCK && process_stopping()))
		return stopped(error);
	if (outcome == DEVICE_LOST)
		return fail_set(&error->fatal,
				"%s was lost %d times at '%s': %s; what was measured is kept, and "
				"the same command goes on",
				session->device->name, n_lost, question->key, answer);
	if (outcome == DEVICE_STUCK)
		return fail_set(&error->fatal, "%s", answer);
	if (outcome == DEVICE_OK) {
		double spent = process_now() - begin;

		if (!strcmp(question->verb, "time"))
			session->seconds = session->seconds > 0
						   ? 0.95 * session->seconds + 0.05 * spent
						   : spent;
		snprintf(text, PROBE_LINE + 8, "ok %s", answer);
		return 0;
	}
	if (outcome == DEVICE_FAIL) {
		snprintf(text, PROBE_LINE + 8, "fail %s", answer);
		return 0;
	}
	return blame(session, question, outcome, stage, answer, text, error);
}

/* From the journal or the probe.  0: answer gets what follows "ok". */
static int ask(struct session *session, const struct question *question, char *answer,
	       struct session_error *error)
{
	const char *known = journal_find(session->journal, question->key);
	char text[PROBE_LINE + 16];

	if (!known) {
		if (session->before && !strcmp(question->verb, "time") &&
		    session->before(session->before_context, question->place, error) < 0)
			return -1;
		if (ask_probe(session, question, text, error) < 0 ||
		    journal_add(session->journal, question->key, text, &error->fatal) < 0)
			return -1;
		known = text;
	}
	if (!strncmp(known, "fail ", 5)) {
		snprintf(error->why, sizeof(error->why), "%s", known + 5);
		return SESSION_FAILED;
	}
	snprintf(answer, PROBE_LINE + 1, "%s", !strncmp(known, "ok ", 3) ? known + 3 : "");
	if (!question->check(answer, INFINITY, question->calls))
		return fail_set(&error->fatal,
				"the journal's answer to '%s' makes no sense: '%.80s'; "
				"start anew with --fresh",
				question->key, known);
	return 0;
}

static char *case_key(const char *verb, const struct session_case *place, const char *name,
		      const char *more)
{
	return fail_text("%s %s %ldx%ld n%ld %s %s%s", verb, place->format, place->m, place->k,
			 place->n, place->target, name, more);
}

static int check_verify(const char *answer, double wall_s, long calls)
{
	double nmse;

	(void)wall_s, (void)calls;
	return device_value_double(answer, "nmse", &nmse) == 0 && nmse >= 0;
}

int session_verify(struct session *session, const char *name, double *nmse,
		   struct session_error *error)
{
	char *key = fail_text("verify %s", name), *rest = fail_text(" seed=%llu", session->seed);
	char answer[PROBE_LINE + 1];
	struct question question = {
		.key = key,
		.verb = "verify",
		.name = name,
		.rest = rest,
		.check = check_verify,
		.time_out_s = SLOW * session->device->time_out_s,
	};
	int status = ask(session, &question, answer, error);

	if (!status)
		device_value_double(answer, "nmse", nmse);
	free(rest);
	free(key);
	return status;
}

static int check_prepare(const char *answer, double wall_s, long calls)
{
	double bytes;

	(void)wall_s, (void)calls;
	return device_value_double(answer, "bytes", &bytes) == 0 && bytes > 0;
}

int session_prepare(struct session *session, const struct session_case *place, const char *name,
		    double *bytes, struct session_error *error)
{
	char *key = case_key("prepare", place, name, ""), answer[PROBE_LINE + 1];
	struct question question = {
		.key = key,
		.verb = "prepare",
		.name = name,
		.rest = "",
		.target = place,
		.place = place,
		.check = check_prepare,
		.time_out_s = SLOW * session->device->time_out_s,
	};
	int status = ask(session, &question, answer, error);

	if (!status)
		device_value_double(answer, "bytes", bytes);
	free(key);
	return status;
}

/* A probe cannot have measured more time than went by here. */
static int check_time(const char *answer, double wall_s, long calls)
{
	long long ns, told, flags;

	return device_value_long(answer, "ns", &ns) == 0 && ns > 0 &&
	       device_value_long(answer, "calls", &told) == 0 && told > 0 && told <= 1000000000 &&
	       (!calls || told == calls) && device_value_long(answer, "flags", &flags) == 0 &&
	       flags >= 0 && flags < 16 && (double)ns <= 1.1e9 * wall_s + 1e6;
}

int session_time(struct session *session, const struct session_case *place, const char *name,
		 const char *stage, int round, long calls, struct session_sample *sample,
		 struct session_error *error)
{
	char *more = fail_text(" %s %d", stage, round), *key = case_key("time", place, name, more);
	char *rest = fail_text(" calls=%ld", calls), answer[PROBE_LINE + 1];
	struct question question = {
		.key = key,
		.verb = "time",
		.name = name,
		.rest = rest,
		.target = place,
		.place = place,
		.with_weights = 1,
		.check = check_time,
		.calls = calls,
		.time_out_s = session->device->time_out_s,
	};
	int status = ask(session, &question, answer, error);
	long long told = 0, flags = 0;

	if (!status) {
		device_value_long(answer, "ns", &sample->ns);
		device_value_long(answer, "calls", &told);
		device_value_long(answer, "flags", &flags);
		sample->calls = (long)told;
		sample->flags = (int)flags;
	}
	free(rest);
	free(key);
	free(more);
	return status;
}

static int check_roof(const char *answer, double wall_s, long calls)
{
	double gbps, gmacs;
	long long streams, huge;

	(void)wall_s, (void)calls;
	return device_value_double(answer, "dram_gbps", &gbps) == 0 && gbps >= 0 &&
	       device_value_double(answer, "int8_gmacs", &gmacs) == 0 && gmacs >= 0 &&
	       device_value_long(answer, "streams", &streams) == 0 && streams >= 0 &&
	       streams < 1 << 20 && device_value_long(answer, "huge", &huge) == 0;
}

int session_roof(struct session *session, const struct session_case *place, const char *number,
		 struct session_roof *roof, struct session_error *error)
{
	char *key = fail_text("roof %s %s", place->target, number), answer[PROBE_LINE + 1];
	struct question question = {
		.key = key,
		.verb = "roof",
		.rest = "",
		.target = place,
		.check = check_roof,
		.time_out_s = SLOW * session->device->time_out_s,
	};
	int status = ask(session, &question, answer, error);
	long long streams = 0, huge = 0;

	if (!status) {
		device_value_double(answer, "dram_gbps", &roof->dram_gbps);
		device_value_double(answer, "int8_gmacs", &roof->int8_gmacs);
		device_value_long(answer, "streams", &streams);
		device_value_long(answer, "huge", &huge);
		roof->streams = (int)streams;
		roof->huge_pages = huge != 0;
	}
	free(key);
	return status;
}

static int check_count(const char *answer, double wall_s, long calls)
{
	double value;

	(void)wall_s, (void)calls;
	return device_value_double(answer, "value", &value) == 0 && value >= 0;
}

int session_count(struct session *session, const struct session_case *place, const char *name,
		  const char *event, long calls, double *value, struct session_error *error)
{
	char *more = fail_text(" %s", event), *key = case_key("count", place, name, more);
	char *rest = fail_text(" calls=%ld event=%s", calls, event), answer[PROBE_LINE + 1];
	struct question question = {
		.key = key,
		.verb = "count",
		.name = name,
		.rest = rest,
		.target = place,
		.place = place,
		.with_weights = 1,
		.check = check_count,
		.time_out_s = session->device->time_out_s,
	};
	int status = ask(session, &question, answer, error);

	if (!status)
		device_value_double(answer, "value", value);
	free(rest);
	free(key);
	free(more);
	return status;
}

/* ---- how the device is now ---- */

void session_set_before(struct session *session, session_before_fn *before, void *context)
{
	session->before = before;
	session->before_context = context;
}

/* Like ask, of the probe every time. */
static int ask_now(struct session *session, const struct question *question, char *answer,
		   struct session_error *error)
{
	char text[PROBE_LINE + 16];

	if (ask_probe(session, question, text, error) < 0)
		return -1;
	if (!strncmp(text, "fail ", 5)) {
		snprintf(error->why, sizeof(error->why), "%.500s", text + 5);
		return SESSION_FAILED;
	}
	snprintf(answer, PROBE_LINE + 1, "%.*s", PROBE_LINE, text + 3);
	return 0;
}

static int check_canary(const char *answer, double wall_s, long calls)
{
	long long ns;

	(void)wall_s, (void)calls;
	return device_value_long(answer, "ns", &ns) == 0 && ns > 0 && ns < 60000000000;
}

int session_canary(struct session *session, const struct session_case *place, double *ns,
		   struct session_error *error)
{
	char answer[PROBE_LINE + 1];
	struct question question = {
		.key = "canary",
		.verb = "canary",
		.rest = "",
		.target = place,
		.check = check_canary,
		.time_out_s = session->device->time_out_s,
	};
	int status = ask_now(session, &question, answer, error);

	if (!status)
		device_value_double(answer, "ns", ns);
	return status;
}

static int check_vitals(const char *answer, double wall_s, long calls)
{
	char text[32];

	(void)wall_s, (void)calls;
	return device_value(answer, "temp_mc", text, sizeof(text)) == 0;
}

int session_vitals(struct session *session, double *temperature, int *is_throttled,
		   struct session_error *error)
{
	char answer[PROBE_LINE + 1];
	struct question question = {
		.key = "vitals",
		.verb = "vitals",
		.rest = "",
		.check = check_vitals,
		.time_out_s = session->device->time_out_s,
	};
	int status = ask_now(session, &question, answer, error);
	double millidegrees;
	long long throttled = 0;

	*temperature = NAN;
	*is_throttled = 0;
	if (status)
		return status;
	if (device_value_double(answer, "temp_mc", &millidegrees) == 0)
		*temperature = 1e-3 * millidegrees;
	if (device_value_long(answer, "throttled", &throttled) == 0)
		*is_throttled = throttled != 0;
	return 0;
}

static int check_sustain(const char *answer, double wall_s, long calls)
{
	long long ns, told;

	(void)wall_s, (void)calls;
	return device_value_long(answer, "ns", &ns) == 0 && ns > 0 &&
	       device_value_long(answer, "calls", &told) == 0 && told > 0 && told < 1ll << 40;
}

int session_sustain(struct session *session, const struct session_case *place, const char *name,
		    double seconds, const char *number, struct session_load *load,
		    struct session_error *error)
{
	char *more = fail_text(" %s", number ? number : ""), answer[PROBE_LINE + 1];
	char *key = case_key("sustain", place, name, more);
	char *rest = fail_text(" seconds=%g", seconds);
	struct question question = {
		.key = key,
		.verb = "sustain",
		.name = name,
		.rest = rest,
		.target = place,
		.place = place,
		.with_weights = 1,
		.check = check_sustain,
		.time_out_s = 2 * seconds + session->device->time_out_s,
	};
	int status = (number ? ask : ask_now)(session, &question, answer, error);
	long long calls = 0;

	memset(load, 0, sizeof(*load));
	if (!status) {
		device_value_long(answer, "ns", &load->ns);
		device_value_long(answer, "calls", &calls);
		load->calls = (long)calls;
		if (device_value_double(answer, "energy_uj", &load->energy_uj) < 0 ||
		    load->energy_uj < 0)
			load->energy_uj = 0;
		if (device_value(answer, "source", load->source, sizeof(load->source)) < 0 ||
		    !*load->source)
			strcpy(load->source, "unknown");
	}
	free(rest);
	free(key);
	free(more);
	return status;
}

double session_seconds(const struct session *session)
{
	return session->seconds;
}
