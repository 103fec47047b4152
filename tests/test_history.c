/*
 * test_history.c: journals as data, torn, damaged and mutated ones; families compared by them.
 */
#include "tuner/history.h"
#include "tuner/journal.h"
#include "tuner/rivals.h"
#include "check.h"
#include "mutate.h"
#include "scratch.h"

#define HEADER "{\"quern\":\"journal\",\"schema\":1,\"config\":\"formats w4g32\",\"seed\":\"7\"}\n"
#define POINT "family=dot format=w4g32 act=a8g32 isa=scalar KU=1 NT=1 PF=0 RG=1 RV=2 UNPACK=shift"
#define KERNEL "dot_w4g32_a8g32_scalar_r2g1k1p0n1"
#define OTHER "dot_w4g32_a8g32_scalar_r4g1k1p0n1"
#define LINE(at, question, answer) \
	"{\"at\":" at ",\"question\":\"" question "\",\"answer\":\"" answer "\"}\n"
#define TIME(at, target, stage, answer) \
	LINE(at, "time w4g32 64x128 n1 " target " " KERNEL " " stage, answer)

static const char whole[] = HEADER LINE(
	"0.5", "batch w4g32 a8g32 n1 0",
	POINT ";family=dot format=w4g32 act=a8g32 isa=never RV=1;") LINE("1", "verify " KERNEL,
									 "ok nmse=2e-5")
	LINE("1.5", "verify " OTHER,
	     "fail wrong row 3 is off") LINE("2", "prepare w4g32 64x128 n1 t1 " KERNEL,
					     "ok bytes=10000") TIME("3", "t1", "warm 0",
								    "ok ns=90000 calls=1 flags=0")
		LINE("3", "time w4g32 64x128 n1 t1 " KERNEL " calls 0",
		     "ok ns=90000 calls=1 flags=0") TIME("3.1", "t1", "race0 0",
							 "ok ns=4000 calls=4 flags=1")
			TIME("3.2", "t1", "race0 again1 0", "ok ns=3000 calls=4 flags=0") TIME(
				"3.3", "t1", "race0 1",
				"ok ns=2000 calls=4 flags=0") TIME("3.4", "t1", "race0 hot1 1",
								   "ok ns=1000 calls=4 flags=0")
				TIME("4", "t2@big-core", "sustained 30 s warm 0",
				     "ok ns=800 calls=1 flags=0") TIME("4", "t2@big-core",
								       "sustained 30 s 0",
								       "fail crash signal 11")
					LINE("5", "count w4g32 64x128 n1 t1 " KERNEL " cycles",
					     "fail error no such event")
						LINE("6", "decide w4g32 a8g32 final 64x128 n1 t1",
						     "25") LINE("7", "gate something new", "hot");

static int read_text(struct history *history, const char *text, struct gen *gen,
		     struct gen_error *err)
{
	scratch_write_text("x.journal", text);
	*err->text = 0;
	return history_read(history, "x.journal", gen, err);
}

static void check_samples(const struct history_candidate *one)
{
	static const struct {
		const char *stage;
		int round, is_superseded;
		double ns;
	} expected[] = {
		{"warm", 0, 0, 90000}, {"calls", 0, 0, 90000}, {"race0", 0, 1, 1000},
		{"race0", 0, 0, 750},  {"race0", 1, 1, 500},   {"race0", 1, 0, 250},
		{"warm", 0, 0, 800},
	};

	if (!CHECK(one->n_samples == sizeof expected / sizeof *expected))
		return;
	for (size_t i = 0; i < one->n_samples; i++) {
		const struct history_sample *sample = &one->samples[i];

		CHECK(!strcmp(sample->stage, expected[i].stage));
		CHECK(sample->round == expected[i].round);
		CHECK(sample->is_superseded == expected[i].is_superseded);
		CHECK(sample->ns_per_call == expected[i].ns);
		CHECK(sample->place == (i == 6));
	}
	CHECK(one->samples[2].flags == 1 && one->samples[2].calls == 4 &&
	      one->samples[2].at == 3.1);
}

static void check_whole(struct gen *gen)
{
	struct history history;
	struct gen_error err;
	size_t i, other;

	if (!CHECK(read_text(&history, whole, gen, &err) == 0))
		return;
	i = history_find(&history, KERNEL);
	other = history_find(&history, OTHER);
	CHECK(history.n_candidates == 2 && i == 0 && other == 1);
	CHECK(history_find(&history, "dot") == HISTORY_NONE);
	CHECK(!strcmp(history_fact(&history, "seed"), "7") && !history_fact(&history, "device"));
	CHECK(history.seconds == 7 && history.n_places == 2);
	CHECK(!strcmp(history.places[1].text, "64x128 n1 t2@big-core"));
	CHECK(history.places[1].m == 64 && history.places[1].k == 128 && history.places[1].n == 1 &&
	      history.places[1].threads == 2 && !strcmp(history.places[1].cores, "big-core"));
	CHECK(history.n_batches == 1 && history.batches[0].n_candidates == 1 &&
	      history.batches[0].n_unknown == 1 && history.batches[0].n_tokens == 1);
	check_samples(&history.candidates[i]);
	CHECK(!strcmp(history.candidates[i].key, POINT) && history.candidates[i].nmse == 2e-5 &&
	      history.candidates[i].at == 0.5);
	CHECK(!history.candidates[other].key && history.candidates[other].nmse < 0);
	CHECK_SAYS(history.candidates[other].failure, "wrong row 3");
	CHECK(history.n_failures == 3 && history.failures[0].place == HISTORY_NONE &&
	      history.failures[1].place == 1 && !strcmp(history.failures[2].verb, "count"));
	CHECK_SAYS(history.candidates[i].failure, "crash signal 11");
	history_free(&history);

	/* Without a generator there are no names for points, all else is the same. */
	if (!CHECK(read_text(&history, whole, NULL, &err) == 0))
		return;
	CHECK(history.n_batches == 0 && history.n_candidates == 2 && !history.candidates[0].key);
	check_samples(&history.candidates[0]);
	history_free(&history);
}

/* A family that did not come into the final is known from the races before it. */
static void check_rivals(struct gen *gen)
{
	static const char *const heads[] = {
		"family=dot format=w4g32 act=a8g32 isa=scalar",
		"family=lut format=w4g32 act=a8g32 isa=scalar",
		"family=lut format=w4g32 act=a8r isa=scalar",
	};
	struct record_entry entry = {.format = "w4g32", .m = 64, .k = 128, .n = 1, .threads = 1};
	struct rivals_best best[4];
	struct gen_point points[3];
	struct history history;
	struct gen_error err;
	char text[8192];
	int at = snprintf(text, sizeof text, "%s", HEADER);

	for (int i = 0; i < 3; i++) {
		if (!CHECK(gen_complete(gen, heads[i], &points[i], &err) == 0))
			return;
		at += snprintf(text + at, sizeof text - (size_t)at,
			       LINE("1", "batch w4g32 a8g32 n1 %d", "%s;"), i, points[i].key);
		for (int round = 0; round < 3; round++)
			at += snprintf(text + at, sizeof text - (size_t)at,
				       LINE("2", "time w4g32 64x128 n1 t1 %s race0 %d",
					    "ok ns=%d calls=1 flags=0"),
				       points[i].name, round,
				       1000 * (round + 1) * (i == 1 ? 3 : 1));
	}
	strcpy(entry.kernel, points[0].name);
	strcpy(entry.key, points[0].key);
	CHECK(rivals_find(&entry, NULL, best, 4) == 1 && !strcmp(best[0].family, "dot"));
	if (!CHECK(read_text(&history, text, gen, &err) == 0))
		return;
	CHECK(rivals_find(&entry, &history, best, 4) == 2);
	CHECK(!strcmp(best[1].family, "lut") && !strcmp(best[1].kernel, points[1].name) &&
	      !best[1].is_final && best[1].ratio > 2.999 && best[1].ratio < 3.001);
	CHECK(rivals_find(&entry, &history, best, 1) == 1);
	entry.threads = 2;
	CHECK(rivals_find(&entry, &history, best, 4) == 1);
	history_free(&history);
}

static void refuses(const char *text, const char *says)
{
	struct history history;
	struct gen_error err;

	if (CHECK(read_text(&history, text, NULL, &err) == -1))
		CHECK_SAYS(err.text, says);
}

static void check_damage(void)
{
	struct history history;
	struct gen_error err;

	refuses("", "x.journal:1: this is not a journal");
	refuses("quern: results\n", "x.journal:1: this is not a journal");
	refuses("{\"quern\":\"journal\",\"schema\":2}\n", "x.journal:1:");
	refuses(HEADER "{}\n" LINE("1", "a", "b"), "x.journal:2: the journal is damaged here");
	refuses(HEADER TIME("1", "t0", "race 0", "ok ns=1 calls=1 flags=0") "{}\n", "x.journal:2:");
	refuses(HEADER TIME("1", "t1", "race 0", "ok ns=0 calls=1 flags=0") "{}\n", "x.journal:2:");
	refuses(HEADER TIME("1", "t1", "race", "ok ns=1 calls=1 flags=0") "{}\n", "x.journal:2:");
	refuses(HEADER LINE("1", "verify a", "ok nmse=nan") "{}\n", "x.journal:2:");
	CHECK(history_read(&history, "absent.journal", NULL, &err) == -1);
	CHECK_SAYS(err.text, "cannot open absent.journal: No such file");

	/* A run that was killed, or is at it. */
	CHECK(read_text(&history, HEADER LINE("2", "verify a", "ok nmse=0") "{\"at\":3,\"que", NULL,
			&err) == 0);
	CHECK(history.n_candidates == 1 && history.seconds == 2);
	history_free(&history);
	CHECK(read_text(&history, HEADER LINE("2", "verify a", "ok nmse=0") "\001{\n", NULL,
			&err) == 0);
	CHECK(history.n_candidates == 1);
	history_free(&history);
}

/* Any bytes are read or refused. */
static void check_mutants(void)
{
	uint64_t state = 1;

	for (int i = 0; i < N_MUTANTS; i++) {
		struct history history;
		struct gen_error err;
		char text[8192];

		strcpy(text, whole);
		for (uint64_t n = check_random(&state) % 3 + 1; n > 0; n--)
			mutate(text, &state);
		if (read_text(&history, text, NULL, &err) == 0)
			history_free(&history);
		else
			CHECK_SAYS(err.text, "x.journal:");
	}
}

int main(void)
{
	char path[64], *home = scratch_open_home(path, "QUERN_HOME"), *name;
	struct gen_error err;
	struct gen *gen = home ? gen_open(home, &err) : NULL;

	if (CHECK(gen != NULL)) {
		check_whole(gen);
		check_rivals(gen);
		check_damage();
		check_mutants();
	}
	name = journal_path("a/b.yaml");
	CHECK(!strcmp(name, "a/b.journal"));
	free(name);
	gen_close(gen);
	free(home);
	scratch_remove_tree(path);
	return check_exit();
}
