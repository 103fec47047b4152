/*
 * tell.h: the probe's answers about the machine, key by key as probe.h lists them.
 */
#ifndef TUNER_TELL_H
#define TUNER_TELL_H

#include "counters.h"
#include "line.h"
#include "meter.h"
#include "runtime/topology.h"

/* Appends " key=number", or " key=-" for SYSFS_ABSENT. */
void tell_number(struct line_out *out, const char *key, int64_t number);

/* What stays the same: hello, from arch on. */
void tell_hello(const struct qn_topology *topology, uint32_t features,
		const struct counters *counters, struct line_out *out);

/* What changes from second to second. */
void tell_vitals(const struct qn_topology *topology, struct meter *meter, struct line_out *out);

/* What else disturbs or helps. */
void tell_doctor(const struct qn_topology *topology, const struct meter *meter,
		 struct line_out *out);

#endif
