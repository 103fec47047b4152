/*
 * cpu.c: CPUID and XGETBV on x86, HWCAP on AArch64.
 *
 * On x86 an instruction set counts only when the operating system saves its registers too, which
 * XCR0 tells; on AArch64 the kernel has already taken that into account.
 */
#include "cpu.h"

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
			{QN_SVE2, "sve2"}};

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

/* Linux, arch/arm64/include/uapi/asm/hwcap.h; older headers lack the later ones. */
enum { CAP_ASIMD = 1 << 1, CAP_ASIMDDP = 1 << 20, CAP2_SVE2 = 1 << 1, CAP2_I8MM = 1 << 13 };

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
	if (cap2 & CAP2_SVE2)
		features |= QN_SVE2;
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
