/* tune.h: the command `quern tune`. */
#ifndef TUNER_TUNE_H
#define TUNER_TUNE_H

/*
 * argv[0] is "tune"; home holds gen/, templates/, runtime/, tuner/ and results/.  Prints what goes
 * wrong.  Returns the exit status: 0 done, 1 failed, 2 called in a wrong way, 130 stopped by the
 * user.
 */
int tune_main(int argc, char **argv, const char *home);

#endif
