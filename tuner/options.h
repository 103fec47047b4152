/* options.h: the command line of quern tune. */
#ifndef TUNER_OPTIONS_H
#define TUNER_OPTIONS_H

#include "contest.h"

/* Words are those of argv; NULL: not given. */
struct options {
	const char *config, *formats, *threads, *shapes, *model, *device, *at, *output, *work;
	char budget[32];
	double seconds;
	struct contest_effort effort;
	unsigned long long seed;
	int jobs, fresh;
};

/* 0; 1 when help was asked for and printed; -1 after a complaint on standard error. */
int options_read(struct options *options, int argc, char **argv);

#endif
