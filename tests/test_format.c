/*
 * test_format.c: weight formats against what their names say.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "format.h"
#include "format_room.h"
#include "gguf_decoders.h"

static uint64_t seed = 1;

/* ---- half floats ---- */

static void test_half(void)
{
	for (unsigned h = 0; h < 0x10000; h++) {
		const float x = qn_format_half_to_float((uint16_t)h), right = gguf_decoders_half(h);

		CHECK(!signbit(x) == !(h & 0x8000));
		if (isnan(right))
			CHECK(isnan(x) && isnan(gguf_decoders_half(qn_format_float_to_half(x))));
		else
			CHECK(x == right && qn_format_float_to_half(x) == h);
	}
	/* What is half way goes to the even neighbour, anything beside it to the nearer one. */
	for (unsigned h = 0; h < 0x7bff; h++) {
		const float middle = (gguf_decoders_half(h) + gguf_decoders_half(h + 1)) / 2;

		CHECK(qn_format_float_to_half(middle) == h + (h & 1));
		CHECK(qn_format_float_to_half(nextafterf(middle, 0)) == h);
		CHECK(qn_format_float_to_half(nextafterf(middle, INFINITY)) == h + 1);
		CHECK(qn_format_float_to_half(-middle) == (0x8000 | (h + (h & 1))));
	}
	CHECK(qn_format_float_to_half(65519.99f) == 0x7bff);
	CHECK(qn_format_float_to_half(65520) == 0x7c00);
	CHECK(qn_format_float_to_half(-3e38f) == 0xfc00);
	CHECK(qn_format_float_to_half(1e-44f) == 0 && qn_format_float_to_half(-1e-44f) == 0x8000);
}

/* ---- the table ---- */

/* What a name says: w<bits>g<group><options>. */
struct meaning {
	int bits; /* 0: ternary */
	int group, min, codebook, two_levels;
};

static struct meaning parse(const char *name)
{
	struct meaning mean = {.bits = name[1] == 't' ? 0 : name[1] - '0'};
	char *end;

	if (strcmp(name, "wtgr") != 0) {
		mean.group = (int)strtol(name + 3, &end, 10);
		for (; *end; end++) {
			mean.min |= *end == 'z';
			mean.codebook |= *end == 'n';
			mean.two_levels |= *end == 'k';
			CHECK(strchr("znk", *end));
		}
	}
	return mean;
}

static int level_by_name(const char *name, int code)
{
	const struct meaning mean = parse(name);

	if (mean.bits == 1)
		return code ? 1 : -1;
	if (mean.bits == 0)
		return code - 1;
	if (mean.codebook)
		return gguf_decoders_nl[code];
	return mean.min ? code : code - (1 << (mean.bits - 1));
}

/* Sub-scales as GGUF has them. */
static const struct limits {
	int format, low, high, bits;
} limits[] = {
	{QN_W2G16ZK, 0, 15, 4}, {QN_W3G16K, -32, 31, 8},   {QN_W4G32ZK, 0, 63, 8},
	{QN_W5G32ZK, 0, 63, 8}, {QN_W6G16K, -128, 127, 8}, {QN_W4G32NK, -32, 31, 8},
};

static void test_table(void)
{
	int n_two_levels = 0;

	for (int id = 0; id < QN_N_FORMATS; id++) {
		const struct qn_format *f = &qn_formats[id];
		const struct meaning mean = parse(f->name);
		const int n_codes = mean.bits ? 1 << mean.bits : 3;

		CHECK(qn_format_find(f->name) == id);
		CHECK(f->bits == (mean.bits ? mean.bits : 2) && f->n_codes == n_codes);
		CHECK(f->group == mean.group && f->has_min == mean.min);
		CHECK(f->super == (mean.two_levels ? 256 : 0) && !f->codebook == !mean.codebook);
		for (int code = 0; code < f->n_codes; code++)
			CHECK(qn_format_level(id, code) == level_by_name(f->name, code));
		for (int code = 0; f->codebook && code < 16; code++) /* as kernels look it up */
			CHECK((uint8_t)(f->codebook[code] + f->sub) ==
			      gguf_decoders_nl[code] + 128);
		CHECK(f->mul == (mean.bits == 1 ? 2 : 1));
		for (long k = 1; k < 600; k += 37) {
			const long groups = mean.group ? (k - 1) / mean.group + 1 : 1;

			CHECK(qn_format_n_scales(id, k) ==
			      (mean.two_levels ? (k - 1) / 256 + 1 : groups));
			CHECK(qn_format_n_subs(id, k) == (mean.two_levels ? groups : 0));
		}
		n_two_levels += mean.two_levels;
	}
	CHECK(n_two_levels == sizeof(limits) / sizeof(limits[0]));
	for (int i = 0; i < n_two_levels; i++) {
		const struct qn_format *f = &qn_formats[limits[i].format];

		CHECK(f->sub_bits == limits[i].bits && f->sub_low == limits[i].low &&
		      f->sub_high == limits[i].high);
	}
	CHECK(qn_format_find("w4g33") == -1 && qn_format_find("") == -1);
}

/* ---- decoding ---- */

/* Scale and minimum of a weight. */
static float scale_of(const struct qn_row *row, const struct meaning *mean, long i)
{
	if (mean->two_levels)
		return row->scales[i / 256] * (float)row->sub_scales[i / mean->group];
	return row->scales[mean->group ? i / mean->group : 0];
}

static float min_of(const struct qn_row *row, const struct meaning *mean, long i)
{
	if (!mean->min)
		return 0;
	if (mean->two_levels)
		return row->mins[i / 256] * (float)row->sub_mins[i / mean->group];
	return row->mins[i / mean->group];
}

static float decode_by_name(const char *name, const struct qn_row *row, long i)
{
	const struct meaning mean = parse(name);
	const float product = scale_of(row, &mean, i) * (float)level_by_name(name, row->codes[i]);

	return product + min_of(row, &mean, i);
}

static void test_decode(void)
{
	static const long lengths[] = {1, 31, 33, 257, 700};
	static struct room room;
	static float x[ROOM_MAX_K];

	for (int id = 0; id < QN_N_FORMATS; id++) {
		const struct qn_format *f = &qn_formats[id];

		for (int n = 0; n < 5; n++) {
			const long k = lengths[n];

			room_clear(&room, id);
			for (long i = 0; i < k; i++)
				room.codes[i] = (uint8_t)check_below(&seed, (unsigned)f->n_codes);
			for (long i = 0; i < k; i++)
				x[i] = 42;
			x[k] = 42;
			for (long i = 0; i < qn_format_n_scales(id, k); i++) {
				room.scales[i] = check_normal(&seed);
				room.mins[i] = check_normal(&seed);
			}
			for (long i = 0; i < qn_format_n_subs(id, k); i++) {
				room.sub_scales[i] = (int8_t)((int)check_below(&seed, 256) - 128);
				room.sub_mins[i] = (uint8_t)check_below(&seed, 256);
			}
			qn_format_decode(id, &room.row, k, x);
			for (long i = 0; i < k; i++)
				CHECK(x[i] == decode_by_name(f->name, &room.row, i));
			CHECK(x[k] == 42);
		}
	}
}

/* ---- encoding ---- */

/*
 * Largest normalised squared error that a format may have on normally distributed weights: measured
 * and 3 % more.  Wide groups are worse because their extremes are larger.
 */
static const double bounds[QN_N_FORMATS] = {
	[QN_W1G32] = 0.365,     [QN_W1G128] = 0.371,    [QN_WTG256] = 0.268,
	[QN_WTGR] = 0.27,       [QN_W2G32] = 0.136,     [QN_W2G64] = 0.161,
	[QN_W2G128] = 0.185,    [QN_W2G32Z] = 0.0908,   [QN_W2G64Z] = 0.106,
	[QN_W2G128Z] = 0.116,   [QN_W2G16ZK] = 0.0709,  [QN_W3G32] = 0.0311,
	[QN_W3G64] = 0.0373,    [QN_W3G128] = 0.0441,   [QN_W3G32Z] = 0.0217,
	[QN_W3G64Z] = 0.0279,   [QN_W3G128Z] = 0.0337,  [QN_W3G16K] = 0.0211,
	[QN_W4G32] = 0.00763,   [QN_W4G64] = 0.00944,   [QN_W4G128] = 0.0108,
	[QN_W4G32Z] = 0.00504,  [QN_W4G64Z] = 0.00693,  [QN_W4G128Z] = 0.00856,
	[QN_W4G32N] = 0.00551,  [QN_W4G128N] = 0.00798, [QN_W4G32ZK] = 0.00523,
	[QN_W4G32NK] = 0.00573, [QN_W5G32] = 0.0019,    [QN_W5G32Z] = 0.0012,
	[QN_W5G32ZK] = 0.00135, [QN_W6G32] = 0.000463,  [QN_W6G16K] = 0.000296,
	[QN_W8G32] = 2.95e-05,  [QN_W8G128] = 4.22e-05,
};

/* No other code may be nearer to the weight with the scale and minimum that were chosen. */
static void check_nearest(int format, const struct qn_row *row, const float *x, long k)
{
	const struct meaning mean = parse(qn_formats[format].name);

	for (long i = 0; i < k; i++) {
		const double scale = (double)scale_of(row, &mean, i);
		const double above = (double)x[i] - (double)min_of(row, &mean, i);
		double nearest = INFINITY;

		for (int code = 0; code < qn_formats[format].n_codes; code++)
			nearest =
				fmin(nearest, fabs(above - scale * qn_format_level(format, code)));
		CHECK(fabs(above - scale * qn_format_level(format, row->codes[i])) <=
		      nearest + 1e-6 * fabs(scale));
	}
}

/* Sub-scales have few bits: their common scale is such that the largest one uses them all. */
static void check_sub_range(int format, const struct qn_row *row, long k)
{
	const struct qn_format *f = &qn_formats[format];
	const int per_super = f->super / f->group, end = f->sub_low ? f->sub_low : f->sub_high;

	for (long g = 0; g < k / f->group; g += per_super) {
		int found = 0;

		for (int i = 0; i < per_super; i++)
			found |= row->sub_scales[g + i] == end;
		CHECK(found);
	}
}

/* Encodes 16 rows of normal data around `mean`; returns the normalised squared error. */
static double measure_error(int format, float mean, float deviation)
{
	static struct room room;
	static float x[ROOM_MAX_K], back[ROOM_MAX_K];
	double error = 0, power = 0;

	for (int r = 0; r < 16; r++) {
		for (int i = 0; i < ROOM_MAX_K; i++)
			x[i] = mean + deviation * check_normal(&seed);
		room_clear(&room, format);
		qn_format_encode(format, x, ROOM_MAX_K, &room.row);
		room_check_legal(&room, format, ROOM_MAX_K);
		if (r == 0)
			check_nearest(format, &room.row, x, ROOM_MAX_K);
		if (qn_formats[format].super)
			check_sub_range(format, &room.row, ROOM_MAX_K);
		qn_format_decode(format, &room.row, ROOM_MAX_K, back);
		for (int i = 0; i < ROOM_MAX_K; i++) {
			const double miss = (double)back[i] - (double)x[i];

			error += miss * miss;
			power += (double)x[i] * (double)x[i];
		}
	}
	return error / power;
}

static void test_encode(void)
{
	for (int id = 0; id < QN_N_FORMATS; id++) {
		const double nmse = measure_error(id, 0, 1);

		if (!(nmse < bounds[id])) {
			printf("%s: NMSE %.5g on normal data, the bound is %.5g\n",
			       qn_formats[id].name, nmse, bounds[id]);
			check_failures++;
		}
		/* A minimum takes up an offset, but above zero not with two levels. */
		if (qn_formats[id].has_min) {
			CHECK(measure_error(id, -1, 0.2f) < 0.045 * bounds[id]);
			CHECK(measure_error(id, 1, 0.2f) <
			      bounds[id] * (qn_formats[id].super ? 0.17 : 0.045));
		}
	}
}

/* Any length works, and whole groups do not depend on what follows. */
static void test_encode_lengths(void)
{
	static const long lengths[] = {1, 2, 15, 17, 31, 33, 127, 129, 255, 257, 511, 515};
	static struct room room, whole;
	static float x[ROOM_MAX_K], back[ROOM_MAX_K];

	for (int i = 0; i < ROOM_MAX_K; i++)
		x[i] = check_normal(&seed);
	for (int id = 0; id < QN_N_FORMATS; id++) {
		const struct qn_format *f = &qn_formats[id];
		const long share = f->super ? f->super : f->group ? f->group : 1;

		room_clear(&whole, id);
		qn_format_encode(id, x, 1024, &whole.row);
		for (size_t n = 0; n < sizeof(lengths) / sizeof(lengths[0]); n++) {
			const long k = lengths[n], kept = f->group ? k / share * share : 0;

			room_clear(&room, id);
			qn_format_encode(id, x, k, &room.row);
			room_check_legal(&room, id, k);
			check_nearest(id, &room.row, x, k);
			CHECK(!memcmp(room.codes, whole.codes, (size_t)kept));
			CHECK(!memcmp(room.scales, whole.scales,
				      (size_t)(kept / share) * sizeof(float)));
			qn_format_decode(id, &room.row, k, back);
			for (long i = 0; i < k; i++)
				CHECK(fabsf(back[i] - x[i]) < 4);
		}
	}
}

/* ggml's rules for the scales of symmetric formats, and BitNet's. */
static void test_encode_scales(void)
{
	static struct room room;
	float x[512];

	for (int id = 0; id < QN_N_FORMATS; id++) {
		const struct meaning mean = parse(qn_formats[id].name);
		float peak = 0, scale;
		double sum = 0;

		if (mean.min || mean.codebook || mean.two_levels)
			continue;
		const int n = mean.group ? mean.group : 512;

		for (int i = 0; i < 512; i++)
			x[i] = check_normal(&seed);
		for (int i = 0; i < n; i++) {
			sum += fabs((double)x[i]);
			peak = fabsf(x[i]) > fabsf(peak) ? x[i] : peak;
		}
		if (mean.bits < 2)
			scale = (float)(sum / n);
		else if (mean.bits == 8)
			scale = fabsf(peak) / 127;
		else
			scale = peak / -(float)(1 << (mean.bits - 1));
		if (mean.group)
			scale = gguf_decoders_half(qn_format_float_to_half(scale));
		room_clear(&room, id);
		qn_format_encode(id, x, 512, &room.row);
		CHECK(room.scales[0] == scale);
	}
}

/*
 * What was decoded is encoded to the same values again, for which there is a fit without any error;
 * a search may miss it in a group now and then.  Not so with ternary codes, whose scale is a mean.
 */
static void test_encode_again(void)
{
	static struct room room;
	static float x[ROOM_MAX_K], once[ROOM_MAX_K], twice[ROOM_MAX_K];

	for (int id = 0; id < QN_N_FORMATS; id++) {
		const struct meaning mean = parse(qn_formats[id].name);
		const int searched = mean.min || mean.codebook || mean.two_levels;
		double change = 0, power = 0;

		if (mean.bits == 0)
			continue;
		for (int i = 0; i < ROOM_MAX_K; i++)
			x[i] = check_normal(&seed);
		room_clear(&room, id);
		qn_format_encode(id, x, ROOM_MAX_K, &room.row);
		qn_format_decode(id, &room.row, ROOM_MAX_K, once);
		qn_format_encode(id, once, ROOM_MAX_K, &room.row);
		qn_format_decode(id, &room.row, ROOM_MAX_K, twice);
		for (int i = 0; i < ROOM_MAX_K; i++) {
			const double miss = (double)twice[i] - (double)once[i];

			change += miss * miss;
			power += (double)once[i] * (double)once[i];
		}
		CHECK(change <= (searched ? 1e-4 * power : 0));
	}
}

static void test_encode_extremes(void)
{
	static const float odd[] = {0,     NAN,    INFINITY, -INFINITY, 3.4e38f, -3.4e38f,
				    1e38f, -1e38f, 65504,    1e-44f,    -1e-44f, 1e-7f};
	enum { N_ODD = sizeof(odd) / sizeof(odd[0]), K = 600 };
	static struct room room;
	float x[K], back[K];

	for (int id = 0; id < QN_N_FORMATS; id++) {
		/* All are odd, every third is ordinary, one is odd, and all of them at random. */
		for (int n = 0; n < 3 * N_ODD + 20; n++) {
			for (int i = 0; i < K; i++) {
				const float value =
					n < 3 * N_ODD ? odd[n / 3] : odd[check_below(&seed, N_ODD)];
				const int ordinary = n < 3 * N_ODD && ((n % 3 == 1 && i % 3 == 0) ||
								       (n % 3 == 2 && i != 77));

				x[i] = ordinary ? check_normal(&seed) : value;
			}
			room_clear(&room, id);
			qn_format_encode(id, x, K, &room.row);
			room_check_legal(&room, id, K);
			qn_format_decode(id, &room.row, K, back);
			for (int i = 0; i < K; i++) {
				CHECK(isfinite(back[i]));
				CHECK(n != 0 || back[i] == 0);
			}
		}
	}
}

/* Where a group is searched, a NaN counts as zero. */
static void test_encode_nan(void)
{
	static struct room with_nan, with_zero;
	float x[512];

	for (int id = 0; id < QN_N_FORMATS; id++) {
		const struct meaning mean = parse(qn_formats[id].name);

		if (!mean.min && !mean.codebook && !mean.two_levels)
			continue;
		for (int i = 0; i < 512; i++)
			x[i] = check_normal(&seed);
		room_clear(&with_nan, id);
		room_clear(&with_zero, id);
		x[300] = NAN;
		qn_format_encode(id, x, 512, &with_nan.row);
		x[300] = 0;
		qn_format_encode(id, x, 512, &with_zero.row);
		CHECK(!memcmp(with_nan.codes, with_zero.codes, 512));
		CHECK(!memcmp(with_nan.scales, with_zero.scales, sizeof(with_nan.scales)));
	}
}

int main(void)
{
	test_half();
	test_table();
	test_decode();
	test_encode();
	test_encode_lengths();
	test_encode_scales();
	test_encode_again();
	test_encode_extremes();
	test_encode_nan();
	return check_exit();
}
