/*
 * run_line.c: a line of text from a person.
 *
 * On a terminal the line is drawn anew after each key: from the prompt on, as much of it as there is
 * room for around the cursor.  Positions are bytes; keys move by whole UTF-8 characters.
 */
#include "run_line.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

enum { MAX_LINE = 1 << 16, MAX_HISTORY = 500 };

struct run_line {
	char text[MAX_LINE]; /* with a '\0' */
	size_t n, cursor;
	char *history[MAX_HISTORY]; /* oldest first */
	int n_history;
	const char *path;
};

/* ---- history ---- */

static void add_history(struct run_line *l, const char *text)
{
	char *copy;

	if (!*text || (l->n_history && !strcmp(l->history[l->n_history - 1], text)))
		return;
	copy = strdup(text);
	if (!copy)
		return;
	if (l->n_history == MAX_HISTORY) {
		free(l->history[0]);
		memmove(l->history, l->history + 1, (MAX_HISTORY - 1) * sizeof *l->history);
		l->n_history--;
	}
	l->history[l->n_history++] = copy;
}

static void read_history(struct run_line *l)
{
	FILE *file = l->path ? fopen(l->path, "r") : NULL;

	while (file && fgets(l->text, sizeof l->text, file)) {
		l->text[strcspn(l->text, "\n")] = '\0';
		add_history(l, l->text);
	}
	if (file)
		fclose(file);
}

/* Whole, under another name first; who cannot keep a history goes on without. */
static void write_history(const struct run_line *l)
{
	char temporary[4096];
	mode_t mask;
	FILE *file;
	int failed = 0;

	if (!l->path ||
	    snprintf(temporary, sizeof temporary, "%s.new", l->path) >= (int)sizeof temporary)
		return;
	mask = umask(077);
	file = fopen(temporary, "w");
	umask(mask);
	if (!file)
		return;
	for (int i = 0; i < l->n_history; i++)
		failed |= fprintf(file, "%s\n", l->history[i]) < 0;
	if (fclose(file) || failed || rename(temporary, l->path))
		unlink(temporary);
}

struct run_line *run_line_open(const char *history)
{
	struct run_line *l = calloc(1, sizeof *l);

	if (!l)
		return NULL;
	setlocale(LC_CTYPE, "");
	l->path = history;
	if (isatty(STDIN_FILENO))
		read_history(l);
	return l;
}

void run_line_close(struct run_line *l)
{
	if (!l)
		return;
	if (isatty(STDIN_FILENO))
		write_history(l);
	for (int i = 0; i < l->n_history; i++)
		free(l->history[i]);
	free(l);
}

/* ---- editing ---- */

static int is_middle(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

static size_t step_left(const struct run_line *l, size_t at)
{
	if (at)
		at--;
	while (at && is_middle(l->text[at]))
		at--;
	return at;
}

static size_t step_right(const struct run_line *l, size_t at)
{
	if (at < l->n)
		at++;
	while (at < l->n && is_middle(l->text[at]))
		at++;
	return at;
}

static size_t word_left(const struct run_line *l, size_t at)
{
	while (at && l->text[at - 1] == ' ')
		at--;
	while (at && l->text[at - 1] != ' ')
		at--;
	return at;
}

static void erase(struct run_line *l, size_t from, size_t to)
{
	memmove(l->text + from, l->text + to, l->n - to + 1);
	l->n -= to - from;
	l->cursor = from;
}

static void insert(struct run_line *l, char c)
{
	if (l->n + 1 >= sizeof l->text)
		return;
	memmove(l->text + l->cursor + 1, l->text + l->cursor, l->n - l->cursor + 1);
	l->text[l->cursor++] = c;
	l->n++;
}

static void replace(struct run_line *l, const char *text)
{
	l->n = strlen(text);
	if (l->n >= sizeof l->text)
		l->n = sizeof l->text - 1;
	memcpy(l->text, text, l->n);
	l->text[l->n] = '\0';
	l->cursor = l->n;
}

/* ---- drawing ---- */

/* Columns of bytes from .. to - 1. */
static int width(const struct run_line *l, size_t from, size_t to)
{
	int columns = 0;

	while (from < to) {
		wchar_t c;
		const int n = mbtowc(&c, l->text + from, to - from);
		const int w = n > 0 ? wcwidth(c) : 1;

		columns += w > 0 ? w : 0;
		from += n > 0 ? (size_t)n : 1;
	}
	return columns;
}

static void draw(const struct run_line *l, const char *prompt)
{
	struct winsize size = {.ws_col = 80};
	size_t from = 0, to = l->n;
	int room;

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	room = (size.ws_col > 20 ? size.ws_col : 80) - (int)strlen(prompt) - 1;
	while (width(l, from, l->cursor) >= room)
		from = step_right(l, from);
	while (width(l, from, to) > room)
		to = step_left(l, to);
	printf("\r%s%.*s\033[K\r\033[%dC", prompt, (int)(to - from), l->text + from,
	       (int)strlen(prompt) + width(l, from, l->cursor));
	fflush(stdout);
}

/* ---- keys ---- */

enum {
	CTRL_A = 1,
	CTRL_B,
	CTRL_C,
	CTRL_D,
	CTRL_E,
	CTRL_F,
	CTRL_K = 11,
	CTRL_L,
	CTRL_N = 14,
	CTRL_P = 16,
	CTRL_U = 21,
	CTRL_W = 23,
	ESCAPE = 27,
	BACKSPACE = 127
};

/* The next byte, or -1. */
static int read_byte(void)
{
	unsigned char c;
	ssize_t n;

	do
		n = read(STDIN_FILENO, &c, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? c : -1;
}

/* The key of one letter that means the same as a sequence of a terminal; 0: none does. */
static int read_escape(void)
{
	int c = read_byte(), number = 0;

	if (c != '[' && c != 'O')
		return 0;
	for (c = read_byte(); (c >= '0' && c <= '9') || c == ';'; c = read_byte())
		number = c == ';' ? number : c - '0';
	switch (c) {
	case 'A': return CTRL_P;
	case 'B': return CTRL_N;
	case 'C': return CTRL_F;
	case 'D': return CTRL_B;
	case 'H': return CTRL_A;
	case 'F': return CTRL_E;
	case '~': return number == 3 ? CTRL_D : number == 1 || number == 7 ? CTRL_A : CTRL_E;
	default: return 0;
	}
}

static void show_history(struct run_line *l, int *at, int step, char **own)
{
	if (*at + step < 0 || *at + step > l->n_history)
		return;
	if (*at == l->n_history) {
		free(*own);
		*own = strdup(l->text);
	}
	*at += step;
	replace(l, *at < l->n_history ? l->history[*at] : *own ? *own : "");
}

static void edit(struct run_line *l, int key)
{
	switch (key) {
	case CTRL_A: l->cursor = 0; break;
	case CTRL_B: l->cursor = step_left(l, l->cursor); break;
	case CTRL_D: erase(l, l->cursor, step_right(l, l->cursor)); break;
	case CTRL_E: l->cursor = l->n; break;
	case CTRL_F: l->cursor = step_right(l, l->cursor); break;
	case CTRL_K: erase(l, l->cursor, l->n); break;
	case CTRL_U: erase(l, 0, l->cursor); break;
	case CTRL_W: erase(l, word_left(l, l->cursor), l->cursor); break;
	case 8:
	case BACKSPACE: erase(l, step_left(l, l->cursor), l->cursor); break;
	default:
		if (key >= ' ')
			insert(l, (char)key);
	}
}

static enum run_line_result read_keys(struct run_line *l, const char *prompt)
{
	int at = l->n_history, key, draws = 1;
	char *own = NULL;
	enum run_line_result result = RUN_LINE_OK;

	for (;;) {
		if (draws)
			draw(l, prompt);
		key = read_byte();
		if (key == ESCAPE)
			key = read_escape();
		if (key < 0 || (key == CTRL_D && !l->n))
			result = RUN_LINE_END;
		else if (key == CTRL_C)
			result = RUN_LINE_INTERRUPTED;
		if (result != RUN_LINE_OK || key == '\r' || key == '\n')
			break;
		if (key == CTRL_P || key == CTRL_N)
			show_history(l, &at, key == CTRL_P ? -1 : 1, &own);
		else if (key == CTRL_L)
			fputs("\033[H\033[2J", stdout);
		else
			edit(l, key);
		/* In the middle of a character there is nothing to draw. */
		draws = key < 0x80 || mblen(l->text + step_left(l, l->cursor),
					    l->cursor - step_left(l, l->cursor)) > 0;
	}
	free(own);
	fputs("\r\n", stdout);
	fflush(stdout);
	return result;
}

static enum run_line_result read_terminal(struct run_line *l, const char *prompt)
{
	struct termios before, raw;
	enum run_line_result result;

	if (tcgetattr(STDIN_FILENO, &before))
		return RUN_LINE_END;
	raw = before;
	raw.c_iflag &= ~(tcflag_t)(ICRNL | IXON);
	raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN | ISIG);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	result = read_keys(l, prompt);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	return result;
}

static enum run_line_result read_plain(struct run_line *l)
{
	if (!fgets(l->text, sizeof l->text, stdin))
		return RUN_LINE_END;
	l->n = strcspn(l->text, "\n");
	l->text[l->n] = '\0';
	return RUN_LINE_OK;
}

enum run_line_result run_line_read(struct run_line *l, const char *prompt, const char **text)
{
	const int is_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	char *all = NULL;
	enum run_line_result result;

	for (;;) {
		char *longer;

		replace(l, "");
		result = is_terminal ? read_terminal(l, all ? "... " : prompt) : read_plain(l);
		if (result != RUN_LINE_OK)
			break;
		if (is_terminal)
			add_history(l, l->text);
		const int goes_on = l->n && l->text[l->n - 1] == '\\';

		if (goes_on)
			l->text[--l->n] = '\0';
		longer = realloc(all, (all ? strlen(all) : 0) + l->n + 2);
		if (!longer)
			break;
		if (!all)
			*longer = '\0';
		all = strcat(longer, l->text);
		if (!goes_on)
			break;
		strcat(all, "\n");
	}
	if (all)
		replace(l, all);
	free(all);
	*text = l->text;
	return result;
}
