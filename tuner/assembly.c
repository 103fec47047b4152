/* assembly.c: lines to items, branches to loops. */
#include <ctype.h>

#include "assembly.h"
#include "fail.h"

#define MAX_LOOPS 4096           /* of a function */
#define MAX_MARKS 1024           /* of a function */
#define MAX_PRODUCTS 100000000.0 /* of a mark */

/* ---- lines ---- */

static int is_word(int c)
{
	return isalnum(c) || c == '_' || c == '.' || c == '$';
}

size_t assembly_word(const char *text, const char *end)
{
	const char *p = text;

	while (p < end && is_word((unsigned char)*p))
		p++;
	return (size_t)(p - text);
}

static const char *skip_space(const char *text, const char *end)
{
	while (text < end && isspace((unsigned char)*text))
		text++;
	return text;
}

static int begins(const char *text, const char *end, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(end - text) >= n && !memcmp(text, word, n);
}

static void add_item(struct assembly_function *function, enum assembly_kind kind, const char *text,
		     size_t n, double n_products)
{
	function->items =
		fail_grow(function->items, function->n_items, sizeof(struct assembly_item));
	function->items[function->n_items++] = (struct assembly_item){kind, text, n, n_products};
}

/* " quern-mark LOOP N" or " quern-passes N": 1 taken, 0 another comment. */
static int add_mark(struct assembly_function *function, const char *text, const char *end)
{
	static const char word[] = "quern-mark ", passes[] = "quern-passes ";
	double number = 0;
	const char *name;
	size_t n;
	int is_mark;

	text = skip_space(text, end);
	is_mark = begins(text, end, word);
	if (!is_mark && !begins(text, end, passes))
		return 0;
	name = skip_space(text + (is_mark ? sizeof(word) : sizeof(passes)) - 1, end);
	n = is_mark ? assembly_word(name, end) : 0;
	text = skip_space(name + n, end);
	while (text < end && isdigit((unsigned char)*text) && number <= MAX_PRODUCTS)
		number = 10 * number + (*text++ - '0');
	if ((n > 0) != is_mark || n > ASSEMBLY_MAX_NAME || number < 1 || number > MAX_PRODUCTS ||
	    skip_space(text, end) < end)
		return 0;
	add_item(function, is_mark ? ASSEMBLY_MARK : ASSEMBLY_PASSES, name, n, number);
	return 1;
}

/* '#' begins a number on AArch64. */
static const char *find_comment(enum assembly_arch arch, const char *text, const char *end)
{
	for (; text < end; text++) {
		if ((*text == '#' && arch == ASSEMBLY_X86_64) ||
		    (text + 1 < end && text[0] == '/' && (text[1] == '/' || text[1] == '*')))
			return text;
	}
	return end;
}

/* A line of a function, without what stands in its first column when that is a label. */
static void add_line(enum assembly_arch arch, struct assembly_function *function, const char *text,
		     const char *end)
{
	size_t n;

	text = skip_space(text, end);
	if (text < end && *text == '#') {
		add_mark(function, text + 1, end);
		return;
	}
	if (begins(text, end, "//")) {
		add_mark(function, text + 2, end);
		return;
	}
	n = assembly_word(text, end);
	if (n && text + n < end && text[n] == ':') {
		add_item(function, ASSEMBLY_LABEL, text, n, 0);
		add_line(arch, function, text + n + 1, end);
		return;
	}
	end = find_comment(arch, text, end);
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	/* "{vex} vpdpbusd ..." is how x86-64 names one of several encodings. */
	if (text < end && (isalpha((unsigned char)*text) || *text == '{'))
		add_item(function, ASSEMBLY_INSTRUCTION, text, (size_t)(end - text), 0);
}

/* ---- loops ---- */

static int is_one_of(const char *text, size_t n, const char *words)
{
	for (; *words; words += strcspn(words, " ") + (words[strcspn(words, " ")] == ' ')) {
		if (strcspn(words, " ") == n && !memcmp(words, text, n))
			return 1;
	}
	return 0;
}

static int is_branch(enum assembly_arch arch, const struct assembly_item *item)
{
	const size_t n = assembly_word(item->text, item->text + item->n);

	if (arch == ASSEMBLY_X86_64)
		return *item->text == 'j' || is_one_of(item->text, n, "loop loope loopne");
	return (n > 2 && item->text[0] == 'b' && item->text[1] == '.') ||
	       is_one_of(item->text, n,
			 "b beq bne bcs bhs bcc blo bmi bpl bvs bvc bhi bls bge blt bgt ble cbz "
			 "cbnz tbz tbnz");
}

/* The label that an instruction may branch to, or NULL. */
static const char *branch_target(enum assembly_arch arch, const struct assembly_item *item,
				 size_t *n)
{
	const char *end = item->text + item->n, *target;

	if (!is_branch(arch, item))
		return NULL;
	target = end;
	while (target > item->text && is_word((unsigned char)target[-1]))
		target--;
	*n = (size_t)(end - target);
	return *n && target > item->text ? target : NULL;
}

struct label {
	const char *text;
	size_t n, at;
};

static int by_label(const void *a, const void *b)
{
	const struct label *x = a, *y = b;
	const int order = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);

	return order ? order : (x->n > y->n) - (x->n < y->n);
}

static int by_head(const void *a, const void *b)
{
	const struct assembly_loop *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return (x->last < y->last) - (x->last > y->last);
}

static int add_loops(enum assembly_arch arch, struct assembly_function *function,
		     const struct label *labels, size_t n_labels, struct gen_error *err)
{
	for (size_t i = 0; i < function->n_items; i++) {
		const struct assembly_item *item = &function->items[i];
		struct label wanted = {0};
		const struct label *label;

		if (item->kind != ASSEMBLY_INSTRUCTION)
			continue;
		wanted.text = branch_target(arch, item, &wanted.n);
		if (!wanted.text)
			continue;
		label = bsearch(&wanted, labels, n_labels, sizeof(*labels), by_label);
		if (!label || label->at > i)
			continue;
		if (function->n_loops == MAX_LOOPS)
			return fail_set(err, "a function has more than %d loops", MAX_LOOPS);
		function->loops =
			fail_grow(function->loops, function->n_loops, sizeof(struct assembly_loop));
		function->loops[function->n_loops++] = (struct assembly_loop){label->at, i};
	}
	return 0;
}

static int find_loops(enum assembly_arch arch, struct assembly_function *function,
		      struct gen_error *err)
{
	struct label *labels = fail_alloc(function->n_items, sizeof(*labels));
	size_t n_labels = 0, n = 0;
	int status;

	for (size_t i = 0; i < function->n_items; i++) {
		const struct assembly_item *item = &function->items[i];

		if (item->kind == ASSEMBLY_LABEL)
			labels[n_labels++] = (struct label){item->text, item->n, i};
	}
	qsort(labels, n_labels, sizeof(*labels), by_label);
	status = add_loops(arch, function, labels, n_labels, err);
	free(labels);
	if (function->n_loops)
		qsort(function->loops, function->n_loops, sizeof(struct assembly_loop), by_head);
	for (size_t i = 0; i < function->n_loops; i++) { /* one for a head, up to its last branch */
		if (!n || function->loops[n - 1].first != function->loops[i].first)
			function->loops[n++] = function->loops[i];
	}
	function->n_loops = n;
	return status;
}

static int holds(const struct assembly_loop *outer, size_t first, size_t last)
{
	return outer->first <= first && last <= outer->last;
}

/* Index of the smallest loop around an item, or n_loops. */
static size_t innermost(const struct assembly_function *function, size_t item)
{
	size_t best = function->n_loops, n_best = 0;

	for (size_t i = 0; i < function->n_loops; i++) {
		const struct assembly_loop *loop = &function->loops[i];
		size_t n = loop->last - loop->first;

		if (loop->first > item)
			break;
		if (holds(loop, item, item) && (best == function->n_loops || n < n_best)) {
			best = i;
			n_best = n;
		}
	}
	return best;
}

static int find_marks(struct assembly_function *function, struct gen_error *err)
{
	for (size_t i = 0; i < function->n_items; i++) {
		struct assembly_mark *mark;

		if (function->items[i].kind != ASSEMBLY_MARK)
			continue;
		if (function->n_marks == MAX_MARKS)
			return fail_set(err, "a function has more than %d marks", MAX_MARKS);
		function->marks = fail_grow(function->marks, function->n_marks, sizeof(*mark));
		mark = &function->marks[function->n_marks++];
		*mark = (struct assembly_mark){&function->items[i], innermost(function, i)};
	}
	return 0;
}

int assembly_same(const struct assembly_item *a, const struct assembly_item *b)
{
	return a->n == b->n && !memcmp(a->text, b->text, a->n);
}

int assembly_is(const struct assembly_item *item, const char *mnemonics)
{
	return is_one_of(item->text, assembly_word(item->text, item->text + item->n), mnemonics);
}

int assembly_is_call(const struct assembly *assembly, const struct assembly_item *item)
{
	return assembly_is(item, assembly->arch == ASSEMBLY_X86_64 ? "call callq" : "bl blr");
}

const struct assembly_function *assembly_callee(const struct assembly *assembly,
						const struct assembly_item *item)
{
	const char *end = item->text + item->n, *name = end;

	if (!assembly_is(item, assembly->arch == ASSEMBLY_X86_64 ? "call callq jmp" : "bl b"))
		return NULL;
	while (name > item->text && is_word((unsigned char)name[-1]))
		name--;
	for (size_t i = 0; i < assembly->n; i++) {
		const struct assembly_function *function = &assembly->functions[i];

		if (function->n_name == (size_t)(end - name) &&
		    !memcmp(function->name, name, function->n_name))
			return function;
	}
	return NULL;
}

/* ---- functions ---- */

/* Is this line the head of a function, and of one of the kernel's? */
static int is_head(const char *line, const char *end, const char *kernel, int *own)
{
	size_t n = assembly_word(line, end), n_kernel = strlen(kernel);

	if (!n || line[n] != ':' || *line == '.' || line + n == end)
		return 0;
	*own = n > n_kernel && !memcmp(line, kernel, n_kernel) && line[n_kernel] == '_';
	return 1;
}

/* gcc and clang write it with and without the size of the operands. */
static int sets_frame(const struct assembly_item *item)
{
	const char *end = item->text + item->n;

	return assembly_is(item, "mov movq") &&
	       begins(skip_space(item->text + assembly_word(item->text, end), end), end,
		      "%rsp, %rbp");
}

static int find_all(enum assembly_arch arch, struct assembly_function *function,
		    struct gen_error *err)
{
	for (size_t i = 0; i < function->n_items && arch == ASSEMBLY_X86_64; i++)
		function->has_frame |= function->items[i].kind == ASSEMBLY_INSTRUCTION &&
				       sets_frame(&function->items[i]);
	return find_loops(arch, function, err) < 0 ? -1 : find_marks(function, err);
}

int assembly_read(struct assembly *assembly, enum assembly_arch arch, const char *text,
		  const char *kernel, struct gen_error *err)
{
	int own = 0, status = 0;

	memset(assembly, 0, sizeof(*assembly));
	assembly->arch = arch;
	while (*text) {
		const char *end = text + strcspn(text, "\n");

		if (is_head(text, end, kernel, &own)) {
			if (own) {
				assembly->functions = fail_grow(assembly->functions, assembly->n,
								sizeof(struct assembly_function));
				assembly->functions[assembly->n++] = (struct assembly_function){
					.name = text,
					.n_name = assembly_word(text, end),
				};
			}
		} else if (own) {
			add_line(arch, &assembly->functions[assembly->n - 1], text, end);
		}
		text = end + (*end == '\n');
	}
	if (!assembly->n)
		return fail_set(err, "the assembly has no function of %s", kernel);
	for (size_t i = 0; i < assembly->n && !status; i++)
		status = find_all(arch, &assembly->functions[i], err);
	if (status < 0)
		assembly_free(assembly);
	return status;
}

void assembly_free(struct assembly *assembly)
{
	for (size_t i = 0; i < assembly->n; i++) {
		free(assembly->functions[i].items);
		free(assembly->functions[i].loops);
		free(assembly->functions[i].marks);
	}
	free(assembly->functions);
	memset(assembly, 0, sizeof(*assembly));
}
