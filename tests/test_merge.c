/*
 * test_merge.c: merges as their definition has them, and words that are very long.
 */
#include "check.h"

#include "fuzz_tokenizer.c"

#include "../runtime/llm/merge.h"

/* ---- merges ---- */

/* The order of a pair of neighbours, and what they become in *id; UINT32_MAX: they do not merge. */
static uint32_t order_of_pair(const struct quern_tokenizer *t, const char *text,
			      const struct qn_symbol *pair, int32_t *id)
{
	const struct qn_pair *merge;

	if (!t->split) {
		*id = qn_vocab_find(t, text + pair[0].start, pair[0].n_bytes + pair[1].n_bytes);
		return *id < 0 ? UINT32_MAX : t->tokens[*id].order;
	}
	merge = qn_vocab_pair(t, pair[0].id, pair[1].id);
	*id = merge ? merge->id : -1;
	return merge ? merge->rank : UINT32_MAX;
}

/* The definition: join the first of the best pairs until there is none. */
static size_t merge_simply(const struct quern_tokenizer *t, const char *text,
			   struct qn_symbol *symbols, size_t n)
{
	for (;;) {
		uint32_t best = UINT32_MAX;
		int32_t id = -1, best_id = -1;
		size_t at = 0;

		for (size_t i = 0; i + 1 < n; i++) {
			uint32_t order = order_of_pair(t, text, &symbols[i], &id);

			if (order < best) {
				best = order;
				best_id = id;
				at = i;
			}
		}
		if (best == UINT32_MAX)
			return n;
		symbols[at].n_bytes += symbols[at + 1].n_bytes;
		symbols[at].id = best_id;
		memmove(&symbols[at + 1], &symbols[at + 2], (n - at - 2) * sizeof(*symbols));
		n--;
	}
}

static void test_merges(int n_rounds)
{
	static const char letters[] = "aaaahello1  o";
	struct qn_merge merge = {.symbols = NULL};
	uint64_t seed = 21;

	for (int kind = 0; kind < 3; kind++) {
		struct quern_tokenizer *t = fuzz_open(kind);

		for (int round = 0; round < n_rounds; round++) {
			struct qn_symbol simple[40];
			uint32_t n = 1 + (uint32_t)(check_random(&seed) % 40);
			char text[40];
			size_t n_simple, i = 0;

			merge.n_symbols = 0;
			for (uint32_t k = 0; k < n; k++) {
				text[k] = letters[check_random(&seed) % (sizeof(letters) - 1)];
				simple[k] =
					(struct qn_symbol){.start = k,
							   .n_bytes = 1,
							   .id = t->split ? t->byte_ids[(
										    uint8_t)text[k]]
									  : qn_vocab_find(t,
											  text + k,
											  1)};
				CHECK(qn_merge_add(&merge, k, 1, simple[k].id) == 0);
			}
			CHECK(qn_merge_run(&merge, t, text) == 0);
			n_simple = merge_simply(t, text, simple, n);
			for (int32_t k = 0; k >= 0; k = merge.symbols[k].next, i++) {
				CHECK(i < n_simple && merge.symbols[k].id == simple[i].id &&
				      merge.symbols[k].start == simple[i].start);
			}
			CHECK(i == n_simple);
		}
		quern_tokenizer_close(t);
	}
	qn_merge_free(&merge);
}

/* ---- size ---- */

/* In n log n these take parts of a second, in n squared many minutes. */
static void test_long_words(void)
{
	enum { N = 1 << 18 };
	char *text = malloc(N);
	int32_t id;

	if (!text)
		abort();
	for (int kind = 0; kind < N_FUZZ_KINDS; kind++) {
		struct quern_tokenizer *t = fuzz_open(kind);

		memset(text, 'a', N);
		CHECK(quern_tokenize(t, text, N, 0, &id, 1, NULL) == N / 4 + (kind == 1));
		memset(text, ' ', N);
		CHECK(quern_tokenize(t, text, N, 0, &id, 1, NULL) > 0);
		memset(text, '<', N);
		CHECK(quern_tokenize(t, text, N, QUERN_PARSE_SPECIAL, &id, 1, NULL) > 0);
		memset(text, '\xe4', N);
		CHECK(quern_tokenize(t, text, N, 0, &id, 1, NULL) == N + (kind == 1));
		quern_tokenizer_close(t);
	}
	free(text);
}

int main(void)
{
	test_merges(5000);
	test_long_words();
	return check_exit();
}
