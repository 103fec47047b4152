/*
 * draft.c: writes files that are whole or not there.
 *
 * A lock and a name cannot be had at once, so a draft that was just created may look like one that was
 * left: its writer takes the lock, then looks whether it still has a name; who removes drafts does so
 * with the lock held.
 */
#include "draft.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

enum { SHOWN_PATH = 120, N_TRIES = 100 };

static const char mark[] = ".quern-part-";

const char *qn_draft_shown(const char *path)
{
	const size_t n = strlen(path);

	return n > SHOWN_PATH ? path + n - SHOWN_PATH : path;
}

static int fail(const struct qn_draft *draft, const char *what, struct quern_error *err)
{
	return qn_error_set(err, "%s: %s: %s", qn_draft_shown(draft->path), what, strerror(errno));
}

/* ---- the folder ---- */

static int open_folder(const char *path)
{
	char *folder = strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
	int fd = -1;

	if (slash)
		slash[slash == folder] = '\0';
	if (folder)
		fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	return fd;
}

/* Is it NAME.quern-part-PID-N? */
static int is_draft(const char *name)
{
	static const char digits[] = "0123456789";
	const char *at = NULL, *p = name;
	size_t n;

	while ((p = strstr(p, mark)))
		at = p++;
	if (!at || at == name)
		return 0;
	at += sizeof(mark) - 1;
	n = strspn(at, digits);
	if (!n || at[n] != '-')
		return 0;
	at += n + 1;
	n = strspn(at, digits);
	return n > 0 && !at[n];
}

static void remove_dead(int folder, const char *name)
{
	const int fd = openat(folder, name, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	struct stat held, named;

	if (fd < 0)
		return;
	/* The name may have come to another file since. */
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &held) == 0 && S_ISREG(held.st_mode) &&
	    fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    held.st_dev == named.st_dev && held.st_ino == named.st_ino)
		unlinkat(folder, name, 0);
	close(fd);
}

static void remove_all_dead(const char *path)
{
	const int fd = open_folder(path);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	while (folder && (entry = readdir(folder))) {
		if (is_draft(entry->d_name))
			remove_dead(fd, entry->d_name);
	}
	if (folder)
		closedir(folder);
	else if (fd >= 0)
		close(fd);
}

/* So that the new name is on the disk as well; file systems without such a thing say no. */
static void sync_folder(const char *path)
{
	const int fd = open_folder(path);

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

/* ---- the file ---- */

/* 1: somebody took it for one that was left. */
static int is_lost(int fd)
{
	struct stat status;

	if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
		return 1;
	return fstat(fd, &status) == 0 && status.st_nlink == 0;
}

/* Creates a file beside path that nobody else has. */
static int open_temporary(struct qn_draft *draft)
{
	const size_t room = strlen(draft->path) + sizeof(mark) + 48;

	draft->temporary = malloc(room);
	if (!draft->temporary)
		return -1;
	for (int i = 0; i < N_TRIES; i++) {
		snprintf(draft->temporary, room, "%s%s%ld-%d", draft->path, mark, (long)getpid(),
			 i);
		draft->fd = open(draft->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (draft->fd < 0 && errno != EEXIST)
			return -1;
		if (draft->fd < 0)
			continue;
		if (!is_lost(draft->fd))
			return 0;
		close(draft->fd);
		draft->fd = -1;
		errno = EEXIST;
	}
	return -1;
}

static void free_names(struct qn_draft *draft)
{
	free(draft->path);
	free(draft->temporary);
	*draft = (struct qn_draft){.fd = -1};
}

int qn_draft_open(struct qn_draft *draft, const char *path, struct quern_error *err)
{
	struct stat status;

	*draft = (struct qn_draft){.path = strdup(path), .fd = -1};
	if (!draft->path)
		return qn_error_set(err, "%s: out of memory", qn_draft_shown(path));
	/* A rename would put a file in the place of a device. */
	if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
		qn_error_set(err, "%s: it is there and not a file; nothing is written over it",
			     qn_draft_shown(path));
		free_names(draft);
		return -1;
	}
	remove_all_dead(path);
	if (open_temporary(draft)) {
		fail(draft, "cannot create it", err);
		free_names(draft);
		return -1;
	}
	return 0;
}

static int write_all(struct qn_draft *draft, const void *data, size_t n, const uint64_t *offset,
		     struct quern_error *err)
{
	const uint8_t *p = data;

	for (size_t done = 0; done < n;) {
		const ssize_t n_written =
			offset ? pwrite(draft->fd, p + done, n - done, (off_t)(*offset + done))
			       : write(draft->fd, p + done, n - done);

		if (n_written > 0) {
			done += (size_t)n_written;
		} else if (n_written == 0 || errno != EINTR) {
			errno = n_written ? errno : ENOSPC;
			return fail(draft, "cannot write", err);
		}
	}
	return 0;
}

int qn_draft_write(struct qn_draft *draft, const void *data, size_t n_bytes,
		   struct quern_error *err)
{
	return write_all(draft, data, n_bytes, NULL, err);
}

int qn_draft_write_at(struct qn_draft *draft, const void *data, size_t n_bytes, uint64_t offset,
		      struct quern_error *err)
{
	return write_all(draft, data, n_bytes, &offset, err);
}

int qn_draft_keep(struct qn_draft *draft, struct quern_error *err)
{
	int status = 0;

	if (fsync(draft->fd) && errno != EINVAL) /* EINVAL: it cannot be synced */
		status = fail(draft, "cannot write", err);
	/* Its lock goes with close: not before it has its name. */
	if (!status && rename(draft->temporary, draft->path))
		status = fail(draft, "cannot give it its name", err);
	if (status) {
		qn_draft_drop(draft);
		return -1;
	}
	close(draft->fd);
	sync_folder(draft->path);
	free_names(draft);
	return 0;
}

void qn_draft_drop(struct qn_draft *draft)
{
	if (draft->temporary) {
		unlink(draft->temporary);
		close(draft->fd);
	}
	free_names(draft);
}
