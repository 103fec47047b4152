/*
 * run_progress.h: what a command that takes long says meanwhile, and how it is stopped.
 */
#ifndef QN_RUN_PROGRESS_H
#define QN_RUN_PROGRESS_H

#include <stdint.h>

struct run_progress {
	const char *what; /* "random.gguf" */
	int is_terminal, is_drawn;
	double start, told; /* seconds */
};

/* From now on the first SIGINT, SIGTERM or SIGHUP is only noted, for commands that have something to clean up. */
void run_progress_catch(void);

/* All is cleaned up: signals do what they did before, and one that was noted does it now. */
void run_progress_release(void);

void run_progress_start(struct run_progress *progress, const char *what);

/*
 * After two seconds shows how far it is on standard error: a line that is drawn anew on a terminal,
 * else a line every five seconds.  The context is a struct run_progress.  1: the user wants it to
 * stop.
 */
int run_progress_show(void *context, uint64_t n_done, uint64_t n_bytes);

/* Removes the line, so that others may be printed. */
void run_progress_hide(struct run_progress *progress);

/* Was it stopped by a signal? */
int run_progress_is_stopped(void);

#endif
