/*
 * reference_model.c: the forward pass of each architecture in double precision.
 *
 * Building blocks name the GGUF tensors they use, so that a block reads like the model's definition.
 * What is wrong with a file therefore shows when one token has gone through it, which is what
 * opening does.
 *
 * Definitions: Llama (arXiv 2302.13971, 2307.09288; rope factors with Llama 3.1), rotary embeddings
 * (2104.09864; YaRN: 2309.00071; LongRoPE: 2402.13753), grouped queries (2305.13245), Phi-2 (its
 * published code), Phi-3 (2404.14219), BitNet b1.58 (2402.17764, 2504.12285), Qwen2 (2407.10671),
 * Qwen3 (2505.09388), Gemma 2 (2408.00118), Gemma 3 (2503.19786).
 */
#include "reference_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "reference_file.h"

struct vector {
	long n;
	double *at;
};

struct rope {
	double *frequencies; /* [n_rot / 2], radians a position */
	double magnitude;    /* of what is rotated, over what it was */
};

struct reference {
	struct reference_file file;
	const struct architecture *arch;
	long n_layers, n_embd, n_ff, n_heads, n_kv_heads, d_head, n_rot, n_vocab, n_context;
	double epsilon, query_scale;
	double attn_softcap, final_softcap; /* 0: none */
	long window, period; /* the last of `period` layers sees everything, the others `window` */
	struct rope rope, local_rope;
	double (*activation)(double); /* of the FFN, where an architecture leaves it open */

	struct vector x;       /* the residual stream */
	struct vector h;       /* what a block computes for it */
	struct vector q, k, v; /* parts of qkv */
	struct vector qkv, heads, attention;
	struct vector gate, up; /* parts of gate_up */
	struct vector gate_up;

	long position, n_stored; /* of the next token; tokens in the store of keys and values */
	double **keys, **values; /* [n_layers][n_stored][n_kv_heads * d_head] */
	double *scores;          /* [n_stored] */
};

struct architecture {
	const char *name;
	int has_split_pairs; /* rotates (i, i + n_rot / 2), else (2i, 2i + 1) */
	void (*block)(struct reference *r);
	void (*norm)(struct reference *r, const char *name, struct vector x, struct vector y);
	double (*activation)(double);
};

static struct vector vector(long n)
{
	return (struct vector){n, reference_file_allocate(NULL, n, sizeof(double))};
}

static struct vector part(struct vector v, long from, long n)
{
	return (struct vector){n, v.at + from};
}

/* ---- building blocks ---- */

static void add(struct vector y, struct vector x)
{
	for (long i = 0; i < y.n; i++)
		y.at[i] += x.at[i];
}

static double dot(const double *a, const double *b, long n)
{
	double sum = 0;

	for (long i = 0; i < n; i++)
		sum += a[i] * b[i];
	return sum;
}

/* y = scale * W x + bias; scale and bias where the file has them. */
static void linear(struct reference *r, const char *name, struct vector x, struct vector y)
{
	const double *w = reference_file_required(&r->file, name, "weight", y.n, x.n);
	const double *scale = reference_file_optional(&r->file, name, "scale", 1, 1);
	const double *bias = reference_file_optional(&r->file, name, "bias", 1, y.n);

	for (long i = 0; w && i < y.n; i++) {
		y.at[i] = dot(w + i * x.n, x.at, x.n);
		if (scale)
			y.at[i] *= *scale;
		if (bias)
			y.at[i] += bias[i];
	}
}

static void scale_to_unit(double epsilon, struct vector x, struct vector y)
{
	double scale = 1 / sqrt(dot(x.at, x.at, x.n) / (double)x.n + epsilon);

	for (long i = 0; i < x.n; i++)
		y.at[i] = x.at[i] * scale;
}

static void rms_norm(struct reference *r, const char *name, struct vector x, struct vector y)
{
	const double *w = reference_file_required(&r->file, name, "weight", 1, x.n);

	scale_to_unit(r->epsilon, x, y);
	for (long i = 0; w && i < x.n; i++)
		y.at[i] *= w[i];
}

static void layer_norm(struct reference *r, const char *name, struct vector x, struct vector y)
{
	const double *w = reference_file_required(&r->file, name, "weight", 1, x.n);
	const double *bias = reference_file_required(&r->file, name, "bias", 1, x.n);
	double mean = 0;

	for (long i = 0; i < x.n; i++)
		mean += x.at[i] / (double)x.n;
	for (long i = 0; i < x.n; i++)
		y.at[i] = x.at[i] - mean;
	scale_to_unit(r->epsilon, y, y);
	for (long i = 0; w && bias && i < x.n; i++)
		y.at[i] = y.at[i] * w[i] + bias[i];
}

/* Each head by itself, all with the same weights. */
static void norm_heads(struct reference *r, const char *name, struct vector x)
{
	for (long from = 0; from < x.n; from += r->d_head)
		rms_norm(r, name, part(x, from, r->d_head), part(x, from, r->d_head));
}

static void rotate(const struct reference *r, const struct rope *rope, struct vector x)
{
	long half = r->n_rot / 2;

	for (double *head = x.at; head < x.at + x.n; head += r->d_head) {
		for (long i = 0; i < half; i++) {
			double angle = (double)r->position * rope->frequencies[i];
			double *a = r->arch->has_split_pairs ? &head[i] : &head[2 * i];
			double *b = r->arch->has_split_pairs ? &head[i + half] : &head[2 * i + 1];
			double re = *a * cos(angle) - *b * sin(angle);
			double im = *a * sin(angle) + *b * cos(angle);

			*a = re * rope->magnitude;
			*b = im * rope->magnitude;
		}
	}
}

/* q, k and v of h, from three matrices or from one that holds their rows in this order. */
static void project(struct reference *r)
{
	struct quern_tensor fused;

	if (reference_file_tensor(&r->file, "attn_qkv", "weight", &fused)) {
		linear(r, "attn_qkv", r->h, r->qkv);
		return;
	}
	linear(r, "attn_q", r->h, r->q);
	linear(r, "attn_k", r->h, r->k);
	linear(r, "attn_v", r->h, r->v);
}

static double cap(double x, double limit)
{
	return limit > 0 ? limit * tanh(x / limit) : x;
}

static void softmax(double *x, long n)
{
	double top = x[0], sum = 0;

	for (long i = 1; i < n; i++)
		top = fmax(top, x[i]);
	for (long i = 0; i < n; i++)
		sum += x[i] = exp(x[i] - top);
	for (long i = 0; i < n; i++)
		x[i] /= sum;
}

/* What k and v were for earlier tokens, and now are. */
static void store(struct reference *r)
{
	long n_tokens = r->n_stored + 1;
	double **keys = &r->keys[r->file.layer], **values = &r->values[r->file.layer];

	*keys = reference_file_allocate(*keys, n_tokens * r->k.n, sizeof(double));
	*values = reference_file_allocate(*values, n_tokens * r->v.n, sizeof(double));
	r->scores = reference_file_allocate(r->scores, n_tokens, sizeof(double));
	memcpy(*keys + r->n_stored * r->k.n, r->k.at, (size_t)r->k.n * sizeof(double));
	memcpy(*values + r->n_stored * r->v.n, r->v.at, (size_t)r->v.n * sizeof(double));
}

/* heads = attention of q over the last `window` tokens, this one among them; 0: over all. */
static void attend(struct reference *r, long window)
{
	long n_tokens = r->n_stored + 1, d = r->d_head;
	long from = window > 0 && window < n_tokens ? n_tokens - window : 0;

	store(r);
	for (long head = 0; head < r->n_heads; head++) {
		long at = head / (r->n_heads / r->n_kv_heads) * d;
		const double *keys = r->keys[r->file.layer] + at;
		const double *values = r->values[r->file.layer] + at;
		const double *q = r->q.at + head * d;
		double *y = r->heads.at + head * d;

		for (long t = from; t < n_tokens; t++)
			r->scores[t] =
				cap(dot(q, keys + t * r->k.n, d) * r->query_scale, r->attn_softcap);
		softmax(r->scores + from, n_tokens - from);
		for (long i = 0; i < d; i++)
			y[i] = 0;
		for (long t = from; t < n_tokens; t++)
			for (long i = 0; i < d; i++)
				y[i] += r->scores[t] * values[t * r->v.n + i];
	}
}

static double silu(double x)
{
	return x / (1 + exp(-x));
}

/* The approximation with tanh, of Hendrycks and Gimpel (arXiv 1606.08415). */
static double gelu(double x)
{
	return x / 2 * (1 + tanh(sqrt(2 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
}

static double squared_relu(double x)
{
	return x > 0 ? x * x : 0;
}

/* up = activation(gate) * up */
static void gate(struct reference *r, double (*activation)(double))
{
	for (long i = 0; i < r->n_ff; i++)
		r->up.at[i] *= activation(r->gate.at[i]);
}

/* h = down(activation(gate(h)) * up(h)) */
static void gated_ffn(struct reference *r, double (*activation)(double))
{
	linear(r, "ffn_gate", r->h, r->gate);
	linear(r, "ffn_up", r->h, r->up);
	gate(r, activation);
	linear(r, "ffn_down", r->up, r->h);
}

/* ---- architectures: one block each, x += what it computes ---- */

/* Also Mistral; also Qwen2, whose q, k and v have biases. */
static void llama_block(struct reference *r)
{
	rms_norm(r, "attn_norm", r->x, r->h);
	project(r);
	rotate(r, &r->rope, r->q);
	rotate(r, &r->rope, r->k);
	attend(r, 0);
	linear(r, "attn_output", r->heads, r->h);
	add(r->x, r->h);

	rms_norm(r, "ffn_norm", r->x, r->h);
	gated_ffn(r, silu);
	add(r->x, r->h);
}

static void qwen3_block(struct reference *r)
{
	rms_norm(r, "attn_norm", r->x, r->h);
	project(r);
	norm_heads(r, "attn_q_norm", r->q);
	norm_heads(r, "attn_k_norm", r->k);
	rotate(r, &r->rope, r->q);
	rotate(r, &r->rope, r->k);
	attend(r, 0);
	linear(r, "attn_output", r->heads, r->h);
	add(r->x, r->h);

	rms_norm(r, "ffn_norm", r->x, r->h);
	gated_ffn(r, silu);
	add(r->x, r->h);
}

/* Attention and FFN side by side, both of the same norm. */
static void phi2_block(struct reference *r)
{
	layer_norm(r, "attn_norm", r->x, r->h);
	project(r);
	rotate(r, &r->rope, r->q);
	rotate(r, &r->rope, r->k);
	attend(r, 0);
	linear(r, "attn_output", r->heads, r->attention);

	linear(r, "ffn_up", r->h, r->up);
	for (long i = 0; i < r->n_ff; i++)
		r->up.at[i] = gelu(r->up.at[i]);
	linear(r, "ffn_down", r->up, r->h);

	add(r->x, r->attention);
	add(r->x, r->h);
}

/* ffn_up holds the rows of the gate, then those of up; all layers have the window. */
static void phi3_block(struct reference *r)
{
	rms_norm(r, "attn_norm", r->x, r->h);
	project(r);
	rotate(r, &r->rope, r->q);
	rotate(r, &r->rope, r->k);
	attend(r, r->window);
	linear(r, "attn_output", r->heads, r->h);
	add(r->x, r->h);

	rms_norm(r, "ffn_norm", r->x, r->h);
	linear(r, "ffn_up", r->h, r->gate_up);
	gate(r, silu);
	linear(r, "ffn_down", r->up, r->h);
	add(r->x, r->h);
}

/* One norm more before each matrix that writes to the stream. */
static void bitnet_block(struct reference *r)
{
	rms_norm(r, "attn_norm", r->x, r->h);
	project(r);
	rotate(r, &r->rope, r->q);
	rotate(r, &r->rope, r->k);
	attend(r, 0);
	rms_norm(r, "attn_sub_norm", r->heads, r->heads);
	linear(r, "attn_output", r->heads, r->h);
	add(r->x, r->h);

	rms_norm(r, "ffn_norm", r->x, r->h);
	linear(r, "ffn_gate", r->h, r->gate);
	linear(r, "ffn_up", r->h, r->up);
	gate(r, r->activation);
	rms_norm(r, "ffn_sub_norm", r->up, r->up);
	linear(r, "ffn_down", r->up, r->h);
	add(r->x, r->h);
}

static int is_local(const struct reference *r)
{
	return r->window > 0 && r->file.layer % r->period < r->period - 1;
}

/* Norms before and behind attention and FFN; local layers in turn with global ones. */
static void gemma2_block(struct reference *r)
{
	rms_norm(r, "attn_norm", r->x, r->h);
	project(r);
	rotate(r, &r->rope, r->q);
	rotate(r, &r->rope, r->k);
	attend(r, is_local(r) ? r->window : 0);
	linear(r, "attn_output", r->heads, r->h);
	rms_norm(r, "post_attention_norm", r->h, r->h);
	add(r->x, r->h);

	rms_norm(r, "ffn_norm", r->x, r->h);
	gated_ffn(r, gelu);
	rms_norm(r, "post_ffw_norm", r->h, r->h);
	add(r->x, r->h);
}

/* Norms of heads in the place of caps; local layers rotate faster. */
static void gemma3_block(struct reference *r)
{
	const struct rope *rope = is_local(r) ? &r->local_rope : &r->rope;

	rms_norm(r, "attn_norm", r->x, r->h);
	project(r);
	norm_heads(r, "attn_q_norm", r->q);
	norm_heads(r, "attn_k_norm", r->k);
	rotate(r, rope, r->q);
	rotate(r, rope, r->k);
	attend(r, is_local(r) ? r->window : 0);
	linear(r, "attn_output", r->heads, r->h);
	rms_norm(r, "post_attention_norm", r->h, r->h);
	add(r->x, r->h);

	rms_norm(r, "ffn_norm", r->x, r->h);
	gated_ffn(r, gelu);
	rms_norm(r, "post_ffw_norm", r->h, r->h);
	add(r->x, r->h);
}

static const struct architecture architectures[] = {
	{"llama", 0, llama_block, rms_norm, NULL},
	{"qwen2", 1, llama_block, rms_norm, NULL},
	{"qwen3", 1, qwen3_block, rms_norm, NULL},
	{"phi2", 1, phi2_block, layer_norm, NULL},
	{"phi3", 1, phi3_block, rms_norm, NULL},
	{"bitnet", 1, bitnet_block, rms_norm, silu},
	{"bitnet-25", 1, bitnet_block, rms_norm, squared_relu},
	{"bitnet-b1.58", 1, bitnet_block, rms_norm, squared_relu},
	{"gemma2", 1, gemma2_block, rms_norm, NULL},
	{"gemma3", 1, gemma3_block, rms_norm, NULL},
};

static int is_gemma(const struct reference *r)
{
	return r->arch->block == gemma2_block || r->arch->block == gemma3_block;
}

/* ---- running ---- */

long reference_n_vocab(const struct reference *r)
{
	return r->n_vocab;
}

void reference_start(struct reference *r, long position)
{
	r->position = position;
	r->n_stored = 0;
}

/* Without an output matrix the embeddings are it. */
static void read_out(struct reference *r, struct vector logits)
{
	struct quern_tensor t;
	int is_tied = !reference_file_tensor(&r->file, "output", "weight", &t);

	r->arch->norm(r, "output_norm", r->x, r->h);
	linear(r, is_tied ? "token_embd" : "output", r->h, logits);
	for (long i = 0; i < logits.n; i++)
		logits.at[i] = cap(logits.at[i], r->final_softcap);
}

int reference_append(struct reference *r, int32_t token, double *logits)
{
	const double *embeddings =
		reference_file_required(&r->file, "token_embd", "weight", r->n_vocab, r->n_embd);
	double scale = is_gemma(r) ? sqrt((double)r->n_embd) : 1;

	if (!embeddings || token < 0 || token >= r->n_vocab)
		return -1;
	for (long i = 0; i < r->n_embd; i++)
		r->x.at[i] = scale * embeddings[token * r->n_embd + i];
	for (r->file.layer = 0; r->file.layer < r->n_layers; r->file.layer++)
		r->arch->block(r);
	r->file.layer = -1;
	if (logits)
		read_out(r, (struct vector){r->n_vocab, logits});
	r->n_stored++;
	r->position++;
	return 0;
}

int reference_logits(struct reference *r, const int32_t *tokens, long n, double *logits)
{
	reference_start(r, 0);
	for (long i = 0; i < n; i++)
		if (reference_append(r, tokens[i], logits + i * r->n_vocab) != 0)
			return -1;
	return 0;
}

/* ---- opening: frequencies ---- */

/* base^(-2i / n_rot), slower by `factor`. */
static void set_frequencies(struct reference *r, struct rope *rope, double base, double factor)
{
	long half = r->n_rot / 2;

	rope->magnitude = 1;
	rope->frequencies = reference_file_allocate(NULL, half, sizeof(double));
	for (long i = 0; i < half; i++)
		rope->frequencies[i] = pow(base, -2.0 * (double)i / (double)r->n_rot) / factor;
}

/*
 * YaRN: pairs that turn more than beta_fast times within the original context stay as they are,
 * those that turn less than beta_slow times are slowed down by `factor`; between them it goes
 * linearly with the number of the pair.
 */
static void set_yarn(struct reference *r, struct rope *rope, double base, double factor)
{
	double original = reference_file_number(&r->file, "rope.scaling.original_context_length",
						(double)r->n_context);
	double fast = reference_file_number(&r->file, "rope.scaling.yarn_beta_fast", 32);
	double slow = reference_file_number(&r->file, "rope.scaling.yarn_beta_slow", 1);
	double tau = 2 * acos(-1.0), n = (double)r->n_rot;
	/* original * base^(-2i/n) = tau * beta, solved for i */
	double low = fmax(0, floor(n * log(original / (fast * tau)) / (2 * log(base))));
	double high = fmin(n - 1, ceil(n * log(original / (slow * tau)) / (2 * log(base))));

	set_frequencies(r, rope, base, 1);
	for (long i = 0; i < r->n_rot / 2; i++) {
		double ramp = fmin(1, fmax(0, ((double)i - low) / fmax(0.001, high - low)));

		rope->frequencies[i] *= 1 - ramp + ramp / factor;
	}
	rope->magnitude = 1 + 0.1 * log(factor);
}

/* Divisors of frequencies: Llama 3's, or those for short and for long contexts; NULL: none. */
static const double *find_factors(struct reference *r, long n_context)
{
	double original = reference_file_number(&r->file, "rope.scaling.original_context_length",
						(double)r->n_context);
	int is_long = (double)(n_context ? n_context : r->n_context) > original;
	const char *name = is_long ? "rope_factors_long" : "rope_factors_short";
	const double *factors =
		reference_file_optional(&r->file, "rope_freqs", "weight", 1, r->n_rot / 2);

	if (factors)
		return factors;
	return reference_file_optional(&r->file, name, "weight", 1, r->n_rot / 2);
}

static void set_ropes(struct reference *r, long n_context)
{
	struct reference_file *file = &r->file;
	double base = reference_file_number(file, "rope.freq_base", 10000);
	double local_base = reference_file_number(file, "rope.freq_base_swa", 10000);
	double factor = reference_file_number(file, "rope.scale_linear", 1);
	const double *factors = find_factors(r, n_context);
	struct quern_value type;
	int has_type = reference_file_key(file, "rope.scaling.type", &type);
	int is_linear = !has_type || reference_file_is_text(&type, "linear");
	int is_yarn = has_type && reference_file_is_text(&type, "yarn");

	factor = reference_file_number(file, "rope.scaling.factor", factor);
	if (!(base > 1 && local_base > 1 && factor > 0))
		reference_file_complain(file, "bases and factors of rope are too small");
	if (!is_linear && !is_yarn && !reference_file_is_text(&type, "none") &&
	    !reference_file_is_text(&type, "longrope"))
		reference_file_complain(file, "key %s: unknown kind of scaling", type.name);
	if (is_yarn)
		set_yarn(r, &r->rope, base, factor);
	else
		set_frequencies(r, &r->rope, base, is_linear ? factor : 1);
	r->rope.magnitude *= reference_file_number(file, "rope.scaling.attn_factor", 1);
	for (long i = 0; factors && i < r->n_rot / 2; i++)
		r->rope.frequencies[i] /= factors[i];
	set_frequencies(r, &r->local_rope, local_base, 1);
}

/* ---- opening: the rest ---- */

static const struct architecture *find_architecture(const struct quern_gguf *gguf)
{
	struct quern_value value;

	if (quern_gguf_find_key(gguf, "general.architecture", &value) != 0)
		return NULL;
	for (size_t i = 0; i < sizeof(architectures) / sizeof(architectures[0]); i++)
		if (reference_file_is_text(&value, architectures[i].name))
			return &architectures[i];
	return NULL;
}

static void read_shape(struct reference *r)
{
	struct reference_file *file = &r->file;
	struct quern_tensor embeddings;

	r->n_layers = reference_file_count(file, "block_count", 0);
	r->n_embd = reference_file_count(file, "embedding_length", 0);
	r->n_ff = reference_file_count(file, "feed_forward_length", 0);
	r->n_heads = reference_file_count(file, "attention.head_count", 0);
	r->n_kv_heads = reference_file_count(file, "attention.head_count_kv", r->n_heads);
	r->d_head = reference_file_count(file, "attention.key_length", r->n_embd / r->n_heads);
	r->n_rot = reference_file_count(file, "rope.dimension_count", r->d_head);
	r->n_context = reference_file_count(file, "context_length", 0);
	if (r->n_heads % r->n_kv_heads != 0)
		reference_file_complain(file, "%ld heads do not share %ld keys and values",
					r->n_heads, r->n_kv_heads);
	if (r->n_rot % 2 != 0 || r->n_rot > r->d_head)
		reference_file_complain(file, "%ld of %ld elements of a head cannot be rotated",
					r->n_rot, r->d_head);
	if (reference_file_count(file, "attention.value_length", r->d_head) != r->d_head)
		reference_file_complain(file, "values are not as long as keys");
	if (reference_file_number(file, "expert_count", 0) > 0)
		reference_file_complain(file, "mixtures of experts are not modelled");
	if (reference_file_tensor(file, "token_embd", "weight", &embeddings))
		r->n_vocab = (long)embeddings.dims[1];
}

/* The 27B models of Gemma 2 and 3 scale queries as if this were the length of their heads. */
static double query_length(const struct reference *r)
{
	if ((r->arch->block == gemma2_block && r->n_layers == 46) ||
	    (r->arch->block == gemma3_block && r->n_layers == 62))
		return (double)r->n_embd / (double)r->n_heads;
	return (double)r->d_head;
}

static void read_rules(struct reference *r)
{
	const int is_gemma2 = r->arch->block == gemma2_block;
	const char *epsilon = r->arch->norm == layer_norm ? "attention.layer_norm_epsilon"
							  : "attention.layer_norm_rms_epsilon";
	struct reference_file *file = &r->file;
	struct quern_value value;

	r->epsilon = reference_file_number(file, epsilon, -1);
	if (!(r->epsilon >= 0))
		reference_file_complain(file, "no key %s.%s", r->arch->name, epsilon);
	r->query_scale = 1 / sqrt(query_length(r));
	r->window =
		(long)reference_file_number(file, "attention.sliding_window", is_gemma2 ? 4096 : 0);
	r->period =
		reference_file_count(file, "attention.sliding_window_pattern", is_gemma2 ? 2 : 6);
	if (is_gemma(r)) {
		r->attn_softcap =
			reference_file_number(file, "attn_logit_softcapping", is_gemma2 ? 50 : 0);
		r->final_softcap =
			reference_file_number(file, "final_logit_softcapping", is_gemma2 ? 30 : 0);
	}
	r->activation = r->arch->activation;
	if (r->activation && reference_file_key(file, "hidden_activation", &value)) {
		int is_relu2 = reference_file_is_text(&value, "relu2");

		r->activation = is_relu2 ? squared_relu : silu;
		if (!is_relu2 && !reference_file_is_text(&value, "silu"))
			reference_file_complain(file, "key %s: not silu or relu2", value.name);
	}
}

static void allocate_state(struct reference *r)
{
	long n_q = r->n_heads * r->d_head, n_kv = r->n_kv_heads * r->d_head;

	r->x = vector(r->n_embd);
	r->h = vector(r->n_embd);
	r->attention = vector(r->n_embd);
	r->heads = vector(n_q);
	r->qkv = vector(n_q + 2 * n_kv);
	r->q = part(r->qkv, 0, n_q);
	r->k = part(r->qkv, n_q, n_kv);
	r->v = part(r->qkv, n_q + n_kv, n_kv);
	r->gate_up = vector(2 * r->n_ff);
	r->gate = part(r->gate_up, 0, r->n_ff);
	r->up = part(r->gate_up, r->n_ff, r->n_ff);
	r->keys = reference_file_allocate(NULL, r->n_layers, sizeof(*r->keys));
	r->values = reference_file_allocate(NULL, r->n_layers, sizeof(*r->values));
	for (long i = 0; i < r->n_layers; i++)
		r->keys[i] = r->values[i] = NULL;
}

int reference_open(struct reference **reference, const struct quern_gguf *file, long n_context,
		   struct quern_error *err)
{
	const struct architecture *arch = find_architecture(file);
	struct reference *r = reference_file_allocate(NULL, 1, sizeof(*r));
	struct vector logits;

	*reference = NULL;
	*r = (struct reference){.arch = arch};
	r->file =
		(struct reference_file){.gguf = file, .arch = arch ? arch->name : "", .layer = -1};
	if (!arch) {
		reference_file_complain(&r->file, "general.architecture: not one that is modelled");
		goto out;
	}
	read_shape(r);
	read_rules(r);
	if (r->file.problem.text[0])
		goto out;
	set_ropes(r, n_context);
	allocate_state(r);
	logits = vector(r->n_vocab);
	reference_append(r, 0, logits.at);
	reference_start(r, 0);
	free(logits.at);
out:
	if (r->file.problem.text[0]) {
		qn_error_set(err, "%s", r->file.problem.text);
		reference_close(r);
		return -1;
	}
	*reference = r;
	return 0;
}

void reference_close(struct reference *r)
{
	if (!r)
		return;
	for (long i = 0; r->keys && i < r->n_layers; i++) {
		free(r->keys[i]);
		free(r->values[i]);
	}
	free(r->keys);
	free(r->values);
	free(r->scores);
	free(r->x.at);
	free(r->h.at);
	free(r->attention.at);
	free(r->heads.at);
	free(r->qkv.at);
	free(r->gate_up.at);
	free(r->rope.frequencies);
	free(r->local_rope.frequencies);
	reference_file_close(&r->file);
	free(r);
}
