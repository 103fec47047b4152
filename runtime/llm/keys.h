/*
 * keys.h: numbers among the keys of a GGUF file, checked.
 */
#ifndef QN_KEYS_H
#define QN_KEYS_H

#include "../quern.h"

struct qn_keys {
	const struct quern_gguf *file;
	const char *arch; /* keys are named <arch>.<name> */
};

/*
 * Integer key <arch>.<name> from low to high.  A key that is not there leaves *value when that lies in the
 * range, and is an error otherwise; a key of another type or size is one, too.
 */
int qn_keys_long(const struct qn_keys *keys, const char *name, long low, long high, long *value,
		 struct quern_error *err);

/* The same for a finite number. */
int qn_keys_float(const struct qn_keys *keys, const char *name, double low, double high,
		  double *value, struct quern_error *err);

/* A string, compared: 1 when <arch>.<name> is there and is text. */
int qn_keys_is(const struct qn_keys *keys, const char *name, const char *text);

/* Is <arch>.<name> there? */
int qn_keys_has(const struct qn_keys *keys, const char *name);

#endif
