/* error.h: how the library says what went wrong. */
#ifndef QN_ERROR_H
#define QN_ERROR_H

#include "quern.h"

/* Writes one sentence (no final newline; cut when too long) to *err unless err is NULL; returns -1.
 */
int qn_error_set(struct quern_error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
