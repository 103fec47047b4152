/*
 * test_checkup.c: a phone's answers as facts and as a report; the same answers damaged.
 */
#include <stdlib.h>

#include "tests/mutate.h"
#include "tuner/checkup.h"
#include "tuner/probe.h"

static const char hello[] =
	"protocol=1 kernels=1 arch=aarch64 features=neon,dotprod cores=8 classes=3 "
	"llc_bytes=8388608 l2_bytes=524288 l1d_bytes=65536 cpu=Kalama%20%22MTP%22 "
	"kernel=Linux%205.15 name0=cortex-x3 core0=0x41d4e part0=0x411fd4e0 cpus0=7 "
	"max_khz0=3187200 capacity0=1024 name1=cortex-a715 core1=0x41d4d part1=0x411fd4d0 "
	"cpus1=3-6 max_khz1=2803200 capacity1=867 name2=cortex-a510 core2=0x41d46 "
	"part2=0x411fd461 cpus2=0-2 max_khz2=2016000 capacity2=326 counters=none "
	"why=perf_event_paranoid%20is%203 events=page_faults";
static const char doctor[] =
	"governor0=walt min_khz0=595200 limit_khz0=2000000 cur_khz0=1000000 governor1=walt "
	"min_khz1=499200 limit_khz1=- cur_khz1=- governor2=performance min_khz2=- limit_khz2=- "
	"cur_khz2=- clock_ns=52 paranoid=3 allowed=0-7 page_bytes=4096 boot=abc "
	"battery=main:Not_charging:15 sensors=main,rail:denied zones=cpu-1-0:43100,gpu:50000";
static const char vitals[] =
	"temp_mc=43100 zone=cpu-1-0 throttled=1 charging=0 khz0=1000000 khz1=- khz2=- "
	"energy_uj=- power_uw=1500000 source=main";

/* What is printed, as one text; the caller frees it. */
static char *print(const struct checkup *checkup, int as_json)
{
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	(as_json ? checkup_print_json : checkup_print)(out, checkup);
	fclose(out);
	return text;
}

static void test_facts(void)
{
	struct facts facts;
	struct gen_error err;

	if (!CHECK(facts_take(&facts, hello, doctor, &err) == 0))
		return;
	CHECK(!strcmp(facts.governor, "walt,walt,performance"));
	CHECK(!strcmp(facts.thermal, "cpu-1-0 43.1 C"));
	CHECK(!strcmp(facts.battery, "Not charging, 15 %"));
	CHECK(!strcmp(facts.energy, "main,rail:denied"));
	CHECK(!strcmp(facts.paranoid, "3") && facts.clock_ns == 52);
	CHECK(facts_take(&facts, hello, "governor0=walt governor1=walt battery=b:-:- zones=-",
			 &err) == 0);
	CHECK(!strcmp(facts.governor, "walt") && !strcmp(facts.battery, "unknown"));
	CHECK(!*facts.thermal && !*facts.energy && !*facts.paranoid && facts.clock_ns == 0);

	/* A probe that has no such verb, and a device that tells nothing. */
	CHECK(facts_take(&facts, hello, "", &err) == 0);
	CHECK(!*facts.governor && !*facts.thermal && !*facts.battery && !*facts.energy);
	CHECK(facts_take(&facts, hello,
			 "governor0=- clock_ns=-5 paranoid=- battery=- sensors=- zones=-",
			 &err) == 0);
	CHECK(!*facts.governor && !*facts.battery && !*facts.energy && facts.clock_ns == 0);
	CHECK(facts_take(
		      &facts,
		      "protocol=1 cpu=A%1b%5b2J%0aB kernel=- arch=x features=- cores=1 "
		      "classes=1 l1d_bytes=1 l2_bytes=1 llc_bytes=1 counters=none why=- events=-",
		      "", &err) == 0);
	CHECK(!strcmp(facts.cpu, "A?[2J?B"));
	CHECK(facts_take(&facts, "protocol=2", doctor, &err) < 0);
	CHECK_SAYS(err.text, "another protocol");
}

static void test_report(void)
{
	static const char *const lines[] = {
		"machine     Kalama \"MTP\", aarch64, Linux 5.15\n",
		"clock       ticks of 52 ns\n",
		"heat        cpu-1-0 43.1 C, gpu 50.0 C; slowed down\n",
		"battery     Not charging, 15 %\n",
		"energy      main,rail:denied; now 1.50 W\n",
		"\n0      cortex-x3            0x411fd4e0        1024       595      3187      1000  "
		"walt         7\n",
		"\n1      cortex-a715                4         -            -           -\n",
		"  - the system slows processors down because of heat",
		"  - it is plugged in, so its battery's gauge cannot tell what is drawn\n",
		"  - class 0, 1: the governor is walt,",
		"  - class 0 (cortex-x3): held at 2000 MHz of 3187 MHz",
		"  - class 0 (cortex-x3), 1 thread: the same work took up to 1.50 times",
		"  - class 1 (cortex-a715), 4 threads: not measured: no memory\n",
		"  - perf_event_paranoid is 3, so there are no hardware counters",
		"  - sensors of energy or power are there, but only root may read them: main,rail:denied",
	};
	static struct checkup checkup;
	struct gen_error err;
	char *text;

	checkup.device = "phone";
	checkup.at = "SERIAL";
	if (!CHECK(checkup_take(&checkup, hello, doctor, vitals, &err) == 0))
		return;
	CHECK(checkup.n_classes == 3 && checkup.classes[1].limit_khz == CHECKUP_ABSENT);
	checkup.classes[0].n_speeds = 1;
	checkup.classes[0].speeds[0] = (struct checkup_speed){1, 20, 100, 1e6, 1.5e6, ""};
	checkup.classes[1].n_speeds = 1;
	checkup.classes[1].speeds[0] = (struct checkup_speed){4, 0, 0, 0, 0, "no memory"};
	text = print(&checkup, 0);
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		CHECK_SAYS(text, lines[i]);
	free(text);
	text = print(&checkup, 1);
	CHECK_SAYS(text, "\"cpu\": \"Kalama \\\"MTP\\\"\",");
	CHECK_SAYS(text,
		   "\"limit_khz\": 2000000, \"cur_khz\": 1000000, \"speeds\": [{\"threads\": 1, "
		   "\"dram_gbps\": 20,");
	CHECK_SAYS(text, "\"limit_khz\": null, \"cur_khz\": null, \"speeds\": [{\"threads\": 4, "
			 "\"dram_gbps\": null,");
	CHECK_SAYS(text, "\"energy_uj\": null,");
	free(text);
}

/* Brackets match outside strings, and every byte is plain ASCII. */
static int is_whole(const char *json)
{
	int depth = 0, is_string = 0;

	for (const char *p = json; *p; p++) {
		if (*p == '\\' && is_string)
			p++;
		else if (*p == '"')
			is_string = !is_string;
		else if (!is_string && (*p == '{' || *p == '['))
			depth++;
		else if (!is_string && (*p == '}' || *p == ']'))
			depth--;
		if (depth < 0 || (*p != '\n' && (*p < 0x20 || *p > 0x7e)))
			return 0;
	}
	return !depth && !is_string;
}

static void test_damage(void)
{
	static struct checkup checkup;
	uint64_t state = 4;
	long n_taken = 0;

	for (int i = 0; i < N_MUTANTS; i++) {
		char texts[3][PROBE_LINE + 64];
		struct gen_error err;

		strcpy(texts[0], hello);
		strcpy(texts[1], doctor);
		strcpy(texts[2], vitals);
		for (int j = i % 4; j >= 0; j--)
			mutate(texts[check_random(&state) % 3], &state);
		for (int j = 0; j < 3; j++) { /* as the transport delivers it, escapes apart */
			char *at = texts[j] + check_random(&state) % strlen(texts[j]);

			texts[j][strcspn(texts[j], "\n")] = 0;
			if (check_random(&state) % 4 == 0)
				memcpy(at, "%1b", strlen(at) < 3 ? 0 : 3);
		}
		memset(&checkup, 0, sizeof(checkup));
		checkup.device = "phone";
		if (checkup_take(&checkup, texts[0], texts[1], texts[2], &err) < 0) {
			CHECK(*err.text);
			continue;
		}
		n_taken++;
		for (int as_json = 0; as_json < 2; as_json++) {
			char *text = print(&checkup, as_json);

			CHECK(!strchr(text, 0x1b) && (!as_json || is_whole(text)));
			free(text);
		}
	}
	CHECK(n_taken > N_MUTANTS / 4);
}

int main(void)
{
	test_facts();
	test_report();
	test_damage();
	return check_exit();
}
