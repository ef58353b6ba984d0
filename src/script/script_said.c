#include "script/script_said.h"

#include "base/log.h"
#include "base/memory.h"
#include "script/script_private.h"

#include <stdlib.h>
#include <string.h>

#define LINES_MAXIMUM 1000 /* of one handler */
#define TEXT_MAXIMUM 4096

struct said_task {
    struct task task;
    struct script_events events;
    const char *level, *what;
    char *row_id, *text;
};

static void run_said(struct task *task)
{
    struct said_task *said = (struct said_task *)task;
    said->events.said(said->events.context, &(struct script_said){.row_id = said->row_id,
                                                                  .level = said->level,
                                                                  .what = said->what,
                                                                  .text = said->text});
    free(said->row_id);
    free(said->text);
    free(said);
}

/* Not within a character. */
static size_t cut(const char *text)
{
    size_t length = strlen(text);
    if (length <= TEXT_MAXIMUM)
        return length;
    length = TEXT_MAXIMUM;
    while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    return length;
}

static void tell(struct vm *vm, const char *level, const char *what, const char *text)
{
    struct script *script = vm->script;
    struct handler *handler = vm->running;
    if (!script || !script->events.said || !handler || handler->said >= LINES_MAXIMUM)
        return;
    handler->said++;
    struct said_task *said = memory_allocate(sizeof *said);
    said->task.run = run_said;
    said->events = script->events;
    said->level = level;
    said->what = what;
    said->row_id = handler->job ? memory_copy_text(handler->job->message->row_id) : NULL;
    said->text = memory_copy(text, cut(text));
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
