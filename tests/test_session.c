/*
 * test_session.c: sessions that cannot be saved: a full disk, a folder that is not ours, a process that is killed.
 *
 * Whatever happens, a session's name has the old session or the new one, whole, and a sentence says why.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "llm/random.h"
#include "quern.h"
#include "scratch.h"

enum { N_OLD = 20, N_NEW = 60, N_KILLS = 20 }; /* a page of the cache, and two */

static char folder[256];
static struct quern_error err;
static struct quern_context *context;

/* ---- a context with a short sequence and a long one ---- */

static int open_context(struct quern_engine **engine, struct quern_model **model)
{
	/* One thread: this process forks. */
	const struct quern_options options = {.size = sizeof options, .n_threads = 1};
	const struct quern_context_options how = {.size = sizeof how, .n_sequences = 3};
	const struct qn_random what = {.arch = "llama",
				       .type = QUERN_F16,
				       .output_type = -1,
				       .seed = 1};
	int32_t ids[N_NEW];
	const struct quern_input inputs[] = {{0, ids, N_OLD, QUERN_NO_LOGITS},
					     {1, ids, N_NEW, QUERN_NO_LOGITS}};

	for (int i = 0; i < N_NEW; i++)
		ids[i] = 7 * i + 1;
	return qn_random_write("model.gguf", &what, &err) || quern_open(engine, &options, &err) ||
	       quern_model_open(model, *engine, "model.gguf", NULL, &err) ||
	       quern_context_open(&context, *model, &how, &err) ||
	       quern_feed(context, inputs, 2, &err);
}

/* Tokens of the session that the file has, -1: there is none, or no sound one. */
static long loaded(const char *path)
{
	return quern_session_load(context, 2, path, &err) ? -1 : quern_sequence_length(context, 2);
}

static long file_bytes(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 ? (long)status.st_size : -1;
}

/* How many names a folder has. */
static int count_files(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	for (const struct dirent *entry; dir && (entry = readdir(dir));)
		n += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

/* The new sequence cannot be saved to a folder with an old session; nothing has changed there. */
static void check_refused(const char *in, const char *why)
{
	char path[300];

	snprintf(path, sizeof path, "%s/session", in);
	CHECK(quern_session_save(context, 1, path, &err) == -1);
	CHECK_SAYS(err.text, path);
	CHECK_SAYS(err.text, why);
	CHECK(loaded(path) == N_OLD);
	CHECK(count_files(in) == 1);
	snprintf(path, sizeof path, "%s/another", in);
	CHECK(quern_session_save(context, 1, path, &err) == -1);
	CHECK_SAYS(err.text, why);
	CHECK(loaded(path) == -1);
	CHECK_SAYS(err.text, "No such file");
	CHECK(count_files(in) == 1);
}

/* ---- no room ---- */

static void test_long_files(void)
{
	const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
	struct rlimit limit = none;

	mkdir("long", 0777);
	CHECK(quern_session_save(context, 0, "long/session", &err) == 0);
	signal(SIGXFSZ, SIG_IGN);
	for (int i = 0; i < 3; i++) {
		limit.rlim_cur = (rlim_t)(i * file_bytes("long/session") / 2);
		if (setrlimit(RLIMIT_FSIZE, &limit))
			return;
		check_refused("long", "File too large");
	}
	setrlimit(RLIMIT_FSIZE, &none);
	CHECK(quern_session_save(context, 1, "long/session", &err) == 0);
	CHECK(loaded("long/session") == N_NEW);
}

static void test_full_disk(void)
{
	static const char zeros[4096];
	const long n_bytes = file_bytes("long/session");
	char options[64];
	FILE *filler;

	mkdir("full", 0777);
	snprintf(options, sizeof options, "size=%ld", 4 * n_bytes);
	if (mount("none", "full", "tmpfs", 0, options))
		return; /* not root */
	CHECK(quern_session_save(context, 0, "full/session", &err) == 0);
	filler = fopen("full/.filler", "wb");
	while (filler && fwrite(zeros, sizeof zeros, 1, filler) == 1)
		;
	if (CHECK(filler != NULL))
		fclose(filler);
	check_refused("full", "No space left");
	/* There is room for some of it. */
	CHECK(truncate("full/.filler", file_bytes("full/.filler") - n_bytes / 2) == 0);
	check_refused("full", "No space left");
	unlink("full/.filler");
	CHECK(quern_session_save(context, 1, "full/session", &err) == 0);
	CHECK(loaded("full/session") == N_NEW);
	umount("full");
}

/* ---- no permission ---- */

static void test_forbidden(void)
{
	pid_t child;
	int status = -1;

	mkdir("shut", 0777);
	CHECK(quern_session_save(context, 0, "shut/session", &err) == 0);
	chmod("shut/session", 0644);
	chmod("shut", 0555);
	chmod(folder, 0755);
	fflush(stdout);
	child = fork();
	if (child == 0) { /* root may do all: somebody else then */
		if (getuid() == 0 && setuid(65534))
			_exit(0);
		check_refused("shut", "Permission denied");
		fflush(stdout);
		_exit(check_failures != 0);
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	chmod("shut", 0777);
}

/* ---- a writer that is killed ---- */

static void save_on_and_on(int ready)
{
	for (int i = 0;; i = !i) {
		if (quern_session_save(context, i, "killed/session", &err))
			_exit(1);
		if (ready >= 0 && write(ready, "", 1) != 1)
			_exit(1);
	}
}

static void test_killed(void)
{
	uint64_t state = 1;

	mkdir("killed", 0777);
	for (int i = 0; i < N_KILLS; i++) {
		int ends[2], status = 0;
		pid_t child;
		char byte;
		long n;

		if (!CHECK(pipe(ends) == 0))
			return;
		fflush(stdout);
		child = fork();
		if (child == 0) {
			close(ends[0]);
			save_on_and_on(ends[1]);
		}
		close(ends[1]);
		CHECK(read(ends[0], &byte, 1) == 1);
		for (unsigned k = check_below(&state, 4); k > 0; k--)
			CHECK(read(ends[0], &byte, 1) == 1);
		usleep(check_below(&state, 3000));
		kill(child, SIGKILL);
		CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
		close(ends[0]);
		n = loaded("killed/session");
		if (!CHECK(n == N_OLD || n == N_NEW))
			printf("kill %d: %s\n", i, err.text);
	}
	CHECK(quern_session_save(context, 1, "killed/session", &err) == 0);
	CHECK(loaded("killed/session") == N_NEW);
	CHECK(count_files("killed") == 1); /* the next writer removes what a killed one has left */
}

int main(void)
{
	struct quern_engine *engine = NULL;
	struct quern_model *model = NULL;

	if (!CHECK(scratch_open(folder)))
		return check_exit();
	if (CHECK(open_context(&engine, &model) == 0)) {
		test_long_files();
		test_full_disk();
		test_forbidden();
		test_killed();
	} else {
		puts(err.text);
	}
	quern_context_close(context);
	quern_model_close(model);
	quern_close(engine);
	scratch_remove_tree(folder);
	return check_exit();
}
