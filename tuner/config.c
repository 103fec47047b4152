/* config.c: config files, overrides of the command line, and shapes of a model. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>

#include "config.h"
#include "fail.h"
#include "runtime/format.h"
#include "runtime/quern.h"
#include "gen/yaml.h"

#define MAX_SIDE 1000000 /* of a matrix */
#define MAX_TOKENS 4096
#define MAX_THREADS 256
#define OWN_ACT "own"

/* Where a value came from: a node of a file, or an option. */
struct place {
	const struct yaml *yaml;
	const struct yaml_node *node;
	const char *option;
};

__attribute__((format(printf, 3, 4))) static int complain(const struct place *place,
							  struct gen_error *err, const char *format,
							  ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (place->yaml)
		return yaml_complain(place->yaml, place->node, err, "%s", text);
	return fail_set(err, "%s: %s", place->option, text);
}

/* ---- names ---- */

static void free_names(struct config_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->list[i]);
	free(names->list);
	memset(names, 0, sizeof(*names));
}

static int find_name(const struct config_names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++) {
		if (!strcmp(names->list[i], name))
			return (int)i;
	}
	return -1;
}

static void push_name(struct config_names *names, const char *name)
{
	names->list = fail_grow(names->list, names->n, sizeof(*names->list));
	names->list[names->n++] = fail_text("%s", name);
}

static int add_name(struct config_names *names, const char *name, const char *what,
		    const char *const *known, const struct place *place, struct gen_error *err)
{
	char list[400] = "";
	size_t at = 0;

	for (size_t i = 0; known[i]; i++) {
		if (!strcmp(known[i], name)) {
			if (find_name(names, name) >= 0)
				return complain(place, err, "%s '%s' is named twice", what, name);
			push_name(names, name);
			return 0;
		}
		if (at < sizeof(list))
			at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", i ? ", " : "",
					       known[i]);
	}
	return complain(place, err, "unknown %s '%.40s': must be one of %s", what, name, list);
}

/* ---- numbers and shapes ---- */

static void push_number(struct config_numbers *numbers, long value)
{
	numbers->list = fail_grow(numbers->list, numbers->n, sizeof(*numbers->list));
	numbers->list[numbers->n++] = value;
}

/* Digits only, 1 .. max; returns what follows them, or NULL. */
static const char *read_digits(const char *text, long max, long *value)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return NULL;
	errno = 0;
	*value = strtol(text, &end, 10);
	return errno || *value < 1 || *value > max ? NULL : end;
}

static int add_number(struct config_numbers *numbers, const char *text, const char *what, long max,
		      int or_all, const struct place *place, struct gen_error *err)
{
	const char *end;
	long value = CONFIG_ALL;

	if (!or_all || strcmp(text, "all")) {
		end = read_digits(text, max, &value);
		if (!end || *end)
			return complain(place, err, "%s '%.40s' must be a number from 1 to %ld%s",
					what, text, max, or_all ? ", or all" : "");
	}
	for (size_t i = 0; i < numbers->n; i++) {
		if (numbers->list[i] == value)
			return complain(place, err, "%s '%s' is named twice", what, text);
	}
	push_number(numbers, value);
	return 0;
}

static void push_shape(struct config *config, long m, long k, unsigned long formats)
{
	struct config_shape *shape;

	for (size_t i = 0; i < config->n_shapes; i++) {
		shape = &config->shapes[i];
		if (shape->m == m && shape->k == k) {
			shape->formats |= formats;
			return;
		}
	}
	config->shapes = fail_grow(config->shapes, config->n_shapes, sizeof(*config->shapes));
	config->shapes[config->n_shapes++] = (struct config_shape){m, k, formats};
}

static int add_shape(struct config *config, const char *text, const struct place *place,
		     struct gen_error *err)
{
	long m, k;
	const char *end = read_digits(text, MAX_SIDE, &m);

	if (end && *end == 'x')
		end = read_digits(end + 1, MAX_SIDE, &k);
	else
		end = NULL;
	if (!end || *end)
		return complain(place, err,
				"shape '%.40s' must be MxK, such as 4096x4096, each from "
				"1 to %d",
				text, MAX_SIDE);
	push_shape(config, m, k, ULONG_MAX);
	return 0;
}

/* ---- files ---- */

enum key {
	KIND,
	SCHEMA,
	FORMATS,
	ACTS,
	FAMILIES,
	ISAS,
	SHAPES,
	TOKENS,
	THREADS,
	CORES,
	MAX_NMSE,
	N_KEYS
};

static const char *const key_names[N_KEYS] = {
	"quern",  "schema", "formats", "acts",  "families", "isas",
	"shapes", "tokens", "threads", "cores", "max_nmse",
};

/* Which there are is for the device to say. */
static int add_cores(struct config_names *cores, const char *name, const struct place *place,
		     struct gen_error *err)
{
	if (!*name || strlen(name) > 63)
		return complain(place, err, "cores must have a name of 1 to 63 characters");
	if (find_name(cores, name) >= 0)
		return complain(place, err, "cores '%s' are named twice", name);
	push_name(cores, name);
	return 0;
}

static int add_act(struct config *config, struct gen *gen, const char *name,
		   const struct place *place, struct gen_error *err)
{
	const char *const *acts = gen_acts(gen);
	const char *known[8] = {0};
	size_t n = 0;

	for (; acts[n] && n < sizeof(known) / sizeof(*known) - 2; n++)
		known[n] = acts[n];
	known[n] = OWN_ACT;
	return add_name(&config->acts, name, "activation format", known, place, err);
}

static int add_word(struct config *config, struct gen *gen, enum key key, const char *word,
		    const struct place *place, struct gen_error *err)
{
	switch (key) {
	case FORMATS:
		return add_name(&config->formats, word, "format", gen_formats(gen), place, err);
	case ACTS: return add_act(config, gen, word, place, err);
	case FAMILIES:
		return add_name(&config->families, word, "family", gen_families(gen), place, err);
	case ISAS: return add_name(&config->isas, word, "isa", gen_isas(gen), place, err);
	case SHAPES: return add_shape(config, word, place, err);
	case CORES: return add_cores(&config->cores, word, place, err);
	case TOKENS:
		return add_number(&config->tokens, word, "number of tokens", MAX_TOKENS, 0, place,
				  err);
	default:
		return add_number(&config->threads, word, "number of threads", MAX_THREADS, 1,
				  place, err);
	}
}

static int read_key(struct config *config, struct gen *gen, const struct yaml *yaml, enum key key,
		    const struct yaml_node *node, struct gen_error *err)
{
	long number;

	if (key == KIND) {
		if (node->kind != YAML_SCALAR || strcmp(node->text, "config"))
			return yaml_complain(yaml, node, err, "this is not a config file");
		return 0;
	}
	if (key == SCHEMA) {
		if (yaml_long(node, &number) < 0 || number != 1)
			return yaml_complain(yaml, node, err, "schema must be 1");
		return 0;
	}
	if (key == MAX_NMSE) {
		if (yaml_double(node, &config->max_nmse) < 0 ||
		    !(config->max_nmse > 0 && config->max_nmse < 1))
			return yaml_complain(yaml, node, err,
					     "max_nmse must be a number between 0 and 1, such as "
					     "1e-4");
		return 0;
	}
	if (key == ISAS && node->kind == YAML_SCALAR && !strcmp(node->text, "native"))
		return 0;
	if (node->kind != YAML_SEQUENCE || !node->n)
		return yaml_complain(yaml, node, err, "'%s' must be a list that is not empty%s",
				     key_names[key], key == ISAS ? ", or native" : "");
	for (size_t i = 0; i < node->n; i++) {
		struct place place = {yaml, node->items[i], NULL};

		if (node->items[i]->kind != YAML_SCALAR)
			return yaml_complain(yaml, node->items[i], err,
					     "'%s' must hold plain words", key_names[key]);
		if (add_word(config, gen, key, node->items[i]->text, &place, err) < 0)
			return -1;
	}
	return 0;
}

static int read_config(struct config *config, struct gen *gen, const struct yaml *yaml,
		       struct gen_error *err)
{
	const struct yaml_node *root = yaml_root(yaml);

	if (!yaml_get(root, "quern"))
		return fail_set(err, "%s:1: this is not a config file ('quern: config' is missing)",
				yaml_name(yaml));
	for (size_t i = 0; i < root->n; i++) {
		int key = 0;

		while (key < N_KEYS && strcmp(root->keys[i]->text, key_names[key]))
			key++;
		if (key == N_KEYS)
			return yaml_complain(
				yaml, root->keys[i], err,
				"unknown key '%.40s': must be "
				"one of quern, schema, formats, shapes, tokens, threads, "
				"cores, acts, families, isas, max_nmse",
				root->keys[i]->text);
		if (read_key(config, gen, yaml, (enum key)key, root->items[i], err) < 0)
			return -1;
	}
	for (int key = 0; key < N_KEYS; key++) {
		if (key != ISAS && key != CORES && key != MAX_NMSE &&
		    !yaml_get(root, key_names[key]))
			return yaml_complain(yaml, root, err, "'%s' is missing", key_names[key]);
	}
	return 0;
}

int config_read(struct config *config, struct gen *gen, const char *path, struct gen_error *err)
{
	struct yaml *yaml = yaml_read(path, err);
	int status;

	memset(config, 0, sizeof(*config));
	if (!yaml)
		return -1;
	status = read_config(config, gen, yaml, err);
	yaml_close(yaml);
	if (status < 0)
		config_free(config);
	return status;
}

void config_free(struct config *config)
{
	free_names(&config->formats);
	free_names(&config->acts);
	free_names(&config->families);
	free_names(&config->isas);
	free_names(&config->cores);
	free(config->shapes);
	free(config->tokens.list);
	free(config->threads.list);
	memset(config, 0, sizeof(*config));
}

/* ---- the command line ---- */

static int add_list(struct config *config, struct gen *gen, enum key key, const char *option,
		    const char *text, struct gen_error *err)
{
	struct place place = {.option = option};
	char *copy = fail_text("%s", text), *rest = copy, *word;
	int status = 0;

	while (!status && (word = strsep(&rest, ",")))
		status = add_word(config, gen, key, word, &place, err);
	free(copy);
	return status;
}

int config_set_formats(struct config *config, struct gen *gen, const char *text,
		       struct gen_error *err)
{
	free_names(&config->formats);
	return add_list(config, gen, FORMATS, "--formats", text, err);
}

static int set_numbers(struct config *config, struct config_numbers *numbers, enum key key,
		       const char *option, const char *text, struct gen_error *err)
{
	free(numbers->list);
	*numbers = (struct config_numbers){.n = 0};
	return add_list(config, NULL, key, option, text, err);
}

int config_set_threads(struct config *config, const char *text, struct gen_error *err)
{
	return set_numbers(config, &config->threads, THREADS, "--threads", text, err);
}

int config_set_tokens(struct config *config, const char *text, struct gen_error *err)
{
	return set_numbers(config, &config->tokens, TOKENS, "--tokens", text, err);
}

int config_set_cores(struct config *config, const char *text, struct gen_error *err)
{
	free_names(&config->cores);
	return add_list(config, NULL, CORES, "--cores", text, err);
}

int config_set_shapes(struct config *config, const char *text, struct gen_error *err)
{
	config->n_shapes = 0;
	free(config->shapes);
	config->shapes = NULL;
	return add_list(config, NULL, SHAPES, "--shapes", text, err);
}

/* ---- models ---- */

/* A matrix that is multiplied with activations: not looked up by row, no table. */
static int is_matmul(const struct quern_tensor *tensor)
{
	size_t n = strlen(tensor->name);

	return tensor->n_dims == 2 && n > 7 && !strcmp(tensor->name + n - 7, ".weight") &&
	       !strstr(tensor->name, "embd") && !strstr(tensor->name, "norm") &&
	       !strstr(tensor->name, "rope") && tensor->dims[0] <= MAX_SIDE &&
	       tensor->dims[1] <= MAX_SIDE && tensor->dims[0] > 0 && tensor->dims[1] > 0;
}

/* Formats in which a tensor is tuned, as bits; a format that is missing is added or left out. */
static unsigned long formats_of(struct config *config, int type, unsigned long own, int only)
{
	const int lossless = qn_format_of_type(type);
	const char *name = lossless < 0 ? NULL : qn_formats[lossless].name;
	int i;

	if (type == QUERN_F32 || type == QUERN_F16 || type == QUERN_BF16)
		return own;
	if (!name)
		return 0;
	i = find_name(&config->formats, name);
	if (i < 0 && !only) {
		i = (int)config->formats.n;
		push_name(&config->formats, name);
	}
	return i < 0 ? 0 : 1ul << i;
}

int config_set_model(struct config *config, const char *path, int only_formats,
		     struct gen_error *err)
{
	unsigned long own = (1ul << config->formats.n) - 1;
	struct quern_error why;
	struct quern_gguf *file;
	struct quern_tensor tensor;

	if (quern_gguf_open(&file, path, &why) < 0)
		return fail_set(err, "%s", why.text);
	config->n_shapes = 0;
	for (size_t i = 0; quern_gguf_tensor(file, i, &tensor) == 0; i++) {
		unsigned long formats =
			is_matmul(&tensor) ? formats_of(config, tensor.type, own, only_formats) : 0;

		if (formats)
			push_shape(config, (long)tensor.dims[1], (long)tensor.dims[0], formats);
	}
	quern_gguf_close(file);
	if (!config->n_shapes)
		return fail_set(err,
				"%s: no matrix of a type that can be tuned in the chosen formats",
				path);
	return 0;
}

/* ---- text ---- */

static void put_names(FILE *out, const char *what, const struct config_names *names)
{
	fprintf(out, "%s", what);
	for (size_t i = 0; i < names->n; i++)
		fprintf(out, " %s", names->list[i]);
	fputs("; ", out);
}

static void put_numbers(FILE *out, const char *what, const struct config_numbers *numbers)
{
	fprintf(out, "%s", what);
	for (size_t i = 0; i < numbers->n; i++)
		fprintf(out, " %ld", numbers->list[i]);
	fputs("; ", out);
}

static const char *resolve_act(const struct config *config, size_t format, size_t act)
{
	const char *name = config->acts.list[act];
	const int own = (int)qn_format_own_act(qn_format_find(config->formats.list[format]));

	if (!strcmp(name, OWN_ACT))
		return qn_format_acts[own];
	return !strcmp(name, qn_format_acts[QN_A8G256]) && own != QN_A8G256 ? NULL : name;
}

const char *config_act(const struct config *config, size_t format, size_t act)
{
	const char *name = resolve_act(config, format, act);

	for (size_t i = 0; i < act && name; i++) {
		const char *earlier = resolve_act(config, format, i);

		if (earlier && !strcmp(earlier, name))
			return NULL;
	}
	return name;
}

size_t config_n_shapes(const struct config *config, size_t format)
{
	size_t n = 0;

	for (size_t i = 0; i < config->n_shapes; i++)
		n += config->shapes[i].formats >> format & 1;
	return n;
}

char *config_text(const struct config *config)
{
	char *text;
	size_t n_bytes;
	FILE *out = fail_check(open_memstream(&text, &n_bytes));

	put_names(out, "formats", &config->formats);
	put_names(out, "acts", &config->acts);
	put_names(out, "families", &config->families);
	put_names(out, "isas", &config->isas);
	put_numbers(out, "tokens", &config->tokens);
	put_numbers(out, "threads", &config->threads);
	if (config->max_nmse > 0)
		fprintf(out, "max_nmse %g; ", config->max_nmse);
	fputs("shapes", out);
	for (size_t i = 0; i < config->n_shapes; i++) {
		const struct config_shape *shape = &config->shapes[i];
		unsigned long mask = config->formats.n < 64 ? (1ul << config->formats.n) - 1 : ~0ul;

		fprintf(out, " %ldx%ld:%lx", shape->m, shape->k, shape->formats & mask);
	}
	fclose(out);
	return fail_check(text);
}
