/*
 * reference_model.h: a language model's forward pass in double precision, written from the models'
 * definitions, for tests to compare an engine with.
 *
 * One token at a time in plain loops; weights are turned into doubles once, eight bytes each, so
 * this is for small models.  Nothing is rounded to less than double: neither activations nor
 * keys and values.  Not thread-safe, not fast.
 */
#ifndef TESTS_REFERENCE_MODEL_H
#define TESTS_REFERENCE_MODEL_H

#include <stdint.h>

#include "quern.h"

struct reference;

/*
 * Reads the hyper-parameters and, by running one token, every weight; the file must stay open as
 * long as the reference is used.  n_context is the length the model is used with, which in models
 * with long and short rope factors decides between them; 0: the length the file tells.
 * Returns 0, or -1 with a sentence in *err: an unknown architecture, a missing tensor or one of
 * the wrong shape, something that is not modelled (mixtures of experts).
 */
int reference_open(struct reference **reference, const struct quern_gguf *file, long n_context,
		   struct quern_error *err);

/* NULL is allowed. */
void reference_close(struct reference *reference);

long reference_n_vocab(const struct reference *reference);

/*
 * Logits after each of n tokens from an empty context: logits[n][n_vocab].  Returns 0, or -1 when a
 * token is not of the vocabulary.
 */
int reference_logits(struct reference *reference, const int32_t *tokens, long n, double *logits);

/* The same in steps: forgets all tokens, the next one stands at `position`. */
void reference_start(struct reference *reference, long position);

/* One more token; logits[n_vocab] after it, or NULL.  Returns 0 or -1 as above. */
int reference_append(struct reference *reference, int32_t token, double *logits);

#endif
