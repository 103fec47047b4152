/* test_show.c: events as scripts read them, and the progress line on a terminal of any width. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "check.h"
#include "tuner/process.h"
#include "tuner/show.h"

/* ---- events ---- */

/* The next event of a pipe, which must be one line; NULL when it is none. */
static json_t *next_event(FILE *from)
{
	char *line = NULL;
	size_t n = 0;
	ssize_t got = getline(&line, &n, from);
	json_t *event = got > 0 && line[got - 1] == '\n' ? json_loads(line, 0, NULL) : NULL;

	free(line);
	return event;
}

static int is_text(const json_t *event, const char *key, const char *text)
{
	const char *value = json_string_value(json_object_get(event, key));

	return value && !strcmp(value, text);
}

static int is_null(const json_t *event, const char *key)
{
	return json_is_null(json_object_get(event, key));
}

static void check_start(struct show *show, FILE *from)
{
	static char name[] = "a \"name\"\\ of\n two lines \x01", cpu[] = "caf\xc3\xa9",
		    os[] = "half \xe2\x82 and \xff";
	struct record record = {.device = {.name = name, .cpu = cpu, .os = os}};
	json_t *event;

	record.protocol.seed = 1LL << 60;
	show_event_start(show, &record, "r.yaml", 2.5, 7);
	event = next_event(from);
	CHECK(is_text(event, "event", "start") && is_text(event, "device", name));
	CHECK(is_text(event, "cpu", cpu) && is_null(event, "arch"));
	CHECK(is_text(event, "os", "half \xef\xbf\xbd\xef\xbf\xbd and \xef\xbf\xbd"));
	CHECK(json_integer_value(json_object_get(event, "seed")) == 1LL << 60);
	CHECK(json_number_value(json_object_get(event, "seconds")) == 2.5);
	json_decref(event);
}

static void check_numbers(struct show *show, FILE *from)
{
	struct record_entry entry = {.format = "w4g32", .m = 64, .k = 32, .n = 1, .threads = 2};
	json_t *event;

	entry.median_us = NAN;
	entry.ci_low_us = 1.5;
	entry.ci_high_us = INFINITY;
	show_event_case(show, &entry, "t2");
	event = next_event(from);
	CHECK(is_text(event, "event", "case") && is_text(event, "format", "w4g32"));
	CHECK(is_null(event, "median_us") && is_null(event, "roof") && is_null(event, "core"));
	CHECK(json_number_value(json_array_get(json_object_get(event, "interval_us"), 0)) == 1.5);
	CHECK(json_is_null(json_array_get(json_object_get(event, "interval_us"), 1)));
	json_decref(event);
	show->left_s = -1;
	show_progress(show);
	show_progress(show); /* not twice within a second */
	event = next_event(from);
	CHECK(is_text(event, "event", "progress") && is_null(event, "seconds_left"));
	json_decref(event);
	show_say(show, "%s is said", "this");
	event = next_event(from);
	CHECK(is_text(event, "event", "note") && is_text(event, "text", "this is said"));
	json_decref(event);
	show_event_end(show, 130, NULL, 1, "stopped");
	event = next_event(from);
	CHECK(is_text(event, "status", "stopped") && is_null(event, "results"));
	json_decref(event);
}

static void test_events(void)
{
	FILE *null = fopen("/dev/null", "w"), *from;
	struct show show;
	int ends[2];

	if (!CHECK(null && pipe(ends) == 0) || !CHECK((from = fdopen(ends[0], "r")) != NULL))
		return;
	show_open(&show, null, ends[1]);
	check_start(&show, from);
	check_numbers(&show, from);
	CHECK(!show.lost && !process_stopping());
	fclose(from); /* nobody reads any more */
	show_event_note(&show, "lost");
	CHECK(show.lost == EPIPE && process_stopping() == 1);
	show_event_note(&show, "lost, too");
	CHECK(process_stopping() == 1);
	close(ends[1]);
	fclose(null);
}

/* ---- the terminal ---- */

/* What was written to the terminal since the last time. */
static size_t read_screen(int master, char *text, size_t n_bytes)
{
	ssize_t n = read(master, text, n_bytes - 1);

	text[n > 0 ? n : 0] = 0;
	return n > 0 ? (size_t)n : 0;
}

static void set_width(int master, unsigned short columns)
{
	struct winsize size = {.ws_row = 24, .ws_col = columns};

	CHECK(ioctl(master, TIOCSWINSZ, &size) == 0);
}

static void test_terminal(void)
{
	static const unsigned short widths[] = {200, 30, 79};
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
	struct show show;
	char text[1024];
	FILE *out;

	if (master < 0 || grantpt(master) || unlockpt(master) ||
	    !(out = fopen(ptsname(master), "w"))) {
		puts("no terminals");
		return;
	}
	setenv("TERM", "xterm", 1);
	show_open(&show, out, -1);
	CHECK(show.is_terminal);
	show.n_cases = 72;
	show.cases_done = 12;
	show.tried = 258;
	show.pruned = 180;
	show.left_s = 100.4;
	strcpy(show.place, "w4g32 a8g32 4096x4096 n1 t1");
	strcpy(show.what, "race0, round 3");
	strcpy(show.best, "dot_w4g32_a8g32_avx2_r6g2k4p0n1");
	strcpy(show.figure, "312.4 us");
	for (size_t i = 0; i < sizeof(widths) / sizeof(*widths); i++) {
		size_t n;

		set_width(master, widths[i]);
		show.drawn = 0;
		show_progress(&show);
		n = read_screen(master, text, sizeof(text));
		CHECK(!strncmp(text, "\r\033[K12/72 | 1:40 left | ", 24));
		CHECK(n >= 4 && (widths[i] == 200 ? n - 4 < 200 : n - 4 == widths[i] - 1u));
		CHECK(widths[i] < 79 || strstr(text, "258 tried, 180 pruned, 0 invalid"));
		CHECK(widths[i] < 79 || strstr(text, "best 312.4 us"));
		CHECK(widths[i] < 200 || strstr(text, "race0, round 3 | dot_w4g32"));
	}
	show_progress(&show); /* too early */
	CHECK(read_screen(master, text, sizeof(text)) == 0);
	show_say(&show, "a line that stays");
	read_screen(master, text, sizeof(text));
	CHECK(!strcmp(text, "\r\033[Ka line that stays\r\n"));
	setenv("TERM", "dumb", 1);
	show_open(&show, out, -1);
	show_progress(&show);
	CHECK(!show.is_terminal && read_screen(master, text, sizeof(text)) == 0);
	fclose(out);
	close(master);
}

int main(void)
{
	process_catch_signals();
	test_terminal(); /* before anything asks to stop */
	test_events();
	return check_exit();
}
