/*
 * split.c: the regular expressions that split text into words, as hand-written matchers.
 *
 * The expressions of all models are variations of one: contractions, letters, numbers, symbols,
 * white space, in this order, the first alternative that matches wins, and each is as long as it
 * can be. So a rule is a record of what varies.  What an expression would find by going back is
 * computed here from the end of a run; every alternative costs the length of what it looks at.
 */
#include "split.h"

#include <stdint.h>
#include <string.h>

#include "unicode.h"

enum lead { LEAD_SPACE, LEAD_ANY };

struct qn_split_rule {
	int contractions; /* 's and the like are words: 1 in lower case, 2 in any */
	enum lead lead;   /* before letters: a space, or anything but \r, \n, letters, numbers */
	int is_cased;     /* a lower-case letter before an upper-case one ends a word */
	int max_numbers;  /* in a word; 0: any count, and a space may stand before them */
	int cuts_numbers; /* each number was cut out first: it ends what stands before it */
	int newlines;     /* white space up to a newline is a word */
	const char *tail; /* characters that may follow symbols */
};

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static const struct qn_split_rule gpt2 = {.contractions = 1, .tail = ""};

/* \p{N}, and between those the expression of gpt2 */
static const struct qn_split_rule smollm = {.contractions = 1,
					    .max_numbers = 1,
					    .cuts_numbers = 1,
					    .tail = ""};

/*
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
 * \s*[\r\n]+|\s+(?!\S)|\s+
 */
static const struct qn_split_rule llama3 = {.contractions = 2,
					    .lead = LEAD_ANY,
					    .max_numbers = 3,
					    .newlines = 1,
					    .tail = "\r\n"};

/* As llama3, but \p{N} instead of \p{N}{1,3} */
static const struct qn_split_rule qwen2 = {.contractions = 2,
					   .lead = LEAD_ANY,
					   .max_numbers = 1,
					   .newlines = 1,
					   .tail = "\r\n"};

/*
 * [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|
 * [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|
 *  ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
 */
static const struct qn_split_rule tekken = {.lead = LEAD_ANY,
					    .is_cased = 1,
					    .max_numbers = 1,
					    .newlines = 1,
					    .tail = "\r\n/"};

static const struct qn_split splits[] = {
	{"gpt-2", &gpt2, 0, 0},       {"phi-2", &gpt2, 0, 0},
	{"llama-bpe", &llama3, 1, 1}, {"llama3", &llama3, 1, 1},
	{"llama-v3", &llama3, 1, 1},  {"falcon3", &llama3, 1, 1},
	{"dbrx", &llama3, 0, 0},      {"smaug-bpe", &llama3, 0, 0},
	{"qwen2", &qwen2, 0, 0},      {"deepseek-r1-qwen", &qwen2, 0, 0},
	{"tekken", &tekken, 1, 1},    {"smollm", &smollm, 0, 0},
	{"starcoder", &smollm, 0, 0},
};

const struct qn_split *qn_split_find(const char *name, size_t n_bytes)
{
	for (size_t i = 0; i < sizeof(splits) / sizeof(splits[0]); i++) {
		if (strlen(splits[i].name) == n_bytes && !memcmp(splits[i].name, name, n_bytes))
			return &splits[i];
	}
	return NULL;
}

/* ---- characters ---- */

/* The text that is left, and its first character; n == 0 at the end of the text. */
struct cursor {
	const char *p, *end;
	size_t n;
	uint32_t code;
	enum qn_unicode_class class;
};

static void look(struct cursor *c)
{
	int length;

	c->n = 0;
	c->code = 0;
	c->class = QN_UNICODE_OTHER;
	if (c->p == c->end)
		return;
	length = qn_unicode_decode(c->p, (size_t)(c->end - c->p), &c->code);
	if (length > 0) {
		c->n = (size_t)length;
		c->class = qn_unicode_class(c->code);
	} else {
		c->n = 1;
		c->code = 0xfffd;
	}
}

static void step(struct cursor *c)
{
	c->p += c->n;
	look(c);
}

static int is_letter(const struct cursor *c)
{
	return c->class == QN_UNICODE_UPPER || c->class == QN_UNICODE_LOWER ||
	       c->class == QN_UNICODE_LETTER;
}

static int is_number(const struct cursor *c)
{
	return c->class == QN_UNICODE_NUMBER;
}

static int is_space(const struct cursor *c)
{
	return c->class == QN_UNICODE_SPACE;
}

/* [^\s\p{L}\p{N}] */
static int is_symbol(const struct cursor *c)
{
	return c->n && !is_space(c) && !is_letter(c) && !is_number(c);
}

static int is_newline(const struct cursor *c)
{
	return c->code == '\r' || c->code == '\n';
}

/* [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]: not lower case */
static int is_upper(const struct cursor *c)
{
	return c->class == QN_UNICODE_UPPER || c->class == QN_UNICODE_LETTER ||
	       c->class == QN_UNICODE_MARK;
}

/* [\p{Ll}\p{Lm}\p{Lo}\p{M}]: not upper case */
static int is_lower(const struct cursor *c)
{
	return c->class == QN_UNICODE_LOWER || c->class == QN_UNICODE_LETTER ||
	       c->class == QN_UNICODE_MARK;
}

static void skip(struct cursor *c, int (*is)(const struct cursor *c))
{
	while (c->n && is(c))
		step(c);
}

/* ---- alternatives: where the word ends, or NULL ---- */

/* 's|'t|'re|'ve|'m|'ll|'d */
static const char *match_contraction(const struct cursor *start, int any_case)
{
	static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
	const char *p = start->p;

	if (*p++ != '\'')
		return NULL;
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		size_t n = 0;

		while (endings[i][n] && p + n < start->end &&
		       (any_case && p[n] >= 'A' && p[n] <= 'Z' ? p[n] + 'a' - 'A' : p[n]) ==
			       endings[i][n])
			n++;
		if (!endings[i][n])
			return p + n;
	}
	return NULL;
}

/* upper*lower+; upper+lower* where that matches nothing and `alone` */
static const char *match_cased(struct cursor c, int alone)
{
	const char *start = c.p, *last = NULL; /* end of the last that is both */
	const char *upper;

	for (; c.n && is_upper(&c); step(&c)) {
		if (is_lower(&c))
			last = c.p + c.n;
	}
	upper = c.p;
	skip(&c, is_lower);
	if (c.p > upper)
		return c.p;
	if (!alone)
		return last;
	return upper > start ? upper : NULL;
}

static const char *match_cased_letters(const struct cursor *start)
{
	struct cursor after = *start;

	if (start->n && !is_newline(start) && !is_letter(start) && !is_number(start))
		step(&after);
	for (int alone = 0; alone < 2; alone++) {
		const char *end = after.p > start->p ? match_cased(after, alone) : NULL;

		if (!end)
			end = match_cased(*start, alone);
		if (end)
			return end;
	}
	return NULL;
}

static const char *match_letters(const struct qn_split_rule *rule, struct cursor c)
{
	if (rule->is_cased)
		return match_cased_letters(&c);
	if (!is_letter(&c)) {
		if (rule->lead == LEAD_SPACE ? c.code != ' ' : is_newline(&c) || is_number(&c))
			return NULL;
		step(&c);
	}
	if (!is_letter(&c))
		return NULL;
	skip(&c, is_letter);
	return c.p;
}

static const char *match_numbers(const struct qn_split_rule *rule, struct cursor c)
{
	if (rule->max_numbers == 0 && c.code == ' ')
		step(&c);
	if (!is_number(&c))
		return NULL;
	for (int n = 0; is_number(&c) && (rule->max_numbers == 0 || n < rule->max_numbers); n++)
		step(&c);
	return c.p;
}

static const char *match_symbols(const struct qn_split_rule *rule, struct cursor c)
{
	if (c.code == ' ')
		step(&c);
	if (!is_symbol(&c))
		return NULL;
	skip(&c, is_symbol);
	while (c.n && c.code < 0x80 && c.code && strchr(rule->tail, (int)c.code))
		step(&c);
	return c.p;
}

/* \s*[\r\n]+ if the rule has it, \s+(?!\S), \s+ */
static const char *match_spaces(const struct qn_split_rule *rule, struct cursor c)
{
	const char *last = c.p, *newline = NULL; /* start of the last, end of the last newline */
	const char *start = c.p;

	for (; is_space(&c); step(&c)) {
		last = c.p;
		if (is_newline(&c))
			newline = c.p + c.n;
	}
	if (rule->newlines && newline)
		return newline;
	if (c.n == 0 || (rule->cuts_numbers && is_number(&c)) || last == start)
		return c.p;
	return last; /* goes with the word that follows */
}

size_t qn_split_word(const struct qn_split_rule *rule, const char *text, size_t n_bytes)
{
	struct cursor c = {.p = text, .end = text + n_bytes};
	const char *end = NULL;

	look(&c);
	if (rule->contractions)
		end = match_contraction(&c, rule->contractions == 2);
	if (!end)
		end = match_letters(rule, c);
	if (!end)
		end = match_numbers(rule, c);
	if (!end)
		end = match_symbols(rule, c);
	if (!end)
		end = match_spaces(rule, c);
	return (size_t)(end - text);
}
