/*
 * engine.h: packing for those inside the library that may have packed weights already.
 */
#ifndef QN_ENGINE_H
#define QN_ENGINE_H

#include "matrix.h"

/*
 * Fills the packed bytes of a matrix whose kernels are chosen from elsewhere, or puts others of qn_pages in their
 * place; 0: it cannot, and they are packed from the data.  The engine's lock is not held.
 */
typedef int qn_engine_fill_fn(void *arg, struct quern_matrix *matrix);

/* As quern_pack, but asks fill, when not NULL, before it reads the data. */
int qn_engine_pack(struct quern_engine *engine, struct quern_matrix **matrix,
		   const struct quern_weights *weights, qn_engine_fill_fn *fill, void *arg,
		   struct quern_error *err);

/* Gives a matrix's packed bytes back.  The engine's lock is not held. */
void qn_engine_release(struct quern_matrix *matrix);

#endif
