/* surrogate.c: main effects by backfitting, residuals by distance. */
#include "surrogate.h"

#include <math.h>

#include "fail.h"

#define N_SWEEPS 4
#define SHRINK 2.0 /* n / (n + SHRINK) */
#define OPTIMISM 0.25

void surrogate_open(struct surrogate *surrogate, const struct points *points)
{
	memset(surrogate, 0, sizeof(*surrogate));
	surrogate->points = points;
	surrogate->first = fail_alloc((size_t)points->n_parameters, sizeof(*surrogate->first));
	for (int p = 0; p < points->n_parameters; p++) {
		surrogate->first[p] = surrogate->n_effects;
		surrogate->n_effects += points->parameters[p].n_values;
	}
	surrogate->effects = fail_alloc((size_t)surrogate->n_effects, sizeof(*surrogate->effects));
}

void surrogate_close(struct surrogate *surrogate)
{
	free(surrogate->measured);
	free(surrogate->y);
	free(surrogate->residual);
	free(surrogate->effects);
	free(surrogate->first);
}

void surrogate_add(struct surrogate *surrogate, long point, double log_time)
{
	size_t i = 0;

	surrogate->is_fitted = 0;
	while (i < surrogate->n && surrogate->measured[i] != point)
		i++;
	if (i == surrogate->n) {
		surrogate->measured =
			fail_grow(surrogate->measured, i, sizeof(*surrogate->measured));
		surrogate->y = fail_grow(surrogate->y, i, sizeof(*surrogate->y));
		surrogate->residual =
			fail_grow(surrogate->residual, i, sizeof(*surrogate->residual));
		surrogate->measured[surrogate->n++] = point;
	}
	surrogate->y[i] = log_time;
}

/* One parameter's effects anew, from residuals that have its old ones taken out. */
static void fit_parameter(struct surrogate *surrogate, int p, double *sums, int *counts)
{
	const int n_values = surrogate->points->parameters[p].n_values;
	double *effects = surrogate->effects + surrogate->first[p];

	for (int v = 0; v < n_values; v++) {
		sums[v] = 0;
		counts[v] = 0;
	}
	for (size_t i = 0; i < surrogate->n; i++) {
		const short v = points_row(surrogate->points, surrogate->measured[i])[p];

		surrogate->residual[i] += effects[v];
		sums[v] += surrogate->residual[i];
		counts[v]++;
	}
	for (int v = 0; v < n_values; v++)
		effects[v] = counts[v] ? sums[v] / (counts[v] + SHRINK) : 0;
	for (size_t i = 0; i < surrogate->n; i++)
		surrogate->residual[i] -=
			effects[points_row(surrogate->points, surrogate->measured[i])[p]];
}

static void fit(struct surrogate *surrogate)
{
	double *sums = fail_alloc((size_t)surrogate->n_effects, sizeof(*sums));
	int *counts = fail_alloc((size_t)surrogate->n_effects, sizeof(*counts));

	surrogate->mean = 0;
	for (size_t i = 0; i < surrogate->n; i++)
		surrogate->mean += surrogate->y[i] / (double)surrogate->n;
	for (int e = 0; e < surrogate->n_effects; e++)
		surrogate->effects[e] = 0;
	for (size_t i = 0; i < surrogate->n; i++)
		surrogate->residual[i] = surrogate->y[i] - surrogate->mean;
	for (int sweep = 0; sweep < N_SWEEPS; sweep++) {
		for (int p = 0; p < surrogate->points->n_parameters; p++)
			fit_parameter(surrogate, p, sums, counts);
	}
	free(counts);
	free(sums);
	surrogate->is_fitted = 1;
}

/* *weight: of what is nearby. */
static double guess(struct surrogate *surrogate, long point, double *weight)
{
	static const double nearness[] = {1, 1, 0.3, 0.08, 0.01};
	const short *row = points_row(surrogate->points, point);
	double sum = 0, effects;

	if (!surrogate->is_fitted)
		fit(surrogate);
	effects = surrogate->mean;
	for (int p = 0; p < surrogate->points->n_parameters; p++)
		effects += surrogate->effects[surrogate->first[p] + row[p]];
	*weight = 0;
	for (size_t i = 0; i < surrogate->n; i++) {
		const int far = points_distance(surrogate->points, point, surrogate->measured[i]);
		const double near = nearness[far < 4 ? far : 4];

		*weight += near;
		sum += near * surrogate->residual[i];
	}
	return effects + sum / (*weight + 0.5);
}

double surrogate_guess(struct surrogate *surrogate, long point)
{
	double weight;

	return guess(surrogate, point, &weight);
}

double surrogate_score(struct surrogate *surrogate, long point)
{
	double weight;
	const double log_time = guess(surrogate, point, &weight);

	return log_time - OPTIMISM / sqrt(1 + weight);
}
