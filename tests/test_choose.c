/*
 * test_choose.c: which kernel of made-up registries a matrix gets, and what is said of it.
 */
#include <string.h>

#include "check.h"
#include "choose.h"
#include "matrix.h"

static void run_nothing(const struct qn_job *job, long first, long end)
{
	(void)job;
	(void)first;
	(void)end;
}

static const struct qn_isa plain = {.name = "plain", .rank = 0};
static const struct qn_isa wide = {.name = "wide", .rank = 2, .needs = QN_AVX512};
static const struct qn_kernel plain4 = {.name = "plain4",
					.layout = {.panel_rows = 1},
					.act_top = 127,
					.isa = &plain,
					.format = QN_W4G32,
					.run = run_nothing},
			      wide4a = {.name = "wide4a",
					.layout = {.panel_rows = 1},
					.act_top = 127,
					.isa = &wide,
					.needs = QN_AVX512,
					.format = QN_W4G32},
			      wide4b = {.name = "wide4b",
					.layout = {.panel_rows = 1},
					.act_top = 127,
					.isa = &wide,
					.needs = QN_AVX512,
					.format = QN_W4G32},
			      plain8 = {.name = "plain8",
					.layout = {.panel_rows = 1},
					.act_top = 127,
					.isa = &plain,
					.format = QN_W8G32},
			      row4 = {.name = "row4",
				      .layout = {.panel_rows = 1},
				      .isa = &plain,
				      .format = QN_W4G32,
				      .act = QN_A8R,
				      .act_top = 127},
			      rough4 = {.name = "rough4",
					.layout = {.panel_rows = 1},
					.isa = &wide,
					.needs = QN_AVX512,
					.format = QN_W4G32,
					.act_top = 127,
					.adds = 1};

/* A kernel takes scales for 32, for 256 or one a token where those are at least as coarse as its own. */
static void test_acts(struct qn_registry registry)
{
	static const struct qn_kernel fine = {.name = "fine",
					      .layout = {.panel_rows = 1},
					      .isa = &plain,
					      .format = QN_W4G32ZK,
					      .act_top = 127},
				      block = {.name = "block",
					       .layout = {.panel_rows = 1},
					       .isa = &plain,
					       .format = QN_W4G32ZK,
					       .act = QN_A8G256,
					       .act_top = 127};
	static const struct qn_kernel *const kernels[] = {&fine, &block}, *const only[] = {&block};
	static const struct qn_choice choices[] = {
		{QN_W4G32ZK, 0, 0, 1, 0, 0, QN_A8G32, 0, 0},
		{QN_W4G32ZK, 0, 0, 1, 0, 1, QN_A8G256, 0, 0},
	};
	struct qn_case what = {QN_W4G32ZK, 64, 256, 1, 1, QN_A8G256, 0, 0};
	struct qn_chosen chosen;
	struct quern_error err;

	registry.kernels = kernels;
	registry.choices = choices;
	registry.n_kernels = registry.n_choices = 2;
	CHECK(!qn_choose(&registry, 0, &what, NULL, NULL, &chosen, &err) &&
	      chosen.kernel == &block);
	what.act = QN_A8R;
	CHECK(!qn_choose(&registry, 0, &what, NULL, NULL, &chosen, &err) &&
	      chosen.kernel == &block);
	what.act = QN_A8G32;
	CHECK(!qn_choose(&registry, 0, &what, NULL, NULL, &chosen, &err) && chosen.kernel == &fine);
	CHECK(!qn_choose(&registry, 0, &what, NULL, "block", &chosen, &err) &&
	      chosen.kernel == &fine);
	what.act = QN_A8G256;
	registry.n_choices = 1;
	CHECK(!qn_choose(&registry, 0, &what, NULL, NULL, &chosen, &err) && chosen.kernel == &fine);
	registry.kernels = only;
	registry.n_kernels = 1;
	registry.n_choices = 0;
	CHECK(!qn_choose(&registry, 0, &what, NULL, NULL, &chosen, &err) &&
	      chosen.kernel == &block && chosen.rung == QN_RUNG_ANY);
	what.act = QN_A8G32;
	CHECK(qn_choose(&registry, 0, &what, NULL, NULL, &chosen, &err) &&
	      strstr(err.text, "w4g32zk and a8g32"));
}

/* Lossy kernels only within what the caller allows, and only where they were measured. */
static void test_lossy(struct qn_registry registry)
{
	static const struct qn_kernel *const kernels[] = {&plain4, &wide4a, &rough4};
	static const struct qn_choice choices[] = {
		{QN_W4G32, 0, 0, 1, 0, 1, QN_A8G32, 0, 0},
		{QN_W4G32, 4096, 4096, 1, 1, 1, QN_A8G32, 0, 0},
		{QN_W4G32, 4096, 4096, 1, 1, 2, QN_A8G32, 1e-4f, 0},
	};
	struct qn_case what = {QN_W4G32, 4096, 4096, 1, 1, QN_A8G32, 0, 0};
	struct qn_chosen chosen;
	struct quern_error err;

	registry.kernels = kernels;
	registry.choices = choices;
	registry.n_kernels = registry.n_choices = 3;
	CHECK(!qn_choose(&registry, QN_AVX512, &what, NULL, NULL, &chosen, &err) &&
	      chosen.kernel == &wide4a);
	what.max_nmse = 9e-5;
	CHECK(!qn_choose(&registry, QN_AVX512, &what, NULL, NULL, &chosen, &err) &&
	      chosen.kernel == &wide4a);
	what.max_nmse = 2e-4;
	CHECK(!qn_choose(&registry, QN_AVX512, &what, NULL, NULL, &chosen, &err) &&
	      chosen.kernel == &rough4 && chosen.rung == QN_RUNG_EXACT);
	what.m = 4000;
	CHECK(!qn_choose(&registry, QN_AVX512, &what, NULL, NULL, &chosen, &err) &&
	      chosen.kernel == &rough4 && chosen.rung == QN_RUNG_NEAR);
	registry.n_choices = 0;
	CHECK(!qn_choose(&registry, QN_AVX512, &what, NULL, NULL, &chosen, &err) &&
	      chosen.kernel == &wide4a);
	CHECK(!qn_choose(&registry, QN_AVX512, &what, NULL, "rough4", &chosen, &err) &&
	      chosen.kernel == &rough4);
}

static void test_ladder(void)
{
	static const struct qn_isa *const isas[] = {&plain, &wide};
	static const struct qn_kernel *const kernels[] = {&plain4, &wide4a, &wide4b, &plain8,
							  &row4};
	static const struct qn_choice choices[] = {
		{QN_W4G32, 0, 0, 1, 0, 0, QN_A8G32, 0, 0},
		{QN_W4G32, 0, 0, 1, 0, 1, QN_A8G32, 0, 0},
		{QN_W4G32, 4096, 4096, 1, 1, 2, QN_A8G32, 0, 0},
		{QN_W4G32, 4096, 4096, 1, 2, 1, QN_A8G32, 0, 0},
		{QN_W4G32, 11008, 4096, 1, 1, 0, QN_A8G32, 0, 0},
		{QN_W4G32, 0, 0, 1, 0, 4, QN_A8R, 0, 0},
	};
	struct qn_registry registry = {isas, NULL, kernels, choices, 2, 5, 6, "test"};
	const uint32_t all = QN_AVX512;
	struct qn_case what = {QN_W4G32, 4096, 4096, 1, 1, QN_A8G32, 0, 0};
	struct qn_chosen chosen;
	struct quern_error err;

	CHECK(qn_choose_isa(&registry, all) == &wide && qn_choose_isa(&registry, 0) == &plain);
	CHECK(!qn_choose(&registry, all, &what, NULL, NULL, &chosen, &err));
	CHECK(chosen.kernel == &wide4b && chosen.rung == QN_RUNG_EXACT);
	what.n_threads = 2;
	CHECK(!qn_choose(&registry, all, &what, NULL, NULL, &chosen, &err) &&
	      chosen.kernel == &wide4a);
	/* A narrower ISA that won this very case is taken, for its neighbours it is not. */
	what = (struct qn_case){QN_W4G32, 11008, 4096, 1, 1, QN_A8G32, 0, 0};
	CHECK(!qn_choose(&registry, all, &what, NULL, NULL, &chosen, &err) &&
	      chosen.kernel == &plain4);
	what.m = 11000;
	CHECK(!qn_choose(&registry, all, &what, NULL, NULL, &chosen, &err));
	CHECK(chosen.kernel == &wide4b && chosen.rung == QN_RUNG_NEAR && chosen.source.m == 4096);
	/* Without the feature. */
	CHECK(!qn_choose(&registry, 0, &what, NULL, NULL, &chosen, &err) &&
	      chosen.kernel == &plain4);
	registry.n_choices = 2;
	CHECK(!qn_choose(&registry, all, &what, NULL, NULL, &chosen, &err));
	CHECK(chosen.kernel == &wide4a && chosen.rung == QN_RUNG_DEFAULT);
	CHECK(!qn_choose(&registry, 0, &what, NULL, NULL, &chosen, &err));
	CHECK(chosen.kernel == &plain4 && chosen.rung == QN_RUNG_DEFAULT);
	what.format = QN_W8G32;
	CHECK(!qn_choose(&registry, all, &what, NULL, NULL, &chosen, &err));
	CHECK(chosen.kernel == &plain8 && chosen.rung == QN_RUNG_ANY);
	what.format = QN_W2G64;
	CHECK(qn_choose(&registry, all, &what, NULL, NULL, &chosen, &err) &&
	      strstr(err.text, "w2g64"));

	/* One scale a token: a kernel of its own, or one that takes any scales. */
	registry.n_choices = 6;
	what = (struct qn_case){QN_W4G32, 4096, 4096, 1, 1, QN_A8R, 0, 0};
	CHECK(!qn_choose(&registry, all, &what, NULL, NULL, &chosen, &err) &&
	      chosen.kernel == &row4);
	registry.n_choices = 5;
	CHECK(!qn_choose(&registry, all, &what, NULL, NULL, &chosen, &err) &&
	      chosen.kernel == &wide4b);
	what.act = QN_A8G32;
	CHECK(!qn_choose(&registry, all, &what, NULL, "row4", &chosen, &err) &&
	      chosen.kernel == &wide4b);
	registry.n_choices = 2;
	test_lossy(registry);
	test_acts(registry);

	what.format = QN_W4G32;
	CHECK(!qn_choose(&registry, all, &what, NULL, "plain8,wide4b", &chosen, &err));
	CHECK(chosen.kernel == &wide4b && chosen.rung == QN_RUNG_FORCED);
	CHECK(!qn_choose(&registry, all, &what, NULL, "plain8", &chosen, &err));
	CHECK(chosen.rung == QN_RUNG_DEFAULT);
	CHECK(qn_choose(&registry, all, &what, NULL, "wide4", &chosen, &err) &&
	      strstr(err.text, "wide4"));
	CHECK(qn_choose(&registry, 0, &what, NULL, "wide4b", &chosen, &err) &&
	      strstr(err.text, "avx512"));
}

/* The widest ISA's default for many tokens is for many; a narrower one's is better for few. */
static void test_default_tokens(void)
{
	static const struct qn_isa *const isas[] = {&plain, &wide};
	static const struct qn_kernel *const kernels[] = {&plain4, &wide4a, &wide4b};
	static const struct qn_choice narrow_one[] = {
		{QN_W4G32, 0, 0, 1, 0, 0, QN_A8G32, 0, 0},
		{QN_W4G32, 0, 0, 8, 0, 1, QN_A8G32, 0, 0},
	};
	static const struct qn_choice wide_all[] = {
		{QN_W4G32, 0, 0, 1, 0, 0, QN_A8G32, 0, 0},
		{QN_W4G32, 0, 0, 4, 0, 1, QN_A8G32, 0, 0},
		{QN_W4G32, 0, 0, 64, 0, 2, QN_A8G32, 0, 0},
	};
	static const struct {
		long n_tokens;
		const struct qn_kernel *of_narrow, *of_wide;
	} cases[] = {
		{1, &plain4, &plain4},  {2, &plain4, &wide4a},  {3, &wide4a, &wide4a},
		{16, &wide4a, &wide4a}, {17, &wide4a, &wide4b}, {512, &wide4a, &wide4b},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct qn_registry registry = {isas, NULL, kernels, narrow_one, 2, 3, 2, "test"};
		const struct qn_case what = {QN_W4G32, 4096,     4096, cases[i].n_tokens,
					     1,        QN_A8G32, 0,    0};
		struct qn_chosen chosen;
		struct quern_error err;

		CHECK(!qn_choose(&registry, QN_AVX512, &what, NULL, NULL, &chosen, &err) &&
		      chosen.kernel == cases[i].of_narrow);
		registry.choices = wide_all;
		registry.n_choices = 3;
		CHECK(!qn_choose(&registry, QN_AVX512, &what, NULL, NULL, &chosen, &err) &&
		      chosen.kernel == cases[i].of_wide);
	}
}

/* Winners of three kinds of cores in one registry. */
enum { BIG = 0x41d4e, LITTLE = 0x41d46, FOREIGN = 0x41d0b };

static void test_cores(void)
{
	static const struct qn_isa *const isas[] = {&plain, &wide};
	static const struct qn_kernel *const kernels[] = {&plain4, &wide4a, &wide4b};
	static const struct qn_choice choices[] = {
		{QN_W4G32, 0, 0, 1, 0, 0, QN_A8G32, 0, 0},
		{QN_W4G32, 4096, 4096, 1, 1, 1, QN_A8G32, 0, LITTLE},
		{QN_W4G32, 4096, 4096, 1, 1, 2, QN_A8G32, 0, BIG},
		{QN_W4G32, 11008, 4096, 1, 1, 2, QN_A8G32, 0, 0},
		{QN_W4G32, 11008, 4096, 1, 1, 1, QN_A8G32, 0, LITTLE},
		{QN_W4G32, 64, 64, 1, 1, 1, QN_A8G32, 0, FOREIGN},
	};
	static const struct {
		long m, k;
		uint32_t core;
		const struct qn_kernel *kernel;
		enum qn_rung rung;
		uint32_t source;
	} cases[] = {
		/* Its own winner, whatever others won. */
		{4096, 4096, LITTLE, &wide4a, QN_RUNG_EXACT, LITTLE},
		{4096, 4096, BIG, &wide4b, QN_RUNG_EXACT, BIG},
		/* Near and its own goes before exact and another's, or anybody's. */
		{11008, 4096, BIG, &wide4b, QN_RUNG_NEAR, BIG},
		{64, 64, BIG, &wide4b, QN_RUNG_NEAR, BIG},
		{11000, 4096, LITTLE, &wide4a, QN_RUNG_NEAR, LITTLE},
		/* Nothing of its own: exact, and anybody's before another's. */
		{11008, 4096, FOREIGN + 1, &wide4b, QN_RUNG_EXACT, 0},
		{4096, 4096, FOREIGN + 1, &wide4a, QN_RUNG_CORE, LITTLE},
		{4000, 4096, FOREIGN + 1, &wide4a, QN_RUNG_CORE, LITTLE},
		/* Nobody knows where we are. */
		{4096, 4096, 0, &wide4a, QN_RUNG_EXACT, LITTLE},
		{11008, 4000, 0, &wide4b, QN_RUNG_NEAR, 0},
	};
	const struct qn_registry registry = {isas, NULL, kernels, choices, 2, 3, 6, "test"};
	struct qn_chosen chosen;
	struct quern_error err;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct qn_case what = {.format = QN_W4G32,
					     .m = cases[i].m,
					     .k = cases[i].k,
					     .n_tokens = 1,
					     .n_threads = 1,
					     .core = cases[i].core};

		CHECK(!qn_choose(&registry, QN_AVX512, &what, NULL, NULL, &chosen, &err));
		if (!CHECK(chosen.kernel == cases[i].kernel && chosen.rung == cases[i].rung &&
			   chosen.source.core == cases[i].source))
			printf("case %zu: %s, rung %d, core 0x%x\n", i, chosen.kernel->name,
			       (int)chosen.rung, (unsigned)chosen.source.core);
	}
	/* Cores of one registry differ in what they can run, too. */
	CHECK(!qn_choose(&registry, 0,
			 &(struct qn_case){.format = QN_W4G32,
					   .m = 4096,
					   .k = 4096,
					   .n_tokens = 1,
					   .n_threads = 1,
					   .core = BIG},
			 NULL, NULL, &chosen, &err) &&
	      chosen.kernel == &plain4 && chosen.rung == QN_RUNG_DEFAULT);
}

/* What this program's library has: winners by tokens, threads and kind of core, filled in by test_lanes. */
static struct qn_choice winners[QN_N_TOKEN_CLASSES * 4];
static const struct qn_isa *const library_isas[] = {&plain};
static const struct qn_kernel *const library_kernels[] = {&plain4, &wide4a, &wide4b, &row4};

const struct qn_registry qn_registry =
	{library_isas, NULL, library_kernels, winners, 1, 4, QN_N_TOKEN_CLASSES * 4, "test"};

/* Each class of tokens has the winner for the threads and the kind of core of the lane that runs so many. */
static void test_lanes(void)
{
	static const struct qn_kernel *const expected[] = {&wide4a, &wide4b};
	struct qn_lane few = {.n_threads = 1, .core = LITTLE}, many = {.n_threads = 3, .core = BIG};
	struct qn_lane *lanes[QN_SHARES_N_WORKS] = {&few, &many};
	struct quern_matrix matrix;
	struct quern_error err;

	for (int i = 0; i < QN_N_TOKEN_CLASSES * 4; i++) {
		const int n_threads = i % 2 ? 3 : 1, is_big = i / 2 % 2;

		winners[i] =
			(struct qn_choice){.format = QN_W4G32,
					   .m = 64,
					   .k = 64,
					   .n_tokens = (int32_t)qn_matrix_class_tokens(i / 4),
					   .n_threads = n_threads,
					   .kernel = (n_threads == 1) == !is_big ? 1 + is_big : 0,
					   .core = is_big ? BIG : LITTLE};
	}
	for (int hint = 0; hint < QN_N_TOKEN_CLASSES; hint++) {
		matrix = (struct quern_matrix){.what = {.format = QN_W4G32, .m = 64, .k = 64}};
		matrix.what.n_tokens = qn_matrix_class_tokens(hint);
		qn_matrix_place(&matrix.what, lanes);
		if (!CHECK(!qn_matrix_choose(&matrix, lanes, QN_AVX512, NULL, &err)))
			return;
		for (int i = 0; i < QN_N_TOKEN_CLASSES; i++)
			CHECK(matrix.by_tokens[i] == expected[qn_matrix_class_tokens(i) >= 12]);
	}
	lanes[1] = &few; /* the same threads do both */
	CHECK(!qn_matrix_choose(&matrix, lanes, QN_AVX512, NULL, &err));
	CHECK(matrix.by_tokens[6] == &wide4a);
}

/* What explain makes of the rungs. */
static void test_explain(void)
{
	static const struct {
		enum qn_rung rung;
		long m;
		uint32_t source;
		const char *says;
	} cases[] = {
		{QN_RUNG_EXACT, 4096, 0, "(measured fastest for this case; from"},
		{QN_RUNG_EXACT, 4096, BIG, "(measured fastest for this case, on cortex-x3; from"},
		{QN_RUNG_NEAR, 4000, BIG,
		 "(measured fastest for the nearest case, 4000x64, 1 token, 2 threads, on "
		 "cortex-x3; from"},
		{QN_RUNG_CORE, 4096, LITTLE,
		 "(measured fastest for this case, but on cortex-a510; this is cortex-x3; from"},
		{QN_RUNG_CORE, 4000, 0x41fff, "2 threads, but on 0x41fff; this is cortex-x3; from"},
		{QN_RUNG_DEFAULT, 0, 0, "(the default of plain, nothing was measured; from"},
	};
	char text[400];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct quern_matrix matrix = {
			.kernel = &plain4,
			.what = {.m = 4096, .k = 64, .n_tokens = 1, .n_threads = 2, .core = BIG},
			.chosen = {.kernel = &plain4, .rung = cases[i].rung},
		};

		matrix.chosen.source = matrix.what;
		matrix.chosen.source.m = cases[i].m;
		matrix.chosen.source.core = cases[i].source;
		CHECK(quern_explain(&matrix, text, sizeof text) == (int)strlen(text));
		CHECK_SAYS(text, cases[i].says);
	}
}

int main(void)
{
	test_ladder();
	test_default_tokens();
	test_cores();
	test_lanes();
	test_explain();
	return check_exit();
}
