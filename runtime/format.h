/*
 * format.h: every weight format in plain C, the reference for all kernels and tests.
 *
 * Canonical form of a row: K codes of one byte each and one float scale per group.
 * Value of a weight: scale * level, level = mul * code - sub.
 */
#ifndef QN_FORMAT_H
#define QN_FORMAT_H

#include "kernel.h"
#include "quern.h"

struct qn_format {
	const char *name; /* "w4g32" */
	int bits;         /* of a code as stored */
	int n_codes;      /* legal codes are 0 .. n_codes - 1 */
	int group;        /* weights along K that share a scale; 0: the whole row */
	int mul, sub;
};

/* By enum qn_format_id. */
extern const struct qn_format qn_formats[QN_N_FORMATS];

/* enum qn_format_id of a name, or -1. */
int qn_format_find(const char *name);

/* Scales of one row of k weights. */
long qn_format_n_scales(int format, long k);

/*
 * Float row -> codes[k], scales[n_scales].  1 bit: scale = mean |x| of the group (Q1_0's rule);
 * ternary: mean |x| of the row, code = round(x / scale) clamped (BitNet b1.58's rule); 2 to 4
 * bits: scale = -e / 2^(bits-1), e the element of largest magnitude (Q4_0's rule); 8 bits:
 * amax / 127 (Q8_0's rule).  Scales of groups are rounded to f16 first where the format stores f16.
 */
void qn_format_encode(int format, const float *x, long k, uint8_t *codes, float *scales);

/* codes, scales -> float row. */
void qn_format_decode(int format, const uint8_t *codes, const float *scales, long k, float *x);

/* Format that holds a GGUF type without loss, or -1. */
int qn_format_of_type(int type);

/*
 * One row of a GGUF type -> canonical codes and scales of its lossless format (quantised types), or
 * -> floats (F32, F16, BF16).
 */
void qn_format_read_codes(int type, const void *row, long k, uint8_t *codes, float *scales);
void qn_format_read_floats(int type, const void *row, long k, float *x);

float qn_format_half_to_float(uint16_t half);
uint16_t qn_format_float_to_half(float x); /* to nearest even */

#endif
