/*
 * random_vocab.h: vocabularies for random.h, made up or taken from a file.
 */
#ifndef QN_RANDOM_VOCAB_H
#define QN_RANDOM_VOCAB_H

#include "gguf_write.h"
#include "random_shape.h"

/*
 * Keys of a tokenizer with n_tokens tokens: all bytes, so that any text comes back from its tokens,
 * then pieces of up to four letters.  n_tokens must be at least qn_random_vocab_least.
 */
void qn_random_vocab_write(struct qn_gguf_write *file, enum qn_random_vocab_kind kind,
			   long n_tokens);
enum { QN_RANDOM_VOCAB_LEAST = 300, QN_RANDOM_VOCAB_MOST = 490000 };

/* Tokens of a file's tokenizer, or -1 when it has none. */
long qn_random_vocab_count(const struct quern_gguf *from);

/*
 * The keys of that tokenizer, with unused tokens behind its own up to n_tokens; its chat template only where
 * has_template.
 */
void qn_random_vocab_copy(struct qn_gguf_write *file, const struct quern_gguf *from, long n_tokens,
			  int has_template);

#endif
