/*
 * merge.c: joins the pieces of a word until no two of them make a token.
 *
 * All neighbours that make a token stand in a heap; the best is joined, and its two new
 * neighbourhoods are added.  A candidate is out of date when one of its pieces has grown or is
 * gone, which its length tells: pieces never shrink.
 */
#include "merge.h"

#include <stdlib.h>

struct qn_candidate {
	uint32_t order;
	int32_t left;     /* symbol; the right one is its next */
	uint32_t n_bytes; /* of both when it was found */
	int32_t id;
};

/* Room for one more of `size` bytes. */
static void *grow(void *data, size_t n, size_t *room, size_t size)
{
	size_t more = n < 32 ? 64 : n * 2;
	void *bigger;

	if (n < *room)
		return data;
	bigger = more > SIZE_MAX / size ? NULL : realloc(data, more * size);
	if (bigger)
		*room = more;
	return bigger;
}

int qn_merge_add(struct qn_merge *merge, uint32_t start, uint32_t n_bytes, int32_t id)
{
	int32_t n = (int32_t)merge->n_symbols;
	struct qn_symbol *symbols =
		grow(merge->symbols, merge->n_symbols, &merge->symbol_room, sizeof(*symbols));

	if (!symbols)
		return -1;
	merge->symbols = symbols;
	if (n)
		symbols[n - 1].next = n;
	symbols[n] = (struct qn_symbol){n - 1, -1, start, n_bytes, id};
	merge->n_symbols++;
	return 0;
}

/* ---- the heap ---- */

static int is_before(const struct qn_candidate *a, const struct qn_candidate *b)
{
	return a->order != b->order ? a->order < b->order : a->left < b->left;
}

static int push(struct qn_merge *merge, const struct qn_candidate *candidate)
{
	size_t at = merge->n_heap;
	struct qn_candidate *heap = grow(merge->heap, at, &merge->heap_room, sizeof(*heap));

	if (!heap)
		return -1;
	merge->heap = heap;
	merge->n_heap++;
	for (; at > 0 && is_before(candidate, &heap[(at - 1) / 2]); at = (at - 1) / 2)
		heap[at] = heap[(at - 1) / 2];
	heap[at] = *candidate;
	return 0;
}

static struct qn_candidate pop(struct qn_merge *merge)
{
	struct qn_candidate *heap = merge->heap, best = heap[0], last = heap[--merge->n_heap];
	size_t n = merge->n_heap, at = 0;

	for (;;) {
		size_t child = at * 2 + 1;

		if (child + 1 < n && is_before(&heap[child + 1], &heap[child]))
			child++;
		if (child >= n || !is_before(&heap[child], &last))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = last; /* also when it was the only one */
	return best;
}

/* ---- joining ---- */

/* Adds the symbol and its next one as a candidate, if they make a token. */
static int try_pair(struct qn_merge *merge, const struct quern_tokenizer *t, const char *text,
		    int32_t left)
{
	const struct qn_symbol *a, *b;
	struct qn_candidate candidate = {.left = left};

	if (left < 0 || merge->symbols[left].next < 0)
		return 0;
	a = &merge->symbols[left];
	b = &merge->symbols[a->next];
	candidate.n_bytes = a->n_bytes + b->n_bytes;
	if (t->split) {
		const struct qn_pair *pair = qn_vocab_pair(t, a->id, b->id);

		if (!pair)
			return 0;
		candidate.id = pair->id;
		candidate.order = pair->rank;
	} else {
		candidate.id = qn_vocab_find(t, text + a->start, candidate.n_bytes);
		if (candidate.id < 0)
			return 0;
		candidate.order = t->tokens[candidate.id].order;
	}
	return push(merge, &candidate);
}

int qn_merge_run(struct qn_merge *merge, const struct quern_tokenizer *t, const char *text)
{
	merge->n_heap = 0;
	for (size_t i = 0; i < merge->n_symbols; i++) {
		if (try_pair(merge, t, text, (int32_t)i))
			return -1;
	}
	while (merge->n_heap > 0) {
		struct qn_candidate best = pop(merge);
		struct qn_symbol *a = &merge->symbols[best.left], *b;

		if (a->n_bytes == 0 || a->next < 0)
			continue;
		b = &merge->symbols[a->next];
		if (a->n_bytes + b->n_bytes != best.n_bytes)
			continue;
		a->n_bytes = best.n_bytes;
		a->id = best.id;
		a->next = b->next;
		b->n_bytes = 0;
		if (a->next >= 0)
			merge->symbols[a->next].previous = best.left;
		if (try_pair(merge, t, text, a->previous) || try_pair(merge, t, text, best.left))
			return -1;
	}
	return 0;
}

void qn_merge_free(struct qn_merge *merge)
{
	free(merge->symbols);
	free(merge->heap);
}
