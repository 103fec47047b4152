/*
 * lane.c: where the threads of each lane are, and their start.
 */
#include "lane.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "topology.h"

/* Where the threads of a lane will be. */
struct placement {
	struct qn_topology topology;   /* of the cpus */
	int cpus[QN_MAX_CPUS], n_cpus; /* 0: wherever the process may be */
	int n_threads, loose;
};

/* purpose: the rest of a sentence that says which threads these are. */
static int list_cpus(struct placement *p, const char *cpus, const char *purpose,
		     struct quern_error *err)
{
	int listed[QN_MAX_CPUS];

	if (!cpus)
		return p->loose ? qn_error_set(err, "loose threads need a list of cpus, such as "
						    "0-3,7")
				: 0;
	p->n_cpus = qn_topology_parse_cpus(cpus, p->cpus, QN_MAX_CPUS);
	if (p->n_cpus < 1)
		return qn_error_set(err, "cpus '%s'%s: must be a list such as 0-3,7", cpus,
				    purpose);
	if (!p->loose)
		return 0;
	memcpy(listed, p->cpus, sizeof listed);
	p->n_cpus = qn_pool_allowed(listed, p->n_cpus, p->cpus);
	return p->n_cpus ? 0
			 : qn_error_set(err,
					"cpus '%s'%s: none is online and allowed for this process",
					cpus, purpose);
}

/* n_threads: 0 for one per cpu. */
static int place_threads(struct placement *p, int n_threads, const char *cpus, const char *purpose,
			 struct quern_error *err)
{
	if (n_threads < 0 || n_threads > QN_MAX_CPUS)
		return qn_error_set(err, "%d threads%s: must be 1 to %d", n_threads, purpose,
				    QN_MAX_CPUS);
	if (list_cpus(p, cpus, purpose, err))
		return -1;
	p->n_threads = n_threads ? n_threads : p->n_cpus;
	if (p->n_cpus && !p->loose && p->n_cpus < p->n_threads)
		return qn_error_set(err, "cpus '%s' are %d, for %d threads%s", cpus, p->n_cpus,
				    p->n_threads, purpose);
	if (p->n_cpus && !p->loose)
		p->n_cpus = p->n_threads; /* no thread is on the others */
	if (p->n_cpus)
		qn_topology_read_cpus(p->cpus, p->n_cpus, &p->topology);
	else
		qn_topology_read(&p->topology);
	if (!p->n_threads)
		p->n_threads = p->topology.n_cores > 0 ? p->topology.n_cores : 1;
	return 0;
}

static int is_same_placement(const struct placement *a, const struct placement *b)
{
	return a->n_threads == b->n_threads && a->n_cpus == b->n_cpus &&
	       !memcmp(a->cpus, b->cpus, (size_t)a->n_cpus * sizeof *a->cpus);
}

static int start_lane(struct qn_lane **out, const struct placement *p, int spin_us,
		      struct quern_error *err)
{
	const struct qn_pool_cpus cpus = {p->cpus, p->n_cpus, p->loose};
	struct qn_core_class fastest;
	struct qn_lane *lane = *out = calloc(1, sizeof *lane);
	int speeds[QN_MAX_CPUS], differ;

	if (!lane)
		return qn_error_set(err, "no memory for an engine");
	qn_topology_class(&p->topology, 0, &fastest);
	lane->core = fastest.first.kind;
	lane->n_threads = p->n_threads;
	differ = qn_topology_speeds(&p->topology, p->n_cpus && !p->loose ? p->cpus : NULL,
				    p->n_threads, speeds);
	lane->shares = qn_shares_open(p->n_threads, differ ? speeds : NULL);
	if (!lane->shares)
		return qn_error_set(err, "no memory for an engine");
	return qn_pool_open(&lane->pool, p->n_threads, p->n_cpus ? &cpus : NULL,
			    spin_us ? spin_us : 50, err);
}

int qn_lane_open(struct qn_lane *lanes[QN_SHARES_N_WORKS], const struct quern_options *o,
		 uint32_t *features, struct quern_error *err)
{
	const char *cpus = o->prompt_cpus ? o->prompt_cpus : o->cpus;
	struct placement few = {.loose = o->loose != 0}, many = few;

	lanes[QN_SHARES_FEW_TOKENS] = lanes[QN_SHARES_MANY_TOKENS] = NULL;
	if (place_threads(&few, o->n_threads, o->cpus, "", err))
		return -1;
	if (!o->n_prompt_threads && !o->prompt_cpus)
		many = few;
	else if (place_threads(&many, o->n_prompt_threads, cpus, " for prompts", err))
		return -1;
	*features = qn_topology_features(&few.topology) & qn_topology_features(&many.topology);
	if (start_lane(&lanes[QN_SHARES_FEW_TOKENS], &few, o->spin_us, err))
		return -1;
	if (!is_same_placement(&few, &many))
		return start_lane(&lanes[QN_SHARES_MANY_TOKENS], &many, o->spin_us, err);
	lanes[QN_SHARES_MANY_TOKENS] = lanes[QN_SHARES_FEW_TOKENS];
	return 0;
}

struct qn_lane *qn_lane_wider(struct qn_lane *const lanes[QN_SHARES_N_WORKS])
{
	struct qn_lane *few = lanes[QN_SHARES_FEW_TOKENS], *many = lanes[QN_SHARES_MANY_TOKENS];

	return many->n_threads > few->n_threads ? many : few;
}

void qn_lane_close(struct qn_lane *lanes[QN_SHARES_N_WORKS])
{
	if (lanes[QN_SHARES_MANY_TOKENS] == lanes[QN_SHARES_FEW_TOKENS])
		lanes[QN_SHARES_MANY_TOKENS] = NULL;
	for (int i = 0; i < QN_SHARES_N_WORKS; i++) {
		if (!lanes[i])
			continue;
		qn_pool_close(lanes[i]->pool);
		qn_shares_close(lanes[i]->shares);
		free(lanes[i]);
		lanes[i] = NULL;
	}
}
