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

#endif
