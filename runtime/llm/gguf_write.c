/*
 * gguf_write.c: writes GGUF files.
 *
 * A stream through one buffer.  Counts stand in front of what they count, so they are written last;
 * offsets of tensors follow from their sizes, which are known before any data.
 */
#include "gguf_write.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../draft.h"
#include "../error.h"
#include "gguf.h"

enum {
	BUFFER_BYTES = 1 << 18,
	COUNTS_AT = 8, /* of tensors, then of keys */
	MAX_NAME = 63, /* of a tensor */
	I2_S_TAIL = 32
};

/* A tensor that was announced. */
struct entry {
	char name[MAX_NAME + 1];
	uint64_t n_bytes;
};

struct qn_gguf_write {
	struct qn_draft draft;
	int failed;
	struct quern_error error;
	uint64_t n_keys, n_elements_left, alignment;
	uint64_t n_bytes;     /* of the file so far */
	uint64_t next_offset; /* of a tensor, in the data section */
	struct entry *entries;
	size_t n_entries, n_room;
	int in_data;      /* has the data section begun? */
	size_t at;        /* the tensor whose data is next */
	uint64_t n_given; /* bytes of it so far */
	size_t n_buffered;
	uint8_t buffer[BUFFER_BYTES];
};

/* ---- errors ---- */

__attribute__((format(printf, 2, 3))) static void fail(struct qn_gguf_write *w, const char *format,
						       ...)
{
	char sentence[128];
	va_list args;

	if (w->failed)
		return;
	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	w->failed = 1;
	qn_error_set(&w->error, "%s: %s", qn_draft_shown(w->draft.path), sentence);
}

int qn_gguf_write_has_failed(const struct qn_gguf_write *w)
{
	return w->failed;
}

/* ---- the stream ---- */

static void write_out(struct qn_gguf_write *w, const uint8_t *data, size_t n)
{
	if (!w->failed && qn_draft_write(&w->draft, data, n, &w->error))
		w->failed = 1;
}

static void flush_buffer(struct qn_gguf_write *w)
{
	write_out(w, w->buffer, w->n_buffered);
	w->n_buffered = 0;
}

static void put(struct qn_gguf_write *w, const void *data, size_t n)
{
	w->n_bytes += n;
	if (n > BUFFER_BYTES - w->n_buffered)
		flush_buffer(w);
	if (n > BUFFER_BYTES) {
		write_out(w, data, n);
		return;
	}
	if (n)
		memcpy(w->buffer + w->n_buffered, data, n);
	w->n_buffered += n;
}

static void put_u32(struct qn_gguf_write *w, uint32_t value)
{
	put(w, &value, sizeof(value));
}

static void put_u64(struct qn_gguf_write *w, uint64_t value)
{
	put(w, &value, sizeof(value));
}

static void put_string(struct qn_gguf_write *w, const char *s, uint64_t n)
{
	put_u64(w, n);
	put(w, s, (size_t)n);
}

static void pad(struct qn_gguf_write *w)
{
	while (w->n_bytes % w->alignment)
		put(w, "", 1);
}

/* ---- the file ---- */

static void free_writer(struct qn_gguf_write *w)
{
	free(w->entries);
	free(w);
}

int qn_gguf_write_open(struct qn_gguf_write **file, const char *path, struct quern_error *err)
{
	struct qn_gguf_write *w = calloc(1, sizeof(*w));

	*file = NULL;
	if (!w)
		return qn_error_set(err, "%s: out of memory", qn_draft_shown(path));
	w->alignment = 32;
	if (qn_draft_open(&w->draft, path, err)) {
		free_writer(w);
		return -1;
	}
	put(w, "GGUF", 4);
	put_u32(w, 3);
	put_u64(w, 0);
	put_u64(w, 0);
	*file = w;
	return 0;
}

void qn_gguf_write_abort(struct qn_gguf_write *w)
{
	if (!w)
		return;
	qn_draft_drop(&w->draft);
	free_writer(w);
}

static void write_counts(struct qn_gguf_write *w)
{
	const uint64_t counts[2] = {w->n_entries, w->n_keys};

	if (qn_draft_write_at(&w->draft, counts, sizeof(counts), COUNTS_AT, &w->error))
		w->failed = 1;
}

int qn_gguf_write_close(struct qn_gguf_write *w, struct quern_error *err)
{
	assert(w->failed || w->n_elements_left == 0);
	if (w->at < w->n_entries)
		fail(w, "tensor '%s': %llu of its %llu bytes were given", w->entries[w->at].name,
		     (unsigned long long)w->n_given, (unsigned long long)w->entries[w->at].n_bytes);
	flush_buffer(w);
	if (!w->failed)
		write_counts(w);
	if (!w->failed && qn_draft_keep(&w->draft, &w->error))
		w->failed = 1;
	if (w->failed) {
		qn_error_set(err, "%s", w->error.text);
		qn_gguf_write_abort(w);
		return -1;
	}
	free_writer(w);
	return 0;
}

/* ---- keys ---- */

static void put_value(struct qn_gguf_write *w, const struct quern_value *value)
{
	float f;

	switch (value->type) {
	case QUERN_STRING: put_string(w, value->s, value->count); break;
	case QUERN_FLOAT32:
		f = (float)value->f;
		put(w, &f, sizeof(f));
		break;
	case QUERN_FLOAT64: put(w, &value->f, sizeof(value->f)); break;
	default: /* whole numbers, their low bytes first */
		put(w, &value->u, qn_gguf_scalar_bytes[value->type]);
	}
}

static void start_key(struct qn_gguf_write *w, const char *name, int type)
{
	assert(w->n_elements_left == 0 && w->n_entries == 0);
	w->n_keys++;
	put_string(w, name, strlen(name));
	put_u32(w, (uint32_t)type);
}

static void set_alignment(struct qn_gguf_write *w, const struct quern_value *key)
{
	if (key->type != QUERN_U32 || key->u < 8 || (key->u & (key->u - 1)))
		fail(w, "general.alignment must be a u32, a power of two and at least 8");
	else
		w->alignment = key->u;
}

void qn_gguf_write_key(struct qn_gguf_write *w, const struct quern_value *key)
{
	assert(key->type != QUERN_ARRAY && key->type >= 0 && key->type <= QUERN_FLOAT64);
	if (w->failed)
		return;
	if (!strcmp(key->name, "general.alignment"))
		set_alignment(w, key);
	start_key(w, key->name, key->type);
	put_value(w, key);
}

void qn_gguf_write_u32(struct qn_gguf_write *w, const char *name, uint32_t value)
{
	qn_gguf_write_key(w, &(struct quern_value){.name = name, .type = QUERN_U32, .u = value});
}

void qn_gguf_write_f32(struct qn_gguf_write *w, const char *name, float value)
{
	qn_gguf_write_key(w, &(struct quern_value){.name = name,
						   .type = QUERN_FLOAT32,
						   .f = (double)value});
}

void qn_gguf_write_bool(struct qn_gguf_write *w, const char *name, int value)
{
	qn_gguf_write_key(w, &(struct quern_value){.name = name, .type = QUERN_BOOL, .u = !!value});
}

void qn_gguf_write_string(struct qn_gguf_write *w, const char *name, const char *value)
{
	qn_gguf_write_key(w, &(struct quern_value){.name = name,
						   .type = QUERN_STRING,
						   .count = strlen(value),
						   .s = value});
}

void qn_gguf_write_array(struct qn_gguf_write *w, const char *name, int element_type,
			 uint64_t n_elements)
{
	assert(element_type != QUERN_ARRAY && element_type >= 0 && element_type <= QUERN_FLOAT64);
	if (w->failed)
		return;
	start_key(w, name, QUERN_ARRAY);
	put_u32(w, (uint32_t)element_type);
	put_u64(w, n_elements);
	w->n_elements_left = n_elements;
}

void qn_gguf_write_element(struct qn_gguf_write *w, const struct quern_value *element)
{
	if (w->failed)
		return;
	assert(w->n_elements_left > 0);
	w->n_elements_left--;
	put_value(w, element);
}

void qn_gguf_write_copy(struct qn_gguf_write *w, const struct quern_gguf *from,
			const struct quern_value *key)
{
	struct quern_value element;

	if (key->type != QUERN_ARRAY) {
		qn_gguf_write_key(w, key);
		return;
	}
	qn_gguf_write_array(w, key->name, key->element_type, key->count);
	for (uint64_t i = 0; quern_gguf_element(from, key, i, &element) == 0; i++)
		qn_gguf_write_element(w, &element);
}

/* ---- tensors ---- */

/* What llama.cpp calls a model whose matrices are of a type; of K types those without a mixture. */
static const struct file_type {
	int type;
	uint32_t number;
} file_types[] = {
	{QUERN_F32, 0},   {QUERN_F16, 1},     {QUERN_Q4_0, 2},    {QUERN_Q4_1, 3},
	{QUERN_Q8_0, 7},  {QUERN_Q5_0, 8},    {QUERN_Q5_1, 9},    {QUERN_Q2_K, 10},
	{QUERN_Q3_K, 11}, {QUERN_Q4_K, 14},   {QUERN_Q5_K, 16},   {QUERN_Q6_K, 18},
	{QUERN_BF16, 32}, {QUERN_IQ4_NL, 25}, {QUERN_IQ4_XS, 30}, {QUERN_TQ1_0, 36},
	{QUERN_Q1_0, 40}, {QUERN_TQ2_0, 37},  {QUERN_I2_S, 40},   {QUERN_Q2_0, 41},
};

void qn_gguf_write_file_type(struct qn_gguf_write *w, int type)
{
	for (size_t i = 0; i < sizeof(file_types) / sizeof(file_types[0]); i++) {
		if (file_types[i].type == type)
			qn_gguf_write_u32(w, "general.file_type", file_types[i].number);
	}
	qn_gguf_write_u32(w, "general.quantization_version", 2);
}

uint64_t qn_gguf_write_tensor_bytes(const struct quern_tensor *tensor)
{
	uint64_t n_values = 1;
	long block_values = 1, block_bytes = 1;
	const int is_known = quern_type_block(tensor->type, &block_values, &block_bytes) == 0;

	assert(is_known);
	(void)is_known;
	for (int i = 0; i < tensor->n_dims; i++)
		n_values *= tensor->dims[i];
	return n_values / (uint64_t)block_values * (uint64_t)block_bytes +
	       (tensor->type == QUERN_I2_S ? I2_S_TAIL : 0);
}

static struct entry *add_entry(struct qn_gguf_write *w)
{
	if (w->n_entries == w->n_room) {
		const size_t n_room = w->n_room ? 2 * w->n_room : 64;
		struct entry *entries = realloc(w->entries, n_room * sizeof(*entries));

		if (!entries) {
			fail(w, "out of memory");
			return NULL;
		}
		w->entries = entries;
		w->n_room = n_room;
	}
	return &w->entries[w->n_entries++];
}

void qn_gguf_write_tensor(struct qn_gguf_write *w, const struct quern_tensor *tensor)
{
	const size_t n_name = strlen(tensor->name);
	struct entry *entry;

	assert(!w->in_data && tensor->n_dims >= 1 && tensor->n_dims <= 4);
	if (n_name > MAX_NAME || n_name == 0)
		fail(w, "tensor '%.70s': a name must have 1 to %d bytes", tensor->name, MAX_NAME);
	if (w->failed)
		return;
	assert(w->n_elements_left == 0);
	entry = add_entry(w);
	if (!entry)
		return;
	memcpy(entry->name, tensor->name, n_name + 1);
	entry->n_bytes = qn_gguf_write_tensor_bytes(tensor);
	put_string(w, tensor->name, n_name);
	put_u32(w, (uint32_t)tensor->n_dims);
	for (int i = 0; i < tensor->n_dims; i++)
		put_u64(w, tensor->dims[i]);
	put_u32(w, (uint32_t)tensor->type);
	put_u64(w, w->next_offset);
	w->next_offset += (entry->n_bytes + w->alignment - 1) & ~(w->alignment - 1);
}

void qn_gguf_write_data(struct qn_gguf_write *w, const void *data, size_t n_bytes)
{
	const struct entry *entry = w->at < w->n_entries ? &w->entries[w->at] : NULL;

	if (w->failed)
		return;
	if (!entry || n_bytes > entry->n_bytes - w->n_given) {
		fail(w, "more bytes were given than %s%.63s has", entry ? "tensor " : "it",
		     entry ? entry->name : "");
		return;
	}
	if (!w->in_data)
		pad(w);
	w->in_data = 1;
	put(w, data, n_bytes);
	w->n_given += n_bytes;
	if (w->n_given == entry->n_bytes) {
		pad(w);
		w->at++;
		w->n_given = 0;
	}
}
