/* Questions to the host: the handler waits while the worker runs other handlers. */
#include "script/api_ask.h"

#include "base/memory.h"
#include "script/handler.h"
#include "script/json.h"
#include "script/script_ask.h"
#include "script/vm.h"
#include "script/vm_await.h"
#include "script/vm_memory.h"
#include "script/trace_scope.h"

#include <stdlib.h>
#include <string.h>

struct script_ask *ask_make(lua_State *L, enum script_ask_kind kind, size_t bytes)
{
    const struct handler *handler = vm_of(L)->running;
    vm_charge(L, sizeof(struct script_ask) + bytes);
    struct script_ask *ask = memory_allocate(sizeof *ask);
    ask->kind = kind;
    ask->charged = sizeof *ask + bytes;
    trace_scope_below(vm_of(L), &ask->trace);
    if (handler->job) {
        ask->row_id = memory_copy_text(handler->job->message->row_id);
        ask->hops = handler->job->message->hops;
        ask->may_be_known = true;
    }
    return ask;
}

static int push_answer(lua_State *L, struct operation *operation)
{
    const struct ask_operation *waiting = (const struct ask_operation *)operation;
    const struct script_ask *ask = waiting->ask;
    if (!ask->problem)
        return waiting->push(L, ask);
    luaL_pushfail(L);
    lua_pushfstring(L, "%s: %s", script_ask_text(ask->kind), ask->problem);
    lua_pushstring(L, ask->code);
    return 3;
}

/* The host still answers; the answer is dropped. */
static void cancel(struct operation *operation)
{
    ((struct ask_operation *)operation)->ask->operation = NULL;
}

static void release(struct operation *operation)
{
    struct ask_operation *waiting = (struct ask_operation *)operation;
    if (waiting->answered)
        ask_free(waiting->ask);
    else
        waiting->ask->operation = NULL;
    free(waiting);
}

int ask_await(lua_State *L, struct script_ask *ask,
              int (*push)(lua_State *L, const struct script_ask *ask))
{
    struct ask_operation *waiting = memory_allocate(sizeof *waiting);
    waiting->operation = (struct operation){
        .results = push_answer, .cancel = cancel, .release = release};
    waiting->ask = ask;
    waiting->push = push;
    ask->operation = waiting;
    /* the script is charged with it as long as it lives, which may be longer */
    vm_uncharge(vm_of(L), ask->charged);
    if (script_ask(vm_of(L)->script, ask))
        return vm_await(L, &waiting->operation);
    const char *what = script_ask_text(ask->kind);
    ask_free(ask);
    free(waiting);
    lua_pushnil(L);
    lua_pushfstring(L, "%s: not connected to a platform", what);
    lua_pushliteral(L, "OFFLINE");
    return 3;
}

int ask_push_json(lua_State *L, const struct script_ask *ask)
{
    if (!ask->value) {
        lua_pushnil(L);
        return 1;
    }
    char problem[200];
    if (json_read(L, ask->value, ask->value_length, true, problem, sizeof problem))
        return 1;
    luaL_pushfail(L);
    lua_pushfstring(L, "%s: the answer cannot be read: %s", script_ask_text(ask->kind), problem);
    lua_pushliteral(L, "JSON");
    return 3;
}

int ask_push_bytes(lua_State *L, const struct script_ask *ask)
{
    if (ask->value)
        lua_pushlstring(L, ask->value, ask->value_length);
    else
        lua_pushnil(L);
    return 1;
}
