/*
 * sysfs.h: small files of /sys and /proc, which may be missing, hidden, or hold anything.
 */
#ifndef TUNER_SYSFS_H
#define TUNER_SYSFS_H

#include <stddef.h>
#include <stdint.h>

#define SYSFS_ABSENT INT64_MIN
#define SYSFS_NAME 48
#define SYSFS_PATH 512

/* What stands before /sys and /proc: QUERN_SYSFS_ROOT, or nothing. */
const char *sysfs_root(void);

/*
 * Reads the first line of a file into text, without blanks at its ends; bytes that are not printable
 * and those that lists and lines of the protocol are written with ("%:, =") become '_'.  Returns the
 * length, 0 for what cannot be read.
 */
size_t sysfs_text(char *text, size_t n_bytes, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A whole number in min .. max that is all of a file, or SYSFS_ABSENT. */
int64_t sysfs_number(int64_t min, int64_t max, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Is there such a file, readable or not? */
int sysfs_exists(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Names in a folder that begin with prefix, sorted; the first max that are shorter than SYSFS_NAME. */
int sysfs_list(char names[][SYSFS_NAME], int max, const char *root, const char *folder,
	       const char *prefix);

#endif
