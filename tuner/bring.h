/*
 * bring.h: candidates, from their texts to kernels of a probe that runs.
 */
#ifndef TUNER_BRING_H
#define TUNER_BRING_H

#include "pass.h"

/*
 * Compiles, links and verifies the candidates from first on; those that fail are dropped, with the
 * reason in the record.  0; 1: no candidate at all is good; -1.
 */
int bring_in(struct pass *pass, size_t first);

#endif
