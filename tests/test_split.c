/*
 * test_split.c: words of each rule, as its regular expression has them; the expected ones are
 * derived by hand.
 *
 * "test_split words" reads lines "RULE TEXT-AS-HEX" and writes the bytes of each word, for
 * split.sh.
 */
#include "../runtime/llm/split.h"
#include "check.h"

#include <stdlib.h>

#define E_ACUTE "\xc3\xa9"                                    /* U+00E9, a letter */
#define ACUTE "\xcc\x81"                                      /* U+0301, a mark */
#define ZHONG "\xe4\xb8\xad"                                  /* U+4E2D */
#define WEN "\xe6\x96\x87"                                    /* U+6587 */
#define ROCKET "\xf0\x9f\x9a\x80"                             /* U+1F680 */
#define FAMILY "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9" /* two emoji and a joiner */
#define NBSP "\xc2\xa0"
#define WIDE "\xe3\x80\x80"       /* U+3000, a space */
#define HALF "\xc2\xbd"           /* U+00BD, a number */
#define ARABIC "\xd9\xa1\xd9\xa2" /* two digits */
#define MODIFIER "\xca\xb0"       /* U+02B0, Lm */

static const struct {
	const char *rule, *text, *words; /* with | between words; ~ stands for a space in all */
} cases[] = {
	/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
	{"gpt-2", "Hello", "Hello"},
	{"gpt-2", "Hello~world", "Hello|~world"},
	{"gpt-2", "~~Hello", "~|~Hello"},
	{"gpt-2", "Hello~~~", "Hello|~~~"},
	{"gpt-2", "I've~'told", "I|'ve|~'|told"},
	{"gpt-2", "'told", "'t|old"},
	{"gpt-2", "'RE~'S", "'|RE|~'|S"},
	{"gpt-2", "we're'll'd'm's", "we|'re|'ll|'d|'m|'s"},
	{"gpt-2", "'v", "'|v"},
	{"gpt-2", "3333~33", "3333|~33"},
	{"gpt-2", HALF "1" ARABIC, HALF "1" ARABIC},
	{"gpt-2", "a1b", "a|1|b"},
	{"gpt-2", "a\n\nb", "a|\n|\n|b"},
	{"gpt-2", "a~\n", "a|~\n"},
	{"gpt-2", "a~\n~b", "a|~\n|~b"},
	{"gpt-2", "a\tb", "a|\t|b"},
	{"gpt-2", "!?~...", "!?|~..."},
	{"gpt-2", "!\n\n", "!|\n\n"},
	{"gpt-2", "e" ACUTE "e", "e|" ACUTE "|e"},
	{"gpt-2", E_ACUTE "t" E_ACUTE, E_ACUTE "t" E_ACUTE},
	{"gpt-2", ZHONG WEN "x", ZHONG WEN "x"},
	{"gpt-2", "~" FAMILY ROCKET "x", "~" FAMILY ROCKET "|x"},
	{"gpt-2", "a" NBSP "b", "a|" NBSP "|b"},
	{"gpt-2", "a" WIDE WIDE "b", "a|" WIDE "|" WIDE "|b"},
	{"gpt-2",
	 "\xff\xfe"
	 "a\xe2\x82",
	 "\xff\xfe|a|\xe2\x82"},
	{"gpt-2", "_a", "_|a"},
	/*
	 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
	 * \s*[\r\n]+|\s+(?!\S)|\s+
	 */
	{"llama-bpe", "Hello~world", "Hello|~world"},
	{"llama-bpe", "~~Hello", "~|~Hello"},
	{"llama-bpe", "I've~'told", "I|'ve|~'|told"},
	{"llama-bpe", "'RE~'S~'Llx", "'RE|~'|S|~'|Llx"},
	{"llama-bpe", "'RE'S'lL", "'RE|'S|'lL"},
	{"llama-bpe", "'xyz", "'xyz"},
	{"llama-bpe", "$abc~(abc)", "$abc|~(|abc|)"},
	{"llama-bpe", "\tabc", "\tabc"},
	{"llama-bpe", "1234567~12", "123|456|7|~|12"},
	{"llama-bpe", HALF ARABIC "4", HALF ARABIC "|4"},
	{"llama-bpe", "a1b22c", "a|1|b|22|c"},
	{"llama-bpe", "a\n\nb", "a|\n\n|b"},
	{"llama-bpe", "a~~\n~\n~~b", "a|~~\n~\n|~|~b"},
	{"llama-bpe", "a\r\n~b", "a|\r\n|~b"},
	{"llama-bpe", "a~~~", "a|~~~"},
	{"llama-bpe", "a~~~1", "a|~~|~|1"},
	{"llama-bpe", "a~1", "a|~|1"},
	{"llama-bpe", "...\r\n\nb", "...\r\n\n|b"},
	{"llama-bpe", "~...~\n", "~...|~\n"},
	{"llama-bpe", "...\n~x", "...\n|~x"},
	{"llama-bpe", "..x", "..|x"},
	{"llama-bpe", "e" ACUTE "e", "e|" ACUTE "e"},
	{"llama-bpe", "e" ACUTE ACUTE "!", "e|" ACUTE ACUTE "!"},
	{"llama-bpe", "a" NBSP "b", "a|" NBSP "b"},
	{"llama-bpe", ZHONG WEN "\xe3\x80\x82" ZHONG, ZHONG WEN "|\xe3\x80\x82" ZHONG},
	{"llama-bpe", ROCKET "x~" ROCKET ROCKET "y", ROCKET "x|~" ROCKET ROCKET "|y"},
	{"llama-bpe",
	 "\xff"
	 "a\xff\xff\n",
	 "\xff"
	 "a|\xff\xff\n"},
	{"llama3", "1234", "123|4"},
	{"falcon3", "1234", "123|4"},
	{"dbrx", "1234", "123|4"},
	/* the same with \p{N} */
	{"qwen2", "Hello~1234", "Hello|~|1|2|3|4"},
	{"qwen2", "I'M~$x1\n\n", "I|'M|~$|x|1|\n\n"},
	{"qwen2", "a~~\n\n~~b", "a|~~\n\n|~|~b"},
	{"qwen2", ARABIC "x", "\xd9\xa1|\xd9\xa2|x"},
	/* \p{N}, then the expression of gpt-2 between numbers */
	{"smollm", "ab12~3", "ab|1|2|~|3"},
	{"smollm", "a~~1", "a|~~|1"},
	{"smollm", "a~~b", "a|~|~b"},
	{"smollm", "'s~'S", "'s|~'|S"},
	/*
	 * [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|
	 * [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|
	 *  ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
	 */
	{"tekken", "Hello~World", "Hello|~World"},
	{"tekken", "helloWorld", "hello|World"},
	{"tekken", "HELLOworld", "HELLOworld"},
	{"tekken", "HELLO~WORLD", "HELLO|~WORLD"},
	{"tekken", "I'm", "I|'m"},
	{"tekken", "12a", "1|2|a"},
	{"tekken", "e" ACUTE "E" ACUTE "x", "e" ACUTE "|E" ACUTE "x"},
	{"tekken", ACUTE "e", ACUTE "e"},
	{"tekken", ACUTE "1", ACUTE "|1"},
	{"tekken", ACUTE, ACUTE},
	{"tekken", ZHONG WEN, ZHONG WEN},
	{"tekken", ZHONG "A", ZHONG "|A"},
	{"tekken", "A" ZHONG "B" ZHONG "C", "A" ZHONG "B" ZHONG "|C"},
	{"tekken", MODIFIER "A", MODIFIER "|A"},
	{"tekken", "http://x", "http|://|x"},
	{"tekken", "~!/\n/a", "~!/\n/|a"},
	{"tekken", "a~~\n~b", "a|~~\n|~b"},
};

static void fill(char *out, const char *text)
{
	for (; *text; text++)
		*out++ = *text == '~' ? ' ' : *text;
	*out = '\0';
}

static void test_cases(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct qn_split *split = qn_split_find(cases[i].rule, strlen(cases[i].rule));
		char text[100], expected[200], words[200];
		size_t at = 0, n, left;
		char *exact;

		if (!CHECK(split != NULL))
			continue;
		fill(text, cases[i].text);
		fill(expected, cases[i].words);
		left = strlen(text);
		exact = malloc(left); /* a sanitizer sees an overrun */
		if (!exact)
			abort();
		memcpy(exact, text, left);
		for (const char *p = exact; left > 0; p += n, left -= n) {
			n = qn_split_word(split->rule, p, left);
			if (!CHECK(n > 0 && n <= left))
				break;
			if (at)
				words[at++] = '|';
			memcpy(words + at, p, n);
			at += n;
		}
		words[at] = '\0';
		free(exact);
		if (!CHECK(strcmp(words, expected) == 0))
			printf("%s: '%s' is split '%s', not '%s'\n", cases[i].rule, text, words,
			       expected);
	}
}

static void test_names(void)
{
	CHECK(qn_split_find("gpt-2", 4) == NULL);
	CHECK(qn_split_find("gpt-2x", 6) == NULL);
	CHECK(qn_split_find("", 0) == NULL);
	CHECK(qn_split_find("llama-bpe", 9)->takes_words &&
	      qn_split_find("llama-bpe", 9)->adds_bos);
	CHECK(!qn_split_find("qwen2", 5)->takes_words && !qn_split_find("qwen2", 5)->adds_bos);
}

static void answer(void)
{
	char line[4096], rule[32], text[2048];
	int at;

	while (fgets(line, sizeof(line), stdin)) {
		const struct qn_split *split;
		size_t n_bytes = 0, n;
		unsigned byte;

		if (sscanf(line, "%31s %n", rule, &at) != 1)
			return;
		split = qn_split_find(rule, strlen(rule));
		for (const char *p = line + at; sscanf(p, "%2x", &byte) == 1; p += 2)
			text[n_bytes++] = (char)byte;
		for (const char *p = text; split && p < text + n_bytes; p += n) {
			n = qn_split_word(split->rule, p, (size_t)(text + n_bytes - p));
			printf("%s%zu", p > text ? " " : "", n);
		}
		puts("");
		fflush(stdout);
	}
}

int main(int n_args, char **args)
{
	if (n_args > 1 && strcmp(args[1], "words") == 0) {
		answer();
		return 0;
	}
	test_cases();
	test_names();
	return check_exit();
}
