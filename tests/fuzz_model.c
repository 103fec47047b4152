/*
 * fuzz_model.c: bytes as a model file; what opens is run, in tiny contexts.
 *
 * For libFuzzer.  Inputs start as sound models of every architecture and are edited as GGUF files
 * are made: keys, types, names, shapes, most of the time with tensors laid out to fit, so that what is
 * wrong reaches the model and not the parser alone.  An input may be two files, the parts of one
 * model.  Files are opened from blocks of exactly their size, and buffers come from malloc, so that
 * AddressSanitizer sees an overrun by one byte.
 *
 *	make obj/fuzz/fuzz_model
 *	obj/fuzz/fuzz_model -max_len=100000 -rss_limit_mb=1000 -malloc_limit_mb=100 CORPUS-FOLDER
 */
#include <time.h>

#include "pages.h"
#include "sound_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);
int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerMutate(uint8_t *data, size_t n_bytes, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n_bytes, size_t room, unsigned seed);

#define REQUIRE(condition) require(condition, __LINE__, #condition)

static struct quern_engine *engine;
static struct quern_error err;

static void require(int ok, int line, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_model.c:%d: %s; the last sentence: %s\n", line, what, err.text);
	abort();
}

static unsigned below(uint64_t *state, unsigned n)
{
	return (unsigned)(check_random(state) % n);
}

/* ---- what the library asks for ---- */

static const struct edit_slice *parts; /* of the input */
static uint8_t *blocks[2];

/* A copy of exactly this size. */
static uint8_t *copy_exactly(struct edit_slice s)
{
	void *p = NULL;

	REQUIRE(posix_memalign(&p, 64, s.n ? s.n : 1) == 0);
	if (s.n)
		memcpy(p, s.p, s.n);
	return p;
}

int __wrap_quern_gguf_open(struct quern_gguf **file, const char *path, struct quern_error *why);
int __wrap_quern_gguf_open(struct quern_gguf **file, const char *path, struct quern_error *why)
{
	const int i = strstr(path, "-00001-of-") ? 0 : strstr(path, "-00002-of-") ? 1 : 2;

	*file = NULL;
	if (i == 2 || !parts[i].n) {
		snprintf(why->text, sizeof why->text, "%s: cannot open: no such part", path);
		return -1;
	}
	REQUIRE(!blocks[i]);
	blocks[i] = copy_exactly(parts[i]);
	return qn_gguf_parse(blocks[i], parts[i].n, path, file, why);
}

void *__wrap_qn_pages_alloc(size_t n_bytes, int huge);
void __wrap_qn_pages_free(void *p, size_t n_bytes);

void *__wrap_qn_pages_alloc(size_t n_bytes, int huge)
{
	void *p = NULL;

	(void)huge;
	REQUIRE(n_bytes < 64 << 20); /* files and contexts are tiny */
	if (posix_memalign(&p, 64, n_bytes ? n_bytes : 1))
		return NULL;
	memset(p, 0, n_bytes);
	return p;
}

void __wrap_qn_pages_free(void *p, size_t n_bytes)
{
	(void)n_bytes;
	free(p);
}

/* ---- running a model ---- */

enum { N_IDS = 6, N_CONTEXT = 40, MAX_SECONDS = 2 };

static void fuzz_logits(struct quern_context *c, struct quern_sampler *sampler, long n,
			long n_vocab)
{
	for (long i = 0; i < n; i++) {
		const float *logits = quern_logits(c, i);
		int32_t id;

		REQUIRE(logits != NULL);
		id = quern_sample(sampler, logits);
		REQUIRE(id >= 0 && id < n_vocab);
	}
	REQUIRE(quern_logits(c, n) == NULL);
}

static void fuzz_feed(struct quern_context *c, struct quern_sampler *sampler,
		      const struct quern_model_info *info, unsigned choice)
{
	int32_t ids[N_IDS];
	const struct quern_input first = {0, ids, N_IDS, QUERN_ALL_LOGITS};
	const struct quern_input next[] = {{1, ids + 2, 2, QUERN_LAST_LOGITS},
					   {0, ids, 1, QUERN_NO_LOGITS},
					   {1, ids, 1, QUERN_LAST_LOGITS}};
	const int32_t wrong = (int32_t)info->n_vocab;
	const struct quern_input refused = {0, &wrong, 1, QUERN_LAST_LOGITS};
	const long n_context = quern_context_length(c);

	for (int i = 0; i < N_IDS; i++)
		ids[i] = (int32_t)((choice * 7 + (unsigned)(i * i)) % (unsigned)info->n_vocab);
	if (quern_feed(c, &first, 1, &err)) {
		REQUIRE(n_context < N_IDS && strlen(err.text) > 20);
		REQUIRE(quern_sequence_length(c, 0) == 0);
		return;
	}
	fuzz_logits(c, sampler, N_IDS, info->n_vocab);
	quern_sequence_share(c, 0, 1, 4);
	REQUIRE(quern_sequence_length(c, 1) == 4);
	if (quern_feed(c, next, 3, &err) == 0)
		fuzz_logits(c, sampler, 2, info->n_vocab);
	else
		REQUIRE(n_context < N_IDS + 1);
	REQUIRE(quern_feed(c, &refused, 1, &err) == -1);
	REQUIRE(quern_sequence_match(c, 0, ids, N_IDS) == N_IDS - 1);
	quern_sequence_cut(c, 1, 1);
	REQUIRE(quern_feed(c, next + 1, 1, &err) == 0);
}

static void fuzz_context(struct quern_model *model, unsigned choice)
{
	struct quern_model_info info;
	struct quern_context_options options = {.size = sizeof options,
						.n_sequences = 2,
						.n_batch = 1 + choice % 8,
						.n_outputs = N_IDS};
	const struct quern_sampler_options how = {.size = sizeof how,
						  .temperature = (float)(choice / 8 % 2),
						  .top_k = choice / 16 % 5,
						  .top_p = 0.9f,
						  .min_p = 0.01f,
						  .repeat_penalty = 1.1f,
						  .seed = choice};
	struct quern_context *context;
	struct quern_sampler *sampler;

	quern_model_info(model, &info);
	REQUIRE(info.n_vocab > 0 && info.n_embd > 0 && info.n_layers > 0 && info.n_context > 0);
	options.n_context = info.n_context < N_CONTEXT ? info.n_context : N_CONTEXT;
	options.cache_type = choice / 128 % 2 ? QUERN_Q8_0 : QUERN_F16;
	REQUIRE(quern_context_open(&context, model, &options, &err) == 0);
	REQUIRE(quern_sampler_open(&sampler, info.n_vocab, &how, &err) == 0);
	fuzz_feed(context, sampler, &info, choice);
	quern_sampler_close(sampler);
	quern_context_close(context);
}

static void fuzz_model(struct quern_model *model, unsigned choice)
{
	struct quern_tokenizer *t;

	if (quern_tokenizer_open(&t, quern_model_file(model), &err))
		REQUIRE(t == NULL && strlen(err.text) > 12);
	else
		fuzz_use(t, choice);
	quern_tokenizer_close(t);
	fuzz_context(model, choice);
}

/* Where the second file of an input starts, or its end. */
static size_t find_second(const uint8_t *data, size_t n_bytes)
{
	const uint8_t *at = n_bytes > 8 ? memmem(data + 8, n_bytes - 8, "GGUF\3\0\0\0", 8) : NULL;

	return at ? (size_t)(at - data) : n_bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
	static const char path[] = "fuzz-00001-of-00002.gguf";
	const size_t at = find_second(data, n_bytes);
	const struct edit_slice both[2] = {{data, at}, {data + at, n_bytes - at}};
	struct quern_model *model;
	const clock_t start = clock();

	parts = both;
	err.text[0] = '\0';
	if (quern_model_open(&model, engine, path, NULL, &err)) {
		REQUIRE(model == NULL && strlen(err.text) > 36);
		REQUIRE(!strncmp(err.text, path, 8));
	} else {
		fuzz_model(model, n_bytes ? (unsigned)n_bytes * 31 + data[n_bytes / 2] : 0);
		quern_model_close(model);
	}
	for (int i = 0; i < 2; i++) {
		free(blocks[i]);
		blocks[i] = NULL;
	}
	REQUIRE(clock() - start < MAX_SECONDS * CLOCKS_PER_SEC);
	return 0;
}

/* ---- sound models ---- */

static struct edit edit;
static struct edit_slice sounds[N_SOUND];

static void make_sound(int i)
{
	static uint8_t room[SOUND_BYTES];
	const struct edit_slice made = {room, sound_make(i, &edit, room)};

	sounds[i] = (struct edit_slice){copy_exactly(made), made.n};
}

static const uint32_t matrix_types[] = {QUERN_F32,   QUERN_F16,    QUERN_BF16,   QUERN_Q4_0,
					QUERN_Q4_1,  QUERN_Q5_0,   QUERN_Q5_1,   QUERN_Q8_0,
					QUERN_Q2_K,  QUERN_Q3_K,   QUERN_Q4_K,   QUERN_Q5_K,
					QUERN_Q6_K,  QUERN_IQ4_NL, QUERN_IQ4_XS, QUERN_TQ1_0,
					QUERN_TQ2_0, QUERN_I2_S,   QUERN_Q1_0,   QUERN_Q2_0};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct quern_options options = {.size = sizeof options, .n_threads = 1};

	(void)argc;
	(void)argv;
	for (int i = 0; i < N_SOUND; i++)
		make_sound(i);
	REQUIRE(quern_open(&engine, &options, &err) == 0);
	return 0;
}

/* ---- edits ---- */

static const char *const archs[] = {"llama",  "qwen2",     "qwen3",        "phi2",   "phi3",
				    "bitnet", "bitnet-25", "bitnet-b1.58", "gemma2", "gemma3"};

/* After the architecture's name and a dot. */
static const char *const arch_keys[] = {"embedding_length",
					"block_count",
					"feed_forward_length",
					"context_length",
					"vocab_size",
					"expert_count",
					"attention.head_count",
					"attention.head_count_kv",
					"attention.key_length",
					"attention.value_length",
					"attention.layer_norm_rms_epsilon",
					"attention.layer_norm_epsilon",
					"attention.sliding_window",
					"attn_logit_softcapping",
					"final_logit_softcapping",
					"rope.dimension_count",
					"rope.freq_base",
					"rope.freq_base_swa",
					"rope.scaling.type",
					"rope.scaling.factor",
					"rope.scaling.original_context_length",
					"rope.scaling.attn_factor"};

static const char *const plain_keys[] = {"general.architecture",
					 "general.alignment",
					 "general.file_type",
					 "general.name",
					 "split.no",
					 "split.count",
					 "tokenizer.ggml.model",
					 "tokenizer.ggml.pre",
					 "tokenizer.ggml.tokens",
					 "tokenizer.ggml.scores",
					 "tokenizer.ggml.merges",
					 "tokenizer.ggml.token_type",
					 "tokenizer.ggml.bos_token_id",
					 "tokenizer.ggml.eos_token_id",
					 "tokenizer.ggml.eot_token_id",
					 "tokenizer.ggml.eom_token_id",
					 "tokenizer.ggml.unknown_token_id",
					 "tokenizer.ggml.padding_token_id",
					 "tokenizer.ggml.add_bos_token",
					 "tokenizer.ggml.add_eos_token",
					 "tokenizer.ggml.add_space_prefix",
					 "tokenizer.chat_template"};

static const char *const words[] = {"llama",
				    "gpt2",
				    "default",
				    "llama-bpe",
				    "qwen2",
				    "tekken",
				    "gpt-2",
				    "none",
				    "linear",
				    "llama3",
				    "longrope",
				    "yarn",
				    "phi-3",
				    "",
				    "[INST] <<SYS>> bos_token",
				    "<|start_header_id|>",
				    "<|im_start|>assistant<think>",
				    "<start_of_turn>",
				    "<|user|><|end|>",
				    "Human: Assistant: System: {{ message }} <|eot_id|>"};

static const char *const tensor_names[] = {"token_embd.weight",
					   "output.weight",
					   "output.bias",
					   "output.scale",
					   "output_norm.weight",
					   "output_norm.bias",
					   "rope_freqs.weight",
					   "rope_factors_short.weight",
					   "rope_factors_long.weight",
					   "blk.0.attn_qkv.weight",
					   "blk.0.attn_qkv.bias",
					   "blk.0.attn_q.weight",
					   "blk.0.attn_k.bias",
					   "blk.0.attn_v.scale",
					   "blk.0.attn_output.weight",
					   "blk.0.attn_q_norm.weight",
					   "blk.0.attn_sub_norm.weight",
					   "blk.0.post_attention_norm.weight",
					   "blk.0.ffn_gate.weight",
					   "blk.0.ffn_up.weight",
					   "blk.0.ffn_norm.bias",
					   "blk.0.ffn_down.scale",
					   "blk.1.attn_norm.weight"};

#define PICK(state, list) ((list)[below(state, sizeof(list) / sizeof *(list))])

static uint64_t pick_number(uint64_t *state)
{
	static const uint64_t numbers[] = {0,          1,          2,
					   3,          4,          8,
					   16,         32,         64,
					   128,        255,        256,
					   512,        513,        4096,
					   65535,      1 << 20,    1 << 24,
					   1 << 30,    0x7fffffff, 0x80000000,
					   0xffffffff, 1ull << 32, 1ull << 40,
					   INT64_MAX,  1ull << 63, UINT64_MAX - 7,
					   UINT64_MAX};

	return below(state, 4) ? PICK(state, numbers) : check_random(state) >> below(state, 64);
}

/* A small number for shapes, so that what fits each other stays small. */
static uint64_t pick_size(uint64_t *state)
{
	static const uint64_t sizes[] = {1, 2, 4, 8, 16, 24, 32, 40, 64, 96, 128, 256};

	return below(state, 8) ? PICK(state, sizes) : 1 + below(state, 300);
}

static void set_value(struct edit *e, struct edit_key *key, uint32_t type, uint64_t number,
		      uint64_t *state)
{
	static const double floats[] = {0,    1,   -1,   0.5,  1e-5,     1e-30,     1e30,
					1e-3, 1e6, 1e12, 1e13, INFINITY, -INFINITY, NAN};
	const double f64 = below(state, 4) ? PICK(state, floats) : (double)number;
	const float f32 = (float)f64;
	const char *word = PICK(state, words);

	if (type == QUERN_STRING)
		edit_set_text(e, key, word, strlen(word));
	else if (type == QUERN_FLOAT32)
		edit_set(e, key, type, &f32, sizeof f32);
	else if (type == QUERN_FLOAT64)
		edit_set(e, key, type, &f64, sizeof f64);
	else if (type == QUERN_ARRAY)
		edit_set(e, key, type, "\4\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\2\0\0", 20);
	else if (type == QUERN_BOOL)
		edit_set(e, key, type, number % 2 ? "\1" : "", 1);
	else
		edit_set(e, key, type, &number, edit_type_bytes(type));
}

static void name_key(struct edit *e, uint64_t *state, char name[96])
{
	const struct edit_key *key = edit_find(e, "general.architecture");

	if (below(state, 3) == 0 || !key || key->value.n < 9)
		snprintf(name, 96, "%s", PICK(state, plain_keys));
	else
		snprintf(name, 96, "%.*s.%s", (int)(key->value.n - 8 < 40 ? key->value.n - 8 : 40),
			 (const char *)key->value.p + 8, PICK(state, arch_keys));
}

/* Bytes of a slice, damaged by libFuzzer: of the same length. */
static struct edit_slice damage(struct edit *e, struct edit_slice s, uint64_t *state)
{
	struct edit_slice copy = edit_copy(e, s.p, s.n);
	const size_t n = copy.n ? 1 + below(state, copy.n < 16 ? (unsigned)copy.n : 16) : 0;

	if (n)
		LLVMFuzzerMutate(e->memory + (copy.p - e->memory) +
					 check_random(state) % (copy.n - n + 1),
				 n, n);
	return copy.n == s.n ? copy : s;
}

static void edit_a_key(struct edit *e, uint64_t *state)
{
	struct edit_key *key = &e->keys[below(state, (unsigned)e->n_keys)];
	char name[96];

	switch (below(state, 6)) {
	case 0: /* another value of its type */
		set_value(e, key, key->type, pick_number(state), state);
		break;
	case 1: set_value(e, key, key->type, pick_size(state), state); break;
	case 2: /* the same value, another type */
		set_value(e, key, below(state, 14), edit_number(key), state);
		break;
	case 3:
		if (below(state, 2))
			edit_drop_key(e, (int)(key - e->keys));
		else if (key->value.n)
			key->value = damage(e, key->value, state);
		break;
	case 4:
		name_key(e, state, name);
		key->name = edit_text(e, name);
		break;
	default:
		name_key(e, state, name);
		key = edit_add(e, name);
		if (key)
			set_value(e, key, below(state, 13),
				  below(state, 2) ? pick_size(state) : pick_number(state), state);
	}
}

static void edit_a_tensor(struct edit *e, uint64_t *state)
{
	struct edit_tensor *t = &e->tensors[below(state, (unsigned)e->n_tensors)];
	struct edit_tensor *with = &e->tensors[below(state, (unsigned)e->n_tensors)];
	struct edit_slice name;

	switch (below(state, 10)) {
	case 0:
	case 1:
		t->type =
			below(state, 8) ? PICK(state, matrix_types) : (uint32_t)pick_number(state);
		break;
	case 2: t->dims[below(state, 4)] = pick_number(state); break;
	case 3: t->dims[below(state, t->n_dims < 4 ? t->n_dims + 1 : 4)] = pick_size(state); break;
	case 4: t->n_dims = below(state, 6); break;
	case 5: t->offset = below(state, 2) ? pick_number(state) : with->offset; break;
	case 6:
		name = t->name;
		t->name = with->name;
		with->name = name;
		break;
	case 7: t->name = edit_text(e, PICK(state, tensor_names)); break;
	case 8:
		if (below(state, 2) || e->n_tensors == EDIT_TENSORS) {
			edit_drop_tensor(e, (int)(t - e->tensors));
			break;
		}
		e->tensors[e->n_tensors] = *t;
		e->tensors[e->n_tensors++].name = edit_text(e, PICK(state, tensor_names));
		break;
	default: t->data = damage(e, t->data, state);
	}
}

/* All that has one size gets another: shapes that fit each other, or nearly. */
static void resize(struct edit *e, uint64_t *state)
{
	const struct edit_tensor *t = &e->tensors[below(state, (unsigned)e->n_tensors)];
	const uint64_t from = t->dims[below(state, 2)], to = pick_size(state);
	const int with_keys = below(state, 4) > 0;

	for (int i = 0; i < e->n_tensors; i++) {
		for (int d = 0; d < 4; d++) {
			if (e->tensors[i].dims[d] == from && from > 1)
				e->tensors[i].dims[d] = to;
		}
	}
	for (int i = 0; i < e->n_keys && with_keys; i++) {
		if (e->keys[i].type == QUERN_U32 && edit_number(&e->keys[i]) == from)
			edit_set(e, &e->keys[i], QUERN_U32, &to, 4);
	}
}

/* All matrices that can have it get one type. */
static void retype(struct edit *e, uint64_t *state)
{
	const uint32_t type = PICK(state, matrix_types);
	long n_values, n_bytes;

	quern_type_block((int)type, &n_values, &n_bytes);
	for (int i = 0; i < e->n_tensors; i++) {
		struct edit_tensor *t = &e->tensors[i];

		if (t->n_dims == 2 && t->dims[0] % (uint64_t)n_values == 0)
			t->type = type;
	}
}

/* Another architecture, with keys of its name. */
static void rename_arch(struct edit *e, uint64_t *state)
{
	const char *arch = PICK(state, archs);
	struct edit_key *key = edit_find(e, "general.architecture");
	size_t n;

	if (!key || key->value.n < 9)
		return;
	n = key->value.n - 8;
	for (int i = 0; i < e->n_keys; i++) {
		struct edit_slice *name = &e->keys[i].name;
		char full[256];

		if (name->n <= n || memcmp(name->p, key->value.p + 8, n) || name->p[n] != '.')
			continue;
		snprintf(full, sizeof full, "%s%.*s", arch,
			 name->n - n < 200 ? (int)(name->n - n) : 200, (const char *)name->p + n);
		*name = edit_text(e, full);
	}
	edit_set_text(e, key, arch, strlen(arch));
}

static void edit_counts(struct edit *e, uint64_t *state)
{
	static const uint32_t alignments[] = {0, 1, 4, 8, 16, 64, 256, 4096, 0x80000000};
	const uint32_t alignment = PICK(state, alignments);

	if (below(state, 2)) {
		sound_set(e, "", "general.alignment", alignment);
		if (alignment >= 8 && alignment <= 4096)
			e->alignment = alignment;
	} else if (below(state, 2)) {
		e->more_keys = (int)below(state, 5) - 2;
	} else {
		e->more_tensors = (int)below(state, 5) - 2;
	}
}

static void edit_once(struct edit *e, uint64_t *state)
{
	const unsigned what = below(state, 20);

	if (what < 8 && e->n_keys)
		edit_a_key(e, state);
	else if (what < 14 && e->n_tensors)
		edit_a_tensor(e, state);
	else if (what < 16 && e->n_tensors)
		resize(e, state);
	else if (what < 18)
		retype(e, state);
	else if (what < 19)
		rename_arch(e, state);
	else if (e->n_keys < EDIT_KEYS)
		edit_counts(e, state);
}

/* The last tensors go to a second file; returns the bytes of both, 0: there is no room. */
static size_t split(struct edit *e, uint8_t *data, size_t room, uint64_t *state)
{
	const int n = e->n_tensors, n_first = n ? (int)below(state, (unsigned)n) : 0;
	size_t first, second;

	sound_set(e, "split", "count", 2);
	sound_set(e, "split", "no", 0);
	e->n_tensors = n_first;
	first = edit_write(e, 1, data, room);
	e->n_keys = 0;
	e->n_tensors = n - n_first;
	memmove(e->tensors, e->tensors + n_first, (size_t)e->n_tensors * sizeof *e->tensors);
	sound_set(e, "split", "count", 2);
	sound_set(e, "split", "no", 1);
	for (int i = (int)below(state, 8); i == 0 && e->n_tensors; i++)
		edit_once(e, state);
	second = edit_write(e, 1, data + first, room - first);
	return first && second ? first + second : 0;
}

/* Bytes of the header or of all, as libFuzzer damages them. */
static size_t edit_bytes(uint8_t *data, size_t n_bytes, size_t room, uint64_t *state)
{
	size_t at = n_bytes ? check_random(state) % n_bytes : 0, n = 64;

	if (below(state, 4))
		at %= 2048;
	if (below(state, 6) == 0)
		return at; /* cut off */
	if (below(state, 6) == 0 || at + n > n_bytes)
		return LLVMFuzzerMutate(data, n_bytes, room);
	LLVMFuzzerMutate(data + at, n, n);
	return n_bytes;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n_bytes, size_t room, unsigned seed)
{
	static uint8_t from[2 * SOUND_BYTES];
	uint64_t state = seed;
	const struct edit_slice *sound = &PICK(&state, sounds);
	const int is_new = n_bytes < 24 || below(&state, 100) == 0;
	struct edit_slice whole = is_new ? *sound : (struct edit_slice){data, n_bytes};
	size_t n_first, n_rest, n;
	int is_anew;

	if (whole.n > sizeof from || (!is_new && below(&state, 8) == 0))
		return edit_bytes(data, n_bytes, room, &state);
	memcpy(from, whole.p, whole.n);
	n_first = find_second(from, whole.n);
	n_rest = whole.n - n_first;
	if (edit_read(&edit, from, n_first))
		return edit_bytes(data, n_bytes, room, &state);
	for (int i = (int)below(&state, 4); i >= 0; i--)
		edit_once(&edit, &state);
	if (!n_rest && below(&state, 16) == 0)
		return split(&edit, data, room, &state);
	is_anew = below(&state, 5) > 0;
	n = edit_write(&edit, is_anew, data, room);
	if (n == 0 || n + n_rest > room)
		return edit_bytes(data, n_bytes, room, &state);
	memcpy(data + n, from + n_first, n_rest);
	return n + n_rest;
}
