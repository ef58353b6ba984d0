/* What ctx.ask (lua/molecule/questions.lua) is made of: a question is recorded, posted, and closed
 * by an answer. */
#include "base/memory.h"
#include "script/api.h"
#include "script/api_ask.h"
#include "script/handler.h"
#include "script/script_ask.h"
#include "script/vm.h"
#include "script/vm_await.h"
#include "script/vm_memory.h"

#include <stdlib.h>
#include <string.h>

#define POST_TIMEOUT_MS 60000

/* A question about the question of this key; the text at index 2, if it is one, goes with it. */
static struct script_ask *make(lua_State *L, enum script_ask_kind kind)
{
    size_t length = 0;
    const char *key = luaL_checkstring(L, 1), *text = luaL_optlstring(L, 2, NULL, &length);
    vm_check_await(L, "ctx.ask");
    struct script_ask *ask = ask_make(L, kind, strlen(key) + length);
    ask->key = memory_copy_text(key);
    ask->text = text ? memory_copy(text, length) : NULL;
    ask->text_length = length;
    return ask;
}

/* core.ask_open(key[, spec]) -> the question as it is recorded, with may_post; json.null: it is
 * closed. `spec`, JSON: it is a new one. nil, problem, CODE */
static int ask_open(lua_State *L)
{
    return ask_await(L, make(L, SCRIPT_ASK_QUESTION), ask_push_json);
}

/* core.ask_posted(key[, task_id]) -> until when it may be answered, wall clock in ms; json.null: it
 * is closed. nil, problem, CODE */
static int ask_posted(lua_State *L)
{
    return ask_await(L, make(L, SCRIPT_ASK_POSTED), ask_push_json);
}

/* core.ask_close(key, text, how) -> true: it is closed, this way or another; false: not yet. `how`:
 * "ANSWER", and the text is JSON of a peer's answer; else the code of the problem that the text
 * names. nil, problem, CODE */
static int ask_close(lua_State *L)
{
    static const char *const ways[] = {"ANSWER", "TIMEOUT", "UNDELIVERED", "CANCELLED", NULL};
    const char *how = ways[luaL_checkoption(L, 3, NULL, ways)];
    struct script_ask *ask = make(L, SCRIPT_ASK_CLOSE);
    ask->step.kind = how;
    return ask_await(L, ask, ask_push_json);
}

static int push_true(lua_State *L, const struct script_ask *ask)
{
    (void)ask;
    lua_pushboolean(L, true);
    return 1;
}

/* core.ask_post(key, purpose, text, peer, context_id, reply_to, hops) -> as core.send without a
 * timeout; `peer` nil: as core.notify */
static int ask_post(lua_State *L)
{
    size_t length;
    const char *key = luaL_checkstring(L, 1), *purpose = luaL_checkstring(L, 2),
               *text = luaL_checklstring(L, 3, &length), *peer = luaL_optstring(L, 4, NULL),
               *context_id = luaL_optstring(L, 5, NULL), *reply_to = luaL_optstring(L, 6, NULL);
    lua_Integer hops = luaL_optinteger(L, 7, 0);
    vm_check_await(L, "ctx.ask");
    struct script_ask *ask = ask_make(L, peer ? SCRIPT_ASK_SEND : SCRIPT_ASK_NOTIFY, length);
    ask->key = memory_copy_text(peer);
    ask->context_id = memory_copy_text(context_id);
    ask->question.key = memory_copy_text(key);
    ask->question.purpose = memory_copy_text(purpose);
    ask->question.reply_to = memory_copy_text(reply_to);
    ask->question.hops = (int)hops;
    ask->reply.text = memory_copy(text, length);
    ask->reply.text_length = length;
    ask->timeout_ms = peer ? 0 : POST_TIMEOUT_MS;
    return ask_await(L, ask, peer ? ask_push_json : push_true);
}

/* core.ask_sender() -> the sender's id (nil: the canvas, or nobody), the id, the context and the
 * hops of the handler's message, as a reply to it would have them */
static int ask_sender(lua_State *L)
{
    const struct message *message = vm_of(L)->running->job->message;
    bool nobody = message->run || message->unanswerable;
    lua_pushstring(L, nobody ? NULL : message->source_id);
    lua_pushstring(L, message->message_id ? message->message_id : message->row_id);
    lua_pushstring(L, message->context_id);
    lua_pushinteger(L, message->hops);
    return 4;
}

/* core.reply_to(message_id, hops): the handler's reply is to that message of its sender. */
static int reply_to(lua_State *L)
{
    struct handler *handler = vm_of(L)->running;
    const char *id = luaL_checkstring(L, 1);
    lua_Integer hops = luaL_checkinteger(L, 2);
    free(handler->reply_to);
    handler->reply_to = memory_copy_text(id);
    handler->reply_hops = hops > 0 ? (unsigned)hops : 0;
    return 0;
}

void api_question_install(lua_State *L)
{
    static const luaL_Reg functions[] = {{"ask_open", ask_open},
                                         {"ask_posted", ask_posted},
                                         {"ask_close", ask_close},
                                         {"ask_post", ask_post},
                                         {"ask_sender", ask_sender},
                                         {"reply_to", reply_to},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
