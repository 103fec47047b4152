/* vec_sve512.h: the vector vocabulary on SVE with vectors of 512 bits. */
#ifndef VEC_SVE512_H
#define VEC_SVE512_H

#define VB 64

#include "vec_sve.h"

#endif
