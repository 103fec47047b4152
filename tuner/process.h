/*
 * process.h: child processes, each the leader of a group of its own, and the signals that end a
 * run.
 */
#ifndef TUNER_PROCESS_H
#define TUNER_PROCESS_H

#include <sys/types.h>

#include "gen/gen.h"

/*
 * SIGINT, SIGTERM and SIGHUP are counted from now on, SIGPIPE and SIGXFSZ ignored; and whenever this
 * process ends, be it killed, all that it has started is killed with it.  To be called before
 * anything is opened.
 */
void process_catch_signals(void);

/* As if the user had asked to stop. */
void process_stop(void);

/* How often the user asked to stop: once means after the current request, twice means now. */
int process_stopping(void);

/*
 * Starts argv (looked up in PATH).  in, out, err: file descriptors, or -1 for /dev/null.
 * temporary: value of TMPDIR, or NULL.  The child dies with its parent and writes no file of more
 * than 256 MB.  Returns the process, or -1.
 */
pid_t process_start(const char *const *argv, int in, int out, int err_fd, const char *temporary,
		    struct gen_error *err);

/* 1 and the wait status once it has ended (it is reaped then, its group killed), else 0. */
int process_ended(pid_t pid, int *status);

/* Waits for at most so long; 1 and the wait status when it ended. */
int process_wait(pid_t pid, double seconds, int *status);

/* Kills the whole group, reaps the leader; returns its wait status. */
int process_kill(pid_t pid);

/* "exit status 1", "signal 11 (Segmentation fault)"; returns text. */
char *process_describe(int status, char *text, size_t n_bytes);

/* Seconds of a clock that is never set. */
double process_now(void);

#endif
