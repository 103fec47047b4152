/* merge.c: joining records and putting them in order. */
#include <getopt.h>

#include "fail.h"
#include "merge.h"
#include "options.h"
#include "record_fields.h"
#include "runs.h"
#include "ship.h"

/* Lists that are empty may be NULL. */
static void sort(void *list, size_t n, size_t size, int (*compare)(const void *, const void *))
{
	if (n > 1)
		qsort(list, n, size, compare);
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
		order = runs_compare_numbers((double)a->n, (double)b->n);
	if (!order)
		order = runs_compare_numbers((double)a->m, (double)b->m);
	if (!order)
		order = runs_compare_numbers((double)a->k, (double)b->k);
	if (!order)
		order = a->threads - b->threads;
	if (!order)
		order = runs_compare_numbers((double)a->core, (double)b->core);
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
		order = runs_compare_numbers((double)y->samples, (double)x->samples);
	if (!order)
		order = runs_compare_numbers(x->median_us, y->median_us);
	if (!order)
		order = runs_compare_numbers(x->estimate.cycles_per_weight,
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
	const struct record_run *run = runs_find(record, entry);

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
		order = runs_compare_numbers((double)x->core, (double)y->core);
	return order ? order : strcmp(x->core_name, y->core_name);
}

/* The larger reading is nearer to what the device can do. */
static void raise(struct record_ceiling *to, const struct record_ceiling *from)
{
	int order = runs_compare_numbers(from->dram_gbps, to->dram_gbps);

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

int merge_settle(struct record *record, struct gen_error *err)
{
	runs_list(record);
	if (settle_entries(record, err) < 0)
		return -1;
	settle_ceilings(record);
	settle_failures(record);
	runs_settle(record);
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
		if (!runs_compare_texts(texts[i].x, texts[i].y))
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
				*text = fail_copy(*other);
			}
		} else if (field->kind == RECORD_LONG) {
			if (*(const long *)y > *(long *)x)
				*(long *)x = *(const long *)y;
		} else if (*(const double *)y > *(double *)x) {
			*(double *)x = *(const double *)y;
		}
	}
	if (from->counters && (!to->counters || strcmp(from->counters, to->counters) < 0)) {
		free(to->counters);
		to->counters = fail_copy(from->counters);
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
	runs_list(to);
	runs_list(from);
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
	"      --decode-share S  weight of cases of one token where a layout serves several, 0 to 1 (0.8)\n"
	"      --objective WHAT  time, energy or edp, their product, where energy is known (time)\n"
	"      --max-kernels N   ship so few kernels, where no case loses more than 2 % by that\n"
	"  -h, --help\n";

static int merge_files(char **paths, size_t n, const char *output, const struct ship_wish *wish,
		       struct gen_error *err)
{
	struct record all, one;
	size_t n_kernels = 0;
	int status = record_read(&all, paths[0], err);

	if (status < 0)
		return -1;
	runs_rename(&all);
	for (size_t i = 1; i < n && !status; i++) {
		status = record_read(&one, paths[i], err);
		if (!status) {
			runs_rename(&one);
			status = merge_add(&all, paths[0], &one, paths[i], err);
			record_free(&one);
		}
	}
	if (!status)
		status = merge_settle(&all, err);
	if (!status) {
		n_kernels = ship_choose(&all, wish);
		status = record_write(&all, output, err);
	}
	if (!status && wish->max_kernels && n_kernels > wish->max_kernels)
		printf("%zu kernels: with fewer a case would lose more than 2 %%\n", n_kernels);
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
		OPTIONS_SHIP,
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *output = NULL;
	struct ship_wish wish = {.decode_share = SHIP_DECODE_SHARE};
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
		case '?':
			options_misuse("merge", "unknown option '%s'", argv[optind - 1]);
			return 2;
		default:
			if (options_ship(&wish, "merge", option, optarg) < 0)
				return 2;
		}
	}
	if (!output || !*output || optind == argc) {
		options_misuse("merge", "%s",
			       optind == argc ? "name the results files to merge"
					      : "-o must name the file to write");
		return 2;
	}
	if (merge_files(argv + optind, (size_t)(argc - optind), output, &wish, &err) == 0)
		return 0;
	fprintf(stderr, "quern: %s\n", err.text);
	return 1;
}
