/*
 * search.h: which points of one format are candidates.
 *
 * Candidates come in batches, which the journal has, too.  Points whose text is that of another one
 * are dropped, unless another compiler makes something else of it.  Random points are all of the
 * default compiler: what is good with clang is seldom far from what is good without, so neighbours
 * try it.  Which points come, a strategy says (strategy.h), for times as for estimates.
 */
#ifndef TUNER_SEARCH_H
#define TUNER_SEARCH_H

#include <stdint.h>

#include "config.h"
#include "gen/gen.h"
#include "journal.h"
#include "points.h"

/* An instruction set that the device has. */
struct search_isa {
	struct gen_isa info;
	char *text;     /* its C file */
	int n_features; /* what it needs; more is wider */
	int is_replaced; /* another one has all that it has: only defaults and earlier winners are of it */
};

struct search_candidate {
	struct gen_point point;
	struct gen_space *space;
	long index; /* in its space */
	const struct search_isa *isa;
	char *text; /* emitted C; the owner may free it and set NULL */
	size_t n_text;
	uint64_t fingerprint;
	char object[64]; /* of compile.h */
	int is_pruned;   /* some race dropped it for being slow */
	int failed;      /* does not compile, verify or run, or errs more than the config allows */
	double nmse;
};

struct search;

/*
 * Opens the spaces of all families of the config for a format, its activations and tokens.
 * with_clang: neighbours may be compiled with clang.  cores: whose search it is, for the journal;
 * NULL: anyone's.
 */
struct search *search_open(struct gen *gen, const struct config *config, const char *format,
			   const char *act, long n_tokens, const struct search_isa *isas,
			   size_t n_isas, int with_clang, const char *cores,
			   struct journal *journal, uint64_t seed, struct gen_error *err);
void search_close(struct search *search);

/*
 * Before any batch: of this parameter every space has one value only, that of the first point that
 * comes from it.
 */
void search_fix(struct search *search, const char *parameter);

long search_n_legal(const struct search *search);

size_t search_n(const struct search *search);
struct search_candidate *search_candidate(struct search *search, size_t i);

/*
 * All points of all spaces as one table, made when first asked for; NULL: the generator fails.
 * Random points are to be drawn from what no other ISA replaces; the portable ISA counts where there
 * is nothing else.
 */
const struct points *search_points(struct search *search, struct gen_error *err);

/* The number in that table of a key's point; -1: of no space here, or not legal now. */
long search_find(struct search *search, const char *key);

/*
 * Adds points of that table, all of one batch for the journal; candidates[i] becomes the candidate's
 * index, or -1 where there is a candidate with the same text.
 */
int search_add(struct search *search, int batch, const long *points, size_t n, long *candidates,
	       struct gen_error *err);

#endif
