/*
 * folder.c: brings generated files into a folder, touching only what changed.
 *
 * Make compares times, so an unchanged file keeps its own; a reader, or a run that was killed, sees
 * an old file or a new one and never a part.
 */
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "folder.h"

static int fail(struct gen_error *err, const char *what, const char *path)
{
	snprintf(err->text, sizeof err->text, "cannot %s %s: %s", what, path, strerror(errno));
	return -1;
}

static int make_one(const char *path, struct gen_error *err)
{
	struct stat status;

	if (mkdir(path, 0777) == 0)
		return 0;
	if (errno == EEXIST && stat(path, &status) == 0) {
		if (S_ISDIR(status.st_mode))
			return 0;
		errno = ENOTDIR;
	}
	return fail(err, "make the folder", path);
}

int folder_make(const char *dir, struct gen_error *err)
{
	char *path = strdup(dir), *end = path;
	int status = 0;

	if (!path)
		return fail(err, "make the folder", dir);
	while (*end && status == 0) {
		char after;

		end += strspn(end, "/");
		end += strcspn(end, "/");
		after = *end;
		*end = '\0';
		status = make_one(path, err);
		*end = after;
	}
	free(path);
	return status;
}

int folder_make_above(const char *file, struct gen_error *err)
{
	const char *slash = strrchr(file, '/');
	char *dir = strndup(file, slash ? (size_t)(slash - file) : 0);
	int status = dir ? folder_make(dir, err) : fail(err, "make the folder of", file);

	free(dir);
	return status;
}

/* Is there a file with exactly this text? */
static int has_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "rb");
	char bytes[8192];
	size_t n;

	if (!file)
		return 0;
	while ((n = fread(bytes, 1, sizeof bytes, file)) > 0) {
		if (strnlen(text, n) != n || memcmp(text, bytes, n) != 0)
			break;
		text += n;
	}
	n += ferror(file) != 0;
	fclose(file);
	return n == 0 && *text == '\0';
}

static int write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "wb");
	int failed;

	if (!file)
		return -1;
	failed = fputs(text, file) == EOF;
	failed |= fclose(file) != 0;
	return failed ? -1 : 0;
}

static int write_file(const char *dir, const struct folder_file *file, struct folder_counts *counts,
		      struct gen_error *err)
{
	char *path = NULL, *fresh = NULL;
	int status = 0;

	if (asprintf(&path, "%s/%s", dir, file->name) < 0) {
		path = NULL;
		status = fail(err, "write", file->name);
	} else if (has_text(path, file->text)) {
		counts->n_unchanged++;
	} else if (asprintf(&fresh, "%s/.%s.%ld", dir, file->name, (long)getpid()) < 0) {
		fresh = NULL;
		status = fail(err, "write", path);
	} else if (write_text(fresh, file->text) < 0 || rename(fresh, path) < 0) {
		status = fail(err, "write", path);
		unlink(fresh);
	} else {
		counts->n_written++;
	}
	free(fresh);
	free(path);
	return status;
}

static int compare_names(const void *a, const void *b)
{
	const struct folder_file *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int check_names(const struct folder_file *files, size_t n, struct gen_error *err)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";

	for (size_t i = 0; i < n; i++) {
		const char *name = files[i].name;

		if (!*name || *name == '.' || name[strspn(name, allowed)]) {
			snprintf(err->text, sizeof err->text, "'%s' is no name for a file", name);
			return -1;
		}
		if (i && strcmp(files[i - 1].name, name) == 0) {
			snprintf(err->text, sizeof err->text, "file %s is made twice", name);
			return -1;
		}
	}
	return 0;
}

static int is_stale(const char *name, const struct folder_file *files, size_t n,
		    const char *const *owned)
{
	struct folder_file key = {name, NULL};

	for (; *owned; owned++) {
		if (fnmatch(*owned, name, 0) == 0)
			return !bsearch(&key, files, n, sizeof *files, compare_names);
	}
	return 0;
}

/* Was this being written for one of the files by a process that was killed? */
static int is_left_over(const char *name, const struct folder_file *files, size_t n)
{
	const char *dot = strrchr(name, '.');
	size_t length = dot && dot > name ? (size_t)(dot - name) - 1 : 0;
	long pid;
	char *end;

	if (*name != '.' || !length || dot[1] < '1' || dot[1] > '9')
		return 0;
	pid = strtol(dot + 1, &end, 10);
	if (*end || pid > INT_MAX || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (strncmp(files[i].name, name + 1, length) == 0 && !files[i].name[length])
			return 1;
	}
	return 0;
}

static int remove_stale(const char *dir, const struct folder_file *files, size_t n,
			const char *const *owned, struct folder_counts *counts,
			struct gen_error *err)
{
	DIR *folder = opendir(dir);
	struct dirent *entry;
	int status = 0;

	if (!folder)
		return fail(err, "read folder", dir);
	while (status == 0 && (entry = readdir(folder))) {
		if (!is_stale(entry->d_name, files, n, owned) &&
		    !is_left_over(entry->d_name, files, n))
			continue;
		if (unlinkat(dirfd(folder), entry->d_name, 0) < 0)
			status = fail(err, "remove", entry->d_name);
		else
			counts->n_removed++;
	}
	closedir(folder);
	return status;
}

int folder_write(const char *dir, struct folder_file *files, size_t n, const char *const *owned,
		 struct folder_counts *counts, struct gen_error *err)
{
	qsort(files, n, sizeof *files, compare_names);
	if (check_names(files, n, err) < 0 || folder_make(dir, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (write_file(dir, &files[i], counts, err) < 0)
			return -1;
	}
	return remove_stale(dir, files, n, owned, counts, err);
}
