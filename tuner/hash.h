/*
 * hash.h: names for texts (FNV-1a) and random numbers (splitmix64) that are the same everywhere.
 */
#ifndef TUNER_HASH_H
#define TUNER_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HASH_START 0xcbf29ce484222325u

static inline uint64_t hash_add(uint64_t hash, const void *data, size_t n_bytes)
{
	const unsigned char *p = data;

	while (n_bytes--)
		hash = (hash ^ *p++) * 0x100000001b3u;
	return hash;
}

/* With its final NUL, so that "ab","c" and "a","bc" differ. */
static inline uint64_t hash_text(uint64_t hash, const char *text)
{
	return hash_add(hash, text, strlen(text) + 1);
}

static inline uint64_t hash_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Between 0 and 1, neither included. */
static inline double hash_uniform(uint64_t *state)
{
	return ((double)(hash_random(state) >> 11) + 0.5) * 0x1p-53;
}

/* 0 .. n-1; the bias of the remainder is below 2^-32 for every n used here. */
static inline long hash_below(uint64_t *state, long n)
{
	return (long)(hash_random(state) % (uint64_t)n);
}

#endif
