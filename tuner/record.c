/*
 * record.c: results files to and from YAML.
 *
 * Reading is driven by tables of fields, so that every key has its type checked, unknown keys are
 * refused with their line, and a field is written and read under one name.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fail.h"
#include "record.h"
#include "gen/yaml.h"

enum kind { TEXT, NAME, FORMAT, LONG, WIDE, INT, DOUBLE, BOOL };

struct field {
	const char *name;
	enum kind kind;
	size_t offset;
	int is_measured;        /* of an entry: absent from defaults */
};

#define FIELD(kind, name, path) {name, kind, offsetof(struct record, path), 0}
#define CEILING(kind, name, path) {name, kind, offsetof(struct record_ceiling, path), 0}
#define ENTRY(kind, name, path, is_measured) \
	{name, kind, offsetof(struct record_entry, path), is_measured}

static const struct field device_fields[] = {
	FIELD(TEXT, "name", device.name), FIELD(TEXT, "cpu", device.cpu),
	FIELD(TEXT, "os", device.os), FIELD(TEXT, "arch", device.arch),
	FIELD(TEXT, "features", device.features), FIELD(LONG, "cores", device.cores),
	FIELD(LONG, "classes", device.classes), FIELD(LONG, "l1d_bytes", device.l1d_bytes),
	FIELD(LONG, "l2_bytes", device.l2_bytes), FIELD(LONG, "llc_bytes", device.llc_bytes),
	{0},
};

static const struct field compiler_fields[] = {
	FIELD(TEXT, "command", compiler.command), FIELD(TEXT, "version", compiler.version),
	FIELD(TEXT, "flags", compiler.flags), {0},
};

static const struct field generator_fields[] = {
	FIELD(TEXT, "version", generator.version), FIELD(TEXT, "templates", generator.templates),
	{0},
};

static const struct field protocol_fields[] = {
	FIELD(TEXT, "budget", protocol.budget), FIELD(WIDE, "seed", protocol.seed),
	FIELD(LONG, "rounds", protocol.rounds), FIELD(LONG, "cold_bytes", protocol.cold_bytes),
	FIELD(DOUBLE, "seconds", protocol.seconds), FIELD(LONG, "tried", protocol.tried),
	FIELD(LONG, "verified", protocol.verified), {0},
};

static const struct field ceiling_fields[] = {
	CEILING(INT, "threads", threads), CEILING(DOUBLE, "dram_gbps", dram_gbps),
	CEILING(INT, "streams", streams), CEILING(INT, "huge_pages", huge_pages),
	CEILING(DOUBLE, "int8_gmacs", int8_gmacs), {0},
};

static const struct field entry_fields[] = {
	ENTRY(FORMAT, "format", format, 0), ENTRY(LONG, "m", m, 1), ENTRY(LONG, "k", k, 1),
	ENTRY(LONG, "n", n, 0), ENTRY(INT, "threads", threads, 1), ENTRY(NAME, "kernel", kernel, 0),
	ENTRY(DOUBLE, "median_us", median_us, 1), ENTRY(DOUBLE, "ci_low_us", ci_low_us, 1),
	ENTRY(DOUBLE, "ci_high_us", ci_high_us, 1), ENTRY(DOUBLE, "gbps", gbps, 1),
	ENTRY(DOUBLE, "roof_fraction", roof_fraction, 1), ENTRY(DOUBLE, "nmse", nmse, 1),
	ENTRY(NAME, "default_kernel", default_kernel, 1), ENTRY(DOUBLE, "speedup", speedup, 1),
	ENTRY(LONG, "samples", samples, 1), ENTRY(LONG, "flagged", flagged, 1), {0},
};

/* ---- lists ---- */

struct record_entry *record_add_entry(struct record *record)
{
	struct record_entry *entry;

	record->entries = fail_grow(record->entries, record->n_entries, sizeof(*entry));
	entry = &record->entries[record->n_entries++];
	memset(entry, 0, sizeof(*entry));
	return entry;
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

void record_add_counter(struct record_entry *entry, const char *name, double value)
{
	entry->counters = fail_grow(entry->counters, entry->n_counters, sizeof(*entry->counters));
	entry->counters[entry->n_counters++] = (struct record_value){fail_text("%s", name), value};
}

struct record_ceiling *record_add_ceiling(struct record *record)
{
	record->ceilings = fail_grow(record->ceilings, record->n_ceilings,
				     sizeof(*record->ceilings));
	memset(&record->ceilings[record->n_ceilings], 0, sizeof(*record->ceilings));
	return &record->ceilings[record->n_ceilings++];
}

static void free_texts(const struct field *fields, void *base)
{
	for (; fields->name; fields++) {
		if (fields->kind == TEXT)
			free(*(char **)((char *)base + fields->offset));
	}
}

void record_free(struct record *record)
{
	free_texts(device_fields, record);
	free_texts(compiler_fields, record);
	free_texts(generator_fields, record);
	free_texts(protocol_fields, record);
	free(record->counters);
	for (size_t i = 0; i < record->protocol.n_failed; i++) {
		free(record->protocol.failed[i].point);
		free(record->protocol.failed[i].reason);
	}
	free(record->protocol.failed);
	for (size_t i = 0; i < record->n_entries; i++) {
		struct record_entry *entry = &record->entries[i];

		for (size_t j = 0; j < entry->n_equivalent; j++)
			free(entry->equivalent[j]);
		free(entry->equivalent);
		for (size_t j = 0; j < entry->n_counters; j++)
			free(entry->counters[j].name);
		free(entry->counters);
	}
	free(record->entries);
	free(record->ceilings);
	memset(record, 0, sizeof(*record));
}

/* ---- reading ---- */

struct reader {
	const struct yaml *yaml;
	struct gen_error *err;
};

static int read_text(const struct reader *in, const struct yaml_node *node, const char *key,
		     char *text, size_t n_bytes)
{
	if (node->kind != YAML_SCALAR)
		return yaml_complain(in->yaml, node, in->err, "'%s' must be a word", key);
	if (!*node->text || strlen(node->text) >= n_bytes)
		return yaml_complain(in->yaml, node, in->err, "'%s' must have 1 to %zu characters",
				     key, n_bytes - 1);
	strcpy(text, node->text);
	return 0;
}

static int read_number(const struct reader *in, const struct field *field,
		       const struct yaml_node *node, void *to)
{
	double number;
	long whole;

	if (field->kind == DOUBLE) {
		if (yaml_double(node, &number) < 0 || !isfinite(number) || number < 0)
			return yaml_complain(in->yaml, node, in->err,
					     "'%s' must be a number, not negative", field->name);
		*(double *)to = number;
		return 0;
	}
	if (yaml_long(node, &whole) < 0 || (whole < 0 && field->kind != WIDE) ||
	    (field->kind == INT && whole > 1 << 20))
		return yaml_complain(in->yaml, node, in->err, "'%s' must be a whole number",
				     field->name);
	if (field->kind == INT)
		*(int *)to = (int)whole;
	else if (field->kind == LONG)
		*(long *)to = whole;
	else
		*(long long *)to = whole;
	return 0;
}

static int read_field(const struct reader *in, const struct field *field,
		      const struct yaml_node *node, void *base)
{
	void *to = (char *)base + field->offset;

	switch (field->kind) {
	case TEXT:
		if (node->kind != YAML_SCALAR)
			return yaml_complain(in->yaml, node, in->err, "'%s' must be a text",
					     field->name);
		*(char **)to = fail_text("%s", node->text);
		return 0;
	case NAME:
		return read_text(in, node, field->name, to, 64);
	case FORMAT:
		return read_text(in, node, field->name, to, 32);
	case BOOL:
		if (node->kind != YAML_SCALAR || node->quoted ||
		    (strcmp(node->text, "true") && strcmp(node->text, "false")))
			return yaml_complain(in->yaml, node, in->err, "'%s' must be true or false",
					     field->name);
		*(int *)to = !strcmp(node->text, "true");
		return 0;
	default:
		return read_number(in, field, node, to);
	}
}

/* A special key of a mapping that has no row in its table: 1 taken, 0 unknown, -1 wrong. */
typedef int read_more_fn(const struct reader *in, const char *key, const struct yaml_node *node,
			 void *base);

static int read_mapping(const struct reader *in, const struct yaml_node *node, const char *what,
			const struct field *fields, read_more_fn *more, void *base)
{
	if (node->kind != YAML_MAPPING)
		return yaml_complain(in->yaml, node, in->err, "%s must be a mapping", what);
	for (size_t i = 0; i < node->n; i++) {
		const char *key = node->keys[i]->text;
		const struct field *field = fields;
		int status = 0;

		while (field->name && strcmp(field->name, key))
			field++;
		if (field->name) {
			if (read_field(in, field, node->items[i], base) < 0)
				return -1;
			continue;
		}
		if (more)
			status = more(in, key, node->items[i], base);
		if (status < 0)
			return -1;
		if (!status)
			return yaml_complain(in->yaml, node->keys[i], in->err,
					     "unknown key '%s' in %s", key, what);
	}
	return 0;
}

static int by_text(const void *a, const void *b)
{
	const struct yaml_node *const *x = a, *const *y = b;

	return strcmp((*x)->text, (*y)->text);
}

/* {family: dot, ..., KU: 1} -> "family=dot format=... act=... isa=... KU=1", sorted after these. */
static int read_point(const struct reader *in, const struct yaml_node *node, char *key,
		      size_t n_bytes)
{
	static const char *const first[] = {"family", "format", "act", "isa"};
	const struct yaml_node **names;
	size_t at = 0, n = 0;

	if (node->kind != YAML_MAPPING)
		return yaml_complain(in->yaml, node, in->err, "'point' must be a mapping");
	for (size_t i = 0; i < node->n; i++) {
		const struct yaml_node *value = node->items[i];

		if (value->kind != YAML_SCALAR || !*value->text || strpbrk(value->text, " =\t\n") ||
		    !*node->keys[i]->text || strpbrk(node->keys[i]->text, " =\t\n"))
			return yaml_complain(in->yaml, value, in->err,
					     "a point holds plain words and numbers");
	}
	names = fail_alloc(node->n, sizeof(*names));
	for (size_t i = 0; i < node->n; i++) {
		size_t j = 0;

		while (j < 4 && strcmp(node->keys[i]->text, first[j]))
			j++;
		if (j == 4)
			names[n++] = node->keys[i];
	}
	qsort(names, n, sizeof(*names), by_text);
	*key = 0;
	for (size_t i = 0; i < 4 + n; i++) {
		const char *name = i < 4 ? first[i] : names[i - 4]->text;
		const struct yaml_node *value = yaml_get(node, name);

		if (!value) {
			free(names);
			return yaml_complain(in->yaml, node, in->err, "the point has no '%s'",
					     name);
		}
		at += (size_t)snprintf(key + at, n_bytes - at, "%s%s=%s", i ? " " : "", name,
				       value->text);
		if (at >= n_bytes) {
			free(names);
			return yaml_complain(in->yaml, node, in->err, "the point is too long");
		}
	}
	free(names);
	return 0;
}

static int read_entry_more(const struct reader *in, const char *key, const struct yaml_node *node,
			   void *base)
{
	static const struct field default_field =
		ENTRY(BOOL, "default", is_default, 0);
	struct record_entry *entry = base;
	double value;

	if (!strcmp(key, "default"))
		return read_field(in, &default_field, node, entry) < 0 ? -1 : 1;
	if (!strcmp(key, "op")) {
		if (node->kind != YAML_SCALAR ||
		    (strcmp(node->text, "gemv") && strcmp(node->text, "gemm")))
			return yaml_complain(in->yaml, node, in->err, "op must be gemv or gemm");
		return 1;
	}
	if (!strcmp(key, "point"))
		return read_point(in, node, entry->key, sizeof(entry->key)) < 0 ? -1 : 1;
	if (!strcmp(key, "equivalent")) {
		if (node->kind != YAML_SEQUENCE)
			return yaml_complain(in->yaml, node, in->err,
					     "'equivalent' must be a list");
		for (size_t i = 0; i < node->n; i++) {
			char name[64];

			if (read_text(in, node->items[i], key, name, sizeof(name)) < 0)
				return -1;
			record_add_equivalent(entry, name);
		}
		return 1;
	}
	if (!strcmp(key, "counters")) {
		if (node->kind != YAML_MAPPING)
			return yaml_complain(in->yaml, node, in->err,
					     "'counters' must be a mapping");
		for (size_t i = 0; i < node->n; i++) {
			if (yaml_double(node->items[i], &value) < 0)
				return yaml_complain(in->yaml, node->items[i], in->err,
						     "a counter must be a number");
			record_add_counter(entry, node->keys[i]->text, value);
		}
		return 1;
	}
	return 0;
}

static int read_entry(const struct reader *in, const struct yaml_node *node, struct record *record)
{
	struct record_entry *entry = record_add_entry(record);
	char format[64];

	if (read_mapping(in, node, "an entry", entry_fields, read_entry_more, entry) < 0)
		return -1;
	for (const struct field *field = entry_fields; field->name; field++) {
		int given = yaml_get(node, field->name) != NULL;

		if (field->is_measured && given && entry->is_default)
			return yaml_complain(in->yaml, node, in->err,
					     "a default entry has no '%s'", field->name);
	}
	if (!*entry->key || !*entry->format)
		return yaml_complain(in->yaml, node, in->err, "the entry has no '%s'",
				     *entry->key ? "format" : "point");
	snprintf(format, sizeof(format), " format=%s ", entry->format);
	if (!strstr(entry->key, format))
		return yaml_complain(in->yaml, node, in->err,
				     "the point is of another format than the entry's %s",
				     entry->format);
	if (!entry->is_default &&
	    (entry->m < 1 || entry->k < 1 || entry->n < 1 || entry->threads < 1))
		return yaml_complain(in->yaml, node, in->err,
				     "an entry needs m, k, n and threads, each at least 1");
	return 0;
}

static int read_list(const struct reader *in, const struct yaml_node *node, const char *key,
		     struct record *record)
{
	if (node->kind != YAML_SEQUENCE)
		return yaml_complain(in->yaml, node, in->err, "'%s' must be a list", key);
	for (size_t i = 0; i < node->n; i++) {
		if (!strcmp(key, "entries") ? read_entry(in, node->items[i], record) :
		    read_mapping(in, node->items[i], "a ceiling", ceiling_fields, NULL,
				 record_add_ceiling(record)))
			return -1;
	}
	return 0;
}

static int read_failures(const struct reader *in, const char *key, const struct yaml_node *node,
			 void *base)
{
	if (strcmp(key, "failed"))
		return 0;
	if (node->kind != YAML_SEQUENCE)
		return yaml_complain(in->yaml, node, in->err, "'failed' must be a list");
	for (size_t i = 0; i < node->n; i++) {
		const struct yaml_node *point = yaml_get(node->items[i], "point");
		const struct yaml_node *reason = yaml_get(node->items[i], "reason");

		if (!point || !reason || point->kind != YAML_SCALAR || reason->kind != YAML_SCALAR)
			return yaml_complain(in->yaml, node->items[i], in->err,
					     "a failure needs 'point' and 'reason'");
		record_add_failure(base, point->text, reason->text);
	}
	return 1;
}

static int read_top_more(const struct reader *in, const char *key, const struct yaml_node *node,
			 void *base)
{
	struct record *record = base;
	long number;

	if (!strcmp(key, "quern"))
		return 1;
	if (!strcmp(key, "schema")) {
		if (yaml_long(node, &number) < 0 || number != 1)
			return yaml_complain(in->yaml, node, in->err, "schema must be 1");
		return 1;
	}
	if (!strcmp(key, "entries") || !strcmp(key, "ceilings"))
		return read_list(in, node, key, record) < 0 ? -1 : 1;
	if (!strcmp(key, "device"))
		return read_mapping(in, node, "device", device_fields, NULL, record) < 0 ? -1 : 1;
	if (!strcmp(key, "compiler"))
		return read_mapping(in, node, "compiler", compiler_fields, NULL, record) < 0 ?
		       -1 : 1;
	if (!strcmp(key, "generator"))
		return read_mapping(in, node, "generator", generator_fields, NULL, record) < 0 ?
		       -1 : 1;
	if (!strcmp(key, "protocol"))
		return read_mapping(in, node, "protocol", protocol_fields, read_failures,
				    record) < 0 ? -1 : 1;
	return 0;
}

static const struct field top_fields[] = {
	FIELD(BOOL, "complete", complete), FIELD(TEXT, "counters", counters), {0},
};

int record_read(struct record *record, const char *path, struct gen_error *err)
{
	struct yaml *yaml = yaml_read(path, err);
	struct reader in = {yaml, err};
	const struct yaml_node *root, *kind;
	int status;

	memset(record, 0, sizeof(*record));
	if (!yaml)
		return -1;
	root = yaml_root(yaml);
	kind = yaml_get(root, "quern");
	if (!kind || kind->kind != YAML_SCALAR || strcmp(kind->text, "results"))
		status = fail_set(err,
				  "%s:1: this is not a results file ('quern: results' is missing)",
				  path);
	else if (!yaml_get(root, "schema") || !yaml_get(root, "entries"))
		status = fail_set(err, "%s:1: '%s' is missing", path,
				  yaml_get(root, "schema") ? "entries" : "schema");
	else
		status = read_mapping(&in, root, "a results file", top_fields, read_top_more,
				      record);
	yaml_close(yaml);
	if (status < 0)
		record_free(record);
	return status;
}

/* ---- writing ---- */

static void write_fields(struct yaml_out *out, const struct field *fields, const void *base,
			 int with_measured)
{
	for (; fields->name; fields++) {
		const void *from = (const char *)base + fields->offset;

		if ((fields->is_measured && !with_measured) ||
		    (fields->kind == TEXT && !*(char *const *)from) ||
		    ((fields->kind == NAME || fields->kind == FORMAT) && !*(const char *)from))
			continue;
		yaml_out_text(out, fields->name);
		switch (fields->kind) {
		case TEXT:
			yaml_out_text(out, *(char *const *)from);
			break;
		case NAME: case FORMAT:
			yaml_out_text(out, from);
			break;
		case LONG:
			yaml_out_format(out, "%ld", *(const long *)from);
			break;
		case WIDE:
			yaml_out_format(out, "%lld", *(const long long *)from);
			break;
		case INT:
			yaml_out_format(out, "%d", *(const int *)from);
			break;
		case DOUBLE:
			yaml_out_format(out, "%.6g", *(const double *)from);
			break;
		case BOOL:
			yaml_out_format(out, "%s", *(const int *)from ? "true" : "false");
			break;
		}
	}
}

static void write_section(struct yaml_out *out, const char *name, const struct field *fields,
			  const struct record *record)
{
	yaml_out_text(out, name);
	yaml_out_map(out, 0);
	write_fields(out, fields, record, 1);
	yaml_out_end_map(out);
}

static void write_protocol(struct yaml_out *out, const struct record *record)
{
	yaml_out_text(out, "protocol");
	yaml_out_map(out, 0);
	write_fields(out, protocol_fields, record, 1);
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
	write_fields(out, entry_fields, entry, !entry->is_default);
	write_point(out, entry->key);
	if (!entry->is_default) {
		yaml_out_text(out, "equivalent");
		yaml_out_list(out, 1);
		for (size_t i = 0; i < entry->n_equivalent; i++)
			yaml_out_text(out, entry->equivalent[i]);
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
	write_fields(out, top_fields, record, 1);
	write_section(out, "device", device_fields, record);
	write_section(out, "compiler", compiler_fields, record);
	write_section(out, "generator", generator_fields, record);
	write_protocol(out, record);
	yaml_out_text(out, "ceilings");
	yaml_out_list(out, record->n_ceilings == 0);
	for (size_t i = 0; i < record->n_ceilings; i++) {
		yaml_out_map(out, 1);
		write_fields(out, ceiling_fields, &record->ceilings[i], 1);
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

int record_make_folder(const char *path, struct gen_error *err)
{
	char *copy = fail_text("%s", path);

	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		if (mkdir(copy, 0777) < 0 && errno != EEXIST) {
			fail_set(err, "cannot make the folder %s: %s", copy, strerror(errno));
			free(copy);
			return -1;
		}
		*p = '/';
	}
	free(copy);
	return 0;
}

int record_write(const struct record *record, const char *path, struct gen_error *err)
{
	char *temporary = fail_text("%s.tmp", path);
	FILE *file;
	int status;

	if (record_make_folder(path, err) < 0) {
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
