/*
 * quantize_scale.h: the best scale of a whole tensor of ternary weights (I2_S).
 */
#ifndef QN_QUANTIZE_SCALE_H
#define QN_QUANTIZE_SCALE_H

#include <stdint.h>

/* Magnitudes by the upper half of their floats: how many, and the sum of their lower halves. */
enum { QN_QUANTIZE_SCALE_BINS = 0x7f80 };
struct qn_quantize_scale {
	uint64_t n[QN_QUANTIZE_SCALE_BINS], low[QN_QUANTIZE_SCALE_BINS];
};

/* Counts n more floats; what is not finite is left out. */
void qn_quantize_scale_add(struct qn_quantize_scale *scale, const float *x, long n);

/* Adds another count; whole numbers, so that the order does not matter. */
void qn_quantize_scale_merge(struct qn_quantize_scale *scale,
			     const struct qn_quantize_scale *other);

/* The scale of the least squared error, of weights that are ternary already their own; 0: all are 0. */
float qn_quantize_scale_find(const struct qn_quantize_scale *scale);

#endif
