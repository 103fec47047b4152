/*
 * test_runtime.c: threads, activations and the errors of the public API.
 */
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cpu.h"
#include "format.h"
#include "matmul.h"
#include "topology.h"

/* ---- cores that differ ---- */

/* A clock for each thread, which only computed rows move: units of weights a nanosecond. */
static _Thread_local int64_t thread_ns;
static _Thread_local int thread_number;
static const int slowness[4] = {1, 2, 4, 16};
static long most_rows[4], all_rows[4];

static int64_t read_thread_clock(void)
{
	return thread_ns;
}

static void number_thread(void *arg, int thread, int n_threads)
{
	(void)arg;
	(void)n_threads;
	thread_number = thread;
}

/* Counts rows, moves the clock, and lets others come to their turn. */
static void run_counted(const struct qn_job *job, long first, long end)
{
	for (long r = first; r < end; r++)
		job->y[r] += (float)r;
	thread_ns += (end - first) * 1000 * slowness[thread_number];
	all_rows[thread_number] += end - first;
	if (end - first > most_rows[thread_number])
		most_rows[thread_number] = end - first;
	sched_yield();
}

static const struct qn_isa plain = {.name = "plain"};
static const struct qn_kernel counted = {.name = "counted",
					 .layout = {.panel_rows = 1},
					 .act_top = 127,
					 .isa = &plain,
					 .format = QN_W4G32,
					 .token_tile = 1,
					 .run = run_counted};

/* Threads of made-up slowness: chunks become those of their speed, and each row is computed once. */
static void test_uneven_rows(void)
{
	enum { m = 8192, k = 256 };
	const struct quern_options options = {.size = sizeof options, .n_threads = 4};
	static float x[k], y[m], *const out = y;
	const long stride = m;
	struct quern_engine *engine = NULL;
	struct quern_matrix matrix = {.what = {.format = QN_W4G32, .m = m, .k = k}};
	const struct quern_matrix *const list = &matrix;
	const struct qn_matmul call = {&list, 1, x, 1, k, &out, &stride};
	const long *first;
	long total = 0, shares[5];
	int wrong = 0, n = 0;

	if (!CHECK(!quern_open(&engine, &options, NULL)))
		return;
	qn_shares_close(engine->lanes[0]->shares);
	engine->lanes[0]->shares = qn_shares_open(4, (int[4]){1, 1, 1, 1});
	matrix.engine = engine;
	qn_matrix_shape(&matrix, &counted, m, k);
	if (!CHECK(engine->lanes[0]->shares && !qn_matmul_reserve(engine, k, NULL, 0, NULL)))
		goto out;
	qn_shares_set_clock(engine->lanes[0]->shares, read_thread_clock);
	qn_pool_run(engine->lanes[0]->pool, number_thread, NULL);
	first = qn_shares_first(engine->lanes[0]->shares, QN_SHARES_FEW_TOKENS);
	/* A product may be over before the system lets a thread in; then it learns nothing of it. */
	for (; n < 5000 && !(first[1] == 16 && first[2] == 24 && first[3] == 28 && first[4] == 29);
	     n++)
		qn_matmul_run(engine, &call);
	CHECK(first[1] == 16 && first[2] == 24 && first[3] == 28 && first[4] == 29);
	memset(most_rows, 0, sizeof most_rows);
	memset(all_rows, 0, sizeof all_rows);
	memcpy(shares, first, sizeof shares); /* the product may learn something new */
	qn_matmul_run(engine, &call);
	n++;
	for (int i = 0; i < 4; i++) { /* 29 * 8 units of 8192 rows */
		const long rows = m * (shares[i + 1] - shares[i]) / (8 * 29);

		CHECK(most_rows[i] == 0 || (most_rows[i] >= rows && most_rows[i] <= rows + 1));
		total += all_rows[i];
	}
	CHECK(total == m);
	for (int r = 0; r < m; r++)
		wrong += y[r] != (float)r * (float)n && (double)r * n < 0x1p24;
	CHECK(!wrong);
out:
	quern_close(engine);
}

/* However rows and activations are dealt out, the results are the same to the bit. */
static void test_uneven_bits(void)
{
	static const int speeds[][5] = {{1024, 250, 250, 250, 250},
					{1, 1000, 500, 30, 999},
					{7, 7, 7, 7, 1}};
	static const char *const acts[] = {"a8g32", "a8g256", "a8r"};
	enum { m = 333, k = 1500, n = 37 };
	static float w[m][k], x[n][k], y[n][m], expected[n][m];
	float *const out = y[0];
	const long stride = m;
	uint64_t seed = 3;

	for (int i = 0; i < m * k; i++)
		w[i / k][i % k] = check_float(&seed);
	for (int i = 0; i < n * k; i++)
		x[i / k][i % k] = check_float(&seed);
	for (int c = 0; c < 6 * 5; c++) {
		const int n_threads = 1 + c % 5, n_tokens = c / 5 % 2 ? n : 2;
		const struct quern_options options = {.size = sizeof options,
						      .n_threads = n_threads};
		const struct quern_weights weights = {.size = sizeof weights,
						      .type = QUERN_F32,
						      .m = m,
						      .k = k,
						      .data = w,
						      .format = "w4g32",
						      .act = acts[c / 10]};
		struct quern_engine *engine = NULL;
		struct quern_matrix *matrix = NULL;

		if (!CHECK(!quern_open(&engine, &options, NULL)) ||
		    !CHECK(!quern_pack(engine, &matrix, &weights, NULL)))
			return;
		for (size_t s = 0; s < sizeof speeds / sizeof *speeds; s++) {
			qn_shares_close(engine->lanes[0]->shares);
			engine->lanes[0]->shares = qn_shares_open(n_threads, speeds[s]);
			if (!CHECK(engine->lanes[0]->shares != NULL))
				return;
			for (int again = 0; again < 3; again++) {
				memset(y, 0, sizeof y);
				CHECK(!quern_multiply(engine,
						      (const struct quern_matrix *const *)&matrix,
						      1, x[0], n_tokens, k, &out, &stride, NULL));
				if (n_threads == 1)
					memcpy(expected, y, sizeof y);
				CHECK(!memcmp(expected, y, sizeof y));
			}
		}
		quern_free(matrix);
		quern_close(engine);
	}
}

/* Engines on some cpus only, and the caller's mask after success and failure. */
static void test_affinity(void)
{
	struct quern_options options = {.size = sizeof options};
	struct quern_engine *engine = NULL;
	struct qn_topology topology;
	struct quern_error err;
	cpu_set_t before, after;
	char cpus[64];
	int n_cpus, first = 0;

	if (sched_getaffinity(0, sizeof before, &before))
		return;
	n_cpus = CPU_COUNT(&before);
	while (!CPU_ISSET(first, &before))
		first++;
	options.loose = 1;
	CHECK(quern_open(&engine, &options, &err) && !engine);
	CHECK_SAYS(err.text, "list of cpus");
	options.cpus = "8190-8191";
	CHECK(quern_open(&engine, &options, &err) && !engine);
	CHECK_SAYS(err.text, "'8190-8191': none is online");
	options.loose = 0;
	CHECK(quern_open(&engine, &options, &err) && !engine);
	CHECK_SAYS(err.text, "cannot pin a thread to cpu 819");
	snprintf(cpus, sizeof cpus, "%d,8191", first);
	options.cpus = cpus;
	CHECK(quern_open(&engine, &options, &err) && !engine);
	CHECK_SAYS(err.text, "cpu 8191");
	CHECK(!sched_getaffinity(0, sizeof after, &after) && CPU_EQUAL(&before, &after));

	options.n_threads = 1; /* nobody needs the second one */
	CHECK(!quern_open(&engine, &options, &err) && quern_n_threads(engine) == 1);
	qn_topology_read_cpus(&first, 1, &topology);
	CHECK(engine->lanes[0]->core == topology.cores[0].kind &&
	      !qn_shares_learns(engine->lanes[0]->shares));
	CHECK(engine->features == qn_topology_features(&topology));
	quern_close(engine);
	options.n_threads = 0;
	options.loose = 1;
	CHECK(!quern_open(&engine, &options, &err) && quern_n_threads(engine) == 1);
	quern_close(engine);
	options.n_threads = n_cpus + 2;
	CHECK(!quern_open(&engine, &options, &err) && quern_n_threads(engine) == n_cpus + 2);
	quern_close(engine);
	CHECK(!sched_getaffinity(0, sizeof after, &after) && CPU_EQUAL(&before, &after));

	/* A program of before this option: what lies behind its struct is not read. */
	options.size = offsetof(struct quern_options, loose);
	options.n_threads = 1;
	CHECK(!quern_open(&engine, &options, &err));
	quern_close(engine);
}

/* ---- threads for prompts ---- */

/* A class of tokens is one lane's, for it has one kernel. */
static void test_boundary(void)
{
	int wrong = 0;

	for (long n = 1; n <= 2000; n++)
		wrong += qn_shares_work_of(n) !=
			 qn_shares_work_of(qn_matrix_class_tokens(qn_matrix_class(n)));
	CHECK(!wrong);
	CHECK(qn_shares_work_of(11) == QN_SHARES_FEW_TOKENS); /* as quern.h has it */
	CHECK(qn_shares_work_of(12) == QN_SHARES_MANY_TOKENS);
}

/* Which threads run a product: those whose shares learn something from it. */
static void test_lane_of_product(void)
{
	enum { m = 4096, k = 256, n_max = 12 };
	const struct quern_options options = {.size = sizeof options,
					      .n_threads = 2,
					      .n_prompt_threads = 3};
	static float x[n_max][k], y[n_max][m], *const out = y[0];
	const long stride = m;
	struct quern_engine *engine = NULL;
	struct quern_matrix matrix = {.what = {.format = QN_W4G32, .m = m, .k = k}};
	const struct quern_matrix *const list = &matrix;

	if (!CHECK(!quern_open(&engine, &options, NULL)))
		return;
	CHECK(quern_n_threads(engine) == 2 && quern_n_prompt_threads(engine) == 3);
	CHECK(engine->lanes[0] != engine->lanes[1] &&
	      engine->lanes[0]->pool != engine->lanes[1]->pool);
	matrix.engine = engine;
	qn_matrix_shape(&matrix, &counted, m, k);
	if (CHECK(!qn_matmul_reserve(engine, k, NULL, 0, NULL))) {
		for (int many = 0; many < 2; many++) {
			const struct qn_matmul call = {&list, 1,    x[0],   many ? 12 : 11,
						       k,     &out, &stride};

			/* Numbers of threads that are in the other pool stay 0 in this one. */
			qn_pool_run(engine->lanes[1 - many]->pool, number_thread, NULL);
			qn_pool_run(engine->lanes[many]->pool, number_thread, NULL);
			memset(all_rows, 0, sizeof all_rows);
			for (int n = 0; n < 2000 && !all_rows[1 + many]; n++)
				qn_matmul_run(engine, &call);
			CHECK(all_rows[1 + many] > 0);
			CHECK(many || all_rows[2] == 0);
		}
	}
	quern_close(engine);
}

/* One engine's products of few and of many tokens; expected are another engine's. */
static void check_products(const struct quern_options *options, const struct quern_weights *weights,
			   const float *x, float *expected, int is_first)
{
	static const int n_tokens[] = {1, 2, 7, 11, 12, 16, 33};
	struct quern_engine *engine = NULL;
	struct quern_matrix *matrix = NULL;
	const struct quern_matrix *const *list = (const struct quern_matrix *const *)&matrix;
	static float y[33 * 100];
	float *const out = y;
	cpu_set_t before, after;

	sched_getaffinity(0, sizeof before, &before);
	if (!CHECK(!quern_open(&engine, options, NULL)) ||
	    !CHECK(!quern_pack(engine, &matrix, weights, NULL)))
		return;
	for (size_t i = 0; i < sizeof n_tokens / sizeof *n_tokens; i++) {
		const size_t n = (size_t)(n_tokens[i] * weights->m);

		memset(y, 0, sizeof y);
		CHECK(!quern_multiply(engine, list, 1, x, n_tokens[i], weights->k, &out,
				      &weights->m, NULL));
		if (is_first)
			memcpy(expected, y, n * sizeof *y);
		CHECK(!memcmp(expected, y, n * sizeof *y));
		expected += n;
		sched_getaffinity(0, sizeof after, &after);
		CHECK(CPU_EQUAL(&before, &after));
	}
	quern_free(matrix);
	quern_close(engine);
}

/* Whichever threads are for prompts, results are the same to the bit, and the caller is where it was. */
static void test_lanes_bits(void)
{
	static const int threads[][2] = {{1, 0}, {1, 2}, {2, 1}, {3, 1}, {2, 14}};
	static const char *const acts[] = {"a8g32", "a8g256", "a8r"};
	enum { m = 100, k = 500, n = 33 };
	static float w[m * k], x[n * k], expected[82 * m];
	struct quern_matrix *matrix = NULL;
	struct quern_engine *engine = NULL;
	uint64_t seed = 5;
	cpu_set_t mask;
	char cpu[16];
	int first = 0;

	for (int i = 0; i < m * k; i++)
		w[i] = check_float(&seed);
	for (int i = 0; i < n * k; i++)
		x[i] = check_float(&seed);
	if (sched_getaffinity(0, sizeof mask, &mask))
		return;
	while (!CPU_ISSET(first, &mask))
		first++;
	snprintf(cpu, sizeof cpu, "%d", first);
	for (int act = 0; act < 3; act++) {
		struct quern_weights weights = {.size = sizeof weights,
						.type = QUERN_F32,
						.m = m,
						.k = k,
						.data = w,
						.format = "w4g32",
						.act = acts[act]};
		struct quern_matrix_info info;

		/* One kernel for all: another may be chosen for other threads, and round sums its way. */
		if (!CHECK(!quern_open(&engine, NULL, NULL)) ||
		    !CHECK(!quern_pack(engine, &matrix, &weights, NULL)))
			return;
		quern_matrix_info(matrix, &info);
		weights.kernel = info.kernel;
		quern_free(matrix);
		quern_close(engine);
		for (int i = 0; i < 10; i++) {
			struct quern_options options = {.size = sizeof options,
							.n_threads = threads[i / 2][0],
							.n_prompt_threads = threads[i / 2][1],
							.loose = i % 2};

			if (i % 2) { /* generating stays where it is, or is where prompts are */
				options.cpus = cpu;
				options.prompt_cpus = i % 4 == 1 ? cpu : NULL;
			}
			check_products(&options, &weights, x, expected, !i);
		}
	}
}

/* Kernels are those for the threads and the kind of core that run so many tokens. */
static void test_lanes_kernels(void)
{
	static const float w[8 * 64];
	const struct quern_options options = {.size = sizeof options,
					      .n_threads = 1,
					      .n_prompt_threads = 3};
	struct quern_weights weights = {.size = sizeof weights,
					.type = QUERN_F32,
					.m = 8,
					.k = 64,
					.data = w,
					.format = "w4g32"};
	struct quern_engine *engine = NULL;
	struct quern_matrix *matrix = NULL;
	struct qn_chosen chosen;
	char text[400];

	if (!CHECK(!quern_open(&engine, &options, NULL)))
		return;
	engine->lanes[1]->core = 0x41d46;
	for (long n = 1; n <= 512; n *= 512) {
		weights.n_tokens = n;
		if (!CHECK(!quern_pack(engine, &matrix, &weights, NULL)))
			break;
		CHECK(matrix->what.n_threads == (n == 1 ? 1 : 3));
		CHECK(matrix->what.core == engine->lanes[n > 1]->core);
		CHECK(quern_explain(matrix, text, sizeof text) > 0);
		CHECK_SAYS(text,
			   n == 1 ? "1 token a8g32, 1 thread:" : "512 tokens a8g32, 3 threads:");
		for (int i = 0; i < QN_N_TOKEN_CLASSES; i++) {
			struct qn_case what = matrix->what;

			what.n_tokens = qn_matrix_class_tokens(i);
			qn_matrix_place(&what, engine->lanes);
			CHECK(what.n_threads == (what.n_tokens < 12 ? 1 : 3));
			CHECK(what.core == engine->lanes[what.n_tokens >= 12]->core);
			CHECK(!qn_choose(&qn_registry, engine->features, &what,
					 &matrix->kernel->layout, NULL, &chosen, NULL) &&
			      (chosen.kernel == matrix->by_tokens[i] || what.n_tokens == n));
		}
		quern_free(matrix);
	}
	quern_close(engine);
}

/* When there is a second pool, what is refused, and where the caller is afterwards. */
static void test_lanes_options(void)
{
	struct quern_options options = {.size = sizeof options};
	struct quern_engine *engine = NULL;
	struct quern_error err;
	cpu_set_t before, after;
	char cpu[16], cpus[32];
	int first = 0;

	if (sched_getaffinity(0, sizeof before, &before))
		return;
	while (!CPU_ISSET(first, &before))
		first++;
	snprintf(cpu, sizeof cpu, "%d", first);
	snprintf(cpus, sizeof cpus, "%d,8191", first);

	options.n_threads = 2;
	options.n_prompt_threads = 2;
	CHECK(!quern_open(&engine, &options, &err) && engine->lanes[0] == engine->lanes[1]);
	quern_close(engine);
	options.n_threads = 0;
	options.n_prompt_threads = 0;
	options.cpus = options.prompt_cpus = cpu;
	CHECK(!quern_open(&engine, &options, &err) && engine->lanes[0] == engine->lanes[1]);
	quern_close(engine);
	options.cpus = NULL;
	options.n_threads = 1;
	CHECK(!quern_open(&engine, &options, &err) && engine->lanes[0] != engine->lanes[1]);
	CHECK(quern_n_prompt_threads(engine) == 1);
	quern_close(engine);
	/* Generating is on the first of cpus, prompts want both. */
	options.cpus = cpus;
	options.prompt_cpus = NULL;
	CHECK(!quern_open(&engine, &options, &err) && engine->lanes[0] == engine->lanes[1]);
	quern_close(engine);
	options.n_prompt_threads = 2;
	CHECK(quern_open(&engine, &options, &err) && !engine);
	CHECK_SAYS(err.text, "cannot pin a thread to cpu 8191");
	options.n_prompt_threads = 3;
	CHECK(quern_open(&engine, &options, &err) && !engine);
	CHECK_SAYS(err.text, "8191' are 2, for 3 threads for prompts");
	options.n_prompt_threads = -1;
	CHECK(quern_open(&engine, &options, &err) && !engine);
	CHECK_SAYS(err.text, "-1 threads for prompts: must be 1 to 256");
	options.n_prompt_threads = QN_MAX_CPUS + 1;
	CHECK(quern_open(&engine, &options, &err) && !engine);
	CHECK_SAYS(err.text, "257 threads for prompts: must be 1 to 256");
	options.n_prompt_threads = 0;
	options.prompt_cpus = "3-";
	CHECK(quern_open(&engine, &options, &err) && !engine);
	CHECK_SAYS(err.text, "cpus '3-' for prompts: must be a list");
	options.loose = 1;
	options.prompt_cpus = "8190-8191";
	CHECK(quern_open(&engine, &options, &err) && !engine);
	CHECK_SAYS(err.text, "cpus '8190-8191' for prompts: none is online");
	options.prompt_cpus = cpu;
	options.n_prompt_threads = 3;
	CHECK(!quern_open(&engine, &options, &err) && quern_n_threads(engine) == 1 &&
	      quern_n_prompt_threads(engine) == 3);
	quern_close(engine);
	CHECK(!sched_getaffinity(0, sizeof after, &after) && CPU_EQUAL(&before, &after));

	/* A program of before these options: what lies behind its struct is not read. */
	options.size = offsetof(struct quern_options, n_prompt_threads);
	options.prompt_cpus = "nonsense";
	CHECK(!quern_open(&engine, &options, &err) && quern_n_prompt_threads(engine) == 1);
	quern_close(engine);
}

/* All ISAs quantise activations to the same bits. */
static void test_quantize(void)
{
	float x[256], scale[8], first_scale[8], row_scale[8];
	int8_t q[256], first_q[256], row_q[256];
	int32_t sum[8], first_sum[8], half[16], row_sum[8];
	uint64_t seed = 3;
	int n = 0;

	for (int i = 0; i < 256; i++)
		x[i] = check_float(&seed) * (i < 128 ? 1 : 1e-20f);
	for (int i = 64; i < 96; i++)
		x[i] = (float)(i - 80) / 2; /* ties */
	x[128] = NAN;
	for (int i = 0; i < qn_registry.n_isas; i++) {
		const struct qn_isa *isa = qn_registry.isas[i];

		if (isa->needs & ~qn_cpu_features())
			continue;
		isa->quantize(x, 256, -1, 127, q, scale, sum, half);
		for (int g = 0; g < 8; g++)
			CHECK(half[2 * g] + half[2 * g + 1] == sum[g]);
		CHECK(isnan(isa->amax(x, 256)) && isa->amax(x, 128) <= 8);
		isa->quantize(x, 128, isa->amax(x, 128), 127, row_q, row_scale, row_sum, half);
		for (int k = 0; k < 128; k++) { /* one scale for all of it */
			CHECK(row_scale[k / 32] == row_scale[0]);
			CHECK(fabsf((float)row_q[k] * row_scale[0] - x[k]) <=
			      0.5001f * row_scale[0]);
		}
		if (!n++) {
			memcpy(first_q, q, sizeof q);
			memcpy(first_scale, scale, sizeof scale);
			memcpy(first_sum, sum, sizeof sum);
		}
		CHECK(!memcmp(q, first_q, sizeof q));
		CHECK(!memcmp(sum, first_sum, sizeof sum));
		for (int g = 0; g < 8; g++)
			CHECK(g == 4 ? isnan(scale[g]) : scale[g] == first_scale[g]);
	}
	for (int g = 0; g < 8; g++) {
		int total = 0;

		for (int k = 32 * g; k < 32 * g + 32; k++) {
			total += first_q[k];
			if (g != 4)
				CHECK(fabsf((float)first_q[k] * first_scale[g] - x[k]) <=
				      0.5001f * first_scale[g]);
		}
		CHECK(total == first_sum[g]);
	}
	CHECK(n > 0);
}

/* ---- errors ---- */

static void test_errors(void)
{
	struct quern_options options = {.size = sizeof options};
	struct quern_weights w = {.size = sizeof w, .type = QUERN_F32, .m = 4, .k = 32};
	struct quern_engine *engine = NULL, *other = NULL;
	struct quern_matrix *m = NULL, *m2 = NULL;
	const struct quern_matrix *list[2];
	struct quern_matrix_info info;
	struct quern_error err;
	float data[4 * 64] = {0}, y[8], *out[2] = {y, y + 4};
	const long strides[2] = {4, 4};
	char text[256];

	CHECK(quern_open(&engine, &(struct quern_options){0}, &err) && !engine);
	options.n_threads = -1;
	CHECK(quern_open(&engine, &options, &err) && strstr(err.text, "threads"));
	options.n_threads = 2;
	options.cpus = "0-";
	CHECK(quern_open(&engine, &options, &err) && strstr(err.text, "0-"));
	options.cpus = "0";
	CHECK(quern_open(&engine, &options, &err) && strstr(err.text, "2 threads"));
	options.cpus = NULL;
	setenv("QUERN_ISA", "mmx", 1);
	CHECK(quern_open(&engine, &options, &err) && strstr(err.text, "mmx") &&
	      strstr(err.text, "scalar"));
	setenv("QUERN_ISA", "scalar", 1);
	if (!CHECK(!quern_open(&engine, &options, &err)))
		return;
	unsetenv("QUERN_ISA");
	CHECK(quern_n_threads(engine) == 2);

	CHECK(quern_pack(engine, &m, &w, &err) && strstr(err.text, "data"));
	w.data = data;
	CHECK(quern_pack(engine, &m, &w, &err) && strstr(err.text, "format"));
	w.format = "w9g1";
	CHECK(quern_pack(engine, &m, &w, &err) && strstr(err.text, "w9g1"));
	w.format = "w4g32";
	w.type = 99;
	CHECK(quern_pack(engine, &m, &w, &err) && strstr(err.text, "99"));
	w.type = QUERN_Q4_0;
	w.k = 33;
	CHECK(quern_pack(engine, &m, &w, &err) && strstr(err.text, "33"));
	w.k = 32;
	w.format = "w8g32";
	CHECK(quern_pack(engine, &m, &w, &err) && strstr(err.text, "w4g32"));
	w.type = QUERN_F32;
	w.m = 0;
	CHECK(quern_pack(engine, &m, &w, &err) && !m);
	w.m = 4;
	w.act = "a4";
	CHECK(quern_pack(engine, &m, &w, &err) && strstr(err.text, "a4"));
	w.act = NULL;
	w.kernel = "no_such_kernel";
	CHECK(quern_pack(engine, &m, &w, &err) && strstr(err.text, "no_such_kernel"));
	w.kernel = NULL;
	setenv("QUERN_KERNEL", "nor_this", 1);
	CHECK(quern_pack(engine, &m, &w, &err) && strstr(err.text, "nor_this"));
	unsetenv("QUERN_KERNEL");

	if (!CHECK(!quern_pack(engine, &m, &w, &err)))
		return;
	quern_matrix_info(m, &info);
	CHECK(info.m == 4 && info.k == 32 && !strcmp(info.format, "w8g32") &&
	      info.packed_bytes >= 4 * 34);
	CHECK(strstr(info.kernel, "scalar")); /* as QUERN_ISA said */
	CHECK(quern_explain(m, text, sizeof text) > 0 && strstr(text, info.kernel) &&
	      strstr(text, "4x32"));
	CHECK(quern_explain(m, text, 10) > 10 && strlen(text) == 9);
	w.k = 64;
	CHECK(!quern_pack(engine, &m2, &w, &err));
	list[0] = m;
	list[1] = m2;
	CHECK(quern_multiply(engine, list, 2, data, 1, 64, out, strides, &err) &&
	      strstr(err.text, "64"));
	CHECK(quern_multiply(engine, list, 0, data, 1, 64, out, strides, &err));
	CHECK(quern_multiply(engine, list, 1, data, 2, 8, out, strides, &err) &&
	      strstr(err.text, "stride"));
	options.cpus = NULL;
	CHECK(!quern_open(&other, &options, &err));
	CHECK(quern_multiply(other, list, 1, data, 1, 64, out, strides, &err));
	quern_close(other);
	quern_free(m);
	quern_free(m2);
	quern_close(engine);
}

int main(void)
{
	test_uneven_rows();
	test_uneven_bits();
	test_affinity();
	test_boundary();
	test_lane_of_product();
	test_lanes_bits();
	test_lanes_kernels();
	test_lanes_options();
	test_quantize();
	test_errors();
	return check_exit();
}
