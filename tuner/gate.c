/* gate.c: warm-ups, verdicts and cool-downs. */
#include <ctype.h>
#include <math.h>
#include <time.h>

#include "fail.h"
#include "gate.h"
#include "process.h"
#include "stats.h"

#define N_STEADY 5  /* canaries that have to be alike */
#define STEADY 1.02 /* the slowest of them over the fastest */
#define LEAST_S 0.2 /* of a warm-up, so that governors see the load */
#define MOST_S 2.0  /* of a warm-up that never gets steady */
#define HOT 1.10    /* over the baseline */
#define COOL 1.03   /* over the baseline, again */
#define N_COOL_DOWNS 6
#define MOST_BASELINES 3 /* that heat has brought; then there is no hope for the rest of the run */
#define COOL_S 20.0      /* of one; QUERN_COOL_SECONDS says otherwise */
#define MOST_PAUSES 30   /* of full length, in a run; or as long as its budget */
#define FALL_DEGREES 3   /* after which it is worth a try */

struct baseline {
	char target[80];
	double ns;
	int n; /* how many were taken so far; 0: there is none */
};

struct gate {
	struct session *session;
	struct journal *journal;
	const char *device;
	struct show *show;
	struct record *record;
	double cool_s, most_s; /* of a pause, of all */
	int is_off, is_warm;
	struct baseline *baselines;
	size_t n_baselines;
};

static double read_cool_seconds(void)
{
	const char *text = getenv("QUERN_COOL_SECONDS");
	char *end;
	double seconds = text ? strtod(text, &end) : 0;

	return text && isdigit((unsigned char)*text) && !*end && seconds <= 3600 ? seconds : COOL_S;
}

static int warm_up(void *context, const struct session_case *place, struct session_error *error);

struct gate *gate_open(struct session *session, struct journal *journal, const char *device,
		       double budget_s, struct show *show, struct record *record)
{
	struct gate *gate = fail_alloc(1, sizeof(*gate));

	gate->session = session;
	gate->journal = journal;
	gate->device = device;
	gate->show = show;
	gate->record = record;
	gate->cool_s = read_cool_seconds();
	gate->most_s = fmax(budget_s, MOST_PAUSES * gate->cool_s);
	session_set_before(session, warm_up, gate);
	return gate;
}

void gate_close(struct gate *gate)
{
	if (!gate)
		return;
	session_set_before(gate->session, NULL, NULL);
	free(gate->baselines);
	free(gate);
}

void gate_begin(struct gate *gate)
{
	if (gate)
		gate->is_warm = 0;
}

static void tell(struct gate *gate, const char *what)
{
	snprintf(gate->show->what, sizeof(gate->show->what), "%s", what);
	show_progress(gate->show);
}

/* ---- baselines ---- */

static struct baseline *find_baseline(struct gate *gate, const struct session_case *place)
{
	struct baseline *one;
	char key[128];
	const char *known;
	size_t i = 0;

	while (i < gate->n_baselines && strcmp(gate->baselines[i].target, place->target))
		i++;
	if (i < gate->n_baselines)
		return &gate->baselines[i];
	gate->baselines = fail_grow(gate->baselines, gate->n_baselines, sizeof(*one));
	one = &gate->baselines[gate->n_baselines++];
	memset(one, 0, sizeof(*one));
	strcpy(one->target, place->target);
	for (;;) {
		snprintf(key, sizeof(key), "baseline %s %d", place->target, one->n + 1);
		known = journal_find(gate->journal, key);
		if (!known || device_value_double(known, "ns", &one->ns) < 0)
			return one;
		one->n++;
	}
}

static int keep_baseline(struct gate *gate, struct baseline *one, double ns, struct gen_error *err)
{
	char key[128], text[64];

	one->ns = ns;
	snprintf(key, sizeof(key), "baseline %s %d", one->target, ++one->n);
	snprintf(text, sizeof(text), "ns=%.0f", ns);
	return journal_add(gate->journal, key, text, err);
}

/* ---- the canary ---- */

/* Without one there is no gate; that is said once. */
static void turn_off(struct gate *gate, const char *why)
{
	gate->is_off = 1;
	show_say(gate->show,
		 "the probe on %s has no canary (%s): how hot the device is does not count",
		 gate->device, strncmp(why, "error ", 6) ? why : why + 6);
}

/* 0, 1 when it cannot be asked, -1. */
static int ask_canary(struct gate *gate, const struct session_case *place, double *ns,
		      struct session_error *error)
{
	int status = session_canary(gate->session, place, ns, error);

	if (status > 0) /* a probe that died may do better once more */
		status = session_canary(gate->session, place, ns, error);
	if (status > 0)
		turn_off(gate, error->why);
	return status;
}

/* Work until the canary is steady, or for MOST_S: its median then.  Like ask_canary. */
static int run_up(struct gate *gate, const struct session_case *place, double *ns, int *is_steady,
		  struct session_error *error)
{
	double last[N_STEADY], sorted[N_STEADY], begin = process_now(), worked = 0, spent;
	size_t n = 0;

	do {
		double least = INFINITY, most = 0;
		int status = ask_canary(gate, place, ns, error);

		if (status)
			return status;
		last[n++ % N_STEADY] = *ns;
		for (size_t i = 0; i < n && i < N_STEADY; i++) {
			least = fmin(least, last[i]);
			most = fmax(most, last[i]);
		}
		worked += 1e-9 * *ns;
		spent = fmax(worked, process_now() - begin);
		*is_steady = n >= N_STEADY && most <= STEADY * least;
	} while (spent < MOST_S && !(*is_steady && spent >= LEAST_S));
	n = n < N_STEADY ? n : N_STEADY;
	memcpy(sorted, last, n * sizeof(*sorted));
	*ns = stats_median(sorted, n);
	return 0;
}

/* Before the first sample of a batch.  The best steady canary becomes the baseline. */
static int warm_up(void *context, const struct session_case *place, struct session_error *error)
{
	struct gate *gate = context;
	struct baseline *baseline;
	int is_steady, status;
	double ns;

	if (gate->is_off || gate->is_warm)
		return 0;
	tell(gate, "warming up");
	status = run_up(gate, place, &ns, &is_steady, error);
	if (status)
		return status < 0 ? -1 : 0;
	gate->is_warm = 1;
	baseline = find_baseline(gate, place);
	if (baseline->n && (!is_steady || ns >= baseline->ns))
		return 0;
	return keep_baseline(gate, baseline, ns, &error->fatal);
}

/* ---- cooling down ---- */

/* Sleeps, but not once the temperature has fallen by a good deal. */
static int rest(struct gate *gate, int number, struct session_error *error)
{
	const struct timespec nap = {0, 20000000};
	double begin = process_now(), end = begin + gate->cool_s, next = begin;
	double first = NAN, now;
	int is_throttled, knows = 1;
	char text[64];

	while (process_now() < end || next == begin) {
		if (process_stopping())
			return fail_set(&error->fatal, "stopped by the user");
		if (knows && process_now() >= next) {
			int status = session_vitals(gate->session, &now, &is_throttled, error);

			if (status < 0)
				return -1;
			knows = !status && !isnan(now);
			first = isnan(first) ? now : first;
			if (knows && !is_throttled && now <= first - FALL_DEGREES)
				return 0;
		}
		if (process_now() >= next)
			next += gate->cool_s > 10 ? 1 : 0.1 * gate->cool_s + 1e-6;
		snprintf(text, sizeof(text), "cooling down (%d of %d), %.0f s", number,
			 N_COOL_DOWNS, process_now() - begin);
		tell(gate, text);
		nanosleep(&nap, NULL);
	}
	return 0;
}

struct verdict {
	int is_hot, cool_downs, baselines;
	double seconds;
};

/* Cools down until the canary is itself again, or takes what it is for a new baseline. */
static int cool(struct gate *gate, const struct session_case *place, double ns,
		struct verdict *verdict, struct session_error *error)
{
	struct baseline *baseline = find_baseline(gate, place);
	double begin = process_now();
	int status = 0, is_steady;

	show_say(gate->show, "%s is hot or busy: %.2f times its best time on %s; cooling down",
		 gate->device, ns / baseline->ns, place->target);
	while (verdict->cool_downs < N_COOL_DOWNS && ns > COOL * baseline->ns && !status) {
		status = rest(gate, ++verdict->cool_downs, error);
		if (!status)
			status = run_up(gate, place, &ns, &is_steady, error);
	}
	verdict->seconds = process_now() - begin;
	if (status)
		return status;
	gate->is_warm = 1;
	if (ns <= HOT * baseline->ns)
		return 0;
	show_say(
		gate->show,
		"%s does not cool down: from now on %.2f times its best time counts as normal on %s",
		gate->device, ns / baseline->ns, place->target);
	verdict->baselines = 1;
	return keep_baseline(gate, baseline, ns, &error->fatal);
}

/* The canary against its baseline; a slow one gets two more chances.  Like ask_canary. */
static int judge(struct gate *gate, const struct session_case *place, struct verdict *verdict,
		 struct session_error *error)
{
	struct baseline *baseline;
	double least = INFINITY, ns;
	int status = warm_up(gate, place, error);

	if (status < 0 || gate->is_off)
		return status < 0 ? -1 : 1;
	baseline = find_baseline(gate, place);
	for (int try = 0; try < 3 && least > HOT * baseline->ns; try++) {
		status = ask_canary(gate, place, &ns, error);
		if (status)
			return status;
		least = fmin(least, ns);
	}
	verdict->is_hot = least > HOT * baseline->ns;
	return verdict->is_hot ? cool(gate, place, least, verdict, error) : 0;
}

static int read_verdict(const char *text, struct verdict *verdict)
{
	return sscanf(text, "hot=%d cool_downs=%d seconds=%lf baselines=%d", &verdict->is_hot,
		      &verdict->cool_downs, &verdict->seconds, &verdict->baselines) == 4 ||
	       !strcmp(text, "hot=0");
}

int gate_judge(struct gate *gate, const struct session_case *place, const char *what,
	       struct gen_error *err)
{
	struct record *record;
	struct session_error error;
	struct verdict verdict = {0};
	const char *known;
	char *key, text[128] = "hot=0";
	int status = 0;

	if (!gate)
		return 0;
	record = gate->record;
	key = fail_text("gate %s", what);
	known = journal_find(gate->journal, key);
	if (known && !read_verdict(known, &verdict))
		status = fail_set(&error.fatal,
				  "the journal's answer to '%s' makes no sense: '%.80s'; start "
				  "anew with --fresh",
				  key, known);
	else if (!known && !gate->is_off)
		status = judge(gate, place, &verdict, &error);
	if (verdict.is_hot)
		snprintf(text, sizeof(text), "hot=1 cool_downs=%d seconds=%.2f baselines=%d",
			 verdict.cool_downs, verdict.seconds, verdict.baselines);
	if (!known && !status && !gate->is_off)
		status = journal_add(gate->journal, key, text, &error.fatal);
	if (!known)
		read_verdict(text, &verdict); /* seconds as the journal has them */
	free(key);
	if (status < 0) {
		*err = error.fatal;
		return -1;
	}
	record->protocol.thermal.cool_downs += verdict.cool_downs;
	record->protocol.thermal.seconds += verdict.seconds;
	record->protocol.thermal.baselines += verdict.baselines;
	record->protocol.thermal.is_gated |= !gate->is_off;
	if (!gate->is_off && (record->protocol.thermal.baselines >= MOST_BASELINES ||
			      record->protocol.thermal.seconds >= gate->most_s)) {
		gate->is_off = 1;
		show_say(gate->show, "%s gets hot again and again: from now on that does not count",
			 gate->device);
	}
	return verdict.is_hot;
}
