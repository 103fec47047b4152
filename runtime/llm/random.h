/*
 * random.h: model files of random weights, for benchmarks and tests.
 *
 * Everything but the values of weights is as in a model of that name: keys, tensors and their types,
 * a vocabulary of the right size.  So whatever runs such models loads the file and takes the same time
 * for a token; what it says is noise.
 */
#ifndef QN_RANDOM_H
#define QN_RANDOM_H

#include "../quern.h"

struct qn_random {
	const char *arch;  /* "llama", "gemma3", ...; NULL: whatever has the size's name */
	const char *size;  /* "7b", "llama-3.2-1b", ...; NULL: "tiny" */
	int type;          /* enum quern_type of matrices */
	int output_type;   /* of token_embd and output; -1: as type, of I2_S F16 */
	const char *vocab; /* a GGUF file, whose tokenizer is taken; NULL: a made-up one */
	const char *
		chat_template; /* what the file has as its template; NULL: none but that of vocab */
	uint64_t seed;
	/* Of the size where they are 0. */
	long n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab, n_context;
	/* Called now and then when not NULL; anything but 0 gives the file up. */
	int (*progress)(void *context, uint64_t n_done, uint64_t n_bytes);
	void *context;
};

/*
 * Writes such a file.  Matrices have weights with mean 0 and standard deviation 1 / sqrt(K), norms
 * weights around 1, biases small ones.  The same *what gives the same bytes, whatever machine and
 * time.  Matrices of small models (up to 8 million weights) are normally distributed and then
 * quantised, those of larger ones random blocks of their type.
 *
 * 0, or -1 with a sentence: no such model, sizes that do not fit each other, rows that are no whole
 * blocks of the type, a vocabulary that is larger than n_vocab, a file that cannot be written.
 *
 * The sizes called tiny have widths that no block divides; types with blocks round them up.
 */
int qn_random_write(const char *path, const struct qn_random *what, struct quern_error *err);

#endif
