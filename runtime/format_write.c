/*
 * format_write.c: canonical rows into GGUF blocks, each function the inverse of one of
 * format_gguf.c's.
 *
 * The best ternary scale: if n weights, the largest ones, are not 0, their mean magnitude has the
 * least squared error, which is the sum of squares less (sum of magnitudes)^2 / n.  All n are tried.
 */
#include "format_write.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void write_half(uint8_t *p, float x)
{
	const uint16_t half = qn_format_float_to_half(x);

	p[0] = (uint8_t)half;
	p[1] = (uint8_t)(half >> 8);
}

/* ---- planes ---- */

/* 2n codes into n bytes: the first n in the low nibbles. */
static void write_nibbles(const uint8_t *codes, int n, uint8_t *p)
{
	for (int j = 0; j < n; j++)
		p[j] = (uint8_t)((codes[j] & 15) | (codes[n + j] & 15) << 4);
}

/* The bits from `shift` on of 128 codes into 32 bytes of four each, lowest bits first. */
static void write_crumbs(const uint8_t *codes, int shift, uint8_t *p)
{
	for (int j = 0; j < 32; j++) {
		int byte = 0;

		for (int i = 0; i < 4; i++)
			byte |= (codes[32 * i + j] >> shift & 3) << 2 * i;
		p[j] = (uint8_t)byte;
	}
}

/* Bit `shift` of 32 codes: that of code i is bit i of the string. */
static void write_bits(const uint8_t *codes, int shift, uint8_t *p)
{
	memset(p, 0, 4);
	for (int i = 0; i < 32; i++)
		p[i / 8] |= (uint8_t)((codes[i] >> shift & 1) << i % 8);
}

/* The same of 256 codes: that of code i is bit i / 32 of byte i % 32. */
static void write_bit_planes(const uint8_t *codes, int shift, uint8_t *p)
{
	memset(p, 0, 32);
	for (int i = 0; i < 256; i++)
		p[i % 32] |= (uint8_t)((codes[i] >> shift & 1) << i / 32);
}

/* ---- blocks of 32 to 128 values ---- */

static void write_q1_0(const struct qn_row *row, uint8_t *p)
{
	write_half(p, row->scales[0]);
	memset(p + 2, 0, 16);
	for (int i = 0; i < 128; i++)
		p[2 + i / 8] |= (uint8_t)((row->codes[i] & 1) << i % 8);
}

/* Scale and levels change their sign. */
static void write_q2_0(const struct qn_row *row, uint8_t *p)
{
	write_half(p, -row->scales[0]);
	memset(p + 2, 0, 16);
	for (int i = 0; i < 64; i++)
		p[2 + i / 4] |= (uint8_t)((3 - row->codes[i]) << 2 * (i % 4));
}

/* IQ4_NL as well. */
static void write_q4_0(const struct qn_row *row, uint8_t *p)
{
	write_half(p, row->scales[0]);
	write_nibbles(row->codes, 16, p + 2);
}

static void write_q4_1(const struct qn_row *row, uint8_t *p)
{
	write_half(p, row->scales[0]);
	write_half(p + 2, row->mins[0]);
	write_nibbles(row->codes, 16, p + 4);
}

static void write_q5_0(const struct qn_row *row, uint8_t *p)
{
	write_half(p, row->scales[0]);
	write_bits(row->codes, 4, p + 2);
	write_nibbles(row->codes, 16, p + 6);
}

static void write_q5_1(const struct qn_row *row, uint8_t *p)
{
	write_half(p, row->scales[0]);
	write_half(p + 2, row->mins[0]);
	write_bits(row->codes, 4, p + 4);
	write_nibbles(row->codes, 16, p + 8);
}

static void write_q8_0(const struct qn_row *row, uint8_t *p)
{
	write_half(p, row->scales[0]);
	for (int i = 0; i < 32; i++)
		p[2 + i] = row->codes[i] ^ 0x80; /* q + 128 -> two's complement */
}

/* ---- blocks of 256 values ---- */

static void write_q2_k(const struct qn_row *row, uint8_t *p)
{
	for (int g = 0; g < 16; g++)
		p[g] = (uint8_t)(row->sub_scales[g] | row->sub_mins[g] << 4);
	write_crumbs(row->codes, 0, p + 16);
	write_crumbs(row->codes + 128, 0, p + 48);
	write_half(p + 80, row->scales[0]);
	write_half(p + 82, -row->mins[0]);
}

static void write_q3_k(const struct qn_row *row, uint8_t *p)
{
	uint8_t *low = p + 96, *high = p + 104; /* four bits and two bits of a sub-scale */

	write_bit_planes(row->codes, 2, p);
	write_crumbs(row->codes, 0, p + 32);
	write_crumbs(row->codes + 128, 0, p + 64);
	memset(low, 0, 12);
	for (int g = 0; g < 16; g++) {
		const int z = row->sub_scales[g] + 32;

		low[g % 8] |= (uint8_t)((z & 15) << 4 * (g / 8));
		high[g % 4] |= (uint8_t)(z >> 4 << 2 * (g / 4));
	}
	write_half(p + 108, row->scales[0]);
}

/* d, dmin and eight pairs of 6 bits; the upper bits of the last four stand above the first ones. */
static void write_k_scales(const struct qn_row *row, uint8_t *p)
{
	uint8_t *s = p + 4;

	write_half(p, row->scales[0]);
	write_half(p + 2, -row->mins[0]);
	for (int g = 0; g < 4; g++) {
		const int scale = row->sub_scales[g + 4], min = row->sub_mins[g + 4];

		s[g] = (uint8_t)(row->sub_scales[g] | scale >> 4 << 6);
		s[g + 4] = (uint8_t)(row->sub_mins[g] | min >> 4 << 6);
		s[g + 8] = (uint8_t)((scale & 15) | (min & 15) << 4);
	}
}

static void write_q4_k(const struct qn_row *row, uint8_t *p)
{
	write_k_scales(row, p);
	for (int c = 0; c < 4; c++)
		write_nibbles(row->codes + 64 * c, 32, p + 16 + 32 * c);
}

static void write_q5_k(const struct qn_row *row, uint8_t *p)
{
	write_k_scales(row, p);
	write_bit_planes(row->codes, 4, p + 16);
	for (int c = 0; c < 4; c++)
		write_nibbles(row->codes + 64 * c, 32, p + 48 + 32 * c);
}

static void write_q6_k(const struct qn_row *row, uint8_t *p)
{
	for (int h = 0; h < 2; h++) {
		write_nibbles(row->codes + 128 * h, 64, p + 64 * h);
		write_crumbs(row->codes + 128 * h, 4, p + 128 + 32 * h);
	}
	memcpy(p + 192, row->sub_scales, 16);
	write_half(p + 208, row->scales[0]);
}

static void write_iq4_xs(const struct qn_row *row, uint8_t *p)
{
	int high = 0;

	memset(p + 4, 0, 4);
	for (int g = 0; g < 8; g++) {
		const int z = row->sub_scales[g] + 32;

		p[4 + g / 2] |= (uint8_t)((z & 15) << 4 * (g % 2));
		high |= z >> 4 << 2 * g;
		write_nibbles(row->codes + 32 * g, 16, p + 8 + 16 * g);
	}
	p[2] = (uint8_t)high;
	p[3] = (uint8_t)(high >> 8);
	write_half(p, row->scales[0]);
}

/* n bytes of n_digits base-3 digits each, as fractions of 256 that are rounded up. */
static void write_trits(const uint8_t *codes, int n, int n_digits, uint8_t *p)
{
	for (int j = 0; j < n; j++) {
		int value = 0;

		for (int i = 0; i < 5; i++)
			value = 3 * value + (i < n_digits ? codes[i * n + j] : 0);
		p[j] = (uint8_t)((256 * value + 242) / 243);
	}
}

static void write_tq1_0(const struct qn_row *row, uint8_t *p)
{
	write_trits(row->codes, 32, 5, p);
	write_trits(row->codes + 160, 16, 5, p + 32);
	write_trits(row->codes + 240, 4, 4, p + 48);
	write_half(p + 52, row->scales[0]);
}

static void write_tq2_0(const struct qn_row *row, uint8_t *p)
{
	write_crumbs(row->codes, 0, p);
	write_crumbs(row->codes + 128, 0, p + 32);
	write_half(p + 64, row->scales[0]);
}

/* 128 values of a tensor, the first of four in the upper bits. */
static void write_i2_s(const struct qn_row *row, uint8_t *p)
{
	for (int j = 0; j < 32; j++) {
		int byte = 0;

		for (int i = 0; i < 4; i++)
			byte = byte << 2 | row->codes[32 * i + j];
		p[j] = (uint8_t)byte;
	}
}

/* ---- rows ---- */

static const struct target {
	int type;
	void (*write)(const struct qn_row *row, uint8_t *block);
} targets[] = {
	{QUERN_Q1_0, write_q1_0},   {QUERN_Q2_0, write_q2_0},     {QUERN_Q4_0, write_q4_0},
	{QUERN_Q4_1, write_q4_1},   {QUERN_Q5_0, write_q5_0},     {QUERN_Q5_1, write_q5_1},
	{QUERN_Q8_0, write_q8_0},   {QUERN_Q2_K, write_q2_k},     {QUERN_Q3_K, write_q3_k},
	{QUERN_Q4_K, write_q4_k},   {QUERN_Q5_K, write_q5_k},     {QUERN_Q6_K, write_q6_k},
	{QUERN_IQ4_NL, write_q4_0}, {QUERN_IQ4_XS, write_iq4_xs}, {QUERN_TQ1_0, write_tq1_0},
	{QUERN_TQ2_0, write_tq2_0}, {QUERN_I2_S, write_i2_s},
};

static const struct target *find_target(int type)
{
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		if (targets[i].type == type)
			return &targets[i];
	}
	return NULL;
}

void qn_format_write_row(int type, const struct qn_row *row, long k, void *blocks)
{
	const struct target *target = find_target(type);
	struct qn_row at = *row;
	uint8_t *p = blocks;
	long n_values = 128, n_bytes = 32;

	assert(target);
	if (type != QUERN_I2_S)
		quern_type_block(type, &n_values, &n_bytes);
	assert(k % n_values == 0);
	for (long b = 0; b < k / n_values; b++, p += n_bytes) {
		target->write(&at, p);
		qn_format_skip_block(qn_format_of_type(type), n_values, &at);
	}
}

void qn_format_write_tail(float scale, uint8_t tail[QN_FORMAT_WRITE_TAIL])
{
	memset(tail, 0, QN_FORMAT_WRITE_TAIL);
	memcpy(tail, &scale, 4);
}

/* The upper half of a float; NaN stays NaN. */
static uint16_t round_to_bf16(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, 4);
	if (isnan(x))
		return (uint16_t)(bits >> 16 | 0x40);
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void qn_format_write_floats(int type, const float *x, long k, void *data)
{
	uint8_t *p = data;

	if (type == QUERN_F32) {
		memcpy(p, x, 4 * (size_t)k);
		return;
	}
	for (long i = 0; i < k; i++, p += 2) {
		const uint16_t half =
			type == QUERN_F16 ? qn_format_float_to_half(x[i]) : round_to_bf16(x[i]);

		p[0] = (uint8_t)half;
		p[1] = (uint8_t)(half >> 8);
	}
}

/* ---- floats ---- */

static int compare_falling(const void *a, const void *b)
{
	const float x = *(const float *)a, y = *(const float *)b;

	return (x < y) - (x > y);
}

/* The best ternary scale of n <= 256 floats; what is not finite counts as the largest half or 0. */
static float find_ternary_scale(const float *x, int n)
{
	float sizes[256];
	double sum = 0, best = 0, scale = 0;

	for (int i = 0; i < n; i++)
		sizes[i] = isnan(x[i]) ? 0 : fminf(fabsf(x[i]), 65504);
	qsort(sizes, (size_t)n, sizeof(sizes[0]), compare_falling);
	for (int i = 0; i < n; i++) {
		sum += (double)sizes[i];
		if (sum * sum > best * (i + 1)) {
			best = sum * sum / (i + 1);
			scale = sum / (i + 1);
		}
	}
	return qn_format_half_to_float(qn_format_float_to_half((float)scale));
}

void qn_format_write_encode(int type, const float *x, long k, const struct qn_row *row)
{
	if (type == QUERN_I2_S) {
		qn_format_encode_ternary(x, k, row->scales[0], row->codes);
		return;
	}
	if (type != QUERN_TQ1_0 && type != QUERN_TQ2_0) {
		qn_format_encode(qn_format_of_type(type), x, k, row);
		return;
	}
	assert(k % 256 == 0);
	for (long i = 0; i < k; i += 256) {
		row->scales[i / 256] = find_ternary_scale(x + i, 256);
		qn_format_encode_ternary(x + i, 256, row->scales[i / 256], row->codes + i);
	}
}
