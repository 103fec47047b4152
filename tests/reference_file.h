/*
 * reference_file.h: a GGUF file as the reference model reads it: keys as numbers, tensors as doubles.
 *
 * Readers do not fail: the first problem is kept, and what was wrong reads as something harmless.
 */
#ifndef TESTS_REFERENCE_FILE_H
#define TESTS_REFERENCE_FILE_H

#include "quern.h"

struct reference_file {
	const struct quern_gguf *gguf;
	const char *arch; /* stands before the names of keys */
	long layer;       /* whose tensors are meant; -1: the model's own */
	struct reference_weights *weights;
	long n_weights;
	struct quern_error problem; /* the first one; empty: none */
};

/* Frees the doubles. */
void reference_file_close(struct reference_file *file);

void reference_file_complain(struct reference_file *file, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Memory for n of n_bytes in the place of `old`, which may be NULL; free it with free. */
void *reference_file_allocate(void *old, long n, size_t n_bytes);

/* Is there a key <arch>.name? */
int reference_file_key(const struct reference_file *file, const char *name,
		       struct quern_value *value);
int reference_file_is_text(const struct quern_value *value, const char *text);

double reference_file_number(struct reference_file *file, const char *name, double otherwise);

/* A number that counts something; without one, `otherwise` 0 is a problem. */
long reference_file_count(struct reference_file *file, const char *name, long otherwise);

/* Is there a tensor name.suffix, in a layer blk.<layer>.name.suffix? */
int reference_file_tensor(const struct reference_file *file, const char *name, const char *suffix,
			  struct quern_tensor *tensor);

/*
 * That tensor, m rows of k, as doubles that stay until the file is closed; NULL when there is none,
 * which is a problem if it is required.
 */
const double *reference_file_optional(struct reference_file *file, const char *name,
				      const char *suffix, long m, long k);
const double *reference_file_required(struct reference_file *file, const char *name,
				      const char *suffix, long m, long k);

#endif
