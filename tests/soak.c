/*
 * soak.c: sixteen sequences that come and go in one context for long, with all that can be done to sequences.
 *
 *	soak [SECONDS [SEED]]
 *
 * Without SECONDS a fixed number of steps.  What is kept beside the context is each sequence's tokens; now
 * and then a sequence's logits are compared with those of the same tokens in a context of their own.
 * Pages of the cache are counted after every step.  With SECONDS the memory that the process has must not
 * have grown at the end, since every kind of context was opened once.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "llm/context.h"
#include "llm/random.h"
#include "quern.h"
#include "scratch.h"

enum {
	N_SEQUENCES = 16,
	N_CONTEXT = 100,
	N_POSITIONS = 300, /* of all: fewer than sequences could have */
	N_BATCH = 48,
	MAX_PROMPT = 60,
	STEPS = 120, /* of a round without a time */
	ROUND_STEPS = 4000,
	MAX_GROWTH_KB = 4096
};

struct sequence {
	int32_t ids[N_CONTEXT];
	long n;
};

struct soak {
	const char *arch;
	double bound; /* of the distance of logits */
	uint64_t state;
	char folder[256], path[300], session[300];
	struct quern_engine *engine;
	struct quern_model *model;
	struct quern_context *context, *alone;
	struct quern_sampler *sampler;
	struct quern_model_info info;
	struct sequence sequences[N_SEQUENCES];
	long n_saved; /* tokens of the session's file */
	int32_t saved[N_CONTEXT];
	long n_full, n_long, n_compared, n_tokens, n_steps;
};

static struct quern_error err;

/* ---- accounts ---- */

/* Every page is either free or has the users that it counts. */
static void check_pages(const struct soak *s)
{
	const struct qn_cache *cache = &s->context->cache;
	int32_t *n_users = calloc((size_t)cache->n_pages, sizeof *n_users);
	long n_free = 0, n_bad = 0;

	if (!n_users)
		abort();
	for (int i = 0; i < N_SEQUENCES; i++) {
		const struct qn_sequence *q = &cache->sequences[i];

		for (long page = 0; page * QN_PAGE < q->n; page++)
			n_users[q->pages[page]]++;
	}
	for (long i = 0; i < cache->n_pages; i++) {
		n_bad += n_users[i] != cache->n_users[i];
		n_free += n_users[i] == 0;
	}
	for (long i = 0; i < cache->n_free; i++)
		n_bad += n_users[cache->free_pages[i]]++ != 0; /* also when it is there twice */
	CHECK(n_bad == 0);
	CHECK(n_free == cache->n_free);
	free(n_users);
}

static void check_tokens(const struct soak *s)
{
	for (int i = 0; i < N_SEQUENCES; i++) {
		const struct sequence *q = &s->sequences[i];

		if (CHECK(quern_sequence_length(s->context, i) == q->n))
			CHECK(!memcmp(quern_sequence_ids(s->context, i), q->ids,
				      (size_t)q->n * sizeof *q->ids));
	}
}

/* ---- logits ---- */

static double distance(const float *a, const float *b, long n)
{
	double diff = 0, all = 0;

	for (long i = 0; i < n; i++) {
		diff += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
		all += (double)b[i] * (double)b[i];
	}
	return sqrt(diff / all);
}

/* Row `row` of the last logits are those behind the sequence's tokens. */
static void compare(struct soak *s, int sequence, long row)
{
	const struct sequence *q = &s->sequences[sequence];
	const struct quern_input input = {0, q->ids, q->n, QUERN_LAST_LOGITS};
	double d;

	quern_sequence_cut(s->alone, 0, 0);
	if (!CHECK(quern_feed(s->alone, &input, 1, &err) == 0))
		return;
	d = distance(quern_logits(s->context, row), quern_logits(s->alone, 0), s->info.n_vocab);
	s->n_compared++;
	if (!CHECK(d <= s->bound))
		printf("%s: step %ld: logits of sequence %d, %ld tokens, are off by %g\n", s->arch,
		       s->n_steps, sequence, q->n, d);
}

/* ---- what is done ---- */

static int any_sequence(struct soak *s)
{
	return (int)check_below(&s->state, N_SEQUENCES);
}

static long any_length(struct soak *s, long n)
{
	return (long)check_below(&s->state, (unsigned)n + 1);
}

/* A prompt of a few tokens or of many, or one token that the model may have said. */
static long choose_tokens(struct soak *s, int32_t *ids, const float *logits)
{
	const unsigned kind = check_below(&s->state, 4);
	const long n = kind == 0   ? 1 + (long)check_below(&s->state, MAX_PROMPT)
		       : kind == 1 ? 1 + (long)check_below(&s->state, 5)
				   : 1;

	for (long i = 0; i < n; i++)
		ids[i] = (int32_t)check_below(&s->state, (unsigned)s->info.n_vocab);
	if (n == 1 && logits)
		ids[0] = quern_sample(s->sampler, logits);
	return n;
}

/* Several sequences go on, in one call; 1: there was no room for that. */
static int feed_some(struct soak *s, int n_inputs)
{
	static int32_t ids[N_SEQUENCES][MAX_PROMPT];
	struct quern_input inputs[N_SEQUENCES];
	const int first = any_sequence(s);
	int is_long = 0;
	long n_rows = 0;

	for (int i = 0; i < n_inputs; i++) {
		const int sequence = (first + i) % N_SEQUENCES;
		const long room = N_CONTEXT - s->sequences[sequence].n;
		long n = choose_tokens(s, ids[i], quern_logits(s->context, i));

		/* Most of them know what there is room for. */
		if (n > room && room > 0 && check_below(&s->state, 16))
			n = room;

		is_long |= s->sequences[sequence].n + n > N_CONTEXT;
		inputs[i] = (struct quern_input){sequence, ids[i], n, QUERN_LAST_LOGITS};
	}
	if (quern_feed(s->context, inputs, n_inputs, &err)) {
		CHECK_SAYS(err.text, is_long ? "" : "cache is full");
		s->n_full += !is_long;
		s->n_long += is_long;
		return 1;
	}
	CHECK(!is_long);
	for (int i = 0; i < n_inputs; i++) {
		struct sequence *q = &s->sequences[inputs[i].sequence];

		memcpy(q->ids + q->n, ids[i], (size_t)inputs[i].n * sizeof *q->ids);
		q->n += inputs[i].n;
		s->n_tokens += inputs[i].n;
		n_rows++;
	}
	CHECK(quern_logits(s->context, n_rows) == NULL);
	if (check_below(&s->state, 8) == 0) {
		const int i = (int)check_below(&s->state, (unsigned)n_inputs);

		compare(s, inputs[i].sequence, i);
	}
	return 0;
}

static void cut(struct soak *s, int sequence, long n)
{
	struct sequence *q = &s->sequences[sequence];

	quern_sequence_cut(s->context, sequence, n);
	q->n = n < q->n ? n : q->n;
}

static void share(struct soak *s, int from, int to, long n)
{
	const struct sequence source = s->sequences[from];

	quern_sequence_share(s->context, from, to, n);
	s->sequences[to] = source;
	s->sequences[to].n = n < source.n ? n : source.n;
}

/* What a sequence has in common with another one's tokens is kept. */
static void match(struct soak *s, int sequence, int with)
{
	struct sequence *q = &s->sequences[sequence];
	const struct sequence other = s->sequences[with];
	long same = 0;

	if (other.n == 0)
		return;
	while (same < q->n && same < other.n - 1 && q->ids[same] == other.ids[same])
		same++;
	CHECK(quern_sequence_match(s->context, sequence, other.ids, other.n) == same);
	q->n = same;
}

static void save(struct soak *s, int sequence)
{
	const struct sequence *q = &s->sequences[sequence];

	if (q->n == 0)
		return;
	if (!CHECK(quern_session_save(s->context, sequence, s->session, &err) == 0))
		puts(err.text);
	memcpy(s->saved, q->ids, sizeof s->saved);
	s->n_saved = q->n;
}

static void load(struct soak *s, int sequence)
{
	struct sequence *q = &s->sequences[sequence];

	q->n = 0;
	if (s->n_saved == 0) {
		CHECK(quern_session_load(s->context, sequence, s->session, &err) == -1);
		return;
	}
	if (quern_session_load(s->context, sequence, s->session, &err)) {
		CHECK_SAYS(err.text, "cache is full");
		s->n_full++;
		return;
	}
	memcpy(q->ids, s->saved, sizeof q->ids);
	q->n = s->n_saved;
}

static void take_step(struct soak *s)
{
	const unsigned what = check_below(&s->state, 40);
	const int a = any_sequence(s), b = any_sequence(s);

	if (what < 24) {
		const int n = 1 + (int)check_below(&s->state, N_SEQUENCES);

		/* Where there is no room, some leave, and there is. */
		for (int i = 0; feed_some(s, n) && i < 3; i++) {
			for (int k = 0; k < 5; k++)
				cut(s, any_sequence(s), 0);
		}
	} else if (what < 28) {
		cut(s, a, any_length(s, s->sequences[a].n));
	} else if (what < 33) {
		share(s, a, b, any_length(s, s->sequences[a].n + 2));
	} else if (what < 36) {
		match(s, a, b);
	} else if (what < 38) {
		save(s, a);
	} else {
		load(s, a);
	}
	s->n_steps++;
}

/* ---- rounds ---- */

/* The last one that comes needs all that there is. */
static void check_empty(struct soak *s)
{
	const struct qn_cache *cache = &s->context->cache;

	for (int i = 0; i < N_SEQUENCES; i++)
		cut(s, i, 0);
	check_pages(s);
	CHECK(cache->n_free == cache->n_pages);
}

static int open_context(struct soak *s, int cache_type)
{
	const struct quern_context_options many = {.size = sizeof many,
						   .n_sequences = N_SEQUENCES,
						   .n_context = N_CONTEXT,
						   .n_positions = N_POSITIONS,
						   .n_batch = N_BATCH,
						   .cache_type = cache_type};
	const struct quern_context_options one = {.size = sizeof one,
						  .n_context = N_CONTEXT,
						  .cache_type = cache_type};
	const struct quern_sampler_options how = {.size = sizeof how,
						  .temperature = 0.8f,
						  .top_k = 40,
						  .seed = 1};

	if (quern_model_open(&s->model, s->engine, s->path, NULL, &err) ||
	    quern_context_open(&s->context, s->model, &many, &err) ||
	    quern_context_open(&s->alone, s->model, &one, &err))
		return -1;
	quern_model_info(s->model, &s->info);
	return quern_sampler_open(&s->sampler, s->info.n_vocab, &how, &err);
}

static void close_context(struct soak *s)
{
	quern_sampler_close(s->sampler);
	quern_context_close(s->alone);
	quern_context_close(s->context);
	quern_model_close(s->model);
	s->sampler = NULL;
	s->alone = s->context = NULL;
	s->model = NULL;
	unlink(s->session);
	s->n_saved = 0;
}

/* Float models differ by rounding in f16; others by that of activations to int8 as well. */
static const struct subject {
	const char *arch;
	int type, cache_type;
	double bound;
} subjects[] = {{"llama", QUERN_F32, QUERN_F16, 2e-3},
		{"qwen3", QUERN_Q4_0, QUERN_F16, 0.05},
		{"gemma3", QUERN_Q8_0, QUERN_Q8_0, 0.1}};

enum { N_SUBJECTS = sizeof subjects / sizeof *subjects };

static void run_round(struct soak *s, const struct subject *subject, long n_steps)
{
	const struct qn_random what = {.arch = subject->arch,
				       .type = subject->type,
				       .output_type = -1,
				       .seed = 1};

	s->arch = subject->arch;
	s->bound = subject->bound;
	memset(s->sequences, 0, sizeof s->sequences);
	if (!CHECK(qn_random_write(s->path, &what, &err) == 0 &&
		   open_context(s, subject->cache_type) == 0)) {
		puts(err.text);
	} else {
		for (long i = 0; i < n_steps && !check_failures; i++) {
			take_step(s);
			check_pages(s);
			check_tokens(s);
		}
		check_empty(s);
	}
	close_context(s);
}

/* Memory of the process that is there, in KB. */
static long resident_kb(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long all = 0, resident = 0;

	if (file) {
		if (fscanf(file, "%ld %ld", &all, &resident) != 2)
			resident = 0;
		fclose(file);
	}
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void run_for(struct soak *s, double seconds)
{
	const double start = now_s();
	long warm_kb = 0, end_kb;
	int n_rounds = 0;

	for (; now_s() - start < seconds && !check_failures; n_rounds++) {
		if (n_rounds == 2 * N_SUBJECTS)
			warm_kb = resident_kb();
		run_round(s, &subjects[n_rounds % N_SUBJECTS], ROUND_STEPS);
	}
	end_kb = resident_kb();
	printf("%.0f s, %d rounds, %ld steps, %ld tokens, %ld logits compared, %ld times full, %ld times too "
	       "long; %ld kB at first, %ld kB at the end\n",
	       now_s() - start, n_rounds, s->n_steps, s->n_tokens, s->n_compared, s->n_full,
	       s->n_long, warm_kb, end_kb);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what is freed */
	CHECK(warm_kb == 0 || end_kb - warm_kb < MAX_GROWTH_KB);
#endif
}

int main(int argc, char **argv)
{
	static struct soak s;
	const struct quern_options options = {.size = sizeof options, .n_threads = 2};
	const double seconds = argc > 1 ? atof(argv[1]) : 0;
	const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

	s.state = seed;
	if (!CHECK(scratch_open(s.folder)))
		return check_exit();
	snprintf(s.path, sizeof s.path, "%s/model.gguf", s.folder);
	snprintf(s.session, sizeof s.session, "%s/session", s.folder);
	if (CHECK(quern_open(&s.engine, &options, &err) == 0)) {
		if (seconds > 0)
			run_for(&s, seconds);
		for (int i = 0; i < N_SUBJECTS && seconds <= 0; i++)
			run_round(&s, &subjects[i], STEPS);
		if (!CHECK(s.n_compared > 10 && s.n_full > 5 && s.n_long > 5))
			printf("%ld logits compared, %ld times full, %ld times too long\n",
			       s.n_compared, s.n_full, s.n_long);
	}
	quern_close(s.engine);
	scratch_remove_tree(s.folder);
	if (check_failures)
		printf("seed %llu\n", (unsigned long long)seed);
	return check_exit();
}
