/*
 * vec_neon.h: the vector vocabulary on Armv8.0 Advanced SIMD.  vec_avx512.h explains the words.
 * vec_dotprod.h takes all but the products of bytes from here.
 */
#ifndef VEC_NEON_H
#define VEC_NEON_H

#include <arm_neon.h>
#include <stdint.h>

#define VB 16
#define VL 4

typedef uint8x16_t vb;
typedef int16x8_t vh;
typedef int32x4_t vw;
typedef float32x4_t vf;
#ifndef VEC_DOTPROD_H
typedef struct { int16x8_t low, high; } vn;     /* of the low and high 8 bytes */
#endif

static inline void v_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }
static inline void v_prefetch_far(const void *p) { __builtin_prefetch(p, 0, 2); } /* no nearer than L2 */
/* p += n in the register of p, where compilers would count from where it began. */
#define v_advance(p, n) do { (p) += (n); __asm__("" : "+r"(p)); } while (0)
/* a is to be there before anything else is loaded. */
#define v_finish(a) __asm__ volatile("" : : "w"(a) : "memory")
#define v_opaque(x) __asm__ volatile("" : "+w"(x))
#define v_once(x) ((void)0)

/* bytes */
static inline vb vb_load(const void *p) { return vld1q_u8(p); }
static inline void vb_store(void *p, vb a) { vst1q_u8(p, a); }
static inline vb vb_set(int b) { return vdupq_n_u8((uint8_t)b); }
static inline vb vb_and(vb a, vb b) { return vandq_u8(a, b); }
static inline vb vb_or(vb a, vb b) { return vorrq_u8(a, b); }
static inline vb vb_add(vb a, vb b) { return vaddq_u8(a, b); }
static inline vb vb_or_and(vb a, vb b, vb c) { return vorrq_u8(a, vandq_u8(b, c)); }
#define vb_shift_right(a, n) vshrq_n_u8(a, n)
/* The mask is left out where the shift leaves nothing else. */
#define vb_field(a, right, mask) ((right) > 0 \
	? (mask) == 255 >> ((right) & 7) ? vshrq_n_u8(a, (right) > 0 ? (right) : 1) \
					 : vb_and(vshrq_n_u8(a, (right) > 0 ? (right) : 1), vb_set(mask)) \
	: vb_and(vshlq_n_u8(a, (right) < 0 ? -(right) : 0), vb_set(mask)))

static inline vb vb_quad(const int8_t *p)
{
	return vreinterpretq_u8_s32(vld1q_dup_s32((const int32_t *)p));
}

/* 16 bytes in every 16-byte lane, of which this ISA has one */
static inline vb vb_quads(const void *p) { return vld1q_u8(p); }

/* Two tables side by side, each index < 32. */
typedef uint8x16x2_t vb2;
static inline vb2 vb2_load(const uint8_t *p) { return vld1q_u8_x2(p); }
static inline vb vb_lookup2(vb2 table, vb index) { return vqtbl2q_u8(table, index); }
/*
 * Indices of two tables side by side: the low 4 bits of a, and above them 1 in every second byte; of the high 4 bits in
 * place of those of an index before, whose upper bits stay, so that it takes one instruction.
 */
static inline vb vb_second(void) { return vreinterpretq_u8_u16(vdupq_n_u16(0x1000)); }
static inline vb vb_index_low(vb a, vb second)
{
	/* As vbslq_u8 clang 19 makes two instructions of it. */
	__asm__("bif %0.16b, %1.16b, %2.16b" : "+w"(a) : "w"(second), "w"(vdupq_n_u8(15)));
	return a;
}
static inline vb vb_index_high(vb a, vb before) { return vsriq_n_u8(before, a, 4); }

/*
 * 4 bits each of the bytes first, first + step, ... (the low 4, or with high the others) as bytes 0 or `one`.
 */
static inline vb vb_bits(vb a, int first, int step, int high, int one)
{
	const uint32_t each = 0x01010101u * (uint32_t)step;
	const uint32x4_t from = vaddq_u32((uint32x4_t){ 0, each, 2 * each, 3 * each },
					  vdupq_n_u32(0x01010101u * (uint32_t)first));
	const vb bit = vreinterpretq_u8_u32(vdupq_n_u32(high ? 0x80402010 : 0x08040201));

	return vandq_u8(vtstq_u8(vqtbl1q_u8(a, vreinterpretq_u8_u32(from)), bit), vdupq_n_u8((uint8_t)one));
}

static inline vb vb_table(const uint8_t *p) { return vld1q_u8(p); }
static inline vb vb_lookup(vb table, vb index) { return vqtbl1q_u8(table, index); }

#ifndef VEC_DOTPROD_H
/*
 * Products are summed in 16 bits, one a call: with codes up to c at most 32767 / (127 * c) calls
 * (isa.depth), such as 8 * 127 * 31 = 31496.
 */
static inline vn vn_start(int start)
{
	(void)start;
	return (vn){ vdupq_n_s16(0), vdupq_n_s16(0) };
}
static inline vn vn_dot(vn sum, vb codes, vb x)
{
	const int8x16_t c = vreinterpretq_s8_u8(codes), a = vreinterpretq_s8_u8(x);

	return (vn){ vmlal_s8(sum.low, vget_low_s8(c), vget_low_s8(a)),
		     vmlal_high_s8(sum.high, c, a) };
}
static inline vw vn_sum(vn sum, int start)
{
	return vaddq_s32(vpaddq_s32(vpaddlq_s16(sum.low), vpaddlq_s16(sum.high)),
			 vdupq_n_s32(start));
}
#endif

/* 16-bit */
static inline vh vh_join(vb high, vb low, int half)
{
	const int8x16_t h = vreinterpretq_s8_u8(high);
	const int16x8_t wide = half ? vshll_high_n_s8(h, 5) : vshll_n_s8(vget_low_s8(h), 5);
	const uint16x8_t w = vreinterpretq_u16_s16(wide);

	return vreinterpretq_s16_u16(half ? vaddw_high_u8(w, low) : vaddw_u8(w, vget_low_u8(low)));
}
static inline vh vh_widen(vb a, int half)
{
	const int8x16_t s = vreinterpretq_s8_u8(a);

	return half ? vmovl_high_s8(s) : vmovl_s8(vget_low_s8(s));
}
/* sums of two signed bytes each, alone and added */
static inline vh vh_pairs(vb a) { return vpaddlq_s8(vreinterpretq_s8_u8(a)); }
static inline vh vh_add_pairs(vh sum, vb a) { return vpadalq_s8(sum, vreinterpretq_s8_u8(a)); }
static inline vh vh_add(vh a, vh b) { return vaddq_s16(a, b); }
#define vh_shift_left(a, n) vshlq_n_s16(a, n)

/* 32-bit */
static inline vw vw_load(const void *p) { return vld1q_s32(p); }
static inline void vw_store(void *p, vw a) { vst1q_s32(p, a); }
static inline vw vw_add_wide(vw a, vh b, int half)
{
	return half ? vaddw_high_s16(a, b) : vaddw_s16(a, vget_low_s16(b));
}
static inline vw vw_set(int i) { return vdupq_n_s32(i); }
static inline vw vw_add(vw a, vw b) { return vaddq_s32(a, b); }
static inline vw vw_sub(vw a, vw b) { return vsubq_s32(a, b); }
static inline vw vw_bytes(const void *p)
{
	const uint8x8_t b = vreinterpret_u8_u32(vld1_dup_u32((const uint32_t *)p));

	return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(b))));
}
static inline vw vw_signed_bytes(const void *p)
{
	const int8x8_t b = vreinterpret_s8_u32(vld1_dup_u32((const uint32_t *)p));

	return vmovl_s16(vget_low_s16(vmovl_s8(b)));
}
static inline vb vb_times(vb codes, vw multiple, int zero, int offset)
{
	const int16x8_t c = vreinterpretq_s16_u8(codes), m0 = vreinterpretq_s16_s32(multiple);
	const int16x8_t m = vtrn1q_s16(m0, m0), low = vdupq_n_s16(0xff);
	const int16x8_t start = vmlsq_n_s16(vdupq_n_s16((int16_t)offset), m, (int16_t)zero);
	const int16x8_t even = vmlaq_s16(start, vandq_s16(c, low), m);
	const int16x8_t odd =
		vmlaq_s16(start, vreinterpretq_s16_u16(vshrq_n_u16(vreinterpretq_u16_s16(c), 8)), m);

	return vreinterpretq_u8_s16(vorrq_s16(vandq_s16(even, low), vshlq_n_s16(odd, 8)));
}
static inline vw vw_and(vw a, int mask) { return vandq_s32(a, vdupq_n_s32(mask)); }
#define vw_shift_left(a, n) vshlq_n_s32(a, n)
#define vw_shift_right(a, n) vshrq_n_s32(a, n)
static inline vw vw_widen(vh a, int half)
{
	return half ? vmovl_high_s16(a) : vmovl_s16(vget_low_s16(a));
}
#ifndef VEC_DOTPROD_H
/* sum + 4 products of signed codes in each lane; one product fits 16 bits, 128 * 127 = 16256 */
static inline vw vw_dot(vw sum, vb codes, vb x)
{
	const int8x16_t c = vreinterpretq_s8_u8(codes), a = vreinterpretq_s8_u8(x);
	const int16x8_t low = vmull_s8(vget_low_s8(c), vget_low_s8(a)), high = vmull_high_s8(c, a);

	return vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
}
#endif
static inline int vw_sum_lanes(vw a) { return vaddvq_s32(a); }
static inline void vw_store_bytes(int8_t *p, vw a)
{
	const int8x8_t b = vmovn_s16(vcombine_s16(vmovn_s32(a), vmovn_s32(a)));

	vst1_lane_s32((int32_t *)p, vreinterpret_s32_s8(b), 0);
}

static inline void v_half_sums(const int8_t *p, int32_t out[2])
{
	out[0] = vaddlvq_s8(vld1q_s8(p));
	out[1] = vaddlvq_s8(vld1q_s8(p + 16));
}

/* floats */
static inline vf vf_set(float x) { return vdupq_n_f32(x); }
static inline vf vf_load(const float *p) { return vld1q_f32(p); }
static inline vf vf_quads(const float *p) { return vld1q_f32(p); }
static inline void vf_store(float *p, vf a) { vst1q_f32(p, a); }
static inline vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
static inline vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
static inline vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
static inline vf vf_max(vf a, vf b) { return vmaxnmq_f32(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
static inline vf vf_convert(vw a) { return vcvtq_f32_s32(a); }
/*
 * The float of a sum that started from V_FLOAT_START, which are the bits of 1.5 * 2^23: while |sum| < 2^22 the
 * bits are those of 1.5 * 2^23 + sum.
 */
#define V_FLOAT_START 0x4b400000
static inline vf vw_float(vw sum) { return vsubq_f32(vreinterpretq_f32_s32(sum), vdupq_n_f32(0x1.8p23f)); }
static inline vw vf_round(vf a) { return vcvtnq_s32_f32(a); }
static inline vf vf_ldexp(vf a, vw n)
{
	return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a), vshlq_n_s32(n, 23)));
}
static inline float vf_sum_lanes(vf a) { return vaddvq_f32(a); }
static inline vf vf_max_abs(vf a, vf b) { return vmaxnmq_f32(a, vabsq_f32(b)); }
static inline float vf_max_lanes(vf a) { return vmaxnmvq_f32(a); }
static inline void vf_max_lanes4(vf a, vf b, vf c, vf d, float out[4])
{
	vst1q_f32(out, vpmaxq_f32(vpmaxq_f32(a, b), vpmaxq_f32(c, d)));
}
static inline int vf_all_zero(vf a) { return vminvq_u32(vceqzq_f32(a)) != 0; }
static inline vf vf_half(const uint16_t *p)
{
	return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
static inline vf vf_brain(const uint16_t *p)
{
	return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}

#endif
