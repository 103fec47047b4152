/* stats.c: order statistics and the sign test. */
#include <math.h>
#include <stdlib.h>

#include "fail.h"
#include "stats.h"

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double stats_median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), by_value);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double stats_sign_p(size_t k, size_t n)
{
	double sum = 0, log_half = log(0.5);

	for (size_t i = k; i <= n; i++)
		sum += exp(lgamma((double)n + 1) - lgamma((double)i + 1) -
			   lgamma((double)(n - i) + 1) + (double)n * log_half);
	return sum < 1 ? sum : 1;
}

size_t stats_interval_rank(size_t n, double alpha)
{
	size_t rank = 0;

	/* The interval of rank r misses when fewer than r values lie on one side of the median. */
	while (rank + 1 <= n / 2 && 2 * stats_sign_p(n - rank, n) <= alpha)
		rank++;
	return rank;
}

void stats_interval(double *values, size_t n, double alpha, double *low, double *high)
{
	size_t rank = stats_interval_rank(n, alpha);

	qsort(values, n, sizeof(*values), by_value);
	*low = values[rank ? rank - 1 : 0];
	*high = values[n - (rank ? rank : 1)];
}

void stats_holm(const double *p, size_t n, double alpha, unsigned char *rejected)
{
	memset(rejected, 0, n);
	for (size_t step = 0; step < n; step++) {
		size_t least = n;

		for (size_t i = 0; i < n; i++) {
			if (!rejected[i] && (least == n || p[i] < p[least]))
				least = i;
		}
		if (p[least] > alpha / (double)(n - step))
			return;
		rejected[least] = 1;
	}
}

double stats_paired_median(const double *a, const double *b, size_t n)
{
	double *differences = fail_alloc(n, sizeof(*differences)), median;

	for (size_t i = 0; i < n; i++)
		differences[i] = a[i] - b[i];
	median = stats_median(differences, n);
	free(differences);
	return median;
}
