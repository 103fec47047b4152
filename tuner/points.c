/* points.c: tables of points, their hash, and neighbours. */
#include "points.h"

#include <limits.h>

#include "fail.h"
#include "hash.h"

void points_open(struct points *points)
{
	memset(points, 0, sizeof(*points));
}

void points_free(struct points *points)
{
	for (int p = 0; p < points->n_parameters; p++) {
		for (int v = 0; v < points->parameters[p].n_values; v++)
			free(points->parameters[p].words[v]);
		free(points->parameters[p].words);
	}
	free(points->parameters);
	free(points->values);
	free(points->is_lossy);
	free(points->strata);
	free(points->is_drawn);
	free(points->buckets);
	memset(points, 0, sizeof(*points));
}

/* ---- adding ---- */

/* The number of a word among the values; the first is what a point has that lacks the parameter. */
static short find_word(struct points_parameter *parameter, const char *word)
{
	for (int v = 0; v < parameter->n_values; v++) {
		if (!strcmp(parameter->words[v], word))
			return (short)v;
	}
	parameter->words = fail_grow(parameter->words, (size_t)parameter->n_values, sizeof(char *));
	parameter->words[parameter->n_values] = fail_text("%s", word);
	return (short)parameter->n_values++;
}

/* A parameter that comes later gives all earlier points the value "-". */
static int find_parameter(struct points *points, const char *name, size_t n, int is_ordered)
{
	const int n_before = points->n_parameters;
	struct points_parameter *one;
	short *values;

	for (int p = 0; p < n_before; p++) {
		if (strlen(points->parameters[p].name) == n &&
		    !strncmp(points->parameters[p].name, name, n))
			return p;
	}
	points->parameters = fail_grow(points->parameters, (size_t)n_before, sizeof(*one));
	one = &points->parameters[points->n_parameters++];
	memset(one, 0, sizeof(*one));
	snprintf(one->name, sizeof(one->name), "%.*s", (int)n, name);
	one->is_ordered = is_ordered;
	find_word(one, "-");
	values = fail_alloc((size_t)(points->n * points->n_parameters), sizeof(*values));
	for (long i = 0; i < points->n; i++)
		memcpy(values + i * points->n_parameters, points->values + i * n_before,
		       (size_t)n_before * sizeof(*values));
	free(points->values);
	points->values = values;
	return n_before;
}

#define MAX_COLUMNS 64

/* The head's words and the table's columns: where each goes; returns how many columns, or -1. */
static int read_columns(struct points *points, const char *head, const char *line, int *columns,
			short *fixed)
{
	int n = 0;

	for (int p = 0; p < points->n_parameters; p++)
		fixed[p] = 0;
	while (*(head += strspn(head, " "))) {
		const size_t n_name = strcspn(head, "= "), n_word = strcspn(head, " ");
		char word[64];
		int p;

		if (head[n_name] != '=' || points->n_parameters >= MAX_COLUMNS)
			return -1;
		snprintf(word, sizeof(word), "%.*s", (int)(n_word - n_name - 1), head + n_name + 1);
		p = find_parameter(points, head, n_name, 0);
		fixed[p] = find_word(&points->parameters[p], word);
		head += n_word;
	}
	while (*line && *line != '\n') {
		const size_t n_word = strcspn(line, " \n");
		const int is_ordered = n_word && line[n_word - 1] == '+';

		if (!n_word || n >= MAX_COLUMNS || points->n_parameters >= MAX_COLUMNS)
			return -1;
		columns[n] = find_parameter(points, line, n_word - (size_t)is_ordered, is_ordered);
		fixed[columns[n++]] = 0;
		line += n_word + (line[n_word] == ' ');
	}
	return n;
}

static void add_row(struct points *points, const short *row, int is_lossy, short stratum)
{
	const size_t n = (size_t)points->n_parameters;

	memcpy(points->values + points->n * (long)n, row, n * sizeof(*row));
	points->is_lossy[points->n] = (unsigned char)is_lossy;
	points->strata[points->n++] = stratum;
}

static long count_lines(const char *text)
{
	long n = 0;

	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

int points_add(struct points *points, const char *head, const char *table, long n_drawn)
{
	const long n_lines = count_lines(table);
	int columns[MAX_COLUMNS], n_columns;
	short fixed[MAX_COLUMNS] = {0}, row[MAX_COLUMNS];
	size_t n_rows;

	n_columns = n_lines ? read_columns(points, head, table, columns, fixed) : -1;
	if (n_columns < 0)
		return -1;
	n_rows = (size_t)(points->n + n_lines - 1);
	points->values =
		fail_check(realloc(points->values, (n_rows + 1) * (size_t)points->n_parameters *
							   sizeof(*points->values)));
	points->is_lossy = fail_check(realloc(points->is_lossy, n_rows + 1));
	points->strata =
		fail_check(realloc(points->strata, (n_rows + 1) * sizeof(*points->strata)));
	points->is_drawn = fail_check(realloc(points->is_drawn, n_rows + 1));
	for (long i = 1; i < n_lines; i++) {
		int is_lossy;

		table = strchr(table, '\n') + 1;
		is_lossy = !strncmp(table, "lossy ", 6);
		if (!is_lossy && strncmp(table, "exact ", 6))
			return -1;
		memcpy(row, fixed, sizeof(row));
		table += 5;
		for (int c = 0; c < n_columns; c++) {
			char word[64];
			const size_t n = *table == ' ' ? strcspn(table + 1, " \n") : 0;

			if (!n)
				return -1;
			snprintf(word, sizeof(word), "%.*s", (int)n, table + 1);
			row[columns[c]] = find_word(&points->parameters[columns[c]], word);
			table += 1 + n;
		}
		points->is_drawn[points->n] = i <= n_drawn;
		add_row(points, row, is_lossy, (short)points->n_strata);
	}
	points->n_strata++;
	return 0;
}

/* ---- finishing ---- */

static int by_number(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	const long i = *x == '-' ? LONG_MIN : atol(x), j = *y == '-' ? LONG_MIN : atol(y);

	return i != j ? (i > j) - (i < j) : strcmp(x, y);
}

/* Puts the words of an ordered parameter in order and renumbers what points have. */
static void sort_values(struct points *points, int p)
{
	struct points_parameter *one = &points->parameters[p];
	char **before = fail_alloc((size_t)one->n_values, sizeof(*before));
	short *now = fail_alloc((size_t)one->n_values, sizeof(*now));

	memcpy(before, one->words, (size_t)one->n_values * sizeof(*before));
	qsort(one->words, (size_t)one->n_values, sizeof(*one->words), by_number);
	for (int v = 0; v < one->n_values; v++) {
		while (one->words[now[v]] != before[v])
			now[v]++;
	}
	for (long i = 0; i < points->n; i++) {
		short *value = &points->values[i * points->n_parameters + p];

		*value = now[*value];
	}
	free(before);
	free(now);
}

static uint64_t hash_row(const struct points *points, const short *row)
{
	return hash_add(HASH_START, row, (size_t)points->n_parameters * sizeof(*row));
}

/* The bucket of a row: its own, or the free one where it would stand. */
static long find_bucket(const struct points *points, const short *row)
{
	const size_t n_bytes = (size_t)points->n_parameters * sizeof(*row);
	long b = (long)(hash_row(points, row) % (uint64_t)points->n_buckets);

	while (points->buckets[b] >= 0 &&
	       memcmp(points_row(points, points->buckets[b]), row, n_bytes))
		b = (b + 1) % points->n_buckets;
	return b;
}

void points_finish(struct points *points)
{
	for (int p = 0; p < points->n_parameters; p++) {
		if (points->parameters[p].is_ordered)
			sort_values(points, p);
	}
	points->n_buckets = 2 * points->n + 1;
	points->buckets = fail_alloc((size_t)points->n_buckets, sizeof(*points->buckets));
	memset(points->buckets, 0xff, (size_t)points->n_buckets * sizeof(*points->buckets));
	for (long i = 0; i < points->n; i++) {
		const long b = find_bucket(points, points_row(points, i));

		if (points->buckets[b] < 0)
			points->buckets[b] = i;
	}
}

/* ---- asking ---- */

long points_find(const struct points *points, const short *row)
{
	return points->buckets[find_bucket(points, row)];
}

long points_neighbours(const struct points *points, long i, long *list, long max)
{
	const int n_parameters = points->n_parameters;
	short row[MAX_COLUMNS];
	long n = 0;

	memcpy(row, points_row(points, i), (size_t)n_parameters * sizeof(*row));
	for (int p = 0; p < n_parameters; p++) {
		const struct points_parameter *one = &points->parameters[p];
		const short mine = row[p];

		for (int step = -1; step <= 1; step += 2) {
			for (int v = mine + step; v >= 0 && v < one->n_values && n < max;
			     v += step) {
				long found;

				row[p] = (short)v;
				found = points_find(points, row);
				if (found >= 0)
					list[n++] = found;
				if (found >= 0 && one->is_ordered)
					break;
			}
		}
		row[p] = mine;
	}
	return n;
}

int points_distance(const struct points *points, long a, long b)
{
	const short *x = points_row(points, a), *y = points_row(points, b);
	int n = 0;

	for (int p = 0; p < points->n_parameters; p++)
		n += x[p] != y[p];
	return n;
}
