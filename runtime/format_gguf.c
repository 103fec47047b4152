/*
 * format_gguf.c: reads rows of GGUF tensors into the canonical form of format.h.
 *
 * Every type has one function that takes one block apart.  ggml spreads codes over bytes so that a
 * vector of bytes, shifted and masked, gives consecutive values: most types are a few such planes.
 */
#include "format.h"

#include <assert.h>
#include <string.h>

/* What one block is taken apart into: room for it, and the bits of its halves. */
struct block {
	uint8_t *codes;
	int8_t *sub_scales;
	uint8_t *sub_mins;
	uint16_t scale, min;
};

static uint16_t read_half(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint16_t read_negative_half(const uint8_t *p)
{
	return read_half(p) ^ 0x8000;
}

/* ---- planes ---- */

/* Bytes that are shifted and masked together. */
typedef uint64_t vector __attribute__((vector_size(16)));
typedef uint8_t byte_vector __attribute__((vector_size(16)));
enum { N_VECTOR = sizeof(vector) };

/* Bit 0 of every byte. */
#define ONES 0x0101010101010101u
/* Bit 0 of every other byte. */
#define EVEN 0x0001000100010001u

static inline vector load(const uint8_t *p)
{
	vector x;

	memcpy(&x, p, sizeof x);
	return x;
}

static inline void store(vector x, uint8_t *p)
{
	memcpy(p, &x, sizeof x);
}

/* The field from bit `shift` on of n bytes (a multiple of 16); top is its largest value. */
static inline void read_fields(const uint8_t *p, int n, int shift, int top, uint8_t *codes)
{
	for (int i = 0; i < n; i += N_VECTOR)
		store(load(p + i) >> shift & (unsigned)top * ONES, codes + i);
}

/* The same, as more bits of codes, from bit `at` on. */
static inline void add_fields(const uint8_t *p, int n, int shift, int top, int at, uint8_t *codes)
{
	for (int i = 0; i < n; i += N_VECTOR)
		store(load(codes + i) | (load(p + i) >> shift & (unsigned)top * ONES) << at,
		      codes + i);
}

/* n bytes of two codes each: the low nibbles, then the high ones. */
static inline void read_nibbles(const uint8_t *p, int n, uint8_t *codes)
{
	read_fields(p, n, 0, 15, codes);
	read_fields(p, n, 4, 15, codes + n);
}

/* 32 bytes of four codes each, lowest bits first. */
static inline void read_crumbs(const uint8_t *p, uint8_t *codes)
{
	for (int j = 0; j < 4; j++)
		read_fields(p, 32, 2 * j, 3, codes + 32 * j);
}

/* Bit i of two bytes -> bit 0 of byte i. */
static inline vector spread_bits(const uint8_t *p)
{
	/* In byte i bit i is left; what is not zero reaches bit 7 by the addition. */
	const vector bits = (vector){p[0] * ONES, p[1] * ONES} & 0x8040201008040201u;

	return (bits + 0x7f * ONES) >> 7 & ONES;
}

/* Bit 4 of the codes of a 32-value block: bit i of the string belongs to code i. */
static inline void add_bits(const uint8_t *p, uint8_t *codes)
{
	store(load(codes) | spread_bits(p) << 4, codes);
	store(load(codes + 16) | spread_bits(p + 2) << 4, codes + 16);
}

/* Bit `at` of a 256-value block: bit i / 32 of byte i % 32 belongs to code i. */
static inline void add_bit_planes(const uint8_t *p, int at, uint8_t *codes)
{
	for (int j = 0; j < 8; j++)
		add_fields(p, 32, j, 1, at, codes + 32 * j);
}

/* The lower bit of every field of two bits that is 3. */
static inline vector find_threes(vector crumbs)
{
	return crumbs & crumbs >> 1 & 0x55 * ONES;
}

/* ---- blocks of 32 to 128 values ---- */

static void read_q1_0(const uint8_t *p, struct block *to)
{
	to->scale = read_half(p);
	for (int i = 0; i < 16; i += 2)
		store(spread_bits(p + 2 + i), to->codes + 8 * i);
}

/* Levels are -1 .. 2, w2g64 has -2 .. 1: scale and levels change their sign. */
static void read_q2_0(const uint8_t *p, struct block *to)
{
	to->scale = read_negative_half(p);
	for (int i = 0; i < 16; i++) {
		uint32_t four = p[2 + i];

		four = (four | four << 12) & 0x000f000f;
		four = ~(four | four << 6) & 0x03030303; /* 3 - code */
		memcpy(to->codes + 4 * i, &four, sizeof four);
	}
}

/* IQ4_NL as well. */
static void read_q4_0(const uint8_t *p, struct block *to)
{
	to->scale = read_half(p);
	read_nibbles(p + 2, 16, to->codes);
}

static void read_q4_1(const uint8_t *p, struct block *to)
{
	to->scale = read_half(p);
	to->min = read_half(p + 2);
	read_nibbles(p + 4, 16, to->codes);
}

static void read_q5_0(const uint8_t *p, struct block *to)
{
	to->scale = read_half(p);
	read_nibbles(p + 6, 16, to->codes);
	add_bits(p + 2, to->codes);
}

static void read_q5_1(const uint8_t *p, struct block *to)
{
	to->scale = read_half(p);
	to->min = read_half(p + 2);
	read_nibbles(p + 8, 16, to->codes);
	add_bits(p + 4, to->codes);
}

static void read_q8_0(const uint8_t *p, struct block *to)
{
	to->scale = read_half(p);
	for (int i = 0; i < 32; i += N_VECTOR) /* two's complement -> q + 128 */
		store(load(p + 2 + i) ^ 0x80 * ONES, to->codes + i);
}

/* ---- blocks of 256 values ---- */

static void read_q2_k(const uint8_t *p, struct block *to)
{
	to->scale = read_half(p + 80);
	to->min = read_negative_half(p + 82);
	read_fields(p, 16, 0, 15, (uint8_t *)to->sub_scales);
	read_fields(p, 16, 4, 15, to->sub_mins);
	read_crumbs(p + 16, to->codes);
	read_crumbs(p + 48, to->codes + 128);
}

static void read_q3_k(const uint8_t *p, struct block *to)
{
	uint64_t low, high[2] = {0, 0}; /* four bits and two bits of the sub-scales */
	vector z;

	to->scale = read_half(p + 108);
	memcpy(&low, p + 96, 8);
	memcpy(high, p + 104, 4);
	high[0] |= high[0] >> 2 << 32;
	high[1] = high[0] >> 4;
	z = ((vector){low, low >> 4} & 15 * ONES) | ((vector){high[0], high[1]} & 3 * ONES) << 4;
	store((vector)((byte_vector)z - 32), (uint8_t *)to->sub_scales);
	read_crumbs(p + 32, to->codes);
	read_crumbs(p + 64, to->codes + 128);
	add_bit_planes(p, 2, to->codes); /* a clear bit subtracts 4, so code = q + 4 */
}

/* d, dmin and eight pairs of 6 bits; the upper bits of the last four stand above the first ones. */
static void read_k_scales(const uint8_t *p, struct block *to)
{
	uint32_t s[3], high_scales, high_mins;

	to->scale = read_half(p);
	to->min = read_negative_half(p + 2);
	memcpy(s, p + 4, sizeof s);
	high_scales = (s[2] & 0x0f0f0f0f) | (s[0] >> 2 & 0x30303030);
	high_mins = (s[2] >> 4 & 0x0f0f0f0f) | (s[1] >> 2 & 0x30303030);
	s[0] &= 0x3f3f3f3f;
	s[1] &= 0x3f3f3f3f;
	memcpy(to->sub_scales, &s[0], 4);
	memcpy(to->sub_scales + 4, &high_scales, 4);
	memcpy(to->sub_mins, &s[1], 4);
	memcpy(to->sub_mins + 4, &high_mins, 4);
}

static void read_q4_k(const uint8_t *p, struct block *to)
{
	read_k_scales(p, to);
	for (int c = 0; c < 4; c++)
		read_nibbles(p + 16 + 32 * c, 32, to->codes + 64 * c);
}

static void read_q5_k(const uint8_t *p, struct block *to)
{
	read_k_scales(p, to);
	for (int c = 0; c < 4; c++)
		read_nibbles(p + 48 + 32 * c, 32, to->codes + 64 * c);
	add_bit_planes(p + 16, 4, to->codes);
}

static void read_q6_k(const uint8_t *p, struct block *to)
{
	to->scale = read_half(p + 208);
	memcpy(to->sub_scales, p + 192, 16);
	for (int h = 0; h < 2; h++) {
		uint8_t *codes = to->codes + 128 * h;

		read_nibbles(p + 64 * h, 64, codes);
		for (int j = 0; j < 4; j++)
			add_fields(p + 128 + 32 * h, 32, 2 * j, 3, 4, codes + 32 * j);
	}
}

static void read_iq4_xs(const uint8_t *p, struct block *to)
{
	const int high = p[2] | p[3] << 8;

	to->scale = read_half(p);
	for (int g = 0; g < 8; g++) {
		const int z = (p[4 + g / 2] >> 4 * (g % 2) & 15) | (high >> 2 * g & 3) << 4;

		to->sub_scales[g] = (int8_t)(z - 32);
		read_nibbles(p + 8 + 16 * g, 16, to->codes + 32 * g);
	}
}

/*
 * n bytes, 16 at most, of n_digits base-3 digits each, the first the most significant; codes of one
 * digit lie `stride` behind those of the one before.  A byte is the fraction v/243 in units of
 * 1/256: three times that has the next digit as its whole part, 2 at most, and the rest of the
 * digits as its fraction.
 */
static inline void read_trits(const uint8_t *p, int n, int n_digits, int stride, uint8_t *codes)
{
	vector x = {0}, even, odd;

	memcpy(&x, p, (size_t)n);
	even = x & 0xff * EVEN;
	odd = x >> 8 & 0xff * EVEN;
	for (int i = 0; i < n_digits; i++, codes += stride) {
		even = even + even + even;
		odd = odd + odd + odd;
		x = (even >> 8 & 3 * EVEN) | (odd & 0x300 * EVEN);
		memcpy(codes, &x, (size_t)n);
		even &= 0xff * EVEN;
		odd &= 0xff * EVEN;
	}
}

static void read_tq1_0(const uint8_t *p, struct block *to)
{
	to->scale = read_half(p + 52);
	read_trits(p, 16, 5, 32, to->codes);
	read_trits(p + 16, 16, 5, 32, to->codes + 16);
	read_trits(p + 32, 16, 5, 16, to->codes + 160);
	read_trits(p + 48, 4, 4, 4, to->codes + 240);
}

static void read_tq2_0(const uint8_t *p, struct block *to)
{
	vector threes = {0};

	to->scale = read_half(p + 64);
	read_crumbs(p, to->codes);
	read_crumbs(p + 32, to->codes + 128);
	for (int i = 0; i < 64; i += N_VECTOR)
		threes |= find_threes(load(p + i));
	if (!(threes[0] | threes[1]))
		return;
	to->scale = 0x7e00; /* NaN */
	for (int i = 0; i < 256; i++) {
		if (to->codes[i] == 3)
			to->codes[i] = 1;
	}
}

/* ---- rows ---- */

/* Where a row goes. */
struct target {
	const struct qn_row *row;
	const struct qn_halves *halves; /* for scales and minima; NULL: they go to row */
};

/* As rounding the float to a half would leave it. */
static inline uint16_t plain_nan(uint16_t half)
{
	return (half & 0x7fff) > 0x7c00 ? (uint16_t)((half & 0x8000) | 0x7e00) : half;
}

/* n blocks of one row; a copy of it is compiled for each type, in which no number is a variable. */
static inline __attribute__((always_inline)) void read_row(
	void (*read)(const uint8_t *p, struct block *to), long n_values, long n_bytes, int has_min,
	long n_subs, const uint8_t *p, long n, struct target target)
{
	const struct qn_halves *halves = target.halves;
	const struct qn_row *row = target.row;
	struct block to = {row->codes, row->sub_scales, row->sub_mins, 0, 0};

	for (long b = 0; b < n; b++, p += n_bytes) {
		read(p, &to);
		if (halves)
			halves->scales[b * halves->stride] = plain_nan(to.scale);
		else
			row->scales[b] = qn_format_half_to_float(to.scale);
		if (has_min && halves)
			halves->mins[b * halves->stride] = plain_nan(to.min);
		else if (has_min)
			row->mins[b] = qn_format_half_to_float(to.min);
		to.codes += n_values;
		if (n_subs)
			to.sub_scales += n_subs;
		if (n_subs && has_min)
			to.sub_mins += n_subs;
	}
}

#define READ_ROW(read, n_values, n_bytes, has_min, n_subs) \
	static void read##_row(const uint8_t *p, long n, struct target target) \
	{ \
		read_row(read, n_values, n_bytes, has_min, n_subs, p, n, target); \
	}

READ_ROW(read_q1_0, 128, 18, 0, 0)
READ_ROW(read_q2_0, 64, 18, 0, 0)
READ_ROW(read_q4_0, 32, 18, 0, 0)
READ_ROW(read_q4_1, 32, 20, 1, 0)
READ_ROW(read_q5_0, 32, 22, 0, 0)
READ_ROW(read_q5_1, 32, 24, 1, 0)
READ_ROW(read_q8_0, 32, 34, 0, 0)
READ_ROW(read_q2_k, 256, 84, 1, 16)
READ_ROW(read_q3_k, 256, 110, 0, 16)
READ_ROW(read_q4_k, 256, 144, 1, 8)
READ_ROW(read_q5_k, 256, 176, 1, 8)
READ_ROW(read_q6_k, 256, 210, 0, 16)
READ_ROW(read_iq4_xs, 256, 136, 0, 8)
READ_ROW(read_tq1_0, 256, 54, 0, 0)
READ_ROW(read_tq2_0, 256, 66, 0, 0)

/* By type. */
static const struct source {
	int format;
	void (*read_row)(const uint8_t *p, long n_blocks, struct target target);
} sources[] = {
	[QUERN_Q1_0] = {QN_W1G128, read_q1_0_row},   [QUERN_Q2_0] = {QN_W2G64, read_q2_0_row},
	[QUERN_Q4_0] = {QN_W4G32, read_q4_0_row},    [QUERN_Q4_1] = {QN_W4G32Z, read_q4_1_row},
	[QUERN_Q5_0] = {QN_W5G32, read_q5_0_row},    [QUERN_Q5_1] = {QN_W5G32Z, read_q5_1_row},
	[QUERN_Q8_0] = {QN_W8G32, read_q8_0_row},    [QUERN_Q2_K] = {QN_W2G16ZK, read_q2_k_row},
	[QUERN_Q3_K] = {QN_W3G16K, read_q3_k_row},   [QUERN_Q4_K] = {QN_W4G32ZK, read_q4_k_row},
	[QUERN_Q5_K] = {QN_W5G32ZK, read_q5_k_row},  [QUERN_Q6_K] = {QN_W6G16K, read_q6_k_row},
	[QUERN_IQ4_NL] = {QN_W4G32N, read_q4_0_row}, [QUERN_IQ4_XS] = {QN_W4G32NK, read_iq4_xs_row},
	[QUERN_TQ1_0] = {QN_WTG256, read_tq1_0_row}, [QUERN_TQ2_0] = {QN_WTG256, read_tq2_0_row},
};
enum { N_TYPES = sizeof sources / sizeof *sources };

int qn_format_of_type(int type)
{
	if (type == QUERN_I2_S)
		return QN_WTGR;
	return type >= 0 && type < N_TYPES && sources[type].read_row ? sources[type].format : -1;
}

/* Codes of a field of I2_S; 3 becomes 1. */
static inline vector read_i2_s_field(const uint8_t *p, int shift)
{
	const vector x = load(p) >> shift & 3 * ONES;

	return x ^ find_threes(x) << 1;
}

void qn_format_read_i2_s(const void *tensor, long n_values, long first, long n,
			 const struct qn_row *row)
{
	const uint8_t *p = tensor;

	/*
	 * Four codes a byte, 128 values in 32 bytes, first value in the highest bits; the quantiser
	 * counts values through the whole tensor, behind which its scale stands.
	 */
	assert(n_values % 128 == 0 && first >= 0 && n <= n_values - first);
	memcpy(row->scales, p + n_values / 4, 4);
	for (long i = 0; i < n;) {
		const long value = first + i, left = n - i;
		const int shift = 6 - 2 * (int)(value % 128 / 32);
		const uint8_t *bytes = p + value / 128 * 32 + value % 32;
		uint8_t *codes = row->codes + i;

		if (value % 32 == 0 && left >= 32) {
			for (int j = 0; j < 32; j += N_VECTOR)
				store(read_i2_s_field(bytes + j, shift), codes + j);
			i += 32;
		} else {
			*codes = *bytes >> shift & 3;
			if (*codes == 3)
				*codes = 1;
			i++;
		}
	}
}

int qn_format_is_float(int type)
{
	return type == QUERN_F32 || type == QUERN_F16 || type == QUERN_BF16;
}

void qn_format_skip_block(int format, long n_values, struct qn_row *row)
{
	const struct qn_format *f = &qn_formats[format];

	row->codes += n_values;
	row->scales++;
	if (f->has_min)
		row->mins++;
	if (f->super)
		row->sub_scales += f->super / f->group;
	if (f->super && f->has_min)
		row->sub_mins += f->super / f->group;
}

void qn_format_read_blocks(int type, const void *blocks, long n_blocks, const struct qn_row *row,
			   const struct qn_halves *halves)
{
	assert(type != QUERN_I2_S && qn_format_of_type(type) >= 0);
	sources[type].read_row(blocks, n_blocks, (struct target){row, halves});
}

void qn_format_read_row(int type, const void *tensor, long m, long k, long index,
			const struct qn_row *row)
{
	long n_values, n_bytes;

	assert(index >= 0 && index < m);
	if (type == QUERN_I2_S) {
		qn_format_read_i2_s(tensor, m * k, index * k, k, row);
		return;
	}
	quern_type_block(type, &n_values, &n_bytes);
	assert(k % n_values == 0);
	k /= n_values;
	qn_format_read_blocks(type, (const uint8_t *)tensor + index * k * n_bytes, k, row, NULL);
}

void qn_format_read_floats(int type, const void *tensor, long k, long index, float *x)
{
	const uint8_t *p = tensor;

	if (type == QUERN_F32) {
		memcpy(x, p + 4 * index * k, 4 * (size_t)k);
		return;
	}
	p += 2 * index * k;
	for (long i = 0; i < k; i++, p += 2) {
		const uint32_t bits = (uint32_t)(p[0] | p[1] << 8) << 16;

		if (type == QUERN_F16)
			x[i] = qn_format_half_to_float(read_half(p));
		else
			memcpy(&x[i], &bits, 4);
	}
}
