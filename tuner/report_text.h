/* report_text.h: results as tables and bars for terminals. */
#ifndef TUNER_REPORT_TEXT_H
#define TUNER_REPORT_TEXT_H

#include <stdio.h>

#include "report.h"

/* n_columns: that lines may have; 80 at least. */
void report_text_print(FILE *out, const struct report_source *sources, size_t n, int n_columns);

#endif
