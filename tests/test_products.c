/*
 * test_products.c: products through the API: every format, type and form of activations, for one token and for more.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cpu.h"
#include "format.h"
#include "kernel.h"
#include "quern.h"

#define M1 100
#define M2 33
#define K 172
#define N 20

struct product {
	float w[M2 + M1][K], x[N][K + 5], y1[N][M1 + 7], y2[N][M2];
};

static void fill_product(struct product *p)
{
	uint64_t seed = 7;

	for (int r = 0; r < M1 + M2; r++) {
		for (int k = 0; k < K; k++)
			p->w[r][k] = check_float(&seed);
	}
	for (int t = 0; t < N; t++) {
		for (int k = 0; k < K; k++)
			p->x[t][k] = check_float(&seed) * 3;
	}
}

/* NMSE of both matrices' products for all tokens. */
static double compare(const struct product *p, int n_tokens)
{
	double error = 0, power = 0;

	for (int t = 0; t < n_tokens; t++) {
		for (int r = 0; r < M1 + M2; r++) {
			const double got = r < M1 ? (double)p->y1[t][r] : (double)p->y2[t][r - M1];
			double want = 0;

			for (int k = 0; k < K; k++)
				want += (double)p->w[r][k] * (double)p->x[t][k];
			error += (got - want) * (got - want);
			power += want * want;
		}
	}
	return error / power;
}

/* Packs both matrices and multiplies; returns the NMSE, or -1.  act: of the first; NULL: default. */
static double multiply(struct product *p, const char *format1, const char *format2, const char *act,
		       int n_threads, int n_tokens)
{
	const struct quern_options options = {.size = sizeof options, .n_threads = n_threads};
	struct quern_weights w1 = {.size = sizeof w1,
				   .type = QUERN_F32,
				   .m = M1,
				   .k = K,
				   .data = p->w[0],
				   .format = format1,
				   .act = act};
	struct quern_weights w2 = {.size = sizeof w2,
				   .type = QUERN_F32,
				   .m = M2,
				   .k = K,
				   .data = p->w[M1],
				   .format = format2};
	float *const y[2] = {p->y1[0], p->y2[0]};
	const long strides[2] = {M1 + 7, M2};
	struct quern_engine *engine = NULL;
	struct quern_matrix *m[2] = {NULL, NULL};
	struct quern_error err;
	double result = -1;

	for (int t = 0; t < N; t++) {
		for (int r = 0; r < M1 + 7; r++)
			p->y1[t][r] = 42;
	}
	if (CHECK(!quern_open(&engine, &options, &err)) &&
	    CHECK(!quern_pack(engine, &m[0], &w1, &err)) &&
	    CHECK(!quern_pack(engine, &m[1], &w2, &err)) &&
	    CHECK(!quern_multiply(engine, (const struct quern_matrix *const *)m, 2, p->x[0],
				  n_tokens, K + 5, y, strides, &err)))
		result = compare(p, n_tokens);
	for (int t = 0; t < N; t++) { /* nothing between the rows was written */
		for (int r = M1; r < M1 + 7; r++)
			CHECK(p->y1[t][r] == 42);
	}
	quern_free(m[0]);
	quern_free(m[1]);
	quern_close(engine);
	return result;
}

static void test_products(void)
{
	static const int n_tokens[] = {1, 3, N};
	static const double bounds[9] = {0, 0.6, 0.45, 0.06, 0.012, 0.003, 8e-4, 0, 1e-4};
	struct product *p = calloc(1, sizeof *p);
	float first[N][M1 + 7];

	fill_product(p);
	for (int f = 0; f < QN_N_FORMATS; f++) {
		const char *format = qn_formats[f].name;
		const double bound = bounds[qn_formats[f].bits];

		for (int i = 0; i < QN_N_ACTS * 3; i++) {
			const char *act = qn_format_acts[i / 3];
			const double nmse = multiply(p, format, format, act, 1, n_tokens[i % 3]);

			if (!(nmse >= 0 && nmse < bound)) {
				printf("%s %s, %d tokens: NMSE %.3g against floats, expected at "
				       "most %.3g\n",
				       format, act, n_tokens[i % 3], nmse, bound);
				check_failures++;
			}
		}
	}
	/* Threads and company change no bit. */
	multiply(p, "w4g32", "w4g32", NULL, 1, 3);
	memcpy(first, p->y1, sizeof first);
	for (int n_threads = 2; n_threads <= 5; n_threads++) {
		multiply(p, "w4g32", "w1g128", NULL, n_threads, 3);
		CHECK(!memcmp(first, p->y1, sizeof first));
	}
	multiply(p, "w4g32", "w8g32", NULL, 2, 1);
	CHECK(!memcmp(first[0], p->y1[0], M1 * sizeof(float)));
	multiply(p, "w4g32", "w8g32", "a8r", 1, 3);
	memcpy(first, p->y1, sizeof first);
	for (int n_threads = 2; n_threads <= 5; n_threads++) {
		multiply(p, "w4g32", "w1g128", "a8r", n_threads, 3);
		CHECK(!memcmp(first, p->y1, sizeof first));
	}
	free(p);
}

/* One activation outshines those that share its scale: they are 32, or 256 where scales of weights are for so many. */
static void test_own_act(void)
{
	static const struct {
		const char *format, *act, *own;
		float sum;
	} cases[] = {
		{"w4g32", NULL, "a8g32", 1000 + 224 + 256},
		{"w4g32zk", NULL, "a8g256", 1000 + 256},
		{"wtg256", NULL, "a8g256", 1000 + 256},
		{"w4g32zk", "a8g32", "a8g32", 1000 + 224 + 256},
		{"w4g32", "a8g256", "a8g256", 1000 + 256},
		{"w4g32", "a8r", "a8r", 1000},
	};
	enum { m = 16, k = 512 };
	static float w[m * k], x[2 * k], y[2 * m];
	float *const out = y;
	const long stride = m;
	struct quern_engine *engine = NULL;

	for (int i = 0; i < m * k; i++)
		w[i] = 1;
	for (int i = 0; i < 2 * k; i++)
		x[i] = i % k == 37 ? 1000 : 1; /* not of the first 32 */
	if (!CHECK(!quern_open(&engine, NULL, NULL)))
		return;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct quern_weights weights = {.size = sizeof weights,
						      .type = QUERN_F32,
						      .m = m,
						      .k = k,
						      .data = w,
						      .format = cases[i].format,
						      .act = cases[i].act};
		struct quern_matrix *matrix = NULL;
		struct quern_matrix_info info;

		if (!CHECK(!quern_pack(engine, &matrix, &weights, NULL)))
			break;
		quern_matrix_info(matrix, &info);
		CHECK(!strcmp(info.act, cases[i].own));
		CHECK(!quern_multiply(engine, (const struct quern_matrix *const *)&matrix, 1, x, 2,
				      k, &out, &stride, NULL));
		for (int n = 0; n < 2 * m; n++)
			CHECK(fabsf(y[n] - cases[i].sum) < 8);
		quern_free(matrix);
	}
	quern_close(engine);
}

/* GGUF types whose f16 scales start a block (-1: elsewhere), and where those are. */
static const struct {
	int type, scales[2];
} block_types[] = {
	{QUERN_Q1_0, {0, -1}},   {QUERN_Q2_0, {0, -1}},   {QUERN_Q4_0, {0, -1}},
	{QUERN_Q4_1, {0, 2}},    {QUERN_Q5_0, {0, -1}},   {QUERN_Q5_1, {0, 2}},
	{QUERN_Q8_0, {0, -1}},   {QUERN_Q2_K, {80, 82}},  {QUERN_Q3_K, {108, -1}},
	{QUERN_Q4_K, {0, 2}},    {QUERN_Q5_K, {0, 2}},    {QUERN_Q6_K, {208, -1}},
	{QUERN_IQ4_NL, {0, -1}}, {QUERN_IQ4_XS, {0, -1}}, {QUERN_TQ1_0, {52, -1}},
	{QUERN_TQ2_0, {64, -1}},
};

/* Random blocks with scales between 2^-6 and 2^-4. */
static void fill_blocks(int i, uint8_t *data, long n_blocks, long block_bytes, uint64_t *seed)
{
	for (long b = 0; b < n_blocks; b++, data += block_bytes) {
		for (long n = 0; n < block_bytes; n++)
			data[n] = (uint8_t)check_random(seed);
		if (block_types[i].type == QUERN_TQ2_0) { /* no code 3 in files */
			for (long n = 0; n < 64; n++)
				data[n] &= (uint8_t) ~(data[n] >> 1 & 0x55);
		}
		for (int s = 0; s < 2 && block_types[i].scales[s] >= 0; s++) {
			const uint16_t half = (uint16_t)(0x2400 + check_random(seed) % 0x800);

			memcpy(data + block_types[i].scales[s], &half, 2);
		}
	}
}

/* A GGUF type's weights times x, against double precision on what plain C decodes. */
static void test_type(struct quern_engine *engine, int i, const char *act, long n)
{
	enum { m = 37, k = 512, most = N };
	const int type = block_types[i].type, format = qn_format_of_type(type);
	static float x[most][k], y[most][m], scales[k], mins[k], w[k];
	static uint8_t codes[k], sub_mins[k], data[m * 1088];
	static int8_t sub_scales[k];
	const struct qn_row row = {codes, scales, mins, sub_scales, sub_mins};
	struct quern_weights weights =
		{.size = sizeof weights, .type = type, .m = m, .k = k, .data = data, .act = act};
	struct quern_matrix *matrix = NULL;
	float *const out = y[0];
	const long stride = m;
	struct quern_error err;
	uint64_t seed = 11 + (uint64_t)i;
	double error = 0, power = 0;
	long block, n_bytes;

	quern_type_block(type, &block, &n_bytes);
	fill_blocks(i, data, m * k / block, n_bytes, &seed);
	for (int t = 0; t < n * k; t++)
		x[t / k][t % k] = check_float(&seed);
	if (!CHECK(!quern_pack(engine, &matrix, &weights, &err)) ||
	    !CHECK(!quern_multiply(engine, (const struct quern_matrix *const *)&matrix, 1, x[0], n,
				   k, &out, &stride, &err)))
		return;
	for (int r = 0; r < m; r++) {
		qn_format_read_row(type, data, m, k, r, &row);
		qn_format_decode(format, &row, k, w);
		for (int t = 0; t < n; t++) {
			double want = 0;

			for (int j = 0; j < k; j++)
				want += (double)w[j] * (double)x[t][j];
			error += ((double)y[t][r] - want) * ((double)y[t][r] - want);
			power += want * want;
		}
	}
	if (!(error <= 1e-4 * power)) {
		printf("%s %s, %ld tokens: NMSE %.3g\n", quern_type_name(type), act ? act : "", n,
		       error / power);
		check_failures++;
	}
	quern_free(matrix);
}

static void test_types(void)
{
	struct quern_engine *engine = NULL;

	if (!CHECK(!quern_open(&engine,
			       &(struct quern_options){.size = sizeof(struct quern_options),
						       .n_threads = 2},
			       NULL)))
		return;
	for (int i = 0; i < (int)(sizeof block_types / sizeof *block_types); i++) {
		for (int n = 1; n <= N; n += N - 1) {
			test_type(engine, i, NULL, n);
			test_type(engine, i, "a8r", n);
		}
	}
	quern_close(engine);
}

/* One scale for all rows: the mean magnitude, as I2_S has it. */
static void test_tensor_scale(void)
{
	enum { m = 3, k = 128 };
	static float data[m][k], x[k];
	struct quern_weights w = {.size = sizeof w,
				  .type = QUERN_F32,
				  .m = m,
				  .k = k,
				  .data = data,
				  .format = "wtgt"};
	struct quern_engine *engine = NULL;
	struct quern_matrix *matrix = NULL;
	float y[m], *const out = y;
	const long stride = m;

	for (int r = 0; r < m; r++) {
		for (int i = 0; i < k; i++)
			data[r][i] = i % 2 ? (float)(r + 1) : (float)-(r + 1);
	}
	for (int i = 0; i < k; i++)
		x[i] = i % 2 ? 1.0f : -1.0f;
	if (CHECK(!quern_open(&engine, NULL, NULL)) &&
	    CHECK(!quern_pack(engine, &matrix, &w, NULL)) &&
	    CHECK(!quern_multiply(engine, (const struct quern_matrix *const *)&matrix, 1, x, 1, k,
				  &out, &stride, NULL))) {
		for (int r = 0; r < m; r++) /* the mean of 1, 2 and 3; 1 / 2 rounds to 0 */
			CHECK(fabsf(y[r] - (r ? 2.0f * k : 0)) < 1e-3f);
	}
	quern_free(matrix);
	quern_close(engine);
}

static void test_not_finite(void)
{
	struct quern_engine *engine = NULL;
	struct quern_matrix *m = NULL;
	float w[2][64], x[64] = {0}, y[2];
	float *const out = y;
	const long stride = 2;
	struct quern_weights weights = {.size = sizeof weights,
					.type = QUERN_F32,
					.m = 2,
					.k = 64,
					.data = w,
					.format = "w8g32"};
	const float bad[] = {NAN, INFINITY, -INFINITY};

	for (int k = 0; k < 64; k++)
		w[0][k] = w[1][k] = 1;
	if (!CHECK(!quern_open(&engine, NULL, NULL)) ||
	    !CHECK(!quern_pack(engine, &m, &weights, NULL)))
		return;
	for (int i = 0; i < 3; i++) {
		x[40] = bad[i];
		CHECK(!quern_multiply(engine, (const struct quern_matrix *const *)&m, 1, x, 1, 64,
				      &out, &stride, NULL));
		CHECK(isnan(y[0]) && isnan(y[1]));
	}
	x[40] = 1e-42f; /* subnormal: no division may overflow */
	CHECK(!quern_multiply(engine, (const struct quern_matrix *const *)&m, 1, x, 1, 64, &out,
			      &stride, NULL));
	CHECK(fabsf(y[0]) < 1e-37f);
	quern_free(m);
	quern_close(engine);
}

/* With all instruction sets of the library that this CPU runs, or with one: test_products ISA. */
int main(int argc, char **argv)
{
	const uint32_t features = qn_cpu_features();
	int n_tested = 0;

	for (int i = 0; i < qn_registry.n_isas; i++) {
		const struct qn_isa *isa = qn_registry.isas[i];

		if (isa->needs & ~features || (argc > 1 && strcmp(isa->name, argv[1])))
			continue;
		n_tested++;
		setenv("QUERN_ISA", isa->name, 1);
		test_products();
		test_own_act();
		test_types();
		test_tensor_scale();
		test_not_finite();
		if (check_failures) {
			printf("with QUERN_ISA=%s\n", isa->name);
			break;
		}
	}
	CHECK(n_tested > 0);
	return check_exit();
}
