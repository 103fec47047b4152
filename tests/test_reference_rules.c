/*
 * test_reference_rules.c: what must not change the reference model's logits, and what must: positions,
 * windows, and files that say the same in two ways.
 */
#include "tiny_architectures.h"

/* ---- order and positions ---- */

/* Positions count by their differences; tokens by their order; nothing stays from another text. */
static void test_positions(void)
{
	static double all[N_LOGITS], shifted[N_LOGITS];

	for (int i = 0; i < n_models; i++) {
		struct opened o;
		struct tiny t;
		int32_t tokens[N_TOKENS];

		models[i].make(&t);
		if (!CHECK(open_tiny(&t, models[i].n_context, &o) == 0)) {
			printf("%s: %s\n", models[i].name, o.err.text);
			close_tiny(&o);
			continue;
		}
		for (long j = 0; j < N_TOKENS; j++)
			tokens[j] = token_at(j);
		CHECK(reference_logits(o.reference, tokens, N_TOKENS, all) == 0);
		reference_start(o.reference, 777);
		for (long j = 0; j < N_TOKENS; j++)
			CHECK(reference_append(o.reference, tokens[j], shifted + j * TINY_VOCAB) ==
			      0);
		CHECK(distance(all, shifted, N_LOGITS) < 1e-9);

		CHECK(reference_logits(o.reference, tokens, N_TOKENS / 2, shifted) == 0);
		CHECK(distance(all, shifted, N_LOGITS / 2) == 0);

		tokens[N_TOKENS - 3] = token_at(N_TOKENS - 2);
		tokens[N_TOKENS - 2] = token_at(N_TOKENS - 3);
		CHECK(reference_logits(o.reference, tokens, N_TOKENS, shifted) == 0);
		CHECK(distance(all, shifted, N_LOGITS - 3 * TINY_VOCAB) == 0);
		CHECK(distance(all + N_LOGITS - TINY_VOCAB, shifted + N_LOGITS - TINY_VOCAB,
			       TINY_VOCAB) > 1e-3);
		CHECK(reference_append(o.reference, TINY_VOCAB, NULL) == -1);
		CHECK(reference_append(o.reference, -1, NULL) == -1);
		close_tiny(&o);
	}
}

/* Is the last token's output another one when the token `back` before it is? */
static int reaches(struct opened *o, long back)
{
	static double logits[2][N_LOGITS];
	int32_t tokens[N_TOKENS];

	for (long i = 0; i < N_TOKENS; i++)
		tokens[i] = token_at(i);
	CHECK(reference_logits(o->reference, tokens, N_TOKENS, logits[0]) == 0);
	tokens[N_TOKENS - 1 - back] ^= 1;
	CHECK(reference_logits(o->reference, tokens, N_TOKENS, logits[1]) == 0);
	return distance(logits[0] + N_LOGITS - TINY_VOCAB, logits[1] + N_LOGITS - TINY_VOCAB,
			TINY_VOCAB) > 0;
}

/* A layer with a window of 5 sees 4 tokens back. */
static void test_windows(void)
{
	struct opened o;
	struct tiny t;

	make_phi3(&t); /* two layers */
	tiny_count(&t, "attention.sliding_window", 5);
	if (CHECK(open_tiny(&t, 0, &o) == 0))
		CHECK(reaches(&o, 8) && !reaches(&o, 9));
	close_tiny(&o);

	/* Layers 0 and 2 are local, 1 is not: with one of them only, and with all. */
	tiny_shape(&t, "gemma2", 1, 2, 16, 16);
	tiny_model(&t, LLAMA_PARTS | TINY_POST_NORMS);
	tiny_count(&t, "attention.sliding_window", 5);
	if (CHECK(open_tiny(&t, 0, &o) == 0))
		CHECK(reaches(&o, 4) && !reaches(&o, 5));
	close_tiny(&o);
	make_gemma2(&t);
	if (CHECK(open_tiny(&t, 0, &o) == 0))
		CHECK(reaches(&o, N_TOKENS - 1));
	close_tiny(&o);

	/* Five local layers before the first global one. */
	tiny_shape(&t, "gemma3", 5, 2, 16, 16);
	tiny_model(&t, LLAMA_PARTS | TINY_POST_NORMS | TINY_HEAD_NORMS);
	tiny_count(&t, "attention.sliding_window", 3);
	if (CHECK(open_tiny(&t, 0, &o) == 0))
		CHECK(reaches(&o, 10) && !reaches(&o, 11));
	close_tiny(&o);
	tiny_shape(&t, "gemma3", 6, 2, 16, 16);
	tiny_model(&t, LLAMA_PARTS | TINY_POST_NORMS | TINY_HEAD_NORMS);
	tiny_count(&t, "attention.sliding_window", 3);
	if (CHECK(open_tiny(&t, 0, &o) == 0))
		CHECK(reaches(&o, 11) && reaches(&o, N_TOKENS - 1));
	close_tiny(&o);
}

/* ---- two ways to say the same ---- */

/* Rows of pairs (i, i + d/2) of each head -> (2i, 2i + 1), as converters do for llama. */
static void interleave(struct tiny_tensor *w, long d)
{
	float *rows = malloc((size_t)tiny_size(w) * sizeof(float));

	if (!rows)
		abort();
	for (long row = 0; row < w->m; row++) {
		long head = row / d, i = row % d;
		long to = head * d + (i < d / 2 ? 2 * i : 2 * (i - d / 2) + 1);

		memcpy(rows + to * w->k, w->at + row * w->k, (size_t)w->k * sizeof(float));
	}
	free(w->at);
	w->at = rows;
}

static void scale_tensor(struct tiny *t, const char *name, float factor)
{
	struct tiny_tensor *w = tiny_find(t, name);

	for (long i = 0; i < tiny_size(w); i++)
		w->at[i] *= factor;
}

static void test_layouts(void)
{
	struct tiny a, b;

	/* Which elements make a pair. */
	make_llama(&a);
	for (long layer = 0; layer < a.n_layers; layer++) {
		interleave(tiny_find(&a, tiny_name(layer, "attn_q", "weight")), a.d_head);
		interleave(tiny_find(&a, tiny_name(layer, "attn_k", "weight")), a.d_head);
	}
	tiny_shape(&b, "qwen2", 2, 2, 8, 8);
	tiny_model(&b, LLAMA_PARTS | TINY_OUTPUT);
	CHECK(compare(&a, &b) < 1e-12);

	/* Fused matrices. */
	make_phi2(&a);
	make_phi2_parts(&b);
	CHECK(compare(&a, &b) == 0);
	make_phi3(&a);
	tiny_shape(&b, "qwen2", 2, 2, 8, 6);
	tiny_model(&b, LLAMA_PARTS | TINY_OUTPUT);
	CHECK(compare(&a, &b) == 0);

	/* Tied embeddings. */
	make_qwen2(&a);
	make_qwen2(&b);
	memcpy(tiny_add(&b, TINY_VOCAB, TINY_EMBD, "output.weight")->at,
	       tiny_find(&b, "token_embd.weight")->at, TINY_VOCAB * TINY_EMBD * sizeof(float));
	CHECK(compare(&a, &b) == 0);
}

/* Two heads for keys and values, or each of them twice. */
static void test_grouped_queries(void)
{
	struct tiny a, b;

	make_llama(&a);
	tiny_shape(&b, "llama", 2, 4, 8, 8);
	tiny_model(&b, LLAMA_PARTS | TINY_OUTPUT);
	for (long layer = 0; layer < 2; layer++) {
		for (int which = 0; which < 2; which++) {
			const char *name = tiny_name(layer, which ? "attn_v" : "attn_k", "weight");
			const float *from = tiny_find(&a, name)->at;
			float *to = tiny_find(&b, name)->at;

			for (long head = 0; head < 4; head++)
				memcpy(to + head * 8 * TINY_EMBD, from + head / 2 * 8 * TINY_EMBD,
				       8 * TINY_EMBD * sizeof(float));
		}
	}
	CHECK(compare(&a, &b) == 0);
}

static void test_scales(void)
{
	static const char *const names[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
					    "ffn_gate", "ffn_up", "ffn_down"};
	struct tiny a, b;

	/* A scale is a factor of its matrix. */
	make_bitnet(&a);
	make_bitnet(&b);
	for (long layer = 0; layer < 2; layer++) {
		for (int i = 0; i < 7; i++) {
			tiny_find(&a, tiny_name(layer, names[i], "scale"))->at[0] = 0.25f;
			tiny_find(&b, tiny_name(layer, names[i], "scale"))->at[0] = 1;
			scale_tensor(&b, tiny_name(layer, names[i], "weight"), 0.25f);
		}
	}
	CHECK(compare(&a, &b) == 0);

	/* The FFN's activation, by architecture or by key. */
	make_bitnet_relu2(&a);
	make_bitnet_b158(&b);
	CHECK(compare(&a, &b) == 0);
	make_bitnet(&a);
	make_bitnet_b158(&b);
	CHECK(compare(&a, &b) > 1e-3);

	/* Heads that are normalised do not know how long they were. */
	make_qwen3(&a);
	make_qwen3(&b);
	scale_tensor(&a, "blk.0.attn_q.weight", 1024);
	scale_tensor(&b, "blk.0.attn_q.weight", 2048);
	CHECK(compare(&a, &b) < 1e-6);

	/* Magnitudes of q and k both go into a score. */
	make_llama(&a);
	make_llama(&b);
	tiny_float(&a, "rope.scaling.attn_factor", 2);
	for (long layer = 0; layer < 2; layer++)
		scale_tensor(&b, tiny_name(layer, "attn_q", "weight"), 4);
	CHECK(compare(&a, &b) == 0);
}

static void test_ropes(void)
{
	static double logits[4][N_LOGITS];
	struct tiny a, b;

	/* Factors that are all the same are linear scaling. */
	make_linear(&a);
	make_llama(&b);
	tiny_fill(tiny_add(&b, 0, 4, "rope_freqs.weight"), 4, 0);
	CHECK(compare(&a, &b) == 0);
	make_linear(&a);
	make_llama(&b);
	CHECK(compare(&a, &b) > 1e-3);

	/* Which factors, decided by the context. */
	for (int i = 0; i < 4; i++) {
		make_longrope(&a);
		run(&a, (const long[]){0, 513, 512, 1}[i], logits[i]);
	}
	CHECK(distance(logits[0], logits[1], N_LOGITS) == 0);
	CHECK(distance(logits[2], logits[3], N_LOGITS) == 0);
	CHECK(distance(logits[1], logits[2], N_LOGITS) > 1e-3);

	/* With the same base everywhere a window wider than the text is none. */
	make_gemma3(&a);
	tiny_float(&a, "rope.freq_base_swa", 1000000);
	make_gemma3(&b);
	CHECK(compare(&a, &b) > 1e-3);
}

/* What a cap did can be undone. */
static void test_caps(void)
{
	static double capped[N_LOGITS], wide[N_LOGITS];
	struct tiny t;

	make_gemma2(&t);
	run(&t, 0, capped);
	tiny_shape(&t, "gemma2", 3, 2, 16, 16);
	tiny_model(&t, LLAMA_PARTS | TINY_POST_NORMS);
	tiny_count(&t, "attention.sliding_window", 5);
	tiny_float(&t, "attn_logit_softcapping", 2);
	tiny_float(&t, "final_logit_softcapping", 1e9f);
	run(&t, 0, wide);
	for (long i = 0; i < N_LOGITS; i++)
		CHECK(fabs(capped[i] - 3 * tanh(wide[i] / 3)) < 1e-9);
}

int main(void)
{
	test_positions();
	test_windows();
	test_layouts();
	test_grouped_queries();
	test_scales();
	test_ropes();
	test_caps();
	return check_exit();
}
