/*
 * context.c: opens contexts, feeds them tokens in passes, and looks after sequences.
 */
#include "context.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../pages.h"

enum { DEFAULT_CONTEXT = 4096, DEFAULT_BATCH = QN_PASS_TOKENS, MAX_SEQUENCES = 1 << 16 };

/* ---- opening ---- */

/* The next n_bytes of memory, on a cache line; with memory NULL only counted. */
static void *carve(uint8_t *memory, size_t *at, size_t n_bytes)
{
	void *p = memory ? memory + *at : NULL;

	*at += (n_bytes + 63) / 64 * 64;
	return p;
}

/* Places all vectors in memory; returns how many bytes they take. */
static size_t place_vectors(struct quern_context *c, long n_context, uint8_t *memory)
{
	const struct quern_model *m = c->model;
	const size_t n = (size_t)c->n_batch, f = sizeof(float);
	size_t at = 0;

	c->x = carve(memory, &at, n * (size_t)m->n_embd * f);
	c->h = carve(memory, &at, n * (size_t)m->n_embd * f);
	c->o = carve(memory, &at, n * (size_t)m->n_embd * f);
	c->qkv = carve(memory, &at, n * (size_t)qn_model_qkv_floats(m) * f);
	c->heads = carve(memory, &at, n * (size_t)(m->n_heads * m->d_v) * f);
	c->ff = carve(memory, &at, n * 2 * (size_t)m->n_ff * f);
	for (int i = 0; i < m->n_ropes; i++) {
		c->turns[i] = carve(memory, &at, n * (size_t)m->ropes[i].n_dims * f);
		c->frequencies[i] = carve(memory, &at, (size_t)m->ropes[i].n_dims * sizeof(double));
	}
	c->scratch = carve(memory, &at, n * qn_model_embed_bytes(m));
	c->parts = carve(memory, &at, qn_attention_floats(m, c->n_batch, n_context) * f);
	c->tokens = carve(memory, &at, n * sizeof *c->tokens);
	c->runs = carve(memory, &at, n * sizeof *c->runs);
	c->logits = carve(memory, &at, (size_t)(c->max_outputs * m->n_vocab) * f);
	return at;
}

static void set_frequencies(const struct qn_rope *rope, long n_context, double *frequencies)
{
	const long n = rope->n_dims / 2;
	const float *factors = rope->long_factors && n_context > rope->long_context
				       ? rope->long_factors
				       : rope->short_factors;

	for (long i = 0; i < n; i++) {
		const double plain = pow(rope->base, -2.0 * (double)i / (double)rope->n_dims);
		const double part = rope->ramp_high > 0 ? ((double)i - rope->ramp_low) /
								  (rope->ramp_high - rope->ramp_low)
							: 1;
		const double slowed = fmin(1, fmax(0, part));

		frequencies[i] = plain * (1 - slowed + slowed / rope->factor) /
				 (factors ? (double)factors[i] : 1);
	}
}

static int set_options(struct quern_context *c, const struct quern_context_options *o,
		       long *n_context, long *n_positions, int *n_sequences,
		       struct quern_error *err)
{
	const long trained = c->model->n_context;

	*n_sequences = o->n_sequences ? o->n_sequences : 1;
	*n_context = o->n_context                ? o->n_context
		     : trained < DEFAULT_CONTEXT ? trained
						 : DEFAULT_CONTEXT;
	*n_positions = o->n_positions;
	c->n_batch = o->n_batch ? o->n_batch : DEFAULT_BATCH;
	c->max_outputs = o->n_outputs ? o->n_outputs : *n_sequences;
	if (*n_sequences < 1 || *n_sequences > MAX_SEQUENCES)
		return qn_error_set(err, "%d sequences: there must be 1 to %d", *n_sequences,
				    MAX_SEQUENCES);
	if (*n_context < 1 || *n_context > trained)
		return qn_error_set(err, "a context of %ld tokens: the model was made for 1 to %ld",
				    *n_context, trained);
	if (!*n_positions)
		*n_positions = *n_context * *n_sequences;
	if (*n_positions < 1 || *n_positions > 1L << 30)
		return qn_error_set(err, "a cache of %ld tokens: must be 1 to %ld", *n_positions,
				    1L << 30);
	if (c->n_batch < 1 || c->n_batch > 1 << 16 || c->max_outputs < 1 ||
	    c->max_outputs > 1 << 20)
		return qn_error_set(err,
				    "%ld tokens a pass and %ld rows of logits: must be 1 to "
				    "65536, and 1 to 1048576",
				    c->n_batch, c->max_outputs);
	if (o->cache_type != QUERN_F16 && o->cache_type != QUERN_Q8_0 && o->cache_type != 0)
		return qn_error_set(err, "a cache of type %d: QUERN_F16 and QUERN_Q8_0 are known",
				    o->cache_type);
	return 0;
}

int quern_context_open(struct quern_context **out, struct quern_model *model,
		       const struct quern_context_options *options, struct quern_error *err)
{
	struct quern_context_options o = {0};
	struct quern_context *c = calloc(1, sizeof *c);
	long n_context, n_positions;
	int n_sequences;

	*out = NULL;
	if (!c)
		return qn_error_set(err, "no memory for a context");
	if (options)
		memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
	c->model = model;
	c->engine = model->engine;
	if (set_options(c, &o, &n_context, &n_positions, &n_sequences, err))
		goto failed;
	c->memory_bytes = place_vectors(c, n_context, NULL);
	c->memory = qn_pages_alloc(c->memory_bytes, 1);
	if (!c->memory) {
		qn_error_set(err, "no memory for passes of %ld tokens (%zu bytes)", c->n_batch,
			     c->memory_bytes);
		goto failed;
	}
	place_vectors(c, n_context, c->memory);
	for (int i = 0; i < model->n_ropes; i++)
		set_frequencies(&model->ropes[i], n_context, c->frequencies[i]);
	if (qn_cache_open(&c->cache, model, o.cache_type == QUERN_Q8_0, n_sequences, n_context,
			  n_positions, err))
		goto failed;
	*out = c;
	return 0;
failed:
	quern_context_close(c);
	return -1;
}

void quern_context_close(struct quern_context *c)
{
	if (!c)
		return;
	qn_cache_close(&c->cache);
	if (c->memory)
		qn_pages_free(c->memory, c->memory_bytes);
	free(c);
}

long quern_context_length(const struct quern_context *c)
{
	return c->cache.n_context;
}

/* ---- feeding ---- */

static int check_input(const struct quern_context *c, const struct quern_input *input,
		       long *n_outputs, struct quern_error *err)
{
	if (input->sequence < 0 || input->sequence >= c->cache.n_sequences)
		return qn_error_set(err, "sequence %d: this context has 0 to %d", input->sequence,
				    c->cache.n_sequences - 1);
	if (input->n < 1)
		return qn_error_set(err, "sequence %d: %ld tokens; there must be some",
				    input->sequence, input->n);
	for (long i = 0; i < input->n; i++) {
		if (input->ids[i] < 0 || input->ids[i] >= c->model->n_vocab)
			return qn_error_set(err,
					    "token %ld of sequence %d is %d; this model has 0 "
					    "to %ld",
					    i, input->sequence, input->ids[i],
					    c->model->n_vocab - 1);
	}
	*n_outputs += input->logits == QUERN_ALL_LOGITS ? input->n : input->logits != 0;
	return 0;
}

static void add_token(struct quern_context *c, const struct qn_token *token)
{
	const struct qn_token *before = c->n_tokens ? &c->tokens[c->n_tokens - 1] : NULL;

	if (before && before->sequence == token->sequence &&
	    before->position + 1 == token->position)
		c->runs[c->n_runs - 1].n++;
	else
		c->runs[c->n_runs++] = (struct qn_run){c->n_tokens, 1};
	c->tokens[c->n_tokens++] = *token;
	if (c->n_tokens == c->n_batch) {
		qn_forward_run(c);
		c->n_tokens = c->n_runs = 0;
	}
}

int quern_feed(struct quern_context *c, const struct quern_input *inputs, int n,
	       struct quern_error *err)
{
	long n_outputs = 0;
	int i;

	for (i = 0; i < n; i++) {
		if (check_input(c, &inputs[i], &n_outputs, err))
			return -1;
	}
	if (n_outputs > c->max_outputs)
		return qn_error_set(err, "%ld rows of logits: this context has room for %ld",
				    n_outputs, c->max_outputs);
	for (i = 0; i < n; i++) {
		if (qn_cache_extend(&c->cache, inputs[i].sequence, inputs[i].ids, inputs[i].n,
				    err)) {
			while (i-- > 0)
				qn_cache_cut(&c->cache, inputs[i].sequence,
					     c->cache.sequences[inputs[i].sequence].n -
						     inputs[i].n);
			return -1;
		}
	}
	pthread_mutex_lock(&c->engine->lock);
	c->n_outputs = c->n_tokens = c->n_runs = 0;
	for (i = 0; i < n; i++) {
		const struct quern_input *input = &inputs[i];
		long position = c->cache.sequences[input->sequence].n - input->n;

		/* What comes later of the same sequence stands behind. */
		for (int j = i + 1; j < n; j++)
			position -= inputs[j].sequence == input->sequence ? inputs[j].n : 0;
		for (long t = 0; t < input->n; t++)
			add_token(c,
				  &(struct qn_token){.id = input->ids[t],
						     .sequence = input->sequence,
						     .position = position + t,
						     .is_wanted =
							     input->logits == QUERN_ALL_LOGITS ||
							     (input->logits && t == input->n - 1)});
	}
	if (c->n_tokens)
		qn_forward_run(c);
	pthread_mutex_unlock(&c->engine->lock);
	return 0;
}

const float *quern_logits(const struct quern_context *c, long i)
{
	return i >= 0 && i < c->n_outputs ? c->logits + i * c->model->n_vocab : NULL;
}

/* ---- sequences ---- */

static int is_sequence(const struct quern_context *c, int sequence)
{
	return sequence >= 0 && sequence < c->cache.n_sequences;
}

long quern_sequence_length(const struct quern_context *c, int sequence)
{
	return is_sequence(c, sequence) ? c->cache.sequences[sequence].n : -1;
}

const int32_t *quern_sequence_ids(const struct quern_context *c, int sequence)
{
	return is_sequence(c, sequence) ? c->cache.sequences[sequence].ids : NULL;
}

long quern_sequence_match(struct quern_context *c, int sequence, const int32_t *ids, long n)
{
	const struct qn_sequence *s =
		is_sequence(c, sequence) ? &c->cache.sequences[sequence] : NULL;
	long same = 0;

	while (s && same < s->n && same < n - 1 && s->ids[same] == ids[same])
		same++;
	quern_sequence_cut(c, sequence, same);
	return same;
}

void quern_sequence_cut(struct quern_context *c, int sequence, long n)
{
	if (is_sequence(c, sequence))
		qn_cache_cut(&c->cache, sequence, n < 0 ? 0 : n);
}

void quern_sequence_share(struct quern_context *c, int from, int to, long n)
{
	if (is_sequence(c, from) && is_sequence(c, to))
		qn_cache_share(&c->cache, from, to, n < 0 ? 0 : n);
}
