/*
 * choose.h: which kernel of the registry a matrix gets.
 */
#ifndef QN_CHOOSE_H
#define QN_CHOOSE_H

#include "kernel.h"
#include "quern.h"

/* Rungs of the ladder, best first. */
enum qn_rung {
	QN_RUNG_FORCED,  /* by name */
	QN_RUNG_EXACT,   /* measured for this format, shape, tokens and threads */
	QN_RUNG_NEAR,    /* measured for the nearest shape in log space */
	QN_RUNG_CORE,    /* one of the two, but measured on another kind of core */
	QN_RUNG_DEFAULT, /* the ISA's default */
	QN_RUNG_ANY      /* the widest ISA's first kernel of the format */
};

struct qn_case {
	int format;
	long m, k, n_tokens;
	int n_threads;
	int act;         /* enum qn_act_id */
	double max_nmse; /* of lossy kernels that may be chosen; 0: only exact ones */
	uint32_t core;   /* kind of core that it runs on, 0 where unknown */
};

struct qn_chosen {
	const struct qn_kernel *kernel;
	enum qn_rung rung;
	struct qn_case source; /* of QN_RUNG_EXACT, NEAR and CORE: what was measured; its core is 0
				  where any would do */
};

/*
 * Activations with one scale a token (a8r) or for 256 (a8g256) go through kernels of their own or, where there are none,
 * through those for finer scales, which are equal then.
 *
 * features: what the CPU has.  layout: NULL, or what the kernel must read.  forced: NULL, or kernel
 * names separated by commas, of which one for the case's format is taken; a name that the registry
 * does not have, or the CPU cannot run, is an error.  Only by name is a lossy kernel chosen that nobody
 * measured.
 */
int qn_choose(const struct qn_registry *registry, uint32_t features, const struct qn_case *what,
	      const struct qn_layout *layout, const char *forced, struct qn_chosen *chosen,
	      struct quern_error *err);

/* The ISA of highest rank that the CPU can run; never NULL in a registry with the scalar ISA. */
const struct qn_isa *qn_choose_isa(const struct qn_registry *registry, uint32_t features);

/* What goes with it; NULL in a registry of kernels alone. */
const struct qn_floats *qn_choose_floats(const struct qn_registry *registry,
					 const struct qn_isa *isa);

/* NULL when there is none. */
const struct qn_kernel *qn_choose_by_name(const struct qn_registry *registry, const char *name,
					  size_t n_bytes);

/*
 * Is a default that is for n tokens and more for far more than n_tokens?  Then it goes behind all that are not,
 * of whatever ISA: one may have nothing of its own for one token (i8mm has matrix products alone).
 */
static inline int qn_is_for_far_more(long n, long n_tokens)
{
	return n >= 4 * n_tokens;
}

#endif
