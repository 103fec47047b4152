/*
 * choose.c: the ladder from a measured winner down to plain C.
 */
#include "choose.h"

#include <math.h>
#include <string.h>

#include "cpu.h"
#include "error.h"
#include "format.h"

/* What narrows the choice. */
struct limits {
	uint32_t features;
	const struct qn_layout *layout; /* NULL: any */
};

static int can_run(uint32_t needs, uint32_t features)
{
	return (needs & ~features) == 0;
}

static int is_allowed(const struct qn_kernel *kernel, const struct limits *limits)
{
	return can_run(kernel->needs, limits->features) &&
	       (!limits->layout || qn_same_layout(limits->layout, &kernel->layout));
}

const struct qn_floats *qn_choose_floats(const struct qn_registry *registry,
					 const struct qn_isa *isa)
{
	for (int i = 0; registry->floats && i < registry->n_isas; i++) {
		if (registry->floats[i]->isa == isa)
			return registry->floats[i];
	}
	return NULL;
}

const struct qn_isa *qn_choose_isa(const struct qn_registry *registry, uint32_t features)
{
	const struct qn_isa *best = NULL;

	for (int i = 0; i < registry->n_isas; i++) {
		const struct qn_isa *isa = registry->isas[i];

		if (can_run(isa->needs, features) && (!best || isa->rank > best->rank))
			best = isa;
	}
	return best;
}

const struct qn_kernel *qn_choose_by_name(const struct qn_registry *registry, const char *name,
					  size_t n_bytes)
{
	for (int i = 0; i < registry->n_kernels; i++) {
		const char *known = registry->kernels[i]->name;

		if (strlen(known) == n_bytes && !memcmp(known, name, n_bytes))
			return registry->kernels[i];
	}
	return NULL;
}

/* Can a kernel take such activations?  One for finer scales can: those are equal then. */
static int takes(const struct qn_kernel *kernel, int act)
{
	return kernel->act == act || kernel->act == QN_A8G32 ||
	       (kernel->act == QN_A8G256 && act == QN_A8R);
}

/* 1 when one of the names is for this format and these activations, 0 when none is. */
static int choose_forced(const struct qn_registry *registry, uint32_t features, int format, int act,
			 const char *names, struct qn_chosen *chosen, struct quern_error *err)
{
	for (const char *name = names; *name;) {
		const size_t n = strcspn(name, ",");
		const struct qn_kernel *kernel = qn_choose_by_name(registry, name, n);

		if (!kernel)
			return qn_error_set(
				err,
				"kernel '%.*s' is not in this library: 'quern-run kernels "
				"--list' names those that are",
				(int)(n < 64 ? n : 64), name);
		if (kernel->format == format && takes(kernel, act)) {
			char text[128];

			if (!can_run(kernel->needs, features))
				return qn_error_set(err,
						    "kernel '%s' needs %s, which this CPU lacks or "
						    "QUERN_ISA forbids",
						    kernel->name,
						    qn_cpu_feature_text(kernel->needs & ~features,
									text, sizeof text));
			*chosen = (struct qn_chosen){.kernel = kernel, .rung = QN_RUNG_FORCED};
			return 1;
		}
		name += n + (name[n] == ',');
	}
	return 0;
}

static int is_same_case(const struct qn_choice *c, const struct qn_case *what)
{
	return c->m == what->m && c->k == what->k && c->n_tokens == what->n_tokens &&
	       c->n_threads == what->n_threads;
}

/* Log of how much larger the last panel's padding makes a matrix. */
static double padding(const struct qn_kernel *kernel, long m)
{
	const long rows = kernel->layout.panel_rows;

	return log((double)((m + rows - 1) / rows * rows) / (double)m);
}

/*
 * Distance in log space; threads weigh less than shape, so that a shape's winners stay together.
 * A narrower ISA counts as far: its winners were measured on a CPU that had no better.  Measured
 * for this very case, it won.  A lossy winner was faster than the exact one of its case.
 */
static double distance(const struct qn_choice *c, const struct qn_case *what,
		       const struct qn_kernel *kernel)
{
	const uint32_t rank = kernel->isa->rank;
	const double lossy = c->nmse > 0 ? 0.001 : 0;

	if (is_same_case(c, what))
		return -1e6 - rank - lossy;
	return -4.0 * rank - lossy + padding(kernel, what->m) +
	       fabs(log((double)c->m / (double)what->m)) +
	       fabs(log((double)c->k / (double)what->k)) +
	       fabs(log((double)c->n_tokens / (double)what->n_tokens)) +
	       0.25 * fabs(log((double)c->n_threads / (double)what->n_threads));
}

/*
 * How far the core is on which a winner was measured: what was measured on this kind goes before all that was
 * not.  Of the rest, what any core would do goes before another's.
 */
static double core_distance(const struct qn_choice *c, const struct qn_case *what)
{
	if (!what->core || c->core == what->core)
		return 0;
	return c->core ? 1e9 + 0.01 : 1e9;
}

/* Kernels for one token and for many differ in kind; what was measured counts for similar numbers.
 */
static int similar_tokens(long a, long b)
{
	return (a == 1) == (b == 1) && a <= 4 * b && b <= 4 * a;
}

/* Distance of a default.  The wider ISA goes first. */
static double default_distance(const struct qn_choice *c, const struct qn_case *what,
			       const struct qn_kernel *kernel)
{
	const double far_more = qn_is_for_far_more(c->n_tokens, what->n_tokens) ? 1e6 : 0;

	return far_more + fabs(log((double)c->n_tokens / (double)what->n_tokens)) +
	       padding(kernel, what->m) - 100.0 * kernel->isa->rank;
}

/* Among measured cases (shaped) or defaults: the nearest one. */
static const struct qn_choice *nearest(const struct qn_registry *registry,
				       const struct limits *limits, const struct qn_case *what,
				       int shaped)
{
	const struct qn_choice *best = NULL;
	double least = 0;

	for (int i = 0; i < registry->n_choices; i++) {
		const struct qn_choice *c = &registry->choices[i];
		const struct qn_kernel *kernel = registry->kernels[c->kernel];
		double d;

		if (c->format != what->format || c->act != what->act || (c->m > 0) != shaped ||
		    !is_allowed(kernel, limits) || c->nmse > what->max_nmse ||
		    (shaped && !similar_tokens(c->n_tokens, what->n_tokens)))
			continue;
		d = shaped ? distance(c, what, kernel) + core_distance(c, what)
			   : default_distance(c, what, kernel);
		if (!best || d < least) {
			best = c;
			least = d;
		}
	}
	return best;
}

/* The best rung that has a kernel for these very activations; 0 when none has. */
static int choose_measured(const struct qn_registry *registry, const struct limits *limits,
			   const struct qn_case *what, struct qn_chosen *chosen)
{
	const struct qn_choice *choice = nearest(registry, limits, what, 1);

	if (choice) {
		*chosen = (struct qn_chosen){
			.kernel = registry->kernels[choice->kernel],
			.rung = is_same_case(choice, what) ? QN_RUNG_EXACT : QN_RUNG_NEAR,
			.source = {.format = choice->format,
				   .m = choice->m,
				   .k = choice->k,
				   .n_tokens = choice->n_tokens,
				   .n_threads = choice->n_threads,
				   .act = choice->act,
				   .core = choice->core},
		};
		if (what->core && choice->core && choice->core != what->core)
			chosen->rung = QN_RUNG_CORE;
		return 1;
	}
	choice = nearest(registry, limits, what, 0);
	if (choice)
		*chosen = (struct qn_chosen){.kernel = registry->kernels[choice->kernel],
					     .rung = QN_RUNG_DEFAULT};
	return choice != NULL;
}

int qn_choose(const struct qn_registry *registry, uint32_t features, const struct qn_case *what,
	      const struct qn_layout *layout, const char *forced, struct qn_chosen *chosen,
	      struct quern_error *err)
{
	const struct limits limits = {features, layout};
	static const int finer[] = {QN_A8G256, QN_A8G32};
	int found;

	if (forced) {
		found = choose_forced(registry, features, what->format, what->act, forced, chosen,
				      err);
		if (found)
			return found > 0 ? 0 : -1;
	}
	if (choose_measured(registry, &limits, what, chosen))
		return 0;
	for (int i = what->act == QN_A8R ? 0 : 1; i < 2; i++) {
		struct qn_case other = *what;

		other.act = finer[i];
		if (choose_measured(registry, &limits, &other, chosen))
			return 0;
	}
	*chosen = (struct qn_chosen){.rung = QN_RUNG_ANY};
	for (int i = 0; i < registry->n_kernels; i++) {
		const struct qn_kernel *kernel = registry->kernels[i];

		if (kernel->format == what->format && is_allowed(kernel, &limits) &&
		    !qn_is_lossy(kernel) && takes(kernel, what->act) &&
		    (!chosen->kernel || kernel->isa->rank > chosen->kernel->isa->rank))
			chosen->kernel = kernel;
	}
	if (chosen->kernel)
		return 0;
	return qn_error_set(err,
			    "this library was generated without a kernel for %s and %s that this "
			    "CPU can run (made from %s)",
			    qn_formats[what->format].name, qn_format_acts[what->act],
			    registry->origin);
}
