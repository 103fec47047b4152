/* toolchain.c: folders, words for compilers, what those are and whether there is PAPI. */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
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

int toolchain_is_whole(const char *path)
{
	FILE *file = fopen(path, "r");
	Elf64_Ehdr header;
	struct stat status;
	int is_whole = 0;

	if (!file)
		return 0;
	if (fstat(fileno(file), &status) == 0 && status.st_size > 0) {
		const size_t n = fread(&header, 1, sizeof(header), file);
		const uint64_t n_bytes = (uint64_t)status.st_size;

		is_whole = 1;
		/* The table of sections stands last, in objects and programs that are not stripped. */
		if (n >= SELFMAG && !memcmp(header.e_ident, ELFMAG, SELFMAG))
			is_whole = n > EI_CLASS &&
				   (header.e_ident[EI_CLASS] != ELFCLASS64 ||
				    (n == sizeof(header) && header.e_shoff <= n_bytes &&
				     (uint64_t)header.e_shnum * header.e_shentsize <=
					     n_bytes - header.e_shoff));
	}
	fclose(file);
	return is_whole;
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

static void add_words(const struct toolchain *tools, enum gen_compiler compiler, const char *flags,
		      const char *stage, const char *source, const char *object,
		      struct command *command)
{
	static const char *const folders[] = {"", "/runtime", "/templates"};

	command_add_list(command, tools->compilers[compiler].words);
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
	command_add(command, "%s", stage);
	command_add(command, "-o");
	command_add(command, "%s", object);
	command_add(command, "%s", source);
}

void toolchain_add_words(const struct toolchain *tools, enum gen_compiler compiler,
			 const char *flags, const char *source, const char *object,
			 struct command *command)
{
	add_words(tools, compiler, flags, "-c", source, object, command);
}

void toolchain_add_assembly(const struct toolchain *tools, enum gen_compiler compiler,
			    const char *flags, const char *source, const char *assembly,
			    struct command *command)
{
	char *marked = fail_text("%s -DQN_MARKS -fno-asynchronous-unwind-tables", flags);

	add_words(tools, compiler, marked, "-S", source, assembly, command);
	free(marked);
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

static void clear_compiler(struct toolchain_compiler *compiler)
{
	free(compiler->version);
	free(compiler->command);
	memset(compiler, 0, sizeof(*compiler));
}

/* Takes a command that says what it is; its log is named WHAT.log. */
static int take_compiler(struct toolchain *tools, enum gen_compiler which, char *const *words,
			 const char *what, struct gen_error *err)
{
	struct toolchain_compiler *compiler = &tools->compilers[which];
	char *log = fail_text("%s/logs/%s.log", tools->work, what);
	struct command command = {0};
	int status;

	command_add_list(&command, words);
	command_add(&command, "--version");
	status = toolchain_run(tools, &command, log, words[0], err);
	if (!status) {
		compiler->words = words;
		compiler->version = first_line(log);
		compiler->command = command_join(words);
	}
	command_free(&command);
	free(log);
	return status;
}

/*
 * Does clang make objects that the device's compiler can link?  It is not asked of kernels, each of
 * which would fail: --version succeeds for targets whose headers are not there.
 */
static int try_clang(const struct toolchain *tools, struct gen_error *err)
{
	static const char text[] = "#include <math.h>\n#include <stdint.h>\n#include <string.h>\n"
				   "int main(int n, char **v) { return v[0][strlen(v[0])] + n + "
				   "(int)sqrt(-n); }\n";
	char *source = fail_text("%s/tmp/clang.c", tools->work);
	char *object = fail_text("%s/tmp/clang.o", tools->work);
	char *program = fail_text("%s/tmp/clang", tools->work);
	char *log = fail_text("%s/logs/clang.log", tools->work);
	struct command compile = {0}, link = {0};
	int status = toolchain_write_text(source, text, err);

	toolchain_add_words(tools, GEN_CLANG, "", source, object, &compile);
	command_add_list(&link, tools->device->compiler);
	command_add_list(&link, tools->device->flags);
	command_add(&link, "-o");
	command_add(&link, "%s", program);
	command_add(&link, "%s", object);
	command_add_list(&link, tools->device->link);
	if (!status)
		status = toolchain_run(tools, &compile, log, tools->compilers[GEN_CLANG].command,
				       err);
	if (!status)
		status = toolchain_run(tools, &link, log, tools->compilers[GEN_CLANG].command, err);
	unlink(source);
	unlink(object);
	unlink(program);
	command_free(&compile);
	command_free(&link);
	free(source);
	free(object);
	free(program);
	free(log);
	return status;
}

/* The first clang of the device that works; none when that is the compiler anyway. */
static void find_clang(struct toolchain *tools)
{
	struct toolchain_compiler *clang = &tools->compilers[GEN_CLANG];
	char ***candidates = tools->device->clang;
	struct gen_error err;

	for (size_t i = 0; candidates && candidates[i]; i++) {
		int status = take_compiler(tools, GEN_CLANG, candidates[i], "clang-version", &err);
		int is_same =
			!status && !strcmp(clang->version, tools->compilers[GEN_DEFAULT].version);

		if (is_same)
			fail_set(&err, "'%s' is the compiler already", clang->command);
		if (!status && !is_same && !try_clang(tools, &err)) {
			free(tools->why_no_clang);
			tools->why_no_clang = NULL;
			return;
		}
		clear_compiler(clang);
		if (!tools->why_no_clang) /* the first is the one that was hoped for */
			tools->why_no_clang = fail_text("%s", err.text);
		if (is_same)
			return;
	}
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

static uint64_t hash_compiler(const struct toolchain *tools,
			      const struct toolchain_compiler *compiler)
{
	uint64_t hash = hash_text(HASH_START, compiler->version);

	hash = hash_text(hash_text(hash, compiler->command), tools->flags);
	hash = hash_add(hash, &tools->has_papi, sizeof(tools->has_papi));
	for (char **word = tools->device->link; *word; word++)
		hash = hash_text(hash, *word);
	return hash_headers(hash, tools->home);
}

struct toolchain *toolchain_open(const struct device *device, const char *home, const char *work,
				 struct gen_error *err)
{
	struct toolchain *tools = fail_alloc(1, sizeof(*tools));

	tools->device = device;
	tools->home = fail_text("%s", home);
	tools->work = fail_text("%s", work);
	tools->tmp = fail_text("%s/tmp", work);
	tools->flags = command_join(device->flags);
	tools->lock = -1;
	if (make_folders(tools, err) < 0 || lock_folder(tools, err) < 0) {
		toolchain_close(tools);
		return NULL;
	}
	empty_folder(tools->tmp);
	if (take_compiler(tools, GEN_DEFAULT, device->compiler, "version", err) < 0) {
		toolchain_close(tools);
		return NULL;
	}
	find_clang(tools);
	tools->has_papi = find_papi(tools);
	for (int i = 0; i < GEN_N_COMPILERS; i++) {
		if (tools->compilers[i].words)
			tools->compilers[i].base = hash_compiler(tools, &tools->compilers[i]);
	}
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
	for (int i = 0; i < GEN_N_COMPILERS; i++)
		clear_compiler(&tools->compilers[i]);
	free(tools->flags);
	free(tools->why_no_clang);
	free(tools);
}
