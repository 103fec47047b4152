/* few.c: a greedy cover of cases by kernels. */
#include "few.h"

#include <math.h>

#include "fail.h"

#define UNCOVERED 1.0 /* loss of a case that no kernel is taken for */
#define MOST (FEW_LOSS + 1e-9)
#define DECODE 0.8 /* weight of all cases of one token */

struct few {
	struct record *record;
	char (*names)[64]; /* of all kernels that may be taken */
	size_t n_names;
	unsigned char *is_taken;
	double *loss;   /* by entry: over the winner, with what is taken */
	double *weight; /* by entry; 0: it stays as it is */
};

static int may_change(const struct record_entry *entry)
{
	return !entry->is_default && !entry->is_estimated && !entry->is_lossy &&
	       !(entry->sustained_us > 0) && *entry->kernel;
}

static size_t find_name(struct few *few, const char *name)
{
	size_t i = 0;

	while (i < few->n_names && strcmp(few->names[i], name))
		i++;
	if (i == few->n_names) {
		few->names = fail_grow(few->names, i, sizeof(*few->names));
		snprintf(few->names[i], sizeof(few->names[i]), "%s", name);
		few->n_names++;
	}
	return i;
}

/* What a case loses with a kernel: 0 for its winner, infinity for one that was not in its final. */
static double loss_with(const struct record_entry *entry, const char *name)
{
	if (!strcmp(entry->kernel, name))
		return 0;
	for (size_t i = 0; i < entry->n_finalists; i++) {
		if (!strcmp(entry->finalists[i].kernel, name))
			return fmax(entry->finalists[i].ratio - 1, 0);
	}
	return INFINITY;
}

static void list(struct few *few)
{
	const struct record *record = few->record;
	size_t n[2] = {0};

	few->loss = fail_alloc(record->n_entries, sizeof(*few->loss));
	few->weight = fail_alloc(record->n_entries, sizeof(*few->weight));
	for (size_t i = 0; i < record->n_entries; i++)
		n[record->entries[i].n > 1] += (size_t)may_change(&record->entries[i]);
	for (size_t i = 0; i < record->n_entries; i++) {
		const struct record_entry *entry = &record->entries[i];
		const double share = entry->n > 1 ? 1 - DECODE : DECODE;

		if (!may_change(entry))
			continue;
		few->weight[i] = share / (double)n[entry->n > 1];
		few->loss[i] = UNCOVERED;
		find_name(few, entry->kernel);
		for (size_t j = 0; j < entry->n_finalists; j++) {
			if (entry->finalists[j].ratio <= 1 + MOST)
				find_name(few, entry->finalists[j].kernel);
		}
	}
	few->is_taken = fail_alloc(few->n_names, 1);
}

/* By how much a kernel lowers the loss of all cases. */
static double gain(const struct few *few, size_t name)
{
	double sum = 0;

	for (size_t i = 0; i < few->record->n_entries; i++) {
		const double loss = few->weight[i] > 0
					    ? loss_with(&few->record->entries[i], few->names[name])
					    : INFINITY;

		if (loss <= MOST && loss < few->loss[i])
			sum += few->weight[i] * (few->loss[i] - loss);
	}
	return sum;
}

static int is_covered(const struct few *few)
{
	for (size_t i = 0; i < few->record->n_entries; i++) {
		if (few->weight[i] > 0 && few->loss[i] > MOST)
			return 0;
	}
	return 1;
}

/* Of equal gains the first by name. */
static void take_next(struct few *few)
{
	size_t best = few->n_names;
	double most = 0;

	for (size_t i = 0; i < few->n_names; i++) {
		const double one = few->is_taken[i] ? 0 : gain(few, i);

		if (one > most * (1 + 1e-9) || (best < few->n_names && one >= most * (1 - 1e-9) &&
						strcmp(few->names[i], few->names[best]) < 0)) {
			best = i;
			most = one;
		}
	}
	if (best == few->n_names) /* winners always lower their own */
		return;
	few->is_taken[best] = 1;
	for (size_t i = 0; i < few->record->n_entries; i++) {
		const double loss = loss_with(&few->record->entries[i], few->names[best]);

		if (few->weight[i] > 0 && loss <= MOST && loss < few->loss[i])
			few->loss[i] = loss;
	}
}

/* ---- another winner ---- */

static void swap_texts(char *a, char *b, size_t n_bytes)
{
	char *copy = fail_alloc(n_bytes, 1);

	memcpy(copy, a, n_bytes);
	memcpy(a, b, n_bytes);
	memcpy(b, copy, n_bytes);
	free(copy);
}

/* All ratios are over the new winner from now on. */
static void put_first(struct record_entry *entry, struct record_finalist *one)
{
	const double ratio = one->ratio;

	swap_texts(entry->kernel, one->kernel, sizeof(one->kernel));
	swap_texts(entry->key, one->key, sizeof(one->key));
	swap_texts(entry->code, one->code, sizeof(one->code));
	for (size_t i = 0; i < entry->n_equivalent; i++) {
		if (!strcmp(entry->equivalent[i], entry->kernel)) {
			free(entry->equivalent[i]);
			entry->equivalent[i] = fail_text("%s", one->kernel);
		}
	}
	for (size_t i = 0; i < entry->n_finalists; i++) {
		struct record_finalist *other = &entry->finalists[i];

		other->ratio /= ratio;
		other->ratio_low /= ratio;
		other->ratio_high /= ratio;
		memset(&other->why, 0, sizeof(other->why));
	}
	one->ratio = one->ratio_low = one->ratio_high = 1 / ratio;
	memset(&entry->why, 0, sizeof(entry->why));
	entry->median_us *= ratio;
	entry->ci_low_us *= ratio;
	entry->ci_high_us *= ratio;
	entry->gbps /= ratio;
	entry->roof_fraction /= ratio;
	entry->speedup /= ratio;
	for (size_t i = 0; i < entry->n_counters; i++)
		free(entry->counters[i].name);
	entry->n_counters = 0;
}

static void change(const struct few *few, struct record_entry *entry)
{
	struct record_finalist *best = NULL;

	for (size_t i = 0; i < few->n_names; i++) {
		if (few->is_taken[i] && !strcmp(few->names[i], entry->kernel))
			return;
	}
	for (size_t i = 0; i < entry->n_finalists; i++) {
		struct record_finalist *one = &entry->finalists[i];
		size_t name = 0;

		while (name < few->n_names && strcmp(few->names[name], one->kernel))
			name++;
		if (name < few->n_names && few->is_taken[name] &&
		    (!best || one->ratio < best->ratio))
			best = one;
	}
	if (best)
		put_first(entry, best);
}

static size_t count_kernels(const struct record *record)
{
	size_t n = 0;

	for (size_t i = 0; i < record->n_entries; i++) {
		size_t j = 0;

		while (j < i && strcmp(record->entries[j].kernel, record->entries[i].kernel))
			j++;
		n += j == i && !record->entries[i].is_default;
	}
	return n;
}

size_t few_choose(struct record *record, size_t n_max)
{
	struct few few = {.record = record};

	if (count_kernels(record) <= n_max)
		return count_kernels(record);
	list(&few);
	while (!is_covered(&few))
		take_next(&few);
	for (size_t i = 0; i < record->n_entries; i++) {
		if (few.weight[i] > 0)
			change(&few, &record->entries[i]);
	}
	free(few.weight);
	free(few.loss);
	free(few.is_taken);
	free(few.names);
	return count_kernels(record);
}
