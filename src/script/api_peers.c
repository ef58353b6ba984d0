/* What lua/molecule/peers.lua is made of: messages to peers and to the canvas, and who the peers
 * are. */
#include "base/memory.h"
#include "base/uuid.h"
#include "script/api.h"
#include "script/api_ask.h"
#include "script/api_errors.h"
#include "script/handler.h"
#include "script/json.h"
#include "script/quota.h"
#include "script/script_ask.h"
#include "script/vm.h"
#include "script/vm_await.h"
#include "script/vm_memory.h"
#include "wire/jsontext.h"

#include <stdlib.h>
#include <string.h>

#define NOTIFY_TIMEOUT_MS 60000
#define QUERY_TIMEOUT_MS 30000

/* What its id is made of: the same when the handler runs again, another one in the branch's next
 * question. Branches may ask in another order then, so each counts its own. */
static void number_ask(struct script_ask *ask, struct branch *branch)
{
    const struct handler *handler = branch->handler;
    const struct branch *in_step = branch_in_step(branch);
    /* a step that is recorded does not ask again: it must not count for what follows */
    ask->branch = memory_copy_text(in_step ? in_step->step->key : branch->path);
    ask->number = in_step ? ++in_step->step->asked : ++branch->asked;
    ask->retries = handler->job ? handler->job->retries : 0;
}

/* The text at `index` (a string or nil) and the parts after it (a list or nil), as a message. */
static struct script_ask *make_message(lua_State *L, enum script_ask_kind kind, int index)
{
    char problem[512];
    size_t length = 0, bytes = 0;
    json_t *parts = NULL;
    const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &length) : NULL;
    struct script_ask *ask = ask_make(L, kind, length);
    if (lua_istable(L, index + 1)) {
        parts = json_take(L, index + 1, problem, sizeof problem, &bytes);
        if (!parts) {
            vm_uncharge(vm_of(L), ask->charged);
            ask_free(ask);
            api_misuse(L, "%s: %s", script_ask_text(kind), problem);
            return NULL;
        }
    }
    if (vm_try_charge(vm_of(L), bytes)) /* it took no more than there is room for */
        ask->charged += bytes;
    ask->reply.parts = parts;
    if (text) {
        ask->reply.text = memory_copy(text, length);
        ask->reply.text_length = length;
    }
    number_ask(ask, vm_of(L)->branch);
    return ask;
}

/* core.ask_id(what) -> a UUID for what a handler sends elsewhere: the same when it runs again for
 * its message; a random one outside of a message's handler */
static int api_ask_id(lua_State *L)
{
    char id[UUID_TEXT_SIZE];
    const char *what = luaL_checkstring(L, 1);
    const struct handler *handler = vm_of(L)->running;
    if (handler && handler->job && handler->job->message && vm_of(L)->branch) {
        struct script_ask ask = {0};
        number_ask(&ask, vm_of(L)->branch);
        char *name = memory_format("%s/%s/%u.%u/%s", handler->job->message->row_id, what,
                                   ask.retries, ask.number, ask.branch ? ask.branch : "");
        uuid_of_name(name, id);
        free(name);
        free(ask.branch);
    } else {
        uuid_random(id);
    }
    lua_pushstring(L, id);
    return 1;
}

/* core.send(workspace_id, text, parts, timeout, context_id) -> {text, parts} or {queued = true} */
static int api_send(lua_State *L)
{
    const char *target = luaL_checkstring(L, 1);
    lua_Number timeout = luaL_checknumber(L, 4);
    const char *context_id = luaL_optstring(L, 5, NULL);
    luaL_argcheck(L, timeout >= 0 && timeout <= 1e6, 4,
                  "the timeout must be between 0 and 1e6 seconds");
    vm_check_await(L, "molecule.send");
    struct script_ask *ask = make_message(L, SCRIPT_ASK_SEND, 2);
    ask->key = memory_copy_text(target);
    ask->context_id = memory_copy_text(context_id);
    ask->timeout_ms = (int64_t)(timeout * 1000);
    return ask_await(L, ask, ask_push_json);
}

static int push_true(lua_State *L, const struct script_ask *ask)
{
    (void)ask;
    lua_pushboolean(L, true);
    return 1;
}

/* core.notify(text, parts) -> true */
static int api_notify(lua_State *L)
{
    char problem[256];
    vm_check_await(L, "molecule.notify");
    struct script_ask *ask = make_message(L, SCRIPT_ASK_NOTIFY, 1);
    size_t parts = ask->reply.parts ? jsontext_size(ask->reply.parts) : 0;
    if (!script_may(vm_of(L), SCRIPT_QUOTA_NOTIFY, ask->reply.text_length + parts, problem,
                    sizeof problem)) {
        vm_uncharge(vm_of(L), ask->charged);
        ask_free(ask);
        return api_refuse_quota(L, problem);
    }
    ask->timeout_ms = NOTIFY_TIMEOUT_MS;
    return ask_await(L, ask, push_true);
}

/* ctx.progress(text) -> true: a progress message to the human, before the reply. */
static int api_progress(lua_State *L)
{
    size_t length;
    if (lua_type(L, 1) != LUA_TSTRING)
        return api_misuse(L, "ctx.progress: the text must be a string, not a %s",
                          luaL_typename(L, 1));
    lua_tolstring(L, 1, &length);
    lua_settop(L, 1);
    const struct handler *handler = vm_of(L)->running;
    if (length == 0) {
        luaL_pushfail(L);
        lua_pushliteral(L, "ctx.progress: the text is empty");
        lua_pushliteral(L, "EMPTY");
        return 3;
    }
    const struct message *message = handler && handler->job ? handler->job->message : NULL;
    if (message && message->source_id && !message->run && !message->served) {
        luaL_pushfail(L);
        lua_pushliteral(L, "ctx.progress: the message came from a peer, which would take a "
                           "progress message for the answer");
        lua_pushliteral(L, "PEER");
        return 3;
    }
    return api_notify(L);
}

/* core.artifact(json) -> true */
static int api_artifact(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    vm_check_await(L, "ctx.artifact");
    struct script_ask *ask = ask_make(L, SCRIPT_ASK_ARTIFACT, length);
    ask->text = memory_copy(text, length);
    ask->text_length = length;
    number_ask(ask, vm_of(L)->branch);
    ask->timeout_ms = NOTIFY_TIMEOUT_MS;
    return ask_await(L, ask, push_true);
}

/* core.peers(q) -> list */
static int api_peers(lua_State *L)
{
    const char *query = luaL_optstring(L, 1, NULL);
    vm_check_await(L, "molecule.peers");
    struct script_ask *ask = ask_make(L, SCRIPT_ASK_PEERS, query ? strlen(query) : 0);
    ask->key = memory_copy_text(query);
    ask->timeout_ms = QUERY_TIMEOUT_MS;
    return ask_await(L, ask, ask_push_json);
}

/* core.delegate(workspace_id, task, timeout) -> {delegation_id, status, …} */
static int api_delegate(lua_State *L)
{
    const char *target = luaL_checkstring(L, 1);
    size_t length;
    const char *task = luaL_checklstring(L, 2, &length);
    lua_Number timeout = luaL_optnumber(L, 3, 0);
    luaL_argcheck(L, timeout >= 0 && timeout <= 1e6, 3,
                  "the timeout must be between 0 and 1e6 seconds");
    vm_check_await(L, "molecule.delegate");
    struct script_ask *ask = ask_make(L, SCRIPT_ASK_DELEGATE, length);
    ask->key = memory_copy_text(target);
    ask->text = memory_copy(task, length);
    ask->text_length = length;
    number_ask(ask, vm_of(L)->branch);
    ask->most = (int64_t)(timeout * 1000);
    ask->timeout_ms = QUERY_TIMEOUT_MS;
    return ask_await(L, ask, ask_push_json);
}

void api_peers_install(lua_State *L)
{
    static const luaL_Reg functions[] = {{"send", api_send},         {"notify", api_notify},
                                         {"progress", api_progress}, {"peers", api_peers},
                                         {"delegate", api_delegate}, {"artifact", api_artifact},
                                         {"ask_id", api_ask_id},     {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
