/*
 * sample.c: picks the next token from logits.
 *
 * Filters work on a list of candidates in falling order of their logits.  Only as many as a filter may
 * look at are sorted: a heap gives them one by one.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../quern.h"

struct candidate {
	float logit;
	int32_t id;
};

struct quern_sampler {
	struct quern_sampler_options options;
	long n_vocab;
	struct candidate
		*candidates; /* [n_vocab]: a heap, largest first; at its end what left it */
	int32_t *recent;     /* [n_repeat], a ring */
	long n_recent;       /* that were ever noted */
	uint64_t state;
};

/* ---- opening ---- */

static int check_options(const struct quern_sampler_options *o, struct quern_error *err)
{
	if (!(o->temperature >= 0 && o->temperature <= 1e6f))
		return qn_error_set(err,
				    "temperature %g: must be 0 (the most likely token) or more",
				    (double)o->temperature);
	if (o->top_k < 0)
		return qn_error_set(err, "top-k %ld: must be 0 (all) or more", o->top_k);
	if (!(o->top_p >= 0 && o->top_p <= 1) || !(o->min_p >= 0 && o->min_p <= 1))
		return qn_error_set(err, "top-p %g and min-p %g: must be from 0 to 1",
				    (double)o->top_p, (double)o->min_p);
	if (!(o->repeat_penalty >= 0 && o->repeat_penalty <= 1e6f))
		return qn_error_set(err, "repeat penalty %g: must be above 0 (1 is none)",
				    (double)o->repeat_penalty);
	if (o->n_repeat < 0 || o->n_repeat > 1 << 20)
		return qn_error_set(err, "%ld tokens not to repeat: must be from 0 to %d",
				    o->n_repeat, 1 << 20);
	return 0;
}

int quern_sampler_open(struct quern_sampler **out, long n_vocab,
		       const struct quern_sampler_options *options, struct quern_error *err)
{
	struct quern_sampler_options o = {0};
	struct quern_sampler *s;

	*out = NULL;
	if (options)
		memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
	if (check_options(&o, err))
		return -1;
	if (n_vocab < 1)
		return qn_error_set(err, "%ld tokens to choose from: there must be some", n_vocab);
	o.n_repeat = o.n_repeat ? o.n_repeat : 64;
	s = calloc(1, sizeof *s);
	if (s) {
		s->candidates = malloc((size_t)n_vocab * sizeof *s->candidates);
		s->recent = malloc((size_t)o.n_repeat * sizeof *s->recent);
	}
	if (!s || !s->candidates || !s->recent) {
		quern_sampler_close(s);
		return qn_error_set(err, "no memory to choose from %ld tokens", n_vocab);
	}
	s->options = o;
	s->n_vocab = n_vocab;
	s->state = o.seed;
	*out = s;
	return 0;
}

void quern_sampler_close(struct quern_sampler *s)
{
	if (!s)
		return;
	free(s->candidates);
	free(s->recent);
	free(s);
}

void quern_sampler_note(struct quern_sampler *s, int32_t id)
{
	s->recent[s->n_recent++ % s->options.n_repeat] = id;
}

/* ---- choosing ---- */

/* From 0 to below 1 (splitmix64). */
static double draw(struct quern_sampler *s)
{
	uint64_t z = s->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static int is_better(const struct candidate *a, const struct candidate *b)
{
	return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

static void sink(struct candidate *heap, long n, long i)
{
	for (long child; (child = 2 * i + 1) < n; i = child) {
		const struct candidate kept = heap[i];

		if (child + 1 < n && is_better(&heap[child + 1], &heap[child]))
			child++;
		if (!is_better(&heap[child], &kept))
			return;
		heap[i] = heap[child];
		heap[child] = kept;
	}
}

/* Moves the best of the heap to its end. */
static void take_best(struct candidate *heap, long *n)
{
	const struct candidate best = heap[0];

	heap[0] = heap[--*n];
	heap[*n] = best;
	sink(heap, *n, 0);
}

static int was_noted(const struct quern_sampler *s, int32_t id, long before)
{
	for (long i = 0; i < before; i++) {
		if (s->recent[i] == id)
			return 1;
	}
	return 0;
}

/* All logits that are numbers as candidates, in no order; penalties included. */
static long list_candidates(struct quern_sampler *s, const float *logits)
{
	const long n_recent = s->n_recent < s->options.n_repeat ? s->n_recent : s->options.n_repeat;
	const float penalty = s->options.repeat_penalty;
	long n = 0;

	for (long i = 0; i < s->n_vocab; i++)
		s->candidates[i] = (struct candidate){.logit = logits[i], .id = (int32_t)i};
	for (long i = 0; i < n_recent && penalty > 0; i++) {
		const int32_t id = s->recent[i];

		if (id < 0 || id >= s->n_vocab || was_noted(s, id, i))
			continue;
		s->candidates[id].logit *= logits[id] > 0 ? 1 / penalty : penalty;
	}
	for (long i = 0; i < s->n_vocab; i++) {
		if (s->candidates[i].logit == s->candidates[i].logit)
			s->candidates[n++] = s->candidates[i];
	}
	return n;
}

/* Softmax with the temperature, not divided by its sum. */
static double weigh(const struct quern_sampler *s, const struct candidate *c, float peak)
{
	return (double)expf((c->logit - peak) / s->options.temperature);
}

/* One of n candidates by its weight; candidate i stands at first[i * step]. */
static int32_t draw_from(struct quern_sampler *s, const struct candidate *first, long step, long n,
			 double sum, float peak)
{
	double left = draw(s) * sum;

	for (long i = 0; i < n - 1; i++, first += step) {
		left -= weigh(s, first, peak);
		if (left < 0)
			break;
	}
	return first->id;
}

/*
 * A token by its probability among those that pass all filters: of what top_k leaves, those that min_p and top_p let
 * through (Holtzman et al., "The curious case of neural text degeneration", 2019).  What is taken from
 * the heap stands behind it, the best one last.
 */
static int32_t choose_by_chance(struct quern_sampler *s, long n)
{
	const struct quern_sampler_options *o = &s->options;
	const int has_top_p = o->top_p > 0 && o->top_p < 1;
	const long most = o->top_k && o->top_k < n ? o->top_k : n;
	struct candidate *heap = s->candidates;
	double total = 0, sum = 0;
	long left = n, kept = 0;
	float peak;

	for (long i = n / 2 - 1; i >= 0; i--)
		sink(heap, n, i);
	peak = heap[0].logit;
	if (peak == INFINITY || peak == -INFINITY)
		return heap[0].id;
	while (most < n && n - left < most)
		take_best(heap, &left);
	for (long i = n - most; i < n; i++)
		total += weigh(s, &heap[i], peak);
	if (!has_top_p && o->min_p <= 0)
		return draw_from(s, heap + n - most, 1, most, total, peak);
	for (; kept < most; kept++) {
		double weight;

		if (kept == n - left)
			take_best(heap, &left);
		weight = weigh(s, &heap[n - 1 - kept], peak);
		if (kept &&
		    (weight < (double)o->min_p || (has_top_p && sum >= (double)o->top_p * total)))
			break;
		sum += weight;
	}
	return draw_from(s, heap + n - 1, -1, kept, sum, peak);
}

int32_t quern_sample(struct quern_sampler *s, const float *logits)
{
	const long n = list_candidates(s, logits);
	int32_t id = 0;

	if (n && s->options.temperature > 0) {
		id = choose_by_chance(s, n);
	} else if (n) {
		const struct candidate *best = s->candidates;

		for (long i = 1; i < n; i++) {
			if (is_better(&s->candidates[i], best))
				best = &s->candidates[i];
		}
		id = best->id;
	}
	quern_sampler_note(s, id);
	return id;
}
