/* mca.c: groups of loops to llvm-mca, its report to figures. */
#include <errno.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "fail.h"
#include "mca.h"
#include "process.h"

#define ITERATIONS 200
#define GROUP 8          /* loops of one process */
#define TIME_OUT_S 300.0 /* for these */
#define MAX_RESOURCES 64
#define MAX_PARALLEL 64
#define BUSY 0.85 /* of the time: this is what a loop waits for */

static const char *const programs[] = {"llvm-mca-19", "llvm-mca-20", "llvm-mca-21", "llvm-mca-18",
				       "llvm-mca"};

/* ---- what it prints ---- */

struct resource {
	char name[40]; /* "N1UnitV0" */
	double cycles; /* of an iteration */
};

struct report {
	double iterations, total, uops, width;
	struct resource resources[MAX_RESOURCES];
	size_t n_resources;
};

static int begins(const char *line, const char *word)
{
	return !strncmp(line, word, strlen(word));
}

static const char *next_line(const char *line)
{
	line += strcspn(line, "\n");
	return line + (*line == '\n');
}

static void read_figure(const char *line, struct report *report)
{
	const struct {
		const char *name;
		double *to;
	} figures[] = {
		{"Iterations:", &report->iterations},
		{"Total Cycles:", &report->total},
		{"Total uOps:", &report->uops},
		{"Dispatch Width:", &report->width},
	};

	for (size_t i = 0; i < sizeof(figures) / sizeof(*figures); i++) {
		if (begins(line, figures[i].name))
			*figures[i].to = strtod(line + strlen(figures[i].name), NULL);
	}
}

/* "[3.0] - V1UnitL01" */
static void read_resource(const char *line, struct report *report)
{
	struct resource *resource = &report->resources[report->n_resources];

	if (report->n_resources < MAX_RESOURCES &&
	    sscanf(line, "[%*[0-9.]] - %39[A-Za-z0-9_]", resource->name) == 1)
		report->n_resources++;
}

/* The line below "Resource pressure per iteration:" and its heads: a number or '-' for each. */
static void read_pressure(const char *line, struct report *report)
{
	for (size_t i = 0; i < report->n_resources; i++) {
		char *end;

		line += strspn(line, " ");
		if (*line == '-') {
			line++;
			continue;
		}
		report->resources[i].cycles = strtod(line, &end);
		if (end == line)
			return;
		line = end;
	}
}

/* What a resource is, by the names of LLVM's models. */
static const char *kind_of(const char *name)
{
	const char *unit = strstr(name, "Unit");

	unit = unit ? unit + 4 : begins(name, "Zn") && name[2] ? name + 3 : name;
	if (strstr(name, "Port")) /* Intel's do several things each */
		return "execution";
	if (begins(unit, "AGU"))
		return "address";
	if (begins(unit, "V") || begins(unit, "FP"))
		return "vector";
	if (begins(unit, "LdSt"))
		return "load and store";
	if (begins(unit, "L"))
		return "load";
	if (begins(unit, "St") || begins(unit, "SA"))
		return "store";
	return begins(unit, "B") ? "branch" : "integer";
}

/* The busiest kind of pipe, with all its pipes that are about as busy; or what else it is. */
static void explain(const struct report *report, double cycles, char *text, size_t n_bytes)
{
	const double dispatch =
		report->width > 0 ? report->uops / report->iterations / report->width / cycles : 0;
	const struct resource *most = NULL;
	size_t n = 0;

	for (size_t i = 0; i < report->n_resources; i++) {
		const struct resource *one = &report->resources[i];

		if (!most || one->cycles > most->cycles)
			most = one;
	}
	for (size_t i = 0; i < report->n_resources; i++) {
		const struct resource *one = &report->resources[i];

		n += !strcmp(kind_of(one->name), kind_of(most->name)) &&
		     one->cycles > 0.95 * most->cycles;
	}
	if (most && most->cycles >= BUSY * cycles && most->cycles / cycles >= dispatch)
		snprintf(text, n_bytes, "%zu %s pipe%s busy %.0f %% of the time", n,
			 kind_of(most->name), n == 1 ? "" : "s", 100 * most->cycles / cycles);
	else if (dispatch >= BUSY)
		snprintf(text, n_bytes, "dispatch of %.0f operations a cycle", report->width);
	else if (most)
		snprintf(text, n_bytes, "waiting for results; %s pipes busy %.0f %% of the time",
			 kind_of(most->name), 100 * most->cycles / cycles);
	else
		snprintf(text, n_bytes, "waiting for results");
}

static int take(const struct report *report, struct mca_item *item)
{
	if (!(report->iterations >= 1 && report->total >= 1 && report->total < 1e15 &&
	      report->iterations < 1e9))
		return 0;
	item->cycles = report->total / report->iterations;
	explain(report, item->cycles, item->bottleneck, sizeof(item->bottleneck));
	return 1;
}

size_t mca_read(const char *output, struct mca_item *items, size_t n)
{
	struct report report = {0};
	size_t n_read = 0;
	int in_report = 0, to_pressure = -1;

	for (const char *line = output; *line && n_read < n; line = next_line(line)) {
		if (begins(line, "Iterations:")) {
			n_read += in_report && take(&report, &items[n_read]);
			memset(&report, 0, sizeof(report));
			in_report = 1;
			to_pressure = -1;
		}
		if (begins(line, "Resource pressure per iteration:"))
			to_pressure = 2;
		else if (to_pressure > 0 && !--to_pressure)
			read_pressure(line, &report);
		else if (*line == '[')
			read_resource(line, &report);
		else
			read_figure(line, &report);
	}
	if (n_read < n)
		n_read += in_report && take(&report, &items[n_read]);
	return n_read;
}

/* ---- running ---- */

struct group {
	size_t first, n;
	pid_t pid;
	double begin;
	int id;
};

struct queue {
	const struct mca *mca;
	const struct model *model;
	struct mca_item *items;
	struct group *waiting;
	size_t n_waiting;
	struct group running[MAX_PARALLEL];
	int n_running, n_started;
	size_t n_done;
};

static void push(struct queue *queue, size_t first, size_t n)
{
	queue->waiting = fail_grow(queue->waiting, queue->n_waiting, sizeof(struct group));
	queue->waiting[queue->n_waiting++] = (struct group){.first = first, .n = n};
}

static char *group_path(const struct queue *queue, const struct group *group, const char *what)
{
	return fail_text("%s/tmp/mca%d.%s", queue->mca->work, group->id, what);
}

static int write_group(const struct queue *queue, const struct group *group, const char *path,
		       struct gen_error *err)
{
	FILE *file = fopen(path, "w");
	int status = file ? 0 : -1;

	for (size_t i = 0; i < group->n && !status; i++) {
		if (fprintf(file, "# LLVM-MCA-BEGIN loop%zu\n%s# LLVM-MCA-END\n", i,
			    queue->items[group->first + i].text) < 0)
			status = -1;
	}
	if (file && fclose(file))
		status = -1;
	return status < 0 ? fail_set(err, "cannot write %s: %s", path, strerror(errno)) : 0;
}

static int start(struct queue *queue, struct gen_error *err)
{
	struct group group = queue->waiting[--queue->n_waiting];
	struct command command = {0};
	char *path, *log;
	int status;

	group.id = queue->n_started++;
	path = group_path(queue, &group, "s");
	log = group_path(queue, &group, "log");
	command_add(&command, "%s", queue->mca->program);
	command_add(&command, "-mcpu=%s", queue->model->cpu);
	if (queue->model->arch == ASSEMBLY_X86_64) {
		command_add(&command, "-mtriple=x86_64-linux-gnu");
	} else {
		command_add(&command, "-mtriple=aarch64-linux-gnu");
		command_add(&command, "-mattr=+dotprod,+fullfp16,+i8mm,+bf16,+sve2");
	}
	command_add(&command, "-iterations=%d", queue->mca->n_passes);
	command_add(&command, "--instruction-info=0");
	command_add(&command, "%s", path);
	status = write_group(queue, &group, path, err);
	if (!status) {
		group.begin = process_now();
		group.pid = command_start(&command, log, NULL, err);
		status = group.pid < 0 ? -1 : 0;
	}
	if (!status)
		queue->running[queue->n_running++] = group;
	command_free(&command);
	free(path);
	free(log);
	return status;
}

/* One loop that llvm-mca does not take spoils its group, so that is halved until it is alone. */
static void finish(struct queue *queue, const struct group *group, int status, int late)
{
	char *path = group_path(queue, group, "s"), *log = group_path(queue, group, "log"), how[80];
	char *output = command_read_text(log);
	const int ended = !late && WIFEXITED(status) && !WEXITSTATUS(status);
	size_t n_read =
		ended && output ? mca_read(output, queue->items + group->first, group->n) : 0;

	if (n_read == group->n) {
		queue->n_done += group->n;
	} else if (group->n > 1) {
		push(queue, group->first, group->n / 2);
		push(queue, group->first + group->n / 2, group->n - group->n / 2);
	} else {
		char *why = command_explain(late    ? "time-out"
					    : ended ? "no cycles in what it prints"
						    : process_describe(status, how, sizeof(how)),
					    log);

		queue->items[group->first].why = fail_text("%s: %s", queue->mca->program, why);
		queue->n_done++;
		free(why);
	}
	unlink(path);
	unlink(log);
	free(output);
	free(path);
	free(log);
}

static int watch(struct queue *queue, struct gen_error *err)
{
	int status;

	for (int i = 0; i < queue->n_running; i++) {
		struct group group = queue->running[i];
		int late = process_now() - group.begin > TIME_OUT_S;

		if (late)
			status = process_kill(group.pid);
		else if (!process_ended(group.pid, &status))
			continue;
		queue->running[i--] = queue->running[--queue->n_running];
		finish(queue, &group, status, late);
	}
	return process_stopping() ? fail_set(err, "stopped by the user") : 0;
}

int mca_run(const struct mca *mca, const struct model *model, struct mca_item *items, size_t n,
	    void (*progress)(void *context, size_t n_done), void *context, struct gen_error *err)
{
	struct queue queue = {.mca = mca, .model = model, .items = items};
	int status = 0;

	for (size_t i = 0; i < n; i++) {
		items[i].cycles = 0;
		*items[i].bottleneck = 0;
		items[i].why = NULL;
	}
	for (size_t i = 0; i < n; i += GROUP)
		push(&queue, i, n - i < GROUP ? n - i : GROUP);
	while (!status && (queue.n_waiting || queue.n_running)) {
		if (queue.n_waiting && queue.n_running < mca->n_parallel) {
			status = start(&queue, err);
		} else {
			struct timespec pause = {0, 3000000};

			nanosleep(&pause, NULL);
		}
		if (!status)
			status = watch(&queue, err);
		if (progress)
			progress(context, queue.n_done);
	}
	for (int i = 0; i < queue.n_running; i++)
		process_kill(queue.running[i].pid);
	free(queue.waiting);
	for (size_t i = 0; i < n && status; i++) {
		free(items[i].why);
		items[i].why = NULL;
	}
	return status;
}

/* ---- opening ---- */

/* "Debian LLVM version 19.1.7" -> 19.1.7 */
static void take_version(struct mca *mca, const char *text)
{
	const char *at = text ? strstr(text, "LLVM version ") : NULL;

	snprintf(mca->version, sizeof(mca->version), "%.*s", at ? (int)strcspn(at + 13, " \n") : 7,
		 at ? at + 13 : "unknown");
}

int mca_open(struct mca *mca, const char *work, int n_parallel, struct gen_error *err)
{
	char *log = fail_text("%s/logs/llvm-mca.log", work);
	struct gen_error why;
	int status = -1;

	memset(mca, 0, sizeof(*mca));
	mca->n_passes = ITERATIONS;
	mca->n_parallel = n_parallel < 1              ? 1
			  : n_parallel < MAX_PARALLEL ? n_parallel
						      : MAX_PARALLEL;
	for (size_t i = 0; i < sizeof(programs) / sizeof(*programs) && status < 0; i++) {
		struct command command = {0};

		command_add(&command, "%s", programs[i]);
		command_add(&command, "--version");
		status = command_run(&command, log, NULL, 20, programs[i], &why);
		if (!status) {
			char *text = command_read_text(log);

			snprintf(mca->program, sizeof(mca->program), "%s", programs[i]);
			take_version(mca, text);
			free(text);
		}
		command_free(&command);
	}
	free(log);
	if (process_stopping())
		return fail_set(err, "stopped by the user");
	if (status < 0)
		return fail_set(err,
				"there is no working llvm-mca, which estimates need (%.200s): "
				"install llvm (Debian: llvm-19)",
				why.text);
	mca->work = fail_text("%s", work);
	return 0;
}

void mca_close(struct mca *mca)
{
	free(mca->work);
	memset(mca, 0, sizeof(*mca));
}
