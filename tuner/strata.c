/* strata.c: lists of points to draw from. */
#include "strata.h"

#include "fail.h"
#include "hash.h"

#define MAX_TRIES 64 /* draws for one new point */

void strata_open(struct strata *strata, const struct points *points)
{
	long n = 0;

	strata->list = fail_alloc((size_t)points->n, sizeof(*strata->list));
	strata->first = fail_alloc((size_t)points->n_strata + 1, sizeof(*strata->first));
	for (int s = 0; s < points->n_strata; s++) {
		strata->first[s] = n;
		for (long i = 0; i < points->n; i++) {
			if (points->strata[i] == s && points->is_drawn[i] && !points->is_lossy[i])
				strata->list[n++] = i;
		}
	}
	strata->first[points->n_strata] = n;
}

void strata_close(struct strata *strata)
{
	free(strata->list);
	free(strata->first);
}

long strata_draw(const struct strata *strata, int stratum, const unsigned char *is_taken,
		 uint64_t *random)
{
	const long first = strata->first[stratum], n = strata->first[stratum + 1] - first;

	for (int try = 0; try < MAX_TRIES && n > 0; try++) {
		const long point = strata->list[first + hash_below(random, n)];

		if (!is_taken[point])
			return point;
	}
	return -1;
}
