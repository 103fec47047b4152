/* options.c: words of the command line. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "models.h"
#include "options.h"

static const char usage[] =
	"usage: quern tune [OPTION]... [CONFIG.yaml]\n"
	"Measures which kernels are fastest on a device and writes a results file, or estimates\n"
	"it without one.\n"
	"\n"
	"  -b, --budget WHAT     quick (150 s), normal (less than an hour), thorough (every kernel; hours)\n"
	"                        or a number of seconds\n"
	"      --strategy WHAT   race, random or exhaustive (race; exhaustive when thorough), or\n"
	"                        duel: the default against the winners of --seed-from, 51 rounds\n"
	"      --spaces DIR      write all that the exhaustive strategy measures to files there\n"
	"      --sustained SECONDS  then race the best again after so much load (0: none)\n"
	"      --seed N          of the search's random numbers (1)\n"
	"  -t, --threads LIST    such as 1,2,all\n"
	"      --cores LIST      classes of cores, such as cortex-x3,cortex-a510; fastest; all (all)\n"
	"  -f, --formats LIST    such as w4g32,w8g32\n"
	"  -s, --shapes LIST     MxK, such as 4096x4096,11008x4096\n"
	"  -n, --tokens LIST     tokens at a time, such as 1,8,128\n"
	"  -m, --model FILE      shapes and types of this GGUF file's matrices; without a config file\n"
	"                        and --tokens for 1, 8 and 128 tokens\n"
	"  -d, --device NAME     a device of tuner/devices, or a file (local)\n"
	"      --at WHERE        the device's {at}: user@host for ssh, a serial number for adb\n"
	"  -o, --output FILE     results file (results/CPU.yaml)\n"
	"  -w, --work DIR        objects and logs (.quern-work beside the output)\n"
	"  -j, --jobs N          compilers at a time (cores of this machine)\n"
	"      --fresh           measure all, whatever the output file or a stopped run knows\n"
	"      --shard I/N       only the I-th of N parts, for quern merge (results/CPU.shard-I-of-N.yaml)\n"
	"      --json            events as JSON objects, one a line; quern(1) describes them\n"
	"      --seed-from FILE  race the winners of this results file first; again for more files\n"
	"      --decode-share S  weight of cases of one token where a layout serves several, 0 to 1 (0.8)\n"
	"      --objective WHAT  time, energy or edp, their product, where energy is known (time)\n"
	"      --max-kernels N   ship so few kernels, where no case loses more than 2 % by that\n"
	"  -e, --estimate CORE   no device: rank by llvm-mca's model of a core, such as cortex-a76\n"
	"      --compiler WHAT   for estimates: gcc (the device's), clang or both (both)\n"
	"      --max-candidates N  for estimates: kernels of a search (100, or 500 with -b normal)\n"
	"  -h, --help\n";

static const struct contest_effort quick = {
	.n_random = 26,
	.n_candidates = 80,
	.n_carry = 12,
	.case_rounds = 3,
	.final_rounds = 25,
	.least_rounds = 9,
	.n_llc = 2,
	.n_estimates = 100,
};
static const struct contest_effort normal = {
	.n_random = 48,
	.n_candidates = 400,
	.n_carry = 24,
	.case_rounds = 5,
	.final_rounds = 61,
	.least_rounds = 15,
	.n_llc = 4,
	.n_estimates = 500,
};

double options_budget_seconds(const char *budget)
{
	double seconds;
	char *end;

	if (!strcmp(budget, "quick"))
		return 150;
	if (!strcmp(budget, "normal"))
		return 2400;
	if (!strcmp(budget, "thorough"))
		return 1e6;
	errno = 0;
	seconds = strtod(budget, &end);
	return errno || end == budget || *end || !(seconds >= 1) || seconds > 1e6 ||
			       !isdigit((unsigned char)*budget) ||
			       budget[strspn(budget, "0123456789.e")]
		       ? 0
		       : seconds;
}

static int set_budget(struct options *options, const char *text)
{
	options->seconds = options_budget_seconds(text);
	if (!(options->seconds > 0))
		return -1;
	options->effort = options->seconds > 300 ? normal : quick;
	if (!strcmp(text, "thorough") && !options->has_strategy)
		options->strategy = CONTEST_EXHAUSTIVE;
	snprintf(options->budget, sizeof(options->budget), "%s", text);
	return 0;
}

static int set_strategy(struct options *options, const char *text)
{
	for (int i = 0; i < CONTEST_N_STRATEGIES; i++) {
		if (!strcmp(text, contest_strategies[i])) {
			options->strategy = (enum contest_strategy)i;
			options->has_strategy = 1;
			return 0;
		}
	}
	return -1;
}

int options_misuse(const char *command, const char *format, const char *word)
{
	fprintf(stderr, "quern: %s: ", command);
	fprintf(stderr, format, word);
	fprintf(stderr, "; see quern %s --help\n", command);
	return -1;
}

const char *options_empty(char **argv)
{
	if (!optarg || *optarg)
		return NULL;
	return argv[optind - (optarg == argv[optind - 1] ? 2 : 1)];
}

static int misuse(const char *format, const char *word)
{
	return options_misuse("tune", format, word);
}

int options_number(unsigned long long *number, const char *text, unsigned long long max)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 10);
	return !isdigit((unsigned char)*text) || *end || errno || *number > max ? -1 : 0;
}

static int is_folder(const char *path, int if_absent)
{
	struct stat status;

	return stat(path, &status) < 0 ? if_absent : S_ISDIR(status.st_mode);
}

enum {
	SEED = 256,
	STRATEGY,
	SPACES,
	FRESH,
	JSON,
	SHARD,
	SEED_FROM,
	COMPILER,
	MAX_CANDIDATES,
	AT,
	CORES,
	SUSTAINED
};

static const struct option long_options[] = {
	{"budget", required_argument, NULL, 'b'},
	{"seed", required_argument, NULL, SEED},
	{"strategy", required_argument, NULL, STRATEGY},
	{"spaces", required_argument, NULL, SPACES},
	{"threads", required_argument, NULL, 't'},
	{"cores", required_argument, NULL, CORES},
	{"sustained", required_argument, NULL, SUSTAINED},
	{"formats", required_argument, NULL, 'f'},
	{"shapes", required_argument, NULL, 's'},
	{"tokens", required_argument, NULL, 'n'},
	{"model", required_argument, NULL, 'm'},
	{"device", required_argument, NULL, 'd'},
	{"at", required_argument, NULL, AT}, /* of the device */
	{"output", required_argument, NULL, 'o'},
	{"work", required_argument, NULL, 'w'},
	{"jobs", required_argument, NULL, 'j'},
	{"fresh", no_argument, NULL, FRESH},
	{"json", no_argument, NULL, JSON},
	{"shard", required_argument, NULL, SHARD},
	{"seed-from", required_argument, NULL, SEED_FROM},
	{"estimate", required_argument, NULL, 'e'},
	OPTIONS_SHIP,
	{"compiler", required_argument, NULL, COMPILER},
	{"max-candidates", required_argument, NULL, MAX_CANDIDATES},
	{"help", no_argument, NULL, 'h'},
	{0},
};

/* "2/3" */
static int set_shard(struct options *options, const char *text)
{
	const char *slash = strchr(text, '/');
	char *first = slash ? strndup(text, (size_t)(slash - text)) : NULL;
	unsigned long long shard = 0, n = 0;
	int status = first && options_number(&shard, first, OPTIONS_MAX_SHARDS) == 0 &&
				     options_number(&n, slash + 1, OPTIONS_MAX_SHARDS) == 0 &&
				     shard >= 1 && shard <= n
			     ? 0
			     : -1;

	free(first);
	options->shard = (long)shard;
	options->n_shards = (long)n;
	return status;
}

int options_ship(struct ship_wish *wish, const char *command, int option, const char *text)
{
	unsigned long long number;
	char *end;
	int i = 0;

	switch (option) {
	case OPTIONS_MAX_KERNELS:
		if (options_number(&number, text, 1000000) < 0 || !number)
			return options_misuse(command, "--max-kernels '%s' must be a number from 1",
					      text);
		wish->max_kernels = (size_t)number;
		return 0;
	case OPTIONS_DECODE_SHARE:
		wish->decode_share = strtod(text, &end);
		return isdigit((unsigned char)*text) && !*end && wish->decode_share <= 1
			       ? 0
			       : options_misuse(command,
						"--decode-share '%s' must be a number from 0 to 1",
						text);
	case OPTIONS_OBJECTIVE:
		while (i < SHIP_N_OBJECTIVES && strcmp(text, ship_objectives[i]))
			i++;
		wish->objective = (enum ship_objective)i;
		return i < SHIP_N_OBJECTIVES
			       ? 0
			       : options_misuse(command,
						"--objective '%s' must be time, energy or edp",
						text);
	default: return 1;
	}
}

static int set_option(struct options *options, int option, char **argv)
{
	unsigned long long number;
	int status;

	if (options_empty(argv))
		return misuse("option '%s' needs a value", options_empty(argv));
	status = options_ship(&options->ship, "tune", option, optarg);
	if (status <= 0)
		return status;
	switch (option) {
	case 'b':
		return set_budget(options, optarg) < 0
			       ? misuse("--budget '%s' must be quick, normal, thorough or seconds from 1",
					optarg)
			       : 0;
	case SEED:
		return options_number(&options->seed, optarg, 1ull << 62) < 0
			       ? misuse("--seed '%s' must be a whole number from 0 to 2^62", optarg)
			       : 0;
	case 'j':
		if (options_number(&number, optarg, 64) < 0 || !number)
			return misuse("--jobs '%s' must be 1 to 64", optarg);
		options->jobs = (int)number;
		return 0;
	case STRATEGY:
		return set_strategy(options, optarg) < 0
			       ? misuse("--strategy '%s' must be race, random, exhaustive or duel",
					optarg)
			       : 0;
	case SPACES: options->spaces = optarg; return 0;
	case 't': options->threads = optarg; return 0;
	case CORES: options->cores = optarg; return 0;
	case SUSTAINED:
		if (options_number(&number, optarg, 86400) < 0)
			return misuse("--sustained '%s' must be seconds, 0 to 86400", optarg);
		options->sustained_s = (double)number;
		return 0;
	case 'f': options->formats = optarg; return 0;
	case 's': options->shapes = optarg; return 0;
	case 'n': options->tokens = optarg; return 0;
	case 'm': options->model = optarg; return 0;
	case 'd': options->device = optarg; return 0;
	case AT: options->at = optarg; return 0;
	case 'o':
		options->output = optarg;
		return is_folder(optarg, 0) || optarg[strlen(optarg) - 1] == '/'
			       ? misuse("--output '%s' must be a file, not a folder", optarg)
			       : 0;
	case 'w':
		options->work = optarg;
		return is_folder(optarg, 1)
			       ? 0
			       : misuse("--work '%s' must be a folder, not a file", optarg);
	case FRESH: options->fresh = 1; return 0;
	case JSON: options->json = 1; return 0;
	case SHARD:
		return set_shard(options, optarg) < 0
			       ? misuse("--shard '%s' must be I/N, such as 2/3, with 1 <= I <= N <= 9999",
					optarg)
			       : 0;
	case SEED_FROM:
		if (options->n_seed_from == OPTIONS_MAX_SEEDS)
			return misuse("--seed-from '%s': too many files", optarg);
		options->seed_from[options->n_seed_from++] = optarg;
		return 0;
	case 'e': options->core = optarg; return 0;
	case COMPILER:
		options->compiler = optarg;
		return strcmp(optarg, "gcc") && strcmp(optarg, "clang") && strcmp(optarg, "both")
			       ? misuse("--compiler '%s' must be gcc, clang or both", optarg)
			       : 0;
	case MAX_CANDIDATES:
		if (options_number(&number, optarg, 1000000) < 0 || !number)
			return misuse("--max-candidates '%s' must be a number from 1", optarg);
		options->max_candidates = (long)number;
		return 0;
	case ':': return misuse("option '%s' needs a value", argv[optind - 1]);
	default:
		return misuse(strchr(argv[optind - 1], '=') && optopt
				      ? "option '%s' must have no value"
				      : "unknown option '%s'",
			      argv[optind - 1]);
	}
}

int options_read(struct options *options, int argc, char **argv)
{
	int option;

	memset(options, 0, sizeof(*options));
	set_budget(options, "quick");
	options->seed = 1;
	options->sustained_s = -1;
	options->ship.decode_share = SHIP_DECODE_SHARE;
	options->jobs = (int)sysconf(_SC_NPROCESSORS_ONLN);
	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, ":b:t:f:s:n:m:d:o:w:j:e:h", long_options, NULL)) !=
	       -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return 1;
		}
		if (set_option(options, option, argv) < 0)
			return -1;
	}
	if (argc - optind > 1)
		return misuse("there is one config file at most, not also '%s'", argv[optind + 1]);
	options->config = argv[optind];
	if (!options->core && (options->compiler || options->max_candidates))
		return misuse("%s is for estimates, which --estimate asks for",
			      options->compiler ? "--compiler" : "--max-candidates");
	if (options->core && !models_find(options->core)) {
		fprintf(stderr,
			"quern: tune: there is no model of a core '%.40s': must be one of %s\n",
			options->core, models_names());
		return -1;
	}
	if (options->core && options->threads)
		return misuse("%s",
			      "--threads and --estimate exclude each other: an estimate is of "
			      "one thread");
	if (options->core &&
	    (options->at || options->cores || options->sustained_s >= 0 || options->json))
		return misuse("%s and --estimate exclude each other: nothing runs for an estimate",
			      options->at                 ? "--at"
			      : options->cores            ? "--cores"
			      : options->sustained_s >= 0 ? "--sustained"
							  : "--json");
	if (options->core && options->ship.objective != SHIP_TIME)
		return misuse(
			"--objective %s and --estimate exclude each other: llvm-mca knows time only",
			ship_objectives[options->ship.objective]);
	if (options->core && options->n_seed_from > 1)
		return misuse("%s", "an estimate takes one --seed-from");
	if (options->core && options->n_shards)
		return misuse("%s", "--shard and --estimate exclude each other");
	if (!options->device) /* estimates need no more than the compilers of this one */
		options->device = options->core ? "qemu-aarch64" : "local";
	if (options->strategy == CONTEST_DUEL && !options->n_seed_from)
		return misuse("%s",
			      "--strategy duel needs --seed-from FILE, whose winners are compared");
	if (options->model && options->shapes)
		return misuse("%s", "--model and --shapes exclude each other");
	return 0;
}
