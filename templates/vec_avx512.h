/*
 * vec_avx512.h: the vector vocabulary on AVX-512 F/BW/DQ/VL with VNNI, VBMI and GFNI.
 *
 * vb bytes, vh 16-bit, vw 32-bit integers, vf floats, vn a sum of byte products.  The words mean
 * the same in every vec_*.h: VB bytes and VL 32-bit lanes a vector; lane order is memory order.
 * vec_avx512bw.h does without the last three.
 */
#ifndef VEC_AVX512_H
#define VEC_AVX512_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "vec_x86.h"

#define VB 64
#define VL 16

typedef __m512i vb, vh, vw, vn;
typedef __m512 vf;

#define v_opaque(x) __asm__ volatile("" : "+v"(x))
/* Of a vector that several instructions take: loads it once, where compilers would make it an operand of each in memory. */
#define v_once(x) v_opaque(x)

/* bytes */
static inline vb vb_load(const void *p) { return _mm512_loadu_si512(p); }
static inline void vb_store(void *p, vb a) { _mm512_storeu_si512(p, a); }
static inline vb vb_set(int b) { return _mm512_set1_epi8((char)b); }
static inline vb vb_and(vb a, vb b) { return _mm512_and_si512(a, b); }
static inline vb vb_or(vb a, vb b) { return _mm512_or_si512(a, b); }
static inline vb vb_add(vb a, vb b) { return _mm512_add_epi8(a, b); }
/* floor(3 a / 256): the first digit of the fraction a / 256 in base 3 */
static inline vb vb_trit(vb a)
{
	const vb one = vb_set(1), some = _mm512_maskz_mov_epi8(_mm512_cmpge_epu8_mask(a, vb_set(86)), one);

	return _mm512_mask_add_epi8(some, _mm512_cmpge_epu8_mask(a, vb_set(171)), some, one);
}
/* a | (b & c) */
static inline vb vb_or_and(vb a, vb b, vb c) { return _mm512_ternarylogic_epi64(a, b, c, 0xf8); }
/* Shifts 16-bit lanes: bits cross bytes, mask afterwards. */
#define vb_shift_right(a, n) _mm512_srli_epi16(a, n)
/* (byte >> right) & mask; a negative right shifts left. */
#define vb_field(a, right, mask) \
	vb_and((right) > 0 ? _mm512_srli_epi16(a, (right) & 15) \
			   : _mm512_slli_epi16(a, -(right) & 15), vb_set(mask))
#ifndef VEC_AVX512BW_H
/* The same as one bit-matrix product: bit i of the result is bit i + right where the mask has bit i. */
#define VB_ROW(i, right, mask) \
	((uint64_t)((mask) >> (i) & 1 && (i) + (right) >= 0 && (i) + (right) < 8 \
		    ? 1 << (((i) + (right)) & 7) : 0) << 8 * (7 - (i)))
#define vb_field_affine(a, right, mask) \
	_mm512_gf2p8affine_epi64_epi8(a, _mm512_set1_epi64((long long)( \
		VB_ROW(0, right, mask) | VB_ROW(1, right, mask) | VB_ROW(2, right, mask) | \
		VB_ROW(3, right, mask) | VB_ROW(4, right, mask) | VB_ROW(5, right, mask) | \
		VB_ROW(6, right, mask) | VB_ROW(7, right, mask))), 0)
#endif

/* 4 bytes in every 32-bit lane */
static inline vb vb_quad(const int8_t *p)
{
	int32_t four;

	memcpy(&four, p, 4);
	return _mm512_set1_epi32(four);
}

/* 16 bytes in every 16-byte lane; each index < 16 chooses in its own lane */
static inline vb vb_table(const uint8_t *p)
{
	return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)p));
}
static inline vb vb_lookup(vb table, vb index) { return _mm512_shuffle_epi8(table, index); }
#ifndef VEC_AVX512BW_H
/*
 * Bit planes of lookups with four tables side by side: unit s, 4 bits of each 32-bit lane, as bytes 0
 * or `one`.  The unit is a nibble of byte s % 4, the low one for s < 4.
 */
#define vb_unit(a, s, one) _mm512_maskz_mov_epi8( \
	_mm512_test_epi8_mask( \
		_mm512_shuffle_epi8(a, _mm512_set4_epi32(0x0c0c0c0c + (s) % 4 * 0x01010101, \
							 0x08080808 + (s) % 4 * 0x01010101, \
							 0x04040404 + (s) % 4 * 0x01010101, \
							 (s) % 4 * 0x01010101)), \
		_mm512_set1_epi32((int)(0x08040201u << ((s) < 4 ? 0 : 4)))), vb_set(one))

/* 64-byte table, each index taken mod 64 */
static inline vb vb_lookup64(vb table, vb index) { return _mm512_permutexvar_epi8(index, table); }
#endif

#ifndef VEC_AVX512BW_H
/*
 * Sums of byte products: each 32-bit lane adds 4 products of codes (unsigned) and activations
 * (signed).  vn_sum gives start + the products for the start given at both ends.
 */
static inline vn vn_start(int start) { return _mm512_set1_epi32(start); }
static inline vn vn_dot(vn sum, vb codes, vb x) { return _mm512_dpbusd_epi32(sum, codes, x); }
static inline vw vn_sum(vn sum, int start) { (void)start; return sum; }
#endif

/* 16-bit: 32 * high + low of one half of the byte lanes */
static inline vh vh_join(vb high, vb low, int half)
{
	const __m256i h = half ? _mm512_extracti64x4_epi64(high, 1) : _mm512_castsi512_si256(high);
	const __m256i l = half ? _mm512_extracti64x4_epi64(low, 1) : _mm512_castsi512_si256(low);

	return _mm512_add_epi16(_mm512_slli_epi16(_mm512_cvtepi8_epi16(h), 5),
				_mm512_cvtepu8_epi16(l));
}
/* one half of the byte lanes, signed */
static inline vh vh_widen(vb a, int half)
{
	return _mm512_cvtepi8_epi16(half ? _mm512_extracti64x4_epi64(a, 1)
					 : _mm512_castsi512_si256(a));
}
static inline vh vh_add(vh a, vh b) { return _mm512_add_epi16(a, b); }
#define vh_shift_left(a, n) _mm512_slli_epi16(a, n)

/* Pairs of 16 bits: the low half of every lane of low, and what shifting high left by n has in the upper one. */
#define vh_pairs_at(low, high, n) _mm512_mask_mov_epi16((low), 0xaaaaaaaa, _mm512_slli_epi32((high), n))
static inline vh vh_pairs(vw low, vw high) { return vh_pairs_at(low, high, 16); }
/* VL bytes and VL others, unsigned or signed, in turn */
static inline vh vh_byte_pairs(const void *low, const void *high)
{
	return _mm512_or_si512(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)low)),
			       _mm512_slli_epi32(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)high)), 16));
}
static inline vh vh_signed_byte_pairs(const void *low, const void *high)
{
	return vh_pairs(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)low)),
			_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)high)));
}
static inline vh vh_and(vh a, int mask) { return _mm512_and_si512(a, _mm512_set1_epi16((short)mask)); }
#define vh_shift_right(a, n) _mm512_srli_epi16(a, n)
#ifndef VEC_AVX512BW_H
/* sum + both products of pairs */
static inline vw vw_dot_pairs(vw sum, vh a, vh b) { return _mm512_dpwssd_epi32(sum, a, b); }
#endif

/* 32-bit */
static inline vw vw_set(int i) { return _mm512_set1_epi32(i); }
static inline vw vw_add(vw a, vw b) { return _mm512_add_epi32(a, b); }
static inline vw vw_sub(vw a, vw b) { return _mm512_sub_epi32(a, b); }
/* VL bytes, unsigned or signed */
static inline vw vw_bytes(const void *p)
{
	return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
}
static inline vw vw_signed_bytes(const void *p)
{
	return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p));
}
/* (code - zero) * the lane's multiple + offset, which has to be a byte */
static inline vb vb_times(vb codes, vw multiple, int zero, int offset)
{
	const vh m = _mm512_or_si512(_mm512_slli_epi32(multiple, 16),
				     _mm512_and_si512(multiple, _mm512_set1_epi32(0xffff)));
	const vh start = _mm512_sub_epi16(_mm512_set1_epi16((short)offset),
					  _mm512_mullo_epi16(m, _mm512_set1_epi16((short)zero)));
	const vh low = _mm512_set1_epi16(0xff);
	const vh even = _mm512_add_epi16(_mm512_mullo_epi16(_mm512_and_si512(codes, low), m), start);
	const vh odd = _mm512_add_epi16(_mm512_mullo_epi16(_mm512_srli_epi16(codes, 8), m), start);

	return vb_or_and(_mm512_slli_epi16(odd, 8), even, low);
}
static inline vw vw_and(vw a, int mask) { return _mm512_and_si512(a, _mm512_set1_epi32(mask)); }
#define vw_shift_left(a, n) _mm512_slli_epi32(a, n)
#define vw_shift_right(a, n) _mm512_srai_epi32(a, n)
static inline vw vw_widen(vh a, int half)
{
	return _mm512_cvtepi16_epi32(half ? _mm512_extracti64x4_epi64(a, 1)
					  : _mm512_castsi512_si256(a));
}
static inline int vw_sum_lanes(vw a) { return _mm512_reduce_add_epi32(a); }
/* low byte of every lane */
static inline void vw_store_bytes(int8_t *p, vw a)
{
	_mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(a));
}

/* floats */
static inline vf vf_set(float x) { return _mm512_set1_ps(x); }
static inline vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
static inline vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
/* a * b + c */
static inline vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf vf_convert(vw a) { return _mm512_cvtepi32_ps(a); }
static inline vw vf_round(vf a) { return _mm512_cvtps_epi32(a); }
/* max(a, |b|) */
static inline vf vf_max_abs(vf a, vf b) { return _mm512_max_ps(a, _mm512_abs_ps(b)); }
/* a * 2^n where both are normal numbers */
static inline vf vf_ldexp(vf a, vw n)
{
	return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_slli_epi32(n, 23)));
}
static inline float vf_sum_lanes(vf a) { return _mm512_reduce_add_ps(a); }
static inline float vf_max_lanes(vf a) { return _mm512_reduce_max_ps(a); }
/* vf_max_lanes of four */
static inline void vf_max_lanes4(vf a, vf b, vf c, vf d, float out[4])
{
	const vf ab = _mm512_max_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
	const vf cd = _mm512_max_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
	const vf all = _mm512_max_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
	const __m256 half = _mm256_max_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));

	_mm_storeu_ps(out, _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
}
static inline int vf_all_zero(vf a)
{
	return _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_EQ_OQ) == 0xffff;
}
/* VL half floats */
static inline vf vf_half(const uint16_t *p)
{
	return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
/* bf16 */
static inline vf vf_brain(const uint16_t *p)
{
	const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));

	return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

#endif
