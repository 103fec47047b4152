/*
 * unicode.c: looks code points up in the table of classes and reads UTF-8.
 *
 * UTF-8 is taken strictly, as table 3-7 of the Unicode standard has it: no character is written
 * longer than it need be, none is a surrogate, none lies beyond U+10FFFF.
 */
#include "unicode.h"

enum qn_unicode_class qn_unicode_class(uint32_t code)
{
	size_t low = 0, high = qn_unicode_n_ranges; /* the range is among low .. high-1 */
	uint32_t class;

	if (code > 0x10ffff)
		return QN_UNICODE_OTHER;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (qn_unicode_ranges[middle] >> 4 <= code)
			low = middle;
		else
			high = middle;
	}
	class = qn_unicode_ranges[low] & 15;
	if (class != QN_UNICODE_PAIRS)
		return (enum qn_unicode_class) class;
	return (code - (qn_unicode_ranges[low] >> 4)) % 2 ? QN_UNICODE_LOWER : QN_UNICODE_UPPER;
}

int qn_unicode_decode(const char *text, size_t n_bytes, uint32_t *code)
{
	const uint8_t *p = (const uint8_t *)text;
	uint8_t low = 0x80, high = 0xbf; /* of the second byte */
	int length;

	*code = p[0];
	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return -1;
	length = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (p[0] == 0xe0)
		low = 0xa0; /* else two bytes would do */
	else if (p[0] == 0xed)
		high = 0x9f; /* else a surrogate */
	else if (p[0] == 0xf0)
		low = 0x90; /* else three bytes would do */
	else if (p[0] == 0xf4)
		high = 0x8f; /* else beyond U+10FFFF */
	*code &= 0x7fu >> length;
	for (int i = 1; i < length; i++) {
		if ((size_t)i == n_bytes)
			return 0;
		if (p[i] < low || p[i] > high)
			return -i;
		*code = *code << 6 | (p[i] & 0x3f);
		low = 0x80;
		high = 0xbf;
	}
	return length;
}
