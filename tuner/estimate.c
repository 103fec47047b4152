/* estimate.c: lines to items, branches to loops, loops to straight sequences. */
#include <ctype.h>

#include "estimate.h"
#include "fail.h"

#define MAX_LOOPS 4096           /* of a function */
#define MAX_MARKS 1024           /* of a function */
#define MAX_DEPTH 16             /* of loops in loops */
#define MAX_INSTRUCTIONS 40000   /* of a sequence */
#define MAX_PRODUCTS 100000000.0 /* of a mark */

enum item_kind { INSTRUCTION, LABEL, MARK };

struct item {
	enum item_kind kind;
	const char *text; /* of a mark its name */
	size_t n;
	double n_products;
};

struct loop {
	size_t first, last; /* items */
};

struct function {
	struct item *items;
	size_t n_items;
	struct mark {
		const struct item *item;
		size_t home; /* its innermost loop; n_loops: it is in none */
	} * marks;
	size_t n_marks;
	struct loop *loops; /* sorted by head */
	size_t n_loops;
	struct gen_error *err;
};

/* ---- lines ---- */

static int is_word(int c)
{
	return isalnum(c) || c == '_' || c == '.' || c == '$';
}

static size_t word_length(const char *text, const char *end)
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

static void add_item(struct function *function, enum item_kind kind, const char *text, size_t n,
		     double n_products)
{
	function->items = fail_grow(function->items, function->n_items, sizeof(struct item));
	function->items[function->n_items++] = (struct item){kind, text, n, n_products};
}

/* " quern-mark LOOP N": 1 taken, 0 another comment. */
static int add_mark(struct function *function, const char *text, const char *end)
{
	static const char word[] = "quern-mark ";
	double number = 0;
	const char *name;
	size_t n;

	text = skip_space(text, end);
	if (!begins(text, end, word))
		return 0;
	name = skip_space(text + sizeof(word) - 1, end);
	n = word_length(name, end);
	text = skip_space(name + n, end);
	while (text < end && isdigit((unsigned char)*text) && number <= MAX_PRODUCTS)
		number = 10 * number + (*text++ - '0');
	if (!n || n >= sizeof(((struct estimate_loop *)0)->mark) || number < 1 ||
	    number > MAX_PRODUCTS || skip_space(text, end) < end)
		return 0;
	add_item(function, MARK, name, n, number);
	return 1;
}

static const char *find_comment(const char *text, const char *end)
{
	for (; text + 1 < end; text++) {
		if (text[0] == '/' && (text[1] == '/' || text[1] == '*'))
			return text;
	}
	return end;
}

/* A line of a function, without what stands in its first column when that is a label. */
static void add_line(struct function *function, const char *text, const char *end)
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
	n = word_length(text, end);
	if (n && text + n < end && text[n] == ':') {
		add_item(function, LABEL, text, n, 0);
		add_line(function, text + n + 1, end);
		return;
	}
	end = find_comment(text, end);
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	if (text < end && isalpha((unsigned char)*text))
		add_item(function, INSTRUCTION, text, (size_t)(end - text), 0);
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

/* The label that an instruction may branch to, or NULL. */
static const char *branch_target(const struct item *item, size_t *n)
{
	const char *end = item->text + item->n, *target;
	size_t n_word = word_length(item->text, end);

	if (!(n_word > 2 && item->text[0] == 'b' && item->text[1] == '.') &&
	    !is_one_of(item->text, n_word,
		       "b beq bne bcs bhs bcc blo bmi bpl bvs bvc bhi bls bge blt bgt ble cbz cbnz "
		       "tbz tbnz"))
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
	const struct loop *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return (x->last < y->last) - (x->last > y->last);
}

static int add_loops(struct function *function, const struct label *labels, size_t n_labels)
{
	for (size_t i = 0; i < function->n_items; i++) {
		const struct item *item = &function->items[i];
		struct label wanted = {0};
		const struct label *label;

		if (item->kind != INSTRUCTION)
			continue;
		wanted.text = branch_target(item, &wanted.n);
		if (!wanted.text)
			continue;
		label = bsearch(&wanted, labels, n_labels, sizeof(*labels), by_label);
		if (!label || label->at > i)
			continue;
		if (function->n_loops == MAX_LOOPS)
			return fail_set(function->err, "a function has more than %d loops",
					MAX_LOOPS);
		function->loops =
			fail_grow(function->loops, function->n_loops, sizeof(struct loop));
		function->loops[function->n_loops++] = (struct loop){label->at, i};
	}
	return 0;
}

static int find_loops(struct function *function)
{
	struct label *labels = fail_alloc(function->n_items, sizeof(*labels));
	size_t n_labels = 0, n = 0;
	int status;

	for (size_t i = 0; i < function->n_items; i++) {
		const struct item *item = &function->items[i];

		if (item->kind == LABEL)
			labels[n_labels++] = (struct label){item->text, item->n, i};
	}
	qsort(labels, n_labels, sizeof(*labels), by_label);
	status = add_loops(function, labels, n_labels);
	free(labels);
	if (function->n_loops)
		qsort(function->loops, function->n_loops, sizeof(struct loop), by_head);
	for (size_t i = 0; i < function->n_loops; i++) { /* one for a head, up to its last branch */
		if (!n || function->loops[n - 1].first != function->loops[i].first)
			function->loops[n++] = function->loops[i];
	}
	function->n_loops = n;
	return status;
}

static int holds(const struct loop *outer, size_t first, size_t last)
{
	return outer->first <= first && last <= outer->last;
}

/* Index of the smallest loop around an item, or n_loops. */
static size_t innermost(const struct function *function, size_t item)
{
	size_t best = function->n_loops, n_best = 0;

	for (size_t i = 0; i < function->n_loops; i++) {
		const struct loop *loop = &function->loops[i];
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

/* ---- marks ---- */

static int same_text(const struct item *a, const struct item *b)
{
	return a->n == b->n && !memcmp(a->text, b->text, a->n);
}

/* Products of marks of one name that stand directly in a loop. */
static double direct_products(const struct function *function, size_t loop, const struct item *mark)
{
	double sum = 0;

	for (size_t i = 0; i < function->n_marks; i++) {
		const struct mark *one = &function->marks[i];

		if (one->home == loop && same_text(one->item, mark))
			sum += one->item->n_products;
	}
	return sum;
}

/*
 * Products of one pass of a loop, by the marks that stand directly in it: those of its own, and of
 * loops that were unrolled whole, which come to the same.  mark: one of the name that has most, or
 * NULL.
 */
static double own_products(const struct function *function, size_t loop, const struct item **mark)
{
	double most = 0;

	*mark = NULL;
	for (size_t i = 0; i < function->n_marks; i++) {
		const struct mark *one = &function->marks[i];
		double sum = one->home == loop ? direct_products(function, loop, one->item) : 0;

		if (sum > most) {
			most = sum;
			*mark = one->item;
		}
	}
	return most;
}

/* ---- sequences ---- */

struct sequence {
	const struct function *function;
	FILE *out;
	struct estimate_loop *loop;
};

/* Is a register of these operands a vector or a float? */
static int has_vector(const char *text, const char *end)
{
	while (text < end) {
		size_t n;

		if (!is_word((unsigned char)*text)) {
			text++;
			continue;
		}
		n = word_length(text, end);
		if (n >= 2 && strchr("vzqdshb", *text) && isdigit((unsigned char)text[1])) {
			size_t i = 1;

			while (i < n && isdigit((unsigned char)text[i]))
				i++;
			if (i == n || text[i] == '.')
				return 1;
		}
		text += n;
	}
	return 0;
}

static int has_stack(const char *text, const char *end)
{
	for (; text + 2 < end; text++) {
		if (*text == '[' && (begins(text + 1, end, "sp") || begins(text + 1, end, "x29")) &&
		    !is_word((unsigned char)text[begins(text + 1, end, "sp") ? 3 : 4]))
			return 1;
	}
	return 0;
}

static void count(struct estimate_loop *loop, const struct item *item)
{
	const char *text = item->text, *end = text + item->n;
	const char *operands = text + word_length(text, end);
	const int vector = has_vector(operands, end);

	loop->n_instructions++;
	if (begins(text, end, "ld") || begins(text, end, "st") || begins(text, end, "prf")) {
		loop->n_memory++;
		loop->n_spills += vector && !begins(text, end, "prf") && has_stack(operands, end);
	} else if (vector) {
		loop->n_vector++;
	} else {
		loop->n_integer++;
	}
}

static int put(struct sequence *sequence, const struct item *item)
{
	const char *end = item->text + item->n;
	size_t n = word_length(item->text, end);

	if (is_one_of(item->text, n, "bl blr")) {
		const char *name = skip_space(item->text + n, end);

		return fail_set(sequence->function->err,
				"its loop calls %.*s out of line, whose cost is not known",
				(int)(end - name < 60 ? end - name : 60), name);
	}
	if (sequence->loop->n_instructions >= MAX_INSTRUCTIONS)
		return fail_set(sequence->function->err, "its loop has more than %d instructions",
				MAX_INSTRUCTIONS);
	count(sequence->loop, item);
	for (size_t i = 0; i < item->n; i++) /* one line each, whatever was read */
		putc(isspace((unsigned char)item->text[i]) ? ' ' : item->text[i], sequence->out);
	putc('\n', sequence->out);
	return 0;
}

/* A loop inside of a loop that has not had its `rest` products yet: how often it is passed. */
static long passes(const struct sequence *sequence, size_t inner, size_t outer, double n_outer,
		   double *done)
{
	const struct item *mark;
	double own = own_products(sequence->function, inner, &mark), rest;
	long n;

	if (!mark)
		return -1;
	rest = n_outer - *done - direct_products(sequence->function, outer, mark);
	n = rest > 0 ? (long)(rest / own + 1e-6) : 0;
	*done += (double)n * own;
	return n;
}

static int put_loop(struct sequence *sequence, size_t loop, double n_products, int depth)
{
	const struct function *function = sequence->function;
	const struct loop range = function->loops[loop];
	double done = 0;
	int status = 0;

	if (depth > MAX_DEPTH)
		return fail_set(function->err, "its loops are nested more than %d deep", MAX_DEPTH);
	for (size_t i = range.first; i <= range.last && !status; i++) {
		size_t inner = loop + 1;

		/* Sorted so that the first loop from here on is the outermost one. */
		while (inner < function->n_loops && function->loops[inner].first < i)
			inner++;
		if (inner < function->n_loops && function->loops[inner].first == i &&
		    holds(&range, i, function->loops[inner].last)) {
			const struct item *mark;
			double own = own_products(function, inner, &mark);
			long n = passes(sequence, inner, loop, n_products, &done);

			if (n < 0)
				sequence->loop->n_unmarked++;
			for (long pass = 0; pass < (n < 0 ? 1 : n) && !status; pass++)
				status = put_loop(sequence, inner, mark ? own : n_products,
						  depth + 1);
			i = function->loops[inner].last;
		} else if (function->items[i].kind == INSTRUCTION) {
			status = put(sequence, &function->items[i]);
		}
	}
	return status;
}

static int write_out(const struct function *function, size_t loop, struct estimate_loop *to)
{
	struct sequence sequence = {function, NULL, to};
	const struct item *mark;
	size_t n_bytes;
	int status;

	memset(to, 0, sizeof(*to));
	to->n_products = own_products(function, loop, &mark);
	memcpy(to->mark, mark->text, mark->n);
	sequence.out = fail_check(open_memstream(&to->text, &n_bytes));
	status = put_loop(&sequence, loop, to->n_products, 0);
	fclose(sequence.out);
	fail_check(to->text);
	if (status < 0)
		free(to->text);
	return status;
}

/* ---- functions ---- */

int estimate_is_shared(const struct estimate_loop *loop)
{
	return !strcmp(loop->mark, "decode") || !strcmp(loop->mark, "scales");
}

/* Loops of one kind are copies and remainders of one: the largest pass is the one to look at. */
static int keep(struct estimate *estimate, struct estimate_loop *loop, struct gen_error *err)
{
	for (size_t i = 0; i < estimate->n; i++) {
		struct estimate_loop *other = &estimate->loops[i];
		const int shared = estimate_is_shared(loop);

		if (shared != estimate_is_shared(other) ||
		    (shared && strcmp(loop->mark, other->mark)))
			continue;
		if (loop->n_products > other->n_products) {
			struct estimate_loop smaller = *other;

			*other = *loop;
			*loop = smaller;
		}
		free(loop->text);
		return 0;
	}
	if (estimate->n == ESTIMATE_MAX_LOOPS) {
		free(loop->text);
		return fail_set(err, "it has more than %d kinds of loops", ESTIMATE_MAX_LOOPS);
	}
	estimate->loops[estimate->n++] = *loop;
	return 0;
}

static int find_marks(struct function *function)
{
	for (size_t i = 0; i < function->n_items; i++) {
		struct mark *mark;

		if (function->items[i].kind != MARK)
			continue;
		if (function->n_marks == MAX_MARKS)
			return fail_set(function->err, "a function has more than %d marks",
					MAX_MARKS);
		function->marks = fail_grow(function->marks, function->n_marks, sizeof(*mark));
		mark = &function->marks[function->n_marks++];
		*mark = (struct mark){&function->items[i], innermost(function, i)};
	}
	return 0;
}

/* Loops with marks that are in no other such loop. */
static int keep_loops(const struct function *function, struct estimate *estimate)
{
	unsigned char *marked = fail_alloc(function->n_loops + 1, 1);
	size_t end = 0; /* of the last one taken */
	int status = 0;

	for (size_t i = 0; i < function->n_marks; i++)
		marked[function->marks[i].home] = 1;
	for (size_t i = 0; i < function->n_loops && !status; i++) {
		struct estimate_loop loop;

		if (!marked[i] || function->loops[i].first < end)
			continue;
		end = function->loops[i].last + 1;
		status = write_out(function, i, &loop);
		if (!status)
			status = keep(estimate, &loop, function->err);
	}
	free(marked);
	return status;
}

static int read_function(struct function *function, struct estimate *estimate)
{
	int status = 0;

	if (function->n_items)
		status = find_loops(function);
	if (!status && function->n_loops)
		status = find_marks(function);
	if (!status && function->n_loops)
		status = keep_loops(function, estimate);
	free(function->items);
	free(function->marks);
	free(function->loops);
	return status;
}

/* Is this line the head of a function, and of one of the kernel's? */
static int is_head(const char *line, const char *end, const char *kernel, int *own)
{
	size_t n = word_length(line, end), n_kernel = strlen(kernel);

	if (!n || line[n] != ':' || *line == '.' || line + n == end)
		return 0;
	*own = n > n_kernel && !memcmp(line, kernel, n_kernel) && line[n_kernel] == '_';
	return 1;
}

static int by_kind(const void *a, const void *b)
{
	const struct estimate_loop *x = a, *y = b;
	const int order = estimate_is_shared(x) - estimate_is_shared(y);

	return order ? order : strcmp(x->mark, y->mark);
}

int estimate_read(struct estimate *estimate, const char *assembly, const char *kernel,
		  struct gen_error *err)
{
	struct function function = {.err = err};
	int own = 0, found = 0, status = 0;

	memset(estimate, 0, sizeof(*estimate));
	while (*assembly && !status) {
		const char *end = assembly + strcspn(assembly, "\n");

		if (is_head(assembly, end, kernel, &own)) {
			status = read_function(&function, estimate);
			function = (struct function){.err = err};
			found |= own;
		} else if (own) {
			add_line(&function, assembly, end);
		}
		assembly = end + (*end == '\n');
	}
	if (!status)
		status = read_function(&function, estimate);
	if (!status && !found)
		status = fail_set(err, "the assembly has no function of %s", kernel);
	qsort(estimate->loops, estimate->n, sizeof(*estimate->loops), by_kind);
	if (!status && (!estimate->n || estimate_is_shared(&estimate->loops[0])))
		status = fail_set(err, "no loop of it has a mark");
	if (status < 0)
		estimate_free(estimate);
	return status;
}

void estimate_free(struct estimate *estimate)
{
	for (size_t i = 0; i < estimate->n; i++)
		free(estimate->loops[i].text);
	memset(estimate, 0, sizeof(*estimate));
}
