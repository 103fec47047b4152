/*
 * test_yaml.c: YAML trees, their errors and the writer, and what mutated documents do to them.
 */
#include <stdlib.h>
#include <string.h>

#include "gen/yaml.h"
#include "check.h"

#define N_MUTANTS 6000
#define N_ROUND_TRIPS 3000

static const char sample[] = "quern: results      # line 1\n"
			     "schema: 1\n"
			     "device:\n"
			     "  name: \"12\"\n"
			     "  cores: [ { part: 0xd40, mhz: 3187.5 },\n"
			     "           { part: -1, mhz: 1e3 } ]\n"
			     "empty:\n"
			     "entries:\n"
			     "- format: w4g32\n"
			     "  point: {family: dot, RV: 4}\n"
			     "- text: |\n"
			     "    two\n"
			     "    lines\n";

static struct yaml *parse(const char *text, struct gen_error *err)
{
	memset(err, 0, sizeof *err);
	return yaml_parse("t.yaml", text, strlen(text), err);
}

static void check_tree(void)
{
	struct gen_error err;
	struct yaml *yaml = parse(sample, &err);
	const struct yaml_node *root, *node, *entries;
	double x;
	long n;

	if (!CHECK(yaml != NULL))
		return;
	root = yaml_root(yaml);
	CHECK(strcmp(yaml_name(yaml), "t.yaml") == 0);
	CHECK(root->kind == YAML_MAPPING && root->n == 5 && root->line == 1);
	CHECK(strcmp(root->keys[4]->text, "entries") == 0 && root->keys[4]->line == 8);
	CHECK(yaml_long(yaml_get(root, "schema"), &n) == 0 && n == 1);

	node = yaml_get(root, "device");
	CHECK(yaml_get(node, "name")->quoted && yaml_long(yaml_get(node, "name"), &n) < 0);
	node = yaml_get(node, "cores");
	CHECK(node->kind == YAML_SEQUENCE && node->n == 2 && node->line == 5);
	CHECK(yaml_long(yaml_get(node->items[0], "part"), &n) == 0 && n == 0xd40);
	CHECK(yaml_double(yaml_get(node->items[0], "mhz"), &x) == 0 && x == 3187.5);
	CHECK(yaml_long(yaml_get(node->items[1], "part"), &n) == 0 && n == -1);
	CHECK(yaml_get(node->items[1], "mhz")->line == 6);

	node = yaml_get(root, "empty");
	CHECK(node->kind == YAML_SCALAR && !*node->text && !node->quoted && node->line == 7);
	entries = yaml_get(root, "entries");
	CHECK(entries->n == 2 && yaml_get(yaml_get(entries->items[0], "point"), "RV")->line == 10);
	node = yaml_get(entries->items[1], "text");
	CHECK(strcmp(node->text, "two\nlines\n") == 0 && node->quoted);

	CHECK(!yaml_get(root, "absent") && !yaml_get(NULL, "x") && !yaml_get(node, "x"));
	CHECK(yaml_complain(yaml, entries, &err, "%s %d", "bad", 7) == -1);
	CHECK(strcmp(err.text, "t.yaml:9: bad 7") == 0);
	CHECK(yaml_complain(yaml, NULL, &err, "bad") == -1);
	CHECK(strcmp(err.text, "t.yaml:1: bad") == 0);
	yaml_close(yaml);
	yaml_close(NULL);
}

static void check_numbers(void)
{
	static const struct {
		const char *text;
		int is_long, is_double;
		double value;
	} cases[] = {
		{"0", 1, 1, 0},
		{"-12", 1, 1, -12},
		{"+7", 1, 1, 7},
		{"007", 1, 1, 7},
		{"0x1F", 1, 0, 31},
		{"9223372036854775807", 1, 1, 9223372036854775807.0},
		{"9223372036854775808", 0, 1, 9223372036854775808.0},
		{"-9223372036854775809", 0, 1, -9223372036854775808.0},
		{"0x", 0, 0, 0},
		{"0x-1", 0, 0, 0},
		{"--1", 0, 0, 0},
		{"1 ", 1, 1, 1},
		{"1.5", 0, 1, 1.5},
		{".5", 0, 1, .5},
		{"5.", 0, 1, 5},
		{"1e3", 0, 1, 1000},
		{"-2.5E-1", 0, 1, -.25},
		{"1e999", 0, 0, 0},
		{"1e", 0, 0, 0},
		{".", 0, 0, 0},
		{"-x", 0, 0, 0},
		{"+", 0, 0, 0},
		{"e5", 0, 0, 0},
		{"nan", 0, 0, 0},
		{"inf", 0, 0, 0},
		{"0x1p3", 0, 0, 0},
		{"1 2", 0, 0, 0},
		{"\"3\"", 0, 0, 0},
		{"'3'", 0, 0, 0},
		{"", 0, 0, 0},
		{"[3]", 0, 0, 0},
		{"1_000", 0, 0, 0},
		{"12a", 0, 0, 0},
		{"true", 0, 0, 0},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct gen_error err;
		char text[64];
		struct yaml *yaml;
		const struct yaml_node *node;
		double x = 0;
		long n = 0;
		int ok;

		snprintf(text, sizeof text, "x: %s\n", cases[i].text);
		yaml = parse(text, &err);
		node = yaml ? yaml_get(yaml_root(yaml), "x") : NULL;
		ok = (yaml_long(node, &n) == 0) == cases[i].is_long &&
		     (yaml_double(node, &x) == 0) == cases[i].is_double &&
		     (!cases[i].is_long || (double)n == cases[i].value) &&
		     (!cases[i].is_double || x == cases[i].value);
		check_that(yaml && ok, __FILE__, __LINE__, cases[i].text);
		yaml_close(yaml);
	}
}

static void check_errors(void)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"", "t.yaml:1: there is no document"},
		{"# nothing\n\n", "t.yaml:3: there is no document"},
		{"a: 1\nb: 2\na: 3\n", "t.yaml:3: key 'a' is already on line 1"},
		{"a: 1\n'a': 3\n", "t.yaml:2: key 'a' is already on line 1"},
		{"a: &x 1\n", "t.yaml:1: anchors are not allowed here"},
		{"a: 1\nb: &x [1]\n", "t.yaml:2: anchors are not allowed here"},
		{"a: 1\nb: *x\n", "t.yaml:2: aliases are not allowed here"},
		{"a: !!str 1\n", "t.yaml:1: tags are not allowed here"},
		{"a: 1\nb: !x {}\n", "t.yaml:2: tags are not allowed here"},
		{"a: ! 1\n", "t.yaml:1: tags are not allowed here"},
		{"a: 1\n---\nb: 1\n", "t.yaml:2: a second document begins"},
		{"a: 1\n...\n--- 2\n", "t.yaml:3: a second document begins"},
		{"a: 1\n? [x]\n: 2\n", "t.yaml:2: a key must be a single word or string"},
		{"{a: 1}: 2\n", "t.yaml:1: a key must be a single word or string"},
		{"a: \"x\\0y\"\n", "t.yaml:1: a string must not hold a zero byte"},
		{"a: 1\n b: 2\n", "t.yaml:2: mapping values are not allowed"},
		{"a: [1, 2\nb: 3\n", "t.yaml:2: while parsing a flow sequence, "},
		{"a: 1\nb: \"x\n", "t.yaml:3: while scanning a quoted scalar, "},
		{"a: 1\n\tb: 2\n", "t.yaml:2: "},
		{"a: 1\nb: \xff\n", "t.yaml:2: invalid leading UTF-8 octet"},
		{"a: 1\n\nb: \x01\n", "t.yaml:3: control characters are not allowed"},
	};
	struct gen_error err;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct yaml *yaml = parse(cases[i].text, &err);

		check_that(!yaml && strstr(err.text, cases[i].expected) == err.text, __FILE__,
			   __LINE__, err.text);
		yaml_close(yaml);
	}
	CHECK(!yaml_read("/nonexistent/x.yaml", &err));
	CHECK(!strcmp(err.text, "/nonexistent/x.yaml: No such file or directory"));
	CHECK(!yaml_read("/", &err) && !strcmp(err.text, "/: Is a directory"));
	CHECK(!yaml_parse("big.yaml", "", ((size_t)256 << 20) + 1, &err));
	CHECK(!strcmp(err.text, "big.yaml:1: larger than 256 MiB"));
}

static void check_depth(void)
{
	for (int depth = 63; depth <= 66; depth++) {
		char flow[256] = "", block[256] = "";
		struct gen_error err;
		struct yaml *yaml;

		for (int i = 0; i < depth; i++) {
			flow[i] = '[';
			flow[depth + i] = ']';
			memcpy(block + 2 * i, "- ", 2);
		}
		yaml = parse(flow, &err);
		CHECK((yaml != NULL) == (depth <= 64));
		yaml_close(yaml);
		yaml = parse(block, &err);
		CHECK((yaml != NULL) == (depth <= 64));
		CHECK(yaml || !strcmp(err.text, "t.yaml:1: nested deeper than 64 levels"));
		yaml_close(yaml);
	}
}

static void check_many_keys(void)
{
	enum { N = 20000 };
	char *text = malloc(N * 16), *end = text;
	struct gen_error err;
	struct yaml *yaml;

	for (int i = 0; i < N; i++)
		end += sprintf(end, "k%d: %d\n", (i * 7919) % N, i);
	yaml = parse(text, &err);
	CHECK(yaml && yaml_root(yaml)->n == N);
	yaml_close(yaml);
	strcpy(end, "k5: x\n");
	CHECK(!parse(text, &err) && strstr(err.text, "t.yaml:20001: key 'k5' is already on line "));
	free(text);
}

static void check_writer(void)
{
	static const char expected[] = "quern: results\n"
				       "schema: 1\n"
				       "commit: \"1234567\"\n"
				       "note: \"two\\nlines\"\n"
				       "cpus: \"0-3,7\"\n"
				       "nothing: \"\"\n"
				       "off: '# x'\n"
				       "entries:\n"
				       "- format: w4g32\n"
				       "  shape: 4096x4096\n"
				       "  point: {family: dot, RV: 4, ns: 12.50}\n"
				       "  raw: [1, 2]\n"
				       "- {}\n"
				       "- []\n";
	char text[1024] = "";
	FILE *file = fmemopen(text, sizeof text, "w");
	struct yaml_out *out = yaml_out_open(file);

	yaml_out_map(out, 0);
	yaml_out_text(out, "quern");
	yaml_out_text(out, "results");
	yaml_out_text(out, "schema");
	yaml_out_format(out, "%d", 1);
	yaml_out_text(out, "commit");
	yaml_out_text(out, "1234567");
	yaml_out_text(out, "note");
	yaml_out_text(out, "two\nlines");
	yaml_out_text(out, "cpus");
	yaml_out_text(out, "0-3,7");
	yaml_out_text(out, "nothing");
	yaml_out_text(out, "");
	yaml_out_format(out, "off");
	yaml_out_text(out, "# x");
	yaml_out_text(out, "entries");
	yaml_out_list(out, 0);
	yaml_out_map(out, 0);
	yaml_out_text(out, "format");
	yaml_out_text(out, "w4g32");
	yaml_out_text(out, "shape");
	yaml_out_text(out, "4096x4096");
	yaml_out_text(out, "point");
	yaml_out_map(out, 1);
	yaml_out_text(out, "family");
	yaml_out_text(out, "dot");
	yaml_out_text(out, "RV");
	yaml_out_format(out, "%d", 4);
	yaml_out_text(out, "ns");
	yaml_out_format(out, "%.2f", 12.5);
	yaml_out_end_map(out);
	yaml_out_text(out, "raw");
	yaml_out_list(out, 1);
	yaml_out_format(out, "1");
	yaml_out_format(out, "2");
	yaml_out_end_list(out);
	yaml_out_end_map(out);
	yaml_out_map(out, 0);
	yaml_out_end_map(out);
	yaml_out_list(out, 1);
	yaml_out_end_list(out);
	yaml_out_end_list(out);
	yaml_out_end_map(out);
	CHECK(yaml_out_close(out) == 0);
	fclose(file);
	if (!CHECK(strcmp(text, expected) == 0))
		printf("%s", text);
}

static void check_writer_failures(void)
{
	char text[64];
	FILE *file = fmemopen(text, sizeof text, "w"), *full = fopen("/dev/full", "w");
	struct yaml_out *out = yaml_out_open(file);

	yaml_out_map(out, 0); /* never ended */
	yaml_out_text(out, "a");
	CHECK(yaml_out_close(out) == -1);
	out = yaml_out_open(file);
	yaml_out_end_list(out); /* never begun */
	yaml_out_text(out, "a");
	yaml_out_map(out, 1);
	CHECK(yaml_out_close(out) == -1);
	fclose(file);
	if (full) {
		out = yaml_out_open(full);
		yaml_out_text(out, "a");
		CHECK(yaml_out_close(out) == -1);
		fclose(full);
	}
	yaml_out_map(NULL, 0);
	yaml_out_text(NULL, "a");
	yaml_out_format(NULL, "a");
	yaml_out_end_list(NULL);
	CHECK(yaml_out_close(NULL) == -1);
}

/* ---- round trips ---- */

static const char *const pieces[] = {
	"a",
	"true",
	"null",
	"~",
	"1",
	"-",
	".",
	"e",
	"0x",
	":",
	": ",
	"#",
	" #",
	" ",
	"  ",
	"\n",
	"\n\n",
	"\t",
	"'",
	"\"",
	"\\",
	"{",
	"}",
	"[",
	"]",
	",",
	"&",
	"*",
	"!",
	"|",
	">",
	"%",
	"@",
	"`",
	"?",
	"? ",
	"- ",
	"---",
	"...",
	"\xc3\xa9",
	"\xe2\x82\xac",
	"\xf0\x9f\x98\x80",
	"\xc2\x85",
	"\xe2\x80\xa8",
	"\xef\xbb\xbf",
	"\x7f",
	"\x01",
	"\r",
	"\r\n",
	"<<",
	"=",
	"yes",
	"2024-01-01",
	"word",
};

static void random_text(uint64_t *state, char *text)
{
	int n = (int)(check_random(state) % 6);

	*text = '\0';
	while (n-- > 0)
		strcat(text, pieces[check_random(state) % (sizeof pieces / sizeof *pieces)]);
}

/* Writes a random value; the same state draws the same value again in match_value. */
static void write_value(struct yaml_out *out, uint64_t *state, int depth)
{
	uint64_t draw = check_random(state);
	int n = (int)(draw >> 8 & 3), kind = (int)(draw % (depth < 4 ? 4 : 2));
	int flow = draw >> 16 & 1;
	char text[64];

	if (kind == 0) {
		yaml_out_format(out, "%ld", (long)check_random(state));
	} else if (kind == 1) {
		random_text(state, text);
		yaml_out_text(out, text);
	} else if (kind == 2) {
		yaml_out_list(out, flow);
		while (n-- > 0)
			write_value(out, state, depth + 1);
		yaml_out_end_list(out);
	} else {
		yaml_out_map(out, flow);
		for (int i = 0; i < n; i++) {
			random_text(state, text);
			sprintf(text + strlen(text), "%d", i);
			yaml_out_text(out, text);
			write_value(out, state, depth + 1);
		}
		yaml_out_end_map(out);
	}
}

static int match_value(const struct yaml_node *node, uint64_t *state, int depth)
{
	uint64_t draw = check_random(state);
	int n = (int)(draw >> 8 & 3), kind = (int)(draw % (depth < 4 ? 4 : 2));
	char text[64];
	double x;
	long value;

	if (kind == 0)
		return yaml_long(node, &value) == 0 && value == (long)check_random(state);
	if (kind == 1) {
		random_text(state, text);
		return node->kind == YAML_SCALAR && strcmp(node->text, text) == 0 &&
		       yaml_long(node, &value) < 0 && yaml_double(node, &x) < 0 &&
		       (node->quoted || (strcmp(text, "true") != 0 && *text));
	}
	if (node->kind != (kind == 2 ? YAML_SEQUENCE : YAML_MAPPING) || node->n != (size_t)n)
		return 0;
	for (int i = 0; i < n; i++) {
		if (kind == 3) {
			random_text(state, text);
			sprintf(text + strlen(text), "%d", i);
			if (strcmp(node->keys[i]->text, text) != 0)
				return 0;
		}
		if (!match_value(node->items[i], state, depth + 1))
			return 0;
	}
	return 1;
}

static void check_round_trips(void)
{
	for (uint64_t seed = 1; seed <= N_ROUND_TRIPS; seed++) {
		struct gen_error err;
		uint64_t state = seed;
		char *text;
		size_t n_bytes;
		FILE *file = open_memstream(&text, &n_bytes);
		struct yaml_out *out = yaml_out_open(file);
		struct yaml *yaml;
		int ok;

		write_value(out, &state, 0);
		ok = yaml_out_close(out) == 0;
		fclose(file);
		yaml = yaml_parse("t.yaml", text, n_bytes, &err);
		state = seed;
		ok = ok && yaml && match_value(yaml_root(yaml), &state, 0);
		if (!check_that(ok, __FILE__, __LINE__, "round trip"))
			printf("seed %d: %s\n%s\n", (int)seed, yaml ? "" : err.text, text);
		yaml_close(yaml);
		free(text);
	}
}

static void check_bad_bytes(void)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"a\xff"
		 "b",
		 "a\xef\xbf\xbd"
		 "b"},
		{"\xc3", "\xef\xbf\xbd"},
		{"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xc3\xa9", "\xc3\xa9"},
		{"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct gen_error err;
		char *text;
		size_t n_bytes;
		FILE *file = open_memstream(&text, &n_bytes);
		struct yaml_out *out = yaml_out_open(file);
		struct yaml *yaml;

		yaml_out_text(out, cases[i].text);
		CHECK(yaml_out_close(out) == 0);
		fclose(file);
		yaml = yaml_parse("t.yaml", text, n_bytes, &err);
		CHECK(yaml && strcmp(yaml_root(yaml)->text, cases[i].expected) == 0);
		yaml_close(yaml);
		free(text);
	}
}

/* ---- mutants ---- */

static size_t count_nodes(const struct yaml_node *node, int depth)
{
	size_t n = 1;
	double x;
	long value;

	CHECK(node->line >= 1 && depth <= 65);
	if (node->kind == YAML_SCALAR)
		return n + strlen(node->text) + (yaml_long(node, &value) == 0) +
		       (yaml_double(node, &x) == 0);
	for (size_t i = 0; i < node->n; i++) {
		if (node->kind == YAML_MAPPING)
			n += count_nodes(node->keys[i], depth + 1);
		n += count_nodes(node->items[i], depth + 1);
	}
	return n;
}

/* One edit of n > 1 bytes; adds at most 10. */
static size_t mutate(char *text, size_t n, uint64_t *state)
{
	static const char *const inserts[] = {
		": ",   "- ",           "[",     "{",  "}", "]",  "\n", "\"", "'",           "&a ",
		"*a",   "!!x ",         "---\n", "|",  ">", "? ", "#",  "\t", "%YAML 9.9\n", "\xff",
		"\xc3", "\xef\xbb\xbf", "\\u",   "\r",
	};
	const char *insert = inserts[check_random(state) % (sizeof inserts / sizeof *inserts)];
	size_t at = check_random(state) % n, n_cut = check_random(state) % (n - at);
	size_t n_insert = strlen(insert);

	switch (check_random(state) % 4) {
	case 0: text[at] = (char)check_random(state); return n;
	case 1: memmove(text + at, text + at + n_cut, n - at - n_cut); return n - n_cut;
	case 2: return at;
	default:
		memmove(text + at + n_insert, text + at, n - at);
		memcpy(text + at, insert, n_insert);
		return n + n_insert;
	}
}

static void check_mutants(void)
{
	for (uint64_t seed = 1; seed <= N_MUTANTS; seed++) {
		char text[2 * sizeof sample + 64];
		size_t n = sizeof sample - 1;
		uint64_t state = seed;
		struct gen_error err = {""};
		struct yaml *yaml;
		unsigned line;

		memcpy(text, sample, n);
		for (int edits = 1 + (int)(check_random(&state) % 4); edits > 0 && n > 1; edits--)
			n = mutate(text, n, &state);
		yaml = yaml_parse("t.yaml", text, n, &err);
		if (yaml)
			CHECK(count_nodes(yaml_root(yaml), 1) > 0);
		else
			check_that(sscanf(err.text, "t.yaml:%u: ", &line) == 1 && line >= 1,
				   __FILE__, (int)seed, err.text);
		yaml_close(yaml);
	}
}

int main(void)
{
	check_tree();
	check_numbers();
	check_errors();
	check_depth();
	check_many_keys();
	check_writer();
	check_writer_failures();
	check_round_trips();
	check_bad_bytes();
	check_mutants();
	return check_exit();
}
