/*
 * run_quantize.c: writes a model file with its matrices in another type, and tells what that costs.
 */
#include "run_quantize.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "llm/quantize.h"
#include "run_options.h"
#include "run_progress.h"

#define MAX_THREADS 256

struct options {
	struct qn_quantize how;
	const char *from, *to, *type;
};

struct report {
	struct run_progress progress;
	double error, square;
	int n_others, has_head; /* tensors that were copied; has a line been printed? */
};

/* ---- options ---- */

static int parse_threads(const char *name, const char *value, int *n_threads)
{
	long n;

	if (run_options_number(name, value, MAX_THREADS, &n))
		return -1;
	*n_threads = (int)n;
	return 0;
}

/* An option with a value; 1 when there is no such option. */
static int parse_value(const char *name, const char *value, struct options *o)
{
	if (!strcmp(name, "--type")) {
		o->type = value;
		return run_options_type(name, value, &o->how.type);
	}
	if (!strcmp(name, "--output-type"))
		return run_options_type(name, value, &o->how.output_type);
	if (!strcmp(name, "--embedding-type"))
		return run_options_type(name, value, &o->how.embedding_type);
	if (!strcmp(name, "--threads"))
		return parse_threads(name, value, &o->how.n_threads);
	return 1;
}

/* A word that is no option: the files and then the type. */
static int parse_word(const char *word, struct options *o)
{
	if (!o->from) {
		o->from = word;
	} else if (!o->to) {
		o->to = word;
	} else if (!o->type) {
		o->type = word;
		return run_options_type("type", word, &o->how.type);
	} else {
		return run_options_complain("quantize: '%s' is one word too many", word);
	}
	return 0;
}

static int parse_options(int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
		int status = 0;

		if (name[0] != '-') {
			status = parse_word(name, o);
		} else if (!strcmp(name, "--pure")) {
			o->how.is_pure = 1;
		} else if (!strcmp(name, "--requantize")) {
			o->how.takes_quantised = 1;
		} else {
			status = value ? parse_value(name, value, o) : 1;
			i++;
		}
		if (status > 0)
			return run_options_complain(
				"quantize: '%s' is no option or lacks its value, see quern-run --help",
				name);
		if (status)
			return status;
	}
	if (!o->type)
		return run_options_complain(
			"quantize: %s", "two files and a type are wanted: IN.gguf OUT.gguf TYPE");
	return o->to ? 0
		     : run_options_complain("quantize: the file to %s is missing",
					    o->from ? "write" : "read");
}

/* ---- what is printed ---- */

static void print_tensor(void *context, const struct qn_quantize_tensor *tensor)
{
	const struct quern_tensor *from = tensor->from;
	struct report *report = context;
	char shape[64];

	if (tensor->is_copied && tensor->type == tensor->wanted_type) {
		report->n_others++;
		return;
	}
	run_progress_hide(&report->progress);
	if (!report->has_head)
		printf("%-30s %15s %-6s    %-6s %10s\n", "tensor", "K x M", "from", "to", "NMSE");
	report->has_head = 1;
	report->error += tensor->error;
	report->square += tensor->square;
	snprintf(shape, sizeof(shape), "%" PRIu64 "x%" PRIu64, from->dims[0],
		 from->dims[1] * from->dims[2] * from->dims[3]);
	printf("%-30s %15s %-6s -> %-6s %10.3g", from->name, shape, quern_type_name(from->type),
	       quern_type_name(tensor->type),
	       tensor->square > 0 ? tensor->error / tensor->square : 0);
	if (tensor->type != tensor->wanted_type)
		printf("  (rows are no whole blocks of %s)", quern_type_name(tensor->wanted_type));
	putchar('\n');
}

static int show_progress(void *context, uint64_t n_done, uint64_t n_bytes)
{
	struct report *report = context;

	return run_progress_show(&report->progress, n_done, n_bytes);
}

int run_quantize(int argc, char **argv)
{
	struct options o = {.how = {.type = -1, .output_type = -1, .embedding_type = -1}};
	struct report report = {.error = 0};
	struct quern_error err;
	int failed;

	if (parse_options(argc, argv, &o))
		return 2;
	run_progress_catch();
	run_progress_start(&report.progress, o.to);
	o.how.progress = show_progress;
	o.how.tell = print_tensor;
	o.how.context = &report;
	failed = qn_quantize_file(o.from, o.to, &o.how, &err);
	run_progress_hide(&report.progress);
	if (failed) {
		fprintf(stderr, "quern-run: %s\n", err.text);
		return run_progress_is_stopped() ? 130 : 1;
	}
	printf("%s: NMSE %.3g of what was quantised, %d tensors as they were\n", o.to,
	       report.square > 0 ? report.error / report.square : 0, report.n_others);
	return 0;
}
