/*
 * object.h: how many bytes of code a kernel has, by its object file.
 *
 * ELF of 64 bits, little-endian; any bytes may be read.
 */
#ifndef TUNER_OBJECT_H
#define TUNER_OBJECT_H

/*
 * Sums the functions whose names are `kernel`, an underscore and more.  0 when there is none, or the
 * file cannot be read or is something else.
 */
double object_code_bytes(const char *path, const char *kernel);

#endif
