/*
 * format.c: weight formats in plain C: codes, scales and what they mean.
 */
#include "format.h"

#include <math.h>
#include <string.h>

const struct qn_format qn_formats[QN_N_FORMATS] = {
	/*                name     bits codes group mul sub */
	[QN_W1G128] = {"w1g128", 1, 2, 128, 2, 1}, [QN_WTGR] = {"wtgr", 2, 3, 0, 1, 1},
	[QN_W2G64] = {"w2g64", 2, 4, 64, 1, 2},    [QN_W3G128] = {"w3g128", 3, 8, 128, 1, 4},
	[QN_W4G32] = {"w4g32", 4, 16, 32, 1, 8},   [QN_W8G32] = {"w8g32", 8, 256, 32, 1, 128},
};

int qn_format_find(const char *name)
{
	for (int f = 0; f < QN_N_FORMATS; f++) {
		if (!strcmp(qn_formats[f].name, name))
			return f;
	}
	return -1;
}

long qn_format_n_scales(int format, long k)
{
	const long group = qn_formats[format].group;

	return group ? (k + group - 1) / group : 1;
}

float qn_format_half_to_float(uint16_t half)
{
	const uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = half & 0x7fff;
	uint32_t bits = magnitude << 13;
	float x;

	memcpy(&x, &bits, 4);
	x *= 0x1p112f; /* moves the exponent's bias from 15 to 127, subnormals included */
	memcpy(&bits, &x, 4);
	if (magnitude >= 0x7c00) /* infinity or NaN? */
		bits |= 0x7f800000;
	bits |= sign;
	memcpy(&x, &bits, 4);
	return x;
}

uint16_t qn_format_float_to_half(float x)
{
	uint32_t bits, magnitude;
	uint16_t sign;

	memcpy(&bits, &x, 4);
	sign = (uint16_t)(bits >> 16 & 0x8000);
	magnitude = bits & 0x7fffffff;
	if (magnitude > 0x7f800000)
		return sign | 0x7e00;
	if (magnitude >= 0x47800000) /* 65536 and more */
		return sign | 0x7c00;
	if (magnitude <
	    0x38800000) { /* below 2^-14: a multiple of 2^-24, rounded by the addition */
		const float shifted = fabsf(x) + 0.5f;

		memcpy(&bits, &shifted, 4);
		return sign | (uint16_t)(bits - 0x3f000000);
	}
	/* To nearest even; a carry runs into the exponent and, at the top, to infinity. */
	magnitude += 0xfff + (magnitude >> 13 & 1);
	return sign | (uint16_t)((magnitude >> 13) - (112 << 10));
}

/* Nearest whole number in low..high; NaN gives low. */
static int round_within(float x, int low, int high)
{
	if (!(x > (float)low))
		return low;
	return x < (float)high ? (int)lrintf(x) : high;
}

static float mean_magnitude(const float *x, long n)
{
	double sum = 0;

	for (long i = 0; i < n; i++)
		sum += fabsf(x[i]);
	return (float)(sum / (double)n);
}

/* The element of largest magnitude, with its sign. */
static float peak_of(const float *x, long n)
{
	float peak = 0;

	for (long i = 0; i < n; i++) {
		if (fabsf(x[i]) > fabsf(peak))
			peak = x[i];
	}
	return peak;
}

static float choose_scale(const struct qn_format *f, const float *x, long n)
{
	switch (f->n_codes) {
	case 2:
	case 3: return mean_magnitude(x, n);
	case 256: return fabsf(peak_of(x, n)) / 127;
	default: return peak_of(x, n) / (float)-f->sub;
	}
}

void qn_format_encode(int format, const float *x, long k, uint8_t *codes, float *scales)
{
	const struct qn_format *f = &qn_formats[format];
	const long group = f->group ? f->group : k;

	for (long start = 0, g = 0; start < k; start += group, g++) {
		const long n = k - start < group ? k - start : group;
		float scale = choose_scale(f, x + start, n);

		if (f->group) {
			scale = fminf(fmaxf(scale, -65504), 65504);
			scale = qn_format_half_to_float(qn_format_float_to_half(scale));
		}
		scales[g] = scale;
		for (long i = start; i < start + n; i++) {
			const float level = scale != 0 ? x[i] / scale : 0;

			if (f->bits == 1)
				codes[i] = x[i] >= 0;
			else
				codes[i] =
					(uint8_t)(round_within(level, f->bits == 8 ? -127 : -f->sub,
							       f->n_codes - 1 - f->sub) +
						  f->sub);
		}
	}
}

void qn_format_decode(int format, const uint8_t *codes, const float *scales, long k, float *x)
{
	const struct qn_format *f = &qn_formats[format];

	for (long i = 0; i < k; i++)
		x[i] = scales[f->group ? i / f->group : 0] * (float)(f->mul * codes[i] - f->sub);
}

int qn_format_of_type(int type)
{
	switch (type) {
	case QUERN_Q4_0: return QN_W4G32;
	case QUERN_Q8_0: return QN_W8G32;
	default: return -1;
	}
}

static float read_half(const uint8_t *p)
{
	return qn_format_half_to_float((uint16_t)(p[0] | p[1] << 8));
}

void qn_format_read_codes(int type, const void *row, long k, uint8_t *codes, float *scales)
{
	const uint8_t *p = row;

	for (long g = 0; g < k / 32; g++, codes += 32) {
		scales[g] = read_half(p);
		p += 2;
		if (type == QUERN_Q4_0) { /* low nibbles, then high ones */
			for (int j = 0; j < 16; j++) {
				codes[j] = p[j] & 15;
				codes[j + 16] = p[j] >> 4;
			}
			p += 16;
		} else {
			for (int j = 0; j < 32; j++)
				codes[j] = p[j] ^ 0x80;
			p += 32;
		}
	}
}

void qn_format_read_floats(int type, const void *row, long k, float *x)
{
	const uint8_t *p = row;

	switch (type) {
	case QUERN_F32: memcpy(x, p, 4 * (size_t)k); break;
	case QUERN_F16:
		for (long i = 0; i < k; i++)
			x[i] = read_half(p + 2 * i);
		break;
	default:
		for (long i = 0; i < k; i++) {
			const uint32_t bits = (uint32_t)(p[2 * i] | p[2 * i + 1] << 8) << 16;

			memcpy(&x[i], &bits, 4);
		}
	}
}
