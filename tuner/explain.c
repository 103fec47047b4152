/* explain.c: notes of finals, the assembly of those that need it, and sentences. */
#include <math.h>

#include "cost.h"
#include "explain.h"
#include "fail.h"
#include "object.h"
#include "process.h"
#include "reason.h"

#define LEAST_S 5.0 /* for looking at assembly, whatever the run took */
#define SHARE 0.03  /* of the run's time for it */
#define PASSES 60   /* of a loop, for llvm-mca */
#define CHUNK 4     /* kernels a compiler, between two looks at the clock */

/* One finalist of one case. */
struct note {
	char kernel[64], target[80], object[64];
	long m, k, n;
	double bytes;
	struct record_numbers counted; /* a weight times a token */
};

struct explain {
	struct note *notes;
	size_t n_notes, last; /* the one found last: the next is not far behind it */
};

/* A kernel whose assembly is wanted. */
struct need {
	const char *kernel, *key;
	long n_tokens;
	const struct model *model;
	int rank; /* 0: a winner below the roof; the higher, the later */
	size_t order;
	struct cost cost; /* instructions 0: nothing is known */
};

struct look {
	struct contest *contest;
	struct explain *explain;
	const struct explain_device *on;
	struct need *needs;
	size_t n_needs;
	struct model native;
	struct mca mca;
	int has_mca;
	struct gen_error *err;
};

/* ---- notes ---- */

struct explain *explain_open(void)
{
	return fail_alloc(1, sizeof(struct explain));
}

void explain_close(struct explain *explain)
{
	if (explain)
		free(explain->notes);
	free(explain);
}

static struct note *find_note(struct explain *explain, const char *kernel, const char *target,
			      long m, long k, long n)
{
	for (size_t i = 0; i < explain->n_notes; i++) {
		const size_t at = (explain->last + i) % explain->n_notes;
		struct note *note = &explain->notes[at];

		if (note->m == m && note->k == k && note->n == n && !strcmp(note->kernel, kernel) &&
		    !strcmp(note->target, target)) {
			explain->last = at;
			return note;
		}
	}
	return NULL;
}

void explain_note(struct explain *explain, const struct session_case *place, const char *kernel,
		  const char *object, double bytes)
{
	struct note *note;

	explain->notes = fail_grow(explain->notes, explain->n_notes, sizeof(*note));
	note = &explain->notes[explain->n_notes++];
	*note = (struct note){.m = place->m, .k = place->k, .n = place->n, .bytes = bytes};
	snprintf(note->kernel, sizeof(note->kernel), "%s", kernel);
	snprintf(note->target, sizeof(note->target), "%s", place->target);
	snprintf(note->object, sizeof(note->object), "%s", object);
	reason_clear(&note->counted);
}

int explain_wants(const char *event)
{
	struct record_numbers numbers;

	return reason_event(&numbers, event) != NULL;
}

void explain_count(struct explain *explain, const struct session_case *place, const char *kernel,
		   const char *event, double value)
{
	struct note *note = find_note(explain, kernel, place->target, place->m, place->k, place->n);
	double *to = note ? reason_event(&note->counted, event) : NULL;

	if (to)
		*to = value / (double)place->m / (double)place->k / (double)place->n;
}

/* ---- what is known of a kernel in a case ---- */

static const struct note *entry_note(struct explain *explain, const struct record_entry *entry,
				     const char *kernel)
{
	char target[80];

	/* As session_set_target has it. */
	snprintf(target, sizeof(target), "t%d%s%s", entry->threads, *entry->core_name ? "@" : "",
		 entry->core_name);
	return find_note(explain, kernel, target, entry->m, entry->k, entry->n);
}

/* What the reading of the roof beside a case says, not the median of all. */
static void find_roofs(const struct record *record, const struct record_entry *entry, double gmacs,
		       double *gbps_roof, double *gmacs_roof)
{
	const struct record_ceiling *ceiling = NULL;

	*gbps_roof = *gmacs_roof = NAN;
	for (size_t i = 0; i < record->n_ceilings; i++) {
		const struct record_ceiling *one = &record->ceilings[i];

		if (one->threads == entry->threads && !strcmp(one->core_name, entry->core_name))
			ceiling = one;
	}
	if (!ceiling ||
	    !(ceiling->dram_gbps > 0 && ceiling->int8_gmacs > 0 && entry->roof_fraction > 0))
		return;
	*gbps_roof = ceiling->dram_gbps;
	*gmacs_roof = ceiling->int8_gmacs;
	if (entry->gbps / ceiling->dram_gbps >= gmacs / ceiling->int8_gmacs)
		*gbps_roof = entry->gbps / entry->roof_fraction;
	else
		*gmacs_roof = gmacs / entry->roof_fraction;
}

/* All but what needs the assembly. */
static void fill(const struct look *look, const struct record_entry *entry, const char *kernel,
		 double ratio, struct reason_numbers *numbers)
{
	const double n_products = (double)entry->m * (double)entry->k * (double)entry->n;
	const double us = entry->median_us * ratio;
	const struct note *note = entry_note(look->explain, entry, kernel);
	const double bytes =
		note && note->bytes > 0 ? note->bytes : 1e3 * entry->gbps * entry->median_us;
	double gbps_roof, gmacs_roof, gbps, gmacs;

	*numbers = (struct reason_numbers){
		.ratio = ratio,
		.roof = NAN,
		.roof_fraction = NAN,
		.roof_unit = "GB/s",
		.pass_weights = NAN,
		.core_ns = 1e3 * us * entry->threads / n_products,
		.bottleneck = "",
	};
	reason_clear(&numbers->per_weight);
	if (note)
		numbers->per_weight = note->counted;
	find_roofs(look->contest->record, entry, 1e-3 * n_products / entry->median_us, &gbps_roof,
		   &gmacs_roof);
	gbps = 1e-3 * bytes / us / gbps_roof;
	gmacs = 1e-3 * n_products / us / gmacs_roof;
	if (gbps >= gmacs) {
		numbers->roof_fraction = gbps;
		numbers->roof = gbps_roof;
	} else if (gmacs > gbps) {
		numbers->roof_fraction = gmacs;
		numbers->roof = gmacs_roof;
		numbers->roof_unit = "int8 GMAC/s";
	}
}

/* ---- who needs more ---- */

static const struct model *choose_model(const struct look *look, const struct record_entry *entry)
{
	const struct cores *cores = look->on->cores;
	const char *name = *entry->core_name ? entry->core_name
			   : cores->n == 1   ? cores->list[0].name
					     : "";
	const struct model *model =
		look->native.arch == ASSEMBLY_AARCH64 ? models_find(name) : NULL;

	return model ? model : &look->native;
}

static struct need *find_need(const struct look *look, const struct record_entry *entry,
			      const char *kernel)
{
	const struct model *model = choose_model(look, entry);

	for (size_t i = 0; i < look->n_needs; i++) {
		struct need *need = &look->needs[i];

		if (need->n_tokens == entry->n && need->model == model &&
		    !strcmp(need->kernel, kernel))
			return need;
	}
	return NULL;
}

static void add_need(struct look *look, const struct record_entry *entry, const char *kernel,
		     const char *key, int rank)
{
	struct need *need = find_need(look, entry, kernel);

	if (need) {
		if (rank < need->rank)
			need->rank = rank;
		return;
	}
	look->needs = fail_grow(look->needs, look->n_needs, sizeof(*need));
	look->needs[look->n_needs] = (struct need){
		.kernel = kernel,
		.key = key,
		.n_tokens = entry->n,
		.model = choose_model(look, entry),
		.rank = rank,
		.order = look->n_needs,
	};
	look->n_needs++;
}

static int is_measured(const struct record_entry *entry)
{
	return !entry->is_default && !entry->is_estimated && entry->median_us > 0;
}

static int is_open(const struct record_finalist *finalist, const struct reason_numbers *numbers)
{
	return !finalist->is_equivalent && finalist->ratio > 1 && finalist->ratio_low >= 1 &&
	       !(numbers->roof_fraction >= REASON_AT_ROOF);
}

static void list_needs(struct look *look, const struct record_entry *entry)
{
	struct reason_numbers numbers;
	int is_low;

	fill(look, entry, entry->kernel, 1, &numbers);
	is_low = !(numbers.roof_fraction >= REASON_AT_ROOF);
	if (is_low)
		add_need(look, entry, entry->kernel, entry->key, 0);
	for (size_t i = 0; i < entry->n_finalists; i++) {
		const struct record_finalist *one = &entry->finalists[i];
		const int rank = strcmp(one->kernel, entry->default_kernel) ? 2 : 1;

		fill(look, entry, one->kernel, one->ratio, &numbers);
		if (!is_open(one, &numbers))
			continue;
		add_need(look, entry, entry->kernel, entry->key, rank);
		add_need(look, entry, one->kernel, one->key, rank);
	}
}

static int by_rank(const void *a, const void *b)
{
	const struct need *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank - y->rank;
	if (x->model != y->model)
		return strcmp(x->model->core, y->model->core);
	return x->order < y->order ? -1 : 1;
}

/* ---- assembly ---- */

/* The C of a kernel, and how to compile it; NULL: the generator does not have it any more. */
static char *emit(const struct look *look, const struct need *need, struct compile_item *item,
		  struct gen_point *point, struct gen_isa *isa)
{
	struct gen *gen = look->contest->gen;
	const char *at = strstr(need->key, " isa=");
	struct gen_error ignored;
	char name[32];

	snprintf(name, sizeof(name), "%.*s", at ? (int)strcspn(at + 5, " ") : 0, at ? at + 5 : "");
	if (gen_complete(gen, need->key, point, &ignored) < 0 ||
	    gen_isa(gen, name, isa, &ignored) < 0)
		return NULL;
	item->flags = isa->flags;
	item->compiler = point->compiler;
	item->text = gen_emit(gen, need->key, &ignored);
	return (char *)item->text;
}

/* n needs of one model. */
static int look_at(struct look *look, struct need *needs, size_t n)
{
	struct compile_item *texts = fail_alloc(n, sizeof(*texts));
	struct cost_item *costs = fail_alloc(n, sizeof(*costs));
	struct gen_point *points = fail_alloc(n, sizeof(*points));
	struct gen_isa *isas = fail_alloc(n, sizeof(*isas));
	size_t *who = fail_alloc(n, sizeof(*who)), n_texts = 0, n_costs = 0;
	const struct mca *mca = look->has_mca && needs->model->cpu ? &look->mca : NULL;
	int status;

	for (size_t i = 0; i < n; i++) {
		if (emit(look, &needs[i], &texts[n_texts], &points[n_texts], &isas[n_texts]))
			who[n_texts++] = i;
	}
	status = compile_items(look->contest->compile, texts, n_texts, look->err);
	for (size_t i = 0; i < n_texts; i++) {
		if (!status && !texts[i].why) {
			costs[n_costs].object = texts[i].object;
			costs[n_costs].name = needs[who[i]].kernel;
			costs[n_costs].pass_tokens = points[i].n_tokens;
			costs[n_costs].n_tokens = needs[who[i]].n_tokens;
			who[n_costs++] = who[i];
		}
		free((char *)texts[i].text);
		free(texts[i].why);
	}
	if (!status)
		status = cost_items(look->contest->compile, mca, needs->model, costs, n_costs, NULL,
				    NULL, look->err);
	for (size_t i = 0; i < n_costs; i++) {
		/* Loops that were counted once though they may be passed more often say nothing. */
		if (!status && !costs[i].cost.n_unmarked)
			needs[who[i]].cost = costs[i].cost;
		free(costs[i].why);
	}
	free(who);
	free(isas);
	free(points);
	free(costs);
	free(texts);
	return status;
}

static size_t same_model(const struct look *look, size_t first, size_t most)
{
	size_t n = 1;

	while (n < most && first + n < look->n_needs &&
	       look->needs[first + n].model == look->needs[first].model)
		n++;
	return n;
}

static void open_mca(struct look *look)
{
	struct gen_error why;
	int wanted = 0;

	for (size_t i = 0; i < look->n_needs; i++)
		wanted |= look->needs[i].model->cpu != NULL;
	if (!wanted)
		return;
	look->has_mca = mca_open(&look->mca, look->on->work, look->on->n_parallel, &why) == 0;
	look->mca.n_passes = PASSES;
	if (!look->has_mca && !process_stopping())
		show_say(look->contest->show, "reasons do without llvm-mca: none works here "
					      "(Debian: llvm-19)");
}

/* As many as there is time for.  -1: the user stops. */
static int look_at_all(struct look *look)
{
	const double begin = process_now();
	const double most = fmax(LEAST_S, SHARE * journal_elapsed(look->contest->journal));
	const size_t chunk = CHUNK * (size_t)(look->on->n_parallel > 0 ? look->on->n_parallel : 1);
	struct show *show = look->contest->show;
	int status = 0;

	qsort(look->needs, look->n_needs, sizeof(*look->needs), by_rank);
	open_mca(look);
	compile_to_assembly(look->contest->compile);
	*show->place = *show->best = 0;
	show->left_s = -1;
	for (size_t i = 0, n; i < look->n_needs && !status && process_now() - begin < most;
	     i += n) {
		n = same_model(look, i, chunk);
		snprintf(show->what, sizeof(show->what), "why: kernel %zu of %zu", i + 1,
			 look->n_needs);
		show_progress(show);
		status = look_at(look, look->needs + i, n);
	}
	if (look->has_mca)
		mca_close(&look->mca);
	if (status && !process_stopping()) {
		show_say(show, "reasons do without the assembly of kernels: %s", look->err->text);
		status = 0;
	}
	return process_stopping() ? fail_set(look->err, "stopped by the user") : status;
}

/* ---- sentences ---- */

static void add_code(const struct look *look, const struct record_entry *entry, const char *kernel,
		     struct reason_numbers *numbers)
{
	struct record_numbers *to = &numbers->per_weight;
	const struct need *need = find_need(look, entry, kernel);
	const struct note *note = entry_note(look->explain, entry, kernel);

	if (!need || !(need->cost.instructions > 0))
		return;
	to->code_instructions = need->cost.instructions;
	to->code_vector = need->cost.vector;
	to->code_memory = need->cost.memory;
	to->spills = (double)need->cost.spills;
	numbers->pass_weights = need->cost.n_products;
	if (need->cost.cycles > 0) {
		to->code_cycles = need->cost.cycles;
		numbers->bottleneck = need->cost.bottleneck;
	}
	if (note && *note->object) {
		char *path = compile_object(look->contest->compile, note->object);
		const double n_bytes = object_code_bytes(path, kernel);

		if (n_bytes > 0)
			to->code_bytes = n_bytes;
		free(path);
	}
}

static void tell(struct record_why *why, const struct reason_numbers *numbers,
		 const struct reason_numbers *winner)
{
	const enum reason_tier tier =
		reason_find(numbers, winner, why->reason, sizeof(why->reason));

	strcpy(why->tier, reason_tier_name(tier));
	why->numbers = numbers->per_weight;
	why->has_numbers = reason_is_known(&numbers->per_weight);
}

static void explain_entry(const struct look *look, struct record_entry *entry)
{
	struct reason_numbers winner, other;

	fill(look, entry, entry->kernel, 1, &winner);
	add_code(look, entry, entry->kernel, &winner);
	tell(&entry->why, &winner, NULL);
	for (size_t i = 0; i < entry->n_finalists; i++) {
		struct record_finalist *one = &entry->finalists[i];

		fill(look, entry, one->kernel, one->ratio, &other);
		add_code(look, entry, one->kernel, &other);
		other.is_equivalent = one->is_equivalent || one->ratio_low < 1;
		tell(&one->why, &other, &winner);
	}
}

/* llvm-mca knows the processor that it runs on. */
static struct model native_model(const struct explain_device *on)
{
	struct model model = {.core = "native", .features = "", .note = ""};
	char *const *run = on->device->run;
	const int is_here = !on->device->copy && !strcmp(run[0], "{program}") && !run[1];

	model.arch = strcmp(on->arch, "x86_64") ? ASSEMBLY_AARCH64 : ASSEMBLY_X86_64;
#if defined(__x86_64__)
	if (is_here && model.arch == ASSEMBLY_X86_64)
		model.cpu = "native";
#elif defined(__aarch64__)
	if (is_here && model.arch == ASSEMBLY_AARCH64)
		model.cpu = "native";
#else
	(void)is_here;
#endif
	return model;
}

int explain_run(struct contest *contest, const struct explain_device *on, struct gen_error *err)
{
	struct record *record = contest->record;
	struct look look = {
		.contest = contest,
		.explain = contest->explain,
		.on = on,
		.native = native_model(on),
		.err = err,
	};
	int status;

	for (size_t i = 0; i < record->n_entries; i++) {
		if (is_measured(&record->entries[i]))
			list_needs(&look, &record->entries[i]);
	}
	status = look.n_needs ? look_at_all(&look) : 0;
	for (size_t i = 0; i < record->n_entries && !status; i++) {
		if (is_measured(&record->entries[i]))
			explain_entry(&look, &record->entries[i]);
	}
	free(look.needs);
	return status;
}
