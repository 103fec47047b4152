/*
 * models.h: cores of which llvm-mca has a model, or whose model another core lends.
 *
 * LLVM 19 schedules the A76 and A78 like the A57 and the X3 and X4 like the N2, which they are
 * not; their siblings for servers have models of their own, which stand in for them.
 */
#ifndef TUNER_MODELS_H
#define TUNER_MODELS_H

#include "assembly.h"

struct model {
	const char *core;
	const char *cpu;      /* llvm-mca's -mcpu; NULL: it has no model */
	const char *features; /* that matter to instruction sets, names of gen/isa.lua */
	const char *note;     /* on the model; may be empty */
	int split_pairs;      /* "ldp q, q" is to be written as two loads */
	enum assembly_arch arch;
};

/* NULL when it is not known. */
const struct model *models_find(const char *core);

/* All of them, up to one without a core. */
const struct model *models_all(void);

/* Their names with commas between. */
const char *models_names(void);

/* Loop text as the model should see it; malloc'ed, the caller frees it. */
char *models_rewrite(const struct model *model, const char *text);

#endif
