/*
 * run.c: quern-run, the engine's command line.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "quern.h"
#include "run_bench.h"
#include "run_chat.h"
#include "run_generate.h"
#include "run_info.h"
#include "run_kernels.h"
#include "run_perplexity.h"
#include "run_quantize.h"
#include "run_random.h"
#include "run_sweep.h"

static const char usage[] =
	"quern-run " QUERN_VERSION
	": low-bit language models, and their matrix kernels, on this machine\n"
	"\n"
	"  quern-run generate [OPTION...]   continue a text; it alone is on standard output\n"
	"      --model FILE.gguf    (-m)\n"
	"      --prompt TEXT        (-p; default: nothing but the model's first token)\n"
	"      --tokens N           at most so many (-n; default 128)\n"
	"      --temp T             0: always the likeliest token (default 0)\n"
	"      --top-k K, --top-p P, --min-p P, --repeat-penalty R, --repeat-last N, --seed S\n"
	"      --threads N          (-t; default: all cores, or all of --cpus)\n"
	"      --cpus LIST, --loose as below\n"
	"      --threads-batch N, --cpus-batch LIST   others for prompts, that is for 12 tokens or\n"
	"                           more at a time (-tb; default: the same)\n"
	"      --context N          tokens of a sequence (-c; default 4096, or what the model has)\n"
	"      --batch N            tokens of a pass over the weights (-b; default 512)\n"
	"      --cache-type T       keys and values as f16 or q8_0 (default f16)\n"
	"      --cache DIR          keep packed weights there: the next start is much faster\n"
	"      --ignore-end         go on after the model's end token\n"
	"      --shift              forget what is oldest when the context is full\n"
	"      --quiet              no figures on standard error\n"
	"  quern-run chat [OPTION...]       talk; options of generate (temperature 0.7), and\n"
	"      --system TEXT        what the model is told first\n"
	"      --shift              forget the oldest messages when the context is full\n"
	"  quern-run bench [OPTION...]      how fast it reads and generates, with llama-bench's flags\n"
	"      --model FILE.gguf, --cpus LIST, --loose, --threads-batch N, --cpus-batch LIST,\n"
	"      --context N, --batch N, --cache-type T, --cache DIR as above\n"
	"      --n-prompt N[,N...]  prompts (-p; default 512; 0: none)\n"
	"      --n-gen N[,N...]     generations (-n; default 128; 0: none)\n"
	"      --n-depth N[,N...]   behind so many tokens (-d; default 0)\n"
	"      --n-parallel N[,N...] of so many sequences at once (-np; default 1)\n"
	"      --threads T[,T...]   (-t)\n"
	"      --repetitions N      (-r; default 5)\n"
	"      --output F           md, csv or json (-o; default md)\n"
	"  quern-run perplexity [OPTION...] how well a model predicts a text\n"
	"      --file TEXT          (-f)\n"
	"      --model FILE.gguf, --threads N, --context N (default 512) and so on as above\n"
	"      --windows N          score so many windows of a context only\n"
	"      --save-logits FILE   keep the predictions\n"
	"      --kl FILE            compare with kept ones\n"
	"  quern-run kernels [OPTION...]    time what the library runs, against the machine's roofs\n"
	"      --format F[,F...]    formats, or all (default: those that were tuned, else all)\n"
	"      --shape MxK[,MxK...] shapes (default: those that were tuned, else 4096x4096)\n"
	"      --tokens N           tokens at a time (default 1)\n"
	"      --act A              how activations are rounded: a8g32, a8g256, a8r; own (default): what the format has\n"
	"      --max-nmse E         where a lossy kernel of at most this error won, time it as well\n"
	"      --threads T[,T...]   threads (default: 1 and all cores, or all of --cpus)\n"
	"      --cpus LIST          pin one thread to each of these, in this order, such as 4-7\n"
	"      --loose              let threads move among --cpus that are there instead\n"
	"      --kernel NAME[,...]  run these kernels instead of the chosen ones\n"
	"      --json               one object a line\n"
	"      --list               name the kernels of this build and stop\n"
	"  quern-run sweep [OPTION...]      random shapes against the nearest tuned ones: are there cliffs?\n"
	"      --format F[,F...]    formats, or all; they take cases in turn (default: w4g32)\n"
	"      --act A              how activations are rounded: a8g32, a8g256, a8r; own (default): what the format has\n"
	"      --cases N            random M x K and numbers of tokens (default 200)\n"
	"      --seed S             seed of the shapes (default 1)\n"
	"      --threads T          threads (default 1)\n"
	"      --cpus LIST, --loose as above\n"
	"      --min-ratio R        efficiency that is no cliff, of the tuned shape's (default 0.60)\n"
	"      --strict             exit with 1 when a case is below\n"
	"      --out FILE           write the cases there, tab-separated (default: standard output)\n"
	"      --json               one object a line\n"
	"  quern-run info [FILE.gguf]       describe a model file, or this machine\n"
	"  quern-run random [OPTION...] OUT.gguf        write a model of random weights\n"
	"      --arch A             llama, mistral, phi2, phi3, bitnet, qwen2, qwen3, gemma2, gemma3\n"
	"      --size S             7b, llama-3.2-1b, tiny, ... (default tiny; --list shows all)\n"
	"      --type T             of matrices (default Q4_0)\n"
	"      --output-type T      of embedding and output (default: as --type, of I2_S F16)\n"
	"      --vocab FILE.gguf    take that file's tokenizer instead of a made-up one\n"
	"      --chat-template TEXT the file's tokenizer.chat_template\n"
	"      --seed S             the same seed gives the same file (default 1)\n"
	"      --layers N, --embd N, --heads N, --kv-heads N, --head-dim N, --ff N, --vocab-size N,\n"
	"      --context N          instead of what the size has\n"
	"  quern-run quantize [OPTION...] IN.gguf OUT.gguf TYPE   write a model with matrices of a type\n"
	"      --type T             instead of TYPE as the last word\n"
	"      --output-type T      of output.weight (default: Q6_K for types below 6 bits)\n"
	"      --embedding-type T   of token_embd.weight (default: Q4_K for types below 2.5 bits)\n"
	"      --pure               those two of type T as well\n"
	"      --requantize         take quantised matrices, too\n"
	"      --threads N          (default: one per cpu)\n"
	"  quern-run help | version\n"
	"\n"
	"QUERN_ISA=NAME forbids wider instruction sets; QUERN_KERNEL=NAME[,NAME...] forces kernels.\n";

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"generate", run_generate},     {"chat", run_chat},         {"bench", run_bench},
	{"perplexity", run_perplexity}, {"kernels", run_kernels},   {"sweep", run_sweep},
	{"random", run_random},         {"quantize", run_quantize},
};

static int is_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h");
}

static int run_command(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	int is_known = !strcmp(command, "info");
	struct quern_error err;

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcmp(command, commands[i].name) && !(argc == 3 && is_help(argv[2])))
			return commands[i].run(argc - 1, argv + 1);
		is_known |= !strcmp(command, commands[i].name);
	}
	if (!strcmp(command, "help") || is_help(command) ||
	    (is_known && argc == 3 && is_help(argv[2]))) {
		fputs(usage, stdout);
		return 0;
	}
	if (!strcmp(command, "info") && argc == 2) {
		run_info_machine(stdout);
		return 0;
	}
	if (!strcmp(command, "info") && argc == 3) {
		if (run_info(argv[2], stdout, &err) == 0)
			return 0;
		fprintf(stderr, "quern-run: %s\n", err.text);
		return 1;
	}
	if (!strcmp(command, "version") || !strcmp(command, "--version")) {
		puts("quern-run " QUERN_VERSION);
		return 0;
	}
	if (!strcmp(command, "info"))
		fprintf(stderr,
			"quern-run: info takes one file or none: quern-run info [FILE.gguf]\n");
	else
		fprintf(stderr, "quern-run: %s%s%s, see quern-run --help\n",
			*command ? "unknown command '" : "no command", command,
			*command ? "'" : "");
	return 2;
}

int main(int argc, char **argv)
{
	int status = run_command(argc, argv);

	/* A disk that is full says so at the end. */
	if ((fflush(stdout) || ferror(stdout)) && !status) {
		fprintf(stderr, "quern-run: cannot write to standard output: %s\n",
			strerror(errno));
		status = 1;
	}
	return status;
}
