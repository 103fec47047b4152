/* strategy.c: start, neighbours, generations. */
#include "strategy.h"

#include <math.h>

#include "fail.h"
#include "hash.h"
#include "strata.h"
#include "surrogate.h"

#define MAX_TRIES 64    /* of one mutant or cross */
#define MAX_NEAR 512    /* neighbours of a point */
#define N_LOOKED_AT 800 /* points that the surrogate is asked about */
#define N_TO_MODEL 20   /* measured points that it needs */

const struct strategy_constants strategy_constants = {
	.n_start = 48,
	.n_newcomers = 24,
	.n_near = 24,
	.n_elites = 5,
	.start_rounds = 5,
	.rounds = 4,
	.margins = {0.15, 0.075, 0.05, 0.035, 0.025},
	.modelled = 0.75,
	.random = 0.2,
	.crossed = 0.4,
	.patience = 12,
	.n_recalled = 24,
	.most_recalled = 250,
	.samples_recalled = 4,
	.recall_rounds = 7,
	.n_finalists = 5,
};

/* By then medians of so many rounds differ by less than that for equal ones. */
const struct race_rules strategy_final = {
	.n_rounds = 61,
	.n_elites = 2,
	.margins = {1, 1, 1, 0.10, 0.07, 0.05, 0.05, 0.04, 0.04, 0.03, 0.03, 0.03, 0.03, 0.03,
		    0.02},
	.n_margins = 15,
};

struct search_state {
	const struct points *points;
	const struct strategy_world *world;
	const struct strategy_constants *constants;
	struct strategy_result *result;
	struct surrogate surrogate;
	unsigned char *is_taken; /* by point: brought, or about to be */
	long *ids;               /* by point, of those that were brought */
	struct strata strata;
	long base_point;
	double offset; /* score of the base: not 0 when it took the part of one that failed */
	uint64_t seed, random;
	int step;
};

/* A list of new points. */
struct wish {
	long *list;
	long n, max;
};

/* 1: taken; 0: it was before, or there is no room. */
static int wish_for(struct search_state *state, struct wish *wish, long point)
{
	if (point < 0 || state->is_taken[point] || wish->n >= wish->max)
		return 0;
	state->is_taken[point] = 1;
	wish->list[wish->n++] = point;
	return 1;
}

/* ---- drawing ---- */

/* A point of a stratum that is not taken, or -1. */
static long draw(struct search_state *state, int stratum)
{
	return strata_draw(&state->strata, stratum, state->is_taken, &state->random);
}

/* Spaces take turns, so that each gets its share and what one cannot fill goes to the others. */
static void draw_evenly(struct search_state *state, struct wish *wish, long n)
{
	int got = 1;

	while (n > 0 && got) {
		got = 0;
		for (int s = 0; s < state->points->n_strata && n > 0; s++) {
			if (wish_for(state, wish, draw(state, s))) {
				got = 1;
				n--;
			}
		}
	}
}

static long draw_any(struct search_state *state)
{
	return state->points->n_strata
		       ? draw(state, (int)hash_below(&state->random, state->points->n_strata))
		       : -1;
}

static const struct strategy_elite *draw_elite(struct search_state *state)
{
	const struct strategy_result *result = state->result;

	return &result->elites[0][hash_below(&state->random, result->n_elites[0])];
}

/* Gives n random parameters of a row random values. */
static void reset(struct search_state *state, short *row, int n)
{
	const struct points *points = state->points;

	while (n-- > 0) {
		const long p = hash_below(&state->random, points->n_parameters);

		row[p] = (short)hash_below(&state->random, points->parameters[p].n_values);
	}
}

/* A legal mutant of one elite, or a cross of two, that is not taken; -1. */
static long breed(struct search_state *state, int is_cross)
{
	const struct points *points = state->points;
	const size_t n = (size_t)points->n_parameters;
	short *row = fail_alloc(n, sizeof(*row));
	long found = -1;

	for (int try = 0; try < MAX_TRIES && found < 0; try++) {
		const short *a = points_row(points, draw_elite(state)->point);
		const short *b = points_row(points, draw_elite(state)->point);

		for (size_t p = 0; p < n; p++)
			row[p] = is_cross && hash_below(&state->random, 2) ? b[p] : a[p];
		reset(state, row, is_cross ? 1 : 2);
		found = points_find(points, row);
		if (found >= 0 && (state->is_taken[found] || points->is_lossy[found]))
			found = -1;
	}
	free(row);
	return found;
}

/* ---- what the surrogate likes ---- */

struct liking {
	long point;
	double score;
};

static int by_liking(const void *a, const void *b)
{
	const struct liking *x = a, *y = b;

	if (x->score != y->score)
		return x->score < y->score ? -1 : 1;
	return (x->point > y->point) - (x->point < y->point);
}

/* Half of what it is asked about is drawn, half bred from the best; the n best are wished for. */
static void propose(struct search_state *state, struct wish *wish, long n)
{
	struct liking *list = fail_alloc(N_LOOKED_AT, sizeof(*list));
	long n_list = 0, got = 0;

	for (int i = 0; i < N_LOOKED_AT; i++) {
		const long point = i % 4 ? draw_any(state) : breed(state, i & 4);

		if (point >= 0)
			list[n_list++] =
				(struct liking){point, surrogate_score(&state->surrogate, point)};
	}
	qsort(list, (size_t)n_list, sizeof(*list), by_liking);
	for (long i = 0; i < n_list && got < n; i++)
		got += wish_for(state, wish, list[i].point);
	free(list);
}

/* ---- wishes of a step ---- */

static void wish_start(struct search_state *state, struct wish *wish, const long *known,
		       size_t n_known)
{
	for (size_t i = 0; i < n_known; i++)
		wish_for(state, wish, known[i]);
	for (size_t i = 0; i < n_known; i++) { /* the lossy kernels beside known ones */
		long near[MAX_NEAR], n = points_neighbours(state->points, known[i], near, MAX_NEAR);

		for (long j = 0; j < n; j++) {
			if (state->points->is_lossy[near[j]])
				wish_for(state, wish, near[j]);
		}
	}
	draw_evenly(state, wish, state->constants->n_start);
}

/* Of what is near the leaders of each kind, and new, the most promising. */
static void wish_near(struct search_state *state, struct wish *wish, int n_leaders, long n_wanted)
{
	const struct strategy_result *result = state->result;
	struct liking *list = fail_alloc(RACE_KINDS * 2 * MAX_NEAR, sizeof(*list));
	long n_list = 0;

	for (int kind = 0; kind < RACE_KINDS; kind++) {
		for (int l = 0; l < n_leaders && l < result->n_elites[kind]; l++) {
			long near[MAX_NEAR];
			const long n =
				points_neighbours(state->points, result->elites[kind][l].point,
						  near, MAX_NEAR);

			for (long i = 0; i < n; i++) {
				if (!state->is_taken[near[i]])
					list[n_list++] =
						(struct liking){near[i],
								surrogate_score(&state->surrogate,
										near[i])};
			}
		}
	}
	qsort(list, (size_t)n_list, sizeof(*list), by_liking);
	for (long i = 0; i < n_list && wish->n < n_wanted; i++)
		wish_for(state, wish, list[i].point);
	free(list);
}

static void wish_newcomers(struct search_state *state, struct wish *wish, long n)
{
	const struct strategy_constants *constants = state->constants;

	if (!state->result->n_elites[0]) {
		draw_evenly(state, wish, n);
		return;
	}
	if (state->surrogate.n >= N_TO_MODEL)
		propose(state, wish, lround(constants->modelled * (double)n));
	for (long tries = 0; wish->n < n && tries < 4 * n; tries++) {
		const double lot = hash_uniform(&state->random);

		wish_for(state, wish,
			 lot < constants->random
				 ? draw_any(state)
				 : breed(state, lot < constants->random + constants->crossed));
	}
}

/* ---- races ---- */

static struct race_runner *enter(struct race_runner *runner, const struct search_state *state,
				 long id, long point)
{
	memset(runner, 0, sizeof(*runner));
	runner->id = (int)id;
	runner->kind = state->points->is_lossy[point];
	runner->keep = id == state->result->base;
	return runner;
}

/* How a runner did against the base in the rounds that both ran. */
static double over_base(const struct race_runner *one, const struct race_runner *base)
{
	if (!one->n || !base->n)
		return log(one->warm_ns / base->warm_ns);
	return race_compare(one, base);
}

/* The number of a runner in the lists of its race. */
static size_t number_of(const struct race_runner *one, const long *ids)
{
	size_t i = 0;

	while (ids[i] != one->id)
		i++;
	return i;
}

/*
 * The base among the runners.  When it failed the best exact one that is left takes its part from now
 * on, and scores go on from what that one's was; NULL: there is none.
 */
static const struct race_runner *find_base(struct search_state *state,
					   const struct race_runner *runners, size_t n_left,
					   const long *points, const long *ids)
{
	struct strategy_result *result = state->result;
	const struct race_runner *base = runners, *next = runners;

	while (base->id != (int)result->base)
		base++;
	if (!base->failed)
		return base;
	while (next < runners + n_left && next->kind)
		next++;
	result->base = -1;
	if (next == runners + n_left)
		return NULL;
	for (size_t i = 0; i < state->surrogate.n; i++) {
		if (state->surrogate.measured[i] == points[number_of(next, ids)])
			state->offset = state->surrogate.y[i];
	}
	result->base = next->id;
	state->base_point = points[number_of(next, ids)];
	return next;
}

/*
 * Who has a time at all tells the surrogate; the best that are left are the new elites; who failed is
 * never asked again.
 */
static void take_results(struct search_state *state, const struct race_runner *runners, size_t n,
			 size_t n_left, int n_elites, const long *points, const long *ids)
{
	struct strategy_result *result = state->result;
	const struct race_runner *base = find_base(state, runners, n_left, points, ids);

	memset(result->n_elites, 0, sizeof(result->n_elites));
	for (size_t i = 0; i < n; i++) {
		const struct race_runner *one = &runners[i];
		int *n_kind = &result->n_elites[one->kind];
		const long point = points[number_of(one, ids)];
		double score;

		if (one->failed)
			state->ids[point] = -1;
		if (one->failed || !base || !(one->warm_ns > 0))
			continue;
		score = state->offset + over_base(one, base);
		surrogate_add(&state->surrogate, point, score);
		if (i < n_left && *n_kind < n_elites)
			result->elites[one->kind][(*n_kind)++] =
				(struct strategy_elite){point, one->id, score};
	}
}

/* Lists everyone of a race, base first: ids and points, each once; returns how many. */
static size_t list_all(const struct search_state *state, const struct wish *wish,
		       const long *wish_ids, long *points, long *ids)
{
	const struct strategy_result *result = state->result;
	size_t n = 0;

	points[n] = state->base_point;
	ids[n++] = result->base;
	for (int kind = 0; kind < RACE_KINDS; kind++) {
		for (int i = 0; i < result->n_elites[kind]; i++) {
			points[n] = result->elites[kind][i].point;
			ids[n] = result->elites[kind][i].id;
			n += ids[n] != result->base;
		}
	}
	for (long i = 0; i < wish->n; i++) {
		points[n] = wish->list[i];
		ids[n] = wish_ids[i];
		n += ids[n] >= 0 && ids[n] != result->base;
	}
	return n;
}

static int line_up(const struct search_state *state, struct race_runner *runners, size_t n)
{
	const struct strategy_world *world = state->world;

	return world->line_up ? world->line_up(world->context, state->step, runners, n)
			      : race_warm(runners, n, world->race.sample, world->race.context);
}

static int race(struct search_state *state, const struct wish *wish, const long *wish_ids,
		int n_rounds, int n_elites)
{
	const struct strategy_world *world = state->world;
	const size_t room = (size_t)(1 + RACE_KINDS * STRATEGY_MAX_ELITES + wish->n);
	long *points = fail_alloc(room, sizeof(*points)), *ids = fail_alloc(room, sizeof(*ids));
	struct race_runner *runners = fail_alloc(room, sizeof(*runners));
	const size_t n = list_all(state, wish, wish_ids, points, ids);
	struct race_rules rules = {
		.n_rounds = n_rounds,
		.n_elites = (size_t)n_elites,
		.n_margins = sizeof(state->constants->margins) / sizeof(double),
	};
	long left = -1;

	memcpy(rules.margins, state->constants->margins, sizeof(state->constants->margins));
	for (size_t i = 0; i < n; i++)
		enter(&runners[i], state, ids[i], points[i]);
	if (line_up(state, runners, n) == 0)
		left = race_run(runners, n, &rules, state->seed + (uint64_t)state->step * 1000003u,
				&world->race);
	if (left >= 0)
		take_results(state, runners, n, (size_t)left, n_elites, points, ids);
	free(runners);
	free(ids);
	free(points);
	return left < 0 ? -1 : 0;
}

/* Brings the wishes and races them against the best so far. */
static int run_step(struct search_state *state, const struct wish *wish, int n_rounds)
{
	struct strategy_result *result = state->result;
	const struct strategy_world *world = state->world;
	long *ids = fail_alloc((size_t)wish->n, sizeof(*ids));
	int status = world->bring(world->context, state->step, wish->list, (size_t)wish->n, ids);

	result->n_brought += status ? 0 : wish->n;
	for (long i = 0; i < wish->n && !status; i++)
		state->ids[wish->list[i]] = ids[i];
	for (long i = 0; i < wish->n && !status && result->base < 0; i++) {
		if (ids[i] >= 0 && !state->points->is_lossy[wish->list[i]]) {
			result->base = ids[i];
			state->base_point = wish->list[i];
		}
	}
	if (!status && result->base >= 0)
		status = race(state, wish, ids, n_rounds, state->constants->n_elites);
	free(ids);
	state->step++;
	return status;
}

/* ---- the search ---- */

static long leader(const struct search_state *state)
{
	return state->result->n_elites[0] ? state->result->elites[0][0].point : -1;
}

/* What of a step's wishes the budget has room for; the others may be wished for again. */
static int cut(struct search_state *state, struct wish *wish)
{
	long n = 0;

	if (wish->n && state->world->afford(state->world->context, state->step, wish->n, &n) < 0)
		return -1;
	while (wish->n > (n > 0 ? n : 0))
		state->is_taken[wish->list[--wish->n]] = 0;
	return 0;
}

static int search_on(struct search_state *state, struct wish *wish)
{
	const struct strategy_constants *constants = state->constants;
	int n_idle = 0, n_leaders = 2;

	while (n_idle < constants->patience && leader(state) >= 0) {
		const long before = leader(state);
		int is_near;

		wish->n = 0;
		wish_near(state, wish, n_leaders, constants->n_near);
		is_near = wish->n > 0;
		if (!is_near)
			wish_newcomers(state, wish, constants->n_newcomers);
		if (cut(state, wish) < 0)
			return -1;
		if (!wish->n)
			return 0;
		if (run_step(state, wish, constants->rounds) < 0)
			return -1;
		n_leaders = 1;
		if (leader(state) != before)
			n_idle = 0;
		else if (!is_near)
			n_idle++;
	}
	return 0;
}

static int count_recalled(const struct search_state *state, long *n)
{
	const struct strategy_constants *constants = state->constants;
	long n_samples;

	if (state->world->spare(state->world->context, state->step, &n_samples) < 0)
		return -1;
	*n = n_samples / constants->samples_recalled;
	*n = *n < constants->n_recalled      ? constants->n_recalled
	     : *n > constants->most_recalled ? constants->most_recalled
					     : *n;
	return 0;
}

/*
 * One more race of what looks best by all that is known: who was disturbed in its only sample has fast
 * neighbours, and where points are many and near each other it takes more samples to tell which is
 * the best.
 */
static int recall(struct search_state *state)
{
	struct surrogate *known = &state->surrogate;
	struct liking *list;
	struct wish wish = {0};
	long *ids;
	size_t n_list = 0;
	int status = 0;

	if (count_recalled(state, &wish.max) < 0)
		return -1;
	list = fail_alloc(known->n, sizeof(*list));
	ids = fail_alloc((size_t)wish.max, sizeof(*ids));
	wish.list = fail_alloc((size_t)wish.max, sizeof(*wish.list));
	for (size_t i = 0; i < known->n; i++) {
		if (!state->points->is_lossy[known->measured[i]] &&
		    state->ids[known->measured[i]] >= 0)
			list[n_list++] =
				(struct liking){known->measured[i],
						surrogate_guess(known, known->measured[i])};
	}
	qsort(list, n_list, sizeof(*list), by_liking);
	for (size_t i = 0; i < n_list && wish.n < wish.max; i++) {
		int is_elite = list[i].point == state->base_point;

		for (int j = 0; j < state->result->n_elites[0]; j++)
			is_elite |= state->result->elites[0][j].point == list[i].point;
		if (!is_elite) {
			ids[wish.n] = state->ids[list[i].point];
			wish.list[wish.n++] = list[i].point;
		}
	}
	if (wish.n)
		status = race(state, &wish, ids, state->constants->recall_rounds,
			      state->constants->n_finalists);
	state->step++;
	free(wish.list);
	free(ids);
	free(list);
	return status;
}

/* Behind the elites of the last race the next best by all that is known. */
static void list_next(struct search_state *state, int n_wanted)
{
	struct surrogate *known = &state->surrogate;
	struct strategy_result *result = state->result;
	struct liking *list = fail_alloc(known->n, sizeof(*list));
	size_t n_list = 0;

	for (size_t i = 0; i < known->n; i++) {
		if (state->ids[known->measured[i]] >= 0)
			list[n_list++] =
				(struct liking){known->measured[i],
						surrogate_guess(known, known->measured[i])};
	}
	qsort(list, n_list, sizeof(*list), by_liking);
	for (size_t i = 0; i < n_list; i++) {
		const int kind = state->points->is_lossy[list[i].point];
		struct strategy_elite *elites = result->elites[kind];
		int *n = &result->n_elites[kind], j = 0;

		while (j < *n && elites[j].point != list[i].point)
			j++;
		if (j == *n && *n < n_wanted && *n < STRATEGY_MAX_ELITES)
			elites[(*n)++] =
				(struct strategy_elite){list[i].point, state->ids[list[i].point],
							list[i].score};
	}
	free(list);
}

int strategy_run(const struct points *points, const struct strategy_world *world,
		 const struct strategy_constants *constants, const long *known, size_t n_known,
		 int n_wanted, uint64_t seed, struct strategy_result *result)
{
	struct search_state state = {
		.points = points,
		.world = world,
		.constants = constants,
		.result = result,
		.base_point = -1,
		.seed = seed,
		.random = seed ^ 0x5bd1e995u,
	};
	struct wish wish = {.max = points->n};
	int status;

	memset(result, 0, sizeof(*result));
	result->base = -1;
	wish.list = fail_alloc((size_t)points->n, sizeof(*wish.list));
	state.is_taken = fail_alloc((size_t)points->n, 1);
	state.ids = fail_alloc((size_t)points->n, sizeof(*state.ids));
	surrogate_open(&state.surrogate, points);
	strata_open(&state.strata, points);
	wish_start(&state, &wish, known, n_known);
	status = run_step(&state, &wish, constants->start_rounds);
	if (!status)
		status = search_on(&state, &wish);
	if (!status && result->base >= 0)
		status = recall(&state);
	if (!status)
		list_next(&state, n_wanted);
	if (result->base < 0 && result->n_elites[0]) /* the last race's base failed in it */
		result->base = result->elites[0][0].id;
	surrogate_close(&state.surrogate);
	free(state.ids);
	strata_close(&state.strata);
	free(state.is_taken);
	free(wish.list);
	return status;
}
