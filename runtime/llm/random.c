/*
 * random.c: writes models of random weights.
 *
 * What keys and tensors a model has is in two tables, of which its architecture's flags and its
 * shape pick their rows; the names are those that llama.cpp's converters write.
 */
#include "random.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../format_write.h"
#include "gguf_write.h"
#include "random_fill.h"
#include "random_shape.h"
#include "random_vocab.h"

enum {
	PIECE_BYTES = 1 << 20, /* about so much is made and written at a time */
	SEARCHED_WEIGHTS = 8 << 20,
	PROGRESS_BYTES = 16 << 20
};

/* ---- keys ---- */

#define SHAPE(member) offsetof(struct qn_random_shape, member)

/* Numbers of a shape; a key whose number is 0 is left out. */
static const struct key {
	const char *name;
	size_t at;
	int is_float;
	unsigned flag; /* that the architecture must have; 0: none */
} keys[] = {
	{"vocab_size", SHAPE(n_vocab), 0, 0},
	{"context_length", SHAPE(n_context), 0, 0},
	{"embedding_length", SHAPE(n_embd), 0, 0},
	{"block_count", SHAPE(n_layers), 0, 0},
	{"feed_forward_length", SHAPE(n_ff), 0, 0},
	{"attention.head_count", SHAPE(n_heads), 0, 0},
	{"attention.head_count_kv", SHAPE(n_kv_heads), 0, 0},
	{"attention.key_length", SHAPE(head_dim), 0, QN_RANDOM_HEAD_KEYS},
	{"attention.value_length", SHAPE(head_dim), 0, QN_RANDOM_HEAD_KEYS},
	{"attention.sliding_window", SHAPE(window), 0, 0},
	{"attn_logit_softcapping", SHAPE(attention_cap), 1, 0},
	{"final_logit_softcapping", SHAPE(logit_cap), 1, 0},
	{"rope.dimension_count", SHAPE(n_rot), 0, QN_RANDOM_ROT_KEY},
	{"rope.freq_base", SHAPE(freq_base), 1, 0},
};

static const char *key_name(char text[64], const struct qn_random_shape *s, const char *name)
{
	snprintf(text, 64, "%s.%s", s->arch->name, name);
	return text;
}

/* How the rotation is scaled; Llama 3 needs no key beside rope_freqs.weight. */
static void write_rope_keys(struct qn_gguf_write *file, const struct qn_random_shape *s)
{
	char name[64];

	if (s->rope == QN_RANDOM_ROPE_LINEAR) {
		qn_gguf_write_string(file, key_name(name, s, "rope.scaling.type"), "linear");
		qn_gguf_write_f32(file, key_name(name, s, "rope.scaling.factor"), s->factor);
	}
	if (!strcmp(s->arch->name, "phi3"))
		qn_gguf_write_u32(file, key_name(name, s, "rope.scaling.original_context_length"),
				  (uint32_t)s->original_context);
	if (s->rope == QN_RANDOM_ROPE_LONG) {
		const double times = (double)s->n_context / (double)s->original_context;

		qn_gguf_write_f32(file, key_name(name, s, "rope.scaling.attn_factor"),
				  times > 1 ? (float)sqrt(1 +
							  log(times) /
								  log((double)s->original_context))
					    : 1);
	}
}

static void write_keys(struct qn_gguf_write *file, const struct qn_random *what,
		       const struct qn_random_shape *s)
{
	const int has_other_heads = s->n_heads * s->head_dim != s->n_embd;
	char name[64];

	qn_gguf_write_string(file, "general.architecture", s->arch->name);
	qn_gguf_write_string(file, "general.type", "model");
	/* Without '-': llama.cpp asks models that are named phi-3 for that one's tokens. */
	snprintf(name, sizeof(name), "random %s", s->name);
	for (char *p = name; *p; p++)
		*p = (char)(*p == '-' ? ' ' : *p);
	qn_gguf_write_string(file, "general.name", name);
	qn_gguf_write_file_type(file, what->type);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *at = (const char *)s + keys[i].at;
		const unsigned flags = s->arch->flags | (has_other_heads ? QN_RANDOM_HEAD_KEYS : 0);

		if (keys[i].flag && !(flags & keys[i].flag))
			continue;
		key_name(name, s, keys[i].name);
		if (keys[i].is_float && *(const float *)(const void *)at != 0)
			qn_gguf_write_f32(file, name, *(const float *)(const void *)at);
		else if (!keys[i].is_float && *(const long *)(const void *)at != 0)
			qn_gguf_write_u32(file, name, (uint32_t)(*(const long *)(const void *)at));
	}
	qn_gguf_write_f32(file,
			  key_name(name, s,
				   s->arch->flags & QN_RANDOM_BIASES
					   ? "attention.layer_norm_epsilon"
					   : "attention.layer_norm_rms_epsilon"),
			  s->arch->epsilon);
	write_rope_keys(file, s);
}

/* ---- tensors ---- */

/* What a dimension is; 1: a tensor of one dimension. */
enum dim { NONE, EMBD, HEADS, KV, QKV, HEAD, FF, FF2, VOCAB, HALF_ROT };

enum content { MATRIX, OUTPUT_MATRIX, NORM, BIAS, LLAMA3_FACTORS, LONG_FACTORS, SHORT_FACTORS };

struct part {
	const char *name;
	enum dim k, m;
	enum content content;
	unsigned with, without; /* flags of the architecture */
};

static const struct part first_parts[] = {
	{"token_embd.weight", EMBD, VOCAB, OUTPUT_MATRIX, 0, 0},
};

static const struct part layer_parts[] = {
	{"attn_norm.weight", EMBD, NONE, NORM, 0, 0},
	{"attn_norm.bias", EMBD, NONE, BIAS, QN_RANDOM_BIASES, 0},
	{"attn_qkv.weight", EMBD, QKV, MATRIX, QN_RANDOM_FUSED_QKV, 0},
	{"attn_qkv.bias", QKV, NONE, BIAS, QN_RANDOM_FUSED_QKV | QN_RANDOM_BIASES, 0},
	{"attn_q.weight", EMBD, HEADS, MATRIX, 0, QN_RANDOM_FUSED_QKV},
	{"attn_q.bias", HEADS, NONE, BIAS, QN_RANDOM_QKV_BIAS, 0},
	{"attn_k.weight", EMBD, KV, MATRIX, 0, QN_RANDOM_FUSED_QKV},
	{"attn_k.bias", KV, NONE, BIAS, QN_RANDOM_QKV_BIAS, 0},
	{"attn_v.weight", EMBD, KV, MATRIX, 0, QN_RANDOM_FUSED_QKV},
	{"attn_v.bias", KV, NONE, BIAS, QN_RANDOM_QKV_BIAS, 0},
	{"attn_q_norm.weight", HEAD, NONE, NORM, QN_RANDOM_QK_NORM, 0},
	{"attn_k_norm.weight", HEAD, NONE, NORM, QN_RANDOM_QK_NORM, 0},
	{"attn_sub_norm.weight", HEADS, NONE, NORM, QN_RANDOM_SUB_NORM, 0},
	{"attn_output.weight", HEADS, EMBD, MATRIX, 0, 0},
	{"attn_output.bias", EMBD, NONE, BIAS, QN_RANDOM_BIASES, 0},
	{"post_attention_norm.weight", EMBD, NONE, NORM, QN_RANDOM_POST_NORM, 0},
	{"ffn_norm.weight", EMBD, NONE, NORM, 0, QN_RANDOM_PARALLEL},
	{"ffn_gate.weight", EMBD, FF, MATRIX, 0, QN_RANDOM_NO_GATE | QN_RANDOM_FUSED_UP},
	{"ffn_up.weight", EMBD, FF, MATRIX, 0, QN_RANDOM_FUSED_UP},
	{"ffn_up.weight", EMBD, FF2, MATRIX, QN_RANDOM_FUSED_UP, 0},
	{"ffn_up.bias", FF, NONE, BIAS, QN_RANDOM_BIASES, 0},
	{"ffn_sub_norm.weight", FF, NONE, NORM, QN_RANDOM_SUB_NORM, 0},
	{"ffn_down.weight", FF, EMBD, MATRIX, 0, 0},
	{"ffn_down.bias", EMBD, NONE, BIAS, QN_RANDOM_BIASES, 0},
	{"post_ffw_norm.weight", EMBD, NONE, NORM, QN_RANDOM_POST_NORM, 0},
};

static const struct part last_parts[] = {
	{"output_norm.weight", EMBD, NONE, NORM, 0, 0},
	{"output_norm.bias", EMBD, NONE, BIAS, QN_RANDOM_BIASES, 0},
	{"output.weight", EMBD, VOCAB, OUTPUT_MATRIX, 0, QN_RANDOM_TIED},
	{"output.bias", VOCAB, NONE, BIAS, QN_RANDOM_BIASES, 0},
	{"rope_freqs.weight", HALF_ROT, NONE, LLAMA3_FACTORS, 0, 0},
	{"rope_factors_long.weight", HALF_ROT, NONE, LONG_FACTORS, 0, 0},
	{"rope_factors_short.weight", HALF_ROT, NONE, SHORT_FACTORS, 0, 0},
};

struct tensor {
	char name[64];
	enum content content;
	int type;
	long k, m;
};

struct plan {
	const struct qn_random *what;
	struct qn_random_shape shape;
	struct quern_gguf *vocab;
	int output_type;
	struct tensor *tensors;
	int n_tensors;
	uint64_t n_bytes; /* of all data */
	long n_weights;   /* of all matrices */
};

static long size_of(const struct qn_random_shape *s, enum dim dim)
{
	switch (dim) {
	case EMBD: return s->n_embd;
	case HEADS: return s->n_heads * s->head_dim;
	case KV: return s->n_kv_heads * s->head_dim;
	case QKV: return (s->n_heads + 2 * s->n_kv_heads) * s->head_dim;
	case HEAD: return s->head_dim;
	case FF: return s->n_ff;
	case FF2: return 2 * s->n_ff;
	case VOCAB: return s->n_vocab;
	case HALF_ROT: return s->n_rot / 2;
	default: return 1;
	}
}

static int is_there(const struct qn_random_shape *s, const struct part *part)
{
	const unsigned flags = s->arch->flags | (s->is_tied ? QN_RANDOM_TIED : 0);

	if ((flags & part->with) != part->with || (flags & part->without))
		return 0;
	switch (part->content) {
	case LLAMA3_FACTORS: return s->rope == QN_RANDOM_ROPE_LLAMA3;
	case LONG_FACTORS:
	case SHORT_FACTORS: return s->rope == QN_RANDOM_ROPE_LONG;
	default: return 1;
	}
}

static struct quern_tensor describe(const struct tensor *tensor)
{
	return (struct quern_tensor){.name = tensor->name,
				     .type = tensor->type,
				     .n_dims = tensor->m > 1 ? 2 : 1,
				     .dims = {(uint64_t)tensor->k, (uint64_t)tensor->m, 1, 1}};
}

static void add_parts(struct plan *plan, const struct part *parts, size_t n, int layer)
{
	const struct qn_random_shape *s = &plan->shape;

	for (size_t i = 0; i < n; i++) {
		struct tensor *tensor = &plan->tensors[plan->n_tensors];
		struct quern_tensor described;

		if (!is_there(s, &parts[i]))
			continue;
		plan->n_tensors++;
		*tensor = (struct tensor){.content = parts[i].content,
					  .type = QUERN_F32,
					  .k = size_of(s, parts[i].k),
					  .m = size_of(s, parts[i].m)};
		if (tensor->content == MATRIX)
			tensor->type = plan->what->type;
		if (tensor->content == OUTPUT_MATRIX)
			tensor->type = plan->output_type;
		if (tensor->content == MATRIX || tensor->content == OUTPUT_MATRIX)
			plan->n_weights += tensor->k * tensor->m;
		if (layer < 0)
			snprintf(tensor->name, sizeof(tensor->name), "%s", parts[i].name);
		else
			snprintf(tensor->name, sizeof(tensor->name), "blk.%d.%s", layer,
				 parts[i].name);
		described = describe(tensor);
		plan->n_bytes += qn_gguf_write_tensor_bytes(&described);
	}
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int add_tensors(struct plan *plan, struct quern_error *err)
{
	const size_t n_layers = (size_t)plan->shape.n_layers;

	plan->tensors =
		calloc(COUNT(first_parts) + n_layers * COUNT(layer_parts) + COUNT(last_parts),
		       sizeof(*plan->tensors));
	if (!plan->tensors)
		return qn_error_set(err, "out of memory");
	add_parts(plan, first_parts, COUNT(first_parts), -1);
	for (size_t i = 0; i < n_layers; i++)
		add_parts(plan, layer_parts, COUNT(layer_parts), (int)i);
	add_parts(plan, last_parts, COUNT(last_parts), -1);
	return 0;
}

/* Values that a row of a type must have a multiple of; of I2_S the whole tensor. */
static long block_of(int type)
{
	long n_values = 1, n_bytes;

	quern_type_block(type, &n_values, &n_bytes);
	return type == QUERN_I2_S ? 128 : n_values;
}

static int check_blocks(const struct plan *plan, struct quern_error *err)
{
	for (int i = 0; i < plan->n_tensors; i++) {
		const struct tensor *tensor = &plan->tensors[i];
		const int is_i2_s = tensor->type == QUERN_I2_S;
		const long n = is_i2_s ? tensor->k * tensor->m : tensor->k;

		if (n % block_of(tensor->type))
			return qn_error_set(
				err,
				"tensor %s: %s of %ld values; %s needs a multiple of %ld, so "
				"another type or size is wanted",
				tensor->name, is_i2_s ? "a matrix" : "rows", n,
				quern_type_name(tensor->type), block_of(tensor->type));
	}
	return 0;
}

/* ---- data ---- */

/* Llama 3.1's rule: slow rotations are slowed by factor, fast ones are left, with a slope between. */
static float llama3_factor(const struct qn_random_shape *s, long i)
{
	const double pi = 3.141592653589793, low = 1, high = 4;
	const double turn = 2 * pi * pow((double)s->freq_base, 2.0 * (double)i / (double)s->n_rot);
	const double turns = (double)s->original_context / turn;
	const double part = (turns - low) / (high - low);

	if (turns > high)
		return 1;
	return turns < low ? s->factor : (float)(1 / ((1 - part) / (double)s->factor + part));
}

/* Made up, but as those of Phi-3: short ones are near 1, long ones grow to the ratio of contexts. */
static float long_factor(const struct qn_random_shape *s, long i)
{
	const double times = (double)s->n_context / (double)s->original_context;

	return (float)pow(times > 1 ? times : 1, 2.0 * (double)i / (double)s->n_rot);
}

static void write_factors(struct qn_gguf_write *file, const struct qn_random_shape *s,
			  const struct tensor *tensor)
{
	for (long i = 0; i < tensor->k; i++) {
		const float factor = tensor->content == LLAMA3_FACTORS ? llama3_factor(s, i)
				     : tensor->content == LONG_FACTORS
					     ? long_factor(s, i)
					     : 1 + (float)i / (float)(8 * tensor->k);

		qn_gguf_write_data(file, &factor, sizeof(factor));
	}
}

struct run {
	struct plan *plan;
	struct qn_gguf_write *file;
	uint8_t *buffer;
	size_t n_room;
	uint64_t n_done, n_told;
};

static int tell(struct run *run, uint64_t n_bytes)
{
	const struct qn_random *what = run->plan->what;

	run->n_done += n_bytes;
	if (!what->progress || run->n_done - run->n_told < PROGRESS_BYTES)
		return 0;
	run->n_told = run->n_done;
	return what->progress(what->context, run->n_done, run->plan->n_bytes);
}

static int make_room(struct run *run, size_t n_bytes)
{
	uint8_t *buffer;

	if (n_bytes <= run->n_room)
		return 0;
	buffer = realloc(run->buffer, n_bytes);
	if (!buffer)
		return -1;
	run->buffer = buffer;
	run->n_room = n_bytes;
	return 0;
}

/* In pieces of whole rows; of I2_S, whose codes go on through the tensor, 128 values are a row. */
static int write_rows(struct run *run, struct qn_random_fill *fill, uint64_t seed, long n_rows,
		      struct quern_error *err)
{
	const long fitting = PIECE_BYTES / fill->row_bytes, n_piece = fitting ? fitting : 1;

	if (make_room(run, (size_t)(n_piece * fill->row_bytes)))
		return qn_error_set(err, "out of memory");
	for (long r = 0; r < n_rows; r += n_piece) {
		const long n = n_rows - r < n_piece ? n_rows - r : n_piece;
		const size_t n_bytes = (size_t)(n * fill->row_bytes);

		qn_random_fill_rows(fill, seed, r, n, run->buffer);
		qn_gguf_write_data(run->file, run->buffer, n_bytes);
		if (qn_gguf_write_has_failed(run->file))
			return 0; /* closing the file says why */
		if (tell(run, n_bytes))
			return qn_error_set(err, "stopped");
	}
	return 0;
}

static int write_tensor(struct run *run, const struct tensor *tensor, uint64_t seed,
			struct quern_error *err)
{
	const int is_matrix = tensor->content == MATRIX || tensor->content == OUTPUT_MATRIX;
	const int is_i2_s = tensor->type == QUERN_I2_S;
	const double deviation = is_matrix ? 1 / sqrt((double)tensor->k) : 0.1;
	uint8_t tail[QN_FORMAT_WRITE_TAIL];
	struct qn_random_fill fill;
	int failed;

	if (tensor->content >= LLAMA3_FACTORS) {
		write_factors(run->file, &run->plan->shape, tensor);
		return 0;
	}
	if (qn_random_fill_start(&fill, tensor->type, is_i2_s ? 128 : tensor->k,
				 tensor->content == NORM, deviation,
				 run->plan->n_weights <= SEARCHED_WEIGHTS))
		return qn_error_set(err, "out of memory");
	failed = write_rows(run, &fill, seed, is_i2_s ? tensor->k * tensor->m / 128 : tensor->m,
			    err);
	qn_random_fill_end(&fill);
	if (!failed && is_i2_s) {
		qn_format_write_tail(qn_random_fill_ternary_scale(deviation), tail);
		qn_gguf_write_data(run->file, tail, sizeof(tail));
	}
	return failed;
}

/* ---- the whole file ---- */

static int open_vocab(struct plan *plan, struct quern_error *err)
{
	const struct qn_random *what = plan->what;
	struct qn_random_shape *s = &plan->shape;
	long n_tokens;

	if (!what->vocab) {
		if (s->n_vocab >= QN_RANDOM_VOCAB_LEAST && s->n_vocab <= QN_RANDOM_VOCAB_MOST)
			return 0;
		return qn_error_set(err,
				    "a vocabulary of %ld tokens; a made-up one can have %d to %d",
				    s->n_vocab, QN_RANDOM_VOCAB_LEAST, QN_RANDOM_VOCAB_MOST);
	}
	if (quern_gguf_open(&plan->vocab, what->vocab, err))
		return -1;
	n_tokens = qn_random_vocab_count(plan->vocab);
	if (n_tokens < 1)
		return qn_error_set(err, "%.160s: it has no tokenizer.ggml.tokens", what->vocab);
	if (what->n_vocab && what->n_vocab < n_tokens)
		return qn_error_set(err, "%.120s: it has %ld tokens, which is more than %ld",
				    what->vocab, n_tokens, what->n_vocab);
	s->n_vocab = what->n_vocab ? what->n_vocab : n_tokens;
	return 0;
}

static int make_plan(struct plan *plan, struct quern_error *err)
{
	const struct qn_random *what = plan->what;
	const struct qn_random_shape wanted = {.n_layers = what->n_layers,
					       .n_embd = what->n_embd,
					       .n_heads = what->n_heads,
					       .n_kv_heads = what->n_kv_heads,
					       .head_dim = what->head_dim,
					       .n_ff = what->n_ff,
					       .n_vocab = what->n_vocab,
					       .n_context = what->n_context};
	long block;

	plan->output_type = what->output_type >= 0     ? what->output_type
			    : what->type == QUERN_I2_S ? QUERN_F16
						       : what->type;
	block = block_of(what->type);
	if (block_of(plan->output_type) > block)
		block = block_of(plan->output_type);
	if (qn_random_shape_find(what->arch, what->size, &wanted, block, &plan->shape, err) ||
	    open_vocab(plan, err) || add_tensors(plan, err))
		return -1;
	return check_blocks(plan, err);
}

static int write_file(struct plan *plan, struct run *run, struct quern_error *err)
{
	const char *template = plan->what->chat_template;
	uint64_t state = plan->what->seed;

	write_keys(run->file, plan->what, &plan->shape);
	if (plan->vocab)
		qn_random_vocab_copy(run->file, plan->vocab, plan->shape.n_vocab, !template);
	else
		qn_random_vocab_write(run->file, plan->shape.arch->vocab, plan->shape.n_vocab);
	if (template)
		qn_gguf_write_string(run->file, "tokenizer.chat_template", template);
	for (int i = 0; i < plan->n_tensors; i++) {
		const struct quern_tensor described = describe(&plan->tensors[i]);

		qn_gguf_write_tensor(run->file, &described);
	}
	for (int i = 0; i < plan->n_tensors; i++) {
		if (write_tensor(run, &plan->tensors[i], qn_random_fill_next(&state), err))
			return -1;
	}
	return 0;
}

int qn_random_write(const char *path, const struct qn_random *what, struct quern_error *err)
{
	struct plan plan = {.what = what};
	struct run run = {.plan = &plan};
	int failed = -1;

	if (make_plan(&plan, err) || qn_gguf_write_open(&run.file, path, err))
		goto out;
	if (write_file(&plan, &run, err))
		qn_gguf_write_abort(run.file);
	else
		failed = qn_gguf_write_close(run.file, err);
out:
	free(run.buffer);
	free(plan.tensors);
	quern_gguf_close(plan.vocab);
	return failed;
}
