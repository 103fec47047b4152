/*
 * test_reason.c: from numbers to sentences: every branch, on both sides of its limits, and nothing
 * that is not known.
 */
#include <math.h>

#include "tests/check.h"
#include "tuner/reason.h"

static char text[192];

/* Nothing is known but that it is slower, far below the roof. */
static struct reason_numbers unknown(double ratio)
{
	struct reason_numbers numbers = {
		.ratio = ratio,
		.roof_fraction = NAN,
		.roof = NAN,
		.roof_unit = "GB/s",
		.pass_weights = NAN,
		.core_ns = NAN,
		.bottleneck = "",
	};

	reason_clear(&numbers.per_weight);
	return numbers;
}

/* Of both: 0.07 instructions and 0.03 cycles a weight were counted. */
static struct reason_numbers counted(double ratio)
{
	struct reason_numbers numbers = unknown(ratio);

	numbers.per_weight.instructions = 0.07;
	numbers.per_weight.cycles = 0.03 * ratio;
	return numbers;
}

static struct reason_numbers coded(double ratio)
{
	struct reason_numbers numbers = unknown(ratio);

	numbers.per_weight.code_instructions = 0.07;
	numbers.per_weight.code_vector = 0.04;
	numbers.per_weight.code_memory = 0.02;
	numbers.per_weight.spills = 0;
	numbers.pass_weights = 1000;
	return numbers;
}

/* The sentence that is expected, and its tier. */
static void is_so(const struct reason_numbers *kernel, const struct reason_numbers *winner,
		  enum reason_tier tier, const char *says, int line)
{
	char what[600];

	memset(text, 'x', sizeof(text));
	if (reason_find(kernel, winner, text, sizeof(text)) != tier || strcmp(text, says)) {
		snprintf(what, sizeof(what), "tier %d and '%s', not '%.190s'", tier, says, text);
		check_that(0, __FILE__, line, what);
	}
}

#define IS_SO(kernel, winner, tier, says) is_so(kernel, winner, REASON_##tier, says, __LINE__)

static void test_roof(void)
{
	struct reason_numbers a = unknown(1.3), w = unknown(1);

	IS_SO(&a, &w, NONE, "");
	a.roof_fraction = 0.93;
	IS_SO(&a, &w, MEASURED, "at the roof: 93 %");
	a.roof = 40.94;
	IS_SO(&a, &w, MEASURED, "at the roof: 93 % of 40.9 GB/s");
	IS_SO(&a, NULL, MEASURED, "at the roof: 93 % of 40.9 GB/s");
	a.roof = 439.4;
	a.roof_unit = "int8 GMAC/s";
	IS_SO(&a, NULL, MEASURED, "at the roof: 93 % of 439 int8 GMAC/s");
	a.roof_fraction = 0.85;
	IS_SO(&a, NULL, MEASURED, "at the roof: 85 % of 439 int8 GMAC/s");
	a.roof_fraction = 0.849;
	IS_SO(&a, NULL, NONE, "");
	a.roof_fraction = INFINITY;
	IS_SO(&a, NULL, NONE, "");
	/* Nothing else is asked there. */
	a = counted(1.3);
	a.per_weight.instructions = 7;
	a.roof_fraction = 1.2;
	IS_SO(&a, &w, MEASURED, "at the roof: 120 %");
}

/* Those that are as good, or not slower at all. */
static void test_equals(void)
{
	struct reason_numbers a = counted(1.01), w = counted(1);

	a.per_weight.instructions = 0.2;
	a.is_equivalent = 1;
	IS_SO(&a, &w, NONE, "");
	a.is_equivalent = 0;
	a.ratio = 1;
	IS_SO(&a, &w, NONE, "");
	a.ratio = NAN;
	IS_SO(&a, &w, NONE, "");
}

static void test_work(void)
{
	struct reason_numbers a = counted(1.3), w = counted(1);

	a.per_weight.instructions = 0.092;
	IS_SO(&a, &w, MEASURED, "more work: 1.31x the instructions a weight (0.092 to 0.07)");
	/* Cycles are not needed for that. */
	a.per_weight.cycles = NAN;
	IS_SO(&a, &w, MEASURED, "more work: 1.31x the instructions a weight (0.092 to 0.07)");
	a.per_weight.instructions = 0.08; /* 1.14 */
	IS_SO(&a, &w, NONE, "");

	a = coded(1.3), w = coded(1);
	a.per_weight.code_instructions = 0.092;
	IS_SO(&a, &w, STATIC,
	      "more work: 1.31x the instructions a weight (0.092 to 0.07), most of them addresses "
	      "and loops");
	a.per_weight.code_memory = 0.035;
	IS_SO(&a, &w, STATIC,
	      "more work: 1.31x the instructions a weight (0.092 to 0.07), most of them loads and "
	      "stores");
	a.per_weight.spills = 6; /* 0.006 of 0.022 more: enough */
	IS_SO(&a, &w, STATIC,
	      "more work: 1.31x the instructions a weight (0.092 to 0.07), 6 spills in the loop");
	a.per_weight.spills = 4; /* 0.004: not enough */
	IS_SO(&a, &w, STATIC,
	      "more work: 1.31x the instructions a weight (0.092 to 0.07), most of them loads and "
	      "stores");
	a.per_weight.code_memory = 0.02;
	a.per_weight.code_vector = 0.06;
	IS_SO(&a, &w, STATIC,
	      "more work: 1.31x the instructions a weight (0.092 to 0.07), most of them vector "
	      "arithmetic");
	a.per_weight.code_vector = 0.048;
	a.per_weight.code_memory = 0.028;
	IS_SO(&a, &w, STATIC, "more work: 1.31x the instructions a weight (0.092 to 0.07)");
	/* The mix is no use where it is not known. */
	a.per_weight.code_vector = a.per_weight.code_memory = a.per_weight.spills = NAN;
	IS_SO(&a, &w, STATIC, "more work: 1.31x the instructions a weight (0.092 to 0.07)");

	/* Counted ones, with the spills of the assembly. */
	a = coded(1.3), w = coded(1);
	a.per_weight.instructions = 0.14, w.per_weight.instructions = 0.07;
	a.per_weight.code_instructions = 0.1;
	a.per_weight.spills = 30;
	IS_SO(&a, &w, MEASURED,
	      "more work: 2.00x the instructions a weight (0.14 to 0.07), 30 spills in the loop");
}

static void test_memory(void)
{
	struct reason_numbers a = counted(1.5), w = counted(1); /* 0.045 to 0.03 cycles */

	a.per_weight.memory_stalls = 0.02;
	IS_SO(&a, &w, MEASURED,
	      "dependencies or busy pipes: 1.50x the cycles (1.56 to 2.33 instructions a cycle)");
	w.per_weight.memory_stalls = 0.01;
	IS_SO(&a, &w, MEASURED, "memory: waits for it in 0.01 more cycles a weight of 0.015 more");
	a.per_weight.dtlb_walks = 0.001, w.per_weight.dtlb_walks = 0.0001;
	IS_SO(&a, &w, MEASURED,
	      "memory: waits for it in 0.01 more cycles a weight of 0.015 more, page walks among "
	      "them");
	a.per_weight.memory_stalls = 0.014; /* 0.004 of 0.015 */
	IS_SO(&a, &w, MEASURED, "pages: 0.001 to 0.0001 page walks a weight");
	a.per_weight.dtlb_walks = 0.0002;
	IS_SO(&a, &w, MEASURED,
	      "dependencies or busy pipes: 1.50x the cycles (1.56 to 2.33 instructions a cycle)");

	/* Without that event refills tell. */
	a = counted(1.5), w = counted(1);
	a.per_weight.l2_misses = 0.002, w.per_weight.l2_misses = 0.001;
	IS_SO(&a, &w, MEASURED, "memory: 0.002 to 0.001 misses of the L2 a weight");
	a.per_weight.l2_misses = 0.00114;
	IS_SO(&a, &w, MEASURED,
	      "dependencies or busy pipes: 1.50x the cycles (1.56 to 2.33 instructions a cycle)");
	a.per_weight.l1d_misses = 0.01, w.per_weight.l1d_misses = 0;
	IS_SO(&a, &w, MEASURED, "memory: 0.01 to 0 misses of the L1 a weight");
	a.per_weight.llc_misses = 0.001, w.per_weight.llc_misses = 0.0001;
	IS_SO(&a, &w, MEASURED, "memory: 0.001 to 0.0001 misses of the last-level cache a weight");
	w.per_weight.llc_misses = NAN;
	IS_SO(&a, &w, MEASURED, "memory: 0.01 to 0 misses of the L1 a weight");
	/* ... unless the back end is known to have nothing to wait for. */
	a.per_weight.stalls = w.per_weight.stalls = 0.001;
	IS_SO(&a, &w, MEASURED,
	      "dependencies or busy pipes: 1.50x the cycles (1.56 to 2.33 instructions a cycle)");
	a.per_weight.stalls = 0.01;
	IS_SO(&a, &w, MEASURED, "memory: 0.01 to 0 misses of the L1 a weight");
}

static void test_cycles(void)
{
	struct reason_numbers a = counted(1.5), w = counted(1);

	a.per_weight.frontend_stalls = 0.012;
	w.per_weight.frontend_stalls = 0.002;
	IS_SO(&a, &w, MEASURED,
	      "front end: starts nothing in 0.01 more cycles a weight of 0.015 more");
	a.per_weight.code_bytes = 41200;
	IS_SO(&a, &w, MEASURED,
	      "front end: starts nothing in 0.01 more cycles a weight of 0.015 more");
	w.per_weight.code_bytes = 3140;
	IS_SO(&a, &w, MEASURED,
	      "front end: starts nothing in 0.01 more cycles a weight of 0.015 more, code of 41.2 "
	      "kB to 3.1");
	a.per_weight.frontend_stalls = 0.006;
	a.bottleneck = "2 vector pipes busy 98 % of the time";
	IS_SO(&a, &w, MEASURED,
	      "dependencies or busy pipes: 1.50x the cycles (1.56 to 2.33 instructions a cycle); "
	      "llvm-mca: 2 vector pipes busy 98 % of the time");
	a.per_weight.instructions = NAN;
	a.bottleneck = "";
	IS_SO(&a, &w, MEASURED, "dependencies or busy pipes: 1.50x the cycles");

	/* As many cycles. */
	a = counted(1.2), w = counted(1);
	a.per_weight.cycles = 0.0305;
	IS_SO(&a, &w, MEASURED,
	      "as many cycles in 1.20x the time: the clock differed, distrust the sample");
	a.ratio = 1.04;
	IS_SO(&a, &w, MEASURED, "no difference in what was counted explains it");
	a.per_weight.cycles = 0.0311;
	IS_SO(&a, &w, MEASURED,
	      "dependencies or busy pipes: 1.04x the cycles (2.25 to 2.33 instructions a cycle)");
	/* Zeros that were counted are no reason to divide. */
	w.per_weight.cycles = 0;
	IS_SO(&a, &w, NONE, "");
}

static void test_code(void)
{
	struct reason_numbers a = coded(1.5), w = coded(1);

	IS_SO(&a, &w, STATIC, "no difference in the code's cost explains it (static only)");
	w.per_weight.code_instructions = NAN;
	IS_SO(&a, &w, NONE, "");
	w = coded(1);
	a.per_weight.spills = 6;
	IS_SO(&a, &w, STATIC, "6 spills in the loop, 0 in the winner's");
	/* More in a pass of many more weights are fewer. */
	a.pass_weights = 8000;
	w.per_weight.spills = 1;
	IS_SO(&a, &w, STATIC, "no difference in the code's cost explains it (static only)");
	a.per_weight.code_cycles = 0.031;
	IS_SO(&a, &w, STATIC, "no difference in the code's cost explains it (static only)");
	w.per_weight.code_cycles = 0.025;
	IS_SO(&a, &w, STATIC,
	      "slower loop: 1.24x the cycles (0.031 to 0.025 a weight) by llvm-mca");
	a.bottleneck = "dispatch of 6 operations a cycle";
	a.pass_weights = 1000;
	IS_SO(&a, &w, STATIC,
	      "slower loop: 1.24x the cycles (0.031 to 0.025 a weight) by llvm-mca, 6 spills in "
	      "it: dispatch of 6 operations a cycle");
	w.per_weight.code_cycles = 0.03;
	IS_SO(&a, &w, STATIC, "6 spills in the loop, 1 in the winner's");
	/* Counts of only one of the two decide nothing; the assembly of both does. */
	a.per_weight.instructions = 0.2;
	a.per_weight.cycles = 0.1;
	IS_SO(&a, &w, STATIC, "6 spills in the loop, 1 in the winner's");
}

static void test_winner(void)
{
	struct reason_numbers w = counted(1);

	w.roof_fraction = 0.62;
	IS_SO(&w, NULL, MEASURED, "busy: 2.33 instructions a cycle, 0.07 a weight");
	w.bottleneck = "2 vector pipes busy 98 % of the time";
	IS_SO(&w, NULL, MEASURED,
	      "busy: 2.33 instructions a cycle, 0.07 a weight; llvm-mca: 2 vector pipes busy 98 % "
	      "of the time");
	w.bottleneck = "";
	w.per_weight.stalls = 0.012;
	IS_SO(&w, NULL, MEASURED,
	      "waits in the back end in 40 % of its cycles, for memory, results or pipes");
	w.per_weight.memory_stalls = 0.001;
	IS_SO(&w, NULL, MEASURED,
	      "waits in the back end in 40 % of its cycles, for results or pipes more than for "
	      "memory");
	w.per_weight.frontend_stalls = 0.015;
	IS_SO(&w, NULL, MEASURED, "front end: starts nothing in 50 % of its cycles");
	w.per_weight.code_bytes = 41200;
	IS_SO(&w, NULL, MEASURED,
	      "front end: starts nothing in 50 % of its cycles, code of 41.2 kB");
	w.per_weight.memory_stalls = 0.009;
	IS_SO(&w, NULL, MEASURED, "memory: waits for it in 30 % of its cycles");

	w = coded(1);
	IS_SO(&w, NULL, STATIC, "0.07 instructions a weight in its loop");
	w.per_weight.code_cycles = 0.021;
	w.bottleneck = "2 vector pipes busy 98 % of the time";
	IS_SO(&w, NULL, STATIC,
	      "its loop, 0.021 cycles a weight by llvm-mca: 2 vector pipes busy 98 % of the time");
	w.core_ns = 0.01;
	w.per_weight.spills = 3;
	IS_SO(&w, NULL, STATIC,
	      "its loop, 0.021 cycles a weight by llvm-mca: 2 vector pipes busy 98 % of the time, "
	      "3 spills in the loop");
	w.core_ns = 0.05;
	IS_SO(&w, NULL, STATIC,
	      "its loop does not take the time: by llvm-mca that would need a clock of 0.42 GHz");
	w = unknown(1);
	IS_SO(&w, NULL, NONE, "");
	w.per_weight.cycles = 0.03; /* alone it says nothing */
	IS_SO(&w, NULL, NONE, "");
}

static void test_names(void)
{
	static const char *const events[] = {"instructions",    "cycles",        "stalls",
					     "frontend_stalls", "memory_stalls", "l1d_misses",
					     "l2_misses",       "llc_misses",    "dtlb_walks"};
	struct record_numbers numbers;

	reason_clear(&numbers);
	CHECK(!reason_is_known(&numbers));
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		double *to = reason_event(&numbers, events[i]);

		if (CHECK(to && isnan(*to)))
			*to = 0; /* a count of nothing is known */
		CHECK(reason_is_known(&numbers));
	}
	CHECK(!isnan(numbers.dtlb_walks) && isnan(numbers.code_instructions));
	CHECK(!reason_event(&numbers, "page_faults") && !reason_event(&numbers, ""));
	CHECK(!strcmp(reason_tier_name(REASON_MEASURED), "measured"));
	CHECK(!strcmp(reason_tier_name(REASON_STATIC), "static"));
	CHECK(!*reason_tier_name(REASON_NONE));
}

/* Any numbers, odd ones among them: a sentence that fits and holds no number that there is not. */
static void test_any(void)
{
	static const double odd[] = {NAN, 0, 1, 1e-9, 0.07, 1e300, INFINITY, -1};
	uint64_t state = 3;

	for (int i = 0; i < 200000; i++) {
		struct reason_numbers both[2];
		const size_t n_bytes = 1 + check_random(&state) % sizeof(text);
		enum reason_tier tier;

		for (int j = 0; j < 2; j++) {
			both[j] = unknown(odd[check_random(&state) % 8]);
			for (size_t k = 0; k < sizeof(struct record_numbers) / sizeof(double); k++)
				((double *)&both[j].per_weight)[k] = odd[check_random(&state) % 8];
			both[j].roof_fraction = odd[check_random(&state) % 8];
			both[j].roof = odd[check_random(&state) % 8];
			both[j].pass_weights = odd[check_random(&state) % 8];
			both[j].core_ns = odd[check_random(&state) % 8];
		}
		memset(text, 'x', sizeof(text));
		tier = reason_find(&both[0], i % 3 ? &both[1] : NULL, text, n_bytes);
		if (!CHECK(strnlen(text, sizeof(text)) < n_bytes))
			return;
		CHECK((tier == REASON_NONE) == !*text || n_bytes == 1);
		CHECK(!strstr(text, "nan") && !strstr(text, "inf") && !strstr(text, " -"));
	}
}

int main(void)
{
	test_roof();
	test_equals();
	test_work();
	test_memory();
	test_cycles();
	test_code();
	test_winner();
	test_names();
	test_any();
	return check_exit();
}
