/* replay_rivals.c: random, greedy and genetic search, and measuring all. */
#include "replay_rivals.h"

#include <math.h>
#include <stdlib.h>

#include "tuner/fail.h"
#include "tuner/hash.h"

#define N_RUNS 7
#define N_PARENTS 20

/* Times by point that one search has seen, and its random numbers. */
struct rival {
	struct replay_device *device;
	const struct replay_budget *budget;
	double *mean; /* 0: not measured */
	long best;
	uint64_t random;
};

static void open_rival(struct rival *rival, struct replay_device *device,
		       const struct replay_budget *budget, uint64_t seed)
{
	*rival = (struct rival){.device = device, .budget = budget, .best = -1, .random = seed};
	rival->mean = fail_alloc((size_t)device->space->points.n, sizeof(double));
}

static int is_spent(const struct rival *rival)
{
	return replay_cost(rival->device) >= rival->budget->cost ||
	       replay_compiles(rival->device) >= rival->budget->compiles;
}

/* Mean of 7 after a first call; what was measured is known. */
static double measure(struct rival *rival, long point)
{
	double *mean = &rival->mean[point];

	if (*mean > 0)
		return *mean;
	replay_compile(rival->device, point);
	replay_sample(rival->device, point, 1);
	for (int i = 0; i < N_RUNS; i++)
		*mean += replay_sample(rival->device, point, 0) / N_RUNS;
	if (rival->best < 0 || *mean < rival->mean[rival->best])
		rival->best = point;
	return *mean;
}

static long finish(struct rival *rival)
{
	const long best = rival->best;

	free(rival->mean);
	return best;
}

static void begin(struct rival *rival)
{
	if (rival->device->space->base >= 0)
		measure(rival, rival->device->space->base);
}

static long any(struct rival *rival)
{
	return hash_below(&rival->random, rival->device->space->points.n);
}

long replay_exhaustive(struct replay_device *device, const struct replay_budget *budget,
		       uint64_t seed)
{
	struct rival rival;

	open_rival(&rival, device, budget, seed);
	for (long i = 0; i < device->space->points.n; i++)
		measure(&rival, i);
	return finish(&rival);
}

long replay_random(struct replay_device *device, const struct replay_budget *budget, uint64_t seed)
{
	struct rival rival;

	open_rival(&rival, device, budget, seed);
	begin(&rival);
	while (!is_spent(&rival))
		measure(&rival, any(&rival));
	return finish(&rival);
}

/* ---- greedy ---- */

/* A legal point with n random parameters of a point at random; any point where none was found. */
static long jump(struct rival *rival, long from, int n)
{
	const struct points *points = &rival->device->space->points;
	short *row = fail_alloc((size_t)points->n_parameters, sizeof(*row));
	long found = -1;

	for (int try = 0; try < 100 && found < 0; try++) {
		memcpy(row, points_row(points, from), (size_t)points->n_parameters * sizeof(*row));
		for (int i = 0; i < n; i++) {
			const long p = hash_below(&rival->random, points->n_parameters);

			row[p] = (short)hash_below(&rival->random, points->parameters[p].n_values);
		}
		found = points_find(points, row);
	}
	free(row);
	return found < 0 ? any(rival) : found;
}

/* Down the hill by first better neighbours in random order; returns the bottom. */
static long descend(struct rival *rival, long point)
{
	long near[512], n = 1;

	while (n > 0 && !is_spent(rival)) {
		const double here = measure(rival, point);
		long next = -1;

		n = points_neighbours(&rival->device->space->points, point, near, 512);
		for (long left = n; left > 0 && next < 0 && !is_spent(rival); left--) {
			const long i = hash_below(&rival->random, left), one = near[i];

			near[i] = near[left - 1];
			if (measure(rival, one) < here)
				next = one;
		}
		if (next < 0)
			break;
		point = next;
	}
	return point;
}

long replay_greedy(struct replay_device *device, const struct replay_budget *budget, uint64_t seed)
{
	struct rival rival;
	long at;

	open_rival(&rival, device, budget, seed);
	begin(&rival);
	at = descend(&rival, rival.best >= 0 ? rival.best : any(&rival));
	for (long idle = 0; !is_spent(&rival) && idle < 10000; idle++) {
		const long bottom = descend(&rival, jump(&rival, at, 2));

		if (rival.mean[bottom] > 0 && rival.mean[bottom] < measure(&rival, at))
			at = bottom;
	}
	return finish(&rival);
}

/* ---- genetic ---- */

static long tournament(struct rival *rival, const long *parents)
{
	long best = parents[hash_below(&rival->random, N_PARENTS)];

	for (int i = 0; i < 2; i++) {
		const long other = parents[hash_below(&rival->random, N_PARENTS)];

		if (rival->mean[other] < rival->mean[best])
			best = other;
	}
	return best;
}

static long cross(struct rival *rival, long a, long b)
{
	const struct points *points = &rival->device->space->points;
	short *row = fail_alloc((size_t)points->n_parameters, sizeof(*row));
	long found = -1;

	for (int try = 0; try < 100 && found < 0; try++) {
		for (int p = 0; p < points->n_parameters; p++) {
			const long parent = hash_below(&rival->random, 2) ? a : b;

			row[p] = points_row(points, parent)[p];
			if (!hash_below(&rival->random, 2L * points->n_parameters))
				row[p] = (short)hash_below(&rival->random,
							   points->parameters[p].n_values);
		}
		found = points_find(points, row);
	}
	free(row);
	return found < 0 || rival->mean[found] > 0 ? jump(rival, a, 2) : found;
}

long replay_genetic(struct replay_device *device, const struct replay_budget *budget, uint64_t seed)
{
	struct rival rival;
	long parents[N_PARENTS];

	open_rival(&rival, device, budget, seed);
	for (int i = 0; i < N_PARENTS; i++) {
		parents[i] = !i && device->space->base >= 0 ? device->space->base : any(&rival);
		measure(&rival, parents[i]);
	}
	for (long i = 0; !is_spent(&rival) && i < 100000; i++) {
		const long child =
			cross(&rival, tournament(&rival, parents), tournament(&rival, parents));
		int worst = 0;

		measure(&rival, child);
		for (int j = 1; j < N_PARENTS; j++) {
			if (rival.mean[parents[j]] > rival.mean[parents[worst]])
				worst = j;
		}
		for (int j = 0; j < N_PARENTS; j++) { /* nobody twice */
			if (parents[j] == child)
				worst = -1;
		}
		if (worst >= 0 && rival.mean[child] < rival.mean[parents[worst]])
			parents[worst] = child;
	}
	return finish(&rival);
}
