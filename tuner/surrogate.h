/*
 * surrogate.h: a guess of the time of points that were not measured, from those that were.
 *
 * log time = mean + one effect for each value of each parameter, fitted by backfitting with shrinkage
 * n/(n+2), + the residuals of points nearby, weighted by in how many parameters they differ (1 up to
 * one, 0.3, 0.08, 0.01 beyond).  Small, needs no tuning of its own, and says how much it knows.
 */
#ifndef TUNER_SURROGATE_H
#define TUNER_SURROGATE_H

#include "points.h"

struct surrogate {
	const struct points *points;
	long *measured; /* points */
	double *y;      /* their log times */
	double *residual;
	size_t n;
	double mean;
	double *effects; /* of all values of all parameters */
	int *first;      /* of a parameter's effects */
	int n_effects;
	int is_fitted;
};

void surrogate_open(struct surrogate *surrogate, const struct points *points);
void surrogate_close(struct surrogate *surrogate);

/* Takes a measurement, a point's newest one; log_time is relative to anything that stays. */
void surrogate_add(struct surrogate *surrogate, long point, double log_time);

/* What a point's log time is thought to be, its own measurements smoothed by those nearby. */
double surrogate_guess(struct surrogate *surrogate, long point);

/*
 * That guess less 0.25 / sqrt(1 + weight of what is nearby): low for what is fast or unknown.  At
 * least one point was added.
 */
double surrogate_score(struct surrogate *surrogate, long point);

#endif
