/*
 * doctor.c: asks a probe everything, and measures each class of cores for a moment.
 *
 * The first probe holds a portable kernel only; what memory and cores reach is told by a second one,
 * with the widest instruction set that the first has found.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <unistd.h>

#include "checkup.h"
#include "command.h"
#include "doctor.h"
#include "fail.h"
#include "options.h"
#include "probe.h"
#include "process.h"

#define N_CANARIES 9

static const char usage[] =
	"usage: quern device list\n"
	"       quern device doctor NAME [--at WHERE] [OPTION]...\n"
	"list names the devices there are files for.  doctor looks at one, in some seconds: cores,\n"
	"caches, counters, governor, heat, battery, sensors of energy, clock, what its memory and\n"
	"cores reach; and says what will disturb measurements and what would help.\n"
	"\n"
	"      --at WHERE    where it is, such as user@host or a serial number\n"
	"      --json        one JSON object\n"
	"  -w, --work DIR    objects and logs (.quern-work)\n"
	"  -j, --jobs N      compilers at a time (cores of this machine)\n"
	"  -h, --help\n";

struct visit {
	const char *home, *name, *at, *work;
	int jobs, is_json, is_terminal;
	struct gen *gen;
	struct config config;
	struct device device;
	struct compile *compile;
	struct device_probe *probe;
	struct checkup checkup;
};

static int misuse(const char *format, const char *word)
{
	return options_misuse("device", format, word);
}

/* One line that is drawn over; on a terminal only.  NULL removes it. */
static void tell(const struct visit *visit, const char *what)
{
	if (visit->is_terminal)
		fprintf(stderr, "\r\033[K%s", what ? what : "");
}

/* ---- options ---- */

static int set_jobs(struct visit *visit, const char *text)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(text, &end, 10);
	if (end == text || *end || errno || number < 1 || number > 64)
		return misuse("--jobs '%s' must be 1 to 64", text);
	visit->jobs = (int)number;
	return 0;
}

/* 0; 1 when help was printed; -1. */
static int read_options(struct visit *visit, int argc, char **argv)
{
	static const struct option options[] = {
		{"at", required_argument, NULL, 'a'},   {"json", no_argument, NULL, 'J'},
		{"work", required_argument, NULL, 'w'}, {"jobs", required_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},       {0},
	};
	int option;

	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, ":w:j:h", options, NULL)) != -1) {
		if (options_empty(argv))
			return misuse("option '%s' needs a value", options_empty(argv));
		switch (option) {
		case 'a': visit->at = optarg; break;
		case 'J': visit->is_json = 1; break;
		case 'w': visit->work = optarg; break;
		case 'j':
			if (set_jobs(visit, optarg) < 0)
				return -1;
			break;
		case 'h': fputs(usage, stdout); return 1;
		case ':': return misuse("option '%s' needs a value", argv[optind - 1]);
		default: return misuse("unknown option '%s'", argv[optind - 1]);
		}
	}
	if (optind == argc)
		return misuse("%s",
			      "doctor needs the name of a device, as quern device list gives");
	if (argc - optind > 1)
		return misuse("doctor looks at one device at a time, not also at '%s'",
			      argv[optind + 1]);
	visit->name = argv[optind];
	return 0;
}

/* ---- asking ---- */

static enum device_outcome ask(struct visit *visit, double times, const char *request, char *answer)
{
	return device_ask(visit->probe, times * visit->device.time_out_s, request, answer);
}

/* An answer, or an empty one from a probe that has none. */
static void ask_for(struct visit *visit, const char *request, char *answer)
{
	if (ask(visit, 1, request, answer) != DEVICE_OK)
		*answer = 0;
}

/* A probe with kernels of this ISA, in the place of the one that runs. */
static int start_probe(struct visit *visit, const char *isa, struct gen_error *err)
{
	char *log = fail_text("%s/logs/doctor.log", visit->work), program[4096];
	int status = -1;

	device_stop(visit->probe);
	visit->probe = NULL;
	tell(visit, isa ? "building a probe with vectors" : "building the probe");
	if (facts_build(visit->gen, &visit->config, visit->compile, isa, program, sizeof(program),
			err) == 0) {
		tell(visit, "starting the probe");
		visit->probe = device_start(&visit->device, program, log, err);
		status = visit->probe ? 0 : -1;
	}
	free(log);
	return status;
}

static int start(struct visit *visit, struct gen_error *err)
{
	char *config = fail_text("%s/tuner/configs/default.yaml", visit->home);
	int status;

	visit->gen = gen_open(visit->home, err);
	status = !visit->gen || config_read(&visit->config, visit->gen, config, err) < 0 ? -1 : 0;
	free(config);
	if (status || device_read(&visit->device, visit->home, visit->name, err) < 0 ||
	    device_set_at(&visit->device, visit->at, err) < 0)
		return -1;
	visit->compile = compile_open(&visit->device, visit->home, visit->work, visit->jobs, err);
	if (!visit->compile)
		return -1;
	/* The work folder is locked, and so is what this has on the device. */
	device_set_run(&visit->device, visit->work);
	return start_probe(visit, NULL, err);
}

static int ask_facts(struct visit *visit, struct gen_error *err)
{
	char hello[PROBE_LINE + 1], doctor[PROBE_LINE + 1], vitals[PROBE_LINE + 1];

	tell(visit, "asking");
	if (ask(visit, 1, "hello", hello) != DEVICE_OK)
		return fail_set(err, "the probe does not run on %s: %s (see %s/logs/doctor.log)",
				visit->device.name, hello, visit->work);
	ask_for(visit, "doctor", doctor);
	ask_for(visit, "vitals", vitals);
	visit->checkup.device = visit->device.name;
	visit->checkup.at = visit->at;
	return checkup_take(&visit->checkup, hello, doctor, vitals, err);
}

/* ---- speeds ---- */

/* Starts the second probe. */
static int widen(struct visit *visit, struct gen_error *err)
{
	struct search_isa *isas, *widest;
	size_t n;
	int status;

	if (facts_list_isas(&visit->checkup.facts, visit->gen, &visit->config, &isas, &n, err) < 0)
		return -1;
	widest = &isas[0];
	for (size_t i = 1; i < n; i++) {
		if (isas[i].n_features >= widest->n_features)
			widest = &isas[i];
	}
	snprintf(visit->checkup.isa, sizeof(visit->checkup.isa), "%s", widest->info.name);
	status = start_probe(visit, widest->info.name, err);
	facts_free_isas(isas, n);
	return status;
}

static int fail_speed(struct checkup_speed *speed, const char *why)
{
	snprintf(speed->why, sizeof(speed->why), "%.255s", why);
	return -1;
}

static int open_engine(struct visit *visit, int class_index, long n_threads,
		       struct checkup_speed *speed)
{
	char request[64], answer[PROBE_LINE + 1];
	long long got;

	speed->n_threads = n_threads;
	snprintf(request, sizeof(request), "engine threads=%ld cpus=class:%d", n_threads,
		 class_index);
	if (ask(visit, 6, request, answer) != DEVICE_OK)
		return fail_speed(speed, answer);
	if (device_value_long(answer, "threads", &got) < 0 || got < 1 || got > 100000)
		return fail_speed(speed, "the probe does not say how many threads run");
	speed->n_threads = (long)got;
	return 0;
}

static int measure(struct visit *visit, struct checkup_speed *speed)
{
	char answer[PROBE_LINE + 1];

	if (ask(visit, 6, "roof", answer) != DEVICE_OK)
		return fail_speed(speed, answer);
	if (device_value_double(answer, "dram_gbps", &speed->dram_gbps) < 0 ||
	    device_value_double(answer, "int8_gmacs", &speed->int8_gmacs) < 0)
		return fail_speed(speed, "the probe does not say what was reached");
	for (int i = 0; i < N_CANARIES; i++) {
		double ns;

		if (ask(visit, 1, "canary", answer) != DEVICE_OK)
			return fail_speed(speed, answer);
		if (device_value_double(answer, "ns", &ns) < 0 || !(ns > 0))
			return fail_speed(speed, "the probe does not say how long its canary took");
		if (!i || ns < speed->canary_ns)
			speed->canary_ns = ns;
		if (ns > speed->canary_most_ns)
			speed->canary_most_ns = ns;
	}
	return 0;
}

/* With one thread, and with all, where that is not the same. */
static void measure_class(struct visit *visit, int i)
{
	struct checkup_class *c = &visit->checkup.classes[i];
	char text[128];

	for (int all = 0; all < 2 && !process_stopping(); all++) {
		struct checkup_speed *speed = &c->speeds[c->n_speeds];

		memset(speed, 0, sizeof(*speed));
		snprintf(text, sizeof(text), "measuring class %d of %d, %s", i,
			 visit->checkup.n_classes, all ? "all its cores" : "1 thread");
		tell(visit, text);
		if (open_engine(visit, i, !all, speed) == 0) {
			if (all && speed->n_threads == 1)
				return;
			measure(visit, speed);
		}
		c->n_speeds++;
	}
}

/* ---- commands ---- */

static void close_visit(struct visit *visit)
{
	device_stop(visit->probe);
	device_leave(&visit->device);
	compile_close(visit->compile);
	device_free(&visit->device);
	config_free(&visit->config);
	gen_close(visit->gen);
}

static int run_doctor(int argc, char **argv, const char *home)
{
	struct visit visit = {.home = home, .work = ".quern-work"};
	struct gen_error err;
	int status;

	visit.jobs = (int)sysconf(_SC_NPROCESSORS_ONLN);
	status = read_options(&visit, argc, argv);
	if (status)
		return status > 0 ? 0 : 2;
	visit.is_terminal = isatty(STDERR_FILENO);
	process_catch_signals();
	status = start(&visit, &err) < 0 || ask_facts(&visit, &err) < 0 || widen(&visit, &err) < 0;
	for (int i = 0; !status && i < visit.checkup.n_classes; i++)
		measure_class(&visit, i);
	tell(&visit, NULL);
	if (process_stopping())
		status = 130;
	else if (status)
		fprintf(stderr, "quern: %s\n", err.text);
	else
		(visit.is_json ? checkup_print_json : checkup_print)(stdout, &visit.checkup);
	close_visit(&visit);
	return status;
}

static int is_device(const struct dirent *item)
{
	size_t n = strlen(item->d_name);

	return n > 5 && *item->d_name != '.' && !strcmp(item->d_name + n - 5, ".yaml");
}

/* Each with the first comment of its file. */
static int run_list(int argc, char **argv, const char *home)
{
	char *folder;
	struct dirent **items;
	int n;

	if (argc > 1) {
		misuse("list takes no '%s'", argv[1]);
		return 2;
	}
	folder = fail_text("%s/tuner/devices", home);
	n = scandir(folder, &items, is_device, alphasort);
	if (n < 0)
		fprintf(stderr, "quern: cannot read %s: %s\n", folder, strerror(errno));
	for (int i = 0; i < n; i++) {
		char *path = fail_text("%s/%s", folder, items[i]->d_name);
		char *text = command_read_text(path), *line = text ? text : "";

		if (*line == '#')
			line += 1 + strspn(line + 1, " ");
		else
			line += strlen(line);
		printf("%-16.*s %.*s\n", (int)strlen(items[i]->d_name) - 5, items[i]->d_name,
		       (int)strcspn(line, "\r\n"), line);
		free(text);
		free(path);
		free(items[i]);
	}
	if (n >= 0)
		free(items);
	free(folder);
	return n < 0;
}

int doctor_main(int argc, char **argv, const char *home)
{
	if (argc < 2) {
		misuse("%s", "say what: list or doctor");
		return 2;
	}
	if (!strcmp(argv[1], "doctor"))
		return run_doctor(argc - 1, argv + 1, home);
	if (!strcmp(argv[1], "list"))
		return run_list(argc - 1, argv + 1, home);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		fputs(usage, stdout);
		return 0;
	}
	misuse("'%s' is neither list nor doctor", argv[1]);
	return 2;
}
