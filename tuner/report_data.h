/*
 * report_data.h: results and journals as the one JSON document that the page draws.
 *
 *   {"quern": VERSION,
 *    "devices": [{"file", "name", "cpu", ..., "ceilings": [...], "entries": [...], "searches": [...]}],
 *    "kernels": {NAME: {"key", "c"}}}
 *
 * A number that is not known is not there.  Times are in microseconds, those of searches in nanoseconds.
 * The C text of a kernel is there once, whoever it won for; "why" stands in its place where the
 * templates of today do not allow its point.
 */
#ifndef TUNER_REPORT_DATA_H
#define TUNER_REPORT_DATA_H

#include "report.h"

/* As text in which no '<' occurs, so that it may stand inside an element; the caller frees it. */
char *report_data_text(const struct report_source *sources, size_t n, struct gen *gen);

#endif
