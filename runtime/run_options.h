/* run_options.h: how the commands of quern-run read what stands behind their options. */
#ifndef QN_RUN_OPTIONS_H
#define QN_RUN_OPTIONS_H

#include "kernel.h"

/* Prints a sentence in which %s is `what`; returns -1. */
int run_options_complain(const char *format, const char *what);

/* A whole number from 1 to max at *text, which moves behind it; 0 when there is none. */
long run_options_take_number(const char **text, long max);

/* The same for an option's whole value; -1 after a complaint. */
int run_options_number(const char *option, const char *value, long max, long *number);

/* The value of --seed; -1 after a complaint. */
int run_options_seed(const char *text, uint64_t *seed);

/* Formats separated by commas, or "all", each taken once; -1 after a complaint. */
int run_options_formats(const char *text, int formats[QN_N_FORMATS], int *n_formats);

/* The largest NMSE of lossy kernels, between 0 and 1; -1 after a complaint. */
int run_options_nmse(const char *option, const char *value, double *nmse);

/* Kernels to run instead of the chosen ones: what an option said or else QUERN_KERNEL; NULL: none. */
const char *run_options_forced(const char *option);

/* A list of cpus, and whether it is there when threads are to move among it; -1 after a complaint. */
int run_options_cpus(const char *option, const char *text);
int run_options_loose(const char *cpus, int loose);

/* An activation format, or RUN_OWN_ACT, each format's own; -1 after a complaint. */
#define RUN_OWN_ACT (-2)
int run_options_act(const char *text, int *act);
int run_options_act_of(int act, int format);
const char *run_options_act_text(int act);

/* A type of weights by GGUF's name, such as Q4_0 or q4_0 (enum quern_type); -1 after a complaint. */
int run_options_type(const char *option, const char *text, int *type);

#endif
