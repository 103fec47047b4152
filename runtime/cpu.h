/* cpu.h: what this processor and the operating system allow. */
#ifndef QN_CPU_H
#define QN_CPU_H

#include <stddef.h>
#include <stdint.h>

/*
 * Feature mask (QN_AVX2 ... of kernel.h) of this machine, register state enabled by the operating
 * system included; computed at each call.  On AArch64 from HWCAP.
 */
uint32_t qn_cpu_features(void);

/* "avx2 avx512 vnni ..." of a mask, space separated; returns text. */
char *qn_cpu_feature_text(uint32_t features, char *text, size_t n_bytes);

#endif
