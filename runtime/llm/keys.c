/*
 * keys.c: numbers among the keys of a GGUF file, checked.
 */
#include "keys.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../error.h"

enum { MAX_NAME = 192 };

/* 1 when it is there. */
static int find(const struct qn_keys *keys, const char *name, char full[MAX_NAME],
		struct quern_value *value)
{
	snprintf(full, MAX_NAME, "%s.%s", keys->arch, name);
	return quern_gguf_find_key(keys->file, full, value) == 0;
}

int qn_keys_has(const struct qn_keys *keys, const char *name)
{
	struct quern_value value;
	char full[MAX_NAME];

	return find(keys, name, full, &value);
}

int qn_keys_is(const struct qn_keys *keys, const char *name, const char *text)
{
	struct quern_value value;
	char full[MAX_NAME];

	return find(keys, name, full, &value) && value.type == QUERN_STRING &&
	       value.count == strlen(text) && !memcmp(value.s, text, value.count);
}

static int is_unsigned(int type)
{
	return type == QUERN_U8 || type == QUERN_U16 || type == QUERN_U32 || type == QUERN_U64 ||
	       type == QUERN_BOOL;
}

static int is_signed(int type)
{
	return type == QUERN_I8 || type == QUERN_I16 || type == QUERN_I32 || type == QUERN_I64;
}

int qn_keys_long(const struct qn_keys *keys, const char *name, long low, long high, long *value,
		 struct quern_error *err)
{
	struct quern_value found;
	char full[MAX_NAME];

	if (!find(keys, name, full, &found)) {
		if (*value >= low && *value <= high)
			return 0;
		return qn_error_set(err, "key %s is missing; it must be from %ld to %ld", full, low,
				    high);
	}
	if (is_unsigned(found.type) && found.u <= (uint64_t)high && (long)found.u >= low) {
		*value = (long)found.u;
		return 0;
	}
	if (is_signed(found.type) && found.i >= low && found.i <= high) {
		*value = (long)found.i;
		return 0;
	}
	if (is_unsigned(found.type))
		return qn_error_set(err, "key %s is %" PRIu64 "; it must be from %ld to %ld", full,
				    found.u, low, high);
	if (is_signed(found.type))
		return qn_error_set(err, "key %s is %" PRId64 "; it must be from %ld to %ld", full,
				    found.i, low, high);
	return qn_error_set(err, "key %s is not an integer%s", full,
			    found.type == QUERN_ARRAY ? ": values for each layer are not supported"
						      : "");
}

int qn_keys_float(const struct qn_keys *keys, const char *name, double low, double high,
		  double *value, struct quern_error *err)
{
	struct quern_value found;
	char full[MAX_NAME];

	if (!find(keys, name, full, &found)) {
		if (*value >= low && *value <= high)
			return 0;
		return qn_error_set(err, "key %s is missing; it must be from %g to %g", full, low,
				    high);
	}
	if (found.type != QUERN_FLOAT32 && found.type != QUERN_FLOAT64)
		return qn_error_set(err, "key %s is not a number with a fraction", full);
	if (!(found.f >= low && found.f <= high))
		return qn_error_set(err, "key %s is %g; it must be from %g to %g", full, found.f,
				    low, high);
	*value = found.f;
	return 0;
}
