/* attach.c: the relay between a link and a server, or what that wrote down. */
#include "attach.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "serve.h"

struct relay {
	const char *folder;
	int server;            /* -1: gone */
	char line[SERVE_LINE]; /* of standard input, so far; when is_asked, the request */
	size_t n;
	int is_asked;
};

static void close_server(struct relay *relay)
{
	if (relay->server >= 0)
		close(relay->server);
	relay->server = -1;
}

static int put(const char *text, size_t n)
{
	while (n) {
		ssize_t wrote = write(STDOUT_FILENO, text, n);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			return -1;
		text += wrote;
		n -= (size_t)wrote;
	}
	return 0;
}

/* Values of the folder's description, "" where it has none. */
static void read_description(const char *folder, char boot_id[64], char socket_name[64])
{
	char path[4096];
	FILE *file;

	*boot_id = *socket_name = 0;
	snprintf(path, sizeof(path), "%s/server", folder);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fscanf(file, "boot_id=%63s socket=%63s", boot_id, socket_name) != 2)
		*boot_id = *socket_name = 0;
	fclose(file);
}

static int connect_server(const char *folder)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char boot_id[64], name[64];
	struct sockaddr_un address;

	read_description(folder, boot_id, name);
	if (fd >= 0 && *name &&
	    connect(fd, (struct sockaddr *)&address, serve_address(&address, name)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* The answer of a server that is gone; a torn last line is none. */
static int find_answer(const char *folder, unsigned long number, char *line, size_t n_bytes)
{
	char path[4096], sign, end;
	unsigned long other;
	int is_found = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/journal", folder);
	file = fopen(path, "re");
	while (file && !is_found && fgets(line, (int)n_bytes, file)) {
		end = *line ? line[strlen(line) - 1] : 0;
		is_found = sscanf(line, "%lu %c", &other, &sign) == 2 && other == number &&
			   (sign == '=' || sign == '!') && end == '\n';
	}
	if (file)
		fclose(file);
	return is_found;
}

static int answer_for_server(struct relay *relay)
{
	unsigned long number = strtoul(relay->line, NULL, 10);
	char answer[SERVE_LINE + 16], mine[64], its[64], name[64];

	relay->is_asked = 0;
	relay->n = 0;
	if (!find_answer(relay->folder, number, answer, sizeof(answer))) {
		serve_boot_id(mine);
		read_description(relay->folder, its, name);
		snprintf(answer, sizeof(answer), "%lu ? %s\n", number,
			 !*its               ? "the server's folder is gone"
			 : strcmp(mine, its) ? "the device was started anew (boot_id)"
					     : "the server was killed");
	}
	return put(answer, strlen(answer));
}

/* -1: the link is at its end. */
static int relay_request(struct relay *relay)
{
	ssize_t n = read(STDIN_FILENO, relay->line + relay->n, sizeof(relay->line) - 1 - relay->n);

	if (n < 0 && errno == EINTR)
		return 0;
	if (n <= 0)
		return -1;
	relay->n += (size_t)n;
	relay->line[relay->n] = 0;
	if (!memchr(relay->line, '\n', relay->n))
		return relay->n + 1 < sizeof(relay->line) ? 0 : -1;
	relay->is_asked = 1;
	if (relay->server >= 0 &&
	    send(relay->server, relay->line, relay->n, MSG_NOSIGNAL) == (ssize_t)relay->n)
		return 0;
	close_server(relay);
	return answer_for_server(relay);
}

static int relay_answer(struct relay *relay)
{
	char text[SERVE_LINE];
	ssize_t n = read(relay->server, text, sizeof(text));

	if (n < 0 && errno == EINTR)
		return 0;
	if (n <= 0) {
		close_server(relay);
		return relay->is_asked ? answer_for_server(relay) : 0;
	}
	if (memchr(text, '\n', (size_t)n)) {
		relay->is_asked = 0;
		relay->n = 0;
	}
	return put(text, (size_t)n);
}

void attach_run(const char *folder)
{
	struct relay relay = {.folder = folder, .server = connect_server(folder)};
	int status;

	signal(SIGPIPE, SIG_IGN);
	status = put(SERVE_GREETING "\n", strlen(SERVE_GREETING) + 1);
	while (!status) {
		struct pollfd wait[2] = {
			/* One request at a time; the end of input is seen all the same. */
			{.fd = STDIN_FILENO, .events = relay.is_asked ? 0 : POLLIN},
			{.fd = relay.server, .events = POLLIN},
		};

		if (poll(wait, 2, -1) < 0) {
			status = errno == EINTR ? 0 : -1;
			continue;
		}
		if (relay.server >= 0 && wait[1].revents)
			status = relay_answer(&relay);
		else if (wait[0].revents)
			status = relay.is_asked ? -1 : relay_request(&relay);
	}
	close_server(&relay);
}
