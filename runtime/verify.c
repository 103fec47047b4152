/*
 * verify.c: a kernel's sums against plain C.
 *
 * The integer part is checked through the float output: with scales of 1 for so few groups of
 * activations at a time, 0 for the rest, that every sum stays below 2^24, where floats are exact.
 * All groups get their turn.
 */
#include "verify.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "format.h"
#include "pack_plain.h"

#define GUARD 64 /* floats on either side of the output */
#define GUARD_VALUE -1.2345e30f
#define SMALLEST_GROUP 16 /* of weights: all formats' scales hold for so many k at least */

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
	struct qn_rows rows; /* of all panels */
	long n_tokens;
	long acts_k;   /* K of the activations: padded */
	long y_stride; /* M and GUARD floats */
	float *x;      /* [n_tokens][acts_k] */
	int8_t *q;
	int8_t *all_q;    /* where only some groups of q count, all of them */
	float *act_scale; /* [n_tokens][acts_k / 32] */
	int32_t *sum, *half_sum;
	uint8_t *prepared, *scratch;
	float *guarded;  /* GUARD floats, then M outputs and GUARD floats for every token */
	int levels[256]; /* of the format's codes */
};

static void trial_free(struct trial *t)
{
	free(t->matrix.packed);
	qn_matrix_free_rows(&t->rows);
	free(t->x);
	free(t->q);
	free(t->all_q);
	free(t->act_scale);
	free(t->sum);
	free(t->half_sum);
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
	size_t groups;

	memset(t, 0, sizeof *t);
	for (int code = 0; code < qn_formats[kernel->format].n_codes; code++)
		t->levels[code] = qn_format_level(kernel->format, code);
	qn_matrix_shape(&t->matrix, kernel, m, k);
	t->n_tokens = n_tokens;
	t->y_stride = m + GUARD;
	t->acts_k = (k + QN_K_PAD - 1) / QN_K_PAD * QN_K_PAD;
	groups = (size_t)t->acts_k / QN_GROUP;
	t->matrix.packed = alloc_aligned(qn_matrix_bytes(&t->matrix));
	t->x = calloc(n * (size_t)t->acts_k, sizeof(float));
	t->q = alloc_aligned(n * (size_t)t->acts_k);
	t->all_q = alloc_aligned(n * (size_t)t->acts_k);
	t->act_scale = calloc(n * groups, sizeof(float));
	t->sum = calloc(n * groups, sizeof(int32_t));
	t->half_sum = calloc(2 * n * groups, sizeof(int32_t));
	t->prepared = alloc_aligned(padded * groups * kernel->prepared_bytes + 64);
	t->scratch = alloc_aligned(kernel->scratch_bytes + 64);
	t->guarded = calloc(GUARD + n * (size_t)t->y_stride, sizeof(float));
	if (qn_matrix_alloc_rows(kernel->format, qn_matrix_padded_k(&t->matrix),
				 t->matrix.n_panels * kernel->layout.panel_rows, &t->rows) ||
	    !t->matrix.packed || !t->x || !t->q || !t->all_q || !t->act_scale || !t->sum ||
	    !t->half_sum || !t->prepared || !t->scratch || !t->guarded) {
		trial_free(t);
		qn_error_set(err, "no memory to verify a kernel at %ldx%ld", m, k);
		return -1;
	}
	return 0;
}

static void trial_pack(struct trial *t)
{
	const long rows = t->matrix.kernel->layout.panel_rows;

	for (long p = 0; p < t->matrix.n_panels; p++) {
		const struct qn_rows panel = qn_matrix_rows_from(&t->rows, p * rows);

		qn_pack_plain(&t->matrix, &panel,
			      t->matrix.packed + (size_t)p * t->matrix.panel_bytes);
	}
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
		.n_near = t->matrix.n_panels,
		.x = {t->n_tokens, t->acts_k, t->q, t->act_scale, t->sum, t->half_sum, t->x,
		      t->acts_k, t->matrix.k, t->prepared},
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

static int8_t fill_act(enum fill fill, int top, uint64_t *seed)
{
	switch (fill) {
	case FILL_TOP: return (int8_t)top;
	case FILL_BOTTOM: return (int8_t)-top;
	case FILL_MIXED: return (int8_t)(next_random(seed) & 1 ? top : -top);
	default: return (int8_t)((int)(next_random(seed) % (2 * (unsigned)top + 1)) - top);
	}
}

/* A whole sub-scale or sub-minimum of two levels. */
static int fill_sub(enum fill fill, int low, int high, uint64_t *seed)
{
	switch (fill) {
	case FILL_TOP: return high;
	case FILL_BOTTOM: return low;
	case FILL_MIXED: return next_random(seed) & 1 ? high : low;
	default: return low + (int)(next_random(seed) % (unsigned)(high - low + 1));
	}
}

static void fill_weights(struct trial *t, enum fill fill, uint64_t *seed)
{
	const struct qn_format *f = &qn_formats[t->matrix.kernel->format];

	for (long r = 0; r < t->matrix.m; r++) {
		const struct qn_row row = qn_matrix_row(&t->rows, r);

		for (long k = 0; k < t->matrix.k; k++)
			row.codes[k] = fill_code(fill, f->n_codes, seed);
		for (long g = 0; g < t->rows.n_scales; g++) {
			row.scales[g] = 1;
			row.mins[g] = f->super ? -1 : (float)fill_sub(fill, -8, 8, seed);
		}
		for (long g = 0; g < t->rows.n_subs; g++) {
			row.sub_scales[g] = (int8_t)fill_sub(fill, f->sub_low, f->sub_high, seed);
			row.sub_mins[g] = (uint8_t)fill_sub(fill, 0, f->sub_high, seed);
		}
	}
}

static void sum_acts(struct trial *t)
{
	memset(t->sum, 0, (size_t)(t->n_tokens * t->acts_k / QN_GROUP) * sizeof *t->sum);
	for (long i = 0; i < t->n_tokens * t->acts_k; i += QN_GROUP / 2) {
		int32_t *half = &t->half_sum[i / (QN_GROUP / 2)];

		*half = 0;
		for (int n = 0; n < QN_GROUP / 2; n++)
			*half += t->q[i + n];
		t->sum[i / QN_GROUP] += *half;
	}
}

static void fill_acts(struct trial *t, enum fill fill, uint64_t *seed)
{
	memset(t->all_q, 0, (size_t)(t->n_tokens * t->acts_k));
	for (long token = 0; token < t->n_tokens; token++) {
		for (long k = 0; k < t->matrix.k; k++)
			t->all_q[token * t->acts_k + k] =
				fill_act(fill, t->matrix.kernel->act_top, seed);
	}
}

/*
 * Lets every n_passes-th group count, from `pass` on.  With a scale for each group by that; with one for more
 * the rest of q is 0.
 */
static void choose_live(struct trial *t, long pass, long n_passes)
{
	const long n_groups = t->acts_k / QN_GROUP;
	const int shared = t->matrix.kernel->act != QN_A8G32;

	/* With a scale for each group q stays the same in all passes. */
	if (shared || !pass)
		memcpy(t->q, t->all_q, (size_t)(t->n_tokens * t->acts_k));
	for (long g = 0; g < t->n_tokens * n_groups; g++) {
		const int live = g % n_groups % n_passes == pass;

		t->act_scale[g] = shared || live;
		if (shared && !live)
			memset(t->q + g * QN_GROUP, 0, QN_GROUP);
	}
	for (long i = 0; i < t->n_tokens * t->acts_k; i++)
		t->x[i] = t->act_scale[i / QN_GROUP] * (float)t->q[i];
	if (shared || !pass)
		sum_acts(t);
}

/* The largest entry of the table of groups g .. end-1 of a token: of 4 activations in a row. */
static double largest_entry(const struct trial *t, long token, long g, long end)
{
	const float *x = t->x + token * t->acts_k;
	double largest = 0;

	for (long k = g * QN_GROUP; k < end * QN_GROUP; k += 4) {
		const double sum = fabs((double)x[k]) + fabs((double)x[k + 1]) +
				   fabs((double)x[k + 2]) + fabs((double)x[k + 3]);

		largest = sum > largest ? sum : largest;
	}
	return largest;
}

/*
 * How far the rounded tables of lossy lookups may take row r of a token from its sum.  In half steps of a table: half
 * a step for each of 8 lookups of a group in every plane, weighted, and half of one for the start.
 */
static double lookup_error(const struct trial *t, long r, long token)
{
	const struct qn_kernel *kernel = t->matrix.kernel;
	const struct qn_format *f = &qn_formats[kernel->format];
	const struct qn_row row = qn_matrix_row(&t->rows, r);
	const long wide = f->super ? f->super : f->group;
	const long groups = t->acts_k / QN_GROUP;
	const long span = kernel->start_k > QN_GROUP ? kernel->start_k / QN_GROUP : 1;
	double total = 0;

	for (long g = 0; g < groups && kernel->adds; g += span) {
		const long k = g * QN_GROUP;
		const double entry = largest_entry(t, token, g, g + span);

		if (k >= t->matrix.k)
			break;
		total += fabs((double)row.scales[wide ? k / wide : 0] *
			      (f->super ? row.sub_scales[k / f->group] : 1)) *
			 entry / (2 * (127 / kernel->adds)) *
			 (0.5 * 8 * (double)span * f->mul * ((1 << f->bits) - 1) + 0.5);
	}
	return 1.0001 * total;
}

/* What row r must give for a token when only groups with a scale of 1 count; and magnitudes. */
static long expected_sum(const struct trial *t, long r, long token, double *magnitude)
{
	const struct qn_format *f = &qn_formats[t->matrix.kernel->format];
	const struct qn_row row = qn_matrix_row(&t->rows, r);
	const int8_t *q = t->q + token * t->acts_k;
	const float *act_scale = t->act_scale + token * t->acts_k / QN_GROUP;
	long total = 0, magnitudes = 0;

	for (long k = 0; k < t->matrix.k; k += SMALLEST_GROUP) {
		const long end =
			k + SMALLEST_GROUP < t->matrix.k ? k + SMALLEST_GROUP : t->matrix.k;
		const long scale = f->super ? row.sub_scales[k / f->group] : 1;
		const long min = !f->has_min ? 0
				 : f->super  ? -(long)row.sub_mins[k / f->group]
					     : (long)row.mins[k / f->group];
		int products = 0, sum = 0, product_sizes = 0, sizes = 0;

		if (act_scale[k / QN_GROUP] == 0)
			continue;
		for (long i = k; i < end; i++) {
			const int product = t->levels[row.codes[i]] * q[i];

			products += product;
			sum += q[i];
			product_sizes += abs(product);
			sizes += abs(q[i]);
		}
		total += scale * products + min * sum;
		magnitudes += labs(scale) * product_sizes + labs(min) * sizes;
	}
	*magnitude = (double)magnitudes;
	return total;
}

/* Data of one check of integers. */
struct integers {
	long m, k, n_tokens;
	enum fill codes, acts;
	uint64_t seed;
};

/* rounding: how many roundings of the sum of magnitudes are fine, 0 where sums are exact. */
static int compare_integers(const struct trial *t, const struct integers *c, double rounding,
			    struct quern_error *err)
{
	for (long token = 0; token < c->n_tokens; token++) {
		for (long r = 0; r < c->m; r++) {
			double magnitude;
			const long want = expected_sum(t, r, token, &magnitude);
			const double got = trial_row(t, token)[r];

			if (!(fabs(got - (double)want) <=
			      rounding * 0x1p-24 * magnitude + lookup_error(t, r, token)))
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

/* Groups of 32 whose products of the largest weights and activations stay below 2^24. */
static long live_groups(const struct trial *t)
{
	const struct qn_format *f = &qn_formats[t->matrix.kernel->format];
	long most = 0, n;

	for (int code = 0; code < f->n_codes; code++)
		most = abs(t->levels[code]) > most ? abs(t->levels[code]) : most;
	if (f->super)
		most *= f->sub_high > -f->sub_low ? f->sub_high : -f->sub_low;
	if (f->has_min)
		most += f->super ? f->sub_high : 8;
	n = (1L << 24) / (32 * 127 * most);
	return n > 1 ? n : 1;
}

static int check_integers(const struct qn_kernel *kernel, const struct integers *c,
			  struct quern_error *err)
{
	uint64_t state = c->seed;
	struct trial t;
	long n_passes, live;
	double rounding;
	int status = 0;

	if (trial_alloc(&t, kernel, c->m, c->k, c->n_tokens, err))
		return -1;
	fill_weights(&t, c->codes, &state);
	fill_acts(&t, c->acts, &state);
	trial_pack(&t);
	live = live_groups(&t);
	n_passes = (t.acts_k / QN_GROUP + live - 1) / live;
	rounding = 2 * (double)t.acts_k / QN_GROUP + 8;
	for (long pass = 0; pass < n_passes && !status; pass++) {
		choose_live(&t, pass, n_passes);
		status = trial_run(&t, err) ||
					 compare_integers(&t, c, kernel->adds ? rounding : 0, err)
				 ? -1
				 : 0;
	}
	/* Sums of integers over more than 32 k: all at once, as large as they get. */
	if (kernel->act != QN_A8G32 && !status) {
		choose_live(&t, 0, 1);
		status = trial_run(&t, err) || compare_integers(&t, c, rounding, err) ? -1 : 0;
	}
	trial_free(&t);
	return status;
}

/* ---- floats ---- */

static void quantize_token(struct trial *t, long token)
{
	const struct qn_kernel *kernel = t->matrix.kernel;
	const long groups = t->acts_k / QN_GROUP;
	const float *x = t->x + token * t->acts_k;

	const long shared = kernel->act == QN_A8G256 ? QN_K_PAD : t->acts_k;

	for (long k = 0; k < t->acts_k; k += shared) {
		const long at = token * groups + k / QN_GROUP;
		const float whole = kernel->act == QN_A8G32 ? -1 : kernel->isa->amax(x + k, shared);

		kernel->isa->quantize(x + k, shared, whole, kernel->act_top, t->q + at * QN_GROUP,
				      t->act_scale + at, t->sum + at, t->half_sum + 2 * at);
	}
}

/* Normal weights and activations through the format's encoder and the ISA's quantiser. */
static int fill_normal(struct trial *t, uint64_t *seed)
{
	float *floats = malloc((size_t)t->matrix.k * sizeof(float));

	if (!floats)
		return -1;
	for (long r = 0; r < t->matrix.m; r++) {
		const struct qn_row row = qn_matrix_row(&t->rows, r);

		for (long k = 0; k < t->matrix.k; k++)
			floats[k] = next_normal(seed);
		qn_format_encode(t->matrix.kernel->format, floats, t->matrix.k, &row);
	}
	free(floats);
	for (long token = 0; token < t->n_tokens; token++) {
		for (long k = 0; k < t->matrix.k; k++)
			t->x[token * t->acts_k + k] = next_normal(seed);
		quantize_token(t, token);
	}
	return 0;
}

/*
 * Products of row r in double: with the quantised activations, with the exact ones, and of
 * magnitudes.
 */
static void multiply_row(const struct trial *t, long r, long token, double *quantised,
			 double *exact, double *magnitude)
{
	const struct qn_format *f = &qn_formats[t->matrix.kernel->format];
	const long groups = t->acts_k / QN_GROUP, wide = f->super ? f->super : f->group;
	const float *x = t->x + token * t->acts_k, *act_scale = t->act_scale + token * groups;
	const int8_t *q = t->q + token * t->acts_k;
	const struct qn_row row = qn_matrix_row(&t->rows, r);

	*quantised = *exact = *magnitude = 0;
	for (long k = 0; k < t->matrix.k; k++) {
		const long g = wide ? k / wide : 0;
		const double scale =
			(double)row.scales[g] * (f->super ? row.sub_scales[k / f->group] : 1);
		const double min =
			!f->has_min
				? 0
				: (double)row.mins[g] * (f->super ? row.sub_mins[k / f->group] : 1);
		const double w = scale * t->levels[row.codes[k]];
		const double xq = (double)act_scale[k / QN_GROUP] * q[k];

		/* Rounded tables are of the activations as they came. */
		*quantised += w * (t->matrix.kernel->adds ? (double)x[k] : xq) + min * xq;
		*exact += (w + min) * (double)x[k];
		*magnitude += fabs(w * xq) + fabs(min * xq);
	}
}

/*
 * Every product of two scales, every conversion and every addition rounds once by at most 2^-24 of
 * something no larger than the sum of magnitudes; some for each group of 16 follow each other.
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
		if (!(fabs(got - quantised) <=
		      steps * 0x1p-24 * magnitude + lookup_error(&t, i % m, i / m))) {
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

/* One activation that is no number, or none that is finite, makes its token's results NaN, and no other's. */
static int check_odd(const struct qn_kernel *kernel, uint64_t seed, struct quern_error *err)
{
	static const float odd[] = {NAN, INFINITY, -INFINITY};
	uint64_t state = seed;
	struct trial t;
	int status = -1;

	if (trial_alloc(&t, kernel, kernel->layout.panel_rows + 1, 172, kernel->token_tile + 1,
			err))
		return -1;
	if (fill_normal(&t, &state)) {
		qn_error_set(err, "no memory to verify a kernel");
		goto out;
	}
	trial_pack(&t);
	for (int i = 0; i < 3; i++) {
		t.x[40 * i + 5] = odd[i];
		quantize_token(&t, 0);
		if (trial_run(&t, err))
			goto out;
		for (long j = 0; j < t.n_tokens * t.matrix.m; j++) {
			const long token = j / t.matrix.m, row = j % t.matrix.m;
			const double got = trial_row(&t, token)[row];

			if (!isnan(got) != (token > 0)) {
				qn_error_set(
					err,
					"row %ld, token %ld: %.9g where an activation of token 0 is %g",
					row, token, got, (double)odd[i]);
				goto out;
			}
		}
		t.x[40 * i + 5] = 1;
	}
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
	if (check_odd(kernel, seed, err) ||
	    check_floats(kernel, 7, 100, tile + 1, seed, &ignored, err))
		return -1;
	/* The error of few rows says little. */
	return check_floats(kernel, qn_is_lossy(kernel) ? 64 : rows + 5, 4096, 1, seed, nmse, err);
}
