/*
 * engine.c: the public face: engines, matrices, products.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "engine.h"
#include "error.h"
#include "format.h"
#include "matmul.h"
#include "pack.h"
#include "pages.h"

/* Largest M and K: their products and bytes stay far from overflow. */
#define MAX_DIM (1L << 24)

/* ---- engine ---- */

/* Takes those beyond the ISA that QUERN_ISA names out of the cores' features. */
static int limit_features(uint32_t *features, struct quern_error *err)
{
	const char *name = getenv("QUERN_ISA");
	char known[160] = "";

	if (!name || !*name)
		return 0;
	for (int i = 0; i < qn_registry.n_isas; i++) {
		const struct qn_isa *isa = qn_registry.isas[i];

		if (!strcmp(isa->name, name)) {
			if (isa->needs & ~*features)
				return qn_error_set(err, "QUERN_ISA=%s: this CPU cannot run it",
						    name);
			*features = isa->needs;
			return 0;
		}
		snprintf(known + strlen(known), sizeof known - strlen(known), " %s", isa->name);
	}
	return qn_error_set(err, "QUERN_ISA=%s: this library knows%s", name, known);
}

static int start_threads(struct quern_engine *engine, const struct quern_options *o,
			 struct quern_error *err)
{
	if (qn_lane_open(engine->lanes, o, &engine->features, err))
		return -1;
	for (int i = 0; i < QN_SHARES_N_WORKS; i++) {
		if (engine->lanes[i]->n_threads > engine->most_threads)
			engine->most_threads = engine->lanes[i]->n_threads;
	}
	return limit_features(&engine->features, err);
}

int quern_open(struct quern_engine **out, const struct quern_options *options,
	       struct quern_error *err)
{
	struct quern_options o = {0};
	struct quern_engine *engine;

	*out = NULL;
	if (options) {
		if (options->size < sizeof o.size)
			return qn_error_set(err, "options.size is not set");
		memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
	}
	engine = calloc(1, sizeof *engine);
	if (!engine)
		return qn_error_set(err, "no memory for an engine");
	pthread_mutex_init(&engine->lock, NULL);
	if (start_threads(engine, &o, err)) {
		quern_close(engine);
		return -1;
	}
	engine->isa = qn_choose_isa(&qn_registry, engine->features);
	engine->floats = qn_choose_floats(&qn_registry, engine->isa);
	if (!engine->isa) {
		quern_close(engine);
		return qn_error_set(
			err,
			"this library was generated without kernels that this CPU can run "
			"(made from %s)",
			qn_registry.origin);
	}
	*out = engine;
	return 0;
}

void quern_close(struct quern_engine *engine)
{
	if (!engine)
		return;
	qn_lane_close(engine->lanes);
	qn_matmul_release(engine);
	pthread_mutex_destroy(&engine->lock);
	free(engine);
}

int quern_n_threads(const struct quern_engine *engine)
{
	return engine->lanes[QN_SHARES_FEW_TOKENS]->n_threads;
}

int quern_n_prompt_threads(const struct quern_engine *engine)
{
	return engine->lanes[QN_SHARES_MANY_TOKENS]->n_threads;
}

/* ---- packing ---- */

/* Mean magnitude of all weights, for wtgt. */
static int find_tensor_scale(struct qn_packing *p, struct quern_error *err)
{
	const struct quern_weights *w = p->weights;
	float *floats = malloc((size_t)w->k * sizeof(float));
	double total = 0;

	if (!floats)
		return qn_error_set(err, "no memory for a row of %ld weights", w->k);
	for (long r = 0; r < w->m; r++) {
		double sum = 0;

		qn_format_read_floats(w->type, w->data, w->k, r, floats);
		for (long i = 0; i < w->k; i++)
			sum += floats[i] < 0 ? -floats[i] : floats[i];
		total += sum / (double)w->k;
	}
	free(floats);
	p->tensor_scale = (float)(total / (double)w->m);
	return 0;
}

/* The format to pack in, or -1. */
static int check_weights(const struct quern_weights *w, struct quern_error *err)
{
	const char *type = quern_type_name(w->type);
	const int lossless = qn_format_of_type(w->type);
	const char *name = w->format && !strcmp(w->format, "wtgt") ? "wtgr" : w->format;
	long n_values, n_bytes;
	int format;

	if (!type || (lossless < 0 && !qn_format_is_float(w->type)))
		return qn_error_set(
			err,
			"weights of type %s (%d) cannot be packed: F32, F16, BF16, Q1_0, Q2_0, "
			"Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ4_NL, IQ4_XS, TQ1_0, "
			"TQ2_0 and I2_S can",
			type ? type : "unknown", w->type);
	quern_type_block(w->type, &n_values, &n_bytes);
	if (w->m < 1 || w->k < 1 || w->m > MAX_DIM || w->k > MAX_DIM)
		return qn_error_set(err, "%ld x %ld weights: M and K must be 1 to %ld", w->m, w->k,
				    MAX_DIM);
	if (w->type == QUERN_I2_S && w->m * w->k % 128) /* its codes run on from row to row */
		return qn_error_set(err,
				    "%ld x %ld weights are not a multiple of I2_S's block of 128",
				    w->m, w->k);
	if (w->type != QUERN_I2_S && w->k % n_values)
		return qn_error_set(err, "K = %ld is not a multiple of %s's block of %ld", w->k,
				    type, n_values);
	if (!w->data)
		return qn_error_set(err, "weights without data");
	if (!w->format) {
		if (lossless < 0)
			return qn_error_set(
				err, "%s weights need a format to be quantised to, such as w4g32",
				type);
		return lossless;
	}
	format = qn_format_find(name);
	if (format < 0)
		return qn_error_set(err,
				    "format '%.32s' is not known: w<bits>g<group> with z, n or k "
				    "are, such as w4g32 or w2g64z; 'quern-run kernels --list' "
				    "shows all that are",
				    w->format);
	if (lossless >= 0 && format != lossless)
		return qn_error_set(err, "%s weights are %s and are not quantised again to %s",
				    type, qn_formats[lossless].name, w->format);
	return format;
}

static int choose_kernel(struct quern_matrix *matrix, const struct quern_weights *w,
			 struct quern_error *err)
{
	const struct quern_engine *engine = matrix->engine;
	const char *forced = w->kernel ? w->kernel : getenv("QUERN_KERNEL");

	if (forced && !*forced)
		forced = NULL;
	if (qn_matrix_choose(matrix, engine->lanes, engine->features, forced, err))
		return -1;
	if (w->kernel && matrix->chosen.rung != QN_RUNG_FORCED)
		return qn_error_set(err, "kernel '%.64s' is not one for %s", w->kernel,
				    qn_formats[matrix->what.format].name);
	return 0;
}

int qn_engine_pack(struct quern_engine *engine, struct quern_matrix **out,
		   const struct quern_weights *weights, qn_engine_fill_fn *fill, void *arg,
		   struct quern_error *err)
{
	struct quern_weights w = {0};
	struct quern_matrix *matrix;
	struct qn_packing packing = {.weights = &w};
	int format, act, is_filled, status = -1;

	*out = NULL;
	if (weights->size < sizeof w.size)
		return qn_error_set(err, "weights.size is not set");
	memcpy(&w, weights, weights->size < sizeof w ? weights->size : sizeof w);
	format = check_weights(&w, err);
	if (format < 0)
		return -1;
	act = w.act ? qn_format_find_act(w.act) : (int)qn_format_own_act(format);
	if (act < 0)
		return qn_error_set(
			err, "activation format '%.32s' is not known: a8g32, a8g256 and a8r are",
			w.act);
	if (!(w.max_nmse >= 0 && w.max_nmse < 1))
		return qn_error_set(err, "max_nmse must be from 0 (exact) to below 1");
	if (w.format && !strcmp(w.format, "wtgt") && qn_format_of_type(w.type) < 0 &&
	    find_tensor_scale(&packing, err))
		return -1;
	matrix = calloc(1, sizeof *matrix);
	if (!matrix)
		return qn_error_set(err, "no memory for a matrix");
	matrix->engine = engine;
	matrix->what = (struct qn_case){.format = format,
					.m = w.m,
					.k = w.k,
					.n_tokens = w.n_tokens > 0 ? w.n_tokens : 1,
					.act = act,
					.max_nmse = w.max_nmse};
	qn_matrix_place(&matrix->what, engine->lanes);
	if (choose_kernel(matrix, &w, err))
		goto out;
	pthread_mutex_lock(&engine->lock);
	matrix->packed = qn_pages_take(&engine->chunk, qn_matrix_bytes(matrix), &matrix->chunk);
	pthread_mutex_unlock(&engine->lock);
	if (!matrix->packed) {
		qn_error_set(err, "no memory for %zu bytes of packed weights",
			     qn_matrix_bytes(matrix));
		goto out;
	}
	packing.matrix = matrix;
	is_filled = fill && fill(arg, matrix);
	pthread_mutex_lock(&engine->lock);
	status = qn_matmul_reserve(engine, w.k, matrix->by_tokens, QN_N_TOKEN_CLASSES, err);
	if (!status && !is_filled) {
		qn_pool_run(qn_lane_wider(engine->lanes)->pool, qn_pack_touch, &packing);
		qn_pool_run(qn_lane_wider(engine->lanes)->pool, qn_pack_thread, &packing);
	}
	pthread_mutex_unlock(&engine->lock);
	if (!status && packing.failed)
		status = qn_error_set(err, "no memory to pack a %ld x %ld matrix", w.m, w.k);
out:
	if (status)
		quern_free(matrix);
	else
		*out = matrix;
	return status;
}

int quern_pack(struct quern_engine *engine, struct quern_matrix **out,
	       const struct quern_weights *weights, struct quern_error *err)
{
	return qn_engine_pack(engine, out, weights, NULL, NULL, err);
}

void qn_engine_release(struct quern_matrix *matrix)
{
	struct quern_engine *engine = matrix->engine;
	const size_t n_bytes = qn_matrix_bytes(matrix);

	if (matrix->chunk) {
		pthread_mutex_lock(&engine->lock);
		qn_pages_give(&engine->chunk, matrix->chunk, matrix->packed, n_bytes);
		pthread_mutex_unlock(&engine->lock);
	} else {
		qn_pages_free(matrix->packed, n_bytes);
	}
	matrix->packed = NULL;
	matrix->chunk = NULL;
}

void quern_free(struct quern_matrix *matrix)
{
	if (!matrix)
		return;
	if (matrix->packed)
		qn_engine_release(matrix);
	free(matrix);
}

/* ---- use ---- */

int quern_multiply(struct quern_engine *engine, const struct quern_matrix *const *matrices, int n,
		   const float *x, long n_tokens, long x_stride, float *const *y,
		   const long *y_stride, struct quern_error *err)
{
	const struct qn_matmul call = {matrices, n, x, n_tokens, x_stride, y, y_stride};

	if (n < 1 || n_tokens < 0)
		return qn_error_set(err, "%d matrices and %ld tokens: there must be some", n,
				    n_tokens);
	for (int i = 0; i < n; i++) {
		if (matrices[i]->engine != engine)
			return qn_error_set(err, "matrix %d belongs to another engine", i);
		if (matrices[i]->k != matrices[0]->k)
			return qn_error_set(
				err,
				"matrices that share activations need one K: matrix 0 has "
				"%ld, matrix %d has %ld",
				matrices[0]->k, i, matrices[i]->k);
		if (n_tokens > 1 && (x_stride < matrices[i]->k || y_stride[i] < matrices[i]->m))
			return qn_error_set(
				err,
				"strides of %ld and %ld floats overlap rows of K = %ld and "
				"M = %ld",
				x_stride, y_stride[i], matrices[i]->k, matrices[i]->m);
	}
	pthread_mutex_lock(&engine->lock);
	qn_matmul_run(engine, &call);
	pthread_mutex_unlock(&engine->lock);
	return 0;
}

/* Which rung picked the kernel, as the rest of a sentence. */
static void explain_rung(const struct quern_matrix *matrix, char *why, size_t n_bytes)
{
	const struct qn_case *what = &matrix->what, *from = &matrix->chosen.source;
	const int is_near = from->m != what->m || from->k != what->k ||
			    from->n_tokens != what->n_tokens || from->n_threads != what->n_threads;
	char name[32], other[32];
	size_t n;

	switch (matrix->chosen.rung) {
	case QN_RUNG_FORCED: snprintf(why, n_bytes, "forced by name"); return;
	case QN_RUNG_EXACT:
	case QN_RUNG_NEAR:
	case QN_RUNG_CORE: break;
	case QN_RUNG_DEFAULT:
		snprintf(why, n_bytes, "the default of %s, nothing was measured",
			 matrix->kernel->isa->name);
		return;
	default: snprintf(why, n_bytes, "the only kind this library has"); return;
	}
	if (is_near)
		n = (size_t)snprintf(why, n_bytes,
				     "measured fastest for the nearest case, %ldx%ld, %ld token%s, "
				     "%d thread%s",
				     from->m, from->k, from->n_tokens,
				     from->n_tokens == 1 ? "" : "s", from->n_threads,
				     from->n_threads == 1 ? "" : "s");
	else
		n = (size_t)snprintf(why, n_bytes, "measured fastest for this case");
	qn_cpu_kind_text(from->core, name, sizeof name);
	if (n >= n_bytes || !from->core)
		return;
	if (matrix->chosen.rung == QN_RUNG_CORE)
		snprintf(why + n, n_bytes - n, ", but on %s; this is %s", name,
			 qn_cpu_kind_text(what->core, other, sizeof other));
	else
		snprintf(why + n, n_bytes - n, ", on %s", name);
}

int quern_explain(const struct quern_matrix *matrix, char *text, size_t n_bytes)
{
	const struct qn_case *what = &matrix->what;
	char why[240];

	explain_rung(matrix, why, sizeof why);
	return snprintf(text, n_bytes,
			"%s %ldx%ld, %ld token%s %s, %d thread%s: %s (%s%s; from %s)",
			qn_formats[what->format].name, what->m, what->k, what->n_tokens,
			what->n_tokens == 1 ? "" : "s", qn_format_acts[what->act], what->n_threads,
			what->n_threads == 1 ? "" : "s", matrix->kernel->name,
			qn_is_lossy(matrix->kernel) ? "lossy; " : "", why, qn_registry.origin);
}

void quern_matrix_info(const struct quern_matrix *matrix, struct quern_matrix_info *info)
{
	*info = (struct quern_matrix_info){
		.m = matrix->m,
		.k = matrix->k,
		.format = qn_formats[matrix->kernel->format].name,
		.kernel = matrix->kernel->name,
		.packed_bytes = qn_matrix_bytes(matrix),
		.act = qn_format_acts[matrix->what.act],
		.is_lossy = qn_is_lossy(matrix->kernel),
	};
}
