/*
 * yaml.c: libyaml's events to trees.
 *
 * A tree lives in one arena.  While a document is read, finished nodes wait on a stack; when a
 * sequence or mapping ends, its part of the stack becomes its arrays.  libyaml exports the name
 * yaml_free for itself, so nothing here may be called that.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "yaml.h"

#define MAX_BYTES ((size_t)256 << 20)
#define MAX_DEPTH 64
#define CHUNK_BYTES ((size_t)64 << 10)

struct chunk {
	struct chunk *next;
	size_t used, size;
	max_align_t data[];
};

struct yaml {
	char *name;
	struct yaml_node *root;
	struct chunk *chunks;
};

/* A sequence or mapping that is still open; its children begin at `first` of the stack. */
struct frame {
	struct yaml_node *node;
	size_t first;
};

struct reader {
	yaml_parser_t parser;
	struct yaml *yaml;
	const char *text;
	size_t n_bytes;
	struct gen_error *err;
	struct frame frames[MAX_DEPTH];
	int depth;
	struct yaml_node **stack;
	size_t n_stack, max_stack;
};

/* ---- errors ---- */

static int complain(const char *name, size_t line, struct gen_error *err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int complain_list(const char *name, size_t line, struct gen_error *err, const char *format,
			 va_list args)
{
	int n = snprintf(err->text, sizeof err->text, "%s:%zu: ", name, line);

	if (n >= 0 && (size_t)n < sizeof err->text)
		vsnprintf(err->text + n, sizeof err->text - n, format, args);
	return -1;
}

static int complain(const char *name, size_t line, struct gen_error *err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain_list(name, line, err, format, args);
	va_end(args);
	return -1;
}

int yaml_complain(const struct yaml *yaml, const struct yaml_node *node, struct gen_error *err,
		  const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain_list(yaml->name, node ? node->line : 1, err, format, args);
	va_end(args);
	return -1;
}

/* ---- memory ---- */

static void *take(struct yaml *yaml, size_t n_bytes)
{
	struct chunk *chunk = yaml->chunks;
	void *p;

	n_bytes = (n_bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
	if (!chunk || chunk->size - chunk->used < n_bytes) {
		size_t size = n_bytes > CHUNK_BYTES ? n_bytes : CHUNK_BYTES;

		chunk = malloc(sizeof *chunk + size);
		if (!chunk)
			return NULL;
		chunk->next = yaml->chunks;
		chunk->used = 0;
		chunk->size = size;
		yaml->chunks = chunk;
	}
	p = (char *)chunk->data + chunk->used;
	chunk->used += n_bytes;
	return p;
}

void yaml_close(struct yaml *yaml)
{
	if (!yaml)
		return;
	while (yaml->chunks) {
		struct chunk *next = yaml->chunks->next;

		free(yaml->chunks);
		yaml->chunks = next;
	}
	free(yaml->name);
	free(yaml);
}

/* ---- reading ---- */

static int complain_memory(struct reader *r)
{
	return complain(r->yaml->name, r->parser.mark.line + 1, r->err, "out of memory");
}

/* libyaml gives a byte offset for bad bytes and a mark for bad syntax. */
static int complain_parser(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	size_t line = p->problem_mark.line + 1;

	if (p->error == YAML_MEMORY_ERROR || !p->problem)
		return complain_memory(r);
	if (p->error == YAML_READER_ERROR) {
		line = 1;
		for (size_t i = 0; i < p->problem_offset && i < r->n_bytes; i++)
			line += r->text[i] == '\n';
	}
	return complain(r->yaml->name, line, r->err, "%s%s%s", p->context ? p->context : "",
			p->context ? ", " : "", p->problem);
}

static struct yaml_node *add_node(struct reader *r, enum yaml_kind kind, const yaml_event_t *event)
{
	struct yaml_node *node = take(r->yaml, sizeof *node);

	if (!node)
		return NULL;
	memset(node, 0, sizeof *node);
	node->kind = kind;
	node->line = (int)event->start_mark.line + 1;
	if (r->n_stack == r->max_stack) {
		size_t max = r->max_stack ? 2 * r->max_stack : 64;
		struct yaml_node **stack = realloc(r->stack, max * sizeof *stack);

		if (!stack)
			return NULL;
		r->stack = stack;
		r->max_stack = max;
	}
	r->stack[r->n_stack++] = node;
	return node;
}

static int at_key(const struct reader *r)
{
	const struct frame *top = r->depth ? &r->frames[r->depth - 1] : NULL;

	return top && top->node->kind == YAML_MAPPING && (r->n_stack - top->first) % 2 == 0;
}

static int check_plain_node(struct reader *r, const yaml_event_t *event, const void *anchor,
			    const void *tag)
{
	size_t line = event->start_mark.line + 1;

	if (anchor)
		return complain(r->yaml->name, line, r->err, "anchors are not allowed here");
	if (tag)
		return complain(r->yaml->name, line, r->err, "tags are not allowed here");
	return 0;
}

static int read_scalar(struct reader *r, const yaml_event_t *event)
{
	size_t length = event->data.scalar.length;
	struct yaml_node *node;
	char *text;

	if (check_plain_node(r, event, event->data.scalar.anchor, event->data.scalar.tag) < 0)
		return -1;
	if (memchr(event->data.scalar.value, 0, length)) {
		return complain(r->yaml->name, event->start_mark.line + 1, r->err,
				"a string must not hold a zero byte");
	}
	node = add_node(r, YAML_SCALAR, event);
	text = node ? take(r->yaml, length + 1) : NULL;
	if (!text)
		return complain_memory(r);
	memcpy(text, event->data.scalar.value, length + 1);
	node->text = text;
	node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	return 0;
}

static int begin_node(struct reader *r, const yaml_event_t *event, enum yaml_kind kind)
{
	size_t line = event->start_mark.line + 1;
	struct yaml_node *node;

	if (at_key(r)) {
		return complain(r->yaml->name, line, r->err,
				"a key must be a single word or string");
	}
	if (r->depth == MAX_DEPTH) {
		return complain(r->yaml->name, line, r->err, "nested deeper than %d levels",
				MAX_DEPTH);
	}
	node = add_node(r, kind, event);
	if (!node)
		return complain_memory(r);
	r->frames[r->depth].node = node;
	r->frames[r->depth].first = r->n_stack;
	r->depth++;
	return 0;
}

static int compare_keys(const void *a, const void *b)
{
	const struct yaml_node *const *x = a, *const *y = b;
	int order = strcmp((*x)->text, (*y)->text);

	return order ? order : (*x)->line - (*y)->line;
}

/* sorted: room for n keys. */
static int check_keys(struct reader *r, const struct yaml_node *node, struct yaml_node **sorted)
{
	memcpy(sorted, node->keys, node->n * sizeof *sorted);
	qsort(sorted, node->n, sizeof *sorted, compare_keys);
	for (size_t i = 1; i < node->n; i++) {
		if (strcmp(sorted[i - 1]->text, sorted[i]->text) == 0) {
			return yaml_complain(r->yaml, sorted[i], r->err,
					     "key '%s' is already on line %d", sorted[i]->text,
					     sorted[i - 1]->line);
		}
	}
	return 0;
}

static int end_node(struct reader *r)
{
	struct frame *frame = &r->frames[--r->depth];
	struct yaml_node *node = frame->node, **children = r->stack + frame->first;
	size_t n = r->n_stack - frame->first;

	r->n_stack = frame->first;
	if (n == 0)
		return 0;
	node->items = take(r->yaml, n * sizeof *node->items);
	if (!node->items)
		return complain_memory(r);
	if (node->kind == YAML_SEQUENCE) {
		node->n = n;
		memcpy(node->items, children, n * sizeof *node->items);
		return 0;
	}
	node->n = n / 2;
	node->keys = node->items + node->n;
	for (size_t i = 0; i < node->n; i++) {
		node->keys[i] = children[2 * i];
		node->items[i] = children[2 * i + 1];
	}
	return check_keys(r, node, children);
}

/* 1 when the document is complete. */
static int read_event(struct reader *r, const yaml_event_t *event)
{
	size_t line = event->start_mark.line + 1;

	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (r->n_stack)
			return complain(r->yaml->name, line, r->err, "a second document begins");
		return 0;
	case YAML_SCALAR_EVENT: return read_scalar(r, event);
	case YAML_SEQUENCE_START_EVENT:
		if (check_plain_node(r, event, event->data.sequence_start.anchor,
				     event->data.sequence_start.tag) < 0)
			return -1;
		return begin_node(r, event, YAML_SEQUENCE);
	case YAML_MAPPING_START_EVENT:
		if (check_plain_node(r, event, event->data.mapping_start.anchor,
				     event->data.mapping_start.tag) < 0)
			return -1;
		return begin_node(r, event, YAML_MAPPING);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT: return end_node(r);
	case YAML_ALIAS_EVENT:
		return complain(r->yaml->name, line, r->err, "aliases are not allowed here");
	case YAML_STREAM_END_EVENT:
		if (!r->n_stack)
			return complain(r->yaml->name, line, r->err, "there is no document");
		r->yaml->root = r->stack[0];
		return 1;
	default: return 0;
	}
}

static int read_events(struct reader *r)
{
	int status = 0;

	if (!yaml_parser_initialize(&r->parser))
		return complain(r->yaml->name, 1, r->err, "out of memory");
	yaml_parser_set_input_string(&r->parser, (const unsigned char *)r->text, r->n_bytes);
	while (status == 0) {
		yaml_event_t event;

		if (!yaml_parser_parse(&r->parser, &event)) {
			status = complain_parser(r);
			break;
		}
		status = read_event(r, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&r->parser);
	free(r->stack);
	return status < 0 ? -1 : 0;
}

struct yaml *yaml_parse(const char *name, const char *text, size_t n_bytes, struct gen_error *err)
{
	struct reader reader = {.text = text, .n_bytes = n_bytes, .err = err};
	struct yaml *yaml = calloc(1, sizeof *yaml);

	if (!yaml || !(yaml->name = strdup(name))) {
		complain(name, 1, err, "out of memory");
		goto fail;
	}
	if (n_bytes > MAX_BYTES) {
		complain(name, 1, err, "larger than %zu MiB", MAX_BYTES >> 20);
		goto fail;
	}
	reader.yaml = yaml;
	if (read_events(&reader) < 0)
		goto fail;
	return yaml;
fail:
	yaml_close(yaml);
	return NULL;
}

/* The whole of a file, at most one byte more than is allowed. */
static char *read_file(FILE *file, size_t *n_bytes)
{
	size_t n = 0, max = 16 << 10;
	char *text = malloc(max);

	while (text) {
		char *larger;

		n += fread(text + n, 1, max - n, file);
		if (n < max || n > MAX_BYTES)
			break;
		max = max < MAX_BYTES ? 2 * max : max + 1;
		larger = realloc(text, max);
		if (!larger)
			free(text);
		text = larger;
	}
	*n_bytes = n;
	return text;
}

struct yaml *yaml_read(const char *path, struct gen_error *err)
{
	FILE *file = fopen(path, "rb");
	struct yaml *yaml = NULL;
	size_t n_bytes;
	char *text;

	if (!file) {
		snprintf(err->text, sizeof err->text, "%s: %s", path, strerror(errno));
		return NULL;
	}
	errno = 0;
	text = read_file(file, &n_bytes);
	if (!text)
		complain(path, 1, err, "out of memory");
	else if (ferror(file))
		snprintf(err->text, sizeof err->text, "%s: %s", path, strerror(errno));
	else
		yaml = yaml_parse(path, text, n_bytes, err);
	free(text);
	fclose(file);
	return yaml;
}

/* ---- looking ---- */

const struct yaml_node *yaml_root(const struct yaml *yaml)
{
	return yaml->root;
}

const char *yaml_name(const struct yaml *yaml)
{
	return yaml->name;
}

const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key)
{
	if (!node || node->kind != YAML_MAPPING)
		return NULL;
	for (size_t i = 0; i < node->n; i++) {
		if (strcmp(node->keys[i]->text, key) == 0)
			return node->items[i];
	}
	return NULL;
}

/* Text of a scalar that may be a number, or "". */
static const char *number_text(const struct yaml_node *node)
{
	return node && node->kind == YAML_SCALAR && !node->quoted ? node->text : "";
}

/* [-+] digits, or 0x and hexadecimal digits: strtol alone takes white space and more. */
int yaml_long(const struct yaml_node *node, long *value)
{
	const char *text = number_text(node);
	int hex = strncmp(text, "0x", 2) == 0;
	const char *digits = hex ? text + 2 : text;
	char *end;
	long n;

	if (!*text || digits[strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789+-")])
		return -1;
	errno = 0;
	n = strtol(text, &end, hex ? 16 : 10);
	if (*end || errno)
		return -1;
	*value = n;
	return 0;
}

/* Digits with a sign, point and exponent: strtod alone takes "nan", "0x1p3" and more. */
int yaml_double(const struct yaml_node *node, double *value)
{
	const char *text = number_text(node);
	char *end;
	double x;

	if (!*text || text[strspn(text, "0123456789+-.eE")])
		return -1;
	x = strtod(text, &end);
	if (*end || !isfinite(x))
		return -1;
	*value = x;
	return 0;
}
