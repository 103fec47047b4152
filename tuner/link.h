/*
 * link.h: numbered requests to a server (serve.h) over a link that may drop.
 */
#ifndef TUNER_LINK_H
#define TUNER_LINK_H

#include "remote.h"
#include "serve.h"

struct link;

/* To the server that remote_start has started. */
struct link *link_open(const struct remote *remote, double connect_seconds, const char *log_path);

/* Asks the server to quit when it can be reached at once. */
void link_close(struct link *link);

/*
 * Sends a request and waits for its answer: the sign of serve.h, text gets what stands behind it
 * (SERVE_LINE bytes).  '%' also when the link does not come up again.
 */
char link_ask(struct link *link, double seconds, const char *request, char *text);

#endif
