/* export.c: journals and records as T4 items. */
#include <errno.h>
#include <getopt.h>
#include <unistd.h>

#include <jansson.h>

#include "export.h"
#include "fail.h"
#include "gen/folder.h"
#include "history.h"
#include "journal.h"
#include "options.h"
#include "record.h"
#include "stats.h"

static const char usage[] =
	"usage: quern export -o FILE.json RESULTS...\n"
	"Writes measurements as JSON (T4, results schema 1.0.0): every kernel that was tried in every\n"
	"case, with its raw samples in ms where the journal is beside the results file, else winners\n"
	"and finalists with their medians.\n"
	"\n"
	"  -o, --output FILE\n"
	"  -h, --help\n";

/* One results file and what it becomes. */
struct source {
	json_t *items; /* grows */
	size_t number; /* of the list of files */
	struct record record;
	struct history history;
	int has_history;
};

/* Where a kernel ran; format NULL: in no case yet. */
struct place {
	const char *format, *cores;
	long m, k, n;
	int threads;
};

/* ---- JSON ---- */

/* Takes over value; memory is all that can be wrong. */
static void set(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, fail_check(value)) < 0)
		fail_check(NULL);
}

static void append(json_t *list, json_t *value)
{
	if (json_array_append_new(list, fail_check(value)) < 0)
		fail_check(NULL);
}

/* A text that need not be there, nor be UTF-8. */
static void set_text(json_t *object, const char *key, const char *text)
{
	json_t *value = text ? json_string(text) : NULL;

	if (value)
		set(object, key, value);
}

/* "family=dot KU=1" */
static void set_words(json_t *object, const char *key)
{
	while (key && *key) {
		char name[128], value[128];
		int n = 0;

		if (sscanf(key, " %127[^= ]=%127[^ ]%n", name, value, &n) != 2)
			break;
		if (strlen(value) < 10 && !value[strspn(value, "0123456789")])
			set(object, name, json_integer(atol(value)));
		else
			set_text(object, name, value);
		key += n;
	}
}

static void add_measurement(json_t *list, const char *name, double value, const char *unit)
{
	json_t *one = fail_check(json_object());

	set(one, "name", json_string(name));
	set(one, "value", json_real(value));
	set(one, "unit", json_string(unit));
	append(list, one);
}

/* key NULL: nobody knows its parameters any more. */
static json_t *make_configuration(const char *kernel, const char *key, const struct place *place)
{
	json_t *object = fail_check(json_object());

	set_text(object, "kernel", kernel);
	set_words(object, key);
	if (!place->format)
		return object;
	set_text(object, "format", place->format);
	set(object, "m", json_integer(place->m));
	set(object, "k", json_integer(place->k));
	set(object, "n", json_integer(place->n));
	set(object, "threads", json_integer(place->threads));
	if (*place->cores)
		set_text(object, "cores", place->cores);
	return object;
}

/* runtimes NULL: not known. ms 0: not measured. nmse below 0: not known. */
static void add_item(struct source *source, json_t *configuration, json_t *runtimes,
		     const char *invalidity, double ms, double nmse)
{
	json_t *item = fail_check(json_object()), *times = fail_check(json_object());
	json_t *measurements = fail_check(json_array());

	set(item, "configuration", configuration);
	set(item, "objectives", json_pack("[s]", "time"));
	if (runtimes)
		set(times, "runtimes", runtimes);
	set(item, "times", times);
	set(item, "invalidity", json_string(invalidity));
	set(item, "correctness", json_integer(!strcmp(invalidity, "correct")));
	if (ms > 0)
		add_measurement(measurements, "time", ms, "ms");
	if (nmse >= 0)
		add_measurement(measurements, "nmse", nmse, "1");
	set(item, "measurements", measurements);
	set(item, "source", json_integer((json_int_t)source->number));
	append(source->items, item);
}

/* ---- journals ---- */

static const char *classify(const char *why)
{
	static const struct {
		const char *word, *invalidity;
	} rows[] = {
		{"compile", "compile"},
		{"hang", "timeout"},
		{"wrong", "correctness"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (!strncmp(why, rows[i].word, strlen(rows[i].word)))
			return rows[i].invalidity;
	}
	return "runtime";
}

/* What races compare: neither first calls nor those that found out how many fill a sample. */
static int is_raced(const struct history_sample *sample)
{
	return !sample->is_superseded && strcmp(sample->stage, "warm") &&
	       strcmp(sample->stage, "calls") && strcmp(sample->stage, "sustained");
}

/*
 * All raced samples of a place in ms; *ms: the median, of the final where there was one, else of all; 0
 * where there are none.
 */
static json_t *list_runtimes(const struct history_candidate *one, size_t place, double *ms)
{
	double *values = fail_alloc(one->n_samples, sizeof(*values));
	json_t *list = fail_check(json_array());
	int has_final = 0;
	size_t n = 0;

	for (size_t i = 0; i < one->n_samples; i++) {
		const struct history_sample *sample = &one->samples[i];
		int is_final = !strcmp(sample->stage, "final");

		if (sample->place != place || !is_raced(sample))
			continue;
		append(list, json_real(1e-6 * sample->ns_per_call));
		if (is_final && !has_final)
			n = 0;
		has_final |= is_final;
		if (is_final == has_final)
			values[n++] = 1e-6 * sample->ns_per_call;
	}
	*ms = n ? stats_median(values, n) : 0;
	free(values);
	return list;
}

/* Why a candidate failed in a place, HISTORY_NONE for in none; NULL: it did not. */
static const char *find_failure(const struct history *history, size_t candidate, size_t place)
{
	for (size_t i = 0; i < history->n_failures; i++) {
		const struct history_failure *failure = &history->failures[i];

		if (failure->candidate == candidate && failure->place == place &&
		    strcmp(failure->verb, "count") && strcmp(failure->verb, "sustain"))
			return failure->why;
	}
	return NULL;
}

static int has_samples(const struct history_candidate *one, size_t place)
{
	for (size_t i = 0; i < one->n_samples; i++) {
		if (one->samples[i].place == place && is_raced(&one->samples[i]))
			return 1;
	}
	return 0;
}

static struct place place_of(const struct history *history, size_t number)
{
	const struct history_place *place = &history->places[number];

	return (struct place){place->format, place->cores, place->m,
			      place->k,      place->n,     place->threads};
}

static void add_candidate(struct source *source, size_t candidate)
{
	const struct history *history = &source->history;
	const struct history_candidate *one = &history->candidates[candidate];
	const struct place nowhere = {0};
	const char *why = find_failure(history, candidate, HISTORY_NONE);

	if (why)
		add_item(source, make_configuration(one->name, one->key, &nowhere), NULL,
			 classify(why), 0, one->nmse);
	for (size_t i = 0; i < history->n_places; i++) {
		const struct place place = place_of(history, i);
		json_t *runtimes;
		double ms;

		why = find_failure(history, candidate, i);
		if (!why && !has_samples(one, i))
			continue;
		runtimes = list_runtimes(one, i, &ms);
		add_item(source, make_configuration(one->name, one->key, &place), runtimes,
			 why ? classify(why) : "correct", ms, one->nmse);
	}
}

/* ---- records ---- */

/* Has the journal samples of a kernel in an entry's case? */
static int is_in_history(const struct source *source, const struct record_entry *entry,
			 const char *kernel)
{
	const struct history *history = &source->history;
	size_t candidate = source->has_history ? history_find(history, kernel) : HISTORY_NONE;

	for (size_t i = 0; candidate != HISTORY_NONE && i < history->n_places; i++) {
		const struct history_place *place = &history->places[i];

		if (place->m == entry->m && place->k == entry->k && place->n == entry->n &&
		    place->threads == entry->threads && !strcmp(place->format, entry->format) &&
		    !strcmp(place->cores, entry->core_name) &&
		    has_samples(&history->candidates[candidate], i))
			return 1;
	}
	return 0;
}

static void add_entry(struct source *source, const struct record_entry *entry)
{
	const struct place place = {entry->format, entry->core_name, entry->m,
				    entry->k,      entry->n,         entry->threads};

	if (entry->is_default || entry->is_estimated)
		return;
	if (!is_in_history(source, entry, entry->kernel))
		add_item(source, make_configuration(entry->kernel, entry->key, &place), NULL,
			 "correct", 1e-3 * entry->median_us, entry->nmse);
	for (size_t i = 0; i < entry->n_finalists; i++) {
		const struct record_finalist *one = &entry->finalists[i];

		if (!is_in_history(source, entry, one->kernel))
			add_item(source, make_configuration(one->kernel, one->key, &place), NULL,
				 "correct", 1e-3 * entry->median_us * one->ratio, -1);
	}
}

/* What did not compile was never asked of the device: the journal has its parameters, the record the reason. */
static void add_failure(struct source *source, const struct record_failure *failure)
{
	const struct history *history = &source->history;
	const struct place nowhere = {0};
	size_t candidate =
		source->has_history ? history_find(history, failure->point) : HISTORY_NONE;

	if (candidate != HISTORY_NONE && !strcmp(classify(failure->reason), "compile"))
		add_item(source,
			 make_configuration(failure->point, history->candidates[candidate].key,
					    &nowhere),
			 NULL, "compile", 0, -1);
}

/* Where and how: what the schema leaves to others. */
static json_t *describe(const struct source *source, const char *path)
{
	const struct record *record = &source->record;
	json_t *object = fail_check(json_object()), *part = fail_check(json_object());

	set_text(object, "file", path);
	set_text(part, "cpu", record->device.cpu);
	set_text(part, "os", record->device.os);
	set_text(part, "arch", record->device.arch);
	set_text(part, "features", record->device.features);
	set(part, "cores", json_integer(record->device.cores));
	set(part, "llc_bytes", json_integer(record->device.llc_bytes));
	set(object, "device", part);
	part = fail_check(json_object());
	set_text(part, "version", record->compiler.version);
	set_text(part, "flags", record->compiler.flags);
	set_text(part, "clang_version", record->compiler.clang_version);
	set(object, "compiler", part);
	part = fail_check(json_object());
	set_text(part, "version", record->generator.version);
	set_text(part, "templates", record->generator.templates);
	set(object, "quern", part);
	part = fail_check(json_object());
	set_text(part, "budget", record->protocol.budget);
	set_text(part, "shard", record->protocol.shard);
	set(part, "seed", json_integer(record->protocol.seed));
	set(part, "seconds", json_real(record->protocol.seconds));
	set(part, "complete", json_boolean(record->complete));
	set(object, "protocol", part);
	return object;
}

/* The journal beside a results file, when it is of that file's run. */
static int read_history(struct source *source, const char *path, struct gen *gen,
			struct gen_error *err)
{
	const char *templates = source->record.generator.templates, *other;
	char *journal = journal_path(path);
	int status = 0;

	if (access(journal, F_OK) == 0) {
		status = history_read(&source->history, journal, gen, err);
		source->has_history = !status;
	}
	other = source->has_history ? history_fact(&source->history, "templates") : NULL;
	if (source->has_history && !source->record.n_runs &&
	    (!templates || !other || strcmp(templates, other))) {
		fprintf(stderr, "%s is of another run than %s and left out\n", journal, path);
		history_free(&source->history);
		source->has_history = 0;
	}
	free(journal);
	return status;
}

static int add_file(json_t *root, struct gen *gen, const char *path, struct gen_error *err)
{
	json_t *files = json_object_get(root, "files");
	struct source source = {
		.items = json_object_get(root, "results"),
		.number = json_array_size(files),
	};

	if (record_read(&source.record, path, err) < 0)
		return -1;
	if (source.record.estimated.core || !source.record.device.cpu) {
		record_free(&source.record);
		return fail_set(err, "%s holds no measurements, which are all that is exported",
				path);
	}
	if (read_history(&source, path, gen, err) < 0) {
		record_free(&source.record);
		return -1;
	}
	append(files, describe(&source, path));
	for (size_t i = 0; source.has_history && i < source.history.n_candidates; i++)
		add_candidate(&source, i);
	for (size_t i = 0; i < source.record.protocol.n_failed; i++)
		add_failure(&source, &source.record.protocol.failed[i]);
	for (size_t i = 0; i < source.record.n_entries; i++)
		add_entry(&source, &source.record.entries[i]);
	if (source.has_history)
		history_free(&source.history);
	record_free(&source.record);
	return 0;
}

/* ---- quern export ---- */

static int write_file(const json_t *root, const char *path, struct gen_error *err)
{
	char *temporary = fail_text("%s.tmp", path);
	int status = folder_make_above(path, err);
	FILE *file = status ? NULL : fopen(temporary, "w");

	if (!status) {
		if (!file || json_dumpf(root, file, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) < 0 ||
		    fputc('\n', file) == EOF || fflush(file) || fsync(fileno(file)))
			status = -1;
		if (file && fclose(file))
			status = -1;
		if (status || rename(temporary, path) < 0) {
			status = fail_set(err, "cannot write %s: %s", path, strerror(errno));
			unlink(temporary);
		}
	}
	free(temporary);
	return status;
}

static int export_files(char **paths, int n, const char *output, const char *home,
			struct gen_error *err)
{
	struct gen *gen = gen_open(home, err);
	json_t *root;
	int status = 0;

	if (!gen)
		return -1;
	root = fail_check(json_object());
	set(root, "schema_version", json_string("1.0.0"));
	set(root, "files", json_array());
	set(root, "results", json_array());
	for (int i = 0; i < n && !status; i++)
		status = add_file(root, gen, paths[i], err);
	if (!status)
		status = write_file(root, output, err);
	if (!status)
		printf("%zu items are in %s\n", json_array_size(json_object_get(root, "results")),
		       output);
	json_decref(root);
	gen_close(gen);
	return status;
}

int export_main(int argc, char **argv, const char *home)
{
	static const struct option options[] = {
		{"output", required_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *output = NULL;
	struct gen_error err;
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":o:h", options, NULL)) != -1) {
		switch (option) {
		case 'o': output = optarg; break;
		case 'h': fputs(usage, stdout); return 0;
		case ':':
			options_misuse("export", "option '%s' needs a value", argv[optind - 1]);
			return 2;
		default:
			options_misuse("export", "unknown option '%s'", argv[optind - 1]);
			return 2;
		}
	}
	if (!output || !*output || optind == argc) {
		options_misuse("export", "%s",
			       optind == argc ? "name the results files to export"
					      : "-o must name the file to write");
		return 2;
	}
	if (export_files(argv + optind, argc - optind, output, home, &err) == 0)
		return 0;
	fprintf(stderr, "quern: %s\n", err.text);
	return 1;
}
