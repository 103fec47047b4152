/*
 * test_unicode.c: classes of code points and damaged UTF-8.
 *
 * "test_unicode dump" writes where each class begins, for unicode.sh.
 */
#include "../runtime/llm/unicode.h"
#include "check.h"

#include <stdlib.h>

static void dump(void)
{
	int last = -1;

	for (uint32_t code = 0; code <= 0x10ffff; code++) {
		int class = (int)qn_unicode_class(code);

		if (class != last)
			printf("%x %d\n", (unsigned)code, class);
		last = class;
	}
}

static void test_classes(void)
{
	static const struct {
		uint32_t code;
		enum qn_unicode_class class;
	} known[] = {{0, QN_UNICODE_OTHER},
		     {'\t', QN_UNICODE_SPACE},
		     {0x0b, QN_UNICODE_SPACE},
		     {0x1c, QN_UNICODE_OTHER}, /* a space for Python, but not White_Space */
		     {' ', QN_UNICODE_SPACE},
		     {'!', QN_UNICODE_OTHER},
		     {'0', QN_UNICODE_NUMBER},
		     {'9', QN_UNICODE_NUMBER},
		     {'A', QN_UNICODE_UPPER},
		     {'Z', QN_UNICODE_UPPER},
		     {'_', QN_UNICODE_OTHER},
		     {'z', QN_UNICODE_LOWER},
		     {0x85, QN_UNICODE_SPACE},
		     {0xa0, QN_UNICODE_SPACE},
		     {0xaa, QN_UNICODE_LETTER}, /* feminine ordinal */
		     {0xbd, QN_UNICODE_NUMBER}, /* one half */
		     {0x100, QN_UNICODE_UPPER}, /* A with macron, then a with macron ... */
		     {0x101, QN_UNICODE_LOWER},
		     {0x12e, QN_UNICODE_UPPER},
		     {0x1c5, QN_UNICODE_UPPER}, /* title case */
		     {0x301, QN_UNICODE_MARK},
		     {0x2b0, QN_UNICODE_LETTER},
		     {0x431, QN_UNICODE_LOWER},
		     {0x660, QN_UNICODE_NUMBER},
		     {0x17d2, QN_UNICODE_MARK},
		     {0x200b, QN_UNICODE_OTHER}, /* zero width space is none */
		     {0x2028, QN_UNICODE_SPACE},
		     {0x3000, QN_UNICODE_SPACE},
		     {0x4e2d, QN_UNICODE_LETTER},
		     {0xac00, QN_UNICODE_LETTER},
		     {0xd800, QN_UNICODE_OTHER},
		     {0xfffd, QN_UNICODE_OTHER},
		     {0x10400, QN_UNICODE_UPPER},
		     {0x1f680, QN_UNICODE_OTHER},
		     {0x10ffff, QN_UNICODE_OTHER},
		     {0x110000, QN_UNICODE_OTHER},
		     {UINT32_MAX, QN_UNICODE_OTHER}};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!CHECK(qn_unicode_class(known[i].code) == known[i].class))
			printf("U+%04x is %d, not %d\n", (unsigned)known[i].code,
			       (int)qn_unicode_class(known[i].code), (int)known[i].class);
	}
}

static void encode(uint32_t code, char text[4], int *length)
{
	static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};

	*length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	for (int i = *length - 1; i > 0; i--) {
		text[i] = (char)(0x80 | (code & 0x3f));
		code >>= 6;
	}
	text[0] = (char)(first[*length == 1 ? 0 : *length] | code);
}

/* Each code point, whole and cut off. */
static void test_whole(void)
{
	for (uint32_t code = 0; code <= 0x10ffff; code++) {
		uint32_t found = UINT32_MAX;
		char text[4], *exact;
		int length, ok;

		encode(code, text, &length);
		ok = 1;
		for (int n = 1; n <= length; n++) {
			exact = malloc((size_t)n); /* a sanitizer sees an overrun */
			if (!exact)
				abort();
			memcpy(exact, text, (size_t)n);
			if (code >= 0xd800 && code <= 0xdfff)
				ok &= qn_unicode_decode(exact, (size_t)n, &found) ==
				      (n > 1 ? -1 : 0);
			else if (n < length)
				ok &= qn_unicode_decode(exact, (size_t)n, &found) == 0;
			else
				ok &= qn_unicode_decode(exact, (size_t)n, &found) == length &&
				      found == code;
			free(exact);
		}
		if (!CHECK(ok))
			printf("U+%04x\n", (unsigned)code);
	}
}

static void test_damaged(void)
{
	static const struct {
		const char *text;
		int result;
	} cases[] = {{"\x80", -1},         {"\xbf\x80", -1},     {"\xc0\x80", -1},
		     {"\xc1\xbf", -1},     {"\xc2", 0},          {"\xc2 ", -1},
		     {"\xc2\xc2", -1},     {"\xe0\x80\x80", -1}, {"\xe0\xa0", 0},
		     {"\xe0\xa0 ", -2},    {"\xed\xa0\x80", -1}, {"\xed\x9f", 0},
		     {"\xf0\x8f\x80", -1}, {"\xf0\x9f\x9a", 0},  {"\xf0\x9f\x9a ", -3},
		     {"\xf0\x9f ", -2},    {"\xf4\x90\x80", -1}, {"\xf5\x80\x80", -1},
		     {"\xff", -1},         {"\xfe\xff", -1}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t code;
		int result = qn_unicode_decode(cases[i].text, strlen(cases[i].text), &code);

		if (!CHECK(result == cases[i].result))
			printf("case %zu: %d, not %d\n", i, result, cases[i].result);
	}
}

int main(int n_args, char **args)
{
	if (n_args > 1 && strcmp(args[1], "dump") == 0) {
		dump();
		return 0;
	}
	test_classes();
	test_whole();
	test_damaged();
	return check_exit();
}
