/*
 * check.h: the little that a C test needs.
 *
 * A test prints one line per failed check and nothing else; its exit status is check_exit().
 */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int check_failures;

#define CHECK(condition) check_that(!!(condition), __FILE__, __LINE__, #condition)

/* At most a few lines, so that one broken loop does not hide the rest. */
static inline int check_that(int ok, const char *file, int line, const char *what)
{
	if (!ok && ++check_failures <= 20)
		printf("%s:%d: %s\n", file, line, what);
	return ok;
}

/* A message must hold all of text. */
#define CHECK_SAYS(message, text) check_says(message, text, __FILE__, __LINE__)

static inline void check_says(const char *message, const char *text, const char *file, int line)
{
	char what[1400];

	snprintf(what, sizeof(what), "'%.1000s' does not say '%.300s'", message, text);
	check_that(strstr(message, text) != NULL, file, line, what);
}

static inline int check_exit(void)
{
	return check_failures != 0;
}

/* splitmix64: the same numbers on every machine for the same seed. */
static inline uint64_t check_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* From 0 to n - 1. */
static inline unsigned check_below(uint64_t *state, unsigned n)
{
	return (unsigned)(check_random(state) % n);
}

/* A normal distribution by Box and Muller. */
static inline float check_normal(uint64_t *state)
{
	const double u = ((double)(check_random(state) >> 11) + 0.5) * 0x1p-53;
	const double v = (double)(check_random(state) >> 11) * 0x1p-53;

	return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

/* From -1 to 1. */
static inline float check_float(uint64_t *state)
{
	return (float)((double)(check_random(state) >> 11) * 0x1p-52 - 1);
}

#endif
