/* A script's questions on their way to the host and back, and what its handlers stored. */
#include "script/script_ask.h"

#include "base/memory.h"
#include "script/handler.h"
#include "script/handler_run.h"
#include "script/locks.h"
#include "script/script.h"
#include "script/script_private.h"
#include "script/vm_memory.h"

#include <stdlib.h>

#define FETCHES_MAXIMUM 2 /* at once: each may bring as much as half of the memory there is */

void ask_free(struct script_ask *ask)
{
    if (ask->script) /* it was sent */
        ask->script->asked_bytes -= ask->charged;
    free(ask->key);
    free(ask->text);
    free(ask->context_id);
    free(ask->step.digest);
    free(ask->question.key);
    free(ask->question.purpose);
    free(ask->question.reply_to);
    free(ask->row_id);
    free(ask->branch);
    free(ask->value);
    free(ask->problem);
    reply_free(&ask->reply);
    changes_free(ask->changes);
    free(ask);
}

static void run_ask(struct task *task)
{
    struct script_ask *ask = (struct script_ask *)task;
    ask->script->events.ask(ask->script->events.context, ask);
}

static void hand_over(struct script *script, struct script_ask *ask)
{
    script->fetching += ask->kind == SCRIPT_ASK_FETCH;
    thread_post(script->host, &ask->task);
}

static void wait_to_fetch(struct script *script, struct script_ask *ask)
{
    struct script_ask **end = &script->to_fetch;
    while (*end)
        end = (struct script_ask **)&(*end)->task.item.next;
    ask->task.item.next = NULL;
    *end = ask;
}

/* One was answered: starts the next that a handler still waits for. */
static void fetch_next(struct script *script)
{
    script->fetching--;
    while (script->to_fetch && script->fetching < FETCHES_MAXIMUM) {
        struct script_ask *ask = script->to_fetch;
        script->to_fetch = (struct script_ask *)ask->task.item.next;
        if (ask->operation) {
            hand_over(script, ask);
        } else {
            script->asked--;
            ask_free(ask);
        }
    }
}

bool script_ask(struct script *script, struct script_ask *ask)
{
    if (!script || !script->events.ask)
        return false;
    script->asked++;
    script->asked_bytes += ask->charged;
    ask->script = script;
    ask->task.run = run_ask;
    if (ask->kind == SCRIPT_ASK_FETCH && script->fetching >= FETCHES_MAXIMUM)
        wait_to_fetch(script, ask);
    else
        hand_over(script, ask);
    return true;
}

/* Wakes its handler, unless that was ended meanwhile. */
static void ask_answered(struct script_ask *ask)
{
    if (!ask->operation) {
        ask_free(ask);
        return;
    }
    ask->operation->answered = true;
    operation_wake(&ask->operation->operation);
}

static void run_answered(struct task *task)
{
    struct script_ask *ask = (struct script_ask *)task;
    struct script *script = ask->script;
    if (ask->changes) /* handed back: they are recorded */
        locks_release(script->locks, ask->changes->locks);
    script->asked--;
    ask->charged += ask->value_length;
    script->asked_bytes += ask->value_length;
    if (ask->kind == SCRIPT_ASK_FETCH)
        fetch_next(script);
    ask_answered(ask);
    if (script->ending && script->asked == 0)
        script_finish_close(script, script->ending);
}

void script_answer(struct script_ask *ask)
{
    ask->task.run = run_answered;
    thread_post(ask->script->worker, &ask->task);
}

struct unlock_task {
    struct task task;
    struct script *script;
    uint64_t locks;
};

static void run_unlock(struct task *task)
{
    struct unlock_task *unlock = (struct unlock_task *)task;
    locks_release(unlock->script->locks, unlock->locks);
    free(unlock);
}

void script_unlock(struct script *script, uint64_t locks)
{
    struct unlock_task *unlock = memory_allocate(sizeof *unlock);
    unlock->task.run = run_unlock;
    unlock->script = script;
    unlock->locks = locks;
    thread_post(script->worker, &unlock->task);
}

/* What the handler stored, if its outcome keeps it; else NULL, and its keys are unlocked. */
struct changes *script_take_changes(struct script *script, struct handler *handler)
{
    struct changes *changes = handler->store.changes;
    enum script_outcome_kind kind = handler->outcome.kind;
    handler->store.changes = NULL;
    if (changes)
        vm_uncharge(handler->vm, changes->bytes);
    if (changes && kind != SCRIPT_FAILED && kind != SCRIPT_AGAIN && !handler->asleep) {
        changes->locks = handler->store.ticket;
        return changes;
    }
    changes_free(changes);
    locks_release(script->locks, handler->store.ticket);
    return NULL;
}

/* Of start, stop and timers, whose outcome no message carries. */
void script_commit_changes(struct script *script, struct handler *handler)
{
    struct changes *changes = script_take_changes(script, handler);
    if (!changes)
        return;
    struct script_ask *ask = memory_allocate(sizeof *ask);
    ask->kind = SCRIPT_ASK_COMMIT;
    ask->changes = changes;
    ask->charged = changes->bytes;
    if (!script_ask(script, ask)) {
        locks_release(script->locks, changes->locks);
        ask_free(ask);
    }
}
