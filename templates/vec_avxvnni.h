/*
 * vec_avxvnni.h: the vector vocabulary on AVX2 with AVX-VNNI: that of AVX2, but products of bytes are
 * summed in 32 bits.  vec_avx512.h explains the words.
 */
#ifndef VEC_AVXVNNI_H
#define VEC_AVXVNNI_H

#include "vec_avx2.h"

static inline vn vn_start(int start) { return _mm256_set1_epi32(start); }
static inline vn vn_dot(vn sum, vb codes, vb x) { return _mm256_dpbusd_avx_epi32(sum, codes, x); }
static inline vw vn_sum(vn sum, int start) { (void)start; return sum; }
static inline vw vw_dot_pairs(vw sum, vh a, vh b) { return _mm256_dpwssd_avx_epi32(sum, a, b); }

#endif
