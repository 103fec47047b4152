/* link.c: relays, one after the other, and what each of them says. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "command.h"
#include "fail.h"
#include "link.h"
#include "process.h"

#define MOST_NOISE 64 /* lines before the greeting: what a login prints */
#define QUIT_SECONDS 3

struct link {
	const struct remote *remote;
	double connect_s;
	char *log_path;
	pid_t pid; /* of the relay's command; 0: none */
	int in, out;
	char text[2 * SERVE_LINE]; /* read and not yet used */
	size_t n;
	unsigned long number; /* of the last request */
};

struct link *link_open(const struct remote *remote, double connect_seconds, const char *log_path)
{
	struct link *link = fail_alloc(1, sizeof(*link));

	link->remote = remote;
	link->connect_s = connect_seconds;
	link->log_path = fail_text("%s", log_path);
	return link;
}

static void disconnect(struct link *link)
{
	if (!link->pid)
		return;
	process_kill(link->pid);
	close(link->in);
	close(link->out);
	link->pid = 0;
	link->n = 0;
}

static int start_command(struct link *link, const struct command *command, struct gen_error *err)
{
	int in[2], out[2],
		log = open(link->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (log < 0)
		return fail_set(err, "cannot write %s: %s", link->log_path, strerror(errno));
	if (pipe2(in, O_CLOEXEC) < 0) {
		close(log);
		return fail_set(err, "cannot make a pipe: %s", strerror(errno));
	}
	if (pipe2(out, O_CLOEXEC) < 0) {
		close(in[0]);
		close(in[1]);
		close(log);
		return fail_set(err, "cannot make a pipe: %s", strerror(errno));
	}
	link->pid =
		process_start((const char *const *)command->words, in[0], out[1], log, NULL, err);
	close(log);
	close(in[0]);
	close(out[1]);
	link->in = in[1];
	link->out = out[0];
	if (link->pid < 0) {
		close(link->in);
		close(link->out);
		link->pid = 0;
		return -1;
	}
	fcntl(link->in, F_SETFL, O_NONBLOCK);
	fcntl(link->out, F_SETFL, O_NONBLOCK);
	return 0;
}

/* The next line without its end: 1; 0: not in time; -1: there is none. */
static int read_line(struct link *link, double end, char line[SERVE_LINE])
{
	while (process_stopping() < 2) {
		struct pollfd wait = {.fd = link->out, .events = POLLIN};
		char *newline = memchr(link->text, '\n', link->n);
		double left = end - process_now();
		size_t length;
		ssize_t n;

		if (newline) {
			length = (size_t)(newline - link->text);
			if (length >= SERVE_LINE)
				return -1;
			memcpy(line, link->text, length);
			line[length] = 0;
			line[strcspn(line, "\r")] = 0;
			link->n -= length + 1;
			memmove(link->text, newline + 1, link->n);
			return 1;
		}
		if (link->n == sizeof(link->text))
			return -1;
		if (left <= 0)
			return 0;
		/* Short naps so that signals are seen. */
		if (poll(&wait, 1, left < 0.1 ? (int)(left * 1000) + 1 : 100) <= 0)
			continue;
		n = read(link->out, link->text + link->n, sizeof(link->text) - link->n);
		if (n > 0)
			link->n += (size_t)n;
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return -1;
	}
	return 0;
}

/* Why the last read_line had none; ends the relay. */
static void explain(struct link *link, int got, struct gen_error *err)
{
	char *why;

	disconnect(link);
	why = command_explain(got ? "the link closed" : "the link is silent", link->log_path);
	fail_set(err, "%.900s", why);
	free(why);
}

/* 1; 0 with the reason; -1: there is nothing to attach to. */
static int connect_link(struct link *link, struct gen_error *err)
{
	struct command command = {0};
	char line[SERVE_LINE];
	double end = process_now() + link->connect_s;
	int status, got = 1;

	remote_attach(link->remote, &command);
	status = start_command(link, &command, err);
	command_free(&command);
	if (status < 0)
		return 0;
	for (int i = 0; i < MOST_NOISE; i++) {
		got = read_line(link, end, line);
		if (got <= 0)
			break;
		if (!strcmp(line, SERVE_GREETING))
			return 1;
		if (!strcmp(line, REMOTE_GONE)) {
			disconnect(link);
			return -1;
		}
	}
	explain(link, got, err);
	return 0;
}

static int send_line(struct link *link, const char *line, size_t n, double end)
{
	while (n) {
		struct pollfd wait = {.fd = link->in, .events = POLLOUT};
		ssize_t wrote = write(link->in, line, n);

		if (wrote < 0 && errno != EAGAIN && errno != EINTR)
			return -1;
		if (wrote > 0) {
			line += wrote;
			n -= (size_t)wrote;
		} else if (process_now() > end || process_stopping() > 1) {
			return -1;
		} else {
			poll(&wait, 1, 100);
		}
	}
	return 0;
}

/* The sign of the answer, or 0 with the reason why there is none. */
static char exchange(struct link *link, double seconds, const char *request, char *text,
		     struct gen_error *err)
{
	/* The server's clock decides what is late; this is about the link. */
	double end = process_now() + seconds + link->connect_s;
	char line[SERVE_LINE], sign;
	int n = snprintf(line, sizeof(line), "%lu %g %s\n", link->number, seconds, request), at = 0;
	int got = send_line(link, line, (size_t)n, end) < 0 ? -1 : 1;
	unsigned long number;

	while (got > 0) {
		got = read_line(link, end, line);
		if (got <= 0)
			break;
		if (sscanf(line, "%lu %c %n", &number, &sign, &at) < 2 || !strchr("=!?%", sign)) {
			disconnect(link);
			fail_set(err, "the link garbles what passes it: '%.60s'", line);
			return 0;
		}
		if (number == link->number) {
			snprintf(text, SERVE_LINE, "%s", line + at);
			return sign;
		}
	}
	explain(link, got, err);
	return 0;
}

char link_ask(struct link *link, double seconds, const char *request, char *text)
{
	link->number++;
	for (long try = 0;; try++) {
		struct gen_error why, err;
		int is_up = link->pid ? 1 : connect_link(link, &why);
		char sign = 0;

		if (is_up < 0) {
			snprintf(text, SERVE_LINE, "the server's folder is gone");
			return '?';
		}
		if (is_up)
			sign = exchange(link, seconds, request, text, &why);
		if (sign)
			return sign;
		if (remote_wait(link->remote, try, "no link to", why.text, &err) < 0) {
			snprintf(text, SERVE_LINE, "%s", err.text);
			return '%';
		}
	}
}

void link_close(struct link *link)
{
	char text[SERVE_LINE];
	struct gen_error ignored;

	if (link->pid) {
		link->number++;
		link->connect_s = 0;
		exchange(link, QUIT_SECONDS, "quit", text, &ignored);
	}
	disconnect(link);
	free(link->log_path);
	free(link);
}
