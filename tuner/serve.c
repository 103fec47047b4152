/*
 * serve.c: the keeper and its worker.
 *
 * The keeper runs no code of candidates, so nothing but its device ends it before its time.  It
 * listens on an abstract socket: Android's shell may not make sockets or fifos in its folders.
 */
#include "serve.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/error.h"

#define IDLE_SECONDS 600

struct server {
	char path[4096]; /* the folder, absolute */
	int folder, listener, client, journal;
	off_t journal_bytes;
	double idle_s;

	pid_t worker; /* 0: dead */
	int to, from; /* its input and output */
	char text[PROBE_LINE];
	size_t n_text;

	char line[SERVE_LINE]; /* of the client, so far */
	size_t n_line;

	unsigned long number; /* of the last request */
	int is_busy, is_over;
	char how[160];             /* the worker ended */
	double seconds, deadline;  /* of the request in progress */
	double asked, looked;      /* when a request came, when the folder was there */
	char last[SERVE_LINE + 1]; /* the last answer, with its newline */
};

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- the worker ---- */

static void run_worker(struct server *server, serve_probe_fn *probe, int in, int out, pid_t keeper)
{
	static const int signals[] = {SIGPIPE, SIGXFSZ, SIGHUP};
	struct rlimit none = {0, 0};
	struct quern_error err;
	char line[PROBE_LINE];
	FILE *from = fdopen(in, "r"), *to = fdopen(out, "w");

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != keeper || !from || !to) /* died before the line above? */
		_exit(127);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		signal(signals[i], SIG_DFL);
	setrlimit(RLIMIT_CORE, &none);
	close_fd(&server->listener);
	close_fd(&server->journal);
	close_fd(&server->folder);
	if (probe(from, to, &err) < 0 && fgets(line, sizeof(line), from)) {
		fprintf(to, "error %s\n", err.text);
		fflush(to);
	}
	_exit(0);
}

static int start_worker(struct server *server, serve_probe_fn *probe, struct quern_error *err)
{
	int in[2], out[2];
	pid_t keeper = getpid();

	if (pipe2(in, O_CLOEXEC) < 0)
		return qn_error_set(err, "cannot make a pipe: %s", strerror(errno));
	if (pipe2(out, O_CLOEXEC) < 0) {
		close(in[0]);
		close(in[1]);
		return qn_error_set(err, "cannot make a pipe: %s", strerror(errno));
	}
	server->worker = fork();
	if (server->worker == 0) {
		close(in[1]);
		close(out[0]);
		run_worker(server, probe, in[0], out[1], keeper);
	}
	close(in[0]);
	close(out[1]);
	server->to = in[1];
	server->from = out[0];
	if (server->worker < 0) {
		server->worker = 0;
		return qn_error_set(err, "cannot fork: %s", strerror(errno));
	}
	setpgid(server->worker, server->worker); /* also here: it may be killed before it ran */
	fcntl(server->to, F_SETFL, O_NONBLOCK);
	return 0;
}

/* Waits for at most so long, then kills; the wait status. */
static int end_worker(struct server *server, double seconds)
{
	const struct timespec pause = {0, 5000000};
	double end = now_s() + seconds;
	int status = 0, is_reaped = 0;

	if (!server->worker)
		return 0;
	close_fd(&server->to); /* end of input: the probe exits */
	while (!(is_reaped = waitpid(server->worker, &status, WNOHANG) == server->worker) &&
	       now_s() < end)
		nanosleep(&pause, NULL);
	kill(-server->worker, SIGKILL); /* what it left behind goes, too */
	while (!is_reaped && waitpid(server->worker, &status, 0) < 0 && errno == EINTR)
		;
	close_fd(&server->from);
	server->worker = 0;
	return status;
}

/* ---- answers ---- */

/* All of it or nothing: -1. */
static int append(struct server *server, const char *text, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t wrote = write(server->journal, text + done, n - done);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0) {
			int error = wrote < 0 ? errno : ENOSPC;

			if (ftruncate(server->journal, server->journal_bytes) < 0)
				server->is_over = 1;
			errno = error;
			return -1;
		}
		done += (size_t)wrote;
	}
	server->journal_bytes += (off_t)n;
	return 0;
}

/* A client that does not read is none; the answer waits for the next one. */
static void send_client(struct server *server, const char *text)
{
	size_t n = strlen(text);

	if (server->client >= 0 && send(server->client, text, n, MSG_NOSIGNAL) != (ssize_t)n)
		close_fd(&server->client);
}

static void finish(struct server *server, char sign, const char *text)
{
	snprintf(server->last, sizeof(server->last), "%lu %c %.*s\n", server->number, sign,
		 PROBE_LINE, text);
	/* Should there be no room, the answer is still in memory and the next request refused. */
	append(server, server->last, strlen(server->last));
	server->is_busy = 0;
	server->asked = now_s(); /* the next request has all its time, however long this one took */
	send_client(server, server->last);
}

static void finish_dead(struct server *server, const char *how)
{
	end_worker(server, 0);
	server->n_text = 0;
	snprintf(server->how, sizeof(server->how), "%s", how);
	if (server->is_busy)
		finish(server, '!', how);
}

/* ---- requests ---- */

static void quit(struct server *server)
{
	end_worker(server, 1);
	finish(server, '=', "ok");
	unlinkat(server->folder, "journal", 0);
	unlinkat(server->folder, "server", 0);
	rmdir(server->path);
	server->is_over = 1;
}

static void run_request(struct server *server, const char *request)
{
	char line[SERVE_LINE + 1];
	int n = snprintf(line, sizeof(line), "%s\n", request);

	server->is_busy = 1;
	server->deadline = now_s() + server->seconds;
	if (!strcmp(request, "quit"))
		quit(server);
	else if (!server->worker)
		finish(server, '!', server->how);
	else if (write(server->to, line, (size_t)n) != n)
		finish_dead(server, "crash the probe does not read its requests");
}

static void take_line(struct server *server, char *line)
{
	char *p, reply[SERVE_LINE + 16];
	unsigned long number = strtoul(line, &p, 10);
	const char *rest = p + 1;
	double seconds;
	int n;

	if (p == line || *p != ' ' || !isdigit((unsigned char)*line)) {
		close_fd(&server->client);
		return;
	}
	seconds = strtod(rest, &p);
	if (p == rest || *p != ' ' || !(seconds > 0 && seconds <= 1e6)) {
		close_fd(&server->client);
		return;
	}
	server->asked = now_s();
	if (number == server->number) {
		if (!server->is_busy)
			send_client(server, server->last);
		return;
	}
	if (number != server->number + 1 || server->is_busy) {
		snprintf(reply, sizeof(reply), "%lu ? the server is at request %lu\n", number,
			 server->number);
		send_client(server, reply);
		return;
	}
	n = snprintf(reply, sizeof(reply), "%lu > %s\n", number, rest);
	if (append(server, reply, (size_t)n) < 0) {
		snprintf(reply, sizeof(reply), "%lu %% cannot write %.500s/journal: %s\n", number,
			 server->path, strerror(errno));
		send_client(server, reply);
		return;
	}
	server->number = number;
	server->seconds = seconds;
	run_request(server, p + 1);
}

static void read_client(struct server *server)
{
	ssize_t n = recv(server->client, server->line + server->n_line,
			 sizeof(server->line) - server->n_line, MSG_DONTWAIT);
	char *newline;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close_fd(&server->client);
		return;
	}
	server->n_line += (size_t)n;
	while (server->client >= 0 && !server->is_over &&
	       (newline = memchr(server->line, '\n', server->n_line))) {
		char line[SERVE_LINE];
		size_t length = (size_t)(newline - server->line);

		memcpy(line, server->line, length);
		line[length] = 0;
		server->n_line -= length + 1;
		memmove(server->line, newline + 1, server->n_line);
		take_line(server, line);
	}
	if (server->n_line == sizeof(server->line))
		close_fd(&server->client);
}

static int is_printable(const char *text, size_t n)
{
	while (n && *text >= 0x20 && *text < 0x7f)
		text++, n--;
	return !n;
}

static void complain_of(struct server *server, const char *what)
{
	char text[120];
	size_t n = 0;

	for (; n < 60 && n < server->n_text && server->text[n] != '\n'; n++) {
		if (!is_printable(&server->text[n], 1))
			server->text[n] = '?';
	}
	snprintf(text, sizeof(text), "garbage the probe wrote %s'%.*s'", what, (int)n,
		 server->text);
	finish_dead(server, text);
}

static void read_worker(struct server *server)
{
	ssize_t n = read(server->from, server->text + server->n_text,
			 sizeof(server->text) - server->n_text);
	char how[120], *newline;

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		int status = end_worker(server, 0.2);

		if (WIFSIGNALED(status))
			snprintf(how, sizeof(how), "crash the probe died: signal %d (%s)",
				 WTERMSIG(status), strsignal(WTERMSIG(status)));
		else
			snprintf(how, sizeof(how), "crash the probe died: exit status %d",
				 WEXITSTATUS(status));
		finish_dead(server, how);
		return;
	}
	server->n_text += (size_t)n;
	newline = memchr(server->text, '\n', server->n_text);
	if (!newline && server->n_text < sizeof(server->text))
		return;
	if (!newline)
		complain_of(server, "too long a line: ");
	else if (!server->is_busy || newline + 1 < server->text + server->n_text)
		complain_of(server, "more than it was asked for: ");
	else if (!is_printable(server->text, (size_t)(newline - server->text)))
		complain_of(server, "");
	else {
		*newline = 0;
		finish(server, '=', server->text);
	}
	server->n_text = 0;
}

/* The newest client is the one; only this user's count, for anybody may find the socket. */
static void accept_client(struct server *server)
{
	int client = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer;
	socklen_t n = sizeof(peer);

	if (client < 0)
		return;
	if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 || peer.uid != getuid()) {
		close(client);
		return;
	}
	close_fd(&server->client);
	server->client = client;
	server->n_line = 0;
}

/* ---- the keeper ---- */

static int has_folder(const struct server *server)
{
	struct stat mine, there;

	return fstat(server->folder, &mine) == 0 && stat(server->path, &there) == 0 &&
	       mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

static void keep(struct server *server)
{
	while (!server->is_over) {
		struct pollfd wait[3] = {
			{.fd = server->listener, .events = POLLIN},
			{.fd = server->client, .events = POLLIN},
			{.fd = server->worker ? server->from : -1, .events = POLLIN},
		};
		double now = now_s(), pause = 1;

		if (server->is_busy && server->deadline - now < pause)
			pause = server->deadline > now ? server->deadline - now : 0;
		if (poll(wait, 3, (int)(1000 * pause) + 1) < 0 && errno != EINTR)
			break;
		if (wait[2].revents)
			read_worker(server);
		if (server->client >= 0 && wait[1].revents)
			read_client(server);
		if (wait[0].revents)
			accept_client(server);
		now = now_s();
		if (server->is_busy && now >= server->deadline) {
			char text[80];

			snprintf(text, sizeof(text), "hang no answer within %g s", server->seconds);
			finish_dead(server, text);
		}
		if (now - server->looked >= 1) {
			server->looked = now;
			server->is_over |= !has_folder(server);
		}
		server->is_over |= !server->is_busy && now - server->asked > server->idle_s;
	}
	end_worker(server, 0);
}

/* ---- starting ---- */

static double read_idle_seconds(void)
{
	const char *text = getenv("QUERN_IDLE_SECONDS");
	double seconds = text ? strtod(text, NULL) : 0;

	return seconds > 0 && seconds < 1e6 ? seconds : IDLE_SECONDS;
}

void serve_boot_id(char id[64])
{
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!file || fscanf(file, "%63s", id) != 1)
		strcpy(id, "-");
	if (file)
		fclose(file);
}

socklen_t serve_address(struct sockaddr_un *address, const char *name)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, "%s", name);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static int listen_anywhere(char name[64])
{
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	unsigned long long random[2];

	if (listener < 0 || getrandom(random, sizeof(random), 0) != sizeof(random))
		return -1;
	snprintf(name, 64, "quern-%016llx%016llx", random[0], random[1]);
	if (bind(listener, (struct sockaddr *)&address, serve_address(&address, name)) < 0 ||
	    listen(listener, 4) < 0) {
		close(listener);
		return -1;
	}
	return listener;
}

static int write_description(const struct server *server, const char *name, pid_t pid,
			     struct quern_error *err)
{
	int fd = openat(server->folder, "server", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	char boot_id[64], text[256];
	int n;

	serve_boot_id(boot_id);
	n = snprintf(text, sizeof(text), "boot_id=%s socket=%s pid=%d\n", boot_id, name, (int)pid);
	if (fd >= 0 && write(fd, text, (size_t)n) == n && close(fd) == 0)
		return 0;
	return qn_error_set(err, "cannot write %.140s/server: %s", server->path, strerror(errno));
}

static void become_keeper(struct server *server, serve_probe_fn *probe, int ready, int apart)
{
	int null = open("/dev/null", O_RDWR);
	struct quern_error err;
	char go;

	setsid();
	if (write(apart, "", 1) != 1)
		_exit(1);
	close(apart);
	/* The link's ends are not to be held open. */
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	close_fd(&null);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (read(ready, &go, 1) != 1)
		_exit(1);
	close(ready);
	if (start_worker(server, probe, &err) < 0)
		_exit(1);
	server->asked = server->looked = now_s();
	keep(server);
	_exit(0);
}

static int start(struct server *server, serve_probe_fn *probe, struct quern_error *err)
{
	char name[64], byte;
	int ready[2], apart[2];
	pid_t pid;

	server->journal = openat(server->folder, "journal",
				 O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	if (server->journal < 0)
		return qn_error_set(err, "cannot make %.140s/journal: %s", server->path,
				    strerror(errno));
	server->listener = listen_anywhere(name);
	if (server->listener < 0)
		return qn_error_set(err, "cannot listen on a socket: %s", strerror(errno));
	if (pipe2(ready, O_CLOEXEC) < 0)
		return qn_error_set(err, "cannot make a pipe: %s", strerror(errno));
	if (pipe2(apart, O_CLOEXEC) < 0) {
		close(ready[0]);
		close(ready[1]);
		return qn_error_set(err, "cannot make a pipe: %s", strerror(errno));
	}
	pid = fork();
	if (pid == 0) {
		close(ready[1]);
		close(apart[0]);
		become_keeper(server, probe, ready[0], apart[1]);
	}
	close(ready[0]);
	close(apart[1]);
	if (pid < 0)
		qn_error_set(err, "cannot fork: %s", strerror(errno));
	/* Apart, for who started this kills what is left of its group. */
	else if (read(apart[0], &byte, 1) != 1)
		pid = qn_error_set(err, "the server ended before it began");
	else if (write_description(server, name, pid, err) < 0)
		pid = -1;
	else if (write(ready[1], "", 1) != 1)
		pid = qn_error_set(err, "the server ended at once");
	close(ready[1]); /* without its byte the child leaves */
	close(apart[0]);
	return pid < 0 ? -1 : 0;
}

int serve_start(const char *folder, serve_probe_fn *probe, struct quern_error *err)
{
	struct server *server = calloc(1, sizeof(*server));
	int status = -1;

	if (!server)
		return qn_error_set(err, "out of memory");
	server->listener = server->client = server->journal = server->to = server->from = -1;
	server->idle_s = read_idle_seconds();
	server->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (server->folder < 0 || !realpath(folder, server->path))
		qn_error_set(err, "cannot open the folder %.140s: %s", folder, strerror(errno));
	else
		status = start(server, probe, err);
	close_fd(&server->listener);
	close_fd(&server->journal);
	close_fd(&server->folder);
	free(server);
	return status;
}
