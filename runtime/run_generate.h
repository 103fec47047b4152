/* run_generate.h: the command `quern-run generate`. */
#ifndef QN_RUN_GENERATE_H
#define QN_RUN_GENERATE_H

/* As run_kernels. */
int run_generate(int argc, char **argv);

#endif
