/* vec_sve128.h: the vector vocabulary on SVE with vectors of 128 bits. */
#ifndef VEC_SVE128_H
#define VEC_SVE128_H

#define VB 16

#include "vec_sve.h"

#endif
