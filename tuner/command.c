/* command.c: words, logs, and waiting for the end. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "fail.h"
#include "process.h"

#define MOST_LOG (1 << 20) /* bytes of the log of a command that failed */

void command_add(struct command *command, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = fail_vtext(format, args);
	va_end(args);
	command->words =
		fail_check(realloc(command->words, (command->n + 2) * sizeof(*command->words)));
	command->words[command->n++] = text;
	command->words[command->n] = NULL;
}

void command_add_list(struct command *command, char *const *words)
{
	for (; *words; words++)
		command_add(command, "%s", *words);
}

void command_add_split(struct command *command, const char *text)
{
	while (*(text += strspn(text, " "))) {
		size_t n = strcspn(text, " ");

		command_add(command, "%.*s", (int)n, text);
		text += n;
	}
}

static const struct command_mark *find_mark(const char *text, const struct command_mark *marks)
{
	while (marks->mark && strncmp(text, marks->mark, strlen(marks->mark)))
		marks++;
	return marks->mark ? marks : NULL;
}

void command_add_filled(struct command *command, char *const *words,
			const struct command_mark *marks)
{
	for (; *words; words++) {
		char *text;
		size_t n_bytes;
		FILE *out = fail_check(open_memstream(&text, &n_bytes));

		for (const char *p = *words; *p;) {
			const struct command_mark *mark = find_mark(p, marks);

			if (mark)
				fputs(mark->value, out);
			else
				putc(*p, out);
			p += mark ? strlen(mark->mark) : 1;
		}
		fclose(out);
		command_add(command, "%s", text);
		free(text);
	}
}

void command_free(struct command *command)
{
	for (size_t i = 0; i < command->n; i++)
		free(command->words[i]);
	free(command->words);
	memset(command, 0, sizeof(*command));
}

char *command_join(char *const *words)
{
	char *text = fail_text("%s", "");

	for (; *words; words++) {
		char *longer = fail_text("%s%s%s", text, *text ? " " : "", *words);

		free(text);
		text = longer;
	}
	return text;
}

char *command_read_text(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = NULL;
	size_t n = 0;

	if (!file)
		return NULL;
	if (getdelim(&text, &n, 0, file) < 0) {
		free(text);
		text = ferror(file) ? NULL : fail_text("%s", "");
	}
	fclose(file);
	return text;
}

pid_t command_start(const struct command *command, const char *log_path, const char *temporary,
		    struct gen_error *err)
{
	int log = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	pid_t pid;

	if (log < 0)
		return fail_set(err, "cannot write %s: %s", log_path, strerror(errno));
	pid = process_start((const char *const *)command->words, -1, log, log, temporary, err);
	close(log);
	return pid;
}

/* Of what a command said for ever the beginning is enough. */
static void cut_log(const char *path)
{
	struct stat status;

	if (stat(path, &status) == 0 && status.st_size > MOST_LOG && truncate(path, MOST_LOG) < 0)
		unlink(path);
}

char *command_explain(const char *what, const char *log_path)
{
	char *text, *line, *why, *rest;
	const char *best = "";

	cut_log(log_path);
	text = rest = command_read_text(log_path);
	while (rest && (line = strsep(&rest, "\n"))) {
		const char *error = strstr(line, "error:");

		if (!error) /* a linker's last word is an error, but not which */
			error = strstr(line, "undefined reference");
		if (error || !*best)
			best = error ? error : line;
		if (error)
			break;
	}
	why = fail_text("%s%s%.200s (see %s)", what, *best ? ": " : "", best, log_path);
	free(text);
	return why;
}

int command_run(const struct command *command, const char *log_path, const char *temporary,
		double seconds, const char *what, struct gen_error *err)
{
	double end = process_now() + seconds;
	pid_t pid = command_start(command, log_path, temporary, err);
	int status = 0, late = 0;
	char how[80], *why;

	if (pid < 0)
		return -1;
	while (!process_wait(pid, 0.2, &status)) {
		late = process_now() > end;
		if (!late && !process_stopping())
			continue;
		process_kill(pid);
		if (!late)
			return fail_set(err, "stopped by the user");
		break;
	}
	if (!late && WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	why = command_explain(late ? "time-out" : process_describe(status, how, sizeof(how)),
			      log_path);
	fail_set(err, "%s: %s", what, why);
	free(why);
	return -1;
}
