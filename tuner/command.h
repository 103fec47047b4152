/*
 * command.h: command lines, and running them with their output in a log.
 */
#ifndef TUNER_COMMAND_H
#define TUNER_COMMAND_H

#include <sys/types.h>

#include "gen/gen.h"

struct command {
	char **words; /* NULL-terminated once a word was added */
	size_t n;
};

void command_add(struct command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void command_add_list(struct command *command, char *const *words); /* up to a NULL */
void command_add_split(struct command *command, const char *text);  /* cut at spaces */
void command_free(struct command *command);

/* Adds words with every mark in them replaced; marks end with a mark of NULL. */
struct command_mark {
	const char *mark, *value;
};
void command_add_filled(struct command *command, char *const *words,
			const struct command_mark *marks);

/* The words of a NULL-terminated list with spaces between; the caller frees it. */
char *command_join(char *const *words);

/* Starts it; what it prints goes to the file at log_path.  temporary: its TMPDIR.  -1: failed. */
pid_t command_start(const struct command *command, const char *log_path, const char *temporary,
		    struct gen_error *err);

/*
 * Runs it to the end, for at most so many seconds.  0, or -1 with "WHAT: why: the log's first error
 * (see LOG)", also when the user stops.
 */
int command_run(const struct command *command, const char *log_path, const char *temporary,
		double seconds, const char *what, struct gen_error *err);

/* "WHAT: the log's first error (see LOG)"; the caller frees it. */
char *command_explain(const char *what, const char *log_path);

/* The text of a file, or NULL; the caller frees it. */
char *command_read_text(const char *path);

#endif
