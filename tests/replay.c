/*
 * replay.c: searches on recorded spaces: how often, at what cost, they end within 3 % of the best.
 *
 *   replay [--seeds N] [--choose] SPACE...
 *
 * For every space, noise and method: the share of runs whose choice is within 3 % of the true best, median
 * and 95th percentile of the loss, measuring time and compilations as shares of the exhaustive ones
 * (mean of 7 of every point).  What a search sees is the first pass; the second one judges.
 * --choose: for every space the constants that do best on all others (leave one out), and how they
 * do on it.  The last line sums up the default strategy.
 */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "replay_rivals.h"
#include "tuner/fail.h"
#include "tuner/hash.h"
#include "tuner/race.h"
#include "tuner/strategy.h"

#define MAX_SPACES 32
#define MAX_SEEDS 1000
#define WITHIN 1.03
#define LEAST_ROUNDS 9

static const struct replay_budget budget = {0.10, 0.25};

/* ---- the tuner's strategy on a device that pretends ---- */

struct world {
	struct replay_device *device;
	long n_brought, n_last;   /* points so far, and in the last step */
	double before, per_point; /* spent before the last step; what a new point cost in it */
	double best_ns;
	int is_same; /* every id is the best point */
};

static int bring(void *context, int step, const long *points, size_t n, long *ids)
{
	struct world *world = context;

	(void)step;
	world->before = world->device->spent;
	world->n_last = (long)n;
	for (size_t i = 0; i < n; i++) {
		replay_compile(world->device, points[i]);
		ids[i] = points[i];
	}
	return 0;
}

static int sample(void *context, int id, int round, double *ns)
{
	struct world *world = context;

	*ns = replay_sample(world->device, world->is_same ? world->device->space->best_point : id,
			    round < 0);
	return 0;
}

static void tell(void *context, int round, const struct race_runner *runners, size_t n_left,
		 size_t n)
{
	struct world *world = context;

	(void)round, (void)n;
	if (n_left)
		world->best_ns = exp(runners[0].score);
}

/* Rounds of the final that are left after so much time. */
static int final_rounds(const struct world *world, size_t n, double spent)
{
	const double left = budget.cost * world->device->space->exhaustive - spent;
	const double fit = left / ((double)n * world->best_ns * 1.05);

	return fit >= strategy_final.n_rounds ? strategy_final.n_rounds
	       : fit < LEAST_ROUNDS           ? LEAST_ROUNDS
					      : (int)fit | 1;
}

/* Keeps room for the last race and 15 rounds of a final of 9. */
static int afford(void *context, int step, long n_wanted, long *n)
{
	const struct world *world = context;
	const struct replay_device *device = world->device;
	const double left =
		budget.cost * device->space->exhaustive - device->spent - 200 * world->best_ns;
	const double each = (device->spent - world->before) / (double)world->n_last;
	const double rest =
		budget.compiles * (double)device->space->points.n - (double)device->n_compiled;

	(void)step;
	*n = left <= 0 ? 0 : (long)fmin(left / each, rest);
	if (*n < 4)
		*n = 0;
	if (*n > n_wanted)
		*n = n_wanted;
	return 0;
}

/* Beside a final of 300 samples. */
static int spare(void *context, int step, long *n_samples)
{
	const struct world *world = context;
	const struct replay_device *device = world->device;
	const double left = budget.cost * device->space->exhaustive - device->spent;

	(void)step;
	*n_samples = (long)fmax(left / world->best_ns - 300, 0);
	return 0;
}

/* The elites and the default once more, and the choice. */
static long run_final(struct world *world, const struct strategy_result *result, uint64_t seed)
{
	struct race_runner runners[STRATEGY_MAX_ELITES + 1] = {0};
	struct race_verdict verdicts[STRATEGY_MAX_ELITES + 1];
	struct race_rules rules = {0};
	size_t n = 0, n_started, base = 0;

	runners[n++].id = (int)result->base;
	for (int i = 0; i < result->n_elites[0]; i++) {
		runners[n].id = (int)result->elites[0][i].id;
		n += runners[n].id != result->base;
	}
	n_started = n;
	rules = strategy_final;
	rules.n_rounds = final_rounds(world, n, world->device->spent);
	runners[0].keep = 1;
	n = (size_t)race_run(runners, n, &rules, seed,
			     &(struct race_calls){world, sample, NULL, NULL});
	while (runners[base].id != result->base)
		base++;
	race_judge(runners, n, n_started, base, verdicts);
	return runners[race_choose(verdicts, n, base)].id;
}

static long run_strategy(struct replay_device *device, const struct strategy_constants *constants,
			 uint64_t seed)
{
	struct world context = {.device = device};
	const struct strategy_world world = {
		.context = &context,
		.bring = bring,
		.race = {&context, sample, NULL, tell},
		.afford = afford,
		.spare = spare,
	};
	struct strategy_result result;
	const long base = device->space->base;

	strategy_run(&device->space->points, &world, constants, &base, base >= 0, 8, seed, &result);
	return run_final(&context, &result, seed + 1);
}

/* A final of nine times the same kernel: 1 when another one than the default is chosen. */
static int run_same(struct replay_device *device, uint64_t seed)
{
	struct world world = {.device = device, .is_same = 1};
	struct race_runner runners[9] = {0};
	struct race_verdict verdicts[9];
	size_t base = 0, n;

	for (int i = 0; i < 9; i++)
		runners[i].id = i;
	runners[0].keep = 1;
	n = (size_t)race_run(runners, 9, &strategy_final, seed,
			     &(struct race_calls){&world, sample, NULL, NULL});
	while (!runners[base].keep)
		base++;
	race_judge(runners, n, 9, base, verdicts);
	return race_choose(verdicts, n, base) != base;
}

/* ---- many runs ---- */

struct tally {
	int n, n_within;
	double cost, compiles;
	double losses[MAX_SEEDS];
};

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void count(struct tally *tally, const struct replay_device *device, long choice)
{
	const double loss = device->space->truth[choice] / device->space->best;

	tally->n_within += loss <= WITHIN;
	tally->cost += replay_cost(device);
	tally->compiles += replay_compiles(device);
	tally->losses[tally->n++] = loss - 1;
}

/* method NULL: the strategy with these constants. */
static void run_many(struct tally *tally, const struct replay_space *space, enum replay_noise noise,
		     replay_search_fn *method, const struct strategy_constants *constants,
		     int n_seeds)
{
	memset(tally, 0, sizeof(*tally));
	for (int seed = 1; seed <= n_seeds; seed++) {
		struct replay_device device;
		const uint64_t own = hash_text(HASH_START + (uint64_t)seed, replay_noises[noise]);

		replay_open(&device, space, noise, own);
		count(tally, &device,
		      method ? method(&device, &budget, own)
			     : run_strategy(&device, constants, own));
		replay_close(&device);
	}
	qsort(tally->losses, (size_t)tally->n, sizeof(double), by_value);
}

static double share(const struct tally *tally)
{
	return (double)tally->n_within / tally->n;
}

static const struct {
	const char *name;
	replay_search_fn *search;
	int divisor; /* of the seeds: what costs much runs less often */
} methods[] = {
	{"quern", NULL, 1},
	{"greedy, mean of 7", replay_greedy, 1},
	{"genetic, mean of 7", replay_genetic, 1},
	{"random, mean of 7", replay_random, 1},
	{"exhaustive, mean of 7", replay_exhaustive, 5},
};

#define N_METHODS (sizeof(methods) / sizeof(*methods))

/* ---- which constants ---- */

#define MAX_VARIANTS 48
#define N_WHOLE 12 /* constants that are whole numbers */

struct variant {
	char name[32];
	struct strategy_constants constants;
};

#define CONSTANT(name, less, more) \
	{ \
#name, offsetof(struct strategy_constants, name), less, more \
	}

/* Every constant by itself, smaller and larger. */
static int list_variants(struct variant *list)
{
	static const struct {
		const char *name;
		size_t offset;
		double less,
			more; /* 0: there is no such variant; whole numbers come before shares */
	} all[] = {
		CONSTANT(n_start, 32, 64),        CONSTANT(n_newcomers, 16, 36),
		CONSTANT(n_near, 12, 36),         CONSTANT(n_elites, 3, 8),
		CONSTANT(start_rounds, 4, 6),     CONSTANT(rounds, 3, 5),
		CONSTANT(recall_rounds, 5, 9),    CONSTANT(patience, 6, 0),
		CONSTANT(n_recalled, 12, 36),     CONSTANT(most_recalled, 100, 0),
		CONSTANT(samples_recalled, 3, 6), CONSTANT(n_finalists, 3, 8),
		CONSTANT(modelled, 0.5, 1),       CONSTANT(random, 0.1, 0.4),
		CONSTANT(crossed, 0.2, 0.6),
	};
	int n = 0;

	list[n++] = (struct variant){"as they are", strategy_constants};
	for (size_t i = 0; i < 2 * sizeof(all) / sizeof(*all); i++) {
		const double value = i % 2 ? all[i / 2].more : all[i / 2].less;
		char *constant = (char *)&list[n].constants + all[i / 2].offset;

		if (value == 0)
			continue;
		list[n].constants = strategy_constants;
		snprintf(list[n++].name, sizeof(list->name), "%s %g", all[i / 2].name, value);
		if (i / 2 < N_WHOLE)
			*(int *)constant = (int)value;
		else
			*(double *)constant = value;
	}
	for (int i = 0; i < 2; i++) {
		const double part = i ? 1.4 : 0.7;

		list[n].constants = strategy_constants;
		for (size_t m = 0; m < sizeof(list->constants.margins) / sizeof(double); m++)
			list[n].constants.margins[m] *= part;
		snprintf(list[n++].name, sizeof(list->name), "margins x %g", part);
	}
	return n;
}

/* Shares of runs within 3 % of all variants on a space, over all noises, by a process of its own. */
static void run_variants(const struct replay_space *space, int n_seeds, FILE *to)
{
	struct variant list[MAX_VARIANTS];
	struct tally *tally = fail_alloc(1, sizeof(*tally));
	const int n = list_variants(list);

	for (int v = 0; v < n; v++) {
		double sum = 0;

		for (int noise = 0; noise < REPLAY_N_NOISES; noise++) {
			run_many(tally, space, noise, NULL, &list[v].constants, n_seeds);
			sum += share(tally) / REPLAY_N_NOISES;
		}
		fwrite(&sum, sizeof(sum), 1, to);
	}
	free(tally);
}

/* Two spaces at a time. */
static void measure_variants(const struct replay_space *spaces, int n_spaces, int n_seeds,
			     int n_variants, double (*shares)[MAX_VARIANTS])
{
	FILE *files[MAX_SPACES];

	for (int s = 0; s < n_spaces; s++) {
		files[s] = fail_check(tmpfile());
		if (s >= 2)
			wait(NULL);
		fflush(stdout);
		if (fork() == 0) {
			run_variants(&spaces[s], n_seeds, files[s]);
			_exit(fclose(files[s]) != 0);
		}
	}
	while (wait(NULL) > 0)
		;
	for (int s = 0; s < n_spaces; s++) {
		rewind(files[s]);
		if (fread(shares[s], sizeof(double), (size_t)n_variants, files[s]) !=
		    (size_t)n_variants)
			fail_check(NULL);
		fclose(files[s]);
	}
}

/* Of the variants the best on all spaces but one. */
static int choose_without(double (*shares)[MAX_VARIANTS], int n_spaces, int n_variants,
			  int left_out)
{
	double most = -1;
	int best = 0;

	for (int v = 0; v < n_variants; v++) {
		double sum = 0;

		for (int s = 0; s < n_spaces; s++)
			sum += s == left_out ? 0 : shares[s][v];
		if (sum > most + 1e-9) {
			most = sum;
			best = v;
		}
	}
	return best;
}

/* Leave one space out: the constants that the others choose, on it. */
static void choose(const struct replay_space *spaces, int n_spaces, int n_seeds)
{
	static double shares[MAX_SPACES][MAX_VARIANTS];
	struct variant list[MAX_VARIANTS];
	const int n = list_variants(list);
	double sum = 0;

	measure_variants(spaces, n_spaces, n_seeds, n, shares);
	for (int v = 0; v < n; v++) {
		double all = 0;

		for (int s = 0; s < n_spaces; s++)
			all += shares[s][v] / n_spaces;
		printf("%-18s %.3f\n", list[v].name, all);
	}
	for (int s = 0; s < n_spaces; s++) {
		const int best = choose_without(shares, n_spaces, n, s);

		printf("%-34s as they are %.2f; the others choose %s: %.2f\n", spaces[s].name,
		       shares[s][0], list[best].name, shares[s][best]);
		sum += shares[s][best];
	}
	printf("constants of the other spaces: %.3f of runs within 3 %%\n", sum / n_spaces);
}

/* ---- the table ---- */

static void show_same(const struct replay_space *spaces, int n_spaces, int n_seeds)
{
	for (int noise = 0; noise < REPLAY_N_NOISES; noise++) {
		int n_wrong = 0;

		for (int s = 0; s < n_spaces; s++) {
			for (int seed = 1; seed <= n_seeds; seed++) {
				struct replay_device device;

				replay_open(&device, &spaces[s], noise, (uint64_t)seed);
				n_wrong += run_same(&device, (uint64_t)seed);
				replay_close(&device);
			}
		}
		printf("A/A, %s: of %d finals of nine times one kernel %d choose another (%.1f %%)\n",
		       replay_noises[noise], n_spaces * n_seeds, n_wrong,
		       100.0 * n_wrong / (n_spaces * n_seeds));
	}
}

static void show_space(const struct replay_space *space)
{
	long n_good = 0;

	for (long i = 0; i < space->points.n; i++)
		n_good += space->truth[i] <= WITHIN * space->best;
	printf("\n%s: %ld points, %ld within 3 %% of the best%s", space->name, space->points.n,
	       n_good, *space->heads ? "; " : "");
	printf("%s", space->heads);
	if (space->base >= 0)
		printf("; default %.3f of the best", space->truth[space->base] / space->best);
	putchar('\n');
}

static void tabulate(const struct replay_space *spaces, int n_spaces, int n_seeds)
{
	struct tally *tally = fail_alloc(1, sizeof(*tally));
	struct {
		double share, worst, cost, compiles;
		int n;
	} sums[N_METHODS][REPLAY_N_NOISES] = {0};

	for (int s = 0; s < n_spaces; s++) {
		show_space(&spaces[s]);
		for (size_t m = 0; m < N_METHODS; m++) {
			for (int noise = 0; noise < REPLAY_N_NOISES; noise++) {
				run_many(tally, &spaces[s], noise, methods[m].search,
					 &strategy_constants,
					 (n_seeds + methods[m].divisor - 1) / methods[m].divisor);
				printf("  %-22s %-9s within 3 %%: %.2f  loss %5.1f %% (p95 %5.1f %%)  "
				       "cost %.3f  compiles %.3f\n",
				       methods[m].name, replay_noises[noise], share(tally),
				       100 * tally->losses[tally->n / 2],
				       100 * tally->losses[tally->n * 95 / 100],
				       tally->cost / tally->n, tally->compiles / tally->n);
				fflush(stdout);
				sums[m][noise].share += share(tally) / n_spaces;
				sums[m][noise].cost += tally->cost / tally->n / n_spaces;
				sums[m][noise].compiles += tally->compiles / tally->n / n_spaces;
				sums[m][noise].n += tally->n;
				if (!s || share(tally) < sums[m][noise].worst)
					sums[m][noise].worst = share(tally);
			}
		}
	}
	printf("\nmean over spaces (worst space)\n");
	for (size_t m = 0; m < N_METHODS; m++) {
		for (int noise = 0; noise < REPLAY_N_NOISES; noise++)
			printf("  %-22s %-9s within 3 %%: %.3f (%.2f)  cost %.3f  compiles %.3f\n",
			       methods[m].name, replay_noises[noise], sums[m][noise].share,
			       sums[m][noise].worst, sums[m][noise].cost, sums[m][noise].compiles);
	}
	show_same(spaces, n_spaces, n_seeds);
	printf("within_3pct=%.2f cost=%.3f compiles=%.3f runs=%d\n", sums[0][0].share,
	       sums[0][0].cost, sums[0][0].compiles, sums[0][0].n);
	free(tally);
}

int main(int argc, char **argv)
{
	static struct replay_space spaces[MAX_SPACES];
	int n_spaces = 0, n_seeds = 100, is_choosing = 0;

	for (int i = 1; i < argc; i++) {
		struct gen_error err;

		if (!strcmp(argv[i], "--choose")) {
			is_choosing = 1;
		} else if (!strcmp(argv[i], "--seeds") && i + 1 < argc) {
			n_seeds = atoi(argv[++i]);
		} else if (n_spaces == MAX_SPACES ||
			   replay_space_read(&spaces[n_spaces], argv[i], &err) < 0) {
			fprintf(stderr, "replay: %s\n",
				n_spaces == MAX_SPACES ? "too many spaces" : err.text);
			return 1;
		} else {
			n_spaces++;
		}
	}
	if (!n_spaces || n_seeds < 1 || n_seeds > MAX_SEEDS) {
		fprintf(stderr, "usage: replay [--seeds N] [--choose] SPACE...\n");
		return 2;
	}
	if (is_choosing)
		choose(spaces, n_spaces, n_seeds);
	else
		tabulate(spaces, n_spaces, n_seeds);
	for (int s = 0; s < n_spaces; s++)
		replay_space_free(&spaces[s]);
	return 0;
}
