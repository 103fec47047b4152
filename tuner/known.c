/* known.c: entries that fit a place. */
#include <math.h>

#include "fail.h"
#include "known.h"
#include "runtime/choose.h"

/* How much the ISA of a key needs, from 1; 0: the device does not have it. */
static int isa_width(const struct known_place *place, const char *key)
{
	for (size_t i = 0; i < place->n_isas; i++) {
		char *word = fail_text(" isa=%s", place->isas[i].info.name);
		const char *at = strstr(key, word);
		size_t n = strlen(word);

		free(word);
		if (at && (at[n] == ' ' || !at[n]))
			return 1 + place->isas[i].n_features;
	}
	return 0;
}

/* Is a key's kernel one for these activations? */
static int is_for(const char *key, const char *act)
{
	const char *at = strstr(key, " act=");
	const size_t n = strlen(act);

	return at && !strncmp(at + 5, act, n) && (at[5 + n] == ' ' || !at[5 + n]);
}

size_t known_collect(const struct known_place *place, const struct record *record,
		     const char **keys, size_t n, size_t max, int to_front)
{
	double nearest = 0;
	int widest = 0, is_far = 1;

	for (size_t i = 0; record && i < record->n_entries && n < max; i++) {
		const struct record_entry *entry = &record->entries[i];
		const long n_tokens = entry->n > 0 ? entry->n : 1;
		const int width = isa_width(place, entry->key);
		const int far_more = qn_is_for_far_more(n_tokens, place->n_tokens);
		const double far = fabs(log((double)n_tokens / (double)place->n_tokens));
		size_t j = 0;

		if (place->core && entry->core && entry->core != place->core)
			continue;
		if (strcmp(entry->format, place->format) || !width ||
		    !is_for(entry->key, place->act))
			continue;
		while (j < n && strcmp(keys[j], entry->key))
			j++;
		if (j < n)
			continue;
		keys[n++] = entry->key;
		if (to_front && (far_more < is_far ||
				 (far_more == is_far &&
				  (width > widest || (width == widest && far < nearest))))) {
			keys[n - 1] = keys[0];
			keys[0] = entry->key;
			is_far = far_more;
			widest = width;
			nearest = far;
		}
	}
	return n;
}
