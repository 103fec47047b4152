/* session.c: the journal in front, the probe behind. */
#include <assert.h>
#include <math.h>

#include "fail.h"
#include "probe.h"
#include "process.h"
#include "question.h"

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
			char speed[40];

			snprintf(answer, PROBE_LINE,
				 "there are no longer %ld %s%s; once they are back, the same "
				 "command goes on",
				 pinned->n_cpus, pinned->name,
				 cores_speed(pinned, speed, sizeof(speed)));
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
	outcome = device_ask(session->probe, QUESTION_SLOW * session->device->time_out_s, request,
			     answer);
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
	outcome = device_ask(session->probe, QUESTION_SLOW * session->device->time_out_s, request,
			     answer);
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

int question_ask(struct session *session, const struct question *question, char *answer,
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

int question_ask_now(struct session *session, const struct question *question, char *answer,
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

const struct device *question_device(const struct session *session)
{
	return session->device;
}

unsigned long long question_seed(const struct session *session)
{
	return session->seed;
}

void session_set_before(struct session *session, session_before_fn *before, void *context)
{
	session->before = before;
	session->before_context = context;
}

double session_seconds(const struct session *session)
{
	return session->seconds;
}
