/*
 * journal.h: everything that was learnt, as it was learnt.
 *
 * The search asks questions ("time w4g32 4096x4096 n1 t1 final 3 NAME") and gets answers ("ok
 * ns=1234567 calls=4 flags=0").  The journal keeps both, one JSON object a line, in a file that
 * only grows.  A search that is started again asks the same questions in the same order (its
 * random numbers come from the seed, and what it decided by the clock is an answer too), so it
 * takes from the journal what is there and goes on where it stopped.
 */
#ifndef TUNER_JOURNAL_H
#define TUNER_JOURNAL_H

#include "gen/gen.h"

struct journal;

/* What must be equal for answers to be worth keeping. */
struct journal_fact {
	const char *name;
	const char *value;
};

/*
 * Opens the journal at path, made when absent, locked against a second tuner.  One with other
 * facts, and any when fresh is set, is renamed and *note (256 bytes) gets a sentence about it, as
 * it does when a journal is taken up; else note is empty.  A torn last line is cut off; any other
 * damage is an error "path:line: ...".
 */
struct journal *journal_open(const char *path, const struct journal_fact *facts, size_t n,
			     int fresh, char *note, struct gen_error *err);
void journal_close(struct journal *journal);

/* The journal beside a results file: X.journal of X.yaml; the caller frees it. */
char *journal_path(const char *results);

/* The answer to a question, or NULL. */
const char *journal_find(const struct journal *journal, const char *question);

/* Appends; on the disk within about a second.  -1 when it cannot be written. */
int journal_add(struct journal *journal, const char *question, const char *answer,
		struct gen_error *err);

size_t journal_n_taken(const struct journal *journal); /* answers found at opening */

/* Seconds spent on this search, earlier runs included. */
double journal_elapsed(const struct journal *journal);

#endif
