/*
 * unicode.h: classes of code points, and UTF-8 that may be damaged.
 */
#ifndef QN_UNICODE_H
#define QN_UNICODE_H

#include <stddef.h>
#include <stdint.h>

/* What the regular expressions that split text into words ask for, by general category. */
enum qn_unicode_class {
	QN_UNICODE_OTHER,
	QN_UNICODE_UPPER,  /* Lu, Lt */
	QN_UNICODE_LOWER,  /* Ll */
	QN_UNICODE_LETTER, /* Lm, Lo */
	QN_UNICODE_MARK,   /* M */
	QN_UNICODE_NUMBER, /* N */
	QN_UNICODE_SPACE,  /* White_Space: \s of the regular expressions */
	QN_UNICODE_PAIRS   /* of ranges only: UPPER and LOWER in turn, from the range's first on */
};

/*
 * Where each class begins: the code point << 4, then the class, in order.  A range ends where the
 * next one begins.  unicode_table.c is written by tests/unicode.pl.
 */
extern const uint32_t qn_unicode_ranges[];
extern const size_t qn_unicode_n_ranges;

/* Any number is accepted; those that are no code points are OTHER. */
enum qn_unicode_class qn_unicode_class(uint32_t code);

/*
 * The character at text, of which n_bytes >= 1 may be read: its length, with the code point in
 * *code. 0: all n_bytes are the beginning of a character.  -k: the first k bytes, 1 to 3, belong to
 * none; together they count as one U+FFFD.
 */
int qn_unicode_decode(const char *text, size_t n_bytes, uint32_t *code);

#define QN_UNICODE_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

#endif
