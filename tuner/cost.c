/* cost.c: from assembly to figures, each different loop once. */
#include "cost.h"
#include "estimate.h"
#include "fail.h"
#include "hash.h"
#include "runtime/kernel.h"

/* One loop of one kernel, and which of the different texts it is. */
struct use {
	size_t text;
	double n_products;
	int is_shared;
};

struct texts {
	struct mca_item *items;
	uint64_t *hashes;
	size_t n;
};

static size_t add_text(struct texts *texts, char *text)
{
	const uint64_t hash = hash_text(HASH_START, text);
	size_t i = 0;

	while (i < texts->n && (texts->hashes[i] != hash || strcmp(texts->items[i].text, text)))
		i++;
	if (i < texts->n) {
		free(text);
		return i;
	}
	texts->items = fail_grow(texts->items, texts->n, sizeof(*texts->items));
	texts->hashes = fail_grow(texts->hashes, texts->n, sizeof(*texts->hashes));
	texts->items[i] = (struct mca_item){.text = text};
	texts->hashes[i] = hash;
	return texts->n++;
}

static void fill(struct cost *cost, const struct estimate_loop *loop)
{
	cost->instructions = (double)loop->n_instructions / loop->n_products;
	cost->vector = (double)loop->n_vector / loop->n_products;
	cost->memory = (double)loop->n_memory / loop->n_products;
	cost->integer = (double)loop->n_integer / loop->n_products;
	cost->n_products = loop->n_products;
	cost->spills = loop->n_spills;
	cost->n_unmarked = loop->n_unmarked;
}

/* The item's loops; how many it has, or 0 and why it has none. */
static size_t look_at(const struct model *model, const char *assembly, struct cost_item *item,
		      struct texts *texts, struct use *uses)
{
	struct estimate estimate;
	struct gen_error why;
	size_t n;

	if (estimate_read(&estimate, model->arch, assembly, item->name, &why) < 0) {
		item->why = fail_text("%s", why.text);
		return 0;
	}
	fill(&item->cost, &estimate.loops[0]);
	for (size_t i = 0; i < estimate.n; i++) {
		struct estimate_loop *loop = &estimate.loops[i];

		uses[i].text = add_text(texts, models_rewrite(model, loop->text));
		uses[i].n_products = loop->n_products;
		uses[i].is_shared = estimate_is_shared(loop);
	}
	n = estimate.n;
	estimate_free(&estimate);
	return n;
}

/* A job has at most QN_PASS_TOKENS tokens, and weights are decoded again for each. */
static void add_up(struct cost_item *item, const struct texts *texts, const struct use *uses,
		   size_t n)
{
	const double n_tokens = (double)item->n_tokens, pass = (double)item->pass_tokens;
	const double together = item->n_tokens < QN_PASS_TOKENS ? n_tokens : QN_PASS_TOKENS;
	const double paid = (double)((item->n_tokens + item->pass_tokens - 1) / item->pass_tokens);
	double cycles = 0;

	for (size_t i = 0; i < n && !item->why; i++) {
		const struct mca_item *text = &texts->items[uses[i].text];

		if (text->why) {
			item->why = fail_text("%s", text->why);
		} else if (uses[i].is_shared) {
			item->cost.shared += text->cycles / uses[i].n_products;
		} else {
			cycles = text->cycles / uses[i].n_products;
			memcpy(item->cost.bottleneck, text->bottleneck,
			       sizeof(item->cost.bottleneck));
		}
	}
	item->cost.cycles = cycles * paid * pass / n_tokens + item->cost.shared / together;
}

int cost_items(const struct compile *compile, const struct mca *mca, const struct model *model,
	       struct cost_item *items, size_t n, void (*progress)(void *context, size_t n_done),
	       void *context, struct gen_error *err)
{
	struct use(*uses)[ESTIMATE_MAX_LOOPS] = fail_alloc(n, sizeof(*uses));
	size_t *n_uses = fail_alloc(n, sizeof(*n_uses));
	struct texts texts = {0};
	int status = 0;

	for (size_t i = 0; i < n && !status; i++) {
		struct gen_error why;
		char *assembly = compile_assembly(compile, items[i].object, &why);

		memset(&items[i].cost, 0, sizeof(items[i].cost));
		items[i].why = NULL;
		if (assembly)
			n_uses[i] = look_at(model, assembly, &items[i], &texts, uses[i]);
		else
			items[i].why = fail_text("%s", why.text);
		free(assembly);
	}
	if (mca)
		status = mca_run(mca, model, texts.items, texts.n, progress, context, err);
	for (size_t i = 0; i < n && mca && !status; i++)
		add_up(&items[i], &texts, uses[i], n_uses[i]);
	for (size_t i = 0; i < texts.n; i++) {
		free((char *)texts.items[i].text);
		free(texts.items[i].why);
	}
	free(texts.items);
	free(texts.hashes);
	free(n_uses);
	free(uses);
	return status;
}
