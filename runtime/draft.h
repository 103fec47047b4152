/*
 * draft.h: files that have their names only when they are whole and on the disk.
 *
 * Until then a file is NAME.quern-part-PID-N in the same folder, and its writer holds a lock (flock) on it: one
 * that nobody holds was left by a process that was killed, and the next draft of the folder removes
 * it.  Where there are no such locks, none is removed.
 */
#ifndef QN_DRAFT_H
#define QN_DRAFT_H

#include "quern.h"

struct qn_draft {
	char *path, *temporary;
	int fd;
};

/*
 * Starts a file that is to have the name path.  0, or -1 with a sentence: the folder cannot be written
 * to, or path is something else than a file.  A draft belongs to one thread at a time.
 */
int qn_draft_open(struct qn_draft *draft, const char *path, struct quern_error *err);

/* Writes all of the bytes behind what was written before, or at an offset. */
int qn_draft_write(struct qn_draft *draft, const void *data, size_t n_bytes,
		   struct quern_error *err);
int qn_draft_write_at(struct qn_draft *draft, const void *data, size_t n_bytes, uint64_t offset,
		      struct quern_error *err);

/* Ends the draft: it is on the disk and takes the place of what had its name; -1: there is no new file. */
int qn_draft_keep(struct qn_draft *draft, struct quern_error *err);

/* Gives the file up; also after an error, a second time, or when it was never opened and is all zero. */
void qn_draft_drop(struct qn_draft *draft);

/* The end of a path, short enough for a sentence. */
const char *qn_draft_shown(const char *path);

#endif
