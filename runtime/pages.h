/* pages.h: large buffers on huge pages, which a stream of weights needs to reach memory speed. */
#ifndef QN_PAGES_H
#define QN_PAGES_H

#include <stddef.h>
#include <stdint.h>

#define QN_HUGE_PAGE ((size_t)2 << 20)

/* Zeroed memory, aligned to 2 MiB; huge: ask the kernel for 2 MiB pages.  NULL when there is none.
 */
void *qn_pages_alloc(size_t n_bytes, int huge);

/*
 * Bytes of a file from an offset on, a multiple of 4096, to be read where they are; aligned likewise.  They lie on
 * huge pages only where the file system has such in memory and the offset is a multiple of 2 MiB.  NULL: it cannot be.
 */
void *qn_pages_map(int fd, uint64_t offset, size_t n_bytes);

/* Of either kind. */
void qn_pages_free(void *p, size_t n_bytes);

/* ---- pieces ---- */

/*
 * Pages that pieces share, so that what is smaller than a huge page does not take one of its own.  They are given
 * back when the last piece is; a piece that is given back before frees whole huge pages alone.
 */
struct qn_chunk;

/*
 * n_bytes of zeroed memory on huge pages, aligned to 4096, from *current, or from a new chunk that takes its place (NULL:
 * there is none yet); *owner is the chunk that they are of.  NULL: there is no memory.  One thread at a time.
 */
void *qn_pages_take(struct qn_chunk **current, size_t n_bytes, struct qn_chunk **owner);
void qn_pages_give(struct qn_chunk **current, struct qn_chunk *owner, void *p, size_t n_bytes);

#endif
