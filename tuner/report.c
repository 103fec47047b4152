/*
 * report.c: results and journals in, a page or text out.
 *
 * The page is tuner/report/page.html; a line "@NAME@" in it stands for another file of that folder, for
 * the chart library or for the data.
 */
#include <errno.h>
#include <getopt.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "command.h"
#include "fail.h"
#include "options.h"
#include "report.h"
#include "report_data.h"
#include "report_text.h"

#define CHART_JS "/usr/share/javascript/chart.js/chart.min.js"

static const char usage[] =
	"usage: quern report [OPTION]... RESULTS...\n"
	"Shows results files of one device or several: winners, roofs, families of kernels and, where the\n"
	"journal of quern tune lies beside a file, how the search went.  Without -o as text.\n"
	"\n"
	"  -o, --output FILE     write a page with charts; it is one file and needs no network\n"
	"      --text            print text as well\n"
	"      --chart-js FILE   Chart.js 3 for the page (" CHART_JS ")\n"
	"  -h, --help\n";

struct report {
	const char *home, *output, *chart_js;
	int with_text;
	struct report_source *sources;
	size_t n;
};

static int misuse(const char *format, const char *word)
{
	return options_misuse("report", format, word);
}

/* 0; 1 when help was printed; -1. */
static int read_options(struct report *report, int argc, char **argv)
{
	static const struct option options[] = {
		{"output", required_argument, NULL, 'o'},
		{"text", no_argument, NULL, 't'},
		{"chart-js", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option;

	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, ":o:h", options, NULL)) != -1) {
		if (options_empty(argv))
			return misuse("option '%s' needs a value", options_empty(argv));
		switch (option) {
		case 'o': report->output = optarg; break;
		case 't': report->with_text = 1; break;
		case 'c': report->chart_js = optarg; break;
		case 'h': fputs(usage, stdout); return 1;
		case ':': return misuse("option '%s' needs a value", argv[optind - 1]);
		default: return misuse("unknown option '%s'", argv[optind - 1]);
		}
	}
	return optind < argc ? 0 : misuse("%s", "name a results file");
}

static int read_source(struct report_source *source, const char *path, struct gen *gen,
		       struct gen_error *err)
{
	size_t n_shown = 0;
	char *journal;
	int status = 0;

	source->path = path;
	if (record_read(&source->record, path, err) < 0)
		return -1;
	for (size_t i = 0; i < source->record.n_entries; i++)
		n_shown += !source->record.entries[i].is_default;
	if (!n_shown)
		return fail_set(err, "%s: nothing was measured or estimated in this results file",
				path);
	journal = journal_path(path);
	if (access(journal, F_OK) == 0) {
		status = history_read(&source->history, journal, gen, err);
		source->has_history = !status;
	}
	free(journal);
	return status;
}

/* ---- the page ---- */

/* What a mark stands for; the caller frees it. */
static char *fill(const struct report *report, const char *mark, struct gen *gen,
		  struct gen_error *err)
{
	char *path, *text;

	if (!strcmp(mark, "data"))
		return report_data_text(report->sources, report->n, gen);
	if (!strcmp(mark, "chart.js")) {
		text = command_read_text(report->chart_js);
		if (!text)
			fail_set(
				err,
				"cannot read the chart library %s: %s; install libjs-chart.js "
				"(./install-deps does), name a Chart.js 3 with --chart-js, or take "
				"--text",
				report->chart_js, strerror(errno));
		else if (!strstr(text, "Chart.js v3.") || strcasestr(text, "</script"))
			fail_set(err, "%s is not Chart.js 3 as it is published (chart.min.js)",
				 report->chart_js);
		else
			return text;
		free(text);
		return NULL;
	}
	path = fail_text("%s/tuner/report/%s", report->home, mark);
	text = command_read_text(path);
	if (!text)
		fail_set(err, "cannot read %s: %s", path, strerror(errno));
	free(path);
	return text;
}

/* Copies the skeleton line by line. */
static int write_page(const struct report *report, FILE *out, struct gen *gen,
		      struct gen_error *err)
{
	char *skeleton = fill(report, "page.html", gen, err), *rest = skeleton, *line;

	if (!skeleton)
		return -1;
	while ((line = strsep(&rest, "\n")) && (*line || rest)) {
		const size_t n = strlen(line);
		char *text = NULL;

		if (n > 2 && line[0] == '@' && line[n - 1] == '@') {
			line[n - 1] = 0;
			text = fill(report, line + 1, gen, err);
			if (!text) {
				free(skeleton);
				return -1;
			}
		}
		fprintf(out, "%s\n", text ? text : line);
		free(text);
	}
	free(skeleton);
	return 0;
}

static int make_page(const struct report *report, struct gen *gen, struct gen_error *err)
{
	char *temporary = fail_text("%s.tmp", report->output);
	FILE *out = fopen(temporary, "w");
	int status = -1, is_written;

	if (!out) {
		fail_set(err, "cannot write %s: %s", temporary, strerror(errno));
		free(temporary);
		return -1;
	}
	status = write_page(report, out, gen, err);
	is_written = fflush(out) == 0 && !ferror(out);
	if (fclose(out) != 0)
		is_written = 0;
	if (!status && (!is_written || rename(temporary, report->output) < 0))
		status = fail_set(err, "cannot write %s: %s", report->output, strerror(errno));
	if (status)
		unlink(temporary);
	free(temporary);
	return status;
}

/* ---- the text ---- */

static int count_columns(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		return 100;
	return size.ws_col < 80 ? 80 : size.ws_col > 120 ? 120 : size.ws_col;
}

static int run(struct report *report, char **paths, struct gen_error *err)
{
	struct gen *gen = gen_open(report->home, err);
	int status = gen ? 0 : -1;

	for (; *paths && !status; paths++) {
		report->sources = fail_grow(report->sources, report->n, sizeof(*report->sources));
		memset(&report->sources[report->n], 0, sizeof(*report->sources));
		status = read_source(&report->sources[report->n++], *paths, gen, err);
	}
	if (!status && report->output)
		status = make_page(report, gen, err);
	if (!status && (report->with_text || !report->output)) {
		report_text_print(stdout, report->sources, report->n, count_columns());
		if (fflush(stdout) == EOF || ferror(stdout))
			status = fail_set(err, "cannot write to standard output: %s",
					  strerror(errno));
	}
	gen_close(gen);
	return status;
}

int report_main(int argc, char **argv, const char *home)
{
	struct report report = {.home = home, .chart_js = CHART_JS};
	struct gen_error err;
	int status = read_options(&report, argc, argv);

	if (status)
		return status > 0 ? 0 : 2;
	status = run(&report, argv + optind, &err) < 0;
	if (status)
		fprintf(stderr, "quern: %s\n", err.text);
	for (size_t i = 0; i < report.n; i++) {
		record_free(&report.sources[i].record);
		if (report.sources[i].has_history)
			history_free(&report.sources[i].history);
	}
	free(report.sources);
	return status;
}
