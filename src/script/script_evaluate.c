/* Code that somebody typed at the prompt of `molecule repl`: one piece at a time, in turn with the
 * handlers of messages. */
#include "base/memory.h"
#include "script/outcome.h"
#include "script/script.h"
#include "script/script_private.h"
#include "script/vm_errors.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define REPL "molecule.repl" /* lua/molecule/repl.lua: function(text) -> text?, word? */

static void run_done(struct task *task)
{
    struct script_evaluation *evaluation = (struct script_evaluation *)task;
    atomic_fetch_sub(&evaluation->script->timers, 1);
    evaluation->done(evaluation);
}

static void give_back(struct script *script)
{
    struct script_evaluation *evaluation = script->evaluation;
    script->evaluation = NULL;
    evaluation->task.run = run_done;
    thread_post(script->host, &evaluation->task);
}

/* Takes the text. */
static void refuse(struct script *script, char *text)
{
    script->evaluation->failed = true;
    script->evaluation->result = text;
    give_back(script);
}

static int after_function(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    struct handler *handler = lua_touserdata(L, 1);
    struct script_evaluation *evaluation = handler->argument;
    if (status != LUA_OK && status != LUA_YIELD)
        return lua_error(L);
    const char *text = lua_tostring(L, 3), *word = lua_tostring(L, 4);
    evaluation->result = memory_copy_text(text);
    evaluation->incomplete = word && strcmp(word, "incomplete") == 0;
    evaluation->failed = word && strcmp(word, "failed") == 0;
    return 0;
}

/* The body of its handler. Stack while the code runs: handler, vm_keep_traceback. What the function
 * returns lands at index 3. Protected, so that an error runs its __close. */
static int evaluate_body(lua_State *L)
{
    const struct handler *handler = lua_touserdata(L, 1);
    const struct script_evaluation *evaluation = handler->argument;
    lua_pushcfunction(L, vm_keep_traceback);
    agent_push_function(L, REPL, evaluation->function);
    lua_pushstring(L, evaluation->text);
    int status = lua_pcallk(L, 1, 2, 2, 0, after_function);
    return after_function(L, status, 0);
}

/* Leaves out the frame that is the typed code itself: the message has its line. Takes the
 * traceback; NULL: nothing else is in it. */
static char *shorten_traceback(char *traceback)
{
    static const char chunk[] = "in local 'chunk'"; /* as lua/molecule/repl.lua calls it */
    char *last = traceback ? strrchr(traceback, '\n') : NULL;
    bool more = false;
    if (last && strlen(last) >= sizeof chunk && strstr(last, chunk))
        *last = '\0';
    for (const char *line = traceback ? strstr(traceback, "\n\t") : NULL; line && !more;
         line = strstr(line + 1, "\n\t"))
        more = line[2] != '[' && line[2] != '(';
    if (more)
        return traceback;
    free(traceback);
    return NULL;
}

/* "at input:3, called from molecule/repl.lua:170": the host's own frame goes. */
static void shorten_place(char *reason)
{
    static const char own[] = ", called from molecule/repl.lua:";
    char *from = reason ? strstr(reason, own) : NULL;
    if (!from)
        return;
    const char *rest = from + sizeof own - 1;
    rest += strspn(rest, "0123456789");
    memmove(from, rest, strlen(rest) + 1);
}

static void fail(struct script_evaluation *evaluation, struct script_outcome *outcome)
{
    shorten_place(outcome->reason);
    outcome->traceback = shorten_traceback(outcome->traceback);
    free(evaluation->result);
    evaluation->failed = true;
    evaluation->result = outcome->limit == SCRIPT_LIMIT_CANCEL
                             ? memory_format("interrupted: %s", outcome->reason)
                             : outcome_describe(outcome);
}

static void on_evaluated(struct handler *handler)
{
    struct script *script = handler->context;
    struct script_evaluation *evaluation = handler->argument;
    struct vm *vm = handler->vm;
    if (handler->outcome.kind == SCRIPT_FAILED)
        fail(evaluation, &handler->outcome);
    script_commit_changes(script, handler); /* before `done`: the host sees them in this order */
    give_back(script);
    handler_free(handler);
    script_replace_soon(script);
    script_handler_ended(script, vm);
}

static void run_turn(struct turn *turn)
{
    struct script_evaluation *evaluation =
        (struct script_evaluation *)((char *)turn - offsetof(struct script_evaluation, turn));
    struct script *script = evaluation->script;
    if (script->state != SCRIPT_READY || script->replacing) /* since it was queued */
        return;
    if (evaluation->canceled) {
        refuse(script, memory_copy_text("interrupted before it began"));
        return;
    }
    struct handler *handler = script_handler(script, on_evaluated);
    handler->argument = evaluation;
    handler->canceled = &evaluation->canceled;
    evaluation->begun = true;
    script_start_now(script, script->vm, handler, evaluate_body);
}

void script_evaluate_on(struct script *script)
{
    struct script_evaluation *evaluation = script->evaluation;
    if (!evaluation || evaluation->begun)
        return;
    turn_leave(&evaluation->turn);
    if (script->closing)
        refuse(script, memory_copy_text("the host is stopping"));
    else if (script->state == SCRIPT_BROKEN)
        refuse(script, memory_format("the script does not load: %s", script->problem));
    else if (script->state == SCRIPT_READY && !script->replacing) /* else the new state continues */
        turn_take(&script->lane, &evaluation->turn, run_turn);
}

static void run_evaluate(struct task *task)
{
    struct script_evaluation *evaluation = (struct script_evaluation *)task;
    evaluation->script->evaluation = evaluation;
    script_evaluate_on(evaluation->script);
}

void script_evaluate(struct script *script, struct script_evaluation *evaluation)
{
    evaluation->script = script;
    evaluation->turn = (struct turn){0};
    evaluation->begun = false;
    evaluation->task.run = run_evaluate;
    atomic_fetch_add(&script->timers, 1); /* as for a timer: code may run without a message */
    thread_post(script->worker, &evaluation->task);
}

void script_interrupt(struct script *script, struct script_evaluation *evaluation)
{
    evaluation->canceled = true;
    script_end_canceled(script);
}
