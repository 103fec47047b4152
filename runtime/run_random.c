/*
 * run_random.c: writes a model file of random weights.
 */
#include "run_random.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "llm/random.h"
#include "llm/random_shape.h"
#include "run_options.h"
#include "run_progress.h"

/* Options that are a number. */
static const struct number {
	const char *name;
	size_t at;
	long max;
} numbers[] = {
	{"--layers", offsetof(struct qn_random, n_layers), 1000},
	{"--embd", offsetof(struct qn_random, n_embd), 1 << 17},
	{"--heads", offsetof(struct qn_random, n_heads), 1024},
	{"--kv-heads", offsetof(struct qn_random, n_kv_heads), 1024},
	{"--head-dim", offsetof(struct qn_random, head_dim), 4096},
	{"--ff", offsetof(struct qn_random, n_ff), 1 << 20},
	{"--vocab-size", offsetof(struct qn_random, n_vocab), 1 << 20},
	{"--context", offsetof(struct qn_random, n_context), 1 << 24},
};

/* An option with a value; 1 when there is no such option. */
static int parse_value(const char *name, const char *value, struct qn_random *what)
{
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (!strcmp(name, numbers[i].name))
			return run_options_number(name, value, numbers[i].max,
						  (long *)(void *)((char *)what + numbers[i].at));
	}
	if (!strcmp(name, "--type"))
		return run_options_type(name, value, &what->type);
	if (!strcmp(name, "--output-type"))
		return run_options_type(name, value, &what->output_type);
	if (!strcmp(name, "--seed"))
		return run_options_seed(value, &what->seed);
	if (!strcmp(name, "--arch"))
		what->arch = value;
	else if (!strcmp(name, "--size"))
		what->size = value;
	else if (!strcmp(name, "--vocab"))
		what->vocab = value;
	else if (!strcmp(name, "--chat-template"))
		what->chat_template = value;
	else
		return 1;
	return 0;
}

static int parse_options(int argc, char **argv, struct qn_random *what, const char **path)
{
	for (int i = 1; i < argc; i++) {
		int status;

		if (argv[i][0] != '-') {
			if (*path)
				return run_options_complain(
					"random: '%s' is a second file; it writes one", argv[i]);
			*path = argv[i];
			continue;
		}
		status = i + 1 < argc ? parse_value(argv[i], argv[i + 1], what) : 1;
		if (status > 0)
			return run_options_complain(
				"random: '%s' is no option or lacks its value, see quern-run --help",
				argv[i]);
		if (status)
			return status;
		i++;
	}
	if (!*path)
		return run_options_complain("random: %s is missing", "the file to write");
	if (!what->arch && !what->size)
		return run_options_complain(
			"random: %s is missing, 'quern-run random --list' shows them",
			"--arch or --size");
	return 0;
}

int run_random(int argc, char **argv)
{
	struct qn_random what = {.type = QUERN_Q4_0, .output_type = -1, .seed = 1};
	struct run_progress progress;
	struct quern_error err;
	const char *path = NULL;
	int failed;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		qn_random_shape_list(stdout);
		return 0;
	}
	if (parse_options(argc, argv, &what, &path))
		return 2;
	run_progress_catch();
	run_progress_start(&progress, path);
	what.progress = run_progress_show;
	what.context = &progress;
	failed = qn_random_write(path, &what, &err);
	run_progress_hide(&progress);
	if (!failed)
		return 0;
	fprintf(stderr, "quern-run: %s\n", err.text);
	return run_progress_is_stopped() ? 130 : 1;
}
