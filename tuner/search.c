/* search.c: spaces, their points, and those that became candidates. */
#include "compile.h"
#include "fail.h"
#include "hash.h"
#include "search.h"

struct space {
	struct gen_space *space;
	const struct search_isa *isa;
	char head[128]; /* "family=dot format=w4g32 act=a8g32 isa=avx512" */
	char fixed
		[32]; /* " PF=4096", what its points have; empty: nothing is fixed, or no point seen */
	long first; /* of its points in the table of all */
};

struct search {
	struct gen *gen;
	struct journal *journal;
	char format[32], act[16];
	char where[80]; /* " @cortex-x3", or empty */
	long n_tokens;
	int with_clang;
	const char *fixed; /* a parameter, or NULL */
	uint64_t seed;
	struct space *spaces;
	size_t n_spaces;
	struct search_candidate *list;
	size_t n;
	struct points points; /* empty until asked for */
	int has_points;
};

static int open_spaces(struct search *search, const struct config *config, const char *act,
		       const struct search_isa *isas, size_t n_isas, struct gen_error *err)
{
	for (size_t f = 0; f < config->families.n; f++) {
		for (size_t i = 0; i < n_isas; i++) {
			struct space *space;

			search->spaces =
				fail_grow(search->spaces, search->n_spaces, sizeof(*space));
			space = &search->spaces[search->n_spaces];
			space->space = gen_space_open(search->gen, config->families.list[f],
						      search->format, act, isas[i].info.name,
						      search->n_tokens, config->max_nmse > 0,
						      search->with_clang, err);
			if (!space->space)
				return -1;
			space->isa = &isas[i];
			*space->fixed = 0;
			snprintf(space->head, sizeof(space->head),
				 "family=%s format=%s act=%s isa=%s", config->families.list[f],
				 search->format, act, isas[i].info.name);
			search->n_spaces++;
		}
	}
	return 0;
}

struct search *search_open(struct gen *gen, const struct config *config, const char *format,
			   const char *act, long n_tokens, const struct search_isa *isas,
			   size_t n_isas, int with_clang, const char *cores,
			   struct journal *journal, uint64_t seed, struct gen_error *err)
{
	struct search *search = fail_alloc(1, sizeof(*search));

	search->gen = gen;
	search->journal = journal;
	search->n_tokens = n_tokens;
	search->with_clang = with_clang;
	search->seed = hash_text(hash_text(HASH_START + seed + (uint64_t)n_tokens, format), act);
	snprintf(search->format, sizeof(search->format), "%s", format);
	snprintf(search->act, sizeof(search->act), "%s", act);
	snprintf(search->where, sizeof(search->where), "%s%s", cores ? " @" : "",
		 cores ? cores : "");
	if (open_spaces(search, config, act, isas, n_isas, err) < 0) {
		search_close(search);
		return NULL;
	}
	return search;
}

void search_close(struct search *search)
{
	if (!search)
		return;
	for (size_t i = 0; i < search->n; i++)
		free(search->list[i].text);
	for (size_t i = 0; i < search->n_spaces; i++)
		gen_space_close(search->spaces[i].space);
	points_free(&search->points);
	free(search->list);
	free(search->spaces);
	free(search);
}

void search_fix(struct search *search, const char *parameter)
{
	search->fixed = parameter;
}

long search_n_legal(const struct search *search)
{
	long n = 0;

	for (size_t i = 0; i < search->n_spaces; i++)
		n += search->spaces[i].isa->is_replaced ? 0
							: gen_space_count(search->spaces[i].space);
	return n;
}

size_t search_n(const struct search *search)
{
	return search->n;
}

struct search_candidate *search_candidate(struct search *search, size_t i)
{
	return &search->list[i];
}

/* ---- adding ---- */

/* " PF=4096" in a key, or NULL; n: how long it is. */
static const char *find_fixed(const struct search *search, const char *key, size_t *n)
{
	char *word = fail_text(" %s=", search->fixed);
	const char *at = strstr(key, word);

	*n = at ? strlen(word) + strcspn(at + strlen(word), " ") : 0;
	free(word);
	return at;
}

/* Gives a point the value that its space has of what is fixed: 1, or 0 where that is not legal. */
static int fix(struct search *search, struct space *space, struct search_candidate *one)
{
	struct gen_error ignored;
	size_t n;
	const char *at = search->fixed ? find_fixed(search, one->point.key, &n) : NULL;
	char *key;

	if (!at)
		return 1;
	if (!*space->fixed)
		snprintf(space->fixed, sizeof(space->fixed), "%.*s", (int)n, at);
	key = fail_text("%.*s%s%s", (int)(at - one->point.key), one->point.key, space->fixed,
			at + n);
	one->index = gen_space_find(space->space, key, &ignored);
	free(key);
	return one->index >= 0 &&
	       gen_space_point(space->space, one->index, &one->point, &ignored) == 0;
}

/* 1: added; 0: there is one like it; -1: the generator fails. */
static int add_point(struct search *search, struct space *space, long index, struct gen_error *err)
{
	struct search_candidate one = {.space = space->space, .index = index, .isa = space->isa};

	if (gen_space_point(space->space, index, &one.point, err) < 0)
		return -1;
	if (!fix(search, space, &one))
		return 0;
	for (size_t i = 0; i < search->n; i++) {
		if (search->list[i].space == space->space && search->list[i].index == one.index)
			return 0;
	}
	one.text = gen_emit(search->gen, one.point.key, err);
	if (!one.text)
		return -1;
	one.n_text = strlen(one.text);
	one.fingerprint = compile_fingerprint(one.text, one.point.name, one.point.key);
	for (size_t i = 0; i < search->n; i++) {
		if (search->list[i].isa == one.isa &&
		    search->list[i].point.compiler == one.point.compiler &&
		    search->list[i].fingerprint == one.fingerprint) {
			free(one.text);
			return 0;
		}
	}
	search->list = fail_grow(search->list, search->n, sizeof(one));
	search->list[search->n++] = one;
	return 1;
}

/* The space and index of a key; NULL: it is of no space here (another ISA), or no longer legal. */
static struct space *find_key(struct search *search, const char *key, long *index)
{
	struct gen_error ignored;

	for (size_t i = 0; i < search->n_spaces; i++) {
		struct space *space = &search->spaces[i];
		size_t n = strlen(space->head);

		if (strncmp(key, space->head, n) || (key[n] && key[n] != ' '))
			continue;
		*index = gen_space_find(space->space, key, &ignored);
		return *index < 0 ? NULL : space;
	}
	return NULL;
}

/* ---- all points in one table ---- */

/* How many points of a space, the first ones, may be drawn at random. */
static long n_drawn(const struct search *search, const struct space *space)
{
	if (space->isa->is_replaced)
		return 0;
	for (size_t i = 0; i < search->n_spaces && !space->isa->n_features; i++) {
		if (search->spaces[i].isa->n_features && gen_space_count(search->spaces[i].space))
			return 0;
	}
	return gen_space_count_default(space->space);
}

const struct points *search_points(struct search *search, struct gen_error *err)
{
	if (search->has_points)
		return &search->points;
	for (size_t i = 0; i < search->n_spaces; i++) {
		struct space *space = &search->spaces[i];
		char *table = gen_space_table(space->space, err), *head;
		int status;

		if (!table)
			return NULL;
		space->first = search->points.n;
		head = fail_text("FAMILY=%.*s ISA=%s", (int)strcspn(space->head + 7, " "),
				 space->head + 7, space->isa->info.name);
		status = points_add(&search->points, head, table, n_drawn(search, space));
		free(head);
		free(table);
		if (status < 0) {
			fail_set(err, "the table of the space '%s' is none", space->head);
			return NULL;
		}
	}
	points_finish(&search->points);
	search->has_points = 1;
	return &search->points;
}

long search_find(struct search *search, const char *key)
{
	long index;
	const struct space *space = find_key(search, key, &index);

	return space ? space->first + index : -1;
}

static int keep_batch(struct search *search, const char *question, size_t first,
		      struct gen_error *err)
{
	char *text;
	size_t n_bytes;
	FILE *out = fail_check(open_memstream(&text, &n_bytes));
	int status;

	for (size_t i = first; i < search->n; i++)
		fprintf(out, "%s;", search->list[i].point.key);
	fclose(out);
	status = journal_add(search->journal, question, text, err);
	free(text);
	return status;
}

int search_add(struct search *search, int batch, const long *points, size_t n, long *candidates,
	       struct gen_error *err)
{
	char *question = fail_text("batch %s %s n%ld %d%s", search->format, search->act,
				   search->n_tokens, batch, search->where);
	const size_t first = search->n;
	int status = 0;

	for (size_t i = 0; i < n && status >= 0; i++) {
		size_t s = search->n_spaces - 1;

		while (search->spaces[s].first > points[i])
			s--;
		status = add_point(search, &search->spaces[s], points[i] - search->spaces[s].first,
				   err);
		candidates[i] = status > 0 ? (long)search->n - 1 : -1;
	}
	/* For who reads the journal: a run that is taken up comes to the same points by itself. */
	if (status >= 0 && !journal_find(search->journal, question))
		status = keep_batch(search, question, first, err);
	free(question);
	return status < 0 ? -1 : 0;
}
