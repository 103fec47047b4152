/*
 * toolchain.h: the device's compiler and the folder it works in.
 *
 * The work folder: objects/HASH.o, or objects/HASH.bad with the reason; sources/HASH.c;
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
	char *version, *command, *flags; /* each as one line */
	int lock;                        /* on the work folder; -1: not held */
	int has_papi;
	uint64_t base; /* hash of the compiler, its flags and all headers */
};

/* Makes and locks the work folder, asks the compiler for its version and tries PAPI. */
struct toolchain *toolchain_open(const struct device *device, const char *home, const char *work,
				 struct gen_error *err);
void toolchain_close(struct toolchain *tools);

/* WORK/folder/HASH and suffix; the caller frees it. */
char *toolchain_path(const struct toolchain *tools, const char *folder, uint64_t hash,
		     const char *suffix);

/* Adds "compiler -std=c11 ... flags -c -o object source". */
void toolchain_add_words(const struct toolchain *tools, const char *flags, const char *source,
			 const char *object, struct command *command);

/* Runs to the end: 0; -1 with the reason in *err. */
int toolchain_run(const struct toolchain *tools, const struct command *command,
		  const char *log_path, const char *what, struct gen_error *err);

/* Gives what the compiler wrote its lasting name. */
int toolchain_keep(const char *temporary, const char *path, struct gen_error *err);

int toolchain_write_text(const char *path, const char *text, struct gen_error *err);

/* To be asked when a compiler failed: -1 when a full disk may be why. */
int toolchain_check_space(const struct toolchain *tools, struct gen_error *err);

#endif
