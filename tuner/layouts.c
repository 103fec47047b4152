/* layouts.c: layouts near the best for one token. */
#include "layouts.h"

#include <math.h>
#include <string.h>

static int is_of(const struct pass *pass, const struct record_entry *entry, int is_exact)
{
	const struct session_case *place = &pass->place;
	char act[16];

	return entry->n == 1 && !entry->is_default && !entry->is_estimated && !entry->is_lossy &&
	       !strcmp(entry->format, place->format) &&
	       !strcmp(record_entry_act(entry, act), pass->act) &&
	       entry->core == (place->cores ? (long)place->cores->kind : 0) &&
	       (!is_exact ||
		(entry->m == place->m && entry->k == place->k && entry->threads == place->threads));
}

/* What was measured for one token: by this run, or by an earlier one, whose winners are kept. */
static const struct record *find_record(const struct pass *pass, int is_exact)
{
	const struct contest *contest = pass->contest;

	for (size_t i = 0; i < contest->record->n_entries; i++) {
		if (is_of(pass, &contest->record->entries[i], is_exact))
			return contest->record;
	}
	return contest->earlier;
}

/* The layout that follows those which are listed; the time of its best kernel over the winner's. */
static double find_next(const struct layouts *layouts, const struct pass *pass,
			const struct record *record, int is_exact, const char **name,
			const char **key)
{
	double least = INFINITY;

	for (size_t i = 0; i < record->n_entries; i++) {
		const struct record_entry *entry = &record->entries[i];

		if (!is_of(pass, entry, is_exact))
			continue;
		for (size_t j = 0; j <= entry->n_finalists; j++) {
			const struct record_finalist *one = j ? &entry->finalists[j - 1] : NULL;
			const char *layout = one ? one->layout : entry->layout;
			const double ratio = one ? one->ratio : 1;
			size_t known = 0;

			while (known < layouts->n && strcmp(layouts->names[known], layout))
				known++;
			if (known == layouts->n && *layout && ratio < least) {
				least = ratio;
				*name = layout;
				*key = one ? one->key : entry->key;
			}
		}
	}
	return least;
}

void layouts_list(struct layouts *layouts, const struct pass *pass, int is_exact, int n_each)
{
	const struct record *record = find_record(pass, is_exact);
	const char *name, *key;

	memset(layouts, 0, sizeof(*layouts));
	if (pass->contest->config->tokens.n < 2)
		return;
	layouts->is_open = pass->place.n == 1;
	layouts->n_each = n_each;
	while (!layouts->is_open && layouts->n < LAYOUTS_MAX &&
	       find_next(layouts, pass, record, is_exact, &name, &key) <= LAYOUTS_NEAR) {
		strcpy(layouts->names[layouts->n], name);
		layouts->keys[layouts->n++] = key;
	}
}

int layouts_take(struct layouts *layouts, const char *layout)
{
	size_t i = 0;

	while (i < layouts->n && strcmp(layouts->names[i], layout))
		i++;
	if (i == layouts->n) {
		if (!layouts->is_open || i == LAYOUTS_MAX)
			return 0;
		strcpy(layouts->names[layouts->n++], layout);
	}
	return layouts->n_taken[i]++ < layouts->n_each;
}
