/*
 * remote.c: scripts for the device's shell, copies, and tries.
 *
 * A script is one word of the command that carries it.  It goes through `sh -c`, so that the login
 * shell only has to know single quotes, and says how it ended in a last line of its own: exit
 * statuses of ssh and adb mix up the link's troubles with the script's.
 */
#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fail.h"
#include "hash.h"
#include "process.h"
#include "remote.h"

#define DONE "quern-done "
#define NO_PROGRAM 77         /* exit status of the script that starts a server */
#define COPY_TIMES 6          /* copies get so many times the time of a link */
#define SPARE_BYTES (1 << 16) /* of disk, for the server's files */
#define LONGEST_PAUSE 15.0

struct remote {
	const struct device *device;
	char run[32], program[32], server[48];
	unsigned n_servers;
	int is_reached; /* there was a link in this process */
	int has_files;
	char *log_path; /* of the last start */
};

struct remote *remote_open(const struct device *device)
{
	struct remote *remote = fail_alloc(1, sizeof(*remote));

	remote->device = device;
	remote->log_path = fail_text("/dev/null");
	snprintf(remote->run, sizeof(remote->run), "run-%ld-%lx", (long)getpid(),
		 (unsigned long)time(NULL));
	return remote;
}

void remote_close(struct remote *remote)
{
	if (remote)
		free(remote->log_path);
	free(remote);
}

void remote_set_run(struct remote *remote, const char *folder)
{
	char *path = realpath(folder, NULL), *machine = command_read_text("/etc/machine-id");
	char host[256] = "";
	uint64_t hash = hash_text(HASH_START, path ? path : folder);

	gethostname(host, sizeof(host) - 1);
	hash = hash_text(hash_text(hash, host), machine ? machine : "");
	snprintf(remote->run, sizeof(remote->run), "run-%016llx", (unsigned long long)hash);
	free(machine);
	free(path);
}

/* ---- words for a shell ---- */

static void put_quoted(FILE *out, const char *text)
{
	putc('\'', out);
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", out);
		else
			putc(*text, out);
	}
	putc('\'', out);
}

/* "export NAME='VALUE' && ..." and the words up to the program's arguments. */
static void put_start(FILE *out, const struct remote *remote, const char *before)
{
	char **variables = remote->device->environment, **words = remote->device->start;

	for (; variables && *variables; variables++) {
		const char *value = strchr(*variables, '=') + 1;

		fprintf(out, "export %.*s", (int)(value - *variables), *variables);
		put_quoted(out, value);
		fputs(" && ", out);
	}
	fputs(before, out);
	for (; words && *words; words++) {
		put_quoted(out, *words);
		putc(' ', out);
	}
	fprintf(out, "./%s", remote->program);
}

static void put_folder(FILE *out, const struct remote *remote)
{
	char *path = fail_text("%s/%s", remote->device->work, remote->run);

	put_quoted(out, path);
	free(path);
}

/* The words that run a script; it is freed. */
static void add_script(const struct remote *remote, char *script, struct command *command)
{
	char *line;
	size_t n_bytes;
	FILE *out = fail_check(open_memstream(&line, &n_bytes));
	const char *at = remote->device->at;
	struct command_mark marks[] = {{"{command}", NULL}, {"{at}", at ? at : "{at}"}, {0}};

	fputs("sh -c ", out);
	put_quoted(out, script);
	fclose(out);
	marks[0].value = line;
	command_add_filled(command, remote->device->run, marks);
	free(line);
	free(script);
}

/* ---- running them ---- */

/* Runs words to the end or for so long: 0, or -1 with the reason. */
static int run_words(const struct remote *remote, const struct command *command, double seconds,
		     int patience, struct gen_error *err)
{
	pid_t pid = command_start(command, remote->log_path, NULL, err);
	double end = process_now() + seconds;
	char how[80], *why;
	int status = 0;

	if (pid < 0)
		return -1;
	while (!process_wait(pid, 0.1, &status)) {
		if (process_now() < end && process_stopping() <= patience)
			continue;
		process_kill(pid);
		if (process_stopping() > patience)
			return fail_set(err, "stopped by the user");
		snprintf(how, sizeof(how), "no end within %g s", seconds);
		goto out;
	}
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	process_describe(status, how, sizeof(how));
out:
	why = command_explain(how, remote->log_path);
	fail_set(err, "%.900s", why);
	free(why);
	return -1;
}

/* Cuts the line that says how a script ended off what it printed; -1: there is none. */
static int take_status(char *text)
{
	char *line = NULL;

	for (char *p = text; p && (p = strstr(p, DONE)); p++) {
		if (p == text || p[-1] == '\n')
			line = p;
	}
	if (!line)
		return -1;
	*line = 0;
	return atoi(line + strlen(DONE));
}

/*
 * Runs a script, which is freed, trying again while there is no link.  Returns its exit status, or
 * -1; *output, when not NULL, gets what it printed.
 */
static int run_script(struct remote *remote, char *script, char **output, struct gen_error *err)
{
	struct command command = {0};
	int status = -1;
	char *text = NULL;

	add_script(remote, fail_text("(%s) 2>&1; echo " DONE "$?", script), &command);
	free(script);
	for (long try = 0; status < 0; try++) {
		struct gen_error why;
		int ran = run_words(remote, &command, remote->device->connect_time_out_s, 1, &why);

		free(text);
		text = command_read_text(remote->log_path);
		status = text ? take_status(text) : -1;
		if (status < 0 && !ran)
			fail_set(&why, "the shell there said nothing (see %s)", remote->log_path);
		if (status < 0 && remote_wait(remote, try, "no link to", why.text, err) < 0)
			break;
	}
	remote->is_reached |= status >= 0;
	command_free(&command);
	if (output && status >= 0)
		*output = text;
	else
		free(text);
	return status;
}

int remote_wait(const struct remote *remote, long try, const char *what, const char *why,
		struct gen_error *err)
{
	const struct device *device = remote->device;
	/* A name that is wrong from the start gets no better. */
	long most = remote->is_reached || device->retries < 1 ? device->retries : 1;
	double pause = try < 5 ? 0.5 * (double)(1 << try) : LONGEST_PAUSE, end;
	const struct timespec nap = {0, 50000000};

	if (process_stopping())
		return fail_set(err, "stopped by the user");
	if (try >= most)
		return fail_set(err,
				"there is %s %s: %.600s; once there is, the same command goes on",
				what, device->name, why);
	if (device->say) {
		const char *end_of_why = strstr(why, " (see ");
		int n = end_of_why ? (int)(end_of_why - why) : (int)strlen(why);
		char *text = fail_text("%s %s: %.*s; trying again in %g s (%ld of %ld)", what,
				       device->name, n, why, pause, try + 1, most);

		device->say(device->context, text);
		free(text);
	}
	for (end = process_now() + pause; process_now() < end && !process_stopping();)
		nanosleep(&nap, NULL);
	return 0;
}

/* ---- the program ---- */

struct program {
	char checksum[40]; /* as cksum prints it of its standard input */
	long long bytes;
};

/* POSIX's cksum: a CRC of the bytes and then of the digits of their number. */
static uint32_t add_crc(uint32_t crc, unsigned char byte)
{
	crc ^= (uint32_t)byte << 24;
	for (int i = 0; i < 8; i++)
		crc = crc << 1 ^ (crc >> 31 ? 0x04c11db7u : 0);
	return crc;
}

static int read_program(struct remote *remote, const char *path, struct program *program,
			struct gen_error *err)
{
	FILE *file = fopen(path, "re");
	unsigned char buffer[65536];
	uint64_t hash = HASH_START;
	uint32_t crc = 0;
	size_t n;
	int is_bad;

	if (!file)
		return fail_set(err, "cannot read %s: %s", path, strerror(errno));
	program->bytes = 0;
	while ((n = fread(buffer, 1, sizeof(buffer), file))) {
		hash = hash_add(hash, buffer, n);
		for (size_t i = 0; i < n; i++)
			crc = add_crc(crc, buffer[i]);
		program->bytes += (long long)n;
	}
	is_bad = ferror(file);
	fclose(file);
	if (is_bad)
		return fail_set(err, "cannot read %s", path);
	for (long long bytes = program->bytes; bytes; bytes >>= 8)
		crc = add_crc(crc, (unsigned char)bytes);
	snprintf(program->checksum, sizeof(program->checksum), "%lu %lld", (unsigned long)~crc,
		 program->bytes);
	snprintf(remote->program, sizeof(remote->program), "probe-%016llx",
		 (unsigned long long)hash);
	return 0;
}

/* Bytes that df says are free, or -1. */
static long long find_free(const char *text)
{
	long long kb, n = -1;
	int percent;

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "%*s %*d %*d %lld %d%%", &kb, &percent) == 2)
			n = 1024 * kb;
	}
	return n;
}

static char *last_line(char *text)
{
	size_t n = strlen(text);
	char *newline;

	while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		text[--n] = 0;
	newline = strrchr(text, '\n');
	return newline ? newline + 1 : text;
}

/* A script that begins in the folder of the run. */
static FILE *begin_script(const struct remote *remote, char **text, size_t *n_bytes)
{
	FILE *out = fail_check(open_memstream(text, n_bytes));

	fputs("cd ", out);
	put_folder(out, remote);
	return out;
}

static int check_room(const struct remote *remote, long long free_bytes, long long needed,
		      struct gen_error *err)
{
	if (free_bytes < 0 || free_bytes >= needed)
		return 0;
	return fail_set(
		err,
		"%s has %lld kB left in %s and needs %lld kB; make room there, then the same "
		"command goes on",
		remote->device->name, free_bytes / 1024, remote->device->work,
		(needed + 1023) / 1024);
}

/*
 * Takes up a copy that is what was sent, and starts a server of the program.  0; 1: the program is
 * not there, but a folder for it is, with nothing in it; -1.
 */
static int start_server(struct remote *remote, const struct program *program, struct gen_error *err)
{
	char *text, *output = NULL;
	size_t n_bytes;
	FILE *out = fail_check(open_memstream(&text, &n_bytes));
	int status;

	snprintf(remote->server, sizeof(remote->server), "serve-%lx-%lx-%x",
		 (unsigned long)time(NULL), (unsigned long)getpid(), remote->n_servers++);
	fprintf(out, "is_right() { [ -f $1 ] && [ \"$(cksum <$1)\" = '%s' ]; }\n",
		program->checksum);
	fputs("umask 077 && mkdir -p ", out);
	put_folder(out, remote);
	fputs(" && cd ", out);
	put_folder(out, remote);
	/* Who owns the folder above could put another program in the place of ours. */
	fprintf(out,
		" && { [ -O .. ] || { echo \"%s is another user's; remove it, or name another 'work' in a "
		"copy of the device file\"; exit 1; }; }",
		remote->device->work);
	fprintf(out, " && if is_right new; then chmod 700 new && mv new %s; fi || exit 1\n",
		remote->program);
	fprintf(out, "is_right %s || { rm -rf ./* && df -kP . && exit %d; }\n", remote->program,
		NO_PROGRAM);
	/* A server that is being started may write once more while its folder goes. */
	fprintf(out, "rm -rf serve-* 2>/dev/null || { sleep 1; rm -rf serve-*; }; mkdir %s && ",
		remote->server);
	put_start(out, remote, "");
	fprintf(out, " serve %s", remote->server);
	fclose(out);
	remote->has_files = 1;
	status = run_script(remote, text, &output, err);
	if (status == NO_PROGRAM)
		status =
			check_room(remote, find_free(output), program->bytes + SPARE_BYTES, err) < 0
				? -1
				: 1;
	else if (status > 0)
		status = fail_set(err, "cannot start the probe in %s/%s on %s: %.600s",
				  remote->device->work, remote->run, remote->device->name,
				  last_line(output));
	free(output);
	return status;
}

int remote_start(struct remote *remote, const char *path, const char *log_path,
		 struct gen_error *err)
{
	const struct device *device = remote->device;
	char *to = fail_text("%s/%s/new", device->work, remote->run);
	struct command_mark marks[] = {{"{file}", path},
				       {"{path}", to},
				       {"{at}", device->at ? device->at : "{at}"},
				       {0}};
	struct command copy = {0};
	struct program program;
	int status;

	free(remote->log_path);
	remote->log_path = fail_text("%s", log_path);
	command_add_filled(&copy, device->copy, marks);
	status = read_program(remote, path, &program, err);
	for (long try = -1; !status; try++) {
		struct gen_error why = {"what arrives is not what was sent"};

		/* Whatever the tool says of its copy, what counts is what has arrived. */
		if (try >= 0)
			run_words(remote, &copy, COPY_TIMES * device->connect_time_out_s, 1, &why);
		status = start_server(remote, &program, err);
		if (status <= 0)
			break;
		status = try < 0 ? 0
				 : remote_wait(remote, try, "no copy of the probe on", why.text,
					       err);
	}
	command_free(&copy);
	free(to);
	return status;
}

void remote_attach(const struct remote *remote, struct command *command)
{
	char *text;
	size_t n_bytes;
	FILE *out = begin_script(remote, &text, &n_bytes);

	fprintf(out, " 2>/dev/null && [ -d %s ] || { echo " REMOTE_GONE "; exit; }; ",
		remote->server);
	put_start(out, remote, "exec ");
	fprintf(out, " attach %s", remote->server);
	fclose(out);
	add_script(remote, text, command);
}

void remote_leave(struct remote *remote)
{
	struct command command = {0};
	struct gen_error why;
	char *text;
	size_t n_bytes;
	FILE *out;
	int status;

	if (!remote->has_files || !remote->is_reached)
		return;
	remote->has_files = 0;
	out = fail_check(open_memstream(&text, &n_bytes));
	fputs("rm -rf ", out);
	put_folder(out, remote);
	fputs(" 2>/dev/null || { sleep 1; rm -rf ", out);
	put_folder(out, remote);
	fputs("; }", out);
	fclose(out);
	add_script(remote, text, &command);
	status = run_words(remote, &command, remote->device->connect_time_out_s, 2, &why);
	command_free(&command);
	if (status < 0 && remote->device->say) {
		text = fail_text("%s/%s is still on %s (%s); the next run removes it",
				 remote->device->work, remote->run, remote->device->name, why.text);
		remote->device->say(remote->device->context, text);
		free(text);
	}
}
