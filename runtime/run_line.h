/*
 * run_line.h: a line of text from a person: editing and history on a terminal, plain reading elsewhere.
 */
#ifndef QN_RUN_LINE_H
#define QN_RUN_LINE_H

#include <stddef.h>

struct run_line;

/* history: a file that lines are kept in from one run to the next, or NULL.  NULL without memory. */
struct run_line *run_line_open(const char *history);
void run_line_close(struct run_line *line);

enum run_line_result {
	RUN_LINE_OK,
	RUN_LINE_END,        /* end of input, or Ctrl-D on an empty line */
	RUN_LINE_INTERRUPTED /* Ctrl-C: the line is given up */
};

/*
 * Shows the prompt (on a terminal only) and reads a line, without its newline, valid until the next one.
 * A line that ends in a backslash goes on in the next one.
 */
enum run_line_result run_line_read(struct run_line *line, const char *prompt, const char **text);

#endif
