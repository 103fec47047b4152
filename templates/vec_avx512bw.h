/*
 * vec_avx512bw.h: the vector vocabulary on AVX-512 F, BW, DQ and VL alone: that of vec_avx512.h, but
 * products of bytes are summed in 16 bits, and no words that need VBMI or GFNI.
 */
#ifndef VEC_AVX512BW_H
#define VEC_AVX512BW_H

#include "vec_avx512.h"

/*
 * Two products a call: with codes up to c at most 32767 / (2 * 127 * c) calls (isa.depth), such as
 * 8 * 2 * 127 * 15 = 30480.
 */
static inline vn vn_start(int start) { (void)start; return _mm512_setzero_si512(); }
static inline vn vn_dot(vn sum, vb codes, vb x)
{
	return _mm512_add_epi16(sum, _mm512_maddubs_epi16(codes, x));
}
static inline vw vn_sum(vn sum, int start)
{
	return _mm512_add_epi32(_mm512_madd_epi16(sum, _mm512_set1_epi16(1)), _mm512_set1_epi32(start));
}

static inline vw vw_dot_pairs(vw sum, vh a, vh b)
{
	return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
}

/*
 * sum + 4 products of signed codes in each lane.  The sign moves from the code to the
 * activation; |code| <= 128 and |x| <= 127, so a pair is at most 2 * 128 * 127 = 32512.
 */
static inline vw vw_dot(vw sum, vb codes, vb x)
{
	const __m512i negated = _mm512_sub_epi8(_mm512_setzero_si512(), x);
	const __m512i moved = _mm512_mask_mov_epi8(x, _mm512_movepi8_mask(codes), negated);
	const __m512i pairs = _mm512_maddubs_epi16(_mm512_abs_epi8(codes), moved);

	return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

#endif
