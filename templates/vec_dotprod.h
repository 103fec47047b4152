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
static inline vn vn_load(const int32_t *p)
{
	vn start;

	__asm__ volatile("ldr %q0, %1" : "=w"(start) : "m"(*(const vn *)p));
	return start;
}
static inline void vw_store(void *p, vw a) { vst1q_s32(p, a); }
/*
 * The float of a sum that started from V_FLOAT_START, which are the bits of 1.5 * 2^23: while |sum| < 2^22 the
 * bits are those of 1.5 * 2^23 + sum.
 */
#define V_FLOAT_START 0x4b400000
static inline vf vn_float(vn sum) { return vsubq_f32(vreinterpretq_f32_s32(sum), vdupq_n_f32(0x1.8p23f)); }

#endif
