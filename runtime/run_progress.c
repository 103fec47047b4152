/*
 * run_progress.c: the progress line of quern-run's commands that read or write whole models.
 */
#include "run_progress.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "run_clock.h"

static volatile sig_atomic_t is_stopped;

static void note_signal(int number)
{
	(void)number;
	is_stopped = 1;
}

void run_progress_catch(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = note_signal, .sa_flags = (int)SA_RESETHAND}, old;

	/* The second one ends the program at once; those that nohup has turned off stay so. */
	for (int i = 0; i < 3; i++) {
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
}

void run_progress_start(struct run_progress *p, const char *what)
{
	*p = (struct run_progress){.what = what, .is_terminal = isatty(STDERR_FILENO)};
	p->start = p->told = run_clock_s();
}

int run_progress_show(void *context, uint64_t n_done, uint64_t n_bytes)
{
	struct run_progress *p = context;
	const double t = run_clock_s(), seconds = t - p->start;

	if (seconds < 2 || t - p->told < (p->is_terminal ? 0.2 : 5))
		return is_stopped;
	p->told = t;
	fprintf(stderr, "%squern-run: %s: %.0f %% of %.2f GB, %.0f MB/s%s",
		p->is_terminal ? "\r" : "", p->what,
		100 * (double)n_done / (double)(n_bytes ? n_bytes : 1), (double)n_bytes * 1e-9,
		(double)n_done * 1e-6 / seconds, p->is_terminal ? "\033[K" : "\n");
	fflush(stderr);
	p->is_drawn = p->is_terminal;
	return is_stopped;
}

void run_progress_hide(struct run_progress *p)
{
	if (p->is_drawn)
		fputs("\r\033[K", stderr);
	p->is_drawn = 0;
}

int run_progress_is_stopped(void)
{
	return is_stopped;
}
