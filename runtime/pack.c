/*
 * pack.c: weights of any source -> packed panels, at the speed of memory.
 *
 * matrix.c packs code by code, as kernel.h describes the order; here are the same orders eight codes
 * at a time.  A piece of K of all rows of a panel is decoded to canonical form and packed before the
 * next, so that canonical codes, one byte each, stay in the nearest cache.
 */
#include "pack.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The step functions below are written once and compiled for every width. */
#define INLINE static inline __attribute__((always_inline))

/* Bit 0 of every byte. */
#define ONES 0x0101010101010101u

/* ---- 32 codes of one row -> its lanes ---- */

/* Codes of 32 k, eight in each. */
struct codes {
	uint64_t eight[4];
};

INLINE struct codes load_codes(const uint8_t *codes)
{
	struct codes c;

	memcpy(&c, codes, sizeof c);
	return c;
}

/* Four lanes: the high half's fields stand `width` bits above those of the low half. */
INLINE void put_fields(uint64_t fields, int width, uint8_t *lanes)
{
	const uint32_t four = (uint32_t)(fields | fields >> (32 - width));

	memcpy(lanes, &four, sizeof four);
}

/* The parts of codes of `bits` bits; lanes: of the first vector, stride bytes before those of the next. */
INLINE void put_codes(struct codes c, int bits, uint64_t flip, uint8_t *lanes, long stride)
{
	const uint64_t *x = c.eight;
	uint64_t y[4];

	if (bits == 8) {
		for (int i = 0; i < 4; i++, lanes += 2 * stride) {
			const uint64_t eight = x[i] ^ flip;

			memcpy(lanes, &eight, 4);
			memcpy(lanes + stride, (const uint8_t *)&eight + 4, 4);
		}
		return;
	}
	if (bits & 4) {
		for (int i = 0; i < 4; i++, lanes += stride)
			put_fields(x[i] & 15 * ONES, 4, lanes);
	}
	if (bits & 2) {
		for (int i = 0; i < 4; i++)
			y[i] = x[i] >> (bits & 4) & 3 * ONES;
		put_fields(y[0] | y[1] << 4, 2, lanes);
		put_fields(y[2] | y[3] << 4, 2, lanes + stride);
		lanes += 2 * stride;
	}
	if (bits & 1) {
		for (int i = 0; i < 4; i++)
			y[i] = x[i] >> (bits & 6) & ONES;
		put_fields(y[0] | y[1] << 2 | y[2] << 4 | y[3] << 6, 1, lanes);
	}
}

/* One bit of the codes: that of code i becomes bit i. */
INLINE uint32_t take_plane(struct codes c, int bit)
{
	uint32_t plane = 0;

	/* Bits 0, 8, ... 56 come together in bits 56 to 63, no two products in one bit. */
	for (int i = 0; i < 4; i++)
		plane |= (uint32_t)((c.eight[i] >> bit & ONES) * 0x0102040810204080u >> 56)
			 << 8 * i;
	return plane;
}

/* Changes the places of the second and the third nibble of both halves. */
INLINE uint32_t swap_nibbles(uint32_t x)
{
	const uint32_t differ = (x >> 4 ^ x) & 0x00f000f0;

	return x ^ differ ^ differ << 4;
}

INLINE uint32_t swap_bytes(uint32_t x)
{
	const uint32_t differ = (x >> 8 ^ x) & 0x0000ff00;

	return x ^ differ ^ differ << 8;
}

/* Of nibbles, in fields of 4 bits, those stand in a byte that are `adjacent` apart. */
INLINE void put_planes(struct codes c, int bits, int adjacent, uint8_t *lanes, long stride)
{
	for (int bit = 0; bit < bits; bit++) {
		uint32_t plane = take_plane(c, bit);

		if (adjacent == 4)
			plane = swap_bytes(plane);
		if (adjacent > 1)
			plane = swap_nibbles(plane);
		for (int i = 0; i < 4; i += adjacent, lanes += stride)
			memcpy(lanes, (const uint8_t *)&plane + i, (size_t)adjacent);
	}
}

INLINE void put_plane_pairs(struct codes c, uint8_t *lanes, long stride)
{
	const uint32_t low = swap_nibbles(take_plane(c, 0)), high = swap_nibbles(take_plane(c, 1));
	const uint32_t first = (low & 0xffff) | high << 16;
	const uint32_t second = low >> 16 | (high & 0xffff0000);

	memcpy(lanes, &first, sizeof first);
	memcpy(lanes + stride, &second, sizeof second);
}

/* ---- all rows of one vector, or of one panel ---- */

struct step {
	const struct qn_kernel *kernel;
	const uint8_t *codes; /* [rows][stride] */
	long stride;
};

INLINE void pack_codes(struct step s, int bits, uint8_t *out)
{
	const long vector_bytes = s.kernel->layout.vector_bytes;
	const uint64_t flip = s.kernel->layout.signed_codes ? 0x80 * ONES : 0;

	for (long i = 0; i < vector_bytes; i += 4, s.codes += s.stride)
		put_codes(load_codes(s.codes), bits, flip, out + i, vector_bytes);
}

INLINE void pack_planes(struct step s, int adjacent, uint8_t *out)
{
	const long vector_bytes = s.kernel->layout.vector_bytes;
	const int bits = qn_formats[s.kernel->format].bits;

	for (long i = 0; i < vector_bytes; i += adjacent, s.codes += s.stride)
		put_planes(load_codes(s.codes), bits, adjacent, out + i, vector_bytes);
}

static void pack_plane_pairs(struct step s, uint8_t *out)
{
	const long vector_bytes = s.kernel->layout.vector_bytes;

	for (long i = 0; i < vector_bytes; i += 4, s.codes += s.stride)
		put_plane_pairs(load_codes(s.codes), out + i, vector_bytes);
}

/* 160 k; five digits to a byte. */
static void pack_trits(struct step s, uint8_t *out)
{
	const long vector_bytes = s.kernel->layout.vector_bytes;

	for (long i = 0; i < vector_bytes; i += 4, s.codes += s.stride) {
		struct codes v = load_codes(s.codes);
		uint8_t bytes[QN_GROUP];

		for (int n = 1; n < 5; n++) {
			const struct codes c = load_codes(s.codes + QN_GROUP * n);

			for (int j = 0; j < 4; j++)
				v.eight[j] = 3 * v.eight[j] + c.eight[j]; /* 242 at most */
		}
		memcpy(bytes, &v, sizeof bytes);
		for (int j = 0; j < QN_GROUP; j++)
			bytes[j] = (uint8_t)((256u * bytes[j] + 242) / 243);
		put_codes(load_codes(bytes), 8, 0, out + i, vector_bytes);
	}
}

/* Four vectors of rows in one, each two bits above the one before. */
static void pack_rows(struct step s, uint8_t *out)
{
	const long vector_bytes = s.kernel->layout.vector_bytes;
	const long next = vector_bytes / 4 * s.stride;

	for (long i = 0; i < vector_bytes; i += 4, s.codes += s.stride) {
		struct codes all = load_codes(s.codes);

		for (int v = 1; v < 4; v++) {
			const struct codes c = load_codes(s.codes + v * next);

			for (int j = 0; j < 4; j++)
				all.eight[j] |= c.eight[j] << 2 * v;
		}
		put_codes(all, 8, 0x80 * ONES, out + i, vector_bytes);
	}
}

/* The codes of one vector of rows. */
static void pack_vector(struct step s, uint8_t *out)
{
	const struct qn_layout *layout = &s.kernel->layout;

	if (layout->order == QN_TRITS) {
		pack_trits(s, out);
	} else if (layout->order == QN_PLANE_PAIRS) {
		pack_plane_pairs(s, out);
	} else if (layout->order == QN_PLANES) {
		switch (layout->adjacent) {
		case 1: pack_planes(s, 1, out); break;
		case 2: pack_planes(s, 2, out); break;
		default: pack_planes(s, 4, out); break;
		}
	} else {
		switch (qn_formats[s.kernel->format].bits) {
		case 1: pack_codes(s, 1, out); break;
		case 2: pack_codes(s, 2, out); break;
		case 3: pack_codes(s, 3, out); break;
		case 4: pack_codes(s, 4, out); break;
		case 5: pack_codes(s, 5, out); break;
		case 6: pack_codes(s, 6, out); break;
		default: pack_codes(s, 8, out); break;
		}
	}
}

/* Codes of 32 k, or 160 of QN_TRITS, of all rows of a panel; returns the end of what it wrote. */
static uint8_t *pack_step(struct step s, uint8_t *out)
{
	const struct qn_layout *layout = &s.kernel->layout;
	const int vector_rows = layout->vector_bytes / layout->adjacent;
	const int bits = layout->order == QN_TRITS ? 8 : qn_formats[s.kernel->format].bits;

	if (layout->order == QN_ROWS) {
		pack_rows(s, out);
		return out + 8 * layout->vector_bytes;
	}
	for (int r = 0; r < layout->panel_rows; r += vector_rows) {
		pack_vector(s, out);
		s.codes += vector_rows * s.stride;
		out += QN_GROUP * bits / 8 * vector_rows;
	}
	return out;
}

/* ---- scales ---- */

/* As qn_format_float_to_half, for numbers that are most often normal ones. */
INLINE uint16_t half_of(float x)
{
	uint32_t bits, magnitude;

	memcpy(&bits, &x, sizeof bits);
	magnitude = bits & 0x7fffffff;
	if (magnitude - 0x38800000 >= 0x47800000 - 0x38800000)
		return qn_format_float_to_half(x);
	magnitude += 0xfff + (magnitude >> 13 & 1);
	return (uint16_t)((bits >> 16 & 0x8000) | ((magnitude >> 13) - (112 << 10)));
}

static uint8_t *pack_halves(const float *x, long stride, int n_rows, uint8_t *out)
{
	for (int r = 0; r < n_rows; r++, out += 2) {
		const uint16_t half = half_of(x[r * stride]);

		memcpy(out, &half, sizeof half);
	}
	return out;
}

/* The sub-scales and sub-minima of one group. */
static uint8_t *pack_subs(const struct qn_format *format, const struct qn_row *row, long stride,
			  int n_rows, uint8_t *out)
{
	const uint8_t *scales = (const uint8_t *)row->sub_scales, *mins = row->sub_mins;

	if (format->sub_bits == 4) {
		for (int r = 0; r < n_rows; r++)
			*out++ = (uint8_t)(scales[r * stride] | mins[r * stride] << 4);
		return out;
	}
	for (int r = 0; r < n_rows; r++)
		*out++ = scales[r * stride];
	for (int r = 0; r < n_rows && format->has_min; r++)
		*out++ = mins[r * stride];
	return out;
}

/* Of QN_ROWS: sub-scales or sub-minima of all groups of a block. */
static uint8_t *pack_row_subs(const struct qn_layout *layout, const uint8_t *subs, long stride,
			      long n_groups, uint8_t *out)
{
	const int vector_rows = layout->vector_bytes / layout->adjacent;

	for (long g = 0; g < n_groups; g += 4) {
		for (int first = 0; first < layout->panel_rows; first += 2 * vector_rows) {
			for (int r = first; r < first + vector_rows; r++, out += 4) {
				uint32_t low, high;

				memcpy(&low, subs + r * stride + g, sizeof low);
				memcpy(&high, subs + (r + vector_rows) * stride + g, sizeof high);
				low |= high << 4;
				memcpy(out, &low, sizeof low);
			}
		}
	}
	return out;
}

/* Scales of block b of the rows; returns the end of what it wrote. */
static uint8_t *pack_scales(const struct qn_kernel *kernel, const struct qn_rows *rows, long b,
			    uint8_t *out)
{
	const struct qn_format *format = &qn_formats[kernel->format];
	const int n_rows = kernel->layout.panel_rows;
	const long n_groups = format->super ? format->super / format->group : 0;
	struct qn_row row = {.sub_scales = rows->sub_scales + b * n_groups,
			     .sub_mins = rows->sub_mins + b * n_groups};

	out = pack_halves(rows->scales + b, rows->n_scales, n_rows, out);
	if (format->has_min)
		out = pack_halves(rows->mins + b, rows->n_scales, n_rows, out);
	if (kernel->layout.order == QN_ROWS) {
		out = pack_row_subs(&kernel->layout, (const uint8_t *)row.sub_scales, rows->n_subs,
				    n_groups, out);
		return pack_row_subs(&kernel->layout, row.sub_mins, rows->n_subs, n_groups, out);
	}
	for (long g = 0; g < n_groups; g++, row.sub_scales++, row.sub_mins++)
		out = pack_subs(format, &row, rows->n_subs, n_rows, out);
	return out;
}

/* One a row. */
static uint8_t *pack_row_scales(const struct qn_rows *rows, long n_rows, uint8_t *out)
{
	for (long r = 0; r < n_rows; r++, out += 4)
		memcpy(out, &rows->scales[r * rows->n_scales], 4);
	return out;
}

/* ---- panels ---- */

/* The blocks that rows hold; returns the end of what it wrote. */
static uint8_t *pack_blocks(const struct quern_matrix *matrix, const struct qn_rows *rows, long k,
			    uint8_t *out)
{
	const struct qn_kernel *kernel = matrix->kernel;
	const long each = qn_matrix_padded_k(matrix) / matrix->n_blocks;
	const long step = kernel->layout.order == QN_TRITS ? each : QN_GROUP;

	for (long b = 0; b < k / each; b++) {
		if (qn_formats[kernel->format].group)
			out = pack_scales(kernel, rows, b, out);
		for (long i = b * each; i < (b + 1) * each; i += step)
			out = pack_step((struct step){kernel, rows->codes + i, rows->k}, out);
	}
	return out;
}

/* One row of the source, from `first` on, in canonical form. */
static void read_row(const struct qn_packing *p, long index, long first, long k, float *floats,
		     const struct qn_row *row)
{
	const struct quern_weights *w = p->weights;

	if (!qn_format_is_float(w->type)) {
		qn_format_read_part(w->type, w->data, w->m, w->k, index, first, k, row);
		return;
	}
	qn_format_read_floats(w->type, w->data, w->k, index, floats);
	if (p->tensor_scale > 0) {
		qn_format_encode_ternary(floats, w->k, p->tensor_scale, row->codes);
		row->scales[0] = p->tensor_scale;
	} else {
		qn_format_encode(p->matrix->kernel->format, floats, w->k, row);
	}
}

/* Asks for the same part of a row of the source, `pieces` further. */
static void fetch_row(const struct qn_packing *p, long index, long first, long k)
{
	const struct quern_weights *w = p->weights;
	long n_values, n_bytes;
	const uint8_t *from;

	if (qn_format_is_float(w->type))
		return;
	quern_type_block(w->type, &n_values, &n_bytes);
	from = (const uint8_t *)w->data + (index * w->k + first) / n_values * n_bytes;
	for (long i = 0; i < k / n_values * n_bytes; i += 64)
		__builtin_prefetch(from + i);
}

/*
 * K of what is decoded at once.  Whole blocks of any source and of the panel; floats are encoded by
 * whole rows.
 */
static long piece_k(const struct qn_packing *p)
{
	if (qn_format_is_float(p->weights->type))
		return qn_matrix_padded_k(p->matrix);
	return p->matrix->kernel->layout.order == QN_TRITS ? 5 * 256 : 256;
}

/* rows: room for a piece. */
static void pack_panel(const struct qn_packing *p, const struct qn_rows *rows, float *floats,
		       long panel)
{
	const struct quern_matrix *matrix = p->matrix;
	const long n_rows = matrix->kernel->layout.panel_rows, first = panel * n_rows;
	const long n_left = matrix->m - first < n_rows ? matrix->m - first : n_rows;
	const long padded_k = qn_matrix_padded_k(matrix);
	uint8_t *out = matrix->packed + (size_t)panel * matrix->panel_bytes;

	for (long k = 0; k < padded_k; k += rows->k) {
		const long n = padded_k - k < rows->k ? padded_k - k : rows->k;
		const long n_read = matrix->k - k < n ? matrix->k - k : n;

		if (n_left < n_rows || n_read < n) /* padding? */
			memset(rows->memory, 0, rows->n_bytes);
		for (long r = 0; r < n_left; r++) {
			const struct qn_row row = qn_matrix_row(rows, r);

			fetch_row(p, first + r, k + n_read, n_read);
			read_row(p, first + r, k, n_read, floats, &row);
		}
		if (!k && !qn_formats[matrix->kernel->format].group)
			out = pack_row_scales(rows, n_rows, out);
		out = pack_blocks(matrix, rows, n, out);
	}
}

void qn_pack_thread(void *arg, int thread, int n_threads)
{
	struct qn_packing *p = arg;
	const struct quern_matrix *matrix = p->matrix;
	const int is_float = qn_format_is_float(p->weights->type);
	float *floats = is_float ? malloc((size_t)matrix->k * sizeof(float)) : NULL;
	struct qn_rows rows;
	long panel;

	(void)thread;
	(void)n_threads;
	if (qn_matrix_alloc_rows(matrix->kernel->format, piece_k(p),
				 matrix->kernel->layout.panel_rows, &rows) ||
	    (is_float && !floats)) {
		atomic_store(&p->failed, 1);
	} else {
		while ((panel = atomic_fetch_add(&p->next_panel, 1)) < matrix->n_panels)
			pack_panel(p, &rows, floats, panel);
	}
	qn_matrix_free_rows(&rows);
	free(floats);
}
