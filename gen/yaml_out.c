/*
 * yaml_out.c: values to libyaml's events.
 *
 * A string is quoted when some reader could take it for something else; lines are never folded, so
 * that one flow mapping is one line of a results file.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <yaml.h>

#include "yaml.h"

struct yaml_out {
	yaml_emitter_t emitter;
	FILE *file;
	int failed;
};

/* Emits an event that was made (made != 0) or could not be. */
static void put(struct yaml_out *out, yaml_event_t *event, int made)
{
	if (!made)
		out->failed = 1;
	else if (out->failed)
		yaml_event_delete(event);
	else if (!yaml_emitter_emit(&out->emitter, event))
		out->failed = 1;
}

struct yaml_out *yaml_out_open(FILE *file)
{
	struct yaml_out *out = calloc(1, sizeof *out);
	yaml_event_t event;

	if (!out)
		return NULL;
	if (!yaml_emitter_initialize(&out->emitter)) {
		free(out);
		return NULL;
	}
	out->file = file;
	yaml_emitter_set_output_file(&out->emitter, file);
	yaml_emitter_set_encoding(&out->emitter, YAML_UTF8_ENCODING);
	yaml_emitter_set_unicode(&out->emitter, 1);
	yaml_emitter_set_width(&out->emitter, -1);
	put(out, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
	put(out, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1));
	return out;
}

void yaml_out_map(struct yaml_out *out, int flow)
{
	yaml_event_t event;

	if (out) {
		put(out, &event,
		    yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
							flow ? YAML_FLOW_MAPPING_STYLE
							     : YAML_BLOCK_MAPPING_STYLE));
	}
}

void yaml_out_list(struct yaml_out *out, int flow)
{
	yaml_event_t event;

	if (out) {
		put(out, &event,
		    yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
							 flow ? YAML_FLOW_SEQUENCE_STYLE
							      : YAML_BLOCK_SEQUENCE_STYLE));
	}
}

void yaml_out_end_map(struct yaml_out *out)
{
	yaml_event_t event;

	if (out)
		put(out, &event, yaml_mapping_end_event_initialize(&event));
}

void yaml_out_end_list(struct yaml_out *out)
{
	yaml_event_t event;

	if (out)
		put(out, &event, yaml_sequence_end_event_initialize(&event));
}

static void put_scalar(struct yaml_out *out, const char *text, yaml_scalar_style_t style)
{
	yaml_event_t event;

	put(out, &event,
	    yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text,
					 (int)strlen(text), 1, 1, style));
}

/* Would some reader (ours, or one of YAML 1.1) take this for a number, a date, a truth, a null? */
static int looks_typed(const char *text)
{
	static const char *const words[] = {
		"",  "~", "null", "true", "false", "yes",  "no",    "on",    "off",
		"y", "n", "<<",   "=",    ".nan",  ".inf", "+.inf", "-.inf",
	};
	const char *digits = text + strspn(text, "+-.");

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strcasecmp(text, words[i]) == 0)
			return 1;
	}
	if (!isdigit((unsigned char)*digits))
		return 0;
	return (*digits == '0' && digits[1] && strchr("xXoObB", digits[1])) ||
	       !digits[strspn(digits, "0123456789+-.,:_eEtTzZ ")];
}

/* Bytes of the well-formed UTF-8 character at s, 0 when it is none (Unicode, table 3-7). */
static int character_bytes(const unsigned char *s)
{
	int n = *s < 0x80 ? 1 : *s < 0xc2 ? 0 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : *s < 0xf5 ? 4 : 0;

	for (int i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) ||
	    (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* Copy in which a byte that is not UTF-8 has become U+FFFD. */
static char *clean_text(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	char *clean = malloc(3 * strlen(text) + 1), *to = clean;

	if (!clean)
		return NULL;
	while (*s) {
		int n = character_bytes(s);

		memcpy(to, n ? (const char *)s : "\xef\xbf\xbd", n ? n : 3);
		to += n ? n : 3;
		s += n ? n : 1;
	}
	*to = '\0';
	return clean;
}

static int has_control(const char *text)
{
	for (; *text; text++) {
		if (iscntrl((unsigned char)*text) || (unsigned char)*text >= 0x80)
			return 1;
	}
	return 0;
}

void yaml_out_text(struct yaml_out *out, const char *text)
{
	char *clean;

	if (!out)
		return;
	clean = clean_text(text);
	if (!clean) {
		out->failed = 1;
		return;
	}
	put_scalar(out, clean,
		   looks_typed(clean) || has_control(clean) ? YAML_DOUBLE_QUOTED_SCALAR_STYLE
							    : YAML_PLAIN_SCALAR_STYLE);
	free(clean);
}

void yaml_out_format(struct yaml_out *out, const char *format, ...)
{
	char *text;
	va_list args;
	int n;

	if (!out)
		return;
	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0) {
		out->failed = 1;
		return;
	}
	put_scalar(out, text, YAML_PLAIN_SCALAR_STYLE);
	free(text);
}

int yaml_out_close(struct yaml_out *out)
{
	yaml_event_t event;
	int failed;

	if (!out)
		return -1;
	put(out, &event, yaml_document_end_event_initialize(&event, 1));
	put(out, &event, yaml_stream_end_event_initialize(&event));
	failed = out->failed || fflush(out->file) != 0 || ferror(out->file);
	yaml_emitter_delete(&out->emitter);
	free(out);
	return failed ? -1 : 0;
}
