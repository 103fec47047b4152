/*
 * test_model_damage.c: damaged model and session files are refused with a sentence, or run; nothing crashes.
 *
 * Damage that is random is done to the head of a small file, where keys and tensors are described:
 * whole words, for what is wrong with a number is seldom one bit.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "llm/random.h"
#include "quern.h"
#include "scratch.h"
#include "sound_model.h"

enum { N_MUTANTS = 300, HEAD_BYTES = 1 << 16 };

static char folder[256], path[300];
static struct quern_engine *engine;
static struct quern_error err; /* of the last model */
static int n_opened;

/* Runs what can be opened; what cannot has to say why. */
static void try_model(const char *what, uint64_t seed)
{
	struct quern_model *model;
	struct quern_tokenizer *tokenizer;
	struct quern_context *context;
	const struct quern_context_options options = {.size = sizeof options, .n_context = 16};
	const int32_t ids[] = {0, 1, 2, 1, 0};
	const struct quern_input input = {.ids = ids, .n = 5, .logits = QUERN_LAST_LOGITS};

	err.text[0] = '\0';
	if (quern_model_open(&model, engine, path, NULL, &err)) {
		if (!CHECK(strlen(err.text) > 20 && model == NULL))
			printf("%s, seed %llu: '%s'\n", what, (unsigned long long)seed, err.text);
		return;
	}
	n_opened++;
	if (quern_tokenizer_open(&tokenizer, quern_model_file(model), &err))
		CHECK(tokenizer == NULL && strlen(err.text) > 20);
	quern_tokenizer_close(tokenizer);
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

/* ---- every key and every tensor of every architecture ---- */

static struct edit edit;
static uint8_t sound[SOUND_BYTES];
static size_t sound_bytes;
static char arch[16]; /* of the sound file */

static void start_edit(void)
{
	CHECK(edit_read(&edit, sound, sound_bytes) == 0);
}

/* The edited file takes the place of the one before, and is opened; 1: it could be. */
static int try_edited(const char *what)
{
	static uint8_t data[2 * SOUND_BYTES];
	const size_t n = edit_write(&edit, 1, data, sizeof data);
	const int fd = open(path, O_WRONLY | O_CREAT, 0600); /* emptied, it would go to the disk */

	if (!CHECK(n > 0 && fd >= 0 && write(fd, data, n) == (ssize_t)n &&
		   ftruncate(fd, (off_t)n) == 0))
		abort();
	close(fd);
	n_opened = 0;
	try_model(what, 0);
	return n_opened;
}

/* It has to be refused with a sentence that tells of `word`. */
static void refuse_edited(const char *what, const char *word)
{
	if (!CHECK(!try_edited(what) && strstr(err.text, word)))
		printf("%s: %s is %s: %s\n", arch, word, what, n_opened ? "opened" : err.text);
}

/* Values that are wrong, each for most keys. */
static const struct damage {
	const char *name;
	uint32_t type;
	const char *bytes;
	size_t n_bytes;
} damages[] = {
	{"a string", QUERN_STRING, "\3\0\0\0\0\0\0\0two", 11},
	{"an array", QUERN_ARRAY, "\4\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0", 16},
	{"-1", QUERN_I32, "\377\377\377\377", 4},
	{"-2^63", QUERN_I64, "\0\0\0\0\0\0\0\200", 8},
	{"2^31", QUERN_U32, "\0\0\0\200", 4},
	{"2^64-1", QUERN_U64, "\377\377\377\377\377\377\377\377", 8},
	{"NaN", QUERN_FLOAT32, "\0\0\300\177", 4},
	{"-1.0", QUERN_FLOAT32, "\0\0\200\277", 4},
	{"infinite", QUERN_FLOAT64, "\0\0\0\0\0\0\360\177", 8},
	{"0", QUERN_U32, "\0\0\0\0", 4},
	{"0.0", QUERN_FLOAT32, "\0\0\0\0", 4},
};

enum { N_DAMAGES = sizeof damages / sizeof *damages };

/* What is read of every architecture's keys; `right`: a damage that is none. */
static const struct known_key {
	const char *name, *right, *arch; /* arch: only of that one */
} known_keys[] = {
	{"embedding_length", "", ""},
	{"block_count", "", ""},
	{"feed_forward_length", "", ""},
	{"context_length", "", ""},
	{"expert_count", "0", ""},
	{"attention.head_count", "", ""},
	{"attention.head_count_kv", "", ""},
	{"attention.key_length", "", ""},
	{"attention.value_length", "", ""},
	{"attention.sliding_window", "0", ""},
	{"attn_logit_softcapping", "0.0", ""},
	{"final_logit_softcapping", "0.0", ""},
	{"rope.dimension_count", "", ""},
	{"rope.freq_base", "", ""},
	{"rope.freq_base_swa", "", "gemma3"},
	{"rope.scaling.type", "", ""},
	{"rope.scaling.factor", "", ""},
	{"rope.scaling.original_context_length", "", ""},
	{"rope.scaling.attn_factor", "", ""},
	{"attention.layer_norm_epsilon", "0.0", "phi2"},
};

static void damage_key(const char *name, const char *right)
{
	for (int i = 0; i < N_DAMAGES; i++) {
		const struct damage *d = &damages[i];
		struct edit_key *key;

		start_edit();
		key = edit_add(&edit, name);
		edit_set(&edit, key, d->type, d->bytes, d->n_bytes);
		if (strcmp(d->name, right) != 0)
			refuse_edited(d->name, name);
		else
			CHECK(try_edited(d->name));
	}
}

/* Keys that are read have to be right; of others that the file has anything may be said. */
static void test_keys(void)
{
	char name[96];

	for (size_t i = 0; i < sizeof known_keys / sizeof *known_keys; i++) {
		const struct known_key *key = &known_keys[i];

		snprintf(name, sizeof name, "%s.%s", arch, key->name);
		if (!*key->arch || !strcmp(key->arch, arch))
			damage_key(name, key->right);
	}
	if (strcmp(arch, "phi2") != 0) {
		snprintf(name, sizeof name, "%s.attention.layer_norm_rms_epsilon", arch);
		damage_key(name, "0.0");
	}
	start_edit();
	for (int k = 0, n = edit.n_keys; k < n; k++) {
		start_edit();
		edit_drop_key(&edit, k);
		try_edited("without a key");
		for (int i = 0; i < N_DAMAGES; i++) {
			start_edit();
			edit_set(&edit, &edit.keys[k], damages[i].type, damages[i].bytes,
				 damages[i].n_bytes);
			try_edited(damages[i].name);
		}
	}
}

static const char *name_tensor(int i)
{
	static char name[64];

	snprintf(name, sizeof name, "%.*s", (int)edit.tensors[i].name.n,
		 (const char *)edit.tensors[i].name.p);
	return name;
}

/* A file may do without these, and another file of the same kind has them. */
static int is_optional(const char *name)
{
	return !strncmp(name, "rope_", 5) || !strncmp(name, "output.", 7) ||
	       strstr(name, ".bias") || strstr(name, ".scale");
}

/* What the sentence tells of when a tensor is not there: two may be one, which is looked for first or instead. */
static const char *named_for(const char *name)
{
	if (strstr(name, "attn_qkv"))
		return "attn_q.weight is missing";
	return name;
}

static void test_shapes(int i)
{
	for (int way = 0; way < 6; way++) {
		struct edit_tensor *t = &edit.tensors[i];
		uint64_t *d = t->dims, swap = d[0];

		start_edit();
		if (way == 0)
			d[0]++;
		else if (way == 1)
			d[0] = d[0] > 1 ? d[0] - 1 : 3;
		else if (way == 2)
			t->n_dims++, d[t->n_dims - 1] = 2;
		else if (way == 3)
			d[0] = 1 << 14;
		else if (way == 4 && t->n_dims == 2 && d[0] != d[1])
			d[0] = d[1], d[1] = swap;
		else
			continue;
		/* The vocabulary is as large as this one says. */
		if (strcmp(name_tensor(i), "token_embd.weight") != 0 || way < 2)
			refuse_edited("of another shape", name_tensor(i));
		else
			try_edited("of another shape");
	}
}

static void test_types(int i)
{
	for (uint32_t type = 0; type < 45; type++) {
		start_edit();
		edit.tensors[i].type = type;
		if (!quern_type_name((int)type) || edit_tensor_bytes(&edit.tensors[i]) == 0 ||
		    (type != QUERN_F32 && type != QUERN_F16 && type != QUERN_BF16 &&
		     edit.tensors[i].n_dims == 1))
			refuse_edited("of another type", name_tensor(i));
		else
			try_edited("of another type");
	}
}

static void test_tensors(void)
{
	int n;

	start_edit();
	n = edit.n_tensors;
	for (int i = 0; i < n; i++) {
		char name[64];

		start_edit();
		snprintf(name, sizeof name, "%s", name_tensor(i));
		edit_drop_tensor(&edit, i);
		if (is_optional(name))
			try_edited("without a tensor");
		else
			refuse_edited("missing", named_for(name));
		start_edit();
		edit.tensors[i].name = edit_text(&edit, "blk.7.attn_norm.weight");
		/* Nothing may be left over. */
		refuse_edited("of another name", is_optional(name) ? "no place" : named_for(name));
		test_shapes(i);
		test_types(i);
	}
}

/* Each architecture once. */
static void test_edits(void)
{
	char before[16] = "";

	for (int i = 0; i < N_SOUND; i++) {
		sound_bytes = sound_make(i, &edit, sound);
		start_edit();
		snprintf(arch, sizeof arch, "%.*s",
			 (int)edit_find(&edit, "general.architecture")->value.n - 8,
			 (const char *)edit_find(&edit, "general.architecture")->value.p + 8);
		if (!CHECK(try_edited("sound")))
			printf("%s: %s\n", arch, err.text);
		if (!strcmp(arch, before))
			continue;
		snprintf(before, sizeof before, "%s", arch);
		test_keys();
		test_tensors();
	}
}

/* ---- contexts of any size ---- */

static void test_options(void)
{
	static const long numbers[] = {-1, LONG_MIN, 1L << 31, LONG_MAX};
	struct quern_model *model;
	struct quern_context *context;

	make_model("llama", QUERN_F16);
	if (!CHECK(quern_model_open(&model, engine, path, NULL, &err) == 0))
		return;
	for (int what = 0; what < 6; what++) {
		for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
			struct quern_context_options o = {.size = sizeof o, .n_sequences = 3};
			long *const fields[] = {&o.n_context, &o.n_positions, &o.n_batch,
						&o.n_outputs};

			if (what < 4)
				*fields[what] = numbers[i];
			else
				*(what == 4 ? &o.n_sequences : &o.cache_type) =
					numbers[i] < 0 ? -1 : INT_MAX - (int)i;
			err.text[0] = '\0';
			CHECK(quern_context_open(&context, model, &o, &err) == -1);
			CHECK(context == NULL);
			CHECK_SAYS(err.text, what == 5 ? "QUERN_F16" : "1 to ");
		}
	}
	quern_model_close(model);
}

/* ---- sessions ---- */

static void test_sessions(void)
{
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

	if (!CHECK(scratch_open(folder)))
		return check_exit();
	snprintf(path, sizeof path, "%s/model.gguf", folder);
	if (!CHECK(quern_open(&engine, &options, &err) == 0))
		return check_exit();
	test_mutants("llama", QUERN_F32);
	test_mutants("phi3", QUERN_Q4_0);
	test_mutants("gemma3", QUERN_Q8_0);
	test_cuts();
	test_edits();
	test_options();
	test_sessions();
	quern_close(engine);
	unlink(path);
	scratch_remove_tree(folder);
	return check_exit();
}
