/*
 * matrix.c: copies canonical codes into the order in which a kernel reads them.
 *
 * kernel.h describes that order; everything here follows from the layout of the kernel.
 */
#include "matrix.h"

#include <string.h>

#include "format.h"

static long block_k(const struct qn_kernel *kernel)
{
	const long group = qn_formats[kernel->format].group;

	return group ? group : QN_GROUP;
}

void qn_matrix_shape(struct quern_matrix *matrix, const struct qn_kernel *kernel, long m, long k)
{
	const struct qn_format *format = &qn_formats[kernel->format];
	const size_t rows = kernel->layout.panel_rows;

	matrix->kernel = kernel;
	for (int i = 0; i < QN_N_TOKEN_CLASSES; i++)
		matrix->by_tokens[i] = kernel;
	matrix->m = m;
	matrix->k = k;
	matrix->n_panels = (m + (long)rows - 1) / (long)rows;
	matrix->n_blocks = (k + block_k(kernel) - 1) / block_k(kernel);
	matrix->panel_bytes =
		rows * (size_t)(matrix->n_blocks * block_k(kernel)) * (size_t)format->bits / 8 +
		(format->group ? 2 * rows * (size_t)matrix->n_blocks : 4 * rows);
}

long qn_matrix_class_tokens(int i)
{
	static const long tokens[QN_N_TOKEN_CLASSES] = {1, 2, 4, 8, 16, 32, 128, 512};

	return tokens[i];
}

const struct qn_kernel *qn_matrix_kernel(const struct quern_matrix *matrix, long n_tokens)
{
	int i = 0;

	/* The next class from the geometric middle on. */
	while (i + 1 < QN_N_TOKEN_CLASSES &&
	       n_tokens * n_tokens >= qn_matrix_class_tokens(i) * qn_matrix_class_tokens(i + 1))
		i++;
	return matrix->by_tokens[i];
}

size_t qn_matrix_bytes(const struct quern_matrix *matrix)
{
	return (size_t)matrix->n_panels * matrix->panel_bytes;
}

long qn_matrix_padded_k(const struct quern_matrix *matrix)
{
	return matrix->n_blocks * block_k(matrix->kernel);
}

long qn_matrix_n_scales(const struct quern_matrix *matrix)
{
	return qn_format_n_scales(matrix->kernel->format, qn_matrix_padded_k(matrix));
}

/* One part of the codes of some rows: fields of `width` bits from bit `shift` of the code on. */
struct part {
	int width, shift;
};

/* The powers of two of a code's width, high to low; low bits of the code first. */
static int cut_code(const struct qn_kernel *kernel, struct part *parts)
{
	const int bits = qn_formats[kernel->format].bits;
	int n = 0, shift = 0;

	if (kernel->layout.order == QN_PLANES) {
		for (; n < bits; n++)
			parts[n] = (struct part){1, n};
		return n;
	}
	for (int width = 8; width; width /= 2) {
		if (bits & width) {
			parts[n++] = (struct part){width, shift};
			shift += width;
		}
	}
	return n;
}

/* Codes of 32 k -> fields, `units` of them, k_each codes in a field. */
static void take_fields(const uint8_t *codes, struct part part, int k_each, uint8_t *fields)
{
	const unsigned mask = (1u << part.width) - 1;

	for (int unit = 0; unit < QN_GROUP / k_each; unit++) {
		unsigned field = 0;

		for (int i = 0; i < k_each; i++)
			field |= (codes[unit * k_each + i] >> part.shift & mask) << i;
		fields[unit] = (uint8_t)field;
	}
}

/*
 * 32 k of one row -> its lanes in the vectors of one part.  vector points at the row's first lane
 * of the part's first vector.
 */
static void pack_row(const struct qn_layout *layout, const uint8_t *fields, int n_fields,
		     int field_bits, uint8_t *vector)
{
	const int per_byte = 8 / field_bits, adjacent = layout->adjacent;

	for (int unit = 0; unit < n_fields; unit += per_byte * adjacent) {
		for (int lane = 0; lane < adjacent; lane++) {
			unsigned byte = 0;

			for (int f = 0; f < per_byte; f++)
				byte |= (unsigned)fields[unit + f * adjacent + lane]
					<< f * field_bits;
			vector[lane] = (uint8_t)byte;
		}
		vector += layout->vector_bytes;
	}
}

/* 32 k of all rows of a panel; returns the end of what it wrote. */
static uint8_t *pack_step(const struct quern_matrix *matrix, const struct part *parts, int n_parts,
			  const uint8_t *codes, long code_stride, uint8_t *out)
{
	const struct qn_layout *layout = &matrix->kernel->layout;
	const int vector_rows = layout->vector_bytes / layout->adjacent;
	const int k_each = layout->order == QN_PLANES ? 4 : 1;

	for (int first = 0; first < layout->panel_rows; first += vector_rows) {
		for (int p = 0; p < n_parts; p++) {
			const int field_bits = parts[p].width * k_each;
			const int n_fields = QN_GROUP / k_each;
			const int n_vectors = n_fields * field_bits / 8 / layout->adjacent;

			for (int r = 0; r < vector_rows; r++) {
				uint8_t fields[QN_GROUP];

				take_fields(codes + (first + r) * code_stride, parts[p], k_each,
					    fields);
				for (int i = 0; layout->signed_codes && i < QN_GROUP; i++)
					fields[i] ^= 0x80;
				pack_row(layout, fields, n_fields, field_bits,
					 out + r * layout->adjacent);
			}
			out += n_vectors * layout->vector_bytes;
		}
	}
	return out;
}

void qn_matrix_pack_panel(const struct quern_matrix *matrix, const uint8_t *codes,
			  const float *scales, uint8_t *panel)
{
	const int rows = matrix->kernel->layout.panel_rows;
	const long code_stride = qn_matrix_padded_k(matrix),
		   scale_stride = qn_matrix_n_scales(matrix);
	const int grouped = qn_formats[matrix->kernel->format].group > 0;
	struct part parts[8];
	const int n_parts = cut_code(matrix->kernel, parts);

	for (int r = 0; r < rows && !grouped; r++) {
		memcpy(panel, &scales[r * scale_stride], 4);
		panel += 4;
	}
	for (long b = 0; b < matrix->n_blocks; b++) {
		for (int r = 0; r < rows && grouped; r++) {
			const uint16_t half = qn_format_float_to_half(scales[r * scale_stride + b]);

			memcpy(panel, &half, 2);
			panel += 2;
		}
		for (long k = b * block_k(matrix->kernel); k < (b + 1) * block_k(matrix->kernel);
		     k += QN_GROUP)
			panel = pack_step(matrix, parts, n_parts, codes + k, code_stride, panel);
	}
}
