/*
 * pages.c: mappings cut to 2 MiB alignment.
 */
#include "pages.h"

#include <stdlib.h>
#include <sys/mman.h>

/* Of a chunk at least.  What is not touched is not backed, so a large one costs nothing. */
#define CHUNK_BYTES ((size_t)64 << 20)
#define PIECE_ALIGN ((size_t)4096)

struct qn_chunk {
	uint8_t *memory;
	size_t n_bytes, n_used;
	long n_pieces;
};

static size_t round_up(size_t n_bytes)
{
	return (n_bytes + QN_HUGE_PAGE - 1) & ~(QN_HUGE_PAGE - 1);
}

void *qn_pages_alloc(size_t n_bytes, int huge)
{
	const size_t size = round_up(n_bytes ? n_bytes : 1);
	uint8_t *p, *aligned;

	if (size < n_bytes || size + QN_HUGE_PAGE < size)
		return NULL;
	p = mmap(NULL, size + QN_HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		 0);
	if (p == MAP_FAILED)
		return NULL;
	aligned = (uint8_t *)(((uintptr_t)p + QN_HUGE_PAGE - 1) & ~(uintptr_t)(QN_HUGE_PAGE - 1));
	if (aligned > p)
		munmap(p, (size_t)(aligned - p));
	munmap(aligned + size, QN_HUGE_PAGE - (size_t)(aligned - p));
	/* A kernel without huge pages says no, and small ones do. */
	madvise(aligned, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return aligned;
}

void *qn_pages_map(int fd, uint64_t offset, size_t n_bytes)
{
	void *p = qn_pages_alloc(n_bytes, 0);

	if (!p || mmap(p, n_bytes, PROT_READ, MAP_SHARED | MAP_FIXED, fd, (off_t)offset) != p) {
		qn_pages_free(p, n_bytes);
		return NULL;
	}
	madvise(p, n_bytes, MADV_HUGEPAGE);
	return p;
}

void qn_pages_free(void *p, size_t n_bytes)
{
	if (p)
		munmap(p, round_up(n_bytes ? n_bytes : 1));
}

/* ---- pieces ---- */

static struct qn_chunk *open_chunk(size_t n_bytes)
{
	struct qn_chunk *chunk = calloc(1, sizeof *chunk);

	if (!chunk)
		return NULL;
	chunk->n_bytes = n_bytes > CHUNK_BYTES ? n_bytes : CHUNK_BYTES;
	chunk->memory = qn_pages_alloc(chunk->n_bytes, 1);
	if (!chunk->memory) {
		free(chunk);
		return NULL;
	}
	return chunk;
}

void *qn_pages_take(struct qn_chunk **current, size_t n_bytes, struct qn_chunk **owner)
{
	const size_t size = (n_bytes + PIECE_ALIGN - 1) & ~(PIECE_ALIGN - 1);
	struct qn_chunk *chunk = *current;
	void *p;

	if (size < n_bytes)
		return NULL;
	if (!chunk || chunk->n_bytes - chunk->n_used < size)
		chunk = open_chunk(size);
	if (!chunk)
		return NULL;
	p = chunk->memory + chunk->n_used;
	chunk->n_used += size;
	chunk->n_pieces++;
	*current = *owner = chunk;
	return p;
}

void qn_pages_give(struct qn_chunk **current, struct qn_chunk *owner, void *p, size_t n_bytes)
{
	const uintptr_t first = round_up((uintptr_t)p);
	const uintptr_t end = ((uintptr_t)p + n_bytes) & ~(QN_HUGE_PAGE - 1);

	if (--owner->n_pieces > 0) {
		if (first < end)
			madvise((void *)first, end - first, MADV_DONTNEED);
		return;
	}
	if (*current == owner)
		*current = NULL;
	qn_pages_free(owner->memory, owner->n_bytes);
	free(owner);
}
