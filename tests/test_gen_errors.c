/*
 * test_gen_errors.c: the generator on broken homes.
 *
 * Broken templates and modules are tried in a copy of the real home; small stand-in modules take
 * the place of the real ones where the C side has to doubt what Lua returns.
 */
#include "gen/gen.h"
#include "scratch.h"

static char *home;
static struct gen_point dot; /* a point of the real home */

/* A fresh copy of the real one as "home". */
static void copy_home(void)
{
	char from[512];

	scratch_remove_tree("home");
	mkdir("home", 0777);
	snprintf(from, sizeof from, "%s/gen", home);
	scratch_copy_folder(from, "home/gen");
	snprintf(from, sizeof from, "%s/templates", home);
	scratch_copy_folder(from, "home/templates");
}

static int write_one(struct gen *gen, const char *path, const char *dir, struct gen_error *err)
{
	*err->text = '\0';
	return gen_write(gen, &path, 1, dir, NULL, err);
}

/* Emits a dot kernel after one line went in front of a template or module. */
static void check_broken(const char *file, const char *front, const char *expected)
{
	char path[512], *text, *broken, *kernel = NULL;
	struct gen_error err = {""};
	struct gen *gen;

	copy_home();
	snprintf(path, sizeof path, "home/%s", file);
	text = scratch_read_text(path);
	if (asprintf(&broken, "%s%s", front, text) >= 0)
		scratch_write_text(path, broken);
	gen = gen_open("home", &err);
	if (gen)
		kernel = gen_emit(gen, dot.key, &err);
	check_that(!kernel && !strncmp(err.text, expected, strlen(expected)) &&
			   !strchr(err.text, '\n'),
		   __FILE__, __LINE__, err.text);
	free(kernel);
	free(broken);
	free(text);
	gen_close(gen);
}

static void check_broken_homes(void)
{
	struct gen_error err;

	check_broken("templates/dot.c.tmpl", "\n${no_such_name}\n", "templates/dot.c.tmpl:2: ");
	check_broken("templates/dot.c.tmpl", "\n\n${1.5}\n", "templates/dot.c.tmpl:3: ");
	check_broken("templates/dot.c.tmpl", "${}\n", "templates/dot.c.tmpl:1: ");
	check_broken("templates/dot.c.tmpl", "a\n${x\n", "templates/dot.c.tmpl:2: ");
	check_broken("templates/dot.c.tmpl", "a\n% if then\n", "templates/dot.c.tmpl:2: ");
	check_broken("templates/dot.c.tmpl", "a\n% local x = nil + 1\n",
		     "templates/dot.c.tmpl:2: ");
	check_broken("templates/dot.c.tmpl", "% local function f() return f() + 1 end f()\n",
		     "templates/dot.c.tmpl:1: stack overflow");
	check_broken("templates/dot.c.tmpl", "% local x = string.rep('x', (1 << 31) - 1)\n",
		     "not enough memory");
	check_broken("templates/dot.c.tmpl", "\n% error({})\n",
		     "templates/dot.c.tmpl:2: raised a table instead of a sentence");
	check_broken("gen/isa.lua", "--\nlocal = 1\n", "gen/isa.lua:2: ");
	check_broken("gen/emit.lua", "local x = nil .. 'a'\n", "gen/emit.lua:1: ");
	check_broken("gen/registry.lua", "\x1bLua",
		     "gen/registry.lua: attempt to load a binary chunk");
	check_broken("templates/dot.lua", "error('sentence', 0)\n", "sentence");
	check_broken("templates/dot.lua", "os.exit(3)\n", "templates/dot.lua:1: ");
	check_broken("templates/dot.lua", "io.popen('true')\n", "templates/dot.lua:1: ");
	CHECK(!gen_open("/nonexistent", &err) &&
	      !strncmp(err.text, "/nonexistent: there is no folder gen in it; QUERN_HOME", 54));
}

/* A home of stand-ins that keep the interface, except for what `change` does to it. */
static void check_stand_in(const char *change, const char *expected)
{
	static const char modules[] =
		"local names = { 'x' }\n"
		"local space = { count = function() return 2, 1 end,\n"
		"  point = function(_, i) return 'n' .. i, 'k', false, 'default', 1, '8' end,\n"
		"  find = function() return 1 end }\n"
		"local row = { name = 'x', arch = 'any', flags = '', features = '', replaces = '' }\n"
		"local all = { names = function() return names end, acts = function() return names end,\n"
		"  get = function() return row end, space = function() return space end,\n"
		"  kernel = function() return 'text' end,\n"
		"  files = function() return { { name = 'a.c', text = 'a' } } end }\n";
	static const char *const names[] = {"family", "isa", "format", "emit", "registry"};
	char path[512], *text, *kernel = NULL;
	const char *results = "empty.yaml";
	struct gen_error err = {""};
	struct gen_space *space;
	struct gen_point point;
	struct gen_isa isa;
	struct gen *gen;

	scratch_remove_tree("home");
	mkdir("home", 0777);
	mkdir("home/gen", 0777);
	if (asprintf(&text, "%s%s\nreturn all\n", modules, change) < 0)
		return;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "home/gen/%s.lua", names[i]);
		scratch_write_text(path, text);
	}
	free(text);
	scratch_write_text(results, "a: 1\n");
	gen = gen_open("home", &err);
	space = gen ? gen_space_open(gen, "f", "w", "a", "i", 1, 0, 0, &err) : NULL;
	if (space && gen_space_point(space, 1, &point, &err) == 0 &&
	    gen_space_find(space, "k", &err) >= 0 && gen_isa(gen, "x", &isa, &err) == 0 &&
	    (kernel = gen_emit(gen, "k", &err)) && write_one(gen, results, "stand", &err) == 0)
		CHECK(!strcmp(point.name, "n2") && !strcmp(kernel, "text"));
	check_that(!strcmp(err.text, expected), __FILE__, __LINE__, err.text);
	free(kernel);
	gen_close(gen); /* the space too */
}

static void check_stand_ins(void)
{
	check_stand_in("", "");
	check_stand_in("all = 7", "module 'family' is no table");
	check_stand_in("all.names = nil", "module 'family' has no function 'names'");
	check_stand_in("all.acts = nil", "module 'family' has no function 'acts'");
	check_stand_in("names = 7", "names() of module 'family' is no table");
	check_stand_in("names[2] = 7", "a name is a number, not a string");
	check_stand_in("all.kernel = nil", "module 'emit' has no function 'kernel'");
	check_stand_in("space = 7", "a space is no table");
	check_stand_in("space.count = nil", "a space has no method 'count'");
	check_stand_in("space.count = function() return -1 end",
		       "the count of a space is no whole number");
	check_stand_in("space.count = function() return 2, 3 end",
		       "the count of a space is no whole number");
	check_stand_in("space.point = function() return 'n', 'k', false, 'icc', 1, '8' end",
		       "'icc' is no compiler of a point");
	check_stand_in("space.point = function() return 'n', 'k', false, 'default', 0, '8' end",
		       "the tokens of a point are no number from 1");
	check_stand_in("space.point = function() return ('n'):rep(70), 'k' end",
		       "the name of a point is longer than 63 bytes: "
		       "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn");
	check_stand_in("space.point = function() return 'n' end",
		       "the key of a point is a nil, not a string");
	check_stand_in("space.point = function() return 'n', 'k', false, 'default', 1 end",
		       "the layout of a point is a nil, not a string");
	check_stand_in("space.find = function() return 3 end",
		       "a space gave an index that is not one of its own");
	check_stand_in("space.find = function() return 0 end",
		       "a space gave an index that is not one of its own");
	check_stand_in("space.find = function() return nil, 'why not' end", "why not");
	check_stand_in("space.find = function() return nil end",
		       "the reason against a point is a nil, not a string");
	check_stand_in("all.get = function() return {} end", "name is a nil, not a string");
	check_stand_in("all.kernel = function() return 'a\\0b' end",
		       "an emitted text holds a zero byte");
	check_stand_in("all.kernel = function() error('two\\nlines\\n', 0) end", "two lines");
	check_stand_in("all.files = function() return { 1 } end",
		       "a file of the registry is no table");
	check_stand_in("all.files = function() return { { name = '../a', text = '' } } end",
		       "'../a' is no name for a file");
	check_stand_in("all.files = function() return { { name = 'a', text = '' },"
		       " { name = 'a', text = '' } } end",
		       "file a is made twice");
	check_stand_in("all.files = function(docs) error(require('yaml').where({}), 0) end",
		       "gen/registry.lua:10: bad argument #1 to 'where'"
		       " (this table came from no document)");
}

/* What yaml.read and yaml.where say inside Lua. */
static void check_lua_documents(void)
{
	scratch_write_text("d.yaml",
			   "a: 1\nb:\n  - x\n  - {c: 1.5, d: 'true',\n     e: true, f: 0x10}\n");
	check_stand_in("all.files = function()\n"
		       "local yaml = require('yaml')\nlocal d = yaml.read('d.yaml')\n"
		       "local m = d.b[2]\nlocal function line(...)\n"
		       "  return yaml.where(...):match('^d.yaml:(%d+)$')\nend\n"
		       "error(table.concat({ math.type(d.a), m.c, type(m.d), type(m.e), m.f,\n"
		       "#d.b, line(d), line(d, 'b'), line(d.b), line(d.b, 1), line(m),\n"
		       "line(m, 'f'), line(m, 'none'), line(m, true) }, ' '), 0)\nend",
		       "integer 1.5 string boolean 16 2 1 3 3 3 4 5 4 4");
	check_stand_in("all.files = function() require('yaml').read('/nonexistent') end",
		       "/nonexistent: No such file or directory");
}

static int find_dot(void)
{
	struct gen_error err;
	struct gen *gen = gen_open(home, &err);
	struct gen_space *space = NULL;

	if (gen)
		space = gen_space_open(gen, "dot", "w4g32", "a8g32", "scalar", 1, 0, 0, &err);
	if (space)
		gen_space_point(space, 0, &dot, &err);
	gen_close(gen);
	return check_that(*dot.key != '\0', __FILE__, __LINE__, err.text);
}

int main(void)
{
	char work[64];

	home = scratch_open_home(work, "QUERN_HOME");
	if (!CHECK(home))
		return check_exit();
	if (find_dot())
		check_broken_homes();
	check_stand_ins();
	check_lua_documents();
	scratch_remove_tree(work);
	free(home);
	return check_exit();
}
