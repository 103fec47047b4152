/*
 * cache.c: keys and values of all sequences, in pages that sequences can share.
 */
#include "cache.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../format.h"
#include "../pages.h"

static size_t cache_bytes(const struct qn_cache *cache)
{
	return cache->layer_bytes * (size_t)cache->n_layers;
}

static long pages_of(long n_positions)
{
	return (n_positions + QN_PAGE - 1) / QN_PAGE;
}

int qn_cache_open(struct qn_cache *cache, const struct quern_model *model, int is_bytes,
		  int n_sequences, long n_context, long n_positions, struct quern_error *err)
{
	const size_t element = is_bytes ? 1 : 2;
	size_t n_bytes;

	*cache = (struct qn_cache){.is_bytes = is_bytes,
				   .d_k = model->d_k,
				   .d_v = (model->d_v + 15) / 16 * 16,
				   .n_kv_heads = model->n_kv_heads,
				   .n_layers = model->n_layers,
				   .n_context = n_context,
				   .n_sequences = n_sequences};
	/* Each sequence may leave a page partly empty. */
	cache->n_pages = pages_of(n_positions) + n_sequences;
	cache->head_bytes = QN_PAGE * ((size_t)(cache->d_k + cache->d_v) * element +
				       (is_bytes ? 2 * sizeof(float) : 0));
	cache->page_bytes = cache->head_bytes * (size_t)cache->n_kv_heads;
	if (__builtin_mul_overflow(cache->page_bytes, (size_t)cache->n_pages,
				   &cache->layer_bytes) ||
	    __builtin_mul_overflow(cache->layer_bytes, (size_t)cache->n_layers, &n_bytes))
		return qn_error_set(err, "a cache of %ld positions is more than memory can be",
				    n_positions);
	cache->memory = qn_pages_alloc(cache_bytes(cache), 1);
	cache->free_pages = malloc((size_t)cache->n_pages * sizeof *cache->free_pages);
	cache->n_users = calloc((size_t)cache->n_pages, sizeof *cache->n_users);
	cache->sequences = calloc((size_t)n_sequences, sizeof *cache->sequences);
	if (!cache->memory || !cache->free_pages || !cache->n_users || !cache->sequences)
		goto failed;
	for (int i = 0; i < n_sequences; i++) {
		cache->sequences[i].pages =
			malloc((size_t)pages_of(n_context) * sizeof *cache->sequences[i].pages);
		cache->sequences[i].ids =
			malloc((size_t)n_context * sizeof *cache->sequences[i].ids);
		if (!cache->sequences[i].pages || !cache->sequences[i].ids)
			goto failed;
	}
	while (cache->n_free < cache->n_pages) {
		cache->free_pages[cache->n_free] = (int32_t)(cache->n_pages - 1 - cache->n_free);
		cache->n_free++;
	}
	return 0;
failed:
	qn_error_set(err, "no memory for a cache of %ld positions (%zu bytes)", n_positions,
		     cache_bytes(cache));
	qn_cache_close(cache);
	return -1;
}

void qn_cache_close(struct qn_cache *cache)
{
	for (int i = 0; cache->sequences && i < cache->n_sequences; i++) {
		free(cache->sequences[i].pages);
		free(cache->sequences[i].ids);
	}
	free(cache->sequences);
	free(cache->free_pages);
	free(cache->n_users);
	if (cache->memory)
		qn_pages_free(cache->memory, cache_bytes(cache));
	*cache = (struct qn_cache){0};
}

/* ---- pages ---- */

static int32_t take_page(struct qn_cache *cache)
{
	const int32_t page = cache->free_pages[--cache->n_free];

	cache->n_users[page] = 1;
	return page;
}

static void leave_page(struct qn_cache *cache, int32_t page)
{
	if (--cache->n_users[page] == 0)
		cache->free_pages[cache->n_free++] = page;
}

uint8_t *qn_cache_page(const struct qn_cache *cache, long layer, int32_t page)
{
	return cache->memory + (size_t)layer * cache->layer_bytes +
	       (size_t)page * cache->page_bytes;
}

static void copy_page(const struct qn_cache *cache, int32_t from, int32_t to)
{
	for (long i = 0; i < cache->n_layers; i++)
		memcpy(qn_cache_page(cache, i, to), qn_cache_page(cache, i, from),
		       cache->page_bytes);
}

int qn_cache_extend(struct qn_cache *cache, int sequence, const int32_t *ids, long n,
		    struct quern_error *err)
{
	struct qn_sequence *s = &cache->sequences[sequence];
	const long first = pages_of(s->n), end = pages_of(s->n + n);
	int32_t *last = first ? &s->pages[first - 1] : NULL;
	const int is_shared = last && n > 0 && s->n % QN_PAGE && cache->n_users[*last] > 1;

	if (s->n + n > cache->n_context)
		return qn_error_set(err,
				    "sequence %d would have %ld tokens; its context has room "
				    "for %ld",
				    sequence, s->n + n, cache->n_context);
	if (end - first + is_shared > cache->n_free)
		return qn_error_set(err,
				    "the cache is full: %ld of %ld pages of %d tokens are "
				    "free, sequence %d needs %ld",
				    cache->n_free, cache->n_pages, QN_PAGE, sequence,
				    end - first + is_shared);
	if (is_shared) {
		const int32_t own = take_page(cache);

		copy_page(cache, *last, own);
		leave_page(cache, *last);
		*last = own;
	}
	for (long i = first; i < end; i++)
		s->pages[i] = take_page(cache);
	memcpy(s->ids + s->n, ids, (size_t)n * sizeof *ids);
	s->n += n;
	return 0;
}

void qn_cache_cut(struct qn_cache *cache, int sequence, long n)
{
	struct qn_sequence *s = &cache->sequences[sequence];

	if (n >= s->n)
		return;
	for (long i = pages_of(n); i < pages_of(s->n); i++)
		leave_page(cache, s->pages[i]);
	s->n = n;
}

void qn_cache_share(struct qn_cache *cache, int from, int to, long n)
{
	const struct qn_sequence *source = &cache->sequences[from];
	struct qn_sequence *s = &cache->sequences[to];

	if (from == to) {
		qn_cache_cut(cache, to, n);
		return;
	}
	qn_cache_cut(cache, to, 0);
	s->n = n < source->n ? n : source->n;
	memcpy(s->ids, source->ids, (size_t)s->n * sizeof *s->ids);
	for (long i = 0; i < pages_of(s->n); i++) {
		s->pages[i] = source->pages[i];
		cache->n_users[s->pages[i]]++;
	}
}

/* ---- writing ---- */

/* Element i of a vector stands i * stride behind p. */
static void store_halves(const float *x, long n, uint16_t *p, long stride)
{
	for (long i = 0; i < n; i++) {
		const float low = x[i] < 65504 ? x[i] : 65504;

		p[i * stride] = qn_format_float_to_half(low > -65504 ? low : -65504);
	}
}

static void store_bytes(const float *x, long n, int8_t *p, long stride, float *scale)
{
	float peak = 0, inverse;

	for (long i = 0; i < n; i++)
		peak = fmaxf(peak, fabsf(x[i]));
	inverse = peak > 0x1p-120f ? 127 / peak : 0;
	*scale = peak / 127;
	for (long i = 0; i < n; i++)
		p[i * stride] = (int8_t)lrintf(x[i] * inverse);
}

void qn_cache_store(const struct qn_cache *cache, long layer, int sequence, long position,
		    const float *keys, const float *values, long d_values)
{
	const struct qn_sequence *s = &cache->sequences[sequence];
	const long at = position % QN_PAGE, d_k = cache->d_k, d_v = cache->d_v;
	uint8_t *page = qn_cache_page(cache, layer, s->pages[position / QN_PAGE]);

	for (long h = 0; h < cache->n_kv_heads; h++, page += cache->head_bytes) {
		const float *key = keys + h * d_k, *value = values + h * d_values;

		if (cache->is_bytes) {
			float *scales = (float *)(void *)page;
			int8_t *p = (int8_t *)(scales + 2 * QN_PAGE);

			store_bytes(key, d_k, p + at, QN_PAGE, scales + at);
			store_bytes(value, d_values, p + QN_PAGE * d_k + at * d_v, 1,
				    scales + QN_PAGE + at);
		} else {
			uint16_t *p = (uint16_t *)(void *)page;

			store_halves(key, d_k, p + at, QN_PAGE);
			store_halves(value, d_values, p + QN_PAGE * d_k + at * d_v, 1);
		}
	}
}
