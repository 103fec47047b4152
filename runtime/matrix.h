/*
 * matrix.h: weights packed for one kernel.
 */
#ifndef QN_MATRIX_H
#define QN_MATRIX_H

#include "choose.h"
#include "format.h"
#include "kernel.h"
#include "lane.h"
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
	struct qn_chunk
		*chunk; /* that they are a piece of, see pages.h; NULL: pages of their own */
};

/* Fills the numbers of a matrix from kernel, m and k; packed stays as it is. */
void qn_matrix_shape(struct quern_matrix *matrix, const struct qn_kernel *kernel, long m, long k);

/* The threads and the kind of core that run what->n_tokens become those of its lane. */
void qn_matrix_place(struct qn_case *what, struct qn_lane *const lanes[QN_SHARES_N_WORKS]);

/*
 * Chooses all kernels for matrix->what, those for other numbers of tokens among its layout's, each
 * for the lane that runs so many, and fills the numbers; a forced kernel takes all tokens.
 * features and forced: see qn_choose.
 */
int qn_matrix_choose(struct quern_matrix *matrix, struct qn_lane *const lanes[QN_SHARES_N_WORKS],
		     uint32_t features, const char *forced, struct quern_error *err);

/* The kernel for a number of tokens. */
const struct qn_kernel *qn_matrix_kernel(const struct quern_matrix *matrix, long n_tokens);

/* The class of by_tokens that a number of tokens is of, and the tokens that class i stands for. */
int qn_matrix_class(long n_tokens);
long qn_matrix_class_tokens(int i);

/* Bytes of all panels. */
size_t qn_matrix_bytes(const struct quern_matrix *matrix);

/* K in whole blocks. */
long qn_matrix_padded_k(const struct quern_matrix *matrix);

/*
 * Canonical rows that are waiting to be packed, one after the other: a whole panel of one matrix.
 * What lies beyond M and K is zero.
 */
struct qn_rows {
	long k, n_scales, n_subs; /* of one row, as packed: whole blocks */
	uint8_t *codes;           /* [rows][k] */
	float *scales, *mins;     /* [rows][n_scales] */
	int8_t *sub_scales;       /* [rows][n_subs] */
	uint8_t *sub_mins;
	void *memory;
	size_t n_bytes;
};

/* Room for n_rows rows of k, zero; -1 without memory.  Free with qn_matrix_free_rows. */
int qn_matrix_alloc_rows(int format, long k, long n_rows, struct qn_rows *rows);
void qn_matrix_free_rows(struct qn_rows *rows);

/* Row r, to fill or to read; rows from r on. */
struct qn_row qn_matrix_row(const struct qn_rows *rows, long r);
struct qn_rows qn_matrix_rows_from(const struct qn_rows *rows, long r);

#endif
