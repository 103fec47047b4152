/*
 * test_model.c: models of every architecture beside a forward pass in double precision, and what must
 * not change their results: how tokens are dealt to passes and sequences, threads, the cache's type.
 */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "llm/random.h"
#include "quern.h"
#include "reference_model.h"
#include "scratch.h"

enum { N_TOKENS = 45, MAX_VOCAB = 4096 };

static char folder[256];

/* Distance of two rows of vectors, of the length of the second. */
static double distance(const float *a, const double *b, long n)
{
	double diff = 0, all = 0;

	for (long i = 0; i < n; i++) {
		diff += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
		all += b[i] * b[i];
	}
	return sqrt(diff / all);
}

static void make_ids(int32_t *ids, long n, long n_vocab, uint64_t seed)
{
	for (long i = 0; i < n; i++)
		ids[i] = (int32_t)(check_random(&seed) % (uint64_t)n_vocab);
}

/* ---- one model ---- */

struct subject {
	const char *arch;
	const char *type_name;
	struct quern_engine *engine;
	struct quern_model *model;
	long n_vocab;
	int32_t ids[N_TOKENS];
	double *expected; /* [N_TOKENS][n_vocab] */
};

static struct quern_context *open_context(struct subject *s, struct quern_context_options options)
{
	struct quern_context *context;
	struct quern_error err = {.text = ""};

	options.size = sizeof options;
	options.n_outputs = options.n_outputs ? options.n_outputs : N_TOKENS;
	if (!CHECK(quern_context_open(&context, s->model, &options, &err) == 0))
		printf("%s %s: %s\n", s->arch, s->type_name, err.text);
	return context;
}

/* All tokens at once or, in pieces, with the logits of all of them; the largest distance. */
static double compare(struct subject *s, const struct quern_context_options *options, long piece,
		      int sequence)
{
	struct quern_context *context = open_context(s, *options);
	struct quern_error err = {.text = ""};
	double worst = 0;

	for (long at = 0; context && at < N_TOKENS; at += piece) {
		const long n = N_TOKENS - at < piece ? N_TOKENS - at : piece;
		const struct quern_input input = {sequence, s->ids + at, n, QUERN_ALL_LOGITS};

		if (!CHECK(quern_feed(context, &input, 1, &err) == 0)) {
			printf("%s: %s\n", s->arch, err.text);
			break;
		}
		for (long t = 0; t < n; t++) {
			const double d = distance(quern_logits(context, t),
						  s->expected + (at + t) * s->n_vocab, s->n_vocab);

			if (worst == worst && !(d <= worst))
				worst = d;
		}
		CHECK(quern_logits(context, n) == NULL);
	}
	quern_context_close(context);
	return worst;
}

/* Several sequences in one feed, one of them begun with what another one shares. */
static void check_sequences(struct subject *s, double bound)
{
	struct quern_context *context =
		open_context(s, (struct quern_context_options){.n_sequences = 3, .n_batch = 8});
	struct quern_error err = {.text = ""};
	const struct quern_input first = {0, s->ids, 37, QUERN_NO_LOGITS};
	const struct quern_input rest[] = {{0, s->ids + 37, 3, QUERN_LAST_LOGITS},
					   {1, s->ids + 20, 5, QUERN_LAST_LOGITS},
					   {2, s->ids + 37, 1, QUERN_LAST_LOGITS},
					   {1, s->ids + 25, 2, QUERN_ALL_LOGITS}};
	const int at[] = {39, 24, 37, 25, 26};

	if (!context)
		return;
	CHECK(quern_feed(context, &first, 1, &err) == 0);
	quern_sequence_share(context, 0, 1, 20);
	quern_sequence_share(context, 0, 2, 40);
	CHECK(quern_sequence_length(context, 2) == 37);
	CHECK(quern_feed(context, rest, 4, &err) == 0);
	for (int i = 0; i < 5; i++) {
		const double d = distance(quern_logits(context, i),
					  s->expected + at[i] * s->n_vocab, s->n_vocab);

		if (!CHECK(d <= bound))
			printf("%s %s: row %d of shared sequences is off by %g\n", s->arch,
			       s->type_name, i, d);
	}
	CHECK(quern_sequence_length(context, 0) == 40);
	CHECK(quern_sequence_length(context, 1) == 27);
	quern_sequence_cut(context, 0, 10);
	CHECK(quern_sequence_length(context, 0) == 10);
	CHECK(quern_sequence_length(context, 3) == -1);
	quern_context_close(context);
}

static void check_ways(struct subject *s, double bound)
{
	static const struct {
		const char *name;
		long piece, n_batch;
		int cache_type;
		double factor; /* of the bound */
	} ways[] = {
		{"at once", N_TOKENS, 0, QUERN_F16, 1},
		{"one by one", 1, 0, QUERN_F16, 1},
		{"in passes of 7", N_TOKENS, 7, QUERN_F16, 1},
		{"in pieces of 11", 11, 4, QUERN_F16, 1},
		{"with an int8 cache", 16, 0, QUERN_Q8_0, 40},
	};

	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		const struct quern_context_options options = {.n_batch = ways[i].n_batch,
							      .cache_type = ways[i].cache_type,
							      .n_sequences = 2};
		const double d = compare(s, &options, ways[i].piece, i % 2);
		const double allowed = fmin(bound * ways[i].factor, fmax(bound, 0.05));

		if (!CHECK(d <= allowed))
			printf("%s %s %s: logits are off by %g, allowed is %g\n", s->arch,
			       s->type_name, ways[i].name, d, allowed);
	}
	check_sequences(s, bound);
}

static int make_expected(struct subject *s, const char *path)
{
	struct reference *reference = NULL;
	struct quern_gguf *file = NULL;
	struct quern_error err = {.text = ""};
	int status = -1;

	if (quern_gguf_open(&file, path, &err) || reference_open(&reference, file, 0, &err))
		goto out;
	s->n_vocab = reference_n_vocab(reference);
	s->expected = malloc((size_t)(N_TOKENS * s->n_vocab) * sizeof *s->expected);
	if (!s->expected)
		abort();
	make_ids(s->ids, N_TOKENS, s->n_vocab, 7);
	status = reference_logits(reference, s->ids, N_TOKENS, s->expected);
out:
	if (!CHECK(status == 0))
		printf("%s %s: reference: %s\n", s->arch, s->type_name, err.text);
	reference_close(reference);
	quern_gguf_close(file);
	return status;
}

static void check_model(const char *path, const char *arch, const char *type_name, double bound)
{
	struct subject s = {.arch = arch, .type_name = type_name};
	struct quern_error err = {.text = ""};

	if (make_expected(&s, path))
		return;
	for (int n_threads = 1; n_threads <= 3; n_threads += 2) {
		const struct quern_options options = {.size = sizeof options,
						      .n_threads = n_threads};

		if (CHECK(quern_open(&s.engine, &options, &err) == 0)) {
			if (CHECK(quern_model_open(&s.model, s.engine, path, NULL, &err) == 0))
				check_ways(&s, bound);
			else
				printf("%s %s: %s\n", arch, type_name, err.text);
			quern_model_close(s.model);
		}
		quern_close(s.engine);
	}
	free(s.expected);
}

/* ---- all of them ---- */

/*
 * Float models are off by what keys and values lose in f16; others by that of rounding activations to int8 as well, about
 * 0.6 % of each product, which nonlinear layers spread: what is checked is the worst of all tokens.
 */
static void check_archs(void)
{
	static const struct {
		const char *arch;
		int types[3];
	} models[] = {
		{"llama", {QUERN_F32, QUERN_Q4_K, QUERN_F16}},
		{"qwen2", {QUERN_F32, QUERN_Q8_0, -1}},
		{"qwen3", {QUERN_F32, QUERN_Q4_0, -1}},
		{"phi2", {QUERN_F32, QUERN_Q6_K, -1}},
		{"phi3", {QUERN_F32, QUERN_Q5_1, QUERN_BF16}},
		{"bitnet", {QUERN_F32, QUERN_TQ2_0, -1}},
		{"bitnet-b1.58", {QUERN_F32, QUERN_I2_S, -1}},
		{"gemma2", {QUERN_F32, QUERN_Q8_0, -1}},
		{"gemma3", {QUERN_F32, QUERN_IQ4_NL, -1}},
	};
	char path[300];

	snprintf(path, sizeof path, "%s/tiny.gguf", folder);
	for (size_t a = 0; a < sizeof models / sizeof *models; a++) {
		for (int i = 0; i < 3 && models[a].types[i] >= 0; i++) {
			const int type = models[a].types[i];
			const struct qn_random what = {.arch = models[a].arch,
						       .type = type,
						       .output_type = -1,
						       .seed = 1 + a};
			const double bound = type == QUERN_F32                         ? 1e-3
					     : type == QUERN_F16 || type == QUERN_BF16 ? 3e-3
										       : 0.05;
			struct quern_error err = {.text = ""};

			if (CHECK(qn_random_write(path, &what, &err) == 0))
				check_model(path, models[a].arch, quern_type_name(type), bound);
			else
				printf("%s: %s\n", models[a].arch, err.text);
		}
	}
	unlink(path);
}

/* ---- threads for prompts ---- */

enum { N_PROMPT = 40 };

/* Logits of every token, read as a prompt of 40 and then one by one: [N_TOKENS][n_vocab], or NULL. */
static float *run_lanes(const char *path, int n_threads, int n_prompt_threads, long *n_vocab)
{
	const struct quern_options options = {.size = sizeof options,
					      .n_threads = n_threads,
					      .n_prompt_threads = n_prompt_threads};
	struct subject s = {.arch = "llama", .type_name = "lanes"};
	struct quern_context *context;
	struct quern_model_info info;
	struct quern_error err = {.text = ""};
	float *logits = NULL;

	if (!CHECK(!quern_open(&s.engine, &options, &err)) ||
	    !CHECK(!quern_model_open(&s.model, s.engine, path, NULL, &err)))
		return NULL;
	quern_model_info(s.model, &info);
	*n_vocab = info.n_vocab;
	make_ids(s.ids, N_TOKENS, info.n_vocab, 7);
	context = open_context(&s, (struct quern_context_options){0});
	logits = malloc((size_t)(N_TOKENS * info.n_vocab) * sizeof *logits);
	if (!context || !logits)
		abort();
	for (long at = 0, n; at < N_TOKENS; at += n) {
		n = at ? 1 : N_PROMPT;
		CHECK(!quern_feed(context,
				  &(struct quern_input){0, s.ids + at, n, QUERN_ALL_LOGITS}, 1,
				  &err));
		memcpy(logits + at * info.n_vocab, quern_logits(context, 0),
		       (size_t)(n * info.n_vocab) * sizeof *logits);
	}
	quern_context_close(context);
	quern_model_close(s.model);
	quern_close(s.engine);
	return logits;
}

/* The kernel that a small matrix gets, for all threads: another one may round sums its way. */
static void force_kernel(int type)
{
	static const char zeros[18 * 16 * 8];
	const struct quern_weights w = {.size = sizeof w,
					.type = type,
					.m = 16,
					.k = 256,
					.data = zeros};
	struct quern_engine *engine;
	struct quern_matrix *matrix;
	struct quern_matrix_info info;

	if (!CHECK(!quern_open(&engine, NULL, NULL)) ||
	    !CHECK(!quern_pack(engine, &matrix, &w, NULL)))
		return;
	quern_matrix_info(matrix, &info);
	setenv("QUERN_KERNEL", info.kernel, 1);
	quern_free(matrix);
	quern_close(engine);
}

static void check_lanes(void)
{
	static const int types[] = {QUERN_F32, QUERN_Q4_0};
	static const int threads[][2] = {{1, 2}, {2, 1}, {3, 1}};
	struct quern_error err = {.text = ""};
	char path[300];
	long n_vocab = 0;

	snprintf(path, sizeof path, "%s/lanes.gguf", folder);
	force_kernel(QUERN_Q4_0);
	for (int i = 0; i < 2; i++) {
		const struct qn_random what = {.arch = "llama",
					       .type = types[i],
					       .output_type = -1,
					       .seed = 3};
		float *expected, *logits;

		if (!CHECK(!qn_random_write(path, &what, &err)))
			break;
		expected = run_lanes(path, 1, 0, &n_vocab);
		for (int t = 0; t < 3 && expected; t++) {
			logits = run_lanes(path, threads[t][0], threads[t][1], &n_vocab);
			CHECK(logits && !memcmp(logits, expected,
						(size_t)(N_TOKENS * n_vocab) * sizeof *logits));
			free(logits);
		}
		free(expected);
	}
	unsetenv("QUERN_KERNEL");
	unlink(path);
}

/* ---- long sequences ---- */

/* The last tokens cross position 1792, where a span of eight pages begins, which those before do not see. */
enum { N_LONG = 828, N_BEHIND = 788, N_SHARED = 300, N_LAST = 40, N_OTHER = 3 };

static void feed(struct quern_context *context, const struct quern_input *inputs, int n)
{
	struct quern_error err = {.text = ""};

	if (!CHECK(quern_feed(context, inputs, n, &err) == 0))
		printf("%s\n", err.text);
}

static void take_logits(const struct quern_context *context, long row, long n, long n_vocab,
			float *logits)
{
	memcpy(logits, quern_logits(context, row), (size_t)(n * n_vocab) * sizeof *logits);
}

/*
 * Logits of the last tokens of a long sequence, then of some of another one that shares its beginning: all in large
 * passes, or in small ones, whose attention is split.
 */
static void run_long(struct subject *s, const int32_t *ids, int cache_type, int in_small,
		     float *logits)
{
	static const long pieces[] = {1, 1, 1, 5, 32};
	struct quern_context *context =
		open_context(s, (struct quern_context_options){.n_sequences = 2,
							       .n_context = N_LONG,
							       .cache_type = cache_type});
	const struct quern_input begin = {0, ids, N_SHARED, QUERN_NO_LOGITS};
	const struct quern_input middle[] = {{0, ids + N_SHARED, N_LAST, QUERN_ALL_LOGITS},
					     {0, ids + N_SHARED + N_LAST,
					      N_BEHIND - N_SHARED - N_LAST, QUERN_NO_LOGITS}};
	float *last = logits, *other = logits + N_LAST * s->n_vocab;

	if (!context)
		return;
	feed(context, &begin, 1);
	feed(context, middle, 1);
	take_logits(context, 0, N_OTHER, s->n_vocab, other);
	feed(context, middle + 1, 1);
	if (!in_small) {
		feed(context, &(struct quern_input){0, ids + N_BEHIND, N_LAST, QUERN_ALL_LOGITS},
		     1);
		take_logits(context, 0, N_LAST, s->n_vocab, last);
	}
	quern_sequence_share(context, 0, 1, N_SHARED);
	/* Once more, so that what is left in memory of the first time has to do no harm. */
	for (int round = 0; round < 2 * in_small; round++) {
		last = logits;
		quern_sequence_cut(context, 0, N_BEHIND);
		quern_sequence_cut(context, 1, N_SHARED);
		for (long i = 0, at = N_BEHIND; i < 5; at += pieces[i++]) {
			const struct quern_input inputs[] = {{0, ids + at, pieces[i],
							      QUERN_ALL_LOGITS},
							     {1, ids + N_SHARED, N_OTHER,
							      QUERN_ALL_LOGITS}};

			feed(context, inputs, i ? 1 : 2); /* the first with tokens of the other */
			take_logits(context, 0, pieces[i], s->n_vocab, last);
			last += pieces[i] * s->n_vocab;
			if (!i)
				take_logits(context, 1, N_OTHER, s->n_vocab, other);
		}
	}
	quern_context_close(context);
}

/* Attention that is split gives what it gives otherwise, and the same to the bit with any threads. */
static void check_long_model(const char *path, const char *arch, int cache_type)
{
	struct subject s = {.arch = arch, .type_name = "long"};
	struct quern_model_info info;
	struct quern_error err = {.text = ""};
	float *whole = NULL, *first = NULL, *split = NULL;
	int32_t ids[N_LONG];

	for (int n_threads = 1; n_threads <= 3; n_threads++) {
		const struct quern_options options = {.size = sizeof options,
						      .n_threads = n_threads};
		size_t n_floats;

		if (!CHECK(quern_open(&s.engine, &options, &err) == 0) ||
		    !CHECK(quern_model_open(&s.model, s.engine, path, NULL, &err) == 0))
			break;
		quern_model_info(s.model, &info);
		s.n_vocab = info.n_vocab;
		make_ids(ids, N_LONG, info.n_vocab, 11);
		n_floats = (size_t)((N_LAST + N_OTHER) * info.n_vocab);
		if (n_threads == 1) {
			whole = malloc(n_floats * sizeof *whole);
			first = malloc(n_floats * sizeof *first);
			split = malloc(n_floats * sizeof *split);
			if (!whole || !first || !split)
				abort();
			run_long(&s, ids, cache_type, 0, whole);
		}
		run_long(&s, ids, cache_type, 1, n_threads == 1 ? first : split);
		if (n_threads == 1)
			memcpy(split, first, n_floats * sizeof *split);
		CHECK(!memcmp(split, first, n_floats * sizeof *split));
		for (long t = 0; t < N_LAST + N_OTHER; t++) {
			double row[MAX_VOCAB], d;

			for (long i = 0; i < info.n_vocab; i++)
				row[i] = whole[t * info.n_vocab + i];
			d = distance(split + t * info.n_vocab, row, info.n_vocab);
			if (!CHECK(d <= 1e-3))
				printf("%s: row %ld of a long sequence is off by %g\n", arch, t, d);
		}
		quern_model_close(s.model);
		quern_close(s.engine);
	}
	free(whole);
	free(first);
	free(split);
}

static void check_long(void)
{
	static const struct {
		const char *arch;
		int cache_type;
		long n_kv_heads;
	} models[] = {{"llama", QUERN_F16, 1}, {"llama", QUERN_Q8_0, 4}, {"gemma2", QUERN_F16, 2}};
	struct quern_error err = {.text = ""};
	char path[300];

	snprintf(path, sizeof path, "%s/long.gguf", folder);
	for (int i = 0; i < 3; i++) {
		const struct qn_random what = {.arch = models[i].arch,
					       .type = QUERN_F32,
					       .output_type = -1,
					       .seed = 5,
					       .n_kv_heads = models[i].n_kv_heads,
					       .n_context = N_LONG};

		if (CHECK(qn_random_write(path, &what, &err) == 0))
			check_long_model(path, models[i].arch, models[i].cache_type);
		else
			printf("%s\n", err.text);
	}
	unlink(path);
}

int main(void)
{
	if (!CHECK(scratch_open(folder)))
		return check_exit();
	check_archs();
	check_lanes();
	check_long();
	scratch_remove_tree(folder);
	return check_exit();
}
