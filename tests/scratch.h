/*
 * scratch.h: a folder of its own for a test, and files in it.
 */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <dirent.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

/* At most a megabyte, "" for an absent file; the caller frees it. */
static inline char *scratch_read_text(const char *path)
{
	FILE *file = fopen(path, "rb");
	char *text = calloc(1, 1 << 20);

	if (file && text)
		text[fread(text, 1, (1 << 20) - 1, file)] = '\0';
	if (file)
		fclose(file);
	return text;
}

static inline void scratch_write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "wb");

	if (CHECK(file != NULL)) {
		fputs(text, file);
		fclose(file);
	}
}

/* The plain files of a folder. */
static inline void scratch_copy_folder(const char *from, const char *to)
{
	DIR *folder = opendir(from);
	struct dirent *entry;

	mkdir(to, 0777);
	while (CHECK(folder != NULL) && (entry = readdir(folder))) {
		char source[1024], target[1024];
		char *text;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(source, sizeof source, "%s/%s", from, entry->d_name);
		snprintf(target, sizeof target, "%s/%s", to, entry->d_name);
		text = scratch_read_text(source);
		scratch_write_text(target, text);
		free(text);
	}
	if (folder)
		closedir(folder);
}

static inline int scratch_remove_one(const char *path, const struct stat *info, int type,
				     struct FTW *walk)
{
	(void)info, (void)type, (void)walk;
	return remove(path);
}

static inline void scratch_remove_tree(const char *path)
{
	nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Makes the folder and goes there; 0: it could not. */
static inline int scratch_open(char *path)
{
	strcpy(path, "/tmp/quern-test-XXXXXX");
	return mkdtemp(path) && chdir(path) == 0;
}

/*
 * The folder that an environment variable names, or this one, as a whole path; then goes to a folder
 * of its own.  The caller frees it; NULL: it could not.
 */
static inline char *scratch_open_home(char *path, const char *variable)
{
	const char *root = getenv(variable);
	char *home = realpath(root && *root ? root : ".", NULL);

	if (home && scratch_open(path))
		return home;
	free(home);
	return NULL;
}

#endif
