/*
 * session.c: sequences in files.
 *
 * A file is a head, the tokens, then for every layer the sequence's pages as they are in memory, then a
 * sum over all of it.  Pages are copied whole: a sequence that goes on from a file reads the same
 * bytes as the one that was saved.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../draft.h"
#include "../error.h"
#include "context.h"

struct head {
	char magic[8]; /* with the version */
	uint64_t fingerprint;
	uint32_t is_bytes, page; /* of the cache; QN_PAGE */
	uint64_t n, page_bytes, n_layers;
};

static const char magic[8] = "QUERNS1";

/* Fletcher's sum over 32-bit words, those left over padded with zeros. */
struct sum {
	uint64_t a, b;
};

struct stream {
	struct qn_draft draft; /* that is written */
	FILE *file;            /* that is read */
	struct quern_error error;
	struct sum sum;
	int failed;
};

static void add_to_sum(struct sum *sum, const void *data, size_t n_bytes)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < n_bytes; i += 4) {
		uint32_t word = 0;

		memcpy(&word, p + i, n_bytes - i < 4 ? n_bytes - i : 4);
		sum->a += word;
		sum->b += sum->a;
	}
}

static void put(struct stream *s, const void *data, size_t n_bytes)
{
	add_to_sum(&s->sum, data, n_bytes);
	if (!s->failed)
		s->failed = qn_draft_write(&s->draft, data, n_bytes, &s->error) != 0;
}

static void take(struct stream *s, void *data, size_t n_bytes)
{
	s->failed |= fread(data, 1, n_bytes, s->file) != n_bytes;
	if (!s->failed)
		add_to_sum(&s->sum, data, n_bytes);
}

static struct head head_of(const struct quern_context *c, long n)
{
	struct head head = {.fingerprint = c->model->fingerprint,
			    .is_bytes = (uint32_t)c->cache.is_bytes,
			    .page = QN_PAGE,
			    .n = (uint64_t)n,
			    .page_bytes = c->cache.page_bytes,
			    .n_layers = (uint64_t)c->cache.n_layers};

	memcpy(head.magic, magic, sizeof magic);
	return head;
}

static long pages_of(const struct qn_sequence *s)
{
	return (s->n + QN_PAGE - 1) / QN_PAGE;
}

/* Every page of a sequence, through fn. */
static void each_page(const struct quern_context *c, int sequence, struct stream *stream,
		      void (*fn)(struct stream *, uint8_t *, size_t))
{
	const struct qn_sequence *s = &c->cache.sequences[sequence];

	for (long layer = 0; layer < c->cache.n_layers; layer++) {
		for (long i = 0; i < pages_of(s) && !stream->failed; i++)
			fn(stream, qn_cache_page(&c->cache, layer, s->pages[i]),
			   c->cache.page_bytes);
	}
}

static void put_page(struct stream *s, uint8_t *page, size_t n_bytes)
{
	put(s, page, n_bytes);
}

static void take_page(struct stream *s, uint8_t *page, size_t n_bytes)
{
	take(s, page, n_bytes);
}

/* ---- saving ---- */

int quern_session_save(const struct quern_context *c, int sequence, const char *path,
		       struct quern_error *err)
{
	struct stream stream = {.failed = 0};
	struct head head;

	if (sequence < 0 || sequence >= c->cache.n_sequences)
		return qn_error_set(err, "sequence %d: this context has 0 to %d", sequence,
				    c->cache.n_sequences - 1);
	if (qn_draft_open(&stream.draft, path, err))
		return -1;
	head = head_of(c, c->cache.sequences[sequence].n);
	put(&stream, &head, sizeof head);
	put(&stream, c->cache.sequences[sequence].ids, head.n * sizeof(int32_t));
	each_page(c, sequence, &stream, put_page);
	put(&stream, &(struct sum){stream.sum.a, stream.sum.b}, sizeof(struct sum));
	if (!stream.failed)
		return qn_draft_keep(&stream.draft, err);
	qn_error_set(err, "%s", stream.error.text);
	qn_draft_drop(&stream.draft);
	return -1;
}

/* ---- loading ---- */

static int check_head(const struct quern_context *c, const struct head *head, const char *path,
		      struct quern_error *err)
{
	const struct head own = head_of(c, (long)head->n);

	if (memcmp(head->magic, magic, sizeof magic))
		return qn_error_set(err, "%s: not a session of this version of quern", path);
	if (head->fingerprint != own.fingerprint)
		return qn_error_set(err, "%s: a session of another model", path);
	if (memcmp(head, &own, sizeof own))
		return qn_error_set(err,
				    "%s: a session of a context with another type of cache; "
				    "this one's is %s",
				    path, c->cache.is_bytes ? "q8_0" : "f16");
	if (head->n < 1 || head->n > (uint64_t)c->cache.n_context)
		return qn_error_set(err,
				    "%s: a session of %llu tokens; this context has room for "
				    "%ld",
				    path, (unsigned long long)head->n, c->cache.n_context);
	return 0;
}

static int read_tokens(struct quern_context *c, int sequence, struct stream *stream, long n,
		       const char *path, struct quern_error *err)
{
	int32_t *ids = malloc((size_t)n * sizeof *ids);
	int status = 0;

	if (!ids)
		return qn_error_set(err, "no memory for %ld tokens", n);
	take(stream, ids, (size_t)n * sizeof *ids);
	for (long i = 0; i < n && !stream->failed; i++) {
		if (ids[i] < 0 || ids[i] >= c->model->n_vocab)
			stream->failed = 1;
	}
	if (stream->failed)
		status = qn_error_set(err, "%s: damaged or cut short", path);
	else
		status = qn_cache_extend(&c->cache, sequence, ids, n, err);
	free(ids);
	return status;
}

static int read_all(struct quern_context *c, int sequence, struct stream *stream, const char *path,
		    struct quern_error *err)
{
	struct head head = {.n = 0};
	struct sum sum, stored;

	take(stream, &head, sizeof head);
	if (stream->failed)
		return qn_error_set(err, "%s: too short for a session", path);
	if (check_head(c, &head, path, err) ||
	    read_tokens(c, sequence, stream, (long)head.n, path, err))
		return -1;
	each_page(c, sequence, stream, take_page);
	sum = stream->sum;
	take(stream, &stored, sizeof stored);
	if (stream->failed || stored.a != sum.a || stored.b != sum.b || fgetc(stream->file) != EOF)
		return qn_error_set(err, "%s: damaged or cut short", path);
	return 0;
}

int quern_session_load(struct quern_context *c, int sequence, const char *path,
		       struct quern_error *err)
{
	struct stream stream = {.file = NULL};
	int status;

	if (sequence < 0 || sequence >= c->cache.n_sequences)
		return qn_error_set(err, "sequence %d: this context has 0 to %d", sequence,
				    c->cache.n_sequences - 1);
	qn_cache_cut(&c->cache, sequence, 0);
	stream.file = fopen(path, "rb");
	if (!stream.file)
		return qn_error_set(err, "%s: cannot open: %s", path, strerror(errno));
	status = read_all(c, sequence, &stream, path, err);
	fclose(stream.file);
	if (status)
		qn_cache_cut(&c->cache, sequence, 0);
	return status;
}
