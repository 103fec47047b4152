/* clock.c: readings of the kernel's clocks and of its books about this process. */
#include "clock.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A minor fault costs about 0.5 us: this many are 1 % of the shortest sample, 1 ms. */
#define MANY_FAULTS 16

int64_t clock_read_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_resolution_ns(void)
{
	int64_t best = INT64_MAX, from = clock_read_ns();

	for (int n_steps = 0; n_steps < 100;) {
		int64_t now = clock_read_ns();

		if (now == from)
			continue;
		if (now - from < best)
			best = now - from;
		from = now;
		n_steps++;
	}
	return best;
}

int64_t clock_parse_steal(const char *stat_text)
{
	/* "cpu  user nice system idle iowait irq softirq steal ...", the sum over all cores */
	const char *p = stat_text;
	unsigned long long ticks = 0;

	if (strncmp(p, "cpu ", 4) != 0)
		return -1;
	p += 4;
	for (int field = 0; field < 8; field++) {
		char *end;

		p += strspn(p, " ");
		if (*p < '0' || *p > '9')
			return -1;
		ticks = strtoull(p, &end, 10);
		p = end;
	}
	return ticks <= INT64_MAX ? (int64_t)ticks : -1;
}

static int64_t read_steal(int fd)
{
	char text[256];
	ssize_t n = fd >= 0 ? pread(fd, text, sizeof(text) - 1, 0) : -1;

	if (n <= 0)
		return -1;
	text[n] = 0;
	return clock_parse_steal(text);
}

void clock_watch_open(struct clock_watch *watch)
{
	memset(watch, 0, sizeof(*watch));
	watch->stat_fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
}

void clock_watch_close(struct clock_watch *watch)
{
	if (watch->stat_fd >= 0)
		close(watch->stat_fd);
	watch->stat_fd = -1;
}

void clock_watch_start(struct clock_watch *watch, int stays)
{
	watch->steal = read_steal(watch->stat_fd);
	watch->core = stays ? sched_getcpu() : -1;
	getrusage(RUSAGE_SELF, &watch->usage);
}

unsigned clock_watch_stop(const struct clock_watch *watch)
{
	struct rusage usage;
	unsigned flags = 0;

	getrusage(RUSAGE_SELF, &usage);
	if (usage.ru_nivcsw > watch->usage.ru_nivcsw)
		flags |= PROBE_SWITCHED;
	if (usage.ru_majflt > watch->usage.ru_majflt ||
	    usage.ru_minflt - watch->usage.ru_minflt > MANY_FAULTS)
		flags |= PROBE_FAULTED;
	if (watch->core >= 0 && sched_getcpu() != watch->core)
		flags |= PROBE_MIGRATED;
	if (watch->steal >= 0 && read_steal(watch->stat_fd) > watch->steal)
		flags |= PROBE_STOLEN;
	return flags;
}
