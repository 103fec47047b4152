/* sysfs.c: reads once, believes only what fits. */
#include "sysfs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *sysfs_root(void)
{
	const char *root = getenv("QUERN_SYSFS_ROOT");

	return root ? root : "";
}

/* The path of a format; 0 where it does not fit. */
static int make_path(char *path, const char *format, va_list args)
{
	int length = vsnprintf(path, SYSFS_PATH, format, args);

	return length >= 0 && length < SYSFS_PATH;
}

/* At most n_bytes; how many came, or -1.  Never waits, whatever lies there. */
static ssize_t read_bytes(const char *path, char *bytes, size_t n_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd >= 0 ? read(fd, bytes, n_bytes) : -1;

	if (fd >= 0)
		close(fd);
	return n;
}

size_t sysfs_text(char *text, size_t n_bytes, const char *format, ...)
{
	char path[SYSFS_PATH], line[256];
	ssize_t got = -1;
	size_t n = 0;
	char *from = line;
	va_list args;

	va_start(args, format);
	if (make_path(path, format, args))
		got = read_bytes(path, line, sizeof(line) - 1);
	va_end(args);
	line[got > 0 ? got : 0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	from += strspn(line, " \t\r");
	for (; *from && n + 1 < n_bytes; from++)
		text[n++] = isgraph((unsigned char)*from) && !strchr("%:,=", *from) ? *from : '_';
	while (n > 0 && text[n - 1] == '_')
		n--;
	text[n] = '\0';
	return n;
}

int64_t sysfs_number(int64_t min, int64_t max, const char *format, ...)
{
	char path[SYSFS_PATH], text[64], *end = text;
	ssize_t got = -1;
	long long value;
	va_list args;

	va_start(args, format);
	if (make_path(path, format, args))
		got = read_bytes(path, text, sizeof(text) - 1);
	va_end(args);
	if (got <= 0)
		return SYSFS_ABSENT;
	text[got] = '\0';
	if (!isdigit((unsigned char)*text) && *text != '-')
		return SYSFS_ABSENT;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno || end == text || end + strspn(end, " \t\r\n") != text + got || value < min ||
	    value > max)
		return SYSFS_ABSENT;
	return value;
}

int sysfs_exists(const char *format, ...)
{
	char path[SYSFS_PATH];
	va_list args;
	int fits;

	va_start(args, format);
	fits = make_path(path, format, args);
	va_end(args);
	return fits && access(path, F_OK) == 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

int sysfs_list(char names[][SYSFS_NAME], int max, const char *root, const char *folder,
	       const char *prefix)
{
	char path[SYSFS_PATH];
	struct dirent *entry;
	DIR *dir;
	int n = 0;

	if (snprintf(path, sizeof(path), "%s/%s", root, folder) >= (int)sizeof(path))
		return 0;
	dir = opendir(path);
	while (dir && n < max && (entry = readdir(dir))) {
		if (*entry->d_name == '.' || strncmp(entry->d_name, prefix, strlen(prefix)) != 0 ||
		    strlen(entry->d_name) >= SYSFS_NAME)
			continue;
		strcpy(names[n++], entry->d_name);
	}
	if (dir)
		closedir(dir);
	qsort(names, (size_t)n, SYSFS_NAME, compare_names);
	return n;
}
