/*
 * pack_plain.c: copies canonical codes into the order in which a kernel reads them, code by code.
 *
 * kernel.h describes that order; everything here follows from the layout of the kernel.
 */
#include "pack_plain.h"

#include <string.h>

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

/* 64 k of all rows of a panel as QN_FOURS has them, sub-scales and sub-minima first; returns the end of what it wrote. */
static uint8_t *pack_fours(const struct qn_layout *layout, const struct qn_rows *rows, long k,
			   uint8_t *out)
{
	for (int i = 0; i < 4 * layout->panel_rows; i++) {
		const long at = i / 4 * rows->n_subs + k / 16 + i % 4;

		*out++ = (uint8_t)(rows->sub_scales[at] | rows->sub_mins[at] << 4);
	}
	for (int first = 0; first < layout->panel_rows; first += layout->vector_bytes / 4) {
		for (int j = 0; j < 4; j++) {
			for (int i = 0; i < layout->vector_bytes; i++) {
				const uint8_t *c =
					rows->codes + (first + i / 4) * rows->k + k + 4 * j + i % 4;

				*out++ = (uint8_t)(c[0] | c[16] << 2 | c[32] << 4 | c[48] << 6);
			}
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

void qn_pack_plain(const struct quern_matrix *matrix, const struct qn_rows *rows, uint8_t *panel)
{
	const struct qn_kernel *kernel = matrix->kernel;
	const struct qn_format *format = &qn_formats[kernel->format];
	const int n_rows = kernel->layout.panel_rows;
	const long each = qn_matrix_padded_k(matrix) / matrix->n_blocks;
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
		if (kernel->layout.order == QN_FOURS) {
			for (long k = b * each; k < (b + 1) * each; k += 2 * QN_GROUP)
				panel = pack_fours(&kernel->layout, rows, k, panel);
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
