/*
 * run_options.c: numbers and lists on the command line.
 */
#include "run_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "format.h"
#include "topology.h"

int run_options_complain(const char *format, const char *what)
{
	fputs("quern-run: ", stderr);
	fprintf(stderr, format, what);
	fputs("\n", stderr);
	return -1;
}

long run_options_take_number(const char **text, long max)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(*text, &end, 10);
	if (end == *text || errno || n < 1 || n > max || **text == ' ' || **text == '+')
		return 0;
	*text = end;
	return n;
}

int run_options_number(const char *option, const char *value, long max, long *number)
{
	const char *p = value;

	*number = run_options_take_number(&p, max);
	if (*number && !*p)
		return 0;
	fprintf(stderr, "quern-run: %s %s: must be a number from 1 to %ld\n", option, value, max);
	return -1;
}

int run_options_seed(const char *text, uint64_t *seed)
{
	char *end;

	errno = 0;
	*seed = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno)
		return run_options_complain("--seed %s: must be a number from 0 to 2^64 - 1", text);
	return 0;
}

/* Each is timed once. */
static void add_format(int *formats, int *n_formats, int format)
{
	for (int i = 0; i < *n_formats; i++) {
		if (formats[i] == format)
			return;
	}
	formats[(*n_formats)++] = format;
}

/* Formats first .. end-1 are those of a name or of the word all. */
static int find_formats(const char *name, int *first, int *end)
{
	if (!strcmp(name, "all")) {
		*first = 0;
		*end = QN_N_FORMATS;
		return 0;
	}
	*first = qn_format_find(name);
	*end = *first + 1;
	return *first < 0 ? -1 : 0;
}

int run_options_formats(const char *text, int formats[QN_N_FORMATS], int *n_formats)
{
	*n_formats = 0;
	for (const char *p = text;; p++) {
		const size_t n = strcspn(p, ",");
		char name[16] = "";
		int first, end;

		if (n < sizeof name)
			memcpy(name, p, n);
		if (find_formats(name, &first, &end))
			return run_options_complain(
				"--format %s: there is no such format, 'quern-run kernels --list' shows them",
				text);
		for (int format = first; format < end; format++)
			add_format(formats, n_formats, format);
		p += n;
		if (!*p)
			return 0;
	}
}

int run_options_nmse(const char *option, const char *value, double *nmse)
{
	char *end;

	*nmse = strtod(value, &end);
	if (end != value && !*end && *nmse > 0 && *nmse < 1)
		return 0;
	fprintf(stderr, "quern-run: %s %s: must be a number between 0 and 1, such as 1e-4\n",
		option, value);
	return -1;
}

const char *run_options_forced(const char *option)
{
	const char *names = option ? option : getenv("QUERN_KERNEL");

	return names && *names ? names : NULL;
}

int run_options_cpus(const char *option, const char *text)
{
	int cpus[QN_MAX_CPUS];

	if (qn_topology_parse_cpus(text, cpus, QN_MAX_CPUS) > 0)
		return 0;
	fprintf(stderr, "quern-run: %s %s: must be a list such as 4-7 or 0-3,7, each once\n",
		option, text);
	return -1;
}

int run_options_loose(const char *cpus, int loose)
{
	return loose && !cpus ? run_options_complain("%s needs --cpus, to name those that threads "
						     "move among",
						     "--loose")
			      : 0;
}

int run_options_act(const char *text, int *act)
{
	*act = strcmp(text, "own") ? qn_format_find_act(text) : RUN_OWN_ACT;
	return *act < 0 && *act != RUN_OWN_ACT
		       ? run_options_complain("--act %s: must be own, a8g32, a8g256 or a8r", text)
		       : 0;
}

int run_options_act_of(int act, int format)
{
	return act == RUN_OWN_ACT ? (int)qn_format_own_act(format) : act;
}

const char *run_options_act_text(int act)
{
	return act == RUN_OWN_ACT ? "own activations" : qn_format_acts[act];
}

/* Those that weights can be read from and written to. */
static int is_type_of_weights(int type)
{
	return qn_format_is_float(type) || qn_format_of_type(type) >= 0;
}

int run_options_type(const char *option, const char *text, int *type)
{
	for (*type = 0; *type < 64; ++*type) {
		const char *name = quern_type_name(*type);

		if (name && is_type_of_weights(*type) && !strcasecmp(text, name))
			return 0;
	}
	fprintf(stderr,
		"quern-run: %s %s: no such type; there are F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K "
		"Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS TQ1_0 TQ2_0 I2_S Q1_0 Q2_0\n",
		option, text);
	return -1;
}
