/* run_sweep.h: the command `quern-run sweep`. */
#ifndef QN_RUN_SWEEP_H
#define QN_RUN_SWEEP_H

/* As run_kernels. */
int run_sweep(int argc, char **argv);

#endif
