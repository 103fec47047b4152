/*
 * test_serve.c: a server of the probe, met as a relay's other end meets it.
 *
 * The probe here is a function that does what the request says.  Every relay is a process of its own
 * that can be killed; a request that was answered is never run again.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/scratch.h"
#include "tuner/attach.h"
#include "tuner/serve.h"

struct relay {
	pid_t pid;
	int to, from;
	char line[SERVE_LINE];
};

/* "say TEXT" answers; "count" says how many requests there were, which tells repeated ones. */
static int fake_probe(FILE *in, FILE *out, struct quern_error *err)
{
	char line[PROBE_LINE + 2];
	int n = 0;

	(void)err;
	while (fgets(line, sizeof(line), in)) {
		line[strcspn(line, "\n")] = 0;
		n++;
		if (!strncmp(line, "say ", 4))
			fprintf(out, "%s\n", line + 4);
		else if (!strcmp(line, "count"))
			fprintf(out, "ok n=%d\n", n);
		else if (!strcmp(line, "slow"))
			usleep(700000), fprintf(out, "ok n=%d\n", n);
		else if (!strcmp(line, "hang"))
			pause();
		else if (!strcmp(line, "crash"))
			raise(SIGKILL);
		else if (!strcmp(line, "leave"))
			_exit(3);
		else if (!strcmp(line, "two"))
			fputs("ok\nok\n", out);
		else if (!strcmp(line, "odd"))
			fputs("ok \001\n", out);
		else if (!strcmp(line, "flood"))
			for (;;)
				fputs("xxxxxxxxxxxxxxxx", out);
		fflush(out);
	}
	return 0;
}

static void open_server(const char *folder)
{
	struct quern_error err = {""};

	CHECK(mkdir(folder, 0700) == 0);
	check_that(serve_start(folder, fake_probe, &err) == 0, __FILE__, __LINE__, err.text);
}

static const char *receive(struct relay *relay)
{
	size_t n = 0;

	while (n + 1 < sizeof(relay->line)) {
		struct pollfd ready = {.fd = relay->from, .events = POLLIN};

		if (poll(&ready, 1, 60000) != 1 || read(relay->from, relay->line + n, 1) != 1)
			break;
		if (relay->line[n] == '\n')
			break;
		n++;
	}
	relay->line[n] = 0;
	return relay->line;
}

static void open_relay(struct relay *relay, const char *folder)
{
	int in[2], out[2];

	if (!CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0))
		exit(1);
	relay->pid = fork();
	if (relay->pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		close(out[0]);
		attach_run(folder);
		_exit(0);
	}
	close(in[0]);
	close(out[1]);
	relay->to = in[1];
	relay->from = out[0];
	CHECK(!strcmp(receive(relay), SERVE_GREETING));
}

static void close_relay(struct relay *relay)
{
	close(relay->to);
	close(relay->from);
	waitpid(relay->pid, NULL, 0);
}

static void send_request(struct relay *relay, const char *line)
{
	CHECK(dprintf(relay->to, "%s\n", line) > 0);
}

static void ask(struct relay *relay, const char *line, const char *expected)
{
	send_request(relay, line);
	check_that(!strncmp(receive(relay), expected, strlen(expected)), __FILE__, __LINE__,
		   relay->line);
}

static pid_t server_pid(const char *folder)
{
	char path[64], *text, *pid;
	pid_t number;

	snprintf(path, sizeof(path), "%s/server", folder);
	text = scratch_read_text(path);
	pid = strstr(text, " pid=");
	number = pid ? (pid_t)atoi(pid + 5) : 0;
	free(text);
	return number;
}

/* Ends within a few seconds? */
static int ends(pid_t pid)
{
	for (int i = 0; i < 500 && kill(pid, 0) == 0; i++) {
		waitpid(pid, NULL, WNOHANG); /* where the test is what orphans go to */
		usleep(10000);
	}
	return kill(pid, 0) != 0;
}

static void test_requests(void)
{
	struct relay relay, other;
	pid_t pid;

	open_server("a");
	pid = server_pid("a");
	open_relay(&relay, "a");
	ask(&relay, "1 5 say ok one", "1 = ok one");
	ask(&relay, "2 5 count", "2 = ok n=2");
	ask(&relay, "2 5 count", "2 = ok n=2"); /* the answer, not the request, comes again */
	ask(&relay, "9 5 count", "9 ? the server is at request 2");
	ask(&relay, "3 5 say fail wrong", "3 = fail wrong");
	/* The link is cut with a request under way; the next relay gets its answer. */
	send_request(&relay, "4 5 slow");
	usleep(100000);
	kill(relay.pid, SIGKILL);
	close_relay(&relay);
	open_relay(&other, "a");
	ask(&other, "4 5 slow", "4 = ok n=4");
	ask(&other, "5 5 count", "5 = ok n=5");
	ask(&other, "6 5 quit", "6 = ok");
	close_relay(&other);
	CHECK(ends(pid) && access("a", F_OK) < 0); /* it answers before it clears up */
}

static void test_deaths(void)
{
	static const struct {
		const char *request, *says;
	} deaths[] = {
		{"1 0.3 hang", "1 ! hang no answer within 0.3 s"},
		{"1 5 crash", "1 ! crash the probe died: signal 9"},
		{"1 5 leave", "1 ! crash the probe died: exit status 3"},
		{"1 5 two", "1 ! garbage the probe wrote more than it was asked for"},
		{"1 5 odd", "1 ! garbage the probe wrote 'ok ?'"},
		{"1 5 flood", "1 ! garbage the probe wrote too long a line: 'xxx"},
	};

	for (size_t i = 0; i < sizeof(deaths) / sizeof(*deaths); i++) {
		struct relay relay;
		pid_t pid;

		open_server("b");
		pid = server_pid("b");
		open_relay(&relay, "b");
		ask(&relay, deaths[i].request, deaths[i].says);
		ask(&relay, deaths[i].request, deaths[i].says);
		ask(&relay, "2 5 say ok", "2 ! "); /* it stays dead, and says of what */
		ask(&relay, "3 5 quit", "3 = ok");
		close_relay(&relay);
		CHECK(ends(pid) && access("b", F_OK) < 0);
	}
}

/* A server that is killed: what it wrote down is answered, the rest is nobody's fault. */
static void test_killed(void)
{
	struct relay relay;
	char *text, *id;
	pid_t pid;

	open_server("c");
	pid = server_pid("c");
	open_relay(&relay, "c");
	ask(&relay, "1 5 say ok one", "1 = ok one");
	kill(pid, SIGKILL);
	CHECK(ends(pid));
	ask(&relay, "1 5 say ok one", "1 = ok one");
	ask(&relay, "2 5 say ok two", "2 ? the server was killed");
	close_relay(&relay);
	text = scratch_read_text("c/server");
	id = strchr(text, '=');
	if (CHECK(id && id[1] != '-')) {
		id[1] = id[1] == '0' ? '1' : '0';
		scratch_write_text("c/server", text);
		open_relay(&relay, "c");
		ask(&relay, "1 5 say ok one", "1 = ok one");
		ask(&relay, "2 5 say ok two", "2 ? the device was started anew (boot_id)");
		close_relay(&relay);
	}
	free(text);
	scratch_remove_tree("c");
	open_relay(&relay, "c");
	ask(&relay, "1 5 say ok one", "1 ? the server's folder is gone");
	close_relay(&relay);
}

/* It ends by itself: without its folder, and when nobody asks. */
static void test_ends(void)
{
	struct relay relay;
	pid_t pid;

	open_server("d");
	pid = server_pid("d");
	scratch_remove_tree("d");
	CHECK(ends(pid));

	setenv("QUERN_IDLE_SECONDS", "0.5", 1);
	open_server("d");
	unsetenv("QUERN_IDLE_SECONDS");
	pid = server_pid("d");
	open_relay(&relay, "d");
	ask(&relay, "1 5 slow", "1 = ok n=1"); /* longer than that */
	ask(&relay, "2 5 say ok two", "2 = ok two");
	CHECK(ends(pid));
	ask(&relay, "3 5 say ok three", "3 ? ");
	close_relay(&relay);
	scratch_remove_tree("d");
}

/* Without room for its journal a server refuses, and loses nothing that it has answered. */
static void test_full(void)
{
	struct rlimit old, few;
	struct relay relay;
	struct quern_error err;
	char request[64], expected[64];
	int i = 1;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	few = old;
	few.rlim_cur = 1000;
	setrlimit(RLIMIT_FSIZE, &few);
	open_server("e");
	setrlimit(RLIMIT_FSIZE, &old);
	open_relay(&relay, "e");
	for (; i < 100; i++) {
		snprintf(request, sizeof(request), "%d 5 count", i);
		snprintf(expected, sizeof(expected), "%d = ok n=%d", i, i);
		send_request(&relay, request);
		if (strcmp(receive(&relay), expected))
			break;
	}
	CHECK(i > 10 && i < 100);
	snprintf(expected, sizeof(expected), "%d %% cannot write ", i);
	check_that(!strncmp(relay.line, expected, strlen(expected)), __FILE__, __LINE__,
		   relay.line);
	CHECK_SAYS(relay.line, "File too large");
	snprintf(request, sizeof(request), "%d 5 count", i - 1);
	snprintf(expected, sizeof(expected), "%d = ok n=%d", i - 1, i - 1);
	ask(&relay, request, expected);
	close_relay(&relay);
	scratch_remove_tree("e");
	CHECK(serve_start("no-such-folder", fake_probe, &err) < 0);
	CHECK_SAYS(err.text, "cannot open the folder");
}

int main(void)
{
	char work[64];

	signal(SIGPIPE, SIG_IGN);
	if (!CHECK(scratch_open(work)))
		return check_exit();
	test_requests();
	test_deaths();
	test_killed();
	test_ends();
	test_full();
	scratch_remove_tree(work);
	return check_exit();
}
