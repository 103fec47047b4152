/* compile.c: candidates in units, compilers side by side, and probe programs. */
#include <errno.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "compile.h"
#include "fail.h"
#include "hash.h"
#include "process.h"
#include "toolchain.h"

#define MAX_UNIT 16 /* candidates of one translation unit */
#define MAX_PARALLEL 64

/* What a probe is made of besides kernels. */
/* clang-format off */
static const char *const probe_sources[] = {
	"runtime/error.c",
	"runtime/cpu.c",
	"runtime/topology.c",
	"runtime/pages.c",
	"runtime/pool.c",
	"runtime/shares.c",
	"runtime/lane.c",
	"runtime/format.c",
	"runtime/format_gguf.c",
	"runtime/choose.c",
	"runtime/matrix.c",
	"runtime/pack.c",
	"runtime/matmul.c",
	"runtime/engine.c",
	"runtime/llm/gguf_header.c",
	"runtime/llm/gguf.c",
	"runtime/pack_plain.c",
	"runtime/verify.c",
	"runtime/bench.c",
	"runtime/roof.c",
	"tuner/clock.c",
	"tuner/exercise.c",
	"tuner/counters.c",
	"tuner/line.c",
	"tuner/sysfs.c",
	"tuner/vitals.c",
	"tuner/meter.c",
	"tuner/isolate.c",
	"tuner/load.c",
	"tuner/tell.c",
	"tuner/probe.c",
	"tuner/serve.c",
	"tuner/attach.c",
	"tuner/probe_main.c",
};
/* clang-format on */
enum { N_PROBE_SOURCES = sizeof(probe_sources) / sizeof(*probe_sources) };

struct compile {
	struct toolchain *tools;
	int n_parallel;
	int is_assembly; /* candidates become assembly, not objects */
	double seconds;
	long count;
	void (*idle)(void *context); /* NULL: nobody waits */
	void *context;
};

/* Compiles one text that must compile (runtime, registry, ISA); object gets the name. */
static int compile_text(struct compile *compile, const char *source, const char *text,
			const char *flags, const char *what, char object[64], struct gen_error *err)
{
	uint64_t hash =
		hash_text(hash_text(hash_text(compile->tools->compilers[GEN_DEFAULT].base, flags),
				    text),
			  "must");
	char *path = toolchain_path(compile->tools, "objects", hash, ".o");
	char *temporary = toolchain_path(compile->tools, "tmp", hash, ".o");
	char *log = toolchain_path(compile->tools, "logs", hash, ".log");
	char *own = toolchain_path(compile->tools, "sources", hash, ".c");
	struct command command = {0};
	int status = 0;

	snprintf(object, 64, "%016llx", (unsigned long long)hash);
	if (!toolchain_is_whole(path)) {
		if (!source)
			status = toolchain_write_text(own, text, err);
		toolchain_add_words(compile->tools, GEN_DEFAULT, flags, source ? source : own,
				    temporary, &command);
		if (!status)
			status = toolchain_run(compile->tools, &command, log, what, err);
		if (status < 0 && !process_stopping())
			toolchain_check_space(compile->tools, err);
		if (!status && access(temporary, F_OK) == 0 && !toolchain_is_whole(temporary))
			status =
				fail_set(err,
					 "the compiler reports success but wrote only a part of %s",
					 temporary);
		if (!status)
			status = toolchain_keep(temporary, path, err);
	}
	command_free(&command);
	free(path);
	free(temporary);
	free(log);
	free(own);
	return status;
}

/* ---- units of candidates ---- */

struct unit {
	size_t *members, n; /* indices of items */
	uint64_t hash;
	pid_t pid;
	double begin;
};

struct queue {
	struct compile *compile;
	struct compile_item *items;
	struct unit *units; /* waiting, last one first */
	size_t n;
	struct unit running[MAX_PARALLEL];
	int n_running;
};

static void push_unit(struct queue *queue, const size_t *members, size_t n)
{
	struct unit *unit;

	queue->units = fail_grow(queue->units, queue->n, sizeof(*unit));
	unit = &queue->units[queue->n++];
	memset(unit, 0, sizeof(*unit));
	unit->members = fail_alloc(n, sizeof(*members));
	memcpy(unit->members, members, n * sizeof(*members));
	unit->n = n;
}

/* Cuts members that may share a unit into some of about equal size, enough for all to run. */
static void push_group(struct queue *queue, const size_t *members, size_t n)
{
	/* In a unit of its own a kernel is compiled as the library's build does it: neighbours are
	 * merged with it, or keep a compiler from inlining. */
	const size_t max = queue->compile->is_assembly ? 1 : MAX_UNIT;
	size_t n_units = (n + max - 1) / max, least = (size_t)queue->compile->n_parallel;

	if (least > n / 4)
		least = n / 4;
	if (n_units < least)
		n_units = least;
	for (size_t i = 0; i < n_units; i++) {
		size_t first = i * n / n_units, end = (i + 1) * n / n_units;

		push_unit(queue, members + first, end - first);
	}
}

static char *unit_text(const struct queue *queue, const struct unit *unit)
{
	char *text;
	size_t n_bytes;
	FILE *out = fail_check(open_memstream(&text, &n_bytes));

	for (size_t i = 0; i < unit->n; i++)
		fprintf(out, "%s\n", queue->items[unit->members[i]].text);
	fclose(out);
	return fail_check(text);
}

static void succeed(struct queue *queue, const struct unit *unit)
{
	for (size_t i = 0; i < unit->n; i++)
		snprintf(queue->items[unit->members[i]].object, 64, "%016llx",
			 (unsigned long long)unit->hash);
}

static void fail(struct queue *queue, const struct unit *unit, const char *why)
{
	if (unit->n == 1) {
		queue->items[unit->members[0]].why = fail_text("%s", why);
		return;
	}
	push_unit(queue, unit->members, unit->n / 2);
	push_unit(queue, unit->members + unit->n / 2, unit->n - unit->n / 2);
}

static const char *suffix(const struct compile *compile)
{
	return compile->is_assembly ? ".s" : ".o";
}

/* Takes the next waiting unit: known already, or started. */
static int start_unit(struct queue *queue, struct gen_error *err)
{
	struct compile *compile = queue->compile;
	struct unit unit = queue->units[--queue->n];
	const struct compile_item *first = &queue->items[unit.members[0]];
	char *text = unit_text(queue, &unit), *object, *bad, *source, *temporary, *log, *why;
	struct command command = {0};
	int status = 0;

	unit.hash =
		hash_text(hash_text(compile->tools->compilers[first->compiler].base, first->flags),
			  text);
	if (compile->is_assembly)
		unit.hash = hash_text(unit.hash, "assembly");
	object = toolchain_path(compile->tools, "objects", unit.hash, suffix(compile));
	bad = toolchain_path(compile->tools, "objects", unit.hash, ".bad");
	source = toolchain_path(compile->tools, "sources", unit.hash, ".c");
	temporary = toolchain_path(compile->tools, "tmp", unit.hash, suffix(compile));
	log = toolchain_path(compile->tools, "logs", unit.hash, ".log");
	why = command_read_text(bad);
	if (toolchain_is_whole(object)) {
		succeed(queue, &unit);
	} else if (why) {
		fail(queue, &unit, why);
	} else {
		(compile->is_assembly ? toolchain_add_assembly
				      : toolchain_add_words)(compile->tools, first->compiler,
							     first->flags, source, temporary,
							     &command);
		status = toolchain_write_text(source, text, err);
		if (!status)
			unit.pid = command_start(&command, log, compile->tools->tmp, err);
		if (status < 0 || unit.pid < 0)
			status = -1;
		else
			compile->count += (long)unit.n;
	}
	if (unit.pid > 0) {
		unit.begin = process_now();
		queue->running[queue->n_running++] = unit;
	} else {
		free(unit.members);
	}
	command_free(&command);
	free(text);
	free(object);
	free(bad);
	free(source);
	free(temporary);
	free(log);
	free(why);
	return status;
}

/* A unit's compiler has ended, or was killed for being late. */
static int finish_unit(struct queue *queue, const struct unit *unit, int status, int late,
		       struct gen_error *err)
{
	struct compile *compile = queue->compile;
	char *temporary = toolchain_path(compile->tools, "tmp", unit->hash, suffix(compile));
	char *path, *why, how[80];
	int result = 0, is_good = !late && WIFEXITED(status) && !WEXITSTATUS(status);

	compile->seconds += process_now() - unit->begin;
	if (is_good && toolchain_is_whole(temporary)) {
		path = toolchain_path(compile->tools, "objects", unit->hash, suffix(compile));
		result = toolchain_keep(temporary, path, err);
		succeed(queue, unit);
	} else {
		char *log = toolchain_path(compile->tools, "logs", unit->hash, ".log");

		why = command_explain(
			late      ? "time-out"
			: is_good ? "the compiler reports success but wrote no whole object"
				  : process_describe(status, how, sizeof(how)),
			log);
		unlink(temporary);
		path = toolchain_path(compile->tools, "objects", unit->hash, ".bad");
		result = toolchain_check_space(compile->tools, err);
		/* A compiler that was killed, for want of memory say, may do better next time. */
		if (!result && !is_good &&
		    (late || (WIFEXITED(status) && !strstr(why, "Killed")))) {
			result = toolchain_write_text(temporary, why, err);
			if (!result)
				result = toolchain_keep(temporary, path, err);
			unlink(temporary);
		}
		fail(queue, unit, why);
		free(why);
		free(log);
	}
	free(path);
	free(temporary);
	return result;
}

/* Looks after the running compilers; -1 ends the batch. */
static int watch_units(struct queue *queue, struct gen_error *err)
{
	double time_out_s = queue->compile->tools->device->compile_time_out_s;
	int status, result = 0;

	for (int i = 0; i < queue->n_running && !result; i++) {
		struct unit unit = queue->running[i];
		int late = process_now() - unit.begin > time_out_s;

		if (late)
			status = process_kill(unit.pid);
		else if (!process_ended(unit.pid, &status))
			continue;
		queue->running[i--] = queue->running[--queue->n_running];
		result = finish_unit(queue, &unit, status, late, err);
		free(unit.members);
	}
	if (process_stopping())
		return fail_set(err, "stopped by the user");
	return result;
}

static int share_unit(const struct compile_item *a, const struct compile_item *b)
{
	return a->compiler == b->compiler && !strcmp(a->flags, b->flags);
}

static void push_all(struct queue *queue, size_t n)
{
	unsigned char *taken = fail_alloc(n, 1);
	size_t *members = fail_alloc(n, sizeof(*members));

	for (size_t i = 0; i < n; i++) {
		size_t n_members = 0;

		for (size_t j = i; j < n && !taken[i]; j++) {
			if (!taken[j] && share_unit(&queue->items[j], &queue->items[i])) {
				members[n_members++] = j;
				taken[j] = j != i;
			}
		}
		taken[i] = 1;
		if (n_members)
			push_group(queue, members, n_members);
	}
	free(members);
	free(taken);
}

int compile_items(struct compile *compile, struct compile_item *items, size_t n,
		  struct gen_error *err)
{
	struct queue queue = {.compile = compile, .items = items};
	int status = 0;

	for (size_t i = 0; i < n; i++) {
		items[i].why = NULL;
		*items[i].object = 0;
	}
	push_all(&queue, n);
	while (!status && (queue.n || queue.n_running)) {
		if (queue.n && queue.n_running < compile->n_parallel) {
			status = start_unit(&queue, err);
		} else {
			struct timespec pause = {0, 3000000};

			nanosleep(&pause, NULL);
			if (compile->idle)
				compile->idle(compile->context);
		}
		if (!status)
			status = watch_units(&queue, err);
	}
	for (int i = 0; i < queue.n_running; i++) {
		process_kill(queue.running[i].pid);
		free(queue.running[i].members);
	}
	for (size_t i = 0; i < queue.n; i++)
		free(queue.units[i].members);
	free(queue.units);
	return status;
}

char *compile_assembly(const struct compile *compile, const char *object, struct gen_error *err)
{
	char *path = fail_text("%s/objects/%s.s", compile->tools->work, object);
	char *text = command_read_text(path);

	if (!text)
		fail_set(err, "cannot read %s: %s", path, strerror(errno));
	free(path);
	return text;
}

char *compile_object(const struct compile *compile, const char *object)
{
	return fail_text("%s/objects/%s.o", compile->tools->work, object);
}

/* ---- programs ---- */

static int compile_sources(struct compile *compile, char (*objects)[64], struct gen_error *err)
{
	for (int i = 0; i < N_PROBE_SOURCES; i++) {
		char *path = fail_text("%s/%s", compile->tools->home, probe_sources[i]);
		char *text = command_read_text(path);
		int status;

		if (!text)
			status = fail_set(err, "cannot read %s: %s", path, strerror(errno));
		else
			status = compile_text(compile, path, text, "", path, objects[i], err);
		free(text);
		free(path);
		if (status < 0)
			return -1;
	}
	return 0;
}

static int link_program(struct compile *compile, char *const *objects, size_t n, const char *path,
			uint64_t hash, struct gen_error *err)
{
	char *temporary = toolchain_path(compile->tools, "tmp", hash, "");
	char *log = toolchain_path(compile->tools, "logs", hash, ".log");
	struct command command = {0};
	int status;

	command_add_list(&command, compile->tools->device->compiler);
	command_add_list(&command, compile->tools->device->flags);
	command_add(&command, "-o");
	command_add(&command, "%s", temporary);
	for (size_t i = 0; i < n; i++)
		command_add(&command, "%s/objects/%s.o", compile->tools->work, objects[i]);
	if (compile->tools->has_papi)
		command_add_list(&command, compile->tools->device->papi);
	command_add_list(&command, compile->tools->device->link);
	status = toolchain_run(compile->tools, &command, log, "cannot link the probe", err);
	if (!status)
		status = toolchain_keep(temporary, path, err);
	command_free(&command);
	free(temporary);
	free(log);
	return status;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int compile_program(struct compile *compile, const char *const *objects, size_t n_objects,
		    const char *registry, const struct compile_item *isas, size_t n_isas,
		    char *path, size_t n_bytes, struct gen_error *err)
{
	size_t n_own = N_PROBE_SOURCES + n_isas + 1, n = 0;
	char(*own)[64] = fail_alloc(n_own, sizeof(*own)), **all, *program = NULL;
	uint64_t hash = compile->tools->compilers[GEN_DEFAULT].base;
	int status = compile_sources(compile, own, err);

	if (!status)
		status = compile_text(compile, NULL, registry, "", "the registry",
				      own[N_PROBE_SOURCES], err);
	for (size_t i = 0; i < n_isas && !status; i++)
		status = compile_text(compile, NULL, isas[i].text, isas[i].flags, "an ISA's file",
				      own[N_PROBE_SOURCES + 1 + i], err);
	all = fail_alloc(n_own + n_objects, sizeof(*all));
	for (size_t i = 0; i < n_objects; i++)
		all[i] = (char *)objects[i];
	qsort(all, n_objects, sizeof(*all), by_text);
	for (size_t i = 0; i < n_objects; i++) { /* each unit once */
		if (!n || strcmp(all[n - 1], all[i]))
			all[n++] = all[i];
	}
	for (size_t i = 0; i < n_own; i++)
		all[n++] = own[i];
	for (size_t i = 0; i < n; i++)
		hash = hash_text(hash, all[i]);
	if (!status) {
		program = toolchain_path(compile->tools, "probes", hash, "");
		if ((size_t)snprintf(path, n_bytes, "%s", program) >= n_bytes)
			status = fail_set(err, "the path %s is too long", program);
		else if (!toolchain_is_whole(program))
			status = link_program(compile, all, n, program, hash, err);
	}
	free(program);
	free(all);
	free(own);
	return status;
}

/* ---- opening ---- */

struct compile *compile_open(const struct device *device, const char *home, const char *work,
			     int n_parallel, struct gen_error *err)
{
	struct compile *compile = fail_alloc(1, sizeof(*compile));

	compile->n_parallel = n_parallel < 1              ? 1
			      : n_parallel < MAX_PARALLEL ? n_parallel
							  : MAX_PARALLEL;
	compile->tools = toolchain_open(device, home, work, err);
	if (compile->tools)
		return compile;
	free(compile);
	return NULL;
}

void compile_set_idle(struct compile *compile, void (*idle)(void *context), void *context)
{
	compile->idle = idle;
	compile->context = context;
}

void compile_to_assembly(struct compile *compile)
{
	compile->is_assembly = 1;
}

void compile_close(struct compile *compile)
{
	if (!compile)
		return;
	toolchain_close(compile->tools);
	free(compile);
}

const char *compile_version(const struct compile *compile, enum gen_compiler compiler)
{
	return compile->tools->compilers[compiler].version;
}

const char *compile_command(const struct compile *compile, enum gen_compiler compiler)
{
	return compile->tools->compilers[compiler].command;
}

const char *compile_flags(const struct compile *compile)
{
	return compile->tools->flags;
}

const char *compile_why_no_clang(const struct compile *compile)
{
	return compile->tools->why_no_clang;
}

double compile_seconds(const struct compile *compile)
{
	return compile->seconds;
}

long compile_count(const struct compile *compile)
{
	return compile->count;
}

uint64_t compile_fingerprint(const char *text, const char *name, const char *key)
{
	const char *marks[3] = {name, key, strstr(key, " isa=")};
	uint64_t hash = HASH_START;

	/* The parameters alone also occur: what follows the ISA in the key. */
	if (marks[2])
		marks[2] += 1 + strcspn(marks[2] + 1, " ");
	if (marks[2])
		marks[2] += strspn(marks[2], " ");
	while (*text) {
		size_t skip = 0;

		for (size_t i = 0; i < 3 && !skip; i++) {
			size_t n = marks[i] ? strlen(marks[i]) : 0;

			if (n && !strncmp(text, marks[i], n))
				skip = n;
		}
		if (skip)
			text += skip;
		else
			hash = hash_add(hash, text++, 1);
	}
	return hash;
}
