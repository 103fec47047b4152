/*
 * shares.h: how many rows each thread takes at a time.
 *
 * Threads take chunks from one counter until none is left.  Where cores differ, equal chunks make
 * all wait for the little core that took one of the last, so a thread's chunk is in proportion to
 * its speed, as measured in earlier products; then all finish together.  Where cores are alike every chunk
 * is one unit, nothing is measured and nothing ever changes.
 */
#ifndef QN_SHARES_H
#define QN_SHARES_H

#include <stddef.h>
#include <stdint.h>

/* Chunks that a thread takes of a matrix, which even out what disturbs them. */
#define QN_SHARES_CHUNKS 8

/* Units in a chunk of the fastest thread. */
#define QN_SHARES_UNITS 16

/* Cores differ otherwise when they wait for memory than when they compute. */
enum qn_shares_work { QN_SHARES_FEW_TOKENS, QN_SHARES_MANY_TOKENS, QN_SHARES_N_WORKS };

struct qn_shares;

/*
 * speeds: NULL for cores that are alike, or what to start from, one above 0 for each thread; only
 * their ratios count.  NULL without memory.
 */
struct qn_shares *qn_shares_open(int n_threads, const int *speeds);
void qn_shares_close(struct qn_shares *shares);

/*
 * Tokens of a pass from which on these are many.  From 6 to 8 on a pass of few-bit weights waits for
 * arithmetic more than for memory on most machines; 12 is where a class of tokens begins (matrix.h), for a class has
 * one kernel, and that is chosen for the threads that run it (lane.h).
 */
#define QN_SHARES_MANY 12

enum qn_shares_work qn_shares_work_of(long n_tokens);

/*
 * [n_threads + 1], ascending from 0: thread i's chunk is units first[i] .. first[i+1]-1 of the
 * first[n_threads] units that one chunk of every thread makes.
 */
const long *qn_shares_first(const struct qn_shares *shares, enum qn_shares_work work);

/* Are times wanted?  They are taken with the clock below and written by each thread, any amount > 0. */
int qn_shares_learns(const struct qn_shares *shares);
int64_t qn_shares_now_ns(const struct qn_shares *shares);
void qn_shares_note(struct qn_shares *shares, int thread, double amount, int64_t ns);

/* Another clock, for tests. */
void qn_shares_set_clock(struct qn_shares *shares, int64_t (*now_ns)(void));

/* Draws conclusions from the notes and clears them; by one thread, while the others rest. */
void qn_shares_learn(struct qn_shares *shares, enum qn_shares_work work);

#endif
