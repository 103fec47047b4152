/*
 * export.h: quern export, results as JSON for other tools.
 *
 * The format is T4 of the autotuning community, results schema 1.0.0 (the branch T4 of
 * github.com/odgaard/TuningSchema; "FAIR Sharing of Data in Autotuning Research", doi
 * 10.1145/3629527.3651429).  An item is a kernel in a case: its parameters by name with format, shape,
 * tokens and threads as its configuration; raw samples from the journal beside the results file; what is not
 * known is left out.  Where there is no journal, winners and finalists have their medians.
 */
#ifndef TUNER_EXPORT_H
#define TUNER_EXPORT_H

/* Returns the exit status. */
int export_main(int argc, char **argv, const char *home);

#endif
