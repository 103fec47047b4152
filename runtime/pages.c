/*
 * pages.c: mappings cut to 2 MiB alignment.
 */
#include "pages.h"

#include <sys/mman.h>

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
