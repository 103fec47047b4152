/*
 * quern.h: low-bit matrix kernels for CPUs, the installed API of libquern.
 *
 * An engine owns threads and scratch memory; a matrix is a weight packed for the kernel that was
 * measured fastest for its format and shape; quern_multiply computes y = W x.  GGUF files are
 * read in place.
 *
 * Functions that can fail return 0, or -1 with a sentence in *err (err may be NULL).  The library
 * never prints and never exits.  Engines are independent of each other; calls on one engine
 * from several threads are taken one after the other.  Options structs start with their
 * size, so that a program built against an older header keeps working: fill them with
 * `= {.size = sizeof(struct ...)}` and set what you need, zero means default.
 */
#ifndef QUERN_H
#define QUERN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUERN_VERSION "0.1.0"

struct quern_error {
	char text[256];
};

/* ---- engine ---- */

struct quern_engine;

struct quern_options {
	size_t size;
	int n_threads;    /* default: one per cpu of `cpus`, or of the process's affinity mask */
	const char *cpus; /* "0-3,7": where threads run; default: wherever the system puts them */
	int spin_us;      /* how long idle threads spin before they sleep; default 50 */
	int loose; /* 0: one thread is pinned to each of `cpus`, in this order, and one that it
			     cannot be pinned to is an error.  1: threads, of any number, move
			     among those of `cpus` that are online and allowed; none is an error */

	/* Other threads for prompts, see below, pinned or loose as those; 0 and NULL: the same. */
	int n_prompt_threads;    /* default: one per cpu of prompt_cpus */
	const char *prompt_cpus; /* default: cpus, of which there may be more than n_threads */
};

/*
 * Starts the threads.  options may be NULL.  The thread that opens an engine or calls it has its own
 * affinity mask again afterwards, also after an error; the engine's cpus need not be in it.
 *
 * Where those cpus differ in kind (big and little cores), only instructions that all have are used, and
 * threads take rows in proportion to their speed.  Kernels are the winners of the fastest kind: weights are
 * packed once, and kernels of several kinds in one product would round sums differently from run to run.
 *
 * Prompts run best on all cores, generation on as many big ones as memory feeds.  Threads for prompts
 * run what takes 12 tokens or more at a time: products and passes of a quern_feed, whosever these
 * tokens are.  So 16 sequences that each go on by a token are a prompt's work, for they read weights
 * once for all and wait for arithmetic; up to 11 sequences are generation, and so are the last few tokens
 * of a prompt that are left for a pass of their own.  Threads that are not at work sleep.
 */
int quern_open(struct quern_engine **engine, const struct quern_options *options,
	       struct quern_error *err);

/* Stops the threads.  The engine's matrices must have been freed. NULL is allowed. */
void quern_close(struct quern_engine *engine);

/* Threads that generate, and those for prompts. */
int quern_n_threads(const struct quern_engine *engine);
int quern_n_prompt_threads(const struct quern_engine *engine);

/* ---- matrices ---- */

struct quern_matrix;

/* Element types of weights, with GGUF's numbers. */
enum quern_type {
	QUERN_F32 = 0,
	QUERN_F16 = 1,
	QUERN_Q4_0 = 2,
	QUERN_Q4_1 = 3,
	QUERN_Q5_0 = 6,
	QUERN_Q5_1 = 7,
	QUERN_Q8_0 = 8,
	QUERN_Q2_K = 10,
	QUERN_Q3_K = 11,
	QUERN_Q4_K = 12,
	QUERN_Q5_K = 13,
	QUERN_Q6_K = 14,
	QUERN_IQ4_NL = 20,
	QUERN_IQ4_XS = 23,
	QUERN_BF16 = 30,
	QUERN_TQ1_0 = 34,
	QUERN_TQ2_0 = 35,
	QUERN_I2_S = 36, /* of BitNet's fork: one float scale behind the codes of the tensor */
	QUERN_Q1_0 = 41,
	QUERN_Q2_0 = 42
};

struct quern_weights {
	size_t size;
	int type;           /* enum quern_type of data */
	long m, k;          /* M rows (outputs), K columns; any value >= 1 that the type allows */
	const void *data;   /* M rows of K values, row after row as in a GGUF file */
	const char *format; /* "w4g32", ...; NULL: the lossless one of a quantised type.
				   Float data are quantised; quantised data must match.  "wtgt" is
				   wtgr with one scale for all rows. */
	const char *kernel; /* NULL: the library chooses; else the name of the kernel to use */
	long n_tokens;      /* choose for this many tokens at a time; default 1 */
	const char *act; /* how activations are rounded to int8: "a8g32", a scale for 32 of them as
				   in ggml's Q8_0, "a8g256", for 256 as in its Q8_K, or "a8r", one a
				   token, BitNet's rule.  NULL: a8g256 for formats with scales for 256
				   weights, else a8g32, as llama.cpp does */
	double max_nmse; /* 0: sums of integers are exact; else kernels that round more (tables of
				   lookups, narrower activations) may be chosen where they were
				   measured to be faster, with at most this error: squared, of normal
				   data, over the square of the exact result, that of rounding
				   activations included (3e-5 to 6e-5 by itself) */
};

/*
 * Packs a matrix with all threads.  data is not needed afterwards.  The environment variable
 * QUERN_KERNEL (kernel names, separated by commas) forces a kernel for its format, QUERN_ISA
 * (an ISA name) the widest instruction set that may be used.
 */
int quern_pack(struct quern_engine *engine, struct quern_matrix **matrix,
	       const struct quern_weights *weights, struct quern_error *err);

void quern_free(struct quern_matrix *matrix);

/*
 * y[i] = W[i] x for n matrices of equal K that share the activations x.
 * x: n_tokens rows of K floats, x_stride floats apart.  y[i]: n_tokens rows of M[i] floats,
 * y_stride[i] floats apart.  Activations are quantised to int8 as the matrices were packed for,
 * once for those that agree.
 * Allocates nothing.
 */
int quern_multiply(struct quern_engine *engine, const struct quern_matrix *const *matrices, int n,
		   const float *x, long n_tokens, long x_stride, float *const *y,
		   const long *y_stride, struct quern_error *err);

/* Which kernel runs and which rung of the ladder picked it, as one line; returns its length. */
int quern_explain(const struct quern_matrix *matrix, char *text, size_t n_bytes);

struct quern_matrix_info {
	long m, k;
	const char *format; /* "w4g32" */
	const char *kernel; /* name */
	size_t packed_bytes;
	const char *act; /* "a8g32" */
	int is_lossy;    /* the kernel rounds more than the activations to int8 */
};

void quern_matrix_info(const struct quern_matrix *matrix, struct quern_matrix_info *info);

/* ---- GGUF files ---- */

struct quern_gguf;

/*
 * Maps a GGUF file (version 2 or 3, little-endian) and checks all of its header: counts, strings,
 * types, duplicate names, alignment, tensors inside the file.
 */
int quern_gguf_open(struct quern_gguf **file, const char *path, struct quern_error *err);

/* Tensors, names and strings of the file become invalid.  NULL is allowed. */
void quern_gguf_close(struct quern_gguf *file);

struct quern_tensor {
	const char *name;
	int type; /* GGUF's number */
	int n_dims;
	uint64_t dims[4]; /* dims[0] is contiguous (K); unused ones are 1 */
	const void *data;
	uint64_t n_bytes;
};

size_t quern_gguf_n_tensors(const struct quern_gguf *file);
/* 0, or -1 when there is no such tensor. */
int quern_gguf_tensor(const struct quern_gguf *file, size_t index, struct quern_tensor *tensor);
int quern_gguf_find(const struct quern_gguf *file, const char *name, struct quern_tensor *tensor);

/* Value types of keys, with GGUF's numbers. */
enum quern_value_type {
	QUERN_U8,
	QUERN_I8,
	QUERN_U16,
	QUERN_I16,
	QUERN_U32,
	QUERN_I32,
	QUERN_FLOAT32,
	QUERN_BOOL,
	QUERN_STRING,
	QUERN_ARRAY,
	QUERN_U64,
	QUERN_I64,
	QUERN_FLOAT64
};

struct quern_value {
	const char *name; /* of the key */
	int type;         /* enum quern_value_type */
	int element_type; /* of an array */
	uint64_t count;   /* elements of an array; bytes of a string; else 1 */
	union {
		uint64_t u;       /* U8..U64, BOOL */
		int64_t i;        /* I8..I64 */
		double f;         /* FLOAT32, FLOAT64 */
		const char *s;    /* STRING: count bytes, not terminated */
		const void *data; /* ARRAY: opaque, read with quern_gguf_element */
	};
};

size_t quern_gguf_n_keys(const struct quern_gguf *file);
int quern_gguf_key(const struct quern_gguf *file, size_t index, struct quern_value *value);
int quern_gguf_find_key(const struct quern_gguf *file, const char *name, struct quern_value *value);

/*
 * Element `index` of an array as a value of its own (name NULL).  Fast in any order, from any
 * thread.
 */
int quern_gguf_element(const struct quern_gguf *file, const struct quern_value *array,
		       uint64_t index, struct quern_value *element);

/* "Q4_0", or NULL for a type that is not known; and its block: values and bytes. */
const char *quern_type_name(int type);
int quern_type_block(int type, long *n_values, long *n_bytes);

/* ---- tokenizers ---- */

struct quern_tokenizer;

enum quern_special { QUERN_BOS, QUERN_EOS, QUERN_EOT, QUERN_UNKNOWN, QUERN_PAD, QUERN_NEWLINE };

enum quern_text_flags {
	QUERN_ADD_BOS = 1,       /* begin and end with the tokens that the model wants there */
	QUERN_PARSE_SPECIAL = 2, /* "</s>" is the token; without: the four characters */
	QUERN_SHOW_SPECIAL = 4,  /* control tokens are text as well: "</s>"; without: nothing */
	QUERN_AT_START = 8,      /* a text starts here, so the space put before it is dropped */
	QUERN_ADD_REPLY = 16,    /* begin the assistant's message, for the model to go on */
	QUERN_NO_THINKING = 32   /* with QUERN_ADD_REPLY: where the template can do without */
};

/*
 * Reads the tokenizer of a model: SentencePiece by scores ("llama") or byte-level BPE ("gpt2").  It
 * copies all that it needs, so the file may be closed before it.  It never changes:
 * threads may share it.
 *
 * A BPE vocabulary without tokenizer.ggml.pre, or with "default", is split as Llama 3's when it has
 * <|begin_of_text|> and <|eot_id|> (BitNet's files are such), as Qwen's for qwen2 and qwen3, else
 * as GPT-2's; quern_tokenizer_explain says so.  Any other name that is not known is an error.
 */
int quern_tokenizer_open(struct quern_tokenizer **tokenizer, const struct quern_gguf *file,
			 struct quern_error *err);

/* NULL is allowed. */
void quern_tokenizer_close(struct quern_tokenizer *tokenizer);

/*
 * Kind, size and rule of the tokenizer and where the rule comes from, as one line; returns its
 * length.
 */
int quern_tokenizer_explain(const struct quern_tokenizer *tokenizer, char *text, size_t n_bytes);

long quern_tokenizer_n_tokens(const struct quern_tokenizer *tokenizer);

/* The id of a special token (enum quern_special); -1: the model has none. */
int32_t quern_tokenizer_special(const struct quern_tokenizer *tokenizer, int special);

/* Does the token end what the model says: end of text, of turn, of message? */
int quern_tokenizer_is_end(const struct quern_tokenizer *tokenizer, int32_t id);

/*
 * Text to tokens; flags: QUERN_ADD_BOS, QUERN_PARSE_SPECIAL.  Any bytes are text: what is not UTF-8
 * becomes byte tokens.  Returns how many tokens the text has, also when these are more than max_ids
 * and only max_ids are written; -1 is an error (memory, 2 GiB of text, a character for which the
 * vocabulary has no token at all).
 */
long quern_tokenize(const struct quern_tokenizer *tokenizer, const char *text, size_t n_bytes,
		    int flags, int32_t *ids, long max_ids, struct quern_error *err);

/*
 * The bytes of a token as it stands in a text, which need not be whole characters; flags:
 * QUERN_SHOW_SPECIAL.  Returns how many there are, also when these are more than n_bytes and
 * only n_bytes are written (without a '\0'); -1: no such token.
 */
long quern_token_text(const struct quern_tokenizer *tokenizer, int32_t id, int flags, char *text,
		      size_t n_bytes);

/*
 * Tokens to text, piece by piece and in whole characters.  The fields are private.  flags:
 * QUERN_SHOW_SPECIAL, QUERN_AT_START.
 */
struct quern_stream {
	const struct quern_tokenizer *tokenizer;
	int flags;
	int n_pending;
	char pending[4]; /* of a character that is not complete */
};

void quern_stream_start(struct quern_stream *stream, const struct quern_tokenizer *tokenizer,
			int flags);

/*
 * Writes what the token adds to the text and returns its bytes (no '\0').  Bytes that belong to no
 * character become U+FFFD.  When it returns more than n_bytes, nothing was written and the
 * token is not taken yet; -1: no such token.  Allocates nothing.
 */
long quern_stream_put(struct quern_stream *stream, int32_t id, char *text, size_t n_bytes);

/* Writes U+FFFD for the beginning of a character that is left, or nothing; 3 bytes are enough. */
long quern_stream_end(struct quern_stream *stream, char *text, size_t n_bytes);

struct quern_message {
	const char *role; /* "system", "user", "assistant" */
	const char *content;
};

/*
 * The family of the model's chat template: "llama2", "llama3", "mistral-v1", "chatml", ...; NULL
 * with a sentence in *err: the file has none, or one that is not known.
 */
const char *quern_chat_family(const struct quern_tokenizer *tokenizer, struct quern_error *err);

/*
 * Writes messages as the model's chat template has them, with its default system message where it
 * has one; flags: QUERN_ADD_REPLY, QUERN_NO_THINKING.  The text is to be tokenized with
 * QUERN_PARSE_SPECIAL, and with QUERN_ADD_BOS unless *has_bos: then it begins with the token
 * itself. Special tokens that stand in a content are not taken out. Returns the bytes of the text,
 * also when these are more than n_bytes and only n_bytes are written (no '\0'); -1 is an error: no
 * template, an unknown one, or messages that it has no form for.
 */
long quern_chat_format(const struct quern_tokenizer *tokenizer,
		       const struct quern_message *messages, int n_messages, int flags, char *text,
		       size_t n_bytes, int *has_bos, struct quern_error *err);

/* ---- models ---- */

struct quern_model;

struct quern_model_options {
	size_t size;
	/* Called after each matrix when not NULL; anything but 0 gives the model up. */
	int (*progress)(void *context, uint64_t n_done, uint64_t n_bytes);
	void *context;
	/*
	 * A folder in which packed weights are kept, one file for a model, as large as they are; it is
	 * made when only its last part is missing.  The next start reads them instead of packing, if
	 * they are of the same model file (name of no matter, time of change as it was) and as this
	 * library packs for the kernels that it chooses then; else they are packed, and kept in the
	 * place of the old ones.  NULL: they are not kept.
	 */
	const char *cache;
};

/*
 * Opens a GGUF file of one of these architectures and packs its weights with all threads: llama (Llama 2
 * and 3, TinyLlama, Mistral), qwen2, qwen3, phi2, phi3, bitnet, bitnet-25, bitnet-b1.58, gemma2, gemma3.
 * Matrices may have any type of enum quern_type, mixed in one file; F32, F16 and BF16 ones are
 * multiplied as they are and stay in the file, which is mapped as long as the model is open.  What the
 * file has and the library does not support is an error that names it.  options may be NULL.
 */
int quern_model_open(struct quern_model **model, struct quern_engine *engine, const char *path,
		     const struct quern_model_options *options, struct quern_error *err);

/*
 * Why packed weights could not be kept in options.cache, as a sentence that is there as long as the model; NULL when
 * nothing was wrong.  The model runs all the same.
 */
const char *quern_model_note(const struct quern_model *model);

/* Contexts of the model must have been closed.  NULL is allowed. */
void quern_model_close(struct quern_model *model);

struct quern_model_info {
	const char *arch;
	long n_vocab, n_embd, n_layers, n_context; /* tokens it was made for */
	size_t weight_bytes; /* that one token's pass reads, embeddings not counted */
	size_t cache_bytes;  /* of one token's keys and values in f16 */
	uint64_t n_macs;     /* products of a token's pass, but for logits and attention */
};

void quern_model_info(const struct quern_model *model, struct quern_model_info *info);

/* The file, for its keys. */
const struct quern_gguf *quern_model_file(const struct quern_model *model);

/* ---- contexts: sequences of tokens ---- */

struct quern_context;

struct quern_context_options {
	size_t size;
	int n_sequences;  /* that the context holds, numbered from 0; default 1 */
	long n_context;   /* tokens a sequence can have; default what the model was made for, at
			     most 4096 */
	long n_positions; /* tokens that the cache has room for in all; default n_sequences times
			     n_context */
	long n_batch;     /* tokens of a pass at most; default 512 */
	long n_outputs; /* rows of logits that one quern_feed gives at most; default n_sequences */
	int cache_type; /* of keys and values: QUERN_F16 (default) or QUERN_Q8_0 (int8, one scale a
			     head) */
};

/* All memory is taken here; feeding allocates nothing.  options may be NULL. */
int quern_context_open(struct quern_context **context, struct quern_model *model,
		       const struct quern_context_options *options, struct quern_error *err);

/* NULL is allowed. */
void quern_context_close(struct quern_context *context);

/* Tokens that a sequence can have. */
long quern_context_length(const struct quern_context *context);

enum quern_input_logits { QUERN_NO_LOGITS, QUERN_LAST_LOGITS, QUERN_ALL_LOGITS };

struct quern_input {
	int sequence;
	const int32_t *ids; /* the next n tokens of the sequence */
	long n;
	int logits; /* enum quern_input_logits: behind which of its tokens they are wanted */
};

/*
 * Appends tokens to sequences, all in the same passes: prompts, or the next token of each of many
 * sequences.  After an error all sequences are as they were.  Results do not depend on how tokens
 * are dealt to calls and passes, beyond rounding.
 */
int quern_feed(struct quern_context *context, const struct quern_input *inputs, int n,
	       struct quern_error *err);

/*
 * Row i of the logits that the last quern_feed was asked for, [n_vocab], in the order of inputs and
 * their tokens, until the next one.  NULL when there are fewer.
 */
const float *quern_logits(const struct quern_context *context, long i);

/* Tokens of a sequence; -1 when there is no such sequence. */
long quern_sequence_length(const struct quern_context *context, int sequence);

/* Its tokens, until it changes; NULL when there is no such sequence. */
const int32_t *quern_sequence_ids(const struct quern_context *context, int sequence);

/*
 * Keeps what a sequence has in common with the beginning of these n tokens, of which at least one is left to be fed, and
 * forgets the rest.  Returns how many are kept: feed the others.
 */
long quern_sequence_match(struct quern_context *context, int sequence, const int32_t *ids, long n);

/* Forgets all but the first n tokens. */
void quern_sequence_cut(struct quern_context *context, int sequence, long n);

/*
 * `to` becomes the first n tokens of `from`, without computing and, until they differ, without taking memory
 * (a prompt that many answers start from).
 */
void quern_sequence_share(struct quern_context *context, int from, int to, long n);

/*
 * Writes a sequence, tokens, keys and values, to a file, which appears whole or not at all.  It is for the
 * same model and type of cache.
 */
int quern_session_save(const struct quern_context *context, int sequence, const char *path,
		       struct quern_error *err);

/*
 * A sequence becomes what the file has and goes on from there exactly as the saved one would have.  After an
 * error (another model, a damaged file, no room) it is empty.
 */
int quern_session_load(struct quern_context *context, int sequence, const char *path,
		       struct quern_error *err);

/* ---- sampling ---- */

struct quern_sampler;

struct quern_sampler_options {
	size_t size;
	float temperature;    /* 0 (default): always the most likely token */
	long top_k;           /* of the k most likely tokens; 0: of all */
	float top_p;          /* of the fewest that have this probability together; 0: of all */
	float min_p;          /* of those at least so likely, compared to the most likely one */
	float repeat_penalty; /* logits of the last n_repeat tokens are divided by it (multiplied
				 when negative); 0: are not (Keskar et al., CTRL, 2019) */
	long n_repeat;        /* default 64 */
	uint64_t seed;
};

/* options may be NULL. */
int quern_sampler_open(struct quern_sampler **sampler, long n_vocab,
		       const struct quern_sampler_options *options, struct quern_error *err);
void quern_sampler_close(struct quern_sampler *sampler);

/*
 * A token for these logits; the same for the same seed and calls.  Of equal ones the first; of logits that are not
 * numbers none, unless there is nothing else (then 0).
 */
int32_t quern_sample(struct quern_sampler *sampler, const float *logits);

/* Tells the sampler of a token that it did not choose (of a prompt). */
void quern_sampler_note(struct quern_sampler *sampler, int32_t id);

#ifdef __cplusplus
}
#endif

#endif
