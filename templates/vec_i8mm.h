/*
 * vec_i8mm.h: the vector vocabulary on Armv8.2 with SDOT and SMMLA: that of vec_dotprod.h and products of matrices.
 * vec_avx512.h explains the other words.
 */
#ifndef VEC_I8MM_H
#define VEC_I8MM_H

#include "vec_dotprod.h"

/*
 * sum + 2 rows of 8 codes times 2 tokens' 8 activations; a sum's lanes are row 0 token 0, row 0 token 1, row 1 token 0,
 * row 1 token 1.
 */
static inline vn vn_mmla(vn sum, vb codes, vb x)
{
	return vmmlaq_s32(sum, vreinterpretq_s8_u8(codes), vreinterpretq_s8_u8(x));
}
/* 4 k of 4 rows and the next 4 k of them: 8 k of the first or second 2 rows. */
static inline vb vb_zip(vb a, vb b, int half)
{
	const uint32x4_t x = vreinterpretq_u32_u8(a), y = vreinterpretq_u32_u8(b);

	return vreinterpretq_u8_u32(half ? vzip2q_u32(x, y) : vzip1q_u32(x, y));
}

/* What belongs to 4 rows as lanes of sums: that of the first or second 2. */
static inline vf vf_rows(const float *p, int half)
{
	const vf s = vld1q_f32(p);

	return half ? vzip2q_f32(s, s) : vzip1q_f32(s, s);
}
/* 4 rows of either token as sums of 2 rows, and back. */
static inline vf vf_zip(vf a, vf b, int half) { return half ? vzip2q_f32(a, b) : vzip1q_f32(a, b); }
static inline vf vf_unzip(vf a, vf b, int odd) { return odd ? vuzp2q_f32(a, b) : vuzp1q_f32(a, b); }

#endif
