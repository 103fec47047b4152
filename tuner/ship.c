/* ship.c: layouts that cases share, then a greedy cover of cases by kernels. */
#include "ship.h"

#include <math.h>

#include "fail.h"

#define UNCOVERED 1.0   /* loss of a case that no kernel is taken for */
#define UNMEASURED 0.3  /* cost of a layout that no finalist of a case for many tokens has */
#define LEAST_GAIN 0.02 /* of energy */
#define MOST (SHIP_LOSS + 1e-9)

const char *const ship_objectives[SHIP_N_OBJECTIVES] = {"time", "energy", "edp"};

/* A kernel that could serve a case. */
struct option {
	const char *kernel, *layout;
	double cost; /* logarithm over the winner's; INFINITY: it may not */
	size_t name; /* of struct ship */
};

struct choice {
	struct record_entry *entry;
	struct option *list; /* the winner first */
	size_t n;
	double weight;
	double best; /* least cost */
	double loss; /* of the best that is taken */
};

struct ship {
	const struct ship_wish *wish;
	struct choice *choices;
	size_t n;
	char (*names)[64]; /* of all kernels that may be taken */
	size_t n_names;
	unsigned char *is_taken;
};

/* ---- what there is to choose from ---- */

static int may_change(const struct record_entry *entry)
{
	return !entry->is_default && !entry->is_estimated && *entry->kernel;
}

/*
 * Nobody is better than the winner by time alone, whatever the medians say: it was shown to beat the
 * default, or is the default.  By energy some are, when it is more than chance.
 */
static double cost_of(const struct ship_wish *wish, const struct record_entry *entry, double ratio,
		      double energy_uj)
{
	const double time = log(ratio);
	double cost;

	if (wish->objective == SHIP_TIME || !(entry->energy_uj > 0))
		return fmax(time, 0);
	if (!(energy_uj > 0))
		return INFINITY;
	cost = log(energy_uj / entry->energy_uj) + (wish->objective == SHIP_EDP ? time : 0);
	return cost < -LEAST_GAIN ? cost : fmax(cost, 0);
}

static void list_options(const struct ship_wish *wish, struct choice *choice)
{
	const struct record_entry *entry = choice->entry;

	choice->list = fail_alloc(1 + entry->n_finalists, sizeof(*choice->list));
	choice->list[choice->n++] =
		(struct option){.kernel = entry->kernel, .layout = entry->layout};
	for (size_t i = 0; i < entry->n_finalists; i++) {
		const struct record_finalist *one = &entry->finalists[i];

		/* What was faster only before the device was warm does not come back. */
		if (strcmp(one->kernel, entry->burst_kernel) && one->ratio > 0)
			choice->list[choice->n++] = (struct option){
				.kernel = one->kernel,
				.layout = one->layout,
				.cost = cost_of(wish, entry, one->ratio, one->energy_uj),
			};
	}
}

static void list_choices(struct ship *ship, struct record *record)
{
	size_t n[2] = {0};

	ship->choices = fail_alloc(record->n_entries, sizeof(*ship->choices));
	for (size_t i = 0; i < record->n_entries; i++) {
		struct record_entry *entry = &record->entries[i];

		*entry->shipped = 0;
		if (!may_change(entry))
			continue;
		ship->choices[ship->n].entry = entry;
		list_options(ship->wish, &ship->choices[ship->n++]);
		n[entry->n > 1]++;
	}
	for (size_t i = 0; i < ship->n; i++) {
		const int is_many = ship->choices[i].entry->n > 1;
		const double share = ship->wish->decode_share;

		ship->choices[i].weight = (is_many ? 1 - share : share) / (double)n[is_many];
	}
}

/* ---- layouts ---- */

/* Are two cases of one packed matrix? */
static int share_weights(const struct record_entry *a, const struct record_entry *b)
{
	char act_a[16], act_b[16];

	return a->m == b->m && a->k == b->k && a->threads == b->threads && a->core == b->core &&
	       a->is_lossy == b->is_lossy && !strcmp(a->core_name, b->core_name) &&
	       !strcmp(a->format, b->format) &&
	       !strcmp(record_entry_act(a, act_a), record_entry_act(b, act_b));
}

/* Least cost of a case in a layout; INFINITY: no finalist has it. */
static double cost_in(const struct choice *choice, const char *layout)
{
	double least = INFINITY;

	for (size_t i = 0; i < choice->n; i++) {
		if (!strcmp(choice->list[i].layout, layout))
			least = fmin(least, choice->list[i].cost);
	}
	return least;
}

/* Of all cases of choices[first]'s matrix, weighted within it. */
static double cost_of_layout(const struct ship *ship, size_t first, const char *layout)
{
	const double share[2] = {ship->wish->decode_share, 1 - ship->wish->decode_share};
	double sum[2] = {0};
	size_t n[2] = {0};

	for (size_t i = first; i < ship->n; i++) {
		const struct choice *choice = &ship->choices[i];
		const int is_many = choice->entry->n > 1;
		double cost;

		if (!share_weights(choice->entry, ship->choices[first].entry))
			continue;
		cost = cost_in(choice, layout);
		sum[is_many] += isinf(cost) && is_many ? UNMEASURED : cost;
		n[is_many]++;
	}
	return share[0] * sum[0] / (double)n[0] + share[1] * sum[1] / (double)n[1];
}

/* The least of a matrix's layouts; of equal ones the first, in the order of entries and finalists. */
static const char *choose_layout(const struct ship *ship, size_t first)
{
	const char *best = NULL;
	double least = INFINITY;

	for (size_t i = first; i < ship->n; i++) {
		const struct choice *choice = &ship->choices[i];

		if (choice->entry->n > 1 ||
		    !share_weights(choice->entry, ship->choices[first].entry))
			continue;
		for (size_t j = 0; j < choice->n; j++) {
			const char *layout = choice->list[j].layout;
			const double cost =
				*layout ? cost_of_layout(ship, first, layout) : INFINITY;

			if (cost < least - 1e-9) {
				least = cost;
				best = layout;
			}
		}
	}
	return best;
}

/* Only kernels of a layout may serve the cases of a matrix; where a case has none, it stays as it is. */
static void keep_layout(struct ship *ship, size_t first, const char *layout)
{
	for (size_t i = first; i < ship->n; i++) {
		struct choice *choice = &ship->choices[i];

		if (!share_weights(choice->entry, ship->choices[first].entry) ||
		    isinf(cost_in(choice, layout)))
			continue;
		for (size_t j = 0; j < choice->n; j++) {
			if (strcmp(choice->list[j].layout, layout))
				choice->list[j].cost = INFINITY;
		}
	}
}

/* 1: choices[i] is the first of several cases of its matrix, some of which are of one token. */
static int leads_group(const struct ship *ship, size_t i)
{
	size_t n[2] = {0};

	for (size_t j = 0; j < ship->n; j++) {
		if (!share_weights(ship->choices[i].entry, ship->choices[j].entry))
			continue;
		if (j < i)
			return 0;
		n[ship->choices[j].entry->n > 1]++;
	}
	return n[0] && n[1];
}

static void share_layouts(struct ship *ship)
{
	for (size_t i = 0; i < ship->n; i++) {
		const char *layout = leads_group(ship, i) ? choose_layout(ship, i) : NULL;

		if (layout)
			keep_layout(ship, i, layout);
	}
}

/* ---- few kernels ---- */

static size_t find_name(struct ship *ship, const char *name)
{
	size_t i = 0;

	while (i < ship->n_names && strcmp(ship->names[i], name))
		i++;
	if (i == ship->n_names) {
		ship->names = fail_grow(ship->names, i, sizeof(*ship->names));
		snprintf(ship->names[i], sizeof(ship->names[i]), "%s", name);
		ship->n_names++;
	}
	return i;
}

static double loss_with(const struct choice *choice, const struct option *option)
{
	return expm1(option->cost - choice->best);
}

static void name_options(struct ship *ship)
{
	for (size_t i = 0; i < ship->n; i++) {
		struct choice *choice = &ship->choices[i];

		choice->best = INFINITY;
		choice->loss = UNCOVERED;
		for (size_t j = 0; j < choice->n; j++) {
			choice->best = fmin(choice->best, choice->list[j].cost);
			choice->list[j].name = find_name(ship, choice->list[j].kernel);
		}
	}
	ship->is_taken = fail_alloc(ship->n_names, 1);
}

/* By how much a kernel lowers the loss of all cases; with `take` it does so. */
static double gain(struct ship *ship, size_t name, int take)
{
	double sum = 0;

	for (size_t i = 0; i < ship->n; i++) {
		struct choice *choice = &ship->choices[i];

		for (size_t j = 0; j < choice->n; j++) {
			const double loss = choice->list[j].name == name
						    ? loss_with(choice, &choice->list[j])
						    : INFINITY;

			if (!(loss <= MOST && loss < choice->loss))
				continue;
			sum += choice->weight * (choice->loss - loss);
			if (take)
				choice->loss = loss;
		}
	}
	return sum;
}

/* Of equal gains the first by name.  0: no case gains any more. */
static int take_next(struct ship *ship)
{
	size_t best = ship->n_names;
	double most = 0;

	for (size_t i = 0; i < ship->n_names; i++) {
		const double one = ship->is_taken[i] ? 0 : gain(ship, i, 0);

		if (one > most * (1 + 1e-9) || (best < ship->n_names && one >= most * (1 - 1e-9) &&
						strcmp(ship->names[i], ship->names[best]) < 0)) {
			best = i;
			most = one;
		}
	}
	if (best == ship->n_names)
		return 0;
	ship->is_taken[best] = 1;
	gain(ship, best, 1);
	return 1;
}

static int is_covered(const struct ship *ship)
{
	for (size_t i = 0; i < ship->n; i++) {
		if (ship->choices[i].loss > MOST)
			return 0;
	}
	return 1;
}

/* ---- what is shipped ---- */

/* The cheapest of a case, of what is taken where only_taken; the winner where there is none. */
static void ship_best(const struct ship *ship, const struct choice *choice, int only_taken)
{
	const struct option *best = NULL;

	for (size_t i = 0; i < choice->n; i++) {
		const struct option *one = &choice->list[i];

		if (!isinf(one->cost) && (!only_taken || ship->is_taken[one->name]) &&
		    (!best || one->cost < best->cost))
			best = one;
	}
	*choice->entry->shipped = 0;
	if (best && strcmp(best->kernel, choice->entry->kernel))
		snprintf(choice->entry->shipped, sizeof(choice->entry->shipped), "%s",
			 best->kernel);
}

static void ship_all(const struct ship *ship, int only_taken)
{
	for (size_t i = 0; i < ship->n; i++)
		ship_best(ship, &ship->choices[i], only_taken);
}

static size_t count_kernels(const struct record *record)
{
	size_t n = 0;

	for (size_t i = 0; i < record->n_entries; i++) {
		size_t j = 0;

		while (j < i &&
		       strcmp(ship_kernel(&record->entries[j]), ship_kernel(&record->entries[i])))
			j++;
		n += j == i && !record->entries[i].is_default;
	}
	return n;
}

size_t ship_choose(struct record *record, const struct ship_wish *wish)
{
	struct ship ship = {.wish = wish};
	size_t n;

	list_choices(&ship, record);
	share_layouts(&ship);
	name_options(&ship);
	ship_all(&ship, 0);
	n = count_kernels(record);
	if (wish->max_kernels && n > wish->max_kernels) {
		while (!is_covered(&ship) && take_next(&ship))
			;
		ship_all(&ship, 1);
		n = count_kernels(record);
	}
	for (size_t i = 0; i < ship.n; i++)
		free(ship.choices[i].list);
	free(ship.choices);
	free(ship.names);
	free(ship.is_taken);
	return n;
}

const char *ship_kernel(const struct record_entry *entry)
{
	return *entry->shipped ? entry->shipped : entry->kernel;
}

const struct record_finalist *ship_finalist(const struct record_entry *entry)
{
	for (size_t i = 0; i < entry->n_finalists && *entry->shipped; i++) {
		if (!strcmp(entry->finalists[i].kernel, entry->shipped))
			return &entry->finalists[i];
	}
	return NULL;
}
