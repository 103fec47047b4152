/*
 * quern.c: the host program `quern`, one command after the other.
 *
 * Everything that fails comes back here as a sentence; only this file prints it.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gen/gen.h"
#include "runtime/quern.h"
#include "doctor.h"
#include "export.h"
#include "merge.h"
#include "report.h"
#include "stale.h"
#include "tabulate.h"
#include "tune.h"

enum { OK, FAILED, MISUSED };

static const char usage[] =
	"Usage: quern COMMAND ...\n"
	"\n"
	"  quern gen FILE... -o DIR [--arch ARCH]\n"
	"      Writes the C files of a runtime to DIR: the kernels that results or config files\n"
	"      name, a registry (kernels.c) and a makefile part (kernels.mk).  Of two FILEs that\n"
	"      know the same case the later one wins, but never an estimate over a measurement.\n"
	"      Files that are right stay untouched.\n"
	"        -o, --output DIR    made when absent\n"
	"        --arch ARCH         only what runs there: x86_64 or aarch64\n"
	"\n"
	"  quern tune [OPTION]...\n"
	"      Measures which kernels win on a device, or estimates it; see quern tune --help.\n"
	"\n"
	"  quern merge -o OUT RESULTS...\n"
	"      Makes one results file of several of one device; see quern merge --help.\n"
	"\n"
	"  quern check RESULTS...\n"
	"      Tells whether results files are right, and what templates have made stale.\n"
	"\n"
	"  quern export -o FILE.json RESULTS...\n"
	"      Writes measurements as JSON for other tools (T4); see quern export --help.\n"
	"\n"
	"  quern device list | doctor NAME [OPTION]...\n"
	"      Lists devices, or looks at one before it is tuned; see quern device --help.\n"
	"\n"
	"  quern cost [OPTION]... KEY|FILE...\n"
	"      Prints what kernels cost by their assembly; see quern cost --help.\n"
	"\n"
	"  quern report [-o FILE] [--text] RESULTS...\n"
	"      Shows results as text or as a page with charts; see quern report --help.\n"
	"\n"
	"  quern run ARGUMENT...\n"
	"      Starts quern-run, the engine's command line; see quern run --help.\n"
	"\n"
	"  quern version | --version\n"
	"  quern help | --help\n"
	"\n"
	"QUERN_HOME names the folder that holds gen/ and templates/.\n"
	"Exit status: 0 done, 1 failed, 2 called in a wrong way.\n";

static int complain(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int complain(int status, const char *format, ...)
{
	va_list args;

	fputs("quern: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs(status == MISUSED ? "; see quern --help\n" : "\n", stderr);
	return status;
}

static int is_home(const char *path)
{
	char family[PATH_MAX + 32];

	snprintf(family, sizeof(family), "%s/gen/family.lua", path);
	return access(family, R_OK) == 0;
}

/*
 * The data of an installed program lie beside it, wherever both were moved; those of a build are in
 * the source tree.
 */
static const char *find_home(void)
{
	static char beside[PATH_MAX + 32];
	const char *home = getenv("QUERN_HOME");
	const ssize_t n = readlink("/proc/self/exe", beside, PATH_MAX);

	if (home && *home)
		return home;
	for (ssize_t i = n; i > 0; i--) {
		if (beside[i - 1] == '/') {
			strcpy(beside + i, "../share/quern");
			if (is_home(beside))
				return beside;
			break;
		}
	}
	return is_home(QUERN_SRCDIR) ? QUERN_SRCDIR : QUERN_DATADIR;
}

static int print(const char *text)
{
	if (fputs(text, stdout) == EOF || fflush(stdout) == EOF)
		return complain(FAILED, "cannot write to standard output: %s", strerror(errno));
	return OK;
}

static int run_help(int argc, char **argv)
{
	(void)argc, (void)argv;
	return print(usage);
}

static int run_version(int argc, char **argv)
{
	(void)argc, (void)argv;
	return print("quern " QUERN_VERSION "\n");
}

static int write_files(char **paths, size_t n_paths, const char *dir, const char *arch)
{
	struct gen_error err;
	struct gen *gen = gen_open(find_home(), &err);
	size_t n_written, n_unchanged;
	int status = OK;

	if (!gen)
		return complain(FAILED, "%s", err.text);
	if (gen_write(gen, (const char *const *)paths, n_paths, dir, arch, &err) < 0) {
		status = complain(FAILED, "%s", err.text);
	} else if (isatty(STDERR_FILENO)) {
		gen_written(gen, &n_written, &n_unchanged);
		fprintf(stderr, "wrote %zu files in %s (%zu unchanged)\n", n_written, dir,
			n_unchanged);
	}
	gen_close(gen);
	return status;
}

static int run_gen(int argc, char **argv)
{
	static const struct option options[] = {
		{"output", required_argument, NULL, 'o'},
		{"arch", required_argument, NULL, 'a'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *dir = NULL, *arch = NULL;
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":o:h", options, NULL)) != -1) {
		switch (option) {
		case 'o': dir = optarg; break;
		case 'a': arch = optarg; break;
		case 'h': return print(usage);
		case ':':
			return complain(MISUSED, "gen: option '%s' needs a value",
					argv[optind - 1]);
		default:
			if (optopt && optopt != 'h')
				return complain(MISUSED, "gen: unknown option '-%c'", optopt);
			return complain(MISUSED, "gen: unknown option '%s'", argv[optind - 1]);
		}
	}
	if (optind == argc)
		return complain(MISUSED, "gen: name a results or config file");
	if (!dir || !*dir)
		return complain(MISUSED, "gen: -o must name the folder to write to");
	if (arch && strcmp(arch, "x86_64") != 0 && strcmp(arch, "aarch64") != 0)
		return complain(MISUSED, "gen: '%s' is no architecture: x86_64 or aarch64", arch);
	return write_files(argv + optind, (size_t)(argc - optind), dir, arch);
}

static int run_tune(int argc, char **argv)
{
	return tune_main(argc, argv, find_home());
}

static int run_device(int argc, char **argv)
{
	return doctor_main(argc, argv, find_home());
}

static int run_cost(int argc, char **argv)
{
	return tabulate_main(argc, argv, find_home());
}

static int run_merge(int argc, char **argv)
{
	return merge_main(argc, argv);
}

static int run_check(int argc, char **argv)
{
	return stale_main(argc, argv, find_home());
}

static int run_export(int argc, char **argv)
{
	return export_main(argc, argv, find_home());
}

static int run_report(int argc, char **argv)
{
	return report_main(argc, argv, find_home());
}

/* quern-run of the folder that this program runs from, or else of PATH. */
static int run_run(int argc, char **argv)
{
	static char name[] = "quern-run";
	char path[PATH_MAX + sizeof name];
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
	char *slash;

	(void)argc;
	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	argv[0] = name;
	if (slash) {
		memcpy(slash + 1, name, sizeof name);
		if (access(path, X_OK) == 0) {
			argv[0] = path;
			execv(path, argv);
			return complain(FAILED, "cannot start %s: %s", path, strerror(errno));
		}
	}
	execvp(name, argv);
	return complain(FAILED, "cannot start %s: %s", name, strerror(errno));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{"gen", run_gen},         {"tune", run_tune},         {"device", run_device},
		{"cost", run_cost},       {"merge", run_merge},       {"check", run_check},
		{"export", run_export},   {"report", run_report},     {"run", run_run},
		{"version", run_version}, {"--version", run_version}, {"help", run_help},
		{"--help", run_help},     {"-h", run_help},
	};

	if (argc < 2)
		return complain(
			MISUSED,
			"name a command: gen, tune, merge, check, export, report, device, cost, run, version or help");
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	}
	return complain(MISUSED, "there is no command '%s'", argv[1]);
}
