/* test_strategy.c: points, the surrogate and the search, on spaces that are made up. */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "replay_space.h"
#include "scratch.h"
#include "tuner/fail.h"
#include "tuner/hash.h"
#include "tuner/strategy.h"
#include "tuner/surrogate.h"

/* ---- points ---- */

static const char dot_table[] = "RV+ UNPACK\n"
				"exact 4 shift\n"
				"exact 12 shift\n"
				"exact 2 shift\n"
				"exact 4 affine\n";
static const char lut_table[] = "RV+ ADDS\n"
				"exact 8 0\n"
				"lossy 8 1\n";

static long find(const struct points *points, long near, const char *name, const char *word)
{
	short row[16];

	memcpy(row, points_row(points, near), (size_t)points->n_parameters * sizeof(*row));
	for (int p = 0; p < points->n_parameters; p++) {
		const struct points_parameter *one = &points->parameters[p];

		for (int v = 0; v < one->n_values && !strcmp(one->name, name); v++) {
			if (!strcmp(one->words[v], word))
				row[p] = (short)v;
		}
	}
	return points_find(points, row);
}

static void test_points(void)
{
	struct points points;
	long near[8];

	points_open(&points);
	CHECK(points_add(&points, "FAMILY=dot ISA=avx512", dot_table, 4) == 0);
	CHECK(points_add(&points, "FAMILY=lut ISA=avx512", lut_table, 0) == 0);
	points_finish(&points);
	CHECK(points.n == 6 && points.n_strata == 2 && points.n_parameters == 5);
	CHECK(points.strata[3] == 0 && points.strata[4] == 1);
	CHECK(points.is_drawn[0] && points.is_drawn[3] && !points.is_drawn[4]);
	CHECK(points.is_lossy[5] && !points.is_lossy[4]);
	for (long i = 0; i < points.n; i++)
		CHECK(points_find(&points, points_row(&points, i)) == i);
	CHECK(find(&points, 0, "RV", "12") == 1 && find(&points, 0, "UNPACK", "affine") == 3);
	CHECK(find(&points, 1, "UNPACK", "affine") == -1);
	/* 2 < 4 < 12 as numbers: of 2 only 4 is a neighbour, of 4 both and its affine twin. */
	CHECK(points_neighbours(&points, 2, near, 8) == 1 && near[0] == 0);
	CHECK(points_neighbours(&points, 0, near, 8) == 3);
	CHECK(points_neighbours(&points, 0, near, 2) == 2);
	CHECK(points_distance(&points, 0, 3) == 1 && points_distance(&points, 0, 4) == 4);
	points_free(&points);

	points_open(&points);
	CHECK(points_add(&points, "FAMILY", dot_table, 4) == -1);
	points_free(&points);
	points_open(&points);
	CHECK(points_add(&points, "", "RV+\nwrong 4\n", 1) == -1);
	points_free(&points);
	points_open(&points);
	CHECK(points_add(&points, "", "RV+ KU+\nexact 4\n", 1) == -1);
	points_free(&points);
	points_open(&points);
	CHECK(points_add(&points, "", "", 1) == -1);
	points_free(&points);
}

/* ---- a space of 6 x 6 x 6 x 4 points ---- */

#define N_POINTS (6 * 6 * 6 * 4)

static void make_points(struct points *points)
{
	char *text;
	size_t n;
	FILE *out = fail_check(open_memstream(&text, &n));

	fprintf(out, "A+ B+ C+ D\n");
	for (int i = 0; i < N_POINTS; i++)
		fprintf(out, "exact %d %d %d %c\n", i / 144, i / 24 % 6, i / 4 % 6, 'w' + i % 4);
	fclose(out);
	points_open(points);
	CHECK(points_add(points, "", text, N_POINTS) == 0);
	points_finish(points);
	free(text);
}

/* Best at A=3 B=1 C=4 D=y; B and C hold each other. */
static double truth(long i)
{
	const int a = (int)i / 144, b = (int)i / 24 % 6, c = (int)i / 4 % 6, d = (int)i % 4;

	return 1e5 * (1 + 0.05 * abs(a - 3) + 0.04 * abs(b - 1) + 0.05 * abs(b + c - 5) +
		      0.08 * (d != 2));
}

static void test_surrogate(void)
{
	struct points points;
	struct surrogate surrogate;
	uint64_t random = 4;
	double sum = 0, worst = -INFINITY, best = INFINITY;

	make_points(&points);
	surrogate_open(&surrogate, &points);
	for (int i = 0; i < 80; i++) {
		const long point = hash_below(&random, N_POINTS);

		surrogate_add(&surrogate, point, log(truth(point)));
	}
	for (long i = 0; i < N_POINTS; i++) {
		const double score = surrogate_score(&surrogate, i);

		sum += score;
		worst = fmax(worst, score);
		best = fmin(best, score);
	}
	/* The best point is thought to be among the best; a far one is not. */
	CHECK(surrogate_score(&surrogate, 3 * 144 + 1 * 24 + 4 * 4 + 2) < sum / N_POINTS);
	CHECK(surrogate_score(&surrogate, 5 * 24 + 5 * 4) > sum / N_POINTS);
	CHECK(isfinite(worst) && isfinite(best) && worst > best);
	surrogate_close(&surrogate);
	points_free(&points);
}

struct world {
	uint64_t random;
	double noise;
	long n_brought, most, n_samples, spare;
	int fails; /* this point cannot run */
	int stops_at;
	int dies_after; /* so many samples all points of D=y and the base die; 0: none does */
};

static int bring(void *context, int step, const long *points, size_t n, long *ids)
{
	struct world *world = context;

	world->n_brought += (long)n;
	if (step == world->stops_at)
		return -1;
	for (size_t i = 0; i < n; i++)
		ids[i] = points[i] == world->fails ? -1 : points[i] + 1000;
	return 0;
}

static int sample(void *context, int id, int round, double *ns)
{
	struct world *world = context;

	(void)round;
	CHECK(id >= 1000 && id != world->fails + 1000);
	if (world->dies_after && world->n_samples >= world->dies_after &&
	    ((id - 1000) % 4 == 2 || id == 1300))
		return 1;
	world->n_samples++;
	*ns = truth(id - 1000) *
	      (1 + world->noise * (double)hash_below(&world->random, 1000) / 1000);
	return 0;
}

static int afford(void *context, int step, long n_wanted, long *n)
{
	const struct world *world = context;

	CHECK(step > 0);
	*n = world->most - world->n_brought;
	*n = *n > n_wanted ? n_wanted : *n;
	return 0;
}

static int spare(void *context, int step, long *n_samples)
{
	const struct world *world = context;

	CHECK(step > 0);
	*n_samples = world->spare;
	return world->spare < 0 ? -1 : 0;
}

static int search(struct world *world, const long *known, size_t n_known, uint64_t seed,
		  struct strategy_result *result)
{
	const struct strategy_world calls = {
		.context = world,
		.bring = bring,
		.race = {.context = world, .sample = sample},
		.afford = afford,
		.spare = spare,
	};
	struct points points;
	int status;

	make_points(&points);
	status = strategy_run(&points, &calls, &strategy_constants, known, n_known, 12, seed,
			      result);
	points_free(&points);
	return status;
}

static void test_search(void)
{
	const long known[] = {7, 7, 300};
	int n_found = 0;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct world world = {.random = seed,
				      .noise = 0.02,
				      .most = 200,
				      .fails = 7,
				      .stops_at = -1};
		struct world again = world;
		struct strategy_result result, same;

		CHECK(search(&world, known, 3, seed, &result) == 0);
		CHECK(world.n_brought <= 200 && result.n_brought == world.n_brought);
		CHECK(result.base == 1300); /* 7 does not run */
		CHECK(result.n_elites[0] == 12 && result.n_elites[1] == 0);
		for (int i = 0; i < result.n_elites[0]; i++)
			CHECK(result.elites[0][i].id == result.elites[0][i].point + 1000);
		n_found += truth(result.elites[0][0].point) < 1.03e5;
		CHECK(search(&again, known, 3, seed, &same) == 0);
		CHECK(again.n_samples == world.n_samples &&
		      !memcmp(same.elites[0], result.elites[0],
			      12 * sizeof(struct strategy_elite)));
	}
	CHECK(n_found >= 18);
}

static void test_search_ends(void)
{
	struct world stops = {.most = 200, .fails = -1, .stops_at = 1};
	struct world poor = {.most = 0, .fails = -1, .stops_at = -1};
	struct strategy_result result;

	CHECK(search(&stops, NULL, 0, 1, &result) == -1);
	CHECK(search(&poor, NULL, 0, 1, &result) == 0);
	CHECK(result.base >= 0 && result.n_elites[0] > 0);
	CHECK(poor.n_brought == strategy_constants.n_start);
	poor.spare = -1;
	CHECK(search(&poor, NULL, 0, 1, &result) == -1);
}

static int has_good(const struct strategy_result *result)
{
	for (int i = 0; i < 12; i++) {
		if (truth(result->elites[0][i].point) < 1.03e5)
			return 1;
	}
	return 0;
}

/* With room for samples at the end more points come back, and more finals have one of the best. */
static void test_spare(void)
{
	long n_samples[2];
	int n_found[2] = {0};

	for (int i = 0; i < 2; i++) {
		for (uint64_t seed = 1; seed <= 40; seed++) {
			struct world world = {.random = seed,
					      .noise = 0.3,
					      .most = 200,
					      .spare = i ? 1000 : 0,
					      .fails = -1,
					      .stops_at = -1};
			struct strategy_result result;

			CHECK(search(&world, NULL, 0, seed, &result) == 0);
			n_samples[i] = world.n_samples;
			n_found[i] += has_good(&result);
		}
	}
	CHECK(n_samples[1] > n_samples[0]);
	CHECK(n_found[1] >= n_found[0]);
}

/* Kernels that crash in the middle of everything are not asked for again, the base neither. */
static void test_deaths(void)
{
	const long known[] = {300};

	for (int after = 1; after < 200; after += 13) {
		struct world world = {.random = 1,
				      .noise = 0.01,
				      .most = 150,
				      .fails = -1,
				      .stops_at = -1,
				      .dies_after = after};
		struct strategy_result result;

		CHECK(search(&world, known, 1, (uint64_t)after, &result) == 0);
		CHECK(result.base >= 1000 && result.base != 1300);
		CHECK(result.n_elites[0] > 0);
		for (int i = 0; i < result.n_elites[0]; i++)
			CHECK(result.elites[0][i].id != 1300);
	}
}

/* Nine kernels that are all the same: another one than the default is hardly ever chosen. */
static void test_same(void)
{
	struct world world = {.random = 3, .noise = 0.05, .fails = -1, .stops_at = -1};
	int n_wrong = 0;

	for (int run = 0; run < 400; run++) {
		struct race_runner runners[9];
		struct race_verdict verdicts[9];
		const struct race_calls calls = {.context = &world, .sample = sample};
		size_t base = 0, n;

		memset(runners, 0, sizeof(runners));
		for (int i = 0; i < 9; i++) /* B and C of these make up for each other */
			runners[i].id = 1000 + 3 * 144 + 1 * 24 + 4 * 4 + 2;
		runners[0].keep = 1;
		n = (size_t)race_run(runners, 9, &strategy_final, (uint64_t)run, &calls);
		while (!runners[base].keep)
			base++;
		race_judge(runners, n, 9, base, verdicts);
		n_wrong += race_choose(verdicts, n, base) != base;
	}
	CHECK(n_wrong <= 20); /* 5 % */
}

/* ---- space files ---- */

static const char space_text[] = "# quern space: two passes over every legal point\n"
				 "case w4g32 64x64 n1 t1 a8g32\n"
				 "passes 2 rounds 2 seed 5 slots 3 calls 4 compile_ms 1.0\n"
				 "parameter RV + 1 2 4\n"
				 "parameter UNPACK . shift affine\n"
				 "default 1\n"
				 "points 2\n"
				 "1 shift : 0 exact 100 101 102 103\n"
				 "4 affine : 2 exact 50 50 60 60\n";

static int read_space(struct replay_space *space, const char *text, size_t n, struct gen_error *err)
{
	FILE *out = fopen("one.space", "w");

	fwrite(text, 1, n, out);
	fclose(out);
	return replay_space_read(space, "one.space", err);
}

static void test_space(void)
{
	struct replay_space space;
	struct replay_device device;
	struct gen_error err;
	char text[sizeof(space_text)];

	if (!CHECK(read_space(&space, space_text, strlen(space_text), &err) == 0)) {
		puts(err.text);
		return;
	}
	CHECK(space.points.n == 2 && space.base == 1 && space.n_runs == 2 && space.calls == 4);
	CHECK(fabs(space.exhaustive - 7 * (space.truth[0] + space.truth[1])) < 1e-6);
	CHECK(space.best == space.truth[1] && space.truth[1] > 50 && space.truth[1] < 70);
	replay_open(&device, &space, REPLAY_RECORDED, 1);
	replay_compile(&device, 1);
	replay_compile(&device, 1);
	for (int i = 0; i < 9; i++)
		CHECK(replay_sample(&device, 1, 0) == 50); /* of the first pass */
	CHECK(replay_compiles(&device) == 0.5);
	CHECK(fabs(device.spent - 9 * space.truth[1]) < 1e-6);
	replay_close(&device);
	replay_space_free(&space);

	/* Cut anywhere before the last sample it is refused, damaged it never crashes. */
	for (size_t n = 0; n + 3 < strlen(space_text); n++) {
		if (read_space(&space, space_text, n, &err) == 0) {
			CHECK(!"a cut space was read");
			replay_space_free(&space);
		}
	}
	for (uint64_t i = 0, random = 1; i < 2000; i++) {
		strcpy(text, space_text);
		for (int j = 0; j < 3; j++)
			text[hash_below(&random, (long)strlen(space_text))] =
				(char)(hash_below(&random, 96) + 32);
		if (read_space(&space, text, strlen(space_text), &err) == 0)
			replay_space_free(&space);
	}
}

int main(void)
{
	char path[64];

	if (!CHECK(scratch_open(path)))
		return check_exit();
	test_points();
	test_surrogate();
	test_search();
	test_search_ends();
	test_spare();
	test_deaths();
	test_same();
	test_space();
	scratch_remove_tree(path);
	return check_exit();
}
