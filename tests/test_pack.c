/*
 * test_pack.c: panels as pack.c packs them, piece by piece, against those of pack_plain.c, code by code.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "pack.h"
#include "pack_plain.h"

static uint64_t seed = 1;

static const int types[] = {QUERN_Q1_0,  QUERN_Q2_0, QUERN_Q4_0,   QUERN_Q4_1,   QUERN_Q5_0,
			    QUERN_Q5_1,  QUERN_Q8_0, QUERN_Q2_K,   QUERN_Q3_K,   QUERN_Q4_K,
			    QUERN_Q5_K,  QUERN_Q6_K, QUERN_IQ4_NL, QUERN_IQ4_XS, QUERN_TQ1_0,
			    QUERN_TQ2_0, QUERN_I2_S};
enum { N_TYPES = sizeof types / sizeof *types };

/* Any bytes, so that there are scales of all kinds; those of I2_S are an f32 behind the codes. */
static uint8_t *make_tensor(int type, long m, long k)
{
	long n_values, n_bytes;
	size_t size;
	uint8_t *tensor;

	quern_type_block(type, &n_values, &n_bytes);
	size = (size_t)(m * k / n_values * n_bytes) + (type == QUERN_I2_S ? 4 : 0);
	tensor = malloc(size);
	for (size_t i = 0; i < size; i++)
		tensor[i] = (uint8_t)check_below(&seed, 256);
	return tensor;
}

static void pack_plainly(const struct quern_matrix *matrix, const struct quern_weights *w,
			 uint8_t *packed)
{
	const long n_rows = matrix->kernel->layout.panel_rows;
	struct qn_rows rows;

	for (long panel = 0; panel < matrix->n_panels; panel++) {
		if (!CHECK(!qn_matrix_alloc_rows(matrix->kernel->format, qn_matrix_padded_k(matrix),
						 n_rows, &rows)))
			return;
		for (long r = 0; r < n_rows && panel * n_rows + r < w->m; r++) {
			const struct qn_row row = qn_matrix_row(&rows, r);

			qn_format_read_row(w->type, w->data, w->m, w->k, panel * n_rows + r, &row);
		}
		qn_pack_plain(matrix, &rows, packed + (size_t)panel * matrix->panel_bytes);
		qn_matrix_free_rows(&rows);
	}
}

static void check_shape(const struct qn_kernel *kernel, int type, long m, long k)
{
	enum { GUARD = 64 };
	struct quern_matrix matrix = {.kernel = kernel};
	uint8_t *tensor = make_tensor(type, m, k), *plain;
	const struct quern_weights w = {.type = type, .m = m, .k = k, .data = tensor};
	struct qn_packing packing = {.matrix = &matrix, .weights = &w};
	size_t n_bytes;

	qn_matrix_shape(&matrix, kernel, m, k);
	n_bytes = qn_matrix_bytes(&matrix);
	plain = malloc(n_bytes + GUARD);
	matrix.packed = malloc(n_bytes + GUARD);
	memset(plain, 0x5a, n_bytes + GUARD);
	memset(matrix.packed, 0x5a, n_bytes + GUARD);
	pack_plainly(&matrix, &w, plain);
	qn_pack_thread(&packing, 0, 1);
	if (!CHECK(!packing.failed && !memcmp(plain, matrix.packed, n_bytes + GUARD)))
		printf("%s %ldx%ld, order %d, adjacent %d, vector %d, panel %d, signed %d\n",
		       quern_type_name(type), m, k, kernel->layout.order, kernel->layout.adjacent,
		       kernel->layout.vector_bytes, kernel->layout.panel_rows,
		       kernel->layout.signed_codes);
	free(matrix.packed);
	free(plain);
	free(tensor);
}

/* Panels that are full, short, and alone; K of one block, of many, and of odd numbers of them. */
static void check_layout(const struct qn_kernel *kernel, int type)
{
	const long rows = kernel->layout.panel_rows;
	long n_values, n_bytes;

	if (qn_format_of_type(type) != kernel->format)
		return;
	quern_type_block(type, &n_values, &n_bytes);
	if (type == QUERN_I2_S) /* M * K is a multiple of its block */
		n_values = 128;
	check_shape(kernel, type, 2 * rows + 1, n_values);
	check_shape(kernel, type, rows, (2560 / n_values + 1) * n_values);
	check_shape(kernel, type, rows + rows / 2, (n_values < 256 ? 9 : 3) * n_values);
	if (type == QUERN_I2_S) { /* rows that end inside its block */
		check_shape(kernel, type, 128, 37);
		check_shape(kernel, type, 16, 328);
	}
}

/* All that this library's kernels have. */
static void test_registry(void)
{
	for (int i = 0; i < qn_registry.n_kernels; i++) {
		const struct qn_kernel *kernel = qn_registry.kernels[i];
		int is_new = 1;

		for (int j = 0; j < i && is_new; j++)
			is_new = kernel->format != qn_registry.kernels[j]->format ||
				 !qn_same_layout(&kernel->layout, &qn_registry.kernels[j]->layout);
		for (int t = 0; t < N_TYPES && is_new; t++)
			check_layout(kernel, types[t]);
	}
}

/* Does a kernel of some instruction set read a format so? */
static int can_be(const struct qn_format *format, const struct qn_layout *layout)
{
	switch (layout->order) {
	case QN_PLANES: return !format->super && format->bits < 8;
	case QN_TRITS: return layout->adjacent == 4 && !format->group;
	case QN_PLANE_PAIRS: return layout->adjacent == 4 && format->bits == 2;
	case QN_ROWS:
	case QN_FOURS: return layout->adjacent == 4 && format->bits == 2 && format->sub_bits == 4;
	default: return layout->adjacent == 4;
	}
}

/* Every order, with vectors and panels of several sizes. */
static void test_layouts(void)
{
	static const int sizes[][2] = {{16, 1}, {32, 4}, {64, 3}}; /* vector bytes, vectors */

	for (int i = 0; i < 6 * 3 * N_TYPES * 3; i++) {
		const int type = types[i / 18 % N_TYPES], *size = sizes[i / 18 / N_TYPES];
		struct qn_kernel kernel = {.format = (uint8_t)qn_format_of_type(type)};
		const struct qn_format *format = &qn_formats[kernel.format];
		struct qn_layout *layout = &kernel.layout;

		layout->order = (uint8_t)(i % 6);
		layout->adjacent = (uint8_t)(1 << i / 6 % 3);
		layout->vector_bytes = (uint16_t)size[0];
		layout->panel_rows = (uint16_t)(size[0] / layout->adjacent *
						(layout->order == QN_ROWS ? 4 : size[1]));
		layout->signed_codes = format->bits == 8 && size[0] != 64;
		if (can_be(format, layout))
			check_layout(&kernel, type);
	}
}

int main(void)
{
	test_registry();
	test_layouts();
	return check_exit();
}
