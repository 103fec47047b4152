/*
 * gguf_edit.h: GGUF files taken apart, changed and put together again, right or wrong.
 *
 * Keys and tensors are slices of the bytes that were read or of the editor's own memory, so taking apart
 * copies nothing, and what is written last may be taken apart again while its bytes live.  Reading
 * takes what GGUF's grammar allows, however wrong its numbers are; where grammar ends, it ends.
 */
#ifndef TESTS_GGUF_EDIT_H
#define TESTS_GGUF_EDIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quern.h"

enum { EDIT_KEYS = 96, EDIT_TENSORS = 160, EDIT_BYTES = 1 << 20, EDIT_TENSOR_BYTES = 1 << 16 };

struct edit_slice {
	const uint8_t *p;
	size_t n;
};

struct edit_key {
	struct edit_slice name, value; /* value: as it stands behind the type */
	uint32_t type;
};

struct edit_tensor {
	struct edit_slice name, data;
	uint32_t type, n_dims;
	uint64_t dims[4], offset;
};

struct edit {
	uint32_t version;
	int n_keys, n_tensors;
	int more_keys, more_tensors; /* that the header tells of and that are not there */
	struct edit_key keys[EDIT_KEYS];
	struct edit_tensor tensors[EDIT_TENSORS];
	uint64_t alignment;
	struct edit_slice data; /* behind the header, if tensors are not laid out anew */
	size_t n_used;
	uint8_t memory[EDIT_BYTES];
};

/* ---- pieces ---- */

/* A copy in the editor's memory; an empty slice when there is no more. */
static inline struct edit_slice edit_copy(struct edit *e, const void *p, size_t n)
{
	uint8_t *at = e->memory + e->n_used;

	if (n > EDIT_BYTES - e->n_used)
		return (struct edit_slice){e->memory, 0};
	if (n)
		memcpy(at, p, n);
	e->n_used += n;
	return (struct edit_slice){at, n};
}

static inline struct edit_slice edit_text(struct edit *e, const char *text)
{
	return edit_copy(e, text, strlen(text));
}

static inline int edit_is(struct edit_slice s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

/* Bytes of a value of fixed size; 0: of a string or an array. */
static inline size_t edit_type_bytes(uint32_t type)
{
	static const uint8_t n_bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

	return type < sizeof n_bytes ? n_bytes[type] : 0;
}

/* The number in the first bytes of a value. */
static inline uint64_t edit_number(const struct edit_key *key)
{
	uint64_t number = 0;
	const size_t n = edit_type_bytes(key->type);

	memcpy(&number, key->value.p, n < key->value.n ? n : key->value.n);
	return number;
}

static inline struct edit_key *edit_find(struct edit *e, const char *name)
{
	for (int i = 0; i < e->n_keys; i++) {
		if (edit_is(e->keys[i].name, name))
			return &e->keys[i];
	}
	return NULL;
}

static inline void edit_set(struct edit *e, struct edit_key *key, uint32_t type, const void *value,
			    size_t n)
{
	key->type = type;
	key->value = edit_copy(e, value, n);
}

/* A string as a value: its length before it. */
static inline void edit_set_text(struct edit *e, struct edit_key *key, const char *text, size_t n)
{
	const uint64_t length = n;

	key->type = QUERN_STRING;
	key->value = edit_copy(e, &length, sizeof length);
	key->value.n += edit_copy(e, text, n).n;
}

/* A key with this name, whose value is to be set; one that is there, or a new one; NULL: no room. */
static inline struct edit_key *edit_add(struct edit *e, const char *name)
{
	struct edit_key *key = edit_find(e, name);

	if (key || e->n_keys == EDIT_KEYS)
		return key;
	key = &e->keys[e->n_keys++];
	*key = (struct edit_key){.name = edit_text(e, name), .type = QUERN_U8};
	key->value = edit_copy(e, "", 1);
	return key;
}

static inline void edit_drop_key(struct edit *e, int i)
{
	memmove(&e->keys[i], &e->keys[i + 1], (size_t)(--e->n_keys - i) * sizeof *e->keys);
}

static inline void edit_drop_tensor(struct edit *e, int i)
{
	memmove(&e->tensors[i], &e->tensors[i + 1],
		(size_t)(--e->n_tensors - i) * sizeof *e->tensors);
}

/* ---- reading ---- */

struct edit_reader {
	const uint8_t *p, *end;
	int is_over; /* more was asked for than there is */
};

static inline struct edit_slice edit_take(struct edit_reader *r, uint64_t n)
{
	struct edit_slice s = {r->p, 0};

	if (n > (uint64_t)(r->end - r->p)) {
		r->is_over = 1;
		return s;
	}
	s.n = (size_t)n;
	r->p += n;
	return s;
}

static inline uint64_t edit_take_number(struct edit_reader *r, size_t n)
{
	const struct edit_slice s = edit_take(r, n);
	uint64_t number = 0;

	if (s.n)
		memcpy(&number, s.p, s.n);
	return number;
}

static inline struct edit_slice edit_take_string(struct edit_reader *r)
{
	return edit_take(r, edit_take_number(r, 8));
}

static inline void edit_take_key(struct edit_reader *r, struct edit_key *key)
{
	const uint8_t *start;

	key->name = edit_take_string(r);
	key->type = (uint32_t)edit_take_number(r, 4);
	start = r->p;
	if (key->type == QUERN_STRING) {
		edit_take_string(r);
	} else if (key->type == QUERN_ARRAY) {
		const uint32_t type = (uint32_t)edit_take_number(r, 4);
		const uint64_t n = edit_take_number(r, 8);

		if (type == QUERN_STRING)
			for (uint64_t i = 0; i < n && !r->is_over; i++)
				edit_take_string(r);
		else
			edit_take(r, n < EDIT_BYTES ? n * edit_type_bytes(type) : UINT64_MAX);
	} else {
		edit_take(r, edit_type_bytes(key->type));
	}
	key->value = (struct edit_slice){start, (size_t)(r->p - start)};
}

static inline void edit_take_tensor(struct edit_reader *r, struct edit_tensor *t)
{
	*t = (struct edit_tensor){.dims = {1, 1, 1, 1}};
	t->name = edit_take_string(r);
	t->n_dims = (uint32_t)edit_take_number(r, 4);
	for (uint32_t i = 0; i < t->n_dims && i < 4; i++)
		t->dims[i] = edit_take_number(r, 8);
	t->type = (uint32_t)edit_take_number(r, 4);
	t->offset = edit_take_number(r, 8);
}

/* Bytes that a tensor should have; 0: that cannot be told, or is too much. */
static inline size_t edit_tensor_bytes(const struct edit_tensor *t)
{
	uint64_t n = 1;
	long n_values, n_bytes;

	if (quern_type_block((int)t->type, &n_values, &n_bytes))
		return 0;
	for (uint32_t i = 0; i < t->n_dims && i < 4; i++) {
		if (t->dims[i] > EDIT_TENSOR_BYTES || n > EDIT_TENSOR_BYTES)
			return 0;
		n *= t->dims[i];
	}
	n = n / (uint64_t)n_values * (uint64_t)n_bytes + (t->type == QUERN_I2_S ? 32 : 0);
	return n <= EDIT_TENSOR_BYTES ? (size_t)n : 0;
}

/* 0, or -1 where this is no file that can be taken apart.  The bytes have to stay. */
static inline int edit_read(struct edit *e, const uint8_t *data, size_t n_bytes)
{
	struct edit_reader r = {data, data + n_bytes, 0};
	const struct edit_slice magic = edit_take(&r, 4);
	uint64_t n_tensors, n_keys;
	const struct edit_key *key;
	size_t at;

	e->n_keys = e->n_tensors = e->more_keys = e->more_tensors = 0;
	e->n_used = 0;
	e->alignment = 32;
	e->version = (uint32_t)edit_take_number(&r, 4);
	n_tensors = edit_take_number(&r, 8);
	n_keys = edit_take_number(&r, 8);
	if (r.is_over || !edit_is(magic, "GGUF") || n_keys > EDIT_KEYS || n_tensors > EDIT_TENSORS)
		return -1;
	while (!r.is_over && (uint64_t)e->n_keys < n_keys)
		edit_take_key(&r, &e->keys[e->n_keys++]);
	while (!r.is_over && (uint64_t)e->n_tensors < n_tensors)
		edit_take_tensor(&r, &e->tensors[e->n_tensors++]);
	if (r.is_over)
		return -1;
	key = edit_find(e, "general.alignment");
	if (key && key->type == QUERN_U32 && edit_number(key) >= 8 && edit_number(key) <= 4096)
		e->alignment = edit_number(key);
	at = ((size_t)(r.p - data) + e->alignment - 1) / e->alignment * e->alignment;
	at = at < n_bytes ? at : n_bytes;
	e->data = (struct edit_slice){data + at, n_bytes - at};
	for (int i = 0; i < e->n_tensors; i++) {
		struct edit_tensor *t = &e->tensors[i];
		const size_t size = edit_tensor_bytes(t);
		const size_t room = t->offset < e->data.n ? e->data.n - (size_t)t->offset : 0;

		t->data = (struct edit_slice){room ? e->data.p + t->offset : data,
					      size < room ? size : room};
	}
	return 0;
}

/* ---- writing ---- */

struct edit_writer {
	uint8_t *data;
	size_t n, room;
};

static inline void edit_put(struct edit_writer *w, const void *p, size_t n)
{
	if (n && w->n + n <= w->room)
		memcpy(w->data + w->n, p, n);
	w->n += n;
}

static inline void edit_put_number(struct edit_writer *w, uint64_t number, size_t n)
{
	edit_put(w, &number, n);
}

static inline void edit_put_string(struct edit_writer *w, struct edit_slice s)
{
	edit_put_number(w, s.n, 8);
	edit_put(w, s.p, s.n);
}

static inline void edit_pad(struct edit_writer *w, uint64_t alignment)
{
	while (w->n % alignment)
		edit_put(w, "", 1);
}

/* Each tensor's data, as far as there are any, then these again and again. */
static inline void edit_put_tensors(struct edit *e, struct edit_writer *w)
{
	for (int i = 0; i < e->n_tensors && w->n <= w->room; i++) {
		const struct edit_tensor *t = &e->tensors[i];
		size_t left = edit_tensor_bytes(t);

		if (!t->data.n) {
			while (left--)
				edit_put(w, "\x3c", 1);
		} else {
			for (size_t n; left && w->n <= w->room; left -= n) {
				n = left < t->data.n ? left : t->data.n;
				edit_put(w, t->data.p, n);
			}
		}
		edit_pad(w, e->alignment);
	}
}

/*
 * The file, in at most `room` bytes, none of which it was read from; returns its size, 0 when it is larger.
 * is_anew: tensors have the data that their types and dims ask for, one after the other.
 */
static inline size_t edit_write(struct edit *e, int is_anew, uint8_t *data, size_t room)
{
	struct edit_writer w = {data, 0, room};
	uint64_t offset = 0;

	edit_put(&w, "GGUF", 4);
	edit_put_number(&w, e->version, 4);
	edit_put_number(&w, (uint64_t)(e->n_tensors + e->more_tensors), 8);
	edit_put_number(&w, (uint64_t)(e->n_keys + e->more_keys), 8);
	for (int i = 0; i < e->n_keys; i++) {
		edit_put_string(&w, e->keys[i].name);
		edit_put_number(&w, e->keys[i].type, 4);
		edit_put(&w, e->keys[i].value.p, e->keys[i].value.n);
	}
	for (int i = 0; i < e->n_tensors; i++) {
		struct edit_tensor *t = &e->tensors[i];

		if (is_anew) {
			t->offset = offset;
			offset += edit_tensor_bytes(t);
			offset = (offset + e->alignment - 1) / e->alignment * e->alignment;
		}
		edit_put_string(&w, t->name);
		edit_put_number(&w, t->n_dims, 4);
		for (uint32_t d = 0; d < t->n_dims && d < 4; d++)
			edit_put_number(&w, t->dims[d], 8);
		edit_put_number(&w, t->type, 4);
		edit_put_number(&w, t->offset, 8);
	}
	edit_pad(&w, e->alignment);
	if (is_anew)
		edit_put_tensors(e, &w);
	else
		edit_put(&w, e->data.p, e->data.n);
	return w.n <= room ? w.n : 0;
}

#endif
