/*
 * record_read.c: results files, read strictly.
 *
 * Tables of fields drive it: every key has its type checked, unknown keys are refused with their
 * line, and a field is read and written under one name.
 */
#include <math.h>

#include "fail.h"
#include "record_fields.h"
#include "ship.h"
#include "gen/yaml.h"

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

static int read_number(const struct reader *in, const struct record_field *field,
		       const struct yaml_node *node, void *to)
{
	double number;
	long whole;

	if (field->kind == RECORD_DOUBLE || field->kind == RECORD_KNOWN) {
		if (yaml_double(node, &number) < 0 || !isfinite(number) || number < 0)
			return yaml_complain(in->yaml, node, in->err,
					     "'%s' must be a number, not negative", field->name);
		*(double *)to = number;
		return 0;
	}
	if (field->kind == RECORD_CORE) {
		if (yaml_long(node, &whole) < 0 || whole < 1 || whole > 0x7fffffff)
			return yaml_complain(in->yaml, node, in->err,
					     "'%s' must be a kind of core, such as 0x41d4e",
					     field->name);
		*(long *)to = whole;
		return 0;
	}
	if (yaml_long(node, &whole) < 0 || (whole < 0 && field->kind != RECORD_WIDE) ||
	    (field->kind == RECORD_INT && whole > 1 << 20))
		return yaml_complain(in->yaml, node, in->err, "'%s' must be a whole number%s",
				     field->name,
				     field->kind == RECORD_WIDE ? "" : ", not negative");
	if (field->kind == RECORD_INT)
		*(int *)to = (int)whole;
	else if (field->kind == RECORD_LONG)
		*(long *)to = whole;
	else
		*(long long *)to = whole;
	return 0;
}

static int read_field(const struct reader *in, const struct record_field *field,
		      const struct yaml_node *node, void *base)
{
	void *to = (char *)base + field->offset;

	switch (field->kind) {
	case RECORD_TEXT:
		if (node->kind != YAML_SCALAR)
			return yaml_complain(in->yaml, node, in->err, "'%s' must be a text",
					     field->name);
		*(char **)to = fail_text("%s", node->text);
		return 0;
	case RECORD_NAME: return read_text(in, node, field->name, to, 64);
	case RECORD_FORMAT: return read_text(in, node, field->name, to, 32);
	case RECORD_WORDS: return read_text(in, node, field->name, to, 128);
	case RECORD_REASON: return read_text(in, node, field->name, to, 192);
	case RECORD_TIER:
		if (node->kind != YAML_SCALAR ||
		    (strcmp(node->text, "measured") && strcmp(node->text, "static")))
			return yaml_complain(in->yaml, node, in->err,
					     "'%s' must be measured or static", field->name);
		strcpy(to, node->text);
		return 0;
	case RECORD_BOOL:
		if (node->kind != YAML_SCALAR || node->quoted ||
		    (strcmp(node->text, "true") && strcmp(node->text, "false")))
			return yaml_complain(in->yaml, node, in->err, "'%s' must be true or false",
					     field->name);
		*(int *)to = !strcmp(node->text, "true");
		return 0;
	default: return read_number(in, field, node, to);
	}
}

/* A special key of a mapping that has no row in its table: 1 taken, 0 unknown, -1 wrong. */
typedef int read_more_fn(const struct reader *in, const char *key, const struct yaml_node *node,
			 void *base);

static int read_mapping(const struct reader *in, const struct yaml_node *node, const char *what,
			const struct record_field *fields, read_more_fn *more, void *base)
{
	if (node->kind != YAML_MAPPING)
		return yaml_complain(in->yaml, node, in->err, "%s must be a mapping", what);
	for (size_t i = 0; i < node->n; i++) {
		const char *key = node->keys[i]->text;
		const struct record_field *field = fields;
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

/* What stands beside `reason`. */
static int read_numbers(const struct reader *in, const struct yaml_node *node,
			struct record_why *why)
{
	for (const struct record_field *field = record_number_fields; field->name; field++)
		*(double *)((char *)&why->numbers + field->offset) = NAN;
	why->has_numbers = 1;
	return read_mapping(in, node, "per_weight", record_number_fields, NULL, &why->numbers);
}

/* A sentence without a tier says nothing, nor does a tier without a sentence. */
static int check_why(const struct reader *in, const struct yaml_node *node,
		     const struct record_why *why)
{
	if (!*why->reason == !*why->tier)
		return 0;
	return yaml_complain(in->yaml, node, in->err, "reason and reason_tier belong together");
}

static int read_finalist_more(const struct reader *in, const char *key,
			      const struct yaml_node *node, void *base)
{
	struct record_finalist *finalist = base;

	if (!strcmp(key, "per_weight"))
		return read_numbers(in, node, &finalist->why) < 0 ? -1 : 1;
	if (strcmp(key, "point"))
		return 0;
	return read_point(in, node, finalist->key, sizeof(finalist->key)) < 0 ? -1 : 1;
}

static int read_finalists(const struct reader *in, const struct yaml_node *node,
			  struct record_entry *entry)
{
	if (node->kind != YAML_SEQUENCE)
		return yaml_complain(in->yaml, node, in->err, "'finalists' must be a list");
	for (size_t i = 0; i < node->n; i++) {
		struct record_finalist *one = record_add_finalist(entry);

		if (read_mapping(in, node->items[i], "a finalist", record_finalist_fields,
				 read_finalist_more, one) < 0)
			return -1;
		if (!*one->kernel || !*one->key || !(one->ratio > 0))
			return yaml_complain(in->yaml, node->items[i], in->err,
					     "a finalist needs kernel, point and a ratio above 0");
		if (check_why(in, node->items[i], &one->why) < 0)
			return -1;
	}
	return 0;
}

static int read_entry_more(const struct reader *in, const char *key, const struct yaml_node *node,
			   void *base)
{
	static const struct record_field default_field = {
		"default", RECORD_BOOL, offsetof(struct record_entry, is_default), 0, 0,
	};
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
	if (!strcmp(key, "estimated")) {
		entry->is_estimated = 1;
		return read_mapping(in, node, key, record_estimate_fields, NULL, &entry->estimate) <
				       0
			       ? -1
			       : 1;
	}
	if (!strcmp(key, "point"))
		return read_point(in, node, entry->key, sizeof(entry->key)) < 0 ? -1 : 1;
	if (!strcmp(key, "per_weight"))
		return read_numbers(in, node, &entry->why) < 0 ? -1 : 1;
	if (!strcmp(key, "finalists"))
		return read_finalists(in, node, entry) < 0 ? -1 : 1;
	if (!strcmp(key, "flags"))
		return read_mapping(in, node, key, record_flag_fields, NULL, entry) < 0 ? -1 : 1;
	if (!strcmp(key, "control")) {
		if (read_mapping(in, node, key, record_control_fields, NULL, entry) < 0)
			return -1;
		return entry->control.ratio > 0 ? 1
						: yaml_complain(in->yaml, node, in->err,
								"'control' needs a ratio above 0");
	}
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

	entry->line = node->line;
	if (read_mapping(in, node, "an entry", record_entry_fields, read_entry_more, entry) < 0)
		return -1;
	for (const struct record_field *field = record_entry_fields; field->name; field++) {
		int given = yaml_get(node, field->name) != NULL;

		if (field->needs > RECORD_ANY && given && entry->is_default)
			return yaml_complain(in->yaml, node, in->err, "a default entry has no '%s'",
					     field->name);
		if (field->needs == RECORD_MEASURED && given && entry->is_estimated)
			return yaml_complain(in->yaml, node, in->err,
					     "an estimated entry has no '%s'", field->name);
	}
	if (entry->is_estimated && (entry->is_default || !(entry->estimate.cycles_per_weight > 0)))
		return yaml_complain(in->yaml, node, in->err,
				     entry->is_default
					     ? "a default entry has no 'estimated'"
					     : "'estimated' needs a cycles_per_weight above 0");
	if ((entry->energy_uj > 0) != (*entry->energy_source != 0))
		return yaml_complain(in->yaml, node, in->err,
				     "energy_uj (above 0) and energy_source belong together");
	if ((yaml_get(node, "flags") || yaml_get(node, "control")) &&
	    (entry->is_default || entry->is_estimated))
		return yaml_complain(in->yaml, node, in->err,
				     "an entry without measurements has no 'flags' or 'control'");
	if (entry->why.has_numbers && (entry->is_default || entry->is_estimated))
		return yaml_complain(in->yaml, node, in->err,
				     "an entry without measurements has no 'per_weight'");
	if (check_why(in, node, &entry->why) < 0)
		return -1;
	if (*entry->shipped && !ship_finalist(entry))
		return yaml_complain(in->yaml, yaml_get(node, "shipped"), in->err,
				     "'shipped' must be one of the entry's finalists");
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
		if (!strcmp(key, "entries")
			    ? read_entry(in, node->items[i], record)
			    : read_mapping(in, node->items[i], "a ceiling", record_ceiling_fields,
					   NULL, record_add_ceiling(record)))
			return -1;
	}
	return 0;
}

/* {dot: HASH, lut: HASH} -> "dot=HASH lut=HASH" */
static int read_families(const struct reader *in, const struct yaml_node *node, char **families)
{
	char *text;
	size_t n_bytes;
	FILE *out;

	if (node->kind != YAML_MAPPING)
		return yaml_complain(in->yaml, node, in->err, "'families' must be a mapping");
	out = fail_check(open_memstream(&text, &n_bytes));
	for (size_t i = 0; i < node->n; i++) {
		const struct yaml_node *value = node->items[i];
		const char *name = node->keys[i]->text;

		if (value->kind != YAML_SCALAR || !*value->text || strlen(value->text) > 63 ||
		    strpbrk(value->text, " =\t\n") || !*name || strlen(name) > 63 ||
		    strpbrk(name, " =\t\n")) {
			fclose(out);
			free(text);
			return yaml_complain(in->yaml, value, in->err,
					     "'families' must have a hash of each family");
		}
		fprintf(out, "%s%s=%s", i ? " " : "", name, value->text);
	}
	fclose(out);
	free(*families);
	*families = text;
	return 0;
}

static int read_generator_more(const struct reader *in, const char *key,
			       const struct yaml_node *node, void *base)
{
	struct record_generator *generator = base;

	if (strcmp(key, "families"))
		return 0;
	return read_families(in, node, &generator->families) < 0 ? -1 : 1;
}

static int read_generator(const struct reader *in, const char *key, const struct yaml_node *node,
			  struct record_generator *generator)
{
	return read_mapping(in, node, key, record_generator_fields, read_generator_more,
			    generator) < 0
		       ? -1
		       : 1;
}

static int read_thermal(const struct reader *in, const char *key, const struct yaml_node *node,
			struct record_protocol *protocol)
{
	protocol->thermal.is_gated = 1;
	return read_mapping(in, node, key, record_thermal_fields, NULL, protocol) < 0 ? -1 : 1;
}

static int read_run_more(const struct reader *in, const char *key, const struct yaml_node *node,
			 void *base)
{
	struct record_run *run = base;

	if (!strcmp(key, "thermal"))
		return read_thermal(in, key, node, &run->protocol);
	return strcmp(key, "generator") ? 0 : read_generator(in, key, node, &run->generator);
}

static int read_runs(const struct reader *in, const struct yaml_node *node, struct record *record)
{
	if (node->kind != YAML_SEQUENCE || node->n < 2)
		return yaml_complain(in->yaml, node, in->err, "'runs' must be a list of several");
	for (size_t i = 0; i < node->n; i++) {
		struct record_run *run = record_add_run(record);

		if (read_mapping(in, node->items[i], "a run", record_run_fields, read_run_more,
				 run) < 0)
			return -1;
		if (!*run->id)
			return yaml_complain(in->yaml, node->items[i], in->err,
					     "the run has no 'id'");
		for (size_t j = 0; j < i; j++) {
			if (!strcmp(record->runs[j].id, run->id))
				return yaml_complain(in->yaml, node->items[i], in->err,
						     "two runs have the id %s", run->id);
		}
	}
	return 0;
}

static int read_protocol_more(const struct reader *in, const char *key,
			      const struct yaml_node *node, void *base)
{
	struct record *record = base;

	if (!strcmp(key, "thermal"))
		return read_thermal(in, key, node, &record->protocol);
	if (!strcmp(key, "runs"))
		return read_runs(in, node, record) < 0 ? -1 : 1;
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
	static const struct {
		const char *name;
		const struct record_field *fields;
		read_more_fn *more;
	} parts[] = {
		{"estimated", record_estimated_fields, NULL},
		{"device", record_device_fields, NULL},
		{"compiler", record_compiler_fields, NULL},
		{"protocol", record_protocol_fields, read_protocol_more},
	};
	struct record *record = base;
	long number;

	if (!strcmp(key, "quern"))
		return 1;
	if (!strcmp(key, "schema")) {
		if (yaml_long(node, &number) < 0 || number != 1)
			return yaml_complain(in->yaml, node, in->err, "schema must be 1");
		return 1;
	}
	if (!strcmp(key, "generator"))
		return read_generator(in, key, node, &record->generator);
	if (!strcmp(key, "entries") || !strcmp(key, "ceilings"))
		return read_list(in, node, key, record) < 0 ? -1 : 1;
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (!strcmp(key, parts[i].name))
			return read_mapping(in, node, key, parts[i].fields, parts[i].more, record) <
					       0
				       ? -1
				       : 1;
	}
	return 0;
}

/* Entries name runs that there are: where there are any, each does. */
static int check_runs(const struct reader *in, const struct record *record)
{
	for (size_t i = 0; i < record->n_entries; i++) {
		const struct record_entry *entry = &record->entries[i];
		size_t j = 0;

		while (j < record->n_runs && strcmp(record->runs[j].id, entry->run))
			j++;
		if (j < record->n_runs || (!record->n_runs && !*entry->run) || entry->is_default)
			continue;
		return fail_set(in->err, "%s:%d: %s", yaml_name(in->yaml), entry->line,
				*entry->run ? "the protocol lists no such 'run'"
					    : "the entry has no 'run', of which there are several");
	}
	return 0;
}

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
		status = read_mapping(&in, root, "a results file", record_top_fields, read_top_more,
				      record);
	if (!status)
		status = check_runs(&in, record);
	yaml_close(yaml);
	if (status < 0)
		record_free(record);
	return status;
}
