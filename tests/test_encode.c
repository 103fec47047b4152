/*
 * test_encode.c: weights written as GGUF blocks, against what format_gguf.c reads of them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "format_room.h"
#include "format_write.h"
#include "gguf_decoders.h"

static uint64_t seed = 1;

static uint8_t ternary_byte(void)
{
	return (uint8_t)(check_below(&seed, 3) | check_below(&seed, 3) << 2 |
			 check_below(&seed, 3) << 4 | check_below(&seed, 3) << 6);
}

enum { N_BLOCKS = 3 };

/* Random blocks whose scales are numbers. */
static void make_blocks(const struct gguf_decoder *t, struct room *room, uint8_t *blocks)
{
	const long k = (long)N_BLOCKS * t->n_values;

	for (;;) {
		int n_odd = 0;

		for (int i = 0; i < N_BLOCKS * t->n_bytes; i++)
			blocks[i] = i % t->n_bytes < t->n_ternary
					    ? ternary_byte()
					    : (uint8_t)check_below(&seed, 256);
		room_clear(room, t->format);
		qn_format_read_row(t->type, blocks, 1, k, 0, &room->row);
		for (long i = 0; i < qn_format_n_scales(t->format, k); i++) {
			n_odd += isnan(room->scales[i]);
			n_odd += qn_formats[t->format].has_min && isnan(room->mins[i]);
		}
		if (!n_odd)
			return;
	}
}

/* The bytes that were read are written again, and no others beside them. */
static void check_blocks(const struct gguf_decoder *t)
{
	static struct room room, again;
	uint8_t blocks[N_BLOCKS * 256], written[N_BLOCKS * 256 + 16];
	const size_t n_bytes = N_BLOCKS * (size_t)t->n_bytes;
	const long k = (long)N_BLOCKS * t->n_values;

	make_blocks(t, &room, blocks);
	memset(written, 0xa5, sizeof(written));
	qn_format_write_row(t->type, &room.row, k, written);
	for (size_t i = n_bytes; i < sizeof(written); i++)
		CHECK(written[i] == 0xa5);
	if (t->type ==
	    QUERN_TQ1_0) { /* several bytes mean the same digits: compare what they mean */
		room_clear(&again, t->format);
		qn_format_read_row(t->type, written, 1, k, 0, &again.row);
		CHECK(!memcmp(room.codes, again.codes, (size_t)k));
		CHECK(!memcmp(room.scales, again.scales, N_BLOCKS * sizeof(float)));
		memcpy(blocks, written, n_bytes);
		qn_format_write_row(t->type, &again.row, k, written);
	}
	if (!CHECK(!memcmp(written, blocks, n_bytes)))
		printf("%s\n", quern_type_name(t->type));
}

/* The bytes of TQ1_0's own encoder come back. */
static void test_trits(void)
{
	static struct room room;
	uint8_t block[54], written[54];

	for (int v = 0; v < 243; v++) {
		memset(block, (256 * v + 242) / 243, 48);
		memset(block + 48, (256 * (v / 3 * 3) + 242) / 243, 4);
		block[52] = 0;
		block[53] = 0x3c;
		room_clear(&room, QN_WTG256);
		qn_format_read_row(QUERN_TQ1_0, block, 1, 256, 0, &room.row);
		qn_format_write_row(QUERN_TQ1_0, &room.row, 256, written);
		CHECK(!memcmp(block, written, sizeof(block)));
	}
}

/* ---- floats ---- */

/*
 * Upper bounds of the squared error over the square of normal data: what ggml's reference quantisers
 * reach on it, or a little less.
 */
static const struct bound {
	int type;
	double nmse;
} bounds[] = {
	{QUERN_Q1_0, 0.37},     {QUERN_Q2_0, 0.20},   {QUERN_TQ1_0, 0.195},
	{QUERN_TQ2_0, 0.195},   {QUERN_Q2_K, 0.085},  {QUERN_Q3_K, 0.026},
	{QUERN_Q4_0, 0.0095},   {QUERN_Q4_1, 0.0075}, {QUERN_IQ4_NL, 0.0073},
	{QUERN_IQ4_XS, 0.0073}, {QUERN_Q4_K, 0.0068}, {QUERN_Q5_0, 0.0024},
	{QUERN_Q5_1, 0.0018},   {QUERN_Q5_K, 0.0017}, {QUERN_Q6_K, 0.00055},
	{QUERN_Q8_0, 0.000032},
};

static double bound_of(int type)
{
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		if (bounds[i].type == type)
			return bounds[i].nmse;
	}
	return 0;
}

/* What is read of the blocks of an encoded row is that row. */
static void check_floats(const struct gguf_decoder *t, const float *x, long k, double *error,
			 double *square)
{
	static struct room room, again;
	static float decoded[ROOM_MAX_K], right[ROOM_MAX_K];
	static uint8_t blocks[ROOM_MAX_K * 2];

	room_clear(&room, t->format);
	qn_format_write_encode(t->type, x, k, &room.row);
	room_check_legal(&room, t->format, k);
	qn_format_decode(t->format, &room.row, k, right);
	qn_format_write_row(t->type, &room.row, k, blocks);
	room_clear(&again, t->format);
	qn_format_read_row(t->type, blocks, 1, k, 0, &again.row);
	qn_format_decode(t->format, &again.row, k, decoded);
	CHECK(!memcmp(room.codes, again.codes, (size_t)k));
	for (long i = 0; i < k; i++) {
		CHECK(decoded[i] == right[i]);
		*error += ((double)x[i] - (double)right[i]) * ((double)x[i] - (double)right[i]);
		*square += (double)x[i] * (double)x[i];
	}
}

static void test_floats(void)
{
	static float x[ROOM_MAX_K];

	for (int t = 0; t < GGUF_N_DECODERS; t++) {
		double error = 0, square = 0, none[2] = {0};

		for (int n = 0; n < 4; n++) {
			for (int i = 0; i < ROOM_MAX_K; i++)
				x[i] = 0.02f * check_normal(&seed);
			check_floats(&gguf_decoders[t], x, ROOM_MAX_K, &error, &square);
		}
		if (!CHECK(error < bound_of(gguf_decoders[t].type) * square))
			printf("%s: NMSE %g\n", quern_type_name(gguf_decoders[t].type),
			       error / square);
		for (int i = 0; i < 256; i++)
			x[i] = i % 7 ? check_float(&seed) * 1e6f : i % 3 ? INFINITY : NAN;
		check_floats(&gguf_decoders[t], x, 256, &none[0], &none[1]);
		memset(x, 0, sizeof(x));
		error = 0;
		check_floats(&gguf_decoders[t], x, 256, &error, &none[1]);
		CHECK(error == 0);
	}
}

/* ---- ternary ---- */

/* Weights that are ternary already are kept, whatever the share of zeros. */
static void test_ternary_weights(void)
{
	static const int types[] = {QUERN_TQ1_0, QUERN_TQ2_0};
	static struct room room;
	float x[512], decoded[512];

	for (int n = 0; n < 40; n++) {
		const float scale = 0.03125f * (float)(1 + n);

		for (int i = 0; i < 512; i++)
			x[i] = scale * (float)((int)check_below(&seed, 40) < n
						       ? 1 - 2 * (int)check_below(&seed, 2)
						       : 0);
		for (int t = 0; t < 2; t++) {
			room_clear(&room, QN_WTG256);
			qn_format_write_encode(types[t], x, 512, &room.row);
			qn_format_decode(QN_WTG256, &room.row, 512, decoded);
			for (int i = 0; i < 512; i++)
				CHECK(decoded[i] == x[i]);
		}
	}
}

/* No scale in a fine grid has a smaller error than the one that was found. */
static void test_best_ternary(void)
{
	static struct room room;
	float x[256], decoded[256];
	uint8_t codes[256];

	for (int n = 0; n < 20; n++) {
		double found = 0;

		for (int i = 0; i < 256; i++)
			x[i] = n % 2 ? check_normal(&seed) : check_float(&seed);
		room_clear(&room, QN_WTG256);
		qn_format_write_encode(QUERN_TQ2_0, x, 256, &room.row);
		qn_format_decode(QN_WTG256, &room.row, 256, decoded);
		for (int i = 0; i < 256; i++)
			found += pow((double)(x[i] - decoded[i]), 2);
		for (float scale = 0.01f; scale < 4; scale *= 1.01f) {
			double error = 0;

			qn_format_encode_ternary(x, 256, scale, codes);
			for (int i = 0; i < 256; i++)
				error += pow((double)(x[i] - scale * (float)(codes[i] - 1)), 2);
			CHECK(found <= error * 1.0001); /* the scale was rounded to f16 */
		}
	}
}

/* Several rows of a tensor are written as one, because 128 values need not end with a row. */
static void test_i2_s(void)
{
	enum { M = 8, K = 48 };
	static struct room room;
	uint8_t tensor[M * K / 4 + QN_FORMAT_WRITE_TAIL], again[M * K / 4];
	const float scale = 0.037f;
	float x[M * K], decoded[K];

	for (int i = 0; i < M * K; i++)
		x[i] = scale * (float)((int)check_below(&seed, 3) - 1);
	room_clear(&room, QN_WTGR);
	room.scales[0] = scale;
	qn_format_write_encode(QUERN_I2_S, x, M * K, &room.row);
	qn_format_write_row(QUERN_I2_S, &room.row, M * K, tensor);
	qn_format_write_tail(scale, tensor + M * K / 4);
	for (int r = 0; r < M; r++) {
		room_clear(&room, QN_WTGR);
		qn_format_read_row(QUERN_I2_S, tensor, M, K, r, &room.row);
		qn_format_decode(QN_WTGR, &room.row, K, decoded);
		for (int i = 0; i < K; i++)
			CHECK(decoded[i] == x[r * K + i]);
	}
	room_clear(&room, QN_WTGR);
	qn_format_read_row(QUERN_I2_S, tensor, 1, M * K, 0, &room.row);
	qn_format_write_row(QUERN_I2_S, &room.row, M * K, again);
	CHECK(!memcmp(again, tensor, sizeof(again)));
}

/* ---- types of floats ---- */

static void test_float_types(void)
{
	static const int types[] = {QUERN_F32, QUERN_F16, QUERN_BF16};
	uint8_t bytes[4 * 100 + 1], *data = bytes + 1, again[4 * 100];
	float x[100];

	for (int t = 0; t < 3; t++) {
		for (int n = 0; n < 100; n++) {
			for (size_t i = 0; i < sizeof(again); i++)
				data[i] = (uint8_t)check_below(&seed, 256);
			qn_format_read_floats(types[t], data, 100, 0, x);
			for (int i = 0; i < 100; i++) { /* NaN need not keep its payload */
				if (isnan(x[i]))
					memset(data + (t ? 2 : 4) * i, 0, t ? 2 : 4);
			}
			qn_format_read_floats(types[t], data, 100, 0, x);
			qn_format_write_floats(types[t], x, 100, again);
			CHECK(!memcmp(data, again, t ? 200 : 400));
		}
	}
	/* BF16: to nearest, half way to even; to infinity at the top. */
	x[0] = 0x1.00fffep0f, x[1] = 0x1.01p0f, x[2] = 0x1.03p0f, x[3] = -0x1.010002p0f;
	x[4] = 3.4e38f, x[5] = NAN;
	qn_format_write_floats(QUERN_BF16, x, 6, again);
	qn_format_read_floats(QUERN_BF16, again, 6, 0, x);
	CHECK(x[0] == 1 && x[1] == 1 && x[2] == 0x1.04p0f && x[3] == -0x1.02p0f);
	CHECK(isinf(x[4]) && isnan(x[5]));
}

int main(void)
{
	for (int t = 0; t < GGUF_N_DECODERS; t++) {
		for (int n = 0; n < 100; n++)
			check_blocks(&gguf_decoders[t]);
	}
	test_trits();
	test_floats();
	test_ternary_weights();
	test_best_ternary();
	test_i2_s();
	test_float_types();
	return check_exit();
}
