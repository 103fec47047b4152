/*
 * ward.c: runs a command, disturbs it at a moment, and sees that nothing of it stays.
 *
 *   ward [-n CALL] [-s SECONDS] [-k SIGNAL] COMMAND...
 *
 * The signal (a number) is sent when the command has come to its CALL-th system call, counted at
 * entries and exits so that a call can be cut off before it has done anything, or after so many seconds.
 * With -n 0 calls are only counted; "calls N" on standard error says how many.  What the command
 * leaves behind is this process's to reap: whoever of it still lives three seconds after its end is told of,
 * and so are zombies of a command that ended by itself.
 *
 * The exit status is the command's, 128 + N after signal N; 99 when something stayed.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS 3000

static volatile sig_atomic_t is_time;

static void note_time(int number)
{
	(void)number;
	is_time = 1;
}

static pid_t start(char **words, int is_traced)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (is_traced) {
			/* A leak check at the end traces, too, and nobody can be traced twice. */
			setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
			ptrace(PTRACE_TRACEME, 0, NULL, NULL);
			raise(SIGSTOP);
		}
		execvp(words[0], words);
		perror(words[0]);
		_exit(127);
	}
	return pid;
}

/* Follows the command call by call until the signal was sent or it ended: 1, *status is set. */
static int trace(pid_t pid, long call, int number, int *status)
{
	long n = 0;

	if (waitpid(pid, status, 0) != pid || !WIFSTOPPED(*status))
		return 1;
	ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	for (int deliver = 0;;) {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, deliver) < 0 && errno != ESRCH)
			perror("ptrace");
		while (waitpid(pid, status, 0) < 0 && errno == EINTR)
			;
		if (!WIFSTOPPED(*status))
			break;
		deliver = WSTOPSIG(*status);
		if (deliver == SIGTRAP)
			deliver = 0;
		if (deliver != (SIGTRAP | 0x80))
			continue;
		deliver = 0;
		if (++n == call) {
			kill(pid, number);
			if (number == SIGKILL)
				continue;
			ptrace(PTRACE_DETACH, pid, NULL, 0);
			return 0;
		}
	}
	if (!call)
		fprintf(stderr, "calls %ld\n", n);
	return 1;
}

/* Orphans are reaped on the way: of what is left at the end the command was the parent. */
static int wait_for(pid_t pid, double seconds, int number)
{
	struct sigaction action = {.sa_handler = note_time};
	timer_t timer;
	struct itimerspec at = {
		.it_value = {(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))}};
	int status = 0;
	pid_t ended;

	sigaction(SIGALRM, &action, NULL);
	if (seconds > 0 && timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0)
		timer_settime(timer, 0, &at, NULL);
	while ((ended = waitpid(-1, &status, 0)) != pid) {
		if (ended < 0 && is_time)
			kill(pid, number);
		is_time = 0;
	}
	return status;
}

/* How many children were left, dead or alive; those that live are named and killed. */
static int reap(int *n_alive)
{
	const struct timespec nap = {0, 5000000};
	int n = 0;
	pid_t pid;

	*n_alive = 0;
	for (int ms = 0; (pid = waitpid(-1, NULL, WNOHANG)) >= 0 && ms < GRACE_MS;) {
		n += pid > 0;
		if (pid == 0) {
			nanosleep(&nap, NULL);
			ms += 5;
		}
	}
	if (pid < 0)
		return n;
	for (pid = 2; pid < 4194304; pid++) { /* those are not many, and this is a failure */
		siginfo_t info = {0};

		if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
			fprintf(stderr, "ward: process %d is still there\n", (int)pid);
			kill(pid, SIGKILL);
			++*n_alive;
		}
	}
	return n;
}

int main(int argc, char **argv)
{
	long call = -1;
	double seconds = 0;
	int number = SIGKILL, option, status = 0, n_left, n_alive, by_itself;
	pid_t pid;

	while ((option = getopt(argc, argv, "+n:s:k:")) != -1) {
		switch (option) {
		case 'n': call = atol(optarg); break;
		case 's': seconds = atof(optarg); break;
		case 'k': number = atoi(optarg); break;
		default: return 2;
		}
	}
	if (optind == argc)
		return 2;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = start(argv + optind, call >= 0);
	if (pid < 0 || call < 0 || !trace(pid, call, number, &status))
		status = wait_for(pid, seconds, number);
	by_itself = WIFEXITED(status);
	n_left = reap(&n_alive);
	if (by_itself && n_left)
		fprintf(stderr, "ward: %d children were not waited for\n", n_left);
	if (n_alive || (by_itself && n_left))
		return 99;
	return by_itself ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
