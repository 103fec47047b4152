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
#define GUARD 64                /* floats on either side of the output */
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

/* One matrix and one token, canonical and packed. */
struct trial {
	struct quern_matrix matrix;
	long acts_k;            /* K of the activations: padded */
	uint8_t *codes;         /* [panels * panel_rows][padded k] */
	float *scales;          /* [panels * panel_rows][n_scales] */
	float *x;               /* [acts_k] */
	int8_t *q;
	float *act_scale;
	int32_t *sum;
	uint8_t *tables;
	float *guarded;         /* GUARD floats, M outputs, GUARD floats */
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
	free(t->tables);
	free(t->guarded);
}

static void *alloc_aligned(size_t n_bytes)
{
	void *p = NULL;

	return posix_memalign(&p, 64, n_bytes) ? NULL : p;
}

static int trial_alloc(struct trial *t, const struct qn_kernel *kernel, long m, long k,
		       struct quern_error *err)
{
	size_t rows, groups;

	memset(t, 0, sizeof *t);
	qn_matrix_shape(&t->matrix, kernel, m, k);
	rows = (size_t)t->matrix.n_panels * kernel->layout.panel_rows;
	t->acts_k = (k + QN_K_PAD - 1) / QN_K_PAD * QN_K_PAD;
	groups = (size_t)t->acts_k / QN_GROUP;
	t->matrix.packed = alloc_aligned(qn_matrix_bytes(&t->matrix));
	t->codes = calloc(rows, (size_t)qn_matrix_padded_k(&t->matrix));
	t->scales = calloc(rows, (size_t)qn_matrix_n_scales(&t->matrix) * sizeof(float));
	t->x = calloc((size_t)t->acts_k, sizeof(float));
	t->q = alloc_aligned((size_t)t->acts_k);
	t->act_scale = calloc(groups, sizeof(float));
	t->sum = calloc(groups, sizeof(int32_t));
	t->tables = alloc_aligned(groups * kernel->table_bytes + 64);
	t->guarded = calloc((size_t)m + 2 * GUARD, sizeof(float));
	if (!t->matrix.packed || !t->codes || !t->scales || !t->x || !t->q || !t->act_scale ||
	    !t->sum || !t->tables || !t->guarded) {
		trial_free(t);
		return qn_error_set(err, "no memory to verify a kernel at %ldx%ld", m, k);
	}
	return 0;
}

static void trial_pack(struct trial *t)
{
	const long rows = t->matrix.kernel->layout.panel_rows;

	for (long p = 0; p < t->matrix.n_panels; p++)
		qn_matrix_pack_panel(&t->matrix, t->codes + p * rows * qn_matrix_padded_k(&t->matrix),
				     t->scales + p * rows * qn_matrix_n_scales(&t->matrix),
				     t->matrix.packed + (size_t)p * t->matrix.panel_bytes);
}

/* Runs the kernel in two ranges of panels and checks the guards; the result is at guarded + GUARD. */
static int trial_run(struct trial *t, struct quern_error *err)
{
	const struct qn_kernel *kernel = t->matrix.kernel;
	const struct qn_job job = {
		.weights = t->matrix.packed, .panel_bytes = t->matrix.panel_bytes,
		.n_rows = t->matrix.m, .n_blocks = t->matrix.n_blocks,
		.x = { t->q, t->act_scale, t->sum, t->tables }, .y = t->guarded + GUARD,
	};
	const long n = t->matrix.m + 2 * GUARD;

	for (long i = 0; i < n; i++)
		t->guarded[i] = GUARD_VALUE;
	if (kernel->prepare)
		kernel->prepare(t->q, t->acts_k / QN_GROUP, t->tables);
	kernel->run(&job, t->matrix.n_panels / 2, t->matrix.n_panels);
	kernel->run(&job, 0, t->matrix.n_panels / 2);
	for (long i = 0; i < n; i++) {
		const int guard = i < GUARD || i >= n - GUARD;

		if (guard && t->guarded[i] != GUARD_VALUE)
			return qn_error_set(err, "at %ldx%ld: wrote outside of y, %ld floats %s",
					    t->matrix.m, t->matrix.k, i < GUARD ? GUARD - i : i - n + GUARD + 1,
					    i < GUARD ? "before it" : "behind it");
	}
	return 0;
}

/* ---- integers ---- */

enum fill { FILL_RANDOM, FILL_TOP, FILL_BOTTOM, FILL_MIXED, N_FILLS };

static const char *const fill_names[] = { "random", "largest", "smallest", "mixed extreme" };

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
	const long stride = qn_matrix_padded_k(&t->matrix), n_scales = qn_matrix_n_scales(&t->matrix);
	const int n_codes = qn_formats[t->matrix.kernel->format].n_codes;

	for (long r = 0; r < t->matrix.m; r++) {
		for (long k = 0; k < t->matrix.k; k++)
			t->codes[r * stride + k] = fill_code(codes, n_codes, seed);
		for (long g = 0; g < n_scales; g++)
			t->scales[r * n_scales + g] = 1;
	}
	memset(t->q, 0, (size_t)t->acts_k);
	for (long k = 0; k < t->matrix.k; k++)
		t->q[k] = fill_act(acts, seed);
	for (long g = 0; g < t->acts_k / QN_GROUP; g++) {
		t->sum[g] = 0;
		for (int i = 0; i < QN_GROUP; i++)
			t->sum[g] += t->q[g * QN_GROUP + i];
	}
}

/* What row r must give when only groups with a scale of 1 count. */
static long expected_sum(const struct trial *t, long r)
{
	const struct qn_format *f = &qn_formats[t->matrix.kernel->format];
	const uint8_t *codes = t->codes + r * qn_matrix_padded_k(&t->matrix);
	long total = 0;

	for (long k = 0; k < t->matrix.k; k++) {
		if (t->act_scale[k / QN_GROUP] != 0)
			total += (f->mul * codes[k] - f->sub) * t->q[k];
	}
	return total;
}

static int check_integers(const struct qn_kernel *kernel, long m, long k, enum fill codes,
			  enum fill acts, uint64_t seed, struct quern_error *err)
{
	uint64_t state = seed;
	struct trial t;
	long n_groups, n_passes;
	int status = -1;

	if (trial_alloc(&t, kernel, m, k, err))
		return -1;
	fill_trial(&t, codes, acts, &state);
	trial_pack(&t);
	n_groups = t.acts_k / QN_GROUP;
	n_passes = (n_groups + LIVE_GROUPS - 1) / LIVE_GROUPS;
	for (long pass = 0; pass < n_passes; pass++) {
		for (long g = 0; g < n_groups; g++)
			t.act_scale[g] = g % n_passes == pass;
		if (trial_run(&t, err))
			goto out;
		for (long r = 0; r < m; r++) {
			const long want = expected_sum(&t, r);
			const double got = t.guarded[GUARD + r];

			if (got != (double)want) {
				qn_error_set(err, "at %ldx%ld row %ld: %.9g instead of %ld (%s codes, %s "
					     "activations, seed %llu)", m, k, r, got, want,
					     fill_names[codes], fill_names[acts],
					     (unsigned long long)seed);
				goto out;
			}
		}
	}
	status = 0;
out:
	trial_free(&t);
	return status;
}

/* ---- floats ---- */

/* Normal weights and activations through the format's encoder and the ISA's quantiser. */
static int fill_normal(struct trial *t, uint64_t *seed)
{
	const long stride = qn_matrix_padded_k(&t->matrix), n_scales = qn_matrix_n_scales(&t->matrix);
	float *row = malloc((size_t)t->matrix.k * sizeof(float));

	if (!row)
		return -1;
	for (long r = 0; r < t->matrix.m; r++) {
		for (long k = 0; k < t->matrix.k; k++)
			row[k] = next_normal(seed);
		qn_format_encode(t->matrix.kernel->format, row, t->matrix.k, t->codes + r * stride,
				 t->scales + r * n_scales);
	}
	for (long k = 0; k < t->matrix.k; k++)
		t->x[k] = next_normal(seed);
	t->matrix.kernel->isa->quantize(t->x, t->acts_k, t->q, t->act_scale, t->sum);
	free(row);
	return 0;
}

/* Products of row r in double: with the quantised activations, with the exact ones, and of magnitudes. */
static void multiply_row(const struct trial *t, long r, double *quantised, double *exact,
			 double *magnitude)
{
	const struct qn_format *f = &qn_formats[t->matrix.kernel->format];
	const uint8_t *codes = t->codes + r * qn_matrix_padded_k(&t->matrix);
	const float *scales = t->scales + r * qn_matrix_n_scales(&t->matrix);

	*quantised = *exact = *magnitude = 0;
	for (long k = 0; k < t->matrix.k; k++) {
		const double w = (double)scales[f->group ? k / f->group : 0] *
				 (f->mul * codes[k] - f->sub);
		const double x = (double)t->act_scale[k / QN_GROUP] * t->q[k];

		*quantised += w * x;
		*exact += w * (double)t->x[k];
		*magnitude += fabs(w * x);
	}
}

/*
 * Every product of two scales, every conversion and every addition rounds once by at most 2^-24 of
 * something no larger than the sum of magnitudes; n_groups + 8 of them follow each other.
 */
static int check_floats(const struct qn_kernel *kernel, long m, long k, uint64_t seed,
			double *nmse, struct quern_error *err)
{
	uint64_t state = seed;
	struct trial t;
	double error = 0, power = 0;
	int status = -1;

	if (trial_alloc(&t, kernel, m, k, err))
		return -1;
	if (fill_normal(&t, &state)) {
		qn_error_set(err, "no memory to verify a kernel at %ldx%ld", m, k);
		goto out;
	}
	trial_pack(&t);
	if (trial_run(&t, err))
		goto out;
	for (long r = 0; r < m; r++) {
		const double got = t.guarded[GUARD + r];
		const double steps = (double)(t.acts_k / QN_GROUP + 8);
		double quantised, exact, magnitude;

		multiply_row(&t, r, &quantised, &exact, &magnitude);
		if (!(fabs(got - quantised) <= steps * 0x1p-24 * magnitude)) {
			qn_error_set(err, "at %ldx%ld row %ld: %.9g instead of %.9g, more than rounding explains "
				     "(seed %llu)", m, k, r, got, quantised, (unsigned long long)seed);
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
	static const long ragged[] = { 1, 3, 31, 33, 64, 172, 333 };
	const int n_ragged = (int)(sizeof ragged / sizeof *ragged);
	const long rows = kernel->layout.panel_rows;
	double ignored;

	for (int i = 0; i < n_ragged; i++) {
		for (int j = 0; j < n_ragged; j++) {
			if (check_integers(kernel, ragged[i], ragged[j], FILL_RANDOM, FILL_RANDOM,
					   seed + (uint64_t)(i * n_ragged + j), err))
				return -1;
		}
	}
	for (int codes = 0; codes < N_FILLS; codes++) {
		for (int acts = 0; acts < N_FILLS; acts++) {
			if (check_integers(kernel, rows + 1, 1056, codes, acts, seed, err))
				return -1;
		}
	}
	if (check_integers(kernel, 3, 11008, FILL_RANDOM, FILL_RANDOM, seed, err) ||
	    check_integers(kernel, 2 * rows, 4096, FILL_MIXED, FILL_RANDOM, seed, err) ||
	    check_floats(kernel, 7, 100, seed, &ignored, err))
		return -1;
	return check_floats(kernel, rows + 5, 4096, seed, nmse, err);
}
