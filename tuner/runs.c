/* runs.c: naming, counting and summing up. */
#include "fail.h"
#include "hash.h"
#include "options.h"
#include "record_fields.h"
#include "runs.h"

int runs_compare_texts(const char *a, const char *b)
{
	return !a || !b ? (a != NULL) - (b != NULL) : strcmp(a, b);
}

int runs_compare_numbers(double a, double b)
{
	return (a > b) - (a < b);
}

/* ---- names ---- */

void runs_identify(struct record_run *run)
{
	char *text = record_run_text(run);

	snprintf(run->id, sizeof(run->id), "r%016llx",
		 (unsigned long long)hash_text(HASH_START, text));
	free(text);
}

void runs_copy(struct record_run *to, const struct record_run *from)
{
	*to = *from;
	*to->id = 0;
	to->generator.version = fail_copy(from->generator.version);
	to->generator.templates = fail_copy(from->generator.templates);
	to->generator.families = fail_copy(from->generator.families);
	to->protocol.missing = NULL;
	to->protocol.failed = NULL;
	to->protocol.n_failed = 0;
	for (const struct record_field *field = record_run_fields; field->name; field++) {
		char **text = (char **)((char *)to + field->offset);

		if (field->kind == RECORD_TEXT)
			*text = fail_copy(*text);
	}
}

void runs_list(struct record *record)
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
	runs_copy(run, &own);
	runs_identify(run);
	for (size_t i = 0; i < record->n_entries; i++) {
		if (!record->entries[i].is_default)
			strcpy(record->entries[i].run, run->id);
	}
}

const struct record_run *runs_find(const struct record *record, const struct record_entry *entry)
{
	for (size_t i = 0; i < record->n_runs; i++) {
		if (!strcmp(record->runs[i].id, entry->run))
			return &record->runs[i];
	}
	return NULL;
}

static int by_id(const void *a, const void *b)
{
	const struct record_run *x = a, *y = b;

	return strcmp(x->id, y->id);
}

static void sort_runs(struct record *record)
{
	size_t n = 0;

	qsort(record->runs, record->n_runs, sizeof(*record->runs), by_id);
	for (size_t i = 0; i < record->n_runs; i++) {
		if (n && !strcmp(record->runs[n - 1].id, record->runs[i].id))
			record_clear_run(&record->runs[i]);
		else
			record->runs[n++] = record->runs[i];
	}
	record->n_runs = n;
}

void runs_rename(struct record *record)
{
	char(*old)[sizeof(record->runs->id)] = fail_alloc(record->n_runs, sizeof(*old));

	for (size_t i = 0; i < record->n_runs; i++) {
		strcpy(old[i], record->runs[i].id);
		runs_identify(&record->runs[i]);
	}
	for (size_t i = 0; i < record->n_entries; i++) {
		size_t j = 0;

		while (j < record->n_runs && strcmp(old[j], record->entries[i].run))
			j++;
		if (j < record->n_runs)
			strcpy(record->entries[i].run, record->runs[j].id);
	}
	free(old);
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
		order = runs_compare_numbers((double)x->n, (double)y->n);
	if (!order)
		order = runs_compare_numbers((double)x->i, (double)y->i);
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
	qsort(parts, record->n_runs, sizeof(*parts), by_part);
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

/* A text that all runs have, at this offset of each, becomes the record's; else it has none. */
static void agree_text(struct record *record, char **to, size_t offset)
{
	const char *first = *(char **)((char *)&record->runs[0] + offset);
	size_t i = 1;

	while (i < record->n_runs &&
	       !runs_compare_texts(first, *(char **)((char *)&record->runs[i] + offset)))
		i++;
	free(*to);
	*to = i < record->n_runs ? NULL : fail_copy(first);
}

/* Every text of the protocol that runs have too, and those of the generator. */
static void agree(struct record *record)
{
	for (const struct record_field *field = record_protocol_fields; field->name; field++) {
		const struct record_field *of_run = record_run_fields;

		while (of_run->name && strcmp(of_run->name, field->name))
			of_run++;
		if (field->kind == RECORD_TEXT && of_run->name)
			agree_text(record, (char **)((char *)record + field->offset),
				   of_run->offset);
	}
	for (const struct record_field *field = record_generator_fields; field->name; field++)
		agree_text(record, (char **)((char *)&record->generator + field->offset),
			   offsetof(struct record_run, generator) + field->offset);
	agree_text(record, &record->generator.families,
		   offsetof(struct record_run, generator.families));
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
	agree(record);
}

void runs_settle(struct record *record)
{
	runs_list(record);
	sort_runs(record);
	sum_runs(record);
	free(record->protocol.missing);
	record->protocol.missing = record->n_runs > 1 ? find_missing(record) : NULL;
	if (record->n_runs > 1) {
		record->complete = !record->protocol.missing;
		return;
	}
	record->complete = record->runs[0].complete;
	record_clear_run(&record->runs[0]);
	free(record->runs);
	record->runs = NULL;
	record->n_runs = 0;
	for (size_t i = 0; i < record->n_entries; i++)
		*record->entries[i].run = 0;
}
