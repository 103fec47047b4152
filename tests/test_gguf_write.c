/*
 * test_gguf_write.c: GGUF files that are written can be read, and are not there when something failed.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "check.h"
#include "llm/gguf_write.h"
#include "scratch.h"

static const float floats[6] = {1, -2, 0.5f, 1e30f, 0, -0.0f};

static struct qn_gguf_write *open_file(const char *path)
{
	struct quern_error err = {.text = ""};
	struct qn_gguf_write *file;

	if (CHECK(qn_gguf_write_open(&file, path, &err) == 0))
		return file;
	puts(err.text);
	exit(1);
}

static void add_tensor(struct qn_gguf_write *file, const char *name, int type, uint64_t k,
		       uint64_t m)
{
	const struct quern_tensor tensor = {.name = name,
					    .type = type,
					    .n_dims = m ? 2 : 1,
					    .dims = {k, m ? m : 1, 1, 1}};

	qn_gguf_write_tensor(file, &tensor);
}

/* ---- keys of every type ---- */

static const struct quern_value scalars[] = {
	{"u8", QUERN_U8, 0, 1, {.u = 200}},
	{"i8", QUERN_I8, 0, 1, {.i = -56}},
	{"u16", QUERN_U16, 0, 1, {.u = 60000}},
	{"i16", QUERN_I16, 0, 1, {.i = -6}},
	{"general.alignment", QUERN_U32, 0, 1, {.u = 64}},
	{"i32", QUERN_I32, 0, 1, {.i = -70000}},
	{"f32", QUERN_FLOAT32, 0, 1, {.f = 1.25}},
	{"bool", QUERN_BOOL, 0, 1, {.u = 1}},
	{"u64", QUERN_U64, 0, 1, {.u = UINT64_MAX}},
	{"i64", QUERN_I64, 0, 1, {.i = INT64_MIN}},
	{"f64", QUERN_FLOAT64, 0, 1, {.f = -1e300}},
};
enum { N_SCALARS = sizeof(scalars) / sizeof(scalars[0]), N_STRINGS = 100 };

static void put_text(char text[32], int i)
{
	snprintf(text, 32, "%.*s%d", i % 5, "abcde", i);
}

static void write_data(struct qn_gguf_write *file)
{
	uint8_t blocks[108];

	for (int i = 0; i < 108; i++)
		blocks[i] = (uint8_t)i;
	add_tensor(file, "a", QUERN_Q4_0, 64, 3);
	add_tensor(file, "b", QUERN_F32, 6, 0);
	add_tensor(file, "c", QUERN_F32, 3, 2);
	for (int i = 0; i < 108; i += 27) /* pieces need not be rows */
		qn_gguf_write_data(file, blocks + i, 27);
	qn_gguf_write_data(file, floats, sizeof(floats));
	qn_gguf_write_data(file, floats, 10);
	qn_gguf_write_data(file, (const uint8_t *)floats + 10, sizeof(floats) - 10);
}

static void write_everything(const char *path)
{
	struct qn_gguf_write *file = open_file(path);
	struct quern_error err = {.text = ""};
	char text[32];

	for (int i = 0; i < N_SCALARS; i++)
		qn_gguf_write_key(file, &scalars[i]);
	qn_gguf_write_string(file, "text", "two\nlines");
	qn_gguf_write_string(file, "nothing", "");
	qn_gguf_write_u32(file, "count", 42);
	qn_gguf_write_f32(file, "ratio", 0.75f);
	qn_gguf_write_bool(file, "flag", 7);
	qn_gguf_write_array(file, "numbers", QUERN_I16, 3);
	for (int i = -1; i <= 1; i++)
		qn_gguf_write_element(file, &(struct quern_value){.type = QUERN_I16, .i = 300 * i});
	qn_gguf_write_array(file, "none", QUERN_STRING, 0);
	qn_gguf_write_array(file, "tokens", QUERN_STRING, N_STRINGS);
	for (int i = 0; i < N_STRINGS; i++) {
		put_text(text, i);
		qn_gguf_write_element(file, &(struct quern_value){.type = QUERN_STRING,
								  .count = strlen(text),
								  .s = text});
	}
	write_data(file);
	CHECK(!qn_gguf_write_has_failed(file));
	CHECK(qn_gguf_write_close(file, &err) == 0);
	CHECK_SAYS(err.text, "");
}

static void check_keys(const struct quern_gguf *file)
{
	struct quern_value key, element;
	char text[32];

	for (int i = 0; i < N_SCALARS; i++) {
		CHECK(quern_gguf_key(file, (size_t)i, &key) == 0);
		CHECK(!strcmp(key.name, scalars[i].name) && key.type == scalars[i].type);
		CHECK(key.u == scalars[i].u); /* numbers of any type are told apart by their bits */
	}
	CHECK(quern_gguf_find_key(file, "text", &key) == 0 && key.count == 9);
	CHECK(!memcmp(key.s, "two\nlines", 9));
	CHECK(quern_gguf_find_key(file, "nothing", &key) == 0 && key.count == 0);
	CHECK(quern_gguf_find_key(file, "count", &key) == 0 && key.u == 42);
	CHECK(quern_gguf_find_key(file, "ratio", &key) == 0 && key.f == 0.75);
	CHECK(quern_gguf_find_key(file, "flag", &key) == 0 && key.u == 1);
	CHECK(quern_gguf_find_key(file, "none", &key) == 0 && key.count == 0);
	CHECK(quern_gguf_find_key(file, "numbers", &key) == 0 && key.count == 3);
	for (uint64_t i = 0; i < 3; i++)
		CHECK(quern_gguf_element(file, &key, i, &element) == 0 &&
		      element.i == 300 * (int64_t)i - 300);
	CHECK(quern_gguf_find_key(file, "tokens", &key) == 0 && key.count == N_STRINGS);
	for (int i = 0; i < N_STRINGS; i++) {
		put_text(text, i);
		CHECK(quern_gguf_element(file, &key, (uint64_t)i, &element) == 0);
		CHECK(element.count == strlen(text) && !memcmp(element.s, text, strlen(text)));
	}
}

static void check_tensors(const struct quern_gguf *file)
{
	struct quern_tensor tensor;

	CHECK(quern_gguf_n_tensors(file) == 3);
	CHECK(quern_gguf_tensor(file, 0, &tensor) == 0 && !strcmp(tensor.name, "a"));
	CHECK(tensor.type == QUERN_Q4_0 && tensor.n_dims == 2 && tensor.dims[0] == 64);
	CHECK(tensor.dims[1] == 3 && tensor.n_bytes == 108);
	for (int i = 0; i < 108; i++)
		CHECK(((const uint8_t *)tensor.data)[i] == i);
	CHECK(quern_gguf_find(file, "b", &tensor) == 0 && tensor.n_dims == 1);
	CHECK((uintptr_t)tensor.data % 64 == 0 && !memcmp(tensor.data, floats, sizeof(floats)));
	CHECK(quern_gguf_find(file, "c", &tensor) == 0 && tensor.dims[1] == 2);
	CHECK((uintptr_t)tensor.data % 64 == 0 && !memcmp(tensor.data, floats, sizeof(floats)));
}

static struct quern_gguf *reopen(const char *path)
{
	struct quern_error err = {.text = ""};
	struct quern_gguf *file;

	if (CHECK(quern_gguf_open(&file, path, &err) == 0))
		return file;
	puts(err.text);
	exit(1);
}

/* What is read is what was written, and copied key by key it is the same file again. */
static void test_everything(void)
{
	struct quern_error err = {.text = ""};
	struct qn_gguf_write *copy;
	struct quern_gguf *file;
	struct quern_value key;
	struct stat one, two;
	char *first, *second;

	write_everything("one.gguf");
	file = reopen("one.gguf");
	check_keys(file);
	check_tensors(file);
	copy = open_file("two.gguf");
	for (size_t i = 0; quern_gguf_key(file, i, &key) == 0; i++)
		qn_gguf_write_copy(copy, file, &key);
	write_data(copy);
	CHECK(qn_gguf_write_close(copy, &err) == 0);
	quern_gguf_close(file);
	CHECK(stat("one.gguf", &one) == 0 && stat("two.gguf", &two) == 0);
	CHECK(one.st_size == two.st_size && one.st_size % 64 == 0);
	first = scratch_read_text("one.gguf");
	second = scratch_read_text("two.gguf");
	CHECK(!memcmp(first, second, (size_t)one.st_size));
	free(first);
	free(second);
}

/* A file of more than a buffer, and one of nothing. */
static void test_sizes(void)
{
	enum { M = 1000, K = 500 };
	static float x[M * K];
	struct quern_error err = {.text = ""};
	struct qn_gguf_write *file = open_file("large.gguf");
	struct quern_tensor tensor;
	struct quern_gguf *read;

	for (int i = 0; i < M * K; i++)
		x[i] = (float)i;
	add_tensor(file, "x", QUERN_F32, K, M);
	add_tensor(file, "y", QUERN_F32, 1, 0);
	for (int i = 0; i < M * K; i += M * K / 4)
		qn_gguf_write_data(file, x + i, sizeof(x) / 4);
	qn_gguf_write_data(file, x, 4);
	CHECK(qn_gguf_write_close(file, &err) == 0);
	read = reopen("large.gguf");
	CHECK(quern_gguf_find(read, "x", &tensor) == 0 && !memcmp(tensor.data, x, sizeof(x)));
	quern_gguf_close(read);

	file = open_file("empty.gguf");
	CHECK(qn_gguf_write_close(file, &err) == 0);
	read = reopen("empty.gguf");
	CHECK(quern_gguf_n_keys(read) == 0 && quern_gguf_n_tensors(read) == 0);
	quern_gguf_close(read);
}

/* ---- what goes wrong ---- */

static int count_files(void)
{
	DIR *folder = opendir(".");
	int n = 0;

	while (CHECK(folder != NULL) && readdir(folder))
		n++;
	if (folder)
		closedir(folder);
	return n;
}

/* The file is refused at its end, with these words, and leaves nothing. */
static void check_refused(struct qn_gguf_write *file, int n_files, const char *words)
{
	struct quern_error err = {.text = ""};

	CHECK(qn_gguf_write_close(file, &err) == -1);
	CHECK_SAYS(err.text, "bad.gguf: ");
	CHECK_SAYS(err.text, words);
	CHECK(count_files() == n_files);
}

static void test_wrong_data(void)
{
	const int n_files = count_files();
	struct qn_gguf_write *file = open_file("bad.gguf");
	char name[65];

	add_tensor(file, "x", QUERN_F32, 6, 0);
	add_tensor(file, "y", QUERN_F32, 6, 0);
	qn_gguf_write_data(file, floats, 24);
	qn_gguf_write_data(file, floats, 8);
	check_refused(file, n_files, "tensor 'y': 8 of its 24 bytes were given");
	file = open_file("bad.gguf");
	add_tensor(file, "x", QUERN_F32, 4, 0);
	add_tensor(file, "y", QUERN_F32, 4, 0);
	qn_gguf_write_data(file, floats, 24);
	CHECK(qn_gguf_write_has_failed(file));
	qn_gguf_write_data(file, floats, 24); /* ignored */
	check_refused(file, n_files, "more bytes were given than tensor x has");
	file = open_file("bad.gguf");
	qn_gguf_write_data(file, floats, 24);
	check_refused(file, n_files, "more bytes were given");
	file = open_file("bad.gguf");
	memset(name, 'n', 64);
	name[64] = '\0';
	add_tensor(file, name, QUERN_F32, 4, 0);
	check_refused(file, n_files, "a name must have 1 to 63 bytes");
	file = open_file("bad.gguf");
	qn_gguf_write_u32(file, "general.alignment", 24);
	check_refused(file, n_files, "power of two");
	file = open_file("bad.gguf");
	qn_gguf_write_abort(file);
	qn_gguf_write_abort(NULL);
	CHECK(count_files() == n_files);
}

static void check_cannot_open(const char *path, const char *words)
{
	struct quern_error err = {.text = ""};
	struct qn_gguf_write *file = (void *)1;

	CHECK(qn_gguf_write_open(&file, path, &err) == -1 && file == NULL);
	CHECK_SAYS(err.text, words);
}

static void test_wrong_places(void)
{
	char name[600];

	check_cannot_open("no/folder/x.gguf", "no/folder/x.gguf: cannot create it: No such file");
	check_cannot_open("one.gguf/x.gguf", "Not a directory");
	check_cannot_open("/dev/null", "/dev/null: it is there and not a file");
	check_cannot_open(".", ".: it is there and not a file");
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	check_cannot_open(name, "n: cannot create it: File name too long");
	if (geteuid() != 0) {
		CHECK(mkdir("locked", 0555) == 0);
		check_cannot_open("locked/x.gguf", "Permission denied");
	}
}

/* A disk that is full: what was there before stays. */
static void test_full_disk(void)
{
	const struct rlimit limit = {4096, RLIM_INFINITY};
	struct rlimit before;
	struct qn_gguf_write *file;
	char *text;
	int n_files;

	scratch_write_text("bad.gguf", "before");
	n_files = count_files();
	getrlimit(RLIMIT_FSIZE, &before);
	signal(SIGXFSZ, SIG_IGN);
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	file = open_file("bad.gguf");
	add_tensor(file, "x", QUERN_F32, 6, 1000);
	for (int i = 0; i < 1000; i++)
		qn_gguf_write_data(file, floats, 24);
	check_refused(file, n_files, "cannot write: File too large");
	setrlimit(RLIMIT_FSIZE, &before);
	text = scratch_read_text("bad.gguf");
	CHECK(!strcmp(text, "before"));
	free(text);
}

int main(void)
{
	char folder[64];

	if (!CHECK(scratch_open(folder)))
		return check_exit();
	test_everything();
	test_sizes();
	test_wrong_data();
	test_wrong_places();
	test_full_disk();
	CHECK(chdir("/") == 0);
	scratch_remove_tree(folder);
	return check_exit();
}
