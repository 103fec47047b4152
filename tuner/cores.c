/* cores.c: classes of cores by number, name and kind. */
#include <ctype.h>
#include <limits.h>

#include "cores.h"
#include "device.h"
#include "fail.h"

#define ALIKE 0.85 /* of the frequency, and of one kind */

/* "0-3,7" -> 5; -1: this is no such list. */
static long count_cpus(const char *list)
{
	long n = 0;

	do {
		char *end;
		long first, last;

		if (!isdigit((unsigned char)*list))
			return -1;
		first = last = strtol(list, &end, 10);
		if (*end == '-') {
			if (!isdigit((unsigned char)end[1]))
				return -1;
			last = strtol(end + 1, &end, 10);
		}
		if (last < first || last >= 1 << 16 || (*end && *end != ','))
			return -1;
		n += last - first + 1;
		list = *end ? end + 1 : end;
		if (*end && !*list)
			return -1;
	} while (*list);
	return n;
}

/* Value of NAMEi in an answer. */
static int value(const char *hello, const char *name, int i, char *text, size_t n_bytes)
{
	char key[32];

	snprintf(key, sizeof(key), "%s%d", name, i);
	return device_value(hello, key, text, n_bytes);
}

/* 1: read; 0: there is no such class; -1: what is said of it is wrong. */
static int read_class(struct cores_class *one, const char *hello, int i)
{
	char text[256], *end;
	unsigned long kind;
	long long cores;

	memset(one, 0, sizeof(*one));
	one->index = i;
	if (value(hello, "core", i, text, sizeof(text)) < 0)
		return 0;
	kind = strtoul(text, &end, 16);
	if (strncmp(text, "0x", 2) || *end || kind > INT_MAX)
		return -1;
	one->kind = (unsigned)kind;
	if (value(hello, "name", i, one->name, sizeof(one->name)) < 0 || !*one->name)
		return -1;
	for (char *p = one->name; *p; p++) {
		if (!isgraph((unsigned char)*p) || *p == ',')
			*p = '-';
	}
	if (value(hello, "max_khz", i, text, sizeof(text)) < 0)
		return -1;
	one->max_khz = strtol(text, NULL, 10);
	if (value(hello, "cpus", i, text, sizeof(text)) < 0)
		return -1;
	one->n_cpus = count_cpus(text);
	/* A list that does not fit is "-": so many there are at most. */
	if (!strcmp(text, "-") && device_value_long(hello, "cores", &cores) == 0 && cores > 0)
		one->n_cpus = (long)cores;
	return one->n_cpus < 1 ? -1 : 1;
}

int cores_read(struct cores *cores, const char *hello, struct gen_error *err)
{
	cores->n = 0;
	while (cores->n < CORES_MOST) {
		int status = read_class(&cores->list[cores->n], hello, cores->n);

		if (status < 0)
			return fail_set(err,
					"what the probe says of cores of class %d makes no sense",
					cores->n);
		if (!status)
			break;
		cores->n++;
	}
	return 0;
}

char *cores_speed(const struct cores_class *one, char *text, size_t n_bytes)
{
	*text = 0;
	if (one->max_khz > 0)
		snprintf(text, n_bytes, " at %ld MHz", one->max_khz / 1000);
	return text;
}

int cores_differ(const struct cores *cores)
{
	const struct cores_class *first = &cores->list[0];

	for (int i = 1; i < cores->n; i++) {
		const struct cores_class *one = &cores->list[i];

		if (!one->kind || one->kind != first->kind || one->max_khz <= 0 ||
		    (double)one->max_khz < ALIKE * (double)first->max_khz ||
		    (double)first->max_khz < ALIKE * (double)one->max_khz)
			return 1;
	}
	return 0;
}

const struct cores_class *cores_find(const struct cores *cores, const struct cores_class *like)
{
	for (int i = 0; i < cores->n; i++) {
		const struct cores_class *one = &cores->list[i];

		if (one->kind == like->kind && one->max_khz == like->max_khz &&
		    one->n_cpus == like->n_cpus && !strcmp(one->name, like->name))
			return one;
	}
	return NULL;
}

static int complain(const struct cores *cores, const char *from, const char *word,
		    struct gen_error *err)
{
	char list[CORES_MOST * 66] = "";
	size_t at = 0;

	for (int i = 0; i < cores->n; i++)
		at += (size_t)snprintf(list + at, sizeof(list) - at, ", %s", cores->list[i].name);
	return fail_set(err, "%s: the device has no cores '%.60s': must be all, fastest%s%s", from,
			word, at ? " or one of " : "; it does not tell its kinds of cores",
			at ? list + 2 : "");
}

int cores_choose(struct cores *cores, const struct config_names *names, const char *from,
		 struct gen_error *err)
{
	int is_wanted[CORES_MOST] = {0}, n = 0;

	for (size_t i = 0; i < names->n; i++) {
		const char *word = names->list[i];
		int is_all = !strcmp(word, "all"), is_first = !strcmp(word, "fastest");
		int is_found = is_all || is_first;

		for (int j = 0; j < cores->n; j++) {
			int is_meant =
				is_all || (is_first && !j) || !strcmp(cores->list[j].name, word);

			is_wanted[j] |= is_meant;
			is_found |= is_meant;
		}
		if (!is_found)
			return complain(cores, from, word, err);
	}
	for (int j = 0; j < cores->n; j++) {
		if (!names->n || is_wanted[j])
			cores->list[n++] = cores->list[j];
	}
	cores->n = n;
	return 0;
}
