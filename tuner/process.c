/*
 * process.c: fork, exec, wait, kill.
 *
 * A failed exec is told to the parent through a pipe that a successful one closes, so that "no
 * such program" is an error here and not an exit status of the child.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fail.h"
#include "process.h"

static volatile sig_atomic_t n_signals;

static void count_signal(int number)
{
	(void)number;
	n_signals++;
}

void process_catch_signals(void)
{
	struct sigaction count = {.sa_handler = count_signal}, ignore = {.sa_handler = SIG_IGN};

	n_signals = 0;
	sigaction(SIGINT, &count, NULL);
	sigaction(SIGTERM, &count, NULL);
	sigaction(SIGHUP, &count, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
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
	int null, error;

	setpgid(0, 0);
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
	return waitpid(pid, status, WNOHANG) == pid;
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
