/*
 * state.c: a Lua state that fails in sentences.
 *
 * Modules come from gen/ and templates/ below home only and are named by their path from there,
 * which is how they appear in error messages.  Memory is counted, so that a template that runs
 * away fails instead of filling the machine.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "state.h"

#define MAX_BYTES ((size_t)2 << 30)

struct state {
	lua_State *lua;
	size_t n_bytes; /* held by Lua */
};

/* ---- calls ---- */

static void *allocate(void *arg, void *block, size_t old, size_t size)
{
	struct state *state = arg;
	void *p;

	if (!block)
		old = 0; /* Lua tells the kind of object here */
	if (size == 0) {
		free(block);
		state->n_bytes -= old;
		return NULL;
	}
	if (size > old && size - old > MAX_BYTES - state->n_bytes)
		return NULL;
	p = realloc(block, size);
	if (p)
		state->n_bytes += size - old;
	return p;
}

/* Turns an error value that is no string into a sentence with the place that raised it. */
static int name_error(lua_State *lua)
{
	if (lua_type(lua, 1) == LUA_TSTRING)
		return 1;
	luaL_where(lua, 1);
	if (!*lua_tostring(lua, -1)) /* raised through the C function `error`? */
		luaL_where(lua, 2);
	lua_pushfstring(lua, "%sraised a %s instead of a sentence", lua_tostring(lua, -1),
			luaL_typename(lua, 1));
	return 1;
}

/* Lua's message as one line. */
static void take_error(lua_State *lua, struct gen_error *err)
{
	int is_text = lua_type(lua, -1) == LUA_TSTRING;
	const char *text = is_text ? lua_tostring(lua, -1) : "unknown error";
	size_t n = 0;

	for (; *text && n < sizeof err->text - 1; text++) {
		int blank = (unsigned char)*text <= ' ';

		if (!blank)
			err->text[n++] = *text;
		else if (n && err->text[n - 1] != ' ')
			err->text[n++] = ' ';
	}
	err->text[n && err->text[n - 1] == ' ' ? n - 1 : n] = '\0';
}

int state_call(struct state *state, lua_CFunction body, void *arg, struct gen_error *err)
{
	int status;

	lua_settop(state->lua, 0);
	lua_pushcfunction(state->lua, name_error);
	lua_pushcfunction(state->lua, body);
	lua_pushlightuserdata(state->lua, arg);
	status = lua_pcall(state->lua, 1, 0, 1);
	if (status != LUA_OK)
		take_error(state->lua, err);
	lua_settop(state->lua, 0);
	return status == LUA_OK ? 0 : -1;
}

void state_push_function(lua_State *lua, const char *module, const char *name)
{
	lua_getglobal(lua, "require");
	lua_pushstring(lua, module);
	lua_call(lua, 1, 1);
	if (!lua_istable(lua, -1))
		luaL_error(lua, "module '%s' is no table", module);
	if (lua_getfield(lua, -1, name) != LUA_TFUNCTION)
		luaL_error(lua, "module '%s' has no function '%s'", module, name);
	lua_remove(lua, -2);
}

const char *state_check_text(lua_State *lua, int index, const char *what)
{
	size_t n;
	const char *text;

	if (lua_type(lua, index) != LUA_TSTRING)
		luaL_error(lua, "%s is a %s, not a string", what, luaL_typename(lua, index));
	text = lua_tolstring(lua, index, &n);
	if (strlen(text) != n)
		luaL_error(lua, "%s holds a zero byte", what);
	return text;
}

/* ---- modules ---- */

struct chunk_file {
	FILE *file;
	char bytes[4096];
};

static const char *read_chunk(lua_State *lua, void *arg, size_t *n_bytes)
{
	struct chunk_file *chunk = arg;

	(void)lua;
	*n_bytes = fread(chunk->bytes, 1, sizeof chunk->bytes, chunk->file);
	return chunk->bytes;
}

/* Loads home/path as the function on top of the stack; 0: there is no such file. */
static int load_module(lua_State *lua, const char *home, const char *path)
{
	struct chunk_file chunk;
	int status, broken;

	chunk.file = fopen(lua_pushfstring(lua, "%s/%s", home, path), "rb");
	if (!chunk.file && errno == ENOENT)
		return 0;
	if (!chunk.file)
		return luaL_error(lua, "%s: %s", path, strerror(errno));
	lua_pushfstring(lua, "@%s", path);
	status = lua_load(lua, read_chunk, &chunk, lua_tostring(lua, -1), "t");
	broken = ferror(chunk.file);
	fclose(chunk.file);
	if (broken)
		luaL_error(lua, "%s: cannot be read", path);
	if (status != LUA_OK && strncmp(lua_tostring(lua, -1), path, strlen(path)) == 0)
		lua_error(lua);
	if (status != LUA_OK)
		luaL_error(lua, "%s: %s", path, lua_tostring(lua, -1));
	return 1;
}

/* What `require` asks after the preloaded modules. */
static int find_module(lua_State *lua)
{
	static const char *const folders[] = {"gen", "templates"};
	const char *name = luaL_checkstring(lua, 1);
	const char *home = lua_tostring(lua, lua_upvalueindex(1));

	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		const char *path = lua_pushfstring(lua, "%s/%s.lua", folders[i], name);

		if (load_module(lua, home, path)) {
			lua_pushstring(lua, path);
			return 2;
		}
	}
	lua_pushfstring(lua, "no gen/%s.lua or templates/%s.lua below %s", name, name, home);
	return 1;
}

static void clear_field(lua_State *lua, const char *table, const char *field)
{
	lua_getglobal(lua, table);
	lua_pushnil(lua);
	lua_setfield(lua, -2, field);
	lua_pop(lua, 1);
}

/* The standard library without what starts programs, loads binaries or differs from run to run. */
static void open_libraries(lua_State *lua)
{
	static const luaL_Reg libraries[] = {
		{LUA_GNAME, luaopen_base},        {LUA_LOADLIBNAME, luaopen_package},
		{LUA_STRLIBNAME, luaopen_string}, {LUA_TABLIBNAME, luaopen_table},
		{LUA_MATHLIBNAME, luaopen_math},  {LUA_IOLIBNAME, luaopen_io},
	};

	for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
		luaL_requiref(lua, libraries[i].name, libraries[i].func, 1);
		lua_pop(lua, 1);
	}
	clear_field(lua, LUA_IOLIBNAME, "popen");
	clear_field(lua, LUA_LOADLIBNAME, "loadlib");
	clear_field(lua, LUA_MATHLIBNAME, "random");
	clear_field(lua, LUA_MATHLIBNAME, "randomseed");
}

static void open_searchers(lua_State *lua, const char *home)
{
	lua_pushstring(lua, home);
	lua_setglobal(lua, "QUERN_HOME");
	lua_getglobal(lua, LUA_LOADLIBNAME);
	lua_pushfstring(lua, "%s/gen/?.lua;%s/templates/?.lua", home, home);
	lua_setfield(lua, -2, "path");
	lua_pushstring(lua, "");
	lua_setfield(lua, -2, "cpath");
	lua_getfield(lua, -1, "searchers"); /* preload, Lua file, C library, C library */
	lua_pushstring(lua, home);
	lua_pushcclosure(lua, find_module, 1);
	lua_rawseti(lua, -2, 2);
	for (int i = 3; i <= 4; i++) {
		lua_pushnil(lua);
		lua_rawseti(lua, -2, i);
	}
	lua_pop(lua, 2);
}

/* ---- opening ---- */

static int open_body(lua_State *lua)
{
	open_libraries(lua);
	open_searchers(lua, lua_touserdata(lua, 1));
	return 0;
}

struct state *state_open(const char *home, struct gen_error *err)
{
	struct state *state = calloc(1, sizeof *state);

	if (state)
		state->lua = lua_newstate(allocate, state);
	if (!state || !state->lua) {
		snprintf(err->text, sizeof err->text, "out of memory");
		free(state);
		return NULL;
	}
	if (state_call(state, open_body, (void *)home, err) < 0) {
		state_close(state);
		return NULL;
	}
	return state;
}

void state_close(struct state *state)
{
	if (!state)
		return;
	lua_close(state->lua);
	free(state);
}

void state_unref(struct state *state, int reference)
{
	luaL_unref(state->lua, LUA_REGISTRYINDEX, reference);
}
