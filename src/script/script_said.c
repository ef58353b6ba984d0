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
    char *row_id, *text;
};

static void run_said(struct task *task)
{
    struct said_task *said = (struct said_task *)task;
    said->events.said(said->events.context, &(struct script_said){.row_id = said->row_id,
                                                                  .is_msg = said->is_msg,
                                                                  .level = said->level,
                                                                  .what = said->what,
                                                                  .text = said->text});
    free(said->row_id);
    free(said->text);
    free(said);
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

/* Whether somebody listens to the handler that runs. */
static bool is_heard(const struct vm *vm)
{
    return vm->script && vm->script->events.said && vm->running;
}

static void tell(struct vm *vm, const char *level, const char *what, const char *text)
{
    struct script *script = vm->script;
    struct handler *handler = vm->running;
    bool is_msg = !level && !what;
    if (!is_heard(vm) || handler->said >= LINES_MAXIMUM)
        return;
    handler->said++;
    struct said_task *said = memory_allocate(sizeof *said);
    said->task.run = run_said;
    said->events = script->events;
    said->level = level;
    said->what = what;
    said->row_id = handler->job ? memory_copy_text(handler->job->message->row_id) : NULL;
    said->is_msg = is_msg;
    said->text = memory_copy(text, cut(text, is_msg ? MSG_MAXIMUM : TEXT_MAXIMUM));
    log_redact(said->text);
    if (!thread_post(script->host, &said->task)) {
        free(said->row_id);
        free(said->text);
        free(said);
    }
}

void script_say(struct vm *vm, const char *level, const char *text)
{
    tell(vm, level, NULL, text);
}

void script_did(struct vm *vm, const char *what, const char *text)
{
    tell(vm, NULL, what, text);
}

void script_show_msg(lua_State *L, struct vm *vm, int index)
{
    char problem[256];
    if (!is_heard(vm) || !vm->running->job)
        return;
    json_t *msg = json_take(L, index, problem, sizeof problem, NULL);
    char *text = msg ? json_dumps(msg, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(msg);
    if (text)
        tell(vm, NULL, NULL, text);
    free(text);
}
