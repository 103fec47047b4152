/* isolate.c: the child, its limits, and what the parent makes of its end. */
#include "isolate.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/error.h"
#include "runtime/verify.h"

/* What a check may map on top of what the parent has. */
#define CHILD_BYTES ((rlim_t)4 << 30)

/* Less than PIPE_BUF, so it arrives whole or not at all. */
struct message {
	int result;
	double nmse;
	struct quern_error err;
};

static void set_limit(int resource, rlim_t value)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) != 0)
		return;
	if (limit.rlim_max != RLIM_INFINITY && value > limit.rlim_max)
		value = limit.rlim_max;
	limit.rlim_cur = limit.rlim_max = value;
	setrlimit(resource, &limit);
}

/* Relative to what is mapped now: the parent's weights, or a sanitizer's shadow. */
static void limit_memory(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long n_pages;

	if (!f)
		return;
	if (fscanf(f, "%llu", &n_pages) == 1)
		set_limit(RLIMIT_AS, (rlim_t)n_pages * (rlim_t)sysconf(_SC_PAGESIZE) + CHILD_BYTES);
	fclose(f);
}

/* The parent's time-out comes first; these also end a child whose parent is gone. */
static void enter_isolation(unsigned seconds)
{
	static const int signals[] = {SIGSEGV, SIGBUS,  SIGILL,  SIGFPE, SIGABRT,
				      SIGTRAP, SIGALRM, SIGXCPU, SIGPIPE};
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	if (null >= 0) { /* the protocol's streams are the parent's alone */
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	set_limit(RLIMIT_CORE, 0);
	set_limit(RLIMIT_CPU, seconds + 1);
	limit_memory();
	alarm(seconds + 1);
}

static void run_child(int to, const struct qn_kernel *kernel, uint64_t seed, unsigned seconds)
{
	struct message message;

	memset(&message, 0, sizeof(message));
	enter_isolation(seconds);
	message.result = qn_verify_kernel(kernel, seed, &message.nmse, &message.err);
	_exit(write(to, &message, sizeof(message)) != sizeof(message));
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Bytes read: all of the message, 0 when the child ended without one, -1 when time ran out. */
static ssize_t await_message(int from, unsigned seconds, struct message *message)
{
	int64_t end = now_ms() + (int64_t)seconds * 1000;

	for (;;) {
		struct pollfd ready = {.fd = from, .events = POLLIN};
		int64_t left = end - now_ms();
		int n = poll(&ready, 1, left > 0 ? (int)left : 0);

		if (n < 0 && errno == EINTR)
			continue;
		return n > 0 ? read(from, message, sizeof(*message)) : -1;
	}
}

static enum isolate_result judge_end(int status, unsigned seconds, struct quern_error *err)
{
	int number;

	if (!WIFSIGNALED(status)) {
		qn_error_set(err, "crash it left the process with status %d", WEXITSTATUS(status));
		return ISOLATE_FAILED;
	}
	number = WTERMSIG(status);
	if (number == SIGALRM || number == SIGXCPU)
		qn_error_set(err, "hang no result in %u s", seconds);
	else
		qn_error_set(err, "crash %s (signal %d)", strsignal(number), number);
	return ISOLATE_FAILED;
}

static enum isolate_result judge_message(struct message *message, double *nmse,
					 struct quern_error *err)
{
	message->err.text[sizeof(message->err.text) - 1] = 0;
	if (message->result == 0 && isfinite(message->nmse)) {
		*nmse = message->nmse;
		return ISOLATE_OK;
	}
	qn_error_set(err, "wrong %s",
		     message->result ? message->err.text : "the error is not finite");
	return ISOLATE_FAILED;
}

enum isolate_result isolate_verify(const struct qn_kernel *kernel, uint64_t seed, unsigned seconds,
				   double *nmse, struct quern_error *err)
{
	struct message message;
	int ends[2], status = 0;
	ssize_t n;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) != 0) {
		qn_error_set(err, "pipe: %s", strerror(errno));
		return ISOLATE_ERROR;
	}
	child = fork();
	if (child == 0) {
		close(ends[0]);
		run_child(ends[1], kernel, seed, seconds);
	}
	close(ends[1]);
	if (child < 0) {
		qn_error_set(err, "fork: %s", strerror(errno));
		close(ends[0]);
		return ISOLATE_ERROR;
	}
	n = await_message(ends[0], seconds, &message);
	close(ends[0]);
	kill(child, SIGKILL); /* it may have closed its pipe and live on; the dead do not mind */
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (n == sizeof(message))
		return judge_message(&message, nmse, err);
	if (n < 0) {
		qn_error_set(err, "hang no result in %u s", seconds);
		return ISOLATE_FAILED;
	}
	return judge_end(status, seconds, err);
}
