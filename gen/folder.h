/* folder.h: folders, and a set of generated files in one. */
#ifndef GEN_FOLDER_H
#define GEN_FOLDER_H

#include <stddef.h>

#include "gen.h"

struct folder_file {
	const char *name; /* letters, digits, '_', '-' and inner dots */
	const char *text;
};

struct folder_counts {
	size_t n_written, n_unchanged, n_removed;
};

/* Make a folder, or the one that a file is in, when it is absent, its parents too.  0 or -1. */
int folder_make(const char *dir, struct gen_error *err);
int folder_make_above(const char *file, struct gen_error *err);

/*
 * Makes the folder and brings the files into it, in the order of their names, which sorts files[].
 * A file that has the right text already is not touched, any other is written beside it and
 * renamed.  Then files that are not listed but match one of the patterns (as of fnmatch,
 * NULL-terminated) are removed, and what a killed process had begun.  Returns 0, or -1 with a
 * sentence.
 */
int folder_write(const char *dir, struct folder_file *files, size_t n, const char *const *owned,
		 struct folder_counts *counts, struct gen_error *err);

#endif
