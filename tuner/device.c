/*
 * device.c: device files and the conversation with a probe.
 *
 * The probe runs code that may do anything: it may die, hang, flood or write rubbish.  Every read
 * is bounded in bytes and in time; whatever breaks the protocol ends the process group.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "device.h"
#include "fail.h"
#include "probe.h"
#include "process.h"
#include "gen/yaml.h"

#define PROGRAM "{program}" /* in the words of `run` */

/* ---- files ---- */

static void free_words(char **words)
{
	for (size_t i = 0; words && words[i]; i++)
		free(words[i]);
	free(words);
}

static int read_words(const struct yaml *yaml, const struct yaml_node *node, const char *key,
		      char ***words, struct gen_error *err)
{
	if (node->kind != YAML_SEQUENCE)
		return yaml_complain(yaml, node, err, "'%s' must be a list of words", key);
	free_words(*words);
	*words = fail_alloc(node->n + 1, sizeof(**words));
	for (size_t i = 0; i < node->n; i++) {
		if (node->items[i]->kind != YAML_SCALAR)
			return yaml_complain(yaml, node->items[i], err,
					     "'%s' must hold plain words", key);
		(*words)[i] = fail_text("%s", node->items[i]->text);
	}
	return 0;
}

static void free_commands(char ***commands)
{
	for (size_t i = 0; commands && commands[i]; i++)
		free_words(commands[i]);
	free(commands);
}

/* A list of commands, or one command. */
static int read_commands(const struct yaml *yaml, const struct yaml_node *node, const char *key,
			 char ****commands, struct gen_error *err)
{
	int is_list =
		node->kind == YAML_SEQUENCE && node->n && node->items[0]->kind == YAML_SEQUENCE;
	size_t n = is_list ? node->n : 1;

	free_commands(*commands);
	*commands = fail_alloc(n + 1, sizeof(**commands));
	for (size_t i = 0; i < n; i++) {
		const struct yaml_node *words = is_list ? node->items[i] : node;

		if (read_words(yaml, words, key, &(*commands)[i], err) < 0)
			return -1;
		if (!words->n)
			return yaml_complain(yaml, words, err, "'%s' has a command without words",
					     key);
	}
	return 0;
}

static int read_seconds(const struct yaml *yaml, const struct yaml_node *node, const char *key,
			double *seconds, struct gen_error *err)
{
	if (yaml_double(node, seconds) < 0 || !(*seconds > 0 && *seconds <= 86400))
		return yaml_complain(yaml, node, err,
				     "'%s' must be seconds, above 0 and at most 86400", key);
	return 0;
}

static int read_key(struct device *device, const struct yaml *yaml, const struct yaml_node *key,
		    const struct yaml_node *value, struct gen_error *err)
{
	struct {
		const char *name;
		char ***words;
	} lists[] = {
		{"compiler", &device->compiler}, {"flags", &device->flags}, {"link", &device->link},
		{"papi", &device->papi},         {"run", &device->run},
	};
	long number;

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		if (!strcmp(key->text, lists[i].name))
			return read_words(yaml, value, key->text, lists[i].words, err);
	}
	if (!strcmp(key->text, "quern")) {
		if (value->kind != YAML_SCALAR || strcmp(value->text, "device"))
			return yaml_complain(yaml, value, err, "this is not a device file");
		return 0;
	}
	if (!strcmp(key->text, "schema")) {
		if (yaml_long(value, &number) < 0 || number != 1)
			return yaml_complain(yaml, value, err, "schema must be 1");
		return 0;
	}
	if (!strcmp(key->text, "name")) {
		if (value->kind != YAML_SCALAR || !*value->text ||
		    strlen(value->text) >= sizeof(device->name))
			return yaml_complain(yaml, value, err, "name must be 1 to %zu characters",
					     sizeof(device->name) - 1);
		strcpy(device->name, value->text);
		return 0;
	}
	if (!strcmp(key->text, "clang"))
		return read_commands(yaml, value, key->text, &device->clang, err);
	if (!strcmp(key->text, "time_out"))
		return read_seconds(yaml, value, key->text, &device->time_out_s, err);
	if (!strcmp(key->text, "compile_time_out"))
		return read_seconds(yaml, value, key->text, &device->compile_time_out_s, err);
	return yaml_complain(yaml, key, err,
			     "unknown key '%s': must be one of quern, schema, name, "
			     "compiler, clang, flags, link, papi, run, time_out, compile_time_out",
			     key->text);
}

static int has_program(char *const *words)
{
	while (*words && !strstr(*words, PROGRAM))
		words++;
	return *words != NULL;
}

static int read_device(struct device *device, const struct yaml *yaml, struct gen_error *err)
{
	const struct yaml_node *root = yaml_root(yaml);

	if (!root || root->kind != YAML_MAPPING || !yaml_get(root, "quern"))
		return fail_set(err, "%s:1: this is not a device file ('quern: device' is missing)",
				yaml_name(yaml));
	for (size_t i = 0; i < root->n; i++) {
		if (read_key(device, yaml, root->keys[i], root->items[i], err) < 0)
			return -1;
	}
	if (!*device->name)
		return yaml_complain(yaml, root, err, "'name' is missing");
	if (!device->compiler || !device->compiler[0])
		return yaml_complain(yaml, root, err, "'compiler' is missing or empty");
	if (!device->run || !device->run[0])
		return yaml_complain(yaml, root, err, "'run' is missing or empty");
	if (!has_program(device->run))
		return yaml_complain(yaml, yaml_get(root, "run"), err,
				     "'run' must have {program} where the probe's path goes");
	if (!device->flags)
		device->flags = fail_alloc(1, sizeof(*device->flags));
	if (!device->link)
		device->link = fail_alloc(1, sizeof(*device->link));
	return 0;
}

/* The words of a text with spaces between; NULL when it has none. */
static char **split_words(const char *text)
{
	char *copy = fail_text("%s", text), *rest = copy, *word, **words = NULL;
	size_t n = 0;

	while ((word = strsep(&rest, " "))) {
		if (!*word)
			continue;
		words = fail_grow(words, n, sizeof(*words));
		words[n++] = fail_text("%s", word);
	}
	if (n) {
		words = fail_grow(words, n, sizeof(*words));
		words[n] = NULL;
	}
	free(copy);
	return words;
}

/* The compilers of this machine: those of the environment, or of configure. */
static void take_environment(struct device *device)
{
	const char *cc = getenv("CC"), *clang = getenv("CLANG");
	char **words = cc ? split_words(cc) : NULL;

	if (words) {
		free_words(device->compiler);
		device->compiler = words;
	}
	if (!clang && device->clang)
		return;
	free_commands(device->clang);
	device->clang = NULL;
	words = split_words(clang ? clang : QUERN_CLANG);
	if (words) {
		device->clang = fail_alloc(2, sizeof(*device->clang));
		device->clang[0] = words;
	}
}

int device_read(struct device *device, const char *home, const char *name, struct gen_error *err)
{
	size_t n = strlen(name);
	int is_path = strchr(name, '/') || (n > 5 && !strcmp(name + n - 5, ".yaml"));
	char *path =
		is_path ? fail_text("%s", name) : fail_text("%s/tuner/devices/%s.yaml", home, name);
	struct yaml *yaml;
	int status;

	memset(device, 0, sizeof(*device));
	device->time_out_s = 10;
	device->compile_time_out_s = 120;
	yaml = yaml_read(path, err);
	free(path);
	if (!yaml)
		return -1;
	status = read_device(device, yaml, err);
	yaml_close(yaml);
	if (!status && !strcmp(device->name, "local"))
		take_environment(device);
	if (status < 0)
		device_free(device);
	return status;
}

void device_free(struct device *device)
{
	free_words(device->compiler);
	free_commands(device->clang);
	free_words(device->flags);
	free_words(device->link);
	free_words(device->papi);
	free_words(device->run);
	memset(device, 0, sizeof(*device));
}

/* ---- the conversation ---- */

struct device_probe {
	pid_t pid;   /* 0: dead */
	int in, out; /* its standard input and output */
	char line[PROBE_LINE + 2];
	size_t n; /* bytes in line */
};

static void close_pair(int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

/* The words of run with the program's path in place. */
static char **run_words(const struct device *device, const char *program)
{
	size_t n = 0;
	char **words;

	while (device->run[n])
		n++;
	words = fail_alloc(n + 1, sizeof(*words));
	for (size_t i = 0; i < n; i++) {
		const char *word = device->run[i], *mark = strstr(word, PROGRAM);

		words[i] = !mark ? fail_text("%s", word)
				 : fail_text("%.*s%s%s", (int)(mark - word), word, program,
					     mark + strlen(PROGRAM));
	}
	return words;
}

struct device_probe *device_start(const struct device *device, const char *program,
				  const char *log_path, struct gen_error *err)
{
	struct device_probe *probe = fail_alloc(1, sizeof(*probe));
	int in[2], out[2], log = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	char **words;

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
	words = run_words(device, program);
	probe->pid = process_start((const char *const *)words, in[0], out[1], log, NULL, err);
	free_words(words);
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
	if (probe->pid) {
		close(probe->in); /* end of input: the probe exits */
		if (process_wait(probe->pid, 1, &status)) {
			/* Whatever it left behind goes too; the group may be gone already. */
			kill(-probe->pid, SIGKILL);
			close(probe->out);
		} else {
			process_kill(probe->pid);
			close(probe->out);
		}
	}
	free(probe);
}

/* Kills the probe after it closed its output, and says how it ended. */
static enum device_outcome bury(struct device_probe *probe, char *answer)
{
	char how[80];
	int status = 0;

	if (process_wait(probe->pid, 0.2, &status)) {
		kill(-probe->pid, SIGKILL);
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

enum device_outcome device_ask(struct device_probe *probe, double seconds, const char *request,
			       char *answer)
{
	double end = process_now() + seconds;
	int sent;

	answer[0] = 0;
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
