/*
 * toolchain.h: the device's compilers and the folder they work in.
 *
 * The work folder: objects/HASH.o or .s, or objects/HASH.bad with the reason; sources/HASH.c;
 * logs/HASH.log with what the compiler said; probes/HASH; tmp/ for what is being written, emptied
 * at start and end.
 */
#ifndef TUNER_TOOLCHAIN_H
#define TUNER_TOOLCHAIN_H

#include <stdint.h>

#include "command.h"
#include "device.h"
#include "gen/gen.h"

struct toolchain {
	const struct device *device;
	char *home, *work, *tmp;
	struct toolchain_compiler {
		char *const *words;      /* NULL: the device has none */
		char *version, *command; /* each as one line */
		uint64_t base;           /* hash of itself, its flags and all headers */
	} compilers[GEN_N_COMPILERS];
	char *flags;        /* as one line */
	char *why_no_clang; /* NULL: none was asked for, or there is one */
	int lock;           /* on the work folder; -1: not held */
	int has_papi;
};

/* Makes and locks the work folder, asks compilers for their versions, tries clang and PAPI. */
struct toolchain *toolchain_open(const struct device *device, const char *home, const char *work,
				 struct gen_error *err);
void toolchain_close(struct toolchain *tools);

/* WORK/folder/HASH and suffix; the caller frees it. */
char *toolchain_path(const struct toolchain *tools, const char *folder, uint64_t hash,
		     const char *suffix);

/* Adds "compiler -std=c11 ... flags -c -o object source". */
void toolchain_add_words(const struct toolchain *tools, enum gen_compiler compiler,
			 const char *flags, const char *source, const char *object,
			 struct command *command);

/* The same to assembly in which the loops of kernels are marked (qn_mark of runtime/kernel.h). */
void toolchain_add_assembly(const struct toolchain *tools, enum gen_compiler compiler,
			    const char *flags, const char *source, const char *assembly,
			    struct command *command);

/* Runs to the end: 0; -1 with the reason in *err. */
int toolchain_run(const struct toolchain *tools, const struct command *command,
		  const char *log_path, const char *what, struct gen_error *err);

/* Gives what the compiler wrote its lasting name. */
int toolchain_keep(const char *temporary, const char *path, struct gen_error *err);

/*
 * Is there an object, assembly or program, all of it?  An empty file, or an ELF file that is cut off, is
 * what a crash of the machine or a compiler on a full disk leaves.
 */
int toolchain_is_whole(const char *path);

int toolchain_write_text(const char *path, const char *text, struct gen_error *err);

/* To be asked when a compiler failed: -1 when a full disk may be why. */
int toolchain_check_space(const struct toolchain *tools, struct gen_error *err);

#endif
