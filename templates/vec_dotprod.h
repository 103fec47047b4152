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
/* The same with two vectors of unsigned bytes. */
static inline vn vn_dot_unsigned(vn sum, vb a, vb b)
{
	return vreinterpretq_s32_u32(vdotq_u32(vreinterpretq_u32_s32(sum), a, b));
}
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
/* Two vectors at p for the same reason: of zeros; of 16 bits, 16 and 4. */
#define v_two_anew(a, b, p) __asm__ volatile("ldp %q0, %q1, %2" : "=w"(a), "=w"(b) : "Q"(p))
static const int32_t v_zeros[8] __attribute__((aligned(32)));
static const int32_t v_float_starts[8] __attribute__((aligned(32))) = { [0 ... 7] = V_FLOAT_START };
static const int16_t v_units[16] __attribute__((aligned(32))) = { [0 ... 7] = 16, [8 ... 15] = 4 };

/* Four vectors are to be there before zeros are loaded again: compilers would put off more than registers hold. */
#define v_finish4(a) __asm__ volatile("" : : "w"((a)[0]), "w"((a)[1]), "w"((a)[2]), "w"((a)[3]))

static inline vb vb_flip(vb a, int bits) { return veorq_u8(a, vb_set(bits)); }
/* Each byte, as a signed one, shifted. */
#define vb_shift_signed(a, n) vreinterpretq_u8_s8(vshrq_n_s8(vreinterpretq_s8_u8(a), n))

/* The low 16 bits of each 32-bit lane of a and of b in turn; of each 16-bit lane the low bytes, the high bytes. */
static inline vh vh_low(vw a, vw b) { return vtrn1q_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b)); }
static inline vb vb_evens(vh a, vh b) { return vtrn1q_u8(vreinterpretq_u8_s16(a), vreinterpretq_u8_s16(b)); }
static inline vb vb_odds(vh a, vh b) { return vtrn2q_u8(vreinterpretq_u8_s16(a), vreinterpretq_u8_s16(b)); }

static inline vh vh_sub(vh a, vh b) { return vsubq_s16(a, b); }
/* a -= b * c, in the order that is written: compilers add first or, where b changes, copy it. */
#define vh_take(a, b, c) __asm__ volatile("mls %0.8h, %1.8h, %2.8h" : "+w"(a) : "w"(b), "w"(c))
static inline vh vh_load(const int16_t *p) { return vld1q_s16(p); }
/* The 4 bits of each 16-bit lane from bit `at` on. */
#define vh_nibbles(a, at) vreinterpretq_s16_u16((at) == 12 ? vshrq_n_u16(vreinterpretq_u16_u8(a), 12) : vandq_u16( \
	(at) == 0 ? vreinterpretq_u16_u8(a) : vshrq_n_u16(vreinterpretq_u16_u8(a), (at) == 0 ? 1 : (at)), vdupq_n_u16(15)))
/* The 4 bits of each lane that lie in 16 bytes from bit `at` on. */
static inline vw vw_nibbles(const uint8_t *p, int at)
{
	const uint32x4_t a = vreinterpretq_u32_u8(vld1q_u8(p));

	return vreinterpretq_s32_u32(vandq_u32(vshlq_u32(a, vdupq_n_s32(-at)), vdupq_n_u32(15)));
}
/* sum + products of the first or last four lanes */
static inline vw vw_fma_wide(vh a, vh b, vw sum, int half)
{
	return half ? vmlal_high_s16(sum, a, b) : vmlal_s16(sum, vget_low_s16(a), vget_low_s16(b));
}

static inline vf vf_convert_quarters(vw a) { return vcvtq_n_f32_s32(a, 2); }
/* Two floats in turn; sums of neighbours. */
static inline vf vf_turns(const float *p) { return vreinterpretq_f32_f64(vld1q_dup_f64((const double *)(const void *)p)); }
static inline vf vf_add_pairs(vf a, vf b) { return vpaddq_f32(a, b); }

#endif
