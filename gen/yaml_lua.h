/*
 * yaml_lua.h: YAML documents as Lua tables, and the Lua module "yaml".
 *
 * Mappings become tables with string keys, sequences arrays; a plain scalar that is written as an
 * integer, a float, true or false becomes that value, every other scalar a string.
 */
#ifndef GEN_YAML_LUA_H
#define GEN_YAML_LUA_H

#include <lua.h>

/*
 * Opens the module, as luaopen_* functions do; once a state and before yaml_lua_push.
 *   yaml.read(path)          the document; raises "path:line: sentence"
 *   yaml.where(table, key)   "path:line" of the value under the key, or of the table itself without
 *                            a key or such a value
 */
int yaml_lua_open(lua_State *lua);

/* Pushes the document of a file; raises "path:line: sentence". */
void yaml_lua_push(lua_State *lua, const char *path);

#endif
