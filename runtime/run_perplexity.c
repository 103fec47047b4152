/*
 * run_perplexity.c: how well a model predicts a text, and how far it is from another one's predictions.
 *
 * As llama.cpp does: the text is cut into windows of a context's length, each begins anew (with BOS where the model
 * wants it), and the second half of each is scored, so that every token has at least half a window before it.
 * Predictions are stored as 16-bit steps below the likeliest token of each row, down to e^-16 of it.
 */
#include "run_perplexity.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "draft.h"
#include "error.h"
#include "run_clock.h"
#include "run_model.h"
#include "run_options.h"

enum { PIECE = 128 }; /* tokens fed, and rows of logits, at a time */
#define RANGE 16.0f   /* of stored log-probabilities */

static const char magic[8] = "QUERNKL";

struct options {
	struct run_model_options model;
	const char *text, *save, *base;
	long n_windows;
};

struct score {
	long n;
	double nll, nll2; /* sums of -ln p of the text's tokens, and of their squares */
	double kl, kl2;   /* of divergences from the stored predictions */
	long n_same;      /* rows with the same likeliest token */
};

struct run {
	const struct options *o;
	struct run_model m;
	struct quern_model_info info;
	int32_t *ids;
	long n_ids, n_window; /* tokens */
	uint16_t *row;        /* [n_vocab] stored */
	struct qn_draft save; /* o->save, where it is asked for */
	FILE *base;
	struct score score;
};

/* ---- options ---- */

/* A run_model_own_fn. */
static int parse_own(const char *name, const char *value, void *arg)
{
	struct options *o = arg;

	if (!value)
		return 0;
	if (!strcmp(name, "--windows"))
		return run_options_number(name, value, 1L << 30, &o->n_windows) ? -1 : 2;
	if (!strcmp(name, "--file") || !strcmp(name, "-f"))
		o->text = value;
	else if (!strcmp(name, "--save-logits"))
		o->save = value;
	else if (!strcmp(name, "--kl"))
		o->base = value;
	else
		return 0;
	return 2;
}

static int parse_options(int argc, char **argv, struct options *o)
{
	if (run_model_parse("perplexity", argc, argv, &o->model, parse_own, o))
		return -1;
	return o->text ? 0 : run_options_complain("%s needs --file TEXT", "perplexity");
}

/* ---- the text ---- */

static char *read_file(const char *path, size_t *n, struct quern_error *err)
{
	FILE *file = fopen(path, "rb");
	size_t room = 1 << 16;
	char *text = malloc(room);

	*n = 0;
	while (file && text) {
		*n += fread(text + *n, 1, room - *n, file);
		if (*n < room)
			break;
		char *more = realloc(text, room *= 2);

		if (!more)
			free(text);
		text = more;
	}
	if (!file || !text || ferror(file)) {
		qn_error_set(err, "%s: cannot read: %s", path, strerror(errno));
		free(text);
		text = NULL;
	}
	if (file)
		fclose(file);
	return text;
}

static int read_text(struct run *r, struct quern_error *err)
{
	size_t n_bytes;
	char *text = read_file(r->o->text, &n_bytes, err);

	if (!text)
		return -1;
	r->n_ids = run_model_tokenize(&r->m, text, n_bytes, 0, &r->ids, err);
	free(text);
	return r->n_ids < 0 ? -1 : 0;
}

/* ---- scoring ---- */

/* ln of the sum of e^logits. */
static double log_sum(const float *logits, long n, float *peak)
{
	double sum = 0;

	*peak = -INFINITY;
	for (long i = 0; i < n; i++)
		*peak = fmaxf(*peak, logits[i]);
	for (long i = 0; i < n; i++)
		sum += exp((double)(logits[i] - *peak));
	return log(sum) + (double)*peak;
}

static int save_row(struct run *r, const float *logits, float peak, double total,
		    struct quern_error *err)
{
	const float top = (float)((double)peak - total);

	for (long i = 0; i < r->info.n_vocab; i++)
		r->row[i] = (uint16_t)lrintf(fminf(RANGE, peak - logits[i]) * (65535 / RANGE));
	return qn_draft_write(&r->save, &top, sizeof top, err) ||
			       qn_draft_write(&r->save, r->row, 2 * (size_t)r->info.n_vocab, err)
		       ? -1
		       : 0;
}

/* sum p ln(p / q), p the stored probabilities, q these. */
static int compare_row(struct run *r, const float *logits, double total, struct quern_error *err)
{
	const double step = (double)RANGE / 65535;
	double kl = 0, sum = 0, log_total;
	float top;
	long best = 0, own = 0;

	if (fread(&top, sizeof top, 1, r->base) != 1 ||
	    fread(r->row, 2, (size_t)r->info.n_vocab, r->base) != (size_t)r->info.n_vocab)
		return qn_error_set(err, "%s: cut short", r->o->base);
	/* What was rounded is made to be probabilities again; those at the end of the range are none. */
	for (long i = 0; i < r->info.n_vocab; i++)
		sum += r->row[i] < UINT16_MAX ? exp((double)top - (double)r->row[i] * step) : 0;
	log_total = log(sum);
	for (long i = 0; i < r->info.n_vocab; i++) {
		const double log_p = (double)top - (double)r->row[i] * step - log_total;

		if (r->row[i] < UINT16_MAX)
			kl += exp(log_p) * (log_p - ((double)logits[i] - total));
		best = r->row[i] < r->row[best] ? i : best;
		own = logits[i] > logits[own] ? i : own;
	}
	r->score.kl += kl;
	r->score.kl2 += kl * kl;
	r->score.n_same += best == own;
	return 0;
}

static int score_row(struct run *r, const float *logits, int32_t next, struct quern_error *err)
{
	float peak;
	const double total = log_sum(logits, r->info.n_vocab, &peak);
	const double nll = total - (double)logits[next];

	r->score.n++;
	r->score.nll += nll;
	r->score.nll2 += nll * nll;
	if (r->o->save && save_row(r, logits, peak, total, err))
		return -1;
	return r->base ? compare_row(r, logits, total, err) : 0;
}

/* Tokens first .. first + n_window - 1 of the text. */
static int score_window(struct run *r, long first, struct quern_error *err)
{
	const long n = r->n_window;
	int32_t ids[PIECE];
	int32_t bos[4];
	/* The model's first token takes the place of the window's. */
	const long n_bos = quern_tokenize(r->m.tokenizer, "", 0, QUERN_ADD_BOS, bos, 4, NULL);

	quern_sequence_cut(r->m.context, 0, 0);
	for (long at = 0; at < n - 1; at += PIECE) {
		const long count = n - 1 - at < PIECE ? n - 1 - at : PIECE;
		const struct quern_input input = {0, ids, count, QUERN_ALL_LOGITS};

		memcpy(ids, r->ids + first + at, (size_t)count * sizeof *ids);
		if (at == 0 && n_bos > 0)
			ids[0] = bos[0];
		if (quern_feed(r->m.context, &input, 1, err))
			return -1;
		for (long t = 0; t < count; t++) {
			if (at + t >= n / 2 - 1 && score_row(r, quern_logits(r->m.context, t),
							     r->ids[first + at + t + 1], err))
				return -1;
		}
	}
	return 0;
}

/* ---- stored predictions ---- */

struct head {
	char magic[8];
	int64_t n_vocab, n_window, n_windows;
};

static int open_stored(struct run *r, long n_windows, struct quern_error *err)
{
	struct head head = {.n_vocab = r->info.n_vocab,
			    .n_window = r->n_window,
			    .n_windows = n_windows};
	struct head found;

	memcpy(head.magic, magic, sizeof magic);
	if (r->o->save && (qn_draft_open(&r->save, r->o->save, err) ||
			   qn_draft_write(&r->save, &head, sizeof head, err)))
		return -1;
	if (!r->o->base)
		return 0;
	r->base = fopen(r->o->base, "rb");
	if (!r->base)
		return qn_error_set(err, "%s: cannot open: %s", r->o->base, strerror(errno));
	if (fread(&found, sizeof found, 1, r->base) != 1 ||
	    memcmp(found.magic, magic, sizeof magic))
		return qn_error_set(err, "%s: not what --save-logits writes", r->o->base);
	if (found.n_vocab != head.n_vocab || found.n_window != head.n_window ||
	    found.n_windows < n_windows)
		return qn_error_set(err,
				    "%s: has %lld windows of %lld tokens of a vocabulary of "
				    "%lld; here they are %ld of %ld of %ld",
				    r->o->base, (long long)found.n_windows,
				    (long long)found.n_window, (long long)found.n_vocab, n_windows,
				    r->n_window, r->info.n_vocab);
	return 0;
}

/* ---- the command ---- */

static double deviation(double sum, double squares, long n)
{
	const double mean = sum / (double)n;

	return n > 1 ? sqrt(fmax(0, squares / (double)n - mean * mean) / (double)(n - 1)) : 0;
}

static void tell(const struct run *r, long window, long n_windows)
{
	const struct score *s = &r->score;

	fprintf(stderr,
		isatty(STDERR_FILENO) ? "\r%ld of %ld windows: perplexity %.4f "
				      : "%ld of %ld windows: perplexity %.4f\n",
		window, n_windows, exp(s->nll / (double)s->n));
}

static void print_result(const struct run *r)
{
	const struct score *s = &r->score;
	const double ppl = exp(s->nll / (double)s->n);

	printf("perplexity %.4f +- %.4f (%ld tokens)\n", ppl,
	       ppl * deviation(s->nll, s->nll2, s->n), s->n);
	if (r->base)
		printf("KL divergence %.6f +- %.6f, same likeliest token %.2f %%\n",
		       s->kl / (double)s->n, deviation(s->kl, s->kl2, s->n),
		       100.0 * (double)s->n_same / (double)s->n);
}

static int score_all(struct run *r, struct quern_error *err)
{
	long n_windows = r->n_ids / r->n_window;
	double told = run_clock_s();

	if (r->o->n_windows && r->o->n_windows < n_windows)
		n_windows = r->o->n_windows;
	if (n_windows < 1)
		return qn_error_set(err,
				    "%s has %ld tokens; at least one window of %ld is needed "
				    "(--context)",
				    r->o->text, r->n_ids, r->n_window);
	r->row = malloc((size_t)r->info.n_vocab * sizeof *r->row);
	if (!r->row)
		return qn_error_set(err, "no memory for a row of predictions");
	if (open_stored(r, n_windows, err))
		return -1;
	for (long i = 0; i < n_windows; i++) {
		if (score_window(r, i * r->n_window, err))
			return -1;
		if (run_clock_s() - told > 2) {
			told = run_clock_s();
			tell(r, i + 1, n_windows);
		}
	}
	if (r->o->save && qn_draft_keep(&r->save, err))
		return -1;
	print_result(r);
	return 0;
}

static int run_all(struct run *r, struct quern_error *err)
{
	struct run_model_options o = r->o->model;

	o.context.n_context = o.context.n_context ? o.context.n_context : 512;
	o.context.n_outputs = PIECE;
	r->n_window = o.context.n_context;
	if (r->n_window < 4)
		return qn_error_set(err,
				    "a context of %ld tokens leaves nothing to score; at "
				    "least 4 do",
				    r->n_window);
	if (run_model_open(&r->m, &o, 1, err))
		return -1;
	quern_model_info(r->m.model, &r->info);
	return read_text(r, err) || score_all(r, err) ? -1 : 0;
}

int run_perplexity(int argc, char **argv)
{
	struct options o = {.text = NULL};
	struct run r = {.o = &o};
	struct quern_error err;
	int status;

	if (parse_options(argc, argv, &o))
		return 2;
	status = run_all(&r, &err);
	if (status)
		fprintf(stderr, "quern-run: %s\n", err.text);
	qn_draft_drop(&r.save); /* of a run that has failed */
	if (r.base)
		fclose(r.base);
	free(r.row);
	free(r.ids);
	run_model_close(&r.m);
	return status != 0;
}
