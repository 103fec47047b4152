/* models.c: the table of cores. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "models.h"

/*
 * The A55's model takes 6 cycles for a pair of 16-byte loads and 1 for each of two single ones; the
 * core takes 1 for either half.
 */
#define PAIRS "pairs of 16-byte loads are counted as two loads"

static const struct model models[] = {
	{"cortex-a53", "cortex-a53", "neon", "in order", 0, ASSEMBLY_AARCH64},
	{"cortex-a55", "cortex-a55", "neon dotprod", "in order; " PAIRS, 1, ASSEMBLY_AARCH64},
	{"cortex-a76", "neoverse-n1", "neon dotprod", "the N1's model stands in", 0,
	 ASSEMBLY_AARCH64},
	{"cortex-a78", "neoverse-n1", "neon dotprod", "the N1's model stands in", 0,
	 ASSEMBLY_AARCH64},
	{"cortex-a715", "neoverse-n2", "neon dotprod i8mm sve sve2 sve128",
	 "the N2's model stands in", 0, ASSEMBLY_AARCH64},
	{"cortex-a720", "neoverse-n2", "neon dotprod i8mm sve sve2 sve128",
	 "the N2's model stands in", 0, ASSEMBLY_AARCH64},
	{"cortex-x3", "neoverse-v2", "neon dotprod i8mm sve sve2 sve128",
	 "the V2's model stands in", 0, ASSEMBLY_AARCH64},
	{"cortex-x4", "neoverse-v2", "neon dotprod i8mm sve sve2 sve128",
	 "the V2's model stands in", 0, ASSEMBLY_AARCH64},
	{"neoverse-n1", "neoverse-n1", "neon dotprod", "", 0, ASSEMBLY_AARCH64},
	{"neoverse-n2", "neoverse-n2", "neon dotprod i8mm sve sve2 sve128", "", 0,
	 ASSEMBLY_AARCH64},
	{"neoverse-v1", "neoverse-v1", "neon dotprod i8mm sve sve256", "", 0, ASSEMBLY_AARCH64},
	{"neoverse-v2", "neoverse-v2", "neon dotprod i8mm sve sve2 sve128", "", 0,
	 ASSEMBLY_AARCH64},
	{0},
};

const struct model *models_all(void)
{
	return models;
}

const struct model *models_find(const char *core)
{
	for (const struct model *model = models; model->core; model++) {
		if (!strcmp(model->core, core))
			return model;
	}
	return NULL;
}

const char *models_names(void)
{
	static char names[400];
	size_t at = 0;

	for (const struct model *model = models; model->core && at < sizeof(names); model++)
		at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", at ? ", " : "",
				       model->core);
	return names;
}

/* "ldp q0, q1, [x0, 32]": as "ldr q1, [x0]" and "ldr q0, [x0]", each with what it does to x0. */
static int put_split(FILE *out, const char *line, size_t n)
{
	char first[8], second[8], base[8], tail[48];
	int at = 0;

	if (n >= 128 ||
	    sscanf(line, "ldp q%7[0-9] , q%7[0-9] , [ %7[a-z0-9]%n", first, second, base, &at) !=
		    3 ||
	    !at)
		return 0;
	snprintf(tail, sizeof(tail), "%.*s", (int)(n - (size_t)at), line + at);
	fprintf(out, "ldr q%s, [%s]\n", second, base);
	if (strchr(tail, '!')) /* the address is written back */
		fprintf(out, "ldr q%s, [%s, 16]!\n", first, base);
	else if (strstr(tail, "],"))
		fprintf(out, "ldr q%s, [%s], 16\n", first, base);
	else
		fprintf(out, "ldr q%s, [%s]\n", first, base);
	return 1;
}

char *models_rewrite(const struct model *model, const char *text)
{
	char *copy;
	size_t n_bytes;
	FILE *out;

	if (!model->split_pairs)
		return fail_text("%s", text);
	out = fail_check(open_memstream(&copy, &n_bytes));
	while (*text) {
		size_t n = strcspn(text, "\n");

		if (!put_split(out, text, n))
			fprintf(out, "%.*s\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
	fclose(out);
	return fail_check(copy);
}
