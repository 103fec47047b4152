/*
 * bad_kernels.c: a registry of kernels that fail in every way a generated one can.
 *
 * All are w8g32 in plain C and share one correct loop; each bad one spoils one thing, so that
 * whoever checks kernels must tell them apart.  Layout: signed codes, 4 of a row side by side,
 * vectors of 16 bytes, so 4 k of 4 rows a vector.
 */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "runtime/format.h"
#include "runtime/kernel.h"
#include "tests/bad_kernels.h"

#define VECTOR 16
#define ADJACENT 4
#define ROWS (VECTOR / ADJACENT) /* of a vector */
#define BLOCK_BYTES(rows) ((size_t)(rows) * (2 + QN_GROUP))

static void quantize_group(const float *x, int8_t *q, float *scale, int32_t *sum)
{
	float amax = 0;
	int finite = 1;

	for (int i = 0; i < QN_GROUP; i++) {
		finite &= isfinite(x[i]) != 0;
		amax = fmaxf(amax, fabsf(x[i]));
	}
	*scale = finite ? amax / 127 : NAN;
	*sum = 0;
	for (int i = 0; i < QN_GROUP; i++) {
		/* A subnormal scale is coarse, so the quotient can pass 127. */
		float ratio = finite && *scale > 0 ? rintf(x[i] / *scale) : 0;

		q[i] = (int8_t)fmaxf(-127, fminf(127, ratio));
		*sum += q[i];
	}
}

/* These kernels know a8g32 alone and no halves. */
static void quantize(const float *x, long k, float whole, int top, int8_t *q, float *scale,
		     int32_t *sum, int32_t *half_sum)
{
	(void)whole;
	(void)top;
	(void)half_sum;
	for (long i = 0; i < k; i += QN_GROUP)
		quantize_group(x + i, q + i, scale + i / QN_GROUP, sum + i / QN_GROUP);
}

static uint64_t read_streams(const void *p, size_t n_bytes, int n_streams, size_t ahead)
{
	size_t step = n_bytes / (size_t)n_streams;
	uint64_t sum = 0, word;

	(void)ahead;
	for (size_t i = 0; i < step; i += sizeof(word))
		for (int s = 0; s < n_streams; s++) {
			memcpy(&word, (const char *)p + (size_t)s * step + i, sizeof(word));
			sum += word;
		}
	return sum;
}

static int64_t peak(long n_rounds, long *macs)
{
	volatile int8_t unknown = 3;
	int64_t sum = 0;
	int8_t a[64];

	memset(a, unknown, sizeof(a));
	for (long round = 0; round < n_rounds; round++) {
		int8_t b = unknown;

		for (size_t i = 0; i < sizeof(a); i++)
			sum += a[i] * b;
	}
	*macs = sizeof(a);
	return sum;
}

/* Codes of row `row` of a block against one group of activations. */
static int32_t dot_row(const uint8_t *codes, int row, const int8_t *q)
{
	const int8_t *w = (const int8_t *)codes + (size_t)(row / ROWS) * ROWS * QN_GROUP;
	int32_t sum = 0;

	for (int k = 0; k < QN_GROUP; k++)
		sum += w[k / ADJACENT * VECTOR + row % ROWS * ADJACENT + k % ADJACENT] * q[k];
	return sum;
}

static float multiply_row(const struct qn_acts *x, const uint8_t *panel, int row, int panel_rows,
			  long n_blocks)
{
	float y = 0;

	for (long b = 0; b < n_blocks; b++) {
		const uint8_t *block = panel + (size_t)b * BLOCK_BYTES(panel_rows);
		int32_t sum = dot_row(block + 2 * panel_rows, row, x->q + b * QN_GROUP);
		uint16_t scale;

		memcpy(&scale, block + 2 * row, sizeof(scale));
		y += qn_format_half_to_float(scale) * x->scale[b] * (float)sum;
	}
	return y;
}

static void multiply(const struct qn_job *job, long first, long end, int panel_rows, long n_blocks)
{
	const long last = end * panel_rows < job->n_rows ? end * panel_rows : job->n_rows;

	for (long t = 0; t < job->x.n_tokens; t++) {
		struct qn_acts x = qn_token(&job->x, t, 0);

		for (long row = first * panel_rows; row < last; row++)
			job->y[t * job->y_stride + row] =
				multiply_row(&x,
					     job->weights +
						     (size_t)(row / panel_rows) * job->panel_bytes,
					     (int)(row % panel_rows), panel_rows, n_blocks);
	}
}

static void run_right4(const struct qn_job *job, long first, long end)
{
	multiply(job, first, end, 4, job->n_blocks);
}

static void run_right16(const struct qn_job *job, long first, long end)
{
	multiply(job, first, end, 16, job->n_blocks);
}

static void run_crash(const struct qn_job *job, long first, long end)
{
	volatile float *volatile nowhere = NULL;

	multiply(job, first, end, 4, job->n_blocks);
	*nowhere = 1;
}

static void run_hang(const struct qn_job *job, long first, long end)
{
	volatile long n = end - first;

	while (n >= 0)
		n = end - first;
	multiply(job, first, end, 4, job->n_blocks);
}

static void run_wrong(const struct qn_job *job, long first, long end)
{
	multiply(job, first, end, 4, job->n_blocks - 1);
}

/* Right, but stores whole panels. */
static void run_past(const struct qn_job *job, long first, long end)
{
	multiply(job, first, end, 4, job->n_blocks);
	job->y[job->n_rows] = -1;
}

static void run_leave(const struct qn_job *job, long first, long end)
{
	(void)job;
	(void)first;
	(void)end;
	_exit(0);
}

static const struct qn_isa plain = {.name = "plain",
				    .rank = 1,
				    .quantize = quantize,
				    .read = read_streams,
				    .peak = peak};

#define KERNEL(title, rows, function, features) \
	{ \
		.name = "bad_w8g32_a8g32_plain_" title, .point = "MR=" #rows, .family = "bad", \
		.isa = &plain, .needs = features, .format = QN_W8G32, \
		.layout = {QN_CODES, ADJACENT, 1, VECTOR, rows}, .token_tile = 1, .act_top = 127, \
		.run = function \
	}

static const struct qn_kernel kernels[] = {[BAD_RIGHT4] = KERNEL("right4", 4, run_right4, 0),
					   [BAD_RIGHT16] = KERNEL("right16", 16, run_right16, 0),
					   [BAD_CRASH] = KERNEL("crash", 4, run_crash, 0),
					   [BAD_HANG] = KERNEL("hang", 4, run_hang, 0),
					   [BAD_WRONG] = KERNEL("wrong", 4, run_wrong, 0),
					   [BAD_PAST] = KERNEL("past", 4, run_past, 0),
					   [BAD_LEAVE] = KERNEL("leave", 4, run_leave, 0),
					   /* No machine has both. */
					   [BAD_FOREIGN] = KERNEL("foreign", 4, run_right4,
								  QN_AVX512 | QN_SVE512)};

static const struct qn_isa *const isa_list[] = {&plain};
static const struct qn_kernel *const kernel_list[] = {&kernels[0], &kernels[1], &kernels[2],
						      &kernels[3], &kernels[4], &kernels[5],
						      &kernels[6], &kernels[7]};

const struct qn_registry qn_registry = {.isas = isa_list,
					.kernels = kernel_list,
					.n_isas = 1,
					.n_kernels = BAD_COUNT,
					.origin = "tests/bad_kernels.c"};
