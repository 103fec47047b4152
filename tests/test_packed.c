/*
 * test_packed.c: models whose packed weights are kept give what they give without, whatever happened to the file: it
 * is damaged, of another model or for other kernels, cannot be written, or its writer was killed.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "draft.h"
#include "llm/gguf.h"
#include "llm/model.h"
#include "llm/packed.h"
#include "llm/random.h"
#include "quern.h"
#include "scratch.h"

enum { N_TOKENS = 5, HEAD_BYTES = 48, ENTRY_BYTES = 160 };

static char folder[256];
static struct quern_engine *engine;

/* ---- models ---- */

static void make_model(const char *path, const char *arch, int type, uint64_t seed)
{
	const struct qn_random what = {.arch = arch,
				       .type = type,
				       .output_type = -1,
				       .seed = seed,
				       .n_layers = 1};
	struct quern_error err = {.text = ""};

	if (!CHECK(qn_random_write(path, &what, &err) == 0)) {
		puts(err.text);
		abort();
	}
}

static void open_engine(int n_threads)
{
	const struct quern_options options = {.size = sizeof options, .n_threads = n_threads};
	struct quern_error err = {.text = ""};

	if (!CHECK(quern_open(&engine, &options, &err) == 0)) {
		puts(err.text);
		abort();
	}
}

struct result {
	long n_vocab;
	float *logits; /* behind the last token */
	char note[256];
	struct qn_layout layout; /* of the first matrix */
};

static struct result run(const char *path, const char *cache)
{
	struct result r = {.n_vocab = 0};
	struct quern_error err = {.text = ""};
	struct quern_model *model = NULL;
	struct quern_context *context = NULL;
	const struct quern_model_options options = {.size = sizeof options, .cache = cache};
	const struct quern_context_options few = {.size = sizeof few, .n_context = 16};
	const int32_t ids[N_TOKENS] = {1, 4, 2, 3, 5};
	const struct quern_input input = {.ids = ids, .n = N_TOKENS, .logits = QUERN_LAST_LOGITS};

	if (!CHECK(quern_model_open(&model, engine, path, &options, &err) == 0 &&
		   quern_context_open(&context, model, &few, &err) == 0 &&
		   quern_feed(context, &input, 1, &err) == 0)) {
		puts(err.text);
		abort();
	}
	r.n_vocab = model->n_vocab;
	r.logits = malloc((size_t)r.n_vocab * sizeof(float));
	memcpy(r.logits, quern_logits(context, 0), (size_t)r.n_vocab * sizeof(float));
	if (quern_model_note(model))
		snprintf(r.note, sizeof r.note, "%s", quern_model_note(model));
	if (model->layers[0].out.packed)
		r.layout = model->layers[0].out.packed->kernel->layout;
	quern_context_close(context);
	quern_model_close(model);
	return r;
}

static int same(const struct result *a, const struct result *b)
{
	return a->n_vocab == b->n_vocab &&
	       !memcmp(a->logits, b->logits, (size_t)a->n_vocab * sizeof(float));
}

/* Runs with a folder: as without, and nothing or these words are noted. */
static void check_run(const char *path, const char *cache, const struct result *expected,
		      const char *words, const char *what, long number)
{
	struct result r = run(path, cache);

	if (!CHECK(same(&r, expected)))
		printf("%s %ld: other results\n", what, number);
	if (words)
		CHECK_SAYS(r.note, words);
	else if (!CHECK(!r.note[0]))
		printf("%s %ld: %s\n", what, number, r.note);
	free(r.logits);
}

/* ---- files ---- */

struct copy {
	uint8_t *bytes;
	long n;
	ino_t ino;
};

static struct copy read_file(const char *path)
{
	struct copy copy = {.n = -1};
	const int fd = open(path, O_RDONLY);
	struct stat status;

	if (fd >= 0 && fstat(fd, &status) == 0) {
		copy.n = (long)status.st_size;
		copy.ino = status.st_ino;
		copy.bytes = malloc((size_t)copy.n + 1);
		CHECK(read(fd, copy.bytes, (size_t)copy.n) == copy.n);
	}
	if (fd >= 0)
		close(fd);
	return copy;
}

/* 1: the file is as it was; its number counts when nothing else may have written it. */
static int is_as(const char *path, const struct copy *copy, int with_ino)
{
	struct copy now = read_file(path);
	const int ok = now.n == copy->n && (!with_ino || now.ino == copy->ino) &&
		       !memcmp(now.bytes, copy->bytes, (size_t)now.n);

	free(now.bytes);
	return ok;
}

/* Files in a folder, and the name of one. */
static int count_files(const char *cache, char path[600])
{
	DIR *here = opendir(cache);
	const struct dirent *entry;
	int n = 0;

	while (here && (entry = readdir(here))) {
		if (entry->d_name[0] != '.' && n++ == 0)
			snprintf(path, 600, "%s/%s", cache, entry->d_name);
	}
	if (here)
		closedir(here);
	return n;
}

/* NULL when there are none or more. */
static const char *only_file(const char *cache)
{
	static char path[600];

	return count_files(cache, path) == 1 ? path : NULL;
}

static void overwrite(const char *path, const void *bytes, long n, long at)
{
	const int fd = open(path, O_WRONLY);

	CHECK(fd >= 0 && pwrite(fd, bytes, (size_t)n, at) == n);
	close(fd);
}

/* ---- tests ---- */

static void test_same(const char *arch, int type)
{
	struct result without;
	struct copy first;
	char path[600] = "";

	make_model("m.gguf", arch, type, 3);
	without = run("m.gguf", NULL);
	check_run("m.gguf", "c", &without, NULL, arch, 1);
	if (CHECK(only_file("c")))
		strcpy(path, only_file("c"));
	first = read_file(path);
	check_run("m.gguf", "c", &without, NULL, arch, 2);
	CHECK(only_file("c") && is_as(path, &first, 1));
	unlink(path);
	free(first.bytes);
	free(without.logits);
}

/* Floats have nothing that could be kept. */
static void test_floats(void)
{
	struct result without;

	make_model("m.gguf", "llama", QUERN_F16, 3);
	without = run("m.gguf", NULL);
	check_run("m.gguf", "c", &without, NULL, "floats", 0);
	CHECK(!only_file("c"));
	free(without.logits);
}

/* Can files grow beyond n bytes?  Where they cannot, a run says whether it took all there was. */
static void limit_files(long n)
{
	static struct rlimit old;
	struct rlimit small;

	if (!old.rlim_max)
		getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = n < 0 ? old.rlim_cur : (rlim_t)n;
	CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
}

/*
 * Any byte of head and entries, some of the weights; then a file that ends too early or too late.  Nothing is taken of
 * such a file, or not all; in the end it is whole again.
 */
static void test_damage(void)
{
	struct result without;
	struct copy good;
	char path[600] = "";
	uint32_t n_entries;
	long head;

	make_model("m.gguf", "qwen2", QUERN_Q4_0, 5);
	without = run("m.gguf", NULL);
	check_run("m.gguf", "c", &without, NULL, "damage", 0);
	if (!CHECK(only_file("c")))
		return;
	strcpy(path, only_file("c"));
	good = read_file(path);
	memcpy(&n_entries, good.bytes + 32, sizeof n_entries);
	head = HEAD_BYTES + (long)n_entries * ENTRY_BYTES;
	CHECK(n_entries > 4 && head < good.n);
	limit_files(0);
	check_run("m.gguf", "c", &without, NULL, "no damage", 0);
	limit_files(-1);
	for (long at = 0; at < good.n; at += at < head ? 1 : good.n / 40 + 1) {
		const uint8_t byte = good.bytes[at] ^ (uint8_t)(1 << at % 8);

		if (at >= head && !good.bytes[at])
			continue; /* between head and weights, where nothing is */
		overwrite(path, &byte, 1, at);
		limit_files(0);
		check_run("m.gguf", "c", &without, "File too large", "damage", at);
		limit_files(-1);
		if (at % 500 == 0) {
			check_run("m.gguf", "c", &without, NULL, "healed", at);
			CHECK(is_as(path, &good, 0));
		}
		overwrite(path, &good.bytes[at], 1, at);
	}
	for (long n = good.n - 1; n >= 0; n -= 1 + (n > 200 ? good.n / 25 : n / 9)) {
		CHECK(truncate(path, n) == 0);
		limit_files(0);
		check_run("m.gguf", "c", &without, "File too large", "cut", n);
		limit_files(-1);
	}
	check_run("m.gguf", "c", &without, NULL, "healed", 0);
	CHECK(is_as(path, &good, 0));
	CHECK(truncate(path, good.n + 1) == 0);
	check_run("m.gguf", "c", &without, NULL, "longer", good.n);
	CHECK(is_as(path, &good, 0));
	unlink(path);
	CHECK(mkfifo(path, 0666) == 0);
	check_run("m.gguf", "c", &without, "not a file", "fifo", 0);
	unlink(path);
	free(good.bytes);
	free(without.logits);
}

/* Does this process have the file mapped? */
static int is_mapped(const char *path)
{
	char line[1000];
	FILE *maps = fopen("/proc/self/maps", "r");
	int found = 0;

	while (maps && fgets(line, sizeof line, maps))
		found |= strstr(line, path) != NULL;
	if (maps)
		fclose(maps);
	return found;
}

/* Weights that stay in the file; of one whose bytes are damaged they are packed after all. */
static void test_mapped(void)
{
	struct quern_error err;
	struct quern_model *model;
	struct quern_matrix *matrix;
	struct quern_tensor tensor;
	struct quern_weights weights = {.size = sizeof weights};
	struct copy good;
	char path[600] = "";

	make_model("m.gguf", "llama", QUERN_Q4_K, 6);
	free(run("m.gguf", "c").logits);
	if (!CHECK(only_file("c")))
		return;
	strcpy(path, only_file("c"));
	good = read_file(path);
	CHECK(quern_model_open(&model, engine, "m.gguf", NULL, &err) == 0 &&
	      quern_gguf_find(model->file, "blk.0.attn_output.weight", &tensor) == 0);
	weights.type = tensor.type;
	weights.data = tensor.data;
	weights.k = (long)tensor.dims[0];
	weights.m = (long)tensor.dims[1];
	for (int damaged = 0; damaged < 2; damaged++) {
		const struct quern_matrix *own = model->layers[0].out.packed;
		struct qn_packed *packed =
			qn_packed_open(&(struct qn_packed_model){engine, model->files,
								 model->n_files,
								 model->fingerprint},
				       "c");

		qn_packed_map(packed);
		CHECK(qn_packed_pack(packed, tensor.name, &weights, &matrix, &err) == 0);
		CHECK(is_mapped(path) == !damaged);
		CHECK(qn_matrix_bytes(matrix) == qn_matrix_bytes(own) &&
		      !memcmp(matrix->packed, own->packed, qn_matrix_bytes(own)));
		CHECK(qn_packed_close(packed, 0, &err) == 0);
		quern_free(matrix);
		CHECK(!is_mapped(path));
		for (long at = 4096; at < good.n; at += 64)
			overwrite(path, "?", 1, at);
	}
	quern_model_close(model);
	unlink(path);
	free(good.bytes);
}

/* Weights of the model's file are not read; but one that was changed is not taken for what it was. */
static void test_source(void)
{
	struct result without, other;
	struct stat status;
	struct timespec times[2];
	struct copy model;
	struct quern_gguf *file;
	struct quern_tensor tensor;
	char path[600] = "";

	make_model("m.gguf", "llama", QUERN_Q8_0, 7);
	without = run("m.gguf", NULL);
	check_run("m.gguf", "c", &without, NULL, "source", 0);
	if (!CHECK(only_file("c")))
		return;
	strcpy(path, only_file("c"));
	stat("m.gguf", &status);
	times[0] = times[1] = status.st_mtim;
	model = read_file("m.gguf");
	CHECK(quern_gguf_open(&file, "m.gguf", NULL) == 0 &&
	      quern_gguf_find(file, "blk.0.ffn_up.weight", &tensor) == 0);
	/* Codes of one block, far from what the fingerprint looks at. */
	memset(model.bytes + ((const uint8_t *)tensor.data - (const uint8_t *)file->map) + 2, 99,
	       32);
	overwrite("m.gguf", model.bytes, model.n, 0);
	quern_gguf_close(file);

	CHECK(utimensat(AT_FDCWD, "m.gguf", times, 0) == 0);
	check_run("m.gguf", "c", &without, NULL, "source", 1);
	other = run("m.gguf", NULL);
	CHECK(!same(&without, &other));
	times[1].tv_sec++;
	CHECK(utimensat(AT_FDCWD, "m.gguf", times, 0) == 0);
	check_run("m.gguf", "c", &other, NULL, "source", 2);
	check_run("m.gguf", "c", &other, NULL, "source", 3);
	CHECK(only_file("c"));

	/* Another model has a file of its own; one that comes under another's name is not taken. */
	make_model("n.gguf", "llama", QUERN_Q8_0, 8);
	free(without.logits);
	without = run("n.gguf", NULL);
	check_run("n.gguf", "c", &without, NULL, "source", 4);
	CHECK(!only_file("c") && unlink(path) == 0 && only_file("c"));
	CHECK(rename(only_file("c"), path) == 0);
	check_run("m.gguf", "c", &other, NULL, "source", 5);
	check_run("m.gguf", "c", &other, NULL, "source", 6);
	unlink(path);
	unlink("n.gguf");
	free(without.logits);
	free(other.logits);
	free(model.bytes);
}

/* Reopens the engine with another value in the environment. */
static void choose(const char *variable, const char *value)
{
	quern_close(engine);
	if (value)
		setenv(variable, value, 1);
	else
		unsetenv(variable);
	open_engine(2);
}

static const char *other_kernel(const struct qn_layout *layout, int format, int same_layout)
{
	static char name[100];

	for (int i = 0; i < qn_registry.n_kernels; i++) {
		const struct qn_kernel *kernel = qn_registry.kernels[i];

		if (kernel->format == format && kernel->act == QN_A8G32 && !qn_is_lossy(kernel) &&
		    !(kernel->needs & ~engine->features) &&
		    qn_same_layout(&kernel->layout, layout) == same_layout) {
			snprintf(name, sizeof name, "%s", kernel->name);
			return name;
		}
	}
	return NULL;
}

/* A file for other kernels is replaced, one for others that read the same is not. */
static void test_kernels(void)
{
	struct result usual, r;
	struct copy first;
	char path[600] = "";

	make_model("m.gguf", "llama", QUERN_Q4_0, 9);
	usual = run("m.gguf", NULL);
	check_run("m.gguf", "c", &usual, NULL, "kernels", 0);
	if (CHECK(only_file("c")))
		strcpy(path, only_file("c"));
	first = read_file(path);
	for (int i = 0; i < 3; i++) {
		const char *variable = i < 2 ? "QUERN_KERNEL" : "QUERN_ISA";
		const char *value = i < 2 ? other_kernel(&usual.layout, QN_W4G32, i) : "scalar";

		if (!value)
			continue;
		choose(variable, value);
		r = run("m.gguf", NULL);
		check_run("m.gguf", "c", &r, NULL, value, 1);
		CHECK(is_as(path, &first, 1) == qn_same_layout(&r.layout, &usual.layout));
		check_run("m.gguf", "c", &r, NULL, value, 2);
		free(r.logits);
		choose(variable, NULL);
		check_run("m.gguf", "c", &usual, NULL, value, 3);
		CHECK(is_as(path, &first, 0));
		free(first.bytes);
		first = read_file(path);
	}
	CHECK(only_file("c"));
	unlink(path);
	free(first.bytes);
	free(usual.logits);
}

/* Folders that nothing can be kept in, and a disk that is full at some moment. */
static void test_unwritable(void)
{
	struct result without;
	struct copy good;
	char any[600];

	make_model("m.gguf", "llama", QUERN_Q4_0, 11);
	without = run("m.gguf", NULL);
	check_run("m.gguf", "c", &without, NULL, "writable", 0);
	good = read_file(only_file("c"));
	unlink(only_file("c"));
	check_run("m.gguf", "no/such", &without, "No such file or directory", "missing", 0);
	check_run("m.gguf", "m.gguf", &without, "Not a directory", "file", 0);
	check_run("m.gguf", "", &without, NULL, "no name", 0);
	{
		char name[5000];

		memset(name, 'n', sizeof name);
		name[sizeof name - 1] = '\0';
		check_run("m.gguf", name, &without, "too long", "long name", 0);
	}
	mkdir("locked", 0555);
	if (access("locked", W_OK)) /* root may all */
		check_run("m.gguf", "locked", &without, "Permission denied", "locked", 0);
	rmdir("locked");

	for (long n = 0; n < good.n; n += 1 + good.n / 7) {
		limit_files(n);
		check_run("m.gguf", "c", &without, "File too large", "limit", n);
		limit_files(-1);
		CHECK(rmdir("c") == 0); /* nothing is left */
	}

	mkdir("disk", 0777);
	for (int i = 0; i < 3; i++) {
		char size[32];

		snprintf(size, sizeof size, "size=%ld", good.n / 4 * (i + 1));
		if (mount("none", "disk", "tmpfs", 0, size))
			break; /* that is for root */
		check_run("m.gguf", "disk", &without, "No space left", size, 0);
		check_run("m.gguf", "disk/more", &without, "No space left", size, 1);
		CHECK(rmdir("disk/more") == 0 && count_files("disk", any) == 0);
		CHECK(mount("none", "disk", "tmpfs", MS_REMOUNT | MS_RDONLY, NULL) == 0);
		check_run("m.gguf", "disk", &without, "Read-only file system", "read-only", 0);
		CHECK(umount("disk") == 0);
	}
	rmdir("disk");
	free(good.bytes);
	free(without.logits);
}

/* ---- killed writers ---- */

static int n_calls;

static int die(void *context, uint64_t n_done, uint64_t n_bytes)
{
	(void)n_done;
	(void)n_bytes;
	if (++n_calls == *(const int *)context)
		kill(getpid(), SIGKILL);
	return 0;
}

static int give_up(void *context, uint64_t n_done, uint64_t n_bytes)
{
	(void)n_done;
	(void)n_bytes;
	return ++n_calls == *(const int *)context;
}

static void test_killed(void)
{
	struct result without;
	struct quern_model *model;
	struct qn_draft alive;
	struct quern_error err;
	char name[300];

	make_model("m.gguf", "llama", QUERN_Q4_0, 13);
	quern_close(engine);
	for (int at = 1; at <= 7; at += 3) {
		const struct quern_model_options options = {.size = sizeof options,
							    .progress = die,
							    .context = &at,
							    .cache = "c"};
		int status = 0;
		const pid_t pid = fork();

		if (pid == 0) {
			open_engine(2);
			quern_model_open(&model, engine, "m.gguf", &options, &err);
			_exit(0);
		}
		CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
		/* Only what it had begun: what the one before left is gone. */
		CHECK(only_file("c") && strstr(only_file("c"), ".packed.quern-"));
	}
	open_engine(2);
	without = run("m.gguf", NULL);
	/* A writer that lives is left alone. */
	CHECK(qn_draft_open(&alive, "c/other", &err) == 0);
	snprintf(name, sizeof name, "%s", alive.temporary);
	check_run("m.gguf", "c", &without, NULL, "killed", 1);
	CHECK(!only_file("c") && access(name, F_OK) == 0);
	qn_draft_drop(&alive);
	CHECK(only_file("c") && !strstr(only_file("c"), ".packed.quern-"));
	check_run("m.gguf", "c", &without, NULL, "killed", 2);
	if (only_file("c"))
		unlink(only_file("c"));

	/* Who is told to stop leaves nothing. */
	for (int at = 1; at <= 7; at += 3) {
		const struct quern_model_options options = {.size = sizeof options,
							    .progress = give_up,
							    .context = &at,
							    .cache = "c"};

		n_calls = 0;
		CHECK(quern_model_open(&model, engine, "m.gguf", &options, &err) == -1);
		CHECK_SAYS(err.text, "stopped");
		CHECK(rmdir("c") == 0);
	}
	free(without.logits);
}

/* A program built against a header that has no cache yet. */
static void test_old_options(void)
{
	struct quern_model_options options = {.size = offsetof(struct quern_model_options, cache),
					      .cache = "c"};
	struct quern_model *model;
	struct quern_error err;

	CHECK(quern_model_open(&model, engine, "m.gguf", &options, &err) == 0);
	CHECK(!quern_model_note(model) && access("c", F_OK) != 0);
	quern_model_close(model);
}

int main(void)
{
	static const struct {
		const char *arch;
		int type;
	} models[] = {{"llama", QUERN_Q4_K},        {"phi3", QUERN_Q5_1},
		      {"bitnet", QUERN_TQ2_0},      {"gemma3", QUERN_IQ4_NL},
		      {"bitnet-b1.58", QUERN_I2_S}, {"qwen3", QUERN_Q2_K}};

	if (!CHECK(scratch_open(folder)))
		return check_exit();
	signal(SIGXFSZ, SIG_IGN);
	open_engine(2);
	for (size_t i = 0; i < sizeof models / sizeof *models; i++)
		test_same(models[i].arch, models[i].type);
	test_floats();
	test_mapped();
	test_kernels();
	/* Many runs that are short. */
	quern_close(engine);
	open_engine(1);
	test_damage();
	test_source();
	rmdir("c");
	test_unwritable();
	test_killed();
	test_old_options();
	quern_close(engine);
	scratch_remove_tree(folder);
	return check_exit();
}
