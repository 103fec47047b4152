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
	int status = config_read(config, gen, path, err);

	free(path);
	if (status < 0)
		return -1;
	if ((options->formats && config_set_formats(config, gen, options->formats, err) < 0) ||
	    (options->threads && config_set_threads(config, options->threads, err) < 0) ||
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

static uint64_t hash_folder(uint64_t hash, const char *home, const char *name)
{
	char *folder = fail_text("%s/%s", home, name);
	struct dirent **items;
	int n = scandir(folder, &items, is_text, alphasort);

	for (int i = 0; i < n; i++) {
		char *path = fail_text("%s/%s", folder, items[i]->d_name), buffer[4096];
		FILE *file = strcmp(name, "gen") || strstr(path, ".lua") ? fopen(path, "r") : NULL;
		size_t got;

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
	const char *slash = options->output ? strrchr(options->output, '/') : NULL;

	if (options->work)
		return fail_text("%s", options->work);
	if (!options->output)
		return fail_text("results/.quern-work");
	return slash ? fail_text("%.*s/.quern-work", (int)(slash - options->output),
				 options->output)
		     : fail_text(".quern-work");
}

char *request_texts(const char *home)
{
	uint64_t hash = hash_folder(hash_folder(HASH_START, home, "templates"), home, "gen");

	return fail_text("%016llx", (unsigned long long)hash);
}
