/*
 * gen.c: the generator's interface over its Lua modules.
 *
 * Every entry packs its arguments, runs one body inside a protected call and unpacks what
 * that left.  What Lua returns is checked here; what it means is Lua's.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <lauxlib.h>

#include "folder.h"
#include "gen.h"
#include "state.h"
#include "yaml_lua.h"

enum { FAMILIES, ACTS, ISAS, FORMATS, N_LISTS };

struct gen {
	struct state *state;
	char **lists[N_LISTS];
	struct gen_space *spaces;
	struct folder_counts counts;
};

struct gen_space {
	struct gen *gen;
	struct gen_space *next, **link;
	int table; /* reference in Lua's registry */
	long n_points, n_default;
};

static void copy_text(lua_State *lua, int index, const char *what, char *to, size_t size)
{
	const char *text = state_check_text(lua, index, what);

	if (strlen(text) >= size)
		luaL_error(lua, "%s is longer than %d bytes: %s", what, (int)size - 1, text);
	strcpy(to, text);
}

static char *duplicate_text(lua_State *lua, int index, const char *what)
{
	char *text = strdup(state_check_text(lua, index, what));

	if (!text)
		luaL_error(lua, "out of memory");
	return text;
}

/* ---- opening ---- */

static void read_list(lua_State *lua, const char *module, const char *function, char ***list)
{
	lua_Unsigned n;

	state_push_function(lua, module, function);
	lua_call(lua, 0, 1);
	if (!lua_istable(lua, -1))
		luaL_error(lua, "%s() of module '%s' is no table", function, module);
	n = lua_rawlen(lua, -1);
	*list = calloc(n + 1, sizeof **list);
	if (!*list)
		luaL_error(lua, "out of memory");
	for (lua_Unsigned i = 0; i < n; i++) {
		lua_rawgeti(lua, -1, (lua_Integer)i + 1);
		(*list)[i] = duplicate_text(lua, -1, "a name");
		lua_pop(lua, 1);
	}
	lua_pop(lua, 1);
}

static int open_body(lua_State *lua)
{
	static const struct {
		const char *module, *function;
	} lists[N_LISTS] = {
		[FAMILIES] = {"family", "names"},
		[ACTS] = {"family", "acts"},
		[ISAS] = {"isa", "names"},
		[FORMATS] = {"format", "names"},
	};
	struct gen *gen = lua_touserdata(lua, 1);

	luaL_requiref(lua, "yaml", yaml_lua_open, 0);
	for (int i = 0; i < N_LISTS; i++)
		read_list(lua, lists[i].module, lists[i].function, &gen->lists[i]);
	state_push_function(lua, "emit", "kernel");
	state_push_function(lua, "registry", "files");
	return 0;
}

/* Is there anything to load?  Asked first, for what `require` says is hard to read. */
static int check_home(const char *home, struct gen_error *err)
{
	struct stat status;
	char *path;
	int is_there;

	if (asprintf(&path, "%s/gen", home) < 0) {
		snprintf(err->text, sizeof err->text, "out of memory");
		return -1;
	}
	is_there = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
	free(path);
	if (is_there)
		return 0;
	snprintf(err->text, sizeof err->text,
		 "%s: there is no folder gen in it; QUERN_HOME must "
		 "name the one that holds gen and templates",
		 home);
	return -1;
}

struct gen *gen_open(const char *home, struct gen_error *err)
{
	struct gen *gen = calloc(1, sizeof *gen);

	if (!gen) {
		snprintf(err->text, sizeof err->text, "out of memory");
		return NULL;
	}
	if (check_home(home, err) < 0) {
		gen_close(gen);
		return NULL;
	}
	gen->state = state_open(home, err);
	if (!gen->state || state_call(gen->state, open_body, gen, err) < 0) {
		gen_close(gen);
		return NULL;
	}
	return gen;
}

void gen_close(struct gen *gen)
{
	if (!gen)
		return;
	while (gen->spaces)
		gen_space_close(gen->spaces);
	state_close(gen->state);
	for (int i = 0; i < N_LISTS; i++) {
		for (char **name = gen->lists[i]; name && *name; name++)
			free(*name);
		free(gen->lists[i]);
	}
	free(gen);
}

const char *const *gen_families(struct gen *gen)
{
	return (const char *const *)gen->lists[FAMILIES];
}

const char *const *gen_acts(struct gen *gen)
{
	return (const char *const *)gen->lists[ACTS];
}

const char *const *gen_isas(struct gen *gen)
{
	return (const char *const *)gen->lists[ISAS];
}

const char *const *gen_formats(struct gen *gen)
{
	return (const char *const *)gen->lists[FORMATS];
}

struct isa_call {
	const char *name;
	struct gen_isa *isa;
};

static int isa_body(lua_State *lua)
{
	struct isa_call *args = lua_touserdata(lua, 1);
	struct gen_isa *isa = args->isa;
	const struct {
		const char *key;
		char *to;
		size_t size;
	} fields[] = {
		{"name", isa->name, sizeof isa->name},
		{"arch", isa->arch, sizeof isa->arch},
		{"flags", isa->flags, sizeof isa->flags},
		{"features", isa->features, sizeof isa->features},
		{"replaces", isa->replaces, sizeof isa->replaces},
	};

	state_push_function(lua, "isa", "get");
	lua_pushstring(lua, args->name);
	lua_call(lua, 1, 1);
	if (!lua_istable(lua, -1))
		luaL_error(lua, "isa '%s' is no table", args->name);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		lua_getfield(lua, -1, fields[i].key);
		copy_text(lua, -1, fields[i].key, fields[i].to, fields[i].size);
		lua_pop(lua, 1);
	}
	return 0;
}

int gen_isa(struct gen *gen, const char *name, struct gen_isa *isa, struct gen_error *err)
{
	struct isa_call args = {name, isa};

	return state_call(gen->state, isa_body, &args, err);
}

/* ---- spaces ---- */

struct space_call {
	struct gen_space *space;
	const char *family, *format, *act, *isa;
	const char *key, *like;
	long n_tokens;
	int with_lossy;
	int with_clang;
	long index; /* in and out, from 0 */
	struct gen_point *point;
	char *text;
};

/* Pushes the space's method and the space. */
static void push_method(lua_State *lua, const struct gen_space *space, const char *name)
{
	lua_rawgeti(lua, LUA_REGISTRYINDEX, space->table);
	if (lua_getfield(lua, -1, name) != LUA_TFUNCTION)
		luaL_error(lua, "a space has no method '%s'", name);
	lua_insert(lua, -2);
}

/* An index that Lua gave, counted from 0. */
static long check_index(lua_State *lua, const struct gen_space *space)
{
	int is_integer;
	lua_Integer i = lua_tointegerx(lua, -1, &is_integer);

	if (!is_integer || i < 1 || i > space->n_points)
		luaL_error(lua, "a space gave an index that is not one of its own");
	return (long)i - 1;
}

/* A count from 0 to max. */
static long check_count(lua_State *lua, int index, lua_Integer max)
{
	int is_integer;
	lua_Integer n = lua_tointegerx(lua, index, &is_integer);

	if (!is_integer || n < 0 || n > max)
		luaL_error(lua, "the count of a space is no whole number");
	return (long)n;
}

static int space_body(lua_State *lua)
{
	struct space_call *args = lua_touserdata(lua, 1);
	struct gen_space *space = args->space;

	state_push_function(lua, "family", "space");
	lua_pushstring(lua, args->family);
	lua_pushstring(lua, args->format);
	lua_pushstring(lua, args->act);
	lua_pushstring(lua, args->isa);
	lua_pushinteger(lua, args->n_tokens);
	lua_pushboolean(lua, args->with_lossy);
	lua_pushboolean(lua, args->with_clang);
	lua_call(lua, 7, 1);
	if (!lua_istable(lua, -1))
		luaL_error(lua, "a space is no table");
	space->table = luaL_ref(lua, LUA_REGISTRYINDEX);
	push_method(lua, space, "count");
	lua_call(lua, 1, 2);
	space->n_points = check_count(lua, -2, LONG_MAX);
	space->n_default = check_count(lua, -1, space->n_points);
	return 0;
}

struct gen_space *gen_space_open(struct gen *gen, const char *family, const char *format,
				 const char *act, const char *isa, long n_tokens, int with_lossy,
				 int with_clang, struct gen_error *err)
{
	struct gen_space *space = calloc(1, sizeof *space);
	struct space_call args = {
		.space = space,
		.family = family,
		.format = format,
		.act = act,
		.isa = isa,
		.n_tokens = n_tokens,
		.with_lossy = with_lossy,
		.with_clang = with_clang,
	};

	if (!space) {
		snprintf(err->text, sizeof err->text, "out of memory");
		return NULL;
	}
	space->gen = gen;
	space->table = LUA_NOREF;
	space->next = gen->spaces;
	space->link = &gen->spaces;
	if (space->next)
		space->next->link = &space->next;
	gen->spaces = space;
	if (state_call(gen->state, space_body, &args, err) < 0) {
		gen_space_close(space);
		return NULL;
	}
	return space;
}

void gen_space_close(struct gen_space *space)
{
	if (!space)
		return;
	state_unref(space->gen->state, space->table);
	*space->link = space->next;
	if (space->next)
		space->next->link = space->link;
	free(space);
}

long gen_space_count(const struct gen_space *space)
{
	return space->n_points;
}

long gen_space_count_default(const struct gen_space *space)
{
	return space->n_default;
}

static int check_range(const struct gen_space *space, long index, struct gen_error *err)
{
	if (index >= 0 && index < space->n_points)
		return 0;
	snprintf(err->text, sizeof err->text, "there is no point %ld in a space of %ld", index,
		 space->n_points);
	return -1;
}

static enum gen_compiler check_compiler(lua_State *lua, int index)
{
	static const char *const names[GEN_N_COMPILERS] = {"default", "clang"};
	const char *text = state_check_text(lua, index, "the compiler of a point");
	int i = 0;

	while (i < GEN_N_COMPILERS && strcmp(text, names[i]) != 0)
		i++;
	if (i == GEN_N_COMPILERS)
		luaL_error(lua, "'%s' is no compiler of a point", text);
	return (enum gen_compiler)i;
}

/* From the six values on top: name, key, is it lossy, compiler, tokens, layout. */
static void read_point(lua_State *lua, struct gen_point *point)
{
	copy_text(lua, -6, "the name of a point", point->name, sizeof point->name);
	copy_text(lua, -5, "the key of a point", point->key, sizeof point->key);
	copy_text(lua, -1, "the layout of a point", point->layout, sizeof point->layout);
	point->is_lossy = lua_toboolean(lua, -4);
	point->compiler = check_compiler(lua, -3);
	point->n_tokens = lua_tointeger(lua, -2);
	if (point->n_tokens < 1)
		luaL_error(lua, "the tokens of a point are no number from 1");
}

static int point_body(lua_State *lua)
{
	struct space_call *args = lua_touserdata(lua, 1);

	push_method(lua, args->space, "point");
	lua_pushinteger(lua, args->index + 1);
	lua_call(lua, 2, 6);
	read_point(lua, args->point);
	return 0;
}

int gen_space_point(struct gen_space *space, long index, struct gen_point *point,
		    struct gen_error *err)
{
	struct space_call args = {.space = space, .index = index, .point = point};

	if (check_range(space, index, err) < 0)
		return -1;
	return state_call(space->gen->state, point_body, &args, err);
}

static int table_body(lua_State *lua)
{
	struct space_call *args = lua_touserdata(lua, 1);

	push_method(lua, args->space, "table");
	lua_call(lua, 1, 1);
	args->text = duplicate_text(lua, -1, "the table of a space");
	return 0;
}

char *gen_space_table(struct gen_space *space, struct gen_error *err)
{
	struct space_call args = {.space = space};

	return state_call(space->gen->state, table_body, &args, err) < 0 ? NULL : args.text;
}

static int find_body(lua_State *lua)
{
	struct space_call *args = lua_touserdata(lua, 1);

	push_method(lua, args->space, "find");
	lua_pushstring(lua, args->key);
	lua_call(lua, 2, 2);
	if (lua_isnil(lua, -2)) {
		state_check_text(lua, -1, "the reason against a point");
		return lua_error(lua);
	}
	lua_pop(lua, 1);
	args->index = check_index(lua, args->space);
	return 0;
}

long gen_space_find(struct gen_space *space, const char *key, struct gen_error *err)
{
	struct space_call args = {.space = space, .key = key};

	return state_call(space->gen->state, find_body, &args, err) < 0 ? -1 : args.index;
}

static int complete_body(lua_State *lua)
{
	struct space_call *args = lua_touserdata(lua, 1);

	state_push_function(lua, "family", "complete");
	lua_pushstring(lua, args->key);
	lua_call(lua, 1, 6);
	read_point(lua, args->point);
	return 0;
}

int gen_complete(struct gen *gen, const char *key, struct gen_point *point, struct gen_error *err)
{
	struct space_call args = {.key = key, .point = point};

	return state_call(gen->state, complete_body, &args, err);
}

static int relayout_body(lua_State *lua)
{
	struct space_call *args = lua_touserdata(lua, 1);

	state_push_function(lua, "family", "relayout_like");
	lua_pushstring(lua, args->key);
	lua_pushstring(lua, args->like);
	lua_call(lua, 2, 1);
	args->text = lua_isnil(lua, -1) ? NULL : duplicate_text(lua, -1, "the key of a point");
	return 0;
}

int gen_relayout(struct gen *gen, const char *key, const char *like, char **relaid,
		 struct gen_error *err)
{
	struct space_call args = {.key = key, .like = like};

	*relaid = NULL;
	if (state_call(gen->state, relayout_body, &args, err) < 0)
		return -1;
	*relaid = args.text;
	return 0;
}

/* ---- emission ---- */

struct emit_call {
	const char *function; /* of the module "emit" */
	const char *argument; /* its argument, unless keys are */
	const char *const *keys;
	size_t n_keys;
	char *text;
};

static int emit_body(lua_State *lua)
{
	struct emit_call *args = lua_touserdata(lua, 1);

	state_push_function(lua, "emit", args->function);
	if (args->argument) {
		lua_pushstring(lua, args->argument);
	} else {
		lua_createtable(lua, (int)args->n_keys, 0);
		for (size_t i = 0; i < args->n_keys; i++) {
			lua_pushstring(lua, args->keys[i]);
			lua_rawseti(lua, -2, (lua_Integer)i + 1);
		}
	}
	lua_call(lua, 1, 1);
	args->text = duplicate_text(lua, -1, "an emitted text");
	return 0;
}

char *gen_emit(struct gen *gen, const char *key, struct gen_error *err)
{
	struct emit_call args = {.function = "kernel", .argument = key};

	return state_call(gen->state, emit_body, &args, err) < 0 ? NULL : args.text;
}

char *gen_emit_isa(struct gen *gen, const char *isa, struct gen_error *err)
{
	struct emit_call args = {.function = "isa", .argument = isa};

	return state_call(gen->state, emit_body, &args, err) < 0 ? NULL : args.text;
}

char *gen_emit_registry(struct gen *gen, const char *const *keys, size_t n, struct gen_error *err)
{
	struct emit_call args = {.function = "registry", .keys = keys, .n_keys = n};

	return state_call(gen->state, emit_body, &args, err) < 0 ? NULL : args.text;
}

struct write_call {
	struct gen *gen;
	const char *const *paths;
	size_t n_paths;
	const char *dir, *arch;
};

/* Texts stay Lua's; the array is a Lua value too. */
static struct folder_file *list_files(lua_State *lua, size_t n)
{
	int list = lua_gettop(lua);
	struct folder_file *files = lua_newuserdatauv(lua, n * sizeof *files, 0);

	for (size_t i = 0; i < n; i++) {
		if (lua_rawgeti(lua, list, (lua_Integer)i + 1) != LUA_TTABLE)
			luaL_error(lua, "a file of the registry is no table");
		lua_pushliteral(lua, "name");
		lua_rawget(lua, -2);
		files[i].name = state_check_text(lua, -1, "the name of a file");
		lua_pushliteral(lua, "text");
		lua_rawget(lua, -3);
		files[i].text = state_check_text(lua, -1, "the text of a file");
		lua_pop(lua, 3);
	}
	return files;
}

static int write_body(lua_State *lua)
{
	static const char *const owned[] = {"kernel_*.c", "isa_*.c", "floats_*.c", NULL};
	struct write_call *args = lua_touserdata(lua, 1);
	struct folder_file *files;
	struct gen_error err;
	size_t n;

	state_push_function(lua, "registry", "files");
	lua_createtable(lua, (int)args->n_paths, 0);
	for (size_t i = 0; i < args->n_paths; i++) {
		yaml_lua_push(lua, args->paths[i]);
		if (!lua_istable(lua, -1))
			luaL_error(lua, "%s:1: this is no results or config file", args->paths[i]);
		lua_rawseti(lua, -2, (lua_Integer)i + 1);
	}
	lua_pushstring(lua, args->arch);
	lua_call(lua, 2, 1);
	if (!lua_istable(lua, -1))
		luaL_error(lua, "the files of the registry are no table");
	n = lua_rawlen(lua, -1);
	files = list_files(lua, n);
	if (folder_write(args->dir, files, n, owned, &args->gen->counts, &err) < 0) {
		lua_pushstring(lua, err.text);
		return lua_error(lua);
	}
	return 0;
}

int gen_write(struct gen *gen, const char *const *paths, size_t n, const char *dir,
	      const char *arch, struct gen_error *err)
{
	struct write_call args = {gen, paths, n, dir, arch};

	gen->counts = (struct folder_counts){0};
	return state_call(gen->state, write_body, &args, err);
}

void gen_written(const struct gen *gen, size_t *n_written, size_t *n_unchanged)
{
	*n_written = gen->counts.n_written;
	*n_unchanged = gen->counts.n_unchanged;
}
