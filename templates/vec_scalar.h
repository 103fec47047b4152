/*
 * vec_scalar.h: the vector vocabulary in plain C, for every machine.  vec_avx512.h explains the
 * words.
 */
#ifndef VEC_SCALAR_H
#define VEC_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define VB 16
#define VL 4

typedef struct { uint8_t b[16]; } vb;
typedef struct { int16_t h[8]; } vh;
typedef struct { int32_t w[4]; } vw;
typedef struct { float f[4]; } vf;
typedef vw vn;

#define V_EACH(n) for (int i = 0; i < (n); i++)

static inline void v_prefetch(const void *p) { (void)p; }
static inline void v_prefetch_far(const void *p) { (void)p; }
#define v_opaque(x) __asm__ volatile("" : "+m"(x))
#define v_once(x) ((void)0)

/* bytes */
static inline vb vb_load(const void *p) { vb r; memcpy(&r, p, 16); return r; }
static inline void vb_store(void *p, vb a) { memcpy(p, &a, 16); }
static inline vb vb_set(int x) { vb r; V_EACH(16) r.b[i] = (uint8_t)x; return r; }
static inline vb vb_and(vb a, vb c) { V_EACH(16) a.b[i] &= c.b[i]; return a; }
static inline vb vb_or(vb a, vb c) { V_EACH(16) a.b[i] |= c.b[i]; return a; }
static inline vb vb_add(vb a, vb c) { V_EACH(16) a.b[i] = (uint8_t)(a.b[i] + c.b[i]); return a; }
static inline vb vb_trit(vb a) { V_EACH(16) a.b[i] = (uint8_t)(3 * a.b[i] >> 8); return a; }
static inline vb vb_or_and(vb a, vb c, vb d) { return vb_or(a, vb_and(c, d)); }
static inline vb vb_shift_right(vb a, int n) { V_EACH(16) a.b[i] >>= n; return a; }
static inline vb vb_field(vb a, int right, int mask)
{
	V_EACH(16) a.b[i] = (uint8_t)((right > 0 ? a.b[i] >> right : a.b[i] << -right) & mask);
	return a;
}
static inline vb vb_quad(const int8_t *p) { vb r; V_EACH(16) r.b[i] = (uint8_t)p[i % 4]; return r; }
static inline vb vb_table(const uint8_t *p) { return vb_load(p); }
static inline vb vb_lookup(vb table, vb index)
{
	V_EACH(16) index.b[i] = table.b[index.b[i]];
	return index;
}

/* sums of byte products */
static inline vw vw_set(int x) { return (vw){ { x, x, x, x } }; }
static inline vn vn_start(int start) { return vw_set(start); }
static inline vn vn_dot(vn sum, vb codes, vb x)
{
	V_EACH(16) sum.w[i / 4] += codes.b[i] * (int8_t)x.b[i];
	return sum;
}
static inline vw vn_sum(vn sum, int start) { (void)start; return sum; }

/* 16-bit */
static inline vh vh_join(vb high, vb low, int half)
{
	vh r;

	V_EACH(8) r.h[i] = (int16_t)(32 * (int8_t)high.b[8 * half + i] + low.b[8 * half + i]);
	return r;
}
static inline vh vh_widen(vb a, int half)
{
	vh r;

	V_EACH(8) r.h[i] = (int8_t)a.b[8 * half + i];
	return r;
}
static inline vh vh_add(vh a, vh c) { V_EACH(8) a.h[i] = (int16_t)(a.h[i] + c.h[i]); return a; }
static inline vh vh_shift_left(vh a, int n)
{
	V_EACH(8) a.h[i] = (int16_t)(a.h[i] * (1 << n));
	return a;
}

/* 32-bit */
static inline vw vw_add(vw a, vw c) { V_EACH(4) a.w[i] += c.w[i]; return a; }
static inline vw vw_sub(vw a, vw c) { V_EACH(4) a.w[i] -= c.w[i]; return a; }
static inline vw vw_bytes(const void *p)
{
	vw r;

	V_EACH(4) r.w[i] = ((const uint8_t *)p)[i];
	return r;
}
static inline vw vw_signed_bytes(const void *p)
{
	vw r;

	V_EACH(4) r.w[i] = ((const int8_t *)p)[i];
	return r;
}
static inline vb vb_times(vb codes, vw multiple, int zero, int offset)
{
	V_EACH(16) codes.b[i] = (uint8_t)((codes.b[i] - zero) * multiple.w[i / 4] + offset);
	return codes;
}
static inline vw vw_and(vw a, int mask) { V_EACH(4) a.w[i] &= mask; return a; }
static inline vw vw_shift_left(vw a, int n) { V_EACH(4) a.w[i] *= 1 << n; return a; }
static inline vw vw_shift_right(vw a, int n) { V_EACH(4) a.w[i] >>= n; return a; }
static inline vw vw_widen(vh a, int half)
{
	vw r;

	V_EACH(4) r.w[i] = a.h[4 * half + i];
	return r;
}
static inline vw vw_dot(vw sum, vb codes, vb x)
{
	V_EACH(16) sum.w[i / 4] += (int8_t)codes.b[i] * (int8_t)x.b[i];
	return sum;
}
static inline int vw_sum_lanes(vw a) { return a.w[0] + a.w[1] + a.w[2] + a.w[3]; }
static inline void vw_store_bytes(int8_t *p, vw a) { V_EACH(4) p[i] = (int8_t)a.w[i]; }

static inline void v_half_sums(const int8_t *p, int32_t out[2])
{
	out[0] = out[1] = 0;
	V_EACH(32) out[i / 16] += p[i];
}

/* floats */
static inline vf vf_set(float x) { return (vf){ { x, x, x, x } }; }
static inline vf vf_load(const float *p) { vf r; memcpy(&r, p, 16); return r; }
static inline void vf_store(float *p, vf a) { memcpy(p, &a, 16); }
static inline vf vf_mul(vf a, vf c) { V_EACH(4) a.f[i] *= c.f[i]; return a; }
static inline vf vf_add(vf a, vf c) { V_EACH(4) a.f[i] += c.f[i]; return a; }
static inline vf vf_fma(vf a, vf c, vf d) { V_EACH(4) d.f[i] += a.f[i] * c.f[i]; return d; }
static inline vf vf_div(vf a, vf c) { V_EACH(4) a.f[i] /= c.f[i]; return a; }
static inline vf vf_max(vf a, vf c) { V_EACH(4) a.f[i] = fmaxf(a.f[i], c.f[i]); return a; }
static inline vf vf_convert(vw a) { vf r; V_EACH(4) r.f[i] = (float)a.w[i]; return r; }
static inline vw vf_round(vf a) { vw r; V_EACH(4) r.w[i] = (int32_t)lrintf(a.f[i]); return r; }
static inline vf vf_ldexp(vf a, vw n) { V_EACH(4) a.f[i] = ldexpf(a.f[i], n.w[i]); return a; }
static inline float vf_sum_lanes(vf a) { return (a.f[0] + a.f[1]) + (a.f[2] + a.f[3]); }
static inline vf vf_max_abs(vf a, vf c)
{
	V_EACH(4) a.f[i] = fmaxf(a.f[i], fabsf(c.f[i]));
	return a;
}
static inline float vf_max_lanes(vf a)
{
	return fmaxf(fmaxf(a.f[0], a.f[1]), fmaxf(a.f[2], a.f[3]));
}
static inline void vf_max_lanes4(vf a, vf b, vf c, vf d, float out[4])
{
	out[0] = vf_max_lanes(a);
	out[1] = vf_max_lanes(b);
	out[2] = vf_max_lanes(c);
	out[3] = vf_max_lanes(d);
}
static inline int vf_all_zero(vf a)
{
	return a.f[0] == 0 && a.f[1] == 0 && a.f[2] == 0 && a.f[3] == 0;
}
/* f16 -> f32: move the exponent by a product, which also treats subnormals; infinity and NaN apart. */
static inline vf vf_half(const uint16_t *p)
{
	vf r;

	V_EACH(4) {
		const uint32_t magnitude = (uint32_t)(p[i] & 0x7fff) << 13;
		const uint32_t special = magnitude >= 0x0f800000 ? 0x7f800000 : 0;
		uint32_t bits;
		float x;

		memcpy(&x, &magnitude, 4);
		x *= 0x1p112f;
		memcpy(&bits, &x, 4);
		bits |= special | (uint32_t)(p[i] & 0x8000) << 16;
		memcpy(&r.f[i], &bits, 4);
	}
	return r;
}
static inline vf vf_brain(const uint16_t *p)
{
	vf r;

	V_EACH(4) {
		const uint32_t bits = (uint32_t)p[i] << 16;

		memcpy(&r.f[i], &bits, 4);
	}
	return r;
}

#endif
