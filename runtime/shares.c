/*
 * shares.c: moving averages of the threads' speeds.
 *
 * A product's speeds are scaled so that those of the threads that were measured keep their sum; so
 * it does not matter that products differ, and a thread that got no chunk keeps its speed.
 */
#include "shares.h"

#include <stdlib.h>
#include <time.h>

/*
 * Weight of a new measurement.  A thread that loses its core for a product must not be written
 * off, and a token has a hundred products to learn from.
 */
#define NEW_WEIGHT 0.125

/* Two cache lines: each thread writes its own. */
struct note {
	_Alignas(128) double amount;
	int64_t ns;
};

struct qn_shares {
	struct note *notes; /* [n_threads]; NULL: cores are alike */
	double *speeds[QN_SHARES_N_WORKS];
	long *first[QN_SHARES_N_WORKS];
	int64_t (*now_ns)(void);
	int n_threads;
};

static int64_t read_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Chunks in whole units, at least one. */
static void cut_chunks(struct qn_shares *shares, enum qn_shares_work work)
{
	const double *speeds = shares->speeds[work];
	long *first = shares->first[work];
	double most = 0;

	for (int i = 0; i < shares->n_threads; i++)
		most = speeds[i] > most ? speeds[i] : most;
	for (int i = 0; i < shares->n_threads; i++) {
		const long units = (long)(QN_SHARES_UNITS * speeds[i] / most + 0.5);

		first[i + 1] = first[i] + (units > 1 ? units : 1);
	}
}

/* Memory for one kind of work. */
static int open_work(struct qn_shares *shares, enum qn_shares_work work, const int *speeds)
{
	const size_t n = (size_t)shares->n_threads;

	shares->first[work] = calloc(n + 1, sizeof(*shares->first[work]));
	shares->speeds[work] = calloc(n, sizeof(*shares->speeds[work]));
	if (!shares->first[work] || !shares->speeds[work])
		return -1;
	for (int i = 0; i < shares->n_threads; i++) {
		shares->first[work][i + 1] = i + 1;
		shares->speeds[work][i] = speeds ? speeds[i] : 1;
	}
	if (speeds)
		cut_chunks(shares, work);
	return 0;
}

struct qn_shares *qn_shares_open(int n_threads, const int *speeds)
{
	struct qn_shares *shares = calloc(1, sizeof(*shares));
	void *notes = NULL;
	int failed = 0;

	if (!shares)
		return NULL;
	shares->n_threads = n_threads;
	shares->now_ns = read_clock;
	for (int work = 0; work < QN_SHARES_N_WORKS; work++)
		failed |= open_work(shares, (enum qn_shares_work)work, speeds);
	if (speeds && !failed)
		failed = posix_memalign(&notes, sizeof(struct note),
					(size_t)n_threads * sizeof(struct note));
	shares->notes = notes;
	if (failed) {
		qn_shares_close(shares);
		return NULL;
	}
	for (int i = 0; i < n_threads && speeds; i++)
		shares->notes[i] = (struct note){0, 0};
	return shares;
}

void qn_shares_close(struct qn_shares *shares)
{
	if (!shares)
		return;
	for (int work = 0; work < QN_SHARES_N_WORKS; work++) {
		free(shares->first[work]);
		free(shares->speeds[work]);
	}
	free(shares->notes);
	free(shares);
}

enum qn_shares_work qn_shares_work_of(long n_tokens)
{
	return n_tokens < QN_SHARES_MANY ? QN_SHARES_FEW_TOKENS : QN_SHARES_MANY_TOKENS;
}

const long *qn_shares_first(const struct qn_shares *shares, enum qn_shares_work work)
{
	return shares->first[work];
}

int qn_shares_learns(const struct qn_shares *shares)
{
	return shares->notes != NULL;
}

int64_t qn_shares_now_ns(const struct qn_shares *shares)
{
	return shares->now_ns();
}

void qn_shares_set_clock(struct qn_shares *shares, int64_t (*now_ns)(void))
{
	shares->now_ns = now_ns;
}

void qn_shares_note(struct qn_shares *shares, int thread, double amount, int64_t ns)
{
	shares->notes[thread] = (struct note){amount, ns};
}

void qn_shares_learn(struct qn_shares *shares, enum qn_shares_work work)
{
	double *speeds = shares->speeds[work], before = 0, now = 0;

	for (int i = 0; i < shares->n_threads; i++) {
		const struct note *note = &shares->notes[i];

		if (note->amount > 0 && note->ns > 0) {
			before += speeds[i];
			now += note->amount / (double)note->ns;
		}
	}
	for (int i = 0; i < shares->n_threads; i++) {
		struct note *note = &shares->notes[i];

		if (note->amount > 0 && note->ns > 0)
			speeds[i] += NEW_WEIGHT *
				     (note->amount / (double)note->ns * before / now - speeds[i]);
		*note = (struct note){0, 0};
	}
	cut_chunks(shares, work);
}
