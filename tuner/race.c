/* race.c: successive elimination and the final verdict. */
#include <math.h>

#include "fail.h"
#include "hash.h"
#include "race.h"
#include "stats.h"

#define MARGIN_EQUIVALENT 0.015
#define ALPHA 0.05 /* halved for one side of an interval */

int race_warm(struct race_runner *runners, size_t n, race_sample_fn *sample, void *context)
{
	double best = INFINITY;

	for (size_t i = 0; i < n; i++) {
		struct race_runner *runner = &runners[i];
		int status = runner->out ? 0 : sample(context, runner->id, -1, &runner->warm_ns);

		if (status < 0)
			return -1;
		runner->out |= status;
		if (!runner->out && runner->warm_ns < best)
			best = runner->warm_ns;
	}
	/* A first call may meet a page fault or a switch; a second has no excuse. */
	for (size_t i = 0; i < n; i++) {
		struct race_runner *runner = &runners[i];
		double again;
		int status;

		if (runner->out || runner->warm_ns <= 2 * best)
			continue;
		status = sample(context, runner->id, -2, &again);
		if (status < 0)
			return -1;
		if (!status && again < runner->warm_ns)
			runner->warm_ns = again;
		runner->out = status || (runner->warm_ns > 2 * best && !runner->keep);
	}
	return 0;
}

static int by_score(const void *a, const void *b)
{
	const struct race_runner *x = a, *y = b;

	if (x->out != y->out)
		return x->out - y->out;
	if (x->score != y->score)
		return x->score < y->score ? -1 : 1;
	return x->id - y->id;
}

void race_sort(struct race_runner *runners, size_t n)
{
	qsort(runners, n, sizeof(*runners), by_score);
}

void race_order(size_t *order, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++)
		order[i] = i;
	for (size_t i = n; i > 1; i--) {
		size_t j = (size_t)hash_below(&seed, (long)i), t = order[i - 1];

		order[i - 1] = order[j];
		order[j] = t;
	}
}

static void set_score(struct race_runner *runner)
{
	double sorted[RACE_MAX_ROUNDS];

	memcpy(sorted, runner->log_ns, (size_t)runner->n * sizeof(*sorted));
	runner->score = stats_median(sorted, (size_t)runner->n);
}

/* Sorts, drops; returns how many are left. */
static size_t eliminate(struct race_runner *runners, size_t n, int round,
			const struct race_rules *rules)
{
	const int last = rules->n_margins - 1;
	const double margin =
		last < 0 ? INFINITY : log1p(rules->margins[round < last ? round : last]);
	const double *leaders[RACE_KINDS] = {0};
	size_t n_before[RACE_KINDS] = {0}, left = 0;

	race_sort(runners, n);
	while (left < n && !runners[left].out)
		left++;
	if (!left)
		return 0;
	for (size_t i = 0; i < left; i++) {
		const double **leader = &leaders[runners[i].kind];

		if (!*leader)
			*leader = &runners[i].score;
		if (n_before[runners[i].kind]++ >= rules->n_elites)
			runners[i].out = runners[i].score > **leader + margin && !runners[i].keep;
	}
	race_sort(runners, n);
	while (left && runners[left - 1].out)
		left--;
	return left;
}

/* One sample of everyone who is in; -1 to stop. */
static int run_round(struct race_runner *runners, const size_t *order, size_t n, int round,
		     const struct race_calls *calls)
{
	for (size_t i = 0; i < n; i++) {
		struct race_runner *runner = &runners[order[i]];
		double ns;
		int status;

		if (runner->out)
			continue;
		status = calls->sample(calls->context, runner->id, round, &ns);
		if (status < 0)
			return -1;
		runner->out = status;
		if (status)
			continue;
		runner->n = round + 1;
		runner->log_ns[round] = log(ns);
		set_score(runner);
	}
	return 0;
}

long race_run(struct race_runner *runners, size_t n, const struct race_rules *rules, uint64_t seed,
	      const struct race_calls *calls)
{
	size_t *order = fail_alloc(n, sizeof(*order)), left = n;
	int status = 0;

	for (size_t i = 0; i < n; i++)
		runners[i].n = 0;
	for (int round = 0; round < rules->n_rounds && left && status >= 0; round++) {
		const size_t n_in = left;
		int n_before = 0;

		race_order(order, left, seed + (uint64_t)round);
		do {
			status = run_round(runners, order, left, round, calls);
			if (!status && calls->over)
				status = calls->over(calls->context, round, n_before++);
		} while (status > 0);
		if (status >= 0)
			left = eliminate(runners, left, round, rules);
		if (status >= 0 && calls->told)
			calls->told(calls->context, round, runners, left, n_in);
	}
	free(order);
	return status < 0 ? -1 : (long)left;
}

/*
 * Score of the final: median over rounds of the distance to the round's median, so that a
 * slow phase of the machine, which hits whole rounds, does not count.
 */
static size_t find_best(const struct race_runner *runners, size_t n)
{
	double *distance = fail_alloc(n * RACE_MAX_ROUNDS, sizeof(*distance));
	double *column = fail_alloc(n, sizeof(*column)), least = INFINITY;
	size_t n_rounds = (size_t)runners[0].n, best = 0;

	for (size_t round = 0; round < n_rounds; round++) {
		double centre;

		for (size_t i = 0; i < n; i++)
			column[i] = runners[i].log_ns[round];
		centre = stats_median(column, n);
		for (size_t i = 0; i < n; i++)
			distance[i * RACE_MAX_ROUNDS + round] = runners[i].log_ns[round] - centre;
	}
	for (size_t i = 0; i < n; i++) {
		double score = stats_median(distance + i * RACE_MAX_ROUNDS, n_rounds);

		if (score < least) {
			least = score;
			best = i;
		}
	}
	free(column);
	free(distance);
	return best;
}

/*
 * Marks of all but `self` where "not below by limit against other's times" is refuted.  Those that were
 * dropped count as alternatives: who is left was chosen among them.
 */
static void refute(const struct race_runner *runners, size_t n, size_t n_started, size_t self,
		   const double *other, double limit, double alpha, unsigned char *marks)
{
	const size_t n_rounds = (size_t)runners[0].n;
	double *p = fail_alloc(n_started, sizeof(*p));
	unsigned char *rejected = fail_alloc(n_started, 1);
	size_t n_others = 0;

	for (size_t i = 0; i < n; i++) {
		size_t n_below = 0;

		for (size_t round = 0; round < n_rounds; round++)
			n_below += runners[i].log_ns[round] - other[round] < limit;
		if (i != self)
			p[n_others++] = stats_sign_p(n_below, n_rounds);
	}
	for (size_t i = n; i < n_started; i++)
		p[n_others++] = 1;
	stats_holm(p, n_others, alpha, rejected);
	for (size_t i = 0, j = 0; i < n; i++)
		marks[i] = i != self && rejected[j++];
	free(rejected);
	free(p);
}

size_t race_judge(const struct race_runner *runners, size_t n, size_t n_started, size_t base,
		  struct race_verdict *verdicts)
{
	const size_t best = find_best(runners, n), n_rounds = (size_t)runners[0].n;
	unsigned char *is_equivalent = fail_alloc(n, 1), *beats_base = fail_alloc(n, 1);

	refute(runners, n, n_started, best, runners[best].log_ns, log1p(MARGIN_EQUIVALENT), ALPHA,
	       is_equivalent);
	refute(runners, n, n_started, base, runners[base].log_ns, 0, ALPHA / 2, beats_base);
	for (size_t i = 0; i < n; i++) {
		const double *mine = runners[i].log_ns;

		verdicts[i].ratio = exp(stats_paired_median(mine, runners[best].log_ns, n_rounds));
		verdicts[i].over_base =
			exp(stats_paired_median(mine, runners[base].log_ns, n_rounds));
		verdicts[i].is_equivalent = i == best || is_equivalent[i];
		verdicts[i].beats_base = beats_base[i];
	}
	free(beats_base);
	free(is_equivalent);
	return best;
}

size_t race_choose(const struct race_verdict *verdicts, size_t n, size_t base)
{
	size_t choice = base;

	for (size_t i = 0; i < n; i++) {
		if ((verdicts[i].beats_base || base >= n) &&
		    (choice >= n || verdicts[i].ratio < verdicts[choice].ratio))
			choice = i;
	}
	return choice;
}
