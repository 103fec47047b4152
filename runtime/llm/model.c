/*
 * model.c: opens a model: finds every tensor, checks its shape, packs matrices.
 *
 * A tensor that nothing asked for is an error: a file that has one is of a kind that is not
 * supported, whatever its architecture is called.
 */
#include "model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../format.h"
#include "gguf.h"
#include "packed.h"

enum { MAX_NAME = 64 };

struct loader {
	struct quern_model *model;
	const struct quern_model_options *options;
	uint8_t *is_used; /* [tensors] */
	uint64_t n_bytes, n_all_bytes;
	struct qn_packed *packed; /* NULL: packed weights are not kept */
	struct quern_error *err;
};

/* ---- tensors ---- */

/* 1: there is one. */
static int find_tensor(struct loader *loader, const char *name, struct quern_tensor *tensor)
{
	const long i = qn_parts_find(loader->model, name, tensor);

	if (i >= 0)
		loader->is_used[i] = 1;
	return i >= 0;
}

static int check_dims(const struct loader *loader, const struct quern_tensor *t, long k, long m)
{
	if (t->dims[0] == (uint64_t)k && t->dims[1] == (uint64_t)m && t->dims[2] == 1 &&
	    t->dims[3] == 1)
		return 0;
	return qn_error_set(loader->err,
			    "tensor %s is %" PRIu64 " x %" PRIu64 "%s; the model's keys ask for "
			    "%ld x %ld",
			    t->name, t->dims[0], t->dims[1],
			    t->dims[2] > 1 || t->dims[3] > 1 ? " x more" : "", k, m);
}

/* Are there values of a type that can be read? */
static int check_type(const struct loader *loader, const struct quern_tensor *t)
{
	if (qn_format_is_float(t->type) || qn_format_of_type(t->type) >= 0)
		return 0;
	return qn_error_set(loader->err, "tensor %s has type %s, which is not supported", t->name,
			    quern_type_name(t->type));
}

/* ---- vectors ---- */

/*
 * n floats of a tensor, which the caller frees; NULL without one.  is_needed: it must be there.
 */
static int read_vector(struct loader *loader, const char *name, long n, int is_needed, float **out)
{
	struct quern_tensor t;

	*out = NULL;
	if (!find_tensor(loader, name, &t))
		return is_needed ? qn_error_set(loader->err, "tensor %s is missing", name) : 0;
	if (check_dims(loader, &t, n, 1))
		return -1;
	if (!qn_format_is_float(t.type))
		return qn_error_set(loader->err,
				    "tensor %s has type %s; F32, F16 and BF16 are "
				    "supported for it",
				    name, quern_type_name(t.type));
	*out = malloc((size_t)n * sizeof **out);
	if (!*out)
		return qn_error_set(loader->err, "no memory for tensor %s", name);
	qn_format_read_floats(t.type, t.data, n, 0, *out);
	return 0;
}

static int read_norm(struct loader *loader, const char *name, long n, int is_needed,
		     struct qn_norm *norm)
{
	char full[MAX_NAME];

	snprintf(full, sizeof full, "%s.weight", name);
	if (read_vector(loader, full, n, is_needed, &norm->weight))
		return -1;
	snprintf(full, sizeof full, "%s.bias", name);
	return norm->weight ? read_vector(loader, full, n, 0, &norm->bias) : 0;
}

/* ---- matrices ---- */

static int note_progress(struct loader *loader, const struct quern_tensor *t)
{
	const struct quern_model_options *o = loader->options;

	loader->n_bytes += t->n_bytes;
	if (o->progress && o->progress(o->context, loader->n_bytes, loader->n_all_bytes))
		return qn_error_set(loader->err, "stopped");
	return 0;
}

static int pack(struct loader *loader, const struct quern_tensor *t, struct qn_linear *linear)
{
	struct quern_model *model = loader->model;
	struct quern_weights weights = {.size = sizeof weights,
					.type = t->type,
					.m = linear->m,
					.k = linear->k,
					.data = t->data,
					.act = model->arch->act};
	struct quern_matrix_info info;
	struct quern_error why;

	if (loader->packed
		    ? qn_packed_pack(loader->packed, t->name, &weights, &linear->packed, &why)
		    : quern_pack(model->engine, &linear->packed, &weights, &why))
		return qn_error_set(loader->err, "tensor %s: %.200s", t->name, why.text);
	quern_matrix_info(linear->packed, &info);
	model->weight_bytes += info.packed_bytes;
	for (int i = 0; i < model->n_files; i++)
		qn_gguf_forget(model->files[i], t);
	return 0;
}

static int read_matrix(struct loader *loader, const struct quern_tensor *t, long k, long m,
		       struct qn_linear *linear)
{
	*linear = (struct qn_linear){.m = m, .k = k, .scale = 1, .rows = t->data};
	if (check_dims(loader, t, k, m) || check_type(loader, t))
		return -1;
	if (qn_format_is_float(t->type)) {
		linear->float_type = t->type == QUERN_F32   ? QN_WEIGHTS_F32
				     : t->type == QUERN_F16 ? QN_WEIGHTS_F16
							    : QN_WEIGHTS_BF16;
		loader->model->weight_bytes += t->n_bytes;
	} else if (pack(loader, t, linear)) {
		return -1;
	}
	return note_progress(loader, t);
}

/* <name>.weight with its bias and scale.  is_needed: it must be there. */
static int read_linear(struct loader *loader, const char *name, long k, long m, int is_needed,
		       struct qn_linear *linear)
{
	struct quern_tensor t;
	char full[MAX_NAME];
	float *scale;

	snprintf(full, sizeof full, "%s.weight", name);
	if (!find_tensor(loader, full, &t))
		return is_needed ? qn_error_set(loader->err, "tensor %s is missing", full) : 0;
	if (read_matrix(loader, &t, k, m, linear))
		return -1;
	snprintf(full, sizeof full, "%s.bias", name);
	if (read_vector(loader, full, m, 0, &linear->bias))
		return -1;
	snprintf(full, sizeof full, "%s.scale", name);
	if (read_vector(loader, full, 1, 0, &scale))
		return -1;
	if (scale)
		linear->scale = *scale;
	free(scale);
	return 0;
}

static int read_layer_linear(struct loader *loader, long i, const char *name, long k, long m,
			     int is_needed, struct qn_linear *linear)
{
	char full[MAX_NAME];

	snprintf(full, sizeof full, "blk.%ld.%s", i, name);
	return read_linear(loader, full, k, m, is_needed, linear);
}

static int read_layer_norm(struct loader *loader, long i, const char *name, long n, int is_needed,
			   struct qn_norm *norm)
{
	char full[MAX_NAME];

	snprintf(full, sizeof full, "blk.%ld.%s", i, name);
	return read_norm(loader, full, n, is_needed, norm);
}

/* ---- layers ---- */

static int read_attention(struct loader *loader, long i, struct qn_layer *layer)
{
	const struct quern_model *m = loader->model;
	const struct qn_arch *arch = m->arch;
	const long n_q = m->n_heads * m->d_k, n_out = m->n_heads * m->d_v;

	layer->n_qkv = 1;
	if (read_layer_norm(loader, i, "attn_norm", m->n_embd, 1, &layer->attn_norm) ||
	    read_layer_linear(loader, i, "attn_qkv", m->n_embd, qn_model_qkv_floats(m), 0,
			      &layer->qkv[0]))
		return -1;
	if (!layer->qkv[0].m) {
		layer->n_qkv = 3;
		if (read_layer_linear(loader, i, "attn_q", m->n_embd, n_q, 1, &layer->qkv[0]) ||
		    read_layer_linear(loader, i, "attn_k", m->n_embd, m->n_kv_heads * m->d_k, 1,
				      &layer->qkv[1]) ||
		    read_layer_linear(loader, i, "attn_v", m->n_embd, m->n_kv_heads * m->d_v, 1,
				      &layer->qkv[2]))
			return -1;
	}
	if (arch->has_head_norms &&
	    (read_layer_norm(loader, i, "attn_q_norm", m->d_k, 1, &layer->q_norm) ||
	     read_layer_norm(loader, i, "attn_k_norm", m->d_k, 1, &layer->k_norm)))
		return -1;
	if (arch->has_sub_norms &&
	    read_layer_norm(loader, i, "attn_sub_norm", n_out, 1, &layer->attn_sub_norm))
		return -1;
	if (arch->has_post_norms &&
	    read_layer_norm(loader, i, "post_attention_norm", m->n_embd, 1, &layer->attn_post_norm))
		return -1;
	return read_layer_linear(loader, i, "attn_output", n_out, m->n_embd, 1, &layer->out);
}

static int read_feed_forward(struct loader *loader, long i, struct qn_layer *layer)
{
	const struct quern_model *m = loader->model;
	const struct qn_arch *arch = m->arch;
	struct qn_linear *up = layer->up;

	if (!arch->is_parallel &&
	    read_layer_norm(loader, i, "ffn_norm", m->n_embd, 1, &layer->ffn_norm))
		return -1;
	layer->n_up = arch->has_no_gate || arch->joins_gate ? 1 : 2;
	if (layer->n_up == 2 &&
	    read_layer_linear(loader, i, "ffn_gate", m->n_embd, m->n_ff, 1, &up[0]))
		return -1;
	if (read_layer_linear(loader, i, "ffn_up", m->n_embd,
			      arch->joins_gate ? 2 * m->n_ff : m->n_ff, 1, &up[layer->n_up - 1]))
		return -1;
	if (arch->has_sub_norms &&
	    read_layer_norm(loader, i, "ffn_sub_norm", m->n_ff, 1, &layer->ffn_sub_norm))
		return -1;
	if (arch->has_post_norms &&
	    read_layer_norm(loader, i, "post_ffw_norm", m->n_embd, 1, &layer->ffn_post_norm))
		return -1;
	return read_layer_linear(loader, i, "ffn_down", m->n_ff, m->n_embd, 1, &layer->down);
}

/* ---- the rest ---- */

static int read_embeddings(struct loader *loader)
{
	struct quern_model *m = loader->model;
	struct quern_tensor *t = &m->embd;

	if (!find_tensor(loader, "token_embd.weight", t))
		return qn_error_set(loader->err, "tensor token_embd.weight is missing");
	if (t->dims[1] < 1 || t->dims[1] > 1 << 24)
		return qn_error_set(loader->err,
				    "tensor token_embd.weight has %" PRIu64 " rows; "
				    "it needs one for each token",
				    t->dims[1]);
	m->n_vocab = (long)t->dims[1];
	return check_dims(loader, t, m->n_embd, m->n_vocab) || check_type(loader, t) ? -1 : 0;
}

static int read_output(struct loader *loader)
{
	struct quern_model *m = loader->model;

	if (read_norm(loader, "output_norm", m->n_embd, 1, &m->output_norm) ||
	    read_linear(loader, "output", m->n_embd, m->n_vocab, 0, &m->output))
		return -1;
	return m->output.m ? 0 : read_matrix(loader, &m->embd, m->n_embd, m->n_vocab, &m->output);
}

static int read_factors(struct loader *loader)
{
	struct qn_rope *rope = &loader->model->ropes[0];
	const long n = rope->n_dims / 2;

	if (read_vector(loader, "rope_freqs.weight", n, 0, &rope->short_factors) ||
	    (!rope->short_factors &&
	     read_vector(loader, "rope_factors_short.weight", n, 0, &rope->short_factors)) ||
	    read_vector(loader, "rope_factors_long.weight", n, 0, &rope->long_factors))
		return -1;
	for (long i = 0; i < n; i++) {
		if ((rope->short_factors && !(rope->short_factors[i] > 0)) ||
		    (rope->long_factors && !(rope->long_factors[i] > 0)))
			return qn_error_set(loader->err,
					    "factor %ld of the frequencies (tensors "
					    "rope_*) is not above 0",
					    i);
	}
	return 0;
}

static int check_all_used(const struct loader *loader)
{
	struct quern_tensor t;

	for (size_t i = 0; qn_parts_tensor(loader->model, i, &t) == 0; i++) {
		if (!loader->is_used[i])
			return qn_error_set(loader->err,
					    "tensor %s has no place in a model of architecture %s; "
					    "this variant is not supported",
					    t.name, loader->model->arch->name);
	}
	return 0;
}

static uint64_t hash(uint64_t h, const void *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ ((const uint8_t *)data)[i]) * 0x100000001b3u; /* FNV-1a */
	return h;
}

/* Some bytes of every tensor tell models of one shape apart. */
static uint64_t hash_tensor(uint64_t h, const struct quern_tensor *t)
{
	const size_t n = t->n_bytes < 64 ? (size_t)t->n_bytes : 64;

	h = hash(h, t->name, strlen(t->name));
	h = hash(h, t->dims, sizeof t->dims);
	h = hash(h, &t->type, sizeof t->type);
	return hash(h, (const uint8_t *)t->data + (t->n_bytes - n) / 2, n);
}

static void expect(const struct quern_model *m, int is_all)
{
	for (int i = 0; i < m->n_files; i++)
		qn_gguf_expect(m->files[i], is_all);
}

/* Where weights may have been kept, files are read in few places until it turns out that they were not. */
static int open_packed(struct loader *loader)
{
	const struct quern_model *m = loader->model;
	const struct qn_packed_model packed = {m->engine, m->files, m->n_files, m->fingerprint};
	const char *folder = loader->options->cache;

	if (!folder || !*folder) {
		expect(m, 1);
		return 0;
	}
	loader->packed = qn_packed_open(&packed, folder);
	return loader->packed ? 0 : qn_error_set(loader->err, "no memory for a model");
}

static int load(struct loader *loader)
{
	struct quern_model *m = loader->model;
	struct quern_tensor t;
	size_t n = 0;

	expect(m, 0);
	m->fingerprint = 0xcbf29ce484222325u;
	for (; qn_parts_tensor(m, n, &t) == 0; n++) {
		loader->n_all_bytes += t.n_bytes;
		m->fingerprint = hash_tensor(m->fingerprint, &t);
	}
	if (open_packed(loader))
		return -1;
	loader->is_used = calloc(n + 1, 1);
	m->layers = calloc((size_t)m->n_layers, sizeof *m->layers);
	if (!loader->is_used || !m->layers)
		return qn_error_set(loader->err, "no memory for %ld layers", m->n_layers);
	if (read_embeddings(loader) || read_factors(loader))
		return -1;
	for (long i = 0; i < m->n_layers; i++) {
		m->layers[i].is_local = qn_arch_is_local(m, i);
		m->layers[i].rope = m->layers[i].is_local && m->n_ropes > 1;
		if (read_attention(loader, i, &m->layers[i]) ||
		    read_feed_forward(loader, i, &m->layers[i]))
			return -1;
	}
	if (read_output(loader) || check_all_used(loader))
		return -1;
	expect(m, 1);
	return 0;
}

int quern_model_open(struct quern_model **out, struct quern_engine *engine, const char *path,
		     const struct quern_model_options *options, struct quern_error *err)
{
	struct quern_model_options o = {0};
	struct loader loader = {.options = &o};
	struct quern_error why;
	int status;

	*out = NULL;
	if (options)
		memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
	loader.model = calloc(1, sizeof *loader.model);
	if (!loader.model)
		return qn_error_set(err, "no memory for a model");
	loader.model->engine = engine;
	loader.err = &why;
	if (!engine->floats)
		status = qn_error_set(err, "this build has kernels alone and runs no models");
	else
		status = qn_parts_open(loader.model, path, err);
	if (!status && (qn_arch_read(loader.model, &why) || load(&loader)))
		status = qn_error_set(err, "%.100s: %.150s", path, why.text);
	qn_packed_close(loader.packed, !status, &loader.model->note);
	free(loader.is_used);
	if (status)
		quern_model_close(loader.model);
	else
		*out = loader.model;
	return status;
}

static uint64_t count_macs(const struct quern_model *m)
{
	const long n_heads = m->n_heads * m->d_v, n_up = m->arch->has_no_gate ? 1 : 2;
	const long each = qn_model_qkv_floats(m) + n_heads + (n_up + 1) * m->n_ff;

	return (uint64_t)(m->n_layers * m->n_embd) * (uint64_t)each;
}

void quern_model_info(const struct quern_model *model, struct quern_model_info *info)
{
	*info = (struct quern_model_info){
		.arch = model->arch->name,
		.n_vocab = model->n_vocab,
		.n_embd = model->n_embd,
		.n_layers = model->n_layers,
		.n_context = model->n_context,
		.weight_bytes = model->weight_bytes,
		.cache_bytes = 2 * (size_t)(model->n_layers * model->n_kv_heads *
					    (model->d_k + model->d_v)),
		.n_macs = count_macs(model),
	};
}

const char *quern_model_note(const struct quern_model *model)
{
	return *model->note.text ? model->note.text : NULL;
}

const struct quern_gguf *quern_model_file(const struct quern_model *model)
{
	return model->file;
}

/* ---- closing ---- */

static void free_norms(struct qn_norm *const norms[], int n)
{
	for (int i = 0; i < n; i++) {
		free(norms[i]->weight);
		free(norms[i]->bias);
	}
}

static void free_linear(struct qn_linear *linear)
{
	quern_free(linear->packed);
	free(linear->bias);
}

static void free_layer(struct qn_layer *l)
{
	struct qn_norm *const norms[] = {&l->attn_norm,     &l->q_norm,         &l->k_norm,
					 &l->attn_sub_norm, &l->attn_post_norm, &l->ffn_norm,
					 &l->ffn_sub_norm,  &l->ffn_post_norm};

	free_norms(norms, sizeof norms / sizeof *norms);
	for (int i = 0; i < 3; i++)
		free_linear(&l->qkv[i]);
	for (int i = 0; i < 2; i++)
		free_linear(&l->up[i]);
	free_linear(&l->out);
	free_linear(&l->down);
}

void quern_model_close(struct quern_model *model)
{
	if (!model)
		return;
	for (long i = 0; model->layers && i < model->n_layers; i++)
		free_layer(&model->layers[i]);
	free(model->layers);
	free(model->ropes[0].short_factors);
	free(model->ropes[0].long_factors);
	free_norms((struct qn_norm *const[]){&model->output_norm}, 1);
	free_linear(&model->output);
	qn_parts_close(model);
	free(model);
}

/* ---- embeddings ---- */

size_t qn_model_embed_bytes(const struct quern_model *model)
{
	/* codes; scales and minima, one for 16 at most; sub-scales and sub-minima */
	const size_t k = (size_t)(model->n_embd + 255) / 256 * 256;

	return k + 2 * k / 16 * (sizeof(float) + 1);
}

void qn_model_embed(const struct quern_model *model, int32_t id, void *scratch, float *x)
{
	const size_t k = (size_t)(model->n_embd + 255) / 256 * 256;
	const struct quern_tensor *t = &model->embd;
	const int format = qn_format_of_type(t->type);
	float *scales = scratch;
	struct qn_row row = {.scales = scales, .mins = scales + k / 16};

	row.sub_scales = (int8_t *)(scales + 2 * (k / 16));
	row.sub_mins = (uint8_t *)row.sub_scales + k / 16;
	row.codes = row.sub_mins + k / 16;
	if (format < 0) {
		qn_format_read_floats(t->type, t->data, model->n_embd, id, x);
	} else {
		qn_format_read_row(t->type, t->data, model->n_vocab, model->n_embd, id, &row);
		qn_format_decode(format, &row, model->n_embd, x);
	}
	for (long i = 0; i < model->n_embd && model->embd_scale != 1; i++)
		x[i] *= model->embd_scale;
}
