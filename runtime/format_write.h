/*
 * format_write.h: weights into the bytes of GGUF tensors, the other direction of format.h's reading.
 */
#ifndef QN_FORMAT_WRITE_H
#define QN_FORMAT_WRITE_H

#include "format.h"

/* Behind the codes of an I2_S tensor: its scale, a float. */
enum { QN_FORMAT_WRITE_TAIL = 32 };

/*
 * Canonical row of a quantised type's lossless format (qn_format_of_type) -> its blocks, so that
 * qn_format_read_row gives the same row again.  k is a multiple of the block; of I2_S one of 128,
 * for which several whole rows may be taken as one, and its scale is left to
 * qn_format_write_tail.  Scales are rounded to f16.
 *
 * Blocks that were read are written as the same bytes, but for those of several byte patterns that
 * mean the same: of TQ1_0 the bytes that its encoder does not use (13 of 256, and the fifth digit of
 * the last four), of I2_S code 3; and but for NaN as a scale.
 */
void qn_format_write_row(int type, const struct qn_row *row, long k, void *blocks);
void qn_format_write_tail(float scale, uint8_t tail[QN_FORMAT_WRITE_TAIL]);

/* k floats -> F32, F16 or BF16, to nearest even. */
void qn_format_write_floats(int type, const float *x, long k, void *data);

/*
 * Floats -> canonical row of the type's format, for qn_format_write_row.  As qn_format_encode, but
 * ternary groups (TQ1_0, TQ2_0) get the scale of the least squared error, which is exact for weights
 * that are ternary already; for I2_S row->scales[0] is that of the tensor and has to be there.
 */
void qn_format_write_encode(int type, const float *x, long k, const struct qn_row *row);

#endif
