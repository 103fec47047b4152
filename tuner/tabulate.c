/* tabulate.c: kernels by key or by file, compilers down, cores across. */
#include <errno.h>
#include <getopt.h>
#include <unistd.h>

#include "config.h"
#include "cost.h"
#include "fail.h"
#include "mca.h"
#include "models.h"
#include "options.h"
#include "process.h"
#include "record.h"
#include "tabulate.h"
#include "gen/yaml.h"
#include "runtime/kernel.h"

#define MAX_CORES 16

static const char usage[] =
	"usage: quern cost [OPTION]... KEY|FILE...\n"
	"Prints what AArch64 kernels cost by their assembly and by llvm-mca's models of cores; nothing\n"
	"is run.  A KEY, one argument, is such as 'family=dot format=w4g32 act=a8g32 isa=neon RV=8'; what\n"
	"it does not say is as the family has it.  Of a results file all kernels are taken, of a config\n"
	"what its families have for its formats.\n"
	"\n"
	"  -c, --cores LIST      such as cortex-a55,neoverse-n1 (cortex-a55, neoverse-n1, n2 and v2)\n"
	"      --compiler WHAT   gcc (the device's), clang or both (both)\n"
	"  -n, --tokens N        at a time (as many as suit a kernel)\n"
	"  -d, --device NAME     whose compilers (qemu-aarch64)\n"
	"  -w, --work DIR        assembly and logs (.quern-work)\n"
	"  -j, --jobs N          compilers at a time (cores of this machine)\n"
	"      --why             what every core waits for, too\n"
	"  -h, --help\n";

struct kernel {
	struct gen_point point;
	char *text, *flags;
};

struct table {
	const char *home, *device_name, *work;
	int jobs, with_why;
	int with[GEN_N_COMPILERS];
	long n_tokens;
	const struct model *models[MAX_CORES];
	size_t n_models;
	struct gen *gen;
	struct kernel *kernels;
	size_t n;
	struct device device;
	struct compile *compile;
	struct mca mca;
};

static int misuse(const char *format, const char *word)
{
	return options_misuse("cost", format, word);
}

/* ---- options ---- */

static int set_cores(struct table *table, const char *list)
{
	char *copy = fail_text("%s", list), *rest = copy, *word;
	int status = 0;

	table->n_models = 0;
	while (!status && (word = strsep(&rest, ","))) {
		const struct model *model = models_find(word);

		if (!model) {
			fprintf(stderr,
				"quern: cost: there is no model of a core '%.40s': must be one of %s\n",
				word, models_names());
			status = -1;
		} else if (table->n_models == MAX_CORES) {
			status = misuse("%s", "--cores takes 16 cores at most");
		} else {
			table->models[table->n_models++] = model;
		}
	}
	free(copy);
	return status;
}

static int set_number(long *number, const char *text, long max)
{
	char *end;

	errno = 0;
	*number = strtol(text, &end, 10);
	return end == text || *end || errno || *number < 1 || *number > max ? -1 : 0;
}

static int set_option(struct table *table, int option, char **argv)
{
	long number;

	if (options_empty(argv))
		return misuse("option '%s' needs a value", options_empty(argv));
	switch (option) {
	case 'c': return set_cores(table, optarg);
	case 'C':
		table->with[GEN_DEFAULT] = strcmp(optarg, "clang") != 0;
		table->with[GEN_CLANG] = strcmp(optarg, "gcc") != 0;
		return strcmp(optarg, "gcc") && strcmp(optarg, "clang") && strcmp(optarg, "both")
			       ? misuse("--compiler '%s' must be gcc, clang or both", optarg)
			       : 0;
	case 'n':
		return set_number(&table->n_tokens, optarg, 4096) < 0
			       ? misuse("--tokens '%s' must be a number from 1 to 4096", optarg)
			       : 0;
	case 'j':
		if (set_number(&number, optarg, 64) < 0)
			return misuse("--jobs '%s' must be 1 to 64", optarg);
		table->jobs = (int)number;
		return 0;
	case 'd': table->device_name = optarg; return 0;
	case 'w': table->work = optarg; return 0;
	case 'W': table->with_why = 1; return 0;
	case ':': return misuse("option '%s' needs a value", argv[optind - 1]);
	default: return misuse("unknown option '%s'", argv[optind - 1]);
	}
}

/* 0; 1 when help was printed; -1. */
static int read_options(struct table *table, int argc, char **argv)
{
	static const struct option options[] = {
		{"cores", required_argument, NULL, 'c'},
		{"compiler", required_argument, NULL, 'C'},
		{"tokens", required_argument, NULL, 'n'},
		{"device", required_argument, NULL, 'd'},
		{"work", required_argument, NULL, 'w'},
		{"jobs", required_argument, NULL, 'j'},
		{"why", no_argument, NULL, 'W'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int option;

	set_cores(table, "cortex-a55,neoverse-n1,neoverse-n2,neoverse-v2");
	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, ":c:n:d:w:j:h", options, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return 1;
		}
		if (set_option(table, option, argv) < 0)
			return -1;
	}
	return optind < argc ? 0 : misuse("%s", "name a kernel's key, a results file or a config");
}

/* ---- kernels ---- */

static int add_kernel(struct table *table, const char *key, struct gen_error *err)
{
	struct kernel one = {0};
	const char *isa_word;
	struct gen_isa isa;
	char name[32];

	if (gen_complete(table->gen, key, &one.point, err) < 0)
		return -1;
	for (size_t i = 0; i < table->n; i++) {
		if (!strcmp(table->kernels[i].point.name, one.point.name))
			return 0;
	}
	isa_word = strstr(one.point.key, " isa=");
	snprintf(name, sizeof(name), "%.*s", isa_word ? (int)strcspn(isa_word + 5, " ") : 0,
		 isa_word ? isa_word + 5 : "");
	if (gen_isa(table->gen, name, &isa, err) < 0)
		return -1;
	if (strcmp(isa.arch, "aarch64"))
		return fail_set(err, "%s: costs are of aarch64 only, %s is of %s", one.point.name,
				name, isa.arch);
	one.text = gen_emit(table->gen, one.point.key, err);
	if (!one.text)
		return -1;
	one.flags = fail_text("%s", isa.flags);
	table->kernels = fail_grow(table->kernels, table->n, sizeof(one));
	table->kernels[table->n++] = one;
	return 0;
}

/* Those of other architectures are left out. */
static int is_aarch64(struct table *table, const char *isa)
{
	struct gen_error ignored;
	struct gen_isa info;

	return gen_isa(table->gen, isa, &info, &ignored) == 0 && !strcmp(info.arch, "aarch64");
}

static int add_config(struct table *table, const char *path, struct gen_error *err)
{
	struct config config;
	int status = config_read(&config, table->gen, path, err);
	const char *const *isas = status < 0      ? NULL
				  : config.isas.n ? (const char *const *)config.isas.list
						  : gen_isas(table->gen);

	for (size_t f = 0; !status && f < config.formats.n * config.acts.n; f++) {
		for (size_t i = 0; (config.isas.n ? i < config.isas.n : isas[i] != NULL); i++) {
			for (size_t j = 0; j < config.families.n && is_aarch64(table, isas[i]);
			     j++) {
				const char *act =
					config_act(&config, f / config.acts.n, f % config.acts.n);
				struct gen_error ignored; /* the family has none */
				char *key;

				if (!act)
					continue;
				key = fail_text("family=%s format=%s act=%s isa=%s",
						config.families.list[j],
						config.formats.list[f / config.acts.n], act,
						isas[i]);
				add_kernel(table, key, &ignored);
				free(key);
			}
		}
	}
	if (!status)
		config_free(&config);
	return status;
}

static int add_results(struct table *table, const char *path, struct gen_error *err)
{
	struct record record;
	int status = record_read(&record, path, err);

	for (size_t i = 0; !status && i < record.n_entries; i++) {
		const char *at = strstr(record.entries[i].key, " isa=");
		char *isa = fail_text("%.*s", at ? (int)strcspn(at + 5, " ") : 0, at ? at + 5 : "");

		if (is_aarch64(table, isa))
			status = add_kernel(table, record.entries[i].key, err);
		free(isa);
	}
	if (!status)
		record_free(&record);
	return status;
}

static int add_file(struct table *table, const char *path, struct gen_error *err)
{
	struct yaml *yaml = yaml_read(path, err);
	const struct yaml_node *kind;
	int is_config;

	if (!yaml)
		return -1;
	kind = yaml_get(yaml_root(yaml), "quern");
	is_config = kind && kind->kind == YAML_SCALAR && !strcmp(kind->text, "config");
	yaml_close(yaml);
	return is_config ? add_config(table, path, err) : add_results(table, path, err);
}

/* ---- the table ---- */

/* All kernels with one compiler on one core. */
static int look(struct table *table, const struct compile_item *texts, const struct model *model,
		struct cost_item *items, struct gen_error *err)
{
	for (size_t i = 0; i < table->n; i++) {
		items[i].object = texts[i].object;
		items[i].name = table->kernels[i].point.name;
		items[i].pass_tokens = table->kernels[i].point.n_tokens;
		items[i].n_tokens = table->n_tokens ? table->n_tokens
						    : QN_PASS_TOKENS / items[i].pass_tokens *
							      items[i].pass_tokens;
	}
	return cost_items(table->compile, &table->mca, model, items, table->n, NULL, NULL, err);
}

static void print_head(const struct table *table)
{
	printf("%-48s %-5s %7s %7s %6s", "kernel", "", "instr/w", "vec/w", "spills");
	for (size_t i = 0; i < table->n_models; i++)
		printf(" %20s", table->models[i]->core);
	printf("\n%-48s %-5s %7s %7s %6s", "", "", "", "", "");
	for (size_t i = 0; i < table->n_models; i++)
		printf(" %20s", "cycles/w (MAC/c)");
	putchar('\n');
}

/* items: of one core after the other. */
static void print_row(const struct table *table, size_t i, const char *compiler,
		      const struct compile_item *text, struct cost_item *const *items)
{
	const struct cost_item *first = &items[0][i];

	printf("%-48s %-5s", table->kernels[i].point.name, compiler);
	if (text->why || first->why) {
		printf(" %s\n", text->why ? text->why : first->why);
		return;
	}
	printf(" %7.4f %7.4f %6ld", first->cost.instructions, first->cost.vector,
	       first->cost.spills);
	for (size_t j = 0; j < table->n_models; j++) {
		char figure[32];

		snprintf(figure, sizeof(figure), "%.4f (%.1f)", items[j][i].cost.cycles,
			 1 / items[j][i].cost.cycles);
		printf(" %20s", items[j][i].why ? "-" : figure);
	}
	if (first->cost.n_unmarked)
		printf("  (%ld inner loop%s counted once)", first->cost.n_unmarked,
		       first->cost.n_unmarked == 1 ? "" : "s");
	putchar('\n');
	for (size_t j = 0; j < table->n_models && table->with_why; j++)
		printf("    %s: %s\n", table->models[j]->core,
		       items[j][i].why ? items[j][i].why : items[j][i].cost.bottleneck);
}

/* One compiler's assembly of all kernels, then each core. */
static int add_compiler(struct table *table, enum gen_compiler compiler, struct compile_item *texts,
			struct cost_item *const *items, struct gen_error *err)
{
	int status;

	for (size_t i = 0; i < table->n; i++) {
		texts[i].text = table->kernels[i].text;
		texts[i].flags = table->kernels[i].flags;
		texts[i].compiler = compiler;
	}
	status = compile_items(table->compile, texts, table->n, err);
	for (size_t j = 0; j < table->n_models && !status; j++)
		status = look(table, texts, table->models[j], items[j], err);
	return status;
}

static int print_all(struct table *table, struct gen_error *err)
{
	struct compile_item *texts[GEN_N_COMPILERS];
	struct cost_item *items[GEN_N_COMPILERS][MAX_CORES];
	int status = 0;

	for (int c = 0; c < GEN_N_COMPILERS; c++) {
		texts[c] = fail_alloc(table->n, sizeof(*texts[c]));
		for (size_t j = 0; j < table->n_models; j++)
			items[c][j] = fail_alloc(table->n, sizeof(*items[c][j]));
		if (table->with[c] && !status)
			status = add_compiler(table, (enum gen_compiler)c, texts[c], items[c], err);
	}
	if (!status)
		print_head(table);
	for (size_t i = 0; i < table->n && !status; i++) {
		for (int c = 0; c < GEN_N_COMPILERS; c++) {
			if (table->with[c])
				print_row(table, i, c == GEN_CLANG ? "clang" : "gcc", &texts[c][i],
					  items[c]);
		}
	}
	for (int c = 0; c < GEN_N_COMPILERS; c++) {
		for (size_t i = 0; i < table->n; i++) {
			free(texts[c][i].why);
			for (size_t j = 0; j < table->n_models; j++)
				free(items[c][j][i].why);
		}
		free(texts[c]);
		for (size_t j = 0; j < table->n_models; j++)
			free(items[c][j]);
	}
	return status;
}

/* What the figures are, once below the table. */
static void print_foot(const struct table *table)
{
	char tokens[48] = "";

	if (table->n_tokens)
		snprintf(tokens, sizeof(tokens), " for %ld token%s at a time", table->n_tokens,
			 table->n_tokens == 1 ? "" : "s");
	printf("\nestimated by llvm-mca %s%s, not measured; gcc: %s", table->mca.version, tokens,
	       compile_version(table->compile, GEN_DEFAULT));
	if (table->with[GEN_CLANG])
		printf("; clang: %s", compile_version(table->compile, GEN_CLANG));
	putchar('\n');
	for (size_t j = 0; j < table->n_models; j++) {
		const struct model *model = table->models[j];

		if (*model->note)
			printf("%s: %s\n", model->core, model->note);
	}
}

static int prepare(struct table *table, struct gen_error *err)
{
	const char *why;

	if (device_read(&table->device, table->home, table->device_name, err) < 0)
		return -1;
	table->compile = compile_open(&table->device, table->home, table->work, table->jobs, err);
	if (!table->compile)
		return -1;
	compile_to_assembly(table->compile);
	why = compile_why_no_clang(table->compile);
	if (table->with[GEN_CLANG] && !compile_version(table->compile, GEN_CLANG)) {
		if (!table->with[GEN_DEFAULT])
			return fail_set(err, "there is no clang to compile with: %s",
					why ? why : "the device names none");
		fprintf(stderr, "quern: cost: nothing is compiled with clang: %s\n",
			why ? why : "the device names none");
		table->with[GEN_CLANG] = 0;
	}
	return mca_open(&table->mca, table->work, table->jobs, err);
}

static int run(struct table *table, char **names, struct gen_error *err)
{
	table->gen = gen_open(table->home, err);
	if (!table->gen)
		return -1;
	for (; *names; names++) {
		if ((strchr(*names, '=') ? add_kernel(table, *names, err)
					 : add_file(table, *names, err)) < 0)
			return -1;
	}
	if (!table->n)
		return fail_set(err, "there is no aarch64 kernel in what was named");
	if (prepare(table, err) < 0 || print_all(table, err) < 0)
		return -1;
	print_foot(table);
	return 0;
}

int tabulate_main(int argc, char **argv, const char *home)
{
	struct table table = {
		.home = home,
		.device_name = "qemu-aarch64",
		.work = ".quern-work",
		.jobs = (int)sysconf(_SC_NPROCESSORS_ONLN),
		.with = {1, 1},
	};
	struct gen_error err;
	int status = read_options(&table, argc, argv);

	if (status)
		return status > 0 ? 0 : 2;
	process_catch_signals();
	status = run(&table, argv + optind, &err) < 0;
	if (status)
		fprintf(stderr, "quern: %s\n", err.text);
	if (status && process_stopping())
		status = 130;
	for (size_t i = 0; i < table.n; i++) {
		free(table.kernels[i].text);
		free(table.kernels[i].flags);
	}
	free(table.kernels);
	mca_close(&table.mca);
	compile_close(table.compile);
	device_free(&table.device);
	gen_close(table.gen);
	return status;
}
