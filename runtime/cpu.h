/* cpu.h: what this processor and the operating system allow. */
#ifndef QN_CPU_H
#define QN_CPU_H

#include <stddef.h>
#include <stdint.h>

/*
 * Feature mask (QN_AVX2 ... of kernel.h) of this machine, register state enabled by the operating
 * system included; computed at each call.  On AArch64 from HWCAP, in which Linux leaves what all
 * cores have.  The registers of the core that we happen to stand on are never asked: the thread may
 * be on a lesser one a moment later.
 */
uint32_t qn_cpu_features(void);

/*
 * A kind of core is a number: implementer << 12 | part of MIDR on AArch64 (0x41d4d is Arm's
 * Cortex-A715), CPUID's signature without its stepping on x86, 0 where unknown.
 */
uint32_t qn_cpu_kind_of_midr(uint64_t midr);

/* "cortex-a715", as compilers spell it, or NULL. */
const char *qn_cpu_kind_name(uint32_t kind);

/*
 * The most that such a core can have of AArch64's features, and all others; all for a kind that is not known.  Only ever narrows what the
 * system says: phones were shipped whose kernels told the features of one kind of core for all.
 */
uint32_t qn_cpu_kind_features(uint32_t kind);

/* The name, or "0x41d4d", or "unknown" for 0; returns text. */
char *qn_cpu_kind_text(uint32_t kind, char *text, size_t n_bytes);

/* "avx2 avx512 vnni ..." of a mask, space separated; returns text. */
char *qn_cpu_feature_text(uint32_t features, char *text, size_t n_bytes);

#endif
