/*
 * process.c: fork, exec, wait, kill.
 *
 * A failed exec is told to the parent through a pipe that a successful one closes, so that "no
 * such program" is an error here and not an exit status of the child.
 *
 * A child dies with its parent, but what it has started itself (the compiler proper behind its
 * driver) does not: a guard, which notices the parent's end by the end of a pipe, kills the groups that are
 * left then.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fail.h"
#include "process.h"

#define MOST_GROUPS 256                /* that the guard knows at a time */
#define MOST_BYTES ((rlim_t)256 << 20) /* of a file of a child: endless output ends, not the disk */

static volatile sig_atomic_t n_signals;
static pid_t guard;
static int to_guard = -1; /* gets the numbers of groups, negative ones when they are over */

static void count_signal(int number)
{
	(void)number;
	n_signals++;
}

/* ---- the guard ---- */

static void tell_guard(pid_t group)
{
	if (to_guard >= 0 && write(to_guard, &group, sizeof(group)) < 0)
		return; /* it was killed, and nothing is lost but the protection */
}

static void run_guard(int from)
{
	pid_t groups[MOST_GROUPS], group;
	size_t n = 0;
	ssize_t got;

	setsid(); /* away from the terminal's signals */
	for (int i = 0; i < 3; i++)
		close(i);
	while ((got = read(from, &group, sizeof(group))) == sizeof(group) ||
	       (got < 0 && errno == EINTR)) {
		if (got > 0 && group > 0 && n < MOST_GROUPS)
			groups[n++] = group;
		for (size_t i = 0; got > 0 && group < 0 && i < n; i++) {
			if (groups[i] == -group)
				groups[i--] = groups[--n];
		}
	}
	while (n)
		kill(-groups[--n], SIGKILL);
	_exit(0);
}

static void end_guard(void)
{
	if (to_guard < 0)
		return;
	close(to_guard);
	to_guard = -1;
	while (waitpid(guard, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Before any lock is taken, which it would share.  Without one all works but this protection. */
static void start_guard(void)
{
	int ends[2];

	if (to_guard >= 0 || pipe2(ends, O_CLOEXEC) < 0)
		return;
	guard = fork();
	if (guard == 0) {
		close(ends[1]);
		run_guard(ends[0]);
	}
	close(ends[0]);
	to_guard = ends[1];
	if (guard < 0) {
		close(to_guard);
		to_guard = -1;
		return;
	}
	atexit(end_guard);
}

/* ---- signals ---- */

void process_catch_signals(void)
{
	struct sigaction count = {.sa_handler = count_signal}, ignore = {.sa_handler = SIG_IGN};

	n_signals = 0;
	sigaction(SIGINT, &count, NULL);
	sigaction(SIGTERM, &count, NULL);
	sigaction(SIGHUP, &count, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(SIGXFSZ, &ignore, NULL); /* writing fails, which is told like a full disk */
	start_guard();
}

void process_stop(void)
{
	n_signals++;
}

int process_stopping(void)
{
	return n_signals;
}

double process_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- children ---- */

/* dup2 to itself would keep close-on-exec. */
static int place(int fd, int wanted)
{
	if (fd == wanted)
		return fcntl(fd, F_SETFD, 0);
	return dup2(fd, wanted);
}

static void run_child(const char *const *argv, const int fds[3], const char *temporary,
		      pid_t parent, int report)
{
	struct sigaction standard = {.sa_handler = SIG_DFL};
	struct rlimit limit;
	int null, error;

	setpgid(0, 0);
	tell_guard(getpid());
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) /* died before the line above? */
		_exit(127);
	for (int number = 1; number < 32; number++)
		sigaction(number, &standard, NULL);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3; i++) {
		if (place(fds[i] >= 0 ? fds[i] : null, i) < 0)
			goto out;
	}
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur > MOST_BYTES) {
		limit.rlim_cur = MOST_BYTES;
		setrlimit(RLIMIT_FSIZE, &limit);
	}
	if (temporary)
		setenv("TMPDIR", temporary, 1);
	execvp(argv[0], (char *const *)argv);
out:
	error = errno;
	if (write(report, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

pid_t process_start(const char *const *argv, int in, int out, int err_fd, const char *temporary,
		    struct gen_error *err)
{
	int report[2], fds[3] = {in, out, err_fd}, error = 0;
	pid_t parent = getpid(), pid;
	ssize_t n;

	if (pipe2(report, O_CLOEXEC) < 0)
		return fail_set(err, "cannot make a pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		run_child(argv, fds, temporary, parent, report[1]);
	close(report[1]);
	if (pid < 0) {
		close(report[0]);
		return fail_set(err, "cannot start '%s': %s", argv[0], strerror(errno));
	}
	setpgid(pid, pid); /* also here: it may be killed before it ran */
	do
		n = read(report[0], &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	close(report[0]);
	if (n == sizeof(error)) {
		process_kill(pid);
		return fail_set(err, "cannot run '%s': %s", argv[0], strerror(error));
	}
	return pid;
}

int process_ended(pid_t pid, int *status)
{
	siginfo_t info = {0};

	/* It is reaped after its group was killed: until then nobody else has its number. */
	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || !info.si_pid)
		return 0;
	*status = process_kill(pid);
	return 1;
}

int process_wait(pid_t pid, double seconds, int *status)
{
	double end = process_now() + seconds;
	struct timespec pause = {0, 1000000};

	while (!process_ended(pid, status)) {
		if (process_now() >= end)
			return 0;
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 16000000)
			pause.tv_nsec *= 2;
	}
	return 1;
}

int process_kill(pid_t pid)
{
	int status = 0;

	kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	tell_guard(-pid);
	return status;
}

char *process_describe(int status, char *text, size_t n_bytes)
{
	if (WIFSIGNALED(status))
		snprintf(text, n_bytes, "signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(text, n_bytes, "exit status %d", WEXITSTATUS(status));
	return text;
}
