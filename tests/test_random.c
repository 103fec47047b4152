/*
 * test_random.c: models of random weights: are all keys and tensors there, does the seed alone decide?
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "check.h"
#include "format.h"
#include "llm/random.h"
#include "llm/random_fill.h"
#include "scratch.h"

static struct quern_gguf *make(const struct qn_random *what)
{
	struct quern_error err = {.text = ""};
	struct quern_gguf *file = NULL;

	if (!CHECK(qn_random_write("x.gguf", what, &err) == 0 &&
		   quern_gguf_open(&file, "x.gguf", &err) == 0)) {
		printf("%s %s: %s\n", what->arch, what->size, err.text);
		exit(1);
	}
	return file;
}

/* ---- what a model has ---- */

/* All tensors of layer 1 and those outside of layers, as "name:K" or "name:KxM". */
static const struct model {
	const char *arch, *name; /* general.architecture */
	int n_layers;
	const char *tensors;
	const char *keys; /* "key=number", without the architecture */
} models[] = {
	{"llama", "llama", 2,
	 "token_embd.weight:72x515 output_norm.weight:72 output.weight:72x515 attn_norm.weight:72 "
	 "attn_q.weight:72x72 attn_k.weight:72x36 attn_v.weight:72x36 attn_output.weight:72x72 "
	 "ffn_norm.weight:72 ffn_gate.weight:72x180 ffn_up.weight:72x180 ffn_down.weight:180x72",
	 "context_length=128 embedding_length=72 block_count=2 feed_forward_length=180 "
	 "attention.head_count=4 attention.head_count_kv=2 rope.dimension_count=18 rope.freq_base=10000 "
	 "attention.layer_norm_rms_epsilon=0.00001 vocab_size=515"},
	{"mistral", "llama", 2, "token_embd.weight:72x515", "rope.freq_base=1000000"},
	{"phi2", "phi2", 2,
	 "token_embd.weight:80x515 output_norm.weight:80 output_norm.bias:80 output.weight:80x515 "
	 "output.bias:515 attn_norm.weight:80 attn_norm.bias:80 attn_qkv.weight:80x240 attn_qkv.bias:240 "
	 "attn_output.weight:80x80 attn_output.bias:80 ffn_up.weight:80x324 ffn_up.bias:324 "
	 "ffn_down.weight:324x80 ffn_down.bias:80",
	 "rope.dimension_count=8 attention.layer_norm_epsilon=0.00001"},
	{"phi3", "phi3", 2,
	 "token_embd.weight:72x515 output_norm.weight:72 output.weight:72x515 "
	 "rope_factors_long.weight:9 rope_factors_short.weight:9 attn_norm.weight:72 "
	 "attn_qkv.weight:72x144 attn_output.weight:72x72 ffn_norm.weight:72 ffn_up.weight:72x360 "
	 "ffn_down.weight:180x72",
	 "attention.sliding_window=24 rope.scaling.original_context_length=64 rope.dimension_count=18"},
	{"bitnet", "bitnet", 2,
	 "token_embd.weight:72x515 output_norm.weight:72 attn_norm.weight:72 attn_q.weight:72x72 "
	 "attn_k.weight:72x36 attn_v.weight:72x36 attn_sub_norm.weight:72 attn_output.weight:72x72 "
	 "ffn_norm.weight:72 ffn_gate.weight:72x180 ffn_up.weight:72x180 ffn_sub_norm.weight:180 "
	 "ffn_down.weight:180x72",
	 "rope.scaling.factor=1"},
	{"bitnet-b1.58", "bitnet-b1.58", 2, "attn_sub_norm.weight:72", "rope.freq_base=500000"},
	{"qwen2", "qwen2", 3,
	 "token_embd.weight:72x515 output_norm.weight:72 attn_norm.weight:72 attn_q.weight:72x72 "
	 "attn_q.bias:72 attn_k.weight:72x36 attn_k.bias:36 attn_v.weight:72x36 attn_v.bias:36 "
	 "attn_output.weight:72x72 ffn_norm.weight:72 ffn_gate.weight:72x180 ffn_up.weight:72x180 "
	 "ffn_down.weight:180x72",
	 "attention.layer_norm_rms_epsilon=0.000001"},
	{"qwen3", "qwen3", 3,
	 "token_embd.weight:72x515 output_norm.weight:72 attn_norm.weight:72 attn_q.weight:72x80 "
	 "attn_k.weight:72x40 attn_v.weight:72x40 attn_q_norm.weight:20 attn_k_norm.weight:20 "
	 "attn_output.weight:80x72 ffn_norm.weight:72 ffn_gate.weight:72x180 ffn_up.weight:72x180 "
	 "ffn_down.weight:180x72",
	 "attention.key_length=20 attention.value_length=20"},
	{"gemma2", "gemma2", 4,
	 "token_embd.weight:72x515 output_norm.weight:72 attn_norm.weight:72 attn_q.weight:72x80 "
	 "attn_k.weight:72x40 attn_v.weight:72x40 attn_output.weight:80x72 "
	 "post_attention_norm.weight:72 ffn_norm.weight:72 ffn_gate.weight:72x180 ffn_up.weight:72x180 "
	 "ffn_down.weight:180x72 post_ffw_norm.weight:72",
	 "attention.key_length=20 attention.value_length=20 attention.sliding_window=16 "
	 "attn_logit_softcapping=50 final_logit_softcapping=30"},
	{"gemma3", "gemma3", 7,
	 "token_embd.weight:72x515 output_norm.weight:72 attn_norm.weight:72 attn_q.weight:72x80 "
	 "attn_k.weight:72x40 attn_v.weight:72x40 attn_q_norm.weight:20 attn_k_norm.weight:20 "
	 "attn_output.weight:80x72 post_attention_norm.weight:72 ffn_norm.weight:72 "
	 "ffn_gate.weight:72x180 ffn_up.weight:72x180 ffn_down.weight:180x72 post_ffw_norm.weight:72",
	 "attention.sliding_window=16 rope.scaling.factor=8 rope.freq_base=1000000"},
};
enum { N_MODELS = sizeof(models) / sizeof(models[0]) };

static void check_tensor(const struct quern_gguf *file, const char *name, uint64_t k, uint64_t m)
{
	const int is_matrix = m > 0;
	char in_layer[80];
	struct quern_tensor tensor;

	snprintf(in_layer, sizeof(in_layer), "blk.1.%s", name);
	if (quern_gguf_find(file, name, &tensor) && quern_gguf_find(file, in_layer, &tensor)) {
		printf("there is no tensor %s\n", name);
		check_failures++;
		return;
	}
	if (!CHECK(tensor.n_dims == 1 + is_matrix && tensor.dims[0] == k &&
		   tensor.dims[1] == (is_matrix ? m : 1)))
		printf("%s\n", name);
	CHECK(tensor.type == (is_matrix ? QUERN_F16 : QUERN_F32));
}

/* Returns how many tensors were looked at, those of layers once for each. */
static int check_tensors(const struct quern_gguf *file, const struct model *model)
{
	char name[64];
	uint64_t k, m;
	int n = 0, n_chars = 0;

	for (const char *p = model->tensors;
	     sscanf(p, " %63[^:]:%lu%n", name, &k, &n_chars) == 2;) {
		p += n_chars;
		m = 0;
		if (*p == 'x' && sscanf(p, "x%lu%n", &m, &n_chars) == 1)
			p += n_chars;
		check_tensor(file, name, k, m);
		n += !strncmp(name, "output", 6) || strstr(name, "token") ||
				     !strncmp(name, "rope", 4)
			     ? 1
			     : model->n_layers;
	}
	return n;
}

static void check_keys(const struct quern_gguf *file, const struct model *model)
{
	char suffix[64], name[128];
	struct quern_value key;
	double number;
	int n_chars = 0;

	CHECK(quern_gguf_find_key(file, "general.architecture", &key) == 0);
	CHECK(key.count == strlen(model->name) && !memcmp(key.s, model->name, key.count));
	/* llama.cpp wants tokens of models that are named phi-3 which others do not have. */
	CHECK(quern_gguf_find_key(file, "general.name", &key) == 0);
	CHECK(!memmem(key.s, key.count, "phi-3", 5) && !memmem(key.s, key.count, "phi3", 4));
	for (const char *p = model->keys;
	     sscanf(p, " %63[^=]=%lf%n", suffix, &number, &n_chars) == 2; p += n_chars) {
		snprintf(name, sizeof(name), "%s.%s", model->name, suffix);
		if (!CHECK(quern_gguf_find_key(file, name, &key) == 0)) {
			puts(name);
			continue;
		}
		CHECK(key.type == QUERN_U32 ? (double)key.u == number
					    : fabs(key.f - number) <= 1e-6 * number);
	}
}

static void test_models(void)
{
	for (int i = 0; i < N_MODELS; i++) {
		const struct qn_random what = {.arch = models[i].arch,
					       .type = QUERN_F16,
					       .output_type = -1,
					       .seed = 3};
		struct quern_gguf *file = make(&what);
		int n = check_tensors(file, &models[i]);

		check_keys(file, &models[i]);
		if (n > 20 && !CHECK((size_t)n == quern_gguf_n_tensors(file)))
			printf("%s: %zu tensors\n", models[i].arch, quern_gguf_n_tensors(file));
		quern_gguf_close(file);
	}
}

static void test_llama_3(void)
{
	const struct qn_random what = {.arch = "llama", .size = "tiny-3", .output_type = -1};
	struct quern_gguf *file = make(&what);
	struct quern_tensor tensor;
	float before = 0;

	CHECK(quern_gguf_find(file, "output.weight", &tensor) == -1);
	CHECK(quern_gguf_find(file, "rope_freqs.weight", &tensor) == 0 && tensor.dims[0] == 9);
	for (int i = 0; i < 9; i++) {
		const float factor = ((const float *)tensor.data)[i];

		CHECK(factor >= before && factor >= 1 && factor <= 8);
		before = factor;
	}
	CHECK(((const float *)tensor.data)[0] == 1 && before == 8);
	quern_gguf_close(file);
}

/* ---- types ---- */

static const int types[] = {QUERN_F32,  QUERN_F16,   QUERN_BF16,  QUERN_Q4_0,   QUERN_Q4_1,
			    QUERN_Q5_0, QUERN_Q5_1,  QUERN_Q8_0,  QUERN_Q2_K,   QUERN_Q3_K,
			    QUERN_Q4_K, QUERN_Q5_K,  QUERN_Q6_K,  QUERN_IQ4_NL, QUERN_IQ4_XS,
			    QUERN_I2_S, QUERN_TQ1_0, QUERN_TQ2_0, QUERN_Q1_0,   QUERN_Q2_0};
enum { N_TYPES = sizeof(types) / sizeof(types[0]) };

static void decode(int type, const void *rows, long m, long k, long r, float *x)
{
	static uint8_t codes[2048], sub_mins[128];
	static int8_t sub_scales[128];
	static float scales[128], mins[128];
	const struct qn_row row = {codes, scales, mins, sub_scales, sub_mins};

	if (qn_format_of_type(type) < 0) {
		qn_format_read_floats(type, rows, k, r, x);
		return;
	}
	qn_format_read_row(type, rows, m, k, r, &row);
	qn_format_decode(qn_format_of_type(type), &row, k, x);
}

/* Mean 0, standard deviation 0.02, searched or not. */
static void check_spread(int type, int is_searched)
{
	enum { M = 64, K = 2048 };
	static uint8_t rows[M * K * 4 + 32];
	static float x[K];
	const float scale = qn_random_fill_ternary_scale(0.02);
	const int is_i2_s = type == QUERN_I2_S;
	struct qn_random_fill fill;
	double sum = 0, square = 0;

	CHECK(qn_random_fill_start(&fill, type, is_i2_s ? 128 : K, 0, 0.02, is_searched) == 0);
	qn_random_fill_rows(&fill, 5, 0, is_i2_s ? M * K / 128 : M, rows);
	qn_random_fill_end(&fill);
	if (is_i2_s)
		memcpy(rows + M * K / 4, &scale, 4);
	for (int r = 0; r < M; r++) {
		decode(type, rows, M, K, r, x);
		for (int i = 0; i < K; i++) {
			CHECK(isfinite(x[i]));
			sum += (double)x[i];
			square += (double)x[i] * (double)x[i];
		}
	}
	sum /= M * K;
	square = sqrt(square / (M * K));
	/* Searches lose some of it, most with ternary codes and binary ones. */
	if (!CHECK(fabs(sum) < 0.0006 && square < 0.021 && square > (is_searched ? 0.015 : 0.019)))
		printf("%s: mean %g, deviation %g\n", quern_type_name(type), sum, square);
}

static void test_types(void)
{
	struct quern_tensor tensor;
	struct quern_value key;

	for (int i = 0; i < N_TYPES; i++) {
		const struct qn_random what = {.arch = "bitnet",
					       .type = types[i],
					       .output_type = -1};
		struct quern_gguf *file = make(&what);

		CHECK(quern_gguf_find(file, "blk.0.ffn_down.weight", &tensor) == 0);
		CHECK(tensor.type == types[i]);
		CHECK(quern_gguf_find(file, "token_embd.weight", &tensor) == 0);
		CHECK(tensor.type == (types[i] == QUERN_I2_S ? QUERN_F16 : types[i]));
		CHECK(quern_gguf_find(file, "blk.0.ffn_norm.weight", &tensor) == 0);
		CHECK(tensor.type == QUERN_F32);
		CHECK(quern_gguf_find_key(file, "general.file_type", &key) == 0);
		quern_gguf_close(file);
		check_spread(types[i], 0);
		check_spread(types[i], 1);
	}
}

/* Rows do not depend on how many are made at a time. */
static void test_pieces(void)
{
	enum { K = 256 };
	uint8_t all[8 * 1024], one[1024];

	for (int i = 0; i < N_TYPES; i++) {
		for (int is_searched = 0; is_searched < 2; is_searched++) {
			struct qn_random_fill fill;

			CHECK(qn_random_fill_start(&fill, types[i], K, 0, 1, is_searched) == 0);
			qn_random_fill_rows(&fill, 9, 0, 8, all);
			for (int r = 7; r >= 0; r--) {
				qn_random_fill_rows(&fill, 9, r, 1, one);
				CHECK(!memcmp(one, all + r * fill.row_bytes,
					      (size_t)fill.row_bytes));
				CHECK(r == 0 || memcmp(one, all, (size_t)fill.row_bytes) != 0);
			}
			qn_random_fill_end(&fill);
		}
	}
}

/* ---- the seed ---- */

static uint64_t hash_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint64_t hash = 1469598103934665603u;
	int c;

	while (CHECK(file != NULL) && (c = getc(file)) != EOF)
		hash = (hash ^ (uint64_t)c) * 1099511628211u;
	if (file)
		fclose(file);
	return hash;
}

static void test_seed(void)
{
	struct qn_random what = {.arch = "gemma3", .type = QUERN_Q4_K, .output_type = QUERN_Q6_K};
	uint64_t first, second;

	quern_gguf_close(make(&what));
	first = hash_file("x.gguf");
	quern_gguf_close(make(&what));
	CHECK(hash_file("x.gguf") == first);
	what.seed = 1;
	quern_gguf_close(make(&what));
	second = hash_file("x.gguf");
	CHECK(second != first);
	/* Larger than what is searched. */
	what.n_ff = 65536;
	quern_gguf_close(make(&what));
	first = hash_file("x.gguf");
	quern_gguf_close(make(&what));
	CHECK(hash_file("x.gguf") == first && first != second);
}

/* ---- vocabularies ---- */

struct tokens {
	const struct quern_gguf *file;
	struct quern_value array;
	const char **names; /* sorted */
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int has_token(const struct tokens *tokens, const char *name)
{
	return bsearch(&name, tokens->names, tokens->array.count, sizeof(name), compare_names) !=
	       NULL;
}

static struct tokens read_tokens(const struct quern_gguf *file)
{
	struct tokens tokens = {.file = file};
	struct quern_value element;

	CHECK(quern_gguf_find_key(file, "tokenizer.ggml.tokens", &tokens.array) == 0);
	tokens.names = calloc(tokens.array.count, sizeof(*tokens.names));
	for (uint64_t i = 0; i < tokens.array.count; i++) {
		CHECK(quern_gguf_element(file, &tokens.array, i, &element) == 0);
		tokens.names[i] = strndup(element.s, element.count);
	}
	qsort(tokens.names, tokens.array.count, sizeof(*tokens.names), compare_names);
	for (uint64_t i = 1; i < tokens.array.count; i++)
		CHECK(strcmp(tokens.names[i - 1], tokens.names[i]) != 0);
	return tokens;
}

static void free_tokens(struct tokens *tokens)
{
	for (uint64_t i = 0; i < tokens->array.count; i++)
		free((char *)tokens->names[i]);
	free(tokens->names);
}

static void check_array(const struct quern_gguf *file, const char *name, uint64_t count)
{
	struct quern_value key;

	if (!CHECK(quern_gguf_find_key(file, name, &key) == 0 && key.count == count))
		puts(name);
}

/* Tokens are unique and have all bytes; halves of merges and what they make are tokens. */
static void check_vocab(const char *arch, long n_tokens, int is_bpe)
{
	const struct qn_random what = {.arch = arch, .n_vocab = n_tokens, .output_type = -1};
	struct quern_gguf *file = make(&what);
	struct tokens tokens = read_tokens(file);
	struct quern_value merges, merge;
	char text[64], *space;

	CHECK(tokens.array.count == (uint64_t)n_tokens);
	check_array(file, "tokenizer.ggml.token_type", (uint64_t)n_tokens);
	if (!is_bpe) {
		check_array(file, "tokenizer.ggml.scores", (uint64_t)n_tokens);
		for (unsigned byte = 0; byte < 256; byte++) {
			snprintf(text, sizeof(text), "<0x%02X>", byte);
			CHECK(has_token(&tokens, text));
		}
	}
	if (is_bpe && CHECK(quern_gguf_find_key(file, "tokenizer.ggml.merges", &merges) == 0)) {
		CHECK(has_token(&tokens, "\xc4\x8a") && has_token(&tokens, "\xc3\xbf"));
		for (uint64_t i = 0; quern_gguf_element(file, &merges, i, &merge) == 0; i++) {
			snprintf(text, sizeof(text), "%.*s", (int)merge.count, merge.s);
			space = strchr(text, ' ');
			if (!CHECK(space != NULL))
				continue;
			*space = '\0';
			CHECK(has_token(&tokens, text) && has_token(&tokens, space + 1));
			memmove(space, space + 1, strlen(space + 1) + 1);
			CHECK(has_token(&tokens, text));
		}
	}
	free_tokens(&tokens);
	quern_gguf_close(file);
}

static void test_vocabs(void)
{
	static const long sizes[] = {300, 515, 1055, 32000};

	for (int i = 0; i < 4; i++) {
		check_vocab("llama", sizes[i], 0);
		check_vocab("gemma3", sizes[i], 0);
		check_vocab("qwen2", sizes[i], 1);
		check_vocab("phi2", sizes[i], 1);
	}
}

/* The tokenizer of another file, as it is or with unused tokens behind. */
static void test_taken_vocab(void)
{
	struct qn_random what = {.arch = "gemma3", .output_type = -1};
	struct quern_error err = {.text = ""};
	struct quern_value key, element;
	struct quern_gguf *file;
	struct quern_tensor tensor;

	CHECK(qn_random_write("vocab.gguf", &what, &err) == 0);
	what = (struct qn_random){.arch = "llama", .vocab = "vocab.gguf", .output_type = -1};
	file = make(&what);
	CHECK(quern_gguf_find_key(file, "tokenizer.ggml.add_space_prefix", &key) == 0 && !key.u);
	check_array(file, "tokenizer.ggml.tokens", 515);
	quern_gguf_close(file);
	what.n_vocab = 600;
	file = make(&what);
	check_array(file, "tokenizer.ggml.scores", 600);
	CHECK(quern_gguf_find_key(file, "tokenizer.ggml.token_type", &key) == 0);
	CHECK(quern_gguf_element(file, &key, 599, &element) == 0 && element.i == 5);
	CHECK(quern_gguf_find(file, "token_embd.weight", &tensor) == 0 && tensor.dims[1] == 600);
	quern_gguf_close(file);
	what.n_vocab = 400;
	CHECK(qn_random_write("x.gguf", &what, &err) == -1);
	CHECK_SAYS(err.text, "vocab.gguf: it has 515 tokens, which is more than 400");
	what.vocab = "none.gguf";
	CHECK(qn_random_write("x.gguf", &what, &err) == -1);
	CHECK_SAYS(err.text, "none.gguf");
}

/* ---- what is refused ---- */

static void check_refused(struct qn_random what, const char *words)
{
	struct quern_error err = {.text = ""};

	CHECK(qn_random_write("refused.gguf", &what, &err) == -1);
	CHECK_SAYS(err.text, words);
	CHECK(access("refused.gguf", F_OK) == -1);
}

static int stop(void *context, uint64_t n_done, uint64_t n_bytes)
{
	CHECK(n_done <= n_bytes);
	return ++*(int *)context > 1;
}

static void test_refusals(void)
{
	int n_calls = 0;

	check_refused((struct qn_random){.arch = "gpt5"},
		      "architecture gpt5 is not known; there are llama");
	check_refused((struct qn_random){.arch = "phi-2", .size = "9b"},
		      "phi-2 has no size 9b; there are tiny, 2.7b");
	check_refused((struct qn_random){.size = "9b"}, "an architecture is missing");
	check_refused((struct qn_random){.arch = "llama", .n_heads = 3, .n_kv_heads = 2},
		      "3 heads cannot share 2 heads of keys");
	check_refused((struct qn_random){.arch = "phi3", .head_dim = 20},
		      "4 heads of 20 values are not an embedding of 72");
	check_refused((struct qn_random){.arch = "llama", .head_dim = 17}, "must be even");
	check_refused((struct qn_random){.size = "bitnet-3b",
					 .type = QUERN_TQ2_0,
					 .output_type = -1},
		      "rows of 3200 values; TQ2_0 needs a multiple of 256");
	check_refused((struct qn_random){.arch = "llama", .n_vocab = 100}, "can have 300 to");
	check_refused((struct qn_random){.arch = "llama",
					 .n_ff = 1 << 20,
					 .progress = stop,
					 .context = &n_calls},
		      "stopped");
	CHECK(n_calls == 2);
}

int main(void)
{
	char folder[64];

	if (!CHECK(scratch_open(folder)))
		return check_exit();
	test_models();
	test_llama_3();
	test_types();
	test_pieces();
	test_seed();
	test_vocabs();
	test_taken_vocab();
	test_refusals();
	CHECK(chdir("/") == 0);
	scratch_remove_tree(folder);
	return check_exit();
}
