/*
 * lane.h: the threads that passes of few tokens run on, and those that passes of many run on.
 *
 * Generating waits for memory, which a few big cores have for themselves; reading prompts is
 * arithmetic, to which every core adds.  Where the same threads do both there is one lane.
 */
#ifndef QN_LANE_H
#define QN_LANE_H

#include "pool.h"
#include "shares.h"

struct qn_lane {
	struct qn_pool *pool;
	struct qn_shares *shares;
	int n_threads;
	uint32_t core; /* kind of the fastest of its cores, see cpu.h */
};

/*
 * Starts the threads of options into lanes, by the work that they are for; both are the same lane where nothing
 * differs.  *features gets what all cores of both can run.  After -1, too, they are to be closed.
 */
int qn_lane_open(struct qn_lane *lanes[QN_SHARES_N_WORKS], const struct quern_options *options,
		 uint32_t *features, struct quern_error *err);
/* The lane with more threads, for work on all weights. */
struct qn_lane *qn_lane_wider(struct qn_lane *const lanes[QN_SHARES_N_WORKS]);

void qn_lane_close(struct qn_lane *lanes[QN_SHARES_N_WORKS]);

#endif
