/* record.c: lists of a record, and writing. */
#include <errno.h>
#include <math.h>
#include <unistd.h>

#include "fail.h"
#include "record_fields.h"
#include "gen/folder.h"
#include "gen/yaml.h"

/* ---- lists ---- */

struct record_entry *record_add_entry(struct record *record)
{
	struct record_entry *entry;

	record->entries = fail_grow(record->entries, record->n_entries, sizeof(*entry));
	entry = &record->entries[record->n_entries++];
	memset(entry, 0, sizeof(*entry));
	return entry;
}

struct record_run *record_add_run(struct record *record)
{
	record->runs = fail_grow(record->runs, record->n_runs, sizeof(*record->runs));
	memset(&record->runs[record->n_runs], 0, sizeof(*record->runs));
	return &record->runs[record->n_runs++];
}

void record_add_failure(struct record *record, const char *point, const char *reason)
{
	struct record_failure **failed = &record->protocol.failed;
	size_t *n = &record->protocol.n_failed;

	*failed = fail_grow(*failed, *n, sizeof(**failed));
	(*failed)[(*n)++] =
		(struct record_failure){fail_text("%s", point), fail_text("%s", reason)};
}

void record_add_equivalent(struct record_entry *entry, const char *name)
{
	entry->equivalent = fail_grow(entry->equivalent, entry->n_equivalent, sizeof(char *));
	entry->equivalent[entry->n_equivalent++] = fail_text("%s", name);
}

struct record_finalist *record_add_finalist(struct record_entry *entry)
{
	entry->finalists =
		fail_grow(entry->finalists, entry->n_finalists, sizeof(*entry->finalists));
	memset(&entry->finalists[entry->n_finalists], 0, sizeof(*entry->finalists));
	return &entry->finalists[entry->n_finalists++];
}

void record_add_counter(struct record_entry *entry, const char *name, double value)
{
	entry->counters = fail_grow(entry->counters, entry->n_counters, sizeof(*entry->counters));
	entry->counters[entry->n_counters++] = (struct record_value){fail_text("%s", name), value};
}

struct record_ceiling *record_add_ceiling(struct record *record)
{
	record->ceilings =
		fail_grow(record->ceilings, record->n_ceilings, sizeof(*record->ceilings));
	memset(&record->ceilings[record->n_ceilings], 0, sizeof(*record->ceilings));
	return &record->ceilings[record->n_ceilings++];
}

static void free_texts(const struct record_field *fields, void *base)
{
	for (; fields->name; fields++) {
		if (fields->kind == RECORD_TEXT)
			free(*(char **)((char *)base + fields->offset));
	}
}

void record_clear_entry(struct record_entry *entry)
{
	for (size_t j = 0; j < entry->n_equivalent; j++)
		free(entry->equivalent[j]);
	free(entry->equivalent);
	free(entry->finalists);
	for (size_t j = 0; j < entry->n_counters; j++)
		free(entry->counters[j].name);
	free(entry->counters);
	memset(entry, 0, sizeof(*entry));
}

void record_clear_run(struct record_run *run)
{
	free_texts(record_run_fields, run);
	free_texts(record_generator_fields, &run->generator);
	free(run->generator.families);
	memset(run, 0, sizeof(*run));
}

void record_free(struct record *record)
{
	free_texts(record_device_fields, record);
	free_texts(record_compiler_fields, record);
	free_texts(record_generator_fields, &record->generator);
	free_texts(record_protocol_fields, record);
	free_texts(record_estimated_fields, record);
	free(record->generator.families);
	free(record->counters);
	for (size_t i = 0; i < record->protocol.n_failed; i++) {
		free(record->protocol.failed[i].point);
		free(record->protocol.failed[i].reason);
	}
	free(record->protocol.failed);
	for (size_t i = 0; i < record->n_entries; i++)
		record_clear_entry(&record->entries[i]);
	free(record->entries);
	for (size_t i = 0; i < record->n_runs; i++)
		record_clear_run(&record->runs[i]);
	free(record->runs);
	free(record->ceilings);
	memset(record, 0, sizeof(*record));
}

/* ---- writing ---- */

static int is_zero(const struct record_field *field, const void *from)
{
	switch (field->kind) {
	case RECORD_DOUBLE: return *(const double *)from == 0;
	case RECORD_WIDE: return *(const long long *)from == 0;
	case RECORD_INT:
	case RECORD_BOOL: return *(const int *)from == 0;
	default: return *(const long *)from == 0;
	}
}

/* A text that nobody gave, or a number that nobody knows. */
static int is_absent(const struct record_field *field, const void *from)
{
	switch (field->kind) {
	case RECORD_TEXT: return !*(char *const *)from;
	case RECORD_KNOWN: return isnan(*(const double *)from);
	case RECORD_NAME:
	case RECORD_FORMAT:
	case RECORD_WORDS:
	case RECORD_TIER:
	case RECORD_REASON: return !*(const char *)from;
	default: return field->is_optional && is_zero(field, from);
	}
}

static void write_fields(struct yaml_out *out, const struct record_field *fields, const void *base,
			 int needs)
{
	for (; fields->name; fields++) {
		const void *from = (const char *)base + fields->offset;

		if (fields->needs > needs || is_absent(fields, from))
			continue;
		yaml_out_text(out, fields->name);
		switch (fields->kind) {
		case RECORD_TEXT: yaml_out_text(out, *(char *const *)from); break;
		case RECORD_NAME:
		case RECORD_WORDS:
		case RECORD_TIER:
		case RECORD_REASON:
		case RECORD_FORMAT: yaml_out_text(out, from); break;
		case RECORD_CORE: yaml_out_format(out, "0x%lx", *(const long *)from); break;
		case RECORD_LONG: yaml_out_format(out, "%ld", *(const long *)from); break;
		case RECORD_WIDE: yaml_out_format(out, "%lld", *(const long long *)from); break;
		case RECORD_INT: yaml_out_format(out, "%d", *(const int *)from); break;
		case RECORD_KNOWN:
		case RECORD_DOUBLE: yaml_out_format(out, "%.6g", *(const double *)from); break;
		case RECORD_BOOL:
			yaml_out_format(out, "%s", *(const int *)from ? "true" : "false");
			break;
		}
	}
}

static void write_section(struct yaml_out *out, const char *name, const struct record_field *fields,
			  const struct record *record)
{
	yaml_out_text(out, name);
	yaml_out_map(out, 0);
	write_fields(out, fields, record, 0);
	yaml_out_end_map(out);
}

/* base: what the fields are of, a record or a run. */
static void write_generator(struct yaml_out *out, const struct record_generator *generator)
{
	const char *families = generator->families;

	yaml_out_text(out, "generator");
	yaml_out_map(out, 0);
	write_fields(out, record_generator_fields, generator, 0);
	if (families) {
		yaml_out_text(out, "families");
		yaml_out_map(out, 1);
		while (*families) {
			char name[64], hash[64];
			int n = 0;

			if (sscanf(families, " %63[^= ]=%63[^ ]%n", name, hash, &n) != 2)
				break;
			yaml_out_text(out, name);
			yaml_out_text(out, hash);
			families += n;
		}
		yaml_out_end_map(out);
	}
	yaml_out_end_map(out);
}

static void write_map(struct yaml_out *out, const char *name, const struct record_field *fields,
		      const void *base)
{
	yaml_out_text(out, name);
	yaml_out_map(out, 1);
	write_fields(out, fields, base, 0);
	yaml_out_end_map(out);
}

static void write_thermal(struct yaml_out *out, const struct record_protocol *protocol)
{
	if (protocol->thermal.is_gated)
		write_map(out, "thermal", record_thermal_fields, protocol);
}

static void write_run(struct yaml_out *out, const struct record_run *run)
{
	yaml_out_map(out, 0);
	write_fields(out, record_run_fields, run, 0);
	write_thermal(out, &run->protocol);
	write_generator(out, &run->generator);
	yaml_out_end_map(out);
}

static void write_protocol(struct yaml_out *out, const struct record *record)
{
	yaml_out_text(out, "protocol");
	yaml_out_map(out, 0);
	write_fields(out, record_protocol_fields, record, 0);
	write_thermal(out, &record->protocol);
	if (record->n_runs) {
		yaml_out_text(out, "runs");
		yaml_out_list(out, 0);
		for (size_t i = 0; i < record->n_runs; i++)
			write_run(out, &record->runs[i]);
		yaml_out_end_list(out);
	}
	yaml_out_text(out, "failed");
	yaml_out_list(out, record->protocol.n_failed == 0);
	for (size_t i = 0; i < record->protocol.n_failed; i++) {
		yaml_out_map(out, 0);
		yaml_out_text(out, "point");
		yaml_out_text(out, record->protocol.failed[i].point);
		yaml_out_text(out, "reason");
		yaml_out_text(out, record->protocol.failed[i].reason);
		yaml_out_end_map(out);
	}
	yaml_out_end_list(out);
	yaml_out_end_map(out);
}

/* "family=dot KU=1" -> {family: dot, KU: 1} */
static void write_point(struct yaml_out *out, const char *key)
{
	yaml_out_text(out, "point");
	yaml_out_map(out, 1);
	while (*key) {
		char name[128], value[128];
		int n = 0;

		if (sscanf(key, " %127[^= ]=%127[^ ]%n", name, value, &n) != 2)
			break;
		yaml_out_text(out, name);
		if (value[strspn(value, "0123456789")])
			yaml_out_text(out, value);
		else
			yaml_out_format(out, "%s", value);
		key += n;
	}
	yaml_out_end_map(out);
}

static void write_numbers(struct yaml_out *out, const struct record_why *why)
{
	if (!why->has_numbers)
		return;
	write_map(out, "per_weight", record_number_fields, &why->numbers);
}

static void write_entry(struct yaml_out *out, const struct record_entry *entry)
{
	yaml_out_map(out, 0);
	if (entry->is_default) {
		yaml_out_text(out, "default");
		yaml_out_format(out, "true");
	} else {
		yaml_out_text(out, "op");
		yaml_out_text(out, entry->n == 1 ? "gemv" : "gemm");
	}
	write_fields(out, record_entry_fields, entry,
		     entry->is_default     ? RECORD_ANY
		     : entry->is_estimated ? RECORD_SHAPE
					   : RECORD_MEASURED);
	if (entry->is_estimated) {
		write_map(out, "estimated", record_estimate_fields, &entry->estimate);
	}
	if (memcmp(&entry->flags, &(struct record_flags){0}, sizeof(entry->flags)))
		write_map(out, "flags", record_flag_fields, entry);
	if (entry->control.ratio > 0)
		write_map(out, "control", record_control_fields, entry);
	if (!entry->is_default)
		write_numbers(out, &entry->why);
	write_point(out, entry->key);
	if (!entry->is_default) {
		yaml_out_text(out, "equivalent");
		yaml_out_list(out, 1);
		for (size_t i = 0; i < entry->n_equivalent; i++)
			yaml_out_text(out, entry->equivalent[i]);
		yaml_out_end_list(out);
	}
	if (entry->n_finalists) {
		yaml_out_text(out, "finalists");
		yaml_out_list(out, 0);
		for (size_t i = 0; i < entry->n_finalists; i++) {
			yaml_out_map(out, 1);
			write_fields(out, record_finalist_fields, &entry->finalists[i], 0);
			write_numbers(out, &entry->finalists[i].why);
			write_point(out, entry->finalists[i].key);
			yaml_out_end_map(out);
		}
		yaml_out_end_list(out);
	}
	if (entry->n_counters) {
		yaml_out_text(out, "counters");
		yaml_out_map(out, 1);
		for (size_t i = 0; i < entry->n_counters; i++) {
			yaml_out_text(out, entry->counters[i].name);
			yaml_out_format(out, "%.6g", entry->counters[i].value);
		}
		yaml_out_end_map(out);
	}
	yaml_out_end_map(out);
}

static int write_all(const struct record *record, FILE *file)
{
	struct yaml_out *out;

	fputs("# Written by quern tune; data only.\n", file);
	out = yaml_out_open(file);
	yaml_out_map(out, 0);
	yaml_out_text(out, "quern");
	yaml_out_text(out, "results");
	yaml_out_text(out, "schema");
	yaml_out_format(out, "1");
	write_fields(out, record_top_fields, record, 0);
	if (record->estimated.core)
		write_section(out, "estimated", record_estimated_fields, record);
	write_section(out, "device", record_device_fields, record);
	write_section(out, "compiler", record_compiler_fields, record);
	write_generator(out, &record->generator);
	write_protocol(out, record);
	yaml_out_text(out, "ceilings");
	yaml_out_list(out, record->n_ceilings == 0);
	for (size_t i = 0; i < record->n_ceilings; i++) {
		yaml_out_map(out, 1);
		write_fields(out, record_ceiling_fields, &record->ceilings[i], 0);
		yaml_out_end_map(out);
	}
	yaml_out_end_list(out);
	yaml_out_text(out, "entries");
	yaml_out_list(out, record->n_entries == 0);
	for (size_t i = 0; i < record->n_entries; i++)
		write_entry(out, &record->entries[i]);
	yaml_out_end_list(out);
	yaml_out_end_map(out);
	return yaml_out_close(out);
}

/* One of the two as a document of its own. */
static char *write_text(const struct record_entry *entry, const struct record_run *run)
{
	char *text;
	size_t n_bytes;
	FILE *file = fail_check(open_memstream(&text, &n_bytes));
	struct yaml_out *out = yaml_out_open(file);

	if (entry)
		write_entry(out, entry);
	else
		write_run(out, run);
	if (yaml_out_close(out) < 0 || fclose(file))
		fail_check(NULL);
	return text;
}

char *record_entry_text(const struct record_entry *entry)
{
	return write_text(entry, NULL);
}

char *record_run_text(const struct record_run *run)
{
	struct record_run nameless = *run;

	*nameless.id = 0;
	return write_text(NULL, &nameless);
}

const char *record_entry_act(const struct record_entry *entry, char act[16])
{
	const char *at = strstr(entry->key, " act=");

	if (!at || sscanf(at + 5, "%15[^ ]", act) != 1)
		*act = 0;
	return act;
}

int record_write(const struct record *record, const char *path, struct gen_error *err)
{
	char *temporary = fail_text("%s.tmp", path);
	FILE *file;
	int status;

	if (folder_make_above(path, err) < 0) {
		free(temporary);
		return -1;
	}
	file = fopen(temporary, "w");
	status = file ? write_all(record, file) : -1;
	if (file) {
		if (fflush(file) || fsync(fileno(file)))
			status = -1;
		if (fclose(file))
			status = -1;
	}
	if (!status && rename(temporary, path) < 0)
		status = -1;
	if (status < 0) {
		fail_set(err, "cannot write %s: %s", path, strerror(errno));
		unlink(temporary);
	}
	free(temporary);
	return status;
}
