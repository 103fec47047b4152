/*
 * merge.h: joins the pieces of a word until no two of them make a token.
 */
#ifndef QN_MERGE_H
#define QN_MERGE_H

#include "vocab.h"

/* A piece of the word. */
struct qn_symbol {
	int32_t previous, next;  /* -1: none; the first symbol is number 0 and stays */
	uint32_t start, n_bytes; /* in the text; n_bytes 0: it was joined to another */
	int32_t id;              /* -1: the piece is no token */
};

/* Memory that is used for word after word; zeros to begin with. */
struct qn_merge {
	struct qn_symbol *symbols;
	struct qn_candidate *heap;
	size_t n_symbols, n_heap, symbol_room, heap_room;
};

/*
 * Appends a piece to the word; the caller empties the word with n_symbols = 0.  -1: out of memory.
 */
int qn_merge_add(struct qn_merge *merge, uint32_t start, uint32_t n_bytes, int32_t id);

/*
 * Joins neighbours, best first: by rank (BPE) or score (SentencePiece), then from left to right.
 * n log n for a word of n pieces.  -1: out of memory.
 */
int qn_merge_run(struct qn_merge *merge, const struct quern_tokenizer *t, const char *text);

void qn_merge_free(struct qn_merge *merge);

#endif
