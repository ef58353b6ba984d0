/* conversation(msg): a batch of messages gets its keys, one message a turn, before any of them is
 * handled. */
#include "base/log.h"
#include "base/plural.h"
#include "script/handler.h"
#include "script/outcome.h"
#include "script/script.h"
#include "script/script_private.h"

#include <stddef.h>
#include <stdlib.h>

static void on_conversation(struct handler *handler)
{
    const struct agent_conversation *call = handler->context;
    if (handler->outcome.kind == SCRIPT_FAILED) {
        char *text = outcome_describe(&handler->outcome);
        log_warn(LOG_CONVERSATION_UNNAMED, call->script->settings.options->id,
                 "message %s: conversation(msg) failed, so it stays in the conversation "
                 "\"%s\": %s",
                 call->message->row_id, call->message->conversation, text);
        free(text);
    }
    script_replace_soon(call->script);
    handler_free(handler);
}

/* It may not wait, so it has ended when this returns. */
static char *name_one(struct script *script, const struct message *message)
{
    if (message->run) /* a schedule's runs have their own conversation */
        return NULL;
    struct agent_conversation call = {.message = message, .script = script};
    struct handler *handler = script_handler(script, on_conversation);
    handler->context = &call;
    handler->may_not_wait = "conversation(msg)";
    script_start_now(script, script->vm, handler, agent_conversation_body);
    return call.key;
}

static void run_named(struct task *task)
{
    struct script_naming *naming = (struct script_naming *)task;
    naming->done(naming);
}

static void finish(struct script *script, struct script_naming *naming)
{
    script->naming = NULL;
    if (naming->named < naming->count && !script->closing)
        log_warn(LOG_CONVERSATION_UNNAMED, script->settings.options->id,
                 "the script no longer loads, so %zu message%s stay%s in the "
                 "sender's conversation",
                 naming->count - (size_t)naming->named,
                 plural(naming->count - (size_t)naming->named),
                 naming->count - (size_t)naming->named == 1 ? "s" : "");
    naming->task.run = run_named;
    thread_post(script->host, &naming->task);
}

static void run_turn(struct turn *turn)
{
    struct script_naming *naming = (struct script_naming *)((char *)turn -
                                                            offsetof(struct script_naming, turn));
    struct script *script = naming->script;
    if (script->state == SCRIPT_READY && !script->replacing) {
        if (naming->starting)
            naming->starting(naming, naming->named);
        naming->in_hand = true;
        naming->keys[naming->named] = name_one(script, naming->messages[naming->named]);
        naming->in_hand = false;
        naming->named++;
    }
    script_name_on(script);
}

void script_name_on(struct script *script)
{
    struct script_naming *naming = script->naming;
    if (!naming)
        return;
    turn_leave(&naming->turn);
    if (script->closing || script->state == SCRIPT_BROKEN || naming->named >= naming->count)
        finish(script, naming);
    else if (script->state == SCRIPT_READY && !script->replacing) /* else the new state continues */
        turn_take(&script->lane, &naming->turn, run_turn);
}

static void run_name(struct task *task)
{
    struct script_naming *naming = (struct script_naming *)task;
    naming->script->naming = naming;
    script_name_on(naming->script);
}

void script_name(struct script *script, struct script_naming *naming)
{
    naming->script = script;
    naming->named = 0;
    naming->turn = (struct turn){0};
    naming->task.run = run_name;
    thread_post(script->worker, &naming->task);
}
