/*
 * matrix.h: weights packed for one kernel.
 */
#ifndef QN_MATRIX_H
#define QN_MATRIX_H

#include "choose.h"
#include "kernel.h"
#include "quern.h"

/* Multiple that K of activations is padded to: whole blocks of every format. */
#define QN_K_PAD 256

/* Numbers of tokens for which a matrix has a kernel each; others take the nearest. */
#define QN_N_TOKEN_CLASSES 8

struct quern_matrix {
	struct quern_engine *engine;
	const struct qn_kernel
		*kernel; /* for the case it was packed for; its layout is that of packed */
	struct qn_chosen chosen;
	struct qn_case what;
	const struct qn_kernel *by_tokens[QN_N_TOKEN_CLASSES]; /* of the same layout; for 1, 2, 4,
								  8, 16, 32, 128, 512 */
	long m, k;
	long n_panels, n_blocks; /* blocks of one panel */
	size_t panel_bytes;
	uint8_t *packed; /* n_panels * panel_bytes */
};

/* Fills the numbers of a matrix from kernel, m and k; packed stays as it is. */
void qn_matrix_shape(struct quern_matrix *matrix, const struct qn_kernel *kernel, long m, long k);

/* The kernel for a number of tokens. */
const struct qn_kernel *qn_matrix_kernel(const struct quern_matrix *matrix, long n_tokens);

/* Tokens that class i of by_tokens stands for. */
long qn_matrix_class_tokens(int i);

/* Bytes of all panels. */
size_t qn_matrix_bytes(const struct quern_matrix *matrix);

/*
 * Packs one panel.  codes: panel_rows rows of code_stride bytes each, at least the padded K (see
 * qn_matrix_padded_k), padding zero; scales: panel_rows rows of scale_stride floats, padding
 * zero, in the number of qn_format_n_scales.
 */
void qn_matrix_pack_panel(const struct quern_matrix *matrix, const uint8_t *codes,
			  const float *scales, uint8_t *panel);

/*
 * K in whole blocks: the code stride of qn_matrix_pack_panel; and the scales of a row, its scale
 * stride.
 */
long qn_matrix_padded_k(const struct quern_matrix *matrix);
long qn_matrix_n_scales(const struct quern_matrix *matrix);

#endif
