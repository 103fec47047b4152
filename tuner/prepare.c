/* prepare.c: config, device, what is known already, and the journal. */
#include "prepare.h"

#include <ctype.h>
#include <unistd.h>

#include "command.h"
#include "explain.h"
#include "fail.h"
#include "hash.h"
#include "process.h"
#include "request.h"
#include "targets.h"
#include "gen/folder.h"
#include "runtime/quern.h"

#define PROTOCOL "3" /* of the search; a change makes earlier journals worthless */

/* "AMD EPYC 9R14 (2 cores)" -> "amd-epyc-9r14-2-cores" */
static char *slug(const char *name)
{
	char *text = fail_text("%s", name), *to = text;

	for (const char *from = name; *from; from++) {
		if (isalnum((unsigned char)*from))
			*to++ = (char)tolower((unsigned char)*from);
		else if (to > text && to[-1] != '-')
			*to++ = '-';
	}
	while (to > text && to[-1] == '-')
		to--;
	*to = 0;
	if (!*text) {
		free(text);
		text = fail_text("unknown");
	}
	return text;
}

static int list_targets(struct run *run, struct gen_error *err)
{
	const struct targets in = {
		.config = &run->config,
		.cores = &run->cores,
		.n_cores = run->facts.cores,
		.is_pinned = run->device.pin,
		.from = run->options->cores ? "--cores" : "the config's cores",
		.show = &run->show,
		.contest = &run->contest,
	};
	int status;

	if (*run->cores_error.text)
		return fail_set(err, "%s", run->cores_error.text);
	status = targets_list(&in, err);
	if (status == TARGETS_MISUSED)
		run->is_misused = run->options->cores != NULL;
	return status ? -1 : 0;
}

static int open_journal(struct run *run, struct gen_error *err)
{
	const struct options *options = run->options;
	const struct facts *device = &run->facts;
	char *path = journal_path(run->output);
	char *log = fail_text("%s/logs/probe.log", run->work), *config = config_text(&run->config);
	char *what = fail_text("%s%s%s", config, *run->seeded ? "; seeds " : "", run->seeded);
	char *protocol = fail_text("%s %s %s", PROTOCOL, options->budget,
				   contest_strategies[options->strategy]);
	char note[256] = "";
	char *seed = fail_text("%llu", options->seed), *compiler, *facts;
	const char *texts = run->templates;
	const char *clang_version = compile_version(run->compile, GEN_CLANG);
	char *clang = clang_version ? fail_text("%s; %s", clang_version,
						compile_command(run->compile, GEN_CLANG))
				    : fail_text("%s", "");

	compiler =
		fail_text("%s; %s %s", compile_version(run->compile, GEN_DEFAULT),
			  compile_command(run->compile, GEN_DEFAULT), compile_flags(run->compile));
	facts = fail_text("%s; %s; %s; %s; %s; cores %ld; llc %ld", run->device.name, device->cpu,
			  device->os, device->arch, device->features, device->cores,
			  device->llc_bytes);
	struct journal_fact header[] = {
		{"config", what},     {"seed", seed},         {"protocol", protocol},
		{"templates", texts}, {"compiler", compiler}, {"clang", clang},
		{"device", facts},    {"shard", run->shard},
	};
	const size_t n_facts = sizeof(header) / sizeof(*header) - !*run->shard;
	if (folder_make_above(path, err) == 0)
		run->journal = journal_open(path, header, n_facts, options->fresh, note, err);
	if (run->journal && *note)
		show_say(&run->show, "%s", note);
	if (run->journal)
		run->session = session_open(&run->device, run->journal, options->seed, log);
	free(facts);
	free(compiler);
	free(clang);
	free(seed);
	free(protocol);
	free(what);
	free(config);
	free(log);
	free(path);
	return run->journal ? 0 : -1;
}

static int read_seeds(struct run *run, const char *path, struct gen_error *err)
{
	struct record one;
	uint64_t hash = HASH_START;
	char *text = command_read_text(path);

	if (record_read(&one, path, err) < 0) {
		free(text);
		return -1;
	}
	if (*run->seeded)
		hash = hash_text(hash, run->seeded);
	snprintf(run->seeded, sizeof(run->seeded), "%016llx",
		 (unsigned long long)hash_text(hash, text ? text : ""));
	show_say(&run->show, "the winners of %s are raced first%s%s", path,
		 one.estimated.core ? "; they were estimated for " : "",
		 one.estimated.core ? one.estimated.core : "");
	for (size_t i = 0; i < one.n_entries; i++)
		*record_add_entry(&run->seeds) = one.entries[i];
	one.n_entries = 0; /* they are the seeds' now */
	record_free(&one);
	free(text);
	return 0;
}

static int read_known(struct run *run, struct gen_error *err)
{
	char *path = fail_text("%s/results/default.yaml", run->home);
	int status = 0;

	if (access(path, F_OK) == 0)
		status = record_read(&run->defaults, path, err);
	for (size_t i = 0; !status && i < run->defaults.n_entries; i++) {
		/* Only defaults count here; what else the file says was measured elsewhere. */
		if (!run->defaults.entries[i].is_default)
			*run->defaults.entries[i].format = 0;
	}
	for (size_t i = 0; i < run->options->n_seed_from && !status; i++)
		status = read_seeds(run, run->options->seed_from[i], err);
	if (!status && access(run->output, F_OK) == 0)
		status = record_read(&run->earlier, run->output, err);
	free(path);
	return status;
}

/* NULL where the device did not tell. */
static char *told(const char *text)
{
	return *text ? fail_text("%s", text) : NULL;
}

/* "dot lut; native; exact" */
static char *describe_search(const struct config *config)
{
	char *text;
	size_t n_bytes;
	FILE *out = fail_check(open_memstream(&text, &n_bytes));

	for (size_t i = 0; i < config->families.n; i++)
		fprintf(out, "%s%s", i ? " " : "", config->families.list[i]);
	fputc(';', out);
	for (size_t i = 0; i < config->isas.n; i++)
		fprintf(out, " %s", config->isas.list[i]);
	fputs(config->isas.n ? "; " : " native; ", out);
	if (config->max_nmse > 0)
		fprintf(out, "errors up to %g", config->max_nmse);
	else
		fputs("exact", out);
	fclose(out);
	return fail_check(text);
}

static void fill_protocol(struct run *run)
{
	struct record_protocol *protocol = &run->record.protocol;
	char *config = config_text(&run->config);

	protocol->shard = told(run->shard);
	protocol->config = fail_text("%016llx", (unsigned long long)hash_text(HASH_START, config));
	protocol->searched = describe_search(&run->config);
	protocol->seeds = told(run->seeded);
	protocol->budget = fail_text("%s", run->options->budget);
	protocol->seed = (long long)run->options->seed;
	protocol->cold_bytes = (long)run->contest.cold_bytes;
	free(config);
}

static void fill_record(struct run *run)
{
	struct record *record = &run->record;
	const struct facts *facts = &run->facts;

	record->device.name = fail_text("%s", run->device.name);
	record->device.cpu = fail_text("%s", facts->cpu);
	record->device.os = fail_text("%s", facts->os);
	record->device.arch = fail_text("%s", facts->arch);
	record->device.features = fail_text("%s", facts->features);
	record->device.cores = facts->cores;
	record->device.classes = facts->classes;
	record->device.l1d_bytes = facts->l1d_bytes;
	record->device.l2_bytes = facts->l2_bytes;
	record->device.llc_bytes = facts->llc_bytes;
	record->device.governor = told(facts->governor);
	record->device.thermal = told(facts->thermal);
	record->device.battery = told(facts->battery);
	record->device.energy = told(facts->energy);
	record->device.paranoid = told(facts->paranoid);
	record->device.clock_ns = facts->clock_ns;
	record->compiler.command = fail_text("%s", compile_command(run->compile, GEN_DEFAULT));
	record->compiler.version = fail_text("%s", compile_version(run->compile, GEN_DEFAULT));
	record->compiler.flags = fail_text("%s", compile_flags(run->compile));
	if (compile_version(run->compile, GEN_CLANG)) {
		record->compiler.clang = fail_text("%s", compile_command(run->compile, GEN_CLANG));
		record->compiler.clang_version =
			fail_text("%s", compile_version(run->compile, GEN_CLANG));
	}
	record->generator.version = fail_text("%s", QUERN_VERSION);
	record->generator.templates = fail_text("%s", run->templates);
	record->generator.families = request_families(run->home, run->gen, &run->config.families);
	fill_protocol(run);
	record->counters =
		fail_text("%s%s%s%s%s", facts->counters, *facts->why ? ": " : "", facts->why,
			  *facts->events ? "; counted: " : "", facts->events);
}

static void fill_contest(struct run *run)
{
	const struct options *options = run->options;

	run->contest.gen = run->gen;
	run->contest.config = &run->config;
	run->contest.compile = run->compile;
	run->contest.record = &run->record;
	run->contest.defaults = &run->defaults;
	run->contest.seeds = &run->seeds;
	run->contest.earlier = &run->earlier;
	run->contest.show = &run->show;
	run->contest.isas = run->isas;
	run->contest.n_isas = run->n_isas;
	run->contest.events = run->facts.events;
	run->contest.explain = explain_open();
	run->contest.seed = options->seed;
	run->contest.effort = options->effort;
	run->contest.strategy = options->strategy;
	run->contest.spaces = options->spaces;
	run->contest.objective = options->ship.objective;
	run->contest.sustained_s =
		options->sustained_s >= 0 ? options->sustained_s : run->device.sustained_s;
	/* Cold means from memory: copies of twice the last-level cache, four times with more time.
	 */
	run->contest.cold_bytes = options->effort.n_llc * (long long)run->facts.llc_bytes;
}

/* Energy is measured under load, by the device itself. */
static int check_objective(struct run *run, struct gen_error *err)
{
	const enum ship_objective objective = run->options->ship.objective;

	if (objective == SHIP_TIME)
		return 0;
	run->is_misused = 1;
	if (!(run->contest.sustained_s > 0))
		return fail_set(err,
				"--objective %s: energy is measured under load, which --sustained "
				"SECONDS asks for",
				ship_objectives[objective]);
	if (!*run->facts.energy || strstr(run->facts.energy, ":denied"))
		return fail_set(err,
				"--objective %s: %s has no sensor of energy that can be read%s%s",
				ship_objectives[objective], run->device.name,
				*run->facts.energy ? ": " : "", run->facts.energy);
	run->is_misused = 0;
	return 0;
}

/* What is measured goes through these. */
static int begin_measuring(struct run *run, struct gen_error *err)
{
	if (open_journal(run, err) < 0)
		return -1;
	run->contest.journal = run->journal;
	run->contest.session = run->session;
	if (run->device.thermal_gate)
		run->contest.gate = gate_open(run->session, run->journal, run->device.name,
					      run->options->seconds, &run->show, &run->record);
	return 0;
}

/* Which units are this run's, and which of them the results file answers already. */
static int choose_units(struct run *run, struct gen_error *err)
{
	const struct options *options = run->options;
	size_t n_kept = 0;

	units_list(&run->units, &run->config, options->shard, options->n_shards);
	if (options->fresh || !run->earlier.n_entries)
		return 0;
	if (units_keep(&run->units, &run->contest, &run->earlier, options->seconds, err) < 0)
		return -1;
	for (size_t i = 0; i < run->units.n; i++) {
		if (run->units.list[i].is_kept)
			n_kept += contest_n_cases(&run->contest, &run->units.list[i]);
	}
	if (n_kept)
		show_say(&run->show,
			 "%zu case%s of %s %s kept: nothing has changed for %s (--fresh measures "
			 "all)",
			 n_kept, n_kept == 1 ? "" : "s", run->output, n_kept == 1 ? "is" : "are",
			 n_kept == 1 ? "it" : "them");
	return 0;
}

double prepare_share(const struct run *run, double seconds)
{
	const struct units *units = &run->units;

	return units->n_all ? seconds * (double)(units->n - units->n_kept) / (double)units->n_all
			    : seconds;
}

static void say_compilers(struct run *run)
{
	const char *clang = compile_version(run->compile, GEN_CLANG);
	const char *why = compile_why_no_clang(run->compile);

	show_say(&run->show, "building the probe with %s%s%s",
		 compile_version(run->compile, GEN_DEFAULT), clang ? ", kernels also with " : "",
		 clang ? clang : "");
	if (why)
		show_say(&run->show, "no kernel is tried with clang: %s", why);
}

static void say(void *context, const char *text)
{
	struct run *run = context;

	show_say(&run->show, "%s", text);
}

/* The first probe's classes of cores are those of the run. */
static void greet(void *context, const char *hello)
{
	struct run *run = context;

	if (!run->is_greeted && cores_read(&run->cores, hello, &run->cores_error) == 0)
		*run->cores_error.text = 0;
	run->is_greeted = 1;
}

/* The work folder is locked, and so is what this run has on the device. */
static int reach_device(struct run *run, struct gen_error *err)
{
	run->device.say = say;
	run->device.greet = greet;
	run->device.context = run;
	device_set_run(&run->device, run->work);
	run->is_misused = device_set_at(&run->device, run->options->at, err) < 0;
	return -run->is_misused;
}

/* While compilers run the progress line goes on. */
static void idle(void *context)
{
	struct run *run = context;

	if (run->journal)
		run->show.left_s = run->contest.deadline - journal_elapsed(run->journal);
	show_progress(&run->show);
}

static char *name_output(const struct run *run)
{
	const struct options *options = run->options;
	char *name, *output;

	if (options->output)
		return fail_text("%s", options->output);
	name = slug(run->facts.cpu);
	output = options->n_shards ? fail_text("results/%s.shard-%ld-of-%ld.yaml", name,
					       options->shard, options->n_shards)
				   : fail_text("results/%s.yaml", name);
	free(name);
	return output;
}

int prepare_is_answered(const struct run *run)
{
	return run->units.n && run->units.n_kept == run->units.n;
}

int prepare_run(struct run *run, double begin, struct gen_error *err)
{
	const struct options *options = run->options;
	char *log;
	int status;

	run->gen = gen_open(run->home, err);
	if (!run->gen ||
	    request_config(options, run->home, run->gen, &run->config, &run->is_misused, err) < 0)
		return -1;
	run->is_misused = !device_is_known(run->home, options->device);
	if (device_read(&run->device, run->home, options->device, err) < 0)
		return -1;
	run->work = request_work(options);
	run->compile = compile_open(&run->device, run->home, run->work, options->jobs, err);
	if (!run->compile || reach_device(run, err) < 0)
		return -1;
	compile_set_idle(run->compile, idle, run);
	say_compilers(run);
	log = fail_text("%s/logs/hello.log", run->work);
	status = facts_learn(&run->facts, run->gen, &run->config, run->compile, &run->device, log,
			     err);
	free(log);
	if (status < 0 ||
	    facts_list_isas(&run->facts, run->gen, &run->config, &run->isas, &run->n_isas, err) < 0)
		return -1;
	if (options->n_shards)
		snprintf(run->shard, sizeof(run->shard), "%ld/%ld", options->shard,
			 options->n_shards);
	run->output = name_output(run);
	run->templates = request_texts(run->home);
	if (list_targets(run, err) < 0 || read_known(run, err) < 0)
		return -1;
	fill_contest(run);
	fill_record(run);
	if (check_objective(run, err) < 0)
		return -1;
	if (choose_units(run, err) < 0 ||
	    (!prepare_is_answered(run) && begin_measuring(run, err) < 0))
		return -1;
	/* The journal's clock starts here; building the probe counts, too. */
	run->contest.deadline = prepare_share(run, options->seconds - (process_now() - begin));
	return 0;
}

/* ---- the end ---- */

static void free_finals(struct contest *contest)
{
	for (size_t i = 0; i < contest->n_finals; i++) {
		struct contest_final *one = &contest->finals[i];

		for (size_t j = 0; j < one->n; j++)
			record_clear_entry(&one->list[j].entry);
		free(one->list);
	}
	free(contest->finals);
}

void prepare_close(struct run *run)
{
	gate_close(run->contest.gate);
	session_close(run->session);
	journal_close(run->journal);
	device_leave(&run->device);
	compile_close(run->compile);
	facts_free_isas(run->isas, run->n_isas);
	device_free(&run->device);
	config_free(&run->config);
	record_free(&run->record);
	record_free(&run->defaults);
	record_free(&run->seeds);
	record_free(&run->earlier);
	units_free(&run->units);
	for (size_t i = 0; i < run->contest.n_cores; i++)
		free(run->contest.cores[i].threads.list);
	free(run->contest.cores);
	free_finals(&run->contest);
	explain_close(run->contest.explain);
	free(run->contest.roofs);
	free(run->output);
	free(run->work);
	free(run->templates);
	gen_close(run->gen);
}
