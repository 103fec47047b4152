/*
 * ranking.h: one search of an estimate (rank.h): the cheapest kernel of a format, its activations and a number
 * of tokens.
 */
#ifndef TUNER_RANKING_H
#define TUNER_RANKING_H

#include "journal.h"
#include "mca.h"
#include "models.h"
#include "options.h"
#include "record.h"
#include "search.h"
#include "show.h"

/* What all searches of a run share. */
struct rank {
	const struct options *options;
	const char *home;
	struct gen *gen;
	struct config config;
	struct device device;
	struct compile *compile;
	struct mca mca;
	const struct model *model;
	enum gen_compiler compiler; /* of what the search has for the default one */
	int with_clang;             /* beside it */
	struct search_isa *isas;
	size_t n_isas;
	struct journal *journal;
	struct record record, defaults, earlier;
	struct show show;
	char *output, *work, *templates;
	long n_legal, max_candidates;
	long n_left_out; /* of which nothing can be said */
	char *left_out;  /* the last one, and why */
	int is_misused;
};

/*
 * Searches for formats.list[format] of the config and adds an entry of the winner to the record for each shape
 * that has the format, or a failure when nothing could be estimated.
 */
int ranking_run(struct rank *rank, size_t format, const char *act, long n_tokens,
		struct gen_error *err);

#endif
