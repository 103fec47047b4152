/*
 * test_format_gguf.c: what format_gguf.c reads of every GGUF type, against gguf_decoders.c.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "format.h"
#include "format_room.h"
#include "gguf_decoders.h"

static uint64_t seed = 1;

static int same(float a, float b)
{
	return a == b || (isnan(a) && isnan(b));
}

static uint8_t ternary_byte(void)
{
	return (uint8_t)(check_below(&seed, 3) | check_below(&seed, 3) << 2 |
			 check_below(&seed, 3) << 4 | check_below(&seed, 3) << 6);
}

/* Four rows of three blocks, in memory that ends with the last one. */
static void check_type(const struct gguf_decoder *t)
{
	enum { M = 4, N_BLOCKS = 3 };
	static struct room room;
	static float x[ROOM_MAX_K];
	const long k = (long)N_BLOCKS * t->n_values;
	const size_t n_bytes = M * N_BLOCKS * (size_t)t->n_bytes;
	uint8_t *tensor = malloc(n_bytes + 1), *blocks = tensor + 1; /* odd, for alignment */

	for (size_t i = 0; i < n_bytes; i++)
		blocks[i] = (int)i % t->n_bytes < t->n_ternary ? ternary_byte()
							       : (uint8_t)check_below(&seed, 256);
	for (int r = M - 1; r >= 0; r--) {
		const uint8_t *row = blocks + r * N_BLOCKS * t->n_bytes;
		int n_wrong = 0;

		room_clear(&room, t->format);
		qn_format_read_row(t->type, blocks, M, k, r, &room.row);
		room_check_guards(&room, t->format, k);
		for (long i = 0; i < k; i++)
			CHECK(room.codes[i] < qn_formats[t->format].n_codes);
		qn_format_decode(t->format, &room.row, k, x);
		for (long i = 0; i < k; i++) {
			const uint8_t *block = row + i / t->n_values * t->n_bytes;

			n_wrong += !same(x[i], t->value(block, (int)(i % t->n_values)));
		}
		if (n_wrong) {
			printf("%s: row %d: %d of %ld values are wrong\n", quern_type_name(t->type),
			       r, n_wrong, k);
			check_failures++;
		}
	}
	free(tensor);
}

static void test_types(void)
{
	static const int others[] = {-1, QUERN_F32, QUERN_F16, QUERN_BF16, 9, 15, 16, 24, 39, 99};

	for (int i = 0; i < GGUF_N_DECODERS; i++) {
		CHECK(qn_format_of_type(gguf_decoders[i].type) == gguf_decoders[i].format);
		for (int n = 0; n < 30; n++)
			check_type(&gguf_decoders[i]);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		CHECK(qn_format_of_type(others[i]) == -1);
}

/* Every byte of TQ1_0 gives legal codes; those of its encoder give back their five digits. */
static void test_trits(void)
{
	static struct room room;
	uint8_t block[54] = {[53] = 0x3c};

	for (int byte = 0; byte < 256; byte++) {
		memset(block, byte, 52);
		room_clear(&room, QN_WTG256);
		qn_format_read_row(QUERN_TQ1_0, block, 1, 256, 0, &room.row);
		room_check_legal(&room, QN_WTG256, 256);
	}
	for (int v = 0; v < 243; v++) {
		const int digits[5] = {v / 81, v / 27 % 3, v / 9 % 3, v / 3 % 3, v % 3};

		memset(block, (256 * v + 242) / 243, 52);
		qn_format_read_row(QUERN_TQ1_0, block, 1, 256, 0, &room.row);
		for (int i = 0; i < 256; i++) {
			const int digit = i < 160   ? i / 32
					  : i < 240 ? (i - 160) / 16
						    : (i - 240) / 4;

			CHECK(room.codes[i] == digits[digit]);
		}
	}
}

/* A code that ternary weights do not have spoils its own group only, and visibly. */
static void test_code_3(void)
{
	static struct room room;
	uint8_t blocks[2 * 66];

	for (int i = 0; i < 2 * 66; i++)
		blocks[i] = 0x55;
	blocks[64] = blocks[66 + 64] = 0;
	blocks[65] = blocks[66 + 65] = 0x3c;
	blocks[66 + 40] = 0x5d;
	room_clear(&room, QN_WTG256);
	qn_format_read_row(QUERN_TQ2_0, blocks, 1, 512, 0, &room.row);
	CHECK(room.scales[0] == 1 && isnan(room.scales[1]));
	for (int i = 0; i < 512; i++)
		CHECK(room.codes[i] == 1);
}

static void test_i2_s(void)
{
	static const long shapes[][2] = {{3, 256},
					 {5, 128},
					 {8, 48}}; /* rows that end inside 128 */
	static struct room room;
	static float x[ROOM_MAX_K];

	CHECK(qn_format_of_type(QUERN_I2_S) == QN_WTGR);
	for (int s = 0; s < 3; s++) {
		const long m = shapes[s][0], k = shapes[s][1], n_codes = m * k / 4;
		uint8_t *tensor = malloc((size_t)n_codes + 33), *codes = tensor + 1;
		const float scale = 0.037f;

		for (long i = 0; i < n_codes; i++)
			codes[i] = ternary_byte();
		memcpy(codes + n_codes, &scale, 4);
		codes[1] |= 3 << 4; /* code 3 for value 33, of the first row */
		for (long r = m - 1; r >= 0; r--) {
			room_clear(&room, QN_WTGR);
			qn_format_read_row(QUERN_I2_S, codes, m, k, r, &room.row);
			room_check_legal(&room, QN_WTGR, k);
			CHECK(room.scales[0] == scale);
			qn_format_decode(QN_WTGR, &room.row, k, x);
			for (long i = 0; i < k; i++) {
				const int code = gguf_decoders_i2_s(codes, r * k + i);

				/* BitNet's decoder has the levels -1, 0, 1, 0. */
				CHECK(x[i] == (code == 3 ? 0 : scale * (float)(code - 1)));
			}
		}
		free(tensor);
	}
}

static void test_floats(void)
{
	enum { M = 3, K = 7 };
	uint8_t bytes[1 + 4 * M * K], *tensor = bytes + 1;
	float x[K + 1];

	for (int i = 0; i < 4 * M * K; i++)
		tensor[i] = (uint8_t)check_below(&seed, 256);
	for (int r = 0; r < M; r++) {
		x[K] = 42;
		qn_format_read_floats(QUERN_F32, tensor, K, r, x);
		CHECK(!memcmp(x, tensor + 4 * K * r, 4 * K));
		qn_format_read_floats(QUERN_F16, tensor, K, r, x);
		for (int i = 0; i < K; i++) {
			const uint8_t *half = tensor + 2 * (K * r + i);

			CHECK(same(x[i], gguf_decoders_half((unsigned)(half[0] | half[1] << 8))));
		}
		qn_format_read_floats(QUERN_BF16, tensor, K, r, x);
		for (int i = 0; i < K; i++) {
			uint8_t wide[4] = {0};

			memcpy(wide + 2, tensor + 2 * (K * r + i), 2);
			CHECK(!memcmp(&x[i], wide, 4));
		}
		CHECK(x[K] == 42);
	}
}

int main(void)
{
	test_types();
	test_trits();
	test_code_3();
	test_i2_s();
	test_floats();
	return check_exit();
}
