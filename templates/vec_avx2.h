/*
 * vec_avx2.h: the vector vocabulary on AVX2 with FMA and F16C.  vec_avx512.h explains the words.
 * vec_avxvnni.h brings other products of bytes.
 */
#ifndef VEC_AVX2_H
#define VEC_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "vec_x86.h"

#define VB 32
#define VL 8

typedef __m256i vb, vh, vw, vn;
typedef __m256 vf;

#define v_opaque(x) __asm__ volatile("" : "+x"(x))
#define v_once(x) ((void)0)

/* bytes */
static inline vb vb_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline void vb_store(void *p, vb a) { _mm256_storeu_si256((__m256i *)p, a); }
static inline vb vb_set(int b) { return _mm256_set1_epi8((char)b); }
static inline vb vb_and(vb a, vb b) { return _mm256_and_si256(a, b); }
static inline vb vb_or(vb a, vb b) { return _mm256_or_si256(a, b); }
static inline vb vb_add(vb a, vb b) { return _mm256_add_epi8(a, b); }
static inline vb vb_trit(vb a)
{
	const vb some = _mm256_cmpeq_epi8(_mm256_max_epu8(a, vb_set(86)), a);
	const vb two = _mm256_cmpeq_epi8(_mm256_max_epu8(a, vb_set(171)), a);

	return _mm256_sub_epi8(_mm256_setzero_si256(), _mm256_add_epi8(some, two));
}
static inline vb vb_or_and(vb a, vb b, vb c) { return vb_or(a, vb_and(b, c)); }
#define vb_shift_right(a, n) _mm256_srli_epi16(a, n)
#define vb_field(a, right, mask) \
	vb_and((right) > 0 ? _mm256_srli_epi16(a, (right) & 15) \
			   : _mm256_slli_epi16(a, -(right) & 15), vb_set(mask))

static inline vb vb_quad(const int8_t *p)
{
	int32_t four;

	memcpy(&four, p, 4);
	return _mm256_set1_epi32(four);
}

static inline vb vb_table(const uint8_t *p)
{
	return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p));
}
static inline vb vb_lookup(vb table, vb index) { return _mm256_shuffle_epi8(table, index); }

#ifndef VEC_AVXVNNI_H
/*
 * Products are summed in 16 bits, two a call: with codes up to c at most 32767 / (2 * 127 * c) calls
 * (isa.depth), such as 8 * 2 * 127 * 15 = 30480.
 */
static inline vn vn_start(int start) { (void)start; return _mm256_setzero_si256(); }
static inline vn vn_dot(vn sum, vb codes, vb x)
{
	return _mm256_add_epi16(sum, _mm256_maddubs_epi16(codes, x));
}
static inline vw vn_sum(vn sum, int start)
{
	return _mm256_add_epi32(_mm256_madd_epi16(sum, _mm256_set1_epi16(1)),
				_mm256_set1_epi32(start));
}
#endif

/* 16-bit */
static inline vh vh_join(vb high, vb low, int half)
{
	const __m128i h = half ? _mm256_extracti128_si256(high, 1) : _mm256_castsi256_si128(high);
	const __m128i l = half ? _mm256_extracti128_si256(low, 1) : _mm256_castsi256_si128(low);

	return _mm256_add_epi16(_mm256_slli_epi16(_mm256_cvtepi8_epi16(h), 5),
				_mm256_cvtepu8_epi16(l));
}
static inline vh vh_widen(vb a, int half)
{
	return _mm256_cvtepi8_epi16(half ? _mm256_extracti128_si256(a, 1)
					 : _mm256_castsi256_si128(a));
}
static inline vh vh_add(vh a, vh b) { return _mm256_add_epi16(a, b); }
#define vh_shift_left(a, n) _mm256_slli_epi16(a, n)

/* Pairs of 16 bits: the low half of every lane of low, and what shifting high left by n has in the upper one. */
#define vh_pairs_at(low, high, n) _mm256_blend_epi16((low), _mm256_slli_epi32((high), n), 0xaa)
static inline vh vh_pairs(vw low, vw high) { return vh_pairs_at(low, high, 16); }
/* VL bytes and VL others, unsigned or signed, in turn */
static inline vh vh_byte_pairs(const void *low, const void *high)
{
	return _mm256_or_si256(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)low)),
			       _mm256_slli_epi32(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)high)), 16));
}
static inline vh vh_signed_byte_pairs(const void *low, const void *high)
{
	return vh_pairs(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)low)),
			_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)high)));
}
static inline vh vh_and(vh a, int mask) { return _mm256_and_si256(a, _mm256_set1_epi16((short)mask)); }
#define vh_shift_right(a, n) _mm256_srli_epi16(a, n)
#ifndef VEC_AVXVNNI_H
/* sum + both products of pairs */
static inline vw vw_dot_pairs(vw sum, vh a, vh b)
{
	return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}
#endif

/* 32-bit */
static inline vw vw_set(int i) { return _mm256_set1_epi32(i); }
static inline vw vw_add(vw a, vw b) { return _mm256_add_epi32(a, b); }
static inline vw vw_sub(vw a, vw b) { return _mm256_sub_epi32(a, b); }
static inline vw vw_bytes(const void *p)
{
	return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
}
static inline vw vw_signed_bytes(const void *p)
{
	return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p));
}
static inline vb vb_times(vb codes, vw multiple, int zero, int offset)
{
	const vh m = _mm256_or_si256(_mm256_slli_epi32(multiple, 16),
				     _mm256_and_si256(multiple, _mm256_set1_epi32(0xffff)));
	const vh start = _mm256_sub_epi16(_mm256_set1_epi16((short)offset),
					  _mm256_mullo_epi16(m, _mm256_set1_epi16((short)zero)));
	const vh low = _mm256_set1_epi16(0xff);
	const vh even = _mm256_add_epi16(_mm256_mullo_epi16(_mm256_and_si256(codes, low), m), start);
	const vh odd = _mm256_add_epi16(_mm256_mullo_epi16(_mm256_srli_epi16(codes, 8), m), start);

	return vb_or_and(_mm256_slli_epi16(odd, 8), even, low);
}
static inline vw vw_and(vw a, int mask) { return _mm256_and_si256(a, _mm256_set1_epi32(mask)); }
#define vw_shift_left(a, n) _mm256_slli_epi32(a, n)
#define vw_shift_right(a, n) _mm256_srai_epi32(a, n)
static inline vw vw_widen(vh a, int half)
{
	return _mm256_cvtepi16_epi32(half ? _mm256_extracti128_si256(a, 1)
					  : _mm256_castsi256_si128(a));
}
/*
 * sum + 4 products of signed codes in each lane.  The sign moves from the code to the
 * activation; |code| <= 128 and |x| <= 127, so a pair is at most 2 * 128 * 127 = 32512.
 */
static inline vw vw_dot(vw sum, vb codes, vb x)
{
	const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(x, codes));

	return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
static inline int vw_sum_lanes(vw a)
{
	__m128i s = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));

	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
	return _mm_cvtsi128_si32(s);
}
static inline void vw_store_bytes(int8_t *p, vw a)
{
	const __m256i low = _mm256_shuffle_epi8(a, _mm256_set1_epi32(0x0c080400));

	_mm_storel_epi64((__m128i *)p, _mm_unpacklo_epi32(_mm256_castsi256_si128(low),
							 _mm256_extracti128_si256(low, 1)));
}

/* floats */
static inline vf vf_set(float x) { return _mm256_set1_ps(x); }
static inline vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vf_store(float *p, vf a) { _mm256_storeu_ps(p, a); }
static inline vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
static inline vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf vf_convert(vw a) { return _mm256_cvtepi32_ps(a); }
static inline vw vf_round(vf a) { return _mm256_cvtps_epi32(a); }
static inline vf vf_ldexp(vf a, vw n)
{
	return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(n, 23)));
}
static inline float vf_sum_lanes(vf a)
{
	__m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

	s = _mm_add_ps(s, _mm_movehl_ps(s, s));
	s = _mm_add_ss(s, _mm_shuffle_ps(s, s, 1));
	return _mm_cvtss_f32(s);
}
static inline vf vf_max_abs(vf a, vf b)
{
	return _mm256_max_ps(a, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), b));
}
static inline float vf_max_lanes(vf a)
{
	__m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

	m = _mm_max_ps(m, _mm_movehl_ps(m, m));
	m = _mm_max_ss(m, _mm_shuffle_ps(m, m, 1));
	return _mm_cvtss_f32(m);
}
static inline void vf_max_lanes4(vf a, vf b, vf c, vf d, float out[4])
{
	const vf ab = _mm256_max_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
	const vf cd = _mm256_max_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
	const vf all = _mm256_max_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));

	_mm_storeu_ps(out, _mm_max_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
}
static inline int vf_all_zero(vf a)
{
	return _mm256_movemask_ps(_mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_EQ_OQ)) == 0xff;
}
static inline vf vf_half(const uint16_t *p)
{
	return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
static inline vf vf_brain(const uint16_t *p)
{
	const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));

	return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

#endif
