/*
 * test_estimate.c: loops out of assembly, figures out of llvm-mca's report; both mutated.
 */
#include <stdlib.h>
#include <unistd.h>

#include "tuner/estimate.h"
#include "tuner/mca.h"
#include "tuner/models.h"
#include "tuner/object.h"
#include "mutate.h"

/* As gcc writes it: an outer loop, an inner one that is passed four times, a spill. */
static const char nested[] = "\t.arch armv8-a\n"
			     "\t.text\n"
			     "other_run:\n"
			     ".L9:\n"
			     "\tbl\tnowhere\n"
			     "\tb\t.L9\n"
			     "k1_run:\n"
			     ".LFB1:\n"
			     "\tmov\tx0, 0\n"
			     ".L2:\n"
			     "#APP\n"
			     "// 27 \"k1.c\" 1\n"
			     "\t// quern-mark block 512\n"
			     "// 0 \"\" 2\n"
			     "#NO_APP\n"
			     "\tldr\tq0, [x1], 16\n"
			     "\tstr\tq0, [sp, 32]\n"
			     ".L3:\n"
			     "\t// quern-mark step 128\n"
			     "\tadd\tv1.4s, v1.4s, v0.4s // a comment\n"
			     "\tadd\tx2, x2, 1\n"
			     "\tcbnz\tx2, .L3\n"
			     "\tcmp\tx0, x3\n"
			     "\tbne\t.L2\n"
			     "\tret\n"
			     "\t.size\tk1_run, .-k1_run\n";

/* As clang writes it: the inner loop half unrolled, one pass of it peeled off. */
static const char peeled[] = "k1_run:                                 // @k1_run\n"
			     "// %bb.0:\n"
			     ".LBB0_1:                                // =>This Loop Header\n"
			     "\t//APP\n"
			     "\t// quern-mark block 640\n"
			     "\n"
			     "\t//NO_APP\n"
			     "\tldr\tq0, [x1], #16\n"
			     "\t// quern-mark step 128\n"
			     "\tadd\tv1.4s, v1.4s, v0.4s\n"
			     ".LBB0_2:                                //   Parent Loop\n"
			     "\t// quern-mark step 128\n"
			     "\tadd\tv1.4s, v1.4s, v0.4s\n"
			     "\t// quern-mark step 128\n"
			     "\tadd\tv2.4s, v2.4s, v0.4s\n"
			     "\ttbnz\tw2, #0, .LBB0_2\n"
			     "\tb.ne\t.LBB0_1\n"
			     "\tret\n";

/* A marked loop that calls one function of the kernel twice, and what is decoded for it. */
static const char calls[] = "k1_rows.isra.0:\n"
			    "\tsmlal\tv0.8h, v1.8b, v2.8b\n"
			    "\tret\n"
			    "k1_decode:\n"
			    ".L1:\n"
			    "\t// quern-mark decode 64\n"
			    "\tushr\tv0.16b, v0.16b, 4\n"
			    "\tbne\t.L1\n"
			    "\tret\n"
			    "k1_run:\n"
			    ".L2:\n"
			    "\t// quern-mark group 256\n"
			    "\tbl\tk1_rows.isra.0\n"
			    "\tbl\tk1_rows.isra.0\n"
			    "\tbne\t.L2\n"
			    ".L3:\n"
			    "\t// quern-mark group 64\n"
			    "\tbl\tk1_rows.isra.0\n"
			    "\tbne\t.L3\n"
			    "\tret\n";

/* As gcc writes it for x86-64: a loop of prefetches, a stack through %rbp, a load that adds. */
static const char prefetching[] = "k1_run:\n"
				  "\tpushq\t%rbp\n"
				  "\tmovq\t%rsp, %rbp\n"
				  ".L2:\n"
				  "#APP\n"
				  "# 27 \"k1.c\" 1\n"
				  "\t// quern-mark block 256\n"
				  "# 0 \"\" 2\n"
				  "#NO_APP\n"
				  "\tleaq\t1152(%rdx), %rax\n"
				  ".L3:\n"
				  "\t// quern-passes 18\n"
				  "\tprefetcht0\t(%rax)\n"
				  "\taddq\t$64, %rax\n"
				  "\tcmpq\t%rdx, %rax\n"
				  "\tjne\t.L3\n"
				  "\tvmovdqa64\t%zmm1, -64(%rbp)\n"
				  "\tvpdpbusd\t(%rax){1to16}, %zmm1, %zmm22{%k1}\n"
				  "\tvmovdqu64\t64(%rsi), %zmm3 # zmm3 = mem\n"
				  "\tvpaddd\t-64(%rbp), %zmm1, %zmm2\n"
				  "\tmovq\t120(%rsp), %rax\n"
				  "\t{vex}\tvpdpbusd\t%ymm1, %ymm2, %ymm3\n"
				  "\tkmovq\t%rax, %k1\n"
				  "\tcall\tk1_add\n"
				  "\tcmpq\t%rdx, %rax\n"
				  "\tjg\t.L2\n"
				  "\tret\n"
				  "k1_add:\n"
				  "\tvmovaps\t(%rbp), %xmm5\n"
				  "\tret\n";

/* As clang writes it: prefetches that were unrolled by two, and no frame. */
static const char unrolled[] = "k1_run:                                 # @k1_run\n"
			       "# %bb.0:\n"
			       ".LBB0_1:                                # =>This Loop Header\n"
			       "\t#APP\n"
			       "\t# quern-mark block 256\n"
			       "\t#NO_APP\n"
			       "\tvmovups\t%zmm1, 256(%rsp)                # 64-byte Spill\n"
			       "\tvmovups\t(%rbp,%rbx,4), %zmm1\n"
			       ".LBB0_2:\n"
			       "\t# quern-passes 19\n"
			       "\tprefetcht0\t8320(%rdi)\n"
			       "\t# quern-passes 19\n"
			       "\tprefetcht0\t8384(%rdi)\n"
			       "\tjb\t.LBB0_2\n"
			       "\tjne\t.LBB0_1\n"
			       "\tretq\n";

static void check_why(const char *text, const char *kernel, const char *why)
{
	struct estimate estimate;
	struct gen_error err = {""};

	if (CHECK(estimate_read(&estimate, ASSEMBLY_AARCH64, text, kernel, &err) < 0))
		CHECK_SAYS(err.text, why);
	else
		estimate_free(&estimate);
}

static void check_loops(void)
{
	struct estimate estimate;
	struct gen_error err;

	if (!CHECK(estimate_read(&estimate, ASSEMBLY_AARCH64, nested, "k1", &err) == 0))
		return;
	CHECK(estimate.n == 1 && estimate.loops[0].n_products == 512);
	CHECK(!strcmp(estimate.loops[0].mark, "block"));
	CHECK(estimate.loops[0].n_instructions == 2 + 4 * 3 + 2);
	CHECK(estimate.loops[0].n_vector == 4 && estimate.loops[0].n_memory == 2);
	CHECK(estimate.loops[0].n_integer == 4 * 2 + 2 && estimate.loops[0].n_spills == 1);
	CHECK(estimate.loops[0].n_unmarked == 0);
	CHECK(!strncmp(estimate.loops[0].text, "ldr q0, [x1], 16\nstr q0, [sp, 32]\nadd v1.4s, ",
		       45));
	CHECK(!strstr(estimate.loops[0].text, "comment"));
	estimate_free(&estimate);

	if (!CHECK(estimate_read(&estimate, ASSEMBLY_AARCH64, peeled, "k1", &err) == 0))
		return;
	CHECK(estimate.n == 1 && estimate.loops[0].n_products == 640);
	CHECK(estimate.loops[0].n_instructions == 2 + 2 * 3 + 1);
	estimate_free(&estimate);

	if (!CHECK(estimate_read(&estimate, ASSEMBLY_AARCH64, calls, "k1", &err) == 0))
		return;
	CHECK(estimate.n == 2 && estimate.loops[0].n_products == 256);
	CHECK(estimate.loops[0].n_instructions == 2 * (1 + 2) + 1); /* call, smlal, ret */
	CHECK(!estimate_is_shared(&estimate.loops[0]) && estimate_is_shared(&estimate.loops[1]));
	CHECK(estimate.loops[1].n_products == 64 && estimate.loops[1].n_vector == 1);
	CHECK(!strstr(estimate.loops[0].text, "ret") && !strstr(estimate.loops[0].text, "bl "));
	estimate_free(&estimate);
}

static void check_x86(void)
{
	struct estimate estimate;
	const struct estimate_loop *loop = &estimate.loops[0];
	struct gen_error err;

	if (!CHECK(estimate_read(&estimate, ASSEMBLY_X86_64, prefetching, "k1", &err) == 0))
		return;
	CHECK(estimate.n == 1 && loop->n_products == 256 && !loop->n_unmarked);
	/* lea, 18 passes of 4, 7, a call of 2, a comparison and a branch */
	CHECK(loop->n_instructions == 1 + 18 * 4 + 7 + 3 + 2);
	/* Prefetches, vmovdqa64, vmovdqu64, movq, and the vmovaps of the call. */
	CHECK(loop->n_memory == 18 + 4);
	CHECK(loop->n_vector == 4); /* two vpdpbusd, vpaddd, kmovq */
	/* Into the frame and out of it; without a frame %rbp is a pointer like others. */
	CHECK(loop->n_spills == 2);
	CHECK(strstr(loop->text, "vmovdqu64 64(%rsi), %zmm3\n") &&
	      strstr(loop->text, "jmp .Lcall\n"));
	CHECK(strstr(loop->text, "{vex} vpdpbusd %ymm1") && !strstr(loop->text, "ret"));
	estimate_free(&estimate);

	if (!CHECK(estimate_read(&estimate, ASSEMBLY_X86_64, unrolled, "k1", &err) == 0))
		return;
	CHECK(estimate.n == 1 && loop->n_products == 256 && !loop->n_unmarked);
	CHECK(loop->n_instructions == 2 + 10 * 3 + 1);
	CHECK(loop->n_memory == 2 + 10 * 2 && loop->n_spills == 1 && loop->n_vector == 0);
	estimate_free(&estimate);

	CHECK(estimate_read(&estimate, ASSEMBLY_X86_64,
			    "k1_run:\n.L1:\n// quern-mark block 8\n\tcall memcpy@PLT\n\tjmp .L1\n",
			    "k1", &err) < 0);
	CHECK_SAYS(err.text, "calls memcpy@PLT");
}

static void check_refusals(void)
{
	check_why(nested, "k2", "no function of k2");
	check_why(nested, "k", "no function of k");
	check_why(nested, "other", "no loop of it has a mark");
	check_why("", "k1", "no function of k1");
	check_why("k1_run:\n\tret\n", "k1", "no loop of it has a mark");
	check_why("k1_run:\n.L1:\n// quern-mark block 8\n\tb .L2\n.L2:\n\tret\n", "k1",
		  "no loop of it has a mark");
	check_why("k1_run:\n.L1:\n// quern-mark decode 8\n\tb .L1\n", "k1",
		  "no loop of it has a mark");
	check_why(
		"k1_run:\n.L1:\n// quern-mark block 0\n// quern-mark block 8 x\n// quern-mark block "
		"99999999999\n// quern-mark\n\tb .L1\n",
		"k1", "no loop of it has a mark");
	check_why("k1_run:\n.L1:\n// quern-mark block 8\n\tbl memcpy\n\tb .L1\n", "k1",
		  "calls memcpy");
	check_why("k1_run:\n.L1:\n// quern-mark block 8\n\tbl k1_run\n\tb .L1\n", "k1", "deep");
	/* Passes that nobody would wait for. */
	check_why(
		"k1_run:\n.L1:\n// quern-mark block 90000000\n.L2:\n// quern-mark step 1\n\tcbz x0, "
		".L2\n\tb .L1\n",
		"k1", "more than");
}

static char *repeat(const char *head, const char *line, int n, const char *tail)
{
	size_t room = strlen(head) + (strlen(line) + 12) * (size_t)n + strlen(tail) + 1;
	char *text = malloc(room), *end = text + sprintf(text, "%s", head);

	for (int i = 0; i < n; i++)
		end += sprintf(end, line, i);
	strcpy(end, tail);
	return text;
}

/* Long and deep texts end in a sentence, and soon. */
static void check_huge(void)
{
	struct estimate estimate;
	struct gen_error err;
	char *text, *branches;

	text = repeat("k1_run:\n.L1:\n", "// quern-mark block 8\n", 5000, "\tb .L1\n");
	check_why(text, "k1", "marks");
	free(text);
	text = repeat("k1_run:\n.L1:\n", "\tb .L1 // %d\n", 5000, "");
	check_why(text, "k1", "loops");
	free(text);
	text = repeat("k1_run:\n.L1:\n// quern-mark block 8\n", "\tadd x0, x0, %d\n", 50000,
		      "\tb .L1\n");
	check_why(text, "k1", "instructions");
	free(text);
	branches = repeat("// quern-mark block 8\n", "\tcbz x0, .L%d\n", 64, "");
	text = repeat("k1_run:\n", ".L%d:\n", 64, branches);
	/* Each loop goes on behind the one inside of it. */
	if (estimate_read(&estimate, ASSEMBLY_AARCH64, text, "k1", &err) == 0)
		estimate_free(&estimate);
	free(branches);
	free(text);
	branches = repeat("// quern-mark block 8\n", "\tcbz x0, .L1%d\n", 10, "\tret\n");
	text = repeat("k1_run:\n", "L1%d:\n\tnop\n", 100000, branches);
	CHECK(estimate_read(&estimate, ASSEMBLY_AARCH64, text, "k1", &err) < 0);
	free(branches);
	free(text);
}

static void check_mutants(void)
{
	static const char *const texts[] = {nested, peeled, calls, prefetching, unrolled};
	uint64_t state = 11;

	for (int i = 0; i < N_MUTANTS; i++) {
		char text[4096], kernel[8] = "k1";
		struct estimate estimate;
		struct gen_error err = {""};

		strcpy(text, texts[i % 5]);
		for (int n = i % 4; n >= 0; n--)
			mutate(text, &state);
		if (i % 7 == 0) /* any byte but the end */
			text[check_random(&state) % strlen(text)] =
				(char)(1 + check_random(&state) % 255);
		if (estimate_read(&estimate, i % 5 < 3 ? ASSEMBLY_AARCH64 : ASSEMBLY_X86_64, text,
				  kernel, &err) < 0) {
			CHECK(*err.text);
			continue;
		}
		CHECK(estimate.n > 0 && estimate.loops[0].n_products >= 1);
		CHECK(estimate.loops[0].n_instructions == estimate.loops[0].n_vector +
								  estimate.loops[0].n_memory +
								  estimate.loops[0].n_integer);
		estimate_free(&estimate);
	}
}

/* ---- llvm-mca ---- */

#define REPORT(region, cycles, v0, v1) \
	"\n[" region "] Code Region - loop" region "\n\n" \
	"Iterations:        200\nInstructions:      600\nTotal Cycles:      " cycles "\n" \
	"Total uOps:        800\n\nDispatch Width:    8\nuOps Per Cycle:    0.50\nIPC:       0.3\n" \
	"Block RThroughput: 4.0\n\n\nResources:\n[0.0] - N1UnitD\n[0.1] - N1UnitD\n" \
	"[1]   - N1UnitL\n[2]   - N1UnitV0\n[3]   - N1UnitV1\n\n\n" \
	"Resource pressure per iteration:\n[0.0]  [0.1]  [1]    [2]    [3]    \n" \
	" -     0.30   0.40   " v0 "   " v1 "\n\n" \
	"Resource pressure by instruction:\n[0.0]  [0.1]  [1]    [2]    [3]    Instructions:\n" \
	" -      -      -     1.00    -     add\tv0.4s, v0.4s, v1.4s\n"

static const char report[] = REPORT("0", "1600", "7.90", "7.80") REPORT("1", "1600", "7.90", "1.00")
	REPORT("2", "2000", "2.00", " -  ") REPORT("3", "108", "0.20", "0.20");

/* AMD's names of pipes. */
static void check_zen(void)
{
	struct mca_item items[1] = {{0}};
	char *text = strdup(report);

	for (char *at = text; (at = strstr(at, "N1UnitV"));)
		memcpy(at, "Zn4FP45", 7);
	CHECK(mca_read(text, items, 1) == 1);
	CHECK_SAYS(items[0].bottleneck, "2 vector pipes busy 99 %");
	for (char *at = text; (at = strstr(at, "Zn4FP45"));)
		memcpy(at, "Zn4AGU0", 7);
	CHECK(mca_read(text, items, 1) == 1);
	CHECK_SAYS(items[0].bottleneck, "2 address pipes busy 99 %");
	free(text);
}

static void check_report(void)
{
	struct mca_item items[5] = {{0}};

	CHECK(mca_read(report, items, 5) == 4);
	CHECK(items[0].cycles == 8 && items[2].cycles == 10 && items[4].cycles == 0);
	CHECK_SAYS(items[0].bottleneck, "2 vector pipes busy 99 %");
	CHECK_SAYS(items[1].bottleneck, "1 vector pipe busy 99 %");
	CHECK_SAYS(items[2].bottleneck, "waiting for results; vector pipes busy 20 %");
	CHECK_SAYS(items[3].bottleneck, "dispatch of 8 operations");
	CHECK(mca_read(report, items, 2) == 2);
	CHECK(mca_read("", items, 5) == 0);
	CHECK(mca_read("Iterations: 200\n", items, 5) == 0);
	CHECK(mca_read("Iterations: 0\nTotal Cycles: 7\n", items, 5) == 0);
	CHECK(mca_read("Iterations: 1\nTotal Cycles: nan\n", items, 5) == 0);
}

static void check_bad_reports(void)
{
	uint64_t state = 12;

	for (int i = 0; i < N_MUTANTS; i++) {
		struct mca_item items[3] = {{0}};
		char text[4096];
		size_t n;

		snprintf(text, sizeof text - 300, "%s", report);
		for (int j = i % 4; j >= 0; j--)
			mutate(text, &state);
		n = mca_read(text, items, 3);
		for (size_t j = 0; j < n; j++)
			CHECK(items[j].cycles > 0 && *items[j].bottleneck);
	}
}

static void check_models(void)
{
	const struct model *a55 = models_find("cortex-a55"), *a76 = models_find("cortex-a76");
	char *text;

	CHECK(!models_find("") && !models_find("cortex-a5") && a55 && a76);
	CHECK_SAYS(models_names(), "cortex-a53, cortex-a55, ");
	CHECK_SAYS(models_names(), "neoverse-v2");
	CHECK(a76 && !strcmp(a76->cpu, "neoverse-n1"));
	if (!a55 || !a76)
		return;
	text = models_rewrite(a76, "ldp q0, q1, [x0]\n");
	CHECK(!strcmp(text, "ldp q0, q1, [x0]\n"));
	free(text);
	text = models_rewrite(a55, "ldp q0, q1, [x0, #32]\nldp x1, x2, [x0]\n"
				   "ldp q2, q31, [sp], 64\nldp q4, q5, [x3, -32]!\nldp q6");
	CHECK(!strcmp(text, "ldr q1, [x0]\nldr q0, [x0]\nldp x1, x2, [x0]\n"
			    "ldr q31, [sp]\nldr q2, [sp], 16\n"
			    "ldr q5, [x3]\nldr q4, [x3, 16]!\nldp q6\n"));
	free(text);
}

/* ---- objects ---- */

#define MOST_BYTES (8 << 20)

/* This program is an object, too; damaged ones are not read beyond their end. */
static void check_objects(void)
{
	const double whole = object_code_bytes("/proc/self/exe", "check");
	FILE *from = fopen("/proc/self/exe", "rb"), *to;
	char path[] = "/tmp/quern-object-XXXXXX";
	unsigned char *bytes = malloc(MOST_BYTES);
	size_t n = from ? fread(bytes, 1, MOST_BYTES, from) : 0;
	const int file = mkstemp(path);
	uint64_t state = 5;

	CHECK(whole > 100 && whole < 1e6);
	CHECK(object_code_bytes("/proc/self/exe", "chec") == 0);
	CHECK(object_code_bytes("/proc/self/exe", "no_such_kernel") == 0);
	CHECK(object_code_bytes("/no/such/file", "check") == 0);
	CHECK(object_code_bytes("/proc/self/cmdline", "check") == 0);
	if (!CHECK(file >= 0 && n > 1000))
		return;
	close(file);
	for (int i = 0; i < 100; i++) { /* the head, or the list of sections */
		const size_t head = i % 3 ? check_random(&state) % 64
					  : n - 1 - check_random(&state) % 4096,
			     cut = check_random(&state) % n;
		const unsigned char old = bytes[head];

		bytes[head] = (unsigned char)check_random(&state);
		to = fopen(path, "wb");
		fwrite(bytes, 1, i % 2 ? n : cut, to);
		fclose(to);
		CHECK(object_code_bytes(path, "check") >= 0);
		bytes[head] = old;
	}
	unlink(path);
	fclose(from);
	free(bytes);
}

int main(void)
{
	check_loops();
	check_x86();
	check_refusals();
	check_huge();
	check_mutants();
	check_report();
	check_zen();
	check_objects();
	check_bad_reports();
	check_models();
	return check_exit();
}
