/* test_few.c: few kernels for many cases, none of which loses more than 2 %. */
#include <math.h>

#include "check.h"
#include "tuner/few.h"

struct rival {
	const char *kernel;
	double ratio;
};

static void add_case(struct record *record, long n, const char *winner, const struct rival *rivals)
{
	struct record_entry *entry = record_add_entry(record);

	strcpy(entry->format, "w4g32");
	entry->m = entry->k = 64;
	entry->n = n;
	entry->threads = 1;
	entry->median_us = 100;
	entry->gbps = 30;
	entry->speedup = 1.5;
	strcpy(entry->kernel, winner);
	snprintf(entry->key, sizeof(entry->key), "key of %s", winner);
	snprintf(entry->code, sizeof(entry->code), "code of %s", winner);
	record_add_equivalent(entry, "b");
	for (; rivals->kernel; rivals++) {
		struct record_finalist *one = record_add_finalist(entry);

		strcpy(one->kernel, rivals->kernel);
		snprintf(one->key, sizeof(one->key), "key of %s", rivals->kernel);
		snprintf(one->code, sizeof(one->code), "code of %s", rivals->kernel);
		one->ratio = one->ratio_low = one->ratio_high = rivals->ratio;
	}
}

/* Three winners, of which b is nearly as good everywhere but in the last case. */
static void make(struct record *record)
{
	memset(record, 0, sizeof(*record));
	add_case(record, 1, "a", (struct rival[]){{"b", 1.01}, {"c", 1.5}, {0}});
	add_case(record, 1, "b", (struct rival[]){{"a", 1.3}, {0}});
	add_case(record, 8, "c", (struct rival[]){{"a", 1.03}, {"b", 1.02}, {0}});
	add_case(record, 8, "d", (struct rival[]){{"b", 1.021}, {0}});
}

static void test_cover(void)
{
	struct record record;
	const struct record_entry *entry;

	make(&record);
	CHECK(few_choose(&record, 3) == 2);
	entry = &record.entries[0];
	CHECK(!strcmp(entry->kernel, "b") && !strcmp(entry->key, "key of b") &&
	      !strcmp(entry->code, "code of b"));
	CHECK(fabs(entry->median_us - 101) < 1e-9 && fabs(entry->speedup - 1.5 / 1.01) < 1e-9);
	CHECK(fabs(entry->gbps - 30 / 1.01) < 1e-9);
	CHECK(!strcmp(entry->finalists[0].kernel, "a") &&
	      fabs(entry->finalists[0].ratio - 1 / 1.01) < 1e-9);
	CHECK(!strcmp(entry->finalists[0].code, "code of a"));
	CHECK(fabs(entry->finalists[1].ratio - 1.5 / 1.01) < 1e-9);
	CHECK(!strcmp(entry->equivalent[0], "a")); /* it was b */
	CHECK(!strcmp(record.entries[1].kernel, "b") && record.entries[1].median_us == 100);
	CHECK(!strcmp(record.entries[2].kernel, "b"));
	CHECK(!strcmp(record.entries[3].kernel, "d")); /* 2.1 % are too much */
	record_free(&record);
}

static void test_stays(void)
{
	struct record record;

	make(&record);
	CHECK(few_choose(&record, 4) == 4); /* few enough */
	CHECK(!strcmp(record.entries[0].kernel, "a"));
	record.entries[0].is_lossy = 1;
	record.entries[2].sustained_us = 200;
	CHECK(few_choose(&record, 1) == 4);
	CHECK(!strcmp(record.entries[0].kernel, "a") && !strcmp(record.entries[2].kernel, "c"));
	record_free(&record);
	memset(&record, 0, sizeof(record));
	CHECK(few_choose(&record, 1) == 0);
}

int main(void)
{
	test_cover();
	test_stays();
	return check_exit();
}
