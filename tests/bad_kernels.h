/* bad_kernels.h: places in the registry of bad_kernels.c. */
#ifndef TESTS_BAD_KERNELS_H
#define TESTS_BAD_KERNELS_H

enum {
	BAD_RIGHT4,
	BAD_RIGHT16, /* correct */
	BAD_CRASH,   /* dereferences NULL */
	BAD_HANG,    /* never returns */
	BAD_WRONG,   /* forgets the last block of K */
	BAD_PAST,    /* writes y[M] */
	BAD_LEAVE,   /* ends the process with status 0 */
	BAD_FOREIGN, /* needs features that no machine has together */
	BAD_COUNT
};

#endif
