/*
 * test_shares.c: chunks in proportion to speed, on threads of made-up speeds.
 *
 * Threads are played by a loop in which the one whose time is least takes the next chunk, so
 * nothing here depends on a clock.
 */
#include "tests/check.h"

#include "runtime/shares.h"

enum { MAX_THREADS = 8 };

struct play {
	double speeds[MAX_THREADS]; /* units a nanosecond */
	int n;
	double ends[MAX_THREADS]; /* of the last product, in nanoseconds */
	long rows[MAX_THREADS];
};

/* One product of `chunks` chunks a thread, as matmul.c hands them out. */
static void play_product(struct play *p, struct qn_shares *shares, enum qn_shares_work work,
			 double noise, uint64_t *seed)
{
	const long *first = qn_shares_first(shares, work), all = QN_SHARES_CHUNKS * first[p->n];

	for (int i = 0; i < p->n; i++)
		p->ends[i] = p->rows[i] = 0;
	for (long next = 0; next < all;) {
		int i = 0;
		long size;

		for (int j = 1; j < p->n; j++)
			if (p->ends[j] < p->ends[i])
				i = j;
		size = first[i + 1] - first[i];
		size = size < all - next ? size : all - next;
		next += size;
		p->rows[i] += size;
		p->ends[i] += (double)size / p->speeds[i] *
			      (1 + noise * (double)(check_random(seed) % 1000) / 1000);
	}
	for (int i = 0; i < p->n && qn_shares_learns(shares); i++)
		qn_shares_note(shares, i, (double)p->rows[i], (int64_t)(p->ends[i] * 1000));
	if (qn_shares_learns(shares))
		qn_shares_learn(shares, work);
}

/* The last one's end over the time that all threads would need together. */
static double lateness(const struct play *p)
{
	double work = 0, speed = 0, last = 0;

	for (int i = 0; i < p->n; i++) {
		work += (double)p->rows[i];
		speed += p->speeds[i];
		last = p->ends[i] > last ? p->ends[i] : last;
	}
	return last * speed / work;
}

/* Cores that are alike: one unit each, for ever. */
static void test_even(void)
{
	for (int n = 1; n <= MAX_THREADS; n++) {
		struct qn_shares *shares = qn_shares_open(n, NULL);

		CHECK(shares && !qn_shares_learns(shares));
		for (int work = 0; work < QN_SHARES_N_WORKS && shares; work++) {
			const long *first = qn_shares_first(shares, (enum qn_shares_work)work);

			for (int i = 0; i <= n; i++)
				CHECK(first[i] == i);
		}
		qn_shares_close(shares);
	}
	qn_shares_close(NULL);
	CHECK(qn_shares_work_of(1) == QN_SHARES_FEW_TOKENS);
	CHECK(qn_shares_work_of(512) == QN_SHARES_MANY_TOKENS);
}

/* 1 + 3 + 4 cores: what sysfs says is where it starts, what is measured is where it goes. */
static void test_phone(void)
{
	static const int capacities[8] = {250, 250, 250, 250, 800, 800, 800, 1024};
	struct play p = {.speeds = {.3, .3, .3, .3, .6, .6, .6, 1}, .n = 8};
	struct qn_shares *shares = qn_shares_open(8, capacities);
	const long *first;
	uint64_t seed = 1;
	double most = 0;

	if (!CHECK(shares != NULL))
		return;
	first = qn_shares_first(shares, QN_SHARES_FEW_TOKENS);
	CHECK(qn_shares_learns(shares) && first[0] == 0);
	CHECK(first[1] == 4 && first[5] - first[4] == 13 && first[8] - first[7] == 16);
	for (int i = 0; i < 100; i++)
		play_product(&p, shares, QN_SHARES_FEW_TOKENS, 0, &seed);
	/* .3 and .6 of 16 units. */
	CHECK(first[1] == 5 && first[5] - first[4] == 10 && first[8] - first[7] == 16);
	for (int i = 0; i < 8; i++) /* 66 units to 3.7 of speed, 8 times */
		CHECK(p.rows[i] >= (long)(8 * (66 / 4.6) * p.speeds[i]) &&
		      p.rows[i] <= (long)(8 * (66 / 3.0) * p.speeds[i]));
	CHECK(lateness(&p) < 1.08);

	/* Noise of a fifth, a core that slows down by half, and the other kind of work untouched. */
	p.speeds[7] = .5;
	for (int i = 0; i < 300; i++) {
		play_product(&p, shares, QN_SHARES_FEW_TOKENS, 0.2, &seed);
		if (i >= 100)
			most = lateness(&p) > most ? lateness(&p) : most;
	}
	CHECK(most < 1.4);
	CHECK(first[8] - first[7] >= 11 && first[8] - first[7] <= 16);
	first = qn_shares_first(shares, QN_SHARES_MANY_TOKENS);
	CHECK(first[1] == 4 && first[8] - first[7] == 16);
	qn_shares_close(shares);
}

/* Equal chunks make everybody wait for the slow core, chunks by speed do not. */
static void test_gain(void)
{
	static const int speeds[2] = {10, 1};
	struct play p = {.speeds = {1, .1}, .n = 2};
	struct qn_shares *even = qn_shares_open(2, NULL), *by_speed = qn_shares_open(2, speeds);
	uint64_t seed = 1;

	if (!CHECK(even && by_speed))
		return;
	play_product(&p, even, QN_SHARES_FEW_TOKENS, 0, &seed);
	CHECK(lateness(&p) > 1.3);
	for (int i = 0; i < 50; i++)
		play_product(&p, by_speed, QN_SHARES_FEW_TOKENS, 0, &seed);
	CHECK(lateness(&p) < 1.1);
	CHECK(p.rows[0] >= 9 * p.rows[1]);
	qn_shares_close(even);
	qn_shares_close(by_speed);
}

/* Threads that got nothing keep their speed; nonsense changes nothing; one lost core is no verdict. */
static void test_notes(void)
{
	static const int alike[3] = {7, 7, 7};
	struct qn_shares *shares = qn_shares_open(3, alike);
	const long *first;

	if (!CHECK(shares != NULL))
		return;
	first = qn_shares_first(shares, QN_SHARES_FEW_TOKENS);
	CHECK(first[1] == 16 && first[3] == 48);
	qn_shares_learn(shares, QN_SHARES_FEW_TOKENS);
	qn_shares_note(shares, 0, 100, 10);
	qn_shares_note(shares, 1, 0, 1000);
	qn_shares_note(shares, 2, 100, 0);
	qn_shares_learn(shares, QN_SHARES_FEW_TOKENS);
	CHECK(first[1] == 16 && first[2] == 32 && first[3] == 48);
	for (int i = 0; i < 200; i++) { /* thread 2 is never measured: it stays at a third */
		qn_shares_note(shares, 0, 300, 10);
		qn_shares_note(shares, 1, 100, 10);
		qn_shares_learn(shares, QN_SHARES_FEW_TOKENS);
	}
	CHECK(first[1] == 16 && first[2] - first[1] == 5 && first[3] - first[2] == 11);
	qn_shares_note(shares, 0, 1, 10000000);
	qn_shares_note(shares, 1, 100, 10);
	qn_shares_learn(shares, QN_SHARES_FEW_TOKENS);
	CHECK(first[1] >= 14 && first[2] - first[1] >= 5);
	for (int i = 0; i < 200; i++) { /* never less than a unit */
		qn_shares_note(shares, 0, 1000000, 1);
		qn_shares_note(shares, 1, 1, 1000000);
		qn_shares_learn(shares, QN_SHARES_FEW_TOKENS);
	}
	CHECK(first[2] - first[1] == 1);
	qn_shares_close(shares);
}

int main(void)
{
	test_even();
	test_phone();
	test_gain();
	test_notes();
	return check_exit();
}
