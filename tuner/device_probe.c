/*
 * device_probe.c: the conversation with a probe.
 *
 * The probe runs code that may do anything: it may die, hang, flood or write rubbish.  Every read
 * is bounded in bytes and in time; whatever breaks the protocol ends the process group.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <unistd.h>

#include "command.h"
#include "device.h"
#include "fail.h"
#include "link.h"
#include "probe.h"
#include "process.h"

struct device_probe {
	const struct device *device;
	pid_t pid;   /* 0: dead */
	int in, out; /* its standard input and output */
	char line[PROBE_LINE + 2];
	size_t n; /* bytes in line */

	struct link *link; /* NULL: a process of this machine */
	int is_over;       /* with a link: the probe is of no more use */
};

static void close_pair(int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

static void add_run_words(const struct device *device, const char *program, struct command *command)
{
	const struct command_mark marks[] = {{"{program}", program}, {0}};

	if (device->environment && device->environment[0]) {
		command_add(command, "env");
		command_add_list(command, device->environment);
	}
	command_add_filled(command, device->run, marks);
}

static struct device_probe *start_far(const struct device *device, const char *program,
				      const char *log_path, struct gen_error *err)
{
	struct device_probe *probe;

	if (remote_start(device->remote, program, log_path, err) < 0)
		return NULL;
	probe = fail_alloc(1, sizeof(*probe));
	probe->device = device;
	probe->link = link_open(device->remote, device->connect_time_out_s, log_path);
	return probe;
}

struct device_probe *device_start(const struct device *device, const char *program,
				  const char *log_path, struct gen_error *err)
{
	struct device_probe *probe;
	struct command command = {0};
	int in[2], out[2], log;

	if (device->remote)
		return start_far(device, program, log_path, err);
	probe = fail_alloc(1, sizeof(*probe));
	probe->device = device;
	log = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (log < 0) {
		fail_set(err, "cannot write %s: %s", log_path, strerror(errno));
		goto no_log;
	}
	if (pipe2(in, O_CLOEXEC) < 0) {
		fail_set(err, "cannot make a pipe: %s", strerror(errno));
		goto no_in;
	}
	if (pipe2(out, O_CLOEXEC) < 0) {
		fail_set(err, "cannot make a pipe: %s", strerror(errno));
		goto no_out;
	}
	add_run_words(device, program, &command);
	probe->pid =
		process_start((const char *const *)command.words, in[0], out[1], log, NULL, err);
	command_free(&command);
	if (probe->pid < 0) {
		close_pair(out);
		goto no_out;
	}
	close(log);
	close(in[0]);
	close(out[1]);
	probe->in = in[1];
	probe->out = out[0];
	fcntl(probe->in, F_SETFL, O_NONBLOCK);
	fcntl(probe->out, F_SETFL, O_NONBLOCK);
	return probe;
no_out:
	close_pair(in);
no_in:
	close(log);
no_log:
	free(probe);
	return NULL;
}

void device_kill(struct device_probe *probe)
{
	probe->is_over = 1;
	if (probe->pid) {
		process_kill(probe->pid);
		close(probe->in);
		close(probe->out);
		probe->pid = 0;
	}
}

void device_stop(struct device_probe *probe)
{
	int status;

	if (!probe)
		return;
	if (probe->link)
		link_close(probe->link);
	if (probe->pid) {
		close(probe->in); /* end of input: the probe exits */
		if (!process_wait(probe->pid, 1, &status))
			process_kill(probe->pid);
		close(probe->out);
	}
	free(probe);
}

/* Kills the probe after it closed its output, and says how it ended. */
static enum device_outcome bury(struct device_probe *probe, char *answer)
{
	char how[80];
	int status = 0;

	if (process_wait(probe->pid, 0.2, &status)) {
		close(probe->in);
		close(probe->out);
		probe->pid = 0;
		snprintf(answer, PROBE_LINE, "crash the probe died: %s",
			 process_describe(status, how, sizeof(how)));
	} else {
		device_kill(probe);
		snprintf(answer, PROBE_LINE, "crash the probe closed its output");
	}
	return DEVICE_DEAD;
}

static enum device_outcome give_up(struct device_probe *probe, char *answer, const char *why)
{
	device_kill(probe);
	snprintf(answer, PROBE_LINE, "%s", why);
	return DEVICE_DEAD;
}

/* Waits until the descriptor is ready: 1; 0 in vain; short naps so that signals are seen. */
static int wait_ready(int fd, short events, double end)
{
	while (process_stopping() < 2) {
		struct pollfd wait = {.fd = fd, .events = events};
		double left = end - process_now();

		if (left <= 0)
			return 0;
		if (poll(&wait, 1, left < 0.1 ? (int)(left * 1000) + 1 : 100) > 0)
			return 1;
	}
	return 0;
}

/* 1: sent; 0: in vain; -1: the probe is gone. */
static int send_line(struct device_probe *probe, const char *request, double end)
{
	char line[PROBE_LINE + 2];
	size_t n = (size_t)snprintf(line, sizeof(line), "%s\n", request), done = 0;

	while (done < n) {
		ssize_t wrote = write(probe->in, line + done, n - done);

		if (wrote > 0)
			done += (size_t)wrote;
		else if (wrote < 0 && errno != EAGAIN && errno != EINTR)
			return -1;
		else if (!wait_ready(probe->in, POLLOUT, end))
			return 0;
	}
	return 1;
}

static enum device_outcome read_outcome(struct device_probe *probe, char *answer)
{
	static const struct {
		const char *word;
		enum device_outcome outcome;
	} words[] = {
		{"ok", DEVICE_OK},
		{"fail", DEVICE_FAIL},
		{"error", DEVICE_ERROR},
	};

	for (size_t i = 0; i < 3; i++) {
		size_t n = strlen(words[i].word);

		if (!strncmp(probe->line, words[i].word, n) &&
		    (!probe->line[n] || probe->line[n] == ' ')) {
			strcpy(answer, probe->line + n + (probe->line[n] == ' '));
			return words[i].outcome;
		}
	}
	for (char *p = probe->line; *p; p++) {
		if (!isprint((unsigned char)*p))
			*p = '?';
	}
	device_kill(probe);
	snprintf(answer, PROBE_LINE, "garbage the probe wrote '%.60s'", probe->line);
	return DEVICE_DEAD;
}

static enum device_outcome ask_far(struct device_probe *probe, double seconds, const char *request,
				   char *answer)
{
	char text[SERVE_LINE], sign = '!';

	if (probe->is_over)
		strcpy(text, "crash the probe is dead");
	else
		sign = link_ask(probe->link, seconds, request, text);
	if (sign == '=') {
		snprintf(probe->line, sizeof(probe->line), "%.*s", PROBE_LINE - 1, text);
		return read_outcome(probe, answer);
	}
	probe->is_over = 1;
	snprintf(answer, PROBE_LINE, "%.*s", PROBE_LINE - 1, text);
	return sign == '!' ? DEVICE_DEAD : sign == '?' ? DEVICE_LOST : DEVICE_STUCK;
}

static enum device_outcome ask_once(struct device_probe *probe, double seconds, const char *request,
				    char *answer)
{
	double end = process_now() + seconds;
	int sent;

	answer[0] = 0;
	if (probe->link)
		return ask_far(probe, seconds, request, answer);
	if (!probe->pid) {
		snprintf(answer, PROBE_LINE, "crash the probe is dead");
		return DEVICE_DEAD;
	}
	sent = send_line(probe, request, end);
	probe->n = 0;
	while (sent > 0) {
		ssize_t n = read(probe->out, probe->line + probe->n, PROBE_LINE + 1 - probe->n);
		char *newline;

		if (n == 0)
			return bury(probe, answer);
		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				return bury(probe, answer);
			if (!wait_ready(probe->out, POLLIN, end))
				break;
			continue;
		}
		probe->n += (size_t)n;
		newline = memchr(probe->line, '\n', probe->n);
		if (newline && newline + 1 < probe->line + probe->n)
			return give_up(probe, answer, "garbage the probe wrote more than one line");
		if (newline) {
			*newline = 0;
			if (memchr(probe->line, 0, probe->n - 1))
				return give_up(probe, answer,
					       "garbage the probe wrote a zero byte");
			return read_outcome(probe, answer);
		}
		if (probe->n > PROBE_LINE)
			return give_up(probe, answer, "garbage the probe wrote too long a line");
	}
	if (sent < 0)
		return bury(probe, answer);
	device_kill(probe);
	snprintf(answer, PROBE_LINE,
		 process_stopping() > 1 ? "stopped by the user" : "hang no answer within %g s",
		 seconds);
	return DEVICE_DEAD;
}

enum device_outcome device_ask(struct device_probe *probe, double seconds, const char *request,
			       char *answer)
{
	const struct device *device = probe->device;
	enum device_outcome outcome = ask_once(probe, seconds, request, answer);

	if (outcome == DEVICE_OK && device->greet && !strcmp(request, "hello"))
		device->greet(device->context, answer);
	return outcome;
}

/* ---- values ---- */

int device_value(const char *answer, const char *key, char *text, size_t n_bytes)
{
	size_t n = strlen(key), at = 0;

	while (*answer) {
		if (!strncmp(answer, key, n) && answer[n] == '=')
			break;
		answer += strcspn(answer, " ");
		answer += strspn(answer, " ");
	}
	if (!*answer)
		return -1;
	for (const char *p = answer + n + 1; *p && *p != ' '; p++) {
		unsigned byte = (unsigned char)*p;

		if (*p == '%') {
			if (!isxdigit((unsigned char)p[1]) || !isxdigit((unsigned char)p[2]) ||
			    sscanf(p + 1, "%2x", &byte) != 1 || !byte)
				return -1;
			p += 2;
		}
		if (at + 1 >= n_bytes)
			return -1;
		text[at++] = (char)byte;
	}
	text[at] = 0;
	return 0;
}

int device_value_long(const char *answer, const char *key, long long *value)
{
	char text[32], *end;

	if (device_value(answer, key, text, sizeof(text)) < 0 || !*text ||
	    isspace((unsigned char)*text))
		return -1;
	errno = 0;
	*value = strtoll(text, &end, 10);
	return *end || errno ? -1 : 0;
}

int device_value_double(const char *answer, const char *key, double *value)
{
	char text[64], *end;

	if (device_value(answer, key, text, sizeof(text)) < 0 || !*text ||
	    isspace((unsigned char)*text))
		return -1;
	*value = strtod(text, &end);
	return *end || !isfinite(*value) ? -1 : 0;
}
