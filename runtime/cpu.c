/*
 * cpu.c: CPUID and XGETBV on x86, HWCAP on AArch64.
 *
 * On x86 an instruction set counts only when the operating system saves its registers too, which
 * XCR0 tells; on AArch64 the kernel has already taken that into account.
 */
#include "cpu.h"

#include <stdio.h>
#include <string.h>

#include "kernel.h"

static const struct {
	uint32_t feature;
	const char *name;
} features_by_name[] = {{QN_AVX2, "avx2"},
			{QN_AVX512, "avx512"},
			{QN_AVX512VNNI, "avx512vnni"},
			{QN_AVX512VBMI, "avx512vbmi"},
			{QN_GFNI, "gfni"},
			{QN_AVXVNNI, "avxvnni"},
			{QN_NEON, "neon"},
			{QN_DOTPROD, "dotprod"},
			{QN_I8MM, "i8mm"},
			{QN_SVE, "sve"},
			{QN_SVE128, "sve128"},
			{QN_SVE256, "sve256"},
			{QN_SVE512, "sve512"}};

/* What cores of AArch64 have at most, of QN_NEON ... QN_SVE512; vectors may be told to be shorter. */
enum {
	V8_0 = QN_NEON,
	V8_2 = V8_0 | QN_DOTPROD,
	V8_6 = V8_2 | QN_I8MM,
	V9_0 = V8_6 | QN_SVE | QN_SVE128,
	V1 = V9_0 | QN_SVE256,
	ANY = V1 | QN_SVE512
};

/* By number. */
static const struct {
	uint32_t kind, features;
	const char *name;
} kinds[] = {
	{0x41d03, V8_0, "cortex-a53"},
	{0x41d04, V8_0, "cortex-a35"},
	{0x41d05, V8_2, "cortex-a55"},
	{0x41d06, V8_2, "cortex-a65"},
	{0x41d07, V8_0, "cortex-a57"},
	{0x41d08, V8_0, "cortex-a72"},
	{0x41d09, V8_0, "cortex-a73"},
	{0x41d0a, V8_2, "cortex-a75"},
	{0x41d0b, V8_2, "cortex-a76"},
	{0x41d0c, V8_2, "neoverse-n1"},
	{0x41d0d, V8_2, "cortex-a77"},
	{0x41d0e, V8_2, "cortex-a76ae"},
	{0x41d40, V1, "neoverse-v1"},
	{0x41d41, V8_2, "cortex-a78"},
	{0x41d42, V8_2, "cortex-a78ae"},
	{0x41d44, V8_2, "cortex-x1"},
	{0x41d46, V9_0, "cortex-a510"},
	{0x41d47, V9_0, "cortex-a710"},
	{0x41d48, V9_0, "cortex-x2"},
	{0x41d49, V9_0, "neoverse-n2"},
	{0x41d4a, V8_2, "neoverse-e1"},
	{0x41d4b, V8_2, "cortex-a78c"},
	{0x41d4c, V8_2, "cortex-x1c"},
	{0x41d4d, V9_0, "cortex-a715"},
	{0x41d4e, V9_0, "cortex-x3"},
	{0x41d4f, V9_0, "neoverse-v2"},
	{0x41d80, V9_0, "cortex-a520"},
	{0x41d81, V9_0, "cortex-a720"},
	{0x41d82, V9_0, "cortex-x4"},
	{0x41d83, V9_0, "neoverse-v3ae"},
	{0x41d84, V9_0, "neoverse-v3"},
	{0x41d85, V9_0, "cortex-x925"},
	{0x41d87, V9_0, "cortex-a725"},
	{0x41d8e, V9_0, "neoverse-n3"},
	{0x46001, V8_0, "a64fx"},
	{0x48d01, V8_2, "tsv110"},
	{0x51001, V8_6, "oryon-1"},
	{0x51800, V8_0, "kryo-2xx-gold"},
	{0x51801, V8_0, "kryo-2xx-silver"},
	{0x51802, V8_2, "kryo-3xx-gold"},
	{0x51803, V8_2, "kryo-3xx-silver"},
	{0x51804, V8_2, "kryo-4xx-gold"},
	{0x51805, V8_2, "kryo-4xx-silver"},
	{0x53001, V8_0, "exynos-m1"},
	{0x53002, V8_0, "exynos-m3"},
	{0x53003, V8_2, "exynos-m4"},
	{0x53004, V8_2, "exynos-m5"},
	{0x61020, V8_2, "apple-a14-icestorm"},
	{0x61021, V8_2, "apple-a14-firestorm"},
	{0x61022, V8_2, "apple-m1-icestorm"},
	{0x61023, V8_2, "apple-m1-firestorm"},
	{0x61024, V8_2, "apple-m1-icestorm"},
	{0x61025, V8_2, "apple-m1-firestorm"},
	{0x61028, V8_2, "apple-m1-icestorm"},
	{0x61029, V8_2, "apple-m1-firestorm"},
	{0x61032, V8_6, "apple-m2-blizzard"},
	{0x61033, V8_6, "apple-m2-avalanche"},
	{0xc0ac3, V8_6, "ampere1"},
	{0xc0ac4, V8_6, "ampere1a"},
};

uint32_t qn_cpu_kind_of_midr(uint64_t midr)
{
	return (uint32_t)(midr >> 24 & 0xff) << 12 | (uint32_t)(midr >> 4 & 0xfff);
}

/* Index into kinds, or -1. */
static int find_kind(uint32_t kind)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].kind == kind)
			return (int)i;
	return -1;
}

const char *qn_cpu_kind_name(uint32_t kind)
{
	int i = find_kind(kind);

	return i < 0 ? NULL : kinds[i].name;
}

uint32_t qn_cpu_kind_features(uint32_t kind)
{
	int i = find_kind(kind);

	return i < 0 ? UINT32_MAX : kinds[i].features | ~(uint32_t)ANY;
}

char *qn_cpu_kind_text(uint32_t kind, char *text, size_t n_bytes)
{
	const char *name = qn_cpu_kind_name(kind);

	if (name || !kind)
		snprintf(text, n_bytes, "%s", name ? name : "unknown");
	else
		snprintf(text, n_bytes, "0x%x", (unsigned)kind);
	return text;
}

#if defined(__x86_64__)

#include <cpuid.h>

/* Bits of XCR0: SSE and AVX state; the same with opmask, upper ZMM halves and ZMM16-31. */
enum { XCR0_AVX = 0x06, XCR0_AVX512 = 0xe6 };

static uint32_t read_xcr0(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low;
}

static int has(uint32_t word, uint32_t bits)
{
	return (word & bits) == bits;
}

uint32_t qn_cpu_features(void)
{
	/* Leaf 7: AVX512 F, DQ, BW, VL in EBX. */
	const uint32_t avx2 = 1u << 5, avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
	const uint32_t vbmi = 1u << 1, gfni = 1u << 8, vnni = 1u << 11, avxvnni = 1u << 4;
	/* Leaf 1: FMA, OSXSAVE, AVX and F16C in ECX. */
	const uint32_t avx = 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29;
	uint32_t a, b, c, d, a1 = 0, b1, c1, d1, xcr0, features = 0;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, avx))
		return 0;
	xcr0 = read_xcr0();
	if (!has(xcr0, XCR0_AVX) || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !has(b, avx2))
		return 0;
	if (a >= 1)
		__get_cpuid_count(7, 1, &a1, &b1, &c1, &d1);

	features |= QN_AVX2;
	if (has(c, gfni))
		features |= QN_GFNI;
	if (has(a1, avxvnni))
		features |= QN_AVXVNNI;
	if (!has(xcr0, XCR0_AVX512) || !has(b, avx512))
		return features;
	features |= QN_AVX512;
	if (has(c, vnni))
		features |= QN_AVX512VNNI;
	if (has(c, vbmi))
		features |= QN_AVX512VBMI;
	return features;
}

#elif defined(__aarch64__)

#include <sys/auxv.h>
#include <sys/prctl.h>

/* Linux, arch/arm64/include/uapi/asm/hwcap.h; older headers lack the later ones. */
enum {
	CAP_ASIMD = 1 << 1,
	CAP_ASIMDDP = 1 << 20,
	CAP_SVE = 1 << 22,
	CAP2_SVEI8MM = 1 << 9,
	CAP2_I8MM = 1 << 13
};

/* The feature that stands for the length of SVE's vectors, which the threads of a process inherit; or 0. */
static uint32_t find_sve_length(void)
{
	const int get_length = 51, mask = 0xffff; /* PR_SVE_GET_VL, PR_SVE_VL_LEN_MASK */
	const int length = prctl(get_length, 0, 0, 0, 0);

	switch (length < 0 ? 0 : length & mask) {
	case 16: return QN_SVE128;
	case 32: return QN_SVE256;
	case 64: return QN_SVE512;
	default: return 0;
	}
}

uint32_t qn_cpu_features(void)
{
	unsigned long cap = getauxval(AT_HWCAP), cap2 = getauxval(AT_HWCAP2);
	uint32_t features = 0;

	if (cap & CAP_ASIMD)
		features |= QN_NEON;
	if (cap & CAP_ASIMDDP)
		features |= QN_DOTPROD;
	if (cap2 & CAP2_I8MM)
		features |= QN_I8MM;
	if (cap & CAP_SVE && cap2 & CAP2_SVEI8MM)
		features |= QN_SVE | find_sve_length();
	return features;
}

#else

uint32_t qn_cpu_features(void)
{
	return 0;
}

#endif

char *qn_cpu_feature_text(uint32_t features, char *text, size_t n_bytes)
{
	size_t n = 0;

	if (n_bytes == 0)
		return text;
	text[0] = '\0';
	for (size_t i = 0; i < sizeof(features_by_name) / sizeof(features_by_name[0]); i++) {
		const char *name = features_by_name[i].name;
		size_t length = strlen(name), gap = n > 0;

		if (!(features & features_by_name[i].feature))
			continue;
		if (n + gap + length >= n_bytes) /* no room for the whole name? */
			break;
		if (gap)
			text[n++] = ' ';
		memcpy(text + n, name, length + 1);
		n += length;
	}
	return text;
}
