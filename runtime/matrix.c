/*
 * matrix.c: shapes of packed weights, kernels for them, and canonical rows on their way.
 *
 * kernel.h describes how weights are packed; everything here follows from the layout of the kernel.
 */
#include "matrix.h"

#include <stdlib.h>
#include <string.h>

/* K of a block of the canonical form: what shares a float scale, at least 32. */
static long block_k(const struct qn_kernel *kernel)
{
	const struct qn_format *format = &qn_formats[kernel->format];

	if (kernel->layout.order == QN_TRITS)
		return 5 * QN_GROUP;
	if (format->super)
		return format->super;
	return format->group > QN_GROUP ? format->group : QN_GROUP;
}

/* Bytes of the sub-scales and sub-minima of one group. */
static long sub_bytes(const struct qn_format *format)
{
	if (!format->super)
		return 0;
	return format->sub_bits == 4 || !format->has_min ? 1 : 2;
}

/* Bytes of one row's part of a block. */
static long row_block_bytes(const struct qn_kernel *kernel)
{
	const struct qn_format *format = &qn_formats[kernel->format];
	const long k = block_k(kernel);
	const long codes = kernel->layout.order == QN_TRITS ? k / 5 : k * format->bits / 8;
	const long floats = format->group ? 2 + 2 * format->has_min : 0;

	return codes + floats + (format->super ? k / format->group * sub_bytes(format) : 0);
}

void qn_matrix_shape(struct quern_matrix *matrix, const struct qn_kernel *kernel, long m, long k)
{
	const long rows = kernel->layout.panel_rows;

	matrix->kernel = kernel;
	for (int i = 0; i < QN_N_TOKEN_CLASSES; i++)
		matrix->by_tokens[i] = kernel;
	matrix->m = m;
	matrix->k = k;
	matrix->n_panels = (m + rows - 1) / rows;
	matrix->n_blocks = (k + block_k(kernel) - 1) / block_k(kernel);
	matrix->panel_bytes = (size_t)(rows * matrix->n_blocks * row_block_bytes(kernel)) +
			      (qn_formats[kernel->format].group ? 0 : 4 * (size_t)rows);
}

long qn_matrix_class_tokens(int i)
{
	static const long tokens[QN_N_TOKEN_CLASSES] = {1, 2, 4, 8, 16, 32, 128, 512};

	return tokens[i];
}

int qn_matrix_class(long n_tokens)
{
	int i = 0;

	/* The next class from the geometric middle on. */
	while (i + 1 < QN_N_TOKEN_CLASSES &&
	       n_tokens * n_tokens >= qn_matrix_class_tokens(i) * qn_matrix_class_tokens(i + 1))
		i++;
	return i;
}

const struct qn_kernel *qn_matrix_kernel(const struct quern_matrix *matrix, long n_tokens)
{
	return matrix->by_tokens[qn_matrix_class(n_tokens)];
}

void qn_matrix_place(struct qn_case *what, struct qn_lane *const lanes[QN_SHARES_N_WORKS])
{
	const struct qn_lane *lane = lanes[qn_shares_work_of(what->n_tokens)];

	what->n_threads = lane->n_threads;
	what->core = lane->core;
}

/* Other kernels of the same layout for other numbers of tokens. */
static void choose_by_tokens(struct quern_matrix *matrix, struct qn_lane *const *lanes,
			     uint32_t features)
{
	for (int i = 0; i < QN_N_TOKEN_CLASSES; i++) {
		struct qn_case what = matrix->what;
		struct qn_chosen chosen;

		what.n_tokens = qn_matrix_class_tokens(i);
		qn_matrix_place(&what, lanes);
		if (what.n_tokens != matrix->what.n_tokens &&
		    !qn_choose(&qn_registry, features, &what, &matrix->kernel->layout, NULL,
			       &chosen, NULL))
			matrix->by_tokens[i] = chosen.kernel;
	}
}

int qn_matrix_choose(struct quern_matrix *matrix, struct qn_lane *const lanes[QN_SHARES_N_WORKS],
		     uint32_t features, const char *forced, struct quern_error *err)
{
	if (qn_choose(&qn_registry, features, &matrix->what, NULL, forced, &matrix->chosen, err))
		return -1;
	qn_matrix_shape(matrix, matrix->chosen.kernel, matrix->what.m, matrix->what.k);
	if (matrix->chosen.rung != QN_RUNG_FORCED)
		choose_by_tokens(matrix, lanes, features);
	return 0;
}

size_t qn_matrix_bytes(const struct quern_matrix *matrix)
{
	return (size_t)matrix->n_panels * matrix->panel_bytes;
}

long qn_matrix_padded_k(const struct quern_matrix *matrix)
{
	return matrix->n_blocks * block_k(matrix->kernel);
}

int qn_matrix_alloc_rows(int format, long k, long n_rows, struct qn_rows *rows)
{
	const size_t n = (size_t)n_rows;
	uint8_t *p;

	*rows = (struct qn_rows){.k = k,
				 .n_scales = qn_format_n_scales(format, k),
				 .n_subs = qn_format_n_subs(format, k)};
	rows->n_bytes = n * (size_t)(8 * rows->n_scales + 2 * rows->n_subs + k);
	p = rows->memory = calloc(rows->n_bytes, 1);
	if (!p)
		return -1;
	rows->scales = (float *)(void *)p;
	rows->mins = rows->scales + n_rows * rows->n_scales;
	rows->sub_scales = (int8_t *)(rows->mins + n_rows * rows->n_scales);
	rows->sub_mins = (uint8_t *)rows->sub_scales + n_rows * rows->n_subs;
	rows->codes = rows->sub_mins + n_rows * rows->n_subs;
	return 0;
}

void qn_matrix_free_rows(struct qn_rows *rows)
{
	free(rows->memory);
}

struct qn_row qn_matrix_row(const struct qn_rows *rows, long r)
{
	return (struct qn_row){
		.codes = rows->codes + r * rows->k,
		.scales = rows->scales + r * rows->n_scales,
		.mins = rows->mins + r * rows->n_scales,
		.sub_scales = rows->sub_scales + r * rows->n_subs,
		.sub_mins = rows->sub_mins + r * rows->n_subs,
	};
}

struct qn_rows qn_matrix_rows_from(const struct qn_rows *rows, long r)
{
	const struct qn_row first = qn_matrix_row(rows, r);

	return (struct qn_rows){
		.k = rows->k,
		.n_scales = rows->n_scales,
		.n_subs = rows->n_subs,
		.codes = first.codes,
		.scales = first.scales,
		.mins = first.mins,
		.sub_scales = first.sub_scales,
		.sub_mins = first.sub_mins,
	};
}
