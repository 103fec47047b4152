/* ranking.c: one search of an estimate: candidates, their costs by llvm-mca, and the winner. */
#include "cost.h"
#include "fail.h"
#include "ranking.h"
#include "known.h"
#include "strategy.h"

#define CHUNK 32   /* candidates between two looks at the journal */
#define CLOSE 1.01 /* two estimates that say the same */
#define MAX_EQUIVALENT 8
#define MAX_OWN 32 /* families times ISAs */
#define MAX_KNOWN (32 + MAX_OWN + 64)

/* One format, its activations and a number of tokens. */
struct ranking {
	struct rank *rank;
	const char *format, *act;
	long n_tokens;
	struct search *search;
	struct standing {
		struct cost cost;
		int is_known;
	} * standings; /* of candidates */
	size_t n_standings;
	size_t base; /* the default, or SIZE_MAX */
	struct gen_error *err;
};

/* ---- costs ---- */

static char *question_of(const struct ranking *ranking, size_t i)
{
	return fail_text("cost %s n%ld", search_candidate(ranking->search, i)->point.name,
			 ranking->n_tokens);
}

static char *answer_of(const struct cost *cost)
{
	return fail_text("ok %.9g %.9g %.9g %.9g %ld %.9g %.9g %ld %s", cost->instructions,
			 cost->vector, cost->memory, cost->integer, cost->spills, cost->cycles,
			 cost->shared, cost->n_unmarked, cost->bottleneck);
}

/* A candidate gets what was answered, the same from the journal as from llvm-mca. */
static void take_answer(struct ranking *ranking, size_t i, const char *answer)
{
	struct search_candidate *one = search_candidate(ranking->search, i);
	struct standing *standing = &ranking->standings[i];
	struct cost *cost = &standing->cost;

	standing->is_known = 1;
	if (sscanf(answer, "ok %lg %lg %lg %lg %ld %lg %lg %ld %95[^\n]", &cost->instructions,
		   &cost->vector, &cost->memory, &cost->integer, &cost->spills, &cost->cycles,
		   &cost->shared, &cost->n_unmarked, cost->bottleneck) == 9 &&
	    cost->cycles > 0) {
		if (!cost->n_unmarked)
			return;
		answer = "its inner loops would be counted once";
	}
	one->failed = 1;
	ranking->rank->show.invalid++;
	if (!strncmp(answer, "fail ", 5))
		answer += 5;
	if (!strncmp(answer, "compile ", 8)) {
		record_add_failure(&ranking->rank->record, one->point.name, answer);
		return;
	}
	ranking->rank->n_left_out++;
	free(ranking->rank->left_out);
	ranking->rank->left_out = fail_text("%s: %s", one->point.name, answer);
}

static int answer(struct ranking *ranking, size_t i, const char *why, const struct cost *cost)
{
	char *question = question_of(ranking, i);
	char *text = why ? fail_text("fail %s", why) : answer_of(cost);
	int status = journal_add(ranking->rank->journal, question, text, ranking->err);

	if (!status)
		take_answer(ranking, i, text);
	free(question);
	free(text);
	return status;
}

static void show_modelled(void *context, size_t n_done)
{
	struct rank *rank = context;

	snprintf(rank->show.what, sizeof(rank->show.what), "llvm-mca: %zu loops", n_done);
	show_progress(&rank->show);
}

/* Assembly, then costs, of n candidates. */
static int model(struct ranking *ranking, const size_t *list, size_t n)
{
	struct rank *rank = ranking->rank;
	struct compile_item *texts = fail_alloc(n, sizeof(*texts));
	struct cost_item *items = fail_alloc(n, sizeof(*items));
	size_t *members = fail_alloc(n, sizeof(*members)), n_items = 0;
	int status;

	for (size_t i = 0; i < n; i++) {
		const struct search_candidate *one = search_candidate(ranking->search, list[i]);

		texts[i].text = one->text;
		texts[i].flags = one->isa->info.flags;
		texts[i].compiler = one->point.compiler == GEN_DEFAULT ? rank->compiler : GEN_CLANG;
	}
	snprintf(rank->show.what, sizeof(rank->show.what), "compiling %zu kernels", n);
	show_progress(&rank->show);
	status = compile_items(rank->compile, texts, n, ranking->err);
	for (size_t i = 0; i < n && !status; i++) {
		const struct search_candidate *one = search_candidate(ranking->search, list[i]);

		if (texts[i].why) {
			char *why = fail_text("compile %s", texts[i].why);

			status = answer(ranking, list[i], why, NULL);
			free(why);
			continue;
		}
		members[n_items] = list[i];
		items[n_items].object = texts[i].object;
		items[n_items].name = one->point.name;
		items[n_items].pass_tokens = one->point.n_tokens;
		items[n_items++].n_tokens = ranking->n_tokens;
	}
	if (!status)
		status = cost_items(rank->compile, &rank->mca, rank->model, items, n_items,
				    show_modelled, rank, ranking->err);
	for (size_t i = 0; i < n_items; i++) {
		if (!status)
			status = answer(ranking, members[i], items[i].why, &items[i].cost);
		free(items[i].why);
	}
	for (size_t i = 0; i < n; i++)
		free(texts[i].why);
	free(members);
	free(items);
	free(texts);
	return status;
}

/* Costs of all candidates from first on. */
static int model_new(struct ranking *ranking, size_t first)
{
	struct rank *rank = ranking->rank;
	size_t list[CHUNK], n = 0, n_all = search_n(ranking->search);
	int status = 0;

	ranking->standings =
		fail_check(realloc(ranking->standings, (n_all + 1) * sizeof(struct standing)));
	memset(ranking->standings + ranking->n_standings, 0,
	       (n_all + 1 - ranking->n_standings) * sizeof(struct standing));
	ranking->n_standings = n_all;
	for (size_t i = first; i < n_all && !status; i++) {
		char *question = question_of(ranking, i);
		const char *known = journal_find(rank->journal, question);

		rank->record.protocol.tried++;
		rank->show.tried++;
		if (known)
			take_answer(ranking, i, known);
		else
			list[n++] = i;
		free(question);
		if (n == CHUNK || i + 1 == n_all) {
			if (n)
				status = model(ranking, list, n);
			n = 0;
		}
	}
	for (size_t i = first; i < n_all; i++) {
		struct search_candidate *one = search_candidate(ranking->search, i);

		free(one->text);
		one->text = NULL;
	}
	return status;
}

/* ---- the search ---- */

static int is_chosen(const struct record *record, const char *name)
{
	for (size_t i = 0; i < record->n_entries; i++) {
		if (!strcmp(record->entries[i].kernel, name))
			return 1;
	}
	return 0;
}

/*
 * Is candidate a the one to choose of two whose estimates are close?  One that needs no second
 * compiler, then one that won another case, then the cheaper one; the first where all is equal,
 * which is a default when there is one.
 */
static int is_preferred(const struct ranking *ranking, size_t a, size_t b)
{
	const struct search_candidate *x = search_candidate(ranking->search, a);
	const struct search_candidate *y = search_candidate(ranking->search, b);
	const struct record *record = &ranking->rank->record;
	int better = (int)y->point.compiler - (int)x->point.compiler;

	if (!better)
		better = is_chosen(record, x->point.name) - is_chosen(record, y->point.name);
	if (!better && ranking->standings[a].cost.cycles != ranking->standings[b].cost.cycles)
		better = ranking->standings[a].cost.cycles < ranking->standings[b].cost.cycles ? 1
											       : -1;
	return better ? better > 0 : a < b;
}

/* The least cycles; SIZE_MAX when no candidate is any good. */
static size_t find_best(const struct ranking *ranking)
{
	size_t best = SIZE_MAX;

	for (size_t i = 0; i < ranking->n_standings; i++) {
		if (!search_candidate(ranking->search, i)->failed &&
		    (best == SIZE_MAX ||
		     ranking->standings[i].cost.cycles < ranking->standings[best].cost.cycles))
			best = i;
	}
	return best;
}

/* What each family takes on each ISA when nothing was measured. */
static size_t add_own(const struct ranking *ranking, struct gen_point own[MAX_OWN],
		      const char **keys, size_t n)
{
	const struct rank *rank = ranking->rank;
	size_t n_own = 0;

	for (size_t i = 0; i < rank->n_isas; i++) {
		if (rank->isas[i].is_replaced)
			continue;
		for (size_t f = 0; f < rank->config.families.n && n_own < MAX_OWN; f++) {
			char *key = fail_text("family=%s format=%s act=%s isa=%s",
					      rank->config.families.list[f], ranking->format,
					      ranking->act, rank->isas[i].info.name);
			struct gen_error ignored; /* there is no such kernel */

			if (gen_complete(rank->gen, key, &own[n_own], &ignored) == 0)
				keys[n++] = own[n_own++].key;
			free(key);
		}
	}
	return n;
}

/* Defaults, the first of which is what an untuned library takes, then earlier winners; points, or -1. */
static long list_known(struct ranking *ranking, long known[MAX_KNOWN])
{
	struct rank *rank = ranking->rank;
	const struct known_place place = {
		.format = ranking->format,
		.act = ranking->act,
		.n_tokens = ranking->n_tokens,
		.isas = rank->isas,
		.n_isas = rank->n_isas,
	};
	struct gen_point own[MAX_OWN]; /* of families that know of no better default */
	const char *keys[MAX_KNOWN];
	size_t n = known_collect(&place, &rank->defaults, keys, 0, 32, 1);
	long n_known = 0;

	n = add_own(ranking, own, keys, n);
	n = known_collect(&place, &rank->earlier, keys, n, MAX_KNOWN, 0);
	for (size_t i = 0; i < n; i++) {
		known[n_known] = search_find(ranking->search, keys[i]);
		n_known += known[n_known] >= 0;
	}
	return n_known;
}

static int bring(void *context, int step, const long *points, size_t n, long *ids)
{
	struct ranking *ranking = context;
	const size_t first = search_n(ranking->search);

	if (search_add(ranking->search, step, points, n, ids, ranking->err) < 0 ||
	    model_new(ranking, first) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (ids[i] >= 0 && search_candidate(ranking->search, (size_t)ids[i])->failed)
			ids[i] = -1;
	}
	return 0;
}

/* race_sample_fn: an estimate is the same every time. */
static int sample(void *context, int id, int round, double *cycles)
{
	const struct ranking *ranking = context;

	(void)round;
	*cycles = ranking->standings[id].cost.cycles;
	return 0;
}

static void tell(void *context, int round, const struct race_runner *runners, size_t n_left,
		 size_t n)
{
	struct ranking *ranking = context;
	struct show *show = &ranking->rank->show;

	(void)round, (void)n;
	if (!n_left)
		return;
	snprintf(show->best, sizeof(show->best), "%s",
		 search_candidate(ranking->search, (size_t)runners[0].id)->point.name);
	snprintf(show->figure, sizeof(show->figure), "%.4f cycles",
		 ranking->standings[runners[0].id].cost.cycles);
}

static int afford(void *context, int step, long n_wanted, long *n)
{
	const struct ranking *ranking = context;
	const long room = ranking->rank->max_candidates - (long)search_n(ranking->search);

	(void)step;
	*n = room < n_wanted ? room : n_wanted;
	return 0;
}

static int spare(void *context, int step, long *n_samples)
{
	(void)context, (void)step;
	*n_samples = 0;
	return 0;
}

/* The tuner's search, with estimates in the place of times: one round says it all. */
static int search(struct ranking *ranking)
{
	const struct points *points = search_points(ranking->search, ranking->err);
	const struct strategy_world world = {
		.context = ranking,
		.bring = bring,
		.race = {ranking, sample, NULL, tell},
		.afford = afford,
		.spare = spare,
	};
	struct strategy_constants constants = strategy_constants;
	struct strategy_result result;
	long known[MAX_KNOWN], n_known;

	if (!points || (n_known = list_known(ranking, known)) < 0)
		return -1;
	constants.n_start = (int)(ranking->rank->max_candidates / 3);
	constants.start_rounds = constants.rounds = constants.recall_rounds = 1;
	constants.patience = 2;
	if (strategy_run(points, &world, &constants, known, (size_t)n_known, 1,
			 ranking->rank->options->seed, &result) < 0)
		return -1;
	ranking->base = n_known && result.base >= 0 ? (size_t)result.base : SIZE_MAX;
	return 0;
}

/* ---- results ---- */

static void fill_entry(const struct ranking *ranking, const struct config_shape *shape,
		       size_t winner, size_t best)
{
	struct record_entry *entry = record_add_entry(&ranking->rank->record);
	const struct search_candidate *one = search_candidate(ranking->search, winner);
	const struct cost *cost = &ranking->standings[winner].cost;
	const double limit = CLOSE * ranking->standings[best].cost.cycles;

	snprintf(entry->format, sizeof(entry->format), "%s", ranking->format);
	entry->is_estimated = 1;
	entry->m = shape->m;
	entry->k = shape->k;
	entry->n = ranking->n_tokens;
	entry->threads = 1;
	snprintf(entry->kernel, sizeof(entry->kernel), "%s", one->point.name);
	snprintf(entry->key, sizeof(entry->key), "%s", one->point.key);
	snprintf(entry->code, sizeof(entry->code), "%016llx", (unsigned long long)one->fingerprint);
	if (ranking->base != SIZE_MAX) {
		snprintf(entry->default_kernel, sizeof(entry->default_kernel), "%s",
			 search_candidate(ranking->search, ranking->base)->point.name);
		entry->estimate.default_cycles_per_weight =
			ranking->standings[ranking->base].cost.cycles;
	}
	entry->estimate.cycles_per_weight = cost->cycles;
	entry->estimate.instructions_per_weight = cost->instructions;
	entry->estimate.vector_per_weight = cost->vector;
	entry->estimate.spills = cost->spills;
	snprintf(entry->estimate.bottleneck, sizeof(entry->estimate.bottleneck), "%s",
		 cost->bottleneck);
	for (size_t i = 0; i < ranking->n_standings && entry->n_equivalent < MAX_EQUIVALENT; i++) {
		const struct search_candidate *other = search_candidate(ranking->search, i);

		if (i != winner && !other->failed && ranking->standings[i].cost.cycles <= limit)
			record_add_equivalent(entry, other->point.name);
	}
}

/* The same winner for all shapes that have the format. */
static void finish(struct ranking *ranking, size_t format)
{
	struct rank *rank = ranking->rank;
	const size_t best = find_best(ranking);
	size_t winner = best;

	if (best == SIZE_MAX) {
		char *where =
			fail_text("%s %s n%ld", ranking->format, ranking->act, ranking->n_tokens);
		char *why =
			fail_text("no candidate could be estimated%s%s", rank->left_out ? "; " : "",
				  rank->left_out ? rank->left_out : "");

		record_add_failure(&rank->record, where, why);
		free(why);
		free(where);
		return;
	}
	for (size_t i = 0; i < ranking->n_standings; i++) {
		if (!search_candidate(ranking->search, i)->failed &&
		    ranking->standings[i].cost.cycles <=
			    CLOSE * ranking->standings[best].cost.cycles &&
		    is_preferred(ranking, i, winner))
			winner = i;
	}
	for (size_t i = 0; i < rank->config.n_shapes; i++) {
		if (rank->config.shapes[i].formats >> format & 1)
			fill_entry(ranking, &rank->config.shapes[i], winner, best);
	}
	if (!rank->show.is_terminal)
		show_say(&rank->show, "%s %s n%ld: %s %.4f cycles per weight", ranking->format,
			 ranking->act, ranking->n_tokens,
			 search_candidate(ranking->search, winner)->point.name,
			 ranking->standings[winner].cost.cycles);
}

int ranking_run(struct rank *rank, size_t format, const char *act, long n_tokens,
		struct gen_error *err)
{
	struct ranking ranking = {
		.rank = rank,
		.format = rank->config.formats.list[format],
		.act = act,
		.n_tokens = n_tokens,
		.err = err,
	};
	int status = -1;

	snprintf(rank->show.place, sizeof(rank->show.place), "%s %s n%ld", ranking.format, act,
		 n_tokens);
	show_forget_best(&rank->show);
	ranking.search = search_open(rank->gen, &rank->config, ranking.format, act, n_tokens,
				     rank->isas, rank->n_isas, rank->with_clang, NULL,
				     rank->journal, rank->options->seed, err);
	if (!ranking.search)
		return -1;
	search_fix(ranking.search, "PF");
	rank->n_legal += search_n_legal(ranking.search);
	if (search(&ranking) == 0) {
		finish(&ranking, format);
		status = 0;
	}
	search_close(ranking.search);
	free(ranking.standings);
	rank->show.cases_done++;
	return status;
}
