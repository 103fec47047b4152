/*
 * replay_space.h: recorded spaces, and devices that pretend to run them.
 *
 * A space file has two passes (tuner/survey.h), or is one of the public ones of
 * ../shared/spaces (one pass: its even runs are the first, its odd ones the second).  A search sees the
 * first pass or noise of a model around its medians; it is judged by medians of the second.
 */
#ifndef TESTS_REPLAY_SPACE_H
#define TESTS_REPLAY_SPACE_H

#include <stdint.h>

#include "gen/gen.h"
#include "tuner/points.h"

struct replay_space {
	char name[64];
	struct points points;
	long base; /* the default, or -1 */
	int n_runs;
	long calls;    /* of a sample; a first call costs 1/calls of it */
	double *runs;  /* first pass, ns: n_runs for each point */
	double *seen;  /* by point: median of the first pass, drift taken out */
	double *truth; /* of the second */
	long best_point;
	double best;       /* its truth, the least */
	double exhaustive; /* 7 times the sum of the truth: what mean-of-7 of every point costs */
	char heads[512];   /* "case ...; device ..." */
};

/* Plain or gzip.  0, or -1 with "path:line: ...". */
int replay_space_read(struct replay_space *space, const char *path, struct gen_error *err);
void replay_space_free(struct replay_space *space);

enum replay_noise {
	REPLAY_RECORDED, /* samples of the first pass, at random */
	REPLAY_SHARED,   /* a shared virtual machine: drift, a slow state, spikes */
	REPLAY_PHONE,    /* throttling: long slow states */
	REPLAY_N_NOISES
};

extern const char *const replay_noises[REPLAY_N_NOISES];

/* One search on a space. */
struct replay_device {
	const struct replay_space *space;
	enum replay_noise noise;
	uint64_t random;
	double drift;
	int is_slow;
	double spent; /* nanoseconds of samples and first calls */
	long n_compiled;
	unsigned char *is_compiled;
};

void replay_open(struct replay_device *device, const struct replay_space *space,
		 enum replay_noise noise, uint64_t seed);
void replay_close(struct replay_device *device);

void replay_compile(struct replay_device *device, long point);

/* Nanoseconds of a sample, or of a first call. */
double replay_sample(struct replay_device *device, long point, int is_first);

/* Share of the exhaustive measuring time, and of its compilations. */
double replay_cost(const struct replay_device *device);
double replay_compiles(const struct replay_device *device);

#endif
