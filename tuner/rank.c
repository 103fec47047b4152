/* rank.c: a run of estimates from the options to the results file. */
#include <unistd.h>

#include "facts.h"
#include "fail.h"
#include "process.h"
#include "rank.h"
#include "ranking.h"
#include "request.h"
#include "gen/folder.h"
#include "runtime/quern.h"

#define PROTOCOL "estimate 2" /* a change makes earlier journals worthless */

static int has_shape(const struct config *config, size_t format)
{
	for (size_t i = 0; i < config->n_shapes; i++) {
		if (config->shapes[i].formats >> format & 1)
			return 1;
	}
	return 0;
}

static int run_formats(struct rank *rank, struct gen_error *err)
{
	const struct config *config = &rank->config;
	int status = 0;

	rank->show.n_cases = 0;
	for (size_t f = 0; f < config->formats.n; f++) {
		for (size_t a = 0; a < config->acts.n && has_shape(config, f); a++)
			rank->show.n_cases += config_act(config, f, a) ? config->tokens.n : 0;
	}
	for (size_t f = 0; f < config->formats.n; f++) {
		for (size_t a = 0; a < config->acts.n && has_shape(config, f); a++) {
			const char *act = config_act(config, f, a);

			for (size_t n = 0; act && n < config->tokens.n && !status; n++)
				status = ranking_run(rank, f, act, config->tokens.list[n], err);
		}
	}
	return status;
}

/* ---- preparing ---- */

static int choose_compiler(struct rank *rank, struct gen_error *err)
{
	const char *wanted = rank->options->compiler ? rank->options->compiler : "both";
	const char *clang = compile_version(rank->compile, GEN_CLANG);
	const char *why = compile_why_no_clang(rank->compile);

	if (strcmp(wanted, "gcc") && !clang) {
		if (!strcmp(wanted, "clang"))
			return fail_set(err, "there is no clang to compile with: %s",
					why ? why : "the device names none");
		show_say(&rank->show, "no kernel is tried with clang: %s",
			 why ? why : "the device names none");
	}
	rank->compiler = strcmp(wanted, "clang") ? GEN_DEFAULT : GEN_CLANG;
	rank->with_clang = !strcmp(wanted, "both") && clang;
	show_say(&rank->show,
		 "estimates for %s by llvm-mca %s (model %s%s%s), compiled with %s%s%s",
		 rank->model->core, rank->mca.version, rank->model->cpu,
		 *rank->model->note ? ", " : "", rank->model->note,
		 compile_version(rank->compile, rank->compiler), rank->with_clang ? " and " : "",
		 rank->with_clang ? clang : "");
	return 0;
}

/* Those that the core has; what is written in plain C is left to compilers. */
static int list_isas(struct rank *rank, struct gen_error *err)
{
	struct facts facts = {.arch = "aarch64"};
	size_t n = 0;

	snprintf(facts.features, sizeof(facts.features), "%s", rank->model->features);
	if (facts_list_isas(&facts, rank->gen, &rank->config, &rank->isas, &rank->n_isas, err) < 0)
		return -1;
	for (size_t i = 0; i < rank->n_isas; i++) {
		if (rank->isas[i].n_features)
			rank->isas[n++] = rank->isas[i];
		else
			free(rank->isas[i].text);
	}
	rank->n_isas = n;
	return n ? 0
		 : fail_set(err, "%s has none of the config's instruction sets; it has %s",
			    rank->model->core, rank->model->features);
}

static int open_journal(struct rank *rank, struct gen_error *err)
{
	char *path = journal_path(rank->output);
	char *config = config_text(&rank->config), note[256] = "";
	char *seed = fail_text("%llu", rank->options->seed);
	char *protocol = fail_text("%s, %ld candidates", PROTOCOL, rank->max_candidates);
	char *compiler = fail_text("%s; %s %s", compile_version(rank->compile, rank->compiler),
				   compile_command(rank->compile, rank->compiler),
				   compile_flags(rank->compile));
	const char *version = rank->with_clang ? compile_version(rank->compile, GEN_CLANG) : NULL;
	char *clang = fail_text("%s; %s", version ? version : "none",
				version ? compile_command(rank->compile, GEN_CLANG) : "");
	char *device = fail_text("core %s; model %s; llvm-mca %s", rank->model->core,
				 rank->model->cpu, rank->mca.version);
	struct journal_fact header[] = {
		{"config", config},     {"seed", seed},
		{"protocol", protocol}, {"templates", rank->templates},
		{"compiler", compiler}, {"clang", clang},
		{"device", device},
	};

	if (folder_make_above(path, err) == 0)
		rank->journal = journal_open(path, header, sizeof(header) / sizeof(*header),
					     rank->options->fresh, note, err);
	if (rank->journal && *note)
		show_say(&rank->show, "%s", note);
	free(device);
	free(clang);
	free(compiler);
	free(protocol);
	free(seed);
	free(config);
	free(path);
	return rank->journal ? 0 : -1;
}

/* What begins a search: defaults, seeds, and the estimates that this run is to replace. */
static int read_known(struct rank *rank, struct gen_error *err)
{
	char *path = fail_text("%s/results/default.yaml", rank->home);
	int status = 0;

	if (access(path, F_OK) == 0)
		status = record_read(&rank->defaults, path, err);
	free(path);
	if (!status && access(rank->output, F_OK) == 0) {
		status = record_read(&rank->earlier, rank->output, err);
		if (!status && !rank->earlier.estimated.core)
			status = fail_set(
				err,
				"%s holds measurements, which estimates do not replace; give "
				"--output another name",
				rank->output);
		record_free(&rank->earlier);
	}
	if (!status && rank->options->n_seed_from)
		status = record_read(&rank->earlier, rank->options->seed_from[0], err);
	return status;
}

static void fill_record(struct rank *rank)
{
	struct record *record = &rank->record;

	record->estimated.core = fail_copy(rank->model->core);
	record->estimated.model = fail_copy(rank->model->cpu);
	record->estimated.llvm_mca = fail_copy(rank->mca.version);
	record->estimated.note = *rank->model->note ? fail_copy(rank->model->note) : NULL;
	record->device.name = fail_copy(rank->model->core);
	record->device.cpu = fail_copy(rank->model->core);
	record->device.arch = fail_copy("aarch64");
	record->device.features = fail_copy(rank->model->features);
	record->compiler.command = fail_copy(compile_command(rank->compile, rank->compiler));
	record->compiler.version = fail_copy(compile_version(rank->compile, rank->compiler));
	record->compiler.flags = fail_copy(compile_flags(rank->compile));
	if (rank->with_clang) {
		record->compiler.clang = fail_copy(compile_command(rank->compile, GEN_CLANG));
		record->compiler.clang_version =
			fail_copy(compile_version(rank->compile, GEN_CLANG));
	}
	record->generator.version = fail_copy(QUERN_VERSION);
	record->generator.templates = fail_copy(rank->templates);
	record->generator.families =
		request_families(rank->home, rank->gen, &rank->config.families);
	record->protocol.budget = fail_text("%ld candidates", rank->max_candidates);
	record->protocol.seed = (long long)rank->options->seed;
	record->counters = fail_copy("none: estimated, nothing was run");
}

static int prepare(struct rank *rank, struct gen_error *err)
{
	const struct options *options = rank->options;

	rank->model = models_find(options->core);
	rank->max_candidates =
		options->max_candidates ? options->max_candidates : options->effort.n_estimates;
	rank->gen = gen_open(rank->home, err);
	if (!rank->gen ||
	    request_config(options, rank->home, rank->gen, &rank->config, &rank->is_misused, err) <
		    0 ||
	    device_read(&rank->device, rank->home, options->device, err) < 0)
		return -1;
	if (rank->config.max_nmse > 0) {
		show_say(&rank->show,
			 "lossy kernels are left out: only a run can tell their errors");
		rank->config.max_nmse = 0;
	}
	rank->work = request_work(options);
	rank->output = options->output ? fail_copy(options->output)
				       : fail_text("results/%s.yaml", options->core);
	rank->templates = request_texts(rank->home);
	if (read_known(rank, err) < 0 || list_isas(rank, err) < 0)
		return -1;
	rank->compile = compile_open(&rank->device, rank->home, rank->work, options->jobs, err);
	if (!rank->compile)
		return -1;
	compile_to_assembly(rank->compile);
	if (mca_open(&rank->mca, rank->work, options->jobs, err) < 0 ||
	    choose_compiler(rank, err) < 0 || open_journal(rank, err) < 0)
		return -1;
	fill_record(rank);
	return 0;
}

/* ---- the run ---- */

static int run_all(struct rank *rank, struct gen_error *err)
{
	struct record *record = &rank->record;

	if (run_formats(rank, err) < 0)
		return -1;
	if (!record->n_entries)
		return fail_set(err, "nothing could be estimated: %s",
				record->protocol.n_failed ? record->protocol.failed[0].reason
							  : "there are no cases");
	record->complete = 1;
	record->protocol.seconds = journal_elapsed(rank->journal);
	if (record_write(record, rank->output, err) < 0)
		return -1;
	show_clear(&rank->show);
	show_record(stdout, record);
	if (rank->n_left_out)
		printf("%ld kernels could not be estimated; %s\n", rank->n_left_out,
		       rank->left_out);
	printf("%ld legal points; estimated winners are in %s\n", rank->n_legal, rank->output);
	return 0;
}

static void close_rank(struct rank *rank)
{
	journal_close(rank->journal);
	mca_close(&rank->mca);
	compile_close(rank->compile);
	facts_free_isas(rank->isas, rank->n_isas);
	device_free(&rank->device);
	config_free(&rank->config);
	record_free(&rank->record);
	record_free(&rank->defaults);
	record_free(&rank->earlier);
	free(rank->left_out);
	free(rank->output);
	free(rank->work);
	free(rank->templates);
	gen_close(rank->gen);
}

int rank_main(const struct options *options, const char *home)
{
	struct rank rank = {.options = options, .home = home};
	struct gen_error err;
	int status;

	process_catch_signals();
	show_open(&rank.show, stderr, -1);
	rank.show.left_s = -1;
	status = prepare(&rank, &err) < 0 || run_all(&rank, &err) < 0;
	show_clear(&rank.show);
	if (status && process_stopping()) {
		fprintf(stderr, "quern: stopped; nothing is lost: the same command goes on%s\n",
			options->fresh ? " (without --fresh)" : "");
		status = 130;
	} else if (status) {
		fprintf(stderr, "quern: %s\n", err.text);
		status = rank.is_misused ? 2 : 1;
	}
	close_rank(&rank);
	return status;
}
