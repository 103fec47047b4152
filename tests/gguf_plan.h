/*
 * gguf_plan.h: GGUF files made in memory, right or wrong as the caller likes.
 */
#ifndef TESTS_GGUF_PLAN_H
#define TESTS_GGUF_PLAN_H

#include "fuzz_gguf.c"

#include <stdio.h>

struct bytes {
	uint8_t *data;
	size_t n, room;
};

static inline void put(struct bytes *b, const void *data, size_t n)
{
	if (b->n + n > b->room) {
		b->room = (b->n + n) * 2;
		b->data = realloc(b->data, b->room);
		if (!b->data)
			abort();
	}
	if (n)
		memcpy(b->data + b->n, data, n);
	b->n += n;
}

static inline void put_u8(struct bytes *b, uint8_t value)
{
	put(b, &value, sizeof(value));
}

static inline void put_u32(struct bytes *b, uint32_t value)
{
	put(b, &value, sizeof(value));
}

static inline void put_u64(struct bytes *b, uint64_t value)
{
	put(b, &value, sizeof(value));
}

static inline void put_string(struct bytes *b, const char *s)
{
	put_u64(b, strlen(s));
	put(b, s, strlen(s));
}

static inline void put_zeros(struct bytes *b, size_t n)
{
	while (n-- > 0)
		put_u8(b, 0);
}

static inline void pad(struct bytes *b, size_t alignment)
{
	while (b->n % alignment)
		put_u8(b, 0);
}

/* A file before it is written: counts, keys as bytes, tensors, and how much data follows. */
struct plan {
	const char *magic;
	uint32_t version;
	uint64_t n_tensors, n_keys; /* as told in the header */
	struct bytes keys, tensors;
	size_t alignment;
	size_t data_bytes;
};

static inline struct plan start_plan(void)
{
	return (struct plan){.magic = "GGUF", .version = 3, .alignment = 32};
}

static inline void add_key(struct plan *plan, const char *name, uint32_t type)
{
	plan->n_keys++;
	put_string(&plan->keys, name);
	put_u32(&plan->keys, type);
}

static inline void add_string(struct plan *plan, const char *name, const char *value)
{
	add_key(plan, name, QUERN_STRING);
	put_string(&plan->keys, value);
}

static inline void add_u32(struct plan *plan, const char *name, uint32_t value)
{
	add_key(plan, name, QUERN_U32);
	put_u32(&plan->keys, value);
}

static inline void add_array(struct plan *plan, const char *name, uint32_t type, uint64_t n)
{
	add_key(plan, name, QUERN_ARRAY);
	put_u32(&plan->keys, type);
	put_u64(&plan->keys, n);
}

static inline void add_tensor(struct plan *plan, const char *name, uint32_t type, uint32_t n_dims,
			      const uint64_t *dims, uint64_t offset)
{
	plan->n_tensors++;
	put_string(&plan->tensors, name);
	put_u32(&plan->tensors, n_dims);
	for (uint32_t i = 0; i < n_dims; i++)
		put_u64(&plan->tensors, dims[i]);
	put_u32(&plan->tensors, type);
	put_u64(&plan->tensors, offset);
}

static inline void add_matrix(struct plan *plan, const char *name, uint32_t type, uint64_t k,
			      uint64_t m, uint64_t offset)
{
	const uint64_t dims[2] = {k, m};

	add_tensor(plan, name, type, 2, dims, offset);
}

/* The bytes of a plan in a block of exactly their size, so that a sanitizer sees an overrun. */
static inline uint8_t *write_plan(struct plan *plan, size_t *n_bytes)
{
	struct bytes b = {.data = NULL};
	uint8_t *exact;

	put(&b, plan->magic, 4);
	put_u32(&b, plan->version);
	put_u64(&b, plan->n_tensors);
	put_u64(&b, plan->n_keys);
	put(&b, plan->keys.data, plan->keys.n);
	put(&b, plan->tensors.data, plan->tensors.n);
	if (plan->data_bytes) {
		pad(&b, plan->alignment);
		for (size_t i = 0; i < plan->data_bytes; i++)
			put_u8(&b, (uint8_t)(i * 7 + 1));
	}
	free(plan->keys.data);
	free(plan->tensors.data);
	exact = malloc(b.n);
	if (!exact)
		abort();
	memcpy(exact, b.data, b.n);
	free(b.data);
	*n_bytes = b.n;
	return exact;
}

/* Consumes the plan; is its file refused with a sentence that holds `words`? */
static inline int refused(struct plan *plan, const char *words)
{
	struct quern_error err = {.text = ""};
	struct quern_gguf *file;
	size_t n_bytes;
	uint8_t *data = write_plan(plan, &n_bytes);
	int result = qn_gguf_parse(data, n_bytes, "x.gguf", &file, &err);

	if (result == 0)
		quern_gguf_close(file);
	free(data);
	if (result == 0 || strncmp(err.text, "x.gguf: ", 8) != 0 || !strstr(err.text, words)) {
		printf("expected '%s', got '%s'\n", words, result ? err.text : "success");
		return 0;
	}
	return 1;
}

static inline int accepted(struct plan *plan)
{
	struct quern_error err = {.text = ""};
	struct quern_gguf *file;
	size_t n_bytes;
	uint8_t *data = write_plan(plan, &n_bytes);
	int result = qn_gguf_parse(data, n_bytes, "x.gguf", &file, &err);

	if (result == 0)
		quern_gguf_close(file);
	else
		printf("%s\n", err.text);
	LLVMFuzzerTestOneInput(data, n_bytes);
	free(data);
	return result == 0;
}

#endif
