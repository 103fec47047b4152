/*
 * gguf_decoders.c: what GGUF's specification says of each type, a function of one value's index.
 */
#include "gguf_decoders.h"

#include <math.h>

#include "kernel.h"
#include "quern.h"

float gguf_decoders_half(unsigned half)
{
	const int exponent = half >> 10 & 31, fraction = half & 1023;
	float x = exponent ? ldexpf((float)(1024 + fraction), exponent - 25)
			   : ldexpf((float)fraction, -24);

	if (exponent == 31)
		x = fraction ? NAN : INFINITY;
	return half & 0x8000 ? -x : x;
}

const int gguf_decoders_nl[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
				  1,    13,   25,  38,  53,  69,  89,  113};

static float half_at(const uint8_t *p)
{
	return gguf_decoders_half((unsigned)(p[0] | p[1] << 8));
}

static int nibble(const uint8_t *p, int upper)
{
	return upper ? *p >> 4 : *p & 15;
}

static int bit(const uint8_t *p, int i)
{
	return p[i / 8] >> i % 8 & 1;
}

static float q4_0(const uint8_t *p, int i)
{
	return half_at(p) * (float)(nibble(p + 2 + i % 16, i >= 16) - 8);
}

static float q4_1(const uint8_t *p, int i)
{
	const float product = half_at(p) * (float)nibble(p + 4 + i % 16, i >= 16);

	return product + half_at(p + 2);
}

static float q5_0(const uint8_t *p, int i)
{
	return half_at(p) * (float)(nibble(p + 6 + i % 16, i >= 16) + 16 * bit(p + 2, i) - 16);
}

static float q5_1(const uint8_t *p, int i)
{
	const float product =
		half_at(p) * (float)(nibble(p + 8 + i % 16, i >= 16) + 16 * bit(p + 4, i));

	return product + half_at(p + 2);
}

static float q8_0(const uint8_t *p, int i)
{
	return half_at(p) * (float)(int8_t)p[2 + i];
}

static float iq4_nl(const uint8_t *p, int i)
{
	return half_at(p) * (float)gguf_decoders_nl[nibble(p + 2 + i % 16, i >= 16)];
}

static float q1_0(const uint8_t *p, int i)
{
	return bit(p + 2, i) ? half_at(p) : -half_at(p);
}

static float q2_0(const uint8_t *p, int i)
{
	return half_at(p) * (float)((p[2 + i / 4] >> 2 * (i % 4) & 3) - 1);
}

/* Two bits of value i of 256: half h, plane, byte. */
static int crumb(const uint8_t *p, int i)
{
	return p[32 * (i / 128) + i % 32] >> 2 * (i % 128 / 32) & 3;
}

static float q2_k(const uint8_t *p, int i)
{
	const int h = i / 128, plane = i % 128 / 32, t = i % 32 / 16;
	const uint8_t *c = p + 8 * h + 2 * plane + t;
	const float scale = half_at(p + 80) * (float)nibble(c, 0);
	const float min = half_at(p + 82) * (float)nibble(c, 1);
	const float product = scale * (float)crumb(p + 16, i);

	return product - min;
}

static float q3_k(const uint8_t *p, int i)
{
	const int h = i / 128, plane = i % 128 / 32, t = i % 32 / 16, is = 8 * h + 2 * plane + t;
	const int q = crumb(p + 32, i) - (p[i % 32] >> (4 * h + plane) & 1 ? 0 : 4);
	const uint8_t *s = p + 96;
	const int z = nibble(s + is % 8, is / 8) + 16 * (s[8 + is % 4] >> 2 * (is / 4) & 3);
	const float scale = half_at(p + 108) * (float)(z - 32);

	return scale * (float)q;
}

/* The value of q4_k and q5_k with code q in sub-block is. */
static float k_value(const uint8_t *p, int is, int q)
{
	const uint8_t *s = p + 4;
	const int sc = is < 4 ? s[is] & 63 : nibble(s + is + 4, 0) + 16 * (s[is - 4] >> 6);
	const int mn = is < 4 ? s[is + 4] & 63 : nibble(s + is + 4, 1) + 16 * (s[is] >> 6);
	const float scale = half_at(p) * (float)sc, min = half_at(p + 2) * (float)mn;
	const float product = scale * (float)q;

	return product - min;
}

static float q4_k(const uint8_t *p, int i)
{
	return k_value(p, i / 32, nibble(p + 16 + 32 * (i / 64) + i % 32, i % 64 >= 32));
}

static float q5_k(const uint8_t *p, int i)
{
	const int low = nibble(p + 48 + 32 * (i / 64) + i % 32, i % 64 >= 32);

	return k_value(p, i / 32, low + 16 * (p[16 + i % 32] >> i / 32 & 1));
}

static float q6_k(const uint8_t *p, int i)
{
	const int h = i / 128, plane = i % 128 / 32, l = i % 32;
	const int low = nibble(p + 64 * h + 32 * (plane % 2) + l, plane / 2);
	const int q = low + 16 * (p[128 + 32 * h + l] >> 2 * plane & 3) - 32;
	const float scale = half_at(p + 208) * (float)(int8_t)p[192 + 8 * h + 2 * plane + l / 16];

	return scale * (float)q;
}

static float iq4_xs(const uint8_t *p, int i)
{
	const int b = i / 32, high = p[2] | p[3] << 8;
	const int z = nibble(p + 4 + b / 2, b % 2) + 16 * (high >> 2 * b & 3);
	const float scale = half_at(p) * (float)(z - 32);

	return scale * (float)gguf_decoders_nl[nibble(p + 8 + 16 * b + i % 16, i % 32 >= 16)];
}

static int trit(uint8_t byte, int digit)
{
	static const int powers[] = {1, 3, 9, 27, 81};

	return (byte * powers[digit] % 256 * 3) >> 8;
}

static float tq1_0(const uint8_t *p, int i)
{
	const int digit = i < 160   ? trit(p[i % 32], i / 32)
			  : i < 240 ? trit(p[32 + i % 16], (i - 160) / 16)
				    : trit(p[48 + i % 4], (i - 240) / 4);

	return half_at(p + 52) * (float)(digit - 1);
}

static float tq2_0(const uint8_t *p, int i)
{
	return half_at(p + 64) * (float)(crumb(p, i) - 1);
}

const struct gguf_decoder gguf_decoders[GGUF_N_DECODERS] = {
	{QUERN_Q4_0, QN_W4G32, 32, 18, q4_0, 0},
	{QUERN_Q4_1, QN_W4G32Z, 32, 20, q4_1, 0},
	{QUERN_Q5_0, QN_W5G32, 32, 22, q5_0, 0},
	{QUERN_Q5_1, QN_W5G32Z, 32, 24, q5_1, 0},
	{QUERN_Q8_0, QN_W8G32, 32, 34, q8_0, 0},
	{QUERN_IQ4_NL, QN_W4G32N, 32, 18, iq4_nl, 0},
	{QUERN_Q1_0, QN_W1G128, 128, 18, q1_0, 0},
	{QUERN_Q2_0, QN_W2G64, 64, 18, q2_0, 0},
	{QUERN_Q2_K, QN_W2G16ZK, 256, 84, q2_k, 0},
	{QUERN_Q3_K, QN_W3G16K, 256, 110, q3_k, 0},
	{QUERN_Q4_K, QN_W4G32ZK, 256, 144, q4_k, 0},
	{QUERN_Q5_K, QN_W5G32ZK, 256, 176, q5_k, 0},
	{QUERN_Q6_K, QN_W6G16K, 256, 210, q6_k, 0},
	{QUERN_IQ4_XS, QN_W4G32NK, 256, 136, iq4_xs, 0},
	{QUERN_TQ1_0, QN_WTG256, 256, 54, tq1_0, 0},
	{QUERN_TQ2_0, QN_WTG256, 256, 66, tq2_0, 64},
};

int gguf_decoders_i2_s(const uint8_t *p, long v)
{
	return p[v / 128 * 32 + v % 128 % 32] >> (6 - 2 * (v % 128 / 32)) & 3;
}
