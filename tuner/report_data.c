/* report_data.c: structs to JSON. */
#include <math.h>

#include <jansson.h>

#include "fail.h"
#include "report_data.h"
#include "rivals.h"
#include "runtime/quern.h"
#include "stats.h"

#define MAX_FAMILIES 8

/* ---- values ---- */

/* Bytes that are not UTF-8 (of a file's name) become '?'. */
static json_t *text(const char *from)
{
	json_t *value = json_string(from);
	char *copy;

	if (value)
		return value;
	copy = fail_text("%s", from);
	for (char *p = copy; *p; p++) {
		if ((unsigned char)*p > 0x7f)
			*p = '?';
	}
	value = json_string(copy);
	free(copy);
	return fail_check(value);
}

static void put(json_t *object, const char *name, json_t *value)
{
	if (json_object_set_new(object, name, value) < 0)
		fail_check(NULL);
}

static void put_text(json_t *object, const char *name, const char *value)
{
	if (value && *value)
		put(object, name, text(value));
}

static void put_number(json_t *object, const char *name, double value)
{
	if (value > 0 && isfinite(value))
		put(object, name, json_real(value));
}

static void put_whole(json_t *object, const char *name, long long value)
{
	if (value > 0)
		put(object, name, json_integer(value));
}

static json_t *object_of(void)
{
	return fail_check(json_object());
}

static json_t *array_of(void)
{
	return fail_check(json_array());
}

static void add(json_t *array, json_t *value)
{
	if (json_array_append_new(array, value) < 0)
		fail_check(NULL);
}

/* ---- devices ---- */

static json_t *ceilings_of(const struct record *record)
{
	json_t *list = array_of();

	for (size_t i = 0; i < record->n_ceilings; i++) {
		const struct record_ceiling *ceiling = &record->ceilings[i];
		json_t *one = object_of();

		put_whole(one, "threads", ceiling->threads);
		put_text(one, "core", ceiling->core_name);
		put_number(one, "gbps", ceiling->dram_gbps);
		put_number(one, "gmacs", ceiling->int8_gmacs);
		put_whole(one, "streams", ceiling->streams);
		add(list, one);
	}
	return list;
}

static json_t *failures_of(const struct record *record)
{
	json_t *list = array_of();

	for (size_t i = 0; i < record->protocol.n_failed; i++) {
		json_t *one = object_of();

		put_text(one, "point", record->protocol.failed[i].point);
		put_text(one, "reason", record->protocol.failed[i].reason);
		add(list, one);
	}
	return list;
}

static void put_device(json_t *one, const struct record *record)
{
	const struct {
		const char *name, *value;
	} texts[] = {
		{"name", record->device.name},
		{"cpu", record->device.cpu},
		{"os", record->device.os},
		{"arch", record->device.arch},
		{"features", record->device.features},
		{"governor", record->device.governor},
		{"thermal", record->device.thermal},
		{"compiler", record->compiler.version},
		{"flags", record->compiler.flags},
		{"clang", record->compiler.clang_version},
		{"version", record->generator.version},
		{"templates", record->generator.templates},
		{"budget", record->protocol.budget},
		{"counters", record->counters},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		put_text(one, texts[i].name, texts[i].value);
	put(one, "complete", json_boolean(record->complete));
	put_whole(one, "cores", record->device.cores);
	put_whole(one, "l1d", record->device.l1d_bytes);
	put_whole(one, "l2", record->device.l2_bytes);
	put_whole(one, "llc", record->device.llc_bytes);
	put_number(one, "seconds", record->protocol.seconds);
	put_whole(one, "rounds", record->protocol.rounds);
	put_whole(one, "tried", record->protocol.tried);
	put_whole(one, "verified", record->protocol.verified);
	put(one, "ceilings", ceilings_of(record));
	put(one, "failed", failures_of(record));
	if (record->estimated.core) {
		json_t *estimated = object_of();

		put_text(estimated, "core", record->estimated.core);
		put_text(estimated, "model", record->estimated.model);
		put_text(estimated, "llvm_mca", record->estimated.llvm_mca);
		put_text(estimated, "note", record->estimated.note);
		put(one, "estimated", estimated);
	}
}

/* ---- entries ---- */

static json_t *finalists_of(const struct record_entry *entry)
{
	json_t *list = array_of();

	for (size_t i = 0; i < entry->n_finalists; i++) {
		const struct record_finalist *finalist = &entry->finalists[i];
		json_t *one = object_of();

		put_text(one, "kernel", finalist->kernel);
		put_text(one, "key", finalist->key);
		put_number(one, "ratio", finalist->ratio);
		put_number(one, "low", finalist->ratio_low);
		put_number(one, "high", finalist->ratio_high);
		put(one, "equivalent", json_boolean(finalist->is_equivalent));
		put_text(one, "layout", finalist->layout);
		put_number(one, "energy", finalist->energy_uj);
		add(list, one);
	}
	return list;
}

static json_t *families_of(const struct record_entry *entry, const struct history *history)
{
	struct rivals_best best[MAX_FAMILIES];
	const size_t n = rivals_find(entry, history, best, MAX_FAMILIES);
	json_t *list = array_of();

	for (size_t i = 0; i < n; i++) {
		json_t *one = object_of();

		put_text(one, "family", best[i].family);
		put_text(one, "kernel", best[i].kernel);
		put_number(one, "ratio", best[i].ratio);
		put_number(one, "low", best[i].ratio_low);
		put_number(one, "high", best[i].ratio_high);
		put(one, "final", json_boolean(best[i].is_final));
		add(list, one);
	}
	return list;
}

static json_t *estimate_of(const struct record_estimate *estimate)
{
	json_t *one = object_of();

	put_number(one, "cycles", estimate->cycles_per_weight);
	put_number(one, "default_cycles", estimate->default_cycles_per_weight);
	put_number(one, "instructions", estimate->instructions_per_weight);
	put_number(one, "vector", estimate->vector_per_weight);
	put(one, "spills", json_integer(estimate->spills));
	put_text(one, "bottleneck", estimate->bottleneck);
	return one;
}

static json_t *flags_of(const struct record_flags *flags)
{
	json_t *one = object_of();

	put_whole(one, "other processes", flags->switched);
	put_whole(one, "moved", flags->migrated);
	put_whole(one, "page faults", flags->faulted);
	put_whole(one, "stolen", flags->stolen);
	put_whole(one, "hot", flags->hot);
	return one;
}

static void put_times(json_t *one, const struct record_entry *entry)
{
	put_number(one, "us", entry->median_us);
	put_number(one, "low", entry->ci_low_us);
	put_number(one, "high", entry->ci_high_us);
	put_number(one, "sustained", entry->sustained_us);
	put_number(one, "gbps", entry->gbps);
	put_number(one, "roof", entry->roof_fraction);
	put_number(one, "speedup", entry->speedup.ratio);
	put_whole(one, "samples", entry->samples);
	put(one, "flagged", json_integer(entry->flagged));
	put(one, "flags", flags_of(&entry->flags));
	if (entry->control.ratio > 0)
		put(one, "control",
		    json_pack("[fff]", entry->control.ratio, entry->control.low,
			      entry->control.high));
	put_text(one, "shipped", entry->shipped);
	put_text(one, "layout", entry->layout);
	put(one, "nmse", json_real(entry->nmse));
	put_number(one, "energy", entry->energy_uj);
	put_text(one, "energy_source", entry->energy_source);
	put_text(one, "burst", entry->burst_kernel);
}

static json_t *entry_of(const struct record_entry *entry, const struct history *history)
{
	json_t *one = object_of(), *equivalent = array_of(), *counters = object_of();

	put_text(one, "format", entry->format);
	put_whole(one, "m", entry->m);
	put_whole(one, "k", entry->k);
	put_whole(one, "n", entry->n);
	put_whole(one, "threads", entry->threads);
	put_text(one, "core", entry->core_name);
	put_text(one, "kernel", entry->kernel);
	put_text(one, "default", entry->default_kernel);
	if (entry->is_estimated)
		put(one, "estimate", estimate_of(&entry->estimate));
	else
		put_times(one, entry);
	for (size_t i = 0; i < entry->n_equivalent; i++)
		add(equivalent, text(entry->equivalent[i]));
	for (size_t i = 0; i < entry->n_counters; i++)
		put(counters, entry->counters[i].name, json_real(entry->counters[i].value));
	put(one, "equivalent", equivalent);
	put(one, "counters", counters);
	put(one, "finalists", finalists_of(entry));
	put(one, "families", families_of(entry, history));
	return one;
}

/* ---- kernels ---- */

static void need_kernel(json_t *kernels, const struct record_entry *entry, struct gen *gen)
{
	struct gen_error err;
	struct gen_point point;
	json_t *one;
	char *c;

	if (json_object_get(kernels, entry->kernel))
		return;
	one = object_of();
	put_text(one, "key", entry->key);
	if (gen_complete(gen, entry->key, &point, &err) == 0)
		put(one, "lossy", json_boolean(point.is_lossy));
	c = gen_emit(gen, entry->key, &err);
	put_text(one, c ? "c" : "why", c ? c : err.text);
	free(c);
	put(kernels, entry->kernel, one);
}

/* ---- searches ---- */

struct search {
	const struct history *history;
	const struct history_batch *first; /* its number is 0 */
	size_t place;                      /* where its candidates raced first */
};

static int is_same(const struct history_batch *a, const struct history_batch *b)
{
	return !strcmp(a->format, b->format) && !strcmp(a->act, b->act) &&
	       !strcmp(a->cores, b->cores) && a->n_tokens == b->n_tokens;
}

/* A search takes place at its first shape; the first sample after the first batch says where. */
static void find_place(struct search *search)
{
	const struct history *history = search->history;
	double first = INFINITY;

	search->place = HISTORY_NONE;
	for (size_t i = 0; i < search->first->n_candidates; i++) {
		const struct history_candidate *one =
			&history->candidates[search->first->candidates[i]];

		for (size_t j = 0; j < one->n_samples; j++) {
			const struct history_sample *sample = &one->samples[j];

			if ((strcmp(sample->stage, "race0") && strcmp(sample->stage, "survey")) ||
			    sample->at < search->first->at || sample->at >= first)
				continue;
			first = sample->at;
			search->place = sample->place;
		}
	}
}

/* Median of a candidate in the races of a search, or the better of its first calls; 0: none. */
static double score(const struct history_candidate *one, size_t place, int *is_first_call)
{
	double *ns = fail_alloc(one->n_samples, sizeof(*ns)), first = INFINITY, median = 0;
	size_t n = 0;

	for (size_t i = 0; i < one->n_samples; i++) {
		const struct history_sample *sample = &one->samples[i];

		if (sample->place != place || sample->is_superseded)
			continue;
		if (!strcmp(sample->stage, "warm"))
			first = fmin(first, sample->ns_per_call);
		else if (!strcmp(sample->stage, "survey") ||
			 (!strncmp(sample->stage, "race", 4) && sample->stage[4]))
			ns[n++] = sample->ns_per_call;
	}
	if (n)
		median = stats_median(ns, n);
	free(ns);
	*is_first_call = !n;
	return n ? median : isfinite(first) ? first : 0;
}

static json_t *candidate_of(const struct search *search, size_t i, int batch)
{
	const struct history_candidate *candidate = &search->history->candidates[i];
	json_t *one = object_of();
	int is_first_call;
	const double ns = score(candidate, search->place, &is_first_call);

	put_text(one, "name", candidate->name);
	put_text(one, "key", candidate->key);
	put(one, "batch", json_integer(batch));
	put_number(one, "ns", ns);
	if (ns > 0 && is_first_call)
		put(one, "dropped", json_true());
	if (candidate->is_lossy)
		put(one, "lossy", json_true());
	put_text(one, "failure", candidate->failure);
	return one;
}

static json_t *search_of(const struct history *history, size_t first)
{
	struct search search = {history, &history->batches[first], 0};
	json_t *one = object_of(), *candidates = array_of();
	long long n_unknown = 0;

	find_place(&search);
	for (size_t i = first; i < history->n_batches; i++) {
		const struct history_batch *batch = &history->batches[i];

		if (!is_same(batch, search.first))
			continue;
		n_unknown += (long long)batch->n_unknown;
		for (size_t j = 0; j < batch->n_candidates; j++)
			add(candidates, candidate_of(&search, batch->candidates[j], batch->number));
	}
	put_text(one, "format", search.first->format);
	put_text(one, "act", search.first->act);
	put_whole(one, "n", search.first->n_tokens);
	put_text(one, "core", search.first->cores);
	if (search.place != HISTORY_NONE)
		put_text(one, "place", history->places[search.place].text);
	put_whole(one, "unknown", n_unknown);
	put(one, "candidates", candidates);
	return one;
}

static json_t *searches_of(const struct history *history)
{
	json_t *list = array_of();

	for (size_t i = 0; i < history->n_batches; i++) {
		size_t j = 0;

		while (j < i && !is_same(&history->batches[j], &history->batches[i]))
			j++;
		if (j == i)
			add(list, search_of(history, i));
	}
	return list;
}

/* ---- all ---- */

static json_t *source_of(const struct report_source *source, struct gen *gen, json_t *kernels)
{
	const struct record *record = &source->record;
	json_t *one = object_of(), *entries = array_of();

	put_text(one, "file", source->path);
	put_device(one, record);
	for (size_t i = 0; i < record->n_entries; i++) {
		const struct record_entry *entry = &record->entries[i];

		if (entry->is_default)
			continue;
		add(entries, entry_of(entry, source->has_history ? &source->history : NULL));
		need_kernel(kernels, entry, gen);
	}
	put(one, "entries", entries);
	if (source->has_history)
		put(one, "searches", searches_of(&source->history));
	return one;
}

/* A '<' occurs inside strings only, where it may be written as a number. */
static char *without_brackets(const char *json)
{
	size_t n = 0;
	char *out, *to;

	for (const char *p = json; *p; p++)
		n += *p == '<' ? 6 : 1;
	out = to = fail_alloc(n + 1, 1);
	for (const char *p = json; *p; p++) {
		if (*p == '<')
			to = (char *)memcpy(to, "\\u003c", 6) + 6;
		else
			*to++ = *p;
	}
	return out;
}

char *report_data_text(const struct report_source *sources, size_t n, struct gen *gen)
{
	json_t *root = object_of(), *devices = array_of(), *kernels = object_of();
	char *json, *out;

	for (size_t i = 0; i < n; i++)
		add(devices, source_of(&sources[i], gen, kernels));
	put_text(root, "quern", QUERN_VERSION);
	put(root, "devices", devices);
	put(root, "kernels", kernels);
	json = fail_check(json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(7)));
	out = without_brackets(json);
	free(json);
	json_decref(root);
	return out;
}
