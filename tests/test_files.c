/*
 * test_files.c: what the tuner reads and writes: journals, results files, configs, shapes of models.
 */
#include <math.h>

#include "runtime/quern.h"
#include "scratch.h"
#include "tuner/config.h"
#include "tuner/journal.h"
#include "tuner/reason.h"

static char *home;

/* ---- journals ---- */

static const struct journal_fact facts[] = {{"seed", "1"}, {"device", "a \"quoted\" \\ name\n"}};

static struct journal *open_journal(const struct journal_fact *header, int fresh, char *note)
{
	struct gen_error err;
	struct journal *journal = journal_open("j.journal", header, 2, fresh, note, &err);

	check_that(journal != NULL, __FILE__, __LINE__, err.text);
	return journal;
}

static void add(struct journal *journal, const char *question, const char *answer)
{
	struct gen_error err;

	CHECK(journal_add(journal, question, answer, &err) == 0);
}

static void test_journal(void)
{
	const struct journal_fact other[] = {{"seed", "2"}, facts[1]};
	struct gen_error err;
	struct journal *journal;
	char note[256], *text, *damaged;
	size_t n;

	journal = open_journal(facts, 0, note);
	CHECK(!*note && journal_n_taken(journal) == 0);
	add(journal, "time x 1", "ok ns=5");
	add(journal, "odd \"\\\001\n", "fail \xc3\xa4");
	CHECK(journal_open("j.journal", facts, 2, 0, note, &err) == NULL);
	CHECK_SAYS(err.text, "in use");
	journal_close(journal);

	journal = open_journal(facts, 0, note);
	CHECK(journal_n_taken(journal) == 2 && strstr(note, "taking up"));
	CHECK(!strcmp(journal_find(journal, "time x 1"), "ok ns=5"));
	CHECK(!strcmp(journal_find(journal, "odd \"\\\001\n"), "fail \xc3\xa4"));
	CHECK(journal_find(journal, "time x") == NULL);
	for (int i = 0; i < 3000; i++) {
		char question[32];

		snprintf(question, sizeof(question), "q %d", i);
		add(journal, question, question + 2);
	}
	CHECK(!strcmp(journal_find(journal, "q 1234"), "1234"));
	journal_close(journal);

	/* Cut anywhere: the whole lines before are kept, and it can be added to. */
	text = scratch_read_text("j.journal");
	n = strlen(text);
	for (size_t cut = 1; cut < 500; cut += 3) {
		FILE *file = fopen("j.journal", "w");
		size_t whole = 0;

		fwrite(text, 1, n - cut, file);
		fclose(file);
		for (size_t i = 0; i < n - cut; i++)
			whole += text[i] == '\n';
		journal = open_journal(facts, 0, note);
		if (!journal)
			continue;
		CHECK(journal_n_taken(journal) == whole - 1);
		add(journal, "after", "ok");
		journal_close(journal);
		journal = open_journal(facts, 0, note);
		CHECK(journal && journal_find(journal, "after"));
		journal_close(journal);
	}

	/* A header alone, even torn, is a new journal. */
	scratch_write_text("j.journal", "{\"quern\":\"jour");
	journal = open_journal(facts, 0, note);
	CHECK(journal_n_taken(journal) == 0);
	journal_close(journal);

	/* Damage in the middle names its line; flipped bytes never crash. */
	scratch_write_text("j.journal", text);
	damaged = strdup(text);
	memcpy(strchr(strchr(damaged, '\n') + 1, '\n') - 5, "\"\"\"", 3);
	scratch_write_text("j.journal", damaged);
	CHECK(journal_open("j.journal", facts, 2, 0, note, &err) == NULL);
	CHECK_SAYS(err.text, "j.journal:2: ");
	free(damaged);
	for (uint64_t seed = 1; seed <= 200; seed++) {
		uint64_t random = seed;
		FILE *file = fopen("j.journal", "w");

		damaged = strdup(text);
		for (int i = 0; i < 3; i++)
			damaged[check_random(&random) % 2000] = (char)check_random(&random);
		fwrite(damaged, 1, 2000, file);
		fclose(file);
		free(damaged);
		journal_close(journal_open("j.journal", facts, 2, 0, note, &err));
	}

	/* Another search, and --fresh: moved aside. */
	scratch_write_text("j.journal", text);
	journal = open_journal(other, 0, note);
	CHECK(journal_n_taken(journal) == 0 && strstr(note, "another seed"));
	journal_close(journal);
	journal = open_journal(other, 1, note);
	CHECK(strstr(note, "--fresh") != NULL);
	journal_close(journal);
	scratch_write_text("j.journal", "quern: results\n");
	CHECK(journal_open("j.journal", facts, 2, 0, note, &err) == NULL);
	CHECK_SAYS(err.text, "j.journal:1: ");
	free(text);
}

/* ---- results files ---- */

static void check_bad_record(const char *text, const char *says)
{
	struct record record;
	struct gen_error err = {""};

	scratch_write_text("bad.yaml", text);
	if (CHECK(record_read(&record, "bad.yaml", &err) < 0))
		CHECK_SAYS(err.text, says);
}

/* Numbers of which two are known, one of them 0. */
static void fill_why(struct record_why *why, const char *reason, const char *tier)
{
	strcpy(why->reason, reason);
	strcpy(why->tier, tier);
	why->has_numbers = 1;
	reason_clear(&why->numbers);
	why->numbers.code_bytes = 812;
	why->numbers.spills = 0;
}

static void fill_record(struct record *record)
{
	struct record_entry *entry;
	struct record_finalist *finalist;

	memset(record, 0, sizeof(*record));
	record->complete = 1;
	record->device.cpu = strdup("A: \"CPU\" # 1");
	record->device.cores = 4;
	record->device.governor = strdup("schedutil");
	record->device.clock_ns = 52;
	record->protocol.sustained = 300;
	record->protocol.thermal.is_gated = 1;
	record->protocol.thermal.cool_downs = 3;
	record->protocol.thermal.seconds = 41.5;
	record->compiler.clang = strdup("clang-19 --target=x");
	record->counters = strdup("none: no, really");
	record->protocol.seed = 77;
	record->protocol.seconds = 1.5;
	record_add_failure(record, "dot_x", "crash: signal 11");
	record_add_ceiling(record)->threads = 2;
	record->ceilings[0].dram_gbps = 12.25;
	record->ceilings[0].core = 0x41d4e;
	entry = record_add_entry(record);
	strcpy(entry->format, "w4g32");
	strcpy(entry->kernel, "dot_w4g32_a8g32_scalar_r1");
	strcpy(entry->key, "family=dot format=w4g32 act=a8g32 isa=scalar KU=1 UNPACK=shift");
	strcpy(entry->default_kernel, "dot_d");
	entry->m = 64, entry->k = 32, entry->n = 1, entry->threads = 2;
	entry->median_us = 12.5;
	entry->speedup.ratio = 1.25;
	entry->core = 0x41d4e;
	strcpy(entry->core_name, "cortex-x3");
	entry->sustained_us = 20.5;
	strcpy(entry->burst_kernel, "dot_e");
	entry->energy_uj = 7.5;
	strcpy(entry->energy_source, "battery");
	strcpy(entry->code, "0123456789012345");
	strcpy(entry->run, "r2");
	strcpy(entry->layout, "32-bits-v32");
	strcpy(entry->shipped, "dot_g");
	entry->flagged = entry->flags.stolen = 2;
	entry->control.ratio = 1.25, entry->control.low = 0.75, entry->control.high = 1.5;
	entry->is_lossy = 1;
	record_add_equivalent(entry, "dot_e");
	record_add_counter(entry, "cycles", 123);
	fill_why(&entry->why, "at the roof: 93 % of 40.9 GB/s", "measured");
	finalist = record_add_finalist(entry);
	strcpy(finalist->kernel, "dot_f");
	strcpy(finalist->key, entry->key);
	finalist->ratio = 1.25;
	fill_why(&finalist->why, "more work: 1.31x", "static");
	finalist = record_add_finalist(entry);
	strcpy(finalist->kernel, "dot_g");
	strcpy(finalist->key, entry->key);
	strcpy(finalist->layout, "64-narrow-planes-v64");
	finalist->ratio = 1.5;
	finalist->energy_uj = 6.5;
	entry = record_add_entry(record);
	strcpy(entry->format, "w4g32");
	strcpy(entry->kernel, "dot_w4g32_a8g32_neon_r1");
	strcpy(entry->key, "family=dot format=w4g32 act=a8g32 isa=neon KU=1 UNPACK=shift");
	entry->m = 64, entry->k = 32, entry->n = 1, entry->threads = 1;
	strcpy(entry->run, "r1");
	entry->is_estimated = 1;
	entry->estimate.cycles_per_weight = 0.125;
	entry->estimate.instructions_per_weight = 0.25;
	entry->estimate.spills = 3;
	strcpy(entry->estimate.bottleneck, "2 vector pipes: busy 99 % # of the time");
	strcpy(record_add_run(record)->id, "r1");
	strcpy(record_add_run(record)->id, "r2");
	record->runs[1].complete = 1;
	record->runs[1].protocol.shard = strdup("2/3");
	record->runs[1].protocol.seed = 7;
	record->runs[1].protocol.thermal.is_gated = 1;
	record->runs[1].protocol.thermal.baselines = 2;
	record->runs[1].generator.families = strdup("dot=0123456789012345 lut=ab");
	record->generator.families = strdup("dot=12");
	record->protocol.missing = strdup("1/3");
	record->estimated.core = strdup("cortex-a76");
	record->estimated.llvm_mca = strdup("19.1.7");
	entry = record_add_entry(record);
	entry->is_default = 1;
	strcpy(entry->format, "w1g128");
	strcpy(entry->key, "family=lut format=w1g128 act=a8g32 isa=scalar KU=1");
}

static void check_why(const struct record_why *in, const struct record_why *out)
{
	CHECK(!strcmp(in->reason, out->reason) && !strcmp(in->tier, out->tier));
	CHECK(in->has_numbers && in->numbers.code_bytes == 812 && in->numbers.spills == 0);
	CHECK(isnan(in->numbers.cycles) && isnan(in->numbers.code_instructions));
}

static void test_record(void)
{
	struct record out, in;
	struct gen_error err = {""};
	char *first, *second;

	fill_record(&out);
	check_that(record_write(&out, "new/folder/r.yaml", &err) == 0, __FILE__, __LINE__,
		   err.text);
	CHECK(access("new/folder/r.yaml.tmp", F_OK) < 0);
	if (check_that(record_read(&in, "new/folder/r.yaml", &err) == 0, __FILE__, __LINE__,
		       err.text)) {
		CHECK(in.complete && in.device.cores == 4 && in.protocol.seed == 77);
		CHECK(!strcmp(in.device.cpu, out.device.cpu) && !strcmp(in.counters, out.counters));
		CHECK(in.protocol.n_failed == 1 && in.n_ceilings == 1 && in.n_entries == 3);
		CHECK(in.ceilings[0].dram_gbps == 12.25);
		CHECK(!strcmp(in.compiler.clang, out.compiler.clang) && !in.compiler.clang_version);
		CHECK(!strcmp(in.entries[0].key, out.entries[0].key));
		CHECK(in.entries[0].median_us == 12.5 && in.entries[0].n_equivalent == 1);
		CHECK(in.entries[0].n_counters == 1 && in.entries[0].counters[0].value == 123);
		CHECK(!strcmp(in.device.governor, "schedutil") && in.device.clock_ns == 52);
		CHECK(!in.device.thermal && !in.device.paranoid && in.protocol.sustained == 300);
		CHECK(in.protocol.thermal.is_gated && in.protocol.thermal.cool_downs == 3);
		CHECK(in.protocol.thermal.seconds == 41.5 && !in.protocol.thermal.baselines);
		CHECK(in.ceilings[0].core == 0x41d4e && in.entries[0].core == 0x41d4e);
		CHECK(!strcmp(in.entries[0].core_name, "cortex-x3"));
		CHECK(in.entries[0].sustained_us == 20.5 && in.entries[0].energy_uj == 7.5);
		CHECK(!strcmp(in.entries[0].burst_kernel, "dot_e"));
		CHECK(!strcmp(in.entries[0].energy_source, "battery"));
		CHECK(!in.entries[1].core && !*in.entries[1].core_name);
		CHECK(!strcmp(in.entries[0].layout, "32-bits-v32") && !*in.entries[1].layout);
		CHECK(!strcmp(in.entries[0].shipped, "dot_g") && !*in.entries[1].shipped);
		CHECK(in.entries[0].flags.stolen == 2 && !in.entries[0].flags.hot);
		CHECK(in.entries[0].control.ratio == 1.25 && in.entries[0].control.low == 0.75 &&
		      in.entries[0].control.high == 1.5 && !in.entries[1].control.ratio);
		CHECK(!*in.entries[0].finalists[0].layout && !in.entries[0].finalists[0].energy_uj);
		CHECK(!strcmp(in.entries[0].finalists[1].layout, "64-narrow-planes-v64") &&
		      in.entries[0].finalists[1].energy_uj == 6.5);
		check_why(&in.entries[0].why, &out.entries[0].why);
		check_why(&in.entries[0].finalists[0].why, &out.entries[0].finalists[0].why);
		CHECK(!in.entries[0].finalists[1].why.has_numbers &&
		      !in.entries[1].why.has_numbers);
		CHECK(!*in.entries[0].finalists[1].why.reason && !*in.entries[1].why.tier);
		CHECK(!in.entries[0].is_estimated && in.entries[1].is_estimated);
		CHECK(in.entries[1].estimate.cycles_per_weight == 0.125);
		CHECK(in.entries[1].estimate.spills == 3 && in.entries[1].m == 64);
		CHECK(!strcmp(in.entries[1].estimate.bottleneck,
			      out.entries[1].estimate.bottleneck));
		CHECK(!strcmp(in.entries[0].code, out.entries[0].code) && in.entries[0].is_lossy);
		CHECK(!strcmp(in.entries[0].run, "r2") && !in.entries[1].is_lossy);
		CHECK(in.entries[1].line > in.entries[0].line && in.n_runs == 2);
		CHECK(!in.runs[0].complete && in.runs[1].complete && in.runs[1].protocol.seed == 7);
		CHECK(!strcmp(in.runs[1].protocol.shard, "2/3") && !in.runs[0].protocol.shard);
		CHECK(in.runs[1].protocol.thermal.baselines == 2);
		CHECK(!strcmp(in.runs[1].generator.families, out.runs[1].generator.families));
		CHECK(!strcmp(in.generator.families, "dot=12"));
		CHECK(!strcmp(in.protocol.missing, "1/3"));
		CHECK(!strcmp(in.estimated.core, "cortex-a76") && !in.estimated.model);
		CHECK(in.entries[2].is_default && !strcmp(in.entries[2].key, out.entries[2].key));
		record_write(&in, "again.yaml", &err);
		first = scratch_read_text("new/folder/r.yaml");
		second = scratch_read_text("again.yaml");
		CHECK(!strcmp(first, second));
		CHECK(strstr(first, "\nestimated:\n  core: cortex-a76\n") != NULL);
		CHECK(strstr(first, "\n  core: 0x41d4e\n") != NULL);
		CHECK(strstr(first, "{cool_downs: 3, seconds: 41.5, baselines: 0}") != NULL);
		CHECK(strstr(first, "battery:") == NULL);
		CHECK(strstr(first, "  per_weight: {code_bytes: 812, spills: 0}\n") != NULL);
		CHECK(strstr(first,
			     "reason_tier: static, per_weight: {code_bytes: 812, spills: 0}, "
			     "point:") != NULL);
		free(first);
		free(second);
		record_free(&in);
	}
	/* A file that cannot be written leaves the old one. */
	mkdir("is-folder.yaml", 0777);
	CHECK(record_write(&out, "is-folder.yaml", &err) < 0);
	CHECK(access("is-folder.yaml.tmp", F_OK) < 0);
	CHECK(record_write(&out, "again.yaml/r.yaml", &err) < 0);
	CHECK_SAYS(err.text, "cannot make the folder again.yaml: Not a directory");
	CHECK(record_write(&out, "", &err) < 0);
	record_free(&out);
}

#define HEAD "quern: results\nschema: 1\nentries:\n"
#define POINT "point: {UNPACK: shift, KU: 1, isa: scalar, act: a8g32, format: w4g32, family: dot}"

static void test_bad_records(void)
{
	struct record record;
	struct gen_error err = {""};

	/* Keys of a point may come in any order and are put in that of gen.h. */
	scratch_write_text("d.yaml", HEAD "- {format: w4g32, default: true, " POINT "}\n");
	if (CHECK(record_read(&record, "d.yaml", &err) == 0)) {
		CHECK(!strcmp(record.entries[0].key,
			      "family=dot format=w4g32 act=a8g32 isa=scalar KU=1 UNPACK=shift"));
		record_free(&record);
	}
	CHECK(record_read(&record, "absent.yaml", &err) < 0);
	CHECK_SAYS(err.text, "absent.yaml");
	check_bad_record("", "bad.yaml");
	check_bad_record("quern: config\n", "bad.yaml:1: ");
	check_bad_record(HEAD "- {format: w4g32, m: 1, k: 1, n: 1, threads: 1, median_us: 1, "
			      "estimated: {cycles_per_weight: 1}, " POINT "}\n",
			 "bad.yaml:4: an estimated entry has no 'median_us'");
	check_bad_record(HEAD
			 "- {format: w4g32, m: 1, k: 1, n: 1, threads: 1, estimated: {}, " POINT
			 "}\n",
			 "needs a cycles_per_weight above 0");
	check_bad_record(
		HEAD "- {format: w4g32, default: true, estimated: {cycles_per_weight: 1}, " POINT
		     "}\n",
		"a default entry has no 'estimated'");
	check_bad_record(HEAD "- {format: w4g32, m: 1, k: 1, n: 1, threads: 1, "
			      "estimated: {cycles_per_weight: 1, x: 2}, " POINT "}\n",
			 "unknown key 'x' in estimated");
	check_bad_record("quern: results\nschema: 1\nentries: []\nestimated: yes\n",
			 "estimated must be a mapping");
	check_bad_record("quern: results\nschema: 2\nentries: []\n", "bad.yaml:2: schema");
	check_bad_record("quern: results\nschema: 1\n", "'entries' is missing");
	check_bad_record("quern: results\nschema: 1\nwhat: 1\nentries: []\n",
			 "bad.yaml:3: unknown key 'what'");
	check_bad_record(HEAD "- 1\n", "bad.yaml:4: ");
	check_bad_record(HEAD "- {format: w4g32, default: true}\n",
			 "bad.yaml:4: the entry has no 'point'");
	check_bad_record(HEAD "- {format: w4g32, " POINT "}\n",
			 "bad.yaml:4: an entry needs m, k, n");
	check_bad_record(HEAD "- {format: w8g32, default: true, " POINT "}\n", "another format");
	check_bad_record(HEAD "- {format: w4g32, default: true, m: 3, " POINT "}\n", "no 'm'");
	check_bad_record(HEAD "- {format: w4g32, default: true, point: {family: dot}}\n",
			 "no 'format'");
	check_bad_record(HEAD "- format: w4g32\n  m: x\n",
			 "bad.yaml:5: 'm' must be a whole number");
	check_bad_record(HEAD "- format: w4g32\n  gbps: -1\n",
			 "bad.yaml:5: 'gbps' must be a number");
	check_bad_record(HEAD "- format: w4g32\n  core: cortex-x3\n",
			 "bad.yaml:5: 'core' must be a kind of core, such as 0x41d4e");
	check_bad_record(HEAD "- format: w4g32\n  core: 0\n", "bad.yaml:5: 'core' must be");
	check_bad_record(HEAD "- format: w4g32\n  sustained_us: -2\n",
			 "bad.yaml:5: 'sustained_us' must be a number");
	check_bad_record(HEAD "- {format: w4g32, default: true, core: 0x41d4e, " POINT "}\n",
			 "a default entry has no 'core'");
	check_bad_record(HEAD "- {format: w4g32, m: 1, k: 1, n: 1, threads: 1, energy_uj: 2, " POINT
			      "}\n",
			 "bad.yaml:4: energy_uj (above 0) and energy_source belong together");
	check_bad_record(HEAD "- {format: w4g32, m: 1, k: 1, n: 1, threads: 1, shipped: dot, " POINT
			      "}\n",
			 "bad.yaml:4: 'shipped' must be one of the entry's finalists");
	check_bad_record(HEAD "- format: w4g32\n  flags: {late: 1}\n",
			 "bad.yaml:5: unknown key 'late' in flags");
	check_bad_record(HEAD "- format: w4g32\n  control: {low: 1}\n",
			 "bad.yaml:5: 'control' needs a ratio above 0");
	check_bad_record(HEAD "- {format: w4g32, default: true, flags: {hot: 1}, " POINT "}\n",
			 "an entry without measurements has no 'flags' or 'control'");
	check_bad_record("quern: results\nschema: 1\nentries: []\nprotocol:\n  thermal: {hot: 1}\n",
			 "bad.yaml:5: unknown key 'hot' in thermal");
	check_bad_record("quern: results\nschema: 1\nentries: []\nprotocol:\n  runs: [{id: a}]\n",
			 "bad.yaml:5: 'runs' must be a list of several");
	check_bad_record("quern: results\nschema: 1\nentries: []\nprotocol:\n"
			 "  runs:\n  - {id: a}\n  - {seed: 2}\n",
			 "bad.yaml:7: the run has no 'id'");
	check_bad_record("quern: results\nschema: 1\nentries: []\nprotocol:\n"
			 "  runs:\n  - {id: a}\n  - {id: a}\n",
			 "bad.yaml:7: two runs have the id a");
	check_bad_record("quern: results\nschema: 1\nentries: []\nprotocol:\n"
			 "  runs:\n  - {id: a, generator: {families: [dot]}}\n  - {id: b}\n",
			 "bad.yaml:6: 'families' must be a mapping");
	check_bad_record("quern: results\nschema: 1\nentries: []\ngenerator:\n"
			 "  families: {dot: 'a b'}\n",
			 "bad.yaml:5: 'families' must have a hash of each family");
	check_bad_record(HEAD "- {format: w4g32, m: 1, k: 1, n: 1, threads: 1, run: a, " POINT
			      "}\n",
			 "bad.yaml:4: the protocol lists no such 'run'");
	check_bad_record(HEAD "- format: w4g32\n  op: gems\n", "bad.yaml:5: op must be gemv");
	check_bad_record(HEAD "- format: w4g32\n  reason_tier: guessed\n",
			 "bad.yaml:5: 'reason_tier' must be measured or static");
	check_bad_record(HEAD "- format: w4g32\n  reason: [1]\n",
			 "bad.yaml:5: 'reason' must be a word");
	check_bad_record(HEAD "- format: w4g32\n  reason: ''\n", "1 to 191 characters");
	check_bad_record(HEAD
			 "- {format: w4g32, m: 1, k: 1, n: 1, threads: 1, reason: it is, " POINT
			 "}\n",
			 "bad.yaml:4: reason and reason_tier belong together");
	check_bad_record(HEAD "- {format: w4g32, default: true, reason: it is, " POINT "}\n",
			 "a default entry has no 'reason'");
	check_bad_record(HEAD "- {format: w4g32, default: true, per_weight: {}, " POINT "}\n",
			 "bad.yaml:4: an entry without measurements has no 'per_weight'");
	check_bad_record(HEAD "- format: w4g32\n  per_weight: {cycles: -1}\n",
			 "bad.yaml:5: 'cycles' must be a number, not negative");
	check_bad_record(HEAD "- format: w4g32\n  per_weight: {cycles: nan}\n",
			 "bad.yaml:5: 'cycles' must be a number, not negative");
	check_bad_record(HEAD "- format: w4g32\n  per_weight: {joy: 1}\n",
			 "bad.yaml:5: unknown key 'joy' in per_weight");
	check_bad_record(HEAD "- format: w4g32\n  per_weight: 3\n",
			 "bad.yaml:5: per_weight must be a mapping");
	check_bad_record(HEAD
			 "- format: w4g32\n  finalists:\n  - {kernel: x, ratio: 1, reason_tier: "
			 "static, " POINT "}\n",
			 "bad.yaml:6: reason and reason_tier belong together");
	check_bad_record(HEAD "- {format: w4g32, default: maybe}\n",
			 "'default' must be true or false");
}

/* ---- configs ---- */

static void check_bad_config(struct gen *gen, const char *text, const char *says)
{
	struct config config;
	struct gen_error err = {""};

	scratch_write_text("c.yaml", text);
	if (CHECK(config_read(&config, gen, "c.yaml", &err) < 0))
		CHECK_SAYS(err.text, says);
}

#define REST "tokens: [1]\nthreads: [1, all]\nacts: [a8g32]\nfamilies: [dot]\nisas: native\n"

/* What activation format number i is for a format: "" where it is left out. */
static const char *act_of(struct gen *gen, const char *format, const char *acts, size_t i)
{
	static char act[16];
	struct config config;
	struct gen_error err = {""};
	FILE *file = fopen("acts.yaml", "w");

	*act = 0;
	if (!CHECK(file != NULL))
		return act;
	fprintf(file,
		"quern: config\nschema: 1\nformats: [%s]\nshapes: [64x64]\nacts: [%s]\n"
		"tokens: [1]\nthreads: [1]\nfamilies: [dot]\n",
		format, acts);
	fclose(file);
	if (!check_that(!config_read(&config, gen, "acts.yaml", &err), __FILE__, __LINE__,
			err.text))
		return act;
	if (config_act(&config, 0, i))
		snprintf(act, sizeof(act), "%s", config_act(&config, 0, i));
	config_free(&config);
	return act;
}

static void test_acts(struct gen *gen)
{
	CHECK(!strcmp(act_of(gen, "w4g32", "own", 0), "a8g32"));
	CHECK(!strcmp(act_of(gen, "w4g32zk", "own", 0), "a8g256"));
	CHECK(!strcmp(act_of(gen, "wtg256", "own", 0), "a8g256"));
	CHECK(!strcmp(act_of(gen, "w4g32zk", "a8r, own", 0), "a8r"));
	CHECK(!strcmp(act_of(gen, "w4g32", "a8g256, a8g32", 0), ""));
	CHECK(!strcmp(act_of(gen, "w4g32", "a8g256, a8g32", 1), "a8g32"));
	CHECK(!strcmp(act_of(gen, "w4g32zk", "a8g256, own", 1), ""));
	CHECK(!strcmp(act_of(gen, "w4g32", "a8g256, own", 1), "a8g32"));
	check_bad_config(gen, "quern: config\nschema: 1\nacts: [own, own]\n", "twice");
}

static void test_config(struct gen *gen)
{
	struct config config;
	struct gen_error err = {""};
	char path[1100], *text;

	snprintf(path, sizeof(path), "%s/tuner/configs/default.yaml", home);
	if (!check_that(config_read(&config, gen, path, &err) == 0, __FILE__, __LINE__, err.text))
		return;
	CHECK(config.formats.n == 6 && config.n_shapes == 6 && config.threads.n == 2);
	CHECK(config.threads.list[1] == CONFIG_ALL && config.isas.n == 0);
	CHECK(config_set_formats(&config, gen, "w8g32", &err) == 0 && config.formats.n == 1);
	CHECK(config_set_shapes(&config, "64x32,1x1", &err) == 0 && config.n_shapes == 2);
	CHECK(config_set_threads(&config, "all,3", &err) == 0 && config.threads.n == 2);
	text = config_text(&config);
	CHECK(strstr(text, "formats w8g32;") && strstr(text, " 64x32:1 1x1:1"));
	free(text);
	CHECK(config_set_formats(&config, gen, "w8g32,w9", &err) < 0);
	CHECK_SAYS(err.text, "--formats: unknown format 'w9': must be one of");
	CHECK(config_set_shapes(&config, "64x", &err) < 0);
	CHECK_SAYS(err.text, "--shapes: shape '64x' must be MxK");
	CHECK(config_set_threads(&config, "1,1", &err) < 0);
	CHECK_SAYS(err.text, "twice");
	CHECK(config_set_cores(&config, "cortex-x3,fastest", &err) == 0 && config.cores.n == 2);
	CHECK(config_set_cores(&config, "a,a", &err) < 0);
	CHECK_SAYS(err.text, "--cores: cores 'a' are named twice");
	CHECK(config_set_cores(&config, "a,", &err) < 0);
	CHECK(config_set_threads(&config, "-1", &err) < 0);
	CHECK(config_set_threads(&config, "", &err) < 0);
	config_free(&config);

	check_bad_config(gen, "", "c.yaml");
	check_bad_config(gen, "quern: results\n", "c.yaml:1: ");
	check_bad_config(gen, "quern: config\nschema: 1\nformat: [w4g32]\n",
			 "c.yaml:3: unknown key");
	check_bad_config(gen, "quern: config\nschema: 1\nformats: [w4g32]\nshapes: [4x4]\n",
			 "is missing");
	check_bad_config(gen, "quern: config\nschema: 1\nformats: []\n",
			 "c.yaml:3: 'formats' must be");
	check_bad_config(gen, "quern: config\nschema: 1\nformats: [w4g32,\n  w5]\n",
			 "c.yaml:4: unknown format");
	check_bad_config(gen, "quern: config\nschema: 1\nformats: [w4g32, w4g32]\n", "twice");
	check_bad_config(gen, "quern: config\nschema: 1\nshapes: [4096x0]\n", "c.yaml:3: shape");
	check_bad_config(gen, "quern: config\nschema: 1\nshapes: [[1]]\n", "plain words");
	check_bad_config(gen, "quern: config\nschema: 1\nfamilies: [dots]\n", "unknown family");
	check_bad_config(gen, "quern: config\nschema: 1\nacts: [a8]\n",
			 "unknown activation format 'a8': must be one of a8g32, a8g256, a8r, own");
	check_bad_config(gen, "quern: config\nschema: 1\nisas: [avx9]\n", "unknown isa");
	check_bad_config(gen, "quern: config\nschema: 1\ntokens: [0]\n", "number of tokens");
	check_bad_config(gen, "quern: config\nschema: 1\ncores: all\n",
			 "c.yaml:3: 'cores' must be");
	check_bad_config(gen, "quern: config\nschema: 1\nmax_nmse: 1\n", "c.yaml:3: max_nmse");
	check_bad_config(gen, "quern: config\nschema: 1\nmax_nmse: exact\n", "c.yaml:3: max_nmse");
	check_bad_config(gen, "quern: config\nschema: 1\nmax_nmse: [1e-4]\n", "c.yaml:3: max_nmse");
	check_bad_config(gen, "quern: config\nschema: 3\n" REST, "c.yaml:2: schema");
}

/* A GGUF file with tensors of the given names, types and 64x32 shape; no data is read. */
static void write_gguf(const char *path, const char *const *names, const uint32_t *types,
		       uint64_t n)
{
	FILE *file = fopen(path, "wb");
	uint64_t n_keys = 0, dims[2] = {64, 32}, offset = 0, length;
	uint32_t version = 3, n_dims = 2;
	static const char zeros[32 * 64 * 4 + 32];

	fwrite("GGUF", 1, 4, file);
	fwrite(&version, 4, 1, file);
	fwrite(&n, 8, 1, file);
	fwrite(&n_keys, 8, 1, file);
	for (uint64_t i = 0; i < n; i++) {
		length = strlen(names[i]);
		fwrite(&length, 8, 1, file);
		fwrite(names[i], 1, length, file);
		fwrite(&n_dims, 4, 1, file);
		dims[1] = types[i] == QUERN_F32 ? 32 : 16;
		fwrite(dims, 8, 2, file);
		fwrite(&types[i], 4, 1, file);
		fwrite(&offset, 8, 1, file);
		offset += 32 * 64 * 4;
	}
	while (ftell(file) % 32)
		fputc(0, file);
	for (uint64_t i = 0; i < n; i++)
		fwrite(zeros, 1, 32 * 64 * 4, file);
	fclose(file);
}

static void test_model(struct gen *gen)
{
	static const char *const names[] = {"token_embd.weight", "blk.0.attn_q.weight",
					    "blk.0.ffn_up.weight", "blk.0.attn_norm.weight"};
	static const uint32_t types[] = {QUERN_F32, QUERN_Q4_0, QUERN_F32, QUERN_F32};
	struct config config;
	struct gen_error err = {""};
	char path[1100];

	snprintf(path, sizeof(path), "%s/tuner/configs/default.yaml", home);
	write_gguf("m.gguf", names, types, 4);
	if (!CHECK(config_read(&config, gen, path, &err) == 0))
		return;
	config_set_formats(&config, gen, "w1g128", &err);
	check_that(config_set_model(&config, "m.gguf", 0, &err) == 0, __FILE__, __LINE__, err.text);
	CHECK(config.formats.n == 2 && config.n_shapes == 2);
	CHECK(config.shapes[0].m == 16 && config.shapes[0].k == 64 &&
	      config.shapes[0].formats == 2);
	CHECK(config.shapes[1].m == 32 && config.shapes[1].k == 64 &&
	      config.shapes[1].formats == 1);
	config_set_formats(&config, gen, "w1g128", &err);
	CHECK(config_set_model(&config, "m.gguf", 1, &err) == 0 && config.n_shapes == 1);
	CHECK(config_set_model(&config, "c.yaml", 0, &err) < 0);
	write_gguf("m.gguf", names, types, 1);
	CHECK(config_set_model(&config, "m.gguf", 0, &err) < 0);
	CHECK_SAYS(err.text, "no matrix");
	config_free(&config);
}

int main(void)
{
	char work[64];
	struct gen_error err;
	struct gen *gen;

	home = scratch_open_home(work, "srcdir");
	if (!CHECK(home))
		return check_exit();
	gen = gen_open(home, &err);
	if (check_that(gen != NULL, __FILE__, __LINE__, err.text)) {
		test_config(gen);
		test_acts(gen);
		test_model(gen);
	}
	gen_close(gen);
	test_journal();
	test_record();
	test_bad_records();
	scratch_remove_tree(work);
	free(home);
	return check_exit();
}
