/*
 * fake_probe.c: a compiler and a probe that only pretend, and misbehave when told to.
 *   fake_probe cc ...       copies its source to its object, or objects to a program; a source
 *                           that holds the word of FAKE_BAD is an error
 *   fake_probe clang ...    does so, too, and says so in the object
 *   fake_probe run PROGRAM  speaks the protocol of tuner/probe.h for the kernels that the registry
 *                           in PROGRAM declares; PROGRAM itself starts that, too
 *   fake_probe remote PROGRAM serve|attach FOLDER
 *                           does so at the end of a link (serve.h), when made with FAKE_REMOTE
 *
 * FAKE_ASM is what -S makes of a kernel, instead of a copy: "code", a loop whose length follows from
 * its name; "fail", an error.  FAKE_COUNTS is what hello says of counters ("work", "memory" or
 * "clock"): more instructions, or more cycles that wait, for a kernel that takes longer, or the same
 * of all.  FAKE_GBPS is the roof.
 * FAKE_CORES says what hello tells of cores, in the place of two that are alike.  The newer verbs
 * are unknown unless FAKE_STATE names a file, in which it is counted what was asked: from the
 * FAKE_HOT_AFTER-th time on the device is hot and takes half as long again for everything, until it
 * was asked FAKE_COOL times for its vitals; the next time makes it hot again, FAKE_AGAIN times.  Work under load (sustain) is an order of its own;
 * FAKE_ENERGY is what it says a call takes, half for kernels that have FAKE_THRIFTY in their names, FAKE_LIMP names the cores on which it fails, FAKE_WEARY a kernel
 * that fails after it.
 *
 * Times are a function of kernel and case, so every undisturbed run has the same winners; kernels
 * by clang take half as long.  With FAKE_FAULTS set, one kernel in four does something bad, chosen by
 * its name.  FAKE_LOG names a file that gets a line per request for a time, FAKE_PID one that gets
 * the process number, FAKE_DELAY_US is slept before a time.  FAKE_DO names one thing to do at the
 * first request for a time, or at every one for kernels that have FAKE_VICTIM in their names, or at
 * their requests FAKE_VERB.
 *
 * FAKE_NOISE says by how many percent times are off at most, by random numbers from FAKE_SEED; FAKE_COUNT
 * names a file in which requests are counted, the FAKE_KILL_AT-th of which kills the probe.  FAKE_CC is
 * what the compiler does to sources that hold the word of FAKE_BAD in the place of an error.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef FAKE_REMOTE
#include "tuner/attach.h"
#include "tuner/serve.h"
#endif

#define MARK "extern const struct qn_kernel qn_kernel_"

static uint64_t hash(const char *text)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3u;
	return h ^ h >> 29;
}

static char *read_all(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = NULL;
	size_t n = 0;

	if (!file || getdelim(&text, &n, 0, file) < 0) {
		if (file)
			fclose(file);
		free(text);
		return calloc(1, 1);
	}
	fclose(file);
	return text;
}

/* ---- the compiler ---- */

/* What a compiler does wrong; the exit status, if it comes back. */
static int fail_to_compile(const char *how, const char *output)
{
	FILE *out = fopen(output, "w");

	if (!strcmp(how, "crash"))
		raise(SIGSEGV);
	if (!strcmp(how, "hang")) { /* as its driver and the compiler proper do */
		fork();
		sleep(1000);
	}
	for (long i = 0; (!strcmp(how, "talk") && i < 50000) || !strcmp(how, "flood"); i++)
		printf("this is line %ld of a compiler that has a lot to say about it\n", i);
	if (!strcmp(how, "truncate") && out)
		fwrite("\177ELF\2\1\1 and no more", 1, 20, out);
	if (out)
		fclose(out);
	return strcmp(how, "truncate") && strcmp(how, "empty");
}

/* A loop of 16 to 47 instructions for 256 weights, two spills in every second one. */
static void write_assembly(FILE *out, const char *text)
{
	const char *at = strstr(text, "qn_kernel_");
	char name[64] = "";
	unsigned n;

	if (!at || sscanf(at, "qn_kernel_%63[a-z0-9_]", name) != 1)
		return;
	n = 16 + (unsigned)(hash(name) % 32);
	fprintf(out, "%s_run:\n.L1:\n\t// quern-mark block 256\n", name);
	for (unsigned i = 0; i < n - 1; i++)
		fputs(i < 2 && n % 2 ? "\tvmovaps\t%zmm1, 64(%rsp)\n"
				     : "\tvpaddd\t%zmm1, %zmm2, %zmm3\n",
		      out);
	fputs("\tjne\t.L1\n\tret\n", out);
}

/* What is no object and no assembly can be run. */
static void write_start(FILE *out, const char *output)
{
	const char *end = strrchr(output, '.');
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self));

	if (n > 0 && (!end || strchr(end, '/')))
		fprintf(out, "#!%.*s run\n", (int)n, self);
}

static int fake_cc(const char *self, int argc, char **argv)
{
	const char *output = NULL, *bad = getenv("FAKE_BAD"), *how = getenv("FAKE_HOW");
	const char *assembly = NULL;
	FILE *out;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--version")) {
			printf("fake %s 1.0\n", self);
			return 0;
		}
		if (!strcmp(argv[i], "-o") && i + 1 < argc)
			output = argv[i + 1];
		if (!strcmp(argv[i], "-S"))
			assembly = getenv("FAKE_ASM");
	}
	if (assembly && !strcmp(assembly, "fail")) {
		puts("x.c:1: error: no assembly today");
		return 1;
	}
	out = output ? fopen(output, "w") : NULL;
	if (!out)
		return 2;
	write_start(out, output);
	if (!strcmp(self, "clang"))
		fputs("made by clang\n", out);
	for (int i = 0; i < argc; i++) {
		size_t n = strlen(argv[i]);
		char *text;

		if (n < 3 || argv[i] == output ||
		    (strcmp(argv[i] + n - 2, ".c") && strcmp(argv[i] + n - 2, ".o")))
			continue;
		text = read_all(argv[i]);
		if (bad && strstr(text, bad) && getenv("FAKE_CC")) {
			free(text);
			fclose(out);
			return fail_to_compile(getenv("FAKE_CC"), output);
		}
		if (bad && strstr(text, bad)) {
			printf("%s:1: error: %s\n", argv[i], how ? how : "told to fail");
			free(text);
			fclose(out);
			unlink(output);
			return how && !strcmp(how, "none") ? 0 : 1;
		}
		if (assembly)
			write_assembly(out, text);
		else
			fputs(text, out);
		free(text);
	}
	if (ferror(out) | fclose(out)) {
		perror(output);
		return 1;
	}
	return chmod(output, 0755);
}

/* ---- the probe ---- */

#define MAX_KERNELS 1024

static char kernels[MAX_KERNELS][64];
static int n_kernels;
static char place[256], pinned[64];
static int is_loaded; /* sustain was asked for */

static void find_kernels(const char *program)
{
	char *text = read_all(program);

	for (const char *p = text; (p = strstr(p, MARK)) && n_kernels < MAX_KERNELS;) {
		p += strlen(MARK);
		sscanf(p, "%63[a-z0-9_]", kernels[n_kernels++]);
	}
	free(text);
}

static void note(const char *path, const char *mode, const char *text)
{
	FILE *file = path ? fopen(path, mode) : NULL;

	if (file) {
		fputs(text, file);
		fclose(file);
	}
}

static void flood(void)
{
	for (;;)
		printf("ok ns=1 calls=1 flags=0 and so on and on\n");
}

/* The ways to be bad; each stays for all time, so that a second try meets it, too. */
static void misbehave(const char *action)
{
	static const struct {
		const char *name;
		int number;
	} signals[] = {{"segv", SIGSEGV}, {"bus", SIGBUS},   {"ill", SIGILL},
		       {"fpe", SIGFPE},   {"kill", SIGKILL}, {"term", SIGTERM}};

	if (!strcmp(action, "crash"))
		abort();
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		if (!strcmp(action, signals[i].name))
			raise(signals[i].number);
	}
	if (!strcmp(action, "kill server"))
		kill(getppid(), SIGKILL), pause();
	if (!strcmp(action, "exit"))
		_exit(3);
	if (!strcmp(action, "hang"))
		sleep(1000);
	if (!strcmp(action, "flood"))
		flood();
	if (!strcmp(action, "long"))
		for (;;)
			putchar('x');
	if (!strcmp(action, "wrong"))
		puts("fail wrong y[3] is 1.5 and not 2.5");
	if (!strcmp(action, "log"))
		for (;;)
			fputs("a kernel that has a lot to say\n", stderr);
	if (!strcmp(action, "garbage"))
		puts("\001what? \377");
	if (!strcmp(action, "zero"))
		fwrite("ok \0\n", 1, 5, stdout);
	if (!strcmp(action, "lie"))
		puts("ok ns=-5 calls=1 flags=0");
	if (!strcmp(action, "slow lie"))
		puts("ok ns=999999999999 calls=1 flags=0");
	if (!strcmp(action, "other calls"))
		puts("ok ns=1000 calls=77777 flags=0");
	if (!strcmp(action, "empty"))
		puts("");
	if (!strcmp(action, "fail"))
		puts("fail crash signal 11");
	fflush(stdout);
}

/* What kernel i of a probe does wrong at a verb, or NULL. */
static const char *fault(int i, const char *verb)
{
	static const struct {
		const char *verb, *action;
	} faults[] = {
		{"time", "crash"},  {"verify", "fail"}, {"time", "flood"},   {"time", "garbage"},
		{"verify", "exit"}, {"prepare", "lie"}, {"time", "lie"},     {"time", "slow lie"},
		{"verify", "zero"}, {"time", "long"},   {"prepare", "exit"}, {"time", "hang"},
	};
	size_t n = sizeof(faults) / sizeof(*faults);

	if (!getenv("FAKE_FAULTS") || i % 2 == 0 || strcmp(faults[(size_t)i / 2 % n].verb, verb))
		return NULL;
	return faults[(size_t)i / 2 % n].action;
}

/* Is a kernel to do what FAKE_DO says at this verb? */
static int is_victim(const char *name, const char *verb)
{
	const char *victim = getenv("FAKE_VICTIM"), *when = getenv("FAKE_VERB");

	return victim && getenv("FAKE_DO") && strstr(name, victim) &&
	       !strcmp(verb, when ? when : "time");
}

/* Counts a request of any probe of the run; one of them is the last of this one. */
static void count_request(void)
{
	const char *path = getenv("FAKE_COUNT"), *at = getenv("FAKE_KILL_AT");
	struct stat status;

	note(path, "a", ".");
	if (path && at && stat(path, &status) == 0 && status.st_size == atol(at))
		raise(SIGKILL);
}

/* A factor from 1 on. */
static double noise(const char *key)
{
	static long n;
	const char *percent = getenv("FAKE_NOISE"), *seed = getenv("FAKE_SEED");
	char text[500];

	if (!percent)
		return 1;
	snprintf(text, sizeof(text), "%s %ld %s", seed ? seed : "", n++, key);
	return 1 + atof(percent) / 100 * (double)(hash(text) % 1000) / 999;
}

/* ---- heat ---- */

struct state {
	long n_times, n_vitals; /* vitals: while hot */
	long n_again;
};

static long number_of(const char *variable, long other)
{
	const char *text = getenv(variable);

	return text ? atol(text) : other;
}

static struct state read_state(void)
{
	struct state state = {0, 0, 0};
	char *text = read_all(getenv("FAKE_STATE") ? getenv("FAKE_STATE") : "");

	sscanf(text, "%ld %ld %ld", &state.n_times, &state.n_vitals, &state.n_again);
	free(text);
	return state;
}

static void write_state(struct state state)
{
	char text[80];

	snprintf(text, sizeof(text), "%ld %ld %ld\n", state.n_times, state.n_vitals, state.n_again);
	note(getenv("FAKE_STATE"), "w", text);
}

static int is_hot(struct state state)
{
	return state.n_times >= number_of("FAKE_HOT_AFTER", 1000000000) &&
	       state.n_vitals < number_of("FAKE_COOL", 1000000000);
}

static void answer_canary(void)
{
	printf("ok ns=%d khz=-\n", is_hot(read_state()) ? 75000000 : 50000000);
}

static void answer_vitals(void)
{
	struct state state = read_state();

	printf("ok temp_mc=%ld zone=fake throttled=0 charging=-\n",
	       is_hot(state) ? 90000 - 4000 * (state.n_vitals % 10) : 40000);
	if (is_hot(state)) {
		state.n_vitals++;
		if (!is_hot(state) && state.n_again < number_of("FAKE_AGAIN", 0))
			state = (struct state){number_of("FAKE_HOT_AFTER", 0) - 1, 0,
					       state.n_again + 1};
	}
	write_state(state);
}

static void answer_sustain(const char *line, const char *name)
{
	const char *seconds = strstr(line, " seconds="), *energy = getenv("FAKE_ENERGY");
	const char *thrifty = getenv("FAKE_THRIFTY");
	const long part = thrifty && strstr(name, thrifty) ? 2 : 1;

	if (getenv("FAKE_LIMP") && !strcmp(getenv("FAKE_LIMP"), pinned)) {
		puts("fail crash signal 11");
		return;
	}
	is_loaded = 1;
	printf("ok calls=1000 ns=%.0f ns_first=1000 ns_last=2000 ",
	       seconds ? 1e9 * atof(seconds + 9) : 0);
	if (energy && seconds && atof(seconds + 9) >= 10) /* as with a battery */
		printf("energy_uj=%ld source=fake\n", 1000 * atol(energy) / part);
	else
		puts("energy_uj=- source=-");
}

static void make_key(char *key, size_t n_bytes, const char *name)
{
	snprintf(key, n_bytes, "%s %s%s%s\n", name, place, pinned, is_loaded ? " loaded" : "");
}

/* Of 100 instructions and 50 cycles a microsecond. */
static void answer_count(const char *name, const char *event, long calls)
{
	const char *mode = getenv("FAKE_COUNTS");
	char key[400];
	long value = 4;

	make_key(key, sizeof(key), name);
	if (mode) {
		const long us = 100 + (long)(hash(key) % 90);
		const long work = strcmp(mode, "work") ? 100 : us;
		const long cycles = strcmp(mode, "clock") ? 50 * us : 5000;

		value = calls * (!strcmp(event, "instructions")    ? 100 * work
				 : !strcmp(event, "cycles")        ? cycles
				 : !strcmp(event, "memory_stalls") ? cycles - 4000
								   : 0);
	}
	printf("ok value=%ld ns=1000\n", value);
}

static void answer_time(const char *name, long calls)
{
	const char *delay = getenv("FAKE_DELAY_US"), *once = getenv("FAKE_DO");
	struct state state = read_state();
	char key[400];
	long us;

	make_key(key, sizeof(key), name);
	note(getenv("FAKE_LOG"), "a", key);
	if (delay)
		usleep((useconds_t)atoi(delay));
	if (once && !getenv("FAKE_VICTIM")) {
		misbehave(once);
		return;
	}
	if (is_loaded && getenv("FAKE_WEARY") && !strcmp(getenv("FAKE_WEARY"), name)) {
		puts("fail crash signal 11");
		return;
	}
	us = 100 + (long)(hash(key) % 90);
	us += is_hot(state) ? us / 2 : 0;
	state.n_times++;
	if (getenv("FAKE_STATE"))
		write_state(state);
	if (strlen(name) > 2 && !strcmp(name + strlen(name) - 2, "yc"))
		us /= 2;
	if (calls < 1)
		calls = 2;
	printf("ok ns=%.0f calls=%ld flags=%d\n", (double)(calls * us * 1000) * noise(key), calls,
	       calls * us > 900 ? 0 : (int)(hash(key) % 7 == 0));
}

/* Threads that are not there are refused; pinned threads run at a speed of their own. */
static void answer_engine(const char *line)
{
	const char *threads = strstr(line, " threads="), *class = strstr(line, " cpus=class:");
	const char *cores = getenv("FAKE_CORES");
	char key[32];

	*pinned = 0;
	if (class) {
		snprintf(key, sizeof(key), "name%d=", atoi(class + 12));
		cores = cores ? strstr(cores, key) : NULL;
		if (!cores) {
			puts("error no such class");
			return;
		}
		sscanf(cores + strlen(key), "%63s", pinned);
	}
	printf("ok threads=%d\n", threads ? atoi(threads + 9) : 0);
}

static void answer(char *line)
{
	char verb[32] = "", *i_at = strstr(line, " i="), *calls_at = strstr(line, " calls=");
	char *event_at = strstr(line, " event=");
	int i = i_at ? atoi(i_at + 3) : 0;
	const char *bad;

	count_request();
	sscanf(line, "%31s", verb);
	if (i < 0 || i >= n_kernels) {
		puts("error no such kernel");
		return;
	}
	bad = i_at ? fault(i, verb) : NULL;
	if (i_at && is_victim(kernels[i], verb))
		bad = getenv("FAKE_DO");
	if (bad) {
		misbehave(bad);
		return;
	}
	if (!strcmp(verb, "hello"))
		printf("ok protocol=1 kernels=%d arch=x86_64 features=avx2,avx512,avx512vnni,"
		       "avx512vbmi,gfni %s llc_bytes=1048576 l2_bytes=65536 "
		       "l1d_bytes=32768 cpu=Fake%%20CPU%%20%%2f1 kernel=Fake%%201.0 %s\n",
		       n_kernels, getenv("FAKE_CORES") ? getenv("FAKE_CORES") : "cores=2 classes=1",
		       getenv("FAKE_COUNTS")
			       ? "counters=perf why=stalls%3a%20a%20fake "
				 "events=cycles,instructions,memory_stalls,page_faults"
			       : "counters=none why=a%20fake events=page_faults");
	else if (!strcmp(verb, "kernel"))
		printf("ok name=%s\n", kernels[i]);
	else if (!strcmp(verb, "engine"))
		answer_engine(line);
	else if (!strcmp(verb, "verify"))
		puts("ok nmse=1e-5");
	else if (!strcmp(verb, "case"))
		snprintf(place, sizeof(place), "%.255s", line), puts("ok");
	else if (!strcmp(verb, "prepare"))
		puts("ok bytes=10000");
	else if (!strcmp(verb, "time"))
		answer_time(kernels[i], calls_at ? atol(calls_at + 7) : 0);
	else if (getenv("FAKE_STATE") && !strcmp(verb, "canary"))
		answer_canary();
	else if (getenv("FAKE_STATE") && !strcmp(verb, "vitals"))
		answer_vitals();
	else if (getenv("FAKE_STATE") && !strcmp(verb, "sustain"))
		answer_sustain(line, kernels[i]);
	else if (getenv("FAKE_ENERGY") && !strcmp(verb, "doctor"))
		puts("ok sensors=fake");
	else if (!strcmp(verb, "roof"))
		printf("ok dram_gbps=%s streams=2 huge=1 int8_gmacs=100\n",
		       getenv("FAKE_GBPS") ? getenv("FAKE_GBPS") : "20.5");
	else if (!strcmp(verb, "count"))
		answer_count(kernels[i], event_at ? event_at + 7 : "",
			     calls_at ? atol(calls_at + 7) : 1);
	else
		printf("error unknown request '%s'\n", verb);
}

static int fake_run(const char *program)
{
	char line[4096], pid[32];

	signal(SIGXFSZ, SIG_IGN); /* notes may have no room, which is no fault of a kernel */
	find_kernels(program);
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	note(getenv("FAKE_PID"), "w", pid);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		answer(line);
		fflush(stdout);
	}
	return 0;
}

#ifdef FAKE_REMOTE
static const char *served;

static int serve_program(FILE *in, FILE *out, struct quern_error *err)
{
	(void)err;
	dup2(fileno(in), STDIN_FILENO);
	dup2(fileno(out), STDOUT_FILENO);
	return fake_run(served);
}

static int fake_remote(const char *program, const char *verb, const char *folder)
{
	struct quern_error err;

	served = program;
	if (!strcmp(verb, "attach")) {
		attach_run(folder);
		return 0;
	}
	if (serve_start(folder, serve_program, &err) == 0)
		return 0;
	fprintf(stderr, "quern: %s\n", err.text);
	return 1;
}
#endif

/* Also called by tests that play their own probe. */
int fake_probe(int argc, char **argv);

int fake_probe(int argc, char **argv)
{
	if (argc > 2 && (!strcmp(argv[1], "cc") || !strcmp(argv[1], "clang")))
		return fake_cc(argv[1], argc - 2, argv + 2);
	if (argc == 3 && !strcmp(argv[1], "run"))
		return fake_run(argv[2]);
#ifdef FAKE_REMOTE
	if (argc == 5 && !strcmp(argv[1], "remote"))
		return fake_remote(argv[2], argv[3], argv[4]);
#endif
	return 2;
}

#ifndef FAKE_PROBE_PART
int main(int argc, char **argv)
{
	return fake_probe(argc, argv);
}
#endif
