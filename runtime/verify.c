/*
 * verify.c: a kernel's sums against plain C.
 *
 * The integer part is checked through the float output: with scales of 1 for at most 30 groups of
 * activations at a time, 0 for the rest, every sum stays below 30 * 32 * 128 * 127 < 2^24, where
 * floats are exact.  All groups get their turn.
 */
#include "verify.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "format.h"
#include "matrix.h"

#define LIVE_GROUPS 30
#define GUARD 64 /* floats on either side of the output */
#define GUARD_VALUE -1.2345e30f

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* About normal, mean 0, deviation 1. */
static float next_normal(uint64_t *state)
{
	float sum = 0;

	for (int i = 0; i < 4; i++)
		sum += (float)(next_random(state) >> 40) * 0x1p-24f - 0.5f;
	return sum * 1.7320508f;
}

/* One matrix and some tokens, canonical and packed. */
struct trial {
	struct quern_matrix matrix;
	long n_tokens;
	long acts_k;    /* K of the activations: padded */
	long y_stride;  /* M and GUARD floats */
	uint8_t *codes; /* [panels * panel_rows][padded k] */
	float *scales;  /* [panels * panel_rows][n_scales] */
	float *x;       /* [n_tokens][acts_k] */
	int8_t *q;
	float *act_scale; /* [n_tokens][acts_k / 32] */
	int32_t *sum;
	uint8_t *prepared, *scratch;
	float *guarded; /* GUARD floats, then M outputs and GUARD floats for every token */
};

static void trial_free(struct trial *t)
{
	free(t->matrix.packed);
	free(t->codes);
	free(t->scales);
	free(t->x);
	free(t->q);
	free(t->act_scale);
	free(t->sum);
	free(t->prepared);
	free(t->scratch);
	free(t->guarded);
}

static void *alloc_aligned(size_t n_bytes)
{
	void *p = NULL;

	return posix_memalign(&p, 64, n_bytes) ? NULL : p;
}

static int trial_alloc(struct trial *t, const struct qn_kernel *kernel, long m, long k,
		       long n_tokens, struct quern_error *err)
{
	const size_t tile = kernel->token_tile, n = (size_t)n_tokens;
	const size_t padded = (n + tile - 1) / tile * tile;
	size_t rows, groups;

	memset(t, 0, sizeof *t);
	qn_matrix_shape(&t->matrix, kernel, m, k);
	rows = (size_t)t->matrix.n_panels * kernel->layout.panel_rows;
	t->n_tokens = n_tokens;
	t->y_stride = m + GUARD;
	t->acts_k = (k + QN_K_PAD - 1) / QN_K_PAD * QN_K_PAD;
	groups = (size_t)t->acts_k / QN_GROUP;
	t->matrix.packed = alloc_aligned(qn_matrix_bytes(&t->matrix));
	t->codes = calloc(rows, (size_t)qn_matrix_padded_k(&t->matrix));
	t->scales = calloc(rows, (size_t)qn_matrix_n_scales(&t->matrix) * sizeof(float));
	t->x = calloc(n * (size_t)t->acts_k, sizeof(float));
	t->q = alloc_aligned(n * (size_t)t->acts_k);
	t->act_scale = calloc(n * groups, sizeof(float));
	t->sum = calloc(n * groups, sizeof(int32_t));
	t->prepared = alloc_aligned(padded * groups * kernel->prepared_bytes + 64);
	t->scratch = alloc_aligned(kernel->scratch_bytes + 64);
	t->guarded = calloc(GUARD + n * (size_t)t->y_stride, sizeof(float));
	if (!t->matrix.packed || !t->codes || !t->scales || !t->x || !t->q || !t->act_scale ||
	    !t->sum || !t->prepared || !t->scratch || !t->guarded) {
		trial_free(t);
		qn_error_set(err, "no memory to verify a kernel at %ldx%ld", m, k);
		return -1;
	}
	return 0;
}

static void trial_pack(struct trial *t)
{
	const long rows = t->matrix.kernel->layout.panel_rows;

	for (long p = 0; p < t->matrix.n_panels; p++)
		qn_matrix_pack_panel(&t->matrix,
				     t->codes + p * rows * qn_matrix_padded_k(&t->matrix),
				     t->scales + p * rows * qn_matrix_n_scales(&t->matrix),
				     t->matrix.packed + (size_t)p * t->matrix.panel_bytes);
}

/* The outputs of a token. */
static const float *trial_row(const struct trial *t, long token)
{
	return t->guarded + GUARD + token * t->y_stride;
}

static int check_guards(const struct trial *t, struct quern_error *err)
{
	for (long i = 0; i < GUARD + t->n_tokens * t->y_stride; i++) {
		const long token = i < GUARD ? 0 : (i - GUARD) / t->y_stride;
		const long row = i < GUARD ? i - GUARD : (i - GUARD) % t->y_stride;

		if ((row < 0 || row >= t->matrix.m) && t->guarded[i] != GUARD_VALUE)
			return qn_error_set(
				err,
				"at %ldx%ld, %ld tokens: wrote outside of y, to row %ld of "
				"token %ld",
				t->matrix.m, t->matrix.k, t->n_tokens, row, token);
	}
	return 0;
}

/* Runs the kernel in two ranges of panels and checks the guards. */
static int trial_run(struct trial *t, struct quern_error *err)
{
	const struct qn_kernel *kernel = t->matrix.kernel;
	const struct qn_job job = {
		.weights = t->matrix.packed,
		.panel_bytes = t->matrix.panel_bytes,
		.n_rows = t->matrix.m,
		.n_blocks = t->matrix.n_blocks,
		.x = {t->n_tokens, t->acts_k, t->q, t->act_scale, t->sum, t->prepared},
		.y = t->guarded + GUARD,
		.y_stride = t->y_stride,
		.scratch = t->scratch,
	};
	const long groups = t->acts_k / QN_GROUP;

	for (long i = 0; i < GUARD + t->n_tokens * t->y_stride; i++)
		t->guarded[i] = GUARD_VALUE;
	if (kernel->prepare) { /* in two slices, as two threads do */
		kernel->prepare(kernel, &job.x, groups / 16 * 8, groups, t->prepared);
		kernel->prepare(kernel, &job.x, 0, groups / 16 * 8, t->prepared);
	}
	kernel->run(&job, t->matrix.n_panels / 2, t->matrix.n_panels);
	kernel->run(&job, 0, t->matrix.n_panels / 2);
	return check_guards(t, err);
}

/* ---- integers ---- */

enum fill { FILL_RANDOM, FILL_TOP, FILL_BOTTOM, FILL_MIXED, N_FILLS };

static const char *const fill_names[] = {"random", "largest", "smallest", "mixed extreme"};

static uint8_t fill_code(enum fill fill, int n_codes, uint64_t *seed)
{
	switch (fill) {
	case FILL_TOP: return (uint8_t)(n_codes - 1);
	case FILL_BOTTOM: return 0;
	case FILL_MIXED: return next_random(seed) & 1 ? (uint8_t)(n_codes - 1) : 0;
	default: return (uint8_t)(next_random(seed) % (unsigned)n_codes);
	}
}

static int8_t fill_act(enum fill fill, uint64_t *seed)
{
	switch (fill) {
	case FILL_TOP: return 127;
	case FILL_BOTTOM: return -127;
	case FILL_MIXED: return next_random(seed) & 1 ? 127 : -127;
	default: return (int8_t)((int)(next_random(seed) % 255) - 127);
	}
}

static void fill_trial(struct trial *t, enum fill codes, enum fill acts, uint64_t *seed)
{
	const long stride = qn_matrix_padded_k(&t->matrix),
		   n_scales = qn_matrix_n_scales(&t->matrix);
	const int n_codes = qn_formats[t->matrix.kernel->format].n_codes;

	for (long r = 0; r < t->matrix.m; r++) {
		for (long k = 0; k < t->matrix.k; k++)
			t->codes[r * stride + k] = fill_code(codes, n_codes, seed);
		for (long g = 0; g < n_scales; g++)
			t->scales[r * n_scales + g] = 1;
	}
	memset(t->q, 0, (size_t)(t->n_tokens * t->acts_k));
	for (long token = 0; token < t->n_tokens; token++) {
		for (long k = 0; k < t->matrix.k; k++)
			t->q[token * t->acts_k + k] = fill_act(acts, seed);
	}
	for (long g = 0; g < t->n_tokens * t->acts_k / QN_GROUP; g++) {
		t->sum[g] = 0;
		for (int i = 0; i < QN_GROUP; i++)
			t->sum[g] += t->q[g * QN_GROUP + i];
	}
}

/* What row r must give for a token when only groups with a scale of 1 count. */
static long expected_sum(const struct trial *t, long r, long token)
{
	const struct qn_format *f = &qn_formats[t->matrix.kernel->format];
	const uint8_t *codes = t->codes + r * qn_matrix_padded_k(&t->matrix);
	const int8_t *q = t->q + token * t->acts_k;
	const float *act_scale = t->act_scale + token * t->acts_k / QN_GROUP;
	long total = 0;

	for (long k = 0; k < t->matrix.k; k++) {
		if (act_scale[k / QN_GROUP] != 0)
			total += (f->mul * codes[k] - f->sub) * q[k];
	}
	return total;
}

/* Data of one check of integers. */
struct integers {
	long m, k, n_tokens;
	enum fill codes, acts;
	uint64_t seed;
};

static int compare_integers(const struct trial *t, const struct integers *c,
			    struct quern_error *err)
{
	for (long token = 0; token < c->n_tokens; token++) {
		for (long r = 0; r < c->m; r++) {
			const long want = expected_sum(t, r, token);
			const double got = trial_row(t, token)[r];

			if (got != (double)want)
				return qn_error_set(
					err,
					"at %ldx%ld, %ld tokens, row %ld, token %ld: %.9g "
					"instead of %ld (%s codes, %s activations, seed %llu)",
					c->m, c->k, c->n_tokens, r, token, got, want,
					fill_names[c->codes], fill_names[c->acts],
					(unsigned long long)c->seed);
		}
	}
	return 0;
}

static int check_integers(const struct qn_kernel *kernel, const struct integers *c,
			  struct quern_error *err)
{
	uint64_t state = c->seed;
	struct trial t;
	long n_groups, n_passes;
	int status = 0;

	if (trial_alloc(&t, kernel, c->m, c->k, c->n_tokens, err))
		return -1;
	fill_trial(&t, c->codes, c->acts, &state);
	trial_pack(&t);
	n_groups = t.acts_k / QN_GROUP;
	n_passes = (n_groups + LIVE_GROUPS - 1) / LIVE_GROUPS;
	for (long pass = 0; pass < n_passes && !status; pass++) {
		for (long g = 0; g < c->n_tokens * n_groups; g++)
			t.act_scale[g] = g % n_groups % n_passes == pass;
		status = trial_run(&t, err) || compare_integers(&t, c, err) ? -1 : 0;
	}
	trial_free(&t);
	return status;
}

/* ---- floats ---- */

/* Normal weights and activations through the format's encoder and the ISA's quantiser. */
static int fill_normal(struct trial *t, uint64_t *seed)
{
	const long stride = qn_matrix_padded_k(&t->matrix),
		   n_scales = qn_matrix_n_scales(&t->matrix);
	float *row = malloc((size_t)t->matrix.k * sizeof(float));

	if (!row)
		return -1;
	for (long r = 0; r < t->matrix.m; r++) {
		for (long k = 0; k < t->matrix.k; k++)
			row[k] = next_normal(seed);
		qn_format_encode(t->matrix.kernel->format, row, t->matrix.k, t->codes + r * stride,
				 t->scales + r * n_scales);
	}
	for (long token = 0; token < t->n_tokens; token++) {
		for (long k = 0; k < t->matrix.k; k++)
			t->x[token * t->acts_k + k] = next_normal(seed);
	}
	t->matrix.kernel->isa->quantize(t->x, t->n_tokens * t->acts_k, t->q, t->act_scale, t->sum);
	free(row);
	return 0;
}

/*
 * Products of row r in double: with the quantised activations, with the exact ones, and of
 * magnitudes.
 */
static void multiply_row(const struct trial *t, long r, long token, double *quantised,
			 double *exact, double *magnitude)
{
	const float *x = t->x + token * t->acts_k,
		    *act_scale = t->act_scale + token * t->acts_k / QN_GROUP;
	const int8_t *q = t->q + token * t->acts_k;
	const struct qn_format *f = &qn_formats[t->matrix.kernel->format];
	const uint8_t *codes = t->codes + r * qn_matrix_padded_k(&t->matrix);
	const float *scales = t->scales + r * qn_matrix_n_scales(&t->matrix);

	*quantised = *exact = *magnitude = 0;
	for (long k = 0; k < t->matrix.k; k++) {
		const double w =
			(double)scales[f->group ? k / f->group : 0] * (f->mul * codes[k] - f->sub);
		const double xq = (double)act_scale[k / QN_GROUP] * q[k];

		*quantised += w * xq;
		*exact += w * (double)x[k];
		*magnitude += fabs(w * xq);
	}
}

/*
 * Every product of two scales, every conversion and every addition rounds once by at most 2^-24 of
 * something no larger than the sum of magnitudes; n_groups + 8 of them follow each other.
 */
static int check_floats(const struct qn_kernel *kernel, long m, long k, long n_tokens,
			uint64_t seed, double *nmse, struct quern_error *err)
{
	uint64_t state = seed;
	struct trial t;
	double error = 0, power = 0;
	int status = -1;

	if (trial_alloc(&t, kernel, m, k, n_tokens, err))
		return -1;
	if (fill_normal(&t, &state)) {
		qn_error_set(err, "no memory to verify a kernel at %ldx%ld", m, k);
		goto out;
	}
	trial_pack(&t);
	if (trial_run(&t, err))
		goto out;
	for (long i = 0; i < n_tokens * m; i++) {
		const double got = trial_row(&t, i / m)[i % m];
		const double steps = (double)(t.acts_k / QN_GROUP + 8);
		double quantised, exact, magnitude;

		multiply_row(&t, i % m, i / m, &quantised, &exact, &magnitude);
		if (!(fabs(got - quantised) <= steps * 0x1p-24 * magnitude)) {
			qn_error_set(
				err,
				"at %ldx%ld, %ld tokens, row %ld, token %ld: %.9g instead of %.9g, more "
				"than rounding explains (seed %llu)",
				m, k, n_tokens, i % m, i / m, got, quantised,
				(unsigned long long)seed);
			goto out;
		}
		error += (got - exact) * (got - exact);
		power += exact * exact;
	}
	*nmse = power > 0 ? error / power : 0;
	status = 0;
out:
	trial_free(&t);
	return status;
}

int qn_verify_kernel(const struct qn_kernel *kernel, uint64_t seed, double *nmse,
		     struct quern_error *err)
{
	static const long ragged[] = {1, 3, 31, 33, 64, 172, 333};
	const int n_ragged = (int)(sizeof ragged / sizeof *ragged);
	const long rows = kernel->layout.panel_rows, tile = kernel->token_tile;
	const long tokens[] = {1, tile, tile + 1, 2 * tile + 1};
	const long large[][2] = {{3, 11008}, {2 * rows, 4096}, {11008, 31}, {4096, 33}};
	double ignored;

	for (int i = 0; i < n_ragged * n_ragged; i++) {
		const struct integers c = {ragged[i / n_ragged], ragged[i % n_ragged],
					   tokens[i % 4],        FILL_RANDOM,
					   FILL_RANDOM,          seed + (uint64_t)i};

		if (check_integers(kernel, &c, err))
			return -1;
	}
	for (int i = 0; i < N_FILLS * N_FILLS; i++) {
		const int codes = i / N_FILLS, acts = i % N_FILLS;
		const struct integers c = {rows + 1, 1056, tokens[(codes + acts) % 4],
					   codes,    acts, seed};

		if (check_integers(kernel, &c, err))
			return -1;
	}
	for (int i = 0; i < 4; i++) {
		const struct integers c = {large[i][0], large[i][1], tokens[i % 2],
					   FILL_MIXED,  FILL_RANDOM, seed};

		if (check_integers(kernel, &c, err))
			return -1;
	}
	if (check_floats(kernel, 7, 100, tile + 1, seed, &ignored, err))
		return -1;
	return check_floats(kernel, rows + 5, 4096, 1, seed, nmse, err);
}
