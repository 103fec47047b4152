/* run_bench.h: the command `quern-run bench`. */
#ifndef QN_RUN_BENCH_H
#define QN_RUN_BENCH_H

/* As run_kernels. */
int run_bench(int argc, char **argv);

#endif
