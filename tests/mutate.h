/*
 * mutate.h: small damage to texts, the same for equal seeds.
 */
#ifndef TESTS_MUTATE_H
#define TESTS_MUTATE_H

#include "check.h"

#define N_MUTANTS 2000

/* One cut, one word put in its place, or both; text has room for more. */
static inline void mutate(char *text, uint64_t *state)
{
	static const char *const words[] = {
		"4096", "-1",    "w4g32", "dot", "lut",
		"avx2", "{}",    "[]",    "''",  "x",
		"1.5",  "true",  "\n",    ": ",  "99999999999999999999",
		"neon", "shift", "- ",    "  ",
	};
	size_t n = strlen(text), at = check_random(state) % n, n_cut = check_random(state) % 12;
	const char *word = words[check_random(state) % (sizeof words / sizeof *words)];
	char rest[4096];

	if (n_cut > n - at)
		n_cut = n - at;
	strcpy(rest, text + at + n_cut);
	if (check_random(state) % 3 == 0)
		word = "";
	sprintf(text + at, "%s%s", word, rest);
}

#endif
