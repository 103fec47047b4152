/* vec_sve256.h: the vector vocabulary on SVE with vectors of 256 bits. */
#ifndef VEC_SVE256_H
#define VEC_SVE256_H

#define VB 32

#include "vec_sve.h"

#endif
