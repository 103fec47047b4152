/*
 * gguf_header.c: reads the header of a GGUF file and checks it.
 *
 * The header is a stream of counts, lengths and strings that a stranger wrote.  Every one of
 * them is compared with the bytes that are left before it is used, so memory and time are bounded
 * by the size of the file.  Numbers in a GGUF header are not aligned, hence memcpy.
 */
#include "gguf.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"

#define DAMAGED "it is cut off or damaged"

enum {
	KEY_BYTES = 14,    /* a key has at least: length, one letter, type, one byte */
	TENSOR_BYTES = 33, /* length, one letter, n_dims, one dim, type, offset */
	MAX_KEY_NAME = 65535,
	MAX_TENSOR_NAME = 63,
	MAX_ELEMENTS = 1 << 30, /* of an array, and bytes of a string */
	TYPE_I2_S = 36,
	I2_S_SCALE_BYTES = 32, /* behind the codes */
	LAST_SURE_TYPE = 35,   /* forks use larger numbers for types of their own */
	FILE_TYPE_I2_S = 40
};

struct reader {
	struct quern_gguf *file;
	const uint8_t *start, *p, *end;
	const char *name; /* of the file */
	const char *part; /* "key" or "tensor"; NULL outside of both */
	uint64_t number;  /* of the key or tensor, from 1 */
	const char *item; /* its name once known */
	struct quern_error *err;
};

/* ---- errors ---- */

/* Copies a name for an error sentence: long ones cut, no control characters. */
static const char *show(char text[64], const char *name)
{
	size_t n = 0;

	for (; name[n] && n < 60; n++)
		text[n] = (unsigned char)name[n] < ' ' || name[n] == 0x7f ? '?' : name[n];
	memcpy(text + n, name[n] ? "..." : "", name[n] ? 4 : 1);
	return text;
}

/* "file: tensor 3 'name': sentence". */
__attribute__((format(printf, 2, 3))) static int fail(const struct reader *r, const char *format,
						      ...)
{
	char sentence[200], item[64], place[128] = "";
	size_t length = strlen(r->name), cut = length > 80 ? length - 80 : 0;
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	if (r->part && r->item)
		snprintf(place, sizeof(place), "%s '%s': ", r->part, show(item, r->item));
	else if (r->part)
		snprintf(place, sizeof(place), "%s %llu: ", r->part, (unsigned long long)r->number);
	return qn_error_set(r->err, "%s%s: %s%s", cut ? "..." : "", r->name + cut, place, sentence);
}

static int fail_memory(const struct reader *r)
{
	return fail(r, "out of memory");
}

/* ---- memory that lives as long as the file ---- */

static void *alloc(struct quern_gguf *file, size_t n, size_t size)
{
	struct qn_gguf_chunk *chunk = file->arena;
	size_t n_bytes;

	if (__builtin_mul_overflow(n, size, &n_bytes) || n_bytes > SIZE_MAX / 2)
		return NULL;
	n_bytes = (n_bytes + 15) & ~(size_t)15;
	if (!chunk || n_bytes > chunk->n_bytes - chunk->n_used) {
		size_t room = n_bytes > 65536 ? n_bytes : 65536;

		chunk = malloc(sizeof(*chunk) + room);
		if (!chunk)
			return NULL;
		*chunk = (struct qn_gguf_chunk){.next = file->arena, .n_bytes = room};
		file->arena = chunk;
	}
	chunk->n_used += n_bytes;
	return chunk->bytes + chunk->n_used - n_bytes;
}

/* ---- the stream ---- */

static uint64_t left(const struct reader *r)
{
	return (uint64_t)(r->end - r->p);
}

static const uint8_t *take(struct reader *r, uint64_t n)
{
	const uint8_t *p = r->p;

	if (n > left(r)) {
		fail(r, "%llu more bytes are needed at byte %llu, the file has %llu; " DAMAGED,
		     (unsigned long long)n, (unsigned long long)(r->p - r->start),
		     (unsigned long long)left(r));
		return NULL;
	}
	r->p += n;
	return p;
}

static int take_u32(struct reader *r, uint32_t *value)
{
	const uint8_t *p = take(r, sizeof(*value));

	if (!p)
		return -1;
	memcpy(value, p, sizeof(*value));
	return 0;
}

static int take_u64(struct reader *r, uint64_t *value)
{
	const uint8_t *p = take(r, sizeof(*value));

	if (!p)
		return -1;
	memcpy(value, p, sizeof(*value));
	return 0;
}

static int take_string(struct reader *r, const char **s, uint64_t *n)
{
	if (take_u64(r, n))
		return -1;
	if (*n > MAX_ELEMENTS)
		return fail(r, "a string of %llu bytes; the limit is 1 GiB",
			    (unsigned long long)*n);
	*s = (const char *)take(r, *n);
	return *s ? 0 : -1;
}

/* A name, copied so that it ends in '\0'. */
static int take_name(struct reader *r, uint64_t max, const char **name)
{
	const char *s;
	uint64_t n;
	char *copy;

	if (take_string(r, &s, &n))
		return -1;
	if (n == 0 || n > max)
		return fail(r, "a name of %llu bytes; it must have 1 to %llu",
			    (unsigned long long)n, (unsigned long long)max);
	if (memchr(s, '\0', n))
		return fail(r, "a zero byte in the name");
	copy = alloc(r->file, n + 1, 1);
	if (!copy)
		return fail_memory(r);
	memcpy(copy, s, n);
	copy[n] = '\0';
	*name = r->item = copy;
	return 0;
}

/* ---- keys ---- */

static const uint8_t *take_scalars(struct reader *r, uint32_t type, uint64_t n)
{
	const uint8_t *p = take(r, n * qn_gguf_scalar_bytes[type]);

	for (uint64_t i = 0; p && type == QUERN_BOOL && i < n; i++) {
		if (p[i] > 1) {
			fail(r, "a bool of value %u; it must be 0 or 1", p[i]);
			return NULL;
		}
	}
	return p;
}

static const struct qn_gguf_mark *take_strings(struct reader *r, uint64_t n)
{
	struct qn_gguf_mark *marks;
	const char *s;
	uint64_t n_bytes;

	if (n > left(r) / 8) {
		fail(r, "%llu strings do not fit into the %llu bytes left; " DAMAGED,
		     (unsigned long long)n, (unsigned long long)left(r));
		return NULL;
	}
	marks = alloc(r->file, n / QN_GGUF_STRINGS_PER_MARK + 1, sizeof(*marks));
	if (!marks) {
		fail_memory(r);
		return NULL;
	}
	for (uint64_t i = 0; i < n; i++) {
		if (i % QN_GGUF_STRINGS_PER_MARK == 0)
			marks[i / QN_GGUF_STRINGS_PER_MARK].string = r->p;
		if (take_string(r, &s, &n_bytes))
			return NULL;
	}
	return marks;
}

static int read_array(struct reader *r, struct quern_value *value)
{
	uint32_t type;
	uint64_t n;

	if (take_u32(r, &type) || take_u64(r, &n))
		return -1;
	if (type == QUERN_ARRAY)
		return fail(r, "an array of arrays; elements must be numbers, bools or strings");
	if (type > QUERN_FLOAT64)
		return fail(r, "an array of type %u; element types are 0 to 8 and 10 to 12", type);
	if (n > MAX_ELEMENTS)
		return fail(r, "an array of %llu elements; the limit is %d", (unsigned long long)n,
			    MAX_ELEMENTS);
	value->element_type = (int)type;
	value->count = n;
	if (type == QUERN_STRING)
		value->data = take_strings(r, n);
	else
		value->data = take_scalars(r, type, n);
	return value->data ? 0 : -1;
}

static int read_key(struct reader *r, struct quern_value *value)
{
	const uint8_t *p;
	uint32_t type;

	if (take_name(r, MAX_KEY_NAME, &value->name) || take_u32(r, &type))
		return -1;
	if (type > QUERN_FLOAT64)
		return fail(r, "value type %u; GGUF has types 0 to 12", type);
	value->type = (int)type;
	if (type == QUERN_STRING)
		return take_string(r, &value->s, &value->count);
	if (type == QUERN_ARRAY)
		return read_array(r, value);
	p = take_scalars(r, type, 1);
	if (!p)
		return -1;
	qn_gguf_load((int)type, p, value);
	return 0;
}

/* ---- finding by name ---- */

/* Indexes n records of size bytes and refuses two of the same name. */
static int index_names(struct reader *r, const void *records, size_t n, size_t size,
		       struct qn_gguf_index *index)
{
	index->n = n;
	index->records = alloc(r->file, n, sizeof(*index->records));
	if (!index->records)
		return fail_memory(r);
	for (size_t i = 0; i < n; i++)
		index->records[i] = (const char *)records + i * size;
	qsort(index->records, n, sizeof(*index->records), qn_gguf_compare_names);
	for (size_t i = 1; i < n; i++) {
		if (qn_gguf_compare_names(&index->records[i - 1], &index->records[i]) != 0)
			continue;
		r->item = *(const char *const *)index->records[i];
		return fail(r, "it appears twice; names must differ");
	}
	return 0;
}

/* ---- tensors ---- */

/* Was the file written by BitNet's fork, in which type 36 is I2_S? */
static int is_bitnet(const struct quern_gguf *file)
{
	struct quern_value value;

	if (quern_gguf_find_key(file, "general.architecture", &value) == 0 &&
	    value.type == QUERN_STRING && value.count >= 6 && memcmp(value.s, "bitnet", 6) == 0)
		return 1;
	return quern_gguf_find_key(file, "general.file_type", &value) == 0 &&
	       value.type == QUERN_U32 && value.u == FILE_TYPE_I2_S;
}

/* ggml gave these numbers to types that it later dropped. */
static int is_removed(uint32_t type)
{
	return type == 4 || type == 5 || (type >= 31 && type <= 33) || (type >= 36 && type <= 38);
}

static int check_type(struct reader *r, uint32_t type)
{
	if (type == TYPE_I2_S ? is_bitnet(r->file) : type <= INT_MAX && quern_type_name((int)type))
		return 0;
	if (type == TYPE_I2_S)
		return fail(r, "type 36 (I2_S) stands only in BitNet files, which have "
			       "general.architecture bitnet... or general.file_type 40");
	if (is_removed(type))
		return fail(r, "type %u was removed from GGUF; convert the model again", type);
	return fail(r, "type %u is not known; it may be a fork's own", type);
}

static int compute_size(struct reader *r, struct quern_tensor *tensor)
{
	uint64_t n_values = 1;
	long block_values, block_bytes;

	for (int i = 0; i < tensor->n_dims; i++) {
		if (tensor->dims[i] == 0)
			return fail(r, "dimension %d is 0; it must be at least 1", i);
		if (__builtin_mul_overflow(n_values, tensor->dims[i], &n_values) ||
		    n_values > INT64_MAX)
			return fail(r, "its dimensions multiply to more than 2^63 values");
	}
	quern_type_block(tensor->type, &block_values, &block_bytes);
	if (tensor->dims[0] % (uint64_t)block_values)
		return fail(r, "rows of %llu values; %s needs a multiple of %ld",
			    (unsigned long long)tensor->dims[0], quern_type_name(tensor->type),
			    block_values);
	n_values /= (uint64_t)block_values;
	if (__builtin_mul_overflow(n_values, (uint64_t)block_bytes, &tensor->n_bytes) ||
	    tensor->n_bytes > INT64_MAX - I2_S_SCALE_BYTES)
		return fail(r, "its dimensions multiply to more than 2^63 bytes");
	if (tensor->type == TYPE_I2_S)
		tensor->n_bytes += I2_S_SCALE_BYTES;
	return 0;
}

static int read_tensor(struct reader *r, struct qn_gguf_entry *entry)
{
	struct quern_tensor *tensor = &entry->tensor;
	uint32_t n_dims, type;

	if (take_name(r, MAX_TENSOR_NAME, &tensor->name) || take_u32(r, &n_dims))
		return -1;
	if (n_dims < 1 || n_dims > 4)
		return fail(r, "%u dimensions; there must be 1 to 4", n_dims);
	tensor->n_dims = (int)n_dims;
	for (uint32_t i = 0; i < 4; i++) {
		tensor->dims[i] = 1;
		if (i < n_dims && take_u64(r, &tensor->dims[i]))
			return -1;
	}
	if (take_u32(r, &type) || take_u64(r, &entry->offset) || check_type(r, type))
		return -1;
	tensor->type = (int)type;
	return compute_size(r, tensor);
}

static int compare_offsets(const void *a, const void *b)
{
	const struct qn_gguf_entry *const *x = a, *const *y = b;

	return ((*x)->offset > (*y)->offset) - ((*x)->offset < (*y)->offset);
}

/* An entry may use the room bytes up to its successor or to the end of the file. */
static int check_room(struct reader *r, const struct qn_gguf_entry *entry,
		      const struct qn_gguf_entry *next, uint64_t room, uint64_t alignment)
{
	const struct quern_tensor *tensor = &entry->tensor;
	char name[64];

	r->item = tensor->name;
	if (tensor->n_bytes > room && next)
		return fail(r, "its %llu bytes overlap tensor '%s'; tensors must stand apart",
			    (unsigned long long)tensor->n_bytes, show(name, next->tensor.name));
	if (tensor->n_bytes > room)
		return fail(r, "it needs %llu bytes, the file has %llu for it; " DAMAGED,
			    (unsigned long long)tensor->n_bytes, (unsigned long long)room);
	if (tensor->type > LAST_SURE_TYPE && room - tensor->n_bytes >= alignment)
		return fail(r,
			    "type %d is %s of %llu bytes, but the file has %llu for it; the "
			    "type may be a fork's own",
			    tensor->type, quern_type_name(tensor->type),
			    (unsigned long long)tensor->n_bytes, (unsigned long long)room);
	return 0;
}

/* The header has been read; finds the data section and checks that tensors stand apart in it. */
static int place_tensors(struct reader *r, uint64_t alignment)
{
	size_t n = r->file->entries_by_name.n;
	const struct qn_gguf_entry **sorted = alloc(r->file, n, sizeof(*sorted));
	uint64_t data = ((uint64_t)(r->p - r->start) + alignment - 1) & ~(alignment - 1);
	uint64_t file_bytes = (uint64_t)(r->end - r->start);
	uint64_t data_bytes = data < file_bytes ? file_bytes - data : 0;

	if (!sorted)
		return fail_memory(r);
	for (size_t i = 0; i < n; i++) {
		struct qn_gguf_entry *entry = &r->file->entries[i];

		r->item = entry->tensor.name;
		if (entry->offset % alignment)
			return fail(r, "offset %llu; it must be a multiple of the alignment %llu",
				    (unsigned long long)entry->offset,
				    (unsigned long long)alignment);
		if (entry->offset >= data_bytes)
			return fail(r, "offset %llu, but the file has %llu bytes of data; " DAMAGED,
				    (unsigned long long)entry->offset,
				    (unsigned long long)data_bytes);
		entry->tensor.data = r->start + data + entry->offset;
		sorted[i] = entry;
	}
	qsort(sorted, n, sizeof(*sorted), compare_offsets);
	for (size_t i = 0; i < n; i++) {
		const struct qn_gguf_entry *next = i + 1 < n ? sorted[i + 1] : NULL;
		uint64_t end = i + 1 < n ? sorted[i + 1]->offset : data_bytes;

		if (check_room(r, sorted[i], next, end - sorted[i]->offset, alignment))
			return -1;
	}
	return 0;
}

/* ---- the whole header ---- */

static int check_version(const struct reader *r, uint32_t version)
{
	if (version != 0 && (version & 0xffff) == 0)
		return fail(r,
			    "byte-swapped version %u: the file is big-endian; convert it to "
			    "little-endian",
			    __builtin_bswap32(version));
	if (version == 1)
		return fail(r, "GGUF version 1; convert the model to version 3");
	if (version != 2 && version != 3)
		return fail(r, "GGUF version %u; versions 2 and 3 can be read", version);
	return 0;
}

static int read_counts(struct reader *r, uint64_t *n_tensors, uint64_t *n_keys)
{
	uint32_t magic, version;

	if (left(r) < 4 || memcmp(r->p, "GGUF", 4) != 0)
		return fail(r, "not a GGUF file; it must start with \"GGUF\"");
	if (take_u32(r, &magic) || take_u32(r, &version) || check_version(r, version) ||
	    take_u64(r, n_tensors) || take_u64(r, n_keys))
		return -1;
	if (*n_keys > left(r) / KEY_BYTES || *n_tensors > left(r) / TENSOR_BYTES)
		return fail(r, "%llu keys and %llu tensors do not fit into %llu bytes; " DAMAGED,
			    (unsigned long long)*n_keys, (unsigned long long)*n_tensors,
			    (unsigned long long)(r->end - r->start));
	return 0;
}

static int read_keys(struct reader *r, uint64_t n)
{
	r->part = "key";
	r->file->keys = alloc(r->file, n, sizeof(*r->file->keys));
	if (!r->file->keys)
		return fail_memory(r);
	for (uint64_t i = 0; i < n; i++) {
		r->number = i + 1;
		r->item = NULL;
		r->file->keys[i] = (struct quern_value){.name = NULL};
		if (read_key(r, &r->file->keys[i]))
			return -1;
	}
	return index_names(r, r->file->keys, n, sizeof(*r->file->keys), &r->file->keys_by_name);
}

static int read_alignment(struct reader *r, uint64_t *alignment)
{
	struct quern_value value;

	*alignment = 32;
	if (quern_gguf_find_key(r->file, "general.alignment", &value))
		return 0;
	r->item = value.name;
	if (value.type != QUERN_U32)
		return fail(r, "value type %d; it must be a u32 (type 4)", value.type);
	if (value.u < 8 || (value.u & (value.u - 1)))
		return fail(r, "%llu; it must be a power of two and at least 8",
			    (unsigned long long)value.u);
	*alignment = value.u;
	return 0;
}

static int read_tensors(struct reader *r, uint64_t n, uint64_t alignment)
{
	r->part = "tensor";
	r->file->entries = alloc(r->file, n, sizeof(*r->file->entries));
	if (!r->file->entries)
		return fail_memory(r);
	for (uint64_t i = 0; i < n; i++) {
		r->number = i + 1;
		r->item = NULL;
		if (read_tensor(r, &r->file->entries[i]))
			return -1;
	}
	if (index_names(r, r->file->entries, n, sizeof(*r->file->entries),
			&r->file->entries_by_name))
		return -1;
	return place_tensors(r, alignment);
}

static int read_header(struct reader *r)
{
	uint64_t n_tensors = 0, n_keys = 0, alignment;

	if (read_counts(r, &n_tensors, &n_keys) || read_keys(r, n_keys) ||
	    read_alignment(r, &alignment))
		return -1;
	return read_tensors(r, n_tensors, alignment);
}

int qn_gguf_parse(const void *data, size_t n_bytes, const char *name, struct quern_gguf **file,
		  struct quern_error *err)
{
	struct reader r = {.start = data, .p = data, .name = name, .err = err};

	*file = NULL;
	r.end = n_bytes ? r.start + n_bytes : r.start; /* data may be NULL */
	r.file = calloc(1, sizeof(*r.file));
	if (!r.file)
		return fail_memory(&r);
	if (read_header(&r)) {
		quern_gguf_close(r.file);
		return -1;
	}
	*file = r.file;
	return 0;
}
