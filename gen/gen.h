/*
 * gen.h: from a specification to C.
 *
 * A generator holds a Lua state with the families and templates loaded.  A point is one
 * kernel: a family, format, activation format and ISA plus tuned parameters.  Callers
 * see a point as an index into a space, a name and a line of key=value pairs; what these mean
 * is known here only.
 *
 * Functions that can fail return -1 or NULL with a sentence in *err.
 */
#ifndef GEN_H
#define GEN_H

#include <stddef.h>

struct gen;
struct gen_space;

struct gen_error {
	char text[1024];
};

/* home: the folder that holds gen/ and templates/.  err must not be NULL. */
struct gen *gen_open(const char *home, struct gen_error *err);
void gen_close(struct gen *gen);

/* ---- spaces ---- */

/* What a kernel is compiled with: what everything is, or clang, for the same text. */
enum gen_compiler { GEN_DEFAULT, GEN_CLANG, GEN_N_COMPILERS };

struct gen_point {
	char name[64]; /* dot_w4g32_a8g32_avx512_r64k1p0 */
	char key[512]; /* "family=dot format=w4g32 act=a8g32 isa=avx512 KU=1 PF=0 RV=4", keys in
			  order */
	int is_lossy;  /* rounds more than activations to int8 */
	enum gen_compiler compiler;
	long n_tokens;   /* that a pass of its code takes; 3 tokens cost a kernel for 2 what 4 do */
	char layout[32]; /* "64-bits-v64": kernels with the same one read the same packed weights */
};

/*
 * Every legal point of a family for one format and ISA that is worth trying for n_tokens tokens at
 * a time, lossy ones only when asked for.  The space may be empty. Valid until gen_close or
 * gen_space_close.  with_clang: there is a choice of compilers, so points that are not portable C
 * are there a second time.
 */
struct gen_space *gen_space_open(struct gen *gen, const char *family, const char *format,
				 const char *act, const char *isa, long n_tokens, int with_lossy,
				 int with_clang, struct gen_error *err);
void gen_space_close(struct gen_space *space);
long gen_space_count(const struct gen_space *space);
/* The first so many are GEN_DEFAULT, and no two of the same kernel. */
long gen_space_count_default(const struct gen_space *space);
int gen_space_point(struct gen_space *space, long index, struct gen_point *point,
		    struct gen_error *err);
/*
 * All points as a text, malloc'ed: a line with the names of the parameters, "+" after those whose
 * values have an order ("RV+ UNPACK COMPILER"), then a line for each point, whether it is exact or
 * lossy and its values ("exact 4 shift default").
 */
char *gen_space_table(struct gen_space *space, struct gen_error *err);
/* Index of a point by key, or -1 with the rule it breaks. */
long gen_space_find(struct gen_space *space, const char *key, struct gen_error *err);

/*
 * A point by a key of which at least family, format, act and isa are there; what else is not there
 * is as the family has it when nothing was measured.
 */
int gen_complete(struct gen *gen, const char *key, struct gen_point *point, struct gen_error *err);

/*
 * The kernel of a key for weights that are packed as those of another key's kernel; *relaid gets its
 * key, malloc'ed, which may be the same, or NULL where there is none.
 */
int gen_relayout(struct gen *gen, const char *key, const char *like, char **relaid,
		 struct gen_error *err);

/* Names known to the generator, NULL-terminated, valid until gen_close. */
const char *const *gen_families(struct gen *gen);
const char *const *gen_acts(struct gen *gen);
const char *const *gen_isas(struct gen *gen);
const char *const *gen_formats(struct gen *gen);

struct gen_isa {
	char name[32];
	char arch[32];      /* "x86_64", "aarch64", or "any" */
	char flags[256];    /* compiler flags, space separated */
	char features[128]; /* what the CPU must have, names of runtime/cpu.c, space separated */
	char replaces[32];  /* an ISA that has no use where this one runs, or empty */
};
int gen_isa(struct gen *gen, const char *name, struct gen_isa *isa, struct gen_error *err);

/* ---- emission ---- */

/* Text of one kernel (function and descriptor); malloc'ed, the caller frees it. */
char *gen_emit(struct gen *gen, const char *key, struct gen_error *err);

/* Text of the per-ISA file (quantisation, roofs); malloc'ed. */
char *gen_emit_isa(struct gen *gen, const char *isa, struct gen_error *err);

/* Text of a registry (kernels.c) over these points, without choices; malloc'ed. */
char *gen_emit_registry(struct gen *gen, const char *const *keys, size_t n, struct gen_error *err);

/*
 * Results or config files -> everything the runtime is built from, in dir (made when absent): one C
 * file per kernel and per ISA, kernels.c, kernels.mk.  Later files win over earlier ones for
 * the same case.  Only files whose text changed are rewritten.  arch: NULL for all ISAs, or keep
 * only those of this architecture (and "any").
 */
int gen_write(struct gen *gen, const char *const *paths, size_t n, const char *dir,
	      const char *arch, struct gen_error *err);

/* How many files the last gen_write wrote and found as they should be. */
void gen_written(const struct gen *gen, size_t *n_written, size_t *n_unchanged);

#endif
