/*
 * facts.h: what a device says about itself.
 *
 * Which instruction sets can be tuned is known only to the device, so the first probe holds one
 * portable kernel and is asked hello.
 */
#ifndef TUNER_FACTS_H
#define TUNER_FACTS_H

#include "compile.h"
#include "config.h"
#include "device.h"
#include "gen/gen.h"
#include "search.h"

struct facts {
	char cpu[160], os[160], arch[32];
	char features[512]; /* space separated */
	long cores, classes, l1d_bytes, l2_bytes, llc_bytes;
	char counters[16]; /* "papi", "perf" or "none" */
	char why[512];     /* events that are not counted, and why; may be empty */
	char events[512];  /* separated by commas; may be empty */

	/* As the probe was first asked; empty, or 0, where the device does not tell. */
	char governor[64]; /* of each class of cores, separated by commas when they differ */
	char thermal[64];  /* "cpu-1-0-usr 43.1 C", the hottest zone of a processor, or of all */
	char battery[64];  /* "Discharging, 87 %" */
	char energy[256];  /* names of sensors of energy and power, separated by commas */
	char paranoid[16]; /* perf_event_paranoid */
	double clock_ns;   /* a tick of the clock */
};

/* Builds a probe with one kernel of an ISA, or, for NULL, a portable one; path gets the program. */
int facts_build(struct gen *gen, const struct config *config, struct compile *compile,
		const char *isa, char *path, size_t n_bytes, struct gen_error *err);

/*
 * Takes the answers to hello and to doctor (PROBE_LINE + 1 bytes each; doctor may be empty, for a probe
 * that does not know it).
 */
int facts_take(struct facts *facts, const char *hello, const char *doctor, struct gen_error *err);

/* Builds it, starts it and asks both. */
int facts_learn(struct facts *facts, struct gen *gen, const struct config *config,
		struct compile *compile, const struct device *device, const char *log_path,
		struct gen_error *err);

/*
 * Those of the config's ISAs that the device has, with texts; when it names none, all, of which some are replaced
 * by others.
 */
int facts_list_isas(const struct facts *facts, struct gen *gen, const struct config *config,
		    struct search_isa **isas, size_t *n, struct gen_error *err);
void facts_free_isas(struct search_isa *isas, size_t n);

#endif
