/* run_random.h: the command `quern-run random`. */
#ifndef QN_RUN_RANDOM_H
#define QN_RUN_RANDOM_H

/* argv[0] is the command's name; complaints go to stderr; returns the exit status. */
int run_random(int argc, char **argv);

#endif
