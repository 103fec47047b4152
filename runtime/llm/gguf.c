/*
 * gguf.c: opens GGUF files and finds their keys and tensors.
 *
 * Files are mapped and read in place; gguf_header.c has checked everything that is relied on here.
 */
#include "gguf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../error.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF is read without swapping");

/* ---- files ---- */

static int map_file(const char *path, void **map, size_t *n_bytes, struct timespec *changed,
		    struct quern_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), failed = -1;
	struct stat status;

	if (fd < 0 || fstat(fd, &status)) {
		qn_error_set(err, "%s: cannot open: %s", path, strerror(errno));
		goto out;
	}
	if (!S_ISREG(status.st_mode) || status.st_size == 0) {
		qn_error_set(err, "%s: %s; it must be a GGUF file", path,
			     S_ISREG(status.st_mode) ? "empty" : "not a regular file");
		goto out;
	}
	*n_bytes = (size_t)status.st_size;
	*changed = status.st_mtim;
	*map = mmap(NULL, *n_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	failed = *map == MAP_FAILED ? -1 : 0;
	if (failed)
		qn_error_set(err, "%s: cannot map: %s", path, strerror(errno));
out:
	if (fd >= 0)
		close(fd);
	return failed;
}

int quern_gguf_open(struct quern_gguf **file, const char *path, struct quern_error *err)
{
	struct timespec changed = {0};
	size_t n_bytes = 0;
	void *map = NULL;

	*file = NULL;
	if (map_file(path, &map, &n_bytes, &changed, err))
		return -1;
	if (qn_gguf_parse(map, n_bytes, path, file, err)) {
		munmap(map, n_bytes);
		return -1;
	}
	(*file)->map = map;
	(*file)->map_bytes = n_bytes;
	(*file)->changed = changed;
	return 0;
}

void quern_gguf_close(struct quern_gguf *file)
{
	if (!file)
		return;
	while (file->arena) {
		struct qn_gguf_chunk *next = file->arena->next;

		free(file->arena);
		file->arena = next;
	}
	if (file->map)
		munmap(file->map, file->map_bytes);
	free(file);
}

void qn_gguf_forget(const struct quern_gguf *file, const struct quern_tensor *tensor)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t first = ((uintptr_t)tensor->data + page - 1) / page * page;
	const uintptr_t end = ((uintptr_t)tensor->data + tensor->n_bytes) / page * page;

	const uintptr_t map = (uintptr_t)file->map;

	if (map && first < end && first >= map && end <= map + file->map_bytes)
		madvise((void *)first, end - first, MADV_DONTNEED);
}

void qn_gguf_expect(const struct quern_gguf *file, int is_all)
{
	if (file->map)
		madvise(file->map, file->map_bytes, is_all ? MADV_NORMAL : MADV_RANDOM);
}

/* ---- finding by name ---- */

static const char *name_of(const void *record)
{
	return *(const char *const *)record;
}

int qn_gguf_compare_names(const void *a, const void *b)
{
	return strcmp(name_of(*(const void *const *)a), name_of(*(const void *const *)b));
}

static const void *find_name(const struct qn_gguf_index *index, const char *name)
{
	const void *record = &name, **found;

	found = bsearch(&record, index->records, index->n, sizeof(*index->records),
			qn_gguf_compare_names);
	return found ? *found : NULL;
}

/* ---- access ---- */

const uint8_t qn_gguf_scalar_bytes[QUERN_FLOAT64 + 1] =
	{[QUERN_U8] = 1,     [QUERN_I8] = 1,    [QUERN_U16] = 2,     [QUERN_I16] = 2,
	 [QUERN_U32] = 4,    [QUERN_I32] = 4,   [QUERN_FLOAT32] = 4, [QUERN_BOOL] = 1,
	 [QUERN_STRING] = 0, [QUERN_ARRAY] = 0, [QUERN_U64] = 8,     [QUERN_I64] = 8,
	 [QUERN_FLOAT64] = 8};

void qn_gguf_load(int type, const uint8_t *p, struct quern_value *value)
{
	union {
		int8_t i8;
		int16_t i16;
		int32_t i32;
		float f32;
	} x = {0};

	value->type = type;
	value->count = 1;
	value->u = 0;
	switch (type) {
	case QUERN_I8:
		memcpy(&x, p, sizeof(x.i8));
		value->i = x.i8;
		break;
	case QUERN_I16:
		memcpy(&x, p, sizeof(x.i16));
		value->i = x.i16;
		break;
	case QUERN_I32:
		memcpy(&x, p, sizeof(x.i32));
		value->i = x.i32;
		break;
	case QUERN_FLOAT32:
		memcpy(&x, p, sizeof(x.f32));
		value->f = x.f32;
		break;
	case QUERN_FLOAT64: memcpy(&value->f, p, sizeof(value->f)); break;
	default: /* unsigned, I64 and BOOL */ memcpy(&value->u, p, qn_gguf_scalar_bytes[type]);
	}
}

size_t quern_gguf_n_tensors(const struct quern_gguf *file)
{
	return file->entries_by_name.n;
}

int quern_gguf_tensor(const struct quern_gguf *file, size_t index, struct quern_tensor *tensor)
{
	if (index >= file->entries_by_name.n)
		return -1;
	*tensor = file->entries[index].tensor;
	return 0;
}

int quern_gguf_find(const struct quern_gguf *file, const char *name, struct quern_tensor *tensor)
{
	const struct qn_gguf_entry *entry = find_name(&file->entries_by_name, name);

	if (!entry)
		return -1;
	*tensor = entry->tensor;
	return 0;
}

long qn_gguf_number(const struct quern_gguf *file, const char *name)
{
	const struct qn_gguf_entry *entry = find_name(&file->entries_by_name, name);

	return entry ? (long)(entry - file->entries) : -1;
}

size_t quern_gguf_n_keys(const struct quern_gguf *file)
{
	return file->keys_by_name.n;
}

int quern_gguf_key(const struct quern_gguf *file, size_t index, struct quern_value *value)
{
	if (index >= file->keys_by_name.n)
		return -1;
	*value = file->keys[index];
	return 0;
}

int quern_gguf_find_key(const struct quern_gguf *file, const char *name, struct quern_value *value)
{
	const struct quern_value *key = find_name(&file->keys_by_name, name);

	if (!key)
		return -1;
	*value = *key;
	return 0;
}

/* Lengths were checked when the file was opened. */
static const uint8_t *find_string(const struct qn_gguf_mark *marks, uint64_t index,
				  uint64_t *n_bytes)
{
	const uint8_t *p = marks[index / QN_GGUF_STRINGS_PER_MARK].string;

	memcpy(n_bytes, p, sizeof(*n_bytes));
	for (uint64_t i = index % QN_GGUF_STRINGS_PER_MARK; i > 0; i--) {
		p += sizeof(*n_bytes) + *n_bytes;
		memcpy(n_bytes, p, sizeof(*n_bytes));
	}
	return p + sizeof(*n_bytes);
}

int quern_gguf_element(const struct quern_gguf *file, const struct quern_value *array,
		       uint64_t index, struct quern_value *element)
{
	const uint8_t *p = array->data;

	(void)file;
	if (array->type != QUERN_ARRAY || index >= array->count)
		return -1;
	*element = (struct quern_value){.type = array->element_type};
	if (array->element_type == QUERN_STRING)
		element->s = (const char *)find_string(array->data, index, &element->count);
	else
		qn_gguf_load(array->element_type,
			     p + index * qn_gguf_scalar_bytes[array->element_type], element);
	return 0;
}

/* ---- types ---- */

/* By GGUF's number; ggml removed those that are missing. */
static const struct type {
	const char *name;
	uint16_t n_values, n_bytes;
} types[] = {[0] = {"F32", 1, 4},
	     {"F16", 1, 2},
	     [2] = {"Q4_0", 32, 18},
	     {"Q4_1", 32, 20},
	     [6] = {"Q5_0", 32, 22},
	     {"Q5_1", 32, 24},
	     {"Q8_0", 32, 34},
	     {"Q8_1", 32, 36},
	     [10] = {"Q2_K", 256, 84},
	     {"Q3_K", 256, 110},
	     {"Q4_K", 256, 144},
	     {"Q5_K", 256, 176},
	     [14] = {"Q6_K", 256, 210},
	     {"Q8_K", 256, 292},
	     [16] = {"IQ2_XXS", 256, 66},
	     {"IQ2_XS", 256, 74},
	     {"IQ3_XXS", 256, 98},
	     [19] = {"IQ1_S", 256, 50},
	     {"IQ4_NL", 32, 18},
	     {"IQ3_S", 256, 110},
	     [22] = {"IQ2_S", 256, 82},
	     {"IQ4_XS", 256, 136},
	     [24] = {"I8", 1, 1},
	     {"I16", 1, 2},
	     {"I32", 1, 4},
	     {"I64", 1, 8},
	     {"F64", 1, 8},
	     [29] = {"IQ1_M", 256, 56},
	     {"BF16", 1, 2},
	     [34] = {"TQ1_0", 256, 54},
	     {"TQ2_0", 256, 66},
	     [36] = {"I2_S", 4, 1}, /* of BitNet files, where 32 bytes with a scale follow */
	     [39] = {"MXFP4", 32, 17},
	     {"NVFP4", 64, 36},
	     {"Q1_0", 128, 18},
	     {"Q2_0", 64, 18}};

static const struct type *find_type(int type)
{
	if (type < 0 || type >= (int)(sizeof(types) / sizeof(types[0])) || !types[type].name)
		return NULL;
	return &types[type];
}

const char *quern_type_name(int type)
{
	const struct type *known = find_type(type);

	return known ? known->name : NULL;
}

int quern_type_block(int type, long *n_values, long *n_bytes)
{
	const struct type *known = find_type(type);

	if (!known)
		return -1;
	*n_values = known->n_values;
	*n_bytes = known->n_bytes;
	return 0;
}
