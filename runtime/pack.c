/*
 * pack.c: weights of any source -> packed panels, at the speed of memory.
 *
 * pack_plain.c packs code by code, as kernel.h describes the order; here are the same orders sixteen codes
 * at a time.  A piece of K of all rows of a panel is decoded to canonical form and packed before the
 * next, so that canonical codes, one byte each, stay in a near cache.
 */
#include "pack.h"

#include <stdlib.h>
#include <string.h>

#include "pages.h"

/* Four lanes of four bytes; a lane belongs to a row, four rows go together. */
typedef uint32_t lanes __attribute__((vector_size(16)));

/* Codes of a piece, between the nearest cache and the next: what is shorter costs more calls. */
#define PIECE_BYTES (64 << 10)

#define INLINE static inline __attribute__((always_inline))

INLINE lanes load_lanes(const void *p)
{
	lanes x;

	memcpy(&x, p, sizeof x);
	return x;
}

INLINE void store_lanes(lanes x, void *p)
{
	memcpy(p, &x, sizeof x);
}

INLINE lanes zip_low(lanes x, lanes y)
{
	return (lanes){x[0], y[0], x[1], y[1]};
}

INLINE lanes zip_high(lanes x, lanes y)
{
	return (lanes){x[2], y[2], x[3], y[3]};
}

/* 16 codes of each of four rows -> four at the same k of all rows. */
INLINE void transpose(const uint8_t *codes, long stride, lanes u[4])
{
	const lanes row[4] = {load_lanes(codes), load_lanes(codes + stride),
			      load_lanes(codes + 2 * stride), load_lanes(codes + 3 * stride)};
	const lanes even[2] = {zip_low(row[0], row[2]), zip_high(row[0], row[2])};
	const lanes odd[2] = {zip_low(row[1], row[3]), zip_high(row[1], row[3])};

	u[0] = zip_low(even[0], odd[0]);
	u[1] = zip_high(even[0], odd[0]);
	u[2] = zip_low(even[1], odd[1]);
	u[3] = zip_high(even[1], odd[1]);
}

/* Codes of 32 k of four rows: lane r of u[i] has those of row r at k = 4 i .. 4 i + 3. */
struct codes {
	lanes u[8];
};

INLINE struct codes load_codes(const uint8_t *codes, long stride)
{
	struct codes c;

	transpose(codes, stride, c.u);
	transpose(codes + 16, stride, c.u + 4);
	return c;
}

/* ---- fields ---- */

/* Fields of `width` bits from bit `shift` of the codes on. */
INLINE void put_field(const struct codes *c, int width, int shift, uint8_t *out, long stride)
{
	const uint32_t mask = (0xffu >> (8 - width)) * 0x01010101;
	const int n = 8 / width;

#pragma GCC unroll 8
	for (int j = 0; j < width; j++, out += stride) {
		lanes x = c->u[j * n + n - 1] >> shift & mask;

#pragma GCC unroll 8
		for (int f = n - 2; f >= 0; f--)
			x = x << width | (c->u[j * n + f] >> shift & mask);
		store_lanes(x, out);
	}
}

/* All parts of codes of `bits` bits, which are flipped where `flip` has ones. */
INLINE void put_codes(const struct codes *c, int bits, uint32_t flip, uint8_t *out, long stride)
{
	if (bits == 8) {
#pragma GCC unroll 8
		for (int i = 0; i < 8; i++, out += stride)
			store_lanes(c->u[i] ^ flip, out);
		return;
	}
	if (bits & 4) {
		put_field(c, 4, 0, out, stride);
		out += 4 * stride;
	}
	if (bits & 2) {
		put_field(c, 2, bits & 4, out, stride);
		out += 2 * stride;
	}
	if (bits & 1)
		put_field(c, 1, bits & 6, out, stride);
}

/* ---- bit planes ---- */

/*
 * Changes the places of bits: those that mask has with those `distance` above them.  With bits
 * numbered from 0 to 31 in binary, distance 2^a - 2^b exchanges digits a and b of their numbers.
 */
INLINE lanes swap_bits(lanes x, int distance, uint32_t mask)
{
	const lanes differ = (x >> distance ^ x) & mask;

	return x ^ differ ^ differ << distance;
}

/* Of nibbles in bytes (halves of four): n0 n1 n2 n3 -> n0 n2 n1 n3. */
INLINE lanes swap_nibbles(lanes x)
{
	return swap_bits(x, 4, 0x00f000f0);
}

/*
 * One bit of the codes as nibbles of four k each; in a byte stand two that are `adjacent` apart, so
 * that bytes of one vector lie side by side.
 */
INLINE lanes take_plane(const struct codes *c, int bit, int adjacent)
{
	lanes x = {0};

	/* Bit f of byte i is that of k = 4 f + i, then bit i of nibble f / 4 of byte f % 4. */
#pragma GCC unroll 8
	for (int f = 7; f >= 0; f--)
		x = x << 1 | (c->u[f] >> bit & 0x01010101);
	x = swap_bits(x, 14, 0x0000cccc);
	x = swap_bits(x, 7, 0x00aa00aa);
	if (adjacent < 4)
		x = swap_bits(swap_nibbles(x), 8, 0x0000ff00);
	return adjacent == 2 ? swap_nibbles(x) : x;
}

INLINE void put_planes(const struct codes *c, int bits, int adjacent, uint8_t *out, long stride)
{
	for (int bit = 0; bit < bits; bit++) {
		const lanes plane = take_plane(c, bit, adjacent);

		for (int i = 0; i < 4; i += adjacent, out += stride) {
			for (int r = 0; r < 4; r++)
				memcpy(out + r * adjacent, (const uint8_t *)&plane + 4 * r + i,
				       (size_t)adjacent);
		}
	}
}

INLINE void put_plane_pairs(const struct codes *c, uint8_t *out, long stride)
{
	const lanes low = take_plane(c, 0, 2), high = take_plane(c, 1, 2);

	store_lanes((low & 0xffff) | high << 16, out);
	store_lanes(low >> 16 | (high & 0xffff0000), out + stride);
}

/* ---- four rows ---- */

/* 160 k as five digits to a byte. */
INLINE void put_trits(const uint8_t *codes, long code_stride, uint8_t *out, long stride)
{
	struct codes v = load_codes(codes, code_stride);
	uint8_t bytes[sizeof v];

	for (int n = 1; n < 5; n++) {
		const struct codes c = load_codes(codes + QN_GROUP * n, code_stride);

		for (int i = 0; i < 8; i++)
			v.u[i] = v.u[i] + v.u[i] + v.u[i] + c.u[i]; /* bytes of 242 at most */
	}
	memcpy(bytes, &v, sizeof v);
	for (size_t i = 0; i < sizeof v; i++)
		bytes[i] = (uint8_t)((uint16_t)(256 * bytes[i] + 242) / 243);
	memcpy(&v, bytes, sizeof v);
	put_codes(&v, 8, 0, out, stride);
}

/* Four rows of each of four vectors in one, each two bits above the one before. */
INLINE void put_rows(const uint8_t *codes, long code_stride, uint8_t *out, long stride)
{
	struct codes all = load_codes(codes, code_stride);

	for (int v = 1; v < 4; v++) {
		const struct codes c =
			load_codes(codes + v * stride / 4 * code_stride, code_stride);

		for (int i = 0; i < 8; i++)
			all.u[i] |= c.u[i] << 2 * v;
	}
	put_codes(&all, 8, 0x80808080, out, stride);
}

/* Four groups of 16 k in a byte, each two bits above the one before. */
INLINE void put_fours(const uint8_t *codes, long code_stride, uint8_t *out, long stride)
{
	const struct codes low = load_codes(codes, code_stride);
	const struct codes high = load_codes(codes + QN_GROUP, code_stride);

#pragma GCC unroll 4
	for (int j = 0; j < 4; j++, out += stride)
		store_lanes(low.u[j] | low.u[4 + j] << 2 | high.u[j] << 4 | high.u[4 + j] << 6,
			    out);
}

/*
 * Codes of 32 k (160 of QN_TRITS, 64 of QN_FOURS) of one vector of rows (four of QN_ROWS); compiled for every
 * layout, whose numbers are no variables then.
 */
INLINE void pack_vector(const uint8_t *codes, long code_stride, int order, int bits, int adjacent,
			uint32_t flip, uint8_t *out, long stride)
{
	for (long at = 0; at < stride; at += 4 * adjacent, codes += 4 * code_stride) {
		struct codes c;

		if (order == QN_TRITS) {
			put_trits(codes, code_stride, out + at, stride);
			continue;
		}
		if (order == QN_ROWS) {
			put_rows(codes, code_stride, out + at, stride);
			continue;
		}
		if (order == QN_FOURS) {
			put_fours(codes, code_stride, out + at, stride);
			continue;
		}
		c = load_codes(codes, code_stride);
		if (order == QN_PLANES)
			put_planes(&c, bits, adjacent, out + at, stride);
		else if (order == QN_PLANE_PAIRS)
			put_plane_pairs(&c, out + at, stride);
		else
			put_codes(&c, bits, flip, out + at, stride);
	}
}

struct step {
	const struct qn_kernel *kernel;
	const uint8_t *codes; /* [rows][stride] */
	long stride;
};

static void pack_codes(struct step s, uint8_t *out)
{
	const long vector = s.kernel->layout.vector_bytes;

	switch (qn_formats[s.kernel->format].bits) {
	case 1: pack_vector(s.codes, s.stride, QN_CODES, 1, 4, 0, out, vector); break;
	case 2: pack_vector(s.codes, s.stride, QN_CODES, 2, 4, 0, out, vector); break;
	case 3: pack_vector(s.codes, s.stride, QN_CODES, 3, 4, 0, out, vector); break;
	case 4: pack_vector(s.codes, s.stride, QN_CODES, 4, 4, 0, out, vector); break;
	case 5: pack_vector(s.codes, s.stride, QN_CODES, 5, 4, 0, out, vector); break;
	case 6: pack_vector(s.codes, s.stride, QN_CODES, 6, 4, 0, out, vector); break;
	default:
		pack_vector(s.codes, s.stride, QN_CODES, 8, 4,
			    s.kernel->layout.signed_codes ? 0x80808080 : 0, out, vector);
	}
}

static void pack_planes(struct step s, uint8_t *out)
{
	const long vector = s.kernel->layout.vector_bytes;
	const int bits = qn_formats[s.kernel->format].bits;

	switch (s.kernel->layout.adjacent) {
	case 1: pack_vector(s.codes, s.stride, QN_PLANES, bits, 1, 0, out, vector); break;
	case 2: pack_vector(s.codes, s.stride, QN_PLANES, bits, 2, 0, out, vector); break;
	default: pack_vector(s.codes, s.stride, QN_PLANES, bits, 4, 0, out, vector);
	}
}

/* Codes of 32 k, or 160 of QN_TRITS and 64 of QN_FOURS, of all rows of a panel; returns the end of what it wrote. */
static uint8_t *pack_step(struct step s, uint8_t *out)
{
	const struct qn_layout *layout = &s.kernel->layout;
	const long vector = layout->vector_bytes, vector_rows = vector / layout->adjacent;
	const int bits = qn_formats[s.kernel->format].bits;

	for (long r = 0; r < layout->panel_rows;
	     r += vector_rows, s.codes += vector_rows * s.stride) {
		switch (layout->order) {
		case QN_ROWS:
			pack_vector(s.codes, s.stride, QN_ROWS, 2, 4, 0, out, vector);
			return out + 8 * vector;
		case QN_TRITS:
			pack_vector(s.codes, s.stride, QN_TRITS, 2, 4, 0, out, vector);
			out += 8 * vector;
			break;
		case QN_FOURS:
			pack_vector(s.codes, s.stride, QN_FOURS, 2, 4, 0, out, vector);
			out += 4 * vector;
			break;
		case QN_PLANE_PAIRS:
			pack_vector(s.codes, s.stride, QN_PLANE_PAIRS, 2, 4, 0, out, vector);
			out += 2 * vector;
			break;
		case QN_PLANES:
			pack_planes(s, out);
			out += 4 * bits * vector_rows;
			break;
		default: pack_codes(s, out); out += bits * vector;
		}
	}
	return out;
}

/* ---- scales ---- */

/* A piece of K of all rows of a panel, in canonical form. */
struct piece {
	struct qn_rows rows; /* the float scales of floats that were encoded, and those of wtgr */
	uint16_t *scales, *mins; /* [rows.n_scales][panel_rows], as panels have them */
	size_t n_bytes;          /* of both */
	long next;               /* rows from here to where the thread will most likely go on */
};

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

static uint8_t *pack_halves(const uint16_t *halves, long n, uint8_t *out)
{
	memcpy(out, halves, (size_t)n * sizeof *halves);
	return out + n * (long)sizeof *halves;
}

/* Scales of block b of the rows; returns the end of what it wrote. */
static uint8_t *pack_scales(const struct qn_kernel *kernel, const struct piece *piece, long b,
			    uint8_t *out)
{
	const struct qn_format *format = &qn_formats[kernel->format];
	const struct qn_rows *rows = &piece->rows;
	const int n_rows = kernel->layout.panel_rows;
	const long n_groups = format->super ? format->super / format->group : 0;
	const long group = b * n_groups;

	out = pack_halves(piece->scales + b * n_rows, n_rows, out);
	if (format->has_min)
		out = pack_halves(piece->mins + b * n_rows, n_rows, out);
	if (kernel->layout.order != QN_ROWS)
		return out;
	out = pack_row_subs(&kernel->layout, (const uint8_t *)rows->sub_scales + group,
			    rows->n_subs, n_groups, out);
	return pack_row_subs(&kernel->layout, rows->sub_mins + group, rows->n_subs, n_groups, out);
}

/* Of QN_FOURS: sub-scales and sub-minima of the four groups from g on. */
static uint8_t *pack_four_subs(const struct qn_rows *rows, long g, int n_rows, uint8_t *out)
{
	for (int r = 0; r < n_rows; r++, g += rows->n_subs, out += 4) {
		uint32_t scales, mins;

		memcpy(&scales, rows->sub_scales + g, sizeof scales);
		memcpy(&mins, rows->sub_mins + g, sizeof mins);
		scales |= mins << 4;
		memcpy(out, &scales, sizeof scales);
	}
	return out;
}

/* What stands in front of the codes of a step from k on, where scales have two levels; returns the end of it. */
static uint8_t *pack_step_subs(const struct qn_kernel *kernel, const struct qn_rows *rows, long k,
			       uint8_t *out)
{
	const struct qn_format *format = &qn_formats[kernel->format];

	if (!format->super || kernel->layout.order == QN_ROWS)
		return out;
	if (kernel->layout.order == QN_FOURS)
		return pack_four_subs(rows, k / format->group, kernel->layout.panel_rows, out);
	for (long g = k / format->group; g < (k + QN_GROUP) / format->group; g++) {
		const struct qn_row row = {.sub_scales = rows->sub_scales + g,
					   .sub_mins = rows->sub_mins + g};

		out = pack_subs(format, &row, rows->n_subs, kernel->layout.panel_rows, out);
	}
	return out;
}

/* ---- panels ---- */

/* The first k of a piece, whole blocks; returns the end of what it wrote. */
static uint8_t *pack_blocks(const struct quern_matrix *matrix, const struct piece *piece, long k,
			    uint8_t *out)
{
	const struct qn_kernel *kernel = matrix->kernel;
	const struct qn_rows *rows = &piece->rows;
	const long each = qn_matrix_padded_k(matrix) / matrix->n_blocks;
	const long step = kernel->layout.order == QN_TRITS   ? each
			  : kernel->layout.order == QN_FOURS ? 2 * QN_GROUP
							     : QN_GROUP;

	for (long b = 0; b < k / each; b++) {
		if (qn_formats[kernel->format].group)
			out = pack_scales(kernel, piece, b, out);
		for (long i = b * each; i < (b + 1) * each; i += step) {
			out = pack_step_subs(kernel, rows, i, out);
			out = pack_step((struct step){kernel, rows->codes + i, rows->k}, out);
		}
	}
	return out;
}

/* A whole row of floats, encoded. */
static void encode_row(const struct qn_packing *p, long index, float *floats,
		       const struct qn_row *row, const struct qn_halves *halves)
{
	const struct quern_weights *w = p->weights;
	const int format = p->matrix->kernel->format;
	const long n = qn_formats[format].group ? qn_format_n_scales(format, w->k) : 0;

	qn_format_read_floats(w->type, w->data, w->k, index, floats);
	if (p->tensor_scale > 0) {
		qn_format_encode_ternary(floats, w->k, p->tensor_scale, row->codes);
		row->scales[0] = p->tensor_scale;
	} else {
		qn_format_encode(format, floats, w->k, row);
	}
	for (long i = 0; i < n; i++) {
		halves->scales[i * halves->stride] = qn_format_float_to_half(row->scales[i]);
		if (qn_formats[format].has_min)
			halves->mins[i * halves->stride] = qn_format_float_to_half(row->mins[i]);
	}
}

/* Asks for bytes that will be read soon. */
INLINE void fetch(const uint8_t *p, long n_bytes)
{
	for (long i = 0; i < n_bytes; i += 64)
		__builtin_prefetch(p + i);
}

/* Fills a piece with n values from `first` on of n_rows rows of the source. */
static void read_piece(const struct qn_packing *p, long row_index, long n_rows, long first, long n,
		       float *floats, struct piece *piece)
{
	const struct quern_weights *w = p->weights;
	const long n_scales = p->matrix->kernel->layout.panel_rows;
	const uint8_t *from = w->data;
	long n_values, n_bytes, row_bytes, part_bytes, ahead;

	quern_type_block(w->type, &n_values, &n_bytes);
	row_bytes = w->k / n_values * n_bytes;
	part_bytes = n / n_values * n_bytes;
	ahead = part_bytes;
	if (first + n == w->k) /* the last piece of K? */
		ahead = piece->next * row_bytes - first / n_values * n_bytes;
	from += row_index * row_bytes + first / n_values * n_bytes;
	for (long r = 0; r < n_rows; r++, from += row_bytes) {
		const struct qn_row row = qn_matrix_row(&piece->rows, r);
		const struct qn_halves halves = {piece->scales + r, piece->mins + r, n_scales};

		if (floats) {
			encode_row(p, row_index + r, floats, &row, &halves);
			continue;
		}
		fetch(from + ahead, part_bytes);
		if (w->type == QUERN_I2_S)
			qn_format_read_i2_s(w->data, w->m * w->k, (row_index + r) * w->k + first, n,
					    &row);
		else
			qn_format_read_blocks(w->type, from, n / n_values, &row, &halves);
	}
}

static void pack_panel(const struct qn_packing *p, struct piece *piece, float *floats, long panel)
{
	const struct quern_matrix *matrix = p->matrix;
	const struct qn_rows *rows = &piece->rows;
	const long n_rows = matrix->kernel->layout.panel_rows, first = panel * n_rows;
	const long n_left = matrix->m - first < n_rows ? matrix->m - first : n_rows;
	const long padded_k = qn_matrix_padded_k(matrix);
	uint8_t *out = matrix->packed + (size_t)panel * matrix->panel_bytes;

	for (long k = 0; k < padded_k; k += rows->k) {
		const long n = padded_k - k < rows->k ? padded_k - k : rows->k;
		const long n_read = matrix->k - k < n ? matrix->k - k : n;

		if (n_left < n_rows || n_read < n) { /* padding? */
			memset(rows->memory, 0, rows->n_bytes);
			memset(piece->scales, 0, piece->n_bytes);
		}
		read_piece(p, first, n_left, k, n_read, floats, piece);
		for (long r = 0; r < n_rows && !k && !qn_formats[matrix->kernel->format].group;
		     r++, out += 4)
			memcpy(out, &rows->scales[r * rows->n_scales], 4);
		out = pack_blocks(matrix, piece, n, out);
	}
}

/*
 * K of a piece: whole blocks of any source and of the panel, whose codes stay in a near cache;
 * floats are encoded by whole rows.
 */
static long piece_k(const struct qn_packing *p)
{
	const struct qn_layout *layout = &p->matrix->kernel->layout;
	const long n_blocks = PIECE_BYTES / layout->panel_rows / 256;

	if (qn_format_is_float(p->weights->type))
		return qn_matrix_padded_k(p->matrix);
	if (layout->order == QN_TRITS)
		return 5 * 256;
	return 256 * (n_blocks > 0 ? n_blocks : 1);
}

static int alloc_piece(const struct qn_packing *p, int n_threads, struct piece *piece)
{
	const struct qn_kernel *kernel = p->matrix->kernel;
	const long n_rows = kernel->layout.panel_rows;
	long n;

	piece->scales = NULL;
	piece->next = n_threads * n_rows;
	if (qn_matrix_alloc_rows(kernel->format, piece_k(p), n_rows, &piece->rows))
		return -1;
	n = piece->rows.n_scales * n_rows;
	piece->n_bytes = 2 * (size_t)n * sizeof *piece->scales;
	piece->scales = malloc(piece->n_bytes);
	if (!piece->scales)
		return -1;
	piece->mins = piece->scales + n;
	return 0;
}

void qn_pack_touch(void *arg, int thread, int n_threads)
{
	struct qn_packing *p = arg;
	volatile uint8_t *packed = p->matrix->packed;
	const size_t inside = (uintptr_t)packed % QN_HUGE_PAGE; /* of the first page */
	const size_t n_bytes = qn_matrix_bytes(p->matrix);
	size_t at;

	(void)thread;
	(void)n_threads;
	while ((at = atomic_fetch_add(&p->next_page, QN_HUGE_PAGE)) < inside + n_bytes)
		packed[at > inside ? at - inside : 0] = 0;
}

void qn_pack_thread(void *arg, int thread, int n_threads)
{
	struct qn_packing *p = arg;
	const int is_float = qn_format_is_float(p->weights->type);
	float *floats = is_float ? malloc((size_t)p->matrix->k * sizeof(float)) : NULL;
	struct piece piece;
	long panel;

	(void)thread;
	if (alloc_piece(p, n_threads, &piece) || (is_float && !floats)) {
		atomic_store(&p->failed, 1);
	} else {
		while ((panel = atomic_fetch_add(&p->next_panel, 1)) < p->matrix->n_panels)
			pack_panel(p, &piece, floats, panel);
	}
	free(piece.scales);
	qn_matrix_free_rows(&piece.rows);
	free(floats);
}
