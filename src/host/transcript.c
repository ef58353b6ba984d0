#include "host/transcript.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/log.h"
#include "base/memory.h"
#include "host/workspace.h"
#include "wire/jsontext.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct transcript_line {
    struct task task;
    char *path, *workspace_id, *text;
};

/* On the disk thread. One write of one line to a file opened for appending: lines of several
 * processes do not mix. */
static void run_write(struct task *task)
{
    static bool complained; /* the disk thread's */
    struct transcript_line *line = (struct transcript_line *)task;
    size_t length = strlen(line->text);
    struct stat status;
    int fd = open(line->path,
                  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
                  0600);
    /* a pipe would hold the disk thread up */
    bool regular = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    bool written = regular && write(fd, line->text, length) == (ssize_t)length;
    if (!written && !complained)
        log_error(line->workspace_id, "--record %s: %s; messages are still answered", line->path,
                  fd >= 0 && !regular ? "not a regular file"
                  : errno == ELOOP    ? "a symbolic link is not followed"
                                      : strerror(errno));
    complained = !written;
    if (fd >= 0)
        close(fd);
    free(line->path);
    free(line->workspace_id);
    free(line->text);
    free(line);
}

static json_t *parse_or_text(const char *bytes, size_t length)
{
    json_t *value = bytes ? jsontext_read(bytes, length, NULL, NULL) : json_null();
    return value ? value : jsontext_string(bytes, length);
}

void transcript_write(struct workspace *workspace, struct inbox_entry *entry, const char *outcome,
                      const char *reason)
{
    if (!workspace->settings.record_file || !entry->message)
        return;
    char at[CLOCK_TEXT_SIZE];
    clock_format(clock_wall_ms(), at);
    const struct stored_reply *stored = entry->context;
    const struct message *message = inbox_content(entry, workspace->settings.id);
    json_t *object = json_pack(
        "{s:s, s:s, s:s*, s:s, s:o*, s:s, s:o*, s:o*}", "at", at, "workspace",
        workspace->settings.id, "row_id", entry->row_id, "from",
        message->source_id ? message->source_id : "canvas", "envelope",
        parse_or_text(message->raw, message->raw_length), "outcome", outcome, "reason",
        reason ? jsontext_string(reason, strlen(reason)) : NULL, "reply",
        stored ? parse_or_text(stored->request.body, stored->request.body_length) : NULL);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (!text)
        return;
    decimal_shorten(text, strlen(text));
    log_redact(text);
    struct transcript_line *line = memory_allocate(sizeof *line);
    line->task.run = run_write;
    line->path = memory_copy_text(workspace->settings.record_file);
    line->workspace_id = memory_copy_text(workspace->settings.id);
    line->text = memory_format("%s\n", text);
    free(text);
    thread_post(&workspace->host->disk.thread, &line->task);
}
