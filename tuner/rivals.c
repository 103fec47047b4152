/* rivals.c: families in finals and in races. */
#include <math.h>

#include "fail.h"
#include "rivals.h"
#include "stats.h"

#define MAX_ROUNDS 64
#define MAX_STEPS 64 /* races of a search that are looked at */

int rivals_word(const char *key, const char *name, char *text, size_t n_bytes)
{
	const size_t n = strlen(name);

	*text = 0;
	for (const char *at = key; at && *at; at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL) {
		if (strncmp(at, name, n) || at[n] != '=')
			continue;
		snprintf(text, n_bytes, "%.*s", (int)strcspn(at + n + 1, " "), at + n + 1);
		return 1;
	}
	return 0;
}

/* Takes it in unless one of its family is there that is as fast or comes from a final. */
static size_t take(struct rivals_best *best, size_t n, size_t max, const struct rivals_best *one)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(best[i].family, one->family))
			continue;
		if (best[i].is_final == one->is_final ? one->ratio < best[i].ratio && i
						      : one->is_final)
			best[i] = *one;
		return n;
	}
	if (n < max)
		best[n++] = *one;
	return n;
}

/* ---- races ---- */

static size_t find_place(const struct record_entry *entry, const struct history *history)
{
	for (size_t i = 0; i < history->n_places; i++) {
		const struct history_place *place = &history->places[i];

		if (!strcmp(place->format, entry->format) && place->m == entry->m &&
		    place->k == entry->k && place->n == entry->n &&
		    place->threads == entry->threads && !strcmp(place->cores, entry->core_name))
			return i;
	}
	return HISTORY_NONE;
}

/* Logarithms of times by round, NAN where there is none. */
static void list_rounds(const struct history_candidate *one, size_t place, const char *stage,
			double *log_ns)
{
	for (int i = 0; i < MAX_ROUNDS; i++)
		log_ns[i] = NAN;
	for (size_t i = 0; i < one->n_samples; i++) {
		const struct history_sample *sample = &one->samples[i];

		if (sample->place == place && !sample->is_superseded &&
		    sample->round < MAX_ROUNDS && !strcmp(sample->stage, stage))
			log_ns[sample->round] = log(sample->ns_per_call);
	}
}

/* Time over the winner's in the rounds of a stage that both have; 0: none. */
static double race(const struct history_candidate *one, const struct history_candidate *winner,
		   size_t place, const char *stage)
{
	double a[MAX_ROUNDS], b[MAX_ROUNDS];
	size_t n = 0;

	list_rounds(one, place, stage, a);
	list_rounds(winner, place, stage, b);
	for (size_t i = 0; i < MAX_ROUNDS; i++) {
		if (!isnan(a[i]) && !isnan(b[i]))
			a[n++] = a[i] - b[i];
	}
	return n ? exp(stats_median(a, n)) : 0;
}

static int has_act_of(const char *key, const char *other)
{
	char a[16], b[16];

	rivals_word(key, "act", a, sizeof(a));
	rivals_word(other, "act", b, sizeof(b));
	return !strcmp(a, b);
}

static size_t take_races(const struct record_entry *entry, const struct history *history,
			 struct rivals_best *best, size_t n, size_t max)
{
	const size_t place = find_place(entry, history), n_final = n;
	const size_t winner = history_find(history, entry->kernel);

	for (size_t i = 0; i < history->n_candidates; i++) {
		const struct history_candidate *one = &history->candidates[i];
		struct rivals_best rival = {.kernel = one->name};
		int is_known = 0;

		if (place == HISTORY_NONE || winner == HISTORY_NONE || !one->key ||
		    one->is_lossy != history->candidates[winner].is_lossy ||
		    !has_act_of(one->key, entry->key) ||
		    !rivals_word(one->key, "family", rival.family, sizeof(rival.family)))
			continue;
		for (size_t j = 0; j < n_final; j++)
			is_known |= !strcmp(best[j].family, rival.family);
		for (int j = -2; j < MAX_STEPS && !is_known && !(rival.ratio > 0); j++) {
			char stage[16];

			snprintf(stage, sizeof(stage), "race%d", j);
			rival.ratio = race(one, &history->candidates[winner], place,
					   j == -2   ? "race"
					   : j == -1 ? "survey"
						     : stage);
		}
		if (rival.ratio > 0)
			n = take(best, n, max, &rival);
	}
	return n;
}

/* ---- all ---- */

static int by_ratio(const void *a, const void *b)
{
	const struct rivals_best *x = a, *y = b;

	return x->ratio != y->ratio ? (x->ratio < y->ratio ? -1 : 1) : strcmp(x->family, y->family);
}

size_t rivals_find(const struct record_entry *entry, const struct history *history,
		   struct rivals_best *best, size_t max)
{
	size_t n = 0;

	if (!max)
		return 0;
	best[n] = (struct rivals_best){.kernel = entry->kernel, .ratio = 1, .is_final = 1};
	rivals_word(entry->key, "family", best[n].family, sizeof(best[n].family));
	n++;
	for (size_t i = 0; i < entry->n_finalists; i++) {
		const struct record_finalist *finalist = &entry->finalists[i];
		struct rivals_best rival = {
			.kernel = finalist->kernel,
			.ratio = finalist->ratio,
			.ratio_low = finalist->ratio_low,
			.ratio_high = finalist->ratio_high,
			.is_final = 1,
		};

		if (rivals_word(finalist->key, "family", rival.family, sizeof(rival.family)))
			n = take(best, n, max, &rival);
	}
	if (history)
		n = take_races(entry, history, best, n, max);
	qsort(best + 1, n - 1, sizeof(*best), by_ratio);
	return n;
}
