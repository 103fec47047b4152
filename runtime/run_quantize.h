/* run_quantize.h: the command `quern-run quantize`. */
#ifndef QN_RUN_QUANTIZE_H
#define QN_RUN_QUANTIZE_H

/* argv[0] is the command's name; prints to stdout, complaints to stderr; returns the exit status. */
int run_quantize(int argc, char **argv);

#endif
