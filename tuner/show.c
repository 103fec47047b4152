/* show.c: the progress line and the final table. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fail.h"
#include "process.h"
#include "reason.h"
#include "ship.h"
#include "show.h"

void show_open(struct show *show, FILE *out, int events)
{
	const char *term = getenv("TERM");

	memset(show, 0, sizeof(*show));
	show->out = out;
	show->events = events;
	show->is_terminal = isatty(fileno(out)) && term && strcmp(term, "dumb") != 0;
}

void show_forget_best(struct show *show)
{
	*show->best = *show->figure = 0;
	show->best_us = 0;
}

void show_clear(struct show *show)
{
	/* Ctrl-C leaves "^C" on the screen. */
	if (show->is_dirty || (show->is_terminal && process_stopping()))
		fputs("\r\033[K", show->out);
	show->is_dirty = 0;
}

static int columns(const struct show *show)
{
	struct winsize size;

	return ioctl(fileno(show->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col
										    : 80;
}

void show_progress(struct show *show)
{
	double now = process_now();
	char line[512], time[32] = "", pruned[32] = "";
	int left = show->left_s > 0 ? (int)show->left_s : 0;

	if (now - show->told >= 1) {
		show->told = now;
		show_event_progress(show);
	}
	if (!show->is_terminal || now - show->drawn < 0.1)
		return;
	show->drawn = now;
	if (show->left_s >= 0)
		snprintf(time, sizeof(time), " | %d:%02d left", left / 60, left % 60);
	if (show->pruned)
		snprintf(pruned, sizeof(pruned), "%ld pruned, ", show->pruned);
	/* What a narrow terminal cuts off stands last. */
	snprintf(line, sizeof(line), "%zu/%zu%s | %ld tried, %s%ld invalid%s%s | %s: %s%s%s",
		 show->cases_done, show->n_cases, time, show->tried, pruned, show->invalid,
		 *show->best ? " | best " : "", show->figure, show->place, show->what,
		 *show->best ? " | " : "", show->best);
	fprintf(show->out, "\r\033[K%.*s", columns(show) - 1, line);
	fflush(show->out);
	show->is_dirty = 1;
}

void show_line(struct show *show, const char *format, ...)
{
	va_list args;

	show_clear(show);
	va_start(args, format);
	vfprintf(show->out, format, args);
	va_end(args);
	putc('\n', show->out);
	fflush(show->out);
}

void show_say(struct show *show, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = fail_vtext(format, args);
	va_end(args);
	show_line(show, "%s", text);
	show_event_note(show, text);
	free(text);
}

static void show_shipped(FILE *out, const struct record_entry *entry)
{
	const struct record_finalist *one = ship_finalist(entry);

	if (one && entry->energy_uj > 0 && one->energy_uj > 0)
		fprintf(out, "        shipped: %s, %.3fx the time, %.3fx the energy\n", one->kernel,
			one->ratio, one->energy_uj / entry->energy_uj);
	else if (one)
		fprintf(out, "        shipped: %s, %.3fx the time, packed as %s\n", one->kernel,
			one->ratio, *one->layout ? one->layout : "not told");
}

static void show_entries(FILE *out, const struct record *record)
{
	int has_cores = 0, is_sustained = 0;

	for (size_t i = 0; i < record->n_entries; i++) {
		int n = (int)strlen(record->entries[i].core_name);

		has_cores = n > has_cores ? n : has_cores;
		is_sustained |= record->entries[i].sustained_us > 0;
	}
	fprintf(out, "%-7s %-12s %3s %3s%*s  %-40s %9s%s %7s %5s %8s %9s\n", "format", "M x K", "N",
		"thr", has_cores ? -has_cores - 2 : 0, has_cores ? "  cores" : "", "kernel",
		"time us", is_sustained ? "  at load" : "", "GB/s", "roof", "speed-up", "NMSE");
	for (size_t i = 0; i < record->n_entries; i++) {
		const struct record_entry *entry = &record->entries[i];
		char shape[48], roof[16] = "-", load[32] = "", core[80] = "";

		if (is_sustained)
			snprintf(load, sizeof(load),
				 entry->sustained_us > 0 ? " %8.1f" : "        -",
				 entry->sustained_us);
		if (has_cores)
			snprintf(core, sizeof(core), "  %-*s", has_cores, entry->core_name);
		snprintf(shape, sizeof(shape), "%ldx%ld", entry->m, entry->k);
		if (entry->roof_fraction > 0)
			snprintf(roof, sizeof(roof), "%.0f %%", 100 * entry->roof_fraction);
		fprintf(out, "%-7s %-12s %3ld %3d%s  %-40s %9.1f%s %7.1f %5s %7.2fx %9.2e\n",
			entry->format, shape, entry->n, entry->threads, core, entry->kernel,
			entry->median_us, load, entry->gbps, roof, entry->speedup.ratio,
			entry->nmse);
		if (*entry->why.reason && !(entry->roof_fraction >= REASON_AT_ROOF))
			fprintf(out, "        %s%s\n", entry->why.reason,
				strcmp(entry->why.tier, "static") ? "" : " (static)");
		show_shipped(out, entry);
	}
}

void show_quality(FILE *out, const struct record *record)
{
	size_t n_controls = 0, n_off = 0;
	struct record_flags by = {0};
	long n_samples = 0, n_flagged = 0;

	for (size_t i = 0; i < record->n_entries; i++) {
		const struct record_entry *entry = &record->entries[i];

		n_samples += entry->samples;
		n_flagged += entry->flagged;
		by.switched += entry->flags.switched;
		by.migrated += entry->flags.migrated;
		by.faulted += entry->flags.faulted;
		by.stolen += entry->flags.stolen;
		by.hot += entry->flags.hot;
		n_controls += entry->control.ratio > 0;
		n_off += entry->control.ratio > 0 &&
			 (entry->control.low > 1 || entry->control.high < 1);
	}
	if (n_controls)
		fprintf(out,
			"control: the default differs from itself in %zu of %zu final%s (95 %%: 1 of 20 "
			"is chance)\n",
			n_off, n_controls, n_controls == 1 ? "" : "s");
	if (n_flagged)
		fprintf(out,
			"disturbed: %ld of %ld samples of winners (switched %ld, moved %ld, page faults "
			"%ld, stolen %ld, hot %ld)\n",
			n_flagged, n_samples, by.switched, by.migrated, by.faulted, by.stolen,
			by.hot);
}

static void show_duelist(FILE *out, const char *kernel, const struct record_ratio *speedup,
			 const struct record_finalist *one)
{
	fprintf(out, "  %-48s %.3fx the default's speed (%.3f to %.3f)", kernel, speedup->ratio,
		speedup->low, speedup->high);
	if (one)
		fprintf(out, ", %.3fx the best's time (%.3f to %.3f)", one->ratio, one->ratio_low,
			one->ratio_high);
	fputc('\n', out);
}

void show_duels(FILE *out, const struct record *record)
{
	size_t n = 0, n_slower = 0, n_behind = 0;

	for (size_t i = 0; i < record->n_entries; i++) {
		const struct record_entry *entry = &record->entries[i];

		fprintf(out, "%s %ldx%ld n%ld t%d%s%s\n", entry->format, entry->m, entry->k,
			entry->n, entry->threads, *entry->core_name ? "@" : "", entry->core_name);
		show_duelist(out, entry->kernel, &entry->speedup, NULL);
		for (size_t j = 0; j < entry->n_finalists; j++) {
			const struct record_finalist *one = &entry->finalists[j];

			show_duelist(out, one->kernel, &one->speedup, one);
			n_slower += one->speedup.high < 1;
			n_behind += one->ratio_low > 1 + SHOW_EQUAL;
		}
		n += 1 + entry->n_finalists;
	}
	fprintf(out,
		"duels of %zu: %zu slower than the default, %zu more than %g %% behind the best\n",
		n, n_slower, n_behind, 100 * SHOW_EQUAL);
}

void show_ceilings(FILE *out, const struct record *record)
{
	for (size_t i = 0; i < record->n_ceilings; i++) {
		const struct record_ceiling *ceiling = &record->ceilings[i];

		fprintf(out,
			"roof, %d thread%s%s%s: %.1f GB/s read from memory, %.0f int8 GMAC/s\n",
			ceiling->threads, ceiling->threads == 1 ? "" : "s",
			*ceiling->core_name ? " on " : "", ceiling->core_name, ceiling->dram_gbps,
			ceiling->int8_gmacs);
	}
}

/* Shapes of a format have the same estimate: one line for all. */
static void show_estimates(FILE *out, const struct record *record)
{
	fprintf(out, "%-7s %5s  %-46s %8s %8s %8s %7s  %s\n", "format", "N", "kernel", "cycles/w",
		"default", "instr/w", "vec/w", "bottleneck");
	for (size_t i = 0; i < record->n_entries; i++) {
		const struct record_entry *entry = &record->entries[i], *before = entry - 1;
		const struct record_estimate *estimate = &entry->estimate;
		char base[16] = "-";

		if (i && entry->n == before->n && !strcmp(entry->format, before->format) &&
		    !strcmp(entry->kernel, before->kernel))
			continue;
		if (estimate->default_cycles_per_weight > 0)
			snprintf(base, sizeof(base), "%.4f", estimate->default_cycles_per_weight);
		fprintf(out, "%-7s %5ld  %-46s %8.4f %8s %8.4f %7.4f  %s\n", entry->format,
			entry->n, entry->kernel, estimate->cycles_per_weight, base,
			estimate->instructions_per_weight, estimate->vector_per_weight,
			estimate->bottleneck);
	}
}

void show_record(FILE *out, const struct record *record)
{
	size_t n_failed = record->protocol.n_failed;

	if (record->estimated.core) {
		show_estimates(out, record);
		fprintf(out,
			"\nestimated for %s by llvm-mca %s (model %s%s%s), not measured; %ld "
			"kernels tried, %zu failures; %.0f s\n",
			record->estimated.core, record->estimated.llvm_mca, record->estimated.model,
			record->estimated.note ? ", " : "",
			record->estimated.note ? record->estimated.note : "",
			record->protocol.tried, n_failed, record->protocol.seconds);
	} else {
		show_entries(out, record);
		fputc('\n', out);
		show_ceilings(out, record);
		show_quality(out, record);
		fprintf(out, "%ld kernels tried, %ld verified, %zu failures; %.0f s\n",
			record->protocol.tried, record->protocol.verified, n_failed,
			record->protocol.seconds);
		if (record->protocol.thermal.cool_downs)
			fprintf(out,
				"the device was hot: %ld cool-downs, %.0f s, %ld new baselines\n",
				record->protocol.thermal.cool_downs,
				record->protocol.thermal.seconds,
				record->protocol.thermal.baselines);
	}
	for (size_t i = 0; i < n_failed && i < 10; i++)
		fprintf(out, "  %s: %s\n", record->protocol.failed[i].point,
			record->protocol.failed[i].reason);
	if (n_failed > 10)
		fprintf(out, "  ... and %zu more in the results file\n", n_failed - 10);
	fflush(out);
}
