/* units.c: dealing units out, and finding them in an earlier record. */
#include "fail.h"
#include "options.h"
#include "runs.h"
#include "units.h"

/* The numbers of tokens with fewer before those with more. */
static void sort_tokens(const struct config *config, size_t *order)
{
	for (size_t i = 0; i < config->tokens.n; i++) {
		size_t j = i;

		for (; j > 0 && config->tokens.list[order[j - 1]] > config->tokens.list[i]; j--)
			order[j] = order[j - 1];
		order[j] = i;
	}
}

void units_list(struct units *units, const struct config *config, long shard, long n_shards)
{
	const size_t n_tokens = config->tokens.n, n = config->formats.n * config->acts.n;
	size_t *order = fail_alloc(n_tokens, sizeof(*order)), n_dealt = 0;

	memset(units, 0, sizeof(*units));
	sort_tokens(config, order);
	for (size_t i = 0; i < n; i++) {
		const size_t format = i / config->acts.n, act = i % config->acts.n;

		if (!config_n_shapes(config, format) || !config_act(config, format, act))
			continue;
		for (size_t j = 0; j < n_tokens; j++) {
			if (n_shards && n_dealt % (size_t)n_shards != (size_t)(shard - 1))
				continue;
			units->list = fail_grow(units->list, units->n, sizeof(*units->list));
			units->list[units->n++] = (struct contest_unit){.format = format,
									.act = act,
									.tokens = order[j]};
		}
		units->n_all += n_tokens;
		n_dealt++;
	}
	free(order);
}

void units_free(struct units *units)
{
	free(units->list);
	memset(units, 0, sizeof(*units));
}

/* ---- what an earlier run was ---- */

static int is_equal(const char *a, const char *b)
{
	return !a || !b ? a == b : !strcmp(a, b);
}

static int is_same_device(const struct record *a, const struct record *b)
{
	return !a->estimated.core && is_equal(a->device.name, b->device.name) &&
	       is_equal(a->device.cpu, b->device.cpu) && is_equal(a->device.arch, b->device.arch) &&
	       is_equal(a->device.features, b->device.features) &&
	       a->device.cores == b->device.cores &&
	       is_equal(a->compiler.command, b->compiler.command) &&
	       is_equal(a->compiler.version, b->compiler.version) &&
	       is_equal(a->compiler.flags, b->compiler.flags) &&
	       is_equal(a->compiler.clang, b->compiler.clang) &&
	       is_equal(a->compiler.clang_version, b->compiler.clang_version);
}

/* The hash of a family among "dot=HASH lut=HASH", or NULL; n: how long it is. */
static const char *find_hash(const char *families, const char *family, size_t *n)
{
	const size_t n_name = strlen(family);

	while (families && *families) {
		const size_t n_word = strcspn(families, " ");

		if (n_word > n_name && !strncmp(families, family, n_name) &&
		    families[n_name] == '=') {
			*n = n_word - n_name - 1;
			return families + n_name + 1;
		}
		families += n_word + (families[n_word] != 0);
	}
	return NULL;
}

static int has_points(const struct contest *contest, const struct contest_unit *unit,
		      const char *family, struct gen_error *err)
{
	const struct config *config = contest->config;
	int found = 0;

	for (size_t i = 0; i < contest->n_isas && !found; i++) {
		struct gen_space *space =
			gen_space_open(contest->gen, family, config->formats.list[unit->format],
				       config_act(config, unit->format, unit->act),
				       contest->isas[i].info.name,
				       config->tokens.list[unit->tokens], config->max_nmse > 0, 0,
				       err);

		if (!space)
			return -1;
		found = gen_space_count(space) > 0;
		gen_space_close(space);
	}
	return found;
}

/* Would a search of the unit find what it found with these sources?  1, 0, or -1. */
static int is_current(const struct contest *contest, const struct contest_unit *unit,
		      const char *families, struct gen_error *err)
{
	const struct config_names *names = &contest->config->families;

	for (size_t i = 0; i < names->n; i++) {
		size_t n_now = 0, n_then = 0;
		const char *now =
			find_hash(contest->record->generator.families, names->list[i], &n_now);
		const char *then = find_hash(families, names->list[i], &n_then);
		int matters;

		if (now && then && n_now == n_then && !strncmp(now, then, n_now))
			continue;
		matters = has_points(contest, unit, names->list[i], err);
		if (matters)
			return matters < 0 ? -1 : 0;
	}
	return 1;
}

/* Was it asked for at least as much?  seconds: the budget now. */
static int is_as_strong(const struct contest *contest, const struct record_protocol *then,
			double seconds)
{
	const struct record_protocol *now = &contest->record->protocol;

	if (!then->budget || options_budget_seconds(then->budget) < seconds ||
	    then->seed != now->seed || !then->searched ||
	    !is_equal(then->searched, now->searched) ||
	    (now->seeds && !is_equal(then->seeds, now->seeds)))
		return 0;
	/* What is fastest under load is another question. */
	return contest->sustained_s > 0 ? then->sustained >= contest->sustained_s
					: then->sustained == 0;
}

/* ---- cases ---- */

static int is_of_unit(const struct contest *contest, const struct contest_unit *unit,
		      const struct record_entry *entry)
{
	const struct config *config = contest->config;
	char act[16];

	return !entry->is_default && !entry->is_estimated &&
	       entry->n == config->tokens.list[unit->tokens] &&
	       !strcmp(entry->format, config->formats.list[unit->format]) &&
	       !strcmp(record_entry_act(entry, act), config_act(config, unit->format, unit->act));
}

/* One shape with one number of threads on one class of cores. */
struct place {
	const struct contest_unit *unit;
	const struct config_shape *shape;
	const struct contest_cores *on;
	long threads;
};

static int is_at(const struct contest *contest, const struct place *place,
		 const struct record_entry *entry)
{
	const struct cores_class *cores = place->on->cores;

	return is_of_unit(contest, place->unit, entry) && entry->m == place->shape->m &&
	       entry->k == place->shape->k && entry->threads == place->threads &&
	       entry->core == (cores ? (long)cores->kind : 0) &&
	       !strcmp(entry->core_name, cores ? cores->name : "");
}

/* Calls visit for each place of a unit until that is not above 0, which is returned. */
typedef int visit_fn(const struct contest *contest, const struct place *place, void *context);

static int visit_places(const struct contest *contest, const struct contest_unit *unit,
			visit_fn *visit, void *context)
{
	const struct config *config = contest->config;
	struct place place = {.unit = unit};

	for (size_t i = 0; i < config->n_shapes; i++) {
		place.shape = &config->shapes[i];
		if (!(place.shape->formats >> unit->format & 1))
			continue;
		for (size_t j = 0; j < contest->n_cores; j++) {
			place.on = &contest->cores[j];
			for (size_t t = 0; t < place.on->threads.n; t++) {
				int status;

				place.threads = place.on->threads.list[t];
				status = visit(contest, &place, context);
				if (status <= 0)
					return status;
			}
		}
	}
	return 1;
}

struct wish {
	const struct record *earlier;
	double seconds;
	struct gen_error *err;
};

/* Does the earlier record have it, as good as it would be found now? */
static int is_known(const struct contest *contest, const struct place *place, void *context)
{
	const struct wish *wish = context;
	const struct record *earlier = wish->earlier;

	for (size_t i = 0; i < earlier->n_entries; i++) {
		const struct record_entry *entry = &earlier->entries[i];
		const struct record_run *run = runs_find(earlier, entry);

		if (entry->is_lossy || !is_at(contest, place, entry))
			continue;
		if (!(run ? run->complete : earlier->complete) ||
		    !is_as_strong(contest, run ? &run->protocol : &earlier->protocol,
				  wish->seconds))
			return 0;
		return is_current(contest, place->unit,
				  run ? run->generator.families : earlier->generator.families,
				  wish->err);
	}
	return 0;
}

int units_keep(struct units *units, const struct contest *contest, const struct record *earlier,
	       double seconds, struct gen_error *err)
{
	struct wish wish = {earlier, seconds, err};

	if (!is_same_device(earlier, contest->record))
		return 0;
	for (size_t i = 0; i < units->n; i++) {
		int status = visit_places(contest, &units->list[i], is_known, &wish);

		if (status < 0)
			return -1;
		units->list[i].is_kept = status;
		units->n_kept += (size_t)status;
	}
	return 0;
}

/* ---- taking ---- */

/*
 * The run of an entry that is kept, without what speaks of the whole of it: so much was not
 * spent for these entries, and no part of a division is done by them.
 */
static const char *take_run(struct record *to, const struct record_run *from)
{
	struct record_run *run = record_add_run(to), copy = *from;

	memset(&copy.protocol.thermal, 0, sizeof(copy.protocol.thermal));
	copy.protocol.tried = copy.protocol.verified = 0;
	copy.protocol.seconds = 0;
	copy.protocol.shard = copy.protocol.config = NULL;
	runs_copy(run, &copy);
	runs_identify(run);
	return run->id;
}

struct taking {
	struct record *to, *from;
	const struct record_run *run; /* its entries are taken */
	char id[64];                  /* of the run in `to`; empty: not there yet */
};

static int take_entries(const struct contest *contest, const struct place *place, void *context)
{
	struct taking *taking = context;

	for (size_t i = 0; i < taking->from->n_entries; i++) {
		struct record_entry *entry = &taking->from->entries[i];

		if (strcmp(entry->run, taking->run->id) || !is_at(contest, place, entry))
			continue;
		if (!*taking->id)
			strcpy(taking->id, take_run(taking->to, taking->run));
		strcpy(entry->run, taking->id);
		*record_add_entry(taking->to) = *entry;
		memset(entry, 0, sizeof(*entry));
	}
	return 1;
}

static void take_ceilings(struct record *to, const struct record *from)
{
	const size_t n = to->n_ceilings;

	for (size_t i = 0; i < from->n_ceilings; i++) {
		const struct record_ceiling *one = &from->ceilings[i];
		size_t j = 0;

		while (j < n && (to->ceilings[j].threads != one->threads ||
				 strcmp(to->ceilings[j].core_name, one->core_name)))
			j++;
		if (j == n)
			*record_add_ceiling(to) = *one;
	}
}

void units_take(const struct units *units, struct contest *contest, struct record *earlier)
{
	struct taking taking = {.to = contest->record, .from = earlier};

	if (!units->n_kept)
		return;
	runs_list(contest->record);
	runs_list(earlier);
	for (size_t r = 0; r < earlier->n_runs; r++) {
		taking.run = &earlier->runs[r];
		*taking.id = 0;
		for (size_t i = 0; i < units->n; i++) {
			if (units->list[i].is_kept)
				visit_places(contest, &units->list[i], take_entries, &taking);
		}
	}
	take_ceilings(contest->record, earlier);
}
