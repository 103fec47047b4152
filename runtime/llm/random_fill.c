/*
 * random_fill.c: random weights.
 *
 * Nearly every byte pattern is a valid block of its type, so a row is filled with random bytes, and
 * then its blocks get their scales and what else may not be random.  How far such blocks scatter is
 * found by reading some of them.  Where levels are not symmetric the scale has a random sign, or the
 * minimum is minus the mean, so that weights have the mean 0.
 */
#include "random_fill.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../format_write.h"

enum { N_SAMPLES = 256, MAX_BLOCK = 256, MAX_SUBS = 16 };

/* ---- numbers ---- */

uint64_t qn_random_fill_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* About normal, with mean 0 and standard deviation 1: four uniform numbers of 16 bits added up. */
static float next_normal(uint64_t *state)
{
	const uint64_t bits = qn_random_fill_next(state);
	const int sum = (int)((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) +
			      (bits >> 48));

	/* Each has the variance 65536^2 / 12. */
	return (float)(sum - 2 * 65535) * (float)(0.8660254037844386 / 32768);
}

static void fill_bytes(uint64_t *state, uint8_t *p, long n)
{
	uint64_t bits;

	for (; n >= 8; n -= 8, p += 8) {
		bits = qn_random_fill_next(state);
		memcpy(p, &bits, 8);
	}
	if (n) {
		bits = qn_random_fill_next(state);
		memcpy(p, &bits, (size_t)n);
	}
}

/* ---- blocks ---- */

/* Q8_0: ggml's quantiser does not write -128, which int8 products may rely on. */
static void repair_q8_0(const struct qn_random_fill *fill, uint8_t *p)
{
	(void)fill;
	for (int i = 2; i < 34; i++)
		p[i] = p[i] == 0x80 ? 0 : p[i];
}

/* Sub-minima as the sub-scales, which are from the upper half of their range. */
static void repair_q2_k(const struct qn_random_fill *fill, uint8_t *p)
{
	(void)fill;
	for (int i = 0; i < 16; i++)
		p[i] = (uint8_t)(((p[i] & 7) | 8) * 0x11);
}

/* The same of Q4_K and Q5_K: eight pairs of 6 bits. */
static void repair_k(const struct qn_random_fill *fill, uint8_t *p)
{
	uint8_t *s = p + 4;

	(void)fill;
	for (int g = 0; g < 4; g++) {
		s[g] = (uint8_t)(s[g] | 0xa0); /* bit 5 of both sub-scales */
		s[g + 4] = s[g];
		s[g + 8] = (uint8_t)((s[g + 8] & 15) * 0x11);
	}
}

/* Signed sub-scales without those near 0: of Q6_K bit 6 is the opposite of the sign, */
static void repair_q6_k(const struct qn_random_fill *fill, uint8_t *p)
{
	(void)fill;
	for (int i = 192; i < 208; i++)
		p[i] = (uint8_t)((p[i] & 0xbf) | (~p[i] >> 1 & 0x40));
}

/* and where 32 is subtracted the upper two of six bits are equal. */
static uint8_t double_bits(uint8_t pairs)
{
	return (uint8_t)((pairs & 0xaa) | (pairs >> 1 & 0x55));
}

static void repair_q3_k(const struct qn_random_fill *fill, uint8_t *p)
{
	(void)fill;
	for (int i = 104; i < 108; i++)
		p[i] = double_bits(p[i]);
}

static void repair_iq4_xs(const struct qn_random_fill *fill, uint8_t *p)
{
	(void)fill;
	p[2] = double_bits(p[2]);
	p[3] = double_bits(p[3]);
}

static void repair_tq1_0(const struct qn_random_fill *fill, uint8_t *p)
{
	for (int i = 0; i < 48; i++)
		p[i] = fill->five_trits[p[i]];
	for (int i = 48; i < 52; i++)
		p[i] = fill->four_trits[p[i]];
}

static void repair_tq2_0(const struct qn_random_fill *fill, uint8_t *p)
{
	for (int i = 0; i < 64; i++)
		p[i] = fill->two_bit_trits[p[i]];
}

static void repair_i2_s(const struct qn_random_fill *fill, uint8_t *p)
{
	for (int i = 0; i < 32; i++)
		p[i] = fill->two_bit_trits[p[i]];
}

static const struct qn_random_direct {
	int type;
	int scale_at, min_at; /* bytes in the block where f16 scale and minimum are; -1: none */
	float min_of_scale;   /* minimum over scale */
	int is_signed;        /* may the scale be negative? */
	void (*repair)(const struct qn_random_fill *fill, uint8_t *block);
} directs[] = {
	{QUERN_Q4_0, 0, -1, 0, 1, NULL},           {QUERN_Q4_1, 0, 2, -7.5f, 0, NULL},
	{QUERN_Q5_0, 0, -1, 0, 1, NULL},           {QUERN_Q5_1, 0, 2, -15.5f, 0, NULL},
	{QUERN_Q8_0, 0, -1, 0, 0, repair_q8_0},    {QUERN_Q2_K, 80, 82, 1.5f, 0, repair_q2_k},
	{QUERN_Q3_K, 108, -1, 0, 1, repair_q3_k},  {QUERN_Q4_K, 0, 2, 7.5f, 0, repair_k},
	{QUERN_Q5_K, 0, 2, 15.5f, 0, repair_k},    {QUERN_Q6_K, 208, -1, 0, 1, repair_q6_k},
	{QUERN_IQ4_NL, 0, -1, 0, 1, NULL},         {QUERN_IQ4_XS, 0, -1, 0, 1, repair_iq4_xs},
	{QUERN_TQ1_0, 52, -1, 0, 0, repair_tq1_0}, {QUERN_TQ2_0, 64, -1, 0, 0, repair_tq2_0},
	{QUERN_I2_S, -1, -1, 0, 0, repair_i2_s},   {QUERN_Q1_0, 0, -1, 0, 0, NULL},
	{QUERN_Q2_0, 0, -1, 0, 1, NULL},
};

static const struct qn_random_direct *find_direct(int type)
{
	for (size_t i = 0; i < sizeof(directs) / sizeof(directs[0]); i++) {
		if (directs[i].type == type)
			return &directs[i];
	}
	return NULL;
}

static void block_size(int type, long *n_values, long *n_bytes)
{
	quern_type_block(type, n_values, n_bytes);
	if (type == QUERN_I2_S) {
		*n_values = 128;
		*n_bytes = 32;
	}
}

/* Random bytes at `p` become n blocks whose scale is `scale`. */
static void shape_blocks(const struct qn_random_fill *fill, float scale, long n, uint8_t *p)
{
	const struct qn_random_direct *d = fill->direct;
	const uint16_t half = qn_format_float_to_half(scale);
	const uint16_t min = qn_format_float_to_half(scale * d->min_of_scale);
	long n_values, n_bytes;

	block_size(fill->type, &n_values, &n_bytes);
	for (; n > 0; n--, p += n_bytes) {
		if (d->repair)
			d->repair(fill, p);
		if (d->scale_at >= 0) {
			const int sign = d->is_signed ? p[d->scale_at + 1] & 0x80 : 0;

			p[d->scale_at] = (uint8_t)half;
			p[d->scale_at + 1] = (uint8_t)(half >> 8 | sign);
		}
		if (d->min_at >= 0) {
			p[d->min_at] = (uint8_t)min;
			p[d->min_at + 1] = (uint8_t)(min >> 8);
		}
	}
}

/* Standard deviation of what is in blocks with scale 1. */
static double measure_unit(const struct qn_random_fill *fill)
{
	const int format = qn_format_of_type(fill->type);
	uint8_t codes[MAX_BLOCK], sub_mins[MAX_SUBS], block[MAX_BLOCK];
	int8_t sub_scales[MAX_SUBS];
	float scales[4], mins[4], x[MAX_BLOCK];
	const struct qn_row row = {codes, scales, mins, sub_scales, sub_mins};
	double sum = 0;
	uint64_t state = 1;
	long n_values, n_bytes;

	if (fill->type == QUERN_I2_S)
		return 1 / (double)qn_random_fill_ternary_scale(1);
	quern_type_block(fill->type, &n_values, &n_bytes);
	for (int i = 0; i < N_SAMPLES; i++) {
		fill_bytes(&state, block, n_bytes);
		shape_blocks(fill, 1, 1, block);
		qn_format_read_row(fill->type, block, 1, n_values, 0, &row);
		qn_format_decode(format, &row, n_values, x);
		for (long j = 0; j < n_values; j++)
			sum += (double)x[j] * (double)x[j];
	}
	return sqrt(sum / (double)(N_SAMPLES * n_values));
}

float qn_random_fill_ternary_scale(double deviation)
{
	return (float)(deviation * 1.224744871391589); /* of -1, 0 and 1 it is sqrt(2/3) */
}

/* ---- tensors ---- */

/* Bytes that hold digits 0..2, by random bytes. */
static void list_trits(struct qn_random_fill *fill)
{
	for (int i = 0; i < 256; i++) {
		const int five = i * 243 >> 8, four = i * 81 >> 8;

		/* TQ1_0's encoder: the digits as a fraction of 256, rounded up. */
		fill->five_trits[i] = (uint8_t)((256 * five + 242) / 243);
		fill->four_trits[i] = (uint8_t)((256 * 3 * four + 242) / 243);
		fill->two_bit_trits[i] = (uint8_t)(four % 3 | four / 3 % 3 << 2 |
						   four / 9 % 3 << 4 | four / 27 << 6);
	}
}

static int alloc_row(struct qn_random_fill *fill)
{
	const int format = qn_format_of_type(fill->type);
	const long k = fill->k;

	fill->x = malloc((size_t)k * sizeof(float));
	if (!fill->x)
		return -1;
	if (format < 0)
		return 0;
	/* At least 16 weights share any scale. */
	fill->row.codes = malloc((size_t)k);
	fill->row.scales = malloc((size_t)(k / 16 + 1) * sizeof(float));
	fill->row.mins = malloc((size_t)(k / 16 + 1) * sizeof(float));
	fill->row.sub_scales = malloc((size_t)(k / 16 + 1));
	fill->row.sub_mins = malloc((size_t)(k / 16 + 1));
	return fill->row.codes && fill->row.scales && fill->row.mins && fill->row.sub_scales &&
			       fill->row.sub_mins
		       ? 0
		       : -1;
}

int qn_random_fill_start(struct qn_random_fill *fill, int type, long k, double mean,
			 double deviation, int is_searched)
{
	long n_values, n_bytes;

	*fill = (struct qn_random_fill){.type = type, .k = k, .mean = mean, .deviation = deviation};
	block_size(type, &n_values, &n_bytes);
	fill->row_bytes = k / n_values * n_bytes;
	list_trits(fill);
	if (!is_searched || type == QUERN_I2_S)
		fill->direct = find_direct(type); /* floats have none */
	if (fill->direct) {
		fill->unit = measure_unit(fill);
		return 0;
	}
	if (alloc_row(fill) == 0)
		return 0;
	qn_random_fill_end(fill);
	return -1;
}

void qn_random_fill_end(struct qn_random_fill *fill)
{
	free(fill->x);
	free(fill->row.codes);
	free(fill->row.scales);
	free(fill->row.mins);
	free(fill->row.sub_scales);
	free(fill->row.sub_mins);
	*fill = (struct qn_random_fill){.type = fill->type};
}

static void fill_row(struct qn_random_fill *fill, uint64_t state, uint8_t *p)
{
	long n_values, n_bytes;

	if (fill->direct) {
		block_size(fill->type, &n_values, &n_bytes);
		fill_bytes(&state, p, fill->row_bytes);
		shape_blocks(fill, (float)(fill->deviation / fill->unit), fill->k / n_values, p);
		return;
	}
	for (long i = 0; i < fill->k; i++) {
		/* A statement of its own, or a compiler may fuse it with the sum. */
		const float above = (float)fill->deviation * next_normal(&state);

		fill->x[i] = (float)fill->mean + above;
	}
	if (qn_format_of_type(fill->type) < 0) {
		qn_format_write_floats(fill->type, fill->x, fill->k, p);
		return;
	}
	qn_format_write_encode(fill->type, fill->x, fill->k, &fill->row);
	qn_format_write_row(fill->type, &fill->row, fill->k, p);
}

void qn_random_fill_rows(struct qn_random_fill *fill, uint64_t seed, long first, long n, void *rows)
{
	uint8_t *p = rows;

	for (long r = first; r < first + n; r++, p += fill->row_bytes) {
		uint64_t state = seed ^ ((uint64_t)r * 0xd1342543de82ef95u);

		/* Neighbours start far apart. */
		state = qn_random_fill_next(&state);
		fill_row(fill, state, p);
	}
}
