/*
 * record.h: results files.
 *
 * A results file is data: where and how was measured, the ceilings, and one entry per case
 * (format, op, M, K, N, threads) with the winner and what is known about it.  An entry with
 * `default: true` has no shape; it is what an untuned build ships.  Only the tuner writes results
 * files and replaces them in one step.
 *
 * Where cores differ an entry and a ceiling name the kind of core (`core: 0x41d4e`, and core_name
 * for people).  An entry of a run with --sustained has sustained_us, the median after minutes of
 * load; where another kernel than before is the fastest then, it is the entry's, and burst_kernel
 * says which one it was.  energy_uj, of one call, is there where the device tells (energy_source).
 * What the thermal gate did is in the protocol: `thermal: {cool_downs: 3, seconds: 41,
 * baselines: 1}`.
 *
 * `finalists` are the others of the final, each with its time over the winner's, so that what is
 * chosen for several cases at once (ship.h: one layout for all numbers of tokens, few kernels) needs no
 * new measurement.  `shipped` names the one that was chosen where it is not the winner.
 *
 * `flags` says what disturbed the samples that are `flagged`.  `control` is what the final made of the default
 * against itself: where its interval leaves out 1 more often than in one case of twenty, intervals of that
 * run are too narrow.
 *
 * Winners and finalists have a `reason`, one sentence on what makes them as fast as they are, of the
 * winner or over the winner, with `reason_tier`: measured (times and events) or static (what the
 * compiler's assembly says); and the numbers behind it, those that are known: `per_weight:
 * {instructions: 0.07, cycles: 0.031, code_instructions: 0.069, code_bytes: 812, spills: 0}`.
 *
 * `code` of an entry is a hash of the C that its kernel was, and `families` of the generator has one of the
 * sources of each family that was searched, so that it can be told what a change of templates has made stale.
 *
 * A file may hold what several runs have found: shards of one tuning (`shard: 2/3`) that were merged, or
 * entries that a later run has kept.  Then the protocol lists the `runs`, each with its own protocol, and
 * every entry names its run; the rest of the protocol sums them up, and leaves out what they do
 * not agree in.  `missing` names the shards that a merged file lacks.
 *
 * Where nothing was measured but estimated (quern tune --estimate) the file and each such entry say
 * so, the entry in the place of all that a measured one has:
 *
 *   estimated: {core: cortex-a76, model: neoverse-n1, llvm_mca: 19.1.7, note: ...}
 *   entries:
 *   - op, format, m, k, n, threads, kernel, default_kernel, point, equivalent as ever
 *     estimated: {cycles_per_weight: 0.083, default_cycles_per_weight: 0.091,
 *                 instructions_per_weight: 0.22, vector_per_weight: 0.17, spills: 0,
 *                 bottleneck: ...}
 *
 * A weight is one weight times one token; what a kernel does once for all tokens (decoding) is in
 * the cycles, shared among n of them, and not in the instructions.
 */
#ifndef TUNER_RECORD_H
#define TUNER_RECORD_H

#include "gen/gen.h"

struct record_value {
	char *name;
	double value;
};

struct record_estimate {
	double cycles_per_weight, default_cycles_per_weight;
	double instructions_per_weight, vector_per_weight;
	long spills; /* loads and stores of vectors on the stack, in one pass of the loop */
	char bottleneck[128];
};

/*
 * Events as counted, and what the assembly of the loop says (code_..., spills), each a weight but
 * for the last two.  NAN: not known.
 */
struct record_numbers {
	double instructions, cycles;
	double stalls, frontend_stalls, memory_stalls; /* cycles */
	double l1d_misses, l2_misses, llc_misses, dtlb_walks;
	double code_instructions, code_vector, code_memory; /* memory: loads, stores, prefetches */
	double code_cycles;                                 /* by llvm-mca */
	double code_bytes;                                  /* of its functions, in the object */
	double spills; /* vectors to or from the stack, in one pass of the loop */
};

/* Samples that were disturbed and kept, by what disturbed them; one may be several. */
struct record_flags {
	long switched, migrated, faulted, stolen, hot;
};

struct record_why {
	char reason[192]; /* empty: none is known */
	char tier[16];    /* "measured" or "static" */
	int has_numbers;
	struct record_numbers numbers;
};

/* Of two times, paired by round: the median and its 95 % interval; 0: not told. */
struct record_ratio {
	double ratio, low, high;
};

/* One that took part in the final of an entry and did not win it. */
struct record_finalist {
	char kernel[64];
	char key[512];
	char code[64], layout[32];           /* as of an entry */
	double ratio, ratio_low, ratio_high; /* its time over the winner's, paired; 95 % interval */
	struct record_ratio speedup;         /* over the default; 0: not told */
	int is_equivalent;                   /* shown to be as good: within 1.5 % of the best */
	double energy_uj;                    /* as of an entry */
	struct record_why why;               /* it is slower than the winner */
};

struct record_entry {
	char format[32];
	int is_default;   /* no shape and no measurements */
	int is_estimated; /* a shape and an estimate, no measurements */
	struct record_estimate estimate;
	long m, k, n;
	int threads;
	char kernel[64];  /* name; may be empty in a default */
	char key[512];    /* its point as a key of gen.h */
	char code[64];    /* of compile_fingerprint, in hexadecimal; empty: not told */
	char layout[32];  /* of gen.h; empty: not told */
	char shipped[64]; /* the finalist that a library has in its place (ship.h); empty: none */
	int is_lossy;     /* it rounds more than activations to int8 */
	char run[64];     /* id of its run, where the record has several */
	int line;         /* of the file that it was read from */
	double median_us, ci_low_us, ci_high_us, gbps, roof_fraction, nmse;
	long core;             /* kind of core that it was measured on, of runtime/cpu.h; 0: any */
	char core_name[64];    /* empty: cores are not told apart */
	double sustained_us;   /* median under load, of a device that is warm; 0: not measured */
	char burst_kernel[64]; /* what is faster before it is warm, where that is another one */
	double energy_uj;      /* of one call under load; 0: not told */
	char energy_source[32];
	char default_kernel[64];
	struct record_ratio speedup; /* over the default; that of files of before has no interval */
	long samples, flagged;
	struct record_flags flags;
	struct record_ratio control; /* of its twin, the same kernel again, over the default */
	char **equivalent;           /* names, without the winner's */
	size_t n_equivalent;
	struct record_finalist *finalists; /* without the winner */
	size_t n_finalists;
	struct record_why why;         /* it is not at the roof, or is */
	struct record_value *counters; /* of one call */
	size_t n_counters;
};

struct record_ceiling {
	int threads;
	long core; /* as in an entry */
	char core_name[64];
	double dram_gbps;
	int streams, huge_pages;
	double int8_gmacs;
};

struct record_failure {
	char *point, *reason;
};

/* Strings belong to the record. */
struct record {
	int complete;
	struct {
		char *name, *cpu, *os, *arch, *features;
		long cores, classes, l1d_bytes, l2_bytes, llc_bytes;
		char *governor, *thermal, *battery, *energy, *paranoid; /* NULL: not told */
		double clock_ns;                                        /* 0: not told */
	} device;
	struct {
		char *command, *version, *flags;
		char *clang, *clang_version; /* the second compiler; NULL: there was none */
	} compiler;
	struct record_generator {
		char *version, *templates;
		char *families; /* "dot=HASH lut=HASH", sorted */
	} generator;
	struct record_protocol {
		char *shard;    /* "2/3"; NULL: all of the config */
		char *missing;  /* shards that a merged record lacks */
		char *config;   /* a hash of it */
		char *searched; /* families, ISAs and errors that were allowed */
		char *seeds;    /* a hash of the file of --seed-from */
		char *budget;
		long long seed;
		long rounds, cold_bytes, tried, verified;
		double seconds;
		double sustained; /* seconds of load before races of the finals; 0: none */
		struct {
			int is_gated; /* the rest counts */
			long cool_downs, baselines;
			double seconds;
		} thermal;
		struct record_failure *failed;
		size_t n_failed;
	} protocol;
	struct {
		char *core, *model, *llvm_mca, *note;
	} estimated;    /* NULL: this was measured */
	char *counters; /* "papi: cycles, ..." or "none: why" */
	struct record_ceiling *ceilings;
	size_t n_ceilings;
	struct record_entry *entries;
	size_t n_entries;
	struct record_run *runs; /* none: the record is of one run, its own */
	size_t n_runs;
};

/* A run of several; failures are the record's. */
struct record_run {
	char id[64]; /* a hash of the rest */
	int complete;
	struct record_generator generator;
	struct record_protocol protocol;
};

/* Reads and checks a results file; *err says "path:line: ...".  0, or -1 (then nothing is kept). */
int record_read(struct record *record, const char *path, struct gen_error *err);

/* Writes to a temporary name in the same folder (made when absent), syncs, renames. */
int record_write(const struct record *record, const char *path, struct gen_error *err);

void record_free(struct record *record);
void record_clear_entry(struct record_entry *entry); /* frees what it holds */
void record_clear_run(struct record_run *run);

/* Add items; texts are copied. */
struct record_entry *record_add_entry(struct record *record);
struct record_run *record_add_run(struct record *record);
struct record_ceiling *record_add_ceiling(struct record *record);
void record_add_failure(struct record *record, const char *point, const char *reason);
void record_add_equivalent(struct record_entry *entry, const char *name);
struct record_finalist *record_add_finalist(struct record_entry *entry);
void record_add_counter(struct record_entry *entry, const char *name, double value);

/* As it stands in the file; the caller frees it.  A run's is without its id. */
char *record_entry_text(const struct record_entry *entry);
char *record_run_text(const struct record_run *run);

/* Activations of an entry's point, "a8g32"; "" where the point has none. */
const char *record_entry_act(const struct record_entry *entry, char act[16]);

#endif
