/* toolchain.c: folders, words for the compiler, what it is and whether it has PAPI. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fail.h"
#include "hash.h"
#include "toolchain.h"
#include "gen/folder.h"

#define LEAST_MB 8.0 /* of free disk, for one run of a compiler */

/* ---- files ---- */

char *toolchain_path(const struct toolchain *tools, const char *folder, uint64_t hash,
		     const char *suffix)
{
	return fail_text("%s/%s/%016llx%s", tools->work, folder, (unsigned long long)hash, suffix);
}

int toolchain_write_text(const char *path, const char *text, struct gen_error *err)
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

static int make_folders(const struct toolchain *tools, struct gen_error *err)
{
	static const char *const names[] = {"objects", "sources", "logs", "probes", "tmp"};

	for (size_t i = 0; i < 5; i++) {
		char *path = fail_text("%s/%s", tools->work, names[i]);
		int status = folder_make(path, err);

		free(path);
		if (status < 0)
			return -1;
	}
	return 0;
}

/* Two runs would delete each other's temporary files. */
static int lock_folder(struct toolchain *tools, struct gen_error *err)
{
	char *path = fail_text("%s/lock", tools->work);

	tools->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	free(path);
	if (tools->lock >= 0 && flock(tools->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (tools->lock >= 0)
		close(tools->lock);
	tools->lock = -1;
	return fail_set(err,
			"the folder %s is in use by another quern tune; give --work another one",
			tools->work);
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

void toolchain_add_words(const struct toolchain *tools, const char *flags, const char *source,
			 const char *object, struct command *command)
{
	static const char *const folders[] = {"", "/runtime", "/templates"};

	command_add_list(command, tools->device->compiler);
	command_add(command, "-std=c11");
	command_add(command, "-D_GNU_SOURCE");
	command_add_list(command, tools->device->flags);
	if (tools->has_papi)
		command_add(command, "-DHAVE_PAPI");
	command_add_split(command, flags);
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		command_add(command, "-iquote");
		command_add(command, "%s%s", tools->home, folders[i]);
	}
	command_add(command, "-c");
	command_add(command, "-o");
	command_add(command, "%s", object);
	command_add(command, "%s", source);
}

int toolchain_run(const struct toolchain *tools, const struct command *command,
		  const char *log_path, const char *what, struct gen_error *err)
{
	return command_run(command, log_path, tools->tmp, tools->device->compile_time_out_s, what,
			   err);
}

int toolchain_keep(const char *temporary, const char *path, struct gen_error *err)
{
	if (rename(temporary, path) == 0)
		return 0;
	if (errno == ENOENT)
		return fail_set(err, "the compiler reports success but wrote no %s", temporary);
	return fail_set(err, "cannot write %s: %s", path, strerror(errno));
}

int toolchain_check_space(const struct toolchain *tools, struct gen_error *err)
{
	struct statvfs space;
	double free_mb;

	if (statvfs(tools->work, &space) < 0)
		return 0;
	free_mb = 1e-6 * (double)space.f_bavail * (double)space.f_frsize;
	if (free_mb >= LEAST_MB)
		return 0;
	return fail_set(err,
			"the disk of %s has only %.1f MB left, too little for a compiler; "
			"free some or give --work another place",
			tools->work, free_mb);
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

static int find_version(struct toolchain *tools, struct gen_error *err)
{
	char *log = fail_text("%s/logs/version.log", tools->work);
	struct command command = {0};
	int status;

	command_add_list(&command, tools->device->compiler);
	command_add(&command, "--version");
	status = toolchain_run(tools, &command, log, tools->device->compiler[0], err);
	if (!status)
		tools->version = first_line(log);
	command_free(&command);
	free(log);
	return status;
}

/* Only linking tells: a cross compiler finds the header of the build machine. */
static int find_papi(struct toolchain *tools)
{
	static const char text[] =
		"#include <papi.h>\n"
		"int main(void) { return PAPI_library_init(PAPI_VER_CURRENT) < 0; }\n";
	char *source, *program, *log;
	struct command command = {0};
	struct gen_error ignored;
	int found;

	if (!tools->device->papi)
		return 0;
	source = fail_text("%s/tmp/papi.c", tools->work);
	program = fail_text("%s/tmp/papi", tools->work);
	log = fail_text("%s/logs/papi.log", tools->work);
	command_add_list(&command, tools->device->compiler);
	command_add_list(&command, tools->device->flags);
	command_add(&command, "-o");
	command_add(&command, "%s", program);
	command_add(&command, "%s", source);
	command_add_list(&command, tools->device->papi);
	command_add_list(&command, tools->device->link);
	found = !toolchain_write_text(source, text, &ignored) &&
		!toolchain_run(tools, &command, log, "papi", &ignored);
	unlink(source);
	unlink(program);
	command_free(&command);
	free(source);
	free(program);
	free(log);
	return found;
}

struct toolchain *toolchain_open(const struct device *device, const char *home, const char *work,
				 struct gen_error *err)
{
	struct toolchain *tools = fail_alloc(1, sizeof(*tools));

	tools->device = device;
	tools->home = fail_text("%s", home);
	tools->work = fail_text("%s", work);
	tools->tmp = fail_text("%s/tmp", work);
	tools->command = command_join(device->compiler);
	tools->flags = command_join(device->flags);
	tools->lock = -1;
	if (make_folders(tools, err) < 0 || lock_folder(tools, err) < 0) {
		toolchain_close(tools);
		return NULL;
	}
	empty_folder(tools->tmp);
	if (find_version(tools, err) < 0) {
		toolchain_close(tools);
		return NULL;
	}
	tools->has_papi = find_papi(tools);
	tools->base = hash_text(HASH_START, tools->version);
	tools->base = hash_text(hash_text(tools->base, tools->command), tools->flags);
	tools->base = hash_add(tools->base, &tools->has_papi, sizeof(tools->has_papi));
	for (char **word = device->link; *word; word++)
		tools->base = hash_text(tools->base, *word);
	tools->base = hash_headers(tools->base, home);
	return tools;
}

void toolchain_close(struct toolchain *tools)
{
	if (!tools)
		return;
	if (tools->lock >= 0) {
		empty_folder(tools->tmp);
		close(tools->lock);
	}
	free(tools->home);
	free(tools->work);
	free(tools->tmp);
	free(tools->version);
	free(tools->command);
	free(tools->flags);
	free(tools);
}
