/*
 * state.h: a Lua state that fails in sentences.
 */
#ifndef GEN_STATE_H
#define GEN_STATE_H

#include <lua.h>

#include "gen.h"

struct state;

/*
 * A state with the base, package, string, table, math and io libraries, less what starts programs,
 * loads binaries or differs from run to run.  `require` finds home/gen/NAME.lua and
 * home/templates/NAME.lua; the global QUERN_HOME is home.  NULL with a sentence in *err.
 */
struct state *state_open(const char *home, struct gen_error *err);
void state_close(struct state *state);

/*
 * Runs body(lua) with arg as its only argument, a light userdata.  Returns 0, or -1 with what was
 * raised as one line in *err, whatever it was: running out of memory and deep recursion too.  An
 * error leaves the body by longjmp, so a body keeps what it holds in Lua values.
 */
int state_call(struct state *state, lua_CFunction body, void *arg, struct gen_error *err);

/* Lets go of a luaL_ref in the registry. */
void state_unref(struct state *state, int reference);

/* ---- for bodies; these raise ---- */

/* Pushes a function of a module. */
void state_push_function(lua_State *lua, const char *module, const char *name);

/* The string at index, which belongs to Lua; `what` names it in the sentence. */
const char *state_check_text(lua_State *lua, int index, const char *what);

#endif
