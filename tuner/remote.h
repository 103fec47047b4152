/*
 * remote.h: a device at the end of a link: scripts there, the probe's way to it, and its server.
 *
 * On the device, below the `work` of the device file:
 *
 *   run-HASH/              of one host and one folder of it
 *   run-HASH/probe-HASH    a probe program, named for its bytes
 *   run-HASH/serve-TIME/   its server (serve.h)
 *
 * To remove run-HASH ends whatever still works there.
 */
#ifndef TUNER_REMOTE_H
#define TUNER_REMOTE_H

#include "command.h"
#include "device.h"

struct remote *remote_open(const struct device *device);
void remote_close(struct remote *remote); /* NULL is allowed */

/* As device_set_run and device_leave. */
void remote_set_run(struct remote *remote, const char *folder);
void remote_leave(struct remote *remote);

/*
 * Brings the program to the device unless it is there, and starts a server of it in place of any
 * earlier one.  What tools say goes to the log.
 */
int remote_start(struct remote *remote, const char *program, const char *log_path,
		 struct gen_error *err);

#define REMOTE_GONE "quern-gone"

/* The words that attach to the server; a line REMOTE_GONE says that its folder is gone. */
void remote_attach(const struct remote *remote, struct command *command);

/*
 * After attempt number try, from 0 on, failed: says what there is not ("no link to") and waits.  0: try again; -1 with a sentence
 * when that was the last one or the user stops.
 */
int remote_wait(const struct remote *remote, long try, const char *what, const char *why,
		struct gen_error *err);

#endif
