/*
 * contest.h: all of one format: candidates, races, finals, winners.
 *
 * Where cores differ all of this is done for each class of them.
 * The first shape finds good candidates (strategy.h, or survey.h).  Every case (threads, shape, tokens) then runs its own race among the best and a
 * final of interleaved rounds, in which the default always takes part.  Lossy candidates, where the
 * config allows some, run in the same rounds but only against each other.
 */
#ifndef TUNER_CONTEST_H
#define TUNER_CONTEST_H

#include "compile.h"
#include "config.h"
#include "cores.h"
#include "gate.h"
#include "gen/gen.h"
#include "journal.h"
#include "record.h"
#include "search.h"
#include "session.h"
#include "ship.h"
#include "show.h"

/* How much to do; from --budget. */
struct contest_effort {
	long n_random;     /* random candidates of a search's first race */
	long n_candidates; /* of a search at most, however much time there is */
	int n_carry;       /* candidates that every case gets */
	int case_rounds, final_rounds, least_rounds;
	int n_llc;        /* cold weights: how often the last-level cache */
	long n_estimates; /* candidates of a search, where nothing is measured */
};

/* One reading of the ceilings. */
struct contest_roof {
	int threads;
	const struct cores_class *cores;
	struct session_roof roof;
	double at; /* seconds of the journal's clock */
};

/* Cores that every case is measured on, with so many threads each time. */
struct contest_cores {
	const struct cores_class *cores; /* NULL: any, threads are not pinned */
	struct config_numbers threads;   /* numbers only */
};

/* One that takes part in a final, with the entry that it gets where it wins. */
struct contest_finalist {
	struct record_entry entry;
	char object[64]; /* of compile.h */
};

/* The final of an entry. */
struct contest_final {
	size_t entry; /* of the record */
	struct session_case place;
	long calls;                    /* of a sample */
	struct contest_finalist *list; /* the winner, those as good as it, and the default */
	size_t n;
};

enum contest_strategy {
	CONTEST_RACE, /* races of random points, of what is near the leaders and what looks good */
	CONTEST_RANDOM,     /* races of random points */
	CONTEST_EXHAUSTIVE, /* every legal point, many samples each */
	CONTEST_DUEL,       /* the default and winners of other files, many rounds */
	CONTEST_N_STRATEGIES
};

extern const char *const contest_strategies[CONTEST_N_STRATEGIES];

struct explain;

/* What is searched at a time, on one class of cores after the other; indices into the config's lists. */
struct contest_unit {
	size_t format, act, tokens;
	int is_kept; /* an earlier record has its winners */
};

struct contest {
	struct gen *gen;
	const struct config *config;
	struct compile *compile;
	struct journal *journal;
	struct session *session;
	struct record *record;                           /* grows */
	const struct record *defaults, *seeds, *earlier; /* where known good points come from */
	struct show *show;
	const struct search_isa *isas;
	size_t n_isas;
	const char *events; /* "cycles,instructions"; empty: none are counted */
	unsigned long long seed;
	long long cold_bytes;
	struct contest_effort effort;
	enum contest_strategy strategy;
	const char *spaces; /* a folder for what the exhaustive strategy measures; NULL: none */
	double deadline;    /* in seconds of journal_elapsed */
	struct contest_cores *cores; /* fastest first */
	size_t n_cores;
	struct gate *gate;          /* NULL: none */
	long n_legal;               /* points of all formats so far */
	struct contest_roof *roofs; /* all readings so far */
	size_t n_roofs;
	double sustained_s; /* of load before races of the finals; 0: there are none */
	enum ship_objective objective;
	struct explain *explain;      /* what finals learn, for reasons */
	struct contest_final *finals; /* where sustained_s is not 0 */
	size_t n_finals;
};

/*
 * Runs one unit; entries, ceilings, failures and counts go to the record, finished cases one by
 * one. n_left: units still to do, this one included.  0, or -1 (also when the user stops).
 */
int contest_run(struct contest *contest, const struct contest_unit *unit, size_t n_left,
		struct gen_error *err);

/* How many cases a unit has, on all cores. */
size_t contest_n_cases(const struct contest *contest, const struct contest_unit *unit);

#endif
