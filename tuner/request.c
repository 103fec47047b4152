/* request.c: the config to tune, folders, and the texts of the generator. */
#include <dirent.h>

#include "fail.h"
#include "hash.h"
#include "request.h"

int request_config(const struct options *options, const char *home, struct gen *gen,
		   struct config *config, int *is_misused, struct gen_error *err)
{
	char *path = options->config ? fail_text("%s", options->config)
				     : fail_text("%s/tuner/configs/default.yaml", home);
	/* A model reads prompts and may serve several at once: a layout that is best for one token alone is not for it. */
	const int is_whole_model = options->model && !options->config;
	int status = config_read(config, gen, path, err);

	free(path);
	if (status < 0)
		return -1;
	if ((options->formats && config_set_formats(config, gen, options->formats, err) < 0) ||
	    (options->threads && config_set_threads(config, options->threads, err) < 0) ||
	    ((options->tokens || is_whole_model) &&
	     config_set_tokens(config, options->tokens ? options->tokens : "1,8,128", err) < 0) ||
	    (options->cores && config_set_cores(config, options->cores, err) < 0) ||
	    (options->shapes && config_set_shapes(config, options->shapes, err) < 0)) {
		*is_misused = 1;
		return -1;
	}
	return options->model
		       ? config_set_model(config, options->model, options->formats != NULL, err)
		       : 0;
}

/* Texts of the generator: whatever changes them may change every kernel. */
static int is_text(const struct dirent *item)
{
	const char *dot = strrchr(item->d_name, '.');

	return dot && dot != item->d_name &&
	       (!strcmp(dot, ".lua") || !strcmp(dot, ".tmpl") || !strcmp(dot, ".h"));
}

/* "dot.lua", "dot_rows.c.tmpl" */
static int is_of_family(const char *name, const char *family)
{
	const size_t n = strlen(family);

	return !strncmp(name, family, n) && (name[n] == '.' || name[n] == '_');
}

/* Do kernels of a family depend on a file?  Which kernels there are in a library is no matter. */
static int matters(const char *name, struct gen *gen, const char *family)
{
	for (const char *const *other = gen_families(gen); *other; other++) {
		if (strcmp(*other, family) && is_of_family(name, *other))
			return 0;
	}
	return !is_of_family(name, "registry");
}

/* family NULL: all of the folder counts. */
static uint64_t hash_folder(uint64_t hash, const char *home, const char *name, struct gen *gen,
			    const char *family)
{
	char *folder = fail_text("%s/%s", home, name);
	struct dirent **items;
	int n = scandir(folder, &items, is_text, alphasort);

	for (int i = 0; i < n; i++) {
		char *path = fail_text("%s/%s", folder, items[i]->d_name), buffer[4096];
		int counts = strcmp(name, "gen") || strstr(path, ".lua");
		FILE *file = NULL;
		size_t got;

		if (counts && (!family || matters(items[i]->d_name, gen, family)))
			file = fopen(path, "r");
		if (file) {
			hash = hash_text(hash, items[i]->d_name);
			while ((got = fread(buffer, 1, sizeof(buffer), file)) > 0)
				hash = hash_add(hash, buffer, got);
			fclose(file);
		}
		free(path);
		free(items[i]);
	}
	if (n >= 0)
		free(items);
	free(folder);
	return hash;
}

char *request_work(const struct options *options)
{
	const char *output = options->output ? options->output : "results/";
	const char *slash = strrchr(output, '/');
	char part[32] = "";

	if (options->work)
		return fail_text("%s", options->work);
	/* Shards may run at the same time. */
	if (options->n_shards)
		snprintf(part, sizeof(part), "-%ld-of-%ld", options->shard, options->n_shards);
	return fail_text("%.*s.quern-work%s", slash ? (int)(slash + 1 - output) : 0, output, part);
}

static uint64_t hash_texts(const char *home, struct gen *gen, const char *family)
{
	uint64_t hash = hash_folder(HASH_START, home, "templates", gen, family);

	return hash_folder(hash, home, "gen", gen, family);
}

char *request_texts(const char *home)
{
	return fail_text("%016llx", (unsigned long long)hash_texts(home, NULL, NULL));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *request_families(const char *home, struct gen *gen, const struct config_names *families)
{
	char **names = fail_alloc(families->n, sizeof(*names)), *text;
	size_t n_bytes;
	FILE *out = fail_check(open_memstream(&text, &n_bytes));

	memcpy(names, families->list, families->n * sizeof(*names));
	qsort(names, families->n, sizeof(*names), by_name);
	for (size_t i = 0; i < families->n; i++)
		fprintf(out, "%s%s=%016llx", i ? " " : "", names[i],
			(unsigned long long)hash_texts(home, gen, names[i]));
	fclose(out);
	free(names);
	return fail_check(text);
}
