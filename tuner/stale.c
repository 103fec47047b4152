/* stale.c: entries against what the generator makes of them now. */
#include <getopt.h>

#include "compile.h"
#include "fail.h"
#include "options.h"
#include "record.h"
#include "stale.h"

static const char usage[] =
	"usage: quern check RESULTS...\n"
	"Reads results files strictly and names the entries whose kernels templates no longer make\n"
	"or now make otherwise.  quern tune measures such entries anew.\n"
	"\n"
	"  -h, --help\n"
	"\n"
	"Exit status: 0 all is right, 1 something is stale or wrong.\n";

/* NULL, or what is the matter with an entry; the caller frees it. */
static char *explain(struct gen *gen, const struct record_entry *entry)
{
	struct gen_error err;
	struct gen_point point;
	char *text, code[32];

	if (gen_complete(gen, entry->key, &point, &err) < 0)
		return fail_text("its kernel is no longer legal: %s", err.text);
	if (*entry->kernel && strcmp(entry->kernel, point.name))
		return fail_text("its point now makes %s", point.name);
	if (!*entry->code)
		return NULL;
	text = gen_emit(gen, point.key, &err);
	if (!text)
		return fail_text("its kernel cannot be generated: %s", err.text);
	snprintf(code, sizeof(code), "%016llx",
		 (unsigned long long)compile_fingerprint(text, point.name, point.key));
	free(text);
	return strcmp(entry->code, code) ? fail_text("%s", "its C has changed") : NULL;
}

static int check_entry(struct gen *gen, const char *path, const struct record_entry *entry)
{
	char *why = explain(gen, entry);

	if (!why)
		return 0;
	printf("%s:%d: stale: %s", path, entry->line, entry->format);
	if (entry->is_default)
		printf(" default");
	else
		printf(" %ldx%ld n%ld t%d%s%s", entry->m, entry->k, entry->n, entry->threads,
		       *entry->core_name ? "@" : "", entry->core_name);
	printf("%s%s: %s\n", *entry->kernel ? " " : "", entry->kernel, why);
	free(why);
	return 1;
}

/* 1: all is right. */
static int check_file(struct gen *gen, const char *path)
{
	struct record record;
	struct gen_error err;
	size_t n_stale = 0;

	if (record_read(&record, path, &err) < 0) {
		printf("%s\n", err.text);
		return 0;
	}
	for (size_t i = 0; i < record.n_entries; i++)
		n_stale += (size_t)check_entry(gen, path, &record.entries[i]);
	printf("%s: valid, %zu entr%s%s", path, record.n_entries,
	       record.n_entries == 1 ? "y" : "ies",
	       record.complete || !record.device.cpu ? "" : ", not complete");
	if (record.protocol.missing)
		printf(" (missing: %s)", record.protocol.missing);
	if (n_stale)
		printf(", %zu stale", n_stale);
	putchar('\n');
	record_free(&record);
	return !n_stale;
}

int stale_main(int argc, char **argv, const char *home)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct gen_error err;
	struct gen *gen;
	int option, right = 1;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return 0;
		}
		options_misuse("check", "unknown option '%s'", argv[optind - 1]);
		return 2;
	}
	if (optind == argc) {
		options_misuse("check", "%s", "name the results files to check");
		return 2;
	}
	gen = gen_open(home, &err);
	if (!gen) {
		fprintf(stderr, "quern: %s\n", err.text);
		return 1;
	}
	for (int i = optind; i < argc; i++)
		right &= check_file(gen, argv[i]);
	gen_close(gen);
	return !right;
}
