/*
 * runs.h: the runs that a record is of, and what sums them up.
 *
 * A record as a run writes it says of its run in generator and protocol.  As soon as there are several they
 * are listed, each under a name that is made of all that it says, so that one that comes twice is known.
 */
#ifndef TUNER_RUNS_H
#define TUNER_RUNS_H

#include "record.h"

/* The only run of a record gets a name and a place in the list of runs; nothing where there is a list. */
void runs_list(struct record *record);

/* Of a record that was read: a listed run gets the id that is its, whatever the file says. */
void runs_rename(struct record *record);

/* Everything but the id; texts are copied, failures are none of a run's. */
void runs_copy(struct record_run *to, const struct record_run *from);

/* The id of a run by all else that it says. */
void runs_identify(struct record_run *run);

/* The run of an entry; NULL: the record has no list, or the entry is a default. */
const struct record_run *runs_find(const struct record *record, const struct record_entry *entry);

/*
 * Sorts the list, each run once, and makes anew from it what the record says of all: sums, what they agree
 * in, the shards that are missing and whether it is complete.  A list of one goes away.
 */
void runs_settle(struct record *record);

/* For orders of records: as strcmp, with NULL before all; and of numbers. */
int runs_compare_texts(const char *a, const char *b);
int runs_compare_numbers(double a, double b);

#endif
