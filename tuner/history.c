/* history.c: questions taken apart, answers sorted by kernel. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>

#include <jansson.h>

#include "device.h"
#include "fail.h"
#include "hash.h"
#include "history.h"

#define MAX_WORDS 16

struct reader {
	struct history *history;
	struct gen *gen;
	double at;
	char *words[MAX_WORDS]; /* of the question */
	int n_words;
	const char *answer;
};

/* ---- candidates and places ---- */

static size_t find_slot(const struct history *history, const char *name)
{
	size_t i = (size_t)hash_text(HASH_START, name);

	for (;; i++) {
		const size_t slot = i & (history->n_index - 1), one = history->index[slot];

		if (one == HISTORY_NONE || !strcmp(history->candidates[one].name, name))
			return slot;
	}
}

size_t history_find(const struct history *history, const char *name)
{
	return history->n_index ? history->index[find_slot(history, name)] : HISTORY_NONE;
}

static void grow_index(struct history *history)
{
	const size_t n = history->n_index ? 2 * history->n_index : 256;

	free(history->index);
	history->index = fail_alloc(n, sizeof(*history->index));
	history->n_index = n;
	for (size_t i = 0; i < n; i++)
		history->index[i] = HISTORY_NONE;
	for (size_t i = 0; i < history->n_candidates; i++)
		history->index[find_slot(history, history->candidates[i].name)] = i;
}

static size_t need_candidate(struct reader *in, const char *name)
{
	struct history *history = in->history;
	struct history_candidate *one;
	size_t slot;

	if (2 * history->n_candidates >= history->n_index)
		grow_index(history);
	slot = find_slot(history, name);
	if (history->index[slot] != HISTORY_NONE)
		return history->index[slot];
	history->candidates = fail_grow(history->candidates, history->n_candidates, sizeof(*one));
	one = &history->candidates[history->n_candidates];
	*one = (struct history_candidate){.name = fail_text("%s", name), .nmse = -1, .at = in->at};
	return history->index[slot] = history->n_candidates++;
}

/* A whole number that is all of the text. */
static int read_whole(const char *text, long least, long *number)
{
	char *end;

	errno = 0;
	*number = strtol(text, &end, 10);
	return !isdigit((unsigned char)*text) || *end || errno || *number < least ? -1 : 0;
}

/* "w4g32", "4096x4096", "n1", "t1@cortex-a715". */
static int read_place(char *const *words, struct history_place *place)
{
	char *copy = fail_text("%s", words[1]), *k = copy, *cores;
	const char *m = strsep(&k, "x");
	long threads = 0;
	int status = -1;

	memset(place, 0, sizeof(*place));
	if (k && read_whole(m, 1, &place->m) == 0 && read_whole(k, 1, &place->k) == 0 &&
	    *words[2] == 'n' && read_whole(words[2] + 1, 1, &place->n) == 0 && *words[3] == 't') {
		char *target = fail_text("%s", words[3] + 1);

		cores = target;
		m = strsep(&cores, "@");
		status = read_whole(m, 1, &threads) < 0 || threads > INT_MAX ? -1 : 0;
		snprintf(place->cores, sizeof(place->cores), "%s", cores ? cores : "");
		free(target);
	}
	place->threads = (int)threads;
	snprintf(place->format, sizeof(place->format), "%s", words[0]);
	snprintf(place->text, sizeof(place->text), "%s %s %s", words[1], words[2], words[3]);
	free(copy);
	return status;
}

static int need_place(struct reader *in, size_t *number)
{
	struct history *history = in->history;
	struct history_place place;

	if (read_place(in->words + 1, &place) < 0)
		return -1;
	/* Mostly the last one. */
	for (size_t i = history->n_places; i > 0; i--) {
		const struct history_place *one = &history->places[i - 1];

		if (!strcmp(one->text, place.text) && !strcmp(one->format, place.format)) {
			*number = i - 1;
			return 0;
		}
	}
	history->places = fail_grow(history->places, history->n_places, sizeof(place));
	history->places[history->n_places] = place;
	*number = history->n_places++;
	return 0;
}

/* ---- answers ---- */

/* "fail why"; 1: it is one. */
static int take_failure(struct reader *in, size_t candidate, size_t place)
{
	struct history *history = in->history;
	struct history_failure failure = {.candidate = candidate, .place = place, .at = in->at};
	char **out = &history->candidates[candidate].failure;

	if (strncmp(in->answer, "fail ", 5))
		return 0;
	snprintf(failure.verb, sizeof(failure.verb), "%s", in->words[0]);
	failure.why = fail_text("%s", in->answer + 5);
	history->failures = fail_grow(history->failures, history->n_failures, sizeof(failure));
	history->failures[history->n_failures++] = failure;
	/* What cannot be opened or asked is the case's fault (blame of pass.c). */
	if (!*out && strncmp(failure.why, "case ", 5) && strncmp(failure.why, "error ", 6) &&
	    strcmp(failure.verb, "count") && strcmp(failure.verb, "sustain"))
		*out = fail_text("%s", failure.why);
	return 1;
}

/* "verify NAME" */
static int take_verify(struct reader *in)
{
	size_t candidate;
	double nmse;

	if (in->n_words != 2)
		return -1;
	candidate = need_candidate(in, in->words[1]);
	if (take_failure(in, candidate, HISTORY_NONE))
		return 0;
	if (strncmp(in->answer, "ok ", 3) ||
	    device_value_double(in->answer + 3, "nmse", &nmse) < 0 || !(nmse >= 0))
		return -1;
	in->history->candidates[candidate].nmse = nmse;
	return 0;
}

static void add_sample(struct history_candidate *one, const struct history_sample *sample)
{
	for (size_t i = one->n_samples; i > 0; i--) {
		struct history_sample *before = &one->samples[i - 1];

		if (before->place != sample->place || strcmp(before->stage, sample->stage))
			break;
		before->is_superseded |= before->round == sample->round;
	}
	one->samples = fail_grow(one->samples, one->n_samples, sizeof(*sample));
	one->samples[one->n_samples++] = *sample;
}

/* "time FORMAT MxK nN TARGET NAME STAGE [WORD]... ROUND" */
static int take_time(struct reader *in)
{
	struct history_sample sample = {.at = in->at};
	const char *stage = in->n_words > 6 ? in->words[6] : "";
	size_t candidate;
	long round;
	long long ns, calls, flags;

	if (in->n_words < 8 || need_place(in, &sample.place) < 0 ||
	    read_whole(in->words[in->n_words - 1], 0, &round) < 0 || round > INT_MAX)
		return -1;
	candidate = need_candidate(in, in->words[5]);
	if (take_failure(in, candidate, sample.place))
		return 0;
	if (strncmp(in->answer, "ok ", 3) || device_value_long(in->answer + 3, "ns", &ns) < 0 ||
	    device_value_long(in->answer + 3, "calls", &calls) < 0 ||
	    device_value_long(in->answer + 3, "flags", &flags) < 0 || ns < 1 || calls < 1 ||
	    flags < 0 || flags > INT_MAX)
		return -1;
	for (int i = 7; i < in->n_words - 1; i++) {
		if (!strcmp(in->words[i], "warm"))
			stage = "warm";
	}
	snprintf(sample.stage, sizeof(sample.stage), "%s", stage);
	sample.round = (int)round;
	sample.calls = (long)calls;
	sample.flags = (int)flags;
	sample.ns_per_call = (double)ns / (double)calls;
	add_sample(&in->history->candidates[candidate], &sample);
	return 0;
}

/* Other questions about a kernel in a place: only their failures. */
static int take_other(struct reader *in)
{
	size_t place;

	if (strncmp(in->answer, "fail ", 5))
		return 0;
	if (in->n_words < 6 || need_place(in, &place) < 0)
		return -1;
	take_failure(in, need_candidate(in, in->words[5]), place);
	return 0;
}

static void add_to_batch(struct reader *in, struct history_batch *batch, const char *key)
{
	struct gen_error ignored;
	struct gen_point point;
	size_t i;

	if (gen_complete(in->gen, key, &point, &ignored) < 0) {
		batch->n_unknown++;
		return;
	}
	i = need_candidate(in, point.name);
	if (!in->history->candidates[i].key)
		in->history->candidates[i].key = fail_text("%s", key);
	in->history->candidates[i].is_lossy = point.is_lossy;
	batch->candidates =
		fail_grow(batch->candidates, batch->n_candidates, sizeof(*batch->candidates));
	batch->candidates[batch->n_candidates++] = i;
}

/* "batch FORMAT ACT nN NUMBER [@CORES]", and the points, each with a ';' behind it */
static int take_batch(struct reader *in)
{
	struct history *history = in->history;
	struct history_batch batch = {.at = in->at};
	char *copy, *rest, *key;
	long number;

	if ((in->n_words != 5 && (in->n_words != 6 || *in->words[5] != '@')) ||
	    *in->words[3] != 'n' || read_whole(in->words[3] + 1, 1, &batch.n_tokens) < 0 ||
	    read_whole(in->words[4], 0, &number) < 0 || number > INT_MAX)
		return -1;
	if (!in->gen)
		return 0;
	batch.number = (int)number;
	snprintf(batch.format, sizeof(batch.format), "%s", in->words[1]);
	snprintf(batch.act, sizeof(batch.act), "%s", in->words[2]);
	snprintf(batch.cores, sizeof(batch.cores), "%s", in->n_words == 6 ? in->words[5] + 1 : "");
	copy = rest = fail_text("%s", in->answer);
	while ((key = strsep(&rest, ";"))) {
		if (*key)
			add_to_batch(in, &batch, key);
	}
	free(copy);
	history->batches = fail_grow(history->batches, history->n_batches, sizeof(batch));
	history->batches[history->n_batches++] = batch;
	return 0;
}

/* ---- lines ---- */

static int take_header(struct reader *in, const json_t *line)
{
	struct history *history = in->history;
	const char *kind = json_string_value(json_object_get(line, "quern")), *name;
	json_t *value;

	if (!kind || strcmp(kind, "journal") ||
	    json_integer_value(json_object_get(line, "schema")) != 1)
		return -1;
	json_object_foreach((json_t *)line, name, value)
	{
		struct history_fact *fact;

		if (!json_is_string(value) || !strcmp(name, "quern"))
			continue;
		history->facts = fail_grow(history->facts, history->n_facts, sizeof(*fact));
		fact = &history->facts[history->n_facts++];
		fact->name = fail_text("%s", name);
		fact->value = fail_text("%s", json_string_value(value));
	}
	return 0;
}

/* Questions that are not known here are somebody else's. */
static int take_question(struct reader *in, const json_t *line)
{
	static const struct {
		const char *verb;
		int (*take)(struct reader *in);
	} verbs[] = {
		{"batch", take_batch},   {"verify", take_verify}, {"time", take_time},
		{"prepare", take_other}, {"count", take_other},   {"sustain", take_other},
	};
	const char *question = json_string_value(json_object_get(line, "question"));
	char *copy, *rest;
	int status = 0;

	in->at = json_number_value(json_object_get(line, "at"));
	in->answer = json_string_value(json_object_get(line, "answer"));
	if (!question || !in->answer || !json_is_number(json_object_get(line, "at")))
		return -1;
	in->history->seconds = in->at;
	copy = rest = fail_text("%s", question);
	for (in->n_words = 0; rest && in->n_words < MAX_WORDS; in->n_words++)
		in->words[in->n_words] = strsep(&rest, " ");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		if (!strcmp(in->words[0], verbs[i].verb))
			status = rest ? -1 : verbs[i].take(in);
	}
	free(copy);
	return status;
}

int history_read(struct history *history, const char *path, struct gen *gen, struct gen_error *err)
{
	struct reader in = {.history = history, .gen = gen};
	FILE *file = fopen(path, "r");
	char *text = NULL;
	size_t room = 0;
	long number = 1;
	ssize_t n;
	int status = 0;

	memset(history, 0, sizeof(*history));
	if (!file)
		return fail_set(err, "cannot open %s: %s", path, strerror(errno));
	for (; !status && (n = getline(&text, &room, file)) > 0 && text[n - 1] == '\n'; number++) {
		json_t *line = json_loadb(text, (size_t)n, 0, NULL);

		status = number == 1 ? take_header(&in, line) : take_question(&in, line);
		json_decref(line);
		if (status && number == 1) {
			fail_set(err, "%s:1: this is not a journal of quern tune", path);
		} else if (status) {
			/* The last line may be torn in other ways than by its end. */
			status = getc(file) == EOF
					 ? 0
					 : fail_set(err, "%s:%ld: the journal is damaged here",
						    path, number);
		}
	}
	if (!status && ferror(file))
		status = fail_set(err, "cannot read %s: %s", path, strerror(errno));
	if (!status && number == 1)
		status = fail_set(err, "%s:1: this is not a journal of quern tune", path);
	free(text);
	fclose(file);
	if (status)
		history_free(history);
	return status;
}

void history_free(struct history *history)
{
	for (size_t i = 0; i < history->n_facts; i++) {
		free(history->facts[i].name);
		free(history->facts[i].value);
	}
	for (size_t i = 0; i < history->n_candidates; i++) {
		free(history->candidates[i].name);
		free(history->candidates[i].key);
		free(history->candidates[i].failure);
		free(history->candidates[i].samples);
	}
	for (size_t i = 0; i < history->n_batches; i++)
		free(history->batches[i].candidates);
	for (size_t i = 0; i < history->n_failures; i++)
		free(history->failures[i].why);
	free(history->facts);
	free(history->places);
	free(history->candidates);
	free(history->batches);
	free(history->failures);
	free(history->index);
	memset(history, 0, sizeof(*history));
}

const char *history_fact(const struct history *history, const char *name)
{
	for (size_t i = 0; i < history->n_facts; i++) {
		if (!strcmp(history->facts[i].name, name))
			return history->facts[i].value;
	}
	return NULL;
}
