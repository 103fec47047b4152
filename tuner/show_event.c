/* show_event.c: events become lines. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <unistd.h>

#include "fail.h"
#include "process.h"
#include "show.h"

/* ---- values ---- */

/* NULL is null; bytes that are no UTF-8 become U+FFFD, all beyond ASCII with them. */
static json_t *text(const char *bytes)
{
	json_t *value;
	char *copy, *to;

	if (!bytes)
		return json_null();
	value = json_string(bytes);
	if (value)
		return value;
	to = copy = fail_alloc(strlen(bytes) + 1, 3);
	for (; *bytes; bytes++) {
		if ((unsigned char)*bytes < 0x80)
			*to++ = *bytes;
		else
			to = stpcpy(to, "\xef\xbf\xbd");
	}
	value = fail_check(json_string(copy));
	free(copy);
	return value;
}

static json_t *number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

/* What is 0 was not measured. */
static json_t *measured(double value)
{
	return value > 0 ? number(value) : json_null();
}

static json_t *count(unsigned long long n)
{
	return json_integer((json_int_t)n);
}

/* ---- lines ---- */

static json_t *begin(const char *event)
{
	json_t *object = fail_check(json_object());

	json_object_set_new(object, "event", text(event));
	return object;
}

static void add(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, fail_check(value)) < 0)
		fail_check(NULL);
}

/* A line is written at once, or as its reader gets on; a user who asks twice is not kept waiting. */
static void write_line(struct show *show, const char *line, size_t n)
{
	while (n && !show->lost) {
		struct pollfd room = {.fd = show->events, .events = POLLOUT};
		ssize_t wrote = write(show->events, line, n);

		if (wrote > 0) {
			line += wrote;
			n -= (size_t)wrote;
		} else if (wrote < 0 && (errno == EINTR || errno == EAGAIN) &&
			   process_stopping() < 2) {
			if (errno == EAGAIN)
				poll(&room, 1, 100);
		} else {
			show->lost = wrote < 0 ? errno : EIO;
			process_stop();
		}
	}
}

/* Takes the event. */
static void send(struct show *show, json_t *event)
{
	char *json = fail_check(json_dumps(event, JSON_COMPACT | JSON_REAL_PRECISION(9)));
	char *line = fail_text("%s\n", json);

	write_line(show, line, strlen(line));
	free(line);
	free(json);
	json_decref(event);
}

/* ---- events ---- */

void show_event_start(struct show *show, const struct record *record, const char *results,
		      double seconds, size_t n_known)
{
	json_t *event;

	if (show->events < 0)
		return;
	event = begin("start");
	add(event, "schema", count(1));
	add(event, "device", text(record->device.name));
	add(event, "cpu", text(record->device.cpu));
	add(event, "os", text(record->device.os));
	add(event, "arch", text(record->device.arch));
	add(event, "features", text(record->device.features));
	add(event, "cores", json_integer(record->device.cores));
	add(event, "cases", count(show->n_cases));
	add(event, "seconds", number(seconds));
	add(event, "seed", json_integer(record->protocol.seed));
	add(event, "known", count(n_known));
	add(event, "results", text(results));
	send(show, event);
}

void show_event_note(struct show *show, const char *words)
{
	json_t *event;

	if (show->events < 0)
		return;
	event = begin("note");
	add(event, "text", text(words));
	send(show, event);
}

void show_event_compile(struct show *show, const char *format, const char *act, size_t n_kernels)
{
	json_t *event;

	if (show->events < 0)
		return;
	event = begin("compile");
	add(event, "format", text(format));
	add(event, "act", text(act));
	add(event, "n_kernels", count(n_kernels));
	send(show, event);
}

void show_event_invalid(struct show *show, const char *kernel, const char *reason)
{
	json_t *event;

	if (show->events < 0)
		return;
	event = begin("invalid");
	add(event, "kernel", text(kernel));
	add(event, "reason", text(reason));
	send(show, event);
}

void show_event_pruned(struct show *show, const char *kernel, const char *stage, double over)
{
	json_t *event;

	if (show->events < 0)
		return;
	event = begin("pruned");
	add(event, "case", text(show->place));
	add(event, "stage", text(stage));
	add(event, "kernel", text(kernel));
	add(event, "over", number(over));
	send(show, event);
}

void show_event_race(struct show *show, const char *stage, int round, size_t n_left,
		     const char *best, double best_us)
{
	json_t *event;

	if (show->events < 0)
		return;
	event = begin("race");
	add(event, "case", text(show->place));
	add(event, "stage", text(stage));
	add(event, "round", json_integer(round));
	add(event, "n_left", count(n_left));
	add(event, "best", text(best));
	add(event, "best_us", number(best_us));
	send(show, event);
}

void show_event_case(struct show *show, const struct record_entry *entry, const char *target)
{
	json_t *event;

	if (!show->is_terminal)
		show_line(show, "%s %ldx%ld n%ld %s: %s %.1f us, %.1f GB/s, %.2fx", entry->format,
			  entry->m, entry->k, entry->n, target, entry->kernel, entry->median_us,
			  entry->gbps, entry->speedup.ratio);
	if (show->events < 0)
		return;
	event = begin("case");
	add(event, "format", text(entry->format));
	add(event, "m", json_integer(entry->m));
	add(event, "k", json_integer(entry->k));
	add(event, "n", json_integer(entry->n));
	add(event, "threads", json_integer(entry->threads));
	add(event, "core", *entry->core_name ? text(entry->core_name) : json_null());
	add(event, "kernel", text(entry->kernel));
	add(event, "default_kernel", text(entry->default_kernel));
	add(event, "median_us", number(entry->median_us));
	add(event, "interval_us",
	    json_pack("[oo]", number(entry->ci_low_us), number(entry->ci_high_us)));
	add(event, "sustained_us", measured(entry->sustained_us));
	add(event, "gbps", number(entry->gbps));
	add(event, "roof", measured(entry->roof_fraction));
	add(event, "speedup", number(entry->speedup.ratio));
	add(event, "nmse", number(entry->nmse));
	add(event, "samples", json_integer(entry->samples));
	add(event, "flagged", json_integer(entry->flagged));
	send(show, event);
}

void show_event_progress(struct show *show)
{
	json_t *event;

	if (show->events < 0)
		return;
	event = begin("progress");
	add(event, "case", text(show->place));
	add(event, "what", text(show->what));
	add(event, "cases", count(show->n_cases));
	add(event, "cases_done", count(show->cases_done));
	add(event, "tried", json_integer(show->tried));
	add(event, "pruned", json_integer(show->pruned));
	add(event, "invalid", json_integer(show->invalid));
	add(event, "seconds_left", show->left_s >= 0 ? number(show->left_s) : json_null());
	add(event, "best", *show->best ? text(show->best) : json_null());
	add(event, "best_us", measured(show->best_us));
	send(show, event);
}

void show_event_end(struct show *show, int exit_status, const char *results, double seconds,
		    const char *error)
{
	json_t *event;

	if (show->events < 0)
		return;
	event = begin("end");
	add(event, "status",
	    text(!exit_status         ? "done"
		 : exit_status == 130 ? "stopped"
				      : "failed"));
	add(event, "exit", json_integer(exit_status));
	add(event, "results", text(results));
	add(event, "cases_done", count(show->cases_done));
	add(event, "seconds", number(seconds));
	add(event, "error", text(error));
	send(show, event);
}
