/*
 * gguf_decoders.h: GGUF's types decoded a second time, for the tests.
 *
 * A decoder is a function of one value's index, because format_gguf.c takes whole blocks apart: the
 * same mistake is unlikely in both.  So nothing here may call the runtime.
 */
#ifndef TESTS_GGUF_DECODERS_H
#define TESTS_GGUF_DECODERS_H

#include <stdint.h>

struct gguf_decoder {
	int type, format, n_values, n_bytes;
	float (*value)(const uint8_t *block, int i);
	int n_ternary; /* bytes of 2-bit codes at the start of a block that are not to be 3 */
};

/* Every type that is made of blocks: all but floats and I2_S. */
enum { GGUF_N_DECODERS = 16 };
extern const struct gguf_decoder gguf_decoders[GGUF_N_DECODERS];

/* By the definition of IEEE 754: sign, 5 bits of exponent with bias 15, 10 bits of fraction. */
float gguf_decoders_half(unsigned half);

/* Levels of the codebook of IQ4_NL and IQ4_XS. */
extern const int gguf_decoders_nl[16];

/*
 * Code of value v of a whole I2_S tensor: 128 of them in 32 bytes, the first of four in the upper
 * bits.
 */
int gguf_decoders_i2_s(const uint8_t *p, long v);

#endif
