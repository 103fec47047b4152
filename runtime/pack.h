/*
 * pack.h: weights of any source -> packed panels, at the speed of memory.
 */
#ifndef QN_PACK_H
#define QN_PACK_H

#include <stdatomic.h>

#include "matrix.h"

struct qn_packing {
	const struct quern_matrix *matrix; /* its shape and packed */
	const struct quern_weights *weights;
	float tensor_scale;       /* of wtgt; else 0 */
	_Atomic size_t next_page; /* in bytes */
	_Atomic long next_panel;
	_Atomic int failed; /* no memory */
};

/*
 * Before: has the pages of matrix->packed made, each by one thread.  Two that come upon a new page
 * at once would both clear one, and the system would throw one of them away.
 */
void qn_pack_touch(void *arg, int thread, int n_threads);

/*
 * Packs panels until none is left; what every thread of a pool runs (arg is struct qn_packing).  The
 * panels are those of qn_pack_plain, byte for byte.
 */
void qn_pack_thread(void *arg, int thread, int n_threads);

#endif
