/*
 * test_sample.c: which tokens a sampler picks, and how often.
 */
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "quern.h"

enum { N = 8, DRAWS = 40000 };

static struct quern_sampler *open_sampler(struct quern_sampler_options o, long n)
{
	struct quern_sampler *s = NULL;
	struct quern_error err = {.text = ""};

	o.size = sizeof o;
	if (!CHECK(quern_sampler_open(&s, n, &o, &err) == 0)) {
		puts(err.text);
		abort();
	}
	return s;
}

static void test_greedy(void)
{
	struct quern_sampler *s = open_sampler((struct quern_sampler_options){.seed = 1}, N);
	const float plain[N] = {0, 3, 1, 7, 7, -2, 6.5f, 0};
	const float odd[N] = {NAN, -INFINITY, NAN, -3, NAN, -1, NAN, -2};
	const float none[N] = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
	const float high[N] = {0, INFINITY, NAN, INFINITY, 0, 0, 0, 0};

	CHECK(quern_sample(s, plain) == 3);
	CHECK(quern_sample(s, odd) == 5);
	CHECK(quern_sample(s, none) == 0);
	CHECK(quern_sample(s, high) == 1);
	quern_sampler_close(s);
	s = open_sampler((struct quern_sampler_options){.temperature = 1}, N);
	CHECK(quern_sample(s, high) == 1);
	CHECK(quern_sample(s, none) == 0);
	quern_sampler_close(s);
}

/* Draws beside the probabilities that are expected: no one off by more than 5 standard deviations. */
static void check_shares(struct quern_sampler_options options, const float *logits,
			 const double *expected)
{
	struct quern_sampler *s = open_sampler(options, N);
	long counts[N] = {0};

	for (int i = 0; i < DRAWS; i++)
		counts[quern_sample(s, logits)]++;
	for (int i = 0; i < N; i++) {
		const double p = expected[i], off = (double)counts[i] - DRAWS * p;

		if (!CHECK(fabs(off) <= 5 * sqrt(DRAWS * p * (1 - p))))
			printf("token %d: %ld of %d, expected %.4f\n", i, counts[i], DRAWS, p);
	}
	quern_sampler_close(s);
}

/* Softmax of the tokens in `kept` alone. */
static void soften(const float *logits, const int *kept, double temperature, double *p)
{
	double sum = 0;

	for (int i = 0; i < N; i++)
		sum += p[i] = kept[i] ? exp((double)logits[i] / temperature) : 0;
	for (int i = 0; i < N; i++)
		p[i] /= sum;
}

static void test_shares(void)
{
	/* Probabilities of about .017 .343 .046 .126 .208 .006 .208 .046 */
	const float logits[N] = {0, 3, 1, 2, 2.5f, -1, 2.5f, 1};
	const int all[N] = {1, 1, 1, 1, 1, 1, 1, 1}, three[N] = {0, 1, 0, 0, 1, 0, 1, 0};
	const int four[N] = {0, 1, 0, 1, 1, 0, 1, 0}, two[N] = {0, 1, 0, 0, 1, 0, 0, 0};
	double p[N];

	soften(logits, all, 1, p);
	check_shares((struct quern_sampler_options){.temperature = 1, .seed = 2}, logits, p);
	soften(logits, all, 0.5, p);
	check_shares((struct quern_sampler_options){.temperature = 0.5f, .seed = 3}, logits, p);
	soften(logits, three, 1, p);
	check_shares((struct quern_sampler_options){.temperature = 1, .top_k = 3, .seed = 4},
		     logits, p);
	soften(logits, four, 1, p);
	check_shares((struct quern_sampler_options){.temperature = 1, .top_p = 0.8f, .seed = 5},
		     logits, p);
	check_shares((struct quern_sampler_options){.temperature = 1, .min_p = 0.3f, .seed = 6},
		     logits, p);
	/* Of two that are alike the first goes before. */
	soften(logits, two, 1, p);
	check_shares((struct quern_sampler_options){.temperature = 1, .top_k = 2, .seed = 7},
		     logits, p);
	soften(logits, two, 2, p);
	check_shares((struct quern_sampler_options){.temperature = 2,
						    .top_k = 3,
						    .top_p = 0.6f,
						    .seed = 8},
		     logits, p);
}

static void test_penalty(void)
{
	const float logits[N] = {-1, 4, 3, 2, -5, -5, -5, -5};
	struct quern_sampler *s =
		open_sampler((struct quern_sampler_options){.repeat_penalty = 2, .n_repeat = 3}, N);

	CHECK(quern_sample(s, logits) == 1); /* 4 */
	CHECK(quern_sample(s, logits) == 2); /* 2 3 2 */
	CHECK(quern_sample(s, logits) == 1); /* 2 1.5 2 */
	CHECK(quern_sample(s, logits) == 1); /* ring of 2 1 1: 2 1.5 2 */
	quern_sampler_note(s, 3);
	quern_sampler_note(s, 3);
	quern_sampler_note(s, 1000000); /* no token of this model */
	CHECK(quern_sample(s, logits) == 1);
	quern_sampler_close(s);
}

static void test_refusals(void)
{
	static const struct {
		struct quern_sampler_options o;
		const char *says;
	} bad[] = {
		{{.temperature = -1}, "temperature -1"},
		{{.temperature = NAN}, "temperature"},
		{{.top_k = -1}, "top-k -1"},
		{{.top_p = 1.5f}, "top-p 1.5"},
		{{.min_p = NAN}, "min-p"},
		{{.repeat_penalty = -2}, "penalty -2"},
		{{.n_repeat = -1}, "-1 tokens"},
	};
	struct quern_sampler *s;
	struct quern_error err;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct quern_sampler_options o = bad[i].o;

		o.size = sizeof o;
		CHECK(quern_sampler_open(&s, N, &o, &err) == -1 && s == NULL);
		CHECK_SAYS(err.text, bad[i].says);
	}
	CHECK(quern_sampler_open(&s, 0, NULL, &err) == -1);
	CHECK_SAYS(err.text, "0 tokens");
}

int main(void)
{
	test_greedy();
	test_shares();
	test_penalty();
	test_refusals();
	return check_exit();
}
