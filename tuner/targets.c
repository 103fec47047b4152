/* targets.c: classes of cores and numbers of threads. */
#include "targets.h"

#include "fail.h"

static int has_number(const struct config_numbers *numbers, long n)
{
	size_t i = 0;

	while (i < numbers->n && numbers->list[i] != n)
		i++;
	return i < numbers->n;
}

static void add_number(struct config_numbers *numbers, long n)
{
	if (has_number(numbers, n))
		return;
	numbers->list = fail_grow(numbers->list, numbers->n, sizeof(*numbers->list));
	numbers->list[numbers->n++] = n;
}

static struct contest_cores *add_cores(struct contest *contest, const struct cores_class *cores)
{
	contest->cores = fail_grow(contest->cores, contest->n_cores, sizeof(*contest->cores));
	contest->cores[contest->n_cores] = (struct contest_cores){.cores = cores};
	return &contest->cores[contest->n_cores++];
}

/* Threads as numbers, "all" replaced, none twice, and no more than can run at a time. */
static int list_threads(const struct targets *in, struct gen_error *err)
{
	struct contest_cores *any = add_cores(in->contest, NULL);

	for (size_t i = 0; i < in->config->threads.n; i++) {
		long n = in->config->threads.list[i];

		if (n == CONFIG_ALL)
			n = in->n_cores;
		if (n > in->n_cores)
			show_say(in->show, "%ld threads are left out: the device has %ld core%s", n,
				 in->n_cores, in->n_cores == 1 ? "" : "s");
		else
			add_number(&any->threads, n);
	}
	return any->threads.n ? 0 : fail_set(err, "no number of threads is left to tune for");
}

/* Has a faster class of the same kind as many threads?  Nothing could tell their winners apart. */
static int is_covered(const struct contest *contest, const struct cores_class *cores, long n)
{
	for (size_t i = 0; i < contest->n_cores; i++) {
		const struct contest_cores *other = &contest->cores[i];

		if (other->cores != cores && other->cores->kind == cores->kind &&
		    has_number(&other->threads, n))
			return 1;
	}
	return 0;
}

/* Threads of a class: as many as it has at most. */
static void list_class_threads(const struct targets *in, const struct cores_class *cores)
{
	struct contest *contest = in->contest;
	struct contest_cores *one = add_cores(contest, cores);

	for (size_t i = 0; i < in->config->threads.n; i++) {
		long n = in->config->threads.list[i];
		char speed[40];

		if (n == CONFIG_ALL || n > cores->n_cpus)
			n = cores->n_cpus;
		if (is_covered(contest, cores, n))
			show_say(in->show,
				 "%ld thread%s on %s%s: left out, for faster cores of that kind "
				 "have as many",
				 n, n == 1 ? "" : "s", cores->name,
				 cores_speed(cores, speed, sizeof(speed)));
		else
			add_number(&one->threads, n);
	}
	if (!one->threads.n)
		contest->n_cores--;
}

int targets_list(const struct targets *in, struct gen_error *err)
{
	const int n = in->cores->n, differ = cores_differ(in->cores) || (n && in->is_pinned);

	if (cores_choose(in->cores, &in->config->cores, in->from, err) < 0)
		return TARGETS_MISUSED;
	if (!differ && in->cores->n == n) /* none was left out? */
		return list_threads(in, err);
	for (int i = 0; i < in->cores->n; i++)
		list_class_threads(in, &in->cores->list[i]);
	return 0;
}
