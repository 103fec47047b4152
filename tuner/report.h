/*
 * report.h: the command `quern report`: results files as a page with charts, or as text.
 *
 * Nothing is measured or judged anew here.  What was estimated is never shown as a measurement, and what
 * is not known is left out or said to be so.
 */
#ifndef TUNER_REPORT_H
#define TUNER_REPORT_H

#include "history.h"
#include "record.h"

/* A results file, and the journal beside it. */
struct report_source {
	const char *path;
	struct record record;
	int has_history;
	struct history history;
};

/*
 * argv[0] is "report"; home holds gen/, templates/ and tuner/report/.  Prints what goes wrong.  Returns
 * the exit status: 0 done, 1 failed, 2 called in a wrong way.
 */
int report_main(int argc, char **argv, const char *home);

#endif
