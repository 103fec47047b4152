/*
 * fail.h: how the tuner says what went wrong, and its memory.
 *
 * The tuner's own lists are small; when even these cannot be had the process ends at once, which
 * loses nothing: the journal holds everything measured.
 */
#ifndef TUNER_FAIL_H
#define TUNER_FAIL_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen/gen.h"

/* Writes one sentence to *err; returns -1. */
__attribute__((format(printf, 2, 3))) static inline int fail_set(struct gen_error *err,
								 const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return -1;
}

/* Memory, or the end. */
static inline void *fail_check(void *memory)
{
	if (!memory) {
		fputs("quern: out of memory\n", stderr);
		_Exit(1);
	}
	return memory;
}

static inline void *fail_alloc(size_t n, size_t size)
{
	return fail_check(calloc(n ? n : 1, size));
}

/* Room for one item more in a list of n; the list is doubled at every power of two. */
static inline void *fail_grow(void *list, size_t n, size_t size)
{
	if (n & (n - 1))
		return list;
	return fail_check(realloc(list, (n ? 2 * n : 1) * size));
}

static inline char *fail_vtext(const char *format, va_list args)
{
	char *text;

	return fail_check(vasprintf(&text, format, args) < 0 ? NULL : text);
}

__attribute__((format(printf, 1, 2))) static inline char *fail_text(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = fail_vtext(format, args);
	va_end(args);
	return text;
}

/* A copy; of NULL, NULL. */
static inline char *fail_copy(const char *text)
{
	return text ? fail_text("%s", text) : NULL;
}

#endif
