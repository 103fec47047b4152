/*
 * kernel.h: the contract between the runtime and generated kernels.
 *
 * The generator writes one function and one constant `struct qn_kernel` per kernel, and one
 * `struct qn_isa` per instruction set; the registry lists them.  The runtime learns everything
 * from these tables and never from a name.  This is the only header of the runtime that
 * generated code includes.
 */
#ifndef QN_KERNEL_H
#define QN_KERNEL_H

#include <stddef.h>
#include <stdint.h>

/* The step of K in every kernel; with a8g32 the activations that share one int8 scale. */
#define QN_GROUP 32

/*
 * Stands at the head of a loop in generated code: one pass multiplies so many weights with activations, or decodes
 * them once for all tokens (loops "decode" and "scales").  qn_passes is for loops in these that do neither: how often
 * they are passed.  Only where quern looks at assembly (reasons, estimates, costs) are they compiled in, to find these
 * loops; they become no instruction.
 */
#ifdef QN_MARKS
#define qn_mark(loop, n_macs) __asm__ volatile("// quern-mark " loop " " #n_macs)
#define qn_passes(n) __asm__ volatile("// quern-passes " #n)
#else
#define qn_mark(loop, n_macs) ((void)0)
#define qn_passes(n) ((void)0)
#endif

/*
 * Of a kernel's functions: gcc is not to take equal ones of several kernels in one file for one.  It then dropped calls
 * whose results were needed (12.2 with -fipa-icf), and what is measured would not be what is built.
 */
#if defined __GNUC__ && !defined __clang__
#define QN_UNMERGED __attribute__((no_icf))
#else
#define QN_UNMERGED
#endif

/* Tokens of a job at most; longer products take several passes over the weights. */
#define QN_PASS_TOKENS 512

/* Activation formats: int8 with a scale for 32, for 256, or with one scale a row (token). */
enum qn_act_id { QN_A8G32, QN_A8G256, QN_A8R, QN_N_ACTS };

/* Weight formats, w<bits>g<group><options>; format.h says what they mean. */
enum qn_format_id {
	QN_W1G32,
	QN_W1G128,
	QN_WTG256,
	QN_WTGR,
	QN_W2G32,
	QN_W2G64,
	QN_W2G128,
	QN_W2G32Z,
	QN_W2G64Z,
	QN_W2G128Z,
	QN_W2G16ZK,
	QN_W3G32,
	QN_W3G64,
	QN_W3G128,
	QN_W3G32Z,
	QN_W3G64Z,
	QN_W3G128Z,
	QN_W3G16K,
	QN_W4G32,
	QN_W4G64,
	QN_W4G128,
	QN_W4G32Z,
	QN_W4G64Z,
	QN_W4G128Z,
	QN_W4G32N,
	QN_W4G128N,
	QN_W4G32ZK,
	QN_W4G32NK,
	QN_W5G32,
	QN_W5G32Z,
	QN_W5G32ZK,
	QN_W6G32,
	QN_W6G16K,
	QN_W8G32,
	QN_W8G128,
	QN_N_FORMATS
};

/* CPU features that a kernel can require, as a mask; cpu.h finds them. */
enum {
	QN_AVX2 = 1 << 0,   /* AVX2, FMA and F16C */
	QN_AVX512 = 1 << 1, /* AVX-512 F, BW, DQ and VL */
	QN_AVX512VNNI = 1 << 2,
	QN_AVX512VBMI = 1 << 3,
	QN_GFNI = 1 << 4,
	QN_AVXVNNI = 1 << 5,
	QN_NEON = 1 << 8, /* Armv8.0 Advanced SIMD */
	QN_DOTPROD = 1 << 9,
	QN_I8MM = 1 << 10,
	QN_SVE = 1 << 11,    /* with its I8MM; SVE2 is not needed */
	QN_SVE128 = 1 << 12, /* vectors are as long */
	QN_SVE256 = 1 << 13,
	QN_SVE512 = 1 << 14
};

/*
 * How codes lie in a packed panel.  Kernels with equal layouts share packed weights.
 *
 * A panel is panel_rows rows and all of K; one of a format with one scale a row starts with
 * [panel_rows f32 scales].  K is cut into blocks: of one weight group, of 256 weights when scales
 * have two levels, but at least of 32; of 160 with QN_TRITS.  A block is its scales, then its codes.
 * Scales are [panel_rows f16 scales] and, with minima, [panel_rows f16 minima].  Codes are, for every 32 k, for
 * every vector of rows, for every part of the code, the part's vectors.  With two levels what belongs to the groups
 * of the 32 k stands in front of them, so that memory is read in order: for every group [panel_rows bytes] of
 * sub-scales and, with minima, [panel_rows bytes] of sub-minima, or both in [panel_rows bytes], the sub-scale in the low
 * nibble.
 *
 * A byte of a vector holds 8/width fields of `width` bits, lowest field first.  With
 * QN_CODES a field is (part of) one code, and the parts are the powers of two of its bits, high to
 * low in width, low bits of the code first (3 bits: the low two, then the top one).  With QN_PLANES
 * a field is 4 bits wide: one bit of the codes of 4 consecutive k, and a part is one bit plane.
 * Lane i of a vector belongs to row i / adjacent; field f of vector j of a part holds unit
 * (j * fields + f) * adjacent + i % adjacent of the 32 k, units counted in fields.
 *
 * With QN_TRITS codes of a block are, for every vector of rows, 8 vectors.  Byte i of vector j
 * holds the ternary codes of row i / 4 at k = 32 n + 4 j + i % 4 for n = 0..4, as
 * ceil(256 v / 243), v = the number with these digits in base 3, n = 0 first.
 *
 * With QN_PLANE_PAIRS, for codes of two bits, fields are those of QN_PLANES.  Lanes 4 r .. 4 r + 3 of vector j belong to
 * row r; field f of them holds units 4 j + 2 f and 4 j + 2 f + 1 of the low bit plane, then of the high one.
 *
 * With QN_ROWS, for codes of two bits and panels of four vectors of rows, four rows share a byte: codes are, for every
 * 32 k, 8 vectors.  Byte i of vector j holds the codes at k = 4 j + i % 4 of row i / 4 of each of the four vectors, the first
 * in the lowest bits; the top bit is flipped.  Instead of the bytes of every group there are, behind the f16 scales, all
 * sub-scales of a block, then all sub-minima: for every 64 k, for every two vectors of rows, a vector whose byte i belongs to
 * the 16 k from 16 (i % 4) on of row i / 4, of the first vector of rows in the low nibble, of the second in the high one.
 *
 * With QN_FOURS, for codes of two bits with a sub-scale for 16, four such groups share a byte: for every 64 k there is, for
 * every vector of rows, a vector whose byte i has the sub-scale (low nibble) and the sub-minimum of the 16 k from 16 (i % 4)
 * on of row i / 4; then, for every vector of rows, 4 vectors.  Byte i of vector j of those holds the codes of row i / 4 at
 * k = 16 f + 4 j + i % 4 for f = 0..3, the first in the lowest bits.
 */
enum qn_order { QN_CODES, QN_PLANES, QN_TRITS, QN_PLANE_PAIRS, QN_ROWS, QN_FOURS };

struct qn_layout {
	uint8_t order;        /* enum qn_order */
	uint8_t adjacent;     /* fields of one row side by side: 1 or 4 */
	uint8_t signed_codes; /* 8-bit codes stored as code - 128 */
	uint16_t vector_bytes;
	uint16_t panel_rows; /* a multiple of vector_bytes / adjacent */
};

static inline int qn_same_layout(const struct qn_layout *a, const struct qn_layout *b)
{
	return a->order == b->order && a->adjacent == b->adjacent &&
	       a->signed_codes == b->signed_codes && a->vector_bytes == b->vector_bytes &&
	       a->panel_rows == b->panel_rows;
}

/* int8 activations of some tokens; K is padded with zeros to a multiple of 256. */
struct qn_acts {
	long n_tokens, k;
	const int8_t *q;    /* [n_tokens][k], |q| <= 127 */
	const float *scale; /* [n_tokens][k / 32], x = scale * q; some are equal but with a8g32 */
	const int32_t *sum; /* [n_tokens][k / 32], sum of q over 32 */
	const int32_t *half_sum; /* [n_tokens][k / 16], over 16 */
	const float *x; /* [n_tokens][x_stride], x_k each, not padded: what q was rounded from */
	long x_stride, x_k;
	const uint8_t *prepared; /* what the kernel's prepare wrote, or NULL */
};

/* Group g of token t as it came, zeros behind the last of K. */
static inline void qn_acts_group(const struct qn_acts *x, long t, long g, float group[QN_GROUP])
{
	const long first = g * QN_GROUP, left = x->x_k - first;
	const long n = left < 0 ? 0 : left < QN_GROUP ? left : QN_GROUP;

	for (long i = 0; i < QN_GROUP; i++)
		group[i] = i < n ? x->x[t * x->x_stride + first + i] : 0;
}

/*
 * The activations of one token, for kernels whose prepare lays tokens one after the other.  A token
 * behind the last one gives the last one again, so that a tile is always full.
 */
static inline struct qn_acts qn_token(const struct qn_acts *x, long token, size_t prepared_bytes)
{
	const long t = token < x->n_tokens ? token : x->n_tokens - 1, groups = x->k / QN_GROUP;

	return (struct qn_acts){
		.n_tokens = 1,
		.k = x->k,
		.q = x->q + t * x->k,
		.scale = x->scale + t * groups,
		.sum = x->sum + t * groups,
		.half_sum = x->half_sum + 2 * t * groups,
		.x = x->x + t * x->x_stride,
		.x_stride = x->x_stride,
		.x_k = x->x_k,
		.prepared =
			prepared_bytes ? x->prepared + (size_t)(t * groups) * prepared_bytes : NULL,
	};
}

/* Y = W X. */
struct qn_job {
	const uint8_t *weights; /* packed panels, panel_bytes each */
	size_t panel_bytes;
	long n_rows;   /* M; the last panel may be short, its padding is not stored */
	long n_blocks; /* blocks of one panel */
	long n_near; /* panels in front of this one are wanted soon; kernels may fetch them ahead */
	struct qn_acts x;
	float *y; /* [n_tokens][y_stride], n_rows of each row are written */
	long y_stride;
	void *scratch; /* of the calling thread, scratch_bytes of the kernel, 64-byte aligned */
};

/* Computes the rows of panels first .. end-1 for all tokens. */
typedef void qn_run_fn(const struct qn_job *job, long first, long end);

/*
 * Writes what a kernel wants of the groups first .. end-1 (of 32 k) of all tokens, in an order that
 * the two agree on.  prepared has room for prepared_bytes of every group of every token, tokens
 * rounded up to whole tiles.  first and end are multiples of 8 (256 k).  Kernels that agree in prepare and in
 * what it reads of them share the result.
 */
struct qn_kernel;
typedef void qn_prepare_fn(const struct qn_kernel *kernel, const struct qn_acts *x, long first,
			   long end, uint8_t *prepared);

struct qn_isa {
	const char *name;
	uint32_t needs; /* features */
	uint32_t rank;  /* the library prefers the larger one when nothing was measured */

	/* max |x[i]|; NaN when one is not finite.  k is a multiple of 32. */
	float (*amax)(const float *x, long k);

	/*
	 * x[k] -> int8: scale = amax / top, q = round to nearest even of x / scale, sums of q over
	 * 32 and over 16; top is 127, less for lossy kernels.  With whole < 0 every 32 have an amax of their own (a8g32, ggml's Q8_0
	 * rule, but the scale stays f32); else it is the amax of all (a8r, and 256 of a8g256).  An amax that is not
	 * finite gives a scale of NaN and q = 0, so that the result is NaN and no kernel meets
	 * |q| > top.
	 */
	void (*quantize)(const float *x, long k, float whole, int top, int8_t *q, float *scale,
			 int32_t *sum, int32_t *half_sum);

	/*
	 * Reads n bytes (a multiple of 4096 * n_streams) from n_streams places at once, 1, 2, 4
	 * or 8; ahead: bytes that prefetches run in front, or 0.
	 */
	uint64_t (*read)(const void *p, size_t n_bytes, int n_streams, size_t ahead);

	/* Runs n rounds of independent int8 dot instructions; *macs gets the products of one round.
	 */
	int64_t (*peak)(long n_rounds, long *macs);
};

/* Each of these is defined when the registry lists it. */
extern const struct qn_isa qn_isa_scalar, qn_isa_avx2, qn_isa_avxvnni, qn_isa_avx512bw,
	qn_isa_avx512, qn_isa_neon, qn_isa_dotprod, qn_isa_i8mm, qn_isa_sve128, qn_isa_sve256,
	qn_isa_sve512;

/* ---- what a model computes in floats between its products ---- */

/* Positions of a page of a KV cache, and the widest head. */
#define QN_PAGE 32
#define QN_MAX_HEAD 512

/* One head of one token, and which positions it sees: first .. end - 1, at least one. */
struct qn_query {
	const float *q; /* [d_k] */
	float *out;     /* [d_out] */
	long first, end;
	float *part; /* NULL, or [2] for a part of what the token sees: out is the sum of e^(score - peak) V
			alone, part gets the peak, the largest score, and the sum of e^(score - peak) */
};

/*
 * out = softmax(scale q K) V for queries of one KV head of one sequence; of queries with a part
 * what that is merged from.
 *
 * Position p is p % 32 of page pages[p / 32]; page n starts n * page_bytes behind `cache`: keys
 * [d_k][32], then values [32][d_v], in f16.  With is_bytes they are int8, and [32 f32 scales of
 * keys] [32 f32 scales of values] stand before them.  d_v is a multiple of 16, d_out <= d_v of them
 * are wanted; both are at most QN_MAX_HEAD.  softcap c > 0: scores are c tanh(score / c).
 */
struct qn_attend {
	const uint8_t *cache;
	const int32_t *pages;
	size_t page_bytes;
	int is_bytes;
	long d_k, d_v, d_out;
	float scale, softcap;
	const struct qn_query *queries;
	int n_queries;
};

enum qn_activation { QN_SILU, QN_GELU, QN_RELU2 }; /* GELU by tanh; the square of ReLU */

enum qn_float_weights { QN_WEIGHTS_F32, QN_WEIGHTS_F16, QN_WEIGHTS_BF16 };

/* Y = W X with float weights, rows of k one after the other. */
struct qn_float_product {
	int type; /* enum qn_float_weights */
	const void *weights;
	long k, n_tokens;
	const float *x; /* [n_tokens][x_stride] */
	long x_stride;
	float *y; /* [n_tokens][y_stride] */
	long y_stride;
};

struct qn_floats {
	const struct qn_isa *isa;

	void (*attend)(const struct qn_attend *job);

	/*
	 * out[d] = what n parts are together that stand stride floats apart: the two floats of qn_query's
	 * part, then d of its out.  A part with a peak of -INFINITY is empty.
	 */
	void (*merge)(const float *parts, long stride, long n, long d, float *out);

	/*
	 * y = (x - mean) / sqrt(mean((x - mean)^2) + eps) * weight + bias, with a mean of 0 unless
	 * is_centred (root mean square norm); weight and bias may be NULL, y may be x.
	 */
	void (*norm)(const float *x, long n, int is_centred, float eps, const float *weight,
		     const float *bias, float *y);

	void (*add)(const float *x, long n, float *y); /* y += x */

	/* y = activation(x) * times; times may be NULL, y may be x. */
	void (*activate)(int kind, const float *x, const float *times, long n, float *y);

	/* Rows first .. end - 1 for all tokens. */
	void (*multiply)(const struct qn_float_product *job, long first, long end);
};

/* Defined as their instruction sets are. */
extern const struct qn_floats qn_floats_scalar, qn_floats_avx2, qn_floats_avxvnni,
	qn_floats_avx512bw, qn_floats_avx512, qn_floats_neon, qn_floats_dotprod, qn_floats_i8mm,
	qn_floats_sve128, qn_floats_sve256, qn_floats_sve512;

/* Sums of activations in what a kernel prepares, see qn_tiles_*. */
enum qn_prepared_sums { QN_NO_SUMS, QN_SCALED_SUMS, QN_SUM_PAIRS };

struct qn_kernel {
	const char *name;  /* <family>_<format>_<act>_<isa>_<tile>, for people */
	const char *point; /* its parameters, "KU=2 PF=1024 ..." */
	const char *family;
	const struct qn_isa *isa;
	uint32_t needs; /* features, at least those of isa */
	uint8_t format; /* enum qn_format_id */
	uint8_t act;    /* enum qn_act_id */
	struct qn_layout layout;
	uint16_t token_tile; /* tokens it multiplies at a time; it takes any number */
	int16_t bias;        /* added to sums, times the sum of the activations */
	/* What prepare writes of the sums of activations, see qn_tiles_* and qn_starts_*. */
	uint16_t start_k;    /* activations of one start: 16 or a multiple of 32 up to 256 */
	uint8_t float_start; /* starts have V_FLOAT_START added */
	uint8_t per_step; /* lossy lookups: a unit of a sum is this many half steps of the table */
	uint8_t sums;     /* enum qn_prepared_sums: what of them stands there, too */
	uint8_t act_top;  /* |q| it takes at most: 127, or less, which is lossy */
	uint8_t adds;     /* 0; lossy lookups: sums of a table that fit a byte together */
	uint32_t prepared_bytes; /* of a token's 32 activations */
	uint32_t scratch_bytes;  /* of one thread */
	qn_prepare_fn *prepare;  /* NULL: nothing to prepare */
	qn_run_fn *run;
};

/* Whether a kernel rounds more than the activations to int8. */
static inline int qn_is_lossy(const struct qn_kernel *kernel)
{
	return kernel->adds || kernel->act_top < 127;
}

/*
 * For this case use kernel n of the registry: a measured winner, or with m = 0 a default of its
 * ISA.  One registry may hold winners of several kinds of cores for the same case.
 */
struct qn_choice {
	uint8_t format;
	int32_t m, k, n_tokens, n_threads;
	uint16_t kernel;
	uint8_t act;
	float nmse;    /* of a lossy kernel, as measured; 0: exact */
	uint32_t core; /* kind of core that it was measured on, see cpu.h; 0: any */
};

/* What a registry (generated kernels.c) defines. */
struct qn_registry {
	const struct qn_isa *const *isas;
	const struct qn_floats *const *floats; /* as many; NULL where only kernels are measured */
	const struct qn_kernel *const *kernels;
	/* Sorted by format, act, m, k, n_tokens, n_threads, core. */
	const struct qn_choice *choices;
	int n_isas, n_kernels, n_choices;
	const char *origin; /* the results files it was made from */
};

extern const struct qn_registry qn_registry;

#endif
