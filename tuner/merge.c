/* merge.c: joining records and putting them in order. */
#include <getopt.h>

#include "fail.h"
#include "hash.h"
#include "merge.h"
#include "options.h"
#include "record_fields.h"

static char *copy(const char *text)
{
	return text ? fail_text("%s", text) : NULL;
}

/* As strcmp, with NULL before all. */
static int compare_texts(const char *a, const char *b)
{
	return !a || !b ? (a != NULL) - (b != NULL) : strcmp(a, b);
}

static int compare_numbers(double a, double b)
{
	return (a > b) - (a < b);
}

/* Lists that are empty may be NULL. */
static void sort(void *list, size_t n, size_t size, int (*compare)(const void *, const void *))
{
	if (n > 1)
		qsort(list, n, size, compare);
}

/* ---- runs ---- */

void merge_identify(struct record_run *run)
{
	char *text = record_run_text(run);

	snprintf(run->id, sizeof(run->id), "r%016llx",
		 (unsigned long long)hash_text(HASH_START, text));
	free(text);
}

void merge_copy_run(struct record_run *to, const struct record_run *from)
{
	*to = *from;
	*to->id = 0;
	to->generator.version = copy(from->generator.version);
	to->generator.templates = copy(from->generator.templates);
	to->generator.families = copy(from->generator.families);
	to->protocol.missing = NULL;
	to->protocol.failed = NULL;
	to->protocol.n_failed = 0;
	for (const struct record_field *field = record_run_fields; field->name; field++) {
		char **text = (char **)((char *)to + field->offset);

		if (field->kind == RECORD_TEXT)
			*text = copy(*text);
	}
}

void merge_name_run(struct record *record)
{
	const struct record_run own = {
		.complete = record->complete,
		.generator = record->generator,
		.protocol = record->protocol,
	};
	struct record_run *run;

	if (record->n_runs)
		return;
	run = record_add_run(record);
	merge_copy_run(run, &own);
	merge_identify(run);
	for (size_t i = 0; i < record->n_entries; i++) {
		if (!record->entries[i].is_default)
			strcpy(record->entries[i].run, run->id);
	}
}

static const struct record_run *find_run(const struct record *record, const char *id)
{
	for (size_t i = 0; i < record->n_runs; i++) {
		if (!strcmp(record->runs[i].id, id))
			return &record->runs[i];
	}
	return NULL;
}

static int by_id(const void *a, const void *b)
{
	const struct record_run *x = a, *y = b;

	return strcmp(x->id, y->id);
}

static void settle_runs(struct record *record)
{
	size_t n = 0;

	sort(record->runs, record->n_runs, sizeof(*record->runs), by_id);
	for (size_t i = 0; i < record->n_runs; i++) {
		if (n && !strcmp(record->runs[n - 1].id, record->runs[i].id))
			record_clear_run(&record->runs[i]);
		else
			record->runs[n++] = record->runs[i];
	}
	record->n_runs = n;
}

/* ---- entries ---- */

/* The instruction set of a point, " isa=avx2", or "". */
static const char *isa_of(const struct record_entry *entry, char isa[40])
{
	const char *at = strstr(entry->key, " isa=");

	snprintf(isa, 40, "%.*s", at ? 5 + (int)strcspn(at + 5, " ") : 0, at ? at : "");
	return isa;
}

/* 0: they are of one case. */
static int compare_cases(const struct record_entry *a, const struct record_entry *b)
{
	char act_a[16], act_b[16], isa_a[40], isa_b[40];
	int order = b->is_default - a->is_default;

	if (!order)
		order = strcmp(a->format, b->format);
	if (!order)
		order = strcmp(record_entry_act(a, act_a), record_entry_act(b, act_b));
	if (!order)
		order = compare_numbers((double)a->n, (double)b->n);
	if (!order)
		order = compare_numbers((double)a->m, (double)b->m);
	if (!order)
		order = compare_numbers((double)a->k, (double)b->k);
	if (!order)
		order = a->threads - b->threads;
	if (!order)
		order = compare_numbers((double)a->core, (double)b->core);
	if (!order)
		order = strcmp(a->core_name, b->core_name);
	if (!order)
		order = a->is_lossy - b->is_lossy;
	if (!order)
		order = a->is_estimated - b->is_estimated;
	if (!order && a->is_estimated)
		order = strcmp(isa_of(a, isa_a), isa_of(b, isa_b));
	return order || !a->is_default ? order : strcmp(a->key, b->key);
}

/* By case, the stronger one first. */
static int by_case(const void *a, const void *b)
{
	const struct record_entry *x = a, *y = b;
	int order = compare_cases(x, y);
	char *first, *second;

	if (!order)
		order = compare_numbers((double)y->samples, (double)x->samples);
	if (!order)
		order = compare_numbers(x->median_us, y->median_us);
	if (!order)
		order = compare_numbers(x->estimate.cycles_per_weight,
					y->estimate.cycles_per_weight);
	if (order)
		return order;
	first = record_entry_text(x);
	second = record_entry_text(y);
	order = strcmp(first, second);
	free(first);
	free(second);
	return order;
}

/* What tells whether two runs had the same templates; those of old files are known as a whole only. */
static const char *origin(const struct record *record, const struct record_entry *entry)
{
	const struct record_run *run = find_run(record, entry->run);

	if (run && run->generator.families)
		return run->generator.families;
	return run && run->generator.templates ? run->generator.templates : "";
}

static int settle_entries(struct record *record, struct gen_error *err)
{
	struct record_entry *entries = record->entries;
	size_t n = 0;

	sort(entries, record->n_entries, sizeof(*entries), by_case);
	for (size_t i = 0; i < record->n_entries; i++) {
		const struct record_entry *best = n ? &entries[n - 1] : NULL;

		if (!best || compare_cases(best, &entries[i])) {
			if (n < i) {
				entries[n] = entries[i];
				memset(&entries[i], 0, sizeof(entries[i]));
			}
			n++;
			continue;
		}
		if (!best->is_default && strcmp(origin(record, best), origin(record, &entries[i])))
			return fail_set(err,
					"%s %ldx%ld n%ld t%d has two winners that are made from "
					"different templates; leave out a file, or tune it anew",
					best->format, best->m, best->k, best->n, best->threads);
		record_clear_entry(&entries[i]);
	}
	record->n_entries = n;
	return 0;
}

/* ---- ceilings and failures ---- */

static int by_target(const void *a, const void *b)
{
	const struct record_ceiling *x = a, *y = b;
	int order = x->threads - y->threads;

	if (!order)
		order = compare_numbers((double)x->core, (double)y->core);
	return order ? order : strcmp(x->core_name, y->core_name);
}

/* The larger reading is nearer to what the device can do. */
static void raise(struct record_ceiling *to, const struct record_ceiling *from)
{
	int order = compare_numbers(from->dram_gbps, to->dram_gbps);

	if (!order)
		order = from->streams - to->streams;
	if (!order)
		order = from->huge_pages - to->huge_pages;
	if (order > 0) {
		to->dram_gbps = from->dram_gbps;
		to->streams = from->streams;
		to->huge_pages = from->huge_pages;
	}
	if (from->int8_gmacs > to->int8_gmacs)
		to->int8_gmacs = from->int8_gmacs;
}

static void settle_ceilings(struct record *record)
{
	struct record_ceiling *list = record->ceilings;
	size_t n = 0;

	sort(list, record->n_ceilings, sizeof(*list), by_target);
	for (size_t i = 0; i < record->n_ceilings; i++) {
		if (n && !by_target(&list[n - 1], &list[i]))
			raise(&list[n - 1], &list[i]);
		else
			list[n++] = list[i];
	}
	record->n_ceilings = n;
}

static int by_failure(const void *a, const void *b)
{
	const struct record_failure *x = a, *y = b;
	int order = strcmp(x->point, y->point);

	return order ? order : strcmp(x->reason, y->reason);
}

static void settle_failures(struct record *record)
{
	struct record_failure *list = record->protocol.failed;
	size_t n = 0;

	sort(list, record->protocol.n_failed, sizeof(*list), by_failure);
	for (size_t i = 0; i < record->protocol.n_failed; i++) {
		if (n && !by_failure(&list[n - 1], &list[i])) {
			free(list[i].point);
			free(list[i].reason);
		} else {
			list[n++] = list[i];
		}
	}
	record->protocol.n_failed = n;
}

/* ---- what is missing ---- */

/* A part of a tuning; one that was not divided is part 1 of 1. */
struct part {
	const char *config;
	long i, n;
	int complete;
};

static int by_part(const void *a, const void *b)
{
	const struct part *x = a, *y = b;
	int order = strcmp(x->config, y->config);

	if (!order)
		order = compare_numbers((double)x->n, (double)y->n);
	if (!order)
		order = compare_numbers((double)x->i, (double)y->i);
	return order ? order : y->complete - x->complete;
}

static void list_parts(const struct record *record, struct part *parts)
{
	for (size_t i = 0; i < record->n_runs; i++) {
		const struct record_run *run = &record->runs[i];
		const char *shard = run->protocol.shard;
		struct part *part = &parts[i];

		part->config = run->protocol.config ? run->protocol.config : "";
		part->complete = run->complete;
		if (!shard || sscanf(shard, "%ld/%ld", &part->i, &part->n) != 2 || part->i < 1 ||
		    part->n > OPTIONS_MAX_SHARDS || part->i > part->n)
			part->i = part->n = 1;
	}
	sort(parts, record->n_runs, sizeof(*parts), by_part);
}

/* Writes those of the parts of one config and number that are not there; returns how many. */
static long write_missing(FILE *out, const struct part *parts, size_t n)
{
	long n_missing = 0;
	size_t at = 0;

	for (long i = 1; i <= parts->n; i++) {
		int complete = 0;

		for (; at < n && parts[at].i == i; at++)
			complete |= parts[at].complete;
		if (complete)
			continue;
		if (n_missing++ < 20)
			fprintf(out, "%s%ld/%ld", n_missing > 1 ? ", " : "", i, parts->n);
	}
	if (n_missing > 20)
		fprintf(out, " and %ld more", n_missing - 20);
	return n_missing;
}

/* Each config has to be there whole, in one division or another.  NULL: nothing is missing. */
static char *find_missing(const struct record *record)
{
	struct part *parts = fail_alloc(record->n_runs, sizeof(*parts));
	char *all;
	size_t n_bytes, end;
	FILE *out = fail_check(open_memstream(&all, &n_bytes));

	list_parts(record, parts);
	for (size_t first = 0; first < record->n_runs; first = end) {
		char *text;
		size_t n_text, next;
		FILE *of_config = fail_check(open_memstream(&text, &n_text));
		int is_whole = 0;

		for (end = first; end < record->n_runs; end = next) {
			if (strcmp(parts[end].config, parts[first].config))
				break;
			for (next = end; next < record->n_runs; next++) {
				if (strcmp(parts[next].config, parts[end].config) ||
				    parts[next].n != parts[end].n)
					break;
			}
			if (end > first)
				fputs(", ", of_config);
			is_whole |= !write_missing(of_config, parts + end, next - end);
		}
		fclose(of_config);
		if (!is_whole)
			fprintf(out, "%s%s", ftell(out) > 0 ? ", " : "", text);
		free(text);
	}
	fclose(out);
	free(parts);
	if (!*all) {
		free(all);
		return NULL;
	}
	return all;
}

/* ---- sums ---- */

/* A text that all runs have, for every text of the record that runs have too. */
static void agree(struct record *record, const struct record_field *fields,
		  const struct record_field *of_runs)
{
	for (; fields->name; fields++) {
		const struct record_field *of_run = of_runs;
		char **to = (char **)((char *)record + fields->offset);
		const char *first;
		size_t i = 1;

		while (of_run->name && strcmp(of_run->name, fields->name))
			of_run++;
		if (fields->kind != RECORD_TEXT || !of_run->name)
			continue;
		first = *(char **)((char *)&record->runs[0] + of_run->offset);
		while (i < record->n_runs &&
		       !compare_texts(first, *(char **)((char *)&record->runs[i] + of_run->offset)))
			i++;
		free(*to);
		*to = i < record->n_runs ? NULL : copy(first);
	}
}

static void agree_families(struct record *record)
{
	const char *first = record->runs[0].generator.families;
	size_t i = 1;

	while (i < record->n_runs && !compare_texts(first, record->runs[i].generator.families))
		i++;
	free(record->generator.families);
	record->generator.families = i < record->n_runs ? NULL : copy(first);
}

static void raise_number(long *to, long number)
{
	if (number > *to)
		*to = number;
}

static void sum_runs(struct record *record)
{
	struct record_protocol *sum = &record->protocol;
	const struct record_protocol *first = &record->runs[0].protocol;

	sum->rounds = sum->cold_bytes = sum->tried = sum->verified = 0;
	sum->seconds = 0;
	sum->seed = first->seed;
	sum->sustained = first->sustained;
	memset(&sum->thermal, 0, sizeof(sum->thermal));
	for (size_t i = 0; i < record->n_runs; i++) {
		const struct record_protocol *one = &record->runs[i].protocol;

		raise_number(&sum->rounds, one->rounds);
		raise_number(&sum->cold_bytes, one->cold_bytes);
		sum->tried += one->tried;
		sum->verified += one->verified;
		sum->seconds += one->seconds;
		if (one->seed != first->seed)
			sum->seed = 0;
		if (one->sustained != first->sustained)
			sum->sustained = 0;
		sum->thermal.is_gated |= one->thermal.is_gated;
		sum->thermal.cool_downs += one->thermal.cool_downs;
		sum->thermal.baselines += one->thermal.baselines;
		sum->thermal.seconds += one->thermal.seconds;
	}
	agree(record, record_protocol_fields, record_run_fields);
	agree(record, record_generator_fields, record_run_generator_fields);
	agree_families(record);
}

int merge_settle(struct record *record, struct gen_error *err)
{
	merge_name_run(record);
	settle_runs(record);
	if (settle_entries(record, err) < 0)
		return -1;
	settle_ceilings(record);
	settle_failures(record);
	sum_runs(record);
	free(record->protocol.missing);
	record->protocol.missing = NULL;
	if (record->n_runs > 1) {
		record->protocol.missing = find_missing(record);
		record->complete = !record->protocol.missing;
		return 0;
	}
	record->complete = record->runs[0].complete;
	record_clear_run(&record->runs[0]);
	free(record->runs);
	record->runs = NULL;
	record->n_runs = 0;
	for (size_t i = 0; i < record->n_entries; i++)
		*record->entries[i].run = 0;
	return 0;
}

/* ---- two records ---- */

/* What a file has one of: NULL, or the first that differs. */
static const char *find_difference(const struct record *a, const struct record *b, const char **x,
				   const char **y)
{
	const struct {
		const char *what, *x, *y;
	} texts[] = {
		{"device: cpu", a->device.cpu, b->device.cpu},
		{"device: arch", a->device.arch, b->device.arch},
		{"device: features", a->device.features, b->device.features},
		{"compiler: version", a->compiler.version, b->compiler.version},
		{"compiler: command", a->compiler.command, b->compiler.command},
		{"compiler: flags", a->compiler.flags, b->compiler.flags},
		{"compiler: clang_version", a->compiler.clang_version, b->compiler.clang_version},
		{"compiler: clang", a->compiler.clang, b->compiler.clang},
		{"estimated: core", a->estimated.core, b->estimated.core},
		{"estimated: model", a->estimated.model, b->estimated.model},
		{"estimated: llvm_mca", a->estimated.llvm_mca, b->estimated.llvm_mca},
		{"estimated: note", a->estimated.note, b->estimated.note},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		if (!compare_texts(texts[i].x, texts[i].y))
			continue;
		*x = texts[i].x ? texts[i].x : "none";
		*y = texts[i].y ? texts[i].y : "none";
		return texts[i].what;
	}
	return NULL;
}

/* Of what may differ, the first text and the largest number. */
static void join_device(struct record *to, const struct record *from)
{
	for (const struct record_field *field = record_device_fields; field->name; field++) {
		void *x = (char *)to + field->offset;
		const void *y = (const char *)from + field->offset;

		if (field->kind == RECORD_TEXT) {
			char **text = x, *const *other = y;

			if (*other && (!*text || strcmp(*other, *text) < 0)) {
				free(*text);
				*text = copy(*other);
			}
		} else if (field->kind == RECORD_LONG) {
			raise_number(x, *(const long *)y);
		} else if (*(const double *)y > *(double *)x) {
			*(double *)x = *(const double *)y;
		}
	}
	if (from->counters && (!to->counters || strcmp(from->counters, to->counters) < 0)) {
		free(to->counters);
		to->counters = copy(from->counters);
	}
}

int merge_add(struct record *to, const char *to_path, struct record *from, const char *from_path,
	      struct gen_error *err)
{
	const char *x, *y, *what = find_difference(to, from, &x, &y);

	if (what)
		return fail_set(err,
				"%s and %s differ in '%s' ('%.80s' and '%.80s'); only results of "
				"one device and compiler can be merged",
				to_path, from_path, what, x, y);
	if (to->device.cores != from->device.cores)
		return fail_set(
			err,
			"%s and %s differ in 'device: cores' (%ld and %ld); only results of "
			"one device and compiler can be merged",
			to_path, from_path, to->device.cores, from->device.cores);
	merge_name_run(to);
	merge_name_run(from);
	join_device(to, from);
	for (size_t i = 0; i < from->n_runs; i++)
		*record_add_run(to) = from->runs[i];
	for (size_t i = 0; i < from->n_entries; i++)
		*record_add_entry(to) = from->entries[i];
	for (size_t i = 0; i < from->n_ceilings; i++)
		*record_add_ceiling(to) = from->ceilings[i];
	for (size_t i = 0; i < from->protocol.n_failed; i++)
		record_add_failure(to, from->protocol.failed[i].point,
				   from->protocol.failed[i].reason);
	from->n_runs = from->n_entries = 0; /* they are the other's now */
	return 0;
}

/* ---- quern merge ---- */

static const char usage[] =
	"usage: quern merge -o OUT RESULTS...\n"
	"Makes one results file of several of one device: shards, or tunings of different cases.\n"
	"Of two entries for one case that with more samples stays, then the faster one.  The order\n"
	"of the files does not matter, nor how often one is merged.\n"
	"\n"
	"  -o, --output OUT      may be one of RESULTS\n"
	"  -h, --help\n";

static int merge_files(char **paths, size_t n, const char *output, struct gen_error *err)
{
	struct record all, one;
	int status = record_read(&all, paths[0], err);

	if (status < 0)
		return -1;
	for (size_t i = 1; i < n && !status; i++) {
		status = record_read(&one, paths[i], err);
		if (!status) {
			status = merge_add(&all, paths[0], &one, paths[i], err);
			record_free(&one);
		}
	}
	if (!status)
		status = merge_settle(&all, err);
	if (!status)
		status = record_write(&all, output, err);
	if (!status)
		printf("%zu entr%s of %zu run%s %s in %s%s%s\n", all.n_entries,
		       all.n_entries == 1 ? "y" : "ies", all.n_runs ? all.n_runs : 1,
		       all.n_runs ? "s" : "", all.n_entries == 1 ? "is" : "are", output,
		       all.protocol.missing ? "; missing: " : "",
		       all.protocol.missing ? all.protocol.missing : "");
	record_free(&all);
	return status;
}

int merge_main(int argc, char **argv)
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
			options_misuse("merge", "option '%s' needs a value", argv[optind - 1]);
			return 2;
		default: options_misuse("merge", "unknown option '%s'", argv[optind - 1]); return 2;
		}
	}
	if (!output || !*output || optind == argc) {
		options_misuse("merge", "%s",
			       optind == argc ? "name the results files to merge"
					      : "-o must name the file to write");
		return 2;
	}
	if (merge_files(argv + optind, (size_t)(argc - optind), output, &err) == 0)
		return 0;
	fprintf(stderr, "quern: %s\n", err.text);
	return 1;
}
