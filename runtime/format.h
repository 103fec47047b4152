/*
 * format.h: every weight format in plain C, the reference for all kernels and tests.
 *
 * Canonical form of a row: one byte a code, one scale (and with `z` one minimum) a group.  With
 * `k` the groups of 256 weights share a float scale (and minimum) and have whole multiples of it.
 * Value of a weight: S * level + B, where
 *   level = codebook[code], or mul * code - sub without a codebook;
 *   S = scales[group], with `k` scales[super] * sub_scales[group];
 *   B = 0; with `z` mins[group]; with `zk` mins[super] * sub_mins[group].
 */
#ifndef QN_FORMAT_H
#define QN_FORMAT_H

#include "kernel.h"
#include "quern.h"

struct qn_format {
	const char *name;       /* "w4g32" */
	int bits;               /* of a code as stored */
	int n_codes;            /* legal codes are 0 .. n_codes - 1 */
	int group;              /* weights along K that share a scale; 0: the whole row */
	int mul, sub;           /* of a level; with a codebook: of what it is shifted by */
	const int8_t *codebook; /* n_codes levels, or NULL */
	int has_min;
	int super;             /* weights that share a float scale: 256 with two levels, else 0 */
	int sub_bits;          /* two levels: bits of a sub-scale in packed panels, 4 or 8 */
	int sub_low, sub_high; /* legal sub-scales; sub-minima are 0 .. sub_high */
};

/* By enum qn_format_id. */
extern const struct qn_format qn_formats[QN_N_FORMATS];

/* One row, canonical; arrays that the format has no use for may be NULL. */
struct qn_row {
	uint8_t *codes;     /* [k] */
	float *scales;      /* [qn_format_n_scales] */
	float *mins;        /* [qn_format_n_scales] */
	int8_t *sub_scales; /* [qn_format_n_subs] */
	uint8_t *sub_mins;  /* [qn_format_n_subs] */
};

/* enum qn_format_id of a name, or -1. */
int qn_format_find(const char *name);

/* By enum qn_act_id; and enum qn_act_id of a name, or -1. */
extern const char *const qn_format_acts[QN_N_ACTS];
int qn_format_find_act(const char *name);

/*
 * The one that a format's weights are multiplied with unless another is asked for: a8g256 where scales are for 256 weights,
 * as llama.cpp does (its Q8_K), else a8g32 (its Q8_0).
 */
enum qn_act_id qn_format_own_act(int format);

/* Float scales of one row of k weights (and minima, when it has them); sub-scales. */
long qn_format_n_scales(int format, long k);
long qn_format_n_subs(int format, long k);

/* The level of a code. */
int qn_format_level(int format, int code);

/*
 * Float row -> canonical row.  Symmetric formats follow ggml's references: 1 bit: scale = mean |x|
 * of the group (Q1_0); ternary: mean |x|, code = round(x / scale) clamped (BitNet b1.58); 2 to 6
 * bits: scale = -e / 2^(bits-1), e the element of largest magnitude (Q4_0); 8 bits: amax / 127
 * (Q8_0).  Scales and minima are rounded to f16 first where packed panels hold f16.  The others
 * minimise the squared error of a group by a small search.  k may be any length >= 1.  Any x gives
 * legal codes and finite scales; what is too large for them ends at the largest value there is.
 */
void qn_format_encode(int format, const float *x, long k, const struct qn_row *row);

/* Ternary codes of floats with the scale that is given (wtgt: one for a whole tensor). */
void qn_format_encode_ternary(const float *x, long k, float scale, uint8_t *codes);

/* Canonical row -> float row; every product and sum rounds to float once. */
void qn_format_decode(int format, const struct qn_row *row, long k, float *x);

/* Format that holds a GGUF type without loss, or -1 (floats, unknown and unsupported types). */
int qn_format_of_type(int type);

/* Is it F32, F16 or BF16? */
int qn_format_is_float(int type);

/* The row behind n_values values, one block with one float scale of each kind (a GGUF block of any type). */
void qn_format_skip_block(int format, long n_values, struct qn_row *row);

/*
 * Row `index` of a tensor of m rows and k columns of a GGUF type -> canonical row of its lossless
 * format (quantised types), or -> floats (F32, F16, BF16).  k is a multiple of the type's block;
 * for I2_S m * k is one of 128.  Code 3 of I2_S is level 0, as in BitNet's decoder.  TQ2_0's would
 * be level 2, which wtg256 lacks and no quantiser writes: the scale of its group becomes NaN, so
 * that a damaged file shows.
 */
void qn_format_read_row(int type, const void *tensor, long m, long k, long index,
			const struct qn_row *row);
void qn_format_read_floats(int type, const void *tensor, long k, long index, float *x);

/*
 * Blocks of a quantised type other than I2_S, one after the other in a row.  Where halves are given,
 * scales and minima go there as half floats, instead of to row, `stride` apart.
 */
struct qn_halves {
	uint16_t *scales, *mins;
	long stride;
};
void qn_format_read_blocks(int type, const void *blocks, long n_blocks, const struct qn_row *row,
			   const struct qn_halves *halves);

/* Values first .. first + n - 1 of an I2_S tensor of n_values, and its scale. */
void qn_format_read_i2_s(const void *tensor, long n_values, long first, long n,
			 const struct qn_row *row);

float qn_format_half_to_float(uint16_t half);
uint16_t qn_format_float_to_half(float x); /* to nearest even */

#endif
