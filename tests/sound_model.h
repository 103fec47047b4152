/*
 * sound_model.h: small sound model files of every architecture, with a tokenizer, to do damage to.
 */
#ifndef TESTS_SOUND_MODEL_H
#define TESTS_SOUND_MODEL_H

#include "fuzz_tokenizer.c"

#include "gguf_edit.h"
#include "tiny_architectures.h"

enum { N_SOUND = 16, SOUND_WIDE = N_SOUND - 1, SOUND_BYTES = 100000 };

static inline void sound_check(int ok)
{
	if (!ok)
		abort();
}

static inline void sound_set(struct edit *e, const char *arch, const char *name, uint32_t number)
{
	char full[96];
	struct edit_key *key;

	snprintf(full, sizeof full, "%s%s%s", arch, *arch ? "." : "", name);
	key = edit_add(e, full);
	sound_check(key != NULL);
	edit_set(e, key, QUERN_U32, &number, sizeof number);
}

/* Only the first layers are left. */
static inline void sound_cut_layers(struct edit *e, const char *arch, int n_layers)
{
	for (int i = e->n_tensors - 1; i >= 0; i--) {
		int layer;
		char name[64];

		snprintf(name, sizeof name, "%.*s", (int)e->tensors[i].name.n,
			 (const char *)e->tensors[i].name.p);
		if (sscanf(name, "blk.%d.", &layer) == 1 && layer >= n_layers)
			edit_drop_tensor(e, i);
	}
	sound_set(e, arch, "block_count", (uint32_t)n_layers);
}

/* The caller frees what it returns when the file was written. */
static inline uint8_t *sound_add_tokenizer(struct edit *e, int kind)
{
	static struct edit other;
	size_t n_bytes;
	uint8_t *data = fuzz_sound_file(kind, &n_bytes);

	sound_check(edit_read(&other, data, n_bytes) == 0);
	for (int i = 0; i < other.n_keys; i++) {
		char name[96];
		struct edit_key *key;

		snprintf(name, sizeof name, "%.*s", (int)other.keys[i].name.n,
			 (const char *)other.keys[i].name.p);
		if (!strncmp(name, "tokenizer", 9)) {
			key = edit_add(e, name);
			key->type = other.keys[i].type;
			key->value = other.keys[i].value;
		}
	}
	return data;
}

/* Matrices become F16; what is multiplied is no matter. */
static inline void sound_halve(struct edit *e)
{
	for (int i = 0; i < e->n_tensors; i++) {
		if (e->tensors[i].n_dims == 2)
			e->tensors[i].type = QUERN_F16;
	}
}

/* The embedding becomes as wide as a block of a K type, which matrices that read it get. */
static inline void sound_widen(struct edit *e, const char *arch)
{
	sound_set(e, arch, "embedding_length", 256);
	for (int i = 0; i < e->n_tensors; i++) {
		struct edit_tensor *t = &e->tensors[i];

		for (int d = 0; d < 2; d++) {
			if (t->dims[d] == TINY_EMBD)
				t->dims[d] = 256;
		}
		if (t->n_dims == 2 && t->dims[0] % 32 == 0)
			t->type = t->dims[0] == 256 ? QUERN_Q4_K : QUERN_Q4_0;
	}
}

/*
 * File i of N_SOUND, of one layer (of two where these differ), in room of SOUND_BYTES; returns its size.  e is what it was
 * made with.
 */
static inline size_t sound_make(int i, struct edit *e, uint8_t *room)
{
	static struct tiny tiny;
	const int number = i == SOUND_WIDE ? 14 : i < 4 ? i : i + 1; /* gemma3; yarn is refused */
	const int is_local = !strncmp(models[number].name, "gemma", 5) && i != SOUND_WIDE;
	size_t n_bytes;
	uint8_t *data, *tokenizer;

	models[number].make(&tiny);
	data = tiny_write(&tiny, &n_bytes);
	sound_check(edit_read(e, data, n_bytes) == 0);
	sound_cut_layers(e, tiny.arch, is_local ? 2 : 1);
	tokenizer = sound_add_tokenizer(e, i % 3);
	sound_halve(e);
	if (i == SOUND_WIDE)
		sound_widen(e, tiny.arch);
	n_bytes = edit_write(e, 1, room, SOUND_BYTES);
	sound_check(n_bytes > 0);
	free(tokenizer);
	free(data);
	return n_bytes;
}

#endif
