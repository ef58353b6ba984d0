#include "script/script_said.h"

#include "base/log.h"
#include "base/memory.h"
#include "script/json.h"
#include "script/script_private.h"

#include <stdlib.h>
#include <string.h>

#define LINES_MAXIMUM 1000 /* of one handler */
#define TEXT_MAXIMUM 4096
#define MSG_MAXIMUM 65536

struct said_task {
    struct task task;
    struct script_events events;
    const char *level, *what;
    bool is_msg;
    char *row_id, *text, *call;
    int64_t took_ms;
};

static void free_said(struct said_task *said)
{
    free(said->row_id);
    free(said->text);
    free(said->call);
    free(said);
}

static void run_said(struct task *task)
{
    struct said_task *said = (struct said_task *)task;
    said->events.said(said->events.context, &(struct script_said){.row_id = said->row_id,
                                                                  .is_msg = said->is_msg,
                                                                  .level = said->level,
                                                                  .what = said->what,
                                                                  .text = said->text,
                                                                  .call = said->call,
                                                                  .took_ms = said->took_ms});
    free_said(said);
}

/* Not within a character. */
static size_t cut(const char *text, size_t most)
{
    size_t length = strlen(text);
    if (length <= most)
        return length;
    length = most;
    while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    return length;
}

/* Whether somebody listens to the handler. */
static bool is_heard(const struct handler *handler)
{
    const struct script *script = handler ? handler->vm->script : NULL;
    return script && script->events.said;
}

/* NULL: nobody listens, or there were too many. */
static struct said_task *make(struct handler *handler)
{
    if (!is_heard(handler) || handler->said >= LINES_MAXIMUM)
        return NULL;
    handler->said++;
    struct said_task *said = memory_allocate(sizeof *said);
    said->task.run = run_said;
    said->events = handler->vm->script->events;
    return said;
}

static void tell(struct handler *handler, struct said_task *said, const char *text)
{
    said->row_id = handler->job ? memory_copy_text(handler->job->message->row_id) : NULL;
    said->text = memory_copy(text, cut(text, said->is_msg ? MSG_MAXIMUM : TEXT_MAXIMUM));
    log_redact(said->text);
    if (!thread_post(handler->vm->script->host, &said->task))
        free_said(said);
}

void script_say(struct vm *vm, const char *level, const char *text)
{
    struct said_task *said = make(vm->running);
    if (!said)
        return;
    said->level = level;
    tell(vm->running, said, text);
}

void script_did(struct handler *handler, const char *what, const char *text, int64_t took_ms,
                char *call)
{
    struct said_task *said = make(handler);
    if (!said) {
        free(call);
        return;
    }
    said->what = what;
    said->took_ms = took_ms;
    said->call = call;
    if (call)
        log_redact(call);
    tell(handler, said, text);
}

void script_show_msg(lua_State *L, struct vm *vm, int index)
{
    char problem[256];
    if (!is_heard(vm->running) || !vm->running->job)
        return;
    json_t *msg = json_take(L, index, problem, sizeof problem, NULL);
    char *text = msg ? json_dumps(msg, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(msg);
    struct said_task *said = text ? make(vm->running) : NULL;
    if (said) {
        said->is_msg = true;
        tell(vm->running, said, text);
    }
    free(text);
}
