/*
 * adb_stand_in.c: a stand-in for the adb server and the phone behind it, for adb's real client.
 *
 *   adb_stand_in PORT SERIAL
 *
 * Speaks the smart-socket protocol on loopback: host:version, features, transports by serial
 * number, then shell (with packets for each stream) and sync (stat and push).  Commands run here,
 * in `sh -c`, and files go where they are told.  It says "ready" once it listens.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define VERSION "0029" /* 41, of clients since 2018 */
#define FEATURES "shell_v2,cmd"

enum { SHELL_STDIN, SHELL_STDOUT, SHELL_STDERR, SHELL_EXIT, SHELL_CLOSE_STDIN };

static const char *serial;

/* ---- bytes ---- */

static int read_all(int fd, void *to, size_t n)
{
	for (char *p = to; n;) {
		ssize_t got = read(fd, p, n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		p += got;
		n -= (size_t)got;
	}
	return 0;
}

static int write_all(int fd, const void *from, size_t n)
{
	for (const char *p = from; n;) {
		ssize_t put = write(fd, p, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return -1;
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

static uint32_t read_u32(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void write_u32(unsigned char *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(value >> 8 * i);
}

/* ---- services of the host ---- */

/* Four hexadecimal digits, then so many bytes. */
static int read_request(int fd, char *text, size_t n_bytes)
{
	char digits[5] = "";
	unsigned long n;

	if (read_all(fd, digits, 4) < 0)
		return -1;
	n = strtoul(digits, NULL, 16);
	if (n >= n_bytes || read_all(fd, text, n) < 0)
		return -1;
	text[n] = 0;
	return 0;
}

static int send_text(int fd, const char *status, const char *text)
{
	char answer[1200];
	int n = snprintf(answer, sizeof(answer), "%s%04zx%s", status, strlen(text), text);

	return write_all(fd, answer, (size_t)n);
}

static int send_fail(int fd, const char *format, const char *word)
{
	char text[1024];

	snprintf(text, sizeof(text), format, word);
	send_text(fd, "FAIL", text);
	return -1;
}

/* ---- the shell ---- */

static int send_packet(int fd, int id, const void *data, size_t n)
{
	unsigned char head[5] = {(unsigned char)id};

	write_u32(head + 1, (uint32_t)n);
	return write_all(fd, head, 5) < 0 || write_all(fd, data, n) < 0 ? -1 : 0;
}

/* From the client to the command; -1 at the end of the connection. */
static int pass_packet(int fd, int *to)
{
	unsigned char head[5], data[65536];
	uint32_t n;

	if (read_all(fd, head, 5) < 0)
		return -1;
	n = read_u32(head + 1);
	if (n > sizeof(data) || read_all(fd, data, n) < 0)
		return -1;
	if (head[0] == SHELL_STDIN && *to >= 0)
		(void)!write_all(*to, data, n);
	if (head[0] == SHELL_CLOSE_STDIN && *to >= 0) {
		close(*to);
		*to = -1;
	}
	return 0;
}

static void run_shell(int fd, const char *command)
{
	int in[2], out[2], err[2], to, status = 0;
	struct pollfd wait[3];
	unsigned char code;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		setsid();
		signal(SIGPIPE, SIG_DFL);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	to = in[1];
	wait[0] = (struct pollfd){.fd = fd, .events = POLLIN};
	wait[1] = (struct pollfd){.fd = out[0], .events = POLLIN};
	wait[2] = (struct pollfd){.fd = err[0], .events = POLLIN};
	while (wait[1].fd >= 0 || wait[2].fd >= 0) {
		if (poll(wait, 3, -1) < 0)
			continue;
		if (wait[0].revents && pass_packet(fd, &to) < 0) {
			kill(-pid, SIGHUP); /* what adbd does to a shell whose client is gone */
			return;
		}
		for (int i = 1; i < 3; i++) {
			char data[4096];
			ssize_t n = wait[i].revents ? read(wait[i].fd, data, sizeof(data)) : -1;

			if (n > 0)
				send_packet(fd, i == 1 ? SHELL_STDOUT : SHELL_STDERR, data,
					    (size_t)n);
			else if (wait[i].revents)
				wait[i].fd = -1;
		}
	}
	waitpid(pid, &status, 0);
	code = (unsigned char)(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	send_packet(fd, SHELL_EXIT, &code, 1);
}

/* ---- files ---- */

static int send_sync(int fd, const char *id, uint32_t value)
{
	unsigned char head[8];

	memcpy(head, id, 4);
	write_u32(head + 4, value);
	return write_all(fd, head, 8);
}

static int send_stat(int fd, const char *path)
{
	unsigned char answer[16] = "STAT";
	struct stat info;

	if (stat(path, &info) == 0) {
		write_u32(answer + 4, info.st_mode);
		write_u32(answer + 8, (uint32_t)info.st_size);
		write_u32(answer + 12, (uint32_t)info.st_mtime);
	}
	return write_all(fd, answer, 16);
}

/* "PATH,MODE", then DATA packets up to DONE.  All data are read, written or not. */
static int receive_file(int fd, char *target)
{
	char *comma = strrchr(target, ','), *data = malloc(65536);
	unsigned char head[8];
	int file, error = 0;
	uint32_t n;

	if (comma)
		*comma = 0;
	file = open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (file < 0)
		error = errno;
	while (data && read_all(fd, head, 8) == 0 && !memcmp(head, "DATA", 4)) {
		n = read_u32(head + 4);
		if (n > 65536 || read_all(fd, data, n) < 0)
			break;
		errno = ENOSPC;
		if (!error && write_all(file, data, n) < 0)
			error = errno;
	}
	free(data);
	if (file >= 0)
		close(file);
	if (memcmp(head, "DONE", 4))
		return -1;
	if (!error)
		return send_sync(fd, "OKAY", 0);
	n = (uint32_t)strlen(strerror(error));
	return send_sync(fd, "FAIL", n) < 0 ? -1 : write_all(fd, strerror(error), n);
}

static void run_sync(int fd)
{
	unsigned char head[8];
	char path[4096];
	uint32_t n;

	while (read_all(fd, head, 8) == 0 && memcmp(head, "QUIT", 4)) {
		n = read_u32(head + 4);
		if (n >= sizeof(path) || read_all(fd, path, n) < 0)
			return;
		path[n] = 0;
		if (!memcmp(head, "STAT", 4) && send_stat(fd, path) == 0)
			continue;
		if (!memcmp(head, "SEND", 4) && receive_file(fd, path) == 0)
			continue;
		return;
	}
}

/* ---- a connection ---- */

/* 1: what follows is for the device; 0: answered; -1. */
static int answer_host(int fd, const char *request)
{
	char own[128];
	const uint64_t transport = 1;

	if (!strcmp(request, "version"))
		return send_text(fd, "OKAY", VERSION);
	if (!strcmp(request, "features") || strstr(request, ":features"))
		return send_text(fd, "OKAY", FEATURES);
	snprintf(own, sizeof(own), "tport:serial:%s", serial);
	if (!strcmp(request, own))
		return write_all(fd, "OKAY", 4) < 0 || write_all(fd, &transport, 8) < 0 ? -1 : 1;
	snprintf(own, sizeof(own), "transport:%s", serial);
	if (!strcmp(request, own))
		return write_all(fd, "OKAY", 4) < 0 ? -1 : 1;
	if (strstr(request, "t:"))
		return send_fail(fd, "device '%s' not found", strrchr(request, ':') + 1);
	return send_fail(fd, "unknown host service '%s'", request);
}

static void serve(int fd)
{
	char request[65536], *command;

	if (read_request(fd, request, sizeof(request)) < 0)
		return;
	if (!strncmp(request, "host", 4) && strchr(request, ':') &&
	    (answer_host(fd, strchr(request, ':') + 1) != 1 ||
	     read_request(fd, request, sizeof(request)) < 0))
		return;
	command = strchr(request, ':');
	if (!command) {
		send_fail(fd, "closed%s", "");
	} else if (!strncmp(request, "shell,v2", 8)) {
		write_all(fd, "OKAY", 4);
		run_shell(fd, command + 1);
	} else if (!strcmp(request, "sync:")) {
		write_all(fd, "OKAY", 4);
		run_sync(fd);
	} else {
		send_fail(fd, "unknown service '%s'", request);
	}
}

int main(int argc, char **argv)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	struct sockaddr_in address = {.sin_family = AF_INET};

	if (argc != 3) {
		fprintf(stderr, "usage: adb_stand_in PORT SERIAL\n");
		return 2;
	}
	serial = argv[2];
	address.sin_port = htons((uint16_t)atoi(argv[1]));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 16) < 0) {
		perror("adb_stand_in");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (fd >= 0 && fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(listener);
			serve(fd);
			_exit(0);
		}
		close(fd);
	}
}
