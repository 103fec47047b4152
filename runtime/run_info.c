/*
 * run_info.c: tells what a GGUF file holds, and what this machine is.
 *
 * Text from the file may be hostile to a terminal, so control characters are escaped.
 */
#include "run_info.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cpu.h"
#include "topology.h"

/* Longer strings are cut. */
enum { MAX_TEXT = 60 };

struct usage {
	int type;
	size_t n_tensors;
	uint64_t n_values, n_bytes;
};

static const char *const value_types[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
					  "bool", "string", "array", "u64", "i64", "f64"};

/* Bytes of the control character at the start of n bytes of UTF-8 (C0, DEL, C1); 0: none. */
static uint64_t match_control(const unsigned char *s, uint64_t n)
{
	if (s[0] < ' ' || s[0] == 0x7f)
		return 1;
	return s[0] == 0xc2 && n > 1 && s[1] >= 0x80 && s[1] < 0xa0 ? 2 : 0;
}

/* Prints at most max bytes, not cutting a UTF-8 character, and "..." when that is not all. */
static void print_text(FILE *out, const char *text, uint64_t n_bytes, uint64_t max)
{
	const unsigned char *s = (const unsigned char *)text;
	uint64_t n = n_bytes < max ? n_bytes : max, i = 0;

	while (n > 0 && n < n_bytes && (s[n] & 0xc0) == 0x80)
		n--;
	while (i < n) {
		uint64_t end = i + match_control(s + i, n - i);

		if (end == i)
			fputc(s[i++], out);
		for (; i < end; i++)
			fprintf(out, "\\x%02x", s[i]);
	}
	if (n < n_bytes)
		fputs("...", out);
}

static void print_value(FILE *out, const struct quern_value *value)
{
	switch (value->type) {
	case QUERN_STRING: print_text(out, value->s, value->count, MAX_TEXT); break;
	case QUERN_ARRAY:
		fprintf(out, "%s[%" PRIu64 "]", value_types[value->element_type], value->count);
		break;
	case QUERN_FLOAT32:
	case QUERN_FLOAT64: fprintf(out, "%.7g", value->f); break;
	case QUERN_BOOL: fputs(value->u ? "true" : "false", out); break;
	case QUERN_I8:
	case QUERN_I16:
	case QUERN_I32:
	case QUERN_I64: fprintf(out, "%" PRId64, value->i); break;
	default: fprintf(out, "%" PRIu64, value->u);
	}
}

static uint64_t count_values(const struct quern_tensor *tensor)
{
	return tensor->dims[0] * tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static double bits_per_value(const struct usage *usage)
{
	return usage->n_values ? 8.0 * (double)usage->n_bytes / (double)usage->n_values : 0;
}

static void add_tensor(struct usage *usage, const struct quern_tensor *tensor)
{
	usage->n_tensors++;
	usage->n_values += count_values(tensor);
	usage->n_bytes += tensor->n_bytes;
}

/* Sums by type; there are fewer than 64 types. */
static int sum_types(const struct quern_gguf *file, struct usage by_type[64], struct usage *total)
{
	struct quern_tensor tensor;
	int n = 0;

	for (size_t i = 0; quern_gguf_tensor(file, i, &tensor) == 0; i++) {
		int at = 0;

		while (at < n && by_type[at].type != tensor.type)
			at++;
		if (at == n)
			by_type[n++] = (struct usage){.type = tensor.type};
		add_tensor(&by_type[at], &tensor);
		add_tensor(total, &tensor);
	}
	return n;
}

static int compare_usage(const void *a, const void *b)
{
	const struct usage *x = a, *y = b;

	if (x->n_bytes != y->n_bytes)
		return x->n_bytes > y->n_bytes ? -1 : 1;
	return (x->type > y->type) - (x->type < y->type);
}

static void print_text_key(FILE *out, const struct quern_gguf *file, const char *label,
			   const char *key)
{
	struct quern_value value;

	fputs(label, out);
	if (quern_gguf_find_key(file, key, &value) == 0 && value.type == QUERN_STRING)
		print_text(out, value.s, value.count, MAX_TEXT);
	else
		fputs("not given", out);
	fputc('\n', out);
}

static void print_keys(FILE *out, const struct quern_gguf *file)
{
	struct quern_value value;

	fputs("\nkeys\n", out);
	for (size_t i = 0; quern_gguf_key(file, i, &value) == 0; i++) {
		fputs("  ", out);
		print_text(out, value.name, strlen(value.name), 100);
		fputs(" = ", out);
		print_value(out, &value);
		fputc('\n', out);
	}
}

static void print_tensors(FILE *out, const struct quern_gguf *file, uint64_t total_bytes)
{
	struct quern_tensor tensor;
	int width = 6; /* of "tensor" */

	for (size_t i = 0; quern_gguf_tensor(file, i, &tensor) == 0; i++)
		if ((int)strlen(tensor.name) > width)
			width = (int)strlen(tensor.name);
	fprintf(out, "\n%-*s  %-8s %-20s %15s %8s\n", width, "tensor", "type", "dims", "bytes",
		"share");
	for (size_t i = 0; quern_gguf_tensor(file, i, &tensor) == 0; i++) {
		char dims[96];
		int n = snprintf(dims, sizeof(dims), "%" PRIu64, tensor.dims[0]);

		for (int d = 1; d < tensor.n_dims; d++)
			n += snprintf(dims + n, sizeof(dims) - (size_t)n, "x%" PRIu64,
				      tensor.dims[d]);
		print_text(out, tensor.name, strlen(tensor.name), UINT64_MAX);
		fprintf(out, "%*s  %-8s %-20s %15" PRIu64 " %7.2f%%\n",
			width - (int)strlen(tensor.name), "", quern_type_name(tensor.type), dims,
			tensor.n_bytes, percent(tensor.n_bytes, total_bytes));
	}
}

static void print_types(FILE *out, const struct usage *by_type, int n, uint64_t total_bytes)
{
	fprintf(out, "\n%-8s %8s %18s %18s %8s %8s\n", "type", "tensors", "values", "bytes", "bits",
		"share");
	for (int i = 0; i < n; i++)
		fprintf(out, "%-8s %8zu %18" PRIu64 " %18" PRIu64 " %8.3f %7.2f%%\n",
			quern_type_name(by_type[i].type), by_type[i].n_tensors, by_type[i].n_values,
			by_type[i].n_bytes, bits_per_value(&by_type[i]),
			percent(by_type[i].n_bytes, total_bytes));
}

int run_info(const char *path, FILE *out, struct quern_error *err)
{
	struct usage by_type[64], total = {0};
	struct quern_gguf *file;
	struct stat status;
	int n_types;

	if (quern_gguf_open(&file, path, err))
		return -1;
	n_types = sum_types(file, by_type, &total);
	qsort(by_type, (size_t)n_types, sizeof(by_type[0]), compare_usage);

	print_text_key(out, file, "architecture     ", "general.architecture");
	print_text_key(out, file, "name             ", "general.name");
	if (stat(path, &status) == 0)
		fprintf(out, "file bytes       %lld\n", (long long)status.st_size);
	fprintf(out, "tensors          %zu\n", total.n_tensors);
	fprintf(out, "parameters       %" PRIu64 "\n", total.n_values);
	fprintf(out, "bits per weight  %.3f\n", bits_per_value(&total));
	print_keys(out, file);
	if (total.n_tensors) {
		print_tensors(out, file, total.n_bytes);
		print_types(out, by_type, n_types, total.n_bytes);
	}
	quern_gguf_close(file);
	return 0;
}

void run_info_machine(FILE *out)
{
	struct qn_topology topology;
	char text[256];

	qn_topology_read(&topology);
	fputs("machine          ", out);
	print_text(out, topology.name, strlen(topology.name), sizeof(topology.name));
	fprintf(out, "\nfeatures         %s\n",
		qn_cpu_feature_text(qn_topology_features(&topology), text, sizeof(text)));
	fprintf(out, "caches           %zu KiB L1d, %zu KiB L2, %zu KiB last level\n",
		topology.l1d_bytes >> 10, topology.l2_bytes >> 10, topology.llc_bytes >> 10);
	fprintf(out, "\n%-5s  %-20s %-10s %7s %8s  %s\n", "class", "cores", "part", "MHz",
		"capacity", "cpus");
	for (int i = 0; i < topology.n_classes; i++) {
		struct qn_core_class c;
		char mhz[24] = "unknown";

		qn_topology_class(&topology, i, &c);
		if (c.first.max_khz)
			snprintf(mhz, sizeof(mhz), "%ld", c.first.max_khz / 1000);
		fprintf(out, "%-5d  %-20s 0x%08" PRIx64 " %7s %8d  ", i,
			qn_cpu_kind_text(c.first.kind, text, sizeof(text)), c.first.part, mhz,
			c.first.capacity);
		fprintf(out, "%s\n", qn_topology_cpus_text(c.cpus, c.n_cpus, text, sizeof(text)));
	}
}
