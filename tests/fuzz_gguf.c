/*
 * fuzz_gguf.c: reads bytes as a GGUF file and, when they are accepted, everything in it.
 *
 * For libFuzzer, and for the tests of GGUF files, which include this file.
 *
 *	clang -g -fsanitize=fuzzer,address,undefined -std=c11 -D_GNU_SOURCE tests/fuzz_gguf.c \
 *		runtime/llm/gguf.c runtime/llm/gguf_header.c runtime/error.c
 */
#include <stdlib.h>
#include <string.h>

#include "../runtime/llm/gguf.h"

/* So that reading is not optimised away. */
static volatile unsigned fuzz_sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void fuzz_require(int ok)
{
	if (!ok)
		abort();
}

static void fuzz_read(const void *data, uint64_t n_bytes)
{
	const uint8_t *p = data;

	if (n_bytes)
		fuzz_sink += p[0] + p[n_bytes / 2] + p[n_bytes - 1];
}

static void fuzz_value(const struct quern_gguf *file, const struct quern_value *value)
{
	struct quern_value element;

	if (value->type == QUERN_STRING)
		fuzz_read(value->s, value->count);
	if (value->type != QUERN_ARRAY)
		return;
	for (uint64_t i = 0; i < value->count; i++) {
		fuzz_require(quern_gguf_element(file, value, i, &element) == 0);
		fuzz_require(element.type == value->element_type && element.type != QUERN_ARRAY);
		fuzz_value(file, &element);
	}
	fuzz_require(quern_gguf_element(file, value, value->count, &element) == -1);
}

static void fuzz_file(const struct quern_gguf *file, const uint8_t *start, size_t n_bytes)
{
	struct quern_tensor tensor, found;
	struct quern_value value, again;

	for (size_t i = 0; i < quern_gguf_n_keys(file); i++) {
		fuzz_require(quern_gguf_key(file, i, &value) == 0);
		fuzz_require(quern_gguf_find_key(file, value.name, &again) == 0);
		fuzz_require(again.name == value.name && again.u == value.u);
		fuzz_value(file, &value);
	}
	for (size_t i = 0; i < quern_gguf_n_tensors(file); i++) {
		fuzz_require(quern_gguf_tensor(file, i, &tensor) == 0);
		fuzz_require(quern_gguf_find(file, tensor.name, &found) == 0);
		fuzz_require(found.name == tensor.name && found.data == tensor.data);
		fuzz_require(quern_type_name(tensor.type) != NULL);
		fuzz_require(tensor.n_bytes <= n_bytes);
		fuzz_require((const uint8_t *)tensor.data <= start + (n_bytes - tensor.n_bytes));
		fuzz_read(tensor.data, tensor.n_bytes);
	}
	fuzz_require(quern_gguf_key(file, quern_gguf_n_keys(file), &value) == -1);
	fuzz_require(quern_gguf_tensor(file, quern_gguf_n_tensors(file), &tensor) == -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
	struct quern_error err = {.text = ""};
	struct quern_gguf *file;

	if (qn_gguf_parse(data, n_bytes, "fuzz", &file, &err)) {
		fuzz_require(file == NULL);
		fuzz_require(strncmp(err.text, "fuzz: ", 6) == 0 && strlen(err.text) > 12);
		return 0;
	}
	fuzz_file(file, data, n_bytes);
	quern_gguf_close(file);
	return 0;
}
