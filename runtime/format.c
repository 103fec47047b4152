/*
 * format.c: weight formats in plain C: what codes and scales mean, and how floats become codes.
 *
 * All formats are rows of one table.  An encoder either follows ggml's rule for a symmetric format,
 * or tries a few scales (and minima), improves each by least squares, and keeps the best.
 */
#include "format.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* IQ4_NL's levels, and what is half way between neighbours. */
static const int8_t levels_nl[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
				     1,    13,   25,  38,  53,  69,  89,  113};
static const double middles_nl[15] = {-115.5, -93.5, -74,  -57,  -42, -28.5, -16, -4.5,
				      7,      19,    31.5, 45.5, 61,  79,    101};

/* clang-format off */
#define BINARY(g) .bits = 1, .n_codes = 2, .group = g, .mul = 2, .sub = 1
#define TERNARY(g) .bits = 2, .n_codes = 3, .group = g, .mul = 1, .sub = 1
#define CENTRED(b, g) .bits = b, .n_codes = 1 << b, .group = g, .mul = 1, .sub = 1 << (b - 1)
#define WITH_MIN(b, g) .bits = b, .n_codes = 1 << b, .group = g, .mul = 1, .has_min = 1
#define LEVELS_NL(g) \
	.bits = 4, .n_codes = 16, .group = g, .mul = 1, .sub = 128, .codebook = levels_nl
/* GGUF's ranges of sub-scales; eight bits of a packed panel could hold more than some of them. */
#define SUB_SCALES(b, low, high) .super = 256, .sub_bits = b, .sub_low = low, .sub_high = high
/* clang-format on */

const struct qn_format qn_formats[QN_N_FORMATS] = {
	[QN_W1G32] = {"w1g32", BINARY(32)},
	[QN_W1G128] = {"w1g128", BINARY(128)},
	[QN_WTG256] = {"wtg256", TERNARY(256)},
	[QN_WTGR] = {"wtgr", TERNARY(0)},
	[QN_W2G32] = {"w2g32", CENTRED(2, 32)},
	[QN_W2G64] = {"w2g64", CENTRED(2, 64)},
	[QN_W2G128] = {"w2g128", CENTRED(2, 128)},
	[QN_W2G32Z] = {"w2g32z", WITH_MIN(2, 32)},
	[QN_W2G64Z] = {"w2g64z", WITH_MIN(2, 64)},
	[QN_W2G128Z] = {"w2g128z", WITH_MIN(2, 128)},
	[QN_W2G16ZK] = {"w2g16zk", WITH_MIN(2, 16), SUB_SCALES(4, 0, 15)},
	[QN_W3G32] = {"w3g32", CENTRED(3, 32)},
	[QN_W3G64] = {"w3g64", CENTRED(3, 64)},
	[QN_W3G128] = {"w3g128", CENTRED(3, 128)},
	[QN_W3G32Z] = {"w3g32z", WITH_MIN(3, 32)},
	[QN_W3G64Z] = {"w3g64z", WITH_MIN(3, 64)},
	[QN_W3G128Z] = {"w3g128z", WITH_MIN(3, 128)},
	[QN_W3G16K] = {"w3g16k", CENTRED(3, 16), SUB_SCALES(8, -32, 31)},
	[QN_W4G32] = {"w4g32", CENTRED(4, 32)},
	[QN_W4G64] = {"w4g64", CENTRED(4, 64)},
	[QN_W4G128] = {"w4g128", CENTRED(4, 128)},
	[QN_W4G32Z] = {"w4g32z", WITH_MIN(4, 32)},
	[QN_W4G64Z] = {"w4g64z", WITH_MIN(4, 64)},
	[QN_W4G128Z] = {"w4g128z", WITH_MIN(4, 128)},
	[QN_W4G32N] = {"w4g32n", LEVELS_NL(32)},
	[QN_W4G128N] = {"w4g128n", LEVELS_NL(128)},
	[QN_W4G32ZK] = {"w4g32zk", WITH_MIN(4, 32), SUB_SCALES(8, 0, 63)},
	[QN_W4G32NK] = {"w4g32nk", LEVELS_NL(32), SUB_SCALES(8, -32, 31)},
	[QN_W5G32] = {"w5g32", CENTRED(5, 32)},
	[QN_W5G32Z] = {"w5g32z", WITH_MIN(5, 32)},
	[QN_W5G32ZK] = {"w5g32zk", WITH_MIN(5, 32), SUB_SCALES(8, 0, 63)},
	[QN_W6G32] = {"w6g32", CENTRED(6, 32)},
	[QN_W6G16K] = {"w6g16k", CENTRED(6, 16), SUB_SCALES(8, -128, 127)},
	[QN_W8G32] = {"w8g32", CENTRED(8, 32)},
	[QN_W8G128] = {"w8g128", CENTRED(8, 128)},
};

enum { MAX_SUPER = 256, MAX_SUBS = 16 };

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
	const struct qn_format *f = &qn_formats[format];
	const long n = f->super ? f->super : f->group;

	return n ? (k + n - 1) / n : 1;
}

long qn_format_n_subs(int format, long k)
{
	const struct qn_format *f = &qn_formats[format];

	return f->super ? (k + f->group - 1) / f->group : 0;
}

static int level_of(const struct qn_format *f, int code)
{
	return f->codebook ? f->codebook[code] : f->mul * code - f->sub;
}

int qn_format_level(int format, int code)
{
	return level_of(&qn_formats[format], code);
}

/* ---- half floats ---- */

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

/* The nearest finite half. */
static float round_to_half(double x)
{
	const float near = (float)fmin(fmax(x, -65504), 65504);

	return qn_format_half_to_float(qn_format_float_to_half(near));
}

/* ---- symmetric formats with one scale a group ---- */

/* Nearest whole number in low..high, ties to even; NaN gives low. */
static int round_within(double x, int low, int high)
{
	if (!(x > low))
		return low;
	return x < high ? (int)lrint(x) : high;
}

static float mean_magnitude(const float *x, long n)
{
	double sum = 0;

	for (long i = 0; i < n; i++)
		sum += (double)fabsf(x[i]);
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

static float encode_symmetric(const struct qn_format *f, const float *x, long n, uint8_t *codes)
{
	const int low = f->bits == 8 ? -127 : -f->sub, high = f->n_codes - 1 - f->sub;
	float scale = choose_scale(f, x, n);

	scale = f->group ? round_to_half((double)scale) : fminf(fmaxf(scale, -FLT_MAX), FLT_MAX);
	for (long i = 0; i < n; i++) {
		const float level = scale != 0 ? x[i] / scale : 0;

		if (f->bits == 1)
			codes[i] = x[i] >= 0;
		else
			codes[i] = (uint8_t)(round_within((double)level, low, high) + f->sub);
	}
	return scale;
}

/* ---- the others: a search for the smallest squared error ---- */

/*
 * How a group is coded: x = scale * level + min.  In double, for which no sum over floats is too
 * large.
 */
struct fit {
	double scale, min, error;
};

static int find_nearest(const struct qn_format *f, double level)
{
	int code;

	if (!f->codebook) {
		level += f->sub + 0.5;
		return level <= 0 ? 0 : level < f->n_codes ? (int)level : f->n_codes - 1;
	}
	/* A binary search without branches, which could not be predicted. */
	code = 8 * (level > middles_nl[7]);
	code += 4 * (level > middles_nl[code + 3]);
	code += 2 * (level > middles_nl[code + 1]);
	return code + (level > middles_nl[code]);
}

/* The nearest codes, and their squared error. */
static double choose_codes(const struct qn_format *f, const float *x, int n, const struct fit *fit,
			   uint8_t *codes)
{
	const double inverse = fit->scale != 0 ? 1 / fit->scale : 0;
	double error = 0;

	for (int i = 0; i < n; i++) {
		const double above = (double)x[i] - fit->min;
		const int code = find_nearest(f, above * inverse);
		const int level = level_of(f, code);
		const double miss = above - fit->scale * level;

		codes[i] = (uint8_t)code;
		error += miss * miss;
	}
	return error;
}

/* Scale and min of the smallest squared error for these codes: a line through points (level, x). */
static void solve(const struct qn_format *f, const float *x, int n, const uint8_t *codes,
		  struct fit *fit)
{
	double sum_x = 0, sum_xl = 0, det;
	int sum_l = 0, sum_ll = 0;

	for (int i = 0; i < n; i++) {
		const int level = level_of(f, codes[i]);

		sum_x += (double)x[i];
		sum_xl += (double)x[i] * level;
		sum_l += level;
		sum_ll += level * level;
	}
	det = (double)n * sum_ll - (double)sum_l * sum_l;
	if (f->has_min && det > 0) {
		fit->scale = (n * sum_xl - sum_x * sum_l) / det;
		fit->min = (sum_x - fit->scale * sum_l) / n;
	}
	if (sum_ll > 0 && (!f->has_min || (f->super && fit->min > 0))) {
		fit->scale = sum_xl / sum_ll;
		fit->min = 0;
	}
}

/* Improves one guess; *best is the best of all guesses so far.  codes is scratch. */
static void follow(const struct qn_format *f, const float *x, int n, struct fit fit, uint8_t *codes,
		   struct fit *best)
{
	for (int step = 0; step < 3; step++) {
		if (step)
			solve(f, x, n, codes, &fit);
		if (!f->super) { /* with two levels it is the super-scale that gets rounded */
			fit.scale = (double)round_to_half(fit.scale);
			fit.min = (double)round_to_half(fit.min);
		}
		fit.error = choose_codes(f, x, n, &fit, codes);
		if (fit.error < best->error)
			*best = fit;
	}
}

/*
 * Scale and min: the levels are spread over the range of x; and, to lose less inside at the cost of
 * the extremes, over 0.7 steps less at either end or both (tried: 0.5 to 1 on normal data).  Two
 * levels have no min above 0.
 */
static struct fit search_with_min(const struct qn_format *f, const float *x, int n, uint8_t *codes)
{
	struct fit best = {.error = INFINITY};
	double low = INFINITY, high = -INFINITY;
	const int top = f->n_codes - 1;

	for (int i = 0; i < n; i++) {
		low = fmin(low, (double)x[i]);
		high = fmax(high, (double)x[i]);
	}
	if (f->super)
		low = fmin(low, 0);
	for (int ends = 0; ends < 4; ends++) {
		const double below = ends & 1 ? 0.7 : 0, above = ends & 2 ? 0.7 : 0;
		struct fit fit = {.scale = (high - low) / (top + below + above)};

		fit.min = low + fit.scale * below;
		if (f->super)
			fit.min = fmin(fit.min, 0);
		follow(f, x, n, fit, codes, &best);
	}
	return best;
}

/*
 * Scale alone: the peak of x gets the lowest or the highest level, or would get one that is 3/4 of
 * a mean step above or below.
 */
static struct fit search_scale(const struct qn_format *f, const float *x, int n, uint8_t *codes)
{
	const int low = level_of(f, 0), high = level_of(f, f->n_codes - 1);
	const double peak = (double)peak_of(x, n);
	struct fit best = {.error = INFINITY};

	for (int guess = -1; guess <= 1; guess++) {
		const double stretch = 1 + guess * 1.5 / f->n_codes;

		follow(f, x, n, (struct fit){.scale = peak / (low * stretch)}, codes, &best);
		follow(f, x, n, (struct fit){.scale = peak / (high * stretch)}, codes, &best);
	}
	return best;
}

static struct fit search(const struct qn_format *f, const float *x, int n, uint8_t *codes)
{
	return f->has_min ? search_with_min(f, x, n, codes) : search_scale(f, x, n, codes);
}

/* n weights from `start` that share scales[index]; they are finite. */
static void encode_one_level(const struct qn_format *f, const float *x, int n, long start,
			     long index, const struct qn_row *row)
{
	const struct fit fit = search(f, x, n, row->codes + start);

	row->scales[index] = (float)fit.scale;
	if (f->has_min)
		row->mins[index] = (float)fit.min;
	choose_codes(f, x, n, &fit, row->codes + start);
}

/* The same; groups are searched one by one, then their scales become multiples of a common one. */
static void encode_two_levels(const struct qn_format *f, const float *x, int n, long start,
			      long index, const struct qn_row *row)
{
	struct fit fits[MAX_SUBS];
	double peak = 0, lowest = 0, scale, min;

	for (int i = 0, g = 0; i < n; i += f->group, g++) {
		fits[g] = search(f, x + i, n - i < f->group ? n - i : f->group, row->codes + start);
		if (fabs(fits[g].scale) > fabs(peak))
			peak = fits[g].scale;
		lowest = fmin(lowest, fits[g].min);
	}
	/* Signed sub-scales reach one further below zero than above. */
	scale = (double)round_to_half(peak / (f->sub_low ? f->sub_low : f->sub_high));
	min = (double)round_to_half(lowest / f->sub_high);
	row->scales[index] = (float)scale;
	if (f->has_min)
		row->mins[index] = (float)min;
	for (int i = 0, g = 0; i < n; i += f->group, g++) {
		const long sub = start / f->group + g;
		const int multiple = round_within(scale != 0 ? fits[g].scale / scale : 0,
						  f->sub_low, f->sub_high);
		const int below = round_within(min != 0 ? fits[g].min / min : 0, 0, f->sub_high);

		row->sub_scales[sub] = (int8_t)multiple;
		if (f->has_min)
			row->sub_mins[sub] = (uint8_t)below;
		fits[g].scale = scale * multiple;
		fits[g].min = min * below;
		choose_codes(f, x + i, n - i < f->group ? n - i : f->group, &fits[g],
			     row->codes + start + i);
	}
}

void qn_format_encode(int format, const float *x, long k, const struct qn_row *row)
{
	const struct qn_format *f = &qn_formats[format];
	const long share = f->super ? f->super : f->group ? f->group : k;

	for (long start = 0, index = 0; start < k; start += share, index++) {
		const long n = k - start < share ? k - start : share;
		float finite[MAX_SUPER];

		if (!f->super && !f->has_min && !f->codebook) {
			row->scales[index] = encode_symmetric(f, x + start, n, row->codes + start);
			continue;
		}
		for (long i = 0; i < n; i++)
			finite[i] = isnan(x[start + i])
					    ? 0
					    : fminf(fmaxf(x[start + i], -FLT_MAX), FLT_MAX);
		if (f->super)
			encode_two_levels(f, finite, (int)n, start, index, row);
		else
			encode_one_level(f, finite, (int)n, start, index, row);
	}
}

/* ---- decoding ---- */

void qn_format_decode(int format, const struct qn_row *row, long k, float *x)
{
	const struct qn_format *f = &qn_formats[format];
	const long group = f->group ? f->group : k;

	for (long start = 0, g = 0; start < k; start += group, g++) {
		const long end = k - start < group ? k : start + group;
		const long index = f->super ? start / f->super : g;
		float scale = row->scales[index], min = f->has_min ? row->mins[index] : 0;

		if (f->super) {
			scale *= (float)row->sub_scales[g];
			if (f->has_min)
				min *= (float)row->sub_mins[g];
		}
		for (long i = start; i < end; i++) {
			/* A statement of its own, or a compiler may fuse it with the sum. */
			const float product = scale * (float)level_of(f, row->codes[i]);

			x[i] = product + min;
		}
	}
}

void qn_format_encode_ternary(const float *x, long k, float scale, uint8_t *codes)
{
	for (long i = 0; i < k; i++)
		codes[i] = (uint8_t)(round_within(scale != 0 ? x[i] / scale : 0, -1, 1) + 1);
}

const char *const qn_format_acts[QN_N_ACTS] =
	{[QN_A8G32] = "a8g32", [QN_A8G256] = "a8g256", [QN_A8R] = "a8r"};

enum qn_act_id qn_format_own_act(int format)
{
	const struct qn_format *f = &qn_formats[format];

	return f->super == 256 || f->group == 256 ? QN_A8G256 : QN_A8G32;
}

int qn_format_find_act(const char *name)
{
	for (int act = 0; act < QN_N_ACTS; act++) {
		if (!strcmp(name, qn_format_acts[act]))
			return act;
	}
	return -1;
}
