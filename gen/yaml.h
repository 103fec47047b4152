/*
 * yaml.h: YAML documents as trees that remember where they came from.
 *
 * Reading goes through libyaml; one document a file; anchors and tags are refused.
 */
#ifndef GEN_YAML_H
#define GEN_YAML_H

#include <stdio.h>

#include "gen.h"

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node {
	enum yaml_kind kind;
	int line;                 /* 1-based */
	const char *text;         /* of a scalar */
	int quoted;               /* a scalar written in quotes is always a string */
	size_t n;                 /* items of a sequence, pairs of a mapping */
	struct yaml_node **items; /* values */
	struct yaml_node **keys;  /* of a mapping: scalars, no two alike */
};

struct yaml;

/*
 * NULL with "path:line: sentence" in *err.  Files above 256 MiB or nested deeper than 64 are
 * refused.
 */
struct yaml *yaml_read(const char *path, struct gen_error *err);
struct yaml *yaml_parse(const char *name, const char *text, size_t n_bytes, struct gen_error *err);
void yaml_close(struct yaml *yaml); /* NULL is allowed; the name yaml_free is libyaml's own */
const struct yaml_node *yaml_root(const struct yaml *yaml);
const char *yaml_name(const struct yaml *yaml);

/* Value of a key of a mapping, or NULL (also when node is NULL or no mapping). */
const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key);

/* Scalars as numbers: 0, or -1 when node is not one or does not fit. */
int yaml_long(const struct yaml_node *node, long *value);
int yaml_double(const struct yaml_node *node, double *value);

/* Sets *err to "name:line: sentence" and returns -1. */
int yaml_complain(const struct yaml *yaml, const struct yaml_node *node, struct gen_error *err,
		  const char *format, ...) __attribute__((format(printf, 4, 5)));

/*
 * Writing: block style, with flow style for the innermost mappings and sequences the caller asks
 * for; scalars are quoted when they must be.  The first failure sticks and is told by
 * yaml_out_close (which does not close the FILE).  Bytes that are not UTF-8 become U+FFFD.  An out
 * of NULL, which is what yaml_out_open returns without memory, may be written to and fails at the
 * end.
 */
struct yaml_out;
struct yaml_out *yaml_out_open(FILE *file);
void yaml_out_map(struct yaml_out *out, int flow);
void yaml_out_list(struct yaml_out *out, int flow);
void yaml_out_end_map(struct yaml_out *out);
void yaml_out_end_list(struct yaml_out *out);
void yaml_out_text(struct yaml_out *out, const char *text); /* a key or a string value */
void yaml_out_format(struct yaml_out *out, const char *format,
		     ...) /* a number or plain word, unquoted */
	__attribute__((format(printf, 2, 3)));
int yaml_out_close(struct yaml_out *out);

#endif
