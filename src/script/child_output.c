#include "script/child_output.h"

#include "base/log.h"
#include "script/child_line.h"
#include "script/child_private.h"
#include "script/vm_memory.h"
#include "wire/jsonmemory.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN_MAXIMUM 200  /* bytes of a line that is no answer in the log */
#define VALUES_PER_BYTE 40 /* what "[]," takes as a value, at most, for each of its bytes */

static void complain(struct child *child, const char *bytes, size_t length)
{
    while (length > 0 && !child->freed) {
        const char *end = memchr(bytes, '\n', length);
        size_t size = end ? (size_t)(end - bytes) : length,
               room = CHILD_COMPLAINT_MAXIMUM - child->complaint.length;
        bool full = size >= room;
        if (full)
            size = room;
        buffer_append(&child->complaint, bytes, size);
        if ((end || full) && child->complaint.length > 0)
            log_info(LOG_PROGRAM_SAID, child->workspace_id, "%s: %s", child->name,
                     child->complaint.data);
        if (end || full)
            buffer_clear(&child->complaint);
        size_t taken = size + (end == bytes + size);
        bytes += taken;
        length -= taken;
    }
}

/* Shown in the log: the beginning of a line. */
struct shown {
    const char *bytes;
    int length;
    const char *more;
};

static struct child_waiter *find_waiter(struct child *child, const json_t *answer)
{
    struct child_waiter *only = NULL;
    int count = 0;
    for (struct child_waiter *waiter = child->waiters; waiter; waiter = waiter->next) {
        if (waiter->for_end)
            continue;
        if (child_line_answers(answer, waiter->id))
            return waiter;
        only = waiter;
        count++;
    }
    return count == 1 && child_line_is_nameless(answer) ? only : NULL;
}

static void take_answer(struct child *child, json_t *answer, size_t bytes,
                        const struct shown *shown)
{
    struct child_waiter *waiter = find_waiter(child, answer);
    if (!waiter) {
        log_info(LOG_PROGRAM_STRAY, child->workspace_id,
                 "%s: ignoring an answer that nobody is waiting for: %.*s%s", child->name,
                 shown->length, shown->bytes, shown->more);
        return;
    }
    waiter->answer = json_incref(answer);
    vm_recharge(child->vm, &waiter->charged, bytes);
    child_wake(waiter, CHILD_ANSWERED);
}

/* Without an answer the program would wait forever. */
static void refuse_request(struct child *child, const json_t *request, const struct shown *shown)
{
    char *refusal = child_line_refuse(request);
    log_info(LOG_PROGRAM_STRAY, child->workspace_id,
             "%s: refused a request from the program: %.*s%s", child->name, shown->length,
             shown->bytes, shown->more);
    if (refusal)
        child_write(child, refusal, strlen(refusal));
    free(refusal);
}

static void take_value(struct child *child, json_t *value, size_t bytes, const struct shown *shown)
{
    switch (child_line_kind(value)) {
    case CHILD_LINE_ANSWER: take_answer(child, value, bytes, shown); break;
    case CHILD_LINE_REQUEST: refuse_request(child, value, shown); break;
    case CHILD_LINE_NOTICE:
        log_info(LOG_PROGRAM_SAID, child->workspace_id, "%s: notification from the program: %.*s%s",
                 child->name, shown->length, shown->bytes, shown->more);
        break;
    case CHILD_LINE_OTHER:
        log_warn(LOG_PROGRAM_STRAY, child->workspace_id,
                 "%s: ignoring a line that is not a JSON object: %.*s%s", child->name,
                 shown->length, shown->bytes, shown->more);
        break;
    }
}

static void take_line(struct child *child, const char *bytes, size_t length)
{
    vm_make_room(child->vm, VALUES_PER_BYTE * length);
    if (child->freed) /* it was garbage, and has just been collected */
        return;
    jsonmemory_begin(vm_room(child->vm));
    json_t *line = child_line_read(bytes, length);
    size_t taken = jsonmemory_end(NULL), index;
    struct shown shown = {bytes, length < SHOWN_MAXIMUM ? (int)length : SHOWN_MAXIMUM,
                          length > SHOWN_MAXIMUM ? "…" : ""};
    json_t *item;
    if (json_is_array(line) && json_array_size(line) > 0) {
        json_array_foreach (line, index, item)
            if (!child->freed)
                take_value(child, item, taken, &shown);
    } else if (line || strspn(bytes, " \t\r") < length) {
        take_value(child, line, taken, &shown);
    }
    json_decref(line);
}

static void too_long(struct child *child)
{
    log_warn(LOG_PROGRAM_STRAY, child->workspace_id, "%s: ignoring a line of more than %zu MiB",
             child->name, CHILD_LINE_MAXIMUM >> 20);
    buffer_clear(&child->line);
    child->skips = true;
}

static void take_output(struct child *child, const char *bytes, size_t length)
{
    while (length > 0 && !child->freed && !child->over) {
        const char *end = memchr(bytes, '\n', length);
        size_t size = end ? (size_t)(end - bytes) : length;
        if (!child->skips && !buffer_append(&child->line, bytes, size))
            too_long(child);
        if (!end)
            return;
        if (!child->skips && child->line.length > 0)
            take_line(child, child->line.data, child->line.length);
        buffer_clear(&child->line);
        child->skips = false;
        bytes += size + 1;
        length -= size + 1;
    }
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct child *child = subprocess_owner(handle);
    *buffer = uv_buf_init(child->chunk, sizeof child->chunk);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct child *child = subprocess_owner(stream);
    if (length > 0 && (uv_pipe_t *)stream == &child->output)
        take_output(child, buffer->base, (size_t)length);
    else if (length > 0)
        complain(child, buffer->base, (size_t)length);
    child_settle(child);
    if (length >= 0)
        return;
    uv_read_stop(stream);
    child->open_pipes--;
    if ((uv_pipe_t *)stream == &child->output) {
        take_output(child, "\n", 1); /* the last line may have no end */
        child->answers = false;
        if (child->subprocess.running)
            child_kill(child); /* it can no longer answer */
    }
    if (child->open_pipes == 0 && !child->subprocess.running)
        child_finish(child);
}

void child_read(struct child *child)
{
    uv_read_start((uv_stream_t *)&child->output, on_allocate, on_read);
    uv_read_start((uv_stream_t *)&child->errors, on_allocate, on_read);
}
