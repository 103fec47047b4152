/*
 * format_room.h: room for one row of a weight format, and what may stand in it.
 */
#ifndef TESTS_FORMAT_ROOM_H
#define TESTS_FORMAT_ROOM_H

#include <math.h>
#include <string.h>

#include "check.h"
#include "format.h"

enum { ROOM_MAX_K = 4096, ROOM_GUARD = 0x5a };

/* Arrays as long as any row needs and a few more, to see that no more is written. */
struct room {
	struct qn_row row;
	uint8_t codes[ROOM_MAX_K + 8], sub_mins[ROOM_MAX_K / 16 + 8];
	int8_t sub_scales[ROOM_MAX_K / 16 + 8];
	float scales[ROOM_MAX_K / 16 + 8], mins[ROOM_MAX_K / 16 + 8];
};

static inline void room_clear(struct room *room, int format)
{
	const struct qn_format *f = &qn_formats[format];

	memset(room, ROOM_GUARD, sizeof(*room));
	room->row = (struct qn_row){.codes = room->codes, .scales = room->scales};
	if (f->has_min)
		room->row.mins = room->mins;
	if (f->super)
		room->row.sub_scales = room->sub_scales;
	if (f->super && f->has_min)
		room->row.sub_mins = room->sub_mins;
}

/* Were the n elements of `size` bytes written, and none of the rest? */
static inline int room_fills(const void *array, long n, size_t size, size_t n_bytes)
{
	const uint8_t *p = array;

	for (size_t i = (size_t)n * size; i < n_bytes; i++) {
		if (p[i] != ROOM_GUARD)
			return 0;
	}
	return 1;
}

static inline void room_check_guards(const struct room *room, int format, long k)
{
	const long n_scales = qn_format_n_scales(format, k), n_subs = qn_format_n_subs(format, k);
	const int min = qn_formats[format].has_min;

	CHECK(room_fills(room->codes, k, 1, sizeof(room->codes)));
	CHECK(room_fills(room->scales, n_scales, sizeof(float), sizeof(room->scales)));
	CHECK(room_fills(room->mins, min ? n_scales : 0, sizeof(float), sizeof(room->mins)));
	CHECK(room_fills(room->sub_scales, n_subs, 1, sizeof(room->sub_scales)));
	CHECK(room_fills(room->sub_mins, min ? n_subs : 0, 1, sizeof(room->sub_mins)));
}

static inline int room_is_finite_half(float x)
{
	return isfinite(x) && qn_format_half_to_float(qn_format_float_to_half(x)) == x;
}

/* What an encoder may write. */
static inline void room_check_legal(const struct room *room, int format, long k)
{
	const struct qn_format *f = &qn_formats[format];

	for (long i = 0; i < k; i++) /* Q8_0 has no level -128 */
		CHECK(room->codes[i] < f->n_codes && room->codes[i] >= (f->bits == 8));
	for (long i = 0; i < qn_format_n_scales(format, k); i++) {
		CHECK(f->group ? room_is_finite_half(room->scales[i]) : isfinite(room->scales[i]));
		CHECK(!f->has_min || room_is_finite_half(room->mins[i]));
		CHECK(!f->has_min || !f->super || (room->mins[i] <= 0 && room->scales[i] >= 0));
	}
	for (long i = 0; i < qn_format_n_subs(format, k); i++) {
		CHECK(room->sub_scales[i] >= f->sub_low && room->sub_scales[i] <= f->sub_high);
		CHECK(!f->has_min || room->sub_mins[i] <= f->sub_high);
	}
	room_check_guards(room, format, k);
}

#endif
