/*
 * points.h: spaces as a strategy sees them: points are rows of small numbers.
 *
 * Points of several spaces (families, instruction sets) stand in one table.  Its parameters are all
 * that any of them has, what a space is called included (FAMILY, ISA); a value is the number of one
 * of the words that occur, and a parameter that a point does not have is a value of its own.  What
 * the words mean is known to the generator only.
 */
#ifndef TUNER_POINTS_H
#define TUNER_POINTS_H

#include <stddef.h>

struct points_parameter {
	char name[32];
	int is_ordered; /* values are numbers, and neighbours are the next ones */
	char **words;   /* of the values, numbers in order */
	int n_values;
};

struct points {
	struct points_parameter *parameters;
	int n_parameters;
	short *values; /* a row of n_parameters for each point */
	long n;
	unsigned char *is_lossy; /* by point */
	short *strata;           /* by point: its space; random points are dealt evenly */
	unsigned char *is_drawn; /* by point: whether it may be drawn at random */
	int n_strata;
	long *buckets; /* of a hash over rows */
	long n_buckets;
};

void points_open(struct points *points);
void points_free(struct points *points);

/*
 * Adds a space.  head: "FAMILY=dot ISA=avx512", what all its points have; table: as of
 * gen_space_table.  Points get numbers in its order; the first n_drawn may be drawn.  0, or -1 when
 * the table is none.
 */
int points_add(struct points *points, const char *head, const char *table, long n_drawn);

/* After the last space: sorts values, so that rows can be compared and found. */
void points_finish(struct points *points);

static inline const short *points_row(const struct points *points, long i)
{
	return points->values + i * points->n_parameters;
}

/* The point with these values, or -1. */
long points_find(const struct points *points, const short *row);

/*
 * Points that differ from one in one parameter: of an ordered one the next on either side that
 * there are, of another all.  Returns how many, at most max.
 */
long points_neighbours(const struct points *points, long i, long *list, long max);

/* In how many parameters two points differ. */
int points_distance(const struct points *points, long a, long b);

#endif
