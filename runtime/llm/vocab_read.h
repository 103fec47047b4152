/*
 * vocab_read.h: what vocab_read.c (keys, special tokens) and vocab_tokens.c (arrays) share.
 */
#ifndef QN_VOCAB_READ_H
#define QN_VOCAB_READ_H

#include "vocab.h"

struct qn_spelling {
	const char *s; /* in the file */
	uint32_t n_bytes;
};

struct qn_vocab_reader {
	const struct quern_gguf *file;
	struct quern_tokenizer *t;
	struct quern_error *err;
	struct qn_spelling *spellings; /* of each token */
	uint32_t *slots, slot_mask;    /* tokens by spelling: ids + 1 */
	uint32_t longest;              /* bytes of a spelling */
	uint32_t n_bytes;              /* of the tokenizer's bytes so far */
};

/*
 * All return 0, or -1 with a sentence.  Spellings and types come first, texts when types are final.
 */
int qn_vocab_read_spellings(struct qn_vocab_reader *r);
int qn_vocab_read_types(struct qn_vocab_reader *r);
int qn_vocab_read_scores(struct qn_vocab_reader *r);
int qn_vocab_read_texts(struct qn_vocab_reader *r);
int qn_vocab_read_merges(struct qn_vocab_reader *r);

/* The token that the file spells so; -1: none. */
int32_t qn_vocab_find_spelling(const struct qn_vocab_reader *r, const char *s, size_t n_bytes);

/* A string of the file for an error sentence: long ones cut, no control characters. */
const char *qn_vocab_show(char text[64], const char *s, size_t n_bytes);

int qn_vocab_fail_memory(const struct qn_vocab_reader *r);

#endif
