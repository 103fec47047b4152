/* line.c: the grammar of one protocol line. */
#include "line.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* In place; -1 for a broken escape or one that stands for NUL. */
static int unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		int high, low;

		if (*from != '%') {
			*to++ = *from;
			continue;
		}
		high = hex_digit(from[1]);
		low = high < 0 ? -1 : hex_digit(from[2]);
		if (low < 0 || (high == 0 && low == 0))
			return -1;
		*to++ = (char)(high << 4 | low);
		from += 2;
	}
	*to = 0;
	return 0;
}

static int split_pair(struct line *line, char *text, struct quern_error *err)
{
	char *value = strchr(text, '=');

	if (!value || value == text)
		return qn_error_set(err, "'%.40s' is not key=value", text);
	*value++ = 0;
	if (line_value(line, text))
		return qn_error_set(err, "%s: key '%.40s' appears twice", line->word, text);
	if (line->n_pairs == LINE_MAX_PAIRS)
		return qn_error_set(err, "%.40s: more than %d keys", line->word, LINE_MAX_PAIRS);
	if (unescape(value) < 0)
		return qn_error_set(err,
				    "%.40s: key '%.40s': '%%' wants two hexadecimal digits, "
				    "not both 0",
				    line->word, text);
	line->pairs[line->n_pairs].key = text;
	line->pairs[line->n_pairs++].value = value;
	return 0;
}

static int split(struct line *line, struct quern_error *err)
{
	char *next = line->text;

	line->word = NULL;
	line->n_pairs = 0;
	if (!*next)
		return qn_error_set(err, "empty line");
	while (next) {
		char *token = next;

		next = strchr(token, ' ');
		if (next)
			*next++ = 0;
		if (!*token)
			return qn_error_set(err, "words must be one space apart");
		if (!line->word)
			line->word = token;
		else if (split_pair(line, token, err) < 0)
			return -1;
	}
	return 0;
}

int line_read(struct line *line, FILE *in, struct quern_error *err)
{
	size_t n = 0;
	int c, bad = -1;

	while ((c = getc(in)) != EOF && c != '\n') {
		if ((c < 0x20 || c > 0x7e) && bad < 0)
			bad = c;
		if (n < sizeof(line->text))
			line->text[n++] = (char)c;
	}
	if (c == EOF && n == 0)
		return 0;
	/* The newline counts, and its place is needed for the terminator. */
	if (n == sizeof(line->text))
		return qn_error_set(err, "line longer than %d bytes", PROBE_LINE);
	if (bad >= 0)
		return qn_error_set(err, "byte 0x%02x in a line", (unsigned)bad);
	line->text[n] = 0;
	return split(line, err) < 0 ? -1 : 1;
}

static int is_listed(const char *key, const char *keys)
{
	size_t n = strlen(key);

	for (const char *p = keys; *p; p += strspn(p, " ")) {
		size_t length = strcspn(p, " ");

		if (length == n && memcmp(p, key, n) == 0)
			return 1;
		p += length;
	}
	return 0;
}

int line_check_keys(const struct line *line, const char *keys, struct quern_error *err)
{
	for (int i = 0; i < line->n_pairs; i++)
		if (!is_listed(line->pairs[i].key, keys))
			return qn_error_set(err, "%.40s: unknown key '%.40s'", line->word,
					    line->pairs[i].key);
	for (const char *p = keys; *p; p += strspn(p, " ")) {
		int length = (int)strcspn(p, " ");
		char key[32];

		snprintf(key, sizeof(key), "%.*s", length, p);
		if (!line_value(line, key))
			return qn_error_set(err, "%.40s: key '%s' is missing", line->word, key);
		p += length;
	}
	return 0;
}

const char *line_value(const struct line *line, const char *key)
{
	for (int i = 0; i < line->n_pairs; i++)
		if (strcmp(line->pairs[i].key, key) == 0)
			return line->pairs[i].value;
	return NULL;
}

int line_number(const struct line *line, const char *key, uint64_t min, uint64_t max,
		uint64_t *number, struct quern_error *err)
{
	const char *text = line_value(line, key);
	uint64_t n = 0;
	int ok = text && *text;

	for (const char *p = text; ok && *p; p++) {
		uint64_t digit = (uint64_t)*p - '0';

		ok = digit <= 9 && n <= (UINT64_MAX - digit) / 10;
		n = n * 10 + digit;
	}
	if (!ok || n < min || n > max)
		return qn_error_set(err, "%.40s: %s=%.40s: must be a number from %llu to %llu",
				    line->word, key, text ? text : "", (unsigned long long)min,
				    (unsigned long long)max);
	*number = n;
	return 0;
}

int line_decimal(const struct line *line, const char *key, double min, double max, double *number,
		 struct quern_error *err)
{
	static const char digits[] = "0123456789";
	const char *text = line_value(line, key);
	size_t whole = text ? strspn(text, digits) : 0;
	size_t part = whole && text[whole] == '.' ? strspn(text + whole + 1, digits) : 0;
	double n = whole ? strtod(text, NULL) : 0;

	if (!whole || text[whole + (part ? 1 + part : 0)] || n < min || n > max)
		return qn_error_set(err, "%.40s: %s=%.40s: must be a number from %g to %g",
				    line->word, key, text ? text : "", min, max);
	*number = n;
	return 0;
}

void line_put(struct line_out *out, const char *format, ...)
{
	size_t room = sizeof(out->text) - 1 - out->n; /* the last byte is the newline's */
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(out->text + out->n, room + 1, format, args);
	va_end(args);
	if (n < 0)
		return;
	for (size_t end = out->n + ((size_t)n < room ? (size_t)n : room); out->n < end; out->n++)
		if (out->text[out->n] < 0x20 || out->text[out->n] > 0x7e)
			out->text[out->n] = '?';
}

void line_put_value(struct line_out *out, const char *key, const char *value)
{
	line_put(out, " %s=%s", key, *value ? "" : "-");
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		if (c > 0x20 && c < 0x7f && c != '%')
			line_put(out, "%c", c);
		else
			line_put(out, "%%%02x", c);
	}
}

int line_write(struct line_out *out, FILE *to)
{
	out->text[out->n] = '\n';
	if (fwrite(out->text, 1, out->n + 1, to) != out->n + 1 || fflush(to) != 0)
		return -1;
	return 0;
}
