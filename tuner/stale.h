/*
 * stale.h: quern check, which tells whether results files are right and what of them is stale.
 *
 * An entry is stale when its kernel is no longer legal or its C is another than the one that was
 * measured (`code`).  Entries without a code, of earlier versions, are stale in the first case only.
 */
#ifndef TUNER_STALE_H
#define TUNER_STALE_H

/* Returns the exit status: 0 all is right, 1 something is stale or no results file, 2 misused. */
int stale_main(int argc, char **argv, const char *home);

#endif
