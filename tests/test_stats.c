/* test_stats.c: medians, intervals, sign test, Holm, and how often races and verdicts are wrong. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "tuner/race.h"
#include "tuner/stats.h"

#define CALLS ((struct race_calls){.context = &track, .sample = sample, .told = told})
#define MARGINS {0.30, 0.15, 0.10, 0.07, 0.05}, 5

static void test_median(void)
{
	double odd[] = {5, 1, 3}, even[] = {4, 1, 3, 2}, one[] = {7};

	CHECK(stats_median(odd, 3) == 3);
	CHECK(stats_median(even, 4) == 2.5);
	CHECK(stats_median(one, 1) == 7);
}

static void test_interval(void)
{
	double values[25], low, high;

	/* The ranks that tables of the sign test give for 95 %. */
	CHECK(stats_interval_rank(9, 0.05) == 2);
	CHECK(stats_interval_rank(15, 0.05) == 4);
	CHECK(stats_interval_rank(25, 0.05) == 8);
	CHECK(stats_interval_rank(5, 0.05) == 0);
	CHECK(stats_interval_rank(1, 0.05) == 0);
	CHECK(stats_interval_rank(9, 0.00625) == 1);
	for (int i = 0; i < 25; i++)
		values[i] = 25 - i;
	stats_interval(values, 25, 0.05, &low, &high);
	CHECK(low == 8 && high == 18);
	stats_interval(values, 1, 0.05, &low, &high);
	CHECK(low == high);
}

static void test_sign(void)
{
	CHECK(fabs(stats_sign_p(9, 9) - 1.0 / 512) < 1e-12);
	CHECK(fabs(stats_sign_p(8, 9) - 10.0 / 512) < 1e-12);
	CHECK(fabs(stats_sign_p(0, 9) - 1) < 1e-12);
	CHECK(stats_sign_p(64, 64) > 0);
}

static void test_holm(void)
{
	double p[] = {0.04, 0.001, 0.02, 0.6}, all[] = {0.01, 0.02};
	unsigned char rejected[4];

	/* 0.001 <= 0.05/4; 0.02 > 0.05/3 stops it, although 0.02 <= 0.05/2. */
	stats_holm(p, 4, 0.05, rejected);
	CHECK(!rejected[0] && rejected[1] && !rejected[2] && !rejected[3]);
	stats_holm(all, 2, 0.05, rejected);
	CHECK(rejected[0] && rejected[1]);
}

static void test_paired(void)
{
	/* Side by side a is always 1 longer, although its own spread is far larger. */
	double a[] = {11, 101, 6}, b[] = {10, 100, 5};

	CHECK(stats_paired_median(a, b, 3) == 1);
}

/* ---- races ---- */

struct track {
	const double *ns; /* true times */
	uint64_t random;
	double noise; /* standard deviation of the logarithm, about */
	int round;
	double phase; /* what this round's machine does to everyone */
	int fails;    /* id that fails in round 1, or -1 */
	long n_samples;
	int n_told;    /* rounds */
	size_t n_gone; /* in these */
};

static double normal(uint64_t *state)
{
	double sum = 0;

	for (int i = 0; i < 12; i++)
		sum += (double)(check_random(state) >> 11) * 0x1p-53;
	return sum - 6;
}

static int sample(void *context, int id, int round, double *ns)
{
	struct track *track = context;

	track->n_samples++;
	if (id == track->fails && round == 1)
		return 1;
	if (round != track->round) {
		track->round = round;
		track->phase = check_random(&track->random) % 4 ? 0 : 0.35; /* throttled */
	}
	*ns = track->ns[id] * exp(track->phase + track->noise * normal(&track->random));
	if (check_random(&track->random) % 12 == 0)
		*ns *= 1.3; /* a spike */
	return 0;
}

/* Every round, the leader first and who left in it last. */
static void told(void *context, int round, const struct race_runner *runners, size_t n_left,
		 size_t n)
{
	struct track *track = context;

	CHECK(round == track->n_told++ && n_left && n_left <= n);
	for (size_t i = 0; i < n; i++) {
		CHECK(runners[i].out == (i >= n_left));
		CHECK(i >= n_left || runners[i].score >= runners[0].score);
	}
	track->n_gone += n - n_left;
}

static void enter(struct race_runner *runners, int n)
{
	memset(runners, 0, (size_t)n * sizeof(*runners));
	for (int i = 0; i < n; i++)
		runners[i].id = i;
	runners[0].keep = 1;
}

/* The default is hopeless but stays; the best is among the survivors; the slow are gone early. */
static void test_race(uint64_t seed)
{
	double ns[40];
	struct track track = {.ns = ns, .random = seed, .noise = 0.02, .round = -9, .fails = 7};
	struct race_runner runners[40];
	long left, has_best = 0, has_default = 0;

	for (int i = 0; i < 40; i++)
		ns[i] = 1e5 * (1 + 0.05 * ((i * 17) % 40));
	ns[23] = 1e5 * 0.9;
	ns[11] = 1e7;
	enter(runners, 40);
	CHECK(race_warm(runners, 40, sample, &track) == 0);
	for (int i = 0; i < 40; i++) {
		if (runners[i].id == 11)
			CHECK(runners[i].out);
	}
	left = race_run(runners, 40, &(struct race_rules){5, 8, MARGINS}, seed, &CALLS);
	CHECK(left >= 8 && left < 20);
	CHECK(track.n_told == 5 && track.n_gone == 40 - (size_t)left);
	for (long i = 0; i < left; i++) {
		CHECK(!runners[i].out && runners[i].n == 5);
		CHECK(i == 0 || runners[i].score >= runners[i - 1].score);
		CHECK(runners[i].id != 7 && runners[i].id != 11);
		has_best |= runners[i].id == 23;
		has_default |= runners[i].id == 0;
	}
	CHECK(has_best);
	CHECK(has_default);
	CHECK(track.n_samples < 40 + 40 * 5);
}

/* The best of either kind are among the survivors, however far apart the kinds are. */
static void test_kinds(void)
{
	double ns[20];
	struct track track = {.ns = ns, .random = 3, .noise = 0.02, .round = -9, .fails = -1};
	struct race_runner runners[20];
	int n[RACE_KINDS] = {0};
	long left;

	for (int i = 0; i < 20; i++)
		ns[i] = i % 2 ? 1e5 + 5e3 * i : 1.7e5 + 5e3 * i;
	enter(runners, 20);
	for (int i = 0; i < 20; i++)
		runners[i].kind = i % 2;
	left = race_run(runners, 20, &(struct race_rules){5, 2, MARGINS}, 9, &CALLS);
	CHECK(left > 0);
	for (long i = 0; i < left; i++) {
		n[runners[i].kind]++;
		CHECK(runners[i].id < 8);
	}
	CHECK(n[0] >= 2 && n[1] >= 2);
}

/* The same samples in the same order give the same race. */
static void test_repeat(void)
{
	double ns[12];
	struct race_runner a[12], b[12];

	for (int i = 0; i < 12; i++)
		ns[i] = 1e5 + 100 * i;
	for (int turn = 0; turn < 2; turn++) {
		struct track track = {.ns = ns,
				      .random = 5,
				      .noise = 0.02,
				      .round = -9,
				      .fails = -1};
		struct race_runner *runners = turn ? b : a;

		enter(runners, 12);
		race_run(runners, 12, &(struct race_rules){4, 8, MARGINS}, 77, &CALLS);
	}
	for (int i = 0; i < 12; i++)
		CHECK(a[i].id == b[i].id && a[i].n == b[i].n && a[i].score == b[i].score);
}

/*
 * Finals of nine: two equal best, one 1 % slower, the rest clearly slower; the default last.
 * Returns 1 when a clearly slower one is called best or equivalent.
 */
static int run_final(uint64_t seed, int n_rounds, int *n_equivalent)
{
	static const double ns[9] = {1.2e5, 1e5, 1e5, 1.01e5, 1.05e5, 1.06e5, 1.08e5, 1.1e5, 1.3e5};
	struct track track = {.ns = ns, .random = seed, .noise = 0.01, .round = -9, .fails = -1};
	struct race_runner runners[9];
	struct race_verdict verdicts[9];
	size_t best, base = 0;
	int wrong = 0;

	enter(runners, 9);
	CHECK(race_run(runners, 9, &(struct race_rules){.n_rounds = n_rounds}, seed, &CALLS) == 9);
	while (runners[base].id != 0)
		base++;
	best = race_judge(runners, 9, 9, base, verdicts);
	CHECK(verdicts[best].is_equivalent && fabs(verdicts[best].ratio - 1) < 1e-12);
	CHECK(fabs(verdicts[base].over_base - 1) < 1e-12);
	wrong = runners[best].id > 3 || runners[best].id == 0;
	for (size_t i = 0; i < 9; i++) {
		wrong |= verdicts[i].is_equivalent && (runners[i].id > 3 || runners[i].id == 0);
		*n_equivalent += verdicts[i].is_equivalent;
	}
	CHECK(verdicts[best].over_base < 0.9);
	return wrong;
}

int main(void)
{
	int n_wrong = 0, n_equivalent = 0;

	test_median();
	test_interval();
	test_sign();
	test_holm();
	test_paired();
	test_repeat();
	test_kinds();
	for (uint64_t seed = 1; seed <= 50; seed++)
		test_race(seed);
	for (uint64_t seed = 1; seed <= 200; seed++)
		n_wrong += run_final(seed, seed % 2 ? 25 : 9, &n_equivalent);
	CHECK(n_wrong <= 10);      /* 5 % of 200 */
	CHECK(n_equivalent > 240); /* the twin is found often, or the margin means nothing */
	return check_exit();
}
