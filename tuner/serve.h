/*
 * serve.h: a probe that outlives its link.
 *
 * On a device that is reached over ssh or adb the probe works detached: a keeper, in a session of
 * its own, hands requests to a worker (the probe proper) and keeps every request and answer in a
 * folder.  A relay at the end of the link talks to the keeper; when the link drops, the next relay
 * asks again and gets the answer that was given meanwhile.  Time-outs are the keeper's, so that a
 * slow link is not mistaken for a kernel that hangs.
 *
 * Lines to a relay:    NUMBER SECONDS REQUEST    (REQUEST: of probe.h)
 * Lines from a relay:  NUMBER SIGN TEXT, after a first line SERVE_GREETING
 *
 *   =  TEXT is the probe's answer
 *   !  the probe is dead; TEXT says how: "crash ...", "hang ..." or "garbage ..."
 *   ?  the server is gone or confused and no candidate is to blame
 *   %  the server cannot go on: its disk is full, say; the request was not run
 *
 * Numbers rise by one; the last one may be asked again, as often as need be, and is run once.
 *
 * In the folder: `server` (one line: boot_id, socket and pid), `journal` (lines "NUMBER > SECONDS
 * REQUEST" and answers as they were sent).  A server ends with `quit`, which empties and removes
 * the folder, within about a second when somebody else removes it, and when it has been idle for
 * ten minutes (or the seconds in QUERN_IDLE_SECONDS).
 */
#ifndef TUNER_SERVE_H
#define TUNER_SERVE_H

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "line.h" /* PROBE_LINE */
#include "runtime/quern.h"

#define SERVE_GREETING "quern-attach 1"
#define SERVE_LINE (PROBE_LINE + 64)

/* The worker: serves until end of input, as probe_serve does. */
typedef int serve_probe_fn(FILE *in, FILE *out, struct quern_error *err);

/*
 * Starts a server in a folder that exists and is empty.  0 in the caller once it can be attached
 * to; -1 when it cannot start.
 */
int serve_start(const char *folder, serve_probe_fn *probe, struct quern_error *err);

/* Changes whenever the device starts; "-" where there is none. */
void serve_boot_id(char id[64]);

/* The address of a server's socket; returns its length. */
socklen_t serve_address(struct sockaddr_un *address, const char *name);

#endif
