/* run_perplexity.h: the command `quern-run perplexity`. */
#ifndef QN_RUN_PERPLEXITY_H
#define QN_RUN_PERPLEXITY_H

/* As run_kernels. */
int run_perplexity(int argc, char **argv);

#endif
