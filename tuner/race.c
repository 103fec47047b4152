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
		runner->failed |= status;
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
		runner->failed |= status;
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

static double clean(const struct race_runner *runner, int round)
{
	return runner->log_ns[round] - runner->level[round];
}

static void set_score(struct race_runner *runner)
{
	double sorted[RACE_MAX_ROUNDS];

	for (int round = 0; round < runner->n; round++)
		sorted[round] = clean(runner, round);
	runner->score = stats_median(sorted, (size_t)runner->n);
}

/* ---- the machine's level ---- */

#define WINDOW 8           /* samples before and after one */
#define LEAST_LEVEL 0.0075 /* of typical levels; below, they are noise themselves */

/* Medians of the rests around each, of its round only; returns the median of their sizes. */
static double smooth(const double *rests, const int *rounds, long n, double *levels)
{
	double *sizes = fail_alloc((size_t)n, sizeof(*sizes)), typical;

	for (long i = 0; i < n; i++) {
		double around[2 * WINDOW + 1];
		size_t n_around = 0;

		for (long j = i - WINDOW; j <= i + WINDOW; j++) {
			if (j >= 0 && j < n && rounds[j] == rounds[i] && !isnan(rests[j]))
				around[n_around++] = rests[j];
		}
		levels[i] = n_around ? stats_median(around, n_around) : 0;
		sizes[i] = fabs(levels[i]);
	}
	typical = stats_median(sizes, (size_t)n);
	free(sizes);
	return typical;
}

/* From n_samples of all that ran; who has only one says nothing. */
static void find_levels(struct race_runner *runners, size_t n, long n_samples)
{
	double *rests = fail_alloc((size_t)n_samples, sizeof(*rests));
	double *levels = fail_alloc((size_t)n_samples, sizeof(*levels));
	int *rounds = fail_alloc((size_t)n_samples, sizeof(*rounds)), matters;

	for (long i = 0; i < n_samples; i++)
		rests[i] = NAN;
	for (size_t i = 0; i < n; i++) {
		for (int round = 0; round < runners[i].n && runners[i].n > 1; round++) {
			rests[runners[i].at[round]] = runners[i].log_ns[round] - runners[i].score;
			rounds[runners[i].at[round]] = round;
		}
	}
	matters = smooth(rests, rounds, n_samples, levels) > LEAST_LEVEL;
	for (size_t i = 0; i < n; i++) {
		for (int round = 0; round < runners[i].n; round++)
			runners[i].level[round] = matters ? levels[runners[i].at[round]] : 0;
		if (runners[i].n)
			set_score(&runners[i]);
	}
	free(rounds);
	free(levels);
	free(rests);
}

/* ---- rounds ---- */

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
		     const struct race_calls *calls, long n_samples)
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
		runner->out = runner->failed = status;
		if (status)
			continue;
		runner->n = round + 1;
		runner->log_ns[round] = log(ns);
		runner->level[round] = 0;
		runner->at[round] = n_samples + (long)i;
		set_score(runner);
	}
	return 0;
}

long race_run(struct race_runner *runners, size_t n, const struct race_rules *rules, uint64_t seed,
	      const struct race_calls *calls)
{
	size_t *order = fail_alloc(n, sizeof(*order)), left = n;
	long n_samples = 0;
	int status = 0;

	for (size_t i = 0; i < n; i++)
		runners[i].n = 0;
	for (int round = 0; round < rules->n_rounds && left && status >= 0; round++) {
		const size_t n_in = left;
		int n_before = 0;

		race_order(order, left, seed + (uint64_t)round);
		do {
			status = run_round(runners, order, left, round, calls, n_samples);
			if (!status && calls->over)
				status = calls->over(calls->context, round, n_before++);
		} while (status > 0);
		n_samples += (long)n_in;
		if (status >= 0 && round)
			find_levels(runners, n, n_samples);
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
			column[i] = clean(&runners[i], (int)round);
		centre = stats_median(column, n);
		for (size_t i = 0; i < n; i++)
			distance[i * RACE_MAX_ROUNDS + round] =
				clean(&runners[i], (int)round) - centre;
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
 * Marks of all but `self` where "not faster than self by limit" is refuted.  Those that were
 * dropped count as alternatives: who is left was chosen among them.
 */
static void refute(const struct race_runner *runners, size_t n, size_t n_started, size_t self,
		   double limit, double alpha, unsigned char *marks)
{
	const size_t n_rounds = (size_t)runners[0].n;
	double *p = fail_alloc(n_started, sizeof(*p));
	unsigned char *rejected = fail_alloc(n_started, 1);
	size_t n_others = 0;

	for (size_t i = 0; i < n; i++) {
		size_t n_below = 0;

		for (int round = 0; round < (int)n_rounds; round++)
			n_below += clean(&runners[i], round) - clean(&runners[self], round) < limit;
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

double race_compare(const struct race_runner *a, const struct race_runner *b)
{
	const int n = a->n < b->n ? a->n : b->n;
	double of_a[RACE_MAX_ROUNDS], of_b[RACE_MAX_ROUNDS];

	for (int round = 0; round < n; round++) {
		of_a[round] = clean(a, round);
		of_b[round] = clean(b, round);
	}
	return stats_paired_median(of_a, of_b, (size_t)n);
}

double race_ratio(const struct race_runner *a, const struct race_runner *b, int n, double *low,
		  double *high)
{
	double ratios[RACE_MAX_ROUNDS];

	for (int round = 0; round < n; round++)
		ratios[round] = exp(clean(a, round) - clean(b, round));
	stats_interval(ratios, (size_t)n, ALPHA, low, high);
	return stats_median(ratios, (size_t)n);
}

size_t race_judge(const struct race_runner *runners, size_t n, size_t n_started, size_t base,
		  struct race_verdict *verdicts)
{
	const size_t best = find_best(runners, n);
	unsigned char *is_equivalent = fail_alloc(n, 1), *beats_base = fail_alloc(n, 1);

	refute(runners, n, n_started, best, log1p(MARGIN_EQUIVALENT), ALPHA, is_equivalent);
	refute(runners, n, n_started, base, 0, ALPHA / 2, beats_base);
	for (size_t i = 0; i < n; i++) {
		verdicts[i].ratio = exp(race_compare(&runners[i], &runners[best]));
		verdicts[i].over_base = exp(race_compare(&runners[i], &runners[base]));
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
