/*
 * vec_dotprod.h: the vector vocabulary on Armv8.2 with SDOT: that of NEON, but products of signed bytes
 * are summed in 32 bits.  vec_avx512.h explains the words.
 */
#ifndef VEC_DOTPROD_H
#define VEC_DOTPROD_H

#include "vec_neon.h"

typedef int32x4_t vn;

static inline vn vn_start(int start) { return vdupq_n_s32(start); }
static inline vn vn_dot(vn sum, vb codes, vb x)
{
	return vdotq_s32(sum, vreinterpretq_s8_u8(codes), vreinterpretq_s8_u8(x));
}
static inline vw vn_sum(vn sum, int start) { (void)start; return sum; }
#define vw_dot vn_dot
/* The same with the 4 activations of one 32-bit lane of x. */
#define vn_dot_lane(sum, codes, x, lane) \
	vdotq_laneq_s32(sum, vreinterpretq_s8_u8(codes), vreinterpretq_s8_u8(x), lane)

/*
 * A start from memory, loaded for every sum anew: a copy in a register would be an instruction of the vector
 * pipes, which are what is short.
 */
static inline vw vw_load_anew(const int32_t *p)
{
	vw start;

	__asm__ volatile("ldr %q0, %1" : "=w"(start) : "m"(*(const vw *)p));
	return start;
}

#endif
