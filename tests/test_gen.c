/*
 * test_gen.c: the generator on its real families: spaces, points, keys and mutated keys.
 */
#include "gen/gen.h"
#include "mutate.h"
#include "scratch.h"

static char *home;

/* ---- spaces ---- */

static void check_emission(struct gen *gen, const struct gen_point *point)
{
	struct gen_error err;
	char *first = gen_emit(gen, point->key, &err), *second = gen_emit(gen, point->key, &err);

	if (!check_that(first && second, __FILE__, __LINE__, first ? point->name : err.text))
		return;
	CHECK(strcmp(first, second) == 0);
	CHECK(strstr(first, point->name) != NULL && !strstr(first, "${"));
	free(first);
	free(second);
}

/*
 * The same kernels by clang follow those by default, whose names and keys do not tell of compilers.
 * Portable kernels have no such choice.
 */
static void check_twin(struct gen_space *space, const struct gen_point *point)
{
	const long n = gen_space_count_default(space);
	struct gen_point twin;
	struct gen_error err;
	char key[600];
	long other;

	CHECK(point->compiler == GEN_DEFAULT && !strstr(point->key, "COMPILER"));
	snprintf(key, sizeof(key), "%s COMPILER=clang", point->key);
	other = gen_space_find(space, key, &err);
	if (strstr(point->key, "isa=scalar") || strlen(point->name) + 2 > 48) {
		CHECK(other == -1);
		return;
	}
	if (!CHECK(other >= n && gen_space_point(space, other, &twin, &err) == 0))
		return;
	CHECK(twin.compiler == GEN_CLANG && strstr(twin.key, " COMPILER=clang "));
	CHECK(strlen(twin.name) == strlen(point->name) + 2 && strstr(twin.name, "yc"));
	CHECK(!strncmp(twin.name, point->name, strlen(point->name)));
	CHECK(!strcmp(twin.layout, point->layout));
	CHECK(gen_space_find(space, twin.key, &err) == other);
}

/* Checks one space and returns how many kernels it has. */
static long check_space(struct gen *gen, const char *family, const char *format, const char *isa,
			long n_tokens)
{
	struct gen_error err;
	struct gen_space *space =
		gen_space_open(gen, family, format, "a8g32", isa, n_tokens, 0, 1, &err);
	struct gen_point point;
	long n, n_default;

	if (!check_that(space != NULL, __FILE__, __LINE__, err.text))
		return 0;
	n = gen_space_count(space);
	n_default = gen_space_count_default(space);
	CHECK(n_default >= 0 && n >= n_default && n <= 2 * n_default);
	for (long i = 0; i < n; i += 1 + n / 200) {
		if (!CHECK(gen_space_point(space, i, &point, &err) == 0))
			break;
		CHECK(strlen(point.name) <= 48);
		CHECK(strstr(point.key, format) && strstr(point.key, isa));
		CHECK(gen_space_find(space, point.key, &err) == i);
		if (i < n_default)
			check_twin(space, &point);
		if (i == 0 || i > n - 1 - (1 + n / 200))
			check_emission(gen, &point);
	}
	CHECK(gen_space_point(space, n, &point, &err) < 0);
	CHECK(gen_space_point(space, -1, &point, &err) < 0);
	CHECK(gen_space_find(space, "family=none", &err) == -1 && *err.text);
	gen_space_close(space);
	return n_default;
}

static void check_spaces(struct gen *gen)
{
	const char *const *families = gen_families(gen), *const *formats = gen_formats(gen);
	const char *const *isas = gen_isas(gen);
	long total = 0;

	CHECK(families[0] && formats[0] && isas[0] && !strcmp(gen_acts(gen)[0], "a8g32"));
	for (int f = 0; families[f]; f++) {
		for (int w = 0; formats[w]; w++) {
			for (int i = 0; isas[i]; i++) {
				static const long tokens[] = {6, 512};
				long n = check_space(gen, families[f], formats[w], isas[i], 1);

				/* More tokens make large spaces: one here and there. */
				if ((w + 5 * i) % 12 == 0)
					check_space(gen, families[f], formats[w], isas[i],
						    tokens[w % 2]);
				if (!strcmp(isas[i], "scalar") || !strcmp(isas[i], "avx2") ||
				    !strcmp(isas[i], "avx512"))
					total += n;
			}
		}
	}
	CHECK(total >= 1000);
}

/* Without a second compiler a space is what it was; keys may say COMPILER=default all the same. */
static void check_compilers(struct gen *gen)
{
	static const char head[] = "family=dot format=w4g32 act=a8g32 isa=";
	static const char tail[] = "KU=1 NT=1 PF=0 RG=1 RV=2";
	struct gen_error err;
	struct gen_space *space =
		gen_space_open(gen, "dot", "w4g32", "a8g32", "avx2", 1, 0, 0, &err);
	char key[256], *text, *other;
	long index;

	if (!check_that(space != NULL, __FILE__, __LINE__, err.text))
		return;
	CHECK(gen_space_count(space) == gen_space_count_default(space));
	snprintf(key, sizeof key, "%savx2 %s UNPACK=shift", head, tail);
	index = gen_space_find(space, key, &err);
	text = gen_emit(gen, key, &err);
	snprintf(key, sizeof key, "%savx2 COMPILER=default %s UNPACK=shift", head, tail);
	CHECK(index >= 0 && gen_space_find(space, key, &err) == index);
	other = gen_emit(gen, key, &err);
	CHECK(text && other && !strcmp(text, other));
	free(text);
	free(other);
	snprintf(key, sizeof key, "%savx2 COMPILER=clang %s UNPACK=shift", head, tail);
	CHECK(gen_space_find(space, key, &err) < 0 && strstr(err.text, "is not a point of"));
	text = gen_emit(gen, key, &err);
	CHECK(text && strstr(text, "qn_kernel_dot_w4g32_a8g32_avx2_r2g1k1p0n1yc ="));
	free(text);
	snprintf(key, sizeof key, "%savx2 COMPILER=icc %s UNPACK=shift", head, tail);
	CHECK(!gen_emit(gen, key, &err) && strstr(err.text, "one of default, clang"));
	snprintf(key, sizeof key, "%sscalar COMPILER=clang %s UNPACK=shift", head, tail);
	CHECK(!gen_emit(gen, key, &err) && strstr(err.text, "COMPILER=clang is not legal"));
	gen_space_close(space);
}

static void check_isas(struct gen *gen)
{
	struct gen_error err;
	struct gen_isa isa;

	for (int i = 0; gen_isas(gen)[i]; i++) {
		const char *name = gen_isas(gen)[i];
		char *first = gen_emit_isa(gen, name, &err);
		char *second = gen_emit_isa(gen, name, &err);

		CHECK(gen_isa(gen, name, &isa, &err) == 0 && strcmp(isa.name, name) == 0);
		CHECK(*isa.arch && (!*isa.flags || isa.flags[0] == '-'));
		CHECK(first && second && strcmp(first, second) == 0);
		free(first);
		free(second);
	}
	CHECK(gen_isa(gen, "mmx", &isa, &err) < 0 && strstr(err.text, "mmx"));
	CHECK(!gen_emit_isa(gen, "mmx", &err) && strstr(err.text, "mmx"));
}

static void check_refusals(struct gen *gen)
{
	static const char *const keys[] = {
		"",
		"x",
		"=",
		"family=dot",
		"KU=1 KU=2",
		"family=none format=w4g32 act=a8g32 isa=scalar",
		"family=dot format=w5g99 act=a8g32 isa=scalar KU=1",
		"family=dot format=w4g32 act=a8g32 isa=scalar KU=99999999999999999999",
	};
	static const char *const spaces[4][4] = {
		/* the i-th is wrong in its i-th name */
		{"none", "w4g32", "a8g32", "scalar"},
		{"dot", "w5g99", "a8g32", "scalar"},
		{"dot", "w4g32", "a4", "scalar"},
		{"dot", "w4g32", "a8g32", "mmx"},
	};
	const char *no_keys[] = {"family=dot"};
	struct gen_error err;

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		*err.text = '\0';
		CHECK(!gen_emit(gen, keys[i], &err) && *err.text && !strchr(err.text, '\n'));
	}
	CHECK(!gen_emit_registry(gen, no_keys, 1, &err) && *err.text);
	for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
		const char *const *name = spaces[i];

		CHECK(!gen_space_open(gen, name[0], name[1], name[2], name[3], 1, 0, 0, &err));
		CHECK(strstr(err.text, name[i]) != NULL);
	}
}

/* Lossy points only where they are asked for. */
static void check_lossy_spaces(struct gen *gen)
{
	struct gen_space *exact, *all;
	struct gen_error err;
	struct gen_point point;
	long n_lossy = 0;

	exact = gen_space_open(gen, "lut", "w1g128", "a8g32", "avx2", 1, 0, 0, &err);
	all = gen_space_open(gen, "lut", "w1g128", "a8g32", "avx2", 1, 1, 0, &err);
	CHECK(exact && all && gen_space_count(all) == 4 * gen_space_count(exact));
	for (long i = 0; all && i < gen_space_count(all); i++) {
		CHECK(gen_space_point(all, i, &point, &err) == 0);
		CHECK(point.is_lossy == (strstr(point.key, " ADDS=") != NULL));
		n_lossy += point.is_lossy;
		CHECK((gen_space_find(exact, point.key, &err) < 0) == point.is_lossy);
	}
	CHECK(all && n_lossy == 3 * gen_space_count(exact));
	gen_space_close(exact);
	gen_space_close(all);
	exact = gen_space_open(gen, "lut", "w1g128", "a8r", "avx2", 1, 1, 0, &err);
	CHECK(exact && gen_space_count(exact) > 0);
	for (long i = 0; exact && i < gen_space_count(exact); i++)
		CHECK(gen_space_point(exact, i, &point, &err) == 0 && !point.is_lossy);
	gen_space_close(exact);
}

static void check_key_mutants(struct gen *gen)
{
	struct gen_error err;
	struct gen_space *space =
		gen_space_open(gen, "dot", "w4g32", "a8g32", "scalar", 1, 0, 0, &err);
	struct gen_point point;
	long n = space ? gen_space_count(space) : 0;

	for (uint64_t seed = 1; seed <= N_MUTANTS && CHECK(n > 0); seed++) {
		uint64_t state = seed;
		char key[4096];
		long found, index = (long)(check_random(&state) % (uint64_t)n);

		CHECK(gen_space_point(space, index, &point, &err) == 0);
		strcpy(key, point.key);
		mutate(key, &state);
		*err.text = '\0';
		found = gen_space_find(space, key, &err);
		check_that(found < 0 ? *err.text != '\0' : found < n, __FILE__, (int)seed, key);
		if (seed % 4 == 0) {
			char *text = gen_emit(gen, key, &err);

			check_that(text ? strstr(text, "Generated") != NULL : *err.text != '\0',
				   __FILE__, (int)seed, key);
			free(text);
		}
	}
	gen_space_close(space);
}

/* A key with gaps gets what the family has by default, as a whole key would say it. */
static void check_completion(struct gen *gen)
{
	static const char head[] = "family=dot format=w4g32 act=a8g32 isa=neon";
	static const struct {
		const char *key, *why;
	} bad[] = {
		{"", "needs 'family'"},
		{"family=dot format=w4g32 act=a8g32", "needs 'isa'"},
		{"family=dot format=w4g32 act=a8g32 isa=none", "isa 'none'"},
		{"family=lut format=w2g16zk act=a8g32 isa=neon", "no lut kernel of w2g16zk"},
		{"family=dot format=w4g32 act=a8g32 isa=neon KU=3", "KU=3 is not legal"},
		{"family=dot format=w4g32 act=a8g32 isa=neon XX=3", "no parameter XX"},
		{"family=dot family", "'family' in a kernel's key is not name=value"},
	};
	struct gen_point whole, some, again;
	struct gen_error err;
	char key[600];

	if (!check_that(gen_complete(gen, head, &whole, &err) == 0, __FILE__, __LINE__, err.text))
		return;
	CHECK(!strncmp(whole.key, head, sizeof head - 1) && strstr(whole.key, " NT=1"));
	CHECK(whole.n_tokens == 1 && !whole.is_lossy && whole.compiler == GEN_DEFAULT);
	snprintf(key, sizeof key, "%s NT=4 COMPILER=clang", head);
	CHECK(gen_complete(gen, key, &some, &err) == 0 && some.n_tokens == 4);
	CHECK(some.compiler == GEN_CLANG && strcmp(some.name, whole.name));
	CHECK(gen_complete(gen, some.key, &again, &err) == 0);
	CHECK(!strcmp(again.key, some.key) && !strcmp(again.name, some.name));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (CHECK(gen_complete(gen, bad[i].key, &some, &err) < 0))
			CHECK_SAYS(err.text, bad[i].why);
	}
}

int main(void)
{
	char work[64];
	struct gen_error err;
	struct gen *gen;

	home = scratch_open_home(work, "QUERN_HOME");
	if (!CHECK(home))
		return check_exit();
	gen = gen_open(home, &err);
	if (check_that(gen != NULL, __FILE__, __LINE__, err.text)) {
		check_spaces(gen);
		check_compilers(gen);
		check_lossy_spaces(gen);
		check_isas(gen);
		check_refusals(gen);
		check_key_mutants(gen);
		check_completion(gen);
	}
	gen_close(gen);
	gen_close(NULL);
	scratch_remove_tree(work);
	free(home);
	return check_exit();
}
