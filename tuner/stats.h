/*
 * stats.h: the few statistics that timing needs: medians, and what the sign test says about them.
 *
 * Nothing here assumes a distribution; noise of shared machines is one-sided and has several modes.
 */
#ifndef TUNER_STATS_H
#define TUNER_STATS_H

#include <stddef.h>

/* Median of n >= 1 values, the mean of the middle two when n is even; values are put in order. */
double stats_median(double *values, size_t n);

/*
 * Interval of the median by order statistics (sign test), at least 1 - alpha of confidence; the
 * whole range when n is too small for that.  values are put in order.
 */
void stats_interval(double *values, size_t n, double alpha, double *low, double *high);

/* Rank r such that the r-th smallest .. r-th largest of n is that interval; 0: n is too small. */
size_t stats_interval_rank(size_t n, double alpha);

/* P(X >= k) for X ~ Binomial(n, 1/2): the p-value of the one-sided sign test. */
double stats_sign_p(size_t k, size_t n);

/*
 * Holm's step-down: rejected[i] = 1 for the hypotheses that fall at family-wise level alpha.
 */
void stats_holm(const double *p, size_t n, double alpha, unsigned char *rejected);

/*
 * Median of a[i] - b[i]: with logarithms of times measured side by side, the logarithm of the
 * paired ratio.
 */
double stats_paired_median(const double *a, const double *b, size_t n);

#endif
