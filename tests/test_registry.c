/*
 * test_registry.c: results and configs -> the C files of a runtime; mutated results.
 */
#include "gen/gen.h"
#include "mutate.h"
#include "scratch.h"

static char *home;

/* Appends "{family: dot, format: w4g32, ...}". */
static char *append_point(char *end, const char *key)
{
	*end++ = '{';
	for (; *key; key++)
		end += sprintf(end, *key == '=' ? ": " : *key == ' ' ? ", " : "%c", *key);
	return end + sprintf(end, "}\n");
}

/* A results file that names the first point of two spaces. */
static char *make_results(struct gen *gen)
{
	static const char *const spaces[][2] = {{"w4g32", "scalar"}, {"w2g64", "avx2"}};
	char *text = calloc(1, 4096), *end = text;

	end += sprintf(end, "quern: results\nschema: 1\nentries:\n");
	for (int i = 0; i < 2; i++) {
		struct gen_error err;
		struct gen_point point = {0};
		struct gen_space *space = gen_space_open(gen, "dot", spaces[i][0], "a8g32",
							 spaces[i][1], 1, 0, 0, &err);

		CHECK(space && gen_space_point(space, 0, &point, &err) == 0);
		gen_space_close(space);
		end += sprintf(end,
			       "- format: %s\n  m: 4096\n  k: 4096\n  n: 1\n  threads: %d\n"
			       "  point: ",
			       spaces[i][0], i + 1);
		end = append_point(end, point.key);
	}
	return text;
}

static int write_one(struct gen *gen, const char *path, const char *dir, struct gen_error *err)
{
	*err->text = '\0';
	return gen_write(gen, &path, 1, dir, NULL, err);
}

/* Sums what identifies the files of a folder and their times. */
static uint64_t sum_folder(const char *path, int *n_files)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	uint64_t sum = 0;

	*n_files = 0;
	while (CHECK(folder != NULL) && (entry = readdir(folder))) {
		struct stat info;

		if (entry->d_name[0] == '.' || fstatat(dirfd(folder), entry->d_name, &info, 0) < 0)
			continue;
		sum += (uint64_t)info.st_ino * 31 + (uint64_t)info.st_mtim.tv_sec * 1000000007 +
		       (uint64_t)info.st_mtim.tv_nsec;
		++*n_files;
	}
	if (folder)
		closedir(folder);
	return sum;
}

static void check_writing(struct gen *gen)
{
	static const char *const expected[] = {
		"out/deep/kernels.c",
		"out/deep/kernels.mk",
		"out/deep/isa_scalar.c",
		"out/deep/isa_avx2.c",
		"out/deep/floats_scalar.c",
		"out/deep/floats_avx2.c",
		/* Nobody asked for it, but w2g64 must run anywhere. */
		"out/deep/kernel_dot_w2g64_a8g32_scalar_r2g1k1p0n1.c",
	};
	struct gen_error err;
	struct gen *other = gen_open(home, &err);
	char *results = make_results(gen);
	size_t n_written, n_unchanged;
	uint64_t sum;
	int n_files, n_again;
	char own[64];

	scratch_write_text("r.yaml", results);
	free(results);
	check_that(write_one(gen, "r.yaml", "out/deep", &err) == 0, __FILE__, __LINE__, err.text);
	gen_written(gen, &n_written, &n_unchanged);
	sum = sum_folder("out/deep", &n_files);
	CHECK(n_files == 9 && n_written == 9 && n_unchanged == 0);
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
		CHECK(access(expected[i], R_OK) == 0);

	/* A second generator has other hash seeds: an order that leaks from a table shows. */
	CHECK(other && write_one(other, "r.yaml", "out/deep/", &err) == 0);
	gen_written(other, &n_written, &n_unchanged);
	CHECK(n_written == 0 && n_unchanged == 9);
	CHECK(sum_folder("out/deep", &n_again) == sum && n_again == 9);

	scratch_write_text("out/deep/kernel_old.c", "old\n");
	scratch_write_text("out/deep/isa_old.c", "old\n");
	scratch_write_text("out/deep/floats_old.c", "old\n");
	scratch_write_text("out/deep/notes.txt", "mine\n");
	scratch_write_text("out/deep/kernels.mk", "half of i");
	scratch_write_text("out/deep/.kernels.mk.2000000000", "half of i"); /* beyond any pid */
	snprintf(own, sizeof own, "out/deep/.kernels.mk.%ld", (long)getppid());
	scratch_write_text(own, "being written");
	CHECK(write_one(other, "r.yaml", "out/deep", &err) == 0);
	gen_written(other, &n_written, &n_unchanged);
	CHECK(n_written == 1 && n_unchanged == 8);
	CHECK(access("out/deep/kernel_old.c", F_OK) < 0);
	CHECK(access("out/deep/isa_old.c", F_OK) < 0);
	CHECK(access("out/deep/floats_old.c", F_OK) < 0);
	CHECK(access("out/deep/notes.txt", F_OK) == 0);
	CHECK(access("out/deep/.kernels.mk.2000000000", F_OK) < 0 && access(own, F_OK) == 0);
	gen_close(other);
}

/* The library of a results file with these entries, in layouts. */
static int write_layouts(struct gen *gen, const char *entries, struct gen_error *err)
{
	const char *path = "layouts.yaml";
	char *text;

	if (asprintf(&text, "quern: results\nschema: 1\nentries:\n%s", entries) < 0)
		return -1;
	scratch_write_text(path, text);
	free(text);
	return gen_write(gen, &path, 1, "layouts", NULL, err);
}

static void make_layouts(struct gen *gen, const char *entries)
{
	struct gen_error err = {"out of memory"};

	check_that(write_layouts(gen, entries, &err) == 0, __FILE__, __LINE__, err.text);
}

/* What was measured for many tokens reads the panels of its shape's winner for one. */
static void check_layouts(struct gen *gen)
{
	struct gen_error err;

	make_layouts(
		gen,
		"- {format: w4g32, m: 64, k: 64, n: 1, threads: 1, point: {family: dot, format: w4g32, "
		"act: a8g32, isa: avx2, KU: 1, NT: 1, PF: 0, RG: 1, RV: 2, UNPACK: shift}}\n"
		"- {format: w4g32, m: 64, k: 64, n: 256, threads: 1, point: {family: gemm, "
		"format: w4g32, act: a8g32, isa: avx2, KC: 512, NT: 4, ORDER: rows, PART: 0, PG: 1, "
		"RG: 2, RV: 4, UNPACK: shift}}\n");
	CHECK(access("layouts/kernel_gemm_w4g32_a8g32_avx2_r2g2n4k512m1or.c", F_OK) == 0);
	CHECK(access("layouts/kernel_gemm_w4g32_a8g32_avx2_r4g2n4k512m1or.c", F_OK) < 0);

	/* What is shipped goes before the winner. */
	make_layouts(
		gen,
		"- {format: w4g32, m: 64, k: 64, n: 1, threads: 1, shipped: dot_w4g32_a8g32_avx2_r8g1k1p0n1, "
		"point: {family: dot, format: w4g32, act: a8g32, isa: avx2, KU: 1, NT: 1, PF: 0, RG: 1, "
		"RV: 2, UNPACK: shift}, finalists: [{kernel: dot_w4g32_a8g32_avx2_r8g1k1p0n1, ratio: 1.01, "
		"point: {family: dot, format: w4g32, act: a8g32, isa: avx2, KU: 1, NT: 1, PF: 0, RG: 1, "
		"RV: 8, UNPACK: shift}}]}\n"
		"- {format: w4g32, m: 64, k: 64, n: 256, threads: 1, point: {family: gemm, "
		"format: w4g32, act: a8g32, isa: avx2, KC: 512, NT: 4, ORDER: rows, PART: 0, PG: 1, "
		"RG: 2, RV: 8, UNPACK: shift}}\n");
	CHECK(access("layouts/kernel_dot_w4g32_a8g32_avx2_r8g1k1p0n1.c", F_OK) == 0);
	CHECK(access("layouts/kernel_dot_w4g32_a8g32_avx2_r2g1k1p0n1.c", F_OK) < 0);
	CHECK(access("layouts/kernel_gemm_w4g32_a8g32_avx2_r8g2n4k512m1or.c", F_OK) == 0);
	CHECK(write_layouts(
		      gen,
		      "- {format: w4g32, m: 64, k: 64, n: 1, threads: 1, shipped: dot, point: {family: dot, "
		      "format: w4g32, act: a8g32, isa: avx2, KU: 1, NT: 1, PF: 0, RG: 1, RV: 2, UNPACK: shift}}\n",
		      &err) < 0);
	CHECK(strstr(err.text, "layouts.yaml:4: shipped 'dot' is none of the entry's finalists"));

	/* One that reads them already stays what it is. */
	make_layouts(
		gen,
		"- {format: w4g32, m: 64, k: 64, n: 1, threads: 1, point: {family: dot, format: w4g32, "
		"act: a8g32, isa: avx2, KU: 1, NT: 1, PF: 0, RG: 1, RV: 8, UNPACK: shift}}\n"
		"- {format: w4g32, m: 64, k: 64, n: 256, threads: 1, point: {family: gemm, "
		"format: w4g32, act: a8g32, isa: avx2, KC: 4096, NT: 4, ORDER: rows, PART: 0, PG: 1, "
		"RG: 2, RV: 8, UNPACK: shift}}\n");
	CHECK(access("layouts/kernel_gemm_w4g32_a8g32_avx2_r8g2n4k4096m1or.c", F_OK) == 0);

	/* Nothing for many tokens reads its panels: a winner for one token is no use. */
	make_layouts(
		gen,
		"- {format: wtgr, m: 64, k: 64, n: 1, threads: 1, point: {family: lut, format: wtgr, "
		"act: a8g32, isa: avx512, ADJ: 4, KU: 1, NT: 1, PF: 0, RV: 2}}\n"
		"- {format: wtgr, default: true, n: 1, point: {family: dot, format: wtgr, act: a8g32, "
		"isa: avx512, KU: 1, NT: 1, PACK: bits, PF: 0, RG: 1, RV: 2, UNPACK: shift}}\n"
		"- {format: wtgr, default: true, n: 4, point: {family: dot, format: wtgr, act: a8g32, "
		"isa: avx512, KU: 1, NT: 4, PACK: bits, PF: 0, RG: 1, RV: 2, UNPACK: shift}}\n");
	CHECK(access("layouts/kernel_lut_wtgr_a8g32_avx512_r2k1p0n1a4.c", F_OK) < 0);
	CHECK(access("layouts/kernel_dot_wtgr_a8g32_avx512_r2g1k1p0n4uscb.c", F_OK) == 0);
}

#define DOT4(n, rest, nt, rv) \
	"- {format: w4g32, n: " n ", " rest ", point: {family: dot, format: w4g32, act: a8g32, " \
	"isa: avx2, KU: 1, NT: " nt ", PF: 0, RG: 1, RV: " rv ", UNPACK: shift}}\n"

#define CASE(rest, rv) \
	"quern: results\nschema: 1\nentries:\n- {format: w4g32, m: 64, k: 64, n: 1, threads: 1, " rest \
	"point: {family: dot, format: w4g32, act: a8g32, isa: neon, KU: 1, NT: 1, PF: 0, RG: 1, " \
	"RV: " rv ", UNPACK: shift}}\n"

/* A measured winner beats an estimated one, whatever the order; of two estimates the later one wins. */
static void check_estimates(struct gen *gen)
{
	static const char *const orders[][2] = {{"m.yaml", "e.yaml"}, {"e.yaml", "m.yaml"}};
	static const char *const estimates[] = {"e.yaml", "e2.yaml"};
	struct gen_error err;

	scratch_write_text("m.yaml", CASE("median_us: 5, ", "2"));
	scratch_write_text("e.yaml", CASE("estimated: {cycles_per_weight: 0.1}, ", "4"));
	scratch_write_text("e2.yaml", CASE("estimated: {cycles_per_weight: 0.2}, ", "8"));
	for (int i = 0; i < 2; i++) {
		check_that(gen_write(gen, orders[i], 2, i ? "em" : "me", NULL, &err) == 0, __FILE__,
			   __LINE__, err.text);
		CHECK(access(i ? "em/kernel_dot_w4g32_a8g32_neon_r2g1k1p0n1.c"
			       : "me/kernel_dot_w4g32_a8g32_neon_r2g1k1p0n1.c",
			     F_OK) == 0);
		CHECK(access(i ? "em/kernel_dot_w4g32_a8g32_neon_r4g1k1p0n1.c"
			       : "me/kernel_dot_w4g32_a8g32_neon_r4g1k1p0n1.c",
			     F_OK) < 0);
	}
	CHECK(gen_write(gen, estimates, 2, "ee", NULL, &err) == 0);
	CHECK(access("ee/kernel_dot_w4g32_a8g32_neon_r8g1k1p0n1.c", F_OK) == 0);
	CHECK(access("ee/kernel_dot_w4g32_a8g32_neon_r4g1k1p0n1.c", F_OK) < 0);
}

/* Defaults that no number of tokens would take are left out. */
static void check_needed(struct gen *gen)
{
	const char *path = "needed.yaml";
	struct gen_error err;

	scratch_write_text(path,
			   "quern: results\nschema: 1\nentries:\n" DOT4("1", "default: true", "1",
									"2")
				   DOT4("2", "default: true", "2", "2") DOT4("64", "default: true",
									     "4", "2")
					   DOT4("1", "m: 64, k: 64, threads: 1", "1", "4")
						   DOT4("4", "m: 64, k: 64, threads: 1", "3", "4"));
	check_that(gen_write(gen, &path, 1, "needed", NULL, &err) == 0, __FILE__, __LINE__,
		   err.text);
	CHECK(access("needed/kernel_dot_w4g32_a8g32_avx2_r4g1k1p0n1.c", F_OK) == 0);
	CHECK(access("needed/kernel_dot_w4g32_a8g32_avx2_r4g1k1p0n3.c", F_OK) == 0);
	CHECK(access("needed/kernel_dot_w4g32_a8g32_avx2_r4g1k1p0n4.c", F_OK) == 0);
	CHECK(access("needed/kernel_dot_w4g32_a8g32_avx2_r4g1k1p0n2.c", F_OK) < 0);
	CHECK(access("needed/kernel_dot_w4g32_a8g32_avx2_r2g1k1p0n1.c", F_OK) < 0);
}

#define LOSSY(m, us, nmse, rv, adds) \
	"- {format: w1g128, m: " m ", k: 64, n: 1, threads: 1, median_us: " us nmse ", point: " \
	"{family: lut, format: w1g128, act: a8g32, isa: avx512, ADJ: 4, KU: 1, NT: 1, PF: 0, " \
	"RV: " rv adds "}}\n"

/* A lossy winner stays beside the exact one of its case, when it is faster. */
static void check_lossy(struct gen *gen)
{
	const char *path = "lossy.yaml";
	struct gen_error err;
	char *text;

	scratch_write_text(path,
			   "quern: results\nschema: 1\nentries:\n" LOSSY("64", "9", "", "2", "")
				   LOSSY("64", "8", ", nmse: 7e-5", "2",
					 ", ADDS: 1") LOSSY("99", "9", "", "4", "")
					   LOSSY("99", "9.5", ", nmse: 7e-5", "4", ", ADDS: 1"));
	check_that(gen_write(gen, &path, 1, "lossy", NULL, &err) == 0, __FILE__, __LINE__,
		   err.text);
	CHECK(access("lossy/kernel_lut_w1g128_a8g32_avx512_r2k1p0n1a4.c", F_OK) == 0);
	CHECK(access("lossy/kernel_lut_w1g128_a8g32_avx512_r2k1p0n1a4q1.c", F_OK) == 0);
	CHECK(access("lossy/kernel_lut_w1g128_a8g32_avx512_r4k1p0n1a4q1.c", F_OK) < 0);
	text = scratch_read_text("lossy/kernels.c");
	CHECK(text && strstr(text, "QN_A8G32, 7e-05, 0 }"));
	free(text);

	scratch_write_text(path, "quern: results\nschema: 1\nentries:\n" LOSSY("64", "8", "", "2",
									       ", ADDS: 1"));
	CHECK(gen_write(gen, &path, 1, "lossy", NULL, &err) < 0 && strstr(err.text, "nmse"));
}

/* kernels.mk tells what clang compiles, also where a winner is put into another one's layout. */
static void check_clang_results(struct gen *gen)
{
	const char *path = "clang.yaml";
	struct gen_error err;
	char *text;

	scratch_write_text(
		path,
		"quern: results\nschema: 1\nentries:\n"
		"- {format: w4g32, m: 64, k: 64, n: 1, threads: 1, point: {family: dot, format: w4g32, "
		"act: a8g32, isa: avx2, COMPILER: default, KU: 1, NT: 1, PF: 0, RG: 1, RV: 2, "
		"UNPACK: shift}}\n"
		"- {format: w4g32, m: 64, k: 64, n: 256, threads: 1, point: {family: gemm, "
		"format: w4g32, act: a8g32, isa: avx2, COMPILER: clang, KC: 512, NT: 4, ORDER: rows, "
		"PART: 0, PG: 1, RG: 2, RV: 4, UNPACK: shift}}\n");
	check_that(gen_write(gen, &path, 1, "clang", NULL, &err) == 0, __FILE__, __LINE__,
		   err.text);
	text = scratch_read_text("clang/kernels.mk");
	CHECK(strstr(text, "\nKERNEL_FLAGS_kernel_dot_w4g32_a8g32_avx2_r2g1k1p0n1 = ") != NULL);
	CHECK(strstr(text, "\nKERNEL_CC_kernel_gemm_w4g32_a8g32_avx2_r2g2n4k512m1oryc = "
			   "$(CLANG)\n") != NULL);
	CHECK(!strstr(text, "KERNEL_CC_kernel_dot"));
	free(text);
}

static void check_config(struct gen *gen)
{
	const char *path = "c.yaml";
	struct gen_error err;
	int n_files;

	scratch_write_text(
		path, "quern: config\nschema: 1\nformats: [w4g32]\nfamilies: [dot]\nacts: [a8g32]\n"
		      "isas: [scalar, avx2, neon]\n");
	CHECK(gen_write(gen, &path, 1, "x86", "x86_64", &err) == 0);
	sum_folder("x86", &n_files);
	CHECK(n_files == 8 && access("x86/isa_neon.c", F_OK) < 0);
	CHECK(gen_write(gen, &path, 1, "x86", "aarch64", &err) == 0);
	CHECK(access("x86/isa_neon.c", F_OK) == 0);
	CHECK(access("x86/isa_avx2.c", F_OK) < 0);
}

static void check_bad_results(struct gen *gen)
{
	static const struct {
		const char *text, *place, *word;
	} cases[] = {
		{"quern: config\nschema: 1\nformats:\n  [w4g32, w5g99]\n", ":4: ", "w5g99"},
		{"quern: results\nschema: 1\nentries:\n- format: w5g99\n  default: true\n"
		 "  point:\n    {family: dot, format: w5g99, act: a8g32, isa: scalar}\n",
		 ":7: ", "w5g99"},
		{"quern: results\nschema: 2\n", ":1: ", "schema"},
		{"quern: nonsense\nschema: 1\n", ":1: ", "quern"},
		{"quern: results\nschema: 1\n", ":1: ", "entries"},
		{"quern: results\nschema: 1\nentries:\n- 7\n", ":4: ", "point"},
		{"- 1\n", ":1: ", ""},
		{"word\n", ":1: ", ""},
		{"a: [\n", ":2: ", ""},
	};
	const char *path = "bad.yaml", *missing = "missing.yaml";
	char place[600];
	struct gen_error err;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		scratch_write_text(path, cases[i].text);
		CHECK(write_one(gen, path, "bad", &err) < 0);
		snprintf(place, sizeof place, "%s%s", path, cases[i].place);
		check_that(!strncmp(err.text, place, strlen(place)) &&
				   strstr(err.text, cases[i].word),
			   __FILE__, __LINE__, err.text);
		CHECK(access("bad", F_OK) < 0);
	}
	CHECK(write_one(gen, missing, "bad", &err) < 0 && strstr(err.text, missing));
	scratch_write_text("file", "");
	CHECK(write_one(gen, "r.yaml", "file", &err) < 0 && strstr(err.text, "file"));
	CHECK(write_one(gen, "r.yaml", "file/below", &err) < 0);
	CHECK(write_one(gen, "r.yaml", "", &err) < 0);
}

static void check_mutants(struct gen *gen)
{
	const char *path = "mutant.yaml";
	char *results = make_results(gen), text[8192];
	struct gen_error err;

	for (uint64_t seed = 1; seed <= N_MUTANTS; seed++) {
		uint64_t state = seed;

		strcpy(text, results);
		for (int edits = 1 + (int)(check_random(&state) % 3); edits > 0; edits--)
			mutate(text, &state);
		scratch_write_text(path, text);
		if (write_one(gen, path, "mutants", &err) == 0 && !*err.text)
			continue;
		/* Every complaint names the file or, when nothing is left, says so. */
		check_that(!strncmp(err.text, path, strlen(path)) || strstr(err.text, "no kernel"),
			   __FILE__, (int)seed, err.text);
		CHECK(!strchr(err.text, '\n'));
	}
	free(results);
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
		check_writing(gen);
		check_layouts(gen);
		check_estimates(gen);
		check_needed(gen);
		check_lossy(gen);
		check_clang_results(gen);
		check_config(gen);
		check_bad_results(gen);
		check_mutants(gen);
	}
	gen_close(gen);
	scratch_remove_tree(work);
	free(home);
	return check_exit();
}
