/* question.c: what can be asked, its key in the journal, and what answers make sense. */
#include <math.h>

#include "fail.h"
#include "probe.h"
#include "question.h"

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
	char *key = fail_text("verify %s", name),
	     *rest = fail_text(" seed=%llu", question_seed(session));
	char answer[PROBE_LINE + 1];
	struct question question = {
		.key = key,
		.verb = "verify",
		.name = name,
		.rest = rest,
		.check = check_verify,
		.time_out_s = QUESTION_SLOW * question_device(session)->time_out_s,
	};
	int status = question_ask(session, &question, answer, error);

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
		.time_out_s = QUESTION_SLOW * question_device(session)->time_out_s,
	};
	int status = question_ask(session, &question, answer, error);

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
		.time_out_s = question_device(session)->time_out_s,
	};
	int status = question_ask(session, &question, answer, error);
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
		.time_out_s = QUESTION_SLOW * question_device(session)->time_out_s,
	};
	int status = question_ask(session, &question, answer, error);
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
		.time_out_s = question_device(session)->time_out_s,
	};
	int status = question_ask(session, &question, answer, error);

	if (!status)
		device_value_double(answer, "value", value);
	free(rest);
	free(key);
	free(more);
	return status;
}

/* ---- how the device is now ---- */

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
		.time_out_s = question_device(session)->time_out_s,
	};
	int status = question_ask_now(session, &question, answer, error);

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
		.time_out_s = question_device(session)->time_out_s,
	};
	int status = question_ask_now(session, &question, answer, error);
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
		.time_out_s = 2 * seconds + question_device(session)->time_out_s,
	};
	int status = (number ? question_ask : question_ask_now)(session, &question, answer, error);
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
