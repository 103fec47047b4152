/* options.h: the command line of quern tune. */
#ifndef TUNER_OPTIONS_H
#define TUNER_OPTIONS_H

#include "contest.h"
#include "ship.h"

#define OPTIONS_MAX_SHARDS 9999
#define OPTIONS_MAX_SEEDS 32

/* Words are those of argv; NULL: not given. */
struct options {
	const char *config, *formats, *threads, *shapes, *tokens, *model, *device, *at, *output,
		*work;
	const char *cores;
	double sustained_s; /* below 0: as the device file says */
	char budget[32];
	double seconds;
	struct contest_effort effort;
	unsigned long long seed;
	int jobs, fresh, json;
	enum contest_strategy strategy;
	int has_strategy;     /* it was named */
	const char *spaces;   /* a folder for space files */
	long shard, n_shards; /* shard 1 .. n_shards of the config; n_shards 0: all of it */
	const char *seed_from[OPTIONS_MAX_SEEDS]; /* results files whose winners go first */
	size_t n_seed_from;
	const char *core; /* to estimate for; NULL: a device is measured */
	struct ship_wish ship;
	const char *compiler; /* for estimates: "gcc", "clang" or "both" */
	long max_candidates;  /* of one search of estimates; 0: as the budget says */
};

/* Complains of words after `quern command` and returns -1.  format has one %s. */
int options_misuse(const char *command, const char *format, const char *word);

/* A whole number up to max; 0, or -1. */
int options_number(unsigned long long *number, const char *text, unsigned long long max);

/* What several commands ask of ship.h; of getopt's long options. */
enum { OPTIONS_MAX_KERNELS = 512, OPTIONS_DECODE_SHARE, OPTIONS_OBJECTIVE };
#define OPTIONS_SHIP \
	{"max-kernels", required_argument, NULL, OPTIONS_MAX_KERNELS}, \
		{"decode-share", required_argument, NULL, OPTIONS_DECODE_SHARE}, \
	{ \
		"objective", required_argument, NULL, OPTIONS_OBJECTIVE \
	}

/* 0; -1 after a complaint of `quern command`; 1: it is none of these. */
int options_ship(struct ship_wish *wish, const char *command, int option, const char *text);

/* After getopt: the option whose value is there but empty, as of --work '' and --work=, or NULL. */
const char *options_empty(char **argv);

/* Seconds of a budget in words, as in a results file; 0: it is none. */
double options_budget_seconds(const char *budget);

/* 0; 1 when help was asked for and printed; -1 after a complaint on standard error. */
int options_read(struct options *options, int argc, char **argv);

#endif
