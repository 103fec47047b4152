/*
 * run_progress.c: the progress line of quern-run's commands that read or write whole models.
 */
#include "run_progress.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "run_clock.h"

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { N_SIGNALS = 3 };

static struct sigaction before[N_SIGNALS];
static volatile sig_atomic_t stopped_by;

static void note_signal(int number)
{
	stopped_by = number;
}

void run_progress_catch(void)
{
	struct sigaction action = {.sa_handler = note_signal, .sa_flags = (int)SA_RESETHAND};

	/* The second one ends the program at once; those that nohup has turned off stay so. */
	for (int i = 0; i < N_SIGNALS; i++) {
		if (sigaction(signals[i], NULL, &before[i]) == 0 && before[i].sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
}

void run_progress_release(void)
{
	for (int i = 0; i < N_SIGNALS; i++)
		sigaction(signals[i], &before[i], NULL);
	if (stopped_by)
		raise(stopped_by);
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
		return stopped_by != 0;
	p->told = t;
	fprintf(stderr, "%squern-run: %s: %.0f %% of %.2f GB, %.0f MB/s%s",
		p->is_terminal ? "\r" : "", p->what,
		100 * (double)n_done / (double)(n_bytes ? n_bytes : 1), (double)n_bytes * 1e-9,
		(double)n_done * 1e-6 / seconds, p->is_terminal ? "\033[K" : "\n");
	fflush(stderr);
	p->is_drawn = p->is_terminal;
	return stopped_by != 0;
}

void run_progress_hide(struct run_progress *p)
{
	if (p->is_drawn)
		fputs("\r\033[K", stderr);
	p->is_drawn = 0;
}

int run_progress_is_stopped(void)
{
	return stopped_by != 0;
}
