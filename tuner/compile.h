/*
 * compile.h: candidates to objects, objects to probe programs.
 *
 * Including the intrinsics costs more than a small kernel, so candidates of one ISA and compiler
 * are compiled up to 16 at a time; a unit that fails is halved until the bad candidate is alone.
 * Everything is kept in the work folder under a hash of what it was made from, failures too, so
 * that a run that is taken up compiles nothing twice.
 */
#ifndef TUNER_COMPILE_H
#define TUNER_COMPILE_H

#include <stdint.h>

#include "device.h"
#include "gen/gen.h"

struct compile;

/* n_parallel: how many compilers run at a time. */
struct compile *compile_open(const struct device *device, const char *home, const char *work,
			     int n_parallel, struct gen_error *err);
void compile_close(struct compile *compile);

/* Called again and again while the compilers of items run, some hundred times a second. */
void compile_set_idle(struct compile *compile, void (*idle)(void *context), void *context);

/* From now on items become assembly with marked loops, to be looked at and never linked. */
void compile_to_assembly(struct compile *compile);

/* The assembly of which compile_items gave the name; the caller frees it. */
char *compile_assembly(const struct compile *compile, const char *object, struct gen_error *err);

/* Path of an object of which compile_items gave the name; the caller frees it. */
char *compile_object(const struct compile *compile, const char *object);

/* First line of what a compiler says about itself; NULL: the device does not have it. */
const char *compile_version(const struct compile *compile, enum gen_compiler compiler);

/* Command and flags as one line. */
const char *compile_command(const struct compile *compile, enum gen_compiler compiler);
const char *compile_flags(const struct compile *compile);

/* Why a clang that the device names is not used; NULL: it names none, or it is. */
const char *compile_why_no_clang(const struct compile *compile);

struct compile_item {
	const char *text;  /* a C file */
	const char *flags; /* of its ISA, space separated */
	enum gen_compiler compiler;
	char object[64]; /* out: name of the object that holds it */
	char *why;       /* out: NULL, or why it has none; the caller frees it */
};

/*
 * Compiles all items; those with the same compiler and flags share units.  0, or -1 when no
 * compiling is possible at all or the user stops; what was compiled until then is kept.
 */
int compile_items(struct compile *compile, struct compile_item *items, size_t n,
		  struct gen_error *err);

/*
 * Links a probe from objects (names may repeat), the registry's text and the per-ISA texts; the
 * runtime's and the probe's own sources are compiled when needed.  path gets the program.
 */
int compile_program(struct compile *compile, const char *const *objects, size_t n_objects,
		    const char *registry, const struct compile_item *isas, size_t n_isas,
		    char *path, size_t n_bytes, struct gen_error *err);

/* Equal for kernels whose texts differ in nothing but their name and their list of parameters. */
uint64_t compile_fingerprint(const char *text, const char *name, const char *key);

/* Seconds that compilers ran so far in this process, and how many candidates they were given. */
double compile_seconds(const struct compile *compile);
long compile_count(const struct compile *compile);

#endif
