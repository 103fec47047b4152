/*
 * line.h: lines of the protocol of probe.h, read strictly and written safely.
 *
 * A line is "word key=value key=value ...", one space apart.  Whatever bytes come in, reading ends
 * at the next newline, so one bad line never spoils the one after it.
 */
#ifndef TUNER_LINE_H
#define TUNER_LINE_H

#include <stdint.h>
#include <stdio.h>

#include "runtime/quern.h"

#define PROBE_LINE 2048

#define LINE_MAX_PAIRS 8

struct line {
	char text[PROBE_LINE];
	const char *word; /* these point into text */
	struct {
		const char *key, *value; /* value is unescaped */
	} pairs[LINE_MAX_PAIRS];
	int n_pairs;
};

/*
 * Reads and splits the next line (a last one without newline, too).  Returns 1, 0 at end of input,
 * or -1 for a line that breaks the grammar; it has been consumed.
 */
int line_read(struct line *line, FILE *in, struct quern_error *err);

/* 0 when the line has exactly the keys named in `keys` ("i seed"), in any order. */
int line_check_keys(const struct line *line, const char *keys, struct quern_error *err);

/* Value of a key, or NULL. */
const char *line_value(const struct line *line, const char *key);

/* Decimal value of a key in [min, max]: digits only, no sign, no space. */
int line_number(const struct line *line, const char *key, uint64_t min, uint64_t max,
		uint64_t *number, struct quern_error *err);

/* Likewise with digits behind a point: "2" or "0.25". */
int line_decimal(const struct line *line, const char *key, double min, double max, double *number,
		 struct quern_error *err);

/* A line to be written; what does not fit is cut. */
struct line_out {
	char text[PROBE_LINE];
	size_t n;
};

/* Appends; bytes that may not stand in a line become '?'. */
void line_put(struct line_out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends " key=value" with the value escaped, "-" for an empty one. */
void line_put_value(struct line_out *out, const char *key, const char *value);

/* Ends the line and flushes it; -1 when nobody reads. */
int line_write(struct line_out *out, FILE *to);

#endif
