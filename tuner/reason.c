/*
 * reason.c: the order in which causes are looked for.
 *
 * At the roof; more instructions; as many but fewer of them a cycle, for memory, pages, the front
 * end or what is left; as many cycles in more time.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "reason.h"

/* All of them are doubles. */
#define N_NUMBERS (sizeof(struct record_numbers) / sizeof(double))

#define MOST 1e15         /* of a number that is meant */
#define MORE 1.15         /* times as many: worth a word */
#define SAME 1.03         /* not more than noise */
#define SLOWER 1.05       /* in time */
#define SHARE 0.3         /* of cycles: what they are spent on */
#define SPILL_SHARE 0.2   /* of instructions that one has more */
#define REFILL_CYCLES 10. /* that one costs at least */
#define WALK_CYCLES 20.
#define SLOWEST_GHZ 1.0 /* a clock that no core that matters stays below */

struct sentence {
	char *text;
	size_t n_bytes, at;
};

static void say(struct sentence *out, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(struct sentence *out, const char *format, ...)
{
	va_list args;
	int n;

	if (out->at + 1 >= out->n_bytes)
		return;
	va_start(args, format);
	n = vsnprintf(out->text + out->at, out->n_bytes - out->at, format, args);
	va_end(args);
	out->at += n > 0 ? (size_t)n : 0;
}

static int is_known(double value)
{
	return value >= 0 && value < MOST;
}

static void clean(double *value)
{
	*value = is_known(*value) ? *value : NAN;
}

/* What cannot be is not known. */
static struct reason_numbers clean_all(const struct reason_numbers *numbers)
{
	struct reason_numbers copy = *numbers;

	clean(&copy.ratio);
	clean(&copy.roof_fraction);
	clean(&copy.roof);
	clean(&copy.pass_weights);
	clean(&copy.core_ns);
	for (size_t i = 0; i < N_NUMBERS; i++)
		clean((double *)&copy.per_weight + i);
	return copy;
}

/* How many times as large; NAN where one is not known or there is nothing to compare with. */
static double over(double value, double other)
{
	return is_known(value) && other > 0 && is_known(other) ? value / other : NAN;
}

/* By how much more; NAN where one is not known. */
static double more(double value, double other)
{
	return is_known(value) && is_known(other) ? value - other : NAN;
}

static double share(double part, double whole)
{
	return over(part, whole);
}

static int say_roof(struct sentence *out, const struct reason_numbers *kernel)
{
	if (!(kernel->roof_fraction >= REASON_AT_ROOF))
		return 0;
	say(out, "at the roof: %.0f %%", 100 * kernel->roof_fraction);
	if (kernel->roof > 0)
		say(out, " of %.*f %s", kernel->roof < 100, kernel->roof, kernel->roof_unit);
	return 1;
}

/* ---- more work ---- */

/* Are spills a good part of what one has more? */
static int has_spills(const struct reason_numbers *kernel, const struct reason_numbers *winner)
{
	const struct record_numbers *a = &kernel->per_weight, *b = &winner->per_weight;
	const double mine = over(a->spills, kernel->pass_weights);
	const double others = over(b->spills, winner->pass_weights);
	const double extra = more(a->code_instructions, b->code_instructions);

	return a->spills > b->spills && more(mine, others) > 0 &&
	       (!(extra > 0) || mine - others >= SPILL_SHARE * extra);
}

/* The kind of instructions that makes up more than half of the difference, or NULL. */
static const char *main_kind(const struct record_numbers *a, const struct record_numbers *b)
{
	const double extra = more(a->code_instructions, b->code_instructions);
	const double vector = more(a->code_vector, b->code_vector);
	const double memory = more(a->code_memory, b->code_memory);

	if (!(extra > 0))
		return NULL;
	if (vector > 0.5 * extra)
		return "vector arithmetic";
	if (memory > 0.5 * extra)
		return "loads and stores";
	return extra - vector - memory > 0.5 * extra ? "addresses and loops" : NULL;
}

static int say_work(struct sentence *out, const struct reason_numbers *kernel,
		    const struct reason_numbers *winner, double mine, double others)
{
	const double ratio = over(mine, others);
	const char *kind = main_kind(&kernel->per_weight, &winner->per_weight);

	if (!(ratio > MORE))
		return 0;
	say(out, "more work: %.2fx the instructions a weight (%.3g to %.3g)", ratio, mine, others);
	if (has_spills(kernel, winner))
		say(out, ", %.0f spills in the loop", kernel->per_weight.spills);
	else if (kind)
		say(out, ", most of them %s", kind);
	return 1;
}

/* ---- cycles that were counted ---- */

static int say_memory(struct sentence *out, const struct record_numbers *a,
		      const struct record_numbers *b, double extra)
{
	static const char *const names[] = {"L1", "L2", "last-level cache"};
	const double mine[] = {a->l1d_misses, a->l2_misses, a->llc_misses};
	const double others[] = {b->l1d_misses, b->l2_misses, b->llc_misses};
	const double waits = more(a->memory_stalls, b->memory_stalls);
	const double walks = more(a->dtlb_walks, b->dtlb_walks);

	if (waits >= SHARE * extra) {
		say(out, "memory: waits for it in %.3g more cycles a weight of %.3g more", waits,
		    extra);
		if (walks > 0 && walks * WALK_CYCLES >= SHARE * extra)
			say(out, ", page walks among them");
		return 1;
	}
	for (int i = 2; i >= 0; i--) {
		/* A miss that was foreseen costs nothing, so the back end has to wait, too, if that is known. */
		if (!(over(mine[i], others[i]) > MORE ||
		      (others[i] == 0 && is_known(mine[i]) && mine[i] > 0)) ||
		    !((mine[i] - others[i]) * REFILL_CYCLES >= SHARE * extra) ||
		    more(a->stalls, b->stalls) < SHARE * extra || waits < 0.1 * extra)
			continue;
		say(out, "memory: %.3g to %.3g misses of the %s a weight", mine[i], others[i],
		    names[i]);
		return 1;
	}
	if (walks > 0 && walks * WALK_CYCLES >= SHARE * extra) {
		say(out, "pages: %.3g to %.3g page walks a weight", a->dtlb_walks, b->dtlb_walks);
		return 1;
	}
	return 0;
}

static void say_bytes(struct sentence *out, const struct record_numbers *a,
		      const struct record_numbers *b)
{
	if (is_known(a->code_bytes) && is_known(b->code_bytes))
		say(out, ", code of %.1f kB to %.1f", 1e-3 * a->code_bytes, 1e-3 * b->code_bytes);
}

static void say_bottleneck(struct sentence *out, const struct reason_numbers *kernel)
{
	if (*kernel->bottleneck)
		say(out, "; llvm-mca: %s", kernel->bottleneck);
}

/* More cycles for about as many instructions. */
static void say_cycles(struct sentence *out, const struct reason_numbers *kernel,
		       const struct reason_numbers *winner)
{
	const struct record_numbers *a = &kernel->per_weight, *b = &winner->per_weight;
	const double extra = a->cycles - b->cycles;
	const double idle = more(a->frontend_stalls, b->frontend_stalls);

	if (say_memory(out, a, b, extra))
		return;
	if (idle >= SHARE * extra) {
		say(out, "front end: starts nothing in %.3g more cycles a weight of %.3g more",
		    idle, extra);
		say_bytes(out, a, b);
		return;
	}
	say(out, "dependencies or busy pipes: %.2fx the cycles", a->cycles / b->cycles);
	if (is_known(over(a->instructions, a->cycles)) &&
	    is_known(over(b->instructions, b->cycles)))
		say(out, " (%.2f to %.2f instructions a cycle)", a->instructions / a->cycles,
		    b->instructions / b->cycles);
	say_bottleneck(out, kernel);
}

/* By events; 0: they do not tell. */
static int compare_counted(struct sentence *out, const struct reason_numbers *kernel,
			   const struct reason_numbers *winner)
{
	const struct record_numbers *a = &kernel->per_weight, *b = &winner->per_weight;
	const double cycles = over(a->cycles, b->cycles);

	if (say_work(out, kernel, winner, a->instructions, b->instructions))
		return 1;
	if (!is_known(cycles))
		return 0;
	if (cycles >= SAME)
		say_cycles(out, kernel, winner);
	else if (kernel->ratio >= SLOWER)
		say(out,
		    "as many cycles in %.2fx the time: the clock differed, distrust the sample",
		    kernel->ratio);
	else
		say(out, "no difference in what was counted explains it");
	return 1;
}

/* ---- what the assembly says ---- */

static int compare_code(struct sentence *out, const struct reason_numbers *kernel,
			const struct reason_numbers *winner)
{
	const struct record_numbers *a = &kernel->per_weight, *b = &winner->per_weight;

	if (!is_known(a->code_instructions) || !is_known(b->code_instructions))
		return 0;
	if (say_work(out, kernel, winner, a->code_instructions, b->code_instructions))
		return 1;
	if (over(a->code_cycles, b->code_cycles) >= SLOWER) {
		say(out, "slower loop: %.2fx the cycles (%.3g to %.3g a weight) by llvm-mca",
		    a->code_cycles / b->code_cycles, a->code_cycles, b->code_cycles);
		if (has_spills(kernel, winner))
			say(out, ", %.0f spills in it", a->spills);
		if (*kernel->bottleneck)
			say(out, ": %s", kernel->bottleneck);
		return 1;
	}
	if (has_spills(kernel, winner))
		say(out, "%.0f spills in the loop, %.0f in the winner's", a->spills, b->spills);
	else
		say(out, "no difference in the code's cost explains it (static only)");
	return 1;
}

/* ---- the winner ---- */

static int limit_counted(struct sentence *out, const struct reason_numbers *kernel)
{
	const struct record_numbers *a = &kernel->per_weight;
	const double memory = share(a->memory_stalls, a->cycles);
	const double idle = share(a->frontend_stalls, a->cycles);
	const double stalls = share(a->stalls, a->cycles);
	const double ipc = over(a->instructions, a->cycles);

	if (memory >= SHARE) {
		say(out, "memory: waits for it in %.0f %% of its cycles", 100 * memory);
	} else if (idle >= SHARE) {
		say(out, "front end: starts nothing in %.0f %% of its cycles", 100 * idle);
		if (is_known(a->code_bytes))
			say(out, ", code of %.1f kB", 1e-3 * a->code_bytes);
	} else if (stalls >= SHARE) {
		say(out, "waits in the back end in %.0f %% of its cycles, for %s", 100 * stalls,
		    is_known(memory) ? "results or pipes more than for memory"
				     : "memory, results or pipes");
		say_bottleneck(out, kernel);
	} else if (is_known(ipc)) {
		say(out, "busy: %.2f instructions a cycle, %.3g a weight", ipc, a->instructions);
		say_bottleneck(out, kernel);
	}
	return out->at > 0;
}

static int limit_code(struct sentence *out, const struct reason_numbers *kernel)
{
	const struct record_numbers *a = &kernel->per_weight;
	const double ghz = over(a->code_cycles, kernel->core_ns);

	if (!is_known(a->code_instructions))
		return 0;
	if (ghz > 0 && ghz < SLOWEST_GHZ) {
		say(out,
		    "its loop does not take the time: by llvm-mca that would need a clock of %.2g GHz",
		    ghz);
		return 1;
	}
	if (a->code_cycles > 0 && *kernel->bottleneck)
		say(out, "its loop, %.3g cycles a weight by llvm-mca: %s", a->code_cycles,
		    kernel->bottleneck);
	else
		say(out, "%.3g instructions a weight in its loop", a->code_instructions);
	if (a->spills > 0)
		say(out, ", %.0f spills in the loop", a->spills);
	return 1;
}

enum reason_tier reason_find(const struct reason_numbers *kernel,
			     const struct reason_numbers *winner, char *text, size_t n_bytes)
{
	const struct reason_numbers one = clean_all(kernel),
				    other = clean_all(winner ? winner : kernel);
	struct sentence out = {text, n_bytes, 0};

	*text = 0;
	if (say_roof(&out, &one))
		return REASON_MEASURED;
	if (winner && (one.is_equivalent || !(one.ratio > 1)))
		return REASON_NONE;
	if (winner ? compare_counted(&out, &one, &other) : limit_counted(&out, &one))
		return REASON_MEASURED;
	if (winner ? compare_code(&out, &one, &other) : limit_code(&out, &one))
		return REASON_STATIC;
	return REASON_NONE;
}

/* ---- names ---- */

const char *reason_tier_name(enum reason_tier tier)
{
	return tier == REASON_MEASURED ? "measured" : tier == REASON_STATIC ? "static" : "";
}

double *reason_event(struct record_numbers *numbers, const char *event)
{
	const struct {
		const char *name;
		double *to;
	} events[] = {
		{"instructions", &numbers->instructions},
		{"cycles", &numbers->cycles},
		{"stalls", &numbers->stalls},
		{"frontend_stalls", &numbers->frontend_stalls},
		{"memory_stalls", &numbers->memory_stalls},
		{"l1d_misses", &numbers->l1d_misses},
		{"l2_misses", &numbers->l2_misses},
		{"llc_misses", &numbers->llc_misses},
		{"dtlb_walks", &numbers->dtlb_walks},
	};

	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		if (!strcmp(events[i].name, event))
			return events[i].to;
	}
	return NULL;
}

void reason_clear(struct record_numbers *numbers)
{
	for (size_t i = 0; i < N_NUMBERS; i++)
		((double *)numbers)[i] = NAN;
}

int reason_is_known(const struct record_numbers *numbers)
{
	for (size_t i = 0; i < N_NUMBERS; i++) {
		if (is_known(((const double *)numbers)[i]))
			return 1;
	}
	return 0;
}
