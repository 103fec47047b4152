/*
 * record_fields.h: the keys of results files, for record.c, which writes, and record_read.c.
 *
 * One table for each mapping gives every key its type and its place in struct record or in one of
 * the parts; a table ends with an empty row.
 */
#ifndef TUNER_RECORD_FIELDS_H
#define TUNER_RECORD_FIELDS_H

#include <stddef.h>

#include "record.h"

enum record_kind {
	RECORD_TEXT,   /* char * */
	RECORD_NAME,   /* char[64], not empty */
	RECORD_FORMAT, /* char[32], not empty */
	RECORD_WORDS,  /* char[128], not empty */
	RECORD_TIER,   /* char[16], measured or static */
	RECORD_REASON, /* char[192], not empty */
	RECORD_CORE,   /* long, a kind of core, above 0, in hexadecimal */
	RECORD_LONG,
	RECORD_INT,    /* not negative */
	RECORD_WIDE,   /* long long */
	RECORD_DOUBLE, /* not negative */
	RECORD_KNOWN,  /* double, not negative; NAN is not written */
	RECORD_BOOL    /* int */
};

struct record_field {
	const char *name;
	enum record_kind kind;
	size_t offset;
	int needs;       /* of an entry: which have it */
	int is_optional; /* a number of 0 is not written */
};

enum record_needs { RECORD_ANY, RECORD_SHAPE, RECORD_MEASURED };

extern const struct record_field record_top_fields[], record_device_fields[],
	record_compiler_fields[], record_generator_fields[], record_protocol_fields[],
	record_ceiling_fields[], record_entry_fields[], record_estimated_fields[],
	record_estimate_fields[], record_finalist_fields[], record_thermal_fields[],
	record_number_fields[], record_run_fields[], record_flag_fields[], record_control_fields[];

#endif
