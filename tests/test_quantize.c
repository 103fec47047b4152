/*
 * test_quantize.c: models whose matrices are quantised, against what is read of both files.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "format.h"
#include "llm/gguf_write.h"
#include "llm/quantize.h"
#include "llm/random.h"
#include "scratch.h"

enum { MAX_K = 2048 };

static const int types[] = {QUERN_F32,  QUERN_F16,   QUERN_BF16,  QUERN_Q4_0,   QUERN_Q4_1,
			    QUERN_Q5_0, QUERN_Q5_1,  QUERN_Q8_0,  QUERN_Q2_K,   QUERN_Q3_K,
			    QUERN_Q4_K, QUERN_Q5_K,  QUERN_Q6_K,  QUERN_IQ4_NL, QUERN_IQ4_XS,
			    QUERN_I2_S, QUERN_TQ1_0, QUERN_TQ2_0, QUERN_Q1_0,   QUERN_Q2_0};
enum { N_TYPES = sizeof(types) / sizeof(types[0]) };

static void make(const char *path, struct qn_random what)
{
	struct quern_error err = {.text = ""};

	what.output_type = what.output_type ? what.output_type : -1;
	if (!CHECK(qn_random_write(path, &what, &err) == 0)) {
		puts(err.text);
		exit(1);
	}
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

static void quantize(const char *from, const char *to, const struct qn_quantize *how)
{
	struct quern_error err = {.text = ""};

	if (!CHECK(qn_quantize_file(from, to, how, &err) == 0)) {
		puts(err.text);
		exit(1);
	}
}

static struct qn_quantize how_to(int type)
{
	return (struct qn_quantize){.type = type,
				    .output_type = -1,
				    .embedding_type = -1,
				    .n_threads = 3};
}

static void decode(const struct quern_tensor *tensor, long r, float *x)
{
	static uint8_t codes[MAX_K], sub_mins[MAX_K / 16];
	static int8_t sub_scales[MAX_K / 16];
	static float scales[MAX_K / 16], mins[MAX_K / 16];
	const struct qn_row row = {codes, scales, mins, sub_scales, sub_mins};
	const long k = (long)tensor->dims[0], m = (long)tensor->dims[1];

	if (qn_format_of_type(tensor->type) < 0) {
		qn_format_read_floats(tensor->type, tensor->data, k, r, x);
		return;
	}
	qn_format_read_row(tensor->type, tensor->data, m, k, r, &row);
	qn_format_decode(qn_format_of_type(tensor->type), &row, k, x);
}

/* ---- every type ---- */

struct told {
	struct quern_gguf *from, *to;
	int n_copied, n_others;
	double error, square;
};

static void note(void *context, const struct qn_quantize_tensor *tensor)
{
	struct told *told = context;

	told->n_copied += tensor->is_copied;
	told->n_others += !tensor->is_copied;
	told->error += tensor->error;
	told->square += tensor->square;
}

/* Tensors of both files, of which matrices differ by as much as was told. */
static void check_tensors(const struct told *told)
{
	static float x[MAX_K], y[MAX_K];
	struct quern_tensor a, b;
	double error = 0;

	CHECK(quern_gguf_n_tensors(told->from) == quern_gguf_n_tensors(told->to));
	for (size_t i = 0; quern_gguf_tensor(told->from, i, &a) == 0; i++) {
		CHECK(quern_gguf_tensor(told->to, i, &b) == 0 && !strcmp(a.name, b.name));
		CHECK(a.n_dims == b.n_dims && !memcmp(a.dims, b.dims, sizeof(a.dims)));
		if (a.type == b.type) {
			CHECK(a.n_bytes == b.n_bytes && !memcmp(a.data, b.data, a.n_bytes));
			continue;
		}
		for (long r = 0; r < (long)a.dims[1]; r++) {
			decode(&a, r, x);
			decode(&b, r, y);
			for (uint64_t j = 0; j < a.dims[0]; j++)
				error += ((double)x[j] - (double)y[j]) *
					 ((double)x[j] - (double)y[j]);
		}
	}
	CHECK(fabs(error - told->error) <= 1e-9 * error);
}

static void check_keys(const struct told *told)
{
	struct quern_value a, b;
	size_t n_same = 0;

	for (size_t i = 0; quern_gguf_key(told->from, i, &a) == 0; i++) {
		CHECK(quern_gguf_find_key(told->to, a.name, &b) == 0);
		n_same += a.type == b.type && a.count == b.count;
	}
	CHECK(n_same == quern_gguf_n_keys(told->to) && n_same == quern_gguf_n_keys(told->from));
}

static void test_types(void)
{
	make("f32.gguf", (struct qn_random){.arch = "bitnet", .n_embd = 256, .n_ff = 768});
	for (int i = 0; i < N_TYPES; i++) {
		struct qn_quantize how = how_to(types[i]);
		struct told told = {.from = NULL};
		struct quern_tensor tensor;

		how.is_pure = 1;
		how.tell = note;
		how.context = &told;
		quantize("f32.gguf", "x.gguf", &how);
		told.from = reopen("f32.gguf");
		told.to = reopen("x.gguf");
		check_tensors(&told);
		check_keys(&told);
		CHECK(quern_gguf_find(told.to, "blk.1.attn_k.weight", &tensor) == 0);
		CHECK(tensor.type == types[i]);
		CHECK(quern_gguf_find(told.to, "blk.1.attn_norm.weight", &tensor) == 0);
		CHECK(tensor.type == QUERN_F32);
		CHECK(told.n_others == (types[i] == QUERN_F32 ? 0 : 2 * 7 + 1));
		CHECK(told.error <= 0.4 * told.square);
		quern_gguf_close(told.from);
		quern_gguf_close(told.to);
	}
}

/* ---- which type a matrix gets ---- */

static int type_in(const char *path, const char *name)
{
	struct quern_gguf *file = reopen(path);
	struct quern_tensor tensor = {.type = -1};

	CHECK(quern_gguf_find(file, name, &tensor) == 0);
	quern_gguf_close(file);
	return tensor.type;
}

static void check_choice(const char *from, struct qn_quantize how, int embedding, int output,
			 int down)
{
	quantize(from, "x.gguf", &how);
	CHECK(type_in("x.gguf", "token_embd.weight") == embedding);
	if (output >= 0)
		CHECK(type_in("x.gguf", "output.weight") == output);
	CHECK(type_in("x.gguf", "blk.0.ffn_down.weight") == down);
}

static void test_choices(void)
{
	struct qn_quantize how = how_to(QUERN_Q4_0);

	make("f32.gguf", (struct qn_random){.arch = "llama", .n_embd = 256, .n_ff = 256});
	make("tied.gguf", (struct qn_random){.arch = "qwen2", .n_embd = 256, .n_ff = 256});
	make("odd.gguf", (struct qn_random){.arch = "llama", .n_embd = 96, .n_ff = 180});
	check_choice("f32.gguf", how, QUERN_Q4_0, QUERN_Q6_K, QUERN_Q4_0);
	check_choice("tied.gguf", how, QUERN_Q6_K, -1, QUERN_Q4_0);
	check_choice("odd.gguf", how, QUERN_Q4_0, QUERN_Q8_0, QUERN_F16);
	check_choice("odd.gguf", how_to(QUERN_Q4_K), QUERN_Q8_0, QUERN_Q8_0, QUERN_F16);
	check_choice("f32.gguf", how_to(QUERN_TQ2_0), QUERN_Q4_K, QUERN_Q6_K, QUERN_TQ2_0);
	check_choice("tied.gguf", how_to(QUERN_I2_S), QUERN_Q6_K, -1, QUERN_I2_S);
	check_choice("f32.gguf", how_to(QUERN_Q8_0), QUERN_Q8_0, QUERN_Q8_0, QUERN_Q8_0);
	how.embedding_type = QUERN_F16;
	check_choice("f32.gguf", how, QUERN_F16, QUERN_Q6_K, QUERN_Q4_0);
	check_choice("tied.gguf", how, QUERN_F16, -1, QUERN_Q4_0);
	how.output_type = QUERN_Q5_1;
	check_choice("f32.gguf", how, QUERN_F16, QUERN_Q5_1, QUERN_Q4_0);
	how.embedding_type = -1;
	check_choice("tied.gguf", how, QUERN_Q5_1, -1, QUERN_Q4_0);
	how.output_type = -1;
	how.is_pure = 1;
	check_choice("f32.gguf", how, QUERN_Q4_0, QUERN_Q4_0, QUERN_Q4_0);
}

/* ---- threads, ternary weights, decoded ones ---- */

static int are_same(const char *a, const char *b)
{
	FILE *one = fopen(a, "rb"), *two = fopen(b, "rb");
	int c = 0, d = 0;

	while (one && two && c == d && c != EOF) {
		c = getc(one);
		d = getc(two);
	}
	if (one)
		fclose(one);
	if (two)
		fclose(two);
	return one && two && c == d;
}

static void test_threads(void)
{
	static const int some[] = {QUERN_Q4_K, QUERN_TQ1_0, QUERN_I2_S};

	make("f32.gguf", (struct qn_random){.arch = "llama", .n_embd = 256, .n_ff = 1024});
	for (int i = 0; i < 3; i++) {
		struct qn_quantize how = how_to(some[i]);

		how.n_threads = 1;
		quantize("f32.gguf", "one.gguf", &how);
		how.n_threads = 5;
		quantize("f32.gguf", "five.gguf", &how);
		CHECK(are_same("one.gguf", "five.gguf"));
	}
}

/* A ternary model comes back exactly, rows of 48 values in pieces of 128 included. */
static void test_ternary(void)
{
	enum { K = 48, M = 64 };
	struct qn_quantize how = how_to(QUERN_I2_S);
	const struct quern_tensor made = {.name = "a.weight",
					  .type = QUERN_F32,
					  .n_dims = 2,
					  .dims = {K, M, 1, 1}};
	static float x[K * M], y[K];
	struct quern_error err = {.text = ""};
	struct qn_gguf_write *file;
	struct quern_tensor tensor;
	struct quern_gguf *read;
	uint64_t seed = 1;

	for (int i = 0; i < K * M; i++)
		x[i] = 0.0371f * (float)((int)(check_random(&seed) % 3) - 1);
	CHECK(qn_gguf_write_open(&file, "ternary.gguf", &err) == 0);
	qn_gguf_write_tensor(file, &made);
	qn_gguf_write_data(file, x, sizeof(x));
	CHECK(qn_gguf_write_close(file, &err) == 0);
	quantize("ternary.gguf", "x.gguf", &how);
	read = reopen("x.gguf");
	CHECK(quern_gguf_find(read, "a.weight", &tensor) == 0 && tensor.type == QUERN_I2_S);
	for (int r = 0; r < M; r++) {
		decode(&tensor, r, y);
		CHECK(!memcmp(y, x + r * K, sizeof(y)));
	}
	quern_gguf_close(read);
}

static void check_refused(const char *from, const char *to, struct qn_quantize how,
			  const char *words)
{
	struct quern_error err = {.text = ""};

	CHECK(qn_quantize_file(from, to, &how, &err) == -1);
	CHECK_SAYS(err.text, words);
}

static void test_again(void)
{
	struct qn_quantize how = how_to(QUERN_Q4_0);

	make("q8.gguf",
	     (struct qn_random){.arch = "llama", .type = QUERN_Q8_0, .output_type = QUERN_Q8_0});
	check_refused("q8.gguf", "new.gguf", how,
		      "q8.gguf: tensor 'token_embd.weight' is Q8_0 already");
	CHECK(access("new.gguf", F_OK) == -1);
	how.takes_quantised = 1;
	quantize("q8.gguf", "x.gguf", &how);
	CHECK(type_in("x.gguf", "blk.0.attn_q.weight") == QUERN_Q4_0);
	how = how_to(QUERN_Q8_0); /* nothing is to be done */
	quantize("q8.gguf", "x.gguf", &how);
	how.takes_quantised = 1;
	how.type = QUERN_F32;
	quantize("q8.gguf", "x.gguf", &how);
	CHECK(type_in("x.gguf", "output.weight") == QUERN_F32);
}

static int stop(void *context, uint64_t n_done, uint64_t n_bytes)
{
	CHECK(n_done <= n_bytes);
	return ++*(int *)context == 3;
}

static void test_refusals(void)
{
	struct qn_quantize how = how_to(QUERN_Q4_0);
	int n_calls = 0;

	CHECK(symlink("f32.gguf", "link.gguf") == 0);
	check_refused("f32.gguf", "f32.gguf", how, "f32.gguf: it is the file to be read");
	check_refused("f32.gguf", "link.gguf", how, "link.gguf: it is the file to be read");
	check_refused("none.gguf", "new.gguf", how, "none.gguf");
	check_refused("f32.gguf", "no/new.gguf", how, "no/new.gguf: cannot create it");
	how.progress = stop;
	how.context = &n_calls;
	check_refused("f32.gguf", "new.gguf", how, "stopped");
	CHECK(access("new.gguf", F_OK) == -1);
}

int main(void)
{
	char folder[64];

	if (!CHECK(scratch_open(folder)))
		return check_exit();
	test_types();
	test_choices();
	test_threads();
	test_ternary();
	test_again();
	test_refusals();
	CHECK(chdir("/") == 0);
	scratch_remove_tree(folder);
	return check_exit();
}
