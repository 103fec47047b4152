/*
 * vocab.c: finds tokens by their text, and pairs of tokens that merge.
 *
 * Plain tokens and pairs stand in open-addressing tables.  Tokens that are looked for at every
 * place of a text (control and user-defined ones) stand in the order of their texts: the longest
 * that matches is found by narrowing the range of those that agree so far, byte after byte.
 */
#include "vocab.h"

#include <stdlib.h>
#include <string.h>

/* ---- tables ---- */

uint32_t qn_vocab_hash(const char *text, size_t n_bytes)
{
	uint64_t hash = n_bytes * 0x9e3779b97f4a7c15u, word;

	for (; n_bytes >= 8; n_bytes -= 8, text += 8) {
		memcpy(&word, text, 8);
		hash = (hash ^ word) * 0xbf58476d1ce4e5b9u;
		hash ^= hash >> 32;
	}
	word = 0;
	memcpy(&word, text, n_bytes);
	hash = (hash ^ word) * 0x94d049bb133111ebu;
	return (uint32_t)(hash >> 32 ^ hash);
}

size_t qn_vocab_table_size(size_t n)
{
	size_t size = 16;

	while (size < n + n / 2)
		size *= 2;
	return size;
}

static size_t hash_pair(int32_t left, int32_t right)
{
	uint64_t hash = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;

	hash = (hash ^ hash >> 32) * 0xbf58476d1ce4e5b9u;
	return (size_t)(hash ^ hash >> 32);
}

void qn_vocab_add_pair(struct quern_tokenizer *t, const struct qn_pair *pair)
{
	size_t at = hash_pair(pair->left, pair->right) & t->pair_mask;

	for (; t->pairs[at].left >= 0; at = (at + 1) & t->pair_mask) {
		if (t->pairs[at].left == pair->left && t->pairs[at].right == pair->right)
			return;
	}
	t->pairs[at] = *pair;
}

const struct qn_pair *qn_vocab_pair(const struct quern_tokenizer *t, int32_t left, int32_t right)
{
	size_t at = hash_pair(left, right) & t->pair_mask;

	if (left < 0 || right < 0)
		return NULL;
	for (; t->pairs[at].left >= 0; at = (at + 1) & t->pair_mask) {
		if (t->pairs[at].left == left && t->pairs[at].right == right)
			return &t->pairs[at];
	}
	return NULL;
}

int32_t qn_vocab_find(const struct quern_tokenizer *t, const char *text, size_t n_bytes)
{
	uint32_t at;

	if (n_bytes == 0 || n_bytes > t->longest)
		return -1;
	at = qn_vocab_hash(text, n_bytes) & t->slot_mask;
	for (; t->slots[at]; at = (at + 1) & t->slot_mask) {
		const struct qn_token *token = &t->tokens[t->slots[at] - 1];

		if (token->n_bytes == n_bytes && !memcmp(t->bytes + token->start, text, n_bytes))
			return (int32_t)(t->slots[at] - 1);
	}
	return -1;
}

/* ---- tokens that are looked for in text ---- */

struct order {
	const char *text;
	uint32_t n_bytes;
	int32_t id;
};

static int compare_texts(const void *a, const void *b)
{
	const struct order *x = a, *y = b;
	int order = memcmp(x->text, y->text, x->n_bytes < y->n_bytes ? x->n_bytes : y->n_bytes);

	if (order)
		return order;
	if (x->n_bytes != y->n_bytes)
		return x->n_bytes < y->n_bytes ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static int is_marked(const struct qn_token *token)
{
	return token->n_bytes && (token->type == QN_TOKEN_CONTROL || token->type == QN_TOKEN_USER ||
				  token->type == QN_TOKEN_UNKNOWN);
}

static int index_marked(struct quern_tokenizer *t)
{
	struct order *orders;
	uint32_t n = 0, i = 0;

	for (long id = 0; id < t->n_tokens; id++)
		n += (uint32_t)is_marked(&t->tokens[id]);
	orders = calloc(n + 1, sizeof(*orders));
	t->marked = calloc(n + 1, sizeof(*t->marked));
	if (!orders || !t->marked) {
		free(orders);
		return -1;
	}
	for (long id = 0; id < t->n_tokens; id++) {
		const struct qn_token *token = &t->tokens[id];

		if (is_marked(token))
			orders[i++] = (struct order){t->bytes + token->start, token->n_bytes,
						     (int32_t)id};
	}
	qsort(orders, n, sizeof(*orders), compare_texts);
	i = 0;
	for (int byte = 0; byte < 256; byte++) {
		t->first[byte] = i;
		for (; i < n && (uint8_t)orders[i].text[0] == byte; i++)
			t->marked[i] = orders[i].id;
	}
	t->first[256] = n;
	free(orders);
	return 0;
}

/* The first of marked[low] to marked[high - 1] whose byte number `at` is at least `byte`. */
static uint32_t narrow(const struct quern_tokenizer *t, uint32_t low, uint32_t high, size_t at,
		       int byte)
{
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct qn_token *token = &t->tokens[t->marked[middle]];

		if ((uint8_t)t->bytes[token->start + at] < byte)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Does the text begin with this token, and may it? */
static int begins_with(const struct quern_tokenizer *t, const char *text, size_t n_bytes,
		       int32_t id, int with_control)
{
	const struct qn_token *token = &t->tokens[id];

	return (with_control || token->type == QN_TOKEN_USER) && token->n_bytes <= n_bytes &&
	       memcmp(t->bytes + token->start, text, token->n_bytes) == 0;
}

int32_t qn_vocab_match(const struct quern_tokenizer *t, const char *text, size_t n_bytes,
		       int with_control)
{
	uint32_t low = t->first[(uint8_t)text[0]], high = t->first[(uint8_t)text[0] + 1];
	int32_t found = -1;

	/* All of low .. high-1 have their first n bytes in common with the text. */
	for (size_t n = 1; high - low > 1; n++) {
		for (; low < high && t->tokens[t->marked[low]].n_bytes == n; low++) {
			if (begins_with(t, text, n_bytes, t->marked[low], with_control) &&
			    (found < 0 || t->tokens[found].n_bytes < n))
				found = t->marked[low];
		}
		if (n == n_bytes)
			return found;
		high = narrow(t, low, high, n, (uint8_t)text[n] + 1);
		low = narrow(t, low, high, n, (uint8_t)text[n]);
	}
	if (low < high && begins_with(t, text, n_bytes, t->marked[low], with_control) &&
	    (found < 0 || t->tokens[found].n_bytes < t->tokens[t->marked[low]].n_bytes))
		found = t->marked[low];
	return found;
}

/* ---- both ---- */

int qn_vocab_index(struct quern_tokenizer *t)
{
	size_t size = qn_vocab_table_size((size_t)t->n_tokens);

	t->slots = calloc(size, sizeof(*t->slots));
	if (!t->slots)
		return -1;
	t->slot_mask = (uint32_t)(size - 1);
	for (long id = 0; id < t->n_tokens; id++) {
		const struct qn_token *token = &t->tokens[id];
		uint32_t at;

		if (!token->is_plain)
			continue;
		if (token->n_bytes > t->longest)
			t->longest = token->n_bytes;
		/* Of two that read alike, the first. */
		if (qn_vocab_find(t, t->bytes + token->start, token->n_bytes) >= 0)
			continue;
		at = qn_vocab_hash(t->bytes + token->start, token->n_bytes) & t->slot_mask;
		while (t->slots[at])
			at = (at + 1) & t->slot_mask;
		t->slots[at] = (uint32_t)id + 1;
	}
	return index_marked(t);
}

void qn_vocab_free(struct quern_tokenizer *t)
{
	free(t->tokens);
	free(t->bytes);
	free(t->slots);
	free(t->pairs);
	free(t->marked);
	free(t->chat);
}
