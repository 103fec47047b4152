/*
 * run_generate.c: continues a text.  The text goes to standard output as it comes, what it took to
 * standard error.
 */
#include "run_generate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "run_clock.h"
#include "run_model.h"
#include "run_options.h"
#include "run_sampling.h"

struct options {
	struct run_model_options model;
	struct quern_sampler_options sampler;
	const char *prompt;
	long n_tokens;
	int ignores_end, is_quiet, shifts;
};

struct run {
	const struct options *options;
	struct run_model m;
	struct quern_sampler *sampler;
	int32_t *ids; /* the prompt, later what the context has of the text */
	long n_ids, n_prompt, n_made, n_fed;
	double prompt_s, make_s;
};

/* ---- options ---- */

/* A run_model_own_fn. */
static int parse_own(const char *name, const char *value, void *arg)
{
	struct options *o = arg;

	if (!strcmp(name, "--ignore-end") || !strcmp(name, "--quiet") || !strcmp(name, "--shift")) {
		*(name[2] == 'i'   ? &o->ignores_end
		  : name[2] == 'q' ? &o->is_quiet
				   : &o->shifts) = 1;
		return 1;
	}
	if (!value)
		return 0;
	if (!strcmp(name, "--prompt") || !strcmp(name, "-p")) {
		o->prompt = value;
		return 2;
	}
	if (!strcmp(name, "--tokens") || !strcmp(name, "-n"))
		return run_options_number(name, value, 1L << 30, &o->n_tokens) ? -1 : 2;
	return run_sampling_option(name, value, &o->sampler);
}

/* ---- the text ---- */

static int read_prompt(struct run *r, struct quern_error *err)
{
	const char *text = r->options->prompt;

	r->n_prompt = run_model_tokenize(&r->m, text, strlen(text),
					 QUERN_ADD_BOS | QUERN_PARSE_SPECIAL, &r->ids, err);
	if (!r->n_prompt)
		return qn_error_set(err, "the prompt has no tokens, and this model begins with "
					 "none: --prompt TEXT gives it something to go on from");
	return r->n_prompt < 0 ? -1 : 0;
}

/* All but the latest half of a context is forgotten, and the token that the model begins with stays. */
static void shift(struct run *r, long n_context)
{
	const int32_t bos = quern_tokenizer_special(r->m.tokenizer, QUERN_BOS);
	const long first = n_context > 3 && r->ids[0] == bos, n = (n_context + 1) / 2 - first;

	memmove(r->ids + first, r->ids + r->n_ids - n, (size_t)n * sizeof *r->ids);
	r->n_ids = first + n;
	quern_sequence_cut(r->m.context, 0, 0);
}

/* Feeds what the model has not read of ids. */
static int feed(struct run *r, struct quern_error *err)
{
	const long n_context = quern_context_length(r->m.context);
	long n_read;

	if (r->n_ids > n_context && !r->options->shifts)
		return qn_error_set(err,
				    "the text has %ld tokens; the context has room for %ld: "
				    "--shift forgets what is oldest, --context makes room",
				    r->n_ids, n_context);
	if (r->n_ids > n_context)
		shift(r, n_context);
	n_read = quern_sequence_length(r->m.context, 0);
	return run_model_feed(&r->m, r->ids + n_read, r->n_ids - n_read, err);
}

static int feed_prompt(struct run *r, struct quern_error *err)
{
	const size_t room = (size_t)(r->n_prompt + quern_context_length(r->m.context) + 1);
	int32_t *ids = realloc(r->ids, room * sizeof *ids);

	if (!ids)
		return qn_error_set(err, "no memory for %zu tokens", room);
	r->ids = ids;
	r->n_ids = r->n_prompt;
	return feed(r, err);
}

static int say(struct quern_stream *stream, int32_t id, struct quern_error *err)
{
	char piece[1024];
	const long n = quern_stream_put(stream, id, piece, sizeof piece);

	if (n < 0 || n > (long)sizeof piece)
		return qn_error_set(err, "token %d has no text that fits", id);
	fwrite(piece, 1, (size_t)n, stdout);
	fflush(stdout);
	return 0;
}

static int make_text(struct run *r, struct quern_error *err)
{
	const struct options *o = r->options;
	struct quern_stream stream;
	char rest[4];
	int32_t id;

	quern_stream_start(&stream, r->m.tokenizer, r->n_prompt <= 1 ? QUERN_AT_START : 0);
	while (r->n_made < o->n_tokens) {
		id = quern_sample(r->sampler, quern_logits(r->m.context, 0));
		if (!o->ignores_end && quern_tokenizer_is_end(r->m.tokenizer, id))
			break;
		r->n_made++;
		if (say(&stream, id, err))
			return -1;
		r->ids[r->n_ids++] = id;
		if (r->n_made < o->n_tokens && feed(r, err))
			return -1;
		r->n_fed += r->n_made < o->n_tokens;
	}
	fwrite(rest, 1, (size_t)quern_stream_end(&stream, rest, sizeof rest), stdout);
	putchar('\n');
	return 0;
}

static void tell_figures(const struct run *r)
{
	struct quern_model_info info;

	quern_model_info(r->m.model, &info);
	fprintf(stderr, "\nload        %9.2f s\n", r->m.load_s);
	fprintf(stderr, "prompt      %9ld tokens  %9.2f tokens/s\n", r->n_prompt,
		(double)r->n_prompt / r->prompt_s);
	if (r->n_fed)
		fprintf(stderr, "generation  %9ld tokens  %9.2f tokens/s  %.1f GB/s of weights\n",
			r->n_made, (double)r->n_fed / r->make_s,
			1e-9 * (double)info.weight_bytes * (double)r->n_fed / r->make_s);
}

static int run_all(struct run *r, struct quern_error *err)
{
	const struct options *o = r->options;
	struct quern_model_info info;
	double start;

	if (run_model_open(&r->m, &o->model, 1, err) || read_prompt(r, err))
		return -1;
	quern_model_info(r->m.model, &info);
	if (quern_sampler_open(&r->sampler, info.n_vocab, &o->sampler, err))
		return -1;
	for (long i = 0; i < r->n_prompt; i++)
		quern_sampler_note(r->sampler, r->ids[i]);
	start = run_clock_s();
	if (feed_prompt(r, err))
		return -1;
	r->prompt_s = run_clock_s() - start;
	start = run_clock_s();
	if (make_text(r, err))
		return -1;
	r->make_s = run_clock_s() - start;
	if (!o->is_quiet)
		tell_figures(r);
	return 0;
}

int run_generate(int argc, char **argv)
{
	struct options o = {.prompt = "", .n_tokens = 128, .sampler.size = sizeof o.sampler};
	struct run r = {.options = &o};
	struct quern_error err;
	int status;

	if (run_model_parse("generate", argc, argv, &o.model, parse_own, &o))
		return 2;
	status = run_all(&r, &err);
	if (status) {
		fflush(stdout);
		fprintf(stderr, "quern-run: %s\n", err.text);
	}
	free(r.ids);
	quern_sampler_close(r.sampler);
	run_model_close(&r.m);
	return status != 0;
}
