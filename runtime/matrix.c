/*
 * matrix.c: copies canonical codes into the order in which a kernel reads them.
 *
 * kernel.h describes that order; everything here follows from the layout of the kernel.
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
	if (kernel->layout.order == QN_PLANE_PAIRS) {
		parts[0] = (struct part){2, 0};
		return 1;
	}
	for (int width = 8; width; width /= 2) {
		if (bits & width) {
			parts[n++] = (struct part){width, shift};
			shift += width;
		}
	}
	return n;
}

/* Codes of 32 k -> a field each: part of the code, eight at a time. */
static void take_codes(const uint8_t *codes, struct part part, uint8_t *fields)
{
	const uint64_t mask = ((1u << part.width) - 1) * 0x0101010101010101u;

	for (int i = 0; i < QN_GROUP; i += 8) {
		uint64_t eight;

		memcpy(&eight, codes + i, sizeof eight);
		eight = eight >> part.shift & mask;
		memcpy(fields + i, &eight, sizeof eight);
	}
}

/* Codes of 32 k -> 8 fields: one bit plane of 4 codes each. */
static void take_plane(const uint8_t *codes, int shift, uint8_t *fields)
{
	for (int i = 0; i < QN_GROUP / 4; i++) {
		uint32_t four;

		/* Bits 0, 8, 16 and 24 come together in bits 24 to 27, no two products in one bit. */
		memcpy(&four, codes + 4 * i, sizeof four);
		fields[i] = (uint8_t)((four >> shift & 0x01010101) * 0x01020408 >> 24 & 15);
	}
}

/* Codes of 32 k -> 16 fields of two bit planes: 4 of the low one and the high one's at the same k in turn by twos. */
static void take_plane_pairs(const uint8_t *codes, uint8_t *fields)
{
	uint8_t planes[2][QN_GROUP / 4];

	for (int plane = 0; plane < 2; plane++)
		take_plane(codes, plane, planes[plane]);
	for (int i = 0; i < QN_GROUP / 2; i++)
		fields[i] = planes[i % 4 / 2][i / 4 * 2 + i % 2];
}

/*
 * 32 k of one row -> its lanes in the vectors of one part.  vector points at the row's first lane
 * of the part's first vector.
 */
static void pack_row(const struct qn_layout *layout, const uint8_t *fields, int n_fields,
		     int field_bits, uint8_t *vector)
{
	const int per_byte = 8 / field_bits, adjacent = layout->adjacent;

	/* Four lanes at a time: fields stay within their bytes. */
	for (int unit = 0; unit < n_fields && adjacent == 4; unit += per_byte * 4) {
		uint32_t lanes = 0, four;

		for (int f = 0; f < per_byte; f++) {
			memcpy(&four, fields + unit + 4 * f, sizeof four);
			lanes |= four << f * field_bits;
		}
		memcpy(vector, &lanes, sizeof lanes);
		vector += layout->vector_bytes;
	}
	for (int unit = adjacent == 4 ? n_fields : 0; unit < n_fields;
	     unit += per_byte * adjacent) {
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
	const int k_each = layout->order == QN_PLANES ? 4 : 1,
		  pairs = layout->order == QN_PLANE_PAIRS;

	for (int first = 0; first < layout->panel_rows; first += vector_rows) {
		for (int p = 0; p < n_parts; p++) {
			const int field_bits = pairs ? 4 : parts[p].width * k_each;
			const int n_fields = pairs ? QN_GROUP / 2 : QN_GROUP / k_each;
			const int n_vectors = n_fields * field_bits / 8 / layout->adjacent;

			for (int r = 0; r < vector_rows; r++) {
				uint8_t fields[QN_GROUP];

				if (pairs)
					take_plane_pairs(codes + (first + r) * code_stride, fields);
				else if (k_each == 4)
					take_plane(codes + (first + r) * code_stride,
						   parts[p].shift, fields);
				else
					take_codes(codes + (first + r) * code_stride, parts[p],
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

/* 160 k of all rows of a panel as five digits to a byte; returns the end of what it wrote. */
static uint8_t *pack_trits(const struct quern_matrix *matrix, const uint8_t *codes,
			   long code_stride, uint8_t *out)
{
	const struct qn_layout *layout = &matrix->kernel->layout;
	const int vector_rows = layout->vector_bytes / layout->adjacent;

	for (int first = 0; first < layout->panel_rows; first += vector_rows) {
		for (int j = 0; j < 8; j++, out += layout->vector_bytes) {
			for (int i = 0; i < layout->vector_bytes; i++) {
				const uint8_t *c =
					codes + (first + i / 4) * code_stride + 4 * j + i % 4;
				unsigned v = 0;

				for (int n = 0; n < 5; n++)
					v = 3 * v + c[QN_GROUP * n];
				out[i] = (uint8_t)((256 * v + 242) / 243);
			}
		}
	}
	return out;
}

/* 32 k of all rows of a panel, four rows to a byte; returns the end of what it wrote. */
static uint8_t *pack_rows(const struct qn_layout *layout, const uint8_t *codes, long code_stride,
			  uint8_t *out)
{
	const int vector_rows = layout->vector_bytes / layout->adjacent;

	for (int j = 0; j < 8; j++) {
		for (int i = 0; i < layout->vector_bytes; i++) {
			const uint8_t *c = codes + i / 4 * code_stride + 4 * j + i % 4;
			unsigned byte = 0x80;

			for (int v = 0; v < 4; v++)
				byte ^= (unsigned)c[v * vector_rows * code_stride] << 2 * v;
			*out++ = (uint8_t)byte;
		}
	}
	return out;
}

/*
 * Sub-scales or sub-minima of the groups of a block for QN_ROWS, [row][stride] of them; returns the
 * end of what it wrote.
 */
static uint8_t *pack_row_subs(const struct qn_layout *layout, const uint8_t *subs, long stride,
			      long n_groups, uint8_t *out)
{
	const int vector_rows = layout->vector_bytes / layout->adjacent;

	for (long g = 0; g < n_groups; g += 4) {
		for (int first = 0; first < layout->panel_rows; first += 2 * vector_rows) {
			for (int i = 0; i < layout->vector_bytes; i++) {
				const uint8_t *s = subs + (first + i / 4) * stride + g + i % 4;

				*out++ = (uint8_t)(s[0] | s[vector_rows * stride] << 4);
			}
		}
	}
	return out;
}

static uint8_t *put_half(float x, uint8_t *out)
{
	const uint16_t half = qn_format_float_to_half(x);

	memcpy(out, &half, 2);
	return out + 2;
}

/* Scales of block b of all rows; returns the end of what it wrote. */
static uint8_t *pack_scales(const struct qn_kernel *kernel, const struct qn_rows *rows, long b,
			    uint8_t *out)
{
	const struct qn_format *format = &qn_formats[kernel->format];
	const int n_rows = kernel->layout.panel_rows;
	const long n_groups = format->super ? format->super / format->group : 0;

	for (int r = 0; r < n_rows; r++)
		out = put_half(rows->scales[r * rows->n_scales + b], out);
	for (int r = 0; r < n_rows && format->has_min; r++)
		out = put_half(rows->mins[r * rows->n_scales + b], out);
	if (kernel->layout.order == QN_ROWS) {
		out = pack_row_subs(&kernel->layout,
				    (const uint8_t *)rows->sub_scales + b * n_groups, rows->n_subs,
				    n_groups, out);
		return pack_row_subs(&kernel->layout, rows->sub_mins + b * n_groups, rows->n_subs,
				     n_groups, out);
	}
	return out;
}

/* Sub-scales and sub-minima of the groups of 32 k from k on; returns the end of what it wrote. */
static uint8_t *pack_subs(const struct qn_kernel *kernel, const struct qn_rows *rows, long k,
			  uint8_t *out)
{
	const struct qn_format *format = &qn_formats[kernel->format];
	const int n_rows = kernel->layout.panel_rows;

	for (long g = k / format->group; g < (k + QN_GROUP) / format->group; g++) {
		const int8_t *sub_scales = rows->sub_scales + g;
		const uint8_t *sub_mins = rows->sub_mins + g;

		for (int r = 0; r < n_rows; r++) {
			const int scale = sub_scales[r * rows->n_subs];

			*out++ = (uint8_t)(format->sub_bits == 4
						   ? scale | sub_mins[r * rows->n_subs] << 4
						   : scale);
		}
		for (int r = 0; r < n_rows && format->has_min && format->sub_bits == 8; r++)
			*out++ = sub_mins[r * rows->n_subs];
	}
	return out;
}

void qn_matrix_pack_panel(const struct quern_matrix *matrix, const struct qn_rows *rows,
			  uint8_t *panel)
{
	const struct qn_kernel *kernel = matrix->kernel;
	const struct qn_format *format = &qn_formats[kernel->format];
	const int n_rows = kernel->layout.panel_rows;
	const long each = block_k(kernel);
	struct part parts[8];
	const int n_parts = cut_code(kernel, parts);

	for (int r = 0; r < n_rows && !format->group; r++) {
		memcpy(panel, &rows->scales[r * rows->n_scales], 4);
		panel += 4;
	}
	for (long b = 0; b < matrix->n_blocks; b++) {
		if (format->group)
			panel = pack_scales(kernel, rows, b, panel);
		if (kernel->layout.order == QN_TRITS) {
			panel = pack_trits(matrix, rows->codes + b * each, rows->k, panel);
			continue;
		}
		for (long k = b * each; k < (b + 1) * each; k += QN_GROUP) {
			const uint8_t *codes = rows->codes + k;

			if (format->super && kernel->layout.order != QN_ROWS)
				panel = pack_subs(kernel, rows, k, panel);
			panel = kernel->layout.order == QN_ROWS
					? pack_rows(&kernel->layout, codes, rows->k, panel)
					: pack_step(matrix, parts, n_parts, codes, rows->k, panel);
		}
	}
}
