/* bring.c: compiling, linking and verifying candidates. */
#include "bring.h"

#include "fail.h"

static int compile_new(struct pass *pass, size_t first)
{
	size_t n = search_n(pass->search) - first;
	struct compile_item *items = fail_alloc(n, sizeof(*items));
	int status;

	for (size_t i = 0; i < n; i++) {
		struct search_candidate *one = search_candidate(pass->search, first + i);

		items[i].text = one->text;
		items[i].flags = one->isa->info.flags;
		items[i].compiler = one->point.compiler;
	}
	pass_show(pass, "compiling %zu kernels", n);
	show_event_compile(pass->contest->show, pass->format, pass->act, n);
	status = compile_items(pass->contest->compile, items, n, pass->err);
	for (size_t i = 0; i < n; i++) {
		struct search_candidate *one = search_candidate(pass->search, first + i);

		memcpy(one->object, items[i].object, sizeof(one->object));
		if (!status && items[i].why) {
			char *why = fail_text("compile %s", items[i].why);

			pass_drop(pass, first + i, why);
			free(why);
		}
		free(items[i].why);
		free(one->text);
		one->text = NULL;
	}
	free(items);
	if (!status) {
		pass->contest->record->protocol.tried += (long)n;
		pass->contest->show->tried += (long)n;
	}
	return status;
}

/* One program with all candidates of the format that are still good. */
static int link_all(struct pass *pass)
{
	size_t n_all = search_n(pass->search), n = 0;
	const char **keys = fail_alloc(n_all, sizeof(*keys));
	const char **names = fail_alloc(n_all, sizeof(*names));
	const char **objects = fail_alloc(n_all, sizeof(*objects));
	int status;

	for (size_t i = 0; i < n_all; i++) {
		struct search_candidate *one = search_candidate(pass->search, i);

		if (one->failed)
			continue;
		keys[n] = one->point.key;
		names[n] = one->point.name;
		objects[n++] = one->object;
	}
	pass_show(pass, "linking");
	status = pass_link(pass->contest, keys, names, objects, n, pass->err);
	free(objects);
	free(names);
	free(keys);
	return status;
}

static int verify_new(struct pass *pass, size_t first)
{
	struct contest *contest = pass->contest;
	struct session_error error;

	for (size_t i = first; i < search_n(pass->search); i++) {
		struct search_candidate *one = search_candidate(pass->search, i);
		int status;

		if (one->failed)
			continue;
		pass_show(pass, "verifying %zu of %zu", i - first + 1,
			  search_n(pass->search) - first);
		status = session_verify(contest->session, one->point.name, &one->nmse, &error);
		if (status < 0) {
			*pass->err = error.fatal;
			return -1;
		}
		if (status)
			pass_drop(pass, i, error.why);
		else
			contest->record->protocol.verified++;
		/* Right, but not wanted. */
		if (!status && one->point.is_lossy && one->nmse > contest->config->max_nmse)
			one->failed = 1;
	}
	return 0;
}

static size_t count_good(const struct pass *pass)
{
	size_t n = 0;

	for (size_t i = 0; i < search_n(pass->search); i++)
		n += !search_candidate(pass->search, i)->failed;
	return n;
}

int bring_in(struct pass *pass, size_t first)
{
	if (compile_new(pass, first) < 0)
		return -1;
	if (!count_good(pass))
		return 1;
	if (link_all(pass) < 0 || verify_new(pass, first) < 0)
		return -1;
	return !count_good(pass);
}
