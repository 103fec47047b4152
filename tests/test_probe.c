/*
 * test_probe.c: talks to a probe whose kernels crash, hang and miscompute.
 *
 * The probe is served by a forked child over pipes, as the tuner meets it.  Whatever is asked,
 * each line gets one answer, and the probe lives on.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bad_kernels.h"
#include "tests/scratch.h"
#include "tuner/probe.h"

struct session {
	pid_t pid;
	int to, from;
	char answer[PROBE_LINE + 1];
};

static void open_session(struct session *s)
{
	int in[2], out[2];

	if (pipe(in) != 0 || pipe(out) != 0 || (s->pid = fork()) < 0) {
		perror("test_probe");
		exit(1);
	}
	if (s->pid == 0) {
		struct quern_error err;

		close(in[1]);
		close(out[0]);
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO); /* what crashes may say */
		_exit(probe_serve(fdopen(in[0], "r"), fdopen(out[1], "w"), &err) != 0);
	}
	close(in[0]);
	close(out[1]);
	s->to = in[1];
	s->from = out[0];
}

static void send_bytes(struct session *s, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t sent = write(s->to, bytes, n);

		if (!CHECK(sent > 0))
			return;
		bytes += sent;
		n -= (size_t)sent;
	}
}

/* One line without its newline; "" at end of file or after two minutes. */
static const char *receive(struct session *s)
{
	size_t n = 0;

	while (n < PROBE_LINE) {
		struct pollfd ready = {.fd = s->from, .events = POLLIN};

		if (poll(&ready, 1, 120000) != 1 || read(s->from, s->answer + n, 1) != 1)
			break;
		if (s->answer[n] == '\n') {
			s->answer[n] = 0;
			return s->answer;
		}
		n++;
	}
	CHECK(n == 0); /* half a line, or one that is too long */
	s->answer[0] = 0;
	return s->answer;
}

/* Asks and checks how the answer begins. */
static const char *ask(struct session *s, const char *expected, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static const char *ask(struct session *s, const char *expected, const char *format, ...)
{
	char request[PROBE_LINE * 2];
	va_list args;

	va_start(args, format);
	vsnprintf(request, sizeof(request) - 1, format, args);
	va_end(args);
	strcat(request, "\n");
	send_bytes(s, request, strlen(request));
	receive(s);
	if (strncmp(s->answer, expected, strlen(expected)) != 0 && ++check_failures <= 20)
		printf("%.100s%s expected \"%s\", got \"%s\"\n", request,
		       strlen(request) > 100 ? "..." : "", expected, s->answer);
	return s->answer;
}

/* Closes the input; returns the child's status. */
static int close_session(struct session *s)
{
	int status = -1;

	close(s->to);
	CHECK(receive(s)[0] == 0);
	close(s->from);
	waitpid(s->pid, &status, 0);
	return status;
}

/* Value of a key as a number, or -1. */
static double value_of(const char *answer, const char *key)
{
	char pattern[64];
	const char *p;

	snprintf(pattern, sizeof(pattern), " %s=", key);
	p = strstr(answer, pattern);
	return p ? strtod(p + strlen(pattern), NULL) : -1;
}

static void test_facts(struct session *s)
{
	static const char *const keys[] = {" arch=",     " features=", " cpu=",   " kernel=",
					   " counters=", " why=",      " events="};
	const char *answer = ask(s, "ok protocol=1 kernels=", "hello");

	CHECK(value_of(answer, "kernels") == BAD_COUNT);
	CHECK(value_of(answer, "cores") >= 1);
	CHECK(value_of(answer, "classes") >= 1);
	CHECK(value_of(answer, "llc_bytes") >= 4096);
	CHECK(value_of(answer, "l2_bytes") >= 4096);
	CHECK(value_of(answer, "l1d_bytes") >= 4096);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		CHECK(strstr(answer, keys[i]) != NULL);
	CHECK(strstr(answer, " name0=") && strstr(answer, " core0=0x") &&
	      strstr(answer, " part0=0x"));
	CHECK(strstr(answer, " cpus0=") && value_of(answer, "max_khz0") >= 0);
	CHECK(value_of(answer, "capacity0") >= 1);
	CHECK(strstr(answer, "= ") == NULL && answer[strlen(answer) - 1] != '=');
	ask(s, "ok name=bad_w8g32_a8g32_plain_right4", "kernel i=%d", BAD_RIGHT4);
	ask(s, "ok name=bad_w8g32_a8g32_plain_hang", "kernel i=%d", BAD_HANG);
}

static void test_verify(struct session *s)
{
	for (int i = BAD_RIGHT4; i <= BAD_RIGHT16; i++) {
		double nmse = value_of(ask(s, "ok nmse=", "verify i=%d seed=1", i), "nmse");

		CHECK(nmse > 0 && nmse < 1e-3);
	}
	ask(s, "ok nmse=", "verify seed=18446744073709551615 i=0");
	ask(s, "fail crash ", "verify i=%d seed=1", BAD_CRASH);
	ask(s, "fail hang no result in 2 s", "verify i=%d seed=1", BAD_HANG);
	ask(s, "fail wrong ", "verify i=%d seed=1", BAD_WRONG);
	ask(s, "fail wrong ", "verify i=%d seed=1", BAD_PAST);
	ask(s, "fail crash ", "verify i=%d seed=1", BAD_LEAVE);
	ask(s, "fail unsupported needs ", "verify i=%d seed=1", BAD_FOREIGN);
}

static void test_without_engine(struct session *s)
{
	ask(s, "error case: needs an engine", "case format=w8g32 m=8 k=64 n=1 cold_bytes=0");
	ask(s, "error roof: needs an engine", "roof");
	ask(s, "error canary: needs an engine", "canary");
	ask(s, "error sustain: needs a case", "sustain i=0 seconds=1");
	ask(s, "error prepare: needs a case", "prepare i=0");
	ask(s, "error time: needs a case", "time i=0 calls=0");
	ask(s, "error count: needs a case", "count i=0 calls=1 event=cycles");
}

static void test_engine(struct session *s)
{
	ask(s, "error ", "engine threads=1 cpus=0,1");
	ask(s, "error ", "engine threads=2 cpus=0,0");
	ask(s, "error ", "engine threads=1 cpus=");
	ask(s, "error ", "engine threads=1 cpus=99999999999999999999");
	ask(s, "error ", "engine threads=1 cpus=3-1");
	ask(s, "error ", "engine threads=100000 cpus=-");
	ask(s, "error engine: cpus=class:: classes are 0 to ", "engine threads=0 cpus=class:");
	ask(s, "error engine: cpus=class:99: ", "engine threads=0 cpus=class:99");
	ask(s, "error engine: cpus=class:0x0: ", "engine threads=0 cpus=class:0x0");
	ask(s, "error engine: cpus=class:-1: ", "engine threads=0 cpus=class:-1");
	ask(s, "error engine: class 0 has ", "engine threads=256 cpus=class:0");
	ask(s, "error case: needs an engine", "case format=w8g32 m=8 k=64 n=1 cold_bytes=0");
	CHECK(value_of(ask(s, "ok threads=", "engine threads=0 cpus=class:0"), "threads") >= 1);
	CHECK(strstr(s->answer, " cpus=") && !strstr(s->answer, "cpus=-"));
	ask(s, "ok threads=1 cpus=", "engine threads=1 cpus=class:0");
	CHECK(value_of(ask(s, "ok threads=", "engine threads=0 cpus=-"), "threads") >= 1);
	CHECK(strstr(s->answer, " cpus=-"));
	ask(s, "ok threads=2", "engine threads=2 cpus=-");
}

static void test_case(struct session *s)
{
	ask(s, "error case: format 'w9' is not known", "case format=w9 m=8 k=64 n=1 cold_bytes=0");
	ask(s, "error ", "case format=w8g32 m=0 k=64 n=1 cold_bytes=0");
	ask(s, "error ", "case format=w8g32 m=-8 k=64 n=1 cold_bytes=0");
	ask(s, "error ", "case format=w8g32 m=8 k=64 n=1 cold_bytes=99999999999999999999");
	ask(s, "error case: needs ", "case format=w8g32 m=16777216 k=16777216 n=1 cold_bytes=0");
	ask(s, "error prepare: needs a case", "prepare i=0");
	ask(s, "ok", "case format=w4g32 m=64 k=256 n=1 cold_bytes=1048576");
	ask(s, "error time: kernel bad_", "time i=0 calls=1");
}

static void test_timing(struct session *s)
{
	const char *answer;
	double bytes;

	ask(s, "ok", "case format=w8g32 m=100 k=320 n=1 cold_bytes=1048576");
	bytes = value_of(ask(s, "ok bytes=", "prepare i=%d", BAD_RIGHT4), "bytes");
	CHECK(bytes >= 100 * 10 * 34);
	/* 112 rows when the last panel is filled. */
	CHECK(value_of(ask(s, "ok bytes=", "prepare i=%d", BAD_RIGHT16), "bytes") >= 112 * 10 * 34);
	answer = ask(s, "ok ns=", "time i=%d calls=0", BAD_RIGHT4);
	CHECK(value_of(answer, "ns") >= 1e6 && value_of(answer, "calls") >= 1);
	CHECK(value_of(answer, "flags") >= 0 && value_of(answer, "flags") <= 15);
	answer = ask(s, "ok ns=", "time i=%d calls=7", BAD_RIGHT16);
	CHECK(value_of(answer, "ns") > 0 && value_of(answer, "calls") == 7);
	ask(s, "fail unsupported ", "time i=%d calls=1", BAD_FOREIGN);
	ask(s, "fail unsupported ", "prepare i=%d", BAD_FOREIGN);
}

/* Sends all threads of the probe but its first one to a cpu; how many. */
static int move_workers(const struct session *s, int cpu)
{
	char path[64];
	DIR *dir;
	cpu_set_t one;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)s->pid);
	dir = opendir(path);
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		pid_t id = atoi(entry->d_name);

		n += id > 0 && id != s->pid && sched_setaffinity(id, sizeof(one), &one) == 0;
	}
	if (dir)
		closedir(dir);
	return n;
}

/* A worker that is not where it was pinned spoils every sample. */
static void test_places(struct session *s)
{
	cpu_set_t allowed;
	int cpus[2], n = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			cpus[n++] = cpu;
	if (n < 2)
		return;
	ask(s, "ok threads=2", "engine threads=2 cpus=%d,%d", cpus[1], cpus[0]);
	ask(s, "ok", "case format=w8g32 m=100 k=320 n=1 cold_bytes=1048576");
	ask(s, "ok ns=", "time i=%d calls=5", BAD_RIGHT4);
	CHECK(((int)value_of(s->answer, "flags") & PROBE_MIGRATED) == 0);
	if (!CHECK(move_workers(s, cpus[1]) > 0))
		return;
	ask(s, "ok ns=", "time i=%d calls=5", BAD_RIGHT4);
	CHECK(((int)value_of(s->answer, "flags") & PROBE_MIGRATED) != 0);
}

/* Numbers and "-", never anything else. */
static void check_numbers(const char *answer, const char *keys)
{
	char copy[256];

	snprintf(copy, sizeof(copy), "%s", keys);
	for (char *key = strtok(copy, " "); key; key = strtok(NULL, " ")) {
		char pattern[64];
		const char *at;

		snprintf(pattern, sizeof(pattern), " %s=", key);
		at = strstr(answer, pattern);
		if (!CHECK(at != NULL)) {
			printf("no '%s' in %s\n", key, answer);
			continue;
		}
		at += strlen(pattern);
		CHECK(strspn(at, "0123456789") > 0
			      ? strchr(" ", at[strspn(at, "0123456789")]) != NULL
			      : *at == '-');
	}
}

static void test_state(struct session *s)
{
	const char *answer = ask(s, "ok temp_mc=", "vitals");

	check_numbers(answer, "temp_mc throttled charging khz0 energy_uj power_uw");
	CHECK(strstr(answer, " zone=") && strstr(answer, " source="));
	answer = ask(s, "ok governor0=", "doctor");
	check_numbers(answer, "min_khz0 limit_khz0 cur_khz0 clock_ns paranoid page_bytes");
	CHECK(value_of(answer, "clock_ns") >= 1 && value_of(answer, "page_bytes") >= 4096);
	CHECK(strstr(answer, " allowed=") && strstr(answer, " boot=") &&
	      strstr(answer, " battery=") && strstr(answer, " sensors=") &&
	      strstr(answer, " zones="));
	ask(s, "error vitals: unknown key 'x'", "vitals x=1");
	ask(s, "error doctor: unknown key 'x'", "doctor x=1");
}

static void test_load(struct session *s)
{
	static const char *const bad[] = {"0",   "0.09",  "31",   "30.1", "",    "-1",         ".5",
					  "1.",  "1e0",   "0x1",  "nan",  "inf", "1%201",      "+1",
					  "1,5", "1.0.0", "1.5s", "%20",  "1..", "99999999999"};
	const char *answer;

	ask(s, "ok threads=2", "engine threads=2 cpus=-");
	answer = ask(s, "ok ns=", "canary");
	CHECK(value_of(answer, "ns") > 1e5);
	check_numbers(answer, "khz");
	ask(s, "error canary: unknown key 'i'", "canary i=0");
	ask(s, "error sustain: needs a case", "sustain i=0 seconds=1");
	ask(s, "ok", "case format=w8g32 m=100 k=320 n=1 cold_bytes=1048576");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ask(s, "error sustain: seconds=", "sustain i=%d seconds=%s", BAD_RIGHT4, bad[i]);
	ask(s, "error sustain: key 'seconds' is missing", "sustain i=0");
	ask(s, "fail unsupported ", "sustain i=%d seconds=1", BAD_FOREIGN);
	answer = ask(s, "ok calls=", "sustain i=%d seconds=0.25", BAD_RIGHT4);
	CHECK(value_of(answer, "calls") > 10 && value_of(answer, "ns_first") > 0);
	CHECK(value_of(answer, "ns_last") > 0);
	/* All the time between two looks at the clock is in calls, or nearly. */
	CHECK(value_of(answer, "ns") > 1e7);
	CHECK(strstr(answer, " energy_uj=- source=-")); /* too short for any sensor */
}

static void test_count(struct session *s)
{
	char events[256] = ",";
	const char *list;

	ask(s, "error counters need threads=1", "count i=0 calls=1 event=page_faults");
	ask(s, "ok threads=1", "engine threads=1 cpus=-");
	ask(s, "error count: needs a case", "count i=0 calls=1 event=page_faults");
	ask(s, "ok", "case format=w8g32 m=100 k=320 n=1 cold_bytes=1048576");
	ask(s, "error event bogus: not known", "count i=0 calls=1 event=bogus");
	ask(s, "error event bad word", "count i=0 calls=1 event=bad%%20word%%0a%%ff");
	ask(s, "error ", "count i=0 calls=0 event=page_faults");

	list = strstr(ask(s, "ok ", "hello"), " events=");
	if (!CHECK(list != NULL))
		return;
	snprintf(events, sizeof(events), "%s", list + strlen(" events="));
	for (char *name = strtok(events, ","); name && *name != '-'; name = strtok(NULL, ","))
		CHECK(value_of(ask(s, "ok value=", "count i=0 calls=50 event=%s", name), "ns") > 0);
}

static void test_roof(struct session *s)
{
	const char *answer = ask(s, "ok dram_gbps=", "roof");

	CHECK(value_of(answer, "dram_gbps") > 0 && value_of(answer, "int8_gmacs") > 0);
	CHECK(value_of(answer, "streams") >= 1 && value_of(answer, "huge") >= 0);
}

static void test_grammar(struct session *s)
{
	ask(s, "error empty line", "%s", "");
	ask(s, "error words must be one space apart", " hello");
	ask(s, "error words must be one space apart", "hello ");
	ask(s, "error words must be one space apart", "kernel  i=0");
	ask(s, "error unknown request 'Hello'", "Hello");
	ask(s, "error unknown request 'hello=1'", "hello=1");
	ask(s, "error hello: unknown key 'x'", "hello x=1");
	ask(s, "error kernel: key 'i' is missing", "kernel");
	ask(s, "error 'i' is not key=value", "kernel i");
	ask(s, "error '=0' is not key=value", "kernel =0");
	ask(s, "error kernel: key 'i' appears twice", "kernel i=0 i=0");
	ask(s, "error kernel: more than ", "kernel a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1");
	ask(s, "error verify: key 'seed' is missing", "verify i=0");
	ask(s, "error byte 0x09 in a line", "kernel\ti=0");
	ask(s, "error byte 0x0d in a line", "hello\r");
	ask(s, "error byte 0xff in a line", "kernel i=\xff");
	ask(s, "error kernel: key 'i': '%'", "kernel i=%%");
	ask(s, "error kernel: key 'i': '%'", "kernel i=%%3");
	ask(s, "error kernel: key 'i': '%'", "kernel i=%%3g");
	ask(s, "error kernel: key 'i': '%'", "kernel i=%%00");
	ask(s, "ok name=", "kernel i=%%31");
}

static void test_numbers(struct session *s)
{
	static const char *const bad[] = {"",
					  "-1",
					  "+1",
					  "%201",
					  "1%20",
					  "0x1",
					  "1.0",
					  "1e0",
					  "a",
					  "8",
					  "4294967296",
					  "18446744073709551615",
					  "18446744073709551616",
					  "184467440737095516160",
					  "99999999999999999999999999999999999999999999",
					  "%ff",
					  "%0a"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ask(s, "error kernel: i=", "kernel i=%s", bad[i]);
	ask(s, "error verify: seed=", "verify i=0 seed=18446744073709551616");
	ask(s, "ok name=", "kernel i=00000000000000000000000000000000001");
}

/* Lines around the limit and far beyond, and a NUL byte. */
static void test_lengths(struct session *s)
{
	static char text[3 * 1024 * 1024];
	static const struct {
		size_t n;
		const char *expected;
	} lines[] = {{PROBE_LINE - 2, "error unknown request 'xxx"},
		     {PROBE_LINE - 1, "error unknown request 'xxx"},
		     {PROBE_LINE, "error line longer than"},
		     {PROBE_LINE + 1, "error line longer than"},
		     {sizeof(text) - 1, "error line longer than"}};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		memset(text, 'x', lines[i].n);
		text[lines[i].n] = '\n';
		send_bytes(s, text, lines[i].n + 1);
		receive(s);
		CHECK(strncmp(s->answer, lines[i].expected, strlen(lines[i].expected)) == 0);
	}
	send_bytes(s, "hello\0x\n", 8);
	CHECK(strcmp(receive(s), "error byte 0x00 in a line") == 0);
	ask(s, "ok protocol=1", "hello");
}

/* Broken copies of requests that would do no harm whole; never one that runs a kernel. */
static void test_noise(struct session *s)
{
	static const char *const whole[] = {"hello",
					    "kernel i=1",
					    "engine threads=900 cpus=0-3,77",
					    "quit now=1",
					    "case format=w8g32 m=100 k=320 n=1 cold_bytes=1048576",
					    "prepare i=99",
					    "roof top=1",
					    "time i=99 calls=4",
					    "count i=99 calls=1 event=page_faults",
					    "sustain i=99 seconds=0.1",
					    "vitals now=1",
					    "verify i=99 seed=%41"};
	uint64_t random = 20;

	for (int round = 0; round < 5000; round++) {
		uint64_t r = check_random(&random);
		char text[128];
		size_t n;

		strcpy(text, whole[r % (sizeof(whole) / sizeof(whole[0]))]);
		n = strlen(text);
		for (uint64_t flips = 1 + (r >> 8) % 3; flips > 0; flips--) {
			uint64_t f = check_random(&random);
			char byte = (char)(f >> 32);

			text[f % n] = byte == '\n' ? '=' : byte;
		}
		text[n] = '\n';
		send_bytes(s, text, n + 1);
		receive(s);
		if (!CHECK(strncmp(s->answer, "ok", 2) == 0 ||
			   strncmp(s->answer, "error ", 6) == 0)) {
			printf("round %d: %s%s\n", round, text, s->answer);
			return;
		}
	}
}

/* On a board that draws 3 W, whatever it does. */
static void test_energy(void)
{
	static const char *const folders[] = {"sys", "sys/class", "sys/class/hwmon",
					      "sys/class/hwmon/hwmon0"};
	const char *answer = "";
	struct session s;
	char root[64];

	if (!CHECK(scratch_open(root)))
		return;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		mkdir(folders[i], 0700);
	scratch_write_text("sys/class/hwmon/hwmon0/name", "ina226\n");
	scratch_write_text("sys/class/hwmon/hwmon0/power1_input", "3000000\n");
	setenv("QUERN_SYSFS_ROOT", root, 1);
	open_session(&s);
	CHECK_SAYS(ask(&s, "ok temp_mc=- zone=- ", "vitals"),
		   " power_uw=3000000 source=ina226.power1");
	CHECK_SAYS(ask(&s, "ok governor0=- ", "doctor"),
		   " battery=- sensors=ina226.power1 zones=-");
	ask(&s, "ok threads=1", "engine threads=1 cpus=-");
	ask(&s, "ok", "case format=w8g32 m=100 k=320 n=1 cold_bytes=1048576");
	/* Where other work lets it read the power too seldom there is no sum. */
	for (int try = 0; try < 5; try++) {
		answer = ask(&s, "ok calls=", "sustain i=%d seconds=2", BAD_RIGHT4);
		if (strstr(answer, " source=ina226.power1"))
			break;
	}
	CHECK_SAYS(answer, " source=ina226.power1");
	CHECK(value_of(answer, "energy_uj") >= 5999000);
	CHECK(close_session(&s) == 0);
	unsetenv("QUERN_SYSFS_ROOT");
	scratch_remove_tree(root);
}

/* Every way to end: quit, end of input with or without half a line, and nobody who listens. */
static void test_ends(void)
{
	struct session s;

	open_session(&s);
	ask(&s, "ok", "quit");
	CHECK(receive(&s)[0] == 0);
	CHECK(close_session(&s) == 0);

	open_session(&s);
	CHECK(close_session(&s) == 0);

	open_session(&s);
	send_bytes(&s, "kernel i=0", 10);
	close(s.to);
	s.to = dup(s.from);
	CHECK(strncmp(receive(&s), "ok name=", 8) == 0);
	CHECK(close_session(&s) == 0);

	open_session(&s);
	close(s.from);
	s.from = dup(s.to);
	send_bytes(&s, "hello\n", 6);
	waitpid(s.pid, NULL, 0);
	close(s.to);
	close(s.from);
}

int main(void)
{
	struct session s;

	signal(SIGPIPE, SIG_IGN);
	setenv("QUERN_VERIFY_SECONDS", "2", 1);
	open_session(&s);
	test_facts(&s);
	test_state(&s);
	test_without_engine(&s);
	test_grammar(&s);
	test_numbers(&s);
	test_lengths(&s);
	test_noise(&s);
	test_verify(&s);
	test_engine(&s);
	test_case(&s);
	test_timing(&s);
	test_verify(&s); /* beside an engine's threads */
	test_roof(&s);
	test_load(&s);
	test_state(&s);
	test_count(&s);
	test_places(&s);
	CHECK(close_session(&s) == 0);
	test_ends();
	test_energy();
	return check_exit();
}
