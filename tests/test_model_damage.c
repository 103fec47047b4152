/*
 * test_model_damage.c: damaged model and session files are refused with a sentence, or run; nothing crashes.
 *
 * Damage that is random is done to the head of a small file, where keys and tensors are described:
 * whole words, for what is wrong with a number is seldom one bit.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "llm/random.h"
#include "quern.h"
#include "scratch.h"

enum { N_MUTANTS = 300, HEAD_BYTES = 1 << 16 };

static char folder[256], path[300];
static struct quern_engine *engine;
static int n_opened;

/* Runs what can be opened; what cannot has to say why. */
static void try_model(const char *what, uint64_t seed)
{
	struct quern_error err = {.text = ""};
	struct quern_model *model;
	struct quern_context *context;
	const struct quern_context_options options = {.size = sizeof options, .n_context = 16};
	const int32_t ids[] = {0, 1, 2, 1, 0};
	const struct quern_input input = {.ids = ids, .n = 5, .logits = QUERN_LAST_LOGITS};

	if (quern_model_open(&model, engine, path, NULL, &err)) {
		if (!CHECK(strlen(err.text) > 20 && model == NULL))
			printf("%s, seed %llu: '%s'\n", what, (unsigned long long)seed, err.text);
		return;
	}
	n_opened++;
	if (quern_context_open(&context, model, &options, &err) == 0) {
		if (quern_feed(context, &input, 1, &err) == 0)
			CHECK(quern_logits(context, 0) != NULL);
		quern_context_close(context);
	}
	quern_model_close(model);
}

static void make_model(const char *arch, int type)
{
	const struct qn_random what = {.arch = arch,
				       .type = type,
				       .output_type = -1,
				       .seed = 1,
				       .n_layers = 1};
	struct quern_error err = {.text = ""};

	if (!CHECK(qn_random_write(path, &what, &err) == 0)) {
		puts(err.text);
		abort();
	}
}

static long file_bytes(void)
{
	struct stat status;

	return stat(path, &status) == 0 ? (long)status.st_size : 0;
}

/* One or two words of the head, then as they were. */
static void mutate_head(int fd, const uint8_t *head, long n, uint64_t seed, const char *arch)
{
	static const uint64_t words[] = {0,          1,          2,          255,
					 65536,      0x7fffffff, 0xffffffff, 1ull << 40,
					 UINT64_MAX, 1ull << 63};
	uint64_t state = seed;
	uint8_t copy[HEAD_BYTES];
	const int n_hits = 1 + (int)(check_random(&state) % 2);

	memcpy(copy, head, (size_t)n);
	for (int i = 0; i < n_hits; i++) {
		const size_t size = (size_t)1 << check_random(&state) % 4;
		const long at = (long)(check_random(&state) % (uint64_t)(n - 8));
		uint64_t word = words[check_random(&state) % (sizeof words / sizeof *words)];

		if (check_random(&state) % 3 == 0)
			word = check_random(&state);
		memcpy(copy + at, &word, size);
	}
	CHECK(pwrite(fd, copy, (size_t)n, 0) == n);
	try_model(arch, seed);
}

static void test_mutants(const char *arch, int type)
{
	uint8_t head[HEAD_BYTES];
	int fd;
	long n;

	make_model(arch, type);
	fd = open(path, O_RDWR);
	n = file_bytes();
	n = n < HEAD_BYTES ? n : HEAD_BYTES;
	CHECK(pread(fd, head, (size_t)n, 0) == n);
	n_opened = 0;
	try_model(arch, 0);
	CHECK(n_opened == 1);
	for (uint64_t seed = 1; seed <= N_MUTANTS; seed++)
		mutate_head(fd, head, n, seed, arch);
	CHECK(pwrite(fd, head, (size_t)n, 0) == n);
	close(fd);
}

static void test_cuts(void)
{
	long n;

	make_model("llama", QUERN_Q4_0);
	n = file_bytes();
	n_opened = 0;
	/* The last bytes may be there for alignment alone. */
	for (long at = n - 32; at > 0; at -= 1 + at / 60) {
		CHECK(truncate(path, at) == 0);
		try_model("cut", (uint64_t)at);
	}
	CHECK(n_opened == 0);
}

/* ---- sessions ---- */

static void test_sessions(void)
{
	struct quern_error err = {.text = ""};
	struct quern_model *model;
	struct quern_context *context;
	const struct quern_context_options options = {.size = sizeof options,
						      .n_sequences = 2,
						      .n_context = 64};
	const int32_t ids[40] = {1, 5, 9, 2, 6};
	const struct quern_input first = {.ids = ids, .n = 40};
	const struct quern_input next[] = {{0, ids, 1, QUERN_LAST_LOGITS},
					   {1, ids, 1, QUERN_LAST_LOGITS}};
	char session[320];
	FILE *file;
	long n;

	make_model("qwen3", QUERN_Q8_0);
	if (!CHECK(quern_model_open(&model, engine, path, NULL, &err) == 0))
		return;
	CHECK(quern_context_open(&context, model, &options, &err) == 0);
	CHECK(quern_feed(context, &first, 1, &err) == 0);
	snprintf(session, sizeof session, "%s/session", folder);
	CHECK(quern_session_save(context, 0, session, &err) == 0);
	CHECK(quern_session_load(context, 1, session, &err) == 0);
	CHECK(quern_sequence_length(context, 1) == 40);
	CHECK(!memcmp(quern_sequence_ids(context, 1), ids, sizeof ids));
	CHECK(quern_feed(context, next, 2, &err) == 0);
	{
		struct quern_model_info info;

		quern_model_info(model, &info);
		CHECK(!memcmp(quern_logits(context, 0), quern_logits(context, 1),
			      (size_t)info.n_vocab * sizeof(float)));
	}
	file = fopen(session, "r+b");
	fseek(file, 0, SEEK_END);
	n = ftell(file);
	for (long at = 0; at < n; at += 1 + n / 97) {
		int c;

		fseek(file, at, SEEK_SET);
		c = fgetc(file);
		fseek(file, at, SEEK_SET);
		fputc(c ^ 0x41, file);
		fflush(file);
		CHECK(quern_session_load(context, 1, session, &err) == -1);
		CHECK_SAYS(err.text, session);
		CHECK(quern_sequence_length(context, 1) == 0);
		fseek(file, at, SEEK_SET);
		fputc(c, file);
		fflush(file);
	}
	CHECK(quern_session_load(context, 1, session, &err) == 0);
	for (long at = n - 1; at >= 0; at -= 1 + n / 53) {
		CHECK(truncate(session, at) == 0);
		CHECK(quern_session_load(context, 1, session, &err) == -1);
		CHECK(quern_sequence_length(context, 1) == 0);
	}
	fclose(file);
	CHECK(quern_session_save(context, 0, "/nonexistent/session", &err) == -1);
	CHECK_SAYS(err.text, "/nonexistent/session: cannot create it");
	unlink(session);
	quern_context_close(context);
	quern_model_close(model);
}

int main(void)
{
	const struct quern_options options = {.size = sizeof options, .n_threads = 1};
	struct quern_error err;

	if (!CHECK(scratch_open(folder)))
		return check_exit();
	snprintf(path, sizeof path, "%s/model.gguf", folder);
	if (!CHECK(quern_open(&engine, &options, &err) == 0))
		return check_exit();
	test_mutants("llama", QUERN_F32);
	test_mutants("phi3", QUERN_Q4_0);
	test_mutants("gemma3", QUERN_Q8_0);
	test_cuts();
	test_sessions();
	quern_close(engine);
	unlink(path);
	scratch_remove_tree(folder);
	return check_exit();
}
