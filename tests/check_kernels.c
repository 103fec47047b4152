/*
 * check_kernels.c: the one walk over all kernels of this build that the CPU can run, or those of
 * one ISA (check_kernels ISA).  With QUERN_LIST it names them.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cpu.h"
#include "kernel.h"
#include "verify.h"

int main(int argc, char **argv)
{
	const uint32_t features = qn_cpu_features();
	const uint64_t seed = 20261122;
	int n_checked = 0;

	for (int i = 0; i < qn_registry.n_kernels; i++) {
		const struct qn_kernel *kernel = qn_registry.kernels[i];
		struct quern_error err;
		double nmse = 0;

		if ((kernel->needs & ~features) || (argc > 1 && strcmp(kernel->isa->name, argv[1])))
			continue;
		n_checked++;
		if (qn_verify_kernel(kernel, seed, &nmse, &err)) {
			printf("%s: %s\n", kernel->name, err.text);
			check_failures++;
		} else if (nmse > (qn_is_lossy(kernel) ? 5e-3 : 1e-4)) {
			printf("%s: NMSE %.3g is too large\n", kernel->name, nmse);
			check_failures++;
		}
		if (getenv("QUERN_LIST"))
			fprintf(stderr, "%s nmse %.3g\n", kernel->name, nmse);
	}
	CHECK(n_checked > 0);
	return check_exit();
}
