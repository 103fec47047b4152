/*
 * run_chat.c: a conversation.
 *
 * Before each answer the whole conversation is written by the model's chat template and tokenized; what it
 * has in common with what the model has already read is kept, so only what is new is fed.
 */
#include "run_chat.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "run_clock.h"
#include "run_line.h"
#include "run_model.h"
#include "run_options.h"
#include "run_sampling.h"

enum { MAX_MESSAGES = 4096 };

struct options {
	struct run_model_options model;
	struct quern_sampler_options sampler;
	const char *system;
	long n_tokens; /* of an answer; 0: any */
	int shifts, is_quiet;
};

struct chat {
	const struct options *o;
	struct run_model m;
	struct quern_model_info info;
	struct quern_sampler *sampler;
	struct quern_message messages[MAX_MESSAGES]; /* contents are ours */
	int n_messages, n_first; /* n_first: of them at the start that stay, the system's */
	char *text;
	int32_t *ids;
	long n_ids;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

/* ---- options ---- */

static int parse_own(const char *name, const char *value, void *arg)
{
	struct options *o = arg;

	if (!strcmp(name, "--shift") || !strcmp(name, "--quiet")) {
		*(name[2] == 's' ? &o->shifts : &o->is_quiet) = 1;
		return 1;
	}
	if (!value)
		return 0;
	if (!strcmp(name, "--system")) {
		o->system = value;
		return 2;
	}
	if (!strcmp(name, "--tokens") || !strcmp(name, "-n"))
		return run_options_number(name, value, 1L << 30, &o->n_tokens) ? -1 : 2;
	return run_sampling_option(name, value, &o->sampler);
}

/* ---- messages ---- */

static int add_message(struct chat *c, const char *role, const char *content,
		       struct quern_error *err)
{
	char *copy = strdup(content);

	if (!copy || c->n_messages == MAX_MESSAGES) {
		free(copy);
		return qn_error_set(err, "no room for more than %d messages", MAX_MESSAGES);
	}
	c->messages[c->n_messages++] = (struct quern_message){role, copy};
	return 0;
}

/* Messages i .. i + n - 1 are forgotten. */
static void drop_messages(struct chat *c, int i, int n)
{
	for (int k = i; k < i + n; k++)
		free((char *)c->messages[k].content);
	memmove(c->messages + i, c->messages + i + n,
		(size_t)(c->n_messages - i - n) * sizeof *c->messages);
	c->n_messages -= n;
}

/* The conversation as the model reads it: text, then ids. */
static int write_conversation(struct chat *c, struct quern_error *err)
{
	const int flags = QUERN_ADD_REPLY;
	int has_bos = 0, how;
	long n = quern_chat_format(c->m.tokenizer, c->messages, c->n_messages, flags, NULL, 0,
				   &has_bos, err);

	free(c->text);
	free(c->ids);
	c->ids = NULL;
	c->text = n < 0 ? NULL : malloc((size_t)n + 1);
	if (n < 0)
		return -1;
	if (!c->text)
		return qn_error_set(err, "no memory for a conversation");
	quern_chat_format(c->m.tokenizer, c->messages, c->n_messages, flags, c->text, (size_t)n,
			  &has_bos, err);
	how = QUERN_PARSE_SPECIAL | (has_bos ? 0 : QUERN_ADD_BOS);
	c->n_ids = run_model_tokenize(&c->m, c->text, (size_t)n, how, &c->ids, err);
	return c->n_ids < 0 ? -1 : 0;
}

/* The same so that there is room for an answer; what is oldest goes first, if that is allowed. */
static int fit_conversation(struct chat *c, long n_context, struct quern_error *err)
{
	const long room = n_context - n_context / 8;

	for (;;) {
		if (write_conversation(c, err))
			return -1;
		if (c->n_ids <= room)
			return 0;
		if (!c->o->shifts)
			return qn_error_set(err,
					    "the conversation has %ld tokens, more than %ld of "
					    "a context of %ld; --shift forgets what is oldest, "
					    "--context makes room",
					    c->n_ids, room, n_context);
		if (c->n_messages - c->n_first < 3)
			return qn_error_set(err,
					    "this message alone has %ld tokens, more than %ld "
					    "of a context of %ld",
					    c->n_ids, room, n_context);
		drop_messages(c, c->n_first, 2);
	}
}

/* ---- answers ---- */

struct answer {
	char *text;
	size_t n, room;
};

static int add_piece(struct answer *a, const char *piece, long n)
{
	if (a->n + (size_t)n + 1 > a->room) {
		const size_t room = (a->n + (size_t)n + 1) * 2;
		char *text = realloc(a->text, room);

		if (!text)
			return -1;
		a->text = text;
		a->room = room;
	}
	memcpy(a->text + a->n, piece, (size_t)n);
	a->text[a->n += (size_t)n] = '\0';
	return 0;
}

/* Tokens until the model ends, somebody interrupts, or there is no more room. */
static int make_answer(struct chat *c, long n_context, struct answer *a, long *n_made,
		       struct quern_error *err)
{
	struct quern_stream stream;
	char piece[1024];
	long n;

	quern_stream_start(&stream, c->m.tokenizer, 0);
	for (*n_made = 0; !interrupted && (!c->o->n_tokens || *n_made < c->o->n_tokens);
	     ++*n_made) {
		const int32_t id = quern_sample(c->sampler, quern_logits(c->m.context, 0));

		if (quern_tokenizer_is_end(c->m.tokenizer, id))
			break;
		n = quern_stream_put(&stream, id, piece, sizeof piece);
		if (n < 0 || n > (long)sizeof piece || add_piece(a, piece, n))
			return qn_error_set(err, "no room for the answer");
		fwrite(piece, 1, (size_t)n, stdout);
		fflush(stdout);
		if (quern_sequence_length(c->m.context, 0) == n_context) {
			fputs(" [the context is full]", stderr);
			break;
		}
		if (run_model_feed(&c->m, &id, 1, err))
			return -1;
	}
	n = quern_stream_end(&stream, piece, sizeof piece);
	fwrite(piece, 1, (size_t)n, stdout);
	return add_piece(a, piece, n);
}

static int reply(struct chat *c, struct quern_error *err)
{
	const long n_context = quern_context_length(c->m.context);
	struct answer a = {.n = 0};
	double start, prompt_s, make_s;
	long kept, n_made = 0;
	int status;

	if (fit_conversation(c, n_context, err))
		return -1;
	interrupted = 0;
	kept = quern_sequence_match(c->m.context, 0, c->ids, c->n_ids);
	start = run_clock_s();
	if (run_model_feed(&c->m, c->ids + kept, c->n_ids - kept, err))
		return -1;
	prompt_s = run_clock_s() - start;
	start = run_clock_s();
	status = make_answer(c, n_context, &a, &n_made, err);
	make_s = run_clock_s() - start;
	putchar('\n');
	fflush(stdout);
	if (!status)
		status = add_message(c, "assistant", a.text ? a.text : "", err);
	if (!c->o->is_quiet && n_made)
		fprintf(stderr,
			"[%ld tokens read in %.1f s, %ld said at %.1f a second, %ld of %ld "
			"in use]\n",
			c->n_ids - kept, prompt_s, n_made, (double)n_made / make_s,
			quern_sequence_length(c->m.context, 0), n_context);
	free(a.text);
	return status;
}

/* ---- the command ---- */

static void say_help(void)
{
	fputs("/clear begins anew, /help is this, Ctrl-C stops an answer, Ctrl-D ends.  A line that "
	      "ends in \\ goes on in the next.\n",
	      stderr);
}

static int talk(struct chat *c, struct run_line *line, struct quern_error *err)
{
	enum run_line_result result;
	const char *text;

	while ((result = run_line_read(line, "> ", &text)) != RUN_LINE_END) {
		if (result == RUN_LINE_INTERRUPTED) {
			fputs("(Ctrl-D ends)\n", stderr);
		} else if (!strcmp(text, "/help")) {
			say_help();
		} else if (!strcmp(text, "/clear")) {
			drop_messages(c, c->n_first, c->n_messages - c->n_first);
		} else if (*text) {
			if (add_message(c, "user", text, err))
				return -1;
			if (reply(c, err)) {
				/* The conversation is as it was, and may go on. */
				fprintf(stderr, "quern-run: %s\n", err->text);
				drop_messages(c, c->n_messages - 1, 1);
			}
		}
	}
	return 0;
}

static int run_all(struct chat *c, struct quern_error *err)
{
	const struct options *o = c->o;
	const char *home = getenv("HOME");
	char history[4096];
	struct run_line *line;
	int status;

	if (run_model_open(&c->m, &o->model, 1, err) || !quern_chat_family(c->m.tokenizer, err))
		return -1;
	quern_model_info(c->m.model, &c->info);
	if (quern_sampler_open(&c->sampler, c->info.n_vocab, &o->sampler, err) ||
	    (o->system && add_message(c, "system", o->system, err)))
		return -1;
	c->n_first = c->n_messages;
	sigaction(SIGINT, &(struct sigaction){.sa_handler = interrupt}, NULL);
	snprintf(history, sizeof history, "%s/.quern_history", home ? home : "");
	line = run_line_open(home ? history : NULL);
	if (!line)
		return qn_error_set(err, "no memory for a line");
	if (!o->is_quiet && isatty(STDIN_FILENO))
		say_help();
	status = talk(c, line, err);
	run_line_close(line);
	return status;
}

int run_chat(int argc, char **argv)
{
	struct options o = {.sampler = {.size = sizeof o.sampler,
					.temperature = 0.7f,
					.top_p = 0.95f,
					.min_p = 0.05f,
					.seed = 1}};
	struct chat *c = calloc(1, sizeof *c);
	struct quern_error err = {.text = "no memory for a conversation"};
	int status;

	if (run_model_parse("chat", argc, argv, &o.model, parse_own, &o)) {
		free(c);
		return 2;
	}
	if (c)
		c->o = &o;
	status = c ? run_all(c, &err) : -1;
	if (status)
		fprintf(stderr, "quern-run: %s\n", err.text);
	if (c) {
		drop_messages(c, 0, c->n_messages);
		free(c->text);
		free(c->ids);
		quern_sampler_close(c->sampler);
		run_model_close(&c->m);
	}
	free(c);
	return status != 0;
}
