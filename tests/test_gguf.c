/*
 * test_gguf.c: sound GGUF files made in memory, cut off and mutated ones, and real ones where the
 * shared folder has them.
 */
#include "check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gguf_plan.h"

/* ---- a sound file with one of everything ---- */

static void put_arrays(struct plan *plan)
{
	add_array(plan, "numbers", QUERN_I16, 3);
	put(&plan->keys, (const int16_t[]){-1, 0, 300}, 6);
	add_array(plan, "floats", QUERN_FLOAT32, 2);
	put(&plan->keys, (const float[]){0.5f, -2.0f}, 8);
	add_array(plan, "flags", QUERN_BOOL, 3);
	put(&plan->keys, "\1\0\1", 3);
	add_array(plan, "empty", QUERN_STRING, 0);
	add_array(plan, "nothing", QUERN_U64, 0);
	add_array(plan, "tokens", QUERN_STRING, 100);
	for (int i = 0; i < 100; i++) {
		char token[16];

		snprintf(token, sizeof(token), "%.*s%d", i % 5, "abcde", i);
		put_string(&plan->keys, token);
	}
}

static struct plan plan_everything(void)
{
	struct plan plan = start_plan();

	add_string(&plan, "general.architecture", "llama");
	add_u32(&plan, "general.alignment", 64);
	add_key(&plan, "u8", QUERN_U8);
	put_u8(&plan.keys, 200);
	add_key(&plan, "i8", QUERN_I8);
	put_u8(&plan.keys, 200);
	add_key(&plan, "u16", QUERN_U16);
	put(&plan.keys, &(uint16_t){60000}, 2);
	add_key(&plan, "i16", QUERN_I16);
	put(&plan.keys, &(int16_t){-6}, 2);
	add_key(&plan, "i32", QUERN_I32);
	put(&plan.keys, &(int32_t){-70000}, 4);
	add_key(&plan, "f32", QUERN_FLOAT32);
	put(&plan.keys, &(float){1.25f}, 4);
	add_key(&plan, "bool", QUERN_BOOL);
	put_u8(&plan.keys, 1);
	add_key(&plan, "u64", QUERN_U64);
	put_u64(&plan.keys, UINT64_MAX);
	add_key(&plan, "i64", QUERN_I64);
	put_u64(&plan.keys, (uint64_t)INT64_MIN);
	add_key(&plan, "f64", QUERN_FLOAT64);
	put(&plan.keys, &(double){-1e300}, 8);
	put_arrays(&plan);
	add_matrix(&plan, "a", QUERN_Q4_0, 64, 3, 128); /* 108 bytes, not in file order */
	add_tensor(&plan, "b", QUERN_F32, 1, (const uint64_t[]){5}, 0);
	add_tensor(&plan, "c", QUERN_F16, 4, (const uint64_t[]){2, 3, 4, 5}, 256);
	plan.alignment = 64;
	plan.data_bytes = 256 + 240;
	return plan;
}

static void check_scalars(const struct quern_gguf *file)
{
	static const struct {
		const char *name;
		int type;
		int64_t i;
	} integers[] = {{"u8", QUERN_U8, 200},
			{"i8", QUERN_I8, -56},
			{"u16", QUERN_U16, 60000},
			{"i16", QUERN_I16, -6},
			{"general.alignment", QUERN_U32, 64},
			{"i32", QUERN_I32, -70000},
			{"bool", QUERN_BOOL, 1},
			{"u64", QUERN_U64, -1},
			{"i64", QUERN_I64, INT64_MIN}};
	struct quern_value value;

	for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++) {
		CHECK(quern_gguf_find_key(file, integers[i].name, &value) == 0);
		CHECK(strcmp(value.name, integers[i].name) == 0);
		CHECK(value.type == integers[i].type && value.count == 1);
		CHECK(value.i == integers[i].i);
	}
	CHECK(quern_gguf_find_key(file, "f32", &value) == 0);
	CHECK(value.type == QUERN_FLOAT32 && value.f == 1.25);
	CHECK(quern_gguf_find_key(file, "f64", &value) == 0);
	CHECK(value.type == QUERN_FLOAT64 && value.f == -1e300);
	CHECK(quern_gguf_key(file, 0, &value) == 0 && value.type == QUERN_STRING);
	CHECK(value.count == 5 && memcmp(value.s, "llama", 5) == 0);
	CHECK(quern_gguf_find_key(file, "absent", &value) == -1);
}

static void check_arrays(const struct quern_gguf *file)
{
	static const int order[] = {0, 99, 31, 32, 33, 64, 63, 98, 1, 96, 95};
	struct quern_value array, x;

	CHECK(quern_gguf_find_key(file, "numbers", &array) == 0 && array.type == QUERN_ARRAY);
	CHECK(array.element_type == QUERN_I16 && array.count == 3);
	CHECK(quern_gguf_element(file, &array, 0, &x) == 0 && x.i == -1 && x.type == QUERN_I16);
	CHECK(quern_gguf_element(file, &array, 2, &x) == 0 && x.i == 300 && x.name == NULL);
	CHECK(quern_gguf_element(file, &array, 3, &x) == -1);
	CHECK(quern_gguf_element(file, &x, 0, &x) == -1); /* no array */
	CHECK(quern_gguf_find_key(file, "floats", &array) == 0);
	CHECK(quern_gguf_element(file, &array, 1, &x) == 0 && x.f == -2.0);
	CHECK(quern_gguf_find_key(file, "flags", &array) == 0);
	CHECK(quern_gguf_element(file, &array, 2, &x) == 0 && x.u == 1 && x.type == QUERN_BOOL);
	CHECK(quern_gguf_find_key(file, "empty", &array) == 0 && array.count == 0);
	CHECK(quern_gguf_element(file, &array, 0, &x) == -1);
	CHECK(quern_gguf_find_key(file, "tokens", &array) == 0 && array.count == 100);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		char token[16];
		int n = snprintf(token, sizeof(token), "%.*s%d", order[i] % 5, "abcde", order[i]);

		CHECK(quern_gguf_element(file, &array, (uint64_t)order[i], &x) == 0);
		CHECK(x.type == QUERN_STRING && x.count == (uint64_t)n);
		CHECK(memcmp(x.s, token, (size_t)n) == 0);
	}
}

static void check_tensors(const struct quern_gguf *file, const uint8_t *start, size_t n_bytes)
{
	const uint8_t *data = start + n_bytes - 496;
	struct quern_tensor t;

	CHECK(quern_gguf_n_tensors(file) == 3);
	CHECK(quern_gguf_tensor(file, 0, &t) == 0 && strcmp(t.name, "a") == 0);
	CHECK(t.type == QUERN_Q4_0 && t.n_dims == 2 && t.dims[0] == 64 && t.dims[1] == 3);
	CHECK(t.dims[2] == 1 && t.dims[3] == 1);
	CHECK(t.n_bytes == 108 && t.data == data + 128);
	CHECK(quern_gguf_find(file, "b", &t) == 0 && t.n_bytes == 20 && t.data == data);
	CHECK(t.n_dims == 1 && t.dims[0] == 5 && t.dims[1] == 1);
	CHECK(quern_gguf_find(file, "c", &t) == 0 && t.n_bytes == 240 && t.data == data + 256);
	CHECK(t.dims[3] == 5);
	CHECK(quern_gguf_find(file, "d", &t) == -1 && quern_gguf_tensor(file, 3, &t) == -1);
}

static void test_everything(void)
{
	struct plan plan = plan_everything();
	struct quern_gguf *file;
	struct quern_error err;
	size_t n_bytes;
	uint8_t *data = write_plan(&plan, &n_bytes);

	if (CHECK(qn_gguf_parse(data, n_bytes, "x", &file, &err) == 0)) {
		CHECK(quern_gguf_n_keys(file) == 18);
		check_scalars(file);
		check_arrays(file);
		check_tensors(file, data, n_bytes);
		quern_gguf_close(file);
	}
	LLVMFuzzerTestOneInput(data, n_bytes);

	/* The last tensor ends the file, so every shorter file is damaged. */
	for (size_t n = 0; n < n_bytes; n++) {
		uint8_t *part = malloc(n ? n : 1);

		if (!part)
			abort();
		memcpy(part, data, n);
		CHECK(qn_gguf_parse(part, n, "x", &file, &err) == -1 && file == NULL);
		LLVMFuzzerTestOneInput(part, n);
		free(part);
	}
	CHECK(qn_gguf_parse(NULL, 0, "x", &file, NULL) == -1);
	free(data);
}

/* ---- other sound files ---- */

static void test_sound(void)
{
	struct plan plan = start_plan();

	CHECK(accepted(&plan)); /* neither keys nor tensors */
	plan = start_plan();
	plan.version = 2;
	add_string(&plan, "k", "");
	CHECK(accepted(&plan));

	/* Gaps between tensors, and a padded end. */
	plan = start_plan();
	add_matrix(&plan, "a", QUERN_F32, 1, 1, 64);
	add_matrix(&plan, "b", QUERN_F32, 1, 1, 320);
	plan.data_bytes = 4096;
	CHECK(accepted(&plan));

	/* BitNet, told by its architecture or its file type. */
	plan = start_plan();
	add_string(&plan, "general.architecture", "bitnet-b1.58");
	add_matrix(&plan, "a", 36, 128, 2, 0);
	add_matrix(&plan, "b", 36, 128, 2, 96);
	plan.data_bytes = 192;
	CHECK(accepted(&plan));
	plan = start_plan();
	add_string(&plan, "general.architecture", "llama");
	add_u32(&plan, "general.file_type", 40);
	add_matrix(&plan, "a", 36, 128, 1, 0);
	plan.data_bytes = 64;
	CHECK(accepted(&plan));

	/* The numbers that forks reuse, with just the room that mainline's types need. */
	plan = start_plan();
	add_matrix(&plan, "a", 39, 32, 2, 0);    /* 34 bytes */
	add_matrix(&plan, "b", 40, 64, 1, 64);   /* 36 */
	add_matrix(&plan, "c", 41, 128, 1, 128); /* 18 */
	add_matrix(&plan, "d", 42, 64, 1, 160);
	plan.data_bytes = 160 + 18;
	CHECK(accepted(&plan));
}

static void test_types(void)
{
	static const int removed[] = {-1, 4, 5, 31, 32, 33, 37, 38, 43, 1000};
	long n_values, n_bytes;
	int n_known = 0;

	for (int type = 0; type < 43; type++) {
		struct plan plan = start_plan();
		const char *name = quern_type_name(type);

		if (!name)
			continue;
		n_known++;
		CHECK(quern_type_block(type, &n_values, &n_bytes) == 0);
		if (type == 36)
			continue; /* depends on the file */
		add_matrix(&plan, name, (uint32_t)type, (uint64_t)n_values, 3, 0);
		plan.data_bytes = (size_t)n_bytes * 3;
		CHECK(accepted(&plan));
		plan = start_plan();
		add_matrix(&plan, name, (uint32_t)type, (uint64_t)n_values, 3, 0);
		plan.data_bytes = (size_t)n_bytes * 3 - 1;
		CHECK(refused(&plan, "cut off"));
		if (n_values == 1)
			continue;
		plan = start_plan();
		add_matrix(&plan, name, (uint32_t)type, (uint64_t)n_values + 1, 3, 0);
		plan.data_bytes = 4096;
		CHECK(refused(&plan, "multiple of"));
	}
	CHECK(n_known == 36);
	for (size_t i = 0; i < sizeof(removed) / sizeof(removed[0]); i++) {
		CHECK(quern_type_name(removed[i]) == NULL);
		CHECK(quern_type_block(removed[i], &n_values, &n_bytes) == -1);
	}
	CHECK(strcmp(quern_type_name(QUERN_BF16), "BF16") == 0);
	CHECK(quern_type_block(14, &n_values, &n_bytes) == 0 && n_values == 256 && n_bytes == 210);
}

/* n log n: a quadratic search for duplicates would take minutes. */
static void test_many_keys(void)
{
	struct plan plan = start_plan();
	struct quern_gguf *file;
	struct quern_value value;
	uint64_t seed = 3;
	size_t n_bytes;
	uint8_t *data;
	char name[32];

	for (uint32_t i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "key.%u", i * 7919 % 100003);
		add_u32(&plan, name, i);
	}
	data = write_plan(&plan, &n_bytes);
	if (CHECK(qn_gguf_parse(data, n_bytes, "x", &file, NULL) == 0)) {
		for (int i = 0; i < 1000; i++) {
			uint32_t at = (uint32_t)(check_random(&seed) % 100000);

			snprintf(name, sizeof(name), "key.%u", at * 7919 % 100003);
			CHECK(quern_gguf_find_key(file, name, &value) == 0 && value.u == at);
		}
		quern_gguf_close(file);
	}
	free(data);
}

/* A small sound file with a few bytes changed, at places where numbers stand. */
static void test_mutations(int n_rounds)
{
	static const uint64_t numbers[] = {0,
					   1,
					   2,
					   7,
					   8,
					   9,
					   12,
					   13,
					   31,
					   36,
					   64,
					   255,
					   1 << 16,
					   1u << 31,
					   UINT32_MAX,
					   (uint64_t)1 << 32,
					   (uint64_t)1 << 61,
					   (uint64_t)1 << 63,
					   UINT64_MAX - 31,
					   UINT64_MAX};
	struct plan plan = plan_everything();
	const size_t n_numbers = sizeof(numbers) / sizeof(numbers[0]);
	uint64_t seed = 1;
	size_t n_bytes;
	uint8_t *sound = write_plan(&plan, &n_bytes), *data = malloc(n_bytes);

	if (!data)
		abort();
	for (int round = 0; round < n_rounds; round++) {
		uint64_t n_changes = 1 + check_random(&seed) % 4;

		memcpy(data, sound, n_bytes);
		while (n_changes-- > 0) {
			uint64_t number = numbers[check_random(&seed) % n_numbers];
			size_t width = (size_t)1 << check_random(&seed) % 4;
			size_t at = check_random(&seed) % (n_bytes - 496); /* in the header */

			if (check_random(&seed) % 2)
				number = check_random(&seed);
			memcpy(data + at, &number, width);
		}
		LLVMFuzzerTestOneInput(data, n_bytes);
	}
	free(data);
	free(sound);
}

/* ---- files ---- */

static int open_file(const char *path, const char *words)
{
	struct quern_error err = {.text = ""};
	struct quern_gguf *file;

	if (quern_gguf_open(&file, path, &err) == 0) {
		quern_gguf_close(file);
		return 0;
	}
	return strncmp(err.text, path, strlen(path)) == 0 && strstr(err.text, words) != NULL;
}

static void test_paths(void)
{
	struct plan plan = plan_everything();
	const char *folder = getenv("TMPDIR");
	struct quern_gguf *file;
	size_t n_bytes;
	uint8_t *data = write_plan(&plan, &n_bytes);
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/quern-gguf-XXXXXX", folder ? folder : "/tmp");
	fd = mkstemp(path);
	CHECK(fd >= 0);
	CHECK(open_file(path, "empty"));
	CHECK(write(fd, data, n_bytes) == (ssize_t)n_bytes);
	close(fd);
	if (CHECK(quern_gguf_open(&file, path, NULL) == 0)) {
		check_arrays(file);
		quern_gguf_close(file);
	}
	CHECK(truncate(path, (off_t)n_bytes - 1) == 0);
	CHECK(open_file(path, "cut off"));
	CHECK(truncate(path, 3) == 0);
	CHECK(open_file(path, "not a GGUF file"));
	unlink(path);
	CHECK(open_file(path, "cannot open"));
	CHECK(open_file("/", "not a regular file"));
	CHECK(mkfifo(path, 0600) == 0);
	CHECK(open_file(path, "not a regular file")); /* and does not wait for a writer */
	unlink(path);
	quern_gguf_close(NULL);
	free(data);
}

/* ---- real files ---- */

static void check_stories(const struct quern_gguf *file)
{
	struct quern_value tokens, token;
	struct quern_tensor t;

	CHECK(quern_gguf_n_tensors(file) == 48 && quern_gguf_n_keys(file) == 25);
	CHECK(quern_gguf_find(file, "token_embd.weight", &t) == 0 && t.type == QUERN_F32);
	CHECK(t.n_dims == 2 && t.dims[0] == 64 && t.dims[1] == 512 && t.n_bytes == 64 * 512 * 4);
	CHECK(quern_gguf_find(file, "blk.4.ffn_down.weight", &t) == 0);
	CHECK(t.dims[0] == 172 && t.dims[1] == 64);
	CHECK(quern_gguf_find(file, "output_norm.weight", &t) == 0);
	CHECK(t.n_dims == 1 && t.dims[0] == 64);
	CHECK(quern_gguf_find_key(file, "tokenizer.ggml.tokens", &tokens) == 0);
	CHECK(tokens.type == QUERN_ARRAY && tokens.element_type == QUERN_STRING);
	CHECK(tokens.count == 512);
	for (uint64_t i = 0; i < 512; i++)
		CHECK(quern_gguf_element(file, &tokens, i, &token) == 0 && token.count > 0);
	CHECK(quern_gguf_element(file, &tokens, 1, &token) == 0);
	CHECK(token.count == 3 && memcmp(token.s, "<s>", 3) == 0);
}

/* Copies without their last 32 bytes or more are refused: these hold data, or the header's end. */
static void check_truncations(const char *path)
{
	struct quern_gguf *part;
	uint64_t seed = 11;
	struct stat status;
	uint8_t *data;
	int fd = open(path, O_RDONLY);

	if (!CHECK(fd >= 0 && fstat(fd, &status) == 0))
		return;
	data = malloc((size_t)status.st_size);
	if (!data)
		abort();
	CHECK(read(fd, data, (size_t)status.st_size) == status.st_size);
	close(fd);
	for (int i = 0; i < 1000; i++) {
		uint64_t n = check_random(&seed) % (uint64_t)(status.st_size - 32);

		CHECK(qn_gguf_parse(data, n, path, &part, NULL) == -1);
	}
	LLVMFuzzerTestOneInput(data, (size_t)status.st_size);
	free(data);
}

static void test_real_files(void)
{
	static const struct {
		const char *path;
		uint64_t n_tokens;
	} files[] = {{"models/stories260K-f32.gguf", 512},
		     {"models/vocab/ggml-vocab-gpt-2.gguf", 50257},
		     {"models/vocab/ggml-vocab-llama-spm.gguf", 32000},
		     {"models/vocab/ggml-vocab-phi-3.gguf", 32064}};
	const char *shared = getenv("QUERN_SHARED");

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct quern_error err = {.text = ""};
		struct quern_value tokens;
		struct quern_gguf *file;
		char path[1024];

		snprintf(path, sizeof(path), "%s/%s", shared ? shared : "../shared", files[i].path);
		if (access(path, F_OK) != 0)
			continue;
		if (!CHECK(quern_gguf_open(&file, path, &err) == 0)) {
			printf("%s\n", err.text);
			continue;
		}
		if (i == 0)
			check_stories(file);
		CHECK(quern_gguf_find_key(file, "tokenizer.ggml.tokens", &tokens) == 0);
		CHECK(tokens.count == files[i].n_tokens);
		check_truncations(path);
		quern_gguf_close(file);
	}
}

int main(void)
{
	test_everything();
	test_sound();
	test_types();
	test_many_keys();
	test_mutations(20000);
	test_paths();
	test_real_files();
	return check_exit();
}
