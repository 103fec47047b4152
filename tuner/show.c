/* show.c: the progress line and the final table. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "process.h"
#include "show.h"

void show_open(struct show *show, FILE *out)
{
	const char *term = getenv("TERM");

	memset(show, 0, sizeof(*show));
	show->out = out;
	show->is_terminal = isatty(fileno(out)) && term && strcmp(term, "dumb") != 0;
}

void show_clear(struct show *show)
{
	if (show->is_dirty)
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
	char line[512];
	int left = show->left_s > 0 ? (int)show->left_s : 0;

	if (!show->is_terminal || now - show->drawn < 0.1)
		return;
	show->drawn = now;
	snprintf(line, sizeof(line), "%zu/%zu %s: %s | %ld tried, %ld invalid | %d:%02d left%s%s",
		 show->cases_done, show->n_cases, show->place, show->what, show->tried,
		 show->invalid, left / 60, left % 60, *show->best ? " | " : "", show->best);
	fprintf(show->out, "\r\033[K%.*s", columns(show) - 1, line);
	fflush(show->out);
	show->is_dirty = 1;
}

void show_say(struct show *show, const char *format, ...)
{
	va_list args;

	show_clear(show);
	va_start(args, format);
	vfprintf(show->out, format, args);
	va_end(args);
	putc('\n', show->out);
	fflush(show->out);
}

static void show_entries(FILE *out, const struct record *record)
{
	fprintf(out, "%-7s %-12s %3s %3s  %-40s %9s %7s %5s %8s %9s\n", "format", "M x K", "N",
		"thr", "kernel", "time us", "GB/s", "roof", "speed-up", "NMSE");
	for (size_t i = 0; i < record->n_entries; i++) {
		const struct record_entry *entry = &record->entries[i];
		char shape[48], roof[16] = "-";

		snprintf(shape, sizeof(shape), "%ldx%ld", entry->m, entry->k);
		if (entry->roof_fraction > 0)
			snprintf(roof, sizeof(roof), "%.0f %%", 100 * entry->roof_fraction);
		fprintf(out, "%-7s %-12s %3ld %3d  %-40s %9.1f %7.1f %5s %7.2fx %9.2e\n",
			entry->format, shape, entry->n, entry->threads, entry->kernel,
			entry->median_us, entry->gbps, roof, entry->speedup, entry->nmse);
	}
}

static void show_ceilings(FILE *out, const struct record *record)
{
	for (size_t i = 0; i < record->n_ceilings; i++) {
		const struct record_ceiling *ceiling = &record->ceilings[i];

		fprintf(out, "roof, %d thread%s: %.1f GB/s read from memory, %.0f int8 GMAC/s\n",
			ceiling->threads, ceiling->threads == 1 ? "" : "s", ceiling->dram_gbps,
			ceiling->int8_gmacs);
	}
}

void show_record(FILE *out, const struct record *record)
{
	size_t n_failed = record->protocol.n_failed;

	show_entries(out, record);
	fputc('\n', out);
	show_ceilings(out, record);
	fprintf(out, "%ld kernels tried, %ld verified, %zu failures; %.0f s\n",
		record->protocol.tried, record->protocol.verified, n_failed,
		record->protocol.seconds);
	for (size_t i = 0; i < n_failed && i < 10; i++)
		fprintf(out, "  %s: %s\n", record->protocol.failed[i].point,
			record->protocol.failed[i].reason);
	if (n_failed > 10)
		fprintf(out, "  ... and %zu more in the results file\n", n_failed - 10);
	fflush(out);
}
