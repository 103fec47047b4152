/* run_kernels.h: the command `quern-run kernels`. */
#ifndef QN_RUN_KERNELS_H
#define QN_RUN_KERNELS_H

/* argv[0] is the command's name; prints to stdout, complaints to stderr; returns the exit status.
 */
int run_kernels(int argc, char **argv);

#endif
