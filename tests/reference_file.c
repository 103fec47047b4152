/*
 * reference_file.c: keys and tensors of a GGUF file, found by name.
 *
 * A tensor becomes doubles when it is first asked for and is kept, known by the name that the GGUF
 * file owns.
 */
#include "reference_file.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"

struct reference_weights {
	const char *name;
	double *at;
};

void *reference_file_allocate(void *old, long n, size_t n_bytes)
{
	void *block = realloc(old, (size_t)(n > 0 ? n : 1) * n_bytes);

	if (!block)
		abort();
	return block;
}

void reference_file_close(struct reference_file *file)
{
	for (long i = 0; i < file->n_weights; i++)
		free(file->weights[i].at);
	free(file->weights);
}

void reference_file_complain(struct reference_file *file, const char *format, ...)
{
	va_list arguments;

	if (file->problem.text[0])
		return;
	va_start(arguments, format);
	vsnprintf(file->problem.text, sizeof(file->problem.text), format, arguments);
	va_end(arguments);
}

/* ---- keys ---- */

int reference_file_key(const struct reference_file *file, const char *name,
		       struct quern_value *value)
{
	char full[128];

	snprintf(full, sizeof(full), "%s.%s", file->arch, name);
	return quern_gguf_find_key(file->gguf, full, value) == 0;
}

int reference_file_is_text(const struct quern_value *value, const char *text)
{
	return value->type == QUERN_STRING && value->count == strlen(text) &&
	       memcmp(value->s, text, strlen(text)) == 0;
}

double reference_file_number(struct reference_file *file, const char *name, double otherwise)
{
	struct quern_value value;

	if (!reference_file_key(file, name, &value))
		return otherwise;
	switch (value.type) {
	case QUERN_U8:
	case QUERN_U16:
	case QUERN_U32:
	case QUERN_U64: return (double)value.u;
	case QUERN_I8:
	case QUERN_I16:
	case QUERN_I32:
	case QUERN_I64: return (double)value.i;
	case QUERN_FLOAT32:
	case QUERN_FLOAT64: return value.f;
	default: reference_file_complain(file, "key %s: not a number", value.name);
	}
	return otherwise;
}

long reference_file_count(struct reference_file *file, const char *name, long otherwise)
{
	double count = reference_file_number(file, name, (double)otherwise);

	if (count >= 1 && count <= 1e9 && count == floor(count))
		return (long)count;
	reference_file_complain(file, "key %s.%s: missing, or not a count", file->arch, name);
	return 1;
}

/* ---- tensors ---- */

/* What canonical rows of a format need. */
static struct qn_row allocate_row(int format, long k)
{
	long n_scales = qn_format_n_scales(format, k), n_subs = qn_format_n_subs(format, k);
	struct qn_row row;

	row.codes = reference_file_allocate(NULL, k, 1);
	row.scales = reference_file_allocate(NULL, n_scales, sizeof(float));
	row.mins = reference_file_allocate(NULL, n_scales, sizeof(float));
	row.sub_scales = reference_file_allocate(NULL, n_subs, 1);
	row.sub_mins = reference_file_allocate(NULL, n_subs, 1);
	return row;
}

static void free_row(struct qn_row *row)
{
	free(row->codes);
	free(row->scales);
	free(row->mins);
	free(row->sub_scales);
	free(row->sub_mins);
}

/* NULL for types that format.h does not read. */
static double *read_tensor(const struct quern_tensor *t, long m, long k)
{
	int format = qn_format_of_type(t->type);
	struct qn_row row = {NULL, NULL, NULL, NULL, NULL};
	double *w;
	float *x;

	if (format < 0 && t->type != QUERN_F32 && t->type != QUERN_F16 && t->type != QUERN_BF16)
		return NULL;
	w = reference_file_allocate(NULL, m * k, sizeof(*w));
	x = reference_file_allocate(NULL, k, sizeof(*x));
	if (format >= 0)
		row = allocate_row(format, k);
	for (long i = 0; i < m; i++) {
		if (format >= 0) {
			qn_format_read_row(t->type, t->data, m, k, i, &row);
			qn_format_decode(format, &row, k, x);
		} else {
			qn_format_read_floats(t->type, t->data, k, i, x);
		}
		for (long j = 0; j < k; j++)
			w[i * k + j] = (double)x[j];
	}
	if (format >= 0)
		free_row(&row);
	free(x);
	return w;
}

int reference_file_tensor(const struct reference_file *file, const char *name, const char *suffix,
			  struct quern_tensor *tensor)
{
	char full[128];

	if (file->layer < 0)
		snprintf(full, sizeof(full), "%s.%s", name, suffix);
	else
		snprintf(full, sizeof(full), "blk.%ld.%s.%s", file->layer, name, suffix);
	return quern_gguf_find(file->gguf, full, tensor) == 0;
}

const double *reference_file_optional(struct reference_file *file, const char *name,
				      const char *suffix, long m, long k)
{
	struct reference_weights *w;
	struct quern_tensor t;

	if (!reference_file_tensor(file, name, suffix, &t))
		return NULL;
	if (t.dims[0] != (uint64_t)k || t.dims[1] != (uint64_t)m || t.dims[2] * t.dims[3] != 1) {
		reference_file_complain(file, "tensor %s: %ld rows of %ld expected", t.name, m, k);
		return NULL;
	}
	for (long i = 0; i < file->n_weights; i++)
		if (file->weights[i].name == t.name)
			return file->weights[i].at;
	file->weights =
		reference_file_allocate(file->weights, file->n_weights + 1, sizeof(*file->weights));
	w = &file->weights[file->n_weights++];
	w->name = t.name;
	w->at = read_tensor(&t, m, k);
	if (!w->at)
		reference_file_complain(file, "tensor %s: type %d is not read", t.name, t.type);
	return w->at;
}

const double *reference_file_required(struct reference_file *file, const char *name,
				      const char *suffix, long m, long k)
{
	const double *w = reference_file_optional(file, name, suffix, m, k);

	if (!w && file->layer < 0)
		reference_file_complain(file, "no tensor %s.%s", name, suffix);
	else if (!w)
		reference_file_complain(file, "no tensor blk.%ld.%s.%s", file->layer, name, suffix);
	return w;
}
