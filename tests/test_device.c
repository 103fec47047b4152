/*
 * test_device.c: devices, the conversation with probes that misbehave, compiling in batches.  Whole
 * runs are tested by tune.sh.
 *
 * Started with "cc", "clang" or "run" it is its own compiler and probe (fake_probe.c).
 */
#define FAKE_PROBE_PART
#include "fake_probe.c"
#undef MARK

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "scratch.h"
#include "tuner/command.h"
#include "tuner/compile.h"
#include "tuner/device.h"
#include "tuner/probe.h"
#include "tuner/toolchain.h"

static char *home;
static char self[1024];

/* ---- devices and probes ---- */

static int read_device(struct device *device, const char *more, struct gen_error *err)
{
	char text[4096];

	snprintf(text, sizeof(text),
		 "quern: device\nschema: 1\nname: fake\ncompiler: [%s, cc]\n"
		 "run: [%s, run, '{program}']\ntime_out: 0.3\n%s",
		 self, self, more);
	scratch_write_text("fake.yaml", text);
	return device_read(device, home, "fake.yaml", err);
}

/* One command for clang or several; the environment speaks for this machine alone. */
static void test_device_clang(void)
{
	struct device device;
	struct gen_error err = {""};

	setenv("CLANG", "my-clang  --odd", 1);
	CHECK(read_device(&device, "", &err) == 0 && !device.clang);
	device_free(&device);
	CHECK(read_device(&device, "clang: [clang-19, -x]\n", &err) == 0);
	CHECK(!strcmp(device.clang[0][1], "-x") && !device.clang[0][2] && !device.clang[1]);
	device_free(&device);
	CHECK(read_device(&device, "clang: [[clang-19], [clang, -y]]\n", &err) == 0);
	CHECK(!strcmp(device.clang[0][0], "clang-19") && !strcmp(device.clang[1][1], "-y") &&
	      !device.clang[2]);
	device_free(&device);
	CHECK(device_read(&device, home, "local", &err) == 0 && device.clang);
	CHECK(!strcmp(device.clang[0][0], "my-clang") && !strcmp(device.clang[0][1], "--odd") &&
	      !device.clang[0][2] && !device.clang[1]);
	device_free(&device);
	setenv("CLANG", "", 1);
	CHECK(device_read(&device, home, "local", &err) == 0 && !device.clang);
	device_free(&device);
	unsetenv("CLANG");
	CHECK(device_read(&device, home, "local", &err) == 0 &&
	      (!device.clang || device.clang[0][0]));
	device_free(&device);
	CHECK(read_device(&device, "clang: clang\n", &err) < 0);
	CHECK_SAYS(err.text, "fake.yaml:7: 'clang' must be a list");
	CHECK(read_device(&device, "clang: [[clang], clang-19]\n", &err) < 0);
	CHECK(read_device(&device, "clang: [clang, [clang-19]]\n", &err) < 0);
	CHECK(read_device(&device, "clang: []\n", &err) < 0);
	CHECK_SAYS(err.text, "a command without words");
}

static void test_device_files(void)
{
	struct device device;
	struct gen_error err = {""};

	CHECK(read_device(&device, "flags: [-O3, -g]\ncompile_time_out: 7\n", &err) == 0);
	CHECK(!strcmp(device.name, "fake") && !strcmp(device.flags[1], "-g") && !device.flags[2]);
	CHECK(device.compile_time_out_s == 7 && !device.papi && !device.link[0]);
	device_free(&device);
	CHECK(read_device(&device, "thermal_gate: true\nsustained: 300\npin: false\n", &err) == 0);
	CHECK(device.thermal_gate && device.sustained_s == 300 && !device.pin);
	device_free(&device);
	CHECK(read_device(&device, "thermal_gate: 1\n", &err) < 0);
	CHECK_SAYS(err.text, "fake.yaml:7: 'thermal_gate' must be true or false");
	CHECK(read_device(&device, "sustained: -1\n", &err) < 0);
	CHECK(read_device(&device, "flag: [-O3]\n", &err) < 0);
	CHECK_SAYS(err.text, "fake.yaml:7: unknown key 'flag'");
	CHECK(read_device(&device, "link: -lm\n", &err) < 0);
	CHECK_SAYS(err.text, "fake.yaml:7: 'link' must be a list");
	CHECK(read_device(&device, "compile_time_out: -1\n", &err) < 0);
	scratch_write_text("fake.yaml",
			   "quern: device\nschema: 1\nname: x\ncompiler: [cc]\nrun: [a]\n");
	CHECK(device_read(&device, home, "fake.yaml", &err) < 0);
	CHECK_SAYS(err.text, "fake.yaml:5: 'run' must have {program}");
	scratch_write_text("fake.yaml", "quern: device\nschema: 1\nname: x\nrun: [a]\n");
	CHECK(device_read(&device, home, "fake.yaml", &err) < 0);
	CHECK_SAYS(err.text, "'compiler' is missing");
	CHECK(device_read(&device, home, "no-such-device", &err) < 0);
	CHECK_SAYS(err.text, "there is no device 'no-such-device' (");
	for (int i = 0; i < 4; i++) {
		static const char *const names[] = {"local", "qemu-aarch64", "ssh-aarch64",
						    "adb-aarch64"};

		check_that(device_read(&device, home, names[i], &err) == 0, __FILE__, __LINE__,
			   err.text);
		CHECK(!device.remote == (i < 2));
		device_free(&device);
	}
}

/* A device at the end of a link; its keys in lines 6 and on. */
static int read_far(struct device *device, const char *more, struct gen_error *err)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "quern: device\nschema: 1\nname: far\ncompiler: [cc]\nrun: [ssh, '{at}', "
		 "'{command}']\n%s",
		 more);
	scratch_write_text("far.yaml", text);
	return device_read(device, home, "far.yaml", err);
}

static void test_device_links(void)
{
	static const struct {
		const char *more, *says;
	} wrong[] = {
		{"", "far.yaml:5: 'run' must have {program}"},
		{"work: /tmp/x\n", "far.yaml:6: 'work' is for devices that have 'copy'"},
		{"retries: 3\n", "far.yaml:6: 'retries' is for devices that have 'copy'"},
		{"start: [a]\n", "far.yaml:6: 'start' is for devices"},
		{"connect_time_out: 3\n", "far.yaml:6: 'connect_time_out' is for devices"},
		{"copy: [scp, '{file}', x]\nwork: /w\n", "far.yaml:6: 'copy' must have {file}"},
		{"copy: [scp, x, '{path}']\nwork: /w\n", "far.yaml:6: 'copy' must have {file}"},
		{"copy: [scp, '{file}', '{path}']\n", "'work' is missing"},
		{"copy: scp\n", "far.yaml:6: 'copy' must be a list"},
		{"work: tmp\n", "far.yaml:6: 'work' must be a folder"},
		{"work: /\n", "far.yaml:6: 'work' must be"},
		{"work: \"/tmp/a b\"\n", "far.yaml:6: 'work' must be"},
		{"work: /tmp/'$(x)'\n", "far.yaml:6: 'work' must be"},
		{"work: [/tmp]\n", "far.yaml:6: 'work' must be"},
		{"retries: -1\n", "far.yaml:6: 'retries' must be a number from 0 to 1000"},
		{"retries: 1.5\n", "far.yaml:6: 'retries' must be"},
		{"connect_time_out: 0\n", "far.yaml:6: 'connect_time_out' must be seconds"},
		{"environment: [A]\n", "far.yaml:6: 'environment' must be names"},
		{"environment: {1A: x}\n", "far.yaml:6: '1A' cannot be the name"},
		{"environment: {'A B': x}\n", "far.yaml:6: 'A B' cannot be the name"},
		{"environment: {A: [x]}\n", "far.yaml:6: 'A' must be a plain word"},
	};
	struct device device;
	struct gen_error err = {""};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		CHECK(read_far(&device, wrong[i].more, &err) < 0);
		CHECK_SAYS(err.text, wrong[i].says);
	}
	if (!CHECK(read_far(&device,
			    "copy: [scp, '{file}', '{at}:{path}']\nwork: /tmp/quern\nretries: 3\n"
			    "start: [nice, -n, '1']\nenvironment: {A: \"it's b\", B: 1}\n"
			    "connect_time_out: 2.5\n",
			    &err) == 0))
		return;
	CHECK(device.retries == 3 && device.connect_time_out_s == 2.5 && device.remote);
	CHECK(!strcmp(device.environment[0], "A=it's b") && !strcmp(device.environment[1], "B=1"));
	CHECK(device_set_at(&device, NULL, &err) < 0);
	CHECK_SAYS(err.text, "needs --at");
	CHECK(device_set_at(&device, "-oProxyCommand=x", &err) < 0);
	CHECK(device_set_at(&device, "a b", &err) < 0);
	CHECK(device_set_at(&device, "a@b", &err) == 0 && !strcmp(device.at, "a@b"));
	device_free(&device);
	CHECK(read_device(&device, "", &err) == 0 && device_set_at(&device, "x", &err) < 0);
	CHECK_SAYS(err.text, "has no {at}");
	CHECK(device_set_at(&device, NULL, &err) == 0);
	device_free(&device);
}

static void check_ask(const struct device *device, const char *action, const char *says)
{
	struct gen_error err;
	struct device_probe *probe;
	char answer[PROBE_LINE + 1];

	setenv("FAKE_DO", action, 1);
	probe = device_start(device, "program", "probe.log", &err);
	if (!check_that(probe != NULL, __FILE__, __LINE__, err.text))
		return;
	CHECK(device_ask(probe, 2, "kernel i=0", answer) == DEVICE_OK);
	CHECK(device_ask(probe, 0.3, "time i=0 calls=1", answer) == DEVICE_DEAD);
	check_that(strstr(answer, says) != NULL, __FILE__, __LINE__, answer);
	CHECK(device_ask(probe, 0.3, "kernel i=0", answer) == DEVICE_DEAD);
	device_stop(probe);
	unsetenv("FAKE_DO");
	/* Everything was reaped. */
	CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static void test_conversation(void)
{
	struct device device;
	struct device_probe *probe;
	struct gen_error err = {""};
	char answer[PROBE_LINE + 1], name[64];

	if (!CHECK(read_device(&device, "", &err) == 0))
		return;
	scratch_write_text("program", "extern const struct qn_kernel qn_kernel_dot_x;\n");
	probe = device_start(&device, "program", "probe.log", &err);
	if (check_that(probe != NULL, __FILE__, __LINE__, err.text)) {
		CHECK(device_ask(probe, 2, "kernel i=0", answer) == DEVICE_OK);
		CHECK(device_value(answer, "name", name, sizeof(name)) == 0 &&
		      !strcmp(name, "dot_x"));
		CHECK(device_ask(probe, 2, "nonsense", answer) == DEVICE_ERROR);
		CHECK(!strcmp(answer, "unknown request 'nonsense'"));
		device_stop(probe);
	}
	check_ask(&device, "crash", "signal 6");
	check_ask(&device, "exit", "exit status 3");
	check_ask(&device, "hang", "hang no answer within 0.3 s");
	check_ask(&device, "flood", "garbage");
	check_ask(&device, "long", "garbage");
	check_ask(&device, "garbage", "garbage the probe wrote '?what? ?'");
	check_ask(&device, "zero", "garbage");
	check_ask(&device, "empty", "garbage");
	free(device.run[0]);
	device.run[0] = strdup("./no-such-program");
	CHECK(device_start(&device, "program", "probe.log", &err) == NULL);
	CHECK_SAYS(err.text, "cannot run './no-such-program': No such file");
	device_free(&device);
}

static void test_values(void)
{
	static const char answer[] = "ns=12 bad=1x cpu=A%20%25B empty= f=1.5 inf=inf neg=-3 cut=%2";
	char text[16];
	long long number;
	double real;

	CHECK(device_value_long(answer, "ns", &number) == 0 && number == 12);
	CHECK(device_value_long(answer, "neg", &number) == 0 && number == -3);
	CHECK(device_value_long(answer, "bad", &number) < 0);
	CHECK(device_value_long(answer, "empty", &number) < 0);
	CHECK(device_value_long(answer, "s", &number) < 0);
	CHECK(device_value_double(answer, "f", &real) == 0 && real == 1.5);
	CHECK(device_value_double(answer, "inf", &real) < 0);
	CHECK(device_value(answer, "cpu", text, sizeof(text)) == 0 && !strcmp(text, "A %B"));
	CHECK(device_value(answer, "cpu", text, 4) < 0);
	CHECK(device_value(answer, "cut", text, sizeof(text)) < 0);
}

/* ---- compiling ---- */

static void test_compile(void)
{
	struct device device;
	struct compile *compile;
	struct compile_item items[40];
	char texts[40][64];
	struct gen_error err = {""};
	long first;

	if (!CHECK(read_device(&device, "", &err) == 0))
		return;
	setenv("FAKE_BAD", "broken", 1);
	for (int turn = 0; turn < 2; turn++) {
		compile = compile_open(&device, home, "work", 2, &err);
		if (!check_that(compile != NULL, __FILE__, __LINE__, err.text))
			return;
		CHECK(!strcmp(compile_version(compile, GEN_DEFAULT), "fake cc 1.0"));
		CHECK(!compile_version(compile, GEN_CLANG) && !compile_why_no_clang(compile));
		CHECK(compile_open(&device, home, "work", 2, &err) == NULL);
		CHECK_SAYS(err.text, "in use");
		for (int i = 0; i < 40; i++) {
			snprintf(texts[i], sizeof(texts[i]), "kernel %d %s\n", i,
				 i == 17 || i == 33 ? "broken" : "");
			items[i] = (struct compile_item){.text = texts[i],
							 .flags = i % 2 ? "-a" : "-b"};
		}
		check_that(compile_items(compile, items, 40, &err) == 0, __FILE__, __LINE__,
			   err.text);
		for (int i = 0; i < 40; i++) {
			CHECK(!items[i].why == (i != 17 && i != 33));
			CHECK(!*items[i].object == (i == 17 || i == 33));
			if (items[i].why)
				CHECK(strstr(items[i].why, "told to fail (see work/logs/") != NULL);
			free(items[i].why);
		}
		/* The second time nothing is compiled, not even what failed. */
		first = compile_count(compile);
		CHECK(turn ? first == 0 : first > 40);
		compile_close(compile);
	}
	unsetenv("FAKE_BAD");
	device_free(&device);
}

/* The same text by two compilers are two objects; the first clang that works is taken. */
static void test_compile_clang(void)
{
	struct device device;
	struct compile *compile;
	struct compile_item items[8];
	char more[2200], path[128], *text;
	struct gen_error err = {""};

	snprintf(more, sizeof(more), "clang: [[/no/clang-19], [%s, clang]]\n", self);
	if (!CHECK(read_device(&device, more, &err) == 0) ||
	    !CHECK((compile = compile_open(&device, home, "work", 2, &err)) != NULL))
		return;
	CHECK(!strcmp(compile_version(compile, GEN_DEFAULT), "fake cc 1.0"));
	CHECK(!strcmp(compile_version(compile, GEN_CLANG), "fake clang 1.0"));
	CHECK(strstr(compile_command(compile, GEN_CLANG), " clang"));
	CHECK(!compile_why_no_clang(compile));
	for (int i = 0; i < 8; i++)
		items[i] = (struct compile_item){
			.text = "kernel same\n",
			.flags = "-a",
			.compiler = i % 2 ? GEN_CLANG : GEN_DEFAULT,
		};
	check_that(compile_items(compile, items, 8, &err) == 0, __FILE__, __LINE__, err.text);
	for (int i = 0; i < 8; i++) {
		CHECK(!items[i].why && *items[i].object);
		snprintf(path, sizeof(path), "work/objects/%s.o", items[i].object);
		text = scratch_read_text(path);
		CHECK((strncmp(text, "made by clang\n", 14) == 0) == (i % 2) &&
		      strstr(text, "kernel same"));
		free(text);
	}
	compile_close(compile);
	device_free(&device);

	/* A clang that cannot be used is no error, one that is the compiler anyway no second one. */
	if (!CHECK(read_device(&device, "clang: [/no/clang-19]\n", &err) == 0) ||
	    !CHECK((compile = compile_open(&device, home, "work", 2, &err)) != NULL))
		return;
	CHECK(!compile_version(compile, GEN_CLANG) &&
	      strstr(compile_why_no_clang(compile), "cannot run '/no/clang-19'"));
	compile_close(compile);
	device_free(&device);
	snprintf(more, sizeof(more), "clang: [[%s, cc], [%s, clang]]\n", self, self);
	if (!CHECK(read_device(&device, more, &err) == 0) ||
	    !CHECK((compile = compile_open(&device, home, "work", 2, &err)) != NULL))
		return;
	CHECK(!compile_version(compile, GEN_CLANG) &&
	      strstr(compile_why_no_clang(compile), "is the compiler already"));
	compile_close(compile);
	device_free(&device);
}

/* What is wrong with the machine and not with the candidate is not remembered. */
static void test_sick_compiler(void)
{
	struct compile_item item = {.text = "kernel sick\n", .flags = ""};
	struct compile *compile;
	struct device device;
	struct gen_error err = {""};
	char path[128];

	if (!CHECK(read_device(&device, "", &err) == 0) ||
	    !CHECK((compile = compile_open(&device, home, "work", 2, &err)) != NULL))
		return;
	setenv("FAKE_BAD", "sick", 1);
	setenv("FAKE_HOW", "none", 1);
	CHECK(compile_items(compile, &item, 1, &err) == 0 && item.why);
	CHECK_SAYS(item.why, "the compiler reports success but wrote no whole object");
	free(item.why);
	setenv("FAKE_HOW", "Killed signal terminated program cc1", 1);
	CHECK(compile_items(compile, &item, 1, &err) == 0 && item.why);
	free(item.why);
	unsetenv("FAKE_BAD");
	unsetenv("FAKE_HOW");
	CHECK(compile_items(compile, &item, 1, &err) == 0 && !item.why && *item.object);
	/* An object that a crash of the machine has emptied or cut off is made anew. */
	snprintf(path, sizeof(path), "work/objects/%s.o", item.object);
	CHECK(toolchain_is_whole(path));
	for (int i = 0; i < 2; i++) {
		scratch_write_text(path, i ? "\177ELF\002 and no more" : "");
		CHECK(!toolchain_is_whole(path));
		CHECK(compile_items(compile, &item, 1, &err) == 0 && !item.why);
		CHECK(toolchain_is_whole(path));
	}
	CHECK(toolchain_is_whole(self));
	compile_close(compile);
	device_free(&device);
}

static void test_fingerprint(void)
{
	const char *a = "/* dot_a from family=dot isa=x KU=1 */ f_dot_a(\"KU=1\") { 7; }";
	const char *b = "/* dot_bb from family=dot isa=x KU=2 */ f_dot_bb(\"KU=2\") { 7; }";
	const char *c = "/* dot_bb from family=dot isa=x KU=2 */ f_dot_bb(\"KU=2\") { 8; }";

	CHECK(compile_fingerprint(a, "dot_a", "family=dot isa=x KU=1") ==
	      compile_fingerprint(b, "dot_bb", "family=dot isa=x KU=2"));
	CHECK(compile_fingerprint(b, "dot_bb", "family=dot isa=x KU=2") !=
	      compile_fingerprint(c, "dot_bb", "family=dot isa=x KU=2"));
}

/* Of a log, what helps. */
static void test_logs(void)
{
	static const struct {
		const char *log, *says;
	} logs[] = {
		{"a.c: In function 'f':\na.c:1: error: no\nb.c:1: error: yes\n",
		 "x: error: no (see a.log)"},
		{"ld: a.o: in function `f':\na.c:1: undefined reference to `g'\n"
		 "collect2: error: ld returned 1 exit status\n",
		 "x: undefined reference to `g' (see a.log)"},
		{"nobody: Permission denied\n", "x: nobody: Permission denied (see a.log)"},
		{"", "x (see a.log)"},
	};

	for (size_t i = 0; i < sizeof(logs) / sizeof(*logs); i++) {
		char *text;

		scratch_write_text("a.log", logs[i].log);
		text = command_explain("x", "a.log");
		check_that(!strcmp(text, logs[i].says), __FILE__, __LINE__, text);
		free(text);
	}
}

int main(int argc, char **argv)
{
	char work[64];
	ssize_t n;

	if (argc > 1)
		return fake_probe(argc, argv);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	home = scratch_open_home(work, "srcdir");
	if (!CHECK(n > 0 && home))
		return check_exit();
	signal(SIGPIPE, SIG_IGN);
	test_device_files();
	test_device_clang();
	test_device_links();
	test_logs();
	test_conversation();
	test_values();
	test_compile();
	test_compile_clang();
	test_sick_compiler();
	test_fingerprint();
	scratch_remove_tree(work);
	free(home);
	return check_exit();
}
