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
#include "pages.h"
#include "topology.h"

/* Largest M and K: their products and bytes stay far from overflow. */
#define MAX_DIM (1L << 24)

/* ---- engine ---- */

/* Features of the cores, less those beyond the ISA that QUERN_ISA names. */
static int allow_features(const struct qn_topology *topology, uint32_t *features,
			  struct quern_error *err)
{
	const char *name = getenv("QUERN_ISA");
	char known[160] = "";

	*features = qn_topology_features(topology);
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

/* Where an engine's threads will be. */
struct placement {
	struct qn_topology topology;   /* of the cpus */
	int cpus[QN_MAX_CPUS], n_cpus; /* 0: wherever the process may be */
	int n_threads, loose;
};

static int place_threads(struct placement *p, const struct quern_options *o,
			 struct quern_error *err)
{
	int listed[QN_MAX_CPUS];

	if (o->n_threads < 0 || o->n_threads > QN_MAX_CPUS)
		return qn_error_set(err, "%d threads: must be 1 to %d", o->n_threads, QN_MAX_CPUS);
	if (o->cpus) {
		p->n_cpus = qn_topology_parse_cpus(o->cpus, p->cpus, QN_MAX_CPUS);
		if (p->n_cpus < 1)
			return qn_error_set(err, "cpus '%s': must be a list such as 0-3,7",
					    o->cpus);
	} else if (o->loose) {
		return qn_error_set(err, "loose threads need a list of cpus, such as 0-3,7");
	}
	p->loose = o->loose != 0;
	if (p->loose) {
		memcpy(listed, p->cpus, sizeof listed);
		p->n_cpus = qn_pool_allowed(listed, p->n_cpus, p->cpus);
		if (!p->n_cpus)
			return qn_error_set(err,
					    "cpus '%s': none is online and allowed for this "
					    "process",
					    o->cpus);
	}
	p->n_threads = o->n_threads ? o->n_threads : p->n_cpus;
	if (p->n_cpus && !p->loose && p->n_cpus < p->n_threads)
		return qn_error_set(err, "cpus '%s' are %d, for %d threads", o->cpus, p->n_cpus,
				    p->n_threads);
	if (p->n_cpus && !p->loose)
		p->n_cpus = p->n_threads; /* no thread is on the others */
	if (p->n_cpus)
		qn_topology_read_cpus(p->cpus, p->n_cpus, &p->topology);
	else
		qn_topology_read(&p->topology);
	if (!p->n_threads)
		p->n_threads = p->topology.n_cores > 0 ? p->topology.n_cores : 1;
	return 0;
}

static int start_threads(struct quern_engine *engine, const struct quern_options *o,
			 struct quern_error *err)
{
	struct placement p = {.n_cpus = 0};
	struct qn_pool_cpus cpus;
	struct qn_core_class fastest;
	int speeds[QN_MAX_CPUS], differ;

	if (place_threads(&p, o, err) || allow_features(&p.topology, &engine->features, err))
		return -1;
	qn_topology_class(&p.topology, 0, &fastest);
	engine->core = fastest.first.kind;
	engine->n_threads = p.n_threads;
	differ = qn_topology_speeds(&p.topology, p.n_cpus && !p.loose ? p.cpus : NULL, p.n_threads,
				    speeds);
	engine->shares = qn_shares_open(p.n_threads, differ ? speeds : NULL);
	if (!engine->shares)
		return qn_error_set(err, "no memory for an engine");
	cpus = (struct qn_pool_cpus){p.cpus, p.n_cpus, p.loose};
	return qn_pool_open(&engine->pool, p.n_threads, p.n_cpus ? &cpus : NULL,
			    o->spin_us ? o->spin_us : 50, err);
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
	if (engine->pool)
		qn_pool_close(engine->pool);
	qn_shares_close(engine->shares);
	qn_matmul_release(engine);
	pthread_mutex_destroy(&engine->lock);
	free(engine);
}

int quern_n_threads(const struct quern_engine *engine)
{
	return engine->n_threads;
}

/* ---- packing ---- */

struct packing {
	struct quern_matrix *matrix;
	const struct quern_weights *weights;
	float tensor_scale; /* of wtgt; else 0 */
	_Atomic long next_panel;
	_Atomic int failed;
};

/* One row of the source in canonical form. */
static void read_row(const struct packing *p, long index, float *floats, const struct qn_row *row)
{
	const struct quern_weights *w = p->weights;

	if (qn_format_of_type(w->type) >= 0) {
		qn_format_read_row(w->type, w->data, w->m, w->k, index, row);
		return;
	}
	qn_format_read_floats(w->type, w->data, w->k, index, floats);
	if (p->tensor_scale > 0) {
		qn_format_encode_ternary(floats, w->k, p->tensor_scale, row->codes);
		row->scales[0] = p->tensor_scale;
	} else {
		qn_format_encode(p->matrix->kernel->format, floats, w->k, row);
	}
}

/* Packs panels until none is left, through a panel of canonical rows and a row of floats. */
static void pack_panels(struct packing *p, struct qn_rows *rows, float *floats)
{
	const struct quern_matrix *matrix = p->matrix;
	const long n_rows = matrix->kernel->layout.panel_rows;
	long panel;

	while ((panel = atomic_fetch_add(&p->next_panel, 1)) < matrix->n_panels) {
		memset(rows->memory, 0, rows->n_bytes);
		for (long r = 0; r < n_rows && panel * n_rows + r < matrix->m; r++) {
			const struct qn_row row = qn_matrix_row(rows, r);

			read_row(p, panel * n_rows + r, floats, &row);
		}
		qn_matrix_pack_panel(matrix, rows,
				     matrix->packed + (size_t)panel * matrix->panel_bytes);
	}
}

static void pack_thread(void *arg, int thread, int n_threads)
{
	struct packing *p = arg;
	const struct quern_matrix *matrix = p->matrix;
	float *floats = malloc((size_t)matrix->k * sizeof(float));
	struct qn_rows rows;

	(void)thread;
	(void)n_threads;
	if (!qn_matrix_alloc_rows(matrix, matrix->kernel->layout.panel_rows, &rows) && floats)
		pack_panels(p, &rows, floats);
	else
		atomic_store(&p->failed, 1);
	qn_matrix_free_rows(&rows);
	free(floats);
}

/* Mean magnitude of all weights, for wtgt. */
static int find_tensor_scale(struct packing *p, struct quern_error *err)
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
	if (qn_matrix_choose(matrix, engine->features, forced, err))
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
	struct packing packing = {.weights = &w};
	int format, act, is_filled, status = -1;

	*out = NULL;
	if (weights->size < sizeof w.size)
		return qn_error_set(err, "weights.size is not set");
	memcpy(&w, weights, weights->size < sizeof w ? weights->size : sizeof w);
	format = check_weights(&w, err);
	if (format < 0)
		return -1;
	act = w.act ? qn_format_find_act(w.act) : QN_A8G32;
	if (act < 0)
		return qn_error_set(err,
				    "activation format '%.32s' is not known: a8g32 and a8r are",
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
					.n_threads = engine->n_threads,
					.act = act,
					.max_nmse = w.max_nmse,
					.core = engine->core};
	if (choose_kernel(matrix, &w, err))
		goto out;
	matrix->packed = qn_pages_alloc(qn_matrix_bytes(matrix), 1);
	if (!matrix->packed) {
		qn_error_set(err, "no memory for %zu bytes of packed weights",
			     qn_matrix_bytes(matrix));
		goto out;
	}
	packing.matrix = matrix;
	is_filled = fill && fill(arg, matrix);
	pthread_mutex_lock(&engine->lock);
	status = qn_matmul_reserve(engine, w.k, matrix->by_tokens, QN_N_TOKEN_CLASSES, err);
	if (!status && !is_filled)
		qn_pool_run(engine->pool, pack_thread, &packing);
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

void quern_free(struct quern_matrix *matrix)
{
	if (!matrix)
		return;
	if (matrix->packed)
		qn_pages_free(matrix->packed, qn_matrix_bytes(matrix));
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
