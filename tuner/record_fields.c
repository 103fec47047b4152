/* record_fields.c: every key of a results file, its type and its place. */
#include "record_fields.h"

#define FIELD(kind, name, type, path, needs, is_optional) \
	{ \
		name, RECORD_##kind, offsetof(struct type, path), RECORD_##needs, is_optional \
	}
#define ROW(kind, name, type, path) FIELD(kind, name, type, path, ANY, 0)
#define ENTRY(kind, name, path, needs) FIELD(kind, name, record_entry, path, needs, 0)
/* Numbers that are there when they are not 0. */
#define MAYBE(kind, name, type, path, needs) FIELD(kind, name, type, path, needs, 1)

const struct record_field record_device_fields[] = {
	ROW(TEXT, "name", record, device.name),
	ROW(TEXT, "cpu", record, device.cpu),
	ROW(TEXT, "os", record, device.os),
	ROW(TEXT, "arch", record, device.arch),
	ROW(TEXT, "features", record, device.features),
	MAYBE(LONG, "cores", record, device.cores, ANY),
	MAYBE(LONG, "classes", record, device.classes, ANY),
	MAYBE(LONG, "l1d_bytes", record, device.l1d_bytes, ANY),
	MAYBE(LONG, "l2_bytes", record, device.l2_bytes, ANY),
	MAYBE(LONG, "llc_bytes", record, device.llc_bytes, ANY),
	ROW(TEXT, "governor", record, device.governor),
	ROW(TEXT, "thermal", record, device.thermal),
	ROW(TEXT, "battery", record, device.battery),
	ROW(TEXT, "energy", record, device.energy),
	ROW(TEXT, "paranoid", record, device.paranoid),
	MAYBE(DOUBLE, "clock_ns", record, device.clock_ns, ANY),
	{0},
};

const struct record_field record_compiler_fields[] = {
	ROW(TEXT, "command", record, compiler.command),
	ROW(TEXT, "version", record, compiler.version),
	ROW(TEXT, "flags", record, compiler.flags),
	ROW(TEXT, "clang", record, compiler.clang),
	ROW(TEXT, "clang_version", record, compiler.clang_version),
	{0},
};

const struct record_field record_generator_fields[] = {
	ROW(TEXT, "version", record_generator, version),
	ROW(TEXT, "templates", record_generator, templates),
	{0},
};

const struct record_field record_protocol_fields[] = {
	ROW(TEXT, "shard", record, protocol.shard),
	ROW(TEXT, "missing", record, protocol.missing),
	ROW(TEXT, "config", record, protocol.config),
	ROW(TEXT, "searched", record, protocol.searched),
	ROW(TEXT, "seeds", record, protocol.seeds),
	ROW(TEXT, "budget", record, protocol.budget),
	MAYBE(WIDE, "seed", record, protocol.seed, ANY),
	MAYBE(LONG, "rounds", record, protocol.rounds, ANY),
	MAYBE(LONG, "cold_bytes", record, protocol.cold_bytes, ANY),
	ROW(DOUBLE, "seconds", record, protocol.seconds),
	ROW(LONG, "tried", record, protocol.tried),
	MAYBE(LONG, "verified", record, protocol.verified, ANY),
	MAYBE(DOUBLE, "sustained", record, protocol.sustained, ANY),
	{0},
};

const struct record_field record_thermal_fields[] = {
	ROW(LONG, "cool_downs", record_protocol, thermal.cool_downs),
	ROW(DOUBLE, "seconds", record_protocol, thermal.seconds),
	ROW(LONG, "baselines", record_protocol, thermal.baselines),
	{0},
};

const struct record_field record_run_fields[] = {
	ROW(NAME, "id", record_run, id),
	ROW(BOOL, "complete", record_run, complete),
	ROW(TEXT, "shard", record_run, protocol.shard),
	ROW(TEXT, "config", record_run, protocol.config),
	ROW(TEXT, "searched", record_run, protocol.searched),
	ROW(TEXT, "seeds", record_run, protocol.seeds),
	ROW(TEXT, "budget", record_run, protocol.budget),
	MAYBE(WIDE, "seed", record_run, protocol.seed, ANY),
	MAYBE(LONG, "rounds", record_run, protocol.rounds, ANY),
	MAYBE(LONG, "cold_bytes", record_run, protocol.cold_bytes, ANY),
	ROW(DOUBLE, "seconds", record_run, protocol.seconds),
	ROW(LONG, "tried", record_run, protocol.tried),
	MAYBE(LONG, "verified", record_run, protocol.verified, ANY),
	MAYBE(DOUBLE, "sustained", record_run, protocol.sustained, ANY),
	{0},
};

const struct record_field record_ceiling_fields[] = {
	ROW(INT, "threads", record_ceiling, threads),
	MAYBE(CORE, "core", record_ceiling, core, ANY),
	ROW(NAME, "core_name", record_ceiling, core_name),
	ROW(DOUBLE, "dram_gbps", record_ceiling, dram_gbps),
	ROW(INT, "streams", record_ceiling, streams),
	ROW(INT, "huge_pages", record_ceiling, huge_pages),
	ROW(DOUBLE, "int8_gmacs", record_ceiling, int8_gmacs),
	{0},
};

const struct record_field record_entry_fields[] = {
	ENTRY(FORMAT, "format", format, ANY),
	ENTRY(LONG, "m", m, SHAPE),
	ENTRY(LONG, "k", k, SHAPE),
	ENTRY(LONG, "n", n, ANY),
	ENTRY(INT, "threads", threads, SHAPE),
	MAYBE(CORE, "core", record_entry, core, SHAPE),
	ENTRY(NAME, "core_name", core_name, SHAPE),
	ENTRY(NAME, "run", run, SHAPE),
	ENTRY(NAME, "kernel", kernel, ANY),
	ENTRY(NAME, "code", code, SHAPE),
	ENTRY(FORMAT, "layout", layout, SHAPE),
	ENTRY(NAME, "shipped", shipped, MEASURED),
	MAYBE(BOOL, "lossy", record_entry, is_lossy, SHAPE),
	ENTRY(DOUBLE, "median_us", median_us, MEASURED),
	ENTRY(DOUBLE, "ci_low_us", ci_low_us, MEASURED),
	ENTRY(DOUBLE, "ci_high_us", ci_high_us, MEASURED),
	ENTRY(DOUBLE, "gbps", gbps, MEASURED),
	ENTRY(DOUBLE, "roof_fraction", roof_fraction, MEASURED),
	ENTRY(DOUBLE, "nmse", nmse, MEASURED),
	ENTRY(NAME, "default_kernel", default_kernel, SHAPE),
	ENTRY(DOUBLE, "speedup", speedup.ratio, MEASURED),
	MAYBE(DOUBLE, "speedup_low", record_entry, speedup.low, MEASURED),
	MAYBE(DOUBLE, "speedup_high", record_entry, speedup.high, MEASURED),
	ENTRY(LONG, "samples", samples, MEASURED),
	ENTRY(LONG, "flagged", flagged, MEASURED),
	MAYBE(DOUBLE, "sustained_us", record_entry, sustained_us, MEASURED),
	ENTRY(NAME, "burst_kernel", burst_kernel, MEASURED),
	MAYBE(DOUBLE, "energy_uj", record_entry, energy_uj, MEASURED),
	ENTRY(FORMAT, "energy_source", energy_source, MEASURED),
	ENTRY(REASON, "reason", why.reason, MEASURED),
	ENTRY(TIER, "reason_tier", why.tier, MEASURED),
	{0},
};

const struct record_field record_finalist_fields[] = {
	ROW(NAME, "kernel", record_finalist, kernel),
	ROW(NAME, "code", record_finalist, code),
	ROW(FORMAT, "layout", record_finalist, layout),
	ROW(DOUBLE, "ratio", record_finalist, ratio),
	ROW(DOUBLE, "low", record_finalist, ratio_low),
	ROW(DOUBLE, "high", record_finalist, ratio_high),
	MAYBE(DOUBLE, "speedup", record_finalist, speedup.ratio, ANY),
	MAYBE(DOUBLE, "speedup_low", record_finalist, speedup.low, ANY),
	MAYBE(DOUBLE, "speedup_high", record_finalist, speedup.high, ANY),
	ROW(BOOL, "equivalent", record_finalist, is_equivalent),
	MAYBE(DOUBLE, "energy_uj", record_finalist, energy_uj, ANY),
	ROW(REASON, "reason", record_finalist, why.reason),
	ROW(TIER, "reason_tier", record_finalist, why.tier),
	{0},
};

const struct record_field record_flag_fields[] = {
	MAYBE(LONG, "switched", record_entry, flags.switched, ANY),
	MAYBE(LONG, "migrated", record_entry, flags.migrated, ANY),
	MAYBE(LONG, "faulted", record_entry, flags.faulted, ANY),
	MAYBE(LONG, "stolen", record_entry, flags.stolen, ANY),
	MAYBE(LONG, "hot", record_entry, flags.hot, ANY),
	{0},
};

const struct record_field record_control_fields[] = {
	ROW(DOUBLE, "ratio", record_entry, control.ratio),
	ROW(DOUBLE, "low", record_entry, control.low),
	ROW(DOUBLE, "high", record_entry, control.high),
	{0},
};

const struct record_field record_number_fields[] = {
	ROW(KNOWN, "instructions", record_numbers, instructions),
	ROW(KNOWN, "cycles", record_numbers, cycles),
	ROW(KNOWN, "stalls", record_numbers, stalls),
	ROW(KNOWN, "frontend_stalls", record_numbers, frontend_stalls),
	ROW(KNOWN, "memory_stalls", record_numbers, memory_stalls),
	ROW(KNOWN, "l1d_misses", record_numbers, l1d_misses),
	ROW(KNOWN, "l2_misses", record_numbers, l2_misses),
	ROW(KNOWN, "llc_misses", record_numbers, llc_misses),
	ROW(KNOWN, "dtlb_walks", record_numbers, dtlb_walks),
	ROW(KNOWN, "code_instructions", record_numbers, code_instructions),
	ROW(KNOWN, "code_vector", record_numbers, code_vector),
	ROW(KNOWN, "code_memory", record_numbers, code_memory),
	ROW(KNOWN, "code_cycles", record_numbers, code_cycles),
	ROW(KNOWN, "code_bytes", record_numbers, code_bytes),
	ROW(KNOWN, "spills", record_numbers, spills),
	{0},
};

const struct record_field record_estimate_fields[] = {
	ROW(DOUBLE, "cycles_per_weight", record_estimate, cycles_per_weight),
	ROW(DOUBLE, "default_cycles_per_weight", record_estimate, default_cycles_per_weight),
	ROW(DOUBLE, "instructions_per_weight", record_estimate, instructions_per_weight),
	ROW(DOUBLE, "vector_per_weight", record_estimate, vector_per_weight),
	ROW(LONG, "spills", record_estimate, spills),
	ROW(WORDS, "bottleneck", record_estimate, bottleneck),
	{0},
};

const struct record_field record_estimated_fields[] = {
	ROW(TEXT, "core", record, estimated.core),
	ROW(TEXT, "model", record, estimated.model),
	ROW(TEXT, "llvm_mca", record, estimated.llvm_mca),
	ROW(TEXT, "note", record, estimated.note),
	{0},
};

const struct record_field record_top_fields[] = {
	ROW(BOOL, "complete", record, complete),
	ROW(TEXT, "counters", record, counters),
	{0},
};
