/*
 * yaml_lua.c: YAML documents as Lua tables.
 *
 * A document holds nothing but its values.  Where they were written stands in a table of its own
 * that forgets a document together with it.
 */
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "yaml.h"
#include "yaml_lua.h"

/* Its address is the registry's key of the table: table of a document -> lines. */
static const char places;

static void push_node(lua_State *lua, const struct yaml *yaml, const struct yaml_node *node);

/*
 * A sequence or mapping as a table, and beside it a table of lines: of values by key, its own by
 * false, the path by true.
 */
static void push_table(lua_State *lua, const struct yaml *yaml, const struct yaml_node *node)
{
	int sequence = node->kind == YAML_SEQUENCE;
	int n = (int)node->n; /* at most 2^28: a file has no more bytes */

	lua_createtable(lua, sequence ? n : 0, sequence ? 0 : n);
	lua_createtable(lua, sequence ? n : 0, sequence ? 2 : n + 2);
	lua_pushboolean(lua, 1);
	lua_pushstring(lua, yaml_name(yaml));
	lua_rawset(lua, -3);
	lua_pushboolean(lua, 0);
	lua_pushinteger(lua, node->line);
	lua_rawset(lua, -3);
	for (int i = 0; i < n; i++) {
		if (sequence)
			lua_pushinteger(lua, i + 1);
		else
			lua_pushstring(lua, node->keys[i]->text);
		lua_pushvalue(lua, -1);
		push_node(lua, yaml, node->items[i]);
		lua_rawset(lua, -5);
		lua_pushinteger(lua, node->items[i]->line);
		lua_rawset(lua, -3);
	}
	lua_rawgetp(lua, LUA_REGISTRYINDEX, &places);
	lua_pushvalue(lua, -3);
	lua_pushvalue(lua, -3);
	lua_rawset(lua, -3);
	lua_pop(lua, 2);
}

static void push_node(lua_State *lua, const struct yaml *yaml, const struct yaml_node *node)
{
	double x;
	long n;

	luaL_checkstack(lua, 8, "a document is nested too deeply");
	if (node->kind != YAML_SCALAR)
		push_table(lua, yaml, node);
	else if (yaml_long(node, &n) == 0)
		lua_pushinteger(lua, n);
	else if (yaml_double(node, &x) == 0)
		lua_pushnumber(lua, x);
	else if (!node->quoted && strcmp(node->text, "true") == 0)
		lua_pushboolean(lua, 1);
	else if (!node->quoted && strcmp(node->text, "false") == 0)
		lua_pushboolean(lua, 0);
	else
		lua_pushstring(lua, node->text);
}

static int close_document(lua_State *lua)
{
	struct yaml **yaml = lua_touserdata(lua, 1);

	yaml_close(*yaml);
	*yaml = NULL;
	return 0;
}

/* The tree belongs to a Lua value as long as Lua can raise. */
void yaml_lua_push(lua_State *lua, const char *path)
{
	struct yaml **yaml = lua_newuserdatauv(lua, sizeof *yaml, 0);
	struct gen_error err;

	*yaml = NULL;
	lua_createtable(lua, 0, 1);
	lua_pushcfunction(lua, close_document);
	lua_setfield(lua, -2, "__gc");
	lua_setmetatable(lua, -2);
	*yaml = yaml_read(path, &err);
	if (!*yaml) {
		lua_pushstring(lua, err.text);
		lua_error(lua);
	}
	push_node(lua, *yaml, yaml_root(*yaml));
	lua_insert(lua, -2);
	yaml_close(*yaml);
	*yaml = NULL;
	lua_pop(lua, 1);
}

static int read_document(lua_State *lua)
{
	yaml_lua_push(lua, luaL_checkstring(lua, 1));
	return 1;
}

/* yaml.where(table [, key]) */
static int find_place(lua_State *lua)
{
	luaL_checktype(lua, 1, LUA_TTABLE);
	lua_settop(lua, 2);
	lua_rawgetp(lua, LUA_REGISTRYINDEX, &places);
	lua_pushvalue(lua, 1);
	luaL_argcheck(lua, lua_rawget(lua, 3) == LUA_TTABLE, 1, "this table came from no document");
	lua_pushvalue(lua, 2);
	if (lua_isnil(lua, 2) || lua_isboolean(lua, 2) || lua_rawget(lua, 4) == LUA_TNIL) {
		lua_settop(lua, 4);
		lua_pushboolean(lua, 0);
		lua_rawget(lua, 4);
	}
	lua_pushboolean(lua, 1);
	lua_rawget(lua, 4);
	lua_pushfstring(lua, "%s:%I", lua_tostring(lua, -1), lua_tointeger(lua, -2));
	return 1;
}

int yaml_lua_open(lua_State *lua)
{
	static const luaL_Reg functions[] = {
		{"read", read_document},
		{"where", find_place},
		{NULL, NULL},
	};

	lua_createtable(lua, 0, 0);
	lua_createtable(lua, 0, 1);
	lua_pushstring(lua, "k");
	lua_setfield(lua, -2, "__mode");
	lua_setmetatable(lua, -2);
	lua_rawsetp(lua, LUA_REGISTRYINDEX, &places);
	luaL_newlib(lua, functions);
	return 1;
}
