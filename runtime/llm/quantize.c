/*
 * quantize.c: reads matrices of a model, encodes them with all threads and writes a new file.
 *
 * A tensor is taken in batches of a few megabytes: threads draw its rows one by one, and when all are
 * done the batch is written.  Errors are summed in the order of rows, so that nothing depends on the
 * number of threads.  Codes of I2_S go on through a tensor, 128 values in 32 bytes, so there as many
 * rows are taken as one as end with such a piece.
 */
#include "quantize.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../error.h"
#include "../format_write.h"
#include "../pool.h"
#include "gguf_write.h"
#include "quantize_scale.h"

enum { BATCH_BYTES = 4 << 20, I2_S_VALUES = 128 };

/* One thread's room for a row. */
struct worker {
	float *x, *decoded;
	struct qn_row row;
	struct qn_quantize_scale *scale;
};

struct run {
	const struct qn_quantize *how;
	const char *from_path;
	struct quern_gguf *from;
	struct qn_gguf_write *to;
	struct qn_pool *pool;
	struct worker *workers;
	uint8_t *batch;
	double *errors, *squares; /* by row of the batch */
	uint64_t n_done, n_bytes; /* of the old file's data */
	/* The job. */
	const struct quern_tensor *tensor;
	int type, is_scaling;
	float scale; /* of an I2_S tensor */
	long k, m;   /* k: values of a row, which may be several of the tensor's */
	long row_bytes, first, end;
	atomic_long next;
};

/* ---- which type ---- */

static double bits_of(int type)
{
	long n_values = 1, n_bytes = 0;

	quern_type_block(type, &n_values, &n_bytes);
	return 8.0 * (double)n_bytes / (double)n_values;
}

static int ends_with(const char *name, const char *end)
{
	const size_t n = strlen(name), n_end = strlen(end);

	return n >= n_end && !strcmp(name + n - n_end, end);
}

static int is_matrix(const struct quern_tensor *tensor)
{
	return tensor->n_dims >= 2 && ends_with(tensor->name, ".weight") &&
	       !strstr(tensor->name, "norm");
}

/* The type that was asked for. */
static int choose_type(const struct run *run, const struct quern_tensor *tensor)
{
	const struct qn_quantize *how = run->how;
	const int is_embedding = !strcmp(tensor->name, "token_embd.weight");
	struct quern_tensor output;
	int is_output = !strcmp(tensor->name, "output.weight");

	if (is_embedding && how->embedding_type >= 0)
		return how->embedding_type;
	if (is_embedding && quern_gguf_find(run->from, "output.weight", &output))
		is_output = 1;
	if (is_output && how->output_type >= 0)
		return how->output_type;
	if (how->is_pure)
		return how->type;
	if (is_output && bits_of(how->type) < 6)
		return QUERN_Q6_K;
	return is_embedding && bits_of(how->type) < 2.5 ? QUERN_Q4_K : how->type;
}

static uint64_t count_values(const struct quern_tensor *tensor)
{
	return tensor->dims[0] * tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
}

static int fits(const struct quern_tensor *tensor, int type)
{
	long n_values = 1, n_bytes;

	if (type == QUERN_I2_S)
		return count_values(tensor) % I2_S_VALUES == 0;
	quern_type_block(type, &n_values, &n_bytes);
	return tensor->dims[0] % (uint64_t)n_values == 0;
}

/* What becomes of a tensor. */
static struct qn_quantize_tensor decide(const struct run *run, const struct quern_tensor *tensor)
{
	struct qn_quantize_tensor result = {.from = tensor,
					    .type = tensor->type,
					    .wanted_type = tensor->type};

	if (is_matrix(tensor)) {
		result.wanted_type = result.type = choose_type(run, tensor);
		if (!fits(tensor, result.type))
			result.type = fits(tensor, QUERN_Q8_0) ? QUERN_Q8_0 : QUERN_F16;
	}
	result.is_copied = result.type == tensor->type;
	return result;
}

static int check_source(const struct run *run, const struct qn_quantize_tensor *result,
			struct quern_error *err)
{
	const int type = result->from->type;

	if (result->is_copied || qn_format_is_float(type))
		return 0;
	if (qn_format_of_type(type) < 0)
		return qn_error_set(err, "%.120s: tensor '%.63s': %s cannot be read",
				    run->from_path, result->from->name, quern_type_name(type));
	if (!run->how->takes_quantised)
		return qn_error_set(
			err,
			"%.100s: tensor '%.63s' is %s already; its floats are wanted, or "
			"--requantize",
			run->from_path, result->from->name, quern_type_name(type));
	return 0;
}

/* ---- rows ---- */

/* Row `index` of the job as floats: one or more rows of the tensor. */
static void read_row(const struct run *run, struct worker *worker, long index)
{
	const struct quern_tensor *tensor = run->tensor;
	const long k = (long)tensor->dims[0], m = run->m * (run->k / k);

	for (long i = 0; i < run->k / k; i++) {
		const long row = index * (run->k / k) + i;

		if (qn_format_is_float(tensor->type)) {
			qn_format_read_floats(tensor->type, tensor->data, k, row,
					      worker->x + i * k);
			continue;
		}
		qn_format_read_row(tensor->type, tensor->data, m, k, row, &worker->row);
		qn_format_decode(qn_format_of_type(tensor->type), &worker->row, k,
				 worker->x + i * k);
	}
}

/* Encodes the row in worker->x; what it is afterwards is in worker->decoded. */
static void write_row(const struct run *run, struct worker *worker, uint8_t *blocks)
{
	if (qn_format_is_float(run->type)) {
		qn_format_write_floats(run->type, worker->x, run->k, blocks);
		qn_format_read_floats(run->type, blocks, run->k, 0, worker->decoded);
		return;
	}
	worker->row.scales[0] = run->scale;
	qn_format_write_encode(run->type, worker->x, run->k, &worker->row);
	qn_format_write_row(run->type, &worker->row, run->k, blocks);
	qn_format_decode(qn_format_of_type(run->type), &worker->row, run->k, worker->decoded);
}

static void measure_row(const struct run *run, const struct worker *worker, long at)
{
	double error = 0, square = 0;

	for (long i = 0; i < run->k; i++) {
		const double x = (double)worker->x[i], miss = x - (double)worker->decoded[i];

		error += miss * miss;
		square += x * x;
	}
	run->errors[at] = error;
	run->squares[at] = square;
}

/* A thread's part of a batch. */
static void work(void *arg, int thread, int n_threads)
{
	struct run *run = arg;
	struct worker *worker = &run->workers[thread];

	(void)n_threads;
	for (;;) {
		const long row = atomic_fetch_add(&run->next, 1);

		if (row >= run->end)
			return;
		read_row(run, worker, row);
		if (run->is_scaling) {
			qn_quantize_scale_add(worker->scale, worker->x, run->k);
			continue;
		}
		write_row(run, worker, run->batch + (row - run->first) * run->row_bytes);
		measure_row(run, worker, row - run->first);
	}
}

static void run_rows(struct run *run, long first, long end)
{
	run->first = first;
	run->end = end;
	atomic_store(&run->next, first);
	qn_pool_run(run->pool, work, run);
}

/* ---- room ---- */

static void free_worker(struct worker *worker)
{
	free(worker->x);
	free(worker->decoded);
	free(worker->row.codes);
	free(worker->row.scales);
	free(worker->row.mins);
	free(worker->row.sub_scales);
	free(worker->row.sub_mins);
	free(worker->scale);
	*worker = (struct worker){.x = NULL};
}

/* For rows of k values, of which at least 16 share any scale. */
static int alloc_worker(struct worker *worker, long k)
{
	const size_t n = (size_t)k, n_subs = n / 16 + 1;

	worker->x = malloc(n * sizeof(float));
	worker->decoded = malloc(n * sizeof(float));
	worker->row.codes = malloc(n);
	worker->row.scales = malloc(n_subs * sizeof(float));
	worker->row.mins = malloc(n_subs * sizeof(float));
	worker->row.sub_scales = malloc(n_subs);
	worker->row.sub_mins = malloc(n_subs);
	worker->scale = calloc(1, sizeof(*worker->scale));
	return worker->x && worker->decoded && worker->row.codes && worker->row.scales &&
			       worker->row.mins && worker->row.sub_scales && worker->row.sub_mins &&
			       worker->scale
		       ? 0
		       : -1;
}

static void free_room(struct run *run)
{
	for (int t = 0; run->workers && t < qn_pool_n_threads(run->pool); t++)
		free_worker(&run->workers[t]);
	free(run->workers);
	free(run->batch);
	free(run->errors);
	free(run->squares);
	run->workers = NULL;
	run->batch = NULL;
	run->errors = run->squares = NULL;
}

static int alloc_room(struct run *run, long n_batch, struct quern_error *err)
{
	const int n_threads = qn_pool_n_threads(run->pool);
	int failed;

	run->workers = calloc((size_t)n_threads, sizeof(*run->workers));
	run->batch = malloc((size_t)(n_batch * run->row_bytes));
	run->errors = malloc((size_t)n_batch * sizeof(double));
	run->squares = malloc((size_t)n_batch * sizeof(double));
	failed = !run->workers || !run->batch || !run->errors || !run->squares;
	for (int t = 0; !failed && t < n_threads; t++)
		failed = alloc_worker(&run->workers[t], run->k);
	return failed ? qn_error_set(err, "out of memory") : 0;
}

/* ---- tensors ---- */

static long greatest_common_divisor(long a, long b)
{
	while (b) {
		const long rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static int advance(struct run *run, uint64_t n_bytes, struct quern_error *err)
{
	const struct qn_quantize *how = run->how;

	run->n_done += n_bytes;
	if (how->progress && how->progress(how->context, run->n_done, run->n_bytes))
		return qn_error_set(err, "stopped");
	return 0;
}

/* Bytes that are the same in both files, a few megabytes at a time. */
static int copy_tensor(struct run *run, const struct quern_tensor *tensor, struct quern_error *err)
{
	for (uint64_t at = 0; at < tensor->n_bytes; at += BATCH_BYTES) {
		const uint64_t left = tensor->n_bytes - at;
		const size_t n = left < BATCH_BYTES ? (size_t)left : BATCH_BYTES;

		qn_gguf_write_data(run->to, (const uint8_t *)tensor->data + at, n);
		if (advance(run, n, err))
			return -1;
	}
	return 0;
}

static void find_scale(struct run *run)
{
	const int n_threads = qn_pool_n_threads(run->pool);

	run->is_scaling = 1;
	run_rows(run, 0, run->m);
	run->is_scaling = 0;
	for (int t = 1; t < n_threads; t++)
		qn_quantize_scale_merge(run->workers[0].scale, run->workers[t].scale);
	run->scale = qn_quantize_scale_find(run->workers[0].scale);
}

/* What a job is about: rows of the tensor, or of I2_S several of them. */
static void start_job(struct run *run, const struct qn_quantize_tensor *result)
{
	const long k = (long)result->from->dims[0], n = (long)count_values(result->from);
	long n_values = I2_S_VALUES, n_bytes = I2_S_VALUES / 4, n_together = 1;

	if (result->type == QUERN_I2_S)
		n_together = I2_S_VALUES / greatest_common_divisor(k, I2_S_VALUES);
	else
		quern_type_block(result->type, &n_values, &n_bytes);
	run->tensor = result->from;
	run->type = result->type;
	run->k = k * n_together;
	run->m = n / run->k;
	run->row_bytes = run->k / n_values * n_bytes;
}

static int write_batches(struct run *run, long n_batch, struct qn_quantize_tensor *result,
			 struct quern_error *err)
{
	uint8_t tail[QN_FORMAT_WRITE_TAIL];

	if (run->type == QUERN_I2_S)
		find_scale(run);
	for (long first = 0; first < run->m; first += n_batch) {
		const long end = run->m - first < n_batch ? run->m : first + n_batch;

		run_rows(run, first, end);
		for (long r = 0; r < end - first; r++) {
			result->error += run->errors[r];
			result->square += run->squares[r];
		}
		qn_gguf_write_data(run->to, run->batch, (size_t)((end - first) * run->row_bytes));
		if (qn_gguf_write_has_failed(run->to))
			return 0; /* closing the file says why */
		if (advance(run, result->from->n_bytes / (uint64_t)run->m * (uint64_t)(end - first),
			    err))
			return -1;
	}
	if (run->type == QUERN_I2_S) {
		qn_format_write_tail(run->scale, tail);
		qn_gguf_write_data(run->to, tail, sizeof(tail));
	}
	return 0;
}

static int quantize_tensor(struct run *run, struct qn_quantize_tensor *result,
			   struct quern_error *err)
{
	long n_fitting, n_batch;
	int failed;

	start_job(run, result);
	n_fitting = BATCH_BYTES / run->row_bytes;
	n_batch = n_fitting < 1 ? 1 : n_fitting < run->m ? n_fitting : run->m;
	failed = alloc_room(run, n_batch, err) || write_batches(run, n_batch, result, err);
	free_room(run);
	run->tensor = NULL;
	return failed ? -1 : 0;
}

/* ---- the file ---- */

static void copy_keys(struct run *run)
{
	struct quern_value key;

	for (size_t i = 0; quern_gguf_key(run->from, i, &key) == 0; i++) {
		if (strcmp(key.name, "general.file_type") != 0 &&
		    strcmp(key.name, "general.quantization_version") != 0)
			qn_gguf_write_copy(run->to, run->from, &key);
	}
	qn_gguf_write_file_type(run->to, run->how->type);
}

static int write_file(struct run *run, struct quern_error *err)
{
	struct quern_tensor tensor;

	copy_keys(run);
	for (size_t i = 0; quern_gguf_tensor(run->from, i, &tensor) == 0; i++) {
		const struct qn_quantize_tensor result = decide(run, &tensor);

		if (check_source(run, &result, err))
			return -1;
		run->n_bytes += tensor.n_bytes;
		tensor.type = result.type;
		qn_gguf_write_tensor(run->to, &tensor);
	}
	for (size_t i = 0; quern_gguf_tensor(run->from, i, &tensor) == 0; i++) {
		struct qn_quantize_tensor result = decide(run, &tensor);

		if (result.is_copied ? copy_tensor(run, &tensor, err)
				     : quantize_tensor(run, &result, err))
			return -1;
		if (qn_gguf_write_has_failed(run->to))
			return 0;
		if (run->how->tell)
			run->how->tell(run->how->context, &result);
	}
	return 0;
}

static int check_files(const struct run *run, const char *to, struct quern_error *err)
{
	struct quern_value key;
	struct stat old, new;

	if (stat(run->from_path, &old) == 0 && stat(to, &new) == 0 && old.st_dev == new.st_dev &&
	    old.st_ino == new.st_ino)
		return qn_error_set(
			err, "%.200s: it is the file to be read; give the new one another name",
			to);
	if (quern_gguf_find_key(run->from, "split.count", &key) == 0 && key.u > 1)
		return qn_error_set(err,
				    "%.160s: it is one of %llu parts of a model; merge them first",
				    run->from_path, (unsigned long long)key.u);
	return 0;
}

static int count_cpus(void)
{
	cpu_set_t set;
	const int n = sched_getaffinity(0, sizeof(set), &set) ? 0 : CPU_COUNT(&set);

	return n < 1 ? 1 : n;
}

int qn_quantize_file(const char *from, const char *to, const struct qn_quantize *how,
		     struct quern_error *err)
{
	struct run run = {.how = how, .from_path = from};
	int failed = -1;

	if (quern_gguf_open(&run.from, from, err) || check_files(&run, to, err))
		goto out;
	if (qn_pool_open(&run.pool, how->n_threads ? how->n_threads : count_cpus(), NULL, 50,
			 err) ||
	    qn_gguf_write_open(&run.to, to, err))
		goto out;
	if (write_file(&run, err))
		qn_gguf_write_abort(run.to);
	else
		failed = qn_gguf_write_close(run.to, err);
out:
	qn_pool_close(run.pool);
	quern_gguf_close(run.from);
	return failed;
}
