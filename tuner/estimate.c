/* estimate.c: loops to straight sequences, sequences to counts. */
#include <ctype.h>

#include "estimate.h"
#include "fail.h"

#define MAX_DEPTH 16           /* of loops and calls in loops */
#define MAX_INSTRUCTIONS 40000 /* of a sequence */

/* ---- marks ---- */

/* Products of marks of one name that stand directly in a loop. */
static double direct_products(const struct assembly_function *function, size_t loop,
			      const struct assembly_item *mark)
{
	double sum = 0;

	for (size_t i = 0; i < function->n_marks; i++) {
		const struct assembly_mark *one = &function->marks[i];

		if (one->home == loop && assembly_same(one->item, mark))
			sum += one->item->n_products;
	}
	return sum;
}

/*
 * Products of one pass of a loop, by the marks that stand directly in it: those of its own, and of
 * loops that were unrolled whole, which come to the same.  mark: one of the name that has most, or
 * NULL.
 */
static double own_products(const struct assembly_function *function, size_t loop,
			   const struct assembly_item **mark)
{
	double most = 0;

	*mark = NULL;
	for (size_t i = 0; i < function->n_marks; i++) {
		const struct assembly_mark *one = &function->marks[i];
		double sum = one->home == loop ? direct_products(function, loop, one->item) : 0;

		if (sum > most) {
			most = sum;
			*mark = one->item;
		}
	}
	return most;
}

/* ---- counting ---- */

static int is_word(int c)
{
	return isalnum(c) || c == '_' || c == '.' || c == '$';
}

static int begins(const char *text, const char *end, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(end - text) >= n && !memcmp(text, word, n);
}

/* Is a register of these operands a vector or a float? */
static int has_vector(const char *text, const char *end)
{
	while (text < end) {
		size_t n;

		if (!is_word((unsigned char)*text)) {
			text++;
			continue;
		}
		n = assembly_word(text, end);
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

/* What an instruction is to us. */
struct nature {
	int vector, memory, spill;
};

static struct nature look_aarch64(const char *text, const char *end)
{
	const char *operands = text + assembly_word(text, end);
	const int vector = has_vector(operands, end);
	const int prefetch = begins(text, end, "prf");
	const int memory = prefetch || begins(text, end, "ld") || begins(text, end, "st");

	return (struct nature){vector, memory,
			       memory && vector && !prefetch && has_stack(operands, end)};
}

static int has_word(const char *text, const char *end, const char *word)
{
	for (; text < end; text++) {
		if (begins(text, end, word))
			return 1;
	}
	return 0;
}

/* Masks (%k1) are of the vector unit as well. */
static struct nature look_x86(const char *text, const char *end, int has_frame)
{
	static const char *const moves[] = {"mov",        "vmov", "prefetch", "vpbroadcast",
					    "vbroadcast", "push", "pop"};
	const char *operands = text + assembly_word(text, end);
	const int vector = has_word(operands, end, "%xmm") || has_word(operands, end, "%ymm") ||
			   has_word(operands, end, "%zmm") || has_word(operands, end, "%k");
	const int access = !begins(text, end, "lea") && !begins(text, end, "nop") &&
			   (has_word(operands, end, "(") || begins(text, end, "push") ||
			    begins(text, end, "pop"));
	struct nature nature = {.vector = vector};

	for (size_t i = 0; i < sizeof(moves) / sizeof(*moves); i++)
		nature.memory |= access && begins(text, end, moves[i]);
	nature.spill = vector && access &&
		       (has_word(operands, end, "(%rsp") ||
			(has_frame && has_word(operands, end, "(%rbp")));
	return nature;
}

static void count(struct estimate_loop *loop, enum assembly_arch arch, int has_frame,
		  const struct assembly_item *item)
{
	const char *text = item->text, *end = text + item->n;
	const struct nature nature =
		arch == ASSEMBLY_X86_64 ? look_x86(text, end, has_frame) : look_aarch64(text, end);

	loop->n_instructions++;
	loop->n_memory += nature.memory;
	loop->n_vector += !nature.memory && nature.vector;
	loop->n_integer += !nature.memory && !nature.vector;
	loop->n_spills += nature.spill;
}

/* ---- sequences ---- */

struct sequence {
	const struct assembly *assembly;
	FILE *out;
	struct estimate_loop *loop;
	struct gen_error *err;
};

static int put(struct sequence *sequence, const struct assembly_function *function,
	       const struct assembly_item *item)
{
	const int is_x86 = sequence->assembly->arch == ASSEMBLY_X86_64;

	if (sequence->loop->n_instructions >= MAX_INSTRUCTIONS)
		return fail_set(sequence->err, "its loop has more than %d instructions",
				MAX_INSTRUCTIONS);
	count(sequence->loop, sequence->assembly->arch, function->has_frame, item);
	/* Of a call that is written out a branch is left. */
	if (assembly_is(item, is_x86 ? "call callq ret retq" : "bl ret")) {
		fputs(is_x86 ? "jmp .Lcall\n" : "b .Lcall\n", sequence->out);
		return 0;
	}
	for (size_t i = 0; i < item->n; i++) /* one line each, whatever was read */
		putc(isspace((unsigned char)item->text[i]) ? ' ' : item->text[i], sequence->out);
	putc('\n', sequence->out);
	return 0;
}

/* A part of a function: a loop, or all of it. */
struct part {
	const struct assembly_function *function;
	size_t loop;        /* n_loops: all */
	size_t first, last; /* items; last is the first one behind */
	double n_products;  /* of one pass */
	int depth;
};

static int put_part(struct sequence *sequence, const struct part *part);

/* How often a loop inside of a part is passed, of whose products some are done; -1: no mark says. */
static long passes(const struct part *part, size_t inner, double *done)
{
	const struct assembly_item *mark;
	double own = own_products(part->function, inner, &mark), rest;
	long n;

	if (!mark)
		return -1;
	rest = part->n_products - *done - direct_products(part->function, part->loop, mark);
	n = rest > 0 ? (long)(rest / own + 1e-6) : 0;
	*done += (double)n * own;
	return n;
}

/* How often a loop without marks is passed, when it says so and has none inside; else 0. */
static long told_passes(const struct assembly_function *function, size_t loop)
{
	const struct assembly_loop *range = &function->loops[loop];
	double n = 0;
	long n_told = 0;

	if (loop + 1 < function->n_loops && function->loops[loop + 1].first <= range->last)
		return 0;
	for (size_t i = range->first; i <= range->last; i++) {
		const struct assembly_item *item = &function->items[i];

		if (item->kind != ASSEMBLY_PASSES)
			continue;
		n = item->n_products;
		n_told++; /* a loop that was unrolled twice says it twice */
	}
	return n_told ? ((long)n + n_told - 1) / n_told : 0;
}

static int put_inner(struct sequence *sequence, const struct part *part, size_t inner, double *done)
{
	const struct assembly_loop *range = &part->function->loops[inner];
	const struct assembly_item *mark;
	const double own = own_products(part->function, inner, &mark);
	const struct part loop = {
		.function = part->function,
		.loop = inner,
		.first = range->first,
		.last = range->last + 1,
		.n_products = mark ? own : part->n_products,
		.depth = part->depth + 1,
	};
	long n = passes(part, inner, done);
	int status = 0;

	if (n < 0)
		n = told_passes(part->function, inner);
	if (!mark && !n) {
		sequence->loop->n_unmarked++;
		n = 1;
	}
	while (n-- > 0 && !status)
		status = put_part(sequence, &loop);
	return status;
}

/* A call of a part: the products of the part are shared among the calls of one function. */
static int put_call(struct sequence *sequence, const struct part *part,
		    const struct assembly_item *item, const struct assembly_function *callee)
{
	struct part body = {
		.function = callee,
		.loop = callee->n_loops,
		.last = callee->n_items,
		.n_products = part->n_products,
		.depth = part->depth + 1,
	};
	double n_calls = 0;

	for (size_t i = part->first; i < part->last && callee->n_marks; i++) {
		const struct assembly_item *other = &part->function->items[i];

		n_calls += other->kind == ASSEMBLY_INSTRUCTION &&
			   assembly_callee(sequence->assembly, other) == callee;
	}
	if (n_calls > 1)
		body.n_products /= n_calls;
	return put(sequence, part->function, item) < 0 ? -1 : put_part(sequence, &body);
}

static int put_item(struct sequence *sequence, const struct part *part,
		    const struct assembly_item *item)
{
	const struct assembly_function *callee = assembly_callee(sequence->assembly, item);
	const char *name = item->text + assembly_word(item->text, item->text + item->n);
	const int n = (int)(item->text + item->n - name);

	if (callee)
		return put_call(sequence, part, item, callee);
	if (assembly_is_call(sequence->assembly, item))
		return fail_set(sequence->err, "its loop calls%.*s, whose cost is not known",
				n < 80 ? n : 80, name);
	return put(sequence, part->function, item);
}

static int put_part(struct sequence *sequence, const struct part *part)
{
	const struct assembly_function *function = part->function;
	double done = 0;
	size_t inner = part->loop == function->n_loops ? 0 : part->loop + 1;
	int status = 0;

	if (part->depth > MAX_DEPTH)
		return fail_set(sequence->err, "its loops are nested more than %d deep", MAX_DEPTH);
	for (size_t i = part->first; i < part->last && !status; i++) {
		while (inner < function->n_loops && function->loops[inner].first < i)
			inner++;
		if (inner < function->n_loops && function->loops[inner].first == i &&
		    function->loops[inner].last < part->last) {
			status = put_inner(sequence, part, inner, &done);
			i = function->loops[inner].last;
		} else if (function->items[i].kind == ASSEMBLY_INSTRUCTION) {
			status = put_item(sequence, part, &function->items[i]);
		}
	}
	return status;
}

static int write_out(const struct assembly *assembly, const struct assembly_function *function,
		     size_t loop, struct estimate_loop *to, struct gen_error *err)
{
	struct sequence sequence = {assembly, NULL, to, err};
	struct part part = {
		.function = function,
		.loop = loop,
		.first = function->loops[loop].first,
		.last = function->loops[loop].last + 1,
	};
	const struct assembly_item *mark;
	size_t n_bytes;
	int status;

	memset(to, 0, sizeof(*to));
	to->n_products = part.n_products = own_products(function, loop, &mark);
	memcpy(to->mark, mark->text, mark->n);
	sequence.out = fail_check(open_memstream(&to->text, &n_bytes));
	status = put_part(&sequence, &part);
	fclose(sequence.out);
	fail_check(to->text);
	if (status < 0)
		free(to->text);
	return status;
}

/* ---- kernels ---- */

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

/* Loops with marks that are in no other such loop. */
static int keep_loops(const struct assembly *assembly, const struct assembly_function *function,
		      struct estimate *estimate, struct gen_error *err)
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
		status = write_out(assembly, function, i, &loop, err);
		if (!status)
			status = keep(estimate, &loop, err);
	}
	free(marked);
	return status;
}

static int by_kind(const void *a, const void *b)
{
	const struct estimate_loop *x = a, *y = b;
	const int order = estimate_is_shared(x) - estimate_is_shared(y);

	return order ? order : strcmp(x->mark, y->mark);
}

int estimate_read(struct estimate *estimate, enum assembly_arch arch, const char *text,
		  const char *kernel, struct gen_error *err)
{
	struct assembly assembly;
	int status = assembly_read(&assembly, arch, text, kernel, err);

	memset(estimate, 0, sizeof(*estimate));
	if (status < 0)
		return -1;
	for (size_t i = 0; i < assembly.n && !status; i++)
		status = keep_loops(&assembly, &assembly.functions[i], estimate, err);
	assembly_free(&assembly);
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
