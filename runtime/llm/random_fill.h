/*
 * random_fill.h: random weights of one tensor, as the bytes of its type.
 */
#ifndef QN_RANDOM_FILL_H
#define QN_RANDOM_FILL_H

#include "../format.h"

struct qn_random_fill {
	int type;
	long k, row_bytes;
	double mean, deviation;
	float *x;                              /* a row of floats */
	const struct qn_random_direct *direct; /* NULL: floats are made, and then quantised */
	double unit;                           /* standard deviation of blocks with scale 1 */
	uint8_t five_trits[256], four_trits[256];
	uint8_t two_bit_trits[256]; /* a random byte -> four random codes 0..2 of 2 bits */
	struct qn_row row;
};

/*
 * For rows of k values (whole blocks of the type; 128 of I2_S) with this mean, of quantised types 0,
 * and standard deviation.  Quantised types: is_searched makes normally distributed floats and encodes
 * them; else codes are random as bytes are, which is many times faster.  I2_S is always so.
 * -1: out of memory.
 */
int qn_random_fill_start(struct qn_random_fill *fill, int type, long k, double mean,
			 double deviation, int is_searched);
void qn_random_fill_end(struct qn_random_fill *fill);

/* Rows first .. first + n - 1; what is in a row follows from seed and its number. */
void qn_random_fill_rows(struct qn_random_fill *fill, uint64_t seed, long first, long n,
			 void *rows);

/* The scale of an I2_S tensor of that standard deviation. */
float qn_random_fill_ternary_scale(double deviation);

/* The next of a sequence of random numbers (splitmix64). */
uint64_t qn_random_fill_next(uint64_t *state);

#endif
