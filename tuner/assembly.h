/*
 * assembly.h: a compiler's assembly as functions, loops and marks: of AArch64, or of x86-64 as AT&T
 * write it.
 *
 * qn_mark of runtime/kernel.h leaves a comment "quern-mark LOOP N" at the head of a loop whose
 * pass multiplies N weights with activations, qn_passes one "quern-passes N".  A loop is what lies between a label and the last
 * branch back to it.  Any bytes may be read; texts point into what was read.
 */
#ifndef TUNER_ASSEMBLY_H
#define TUNER_ASSEMBLY_H

#include "gen/gen.h"

enum assembly_arch { ASSEMBLY_AARCH64, ASSEMBLY_X86_64 };

enum assembly_kind { ASSEMBLY_INSTRUCTION, ASSEMBLY_LABEL, ASSEMBLY_MARK, ASSEMBLY_PASSES };

struct assembly_item {
	enum assembly_kind kind;
	const char *text; /* of a mark its name */
	size_t n;
	double n_products; /* of a mark; of ASSEMBLY_PASSES how often its loop is passed */
};

struct assembly_loop {
	size_t first, last; /* items */
};

struct assembly_mark {
	const struct assembly_item *item;
	size_t home; /* its innermost loop; n_loops: it is in none */
};

struct assembly_function {
	const char *name;
	size_t n_name;
	struct assembly_item *items;
	size_t n_items;
	struct assembly_loop *loops; /* sorted by head, one a head */
	size_t n_loops;
	struct assembly_mark *marks;
	size_t n_marks;
	int has_frame; /* x86-64: %rbp points into the stack */
};

struct assembly {
	enum assembly_arch arch;
	struct assembly_function *functions;
	size_t n;
};

#define ASSEMBLY_MAX_NAME 31 /* characters of a mark's name */

/* Reads the functions whose names are `kernel`, an underscore and more; there is at least one. */
int assembly_read(struct assembly *assembly, enum assembly_arch arch, const char *text,
		  const char *kernel, struct gen_error *err);
void assembly_free(struct assembly *assembly);

/* Does an instruction call something? */
int assembly_is_call(const struct assembly *assembly, const struct assembly_item *item);

/* The function that an instruction calls, or jumps to at the end of its own; NULL: none of these. */
const struct assembly_function *assembly_callee(const struct assembly *assembly,
						const struct assembly_item *item);

/* Is it one of these mnemonics ("bl blr")? */
int assembly_is(const struct assembly_item *item, const char *mnemonics);

/* Characters of a word (a register, a mnemonic) at text. */
size_t assembly_word(const char *text, const char *end);

int assembly_same(const struct assembly_item *a, const struct assembly_item *b);

#endif
