/*
 * pack_plain.h: packing as kernel.h describes it, for those who verify kernels, and what the library's pack.c is tested
 * against.  No part of the library.
 */
#ifndef QN_PACK_PLAIN_H
#define QN_PACK_PLAIN_H

#include "matrix.h"

/* Packs panel_rows rows, all of K. */
void qn_pack_plain(const struct quern_matrix *matrix, const struct qn_rows *rows, uint8_t *panel);

#endif
