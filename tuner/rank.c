/* rank.c: a run of estimates from the options to the results file. */
#include <unistd.h>

#include "cost.h"
#include "facts.h"
#include "fail.h"
#include "journal.h"
#include "known.h"
#include "mca.h"
#include "models.h"
#include "process.h"
#include "rank.h"
#include "record.h"
#include "request.h"
#include "search.h"
#include "show.h"
#include "gen/folder.h"
#include "runtime/quern.h"

#define PROTOCOL "estimate 1" /* a change makes earlier journals worthless */
#define CHUNK 32              /* candidates between two looks at the journal */
#define CLOSE 1.01            /* two estimates that say the same */
#define MAX_EQUIVALENT 8
#define MAX_OWN 32 /* families times ISAs */

struct rank {
	const struct options *options;
	const char *home;
	struct gen *gen;
	struct config config;
	struct device device;
	struct compile *compile;
	struct mca mca;
	const struct model *model;
	enum gen_compiler compiler; /* of what the search has for the default one */
	int with_clang;             /* beside it */
	struct search_isa *isas;
	size_t n_isas;
	struct journal *journal;
	struct record record, defaults, earlier;
	struct show show;
	char *output, *work, *templates;
	long n_legal, max_candidates;
	long n_left_out; /* of which nothing can be said */
	char *left_out;  /* the last one, and why */
	int is_misused;
};

/* One format, its activations and a number of tokens. */
struct heat {
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

static char *question_of(const struct heat *heat, size_t i)
{
	return fail_text("cost %s n%ld", search_candidate(heat->search, i)->point.name,
			 heat->n_tokens);
}

static char *answer_of(const struct cost *cost)
{
	return fail_text("ok %.9g %.9g %.9g %.9g %ld %.9g %.9g %ld %s", cost->instructions,
			 cost->vector, cost->memory, cost->integer, cost->spills, cost->cycles,
			 cost->shared, cost->n_unmarked, cost->bottleneck);
}

/* A candidate gets what was answered, the same from the journal as from llvm-mca. */
static void take_answer(struct heat *heat, size_t i, const char *answer)
{
	struct search_candidate *one = search_candidate(heat->search, i);
	struct standing *standing = &heat->standings[i];
	struct cost *cost = &standing->cost;

	standing->is_known = 1;
	if (sscanf(answer, "ok %lg %lg %lg %lg %ld %lg %lg %ld %95[^\n]", &cost->instructions,
		   &cost->vector, &cost->memory, &cost->integer, &cost->spills, &cost->cycles,
		   &cost->shared, &cost->n_unmarked, cost->bottleneck) == 9 &&
	    cost->cycles > 0)
		return;
	one->failed = 1;
	heat->rank->show.invalid++;
	if (!strncmp(answer, "fail ", 5))
		answer += 5;
	if (!strncmp(answer, "compile ", 8)) {
		record_add_failure(&heat->rank->record, one->point.name, answer);
		return;
	}
	heat->rank->n_left_out++;
	free(heat->rank->left_out);
	heat->rank->left_out = fail_text("%s: %s", one->point.name, answer);
}

static int answer(struct heat *heat, size_t i, const char *why, const struct cost *cost)
{
	char *question = question_of(heat, i);
	char *text = why ? fail_text("fail %s", why) : answer_of(cost);
	int status = journal_add(heat->rank->journal, question, text, heat->err);

	if (!status)
		take_answer(heat, i, text);
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
static int model(struct heat *heat, const size_t *list, size_t n)
{
	struct rank *rank = heat->rank;
	struct compile_item *texts = fail_alloc(n, sizeof(*texts));
	struct cost_item *items = fail_alloc(n, sizeof(*items));
	size_t *members = fail_alloc(n, sizeof(*members)), n_items = 0;
	int status;

	for (size_t i = 0; i < n; i++) {
		const struct search_candidate *one = search_candidate(heat->search, list[i]);

		texts[i].text = one->text;
		texts[i].flags = one->isa->info.flags;
		texts[i].compiler = one->point.compiler == GEN_DEFAULT ? rank->compiler : GEN_CLANG;
	}
	snprintf(rank->show.what, sizeof(rank->show.what), "compiling %zu kernels", n);
	show_progress(&rank->show);
	status = compile_items(rank->compile, texts, n, heat->err);
	for (size_t i = 0; i < n && !status; i++) {
		const struct search_candidate *one = search_candidate(heat->search, list[i]);

		if (texts[i].why) {
			char *why = fail_text("compile %s", texts[i].why);

			status = answer(heat, list[i], why, NULL);
			free(why);
			continue;
		}
		members[n_items] = list[i];
		items[n_items].object = texts[i].object;
		items[n_items].name = one->point.name;
		items[n_items].pass_tokens = one->point.n_tokens;
		items[n_items++].n_tokens = heat->n_tokens;
	}
	if (!status)
		status = cost_items(rank->compile, &rank->mca, rank->model, items, n_items,
				    show_modelled, rank, heat->err);
	for (size_t i = 0; i < n_items; i++) {
		if (!status)
			status = answer(heat, members[i], items[i].why, &items[i].cost);
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
static int model_new(struct heat *heat, size_t first)
{
	struct rank *rank = heat->rank;
	size_t list[CHUNK], n = 0, n_all = search_n(heat->search);
	int status = 0;

	heat->standings =
		fail_check(realloc(heat->standings, (n_all + 1) * sizeof(struct standing)));
	memset(heat->standings + heat->n_standings, 0,
	       (n_all + 1 - heat->n_standings) * sizeof(struct standing));
	heat->n_standings = n_all;
	for (size_t i = first; i < n_all && !status; i++) {
		char *question = question_of(heat, i);
		const char *known = journal_find(rank->journal, question);

		rank->record.protocol.tried++;
		rank->show.tried++;
		if (known)
			take_answer(heat, i, known);
		else
			list[n++] = i;
		free(question);
		if (n == CHUNK || i + 1 == n_all) {
			if (n)
				status = model(heat, list, n);
			n = 0;
		}
	}
	for (size_t i = first; i < n_all; i++) {
		struct search_candidate *one = search_candidate(heat->search, i);

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
static int is_preferred(const struct heat *heat, size_t a, size_t b)
{
	const struct search_candidate *x = search_candidate(heat->search, a);
	const struct search_candidate *y = search_candidate(heat->search, b);
	const struct record *record = &heat->rank->record;
	int better = (int)y->point.compiler - (int)x->point.compiler;

	if (!better)
		better = is_chosen(record, x->point.name) - is_chosen(record, y->point.name);
	if (!better && heat->standings[a].cost.cycles != heat->standings[b].cost.cycles)
		better = heat->standings[a].cost.cycles < heat->standings[b].cost.cycles ? 1 : -1;
	return better ? better > 0 : a < b;
}

/* The least cycles; SIZE_MAX when no candidate is any good.  but: one to leave out. */
static size_t find_best(const struct heat *heat, size_t but)
{
	size_t best = SIZE_MAX;

	for (size_t i = 0; i < heat->n_standings; i++) {
		if (i != but && !search_candidate(heat->search, i)->failed &&
		    (best == SIZE_MAX ||
		     heat->standings[i].cost.cycles < heat->standings[best].cost.cycles))
			best = i;
	}
	return best;
}

/* What each family takes on each ISA when nothing was measured. */
static size_t add_own(const struct heat *heat, struct gen_point own[MAX_OWN], const char **keys,
		      size_t n)
{
	const struct rank *rank = heat->rank;
	size_t n_own = 0;

	for (size_t i = 0; i < rank->n_isas; i++) {
		for (size_t f = 0; f < rank->config.families.n && n_own < MAX_OWN; f++) {
			char *key = fail_text("family=%s format=%s act=%s isa=%s",
					      rank->config.families.list[f], heat->format,
					      heat->act, rank->isas[i].info.name);
			struct gen_error ignored; /* there is no such kernel */

			if (gen_complete(rank->gen, key, &own[n_own], &ignored) == 0)
				keys[n++] = own[n_own++].key;
			free(key);
		}
	}
	return n;
}

static int start(struct heat *heat)
{
	struct rank *rank = heat->rank;
	const struct known_place place = {
		.format = heat->format,
		.act = heat->act,
		.n_tokens = heat->n_tokens,
		.isas = rank->isas,
		.n_isas = rank->n_isas,
	};
	struct gen_point own[MAX_OWN]; /* of families that know of no better default */
	const char *keys[32 + MAX_OWN + 64];
	size_t n_defaults = known_collect(&place, &rank->defaults, keys, 0, 32, 1), n;

	n_defaults = add_own(heat, own, keys, n_defaults);
	n = known_collect(&place, &rank->earlier, keys, n_defaults, n_defaults + 64, 0);
	if (search_start(heat->search, keys, n, rank->max_candidates / 3, heat->err) < 0 ||
	    model_new(heat, 0) < 0)
		return -1;
	heat->base = SIZE_MAX;
	for (size_t i = 0; i < heat->n_standings && n_defaults && heat->base == SIZE_MAX; i++) {
		if (!search_candidate(heat->search, i)->failed)
			heat->base = i;
	}
	return 0;
}

/* Neighbours of the two best until there are no new ones, or enough. */
static int improve(struct heat *heat)
{
	struct rank *rank = heat->rank;

	for (int batch = 1;; batch++) {
		const size_t first = search_n(heat->search);
		const long room = rank->max_candidates - (long)first;
		size_t leaders[2], n = 0;

		leaders[0] = find_best(heat, SIZE_MAX);
		if (leaders[0] == SIZE_MAX || room <= 0)
			return 0;
		leaders[1] = find_best(heat, leaders[0]);
		n = leaders[1] == SIZE_MAX ? 1 : 2;
		if (search_grow(heat->search, batch, leaders, n, room < 24 ? room : 24, heat->err) <
		    0)
			return -1;
		if (search_n(heat->search) == first)
			return 0;
		if (model_new(heat, first) < 0)
			return -1;
		leaders[0] = find_best(heat, SIZE_MAX);
		snprintf(rank->show.best, sizeof(rank->show.best), "%s %.4f cycles",
			 search_candidate(heat->search, leaders[0])->point.name,
			 heat->standings[leaders[0]].cost.cycles);
	}
}

/* ---- results ---- */

static void fill_entry(const struct heat *heat, const struct config_shape *shape, size_t winner,
		       size_t best)
{
	struct record_entry *entry = record_add_entry(&heat->rank->record);
	const struct search_candidate *one = search_candidate(heat->search, winner);
	const struct cost *cost = &heat->standings[winner].cost;
	const double limit = CLOSE * heat->standings[best].cost.cycles;

	snprintf(entry->format, sizeof(entry->format), "%s", heat->format);
	entry->is_estimated = 1;
	entry->m = shape->m;
	entry->k = shape->k;
	entry->n = heat->n_tokens;
	entry->threads = 1;
	snprintf(entry->kernel, sizeof(entry->kernel), "%s", one->point.name);
	snprintf(entry->key, sizeof(entry->key), "%s", one->point.key);
	if (heat->base != SIZE_MAX) {
		snprintf(entry->default_kernel, sizeof(entry->default_kernel), "%s",
			 search_candidate(heat->search, heat->base)->point.name);
		entry->estimate.default_cycles_per_weight = heat->standings[heat->base].cost.cycles;
	}
	entry->estimate.cycles_per_weight = cost->cycles;
	entry->estimate.instructions_per_weight = cost->instructions;
	entry->estimate.vector_per_weight = cost->vector;
	entry->estimate.spills = cost->spills;
	snprintf(entry->estimate.bottleneck, sizeof(entry->estimate.bottleneck), "%s",
		 cost->bottleneck);
	for (size_t i = 0; i < heat->n_standings && entry->n_equivalent < MAX_EQUIVALENT; i++) {
		const struct search_candidate *other = search_candidate(heat->search, i);

		if (i != winner && !other->failed && heat->standings[i].cost.cycles <= limit)
			record_add_equivalent(entry, other->point.name);
	}
}

/* The same winner for all shapes that have the format. */
static void finish(struct heat *heat, size_t format)
{
	struct rank *rank = heat->rank;
	const size_t best = find_best(heat, SIZE_MAX);
	size_t winner = best;

	if (best == SIZE_MAX) {
		char *where = fail_text("%s %s n%ld", heat->format, heat->act, heat->n_tokens);
		char *why =
			fail_text("no candidate could be estimated%s%s", rank->left_out ? "; " : "",
				  rank->left_out ? rank->left_out : "");

		record_add_failure(&rank->record, where, why);
		free(why);
		free(where);
		return;
	}
	for (size_t i = 0; i < heat->n_standings; i++) {
		if (!search_candidate(heat->search, i)->failed &&
		    heat->standings[i].cost.cycles <= CLOSE * heat->standings[best].cost.cycles &&
		    is_preferred(heat, i, winner))
			winner = i;
	}
	for (size_t i = 0; i < rank->config.n_shapes; i++) {
		if (rank->config.shapes[i].formats >> format & 1)
			fill_entry(heat, &rank->config.shapes[i], winner, best);
	}
	if (!rank->show.is_terminal)
		show_say(&rank->show, "%s %s n%ld: %s %.4f cycles per weight", heat->format,
			 heat->act, heat->n_tokens,
			 search_candidate(heat->search, winner)->point.name,
			 heat->standings[winner].cost.cycles);
}

static int run_heat(struct rank *rank, size_t format, const char *act, long n_tokens,
		    struct gen_error *err)
{
	struct heat heat = {
		.rank = rank,
		.format = rank->config.formats.list[format],
		.act = act,
		.n_tokens = n_tokens,
		.err = err,
	};
	int status = -1;

	snprintf(rank->show.place, sizeof(rank->show.place), "%s %s n%ld", heat.format, act,
		 n_tokens);
	*rank->show.best = 0;
	heat.search = search_open(rank->gen, &rank->config, heat.format, act, n_tokens, rank->isas,
				  rank->n_isas, rank->with_clang, NULL, rank->journal,
				  rank->options->seed, err);
	if (!heat.search)
		return -1;
	search_fix(heat.search, "PF");
	rank->n_legal += search_n_legal(heat.search);
	if (start(&heat) == 0 && improve(&heat) == 0) {
		finish(&heat, format);
		status = 0;
	}
	search_close(heat.search);
	free(heat.standings);
	rank->show.cases_done++;
	return status;
}

static int has_shape(const struct config *config, size_t format)
{
	for (size_t i = 0; i < config->n_shapes; i++) {
		if (config->shapes[i].formats >> format & 1)
			return 1;
	}
	return 0;
}

static int run_formats(struct rank *rank, struct gen_error *err)
{
	const struct config *config = &rank->config;
	int status = 0;

	rank->show.n_cases = config->formats.n * config->acts.n * config->tokens.n;
	for (size_t f = 0; f < config->formats.n; f++) {
		for (size_t a = 0; a < config->acts.n && has_shape(config, f); a++) {
			for (size_t n = 0; n < config->tokens.n && !status; n++)
				status = run_heat(rank, f, config->acts.list[a],
						  config->tokens.list[n], err);
		}
	}
	return status;
}

/* ---- preparing ---- */

static int choose_compiler(struct rank *rank, struct gen_error *err)
{
	const char *wanted = rank->options->compiler ? rank->options->compiler : "both";
	const char *clang = compile_version(rank->compile, GEN_CLANG);
	const char *why = compile_why_no_clang(rank->compile);

	if (strcmp(wanted, "gcc") && !clang) {
		if (!strcmp(wanted, "clang"))
			return fail_set(err, "there is no clang to compile with: %s",
					why ? why : "the device names none");
		show_say(&rank->show, "no kernel is tried with clang: %s",
			 why ? why : "the device names none");
	}
	rank->compiler = strcmp(wanted, "clang") ? GEN_DEFAULT : GEN_CLANG;
	rank->with_clang = !strcmp(wanted, "both") && clang;
	show_say(&rank->show,
		 "estimates for %s by llvm-mca %s (model %s%s%s), compiled with %s%s%s",
		 rank->model->core, rank->mca.version, rank->model->cpu,
		 *rank->model->note ? ", " : "", rank->model->note,
		 compile_version(rank->compile, rank->compiler), rank->with_clang ? " and " : "",
		 rank->with_clang ? clang : "");
	return 0;
}

/* Those that the core has; what is written in plain C is left to compilers. */
static int list_isas(struct rank *rank, struct gen_error *err)
{
	struct facts facts = {.arch = "aarch64"};
	size_t n = 0;

	snprintf(facts.features, sizeof(facts.features), "%s", rank->model->features);
	if (facts_list_isas(&facts, rank->gen, &rank->config, &rank->isas, &rank->n_isas, err) < 0)
		return -1;
	for (size_t i = 0; i < rank->n_isas; i++) {
		if (rank->isas[i].n_features)
			rank->isas[n++] = rank->isas[i];
		else
			free(rank->isas[i].text);
	}
	rank->n_isas = n;
	return n ? 0
		 : fail_set(err, "%s has none of the config's instruction sets; it has %s",
			    rank->model->core, rank->model->features);
}

static int open_journal(struct rank *rank, struct gen_error *err)
{
	size_t n = strlen(rank->output);
	int has_end = n > 5 && !strcmp(rank->output + n - 5, ".yaml");
	char *path = fail_text("%.*s.journal", (int)(has_end ? n - 5 : n), rank->output);
	char *config = config_text(&rank->config), note[256] = "";
	char *seed = fail_text("%llu", rank->options->seed);
	char *protocol = fail_text("%s, %ld candidates", PROTOCOL, rank->max_candidates);
	char *compiler = fail_text("%s; %s %s", compile_version(rank->compile, rank->compiler),
				   compile_command(rank->compile, rank->compiler),
				   compile_flags(rank->compile));
	const char *version = rank->with_clang ? compile_version(rank->compile, GEN_CLANG) : NULL;
	char *clang = fail_text("%s; %s", version ? version : "none",
				version ? compile_command(rank->compile, GEN_CLANG) : "");
	char *device = fail_text("core %s; model %s; llvm-mca %s", rank->model->core,
				 rank->model->cpu, rank->mca.version);
	struct journal_fact header[] = {
		{"config", config},     {"seed", seed},
		{"protocol", protocol}, {"templates", rank->templates},
		{"compiler", compiler}, {"clang", clang},
		{"device", device},
	};

	if (folder_make_above(path, err) == 0)
		rank->journal = journal_open(path, header, sizeof(header) / sizeof(*header),
					     rank->options->fresh, note, err);
	if (rank->journal && *note)
		show_say(&rank->show, "%s", note);
	free(device);
	free(clang);
	free(compiler);
	free(protocol);
	free(seed);
	free(config);
	free(path);
	return rank->journal ? 0 : -1;
}

/* What begins a search: defaults, seeds, and the estimates that this run is to replace. */
static int read_known(struct rank *rank, struct gen_error *err)
{
	char *path = fail_text("%s/results/default.yaml", rank->home);
	int status = 0;

	if (access(path, F_OK) == 0)
		status = record_read(&rank->defaults, path, err);
	free(path);
	if (!status && access(rank->output, F_OK) == 0) {
		status = record_read(&rank->earlier, rank->output, err);
		if (!status && !rank->earlier.estimated.core)
			status = fail_set(
				err,
				"%s holds measurements, which estimates do not replace; give "
				"--output another name",
				rank->output);
		record_free(&rank->earlier);
	}
	if (!status && rank->options->seed_from)
		status = record_read(&rank->earlier, rank->options->seed_from, err);
	return status;
}

static char *copy(const char *text)
{
	return fail_text("%s", text);
}

static void fill_record(struct rank *rank)
{
	struct record *record = &rank->record;

	record->estimated.core = copy(rank->model->core);
	record->estimated.model = copy(rank->model->cpu);
	record->estimated.llvm_mca = copy(rank->mca.version);
	record->estimated.note = *rank->model->note ? copy(rank->model->note) : NULL;
	record->device.name = copy(rank->model->core);
	record->device.cpu = copy(rank->model->core);
	record->device.arch = copy("aarch64");
	record->device.features = copy(rank->model->features);
	record->compiler.command = copy(compile_command(rank->compile, rank->compiler));
	record->compiler.version = copy(compile_version(rank->compile, rank->compiler));
	record->compiler.flags = copy(compile_flags(rank->compile));
	if (rank->with_clang) {
		record->compiler.clang = copy(compile_command(rank->compile, GEN_CLANG));
		record->compiler.clang_version = copy(compile_version(rank->compile, GEN_CLANG));
	}
	record->generator.version = copy(QUERN_VERSION);
	record->generator.templates = copy(rank->templates);
	record->protocol.budget = fail_text("%ld candidates", rank->max_candidates);
	record->protocol.seed = (long long)rank->options->seed;
	record->counters = copy("none: estimated, nothing was run");
}

static int prepare(struct rank *rank, struct gen_error *err)
{
	const struct options *options = rank->options;

	rank->model = models_find(options->core);
	rank->max_candidates = options->max_candidates             ? options->max_candidates
			       : options->effort.n_generations > 1 ? 500
								   : 100;
	rank->gen = gen_open(rank->home, err);
	if (!rank->gen ||
	    request_config(options, rank->home, rank->gen, &rank->config, &rank->is_misused, err) <
		    0 ||
	    device_read(&rank->device, rank->home, options->device, err) < 0)
		return -1;
	if (rank->config.max_nmse > 0) {
		show_say(&rank->show,
			 "lossy kernels are left out: only a run can tell their errors");
		rank->config.max_nmse = 0;
	}
	rank->work = request_work(options);
	rank->output = options->output ? copy(options->output)
				       : fail_text("results/%s.yaml", options->core);
	rank->templates = request_texts(rank->home);
	if (read_known(rank, err) < 0 || list_isas(rank, err) < 0)
		return -1;
	rank->compile = compile_open(&rank->device, rank->home, rank->work, options->jobs, err);
	if (!rank->compile)
		return -1;
	compile_to_assembly(rank->compile);
	if (mca_open(&rank->mca, rank->work, options->jobs, err) < 0 ||
	    choose_compiler(rank, err) < 0 || open_journal(rank, err) < 0)
		return -1;
	fill_record(rank);
	return 0;
}

/* ---- the run ---- */

static int run_all(struct rank *rank, struct gen_error *err)
{
	struct record *record = &rank->record;

	if (run_formats(rank, err) < 0)
		return -1;
	if (!record->n_entries)
		return fail_set(err, "nothing could be estimated: %s",
				record->protocol.n_failed ? record->protocol.failed[0].reason
							  : "there are no cases");
	record->complete = 1;
	record->protocol.seconds = journal_elapsed(rank->journal);
	if (record_write(record, rank->output, err) < 0)
		return -1;
	show_clear(&rank->show);
	show_record(stdout, record);
	if (rank->n_left_out)
		printf("%ld kernels could not be estimated; %s\n", rank->n_left_out,
		       rank->left_out);
	printf("%ld legal points; estimated winners are in %s\n", rank->n_legal, rank->output);
	return 0;
}

static void close_rank(struct rank *rank)
{
	journal_close(rank->journal);
	mca_close(&rank->mca);
	compile_close(rank->compile);
	facts_free_isas(rank->isas, rank->n_isas);
	device_free(&rank->device);
	config_free(&rank->config);
	record_free(&rank->record);
	record_free(&rank->defaults);
	record_free(&rank->earlier);
	free(rank->left_out);
	free(rank->output);
	free(rank->work);
	free(rank->templates);
	gen_close(rank->gen);
}

int rank_main(const struct options *options, const char *home)
{
	struct rank rank = {.options = options, .home = home};
	struct gen_error err;
	int status;

	process_catch_signals();
	show_open(&rank.show, stderr);
	rank.show.left_s = -1;
	status = prepare(&rank, &err) < 0 || run_all(&rank, &err) < 0;
	show_clear(&rank.show);
	if (status && process_stopping()) {
		fprintf(stderr, "quern: stopped; nothing is lost: the same command goes on%s\n",
			options->fresh ? " (without --fresh)" : "");
		status = 130;
	} else if (status) {
		fprintf(stderr, "quern: %s\n", err.text);
		status = rank.is_misused ? 2 : 1;
	}
	close_rank(&rank);
	return status;
}
