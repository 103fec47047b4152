/*
 * gguf.h: what gguf.c (access), gguf_header.c (reading and checking) and their tests share.
 */
#ifndef QN_GGUF_H
#define QN_GGUF_H

#include <time.h>

#include "../quern.h"

/* Strings of an array that share a mark. */
#define QN_GGUF_STRINGS_PER_MARK 32

/* An array of strings is known by where its strings 0, 32, 64 ... stand (with their lengths). */
struct qn_gguf_mark {
	const uint8_t *string;
};

struct qn_gguf_entry {
	struct quern_tensor tensor; /* first, so that an entry starts with its name */
	uint64_t offset;            /* from the start of the data section */
};

/* Pointers to records that start with their name, in the order of the names. */
struct qn_gguf_index {
	const void **records;
	size_t n;
};

struct quern_gguf {
	void *map; /* NULL: the caller owns the bytes */
	size_t map_bytes;
	struct timespec changed; /* when the mapped file was */
	struct quern_value *keys;
	struct qn_gguf_entry *entries; /* tensors */
	struct qn_gguf_index keys_by_name, entries_by_name;
	struct qn_gguf_chunk *arena; /* names, indices, marks and the two tables above */
};

struct qn_gguf_chunk {
	struct qn_gguf_chunk *next;
	size_t n_used, n_bytes;
	_Alignas(16) unsigned char bytes[];
};

/*
 * quern_gguf_open on a file in memory, which must stay as it is until quern_gguf_close and is not
 * freed by it.  name is for error sentences.
 */
int qn_gguf_parse(const void *data, size_t n_bytes, const char *name, struct quern_gguf **file,
		  struct quern_error *err);

/*
 * The memory that a tensor's pages of the mapped file take is given back until it is read again; nothing happens when it
 * is another file's.
 */
void qn_gguf_forget(const struct quern_gguf *file, const struct quern_tensor *tensor);

/*
 * Where the file will be read.  is_all: most of it, one part after the other, as is taken for granted when it is
 * opened; 0: few places, and nothing need be read around them.
 */
void qn_gguf_expect(const struct quern_gguf *file, int is_all);

/* Number of the tensor with this name; -1: there is none. */
long qn_gguf_number(const struct quern_gguf *file, const char *name);

/* Value of a fixed-size type at p, any alignment; sets all of *value but its name. */
void qn_gguf_load(int type, const uint8_t *p, struct quern_value *value);

/* Bytes of a value by enum quern_value_type; 0: no fixed size. */
extern const uint8_t qn_gguf_scalar_bytes[QUERN_FLOAT64 + 1];

/* Order of two pointers to records that start with their name. */
int qn_gguf_compare_names(const void *a, const void *b);

#endif
