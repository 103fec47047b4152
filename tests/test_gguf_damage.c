/*
 * test_gguf_damage.c: every kind of damage to a GGUF file is refused with a sentence that says so.
 */
#include "check.h"
#include "gguf_plan.h"

static void test_bad_start(void)
{
	struct plan plan = start_plan();

	plan.magic = "GGML";
	CHECK(refused(&plan, "not a GGUF file"));
	plan = start_plan();
	plan.version = 1;
	CHECK(refused(&plan, "version 1"));
	plan = start_plan();
	plan.version = 4;
	CHECK(refused(&plan, "version 4"));
	plan = start_plan();
	plan.version = 0;
	CHECK(refused(&plan, "version 0"));
	plan = start_plan();
	plan.version = 0x03000000;
	CHECK(refused(&plan, "big-endian"));
	for (int shift = 0; shift < 64; shift++) {
		plan = start_plan();
		plan.n_keys = (uint64_t)1 << shift;
		CHECK(refused(&plan, "do not fit"));
		plan = start_plan();
		plan.n_tensors = UINT64_MAX >> shift;
		CHECK(refused(&plan, "do not fit"));
	}
}

static void test_bad_keys(void)
{
	struct plan plan = start_plan();

	add_u32(&plan, "twice", 1);
	add_u32(&plan, "once", 2);
	add_u32(&plan, "twice", 3);
	CHECK(refused(&plan, "key 'twice': it appears twice"));
	plan = start_plan();
	add_key(&plan, "strange", 13);
	put_zeros(&plan.keys, 64);
	CHECK(refused(&plan, "key 'strange': value type 13"));
	plan = start_plan();
	add_key(&plan, "strange", UINT32_MAX);
	put_zeros(&plan.keys, 64);
	CHECK(refused(&plan, "value type 4294967295"));
	plan = start_plan();
	add_u32(&plan, "", 1);
	CHECK(refused(&plan, "key 1: a name of 0 bytes"));
	plan = start_plan();
	plan.n_keys = 1;
	put_u64(&plan.keys, 3);
	put(&plan.keys, "a\0b", 3);
	put_u32(&plan.keys, QUERN_U32);
	put_u32(&plan.keys, 1);
	CHECK(refused(&plan, "zero byte"));
	plan = start_plan();
	plan.n_keys = 1;
	put_u64(&plan.keys, 65536);
	put_zeros(&plan.keys, 70000);
	CHECK(refused(&plan, "65535"));
	plan = start_plan();
	add_key(&plan, "b\x1b[2J", QUERN_BOOL);
	put_u8(&plan.keys, 2);
	CHECK(refused(&plan, "key 'b?[2J': a bool of value 2"));
	plan = start_plan();
	add_array(&plan, "flags", QUERN_BOOL, 2);
	put(&plan.keys, "\1\377", 2);
	CHECK(refused(&plan, "a bool of value 255"));
}

/* Lengths that wrap, lie, or are merely one too large. */
static void test_bad_lengths(void)
{
	static const uint64_t lengths[] = {65,
					   1000000,
					   (uint64_t)1 << 30,
					   ((uint64_t)1 << 30) + 1,
					   (uint64_t)1 << 61,
					   ((uint64_t)1 << 61) + 1,
					   (uint64_t)1 << 63,
					   UINT64_MAX / 8,
					   UINT64_MAX - 7,
					   UINT64_MAX};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		int huge = lengths[i] > (uint64_t)1 << 30;
		const char *words = huge ? "the limit is" : "cut off or damaged";
		struct plan plan = start_plan();

		add_key(&plan, "s", QUERN_STRING);
		put_u64(&plan.keys, lengths[i]);
		put_zeros(&plan.keys, 64);
		CHECK(refused(&plan, words));
		for (uint32_t type = 0; type <= QUERN_FLOAT64; type++) {
			if (type == QUERN_ARRAY)
				continue;
			plan = start_plan();
			add_array(&plan, "a", type, lengths[i]);
			put_zeros(&plan.keys, 64);
			CHECK(refused(&plan, words));
		}
		plan = start_plan();
		plan.n_keys = 1;
		put_u64(&plan.keys, lengths[i]);
		put_zeros(&plan.keys, 64);
		CHECK(refused(&plan, words));
		plan = start_plan();
		plan.n_tensors = 1;
		put_u64(&plan.tensors, lengths[i]);
		put_zeros(&plan.tensors, 64);
		CHECK(refused(&plan, words));
	}
}

static void test_bad_arrays(void)
{
	struct plan plan = start_plan();

	add_array(&plan, "deep", QUERN_ARRAY, 1);
	put_u32(&plan.keys, QUERN_U8);
	put_u64(&plan.keys, 1);
	put_u8(&plan.keys, 1);
	CHECK(refused(&plan, "key 'deep': an array of arrays"));
	plan = start_plan();
	add_array(&plan, "odd", 13, 1);
	put_zeros(&plan.keys, 64);
	CHECK(refused(&plan, "an array of type 13"));
	plan = start_plan();
	add_array(&plan, "strings", QUERN_STRING, 3);
	put_string(&plan.keys, "a");
	put_string(&plan.keys, "b");
	put_u64(&plan.keys, 17);
	put_zeros(&plan.keys, 16);
	CHECK(refused(&plan, "cut off or damaged"));
}

static void test_bad_alignment(void)
{
	static const uint32_t bad[] = {0, 1, 4, 7, 12, 33, 0x80000001, UINT32_MAX};
	struct plan plan;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		plan = start_plan();
		add_u32(&plan, "general.alignment", bad[i]);
		CHECK(refused(&plan, "key 'general.alignment': "));
	}
	plan = start_plan();
	add_key(&plan, "general.alignment", QUERN_U64);
	put_u64(&plan.keys, 32);
	CHECK(refused(&plan, "u32"));

	/* An alignment beyond the file leaves no data. */
	plan = start_plan();
	add_u32(&plan, "general.alignment", 0x80000000);
	add_matrix(&plan, "a", QUERN_F32, 1, 1, 0);
	plan.data_bytes = 64;
	CHECK(refused(&plan, "tensor 'a': "));
}

static void refuse_matrix(uint32_t type, uint64_t k, uint64_t m, uint64_t offset, const char *words)
{
	struct plan plan = start_plan();

	add_matrix(&plan, "t", type, k, m, offset);
	plan.data_bytes = 256;
	CHECK(refused(&plan, words));
}

static void test_bad_tensors(void)
{
	static const uint32_t removed[] = {4, 5, 31, 32, 33, 37, 38};
	static const uint32_t unknown[] = {43, 97, 137, 400, 0x7fffffff, 0x80000000, UINT32_MAX};
	char words[64];

	for (size_t i = 0; i < sizeof(removed) / sizeof(removed[0]); i++) {
		snprintf(words, sizeof(words), "tensor 't': type %u was removed", removed[i]);
		refuse_matrix(removed[i], 32, 1, 0, words);
	}
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		snprintf(words, sizeof(words), "tensor 't': type %u is not known", unknown[i]);
		refuse_matrix(unknown[i], 32, 1, 0, words);
	}
	refuse_matrix(36, 128, 1, 0, "tensor 't': type 36 (I2_S)");
	refuse_matrix(39, 32, 1, 0, "fork"); /* 17 bytes where 256 are */
	refuse_matrix(QUERN_F32, 0, 1, 0, "dimension 0 is 0");
	refuse_matrix(QUERN_F32, 1, 0, 0, "dimension 1 is 0");
	refuse_matrix(QUERN_F32, 64, 2, 0, "it needs 512 bytes");
	refuse_matrix(QUERN_F32, 1, 1, 16, "multiple of the alignment");
	refuse_matrix(QUERN_F32, 1, 1, 256, "256 bytes of data");
	refuse_matrix(QUERN_F32, 1, 1, UINT64_MAX - 31, "bytes of data");
	refuse_matrix(QUERN_F32, (uint64_t)1 << 32, (uint64_t)1 << 32, 0, "2^63");
	refuse_matrix(QUERN_F32, (uint64_t)1 << 62, 1, 0, "2^63 bytes");
	refuse_matrix(QUERN_F32, (uint64_t)1 << 61, 2, 0, "2^63 bytes");
	refuse_matrix(QUERN_F32, UINT64_MAX, UINT64_MAX, 0, "2^63 values");
	refuse_matrix(41, (uint64_t)1 << 63, 1, 0, "2^63 values");
	refuse_matrix(24, ((uint64_t)1 << 63) - 1, 1, 0, "2^63 bytes");
	refuse_matrix(24, (uint64_t)1 << 62, 1, 0, "cut off");
}

static void test_bad_layouts(void)
{
	static const uint32_t dims[] = {0, 5, 64, UINT32_MAX};
	struct plan plan;
	char name[72];

	for (size_t i = 0; i < sizeof(dims) / sizeof(dims[0]); i++) {
		plan = start_plan();
		plan.n_tensors = 1;
		put_string(&plan.tensors, "t");
		put_u32(&plan.tensors, dims[i]);
		put_zeros(&plan.tensors, 64);
		CHECK(refused(&plan, "there must be 1 to 4"));
	}
	memset(name, 'n', 64);
	name[64] = '\0';
	plan = start_plan();
	add_matrix(&plan, name, QUERN_F32, 1, 1, 0);
	plan.data_bytes = 4;
	CHECK(refused(&plan, "tensor 1: a name of 64 bytes"));
	plan = start_plan();
	add_matrix(&plan, name + 1, QUERN_F32, 1, 1, 0);
	plan.data_bytes = 4;
	CHECK(accepted(&plan));
	plan = start_plan();
	add_matrix(&plan, "t", QUERN_F32, 1, 1, 0);
	add_matrix(&plan, "t", QUERN_F32, 1, 1, 32);
	plan.data_bytes = 64;
	CHECK(refused(&plan, "tensor 't': it appears twice"));

	/* The second stands in the first; both stand at one place. */
	plan = start_plan();
	add_matrix(&plan, "late", QUERN_F32, 1, 1, 64);
	add_matrix(&plan, "early", QUERN_F32, 17, 1, 0);
	plan.data_bytes = 256;
	CHECK(refused(&plan, "tensor 'early': its 68 bytes overlap tensor 'late'"));
	plan = start_plan();
	add_matrix(&plan, "a", QUERN_F32, 1, 1, 0);
	add_matrix(&plan, "b", QUERN_F32, 1, 1, 0);
	plan.data_bytes = 256;
	CHECK(refused(&plan, "overlap"));

	/* I2_S between two offsets that are too far apart or too close for it. */
	for (uint64_t second = 64; second <= 128; second += 64) {
		plan = start_plan();
		add_string(&plan, "general.architecture", "bitnet");
		add_matrix(&plan, "a", 36, 128, 2, 0); /* 96 bytes */
		add_matrix(&plan, "b", QUERN_F32, 1, 1, second);
		plan.data_bytes = 256;
		CHECK(refused(&plan, second == 64 ? "overlap" : "fork"));
	}
}

int main(void)
{
	test_bad_start();
	test_bad_keys();
	test_bad_lengths();
	test_bad_arrays();
	test_bad_alignment();
	test_bad_tensors();
	test_bad_layouts();
	return check_exit();
}
