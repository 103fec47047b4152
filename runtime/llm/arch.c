/*
 * arch.c: what architectures differ in, and the shape that a file's keys give one.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../error.h"
#include "keys.h"
#include "model.h"

/* Largest numbers of anything, so that products stay far from overflow. */
enum { MAX_WIDTH = 1 << 20, MAX_LAYERS = 4096, MAX_HEADS = 4096 };

static const struct qn_arch archs[] = {
	{.name = "llama", .turns_neighbours = 1},
	{.name = "qwen2"},
	{.name = "qwen3", .has_head_norms = 1},
	{.name = "phi2",
	 .is_centred = 1,
	 .is_parallel = 1,
	 .has_no_gate = 1,
	 .activation = QN_GELU},
	{.name = "phi3", .joins_gate = 1},
	{.name = "bitnet", .has_sub_norms = 1, .act = "a8r"},
	{.name = "bitnet-25", .activation = QN_RELU2, .has_sub_norms = 1, .act = "a8r"},
	{.name = "bitnet-b1.58", .activation = QN_RELU2, .has_sub_norms = 1, .act = "a8r"},
	{.name = "gemma2",
	 .activation = QN_GELU,
	 .embd_scaled = 1,
	 .has_post_norms = 1,
	 .global_each = 2,
	 .window = 4096,
	 .attn_softcap = 50,
	 .logit_softcap = 30,
	 .plain_layers = 46},
	{.name = "gemma3",
	 .activation = QN_GELU,
	 .embd_scaled = 1,
	 .has_head_norms = 1,
	 .has_post_norms = 1,
	 .global_each = 6,
	 .local_base = 10000,
	 .plain_layers = 62},
};

static int find_arch(struct quern_model *model, struct quern_error *err)
{
	struct quern_value value;
	char known[160] = "";

	if (quern_gguf_find_key(model->file, "general.architecture", &value) ||
	    value.type != QUERN_STRING)
		return qn_error_set(err, "key general.architecture is missing; it names the kind "
					 "of model");
	for (size_t i = 0; i < sizeof archs / sizeof *archs; i++) {
		model->arch = &archs[i];
		if (value.count == strlen(archs[i].name) &&
		    !memcmp(value.s, archs[i].name, value.count))
			return 0;
		snprintf(known + strlen(known), sizeof known - strlen(known), " %s", archs[i].name);
	}
	return qn_error_set(err, "architecture '%.*s' is not supported; these are:%s",
			    value.count < 32 ? (int)value.count : 32, value.s, known);
}

static int read_widths(struct quern_model *m, const struct qn_keys *keys, struct quern_error *err)
{
	long n_experts = 0;

	m->n_heads = m->n_kv_heads = m->d_k = m->d_v = -1;
	if (qn_keys_long(keys, "embedding_length", 1, MAX_WIDTH, &m->n_embd, err) ||
	    qn_keys_long(keys, "block_count", 1, MAX_LAYERS, &m->n_layers, err) ||
	    qn_keys_long(keys, "feed_forward_length", 1, MAX_WIDTH, &m->n_ff, err) ||
	    qn_keys_long(keys, "attention.head_count", 1, MAX_HEADS, &m->n_heads, err) ||
	    qn_keys_long(keys, "context_length", 1, 1L << 30, &m->n_context, err) ||
	    qn_keys_long(keys, "expert_count", 0, 1L << 30, &n_experts, err))
		return -1;
	if (n_experts > 0)
		return qn_error_set(err,
				    "%s.expert_count is %ld: mixtures of experts are not "
				    "supported",
				    keys->arch, n_experts);
	m->n_kv_heads = m->n_heads;
	m->d_k = m->d_v = m->n_embd / m->n_heads;
	if (qn_keys_long(keys, "attention.head_count_kv", 1, m->n_heads, &m->n_kv_heads, err) ||
	    qn_keys_long(keys, "attention.key_length", 2, QN_MAX_HEAD, &m->d_k, err) ||
	    qn_keys_long(keys, "attention.value_length", 1, QN_MAX_HEAD, &m->d_v, err))
		return -1;
	if (m->n_heads % m->n_kv_heads)
		return qn_error_set(err, "%ld heads cannot share %ld key and value heads evenly",
				    m->n_heads, m->n_kv_heads);
	return 0;
}

/* How contexts are stretched, "" where keys do not say; NULL: in a way that is not known. */
static const char *find_scaling(const struct qn_keys *keys)
{
	static const char *const known[] = {"none", "linear", "llama3", "longrope", "yarn"};

	if (!qn_keys_has(keys, "rope.scaling.type"))
		return "";
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (qn_keys_is(keys, "rope.scaling.type", known[i]))
			return known[i];
	}
	return NULL;
}

/*
 * YaRN (Peng et al., 2023): pairs that turn more than beta_fast times within the original context keep their
 * frequencies, those that turn less than beta_slow times are slowed down by the factor.
 */
static int read_yarn(const struct qn_keys *keys, struct qn_rope *rope, struct quern_error *err)
{
	const double n = (double)rope->n_dims, circle = 2 * acos(-1.0);
	const double original = (double)rope->long_context, each = n / (2 * log(rope->base));
	double fast = 32, slow = 1;

	if (qn_keys_float(keys, "rope.scaling.yarn_beta_fast", 1e-3, 1e6, &fast, err) ||
	    qn_keys_float(keys, "rope.scaling.yarn_beta_slow", 1e-3, 1e6, &slow, err))
		return -1;
	if (!(rope->base > 1 && rope->factor >= 1))
		return qn_error_set(err,
				    "yarn needs %s.rope.scaling.factor from 1 and a base of "
				    "frequencies above 1",
				    keys->arch);
	/* original * base^(-2 i / n) = circle * beta, solved for i */
	rope->ramp_low = fmax(0, floor(each * log(original / (fast * circle))));
	rope->ramp_high = fmin(n - 1, ceil(each * log(original / (slow * circle))));
	rope->ramp_high = fmax(rope->ramp_high, rope->ramp_low + 0.001);
	rope->magnitude *= 1 + 0.1 * log(rope->factor);
	return 0;
}

static int read_scaling(struct quern_model *m, const struct qn_keys *keys, struct qn_rope *rope,
			struct quern_error *err)
{
	const char *how = find_scaling(keys);
	double factor = 1;

	if (!how)
		return qn_error_set(err,
				    "key %s.rope.scaling.type names a way to stretch contexts "
				    "that is not supported; none, linear, llama3, longrope and "
				    "yarn are",
				    keys->arch);
	rope->long_context = m->n_context;
	rope->magnitude = 1;
	if (qn_keys_float(keys, "rope.scaling.factor", 1e-3, 1e6, &factor, err) ||
	    qn_keys_long(keys, "rope.scaling.original_context_length", 1, 1L << 30,
			 &rope->long_context, err) ||
	    qn_keys_float(keys, "rope.scaling.attn_factor", 1e-3, 1e3, &rope->magnitude, err))
		return -1;
	rope->factor = strcmp(how, "linear") && strcmp(how, "yarn") ? 1 : factor;
	return strcmp(how, "yarn") ? 0 : read_yarn(keys, rope, err);
}

static int read_ropes(struct quern_model *m, const struct qn_keys *keys, struct quern_error *err)
{
	struct qn_rope *rope = &m->ropes[0];

	*rope = (struct qn_rope){.n_dims = m->d_k,
				 .halves = !m->arch->turns_neighbours,
				 .base = 10000};
	if (qn_keys_long(keys, "rope.dimension_count", 2, m->d_k, &rope->n_dims, err) ||
	    qn_keys_float(keys, "rope.freq_base", 1, 1e12, &rope->base, err) ||
	    read_scaling(m, keys, rope, err))
		return -1;
	if (rope->n_dims % 2)
		return qn_error_set(err, "%ld dimensions of a head cannot turn in pairs",
				    rope->n_dims);
	m->n_ropes = 1;
	if (m->arch->local_base == 0)
		return 0;
	m->n_ropes = 2;
	m->ropes[1] = *rope;
	m->ropes[1].base = m->arch->local_base;
	m->ropes[1].factor = m->ropes[1].magnitude = 1;
	m->ropes[1].ramp_high = 0;
	return qn_keys_float(keys, "rope.freq_base_swa", 1, 1e12, &m->ropes[1].base, err);
}

/* An architecture whose models differ in it says so in a key. */
static int read_activation(struct quern_model *m, const struct qn_keys *keys,
			   struct quern_error *err)
{
	m->activation = m->arch->activation;
	if (!qn_keys_has(keys, "hidden_activation"))
		return 0;
	if (qn_keys_is(keys, "hidden_activation", "silu"))
		m->activation = QN_SILU;
	else if (qn_keys_is(keys, "hidden_activation", "relu2"))
		m->activation = QN_RELU2;
	else if (qn_keys_is(keys, "hidden_activation", "gelu_pytorch_tanh"))
		m->activation = QN_GELU;
	else
		return qn_error_set(err,
				    "key %s.hidden_activation names none that is supported; silu, "
				    "relu2 and gelu_pytorch_tanh are",
				    keys->arch);
	return 0;
}

static int read_attention(struct quern_model *m, const struct qn_keys *keys,
			  struct quern_error *err)
{
	const struct qn_arch *arch = m->arch;
	double attn_softcap = arch->attn_softcap, logit_softcap = arch->logit_softcap;

	m->norm_eps = -1;
	m->window = (long)arch->window;
	if (qn_keys_float(keys,
			  arch->is_centred ? "attention.layer_norm_epsilon"
					   : "attention.layer_norm_rms_epsilon",
			  0, 1, &m->norm_eps, err) ||
	    qn_keys_long(keys, "attention.sliding_window", 0, 1L << 30, &m->window, err) ||
	    qn_keys_float(keys, "attn_logit_softcapping", 0, 1e6, &attn_softcap, err) ||
	    qn_keys_float(keys, "final_logit_softcapping", 0, 1e6, &logit_softcap, err))
		return -1;
	m->attn_softcap = (float)attn_softcap;
	m->logit_softcap = (float)logit_softcap;
	m->embd_scale = arch->embd_scaled ? sqrtf((float)m->n_embd) : 1;
	m->attn_scale = 1 / sqrtf((float)(arch->plain_layers && m->n_layers == arch->plain_layers
						  ? m->n_embd / m->n_heads
						  : m->d_k));
	return 0;
}

int qn_arch_read(struct quern_model *model, struct quern_error *err)
{
	struct qn_keys keys = {.file = model->file};

	if (find_arch(model, err))
		return -1;
	keys.arch = model->arch->name;
	return read_widths(model, &keys, err) || read_ropes(model, &keys, err) ||
			       read_attention(model, &keys, err) ||
			       read_activation(model, &keys, err)
		       ? -1
		       : 0;
}

int qn_arch_is_local(const struct quern_model *model, long i)
{
	const int each = model->arch->global_each;

	return model->window > 0 && (!each || i % each < each - 1);
}
