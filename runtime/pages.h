/* pages.h: large buffers on huge pages, which a stream of weights needs to reach memory speed. */
#ifndef QN_PAGES_H
#define QN_PAGES_H

#include <stddef.h>

#define QN_HUGE_PAGE ((size_t)2 << 20)

/* Zeroed memory, aligned to 2 MiB; huge: ask the kernel for 2 MiB pages.  NULL when there is none.
 */
void *qn_pages_alloc(size_t n_bytes, int huge);
void qn_pages_free(void *p, size_t n_bytes);

#endif
