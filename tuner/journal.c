/*
 * journal.c: JSON lines, read back strictly.
 *
 * A line is written by one write(2), so a killed tuner leaves at most one torn line, the last.
 * Lines are flat objects of strings and numbers: the first holds the facts, the others "at"
 * (seconds since the search began), "question" and "answer".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fail.h"
#include "hash.h"
#include "journal.h"
#include "process.h"

struct entry {
	char *question, *answer;
};

struct journal {
	int fd;
	char *path;
	struct entry *table; /* open addressing, n_slots a power of two */
	size_t n_slots, n_used, n_taken;
	double opened, before; /* clock at opening; seconds spent earlier */
	double synced;
};

/* ---- answers by question ---- */

static struct entry *find_slot(const struct journal *journal, const char *question)
{
	size_t i = (size_t)hash_text(HASH_START, question);

	for (;; i++) {
		struct entry *entry = &journal->table[i & (journal->n_slots - 1)];

		if (!entry->question || !strcmp(entry->question, question))
			return entry;
	}
}

static void keep(struct journal *journal, const char *question, const char *answer)
{
	struct entry *entry;

	if (2 * journal->n_used >= journal->n_slots) {
		struct entry *old = journal->table;
		size_t n_old = journal->n_slots;

		journal->n_slots = n_old ? 2 * n_old : 1024;
		journal->table = fail_alloc(journal->n_slots, sizeof(*journal->table));
		for (size_t i = 0; i < n_old; i++) {
			if (old[i].question)
				*find_slot(journal, old[i].question) = old[i];
		}
		free(old);
	}
	entry = find_slot(journal, question);
	if (entry->question)
		return; /* the first answer stands */
	entry->question = fail_text("%s", question);
	entry->answer = fail_text("%s", answer);
	journal->n_used++;
}

/* ---- JSON ---- */

#define MAX_PAIRS 16

struct pair {
	char *name, *value;
};

/* Decodes the string at *p (behind its opening quote) in place; NULL when it is malformed. */
static char *read_string(char **p)
{
	char *start = *p, *to = *p, *from = *p;
	unsigned code;

	for (; *from != '"'; from++) {
		if ((unsigned char)*from < 0x20)
			return NULL;
		if (*from != '\\') {
			*to++ = *from;
			continue;
		}
		switch (*++from) {
		case '"':
		case '\\':
		case '/': *to++ = *from; break;
		case 'u':
			for (int i = 1; i <= 4; i++) {
				if (!from[i] || !strchr("0123456789abcdefABCDEF", from[i]))
					return NULL;
			}
			if (sscanf(from + 1, "%4x", &code) != 1 || !code || code > 0x7f)
				return NULL;
			*to++ = (char)code;
			from += 4;
			break;
		default: return NULL;
		}
	}
	*p = from + 1;
	*to = 0;
	return start;
}

/* A flat object, decoded in place; how many pairs, or -1. */
static int read_object(char *line, struct pair *pairs)
{
	char *p = line;
	int n = 0;

	if (*p++ != '{')
		return -1;
	while (n < MAX_PAIRS) {
		char *number, *end, after;

		if (*p++ != '"' || !(pairs[n].name = read_string(&p)) || *p++ != ':')
			return -1;
		if (*p == '"') {
			p++;
			if (!(pairs[n].value = read_string(&p)))
				return -1;
			after = *p;
		} else {
			number = p;
			strtod(number, &end);
			if (end == number || end != number + strspn(number, "0123456789+-.eE"))
				return -1;
			after = *end;
			*end = 0;
			pairs[n].value = number;
			p = end;
		}
		p++;
		n++;
		if (after == '}')
			return *p ? -1 : n;
		if (after != ',')
			return -1;
	}
	return -1;
}

static const char *value_of(const struct pair *pairs, int n, const char *name)
{
	for (int i = 0; i < n; i++) {
		if (!strcmp(pairs[i].name, name))
			return pairs[i].value;
	}
	return NULL;
}

static void put_string(FILE *out, const char *text)
{
	putc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			fprintf(out, "\\u%04x", (unsigned)*text);
		else
			putc(*text, out);
	}
	putc('"', out);
}

/* ---- the file ---- */

static int append(struct journal *journal, const char *line, size_t n, struct gen_error *err)
{
	while (n) {
		ssize_t wrote = write(journal->fd, line, n);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			return fail_set(err, "cannot write %s: %s", journal->path, strerror(errno));
		line += wrote;
		n -= (size_t)wrote;
	}
	return 0;
}

static int write_header(struct journal *journal, const struct journal_fact *facts, size_t n,
			struct gen_error *err)
{
	char *line;
	size_t n_bytes;
	FILE *out = fail_check(open_memstream(&line, &n_bytes));
	int status;

	fputs("{\"quern\":\"journal\",\"schema\":1", out);
	for (size_t i = 0; i < n; i++) {
		putc(',', out);
		put_string(out, facts[i].name);
		putc(':', out);
		put_string(out, facts[i].value);
	}
	fputs("}\n", out);
	fclose(out);
	status = append(journal, line, n_bytes, err);
	fsync(journal->fd);
	free(line);
	return status;
}

/* 1: the facts are these; 0: they are not, *different names one; -1: this is no header. */
static int check_header(char *line, const struct journal_fact *facts, size_t n,
			const char **different)
{
	struct pair pairs[MAX_PAIRS];
	int n_pairs = read_object(line, pairs);
	const char *value = n_pairs < 0 ? NULL : value_of(pairs, n_pairs, "quern");

	if (!value || strcmp(value, "journal"))
		return -1;
	value = value_of(pairs, n_pairs, "schema");
	*different = "schema";
	if (!value || strcmp(value, "1"))
		return 0;
	for (size_t i = 0; i < n; i++) {
		value = value_of(pairs, n_pairs, facts[i].name);
		*different = facts[i].name;
		if (!value || strcmp(value, facts[i].value))
			return 0;
	}
	*different = NULL;
	return 1;
}

static char *read_all(int fd, size_t *n_bytes)
{
	char *text = NULL;
	size_t n = 0, room = 0;
	ssize_t got = 1;

	while (got) {
		if (n == room)
			text = fail_check(realloc(text, (room = room ? 2 * room : 65536) + 1));
		got = read(fd, text + n, room - n);
		if (got < 0 && errno != EINTR) {
			free(text);
			return NULL;
		}
		n += got > 0 ? (size_t)got : 0;
	}
	text[n] = 0;
	*n_bytes = n;
	return text;
}

/*
 * Takes up the lines of text.  1: done; 0: a journal of another search; -1: damaged.
 * *good gets the bytes up to the last whole line.
 */
static int load(struct journal *journal, char *text, size_t n_bytes,
		const struct journal_fact *facts, size_t n, size_t *good, const char **different,
		struct gen_error *err)
{
	long number = 1;

	*good = 0;
	for (char *line = text, *end; line < text + n_bytes; line = end + 1, number++) {
		struct pair pairs[MAX_PAIRS];
		const char *at, *question, *answer;
		int n_pairs, status, last;

		end = memchr(line, '\n', n_bytes - (size_t)(line - text));
		if (!end)
			return 1; /* torn */
		last = end + 1 == text + n_bytes;
		*end = 0;
		if (strlen(line) != (size_t)(end - line))
			goto damaged;
		if (number == 1) {
			status = check_header(line, facts, n, different);
			if (status == 0)
				return 0;
			if (status < 0)
				return fail_set(err,
						"%s:1: this is not a journal of quern tune; "
						"remove it or give --output another name",
						journal->path);
			*good = (size_t)(end + 1 - text);
			continue;
		}
		n_pairs = read_object(line, pairs);
		at = n_pairs < 0 ? NULL : value_of(pairs, n_pairs, "at");
		question = at ? value_of(pairs, n_pairs, "question") : NULL;
		answer = question ? value_of(pairs, n_pairs, "answer") : NULL;
		if (!answer)
			goto damaged;
		journal->before = strtod(at, NULL);
		keep(journal, question, answer);
		*good = (size_t)(end + 1 - text);
		continue;
	damaged:
		if (last)
			return 1;
		return fail_set(err,
				"%s:%ld: the journal is damaged here; repair the line or "
				"start anew with --fresh",
				journal->path, number);
	}
	return 1;
}

static int open_locked(struct journal *journal, struct gen_error *err)
{
	journal->fd = open(journal->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (journal->fd < 0)
		return fail_set(err, "cannot open %s: %s", journal->path, strerror(errno));
	if (flock(journal->fd, LOCK_EX | LOCK_NB) < 0)
		return fail_set(err, "%s is in use by another quern tune", journal->path);
	return 0;
}

/* Gives the file a name that is free and starts a new one. */
static int move_aside(struct journal *journal, const char *why, char *note, struct gen_error *err)
{
	char *aside = NULL;

	for (int i = 1; i < 10000; i++) {
		free(aside);
		aside = fail_text("%s.%d", journal->path, i);
		if (access(aside, F_OK) < 0)
			break;
	}
	if (rename(journal->path, aside) < 0) {
		fail_set(err, "cannot rename %s: %s", journal->path, strerror(errno));
		free(aside);
		return -1;
	}
	snprintf(note, 256, "the earlier journal (%s) is now %s", why, aside);
	free(aside);
	close(journal->fd);
	return open_locked(journal, err);
}

struct journal *journal_open(const char *path, const struct journal_fact *facts, size_t n,
			     int fresh, char *note, struct gen_error *err)
{
	struct journal *journal = fail_alloc(1, sizeof(*journal));
	const char *different = NULL;
	char *text = NULL, why[64];
	size_t n_bytes = 0, good = 0;
	int status;

	*note = 0;
	journal->path = fail_text("%s", path);
	keep(journal, "", "");
	if (open_locked(journal, err) < 0)
		goto bad;
	if (!(text = read_all(journal->fd, &n_bytes))) {
		fail_set(err, "cannot read %s: %s", path, strerror(errno));
		goto bad;
	}
	if (fresh && n_bytes) {
		if (move_aside(journal, "--fresh", note, err) < 0)
			goto bad;
	} else {
		status = load(journal, text, n_bytes, facts, n, &good, &different, err);
		if (status < 0)
			goto bad;
		snprintf(why, sizeof(why), "another %s", different ? different : "");
		if (status == 0 && move_aside(journal, why, note, err) < 0)
			goto bad;
		if (status > 0 && good < n_bytes && ftruncate(journal->fd, (off_t)good) < 0) {
			fail_set(err, "cannot write %s: %s", path, strerror(errno));
			goto bad;
		}
	}
	if (!good && write_header(journal, facts, n, err) < 0)
		goto bad;
	journal->n_taken = journal->n_used - 1;
	if (journal->n_taken)
		snprintf(note, 256, "taking up %s: %zu answers are known", path, journal->n_taken);
	journal->opened = journal->synced = process_now();
	free(text);
	return journal;
bad:
	free(text);
	journal_close(journal);
	return NULL;
}

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	if (journal->fd >= 0) {
		fdatasync(journal->fd);
		close(journal->fd);
	}
	for (size_t i = 0; i < journal->n_slots; i++) {
		free(journal->table[i].question);
		free(journal->table[i].answer);
	}
	free(journal->table);
	free(journal->path);
	free(journal);
}

const char *journal_find(const struct journal *journal, const char *question)
{
	return find_slot(journal, question)->answer;
}

int journal_add(struct journal *journal, const char *question, const char *answer,
		struct gen_error *err)
{
	char *line;
	size_t n_bytes;
	FILE *out = fail_check(open_memstream(&line, &n_bytes));
	double now = process_now();
	int status;

	fprintf(out, "{\"at\":%.3f,\"question\":", journal_elapsed(journal));
	put_string(out, question);
	fputs(",\"answer\":", out);
	put_string(out, answer);
	fputs("}\n", out);
	fclose(out);
	status = append(journal, line, n_bytes, err);
	free(line);
	if (status < 0)
		return -1;
	if (now - journal->synced > 1) {
		fdatasync(journal->fd);
		journal->synced = now;
	}
	keep(journal, question, answer);
	return 0;
}

size_t journal_n_taken(const struct journal *journal)
{
	return journal->n_taken;
}

double journal_elapsed(const struct journal *journal)
{
	return journal->before + process_now() - journal->opened;
}

char *journal_path(const char *results)
{
	const size_t n = strlen(results);
	const int has_end = n > 5 && !strcmp(results + n - 5, ".yaml");

	return fail_text("%.*s.journal", (int)(has_end ? n - 5 : n), results);
}
