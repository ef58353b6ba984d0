#include "journal/transcript.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "wire/jsontext.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct append {
    struct task task;
    char *path, *workspace_id, *text;
};

/* On the disk thread. One write of one line to a file opened for appending: lines of several
 * processes do not mix. */
static void run_write(struct task *task)
{
    static bool complained; /* the disk thread's */
    struct append *append = (struct append *)task;
    size_t length = strlen(append->text);
    struct stat status;
    int fd = open(append->path,
                  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
                  0600);
    /* a pipe would block the disk thread */
    bool regular = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    bool written = regular && write(fd, append->text, length) == (ssize_t)length;
    if (!written && !complained)
        log_error(LOG_RECORD_FAILING, append->workspace_id,
                  "--record %s: %s; messages are still answered", append->path,
                  fd >= 0 && !regular ? "not a regular file"
                  : errno == ELOOP    ? "symbolic links are not followed"
                                      : strerror(errno));
    complained = !written;
    if (fd >= 0)
        close(fd);
    free(append->path);
    free(append->workspace_id);
    free(append->text);
    free(append);
}

static json_t *parse_or_text(const char *bytes, size_t length)
{
    json_t *value = bytes ? jsontext_read(bytes, length, NULL, NULL) : json_null();
    return value ? value : jsontext_string(bytes, length);
}

void transcript_write(struct disk *disk, const struct transcript_line *line)
{
    char at[CLOCK_TEXT_SIZE];
    clock_format(clock_wall_ms(), at);
    const struct message *message = line->message;
    const struct reply_request *reply = line->reply;
    json_t *object = json_pack(
        "{s:s, s:s, s:s*, s:s, s:o*, s:s, s:o*, s:o*, s:o*}", "at", at, "workspace",
        line->workspace_id, "row_id", line->row_id, "from",
        message->source_id ? message->source_id : "canvas", "envelope",
        parse_or_text(message->raw, message->raw_length), "outcome", line->outcome, "reason",
        line->reason ? jsontext_string(line->reason, strlen(line->reason)) : NULL, "reply",
        reply ? parse_or_text(reply->body, reply->body_length) : NULL, "calls",
        line->calls ? jsontext_read(line->calls, strlen(line->calls), NULL, NULL) : NULL);
    char *text = object ? jsontext_print(object) : NULL;
    json_decref(object);
    if (!text)
        return;
    log_redact(text);
    struct append *append = memory_allocate(sizeof *append);
    append->task.run = run_write;
    append->path = memory_copy_text(line->path);
    append->workspace_id = memory_copy_text(line->workspace_id);
    append->text = memory_format("%s\n", text);
    free(text);
    thread_post(&disk->thread, &append->task);
}
