/*
 * consumer.c: a program of somebody else's, who has only what `make install` installed.
 *
 *   consumer MODEL.gguf
 *
 * It packs every 2-D matrix of a float model as w8g32 and as w4g32, multiplies each with random
 * activations, one and three tokens at a time, and compares with the float product.
 */
#include <math.h>
#include <quern.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define N_TOKENS 3

/*
 * Bounds of the relative squared error |y - Wx|^2 / |Wx|^2.  A weight is off by at most half a step,
 * evenly spread: step^2 / 12, where step is amax/127 (w8g32) or amax/8 (w4g32) of a group of 32.
 * For normal weights (amax^2 about 5 times the mean square) that is 3e-5 and 7e-3, and activations
 * in int8 add 3e-5.  Groups with outliers do worse: the worst matrix of stories260K has 8.3e-5 and
 * 1.9e-2.
 */
static const struct {
	const char *format;
	double bound;
} cases[] = {
	{"w8g32", 2e-4},
	{"w4g32", 3e-2},
};

static uint64_t seed = 1;

/* Uniform in -1 .. 1. */
static float next_random(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (float)(int32_t)(seed >> 32) / 2147483648.0f;
}

static double relative_error(const float *w, const float *x, const float *y, long m, long k)
{
	double error = 0, power = 0;

	for (long t = 0; t < N_TOKENS; t++) {
		for (long i = 0; i < m; i++) {
			double sum = 0;

			for (long j = 0; j < k; j++)
				sum += (double)w[i * k + j] * x[t * k + j];
			error += (y[t * m + i] - sum) * (y[t * m + i] - sum);
			power += sum * sum;
		}
	}
	return error / power;
}

/* 0, or -1 when something is wrong, which was told. */
static int check_matrix(struct quern_engine *engine, const struct quern_tensor *tensor,
			const char *format, double bound)
{
	const long k = (long)tensor->dims[0], m = (long)tensor->dims[1];
	const struct quern_weights weights = {
		.size = sizeof weights,
		.type = tensor->type,
		.m = m,
		.k = k,
		.data = tensor->data,
		.format = format,
	};
	float *x = malloc(sizeof *x * N_TOKENS * k), *y = malloc(sizeof *y * N_TOKENS * m);
	float *one = malloc(sizeof *one * m);
	struct quern_matrix *matrix = NULL;
	struct quern_error err = {"out of memory"};
	char text[512];
	double error;
	int rc = -1;

	if (!x || !y || !one || quern_pack(engine, &matrix, &weights, &err) < 0)
		goto out;
	for (long i = 0; i < N_TOKENS * k; i++)
		x[i] = next_random();
	if (quern_multiply(engine, (const struct quern_matrix *[]){matrix}, 1, x, N_TOKENS, k,
			   (float *[]){y}, (long[]){m}, &err) < 0 ||
	    quern_multiply(engine, (const struct quern_matrix *[]){matrix}, 1, x, 1, k,
			   (float *[]){one}, (long[]){m}, &err) < 0)
		goto out;
	error = relative_error(tensor->data, x, y, m, k);
	quern_explain(matrix, text, sizeof text);
	printf("%s: nmse %.2e, %s\n", tensor->name, error, text);
	snprintf(err.text, sizeof err.text, "nmse %.2e is above %.0e", error, bound);
	rc = error <= bound ? 0 : -1; /* also when it is no number */
	for (long i = 0; rc == 0 && i < m; i++) {
		if (one[i] != y[i]) {
			snprintf(err.text, sizeof err.text,
				 "row %ld differs between 1 and %d tokens", i, N_TOKENS);
			rc = -1;
		}
	}
out:
	if (rc < 0)
		fprintf(stderr, "consumer: %s as %s: %s\n", tensor->name, format, err.text);
	quern_free(matrix);
	free(one);
	free(y);
	free(x);
	return rc;
}

static int check_model(struct quern_engine *engine, const struct quern_gguf *model)
{
	long n_matrices = 0;
	int rc = 0;

	for (size_t i = 0; i < quern_gguf_n_tensors(model); i++) {
		struct quern_tensor tensor;

		if (quern_gguf_tensor(model, i, &tensor) < 0 || tensor.n_dims != 2 ||
		    tensor.type != QUERN_F32)
			continue;
		n_matrices++;
		for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
			rc |= check_matrix(engine, &tensor, cases[c].format, cases[c].bound);
	}
	if (n_matrices == 0)
		fprintf(stderr, "consumer: the model has no float matrix\n");
	return n_matrices == 0 ? -1 : rc;
}

int main(int argc, char **argv)
{
	struct quern_engine *engine = NULL;
	struct quern_gguf *model = NULL;
	struct quern_error err;
	int rc = -1;

	if (argc != 2) {
		fprintf(stderr, "usage: consumer MODEL.gguf\n");
		return 2;
	}
	if (quern_gguf_open(&model, argv[1], &err) < 0 || quern_open(&engine, NULL, &err) < 0)
		fprintf(stderr, "consumer: %s\n", err.text);
	else
		rc = check_model(engine, model);
	quern_close(engine);
	quern_gguf_close(model);
	return rc != 0;
}
