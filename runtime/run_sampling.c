/*
 * run_sampling.c: how tokens are chosen, on the command line.
 */
#include "run_sampling.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run_options.h"

static int parse_float(const char *name, const char *value, float max, float *out)
{
	char *end;

	*out = strtof(value, &end);
	if (end != value && !*end && *out >= 0 && *out <= max)
		return 2;
	fprintf(stderr, "quern-run: %s %s: must be a number from 0 to %g\n", name, value,
		(double)max);
	return -1;
}

int run_sampling_option(const char *name, const char *value, struct quern_sampler_options *o)
{
	const struct {
		const char *name;
		float max, *out;
	} floats[] = {
		{"--temp", 100, &o->temperature},
		{"--top-p", 1, &o->top_p},
		{"--min-p", 1, &o->min_p},
		{"--repeat-penalty", 100, &o->repeat_penalty},
	};

	for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
		if (!strcmp(name, floats[i].name))
			return parse_float(name, value, floats[i].max, floats[i].out);
	}
	if (!strcmp(name, "--top-k"))
		return run_options_number(name, value, 1L << 30, &o->top_k) ? -1 : 2;
	if (!strcmp(name, "--repeat-last"))
		return run_options_number(name, value, 1 << 20, &o->n_repeat) ? -1 : 2;
	if (!strcmp(name, "--seed"))
		return run_options_seed(value, &o->seed) ? -1 : 2;
	return 0;
}
