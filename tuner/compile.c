/*
 * compile.c: batches, the object cache, and running compilers side by side.
 *
 * The work folder: objects/HASH.o, or objects/HASH.bad with the reason; sources/HASH.c;
 * logs/HASH.log with what the compiler said; probes/HASH; tmp/ for what is being written, emptied
 * at start and end.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "compile.h"
#include "fail.h"
#include "hash.h"
#include "process.h"
#include "record.h"

#define MAX_UNIT 16             /* candidates of one translation unit */
#define MAX_PARALLEL 64

/* What a probe is made of besides kernels. */
static const char *const probe_sources[] = {
	"runtime/error.c", "runtime/cpu.c", "runtime/topology.c", "runtime/pages.c",
	"runtime/pool.c", "runtime/format.c", "runtime/choose.c", "runtime/matrix.c",
	"runtime/matmul.c", "runtime/engine.c", "runtime/llm/gguf_header.c", "runtime/llm/gguf.c",
	"runtime/verify.c", "runtime/bench.c", "runtime/roof.c", "tuner/clock.c",
	"tuner/counters.c", "tuner/line.c", "tuner/isolate.c", "tuner/probe.c",
	"tuner/probe_main.c",
};
enum { N_PROBE_SOURCES = sizeof(probe_sources) / sizeof(*probe_sources) };

struct compile {
	const struct device *device;
	char *home, *work, *tmp;
	char *version, *command, *flags;
	int lock;               /* on the work folder; -1: not held */
	int has_papi;
	int n_parallel;
	uint64_t base;          /* hash of the compiler, its flags and all headers */
	double seconds;
	long count;
};

/* ---- files ---- */

static char *work_path(const struct compile *compile, const char *folder, uint64_t hash,
		       const char *suffix)
{
	return fail_text("%s/%s/%016llx%s", compile->work, folder, (unsigned long long)hash,
			 suffix);
}

static int write_text(const char *path, const char *text, struct gen_error *err)
{
	FILE *file = fopen(path, "w");
	int status = file && fputs(text, file) >= 0 ? 0 : -1;

	if (file && fclose(file))
		status = -1;
	return status < 0 ? fail_set(err, "cannot write %s: %s", path, strerror(errno)) : 0;
}

static void empty_folder(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *item;

	if (!folder)
		return;
	while ((item = readdir(folder))) {
		if (item->d_name[0] != '.')
			unlinkat(dirfd(folder), item->d_name, 0);
	}
	closedir(folder);
}

static int make_folders(const struct compile *compile, struct gen_error *err)
{
	static const char *const names[] = {"objects", "sources", "logs", "probes", "tmp"};

	for (size_t i = 0; i < 5; i++) {
		char *path = fail_text("%s/%s/", compile->work, names[i]);
		int status = record_make_folder(path, err);

		free(path);
		if (status < 0)
			return -1;
	}
	return 0;
}

/* Two runs would delete each other's temporary files. */
static int lock_folder(struct compile *compile, struct gen_error *err)
{
	char *path = fail_text("%s/lock", compile->work);

	compile->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	free(path);
	if (compile->lock >= 0 && flock(compile->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (compile->lock >= 0)
		close(compile->lock);
	compile->lock = -1;
	return fail_set(err,
			"the folder %s is in use by another quern tune; give --work another one",
			compile->work);
}

static int is_header(const struct dirent *item)
{
	size_t n = strlen(item->d_name);

	return n > 2 && !strcmp(item->d_name + n - 2, ".h");
}

/* Any header may be part of any object. */
static uint64_t hash_headers(uint64_t hash, const char *home)
{
	static const char *const folders[] = {"runtime", "runtime/llm", "templates", "tuner"};

	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		char *folder = fail_text("%s/%s", home, folders[i]);
		struct dirent **items;
		int n = scandir(folder, &items, is_header, alphasort);

		for (int j = 0; j < n; j++) {
			char *path = fail_text("%s/%s", folder, items[j]->d_name);
			char *text = command_read_text(path);

			hash = hash_text(hash_text(hash, items[j]->d_name), text ? text : "");
			free(text);
			free(path);
			free(items[j]);
		}
		if (n >= 0)
			free(items);
		free(folder);
	}
	return hash;
}

/* compiler flags ISA-flags -iquote ... -c -o object source */
static void compile_words(const struct compile *compile, const char *flags, const char *source,
			  const char *object, struct command *command)
{
	static const char *const folders[] = {"", "/runtime", "/templates"};

	command_add_list(command, compile->device->compiler);
	command_add_list(command, compile->device->flags);
	if (compile->has_papi)
		command_add(command, "-DHAVE_PAPI");
	command_add_split(command, flags);
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		command_add(command, "-iquote");
		command_add(command, "%s%s", compile->home, folders[i]);
	}
	command_add(command, "-c");
	command_add(command, "-o");
	command_add(command, "%s", object);
	command_add(command, "%s", source);
}

/* Runs to the end: 0; -1 with the reason in *err. */
static int run(struct compile *compile, const struct command *command, const char *log_path,
	       const char *what, struct gen_error *err)
{
	return command_run(command, log_path, compile->tmp, compile->device->compile_time_out_s,
			   what, err);
}

static int finish(const char *temporary, const char *path, struct gen_error *err)
{
	if (rename(temporary, path) < 0)
		return fail_set(err, "cannot write %s: %s", path, strerror(errno));
	return 0;
}

/* Compiles one text that must compile (runtime, registry, ISA); object gets the name. */
static int compile_text(struct compile *compile, const char *source, const char *text,
			const char *flags, const char *what, char object[64], struct gen_error *err)
{
	uint64_t hash = hash_text(hash_text(hash_text(compile->base, flags), text), "must");
	char *path = work_path(compile, "objects", hash, ".o");
	char *temporary = work_path(compile, "tmp", hash, ".o");
	char *log = work_path(compile, "logs", hash, ".log");
	char *own = work_path(compile, "sources", hash, ".c");
	struct command command = {0};
	int status = 0;

	snprintf(object, 64, "%016llx", (unsigned long long)hash);
	if (access(path, F_OK) < 0) {
		if (!source)
			status = write_text(own, text, err);
		compile_words(compile, flags, source ? source : own, temporary, &command);
		if (!status)
			status = run(compile, &command, log, what, err);
		if (!status)
			status = finish(temporary, path, err);
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
	size_t *members, n;     /* indices of items */
	uint64_t hash;
	pid_t pid;
	double begin;
};

struct queue {
	struct compile *compile;
	struct compile_item *items;
	struct unit *units;     /* waiting, last one first */
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

/* Cuts members of one ISA into units of about equal size, at least one for every compiler. */
static void push_group(struct queue *queue, const size_t *members, size_t n)
{
	size_t n_units = (n + MAX_UNIT - 1) / MAX_UNIT, least = (size_t)queue->compile->n_parallel;

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

/* Takes the next waiting unit: known already, or started. */
static int start_unit(struct queue *queue, struct gen_error *err)
{
	struct compile *compile = queue->compile;
	struct unit unit = queue->units[--queue->n];
	const char *flags = queue->items[unit.members[0]].flags;
	char *text = unit_text(queue, &unit), *object, *bad, *source, *temporary, *log, *why;
	struct command command = {0};
	int status = 0;

	unit.hash = hash_text(hash_text(compile->base, flags), text);
	object = work_path(compile, "objects", unit.hash, ".o");
	bad = work_path(compile, "objects", unit.hash, ".bad");
	source = work_path(compile, "sources", unit.hash, ".c");
	temporary = work_path(compile, "tmp", unit.hash, ".o");
	log = work_path(compile, "logs", unit.hash, ".log");
	why = command_read_text(bad);
	if (access(object, F_OK) == 0) {
		succeed(queue, &unit);
	} else if (why) {
		fail(queue, &unit, why);
	} else {
		compile_words(compile, flags, source, temporary, &command);
		status = write_text(source, text, err);
		if (!status)
			unit.pid = command_start(&command, log, compile->tmp, err);
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
	char *temporary = work_path(compile, "tmp", unit->hash, ".o"), *path, *why, how[80];
	int result = 0;

	compile->seconds += process_now() - unit->begin;
	if (!late && WIFEXITED(status) && !WEXITSTATUS(status)) {
		path = work_path(compile, "objects", unit->hash, ".o");
		result = finish(temporary, path, err);
		succeed(queue, unit);
	} else {
		char *log = work_path(compile, "logs", unit->hash, ".log");

		unlink(temporary);
		why = command_explain(
			late ? "time-out" : process_describe(status, how, sizeof(how)), log);
		/* A compiler that was killed from outside may do better next time. */
		path = work_path(compile, "objects", unit->hash, ".bad");
		if (late || WIFEXITED(status))
			result = write_text(path, why, err);
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
	int status, result = 0;

	for (int i = 0; i < queue->n_running && !result; i++) {
		struct unit unit = queue->running[i];
		int late = process_now() - unit.begin > queue->compile->device->compile_time_out_s;

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

static void push_all(struct queue *queue, size_t n)
{
	unsigned char *taken = fail_alloc(n, 1);
	size_t *members = fail_alloc(n, sizeof(*members));

	for (size_t i = 0; i < n; i++) {
		size_t n_members = 0;

		for (size_t j = i; j < n && !taken[i]; j++) {
			if (!taken[j] && !strcmp(queue->items[j].flags, queue->items[i].flags)) {
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

/* ---- programs ---- */

static int compile_sources(struct compile *compile, char (*objects)[64], struct gen_error *err)
{
	for (int i = 0; i < N_PROBE_SOURCES; i++) {
		char *path = fail_text("%s/%s", compile->home, probe_sources[i]);
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
	char *temporary = work_path(compile, "tmp", hash, "");
	char *log = work_path(compile, "logs", hash, ".log");
	struct command command = {0};
	int status;

	command_add_list(&command, compile->device->compiler);
	command_add_list(&command, compile->device->flags);
	command_add(&command, "-o");
	command_add(&command, "%s", temporary);
	for (size_t i = 0; i < n; i++)
		command_add(&command, "%s/objects/%s.o", compile->work, objects[i]);
	if (compile->has_papi)
		command_add_list(&command, compile->device->papi);
	command_add_list(&command, compile->device->link);
	status = run(compile, &command, log, "cannot link the probe", err);
	if (!status)
		status = finish(temporary, path, err);
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
	char (*own)[64] = fail_alloc(n_own, sizeof(*own)), **all, *program = NULL;
	uint64_t hash = compile->base;
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
	for (size_t i = 0; i < n_objects; i++) {  /* each unit once */
		if (!n || strcmp(all[n - 1], all[i]))
			all[n++] = all[i];
	}
	for (size_t i = 0; i < n_own; i++)
		all[n++] = own[i];
	for (size_t i = 0; i < n; i++)
		hash = hash_text(hash, all[i]);
	if (!status) {
		program = work_path(compile, "probes", hash, "");
		if ((size_t)snprintf(path, n_bytes, "%s", program) >= n_bytes)
			status = fail_set(err, "the path %s is too long", program);
		else if (access(program, X_OK) < 0)
			status = link_program(compile, all, n, program, hash, err);
	}
	free(program);
	free(all);
	free(own);
	return status;
}

/* ---- opening ---- */

static char *first_line(const char *path)
{
	char *text = command_read_text(path), *line;

	if (text)
		text[strcspn(text, "\n")] = 0;
	line = fail_text("%s", text && *text ? text : "unknown");
	free(text);
	return line;
}

static int find_version(struct compile *compile, struct gen_error *err)
{
	char *log = fail_text("%s/logs/version.log", compile->work);
	struct command command = {0};
	int status;

	command_add_list(&command, compile->device->compiler);
	command_add(&command, "--version");
	status = run(compile, &command, log, compile->device->compiler[0], err);
	if (!status)
		compile->version = first_line(log);
	command_free(&command);
	free(log);
	return status;
}

/* Only linking tells: a cross compiler finds the header of the build machine. */
static int find_papi(struct compile *compile)
{
	static const char text[] =
		"#include <papi.h>\n"
		"int main(void) { return PAPI_library_init(PAPI_VER_CURRENT) < 0; }\n";
	char *source, *program, *log;
	struct command command = {0};
	struct gen_error ignored;
	int found;

	if (!compile->device->papi)
		return 0;
	source = fail_text("%s/tmp/papi.c", compile->work);
	program = fail_text("%s/tmp/papi", compile->work);
	log = fail_text("%s/logs/papi.log", compile->work);
	command_add_list(&command, compile->device->compiler);
	command_add_list(&command, compile->device->flags);
	command_add(&command, "-o");
	command_add(&command, "%s", program);
	command_add(&command, "%s", source);
	command_add_list(&command, compile->device->papi);
	command_add_list(&command, compile->device->link);
	found = !write_text(source, text, &ignored) &&
		!run(compile, &command, log, "papi", &ignored);
	unlink(source);
	unlink(program);
	command_free(&command);
	free(source);
	free(program);
	free(log);
	return found;
}

struct compile *compile_open(const struct device *device, const char *home, const char *work,
			     int n_parallel, struct gen_error *err)
{
	struct compile *compile = fail_alloc(1, sizeof(*compile));

	compile->device = device;
	compile->home = fail_text("%s", home);
	compile->work = fail_text("%s", work);
	compile->tmp = fail_text("%s/tmp", work);
	compile->n_parallel = n_parallel < MAX_PARALLEL ? n_parallel : MAX_PARALLEL;
	if (n_parallel < 1)
		compile->n_parallel = 1;
	compile->command = command_join(device->compiler);
	compile->flags = command_join(device->flags);
	compile->lock = -1;
	if (make_folders(compile, err) < 0 || lock_folder(compile, err) < 0) {
		compile_close(compile);
		return NULL;
	}
	empty_folder(compile->tmp);
	if (find_version(compile, err) < 0) {
		compile_close(compile);
		return NULL;
	}
	compile->has_papi = find_papi(compile);
	compile->base = hash_text(HASH_START, compile->version);
	compile->base = hash_text(hash_text(compile->base, compile->command), compile->flags);
	compile->base = hash_add(compile->base, &compile->has_papi, sizeof(compile->has_papi));
	for (char **word = device->link; *word; word++)
		compile->base = hash_text(compile->base, *word);
	compile->base = hash_headers(compile->base, home);
	return compile;
}

void compile_close(struct compile *compile)
{
	if (!compile)
		return;
	if (compile->lock >= 0) {
		empty_folder(compile->tmp);
		close(compile->lock);
	}
	free(compile->home);
	free(compile->work);
	free(compile->tmp);
	free(compile->version);
	free(compile->command);
	free(compile->flags);
	free(compile);
}

const char *compile_version(const struct compile *compile)
{
	return compile->version;
}

const char *compile_command(const struct compile *compile)
{
	return compile->command;
}

const char *compile_flags(const struct compile *compile)
{
	return compile->flags;
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
