/* attach.h: the near end of a server (serve.h), started anew for every link. */
#ifndef TUNER_ATTACH_H
#define TUNER_ATTACH_H

/*
 * Relays between standard input and output and the server of a folder until the link ends.  When
 * that server is gone, what it wrote down is answered.
 */
void attach_run(const char *folder);

#endif
