/* For the files of the API that ask the host: one question, whose answer the handler waits for. */
#ifndef MOLECULE_SCRIPT_API_ASK_H
#define MOLECULE_SCRIPT_API_ASK_H

#include "script/script_ask.h"

#include <lua.h>

/* A question of the running handler, with what every question says about it. The state is charged
 * with it and `bytes` that it is going to hold. Raises if they do not fit. */
struct script_ask *ask_make(lua_State *L, enum script_ask_kind kind, size_t bytes);
/* After vm_check_await. Sends it and suspends the handler; `push` makes Lua values of an answer
 * without a problem (of one with, the caller gets nil, problem, code). Takes the question. `return
 * ask_await(L, …)`. */
int ask_await(lua_State *L, struct script_ask *ask,
              int (*push)(lua_State *L, const struct script_ask *ask));
/* `push` for answers that are JSON; nil if there is none. */
int ask_push_json(lua_State *L, const struct script_ask *ask);
/* … and that are bytes. */
int ask_push_bytes(lua_State *L, const struct script_ask *ask);

#endif
