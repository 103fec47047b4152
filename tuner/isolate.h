/*
 * isolate.h: checks a kernel in a process of its own.
 *
 * A generated kernel may crash, run forever or write anywhere.  A forked child runs the check
 * under resource limits; what it finds comes back through a pipe, and how it ended is told by the
 * kernel of the operating system, which needs no help from the child.
 */
#ifndef TUNER_ISOLATE_H
#define TUNER_ISOLATE_H

#include <stdint.h>

#include "runtime/kernel.h"
#include "runtime/quern.h"

enum isolate_result {
	ISOLATE_OK,
	ISOLATE_FAILED, /* the kernel's fault: "crash ...", "hang ..." or "wrong ..." */
	ISOLATE_ERROR   /* the child could not be made */
};

/*
 * qn_verify_kernel within the given number of seconds.  The caller may have threads that wait; the
 * child has none of them.
 */
enum isolate_result isolate_verify(const struct qn_kernel *kernel, uint64_t seed, unsigned seconds,
				   double *nmse, struct quern_error *err);

#endif
