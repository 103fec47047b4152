/* error.c: sentences for struct quern_error. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

int qn_error_set(struct quern_error *err, const char *format, ...)
{
	va_list args;

	if (!err)
		return -1;
	va_start(args, format);
	if (vsnprintf(err->text, sizeof(err->text), format, args) < 0)
		err->text[0] = '\0';
	va_end(args);
	return -1;
}
