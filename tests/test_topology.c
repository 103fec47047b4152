/*
 * test_topology.c: lists of cpus, machines made of files, and this machine.
 */
#include "check.h"

#include <ftw.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../runtime/cpu.h"
#include "../runtime/kernel.h"
#include "../runtime/topology.h"

/* What topology.h says of a last-level cache of unknown size. */
#if defined(__x86_64__)
static const long unknown_llc = 32 << 20;
#else
static const long unknown_llc = 8 << 20;
#endif

static char root[128];

/* ---- made-up machines ---- */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status;
	(void)kind;
	(void)where;
	return remove(path);
}

static void start_machine(void)
{
	const char *folder = getenv("TMPDIR");

	snprintf(root, sizeof(root), "%s/quern-topology-XXXXXX", folder ? folder : "/tmp");
	if (!CHECK(mkdtemp(root) != NULL))
		exit(check_exit());
}

static void end_machine(void)
{
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void put_bytes(const char *path, const char *text, size_t n_bytes)
{
	char full[256];
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	file = fopen(full, "w");
	if (!CHECK(file != NULL))
		return;
	fwrite(text, 1, n_bytes, file);
	fclose(file);
}

static void put(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text));
}

static void put_cpu(int cpu, const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "sys/devices/system/cpu/cpu%d/%s", cpu, file);
	put(path, text);
}

static void put_cache(int index, const char *level, const char *type, const char *size)
{
	char file[64];

	snprintf(file, sizeof(file), "cache/index%d/level", index);
	put_cpu(0, file, level);
	snprintf(file, sizeof(file), "cache/index%d/type", index);
	put_cpu(0, file, type);
	snprintf(file, sizeof(file), "cache/index%d/size", index);
	put_cpu(0, file, size);
}

/* Four little cores, three middle ones, a big one: a Snapdragon 888. */
static void put_phone(void)
{
	static const struct {
		const char *capacity, *khz, *midr;
	} kinds[] = {{"250\n", "1804800\n", "0x00000000412fd050\n"},
		     {"801\n", "2419200\n", "0x00000000411fd410\n"},
		     {"1024\n", "2841600\n", "0x00000000411fd440\n"}};

	put("sys/devices/system/cpu/online", "0-7\n");
	for (int cpu = 0; cpu < 8; cpu++) {
		int kind = cpu < 4 ? 0 : cpu < 7 ? 1 : 2;

		put_cpu(cpu, "cpu_capacity", kinds[kind].capacity);
		put_cpu(cpu, "cpufreq/cpuinfo_max_freq", kinds[kind].khz);
		put_cpu(cpu, "regs/identification/midr_el1", kinds[kind].midr);
	}
}

static void test_phone(void)
{
	static const int classes[] = {2, 2, 2, 2, 1, 1, 1, 0};
	struct qn_topology t;

	start_machine();
	put_phone();
	put_cache(0, "1\n", "Data\n", "64K\n");
	put_cache(1, "1\n", "Instruction\n", "128K\n");
	put_cache(2, "2\n", "Unified\n", "256K\n");
	put_cache(3, "3\n", "Unified\n", "4M\n");
	put_bytes("proc/device-tree/model", "Lahaina MTP", 12); /* with its zero */
	qn_topology_read_from(root, &t);
	CHECK(t.n_cores == 8);
	CHECK(t.n_classes == 3);
	for (int i = 0; i < 8; i++) {
		CHECK(t.cores[i].cpu == i);
		CHECK(t.cores[i].class_index == classes[i]);
	}
	CHECK(t.cores[0].capacity == 250 && t.cores[7].capacity == 1024);
	CHECK(t.cores[4].max_khz == 2419200);
	CHECK(t.cores[7].part == 0x411fd440);
	CHECK(t.l1d_bytes == 64 << 10 && t.l2_bytes == 256 << 10 && t.llc_bytes == 4 << 20);
	CHECK(strcmp(t.name, "Lahaina MTP") == 0);

	/* A third cache level without a size: the default stands, not that of the second. */
	put_cache(3, "3\n", "Unified\n", "");
	qn_topology_read_from(root, &t);
	CHECK(t.llc_bytes == unknown_llc);
	end_machine();
}

/* Android hides the device tree and registers; /proc/cpuinfo remains. */
static void test_cpuinfo(void)
{
	struct qn_topology t;

	start_machine();
	put("sys/devices/system/cpu/online", "0-1,3\n");
	put("proc/cpuinfo",
	    "processor\t: 0\nBogoMIPS\t: 38.40\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
	    "CPU variant\t: 0x2\nCPU part\t: 0xd05\nCPU revision\t: 0\n\n"
	    "processor\t: 1\nCPU implementer\t: 0x41\nCPU variant\t: 0x2\nCPU part\t: 0xd05\n"
	    "CPU revision\t: 0\n\n"
	    "processor\t: 3\nCPU implementer\t: 0x41\nCPU variant\t: 0x1\nCPU part\t: 0xd44\n"
	    "CPU revision\t: 1\n\n");
	qn_topology_read_from(root, &t);
	CHECK(t.n_cores == 3 && t.cores[2].cpu == 3);
	CHECK(t.cores[0].part == 0x412fd050 && t.cores[2].part == 0x411fd441);
	CHECK(t.n_classes == 2);
	CHECK(t.cores[0].class_index != t.cores[2].class_index);
	CHECK(strcmp(t.name, "cortex-x1+cortex-a55") == 0);

	put("proc/cpuinfo", "processor\t: 0\nmodel name\t: ARMv8 Processor rev 4\n"
			    "Hardware\t: Qualcomm\033 SM8350 \n");
	qn_topology_read_from(root, &t);
	CHECK(strcmp(t.name, "Qualcomm? SM8350") == 0);
	put("proc/cpuinfo",
	    "processor\t: 0\nmodel name\t: Some x86\nprocessor\t: 1\nmodel name\t: b\n");
	qn_topology_read_from(root, &t);
	CHECK(strcmp(t.name, "Some x86") == 0);
	end_machine();
}

/* ---- shapes of phones ---- */

/* A core as sysfs shows it; NULL: the file is not there. */
struct shown {
	const char *capacity, *khz, *midr, *related;
};

static void put_cores(const char *online, const struct shown *cores, int n)
{
	put("sys/devices/system/cpu/online", online);
	for (int cpu = 0; cpu < n; cpu++) {
		if (cores[cpu].capacity)
			put_cpu(cpu, "cpu_capacity", cores[cpu].capacity);
		if (cores[cpu].khz)
			put_cpu(cpu, "cpufreq/cpuinfo_max_freq", cores[cpu].khz);
		if (cores[cpu].midr)
			put_cpu(cpu, "regs/identification/midr_el1", cores[cpu].midr);
		if (cores[cpu].related)
			put_cpu(cpu, "cpufreq/related_cpus", cores[cpu].related);
	}
}

#define A510 "0x00000000411fd461\n"
#define A710 "0x00000000412fd470\n"
#define A715 "0x00000000411fd4d0\n"
#define X3 "0x00000000411fd4e0\n"
#define LITTLE \
	{ \
		"325\n", "2016000\n", A510, "0 1 2 \n" \
	}

/* 3 + 2 + 2 + 1, two kinds in one domain: a Snapdragon 8 Gen 2. */
static const struct shown kalama[8] = {LITTLE,
				       LITTLE,
				       LITTLE,
				       {"806\n", "2803200\n", A715, "3 4 5 6 \n"},
				       {"806\n", "2803200\n", A715, "3 4 5 6 \n"},
				       {"806\n", "2803200\n", A710, "3 4 5 6 \n"},
				       {"806\n", "2803200\n", A710, "3 4 5 6 \n"},
				       {"1024\n", "3187200\n", X3, "7 \n"}};

static void check_classes(const struct qn_topology *t, const char *expected)
{
	char got[256] = "", text[64];

	for (int i = 0; i < t->n_classes; i++) {
		struct qn_core_class c;
		size_t n = strlen(got);

		qn_topology_class(t, i, &c);
		CHECK(c.n_cpus > 0 && c.first.cpu == c.cpus[0] && c.first.class_index == i);
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%s:", i ? " " : "",
				      qn_cpu_kind_text(c.first.kind, text, sizeof(text)));
		snprintf(got + n, sizeof(got) - n, "%s",
			 qn_topology_cpus_text(c.cpus, c.n_cpus, text, sizeof(text)));
	}
	if (!CHECK(strcmp(got, expected) == 0))
		printf("got '%s', expected '%s'\n", got, expected);
}

static void test_four_kinds(void)
{
	struct qn_topology t;
	int speeds[3];

	start_machine();
	put_cores("0-7\n", kalama, 8);
	qn_topology_read_from(root, &t);
	check_classes(&t, "cortex-x3:7 cortex-a715:3-4 cortex-a710:5-6 cortex-a510:0-2");
	CHECK(t.cores[4].domain == 3 && t.cores[7].domain == 7 && t.cores[2].domain == 0);
	CHECK(t.cores[7].kind == 0x41d4e && t.cores[7].part == 0x411fd4e0);
	CHECK(qn_topology_speeds(&t, (int[3]){7, 0, 5}, 3, speeds) && speeds[0] == 1024 &&
	      speeds[1] == 325 && speeds[2] == 806);
	CHECK(qn_topology_speeds(&t, NULL, 2, speeds) && speeds[0] == 1 && speeds[1] == 1);
	CHECK(strcmp(t.name, "cortex-x3+cortex-a715+cortex-a710+cortex-a510") == 0);
	CHECK(qn_topology_core(&t, 5) == &t.cores[5] && !qn_topology_core(&t, 8));
	end_machine();

	/* Two cores are unplugged, and what a revision adds makes no class. */
	start_machine();
	put_cores("1,3-4,6-7\n", kalama, 8);
	put_cpu(4, "regs/identification/midr_el1", "0x00000000412fd4d1\n");
	qn_topology_read_from(root, &t);
	check_classes(&t, "cortex-x3:7 cortex-a715:3-4 cortex-a710:6 cortex-a510:1");
	CHECK(t.n_cores == 5 && t.cores[0].domain == 0 && !qn_topology_core(&t, 5));
	end_machine();
}

/* 4 + 3 + 1 without cpu_capacity: what is measured later starts from frequencies. */
static void test_no_capacity(void)
{
	struct shown cores[8] = {[7] = {NULL, "3050000\n", X3, NULL}};
	struct qn_topology t;

	for (int i = 0; i < 7; i++)
		cores[i] = i < 4 ? (struct shown){NULL, "1800000\n", A510, NULL}
				 : (struct shown){NULL, "2850000\n", A715, NULL};
	start_machine();
	put_cores("0-7\n", cores, 8);
	qn_topology_read_from(root, &t);
	check_classes(&t, "cortex-x3:7 cortex-a715:4-6 cortex-a510:0-3");
	CHECK(t.cores[7].capacity == 1024 && t.cores[5].capacity == 1024 * 2850 / 3050 &&
	      t.cores[0].capacity == 1024 * 1800 / 3050);
	CHECK(t.cores[0].domain == -1);

	/* Some tell: the others are as their like. */
	put_cpu(0, "cpu_capacity", "280\n");
	put_cpu(5, "cpu_capacity", "850\n");
	qn_topology_read_from(root, &t);
	CHECK(t.cores[3].capacity == 280 && t.cores[6].capacity == 850 &&
	      t.cores[7].capacity == 1024);
	check_classes(&t, "cortex-x3:7 cortex-a715:4-6 cortex-a510:0-3");
	end_machine();
}

/* Registers, links and frequencies are missing here and there. */
static void test_holes(void)
{
	struct shown cores[8];
	struct qn_topology t;

	memcpy(cores, kalama, sizeof(cores));
	cores[1].midr = NULL; /* its domain is of one kind */
	cores[3].midr = NULL; /* this one is not */
	cores[2].khz = NULL;
	cores[2].related = NULL;
	cores[7].related = NULL;
	start_machine();
	put_cores("0-7\n", cores, 8);
	qn_topology_read_from(root, &t);
	CHECK(t.cores[1].kind == 0x41d46 && t.cores[2].max_khz == 2016000 &&
	      t.cores[2].domain == 0);
	CHECK(t.cores[3].kind == 0 && t.cores[3].part == 0 && t.cores[7].domain == -1);
	check_classes(&t, "cortex-x3:7 cortex-a715:4 cortex-a710:5-6 unknown:3 cortex-a510:0-2");
	end_machine();

	/* No cpu has its link, the policies are there. */
	start_machine();
	put("sys/devices/system/cpu/online", "0-3\n");
	put("sys/devices/system/cpu/cpufreq/policy0/related_cpus", "0 1\n");
	put("sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq", "1000000\n");
	put("sys/devices/system/cpu/cpufreq/policy2/related_cpus", "2 3 9\n");
	put("sys/devices/system/cpu/cpufreq/policy2/cpuinfo_max_freq", "2000000\n");
	qn_topology_read_from(root, &t);
	check_classes(&t, "unknown:2-3 unknown:0-1");
	CHECK(t.cores[1].max_khz == 1000000 && t.cores[1].capacity == 512 &&
	      t.cores[3].domain == 2);
	end_machine();
}

/* SVE of any length */
static const uint32_t sve = QN_SVE | QN_SVE128 | QN_SVE256 | QN_SVE512;

/* What cores of the allowed kinds have in common, and no more than the system says. */
static void test_kinds(void)
{
	const uint32_t arm = QN_NEON | QN_DOTPROD | QN_I8MM | sve;
	struct qn_topology t = {.n_cores = 2};
	char text[16];

	CHECK(qn_cpu_kind_of_midr(0x412fd050) == 0x41d05);
	CHECK(strcmp(qn_cpu_kind_text(0x41d85, text, sizeof(text)), "cortex-x925") == 0);
	CHECK(strcmp(qn_cpu_kind_text(0x41fff, text, sizeof(text)), "0x41fff") == 0);
	CHECK(strcmp(qn_cpu_kind_text(0, text, sizeof(text)), "unknown") == 0);
	CHECK(qn_cpu_kind_name(0x41d03) && !qn_cpu_kind_name(0x41fff) && !qn_cpu_kind_name(0));
	CHECK((qn_cpu_kind_features(0x41d46) & sve) == (QN_SVE | QN_SVE128));
	CHECK((qn_cpu_kind_features(0x41d40) & sve) == (sve & ~QN_SVE512));
	CHECK((qn_cpu_kind_features(0x41d03) & arm) == QN_NEON);
	CHECK((qn_cpu_kind_features(0x41d0b) & arm) == (QN_NEON | QN_DOTPROD));
	CHECK(qn_cpu_kind_features(0) == UINT32_MAX && qn_cpu_kind_features(1) == UINT32_MAX);
	CHECK(qn_topology_features(&t) == qn_cpu_features());
	t.cores[0].kind = 0x41d05; /* Exynos 9810 */
	t.cores[1].kind = 0x53002;
	CHECK(qn_topology_features(&t) == (qn_cpu_features() & ~(arm & ~QN_NEON)));
}

static void test_cpus_text(void)
{
	static const int cpus[] = {0, 1, 2, 3, 5, 7, 8, 300};
	char text[64];

	CHECK(strcmp(qn_topology_cpus_text(cpus, 8, text, sizeof(text)), "0-3,5,7-8,300") == 0);
	CHECK(strcmp(qn_topology_cpus_text(cpus, 1, text, sizeof(text)), "0") == 0);
	CHECK(strcmp(qn_topology_cpus_text(cpus, 0, text, sizeof(text)), "") == 0);
	CHECK(strcmp(qn_topology_cpus_text(cpus, 8, text, 6), "0-3,5") == 0);
	text[0] = '#';
	CHECK(qn_topology_cpus_text(cpus, 8, text, 0) == text && text[0] == '#');
}

static void check_defaults(const struct qn_topology *t)
{
	CHECK(t->n_classes == 1);
	for (int i = 0; i < t->n_cores; i++) {
		CHECK(t->cores[i].class_index == 0);
		CHECK(t->cores[i].capacity == 1024);
		CHECK(t->cores[i].max_khz == 0);
	}
	CHECK(t->l1d_bytes == 32 << 10 && t->l2_bytes == 512 << 10 && t->llc_bytes == unknown_llc);
	CHECK(strcmp(t->name, "unknown") == 0);
}

static void test_nothing(void)
{
	struct qn_topology t;

	start_machine();
	qn_topology_read_from(root, &t);
	CHECK(t.n_cores == 1 && t.cores[0].cpu == 0);
	check_defaults(&t);
	end_machine();
	qn_topology_read_from("/nonexistent/quern", &t);
	CHECK(t.n_cores == 1);
	check_defaults(&t);
}

/* Every file is there and none makes sense. */
static void test_garbage(void)
{
	static const char *const garbage[] = {"",
					      "\n",
					      "-1\n",
					      "abc",
					      "99999999999999999999999\n",
					      "0\n",
					      "12x\n",
					      "0x\n",
					      "K\n",
					      "1KK\n",
					      "18446744073709551615K\n",
					      "9999999999G\n",
					      " 7\n",
					      "3-\n",
					      ",\n",
					      "5-2\n",
					      "0-99999\n"};
	struct qn_topology t;
	char noise[5000];
	uint64_t seed = 7;

	start_machine();
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		const char *text = garbage[i];

		put("sys/devices/system/cpu/online", text); /* once "0" */
		put_cpu(0, "cpu_capacity", text);
		put_cpu(0, "cpufreq/cpuinfo_max_freq", text);
		put_cpu(0, "regs/identification/midr_el1", text);
		put_cache(0, "1\n", "Data\n", text);
		put_cache(1, text, "Unified\n", "1M\n");
		put_cache(2, "2\n", text, "1M\n");
		qn_topology_read_from(root, &t);
		CHECK(t.n_cores == 1);
		check_defaults(&t);
	}
	for (int i = 0; i < 50; i++) {
		for (size_t j = 0; j < sizeof(noise); j++)
			noise[j] = "processCPU ipart:\t0x9\n\n\377\0M-"[check_random(&seed) % 27];
		put_bytes("proc/cpuinfo", noise, sizeof(noise));
		put_bytes("sys/devices/system/cpu/online", noise, sizeof(noise));
		put_bytes("proc/device-tree/model", noise, i % 2 ? sizeof(noise) : 0);
		qn_topology_read_from(root, &t);
		CHECK(t.n_cores >= 1 && t.n_classes >= 1 && t.n_classes <= t.n_cores);
		CHECK(memchr(t.name, '\0', sizeof(t.name)) != NULL && t.name[0]);
	}
	end_machine();
}

static void test_many_cpus(void)
{
	struct qn_topology t;

	start_machine();
	put("sys/devices/system/cpu/online", "8-4095\n");
	put_cpu(8, "cpufreq/cpuinfo_max_freq", "5000000\n");
	qn_topology_read_from(root, &t);
	CHECK(t.n_cores == QN_MAX_CPUS);
	CHECK(t.cores[0].cpu == 8 && t.cores[QN_MAX_CPUS - 1].cpu == QN_MAX_CPUS + 7);
	CHECK(t.n_classes == 2 && t.cores[0].class_index == 0 && t.cores[1].class_index == 1);

	/* 256 cores, no two alike. */
	for (int cpu = 8; cpu < 8 + QN_MAX_CPUS; cpu++) {
		char khz[32];

		snprintf(khz, sizeof(khz), "%d\n", 1000000 + (cpu * 37) % 257);
		put_cpu(cpu, "cpufreq/cpuinfo_max_freq", khz);
	}
	qn_topology_read_from(root, &t);
	CHECK(t.n_classes == QN_MAX_CPUS);
	for (int i = 0; i < t.n_cores; i++)
		for (int j = 0; j < t.n_cores; j++)
			CHECK((t.cores[i].max_khz > t.cores[j].max_khz) ==
			      (t.cores[i].class_index < t.cores[j].class_index));
	end_machine();
}

/* ---- lists of cpus ---- */

static void test_parse(void)
{
	static const char *const bad[] = {"",
					  ",",
					  "-",
					  "1-",
					  "-1",
					  "1,",
					  ",1",
					  "1,,2",
					  "3-1",
					  "1-2-3",
					  "0-3,2",
					  "7,7",
					  "a",
					  "1 ",
					  " 1",
					  "0x1",
					  "1;2",
					  "8192",
					  "0-8192",
					  "99999999999999999999",
					  "+1",
					  "1.5",
					  "0-99999999999999999999"};
	int cpus[8], all[QN_CPU_LIMIT];

	CHECK(qn_topology_parse_cpus("0-3,7", cpus, 8) == 5);
	CHECK(cpus[0] == 0 && cpus[3] == 3 && cpus[4] == 7);
	CHECK(qn_topology_parse_cpus("7,4-5,0", cpus, 8) == 4);
	CHECK(cpus[0] == 7 && cpus[1] == 4 && cpus[2] == 5 && cpus[3] == 0);
	CHECK(qn_topology_parse_cpus("3-3", cpus, 1) == 1 && cpus[0] == 3);
	CHECK(qn_topology_parse_cpus("0-7", cpus, 8) == 8);
	CHECK(qn_topology_parse_cpus("0-8", cpus, 8) == -1);
	CHECK(qn_topology_parse_cpus("1,2", cpus, 1) == -1);
	CHECK(qn_topology_parse_cpus("0", cpus, 0) == -1);
	CHECK(qn_topology_parse_cpus("8191", cpus, 8) == 1 && cpus[0] == 8191);
	CHECK(qn_topology_parse_cpus("0-8191", all, QN_CPU_LIMIT) == QN_CPU_LIMIT);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!CHECK(qn_topology_parse_cpus(bad[i], cpus, 8) == -1))
			printf("accepted '%s'\n", bad[i]);
}

/* ---- this machine ---- */

static void test_here(void)
{
	struct qn_topology t;
	cpu_set_t allowed;

	memset(&t, 0xff, sizeof(t));
	qn_topology_read(&t);
	CHECK(t.n_cores >= 1 && t.n_classes >= 1 && t.n_classes <= t.n_cores);
	for (int i = 1; i < t.n_cores; i++)
		CHECK(t.cores[i].cpu > t.cores[i - 1].cpu);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
		CHECK(t.n_cores == QN_MAX_CPUS || t.n_cores == CPU_COUNT(&allowed));
		for (int i = 0; i < t.n_cores; i++)
			CHECK(CPU_ISSET(t.cores[i].cpu, &allowed));
	}
	for (int i = 0; i < t.n_cores; i++) {
		struct qn_topology one;

		qn_topology_read_cpus(&t.cores[i].cpu, 1, &one);
		CHECK(one.n_cores == 1 && one.cores[0].cpu == t.cores[i].cpu &&
		      one.cores[0].kind == t.cores[i].kind && one.cores[0].class_index == 0);
	}
	CHECK((qn_topology_features(&t) & ~qn_cpu_features()) == 0);
#if defined(__x86_64__)
	CHECK(t.cores[0].kind != 0 && (t.cores[0].kind & 0xf) == 0);
#endif
	CHECK(t.l1d_bytes >= 4096 && t.l2_bytes >= t.l1d_bytes && t.llc_bytes >= 65536);
	CHECK(t.name[0] != '\0');
}

static void test_features(void)
{
	const uint32_t x86 =
		QN_AVX2 | QN_AVX512 | QN_AVX512VNNI | QN_AVX512VBMI | QN_GFNI | QN_AVXVNNI;
	const uint32_t arm = QN_NEON | QN_DOTPROD | QN_I8MM | sve;
	const char *names = "avx2 avx512 avx512vnni avx512vbmi gfni avxvnni neon dotprod i8mm sve "
			    "sve128 sve256 sve512";
	uint32_t features = qn_cpu_features();
	char text[128], small[8] = "#######";

	CHECK(features == qn_cpu_features());
	CHECK(strcmp(qn_cpu_feature_text(x86 | arm, text, sizeof(text)), names) == 0);
	CHECK(strcmp(qn_cpu_feature_text(UINT32_MAX, text, sizeof(text)), names) == 0);
	CHECK(strcmp(qn_cpu_feature_text(QN_DOTPROD, text, sizeof(text)), "dotprod") == 0);
	CHECK(strcmp(qn_cpu_feature_text(0, text, sizeof(text)), "") == 0);
	CHECK(strcmp(qn_cpu_feature_text(QN_AVX2 | QN_GFNI, small, 5), "avx2") == 0);
	CHECK(strcmp(qn_cpu_feature_text(QN_AVX2, small, 4), "") == 0);
	CHECK(strcmp(qn_cpu_feature_text(UINT32_MAX, text, strlen(names) + 1), names) == 0);
	small[0] = '#';
	CHECK(qn_cpu_feature_text(QN_AVX2, small, 0) == small && small[0] == '#');
#if defined(__x86_64__)
	CHECK((features & ~x86) == 0);
	__builtin_cpu_init();
	CHECK(!(features & QN_AVX2) ==
	      !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")));
	CHECK(!(features & QN_AVX512) ==
	      !(__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
		__builtin_cpu_supports("avx512dq")));
	CHECK(!(features & QN_AVX512VNNI) == !__builtin_cpu_supports("avx512vnni"));
	CHECK(!(features & QN_AVX512VBMI) == !__builtin_cpu_supports("avx512vbmi"));
	CHECK(!(features & QN_GFNI) == !__builtin_cpu_supports("gfni"));
#elif defined(__aarch64__)
	CHECK((features & ~arm) == 0 && (features & QN_NEON));
#endif
}

int main(void)
{
	test_parse();
	test_phone();
	test_cpuinfo();
	test_four_kinds();
	test_no_capacity();
	test_holes();
	test_kinds();
	test_cpus_text();
	test_nothing();
	test_garbage();
	test_many_cpus();
	test_here();
	test_features();
	return check_exit();
}
