/* tabulate.h: the command `quern cost`, which prints what kernels cost without running them. */
#ifndef TUNER_TABULATE_H
#define TUNER_TABULATE_H

/*
 * argv[0] is "cost"; home as for tune_main.  Prints what goes wrong.  Returns the exit status: 0
 * done, 1 failed, 2 called in a wrong way, 130 stopped by the user.
 */
int tabulate_main(int argc, char **argv, const char *home);

#endif
