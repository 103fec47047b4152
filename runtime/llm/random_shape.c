/*
 * random_shape.c: published shapes of models, and tiny ones of every architecture.
 *
 * Tiny models have what is easily got wrong: odd widths, fewer heads of keys than of queries, windows
 * and first contexts that are shorter than the context.
 */
#include "random_shape.h"

#include <string.h>
#include <strings.h>

#include "../error.h"

#define QN(flag) QN_RANDOM_##flag

static const struct qn_random_arch
	llama = {"llama", QN(ROT_KEY), 1e-5f, QN_RANDOM_SPM},
	llama3 = {"llama", QN(ROT_KEY), 1e-5f, QN_RANDOM_BPE_LLAMA},
	phi2 = {"phi2",
		QN(BIASES) | QN(FUSED_QKV) | QN(NO_GATE) | QN(PARALLEL) | QN(ONE_WIDTH) |
			QN(ROT_KEY),
		1e-5f, QN_RANDOM_BPE_GPT2},
	phi3 = {"phi3", QN(FUSED_QKV) | QN(FUSED_UP) | QN(ONE_WIDTH) | QN(ROT_KEY), 1e-5f,
		QN_RANDOM_SPM},
	bitnet = {"bitnet", QN(SUB_NORM) | QN(TIED) | QN(ONE_WIDTH) | QN(ROT_KEY), 1e-5f,
		  QN_RANDOM_SPM},
	bitnet_2b = {"bitnet-b1.58", QN(SUB_NORM) | QN(TIED) | QN(ONE_WIDTH) | QN(ROT_KEY), 1e-5f,
		     QN_RANDOM_BPE_LLAMA},
	qwen2 = {"qwen2", QN(QKV_BIAS), 1e-6f, QN_RANDOM_BPE_QWEN},
	qwen3 = {"qwen3", QN(QK_NORM) | QN(HEAD_KEYS), 1e-6f, QN_RANDOM_BPE_QWEN},
	gemma2 = {"gemma2", QN(POST_NORM) | QN(TIED) | QN(HEAD_KEYS), 1e-6f, QN_RANDOM_SPM_GEMMA},
	gemma3 = {"gemma3", QN(POST_NORM) | QN(QK_NORM) | QN(TIED) | QN(HEAD_KEYS), 1e-6f,
		  QN_RANDOM_SPM_GEMMA};

#define BASE(base) .freq_base = base
#define TIED .is_tied = 1
#define LLAMA3(first, times) \
	.rope = QN_RANDOM_ROPE_LLAMA3, .original_context = first, .factor = times
#define LONG(first) .rope = QN_RANDOM_ROPE_LONG, .original_context = first
#define LINEAR(times) .rope = QN_RANDOM_ROPE_LINEAR, .factor = times
#define CAPS .attention_cap = 50, .logit_cap = 30

/* clang-format off */
static const struct qn_random_shape shapes[] = {
	/* layers, embedding, heads, of keys, their width, FFN, vocabulary, context, base */
	{"llama", "tiny", "tiny-llama", &llama, 2, 72, 4, 2, 18, 180, 515, 128, BASE(1e4f)},
	{"llama", "tiny-3", "tiny-llama-3", &llama3, 2, 72, 4, 2, 18, 180, 515, 128, BASE(5e5f), TIED, LLAMA3(32, 8)},
	{"llama", "1b", "tinyllama-1.1b", &llama, 22, 2048, 32, 4, 64, 5632, 32000, 2048, BASE(1e4f)},
	{"llama", "3.2-1b", "llama-3.2-1b", &llama3, 16, 2048, 32, 8, 64, 8192, 128256, 131072, BASE(5e5f), TIED, LLAMA3(8192, 32)},
	{"llama", "3.2-3b", "llama-3.2-3b", &llama3, 28, 3072, 24, 8, 128, 8192, 128256, 131072, BASE(5e5f), TIED, LLAMA3(8192, 32)},
	{"llama", "7b", "llama-2-7b", &llama, 32, 4096, 32, 32, 128, 11008, 32000, 4096, BASE(1e4f)},
	{"llama", "8b", "llama-3.1-8b", &llama3, 32, 4096, 32, 8, 128, 14336, 128256, 131072, BASE(5e5f), LLAMA3(8192, 8)},
	{"llama", "13b", "llama-2-13b", &llama, 40, 5120, 40, 40, 128, 13824, 32000, 4096, BASE(1e4f)},
	{"llama", "70b", "llama-2-70b", &llama, 80, 8192, 64, 8, 128, 28672, 32000, 4096, BASE(1e4f)},
	{"mistral", "tiny", "tiny-mistral", &llama, 2, 72, 4, 2, 18, 180, 515, 128, BASE(1e6f)},
	{"mistral", "7b", "mistral-7b", &llama, 32, 4096, 32, 8, 128, 14336, 32000, 32768, BASE(1e4f)},
	{"phi2", "tiny", "tiny-phi-2", &phi2, 2, 80, 4, 4, 20, 324, 515, 128, .n_rot = 8},
	{"phi2", "2.7b", "phi-2", &phi2, 32, 2560, 32, 32, 80, 10240, 51200, 2048, .n_rot = 32},
	{"phi3", "tiny", "tiny-phi-3", &phi3, 2, 72, 4, 2, 18, 180, 515, 128, BASE(1e4f), .window = 24, LONG(64)},
	{"phi3", "mini", "phi-3-mini", &phi3, 32, 3072, 32, 32, 96, 8192, 32064, 4096, BASE(1e4f), .window = 2047,
		.original_context = 4096},
	{"phi3", "mini-128k", "phi-3-mini-128k", &phi3, 32, 3072, 32, 32, 96, 8192, 32064, 131072, BASE(1e4f),
		.window = 262144, LONG(4096)},
	{"bitnet", "tiny", "tiny-bitnet", &bitnet, 2, 72, 4, 2, 18, 180, 515, 128, BASE(1e4f), TIED, LINEAR(1)},
	{"bitnet", "3b", "bitnet-3b", &bitnet, 26, 3200, 32, 32, 100, 8640, 32002, 2048, BASE(1e4f), TIED, LINEAR(1)},
	{"bitnet", "2b-4t", "bitnet-2b-4t", &bitnet_2b, 30, 2560, 20, 5, 128, 6912, 128256, 4096, BASE(5e5f), TIED},
	{"bitnet-b1.58", "tiny", "tiny-bitnet-b1.58", &bitnet_2b, 2, 72, 4, 2, 18, 180, 515, 128, BASE(5e5f), TIED},
	{"qwen2", "tiny", "tiny-qwen2", &qwen2, 3, 72, 4, 2, 18, 180, 515, 128, BASE(1e6f), TIED},
	{"qwen2", "0.5b", "qwen2-0.5b", &qwen2, 24, 896, 14, 2, 64, 4864, 151936, 32768, BASE(1e6f), TIED},
	{"qwen2", "1.5b", "qwen2-1.5b", &qwen2, 28, 1536, 12, 2, 128, 8960, 151936, 32768, BASE(1e6f), TIED},
	{"qwen2", "7b", "qwen2-7b", &qwen2, 28, 3584, 28, 4, 128, 18944, 152064, 32768, BASE(1e6f)},
	{"qwen3", "tiny", "tiny-qwen3", &qwen3, 3, 72, 4, 2, 20, 180, 515, 128, BASE(1e6f), TIED},
	{"qwen3", "0.6b", "qwen3-0.6b", &qwen3, 28, 1024, 16, 8, 128, 3072, 151936, 40960, BASE(1e6f), TIED},
	{"qwen3", "1.7b", "qwen3-1.7b", &qwen3, 28, 2048, 16, 8, 128, 6144, 151936, 40960, BASE(1e6f), TIED},
	{"qwen3", "4b", "qwen3-4b", &qwen3, 36, 2560, 32, 8, 128, 9728, 151936, 40960, BASE(1e6f), TIED},
	{"qwen3", "8b", "qwen3-8b", &qwen3, 36, 4096, 32, 8, 128, 12288, 151936, 40960, BASE(1e6f)},
	{"gemma2", "tiny", "tiny-gemma-2", &gemma2, 4, 72, 4, 2, 20, 180, 515, 128, TIED, .window = 16, CAPS},
	{"gemma2", "2b", "gemma-2-2b", &gemma2, 26, 2304, 8, 4, 256, 9216, 256000, 8192, TIED, .window = 4096, CAPS},
	{"gemma2", "9b", "gemma-2-9b", &gemma2, 42, 3584, 16, 8, 256, 14336, 256000, 8192, TIED, .window = 4096, CAPS},
	{"gemma3", "tiny", "tiny-gemma-3", &gemma3, 7, 72, 4, 2, 20, 180, 515, 128, BASE(1e6f), TIED, .window = 16, LINEAR(8)},
	{"gemma3", "1b", "gemma-3-1b", &gemma3, 26, 1152, 4, 1, 256, 6912, 262144, 32768, BASE(1e6f), TIED, .window = 512},
	{"gemma3", "4b", "gemma-3-4b", &gemma3, 34, 2560, 8, 4, 256, 10240, 262208, 131072, BASE(1e6f), TIED, .window = 1024,
		LINEAR(8)},
};
/* clang-format on */

enum { N_SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

void qn_random_shape_list(FILE *out)
{
	for (int i = 0; i < N_SHAPES; i++)
		fprintf(out, "--arch %-12s --size %-9s or --size %s\n", shapes[i].family,
			shapes[i].size, shapes[i].name);
}

/* ---- names ---- */

/* "Phi-3" is phi3. */
static int is_same_name(const char *a, const char *b)
{
	for (;; a++, b++) {
		while (*a == '-')
			a++;
		while (*b == '-')
			b++;
		if (!*a || !*b)
			return *a == *b;
		if (strncasecmp(a, b, 1) != 0)
			return 0;
	}
}

static int is_meant(const struct qn_random_shape *shape, const char *arch, const char *size)
{
	const int is_named = is_same_name(size, shape->name);

	if (!arch)
		return is_named;
	return (is_named || is_same_name(size, shape->size)) &&
	       (is_same_name(arch, shape->family) || is_same_name(arch, shape->arch->name));
}

static const struct qn_random_shape *find_shape(const char *arch, const char *size)
{
	for (int i = 0; i < N_SHAPES; i++) {
		if (is_meant(&shapes[i], arch, size))
			return &shapes[i];
	}
	return NULL;
}

/* Names what there is instead. */
static int refuse_name(const char *arch, const char *size, struct quern_error *err)
{
	char known[160] = "";
	size_t n = 0;

	for (int i = 0; i < N_SHAPES && n < sizeof(known); i++) {
		const int is_new = i == 0 || strcmp(shapes[i].family, shapes[i - 1].family) != 0;

		if (arch && is_same_name(arch, shapes[i].family))
			n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "",
					      shapes[i].size);
		else if (arch && !find_shape(arch, "tiny") && is_new)
			n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "",
					      shapes[i].family);
	}
	if (!arch)
		return qn_error_set(
			err, "size %.40s: no model has this name; an architecture is missing",
			size);
	if (!find_shape(arch, "tiny"))
		return qn_error_set(err, "architecture %.40s is not known; there are %s", arch,
				    known);
	return qn_error_set(err, "%.40s has no size %.40s; there are %s", arch, size, known);
}

/* ---- sizes ---- */

static long round_up(long n, long block)
{
	return (n + block - 1) / block * block;
}

/* A tiny shape with widths of whole blocks. */
static void widen(struct qn_random_shape *s, long block)
{
	const int is_one_width = s->n_heads * s->head_dim == s->n_embd;
	const long n_embd = round_up(s->n_embd, block);

	s->head_dim =
		(is_one_width ? n_embd : round_up(s->n_heads * s->head_dim, block)) / s->n_heads;
	s->n_embd = n_embd;
	s->n_ff = round_up(s->n_ff, block);
}

static void take(long *size, long wanted)
{
	if (wanted)
		*size = wanted;
}

/* What the caller says instead; a width of heads that follows from others follows them. */
static void take_sizes(const struct qn_random_shape *wanted, struct qn_random_shape *s)
{
	const int is_one_width = s->n_heads * s->head_dim == s->n_embd;

	take(&s->n_layers, wanted->n_layers);
	take(&s->n_embd, wanted->n_embd);
	take(&s->n_heads, wanted->n_heads);
	take(&s->n_kv_heads, wanted->n_kv_heads);
	take(&s->n_ff, wanted->n_ff);
	take(&s->n_vocab, wanted->n_vocab);
	take(&s->n_context, wanted->n_context);
	if (wanted->n_heads && !wanted->n_kv_heads && s->n_heads % s->n_kv_heads)
		s->n_kv_heads = s->n_heads;
	if (is_one_width && s->n_embd % s->n_heads == 0)
		s->head_dim = s->n_embd / s->n_heads;
	take(&s->head_dim, wanted->head_dim);
	if (s->n_rot == 0 || s->n_rot > s->head_dim)
		s->n_rot = s->head_dim;
}

static int check_sizes(const struct qn_random_shape *s, struct quern_error *err)
{
	if (s->n_heads % s->n_kv_heads)
		return qn_error_set(err, "%ld heads cannot share %ld heads of keys evenly",
				    s->n_heads, s->n_kv_heads);
	if (s->head_dim % 2)
		return qn_error_set(err, "heads of %ld values; the number must be even",
				    s->head_dim);
	if ((s->arch->flags & QN_RANDOM_ONE_WIDTH) && s->n_heads * s->head_dim != s->n_embd)
		return qn_error_set(
			err, "%ld heads of %ld values are not an embedding of %ld; %s needs that",
			s->n_heads, s->head_dim, s->n_embd, s->arch->name);
	return 0;
}

int qn_random_shape_find(const char *arch, const char *size, const struct qn_random_shape *wanted,
			 long block, struct qn_random_shape *shape, struct quern_error *err)
{
	const struct qn_random_shape *found;

	size = size ? size : "tiny";
	found = find_shape(arch, size);
	if (!found)
		return refuse_name(arch, size, err);
	*shape = *found;
	if (!strncmp(shape->size, "tiny", 4))
		widen(shape, block);
	take_sizes(wanted, shape);
	return check_sizes(shape, err);
}
