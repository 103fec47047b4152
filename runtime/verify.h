/*
 * verify.h: one generated kernel against plain C.
 *
 * Used by the probe before anything is timed and by the test that walks all kernels.
 */
#ifndef QN_VERIFY_H
#define QN_VERIFY_H

#include "kernel.h"
#include "quern.h"

/*
 * Packs, prepares and runs the kernel on ragged shapes with random and worst-case data, guard bytes
 * around every output.  The integer part must be exact, the float part within a stated bound;
 * lossy lookups get what rounding their tables may do on top.
 * Returns 0 and the error against double precision on the dequantised weights in *nmse, or -1 with
 * a sentence that names shape, row and seed.  The CPU must have the kernel's features.
 */
int qn_verify_kernel(const struct qn_kernel *kernel, uint64_t seed, double *nmse,
		     struct quern_error *err);

#endif
