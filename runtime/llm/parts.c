/*
 * parts.c: a model's tensors, wherever among its files they are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "gguf.h"
#include "keys.h"
#include "model.h"

enum { MAX_PARTS = 4096, SUFFIX = 20 }; /* of "-00001-of-00003.gguf" */

/* Name of part i (from 0) of the file, whose own is path. */
static int name_part(const char *path, long i, long n, char *name, size_t n_bytes,
		     struct quern_error *err)
{
	const size_t length = strlen(path);
	char own[64];

	snprintf(own, sizeof own, "-%05d-of-%05ld.gguf", 1, n);
	if (length < SUFFIX || strcmp(path + length - SUFFIX, own) || length >= n_bytes)
		return qn_error_set(err,
				    "%.150s: the first of %ld files of a model; its name must "
				    "end in %s",
				    path, n, own);
	snprintf(name, n_bytes, "%.*s-%05ld-of-%05ld.gguf", (int)(length - SUFFIX), path, i + 1, n);
	return 0;
}

static int open_part(struct quern_model *model, const char *path, long i, long n,
		     struct quern_error *err)
{
	struct qn_keys keys = {NULL, "split"};
	char name[4096];
	long number = -1, count = -1;

	if (name_part(path, i, n, name, sizeof name, err) ||
	    quern_gguf_open(&model->files[i], name, err))
		return -1;
	model->n_files++;
	keys.file = model->files[i];
	if (qn_keys_long(&keys, "no", i, i, &number, err) ||
	    qn_keys_long(&keys, "count", n, n, &count, err)) {
		struct quern_error why = *err;

		return qn_error_set(err, "%.100s: %.150s", name, why.text);
	}
	return 0;
}

static int check_names(const struct quern_model *model, const char *path, struct quern_error *err)
{
	struct quern_tensor tensor, first;

	for (size_t i = 0; model->n_files > 1 && !qn_parts_tensor(model, i, &tensor); i++) {
		if (qn_parts_find(model, tensor.name, &first) != (long)i)
			return qn_error_set(err, "%.150s: tensor %s is in two files of the model",
					    path, tensor.name);
	}
	return 0;
}

int qn_parts_open(struct quern_model *model, const char *path, struct quern_error *err)
{
	struct quern_error local;
	struct qn_keys keys = {NULL, "split"};
	long n = 1, number = 0;

	err = err ? err : &local;
	if (quern_gguf_open(&model->file, path, err))
		return -1;
	keys.file = model->file;
	model->files = calloc(MAX_PARTS, sizeof *model->files);
	if (!model->files) {
		quern_gguf_close(model->file);
		return qn_error_set(err, "no memory for a model");
	}
	model->files[model->n_files++] = model->file;
	if (qn_keys_long(&keys, "count", 1, MAX_PARTS, &n, err)) {
		struct quern_error why = *err;

		return qn_error_set(err, "%.100s: %.150s", path, why.text);
	}
	if (qn_keys_long(&keys, "no", 0, 0, &number, err))
		return qn_error_set(err, "%.200s: not the first of a model's files", path);
	for (long i = 1; i < n; i++) {
		if (open_part(model, path, i, n, err))
			return -1;
	}
	return check_names(model, path, err);
}

void qn_parts_close(struct quern_model *model)
{
	for (int i = 0; i < model->n_files; i++)
		quern_gguf_close(model->files[i]);
	free(model->files);
}

int qn_parts_tensor(const struct quern_model *model, size_t i, struct quern_tensor *tensor)
{
	for (int f = 0; f < model->n_files; f++) {
		const size_t n = quern_gguf_n_tensors(model->files[f]);

		if (i < n)
			return quern_gguf_tensor(model->files[f], i, tensor);
		i -= n;
	}
	return -1;
}

long qn_parts_find(const struct quern_model *model, const char *name, struct quern_tensor *tensor)
{
	long first = 0;

	for (int f = 0; f < model->n_files; f++) {
		const long i = qn_gguf_number(model->files[f], name);

		if (i >= 0) {
			quern_gguf_tensor(model->files[f], (size_t)i, tensor);
			return first + i;
		}
		first += (long)quern_gguf_n_tensors(model->files[f]);
	}
	return -1;
}
