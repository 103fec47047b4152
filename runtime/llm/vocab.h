/*
 * vocab.h: what vocab.c (look-up), vocab_read.c (reading and checking) and tokenizer.c share.
 */
#ifndef QN_VOCAB_H
#define QN_VOCAB_H

#include "../quern.h"
#include "split.h"

enum { QN_TOKEN_BYTES = 65535 }; /* the longest that is accepted */

/* GGUF's numbers; 0 and 5 are unused tokens. */
enum qn_token_type {
	QN_TOKEN_NORMAL = 1,
	QN_TOKEN_UNKNOWN = 2,
	QN_TOKEN_CONTROL = 3,
	QN_TOKEN_USER = 4, /* found in text before anything is merged */
	QN_TOKEN_UNUSED = 5,
	QN_TOKEN_BYTE = 6
};

struct qn_token {
	uint32_t start, n_bytes; /* in the tokenizer's bytes: the token as it stands in text */
	uint32_t order;          /* SentencePiece: of two merges the one of lower order is first */
	uint8_t type;
	uint8_t is_end;   /* ends what the model says */
	uint8_t strips;   /* white space behind it is dropped */
	uint8_t is_plain; /* text may become this token by merges */
};

/* Byte-level BPE: two tokens that become one. */
struct qn_pair {
	int32_t left, right; /* left -1: an empty slot */
	uint32_t rank;       /* low ranks are merged first */
	int32_t id;
};

struct quern_tokenizer {
	const struct qn_split *split; /* NULL: SentencePiece */
	const char *split_reason;     /* why this one */
	int adds_space, adds_bos, adds_eos;
	int32_t special[QUERN_NEWLINE + 1];
	int32_t byte_ids[256]; /* -1: no such token */
	struct qn_token *tokens;
	long n_tokens;
	char *bytes;
	/* Plain tokens by their text: ids + 1 in an open-addressing table. */
	uint32_t *slots, slot_mask;
	uint32_t longest; /* bytes of a plain token */
	/* Pairs in an open-addressing table. */
	struct qn_pair *pairs;
	size_t pair_mask;
	/* Control, unknown and user-defined tokens by their text; those that begin with byte b are
	 * marked[first[b]] to marked[first[b + 1] - 1]. */
	int32_t *marked;
	uint32_t first[257];
	char *chat; /* chat template, NULL: none; chat_bytes, and a '\0' */
	size_t chat_bytes;
};

/* Reads and checks all that is kept; *t is empty.  After an error qn_vocab_free is still due. */
int qn_vocab_read(struct quern_tokenizer *t, const struct quern_gguf *file,
		  struct quern_error *err);

void qn_vocab_free(struct quern_tokenizer *t);

uint32_t qn_vocab_hash(const char *text, size_t n_bytes);

/* A power of two, at least 1.5 * n. */
size_t qn_vocab_table_size(size_t n);

/* Fills slots and marked from tokens; -1: out of memory. */
int qn_vocab_index(struct quern_tokenizer *t);

/* Adds a pair to a table that has room; of equal ones the first stays. */
void qn_vocab_add_pair(struct quern_tokenizer *t, const struct qn_pair *pair);

/* The plain token that reads so; -1: none. */
int32_t qn_vocab_find(const struct quern_tokenizer *t, const char *text, size_t n_bytes);

/*
 * The longest token that the text of n_bytes >= 1 begins with, of user-defined ones, and of control
 * and unknown ones if with_control; -1: none.
 */
int32_t qn_vocab_match(const struct quern_tokenizer *t, const char *text, size_t n_bytes,
		       int with_control);

/* NULL: the two are not merged. */
const struct qn_pair *qn_vocab_pair(const struct quern_tokenizer *t, int32_t left, int32_t right);

#endif
