/*
 * vec_x86.h: words that are the same on AVX2 and AVX-512.  vec_avx512.h explains the others.
 */
#ifndef VEC_X86_H
#define VEC_X86_H

#include <immintrin.h>
#include <stdint.h>

static inline void v_prefetch(const void *p) { _mm_prefetch(p, _MM_HINT_T0); }
static inline void v_prefetch_far(const void *p) { _mm_prefetch(p, _MM_HINT_T1); } /* no nearer than L2 */

/* Sums of either 16 of 32 signed bytes. */
static inline void v_half_sums(const int8_t *p, int32_t out[2])
{
	const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), _mm256_loadu_si256((const __m256i *)p));
	const __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
	const __m128i eights = _mm_hadd_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256(fours, 1));

	_mm_storel_epi64((__m128i *)out, _mm_hadd_epi32(eights, eights));
}

#endif
