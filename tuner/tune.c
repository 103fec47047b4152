/*
 * tune.c: a run from its first probe to the results file.
 */
#include "tune.h"

#include <errno.h>
#include <unistd.h>

#include "explain.h"
#include "fail.h"
#include "hash.h"
#include "merge.h"
#include "prepare.h"
#include "process.h"
#include "rank.h"
#include "sustain.h"

static void describe(struct run *run)
{
	const struct facts *facts = &run->facts;
	const struct contest *contest = &run->contest;
	size_t n = 0;

	for (size_t i = 0; i < run->units.n; i++) {
		if (!run->units.list[i].is_kept)
			n += contest_n_cases(contest, &run->units.list[i]);
	}
	run->show.n_cases = n;
	show_event_start(&run->show, &run->record, run->output, run->options->seconds,
			 journal_n_taken(run->journal));
	show_say(&run->show, "%s, %ld core%s, %s: %s", facts->cpu, facts->cores,
		 facts->cores == 1 ? "" : "s", facts->arch, facts->features);
	if (!strcmp(facts->counters, "none"))
		show_say(&run->show, "counters: none%s%s; going on without them",
			 *facts->why ? ": " : "", facts->why);
	else if (*facts->why)
		show_say(&run->show, "counters: %s, without some: %s", facts->counters, facts->why);
	for (size_t i = 0; i < contest->n_cores && contest->cores[i].cores; i++) {
		const struct contest_cores *on = &contest->cores[i];
		char text[128], speed[40];
		size_t at = 0;

		for (size_t j = 0; j < on->threads.n && at < sizeof(text); j++)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%ld", j ? ", " : "",
					       on->threads.list[j]);
		show_say(&run->show, "%s (%ld%s): threads %s", on->cores->name, on->cores->n_cpus,
			 cores_speed(on->cores, speed, sizeof(speed)), text);
	}
	show_say(&run->show,
		 "%zu case%s (format, shape, tokens, threads), %.0f s; Ctrl-C is safe, "
		 "the same command goes on",
		 n, n == 1 ? "" : "s", prepare_share(run, run->options->seconds));
	if (contest->sustained_s > 0)
		show_say(&run->show, "after that, races under load, %.0f s and more",
			 sustain_seconds(contest));
}

static int run_units(struct run *run, struct gen_error *err)
{
	size_t n = run->units.n - run->units.n_kept;

	for (size_t i = 0; i < run->units.n; i++) {
		const struct contest_unit *unit = &run->units.list[i];

		if (!unit->is_kept && contest_run(&run->contest, unit, n--, err) < 0)
			return -1;
	}
	return 0;
}

static uint64_t hash_shipped(const struct record *record)
{
	uint64_t hash = HASH_START;

	for (size_t i = 0; i < record->n_entries; i++)
		hash = hash_text(hash, ship_kernel(&record->entries[i]));
	return hash;
}

static int finish_record(struct run *run, int complete, struct gen_error *err)
{
	uint64_t before;

	run->record.complete = complete;
	run->record.protocol.seconds = run->journal ? journal_elapsed(run->journal) : 0;
	units_take(&run->units, &run->contest, &run->earlier);
	if (merge_settle(&run->record, err) < 0)
		return -1;
	before = hash_shipped(&run->record);
	run->n_shipped = ship_choose(&run->record, &run->options->ship);
	run->is_chosen_anew = hash_shipped(&run->record) != before;
	return 0;
}

/* What an unfinished run knows goes into the results file, but not in the place of a complete one. */
static void keep_finished(struct run *run, struct gen_error *why)
{
	struct gen_error failed;
	const size_t n = run->record.n_entries;

	if (!n)
		return;
	if (run->earlier.complete) {
		show_say(&run->show,
			 "%s stays as it was; the journal beside it has the %zu finished cases",
			 run->output, n);
	} else if (record_write(&run->record, run->output, &failed) < 0) {
		char *both = fail_text("%s; and %s", why->text, failed.text);

		fail_set(why, "%s", both);
		free(both);
	} else {
		run->is_written = 1;
		show_say(&run->show, "%zu finished cases are in %s", n, run->output);
	}
}

static int print_table(const struct run *run, const char *said, struct gen_error *err)
{
	if (run->options->json)
		return 0;
	if (run->options->strategy == CONTEST_DUEL)
		show_duels(stdout, &run->record);
	else
		show_record(stdout, &run->record);
	printf("%s; winners are in %s\n", said, run->output);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	return fail_set(err, "%s is written, but not its table to standard output: %s", run->output,
			strerror(errno));
}

/* Nothing is to be measured. */
static int show_answer(struct run *run, struct gen_error *err)
{
	if (finish_record(run, 1, err) < 0)
		return -1;
	show_clear(&run->show);
	if (run->is_chosen_anew)
		show_say(
			&run->show,
			"by these wishes others than the file's are shipped: quern merge -o %s %s, "
			"with them, writes that down",
			run->output, run->output);
	run->is_written = 1;
	show_event_start(&run->show, &run->record, run->output, run->options->seconds, 0);
	for (size_t i = 0; i < run->record.n_entries && run->options->json; i++) {
		const struct record_entry *entry = &run->record.entries[i];
		char target[96];

		snprintf(target, sizeof(target), "t%d%s%s", entry->threads,
			 *entry->core_name ? "@" : "", entry->core_name);
		show_event_case(&run->show, entry, target);
	}
	return print_table(run, "nothing was measured", err);
}

static void say_few(struct run *run)
{
	const size_t max = run->options->ship.max_kernels;

	if (max && run->n_shipped > max)
		show_say(&run->show, "%zu kernels: with fewer a case would lose more than 2 %%",
			 run->n_shipped);
}

static int run_all(struct run *run, struct gen_error *err)
{
	const struct explain_device on = {
		.device = &run->device,
		.arch = run->facts.arch,
		.cores = &run->cores,
		.work = run->work,
		.n_parallel = run->options->jobs,
	};
	struct gen_error unsettled;
	char said[64];
	int status;

	if (prepare_is_answered(run))
		return show_answer(run, err);
	describe(run);
	status = run_units(run, err);
	if (!status)
		status = sustain_run(&run->contest, err);
	if (!status)
		status = explain_run(&run->contest, &on, err);
	if (finish_record(run, !status, &unsettled) < 0 && !status) {
		*err = unsettled;
		status = -1;
	}
	if (!status && !run->record.n_entries && run->units.n)
		status = fail_set(err, "nothing could be measured: %s",
				  run->record.protocol.n_failed
					  ? run->record.protocol.failed[0].reason
					  : "there are no cases");
	show_clear(&run->show);
	if (!status)
		say_few(run);
	if (status)
		keep_finished(run, err);
	if (status || record_write(&run->record, run->output, err) < 0)
		return -1;
	run->is_written = 1;
	snprintf(said, sizeof(said), "%ld legal points", run->contest.n_legal);
	return print_table(run, said, err);
}

static void explain_stop(const struct run *run, struct gen_error *err)
{
	const int lost = run->show.lost;

	fail_set(err, "stopped%s%s; nothing measured is lost: the same command goes on%s",
		 lost ? ": cannot write events to standard output: " : "",
		 lost ? strerror(lost) : "", run->options->fresh ? " (without --fresh)" : "");
}

int tune_main(int argc, char **argv, const char *home)
{
	double begin = process_now();
	struct options options;
	struct run run = {.options = &options, .home = home};
	struct gen_error err;
	int status = options_read(&options, argc, argv);

	if (status)
		return status > 0 ? 0 : 2;
	if (options.core)
		return rank_main(&options, home);
	process_catch_signals();
	show_open(&run.show, stderr, options.json ? STDOUT_FILENO : -1);
	status = prepare_run(&run, begin, &err) < 0 || run_all(&run, &err) < 0;
	show_clear(&run.show);
	if (status && process_stopping()) {
		explain_stop(&run, &err);
		status = 130;
	} else if (status) {
		status = run.is_misused ? 2 : 1;
	}
	show_event_end(&run.show, status, run.is_written ? run.output : NULL, process_now() - begin,
		       status ? err.text : NULL);
	if (!status && run.show.lost)
		status = fail_set(&err, "%s is written, but not all events to standard output: %s",
				  run.output, strerror(run.show.lost)) < 0;
	if (status)
		fprintf(stderr, "quern: %s\n", err.text);
	prepare_close(&run);
	return status;
}
