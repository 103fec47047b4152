/*
 * vec_sve.h: the vector vocabulary on SVE and its I8MM, with vectors of VB bytes, which vec_sve<bits>.h defines.
 * vec_avx512.h explains most words, vec_i8mm.h those of matrix products.
 *
 * Panels, arrays and structs want vectors of a fixed length, so these kernels run only where the CPU's are as long.
 * Nothing here needs SVE2.  Codes are unsigned (USDOT, USMMLA), as on VNNI.
 */
#ifndef VEC_SVE_H
#define VEC_SVE_H

#include <arm_neon.h>
#include <arm_sve.h>
#include <stdint.h>
#include <string.h>

#if __ARM_FEATURE_SVE_BITS != 8 * VB
#error "-msve-vector-bits differs from the length of this header's vectors"
#endif

#define VL (VB / 4)
#define V_FIXED __attribute__((arm_sve_vector_bits(8 * VB)))

typedef svuint8_t vb V_FIXED;
typedef svint16_t vh V_FIXED;
typedef svint32_t vw V_FIXED;
typedef svfloat32_t vf V_FIXED;
typedef vw vn;

/* all lanes, of either width */
#define V_B svptrue_b8()
#define V_H svptrue_b16()
#define V_W svptrue_b32()

static inline void v_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }
static inline void v_prefetch_far(const void *p) { __builtin_prefetch(p, 0, 2); } /* no nearer than L2 */
/* clang takes no type of a fixed length there. */
static inline __attribute__((always_inline)) vb v_hide(vb a)
{
	svuint8_t hidden = a;

	__asm__ volatile("" : "+w"(hidden));
	return hidden;
}
#define v_opaque(x) ((x) = v_hide(x))
#define v_once(x) ((void)0)

/* bytes */
static inline vb vb_load(const void *p) { return svld1_u8(V_B, p); }
static inline void vb_store(void *p, vb a) { svst1_u8(V_B, p, a); }
static inline vb vb_set(int b) { return svdup_n_u8((uint8_t)b); }
static inline vb vb_and(vb a, vb b) { return svand_u8_x(V_B, a, b); }
static inline vb vb_or(vb a, vb b) { return svorr_u8_x(V_B, a, b); }
static inline vb vb_add(vb a, vb b) { return svadd_u8_x(V_B, a, b); }
static inline vb vb_trit(vb a) { return svmulh_n_u8_x(V_B, a, 3); }
static inline vb vb_or_and(vb a, vb b, vb c) { return vb_or(a, vb_and(b, c)); }
#define vb_shift_right(a, n) svlsr_n_u8_x(V_B, a, n)
/* The mask is left out where the shift leaves nothing else. */
static inline __attribute__((always_inline)) vb vb_field(vb a, int right, int mask)
{
	if (right > 0)
		a = svlsr_n_u8_x(V_B, a, (uint64_t)right);
	else if (right < 0)
		a = svlsl_n_u8_x(V_B, a, (uint64_t)-right);
	return right > 0 && mask == 255 >> right ? a : vb_and(a, vb_set(mask));
}

static inline vb vb_quad(const int8_t *p)
{
	uint32_t four;

	memcpy(&four, p, 4);
	return svreinterpret_u8_u32(svdup_n_u32(four));
}
/* 16 bytes in every 16-byte lane */
static inline vb vb_quads(const void *p) { return svld1rq_u8(V_B, p); }

static inline vb vb_table(const uint8_t *p) { return svld1rq_u8(V_B, p); }
static inline vb vb_lookup(vb table, vb index) { return svtbl_u8(table, index); }

/* sums of byte products */
static inline vn vn_start(int start) { return svdup_n_s32(start); }
static inline vn vn_dot(vn sum, vb codes, vb x) { return svusdot_s32(sum, codes, svreinterpret_s8_u8(x)); }
static inline vw vn_sum(vn sum, int start) { (void)start; return sum; }
/* The same with the 4 activations of one 32-bit lane of every 16 bytes of x. */
#define vn_dot_lane(sum, codes, x, lane) svusdot_lane_s32(sum, codes, svreinterpret_s8_u8(x), lane)
static inline vn vn_mmla(vn sum, vb codes, vb x) { return svusmmla_s32(sum, codes, svreinterpret_s8_u8(x)); }

/* 4 k of all rows and the next 4 k of them: 8 k of the first or second half of the rows. */
static inline vb vb_zip(vb a, vb b, int half)
{
	const svuint32_t x = svreinterpret_u32_u8(a), y = svreinterpret_u32_u8(b);

	return half ? svreinterpret_u8_u32(svzip2_u32(x, y)) : svreinterpret_u8_u32(svzip1_u32(x, y));
}

/* 16-bit */
static inline vh vh_widen(vb a, int half)
{
	const svint8_t s = svreinterpret_s8_u8(a);

	return half ? svunpkhi_s16(s) : svunpklo_s16(s);
}
static inline vh vh_join(vb high, vb low, int half)
{
	const svuint16_t l = half ? svunpkhi_u16(low) : svunpklo_u16(low);

	return svmla_n_s16_x(V_H, svreinterpret_s16_u16(l), vh_widen(high, half), 32);
}
static inline vh vh_add(vh a, vh b) { return svadd_s16_x(V_H, a, b); }
#define vh_shift_left(a, n) svlsl_n_s16_x(V_H, a, n)

/* 32-bit */
static inline vw vw_load(const void *p) { return svld1_s32(V_W, p); }
static inline void vw_store(void *p, vw a) { svst1_s32(V_W, p, a); }
/*
 * 4 starts in every 16 bytes, loaded for every sum anew: a copy in a register would be an instruction of the vector
 * pipes, which are what is short.
 */
static inline vw vw_load_anew(const int32_t *p)
{
	svint32_t start;

	__asm__ volatile("ld1rqw {%0.s}, %1/z, %2" : "=w"(start) : "Upl"(V_W), "Q"(*(const int32_t (*)[4])p));
	return start;
}
static inline vw vw_set(int i) { return svdup_n_s32(i); }
static inline vw vw_add(vw a, vw b) { return svadd_s32_x(V_W, a, b); }
static inline vw vw_sub(vw a, vw b) { return svsub_s32_x(V_W, a, b); }
static inline vw vw_bytes(const void *p) { return svld1ub_s32(V_W, p); }
static inline vw vw_signed_bytes(const void *p) { return svld1sb_s32(V_W, p); }
/* Modulo 256, which the result is not changed by. */
static inline vb vb_times(vb codes, vw multiple, int zero, int offset)
{
	const svint32_t each = svmul_n_s32_x(V_W, svand_n_s32_x(V_W, multiple, 255), 0x01010101);
	const vb m = svreinterpret_u8_s32(each);

	return svmla_u8_x(V_B, svmls_n_u8_x(V_B, vb_set(offset), m, (uint8_t)zero), codes, m);
}
static inline vw vw_and(vw a, int mask) { return svand_n_s32_x(V_W, a, mask); }
#define vw_shift_left(a, n) svlsl_n_s32_x(V_W, a, n)
static inline __attribute__((always_inline)) vw vw_shift_right(vw a, int n)
{
	return n > 0 ? (vw)svasr_n_s32_x(V_W, a, (uint64_t)n) : a;
}
static inline vw vw_widen(vh a, int half) { return half ? svunpkhi_s32(a) : svunpklo_s32(a); }
static inline int vw_sum_lanes(vw a) { return (int)svaddv_s32(V_W, a); }
static inline void vw_store_bytes(int8_t *p, vw a) { svst1b_s32(V_W, p, a); }

static inline void v_half_sums(const int8_t *p, int32_t out[2])
{
	out[0] = vaddlvq_s8(vld1q_s8(p));
	out[1] = vaddlvq_s8(vld1q_s8(p + 16));
}

/* floats */
static inline vf vf_set(float x) { return svdup_n_f32(x); }
static inline vf vf_load(const float *p) { return svld1_f32(V_W, p); }
static inline vf vf_quads(const float *p) { return svld1rq_f32(V_W, p); }
static inline void vf_store(float *p, vf a) { svst1_f32(V_W, p, a); }
static inline vf vf_mul(vf a, vf b) { return svmul_f32_x(V_W, a, b); }
static inline vf vf_add(vf a, vf b) { return svadd_f32_x(V_W, a, b); }
static inline vf vf_div(vf a, vf b) { return svdiv_f32_x(V_W, a, b); }
static inline vf vf_max(vf a, vf b) { return svmaxnm_f32_x(V_W, a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return svmla_f32_x(V_W, c, a, b); }
static inline vf vf_convert(vw a) { return svcvt_f32_s32_x(V_W, a); }
/* The float of a sum that started from V_FLOAT_START, see vec_neon.h. */
#define V_FLOAT_START 0x4b400000
static inline vf vw_float(vw sum) { return svsub_f32_x(V_W, svreinterpret_f32_s32(sum), svdup_n_f32(0x1.8p23f)); }
static inline vw vf_round(vf a) { return svcvt_s32_f32_x(V_W, svrintn_f32_x(V_W, a)); }
static inline vf vf_ldexp(vf a, vw n)
{
	return svreinterpret_f32_s32(svadd_s32_x(V_W, svreinterpret_s32_f32(a), svlsl_n_s32_x(V_W, n, 23)));
}
static inline float vf_sum_lanes(vf a) { return svaddv_f32(V_W, a); }
static inline vf vf_max_abs(vf a, vf b) { return vf_max(a, svabs_f32_x(V_W, b)); }
static inline float vf_max_lanes(vf a) { return svmaxnmv_f32(V_W, a); }
static inline void vf_max_lanes4(vf a, vf b, vf c, vf d, float out[4])
{
	const svfloat64_t ab = svreinterpret_f64_f32(vf_max(svzip1_f32(a, b), svzip2_f32(a, b)));
	const svfloat64_t cd = svreinterpret_f64_f32(vf_max(svzip1_f32(c, d), svzip2_f32(c, d)));
	vf all = vf_max(svreinterpret_f32_f64(svzip1_f64(ab, cd)), svreinterpret_f32_f64(svzip2_f64(ab, cd)));

#if VB == 64
	all = vf_max(all, svext_f32(all, all, 8));
#endif
#if VB >= 32
	all = vf_max(all, svext_f32(all, all, 4));
#endif
	svst1_f32(svptrue_pat_b32(SV_VL4), out, all);
}
static inline int vf_all_zero(vf a) { return !svptest_any(V_W, svcmpne_n_f32(V_W, a, 0)); }
static inline vf vf_half(const uint16_t *p)
{
	return svcvt_f32_f16_x(V_W, svreinterpret_f16_u32(svld1uh_u32(V_W, p)));
}
static inline vf vf_brain(const uint16_t *p)
{
	return svreinterpret_f32_u32(svlsl_n_u32_x(V_W, svld1uh_u32(V_W, p), 16));
}

/* What belongs to all rows as lanes of sums: that of the first or second half of them. */
static inline vf vf_rows(const float *p, int half)
{
	const svfloat32_t s = vf_load(p);

	return half ? svzip2_f32(s, s) : svzip1_f32(s, s);
}
/* All rows of either token as sums of half of them, and back. */
static inline vf vf_zip(vf a, vf b, int half) { return half ? svzip2_f32(a, b) : svzip1_f32(a, b); }
static inline vf vf_unzip(vf a, vf b, int odd) { return odd ? svuzp2_f32(a, b) : svuzp1_f32(a, b); }

#endif
