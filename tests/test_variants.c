/*
 * test_variants.c: what keys change within an architecture (stretched contexts, activations, windows), the engine
 * beside the reference model.
 */
#include <math.h>
#include <string.h>

#include "scratch.h"
#include "tiny_architectures.h"

static char folder[200];

static int write_file(const char *path, const uint8_t *data, size_t n_bytes)
{
	FILE *file = fopen(path, "wb");
	const int ok = file && fwrite(data, 1, n_bytes, file) == n_bytes;

	return file && !fclose(file) && ok ? 0 : -1;
}

/* Largest distance of logits, over the largest logit. */
static double error_of(const float *logits, const double *expected, long n)
{
	double most = 0, largest = 0;

	for (long i = 0; i < n; i++) {
		const double d = fabs((double)logits[i] - expected[i]);

		most = d <= most ? most : d;
		largest = fmax(largest, fabs(expected[i]));
	}
	return most / largest;
}

static void check_logits(struct quern_model *model, const struct model *variant,
			 const double *expected)
{
	const struct quern_context_options options = {.size = sizeof options,
						      .n_context = variant->n_context,
						      .n_outputs = N_TOKENS};
	struct quern_context *context = NULL;
	struct quern_error err = {.text = ""};
	double bound;
	int32_t ids[N_TOKENS];
	const struct quern_input input = {0, ids, N_TOKENS, QUERN_ALL_LOGITS};

	for (long i = 0; i < N_TOKENS; i++)
		ids[i] = token_at(i);
	if (!CHECK(quern_context_open(&context, model, &options, &err) == 0 &&
		   quern_feed(context, &input, 1, &err) == 0))
		printf("%s: %s\n", variant->name, err.text);
	/* What keys and values lose in f16 grows with the number of layers, 46 and 62 in the large ones. */
	bound = strstr(variant->name, "27b") ? 5e-3 : 1e-3;
	for (long t = 0; t < N_TOKENS && !*err.text; t++) {
		const double e =
			error_of(quern_logits(context, t), expected + t * TINY_VOCAB, TINY_VOCAB);

		if (!CHECK(e < bound))
			printf("%s: logits of token %ld are off by %g\n", variant->name, t, e);
	}
	quern_context_close(context);
}

static void check_variant(struct quern_engine *engine, const struct model *variant)
{
	static double expected[N_LOGITS];
	struct tiny model = {0}, copy = {0};
	struct quern_model *opened = NULL;
	struct quern_error err;
	char path[300];
	size_t n_bytes;
	uint8_t *data;

	variant->make(&copy);
	run(&copy, variant->n_context, expected);
	variant->make(&model);
	data = tiny_write(&model, &n_bytes);
	snprintf(path, sizeof path, "%s/%s.gguf", folder, variant->name);
	CHECK(write_file(path, data, n_bytes) == 0);
	free(data);
	if (CHECK(quern_model_open(&opened, engine, path, NULL, &err) == 0))
		check_logits(opened, variant, expected);
	else
		printf("%s: %s\n", variant->name, err.text);
	quern_model_close(opened);
}

int main(void)
{
	const struct quern_options options = {.size = sizeof options, .n_threads = 2};
	struct quern_engine *engine;

	if (!CHECK(scratch_open(folder) && quern_open(&engine, &options, NULL) == 0))
		return check_exit();
	for (int i = 0; i < n_models; i++)
		check_variant(engine, &models[i]);
	quern_close(engine);
	scratch_remove_tree(folder);
	return check_exit();
}
