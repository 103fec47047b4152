/* replay_space.c: reading spaces, the truth in them, and noise. */
#include "replay_space.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tuner/fail.h"
#include "tuner/hash.h"
#include "tuner/race.h"
#include "tuner/stats.h"

#define MAX_LINE 65536
#define WINDOW 25 /* samples before and after one that tell how fast the machine was then */

const char *const replay_noises[REPLAY_N_NOISES] = {"recorded", "shared", "phone"};

struct reader {
	FILE *file;
	const char *path;
	int line;
	char text[MAX_LINE];
	struct gen_error *err;
};

/* A file, or what gzip makes of it; *gzip: its process, or 0. */
static FILE *open_text(const char *path, pid_t *gzip)
{
	const size_t n = strlen(path);
	int ends[2];

	*gzip = 0;
	if (n < 3 || strcmp(path + n - 3, ".gz"))
		return fopen(path, "r");
	if (access(path, R_OK) < 0 || pipe(ends) < 0)
		return NULL;
	*gzip = fork();
	if (!*gzip) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		execlp("gzip", "gzip", "-dc", "--", path, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	return fdopen(ends[0], "r");
}

static int complain(const struct reader *in, const char *what)
{
	return fail_set(in->err, "%s:%d: %s", in->path, in->line, what);
}

/* 1: a line without its end; 0: there is none. */
static int next_line(struct reader *in)
{
	in->line++;
	if (!fgets(in->text, sizeof(in->text), in->file))
		return 0;
	in->text[strcspn(in->text, "\n")] = 0;
	return 1;
}

/* ---- the truth ---- */

/* Medians by point of values in rows of n_runs. */
static void take_medians(const double *values, long n, int n_runs, double *medians)
{
	double *row = fail_alloc((size_t)n_runs, sizeof(*row));

	for (long i = 0; i < n; i++) {
		memcpy(row, values + i * n_runs, (size_t)n_runs * sizeof(*row));
		medians[i] = stats_median(row, (size_t)n_runs);
	}
	free(row);
}

/*
 * Medians of a pass with the machine's drift taken out: how much slower than their points' medians the
 * samples just before and after were.  order: slots of a round in time; slots: each one's point or -1.
 */
static void take_truth(const double *runs, long n, int n_runs, const uint64_t seed, int first_round,
		       const long *slots, size_t n_slots, double *truth)
{
	double *clean = fail_alloc((size_t)(n * n_runs), sizeof(*clean));
	double *logs = fail_alloc((size_t)n, sizeof(*logs));
	size_t *order = fail_alloc(n_slots, sizeof(*order));
	long *in_time = fail_alloc((size_t)n, sizeof(*in_time));

	for (long i = 0; i < n * n_runs; i++)
		clean[i] = log(runs[i]);
	take_medians(clean, n, n_runs, logs);
	for (int round = 0; round < n_runs; round++) {
		long n_in = 0;

		race_order(order, n_slots, seed + (uint64_t)(first_round + round));
		for (size_t i = 0; i < n_slots; i++) {
			if (slots[order[i]] >= 0)
				in_time[n_in++] = slots[order[i]];
		}
		for (long i = 0; i < n_in; i++) {
			double around[2 * WINDOW + 1];
			size_t n_around = 0;

			for (long j = i - WINDOW; j <= i + WINDOW; j++) {
				if (j >= 0 && j < n_in)
					around[n_around++] =
						log(runs[in_time[j] * n_runs + round]) -
						logs[in_time[j]];
			}
			clean[in_time[i] * n_runs + round] =
				log(runs[in_time[i] * n_runs + round]) -
				stats_median(around, n_around);
		}
	}
	take_medians(clean, n, n_runs, logs);
	for (long i = 0; i < n; i++)
		truth[i] = exp(logs[i]);
	free(in_time);
	free(order);
	free(logs);
	free(clean);
}

static void finish(struct replay_space *space)
{
	space->best_point = 0;
	space->exhaustive = 0;
	for (long i = 0; i < space->points.n; i++) {
		space->exhaustive += 7 * space->truth[i];
		if (space->truth[i] < space->truth[space->best_point])
			space->best_point = i;
	}
	space->best = space->truth[space->best_point];
}

/* ---- our own files ---- */

struct head {
	int n_passes, n_rounds, n_parameters;
	unsigned long long seed;
	size_t n_slots;
	long n;
	char parameters[4096]; /* "RV+ UNPACK" */
};

static int read_head(struct reader *in, struct replay_space *space, struct head *head)
{
	char name[64], order;

	while (next_line(in)) {
		const char *text = in->text;

		if (sscanf(text, "passes %d rounds %d seed %llu slots %zu calls %ld",
			   &head->n_passes, &head->n_rounds, &head->seed, &head->n_slots,
			   &space->calls) == 5)
			continue;
		if (sscanf(text, "parameter %63s %c", name, &order) == 2) {
			const size_t at = strlen(head->parameters);

			snprintf(head->parameters + at, sizeof(head->parameters) - at, "%s%s%s",
				 at ? " " : "", name, order == '+' ? "+" : "");
			head->n_parameters++;
		} else if (sscanf(text, "default %ld", &space->base) == 1) {
			continue;
		} else if (sscanf(text, "points %ld", &head->n) == 1) {
			if (head->n_passes != 2 || head->n_rounds < 1 || space->calls < 1 ||
			    head->n_rounds > 1000 || head->n < 1 || head->n > 1000000 ||
			    head->n_slots < (size_t)head->n || head->n_slots > 1000000 ||
			    space->base >= head->n || !head->n_parameters)
				return complain(in, "the head of the space is not whole");
			return 0;
		} else if (!strncmp(text, "case ", 5) || !strncmp(text, "device ", 7)) {
			const size_t at = strlen(space->heads);

			snprintf(space->heads + at, sizeof(space->heads) - at, "%s%s",
				 at ? "; " : "", strchr(text, ' ') + 1);
		} else if (*text != '#' && strncmp(text, "templates ", 10)) {
			return complain(in, "no line of a space's head");
		}
	}
	return complain(in, "'points' is missing");
}

/* "dot 4 ... : SLOT exact NS..." -> a line of a table; the samples go to both passes. */
static int read_point(struct reader *in, struct head *head, long i, FILE *table, double *first,
		      double *second, long *slots)
{
	char *mark = strstr(in->text, " : "), *at, kind[8];
	int n_read;
	long slot;

	if (!mark || sscanf(mark + 3, "%ld %7s%n", &slot, kind, &n_read) != 2 || slot < 0 ||
	    (size_t)slot >= head->n_slots)
		return complain(in, "no point: VALUE... : SLOT KIND NS...");
	*mark = 0;
	fprintf(table, "%s %s\n", kind, in->text);
	slots[slot] = i;
	at = mark + 3 + n_read;
	for (int r = 0; r < 2 * head->n_rounds; r++) {
		char *end;
		const double ns = strtod(at, &end);

		if (end == at || !(ns > 0))
			return complain(in, "a point has too few samples");
		(r < head->n_rounds ? first : second)[i * head->n_rounds + r % head->n_rounds] = ns;
		at = end;
	}
	return 0;
}

static int read_own(struct reader *in, struct replay_space *space)
{
	struct head head = {0};
	double *second = NULL;
	long *slots = NULL;
	char *text = NULL;
	size_t n_text;
	FILE *table;
	int status;

	space->base = -1;
	if (read_head(in, space, &head) < 0)
		return -1;
	space->n_runs = head.n_rounds;
	space->runs = fail_alloc((size_t)(head.n * head.n_rounds), sizeof(double));
	second = fail_alloc((size_t)(head.n * head.n_rounds), sizeof(double));
	slots = fail_alloc(head.n_slots, sizeof(*slots));
	memset(slots, 0xff, head.n_slots * sizeof(*slots));
	table = fail_check(open_memstream(&text, &n_text));
	fprintf(table, "%s\n", head.parameters);
	status = 0;
	for (long i = 0; i < head.n && !status; i++)
		status = next_line(in) ? read_point(in, &head, i, table, space->runs, second, slots)
				       : complain(in, "points are missing");
	fclose(table);
	if (!status && points_add(&space->points, "", text, head.n) < 0)
		status = complain(in, "the points are no table");
	if (!status) {
		points_finish(&space->points);
		space->seen = fail_alloc((size_t)head.n, sizeof(double));
		space->truth = fail_alloc((size_t)head.n, sizeof(double));
		take_truth(space->runs, head.n, head.n_rounds, head.seed, 0, slots, head.n_slots,
			   space->seen);
		take_truth(second, head.n, head.n_rounds, head.seed, head.n_rounds, slots,
			   head.n_slots, space->truth);
	}
	free(text);
	free(slots);
	free(second);
	return status;
}

/* ---- public files ---- */

/* "points parameters runs", then lines of indices, compile time, a warm-up and runs, in ms. */
static int read_public(struct reader *in, struct replay_space *space)
{
	long n;
	int n_parameters, n_runs, status = 0;
	double *second;
	char *text = NULL;
	size_t n_text;
	FILE *table;

	if (sscanf(in->text, "%ld %d %d", &n, &n_parameters, &n_runs) != 3 || n < 1 ||
	    n > 1000000 || n_parameters < 1 || n_parameters > 32 || n_runs < 3 || n_runs > 1000)
		return complain(in, "no space: 'points parameters runs' is missing");
	space->base = -1;
	space->calls = 1;
	space->n_runs = (n_runs - 1) / 2;
	space->runs = fail_alloc((size_t)(n * space->n_runs), sizeof(double));
	second = fail_alloc((size_t)(n * space->n_runs), sizeof(double));
	table = fail_check(open_memstream(&text, &n_text));
	for (int p = 0; p < n_parameters; p++)
		fprintf(table, "%sP%d+", p ? " " : "", p);
	for (long i = 0; i < n && !status; i++) {
		char *at = in->text;

		if (!next_line(in)) {
			status = complain(in, "points are missing");
			break;
		}
		fprintf(table, "\nexact");
		for (int p = 0; p < n_parameters; p++)
			fprintf(table, " %ld", strtol(at, &at, 10));
		strtod(at, &at); /* compiling */
		strtod(at, &at); /* the first run */
		for (int r = 0; r < 2 * space->n_runs; r++) {
			const double ns = 1e6 * strtod(at, &at);

			if (!(ns > 0))
				status = complain(in, "a run is no time");
			(r % 2 ? second : space->runs)[i * space->n_runs + r / 2] = ns;
		}
	}
	fputc('\n', table);
	fclose(table);
	if (!status && points_add(&space->points, "", text, n) < 0)
		status = complain(in, "the points are no table");
	if (!status) {
		points_finish(&space->points);
		space->seen = fail_alloc((size_t)n, sizeof(double));
		space->truth = fail_alloc((size_t)n, sizeof(double));
		take_medians(space->runs, n, space->n_runs, space->seen);
		take_medians(second, n, space->n_runs, space->truth);
	}
	free(text);
	free(second);
	return status;
}

int replay_space_read(struct replay_space *space, const char *path, struct gen_error *err)
{
	struct reader *in = fail_alloc(1, sizeof(*in));
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	pid_t gzip;
	int status;

	memset(space, 0, sizeof(*space));
	points_open(&space->points);
	snprintf(space->name, sizeof(space->name), "%.*s", (int)strcspn(name, "."), name);
	in->path = path;
	in->err = err;
	in->file = open_text(path, &gzip);
	if (!in->file) {
		free(in);
		return fail_set(err, "cannot read %s", path);
	}
	if (!next_line(in))
		status = complain(in, "the file is empty");
	else
		status = *in->text == '#' ? read_own(in, space) : read_public(in, space);
	fclose(in->file);
	if (gzip > 0)
		waitpid(gzip, NULL, 0);
	free(in);
	if (status < 0)
		replay_space_free(space);
	else
		finish(space);
	return status;
}

void replay_space_free(struct replay_space *space)
{
	points_free(&space->points);
	free(space->runs);
	free(space->seen);
	free(space->truth);
	memset(space, 0, sizeof(*space));
}

/* ---- devices ---- */

struct model {
	double sigma, toggle, slow, spikes;
};

/* ../shared/reference/tuning.md, 6.3 */
static const struct model models[REPLAY_N_NOISES] = {
	[REPLAY_SHARED] = {0.02, 0.002, 1.12, 0.08},
	[REPLAY_PHONE] = {0.015, 0.0006, 1.35, 0.05},
};

static double normal(uint64_t *state)
{
	const double r = sqrt(-2 * log(hash_uniform(state)));

	return r * cos(6.283185307179586 * hash_uniform(state));
}

void replay_open(struct replay_device *device, const struct replay_space *space,
		 enum replay_noise noise, uint64_t seed)
{
	memset(device, 0, sizeof(*device));
	device->space = space;
	device->noise = noise;
	device->random = hash_text(HASH_START + seed, space->name);
	device->drift = 0.03 * normal(&device->random);
	device->is_compiled = fail_alloc((size_t)space->points.n, 1);
}

void replay_close(struct replay_device *device)
{
	free(device->is_compiled);
}

void replay_compile(struct replay_device *device, long point)
{
	device->n_compiled += !device->is_compiled[point];
	device->is_compiled[point] = 1;
}

double replay_sample(struct replay_device *device, long point, int is_first)
{
	const struct replay_space *space = device->space;
	const struct model *model = &models[device->noise];
	uint64_t *random = &device->random;
	double ns;

	if (device->noise == REPLAY_RECORDED) {
		ns = space->runs[point * space->n_runs + hash_below(random, space->n_runs)];
	} else {
		device->drift = 0.995 * device->drift + 0.003 * normal(random);
		device->is_slow ^= hash_uniform(random) < model->toggle;
		ns = space->seen[point] * exp(model->sigma * normal(random) + device->drift);
		if (device->is_slow)
			ns *= model->slow;
		if (hash_uniform(random) < model->spikes)
			ns *= 1 - 0.3 * log(hash_uniform(random));
	}
	/* Costs are of the truth, so that slow phases cost nobody more. */
	device->spent += space->truth[point] / (double)(is_first ? space->calls : 1);
	return ns;
}

double replay_cost(const struct replay_device *device)
{
	return device->spent / device->space->exhaustive;
}

double replay_compiles(const struct replay_device *device)
{
	return (double)device->n_compiled / (double)device->space->points.n;
}
