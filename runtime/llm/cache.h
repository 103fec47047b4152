/*
 * cache.h: keys and values of all sequences, in pages that sequences can share.
 *
 * A page has QN_PAGE positions of all layers.  A sequence is a list of pages; a copy of a sequence
 * has the same pages, and a page is copied only when one of those that share it writes into it.
 * Within a page keys lie [d_k][position], so that the scores of neighbouring positions come out side by
 * side, and values [position][d_v]; qn_attend (kernel.h) reads them.
 */
#ifndef QN_CACHE_H
#define QN_CACHE_H

#include "model.h"

struct qn_sequence {
	long n;         /* positions */
	int32_t *pages; /* of the cache, room for n_context positions */
	int32_t *ids;   /* [n_context], the token at each position */
};

struct qn_cache {
	int is_bytes; /* int8 with a scale for each head's vector; 0: f16 */
	long d_k, d_v, n_kv_heads, n_layers;
	size_t head_bytes, page_bytes,
		layer_bytes; /* of a page's head; a layer's page; all pages */
	uint8_t *memory;
	long n_pages, n_free;
	int32_t *free_pages, *n_users; /* [n_pages] */
	long n_context;                /* positions that a sequence can have */
	int n_sequences;
	struct qn_sequence *sequences;
};

/* Room for n_positions positions in all, of sequences of at most n_context. */
int qn_cache_open(struct qn_cache *cache, const struct quern_model *model, int is_bytes,
		  int n_sequences, long n_context, long n_positions, struct quern_error *err);
void qn_cache_close(struct qn_cache *cache);

/*
 * Makes pages for n more positions of a sequence, which is then so much longer and has these tokens there; all or
 * nothing.
 */
int qn_cache_extend(struct qn_cache *cache, int sequence, const int32_t *ids, long n,
		    struct quern_error *err);

/* Forgets all but the first n positions. */
void qn_cache_cut(struct qn_cache *cache, int sequence, long n);

/* `to`, whatever it was, becomes the first n positions of `from`. */
void qn_cache_share(struct qn_cache *cache, int from, int to, long n);

/* Where a page of a layer starts, page_bytes of them. */
uint8_t *qn_cache_page(const struct qn_cache *cache, long layer, int32_t page);

/* Writes one position of one layer: keys [n_kv_heads][d_k], values [n_kv_heads][d_v of the model]. */
void qn_cache_store(const struct qn_cache *cache, long layer, int sequence, long position,
		    const float *keys, const float *values, long d_values);

#endif
