/* report_text.c: one device after the other, in plain characters. */
#include <math.h>
#include <string.h>

#include "report_text.h"
#include "rivals.h"
#include "ship.h"
#include "show.h"

#define MAX_FAMILIES 8
#define MAX_SHOWN 10 /* failures */

struct page {
	FILE *out;
	int n_columns;
	const struct record *record;
	const struct history *history; /* or NULL */
	/* Widths of columns that are only there where cases differ in that; 0: there is none. */
	int n_core, n_act;
};

/* ---- columns ---- */

/* "w4g32   4096x11008     1   2", and activations and cores where there are several kinds. */
static int print_case(const struct page *page, const struct record_entry *entry)
{
	char shape[48], act[16];

	snprintf(shape, sizeof(shape), "%ldx%ld", entry->m, entry->k);
	rivals_word(entry->key, "act", act, sizeof(act));
	return fprintf(page->out, "%-7s %-11s %4ld %3d%s%-*s%s%-*s", entry->format, shape, entry->n,
		       entry->threads, page->n_act ? "  " : "", page->n_act, page->n_act ? act : "",
		       page->n_core ? "  " : "", page->n_core, entry->core_name);
}

static int print_case_head(const struct page *page)
{
	return fprintf(page->out, "%-7s %-11s %4s %3s%s%-*s%s%-*s", "format", "M x K", "N", "thr",
		       page->n_act ? "  " : "", page->n_act, page->n_act ? "act" : "",
		       page->n_core ? "  " : "", page->n_core, page->n_core ? "core" : "");
}

static void print_bar(FILE *out, double fraction, int width)
{
	const int full = (int)lround(fmin(fraction, 1) * width);

	putc(' ', out);
	for (int i = 0; i < full; i++)
		putc('#', out);
	for (int i = full; i < width; i++)
		putc('.', out);
	if (fraction > 1)
		putc('+', out);
}

/* ---- parts ---- */

static void print_device(const struct page *page, const char *path)
{
	const struct record *record = page->record;
	FILE *out = page->out;

	fprintf(out, "%s: %s", path, record->device.cpu ? record->device.cpu : "a device");
	if (record->device.cores)
		fprintf(out, ", %ld core%s", record->device.cores,
			record->device.cores == 1 ? "" : "s");
	if (record->device.arch)
		fprintf(out, ", %s", record->device.arch);
	fprintf(out, "\n%s%s", record->device.features ? record->device.features : "",
		record->device.features ? "\n" : "");
	if (record->compiler.version)
		fprintf(out, "%s%s%s\n", record->compiler.version,
			record->compiler.clang_version ? "; " : "",
			record->compiler.clang_version ? record->compiler.clang_version : "");
	if (record->estimated.core)
		fprintf(out, "ESTIMATED by llvm-mca %s (model %s%s%s), not measured\n",
			record->estimated.llvm_mca ? record->estimated.llvm_mca : "",
			record->estimated.model ? record->estimated.model : "?",
			record->estimated.note ? ", " : "",
			record->estimated.note ? record->estimated.note : "");
	fprintf(out, "budget %s, %.0f s, %ld kernels tried, %zu failures%s\n",
		record->protocol.budget ? record->protocol.budget : "not told",
		record->protocol.seconds, record->protocol.tried, record->protocol.n_failed,
		record->complete ? "" : "; NOT COMPLETE, the run was stopped");
	show_ceilings(out, record);
	show_quality(out, record);
}

static void print_winners(const struct page *page)
{
	FILE *out = page->out;
	const int with_speedup = page->n_columns >= 100;

	fputs("\nwinners\n", out);
	print_case_head(page);
	fprintf(out, " %9s%s kernel\n", "time us", with_speedup ? "  speed-up" : "");
	for (size_t i = 0; i < page->record->n_entries; i++) {
		const struct record_entry *entry = &page->record->entries[i];

		if (entry->is_default || entry->is_estimated)
			continue;
		print_case(page, entry);
		fprintf(out, " %9.1f", entry->median_us);
		if (with_speedup)
			fprintf(out, " %8.2fx", entry->speedup.ratio);
		fprintf(out, " %s\n", entry->kernel);
		if (ship_finalist(entry))
			fprintf(out, "%*sshipped: %s\n", 8, "", entry->shipped);
	}
}

static const struct record_ceiling *find_ceiling(const struct record *record,
						 const struct record_entry *entry)
{
	for (size_t i = 0; i < record->n_ceilings; i++) {
		if (record->ceilings[i].threads == entry->threads &&
		    !strcmp(record->ceilings[i].core_name, entry->core_name))
			return &record->ceilings[i];
	}
	return NULL;
}

/* The bar is that of the nearer roof. */
static void print_roofs(const struct page *page)
{
	FILE *out = page->out;
	int used;

	fputs("\nagainst the roof (memory, or int8 where that is nearer; the bar's end is the roof)\n",
	      out);
	print_case_head(page);
	fprintf(out, " %7s %7s  %s\n", "GB/s", "GMAC/s", "roof");
	for (size_t i = 0; i < page->record->n_entries; i++) {
		const struct record_entry *entry = &page->record->entries[i];
		const struct record_ceiling *ceiling = find_ceiling(page->record, entry);
		double gmacs, memory, compute;

		if (entry->is_default || entry->is_estimated || !(entry->median_us > 0))
			continue;
		gmacs = 1e-3 * (double)entry->m * (double)entry->k * (double)entry->n /
			entry->median_us;
		memory = entry->roof_fraction;
		if (!(memory > 0) && ceiling && ceiling->dram_gbps > 0)
			memory = entry->gbps / ceiling->dram_gbps;
		compute = ceiling && ceiling->int8_gmacs > 0 ? gmacs / ceiling->int8_gmacs : 0;
		used = print_case(page, entry);
		used += fprintf(out, " %7.1f %7.1f  ", entry->gbps, gmacs);
		if (!(memory > 0 || compute > 0)) {
			fputs("not known\n", out);
			continue;
		}
		used += fprintf(out, "%-6s %4.0f %%", memory >= compute ? "memory" : "int8",
				100 * fmax(memory, compute));
		print_bar(out, fmax(memory, compute), page->n_columns - used - 2);
		putc('\n', out);
	}
}

/* Lines of families, only where there is more than one. */
static void print_families(const struct page *page)
{
	FILE *out = page->out;
	int is_first = 1;

	for (size_t i = 0; i < page->record->n_entries; i++) {
		const struct record_entry *entry = &page->record->entries[i];
		struct rivals_best best[MAX_FAMILIES];
		const size_t n = entry->is_default || entry->is_estimated
					 ? 0
					 : rivals_find(entry, page->history, best, MAX_FAMILIES);

		if (n < 2)
			continue;
		if (is_first) {
			fputs("\nfamilies (time of the best of each over the winner's; * lost before "
			      "the final)\n",
			      out);
			print_case_head(page);
			putc('\n', out);
		}
		is_first = 0;
		print_case(page, entry);
		for (size_t j = 0; j < n; j++)
			fprintf(out, "  %s %.2fx%s", best[j].family, best[j].ratio,
				best[j].is_final ? "" : "*");
		putc('\n', out);
	}
	if (is_first)
		fprintf(out, "\nfamilies: %s\n",
			page->record->estimated.core
				? "not told by estimates"
				: "no case has finalists or, in a journal, losers of another one");
}

/* Shapes of a format have the same estimate: one line for all. */
static void print_estimates(const struct page *page)
{
	const struct record_entry *before = NULL;
	double most = 0;

	for (size_t i = 0; i < page->record->n_entries; i++)
		most = fmax(most, page->record->entries[i].estimate.cycles_per_weight);
	for (size_t i = 0; i < page->record->n_entries; i++) {
		const struct record_entry *entry = &page->record->entries[i];
		int used;

		if (!entry->is_estimated ||
		    (before && entry->n == before->n && !strcmp(entry->format, before->format) &&
		     !strcmp(entry->kernel, before->kernel)))
			continue;
		if (!before)
			fprintf(page->out,
				"\nestimates (cycles a weight and token, data in the first-level "
				"cache)\n%-8s %4s %8s  %-48s\n",
				"format", "N", "cycles", "kernel");
		before = entry;
		used = fprintf(page->out, "%-8s %4ld %8.4f  %-41s", entry->format, entry->n,
			       entry->estimate.cycles_per_weight, entry->kernel);
		if (used < page->n_columns - 8)
			print_bar(page->out, entry->estimate.cycles_per_weight / most,
				  page->n_columns - used - 2);
		putc('\n', page->out);
	}
}

static void print_failures(const struct page *page)
{
	const size_t n = page->record->protocol.n_failed;

	if (n)
		fputs("\nfailures\n", page->out);
	for (size_t i = 0; i < n && i < MAX_SHOWN; i++)
		fprintf(page->out, "%s: %s\n", page->record->protocol.failed[i].point,
			page->record->protocol.failed[i].reason);
	if (n > MAX_SHOWN)
		fprintf(page->out, "... and %zu more in the results file\n", n - MAX_SHOWN);
}

/* Is there an entry that was measured?  Finds out about columns on the way. */
static int look(struct page *page)
{
	char act[16], first[16] = "";
	int is_measured = 0, n_act = 0;

	for (size_t i = 0; i < page->record->n_entries; i++) {
		const struct record_entry *entry = &page->record->entries[i];
		const int n_core = (int)strlen(entry->core_name);

		if (entry->is_default || entry->is_estimated)
			continue;
		is_measured = 1;
		page->n_core = n_core > page->n_core ? n_core : page->n_core;
		rivals_word(entry->key, "act", act, sizeof(act));
		n_act = (int)strlen(act) > n_act ? (int)strlen(act) : n_act;
		if (!*first)
			strcpy(first, act);
		page->n_act |= strcmp(first, act) != 0;
	}
	if (page->n_act)
		page->n_act = n_act > 3 ? n_act : 3;
	return is_measured;
}

void report_text_print(FILE *out, const struct report_source *sources, size_t n, int n_columns)
{
	for (size_t i = 0; i < n; i++) {
		struct page page = {
			.out = out,
			.n_columns = n_columns,
			.record = &sources[i].record,
			.history = sources[i].has_history ? &sources[i].history : NULL,
		};
		const int is_measured = look(&page);

		if (i)
			fputs("\n\n", out);
		print_device(&page, sources[i].path);
		if (is_measured) {
			print_winners(&page);
			print_roofs(&page);
			print_families(&page);
		}
		print_estimates(&page);
		print_failures(&page);
	}
}
