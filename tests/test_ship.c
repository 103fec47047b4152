/* test_ship.c: what is shipped: one layout for all numbers of tokens, little energy, few kernels. */
#include <math.h>

#include "check.h"
#include "tuner/ship.h"

struct rival {
	const char *kernel;
	double ratio;
	const char *layout;
	double energy_uj;
};

#define TIMED(kernel, ratio, layout) \
	{ \
		kernel, ratio, layout, 0 \
	}

static struct record_entry *add_case(struct record *record, long m, long n, const char *winner,
				     const char *layout, const struct rival *rivals)
{
	struct record_entry *entry = record_add_entry(record);

	strcpy(entry->format, "w4g32");
	strcpy(entry->key, "family=dot format=w4g32 act=a8g32 isa=avx2");
	entry->m = entry->k = m;
	entry->n = n;
	entry->threads = 1;
	entry->median_us = 100;
	strcpy(entry->kernel, winner);
	strcpy(entry->layout, layout);
	for (; rivals->kernel; rivals++) {
		struct record_finalist *one = record_add_finalist(entry);

		strcpy(one->kernel, rivals->kernel);
		strcpy(one->layout, rivals->layout ? rivals->layout : "");
		one->ratio = rivals->ratio;
		one->energy_uj = rivals->energy_uj;
	}
	return entry;
}

static size_t choose(struct record *record, size_t max_kernels)
{
	const struct ship_wish wish = {.decode_share = SHIP_DECODE_SHARE,
				       .max_kernels = max_kernels};

	return ship_choose(record, &wish);
}

static int ships(const struct record *record, size_t i, const char *kernel)
{
	return !strcmp(ship_kernel(&record->entries[i]), kernel);
}

/* ---- layouts ---- */

/* One token: x in layout 1 by 4 %; 8 tokens: u in layout 2 by a lot. */
static void make_pair(struct record *record, double loss_of_one, double loss_of_many)
{
	memset(record, 0, sizeof(*record));
	add_case(record, 64, 8, "u", "2",
		 (struct rival[]){TIMED("w", loss_of_many, "1"),
				  TIMED("v", loss_of_many + 0.1, "1"),
				  {0}});
	add_case(record, 64, 1, "x", "1",
		 (struct rival[]){TIMED("y", loss_of_one, "2"), TIMED("z", 1.01, "1"), {0}});
	/* Of another matrix, which has its own layout. */
	add_case(record, 128, 8, "u", "2", (struct rival[]){TIMED("w", 1.001, "1"), {0}});
}

static void test_layout(void)
{
	struct record record;

	make_pair(&record, 1.04, 1.10); /* 0.8 log 1.04 > 0.2 log 1.10 */
	choose(&record, 0);
	CHECK(ships(&record, 0, "w") && ships(&record, 1, "x") && ships(&record, 2, "u"));
	CHECK(ship_finalist(&record.entries[0]) == &record.entries[0].finalists[0]);
	CHECK(!ship_finalist(&record.entries[1]));
	record_free(&record);

	make_pair(&record, 1.04, 1.30); /* 0.8 log 1.04 < 0.2 log 1.30 */
	choose(&record, 0);
	CHECK(ships(&record, 0, "u") && ships(&record, 1, "y"));
	/* It is chosen anew each time: prompts do not count, so the layout is the other. */
	ship_choose(&record, &(struct ship_wish){.decode_share = 1});
	CHECK(ships(&record, 0, "w") && ships(&record, 1, "x"));
	/* Other threads, other activations, lossy: other weights. */
	record.entries[1].threads = 2;
	choose(&record, 0);
	CHECK(ships(&record, 0, "u") && ships(&record, 1, "x"));
	record.entries[1].threads = 1;
	record.entries[1].is_lossy = 1;
	choose(&record, 0);
	CHECK(ships(&record, 0, "u") && ships(&record, 1, "x"));
	record_free(&record);
}

/* No finalist of many tokens has the layout: that costs something, and then the case stays as it is. */
static void test_no_finalist(void)
{
	struct record record;

	memset(&record, 0, sizeof(record));
	add_case(&record, 64, 8, "u", "2", (struct rival[]){{0}});
	add_case(&record, 64, 1, "x", "1", (struct rival[]){TIMED("y", 1.06, "2"), {0}});
	choose(&record, 0);
	CHECK(ships(&record, 0, "u") && ships(&record, 1, "y"));
	record.entries[1].finalists[0].ratio = 1.10;
	choose(&record, 0);
	CHECK(ships(&record, 0, "u") && ships(&record, 1, "x"));
	/* Files of before have no layouts: winners are what is shipped. */
	*record.entries[1].layout = *record.entries[1].finalists[0].layout = 0;
	choose(&record, 0);
	CHECK(ships(&record, 0, "u") && ships(&record, 1, "x"));
	record_free(&record);
}

/* Medians below the winner's are chance. */
static void test_winner_stays(void)
{
	struct record record;

	memset(&record, 0, sizeof(record));
	add_case(&record, 64, 8, "u", "1", (struct rival[]){TIMED("v", 0.98, "1"), {0}});
	add_case(&record, 64, 1, "x", "1", (struct rival[]){TIMED("y", 0.99, "1"), {0}});
	choose(&record, 0);
	CHECK(ships(&record, 0, "u") && ships(&record, 1, "x"));
	/* What was faster before the device was warm does not come back. */
	strcpy(record.entries[1].layout, "2");
	strcpy(record.entries[1].burst_kernel, "y");
	choose(&record, 0);
	CHECK(ships(&record, 0, "u") && ships(&record, 1, "x"));
	record_free(&record);
}

/* ---- energy ---- */

static void test_energy(void)
{
	struct record record;
	struct ship_wish wish = {.decode_share = SHIP_DECODE_SHARE};

	memset(&record, 0, sizeof(record));
	add_case(&record, 64, 1, "x", "1",
		 (struct rival[]){{"saves", 1.30, "1", 80},
				  {"knee", 1.05, "1", 90},
				  {"chance", 1.02, "1", 98.5},
				  {"unknown", 1.0, "1", 0},
				  {0}})
		->energy_uj = 100;
	ship_choose(&record, &wish);
	CHECK(ships(&record, 0, "x"));
	wish.objective = SHIP_ENERGY;
	ship_choose(&record, &wish);
	CHECK(ships(&record, 0, "saves"));
	wish.objective = SHIP_EDP; /* 1.04, 0.945, 1.0047 */
	ship_choose(&record, &wish);
	CHECK(ships(&record, 0, "knee"));
	record.entries[0].finalists[0].energy_uj = record.entries[0].finalists[1].energy_uj = 99;
	wish.objective = SHIP_ENERGY;
	ship_choose(&record, &wish);
	CHECK(ships(&record, 0, "x"));
	record.entries[0].energy_uj = 0; /* the device did not tell */
	ship_choose(&record, &wish);
	CHECK(ships(&record, 0, "x"));
	record_free(&record);
}

/* ---- few kernels ---- */

/* Four winners, of which b is nearly as good everywhere but in the last case. */
static void make(struct record *record)
{
	memset(record, 0, sizeof(*record));
	add_case(record, 64, 1, "a", "1",
		 (struct rival[]){TIMED("b", 1.01, "1"), TIMED("c", 1.5, "1"), {0}});
	add_case(record, 128, 1, "b", "1", (struct rival[]){TIMED("a", 1.3, "1"), {0}});
	add_case(record, 192, 8, "c", "1",
		 (struct rival[]){TIMED("a", 1.03, "1"), TIMED("b", 1.02, "1"), {0}});
	add_case(record, 256, 8, "d", "1", (struct rival[]){TIMED("b", 1.021, "1"), {0}});
}

static void test_cover(void)
{
	struct record record;

	make(&record);
	CHECK(choose(&record, 3) == 2);
	CHECK(ships(&record, 0, "b") && ships(&record, 1, "b") && ships(&record, 2, "b"));
	CHECK(ships(&record, 3, "d"));                            /* 2.1 % are too much */
	CHECK(!strcmp(record.entries[0].kernel, "a"));            /* winners stay what they are */
	CHECK(choose(&record, 4) == 4 && ships(&record, 0, "a")); /* few enough */
	CHECK(choose(&record, 0) == 4);
	record.entries[0].is_estimated = 1;
	CHECK(choose(&record, 1) == 3 && ships(&record, 0, "a"));
	record_free(&record);
	memset(&record, 0, sizeof(record));
	CHECK(choose(&record, 1) == 0);
}

/* Losses count from the best that the layout allows, and kernels of other layouts do not serve. */
static void test_cover_in_layout(void)
{
	struct record record;

	memset(&record, 0, sizeof(record));
	add_case(&record, 64, 1, "x", "1",
		 (struct rival[]){TIMED("y", 1.015, "1"), TIMED("t", 1.001, "2"), {0}});
	add_case(&record, 64, 8, "u", "2",
		 (struct rival[]){TIMED("v", 1.05, "1"), TIMED("w", 1.06, "1"), {0}});
	add_case(&record, 128, 1, "y", "1", (struct rival[]){{0}});
	add_case(&record, 128, 8, "w", "1", (struct rival[]){{0}});
	CHECK(choose(&record, 2) == 4); /* t and u serve no case of layout 1 */
	CHECK(ships(&record, 0, "t") && ships(&record, 1, "u"));
	record.entries[0].finalists[1].ratio = 1.2; /* now layout 1 is cheaper */
	CHECK(choose(&record, 2) == 2);
	CHECK(ships(&record, 0, "y") && ships(&record, 1, "w"));
	record_free(&record);
}

int main(void)
{
	test_layout();
	test_no_finalist();
	test_winner_stays();
	test_energy();
	test_cover();
	test_cover_in_layout();
	return check_exit();
}
