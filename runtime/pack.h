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
	float tensor_scale; /* of wtgt; else 0 */
	_Atomic long next_page, next_panel;
	_Atomic int failed; /* no memory */
};

/*
 * Packs panels until none is left; what every thread of a pool runs (arg is struct qn_packing).  The
 * panels are those of qn_matrix_pack_panel, byte for byte.
 */
void qn_pack_thread(void *arg, int thread, int n_threads);

#endif
