/*
 * test_draft.c: files that are written are whole or not there, and what killed writers left is removed, and nothing else.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "draft.h"
#include "scratch.h"

static char folder[256];

static int is_there(const char *name)
{
	return access(name, F_OK) == 0;
}

/* Names in the folder. */
static int count_files(void)
{
	DIR *here = opendir(".");
	const struct dirent *entry;
	int n = 0;

	while (here && (entry = readdir(here)))
		n += entry->d_name[0] != '.';
	if (here)
		closedir(here);
	return n;
}

static void check_text(const char *name, const char *text)
{
	char *own = scratch_read_text(name);

	CHECK(own && !strcmp(own, text));
	free(own);
}

static void test_keep_and_drop(void)
{
	struct qn_draft draft;
	struct quern_error err = {.text = ""};

	scratch_write_text("a", "old");
	CHECK(qn_draft_open(&draft, "a", &err) == 0);
	CHECK(qn_draft_write(&draft, "xxxx", 4, &err) == 0);
	CHECK(qn_draft_write_at(&draft, "ne", 2, 0, &err) == 0);
	CHECK(qn_draft_write_at(&draft, "w", 1, 2, &err) == 0);
	check_text("a", "old");
	CHECK(count_files() == 2);
	CHECK(qn_draft_keep(&draft, &err) == 0);
	check_text("a", "newx");
	CHECK(count_files() == 1);

	CHECK(qn_draft_open(&draft, "a", &err) == 0);
	CHECK(qn_draft_write(&draft, "other", 5, &err) == 0);
	qn_draft_drop(&draft);
	qn_draft_drop(&draft);
	check_text("a", "newx");
	CHECK(count_files() == 1);

	CHECK(qn_draft_open(&draft, "a", &err) == 0);
	unlink(draft.temporary);
	CHECK(qn_draft_keep(&draft, &err) == -1);
	CHECK_SAYS(err.text, "a: cannot give it its name: No such file");
	check_text("a", "newx");
	unlink("a");
}

/* Two at a time, of one name. */
static void test_two(void)
{
	struct qn_draft one, two;
	struct quern_error err;

	CHECK(qn_draft_open(&one, "a", &err) == 0 && qn_draft_open(&two, "a", &err) == 0);
	CHECK(strcmp(one.temporary, two.temporary) != 0 && is_there(one.temporary));
	CHECK(qn_draft_write(&one, "one", 3, &err) == 0 &&
	      qn_draft_write(&two, "two", 3, &err) == 0);
	CHECK(qn_draft_keep(&two, &err) == 0);
	check_text("a", "two");
	CHECK(qn_draft_keep(&one, &err) == 0);
	check_text("a", "one");
	CHECK(count_files() == 1);
	unlink("a");
}

static void test_dead(void)
{
	static const char *const others[] = {"a.quern-part-1",   "a.quern-part-1-",
					     "a.quern-part--1",  "a.quern-part-1-1.b",
					     "a.quern-part-1-x", ".quern-part-1-1",
					     "a.part-1-1",       "a.quern-part-1-1-1",
					     "quern-part-1-1"};
	struct qn_draft draft;
	struct quern_error err;
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (qn_draft_open(&draft, "b", NULL) == 0 && !qn_draft_write(&draft, "x", 1, NULL))
			kill(getpid(), SIGKILL);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	CHECK(count_files() == 1);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		scratch_write_text(others[i], "mine");
	CHECK(symlink("a.quern-part-1", "l.quern-part-1-1") == 0 &&
	      mkdir("d.quern-part-1-1", 0777) == 0 && mkfifo("f.quern-part-1-1", 0666) == 0);
	scratch_write_text("c.quern-part-7.quern-part-1-1", "left");
	CHECK(qn_draft_open(&draft, "a", &err) == 0);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		CHECK(is_there(others[i]));
		unlink(others[i]);
	}
	CHECK(!is_there("c.quern-part-7.quern-part-1-1"));
	CHECK(unlink("l.quern-part-1-1") == 0 && rmdir("d.quern-part-1-1") == 0 &&
	      unlink("f.quern-part-1-1") == 0);
	CHECK(count_files() == 1 && is_there(draft.temporary));
	qn_draft_drop(&draft);
	CHECK(count_files() == 0);
}

static void check_refused(const char *path, const char *words)
{
	struct qn_draft draft;
	struct quern_error err = {.text = ""};

	CHECK(qn_draft_open(&draft, path, &err) == -1);
	CHECK_SAYS(err.text, words);
	qn_draft_drop(&draft);
}

int main(void)
{
	if (!CHECK(scratch_open(folder)))
		return check_exit();
	test_keep_and_drop();
	test_two();
	test_dead();
	check_refused("no/x", "no/x: cannot create it: No such file");
	check_refused("/dev/null", "/dev/null: it is there and not a file");
	check_refused(".", "not a file");
	scratch_remove_tree(folder);
	return check_exit();
}
