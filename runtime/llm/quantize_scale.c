/*
 * quantize_scale.c: one scale for a tensor, in one pass over it.
 *
 * If n weights, the largest ones, are not 0, their mean magnitude is the best scale, and the squared
 * error is the sum of squares less (sum of magnitudes)^2 / n.  Which n is best is decided between bins
 * of magnitudes that differ by less than 1 %.
 */
#include "quantize_scale.h"

#include <string.h>

void qn_quantize_scale_add(struct qn_quantize_scale *scale, const float *x, long n)
{
	for (long i = 0; i < n; i++) {
		uint32_t bits, bin;

		memcpy(&bits, &x[i], 4);
		bin = bits >> 16 & 0x7fff;
		if (bin >= QN_QUANTIZE_SCALE_BINS)
			continue;
		scale->n[bin]++;
		scale->low[bin] += bits & 0xffff;
	}
}

void qn_quantize_scale_merge(struct qn_quantize_scale *scale, const struct qn_quantize_scale *other)
{
	for (int i = 0; i < QN_QUANTIZE_SCALE_BINS; i++) {
		scale->n[i] += other->n[i];
		scale->low[i] += other->low[i];
	}
}

static double to_float(uint32_t bits)
{
	float x;

	memcpy(&x, &bits, 4);
	return (double)x;
}

float qn_quantize_scale_find(const struct qn_quantize_scale *scale)
{
	double sum = 0, best = 0, found = 0;
	uint64_t n = 0;

	for (uint32_t bin = QN_QUANTIZE_SCALE_BINS; bin-- > 0;) {
		const double start = to_float(bin << 16);
		/* Within a bin floats are evenly spaced. */
		const double step = to_float(bin << 16 | 1) - start;

		if (!scale->n[bin])
			continue;
		n += scale->n[bin];
		sum += (double)scale->n[bin] * start + (double)scale->low[bin] * step;
		if (sum * sum > best * (double)n) {
			best = sum * sum / (double)n;
			found = sum / (double)n;
		}
	}
	return (float)found;
}
