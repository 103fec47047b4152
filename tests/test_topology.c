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
	CHECK(strcmp(t.name, "CPU part 0xd05") == 0);

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
	CHECK(t.l1d_bytes >= 4096 && t.l2_bytes >= t.l1d_bytes && t.llc_bytes >= 65536);
	CHECK(t.name[0] != '\0');
}

static void test_features(void)
{
	const uint32_t x86 =
		QN_AVX2 | QN_AVX512 | QN_AVX512VNNI | QN_AVX512VBMI | QN_GFNI | QN_AVXVNNI;
	const uint32_t arm = QN_NEON | QN_DOTPROD | QN_I8MM | QN_SVE2;
	const char *names = "avx2 avx512 avx512vnni avx512vbmi gfni avxvnni neon dotprod i8mm sve2";
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
	test_nothing();
	test_garbage();
	test_many_cpus();
	test_here();
	test_features();
	return check_exit();
}
