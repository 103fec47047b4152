/*
 * quantize.h: a model file with its matrices in another type.
 */
#ifndef QN_QUANTIZE_H
#define QN_QUANTIZE_H

#include "../quern.h"

/* What became of a tensor. */
struct qn_quantize_tensor {
	const struct quern_tensor *from;
	int type;             /* in the new file */
	int wanted_type;      /* it differs where rows are no whole blocks of this one */
	int is_copied;        /* as it was */
	double error, square; /* squared error, and square of what there was */
};

struct qn_quantize {
	int type;                        /* enum quern_type of matrices */
	int output_type, embedding_type; /* of output.weight and token_embd.weight; -1: see below */
	int is_pure;                     /* those two are of `type` as well */
	int takes_quantised;             /* quantised matrices are decoded and quantised again */
	int n_threads;                   /* 0: one per cpu of the process */
	/* Called when not NULL; progress with bytes of the old file, anything but 0 gives the new up. */
	int (*progress)(void *context, uint64_t n_done, uint64_t n_bytes);
	void (*tell)(void *context, const struct qn_quantize_tensor *tensor);
	void *context;
};

/*
 * Writes `to`, the model `from` with its matrices (two dimensions or more, named .weight, no norms) in
 * a type; everything else is copied, and general.file_type is set.
 *
 * What nothing is said of: output.weight is Q6_K, if `type` has less than 6 bits a weight, and so is
 * token_embd.weight where it is the output as well; otherwise this is Q4_K if `type` has less than
 * 2.5.  A matrix whose rows are no whole blocks is Q8_0 instead, or F16 where not even 32 divide them.
 *
 * 0, or -1 with a sentence: files, a part of a split model, types that cannot be read, quantised
 * matrices, both names being one file.
 */
int qn_quantize_file(const char *from, const char *to, const struct qn_quantize *how,
		     struct quern_error *err);

#endif
