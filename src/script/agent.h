/* The agent inside a Lua state: what a script file or a backend returned, and the bodies of the
 * coroutines that run it. */
#ifndef MOLECULE_SCRIPT_AGENT_H
#define MOLECULE_SCRIPT_AGENT_H

#include "script/script_types.h"

#include <lua.h>

struct handler;
struct vm;

struct agent_info {
    char *name, *description;
    json_t *skills, *card;
    bool new_tasks;
    int concurrency;
    bool answers_replies, names_conversations;
};
struct agent_conversation {
    const struct message *message;
    char *key; /* NULL: the message's own; yours to free */
    struct script *script;
};
void agent_info_free(struct agent_info *info);

/* What the agent said about itself when its start was over (or it was loaded, if it is not
 * started). Yours to free. */
void agent_take_info(struct vm *vm, struct agent_info *info);

/* Pushes `ctx`, and loads "molecule" for it if need be. May raise a Lua error. */
void agent_push_context(lua_State *L, const struct handler *handler);
/* A table of name = value. */
void agent_push_options(lua_State *L, const struct molecule_option *options, size_t count);

/* Pushes a function of an embedded module, which is loaded when it is first needed. May raise a Lua
 * error. */
void agent_push_function(lua_State *L, const char *module, const char *name);

/* Bodies for handler_start. */
/* loads vm->settings, checks what it returned, keeps it in vm->agent */
int agent_load_body(lua_State *L);
/* agent.start(ctx), if it has one; then reads what it says about itself */
int agent_start_body(lua_State *L);
int agent_stop_body(lua_State *L); /* agent.stop(ctx), if it has one */
/* agent.conversation(msg); handler->context is a struct agent_conversation, whose `key` it sets. It
 * may not wait. */
int agent_conversation_body(lua_State *L);
int agent_handle_body(lua_State *L); /* agent.handle(msg, ctx) -> handler->outcome */

#endif
