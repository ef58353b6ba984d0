#include "commands/dev_report.h"

#include "base/hash.h"
#include "base/memory.h"
#include "wire/jsontext.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAXIMUM ((size_t)64 << 20)
#define CHUNK_SIZE 65536

/* X(member, text of the line) */
#define TEXTS(X)              \
    X(row_id, "row_id")       \
    X(schedule, "schedule")   \
    X(principal, "principal") \
    X(outcome, "outcome")     \
    X(reason, "reason")       \
    X(traceback, "trace")     \
    X(level, "level")         \
    X(text, "text")           \
    X(what, "what")           \
    X(key, "key")             \
    X(call, "call")
#define NUMBERS(X)                  \
    X(attempt, "attempt")           \
    X(wall_ms, "wall_ms")           \
    X(cpu_ms, "cpu_ms")             \
    X(memory_bytes, "memory_bytes") \
    X(again_ms, "again_ms")         \
    X(took_ms, "took_ms")

static uv_mutex_t writing;
static uv_once_t writing_once = UV_ONCE_INIT;

static void make_mutex(void)
{
    uv_mutex_init(&writing);
}

static void write_whole(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return; /* nobody reads: the other process is gone, and this one will be */
        bytes += written;
        length -= (size_t)written;
    }
}

void dev_report_write(int fd, const struct molecule_event *event)
{
    json_t *line = json_pack("{s:i}", "kind", (int)event->kind);
#define X(member, name) \
    if (event->member)  \
        json_object_set_new(line, name, jsontext_string(event->member, strlen(event->member)));
    TEXTS(X)
#undef X
#define X(member, name) \
    if (event->member)  \
        json_object_set_new(line, name, json_integer((json_int_t)event->member));
    NUMBERS(X)
#undef X
    if (event->kind == MOLECULE_EVENT_REPLY) {
        uint64_t digest = hash_bytes(event->reply, event->reply_length);
        json_object_set_new(line, "digest", json_integer((json_int_t)digest));
        json_object_set_new(line, "length", json_integer((json_int_t)event->reply_length));
    }
    char *text = jsontext_print(line);
    json_decref(line);
    if (!text)
        return;
    size_t length = strlen(text);
    text[length] = '\n'; /* in place of its end */
    uv_once(&writing_once, make_mutex);
    uv_mutex_lock(&writing);
    write_whole(fd, text, length + 1);
    uv_mutex_unlock(&writing);
    free(text);
}

static void take_line(struct dev_report *report, const char *bytes, size_t length)
{
    json_t *line = json_loadb(bytes, length, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(line)) {
        json_decref(line);
        return; /* cut off when the host was killed */
    }
    struct molecule_event event = {
        .kind = (enum molecule_event_kind)json_integer_value(json_object_get(line, "kind"))};
#define X(member, name) event.member = json_string_value(json_object_get(line, name));
    TEXTS(X)
#undef X
#define X(member, name) \
    event.member = (__typeof__(event.member))json_integer_value(json_object_get(line, name));
    NUMBERS(X)
#undef X
    if (event.kind == MOLECULE_EVENT_REPLY)
        report->reply(report->context, event.row_id,
                      (uint64_t)json_integer_value(json_object_get(line, "digest")),
                      (size_t)json_integer_value(json_object_get(line, "length")));
    else
        report->event(report->context, &event);
    json_decref(line);
}

static void take(struct dev_report *report, const char *bytes, size_t length)
{
    while (length > 0) {
        const char *end = memchr(bytes, '\n', length);
        size_t part = end ? (size_t)(end - bytes) : length;
        if (part > 0)
            buffer_append(&report->line, bytes, part);
        if (!end)
            return;
        take_line(report, report->line.data, report->line.length);
        buffer_clear(&report->line);
        bytes += part + 1;
        length -= part + 1;
    }
}

void dev_report_open(struct dev_report *report)
{
    uv_mutex_init(&report->mutex);
    buffer_init(&report->line, LINE_MAXIMUM);
    report->fd = -1;
}

static void shut(struct dev_report *report)
{
    if (report->fd >= 0)
        close(report->fd);
    report->fd = -1;
}

void dev_report_attach(struct dev_report *report, int fd)
{
    uv_mutex_lock(&report->mutex);
    shut(report);
    buffer_clear(&report->line);
    report->fd = fd;
    uv_mutex_unlock(&report->mutex);
}

bool dev_report_drain(struct dev_report *report)
{
    char chunk[CHUNK_SIZE];
    bool open;
    uv_mutex_lock(&report->mutex);
    while ((open = report->fd >= 0)) {
        struct pollfd readable = {.fd = report->fd, .events = POLLIN};
        if (poll(&readable, 1, 0) <= 0)
            break;
        ssize_t got = read(report->fd, chunk, sizeof chunk);
        if (got > 0)
            take(report, chunk, (size_t)got);
        else if (got == 0 || errno != EINTR)
            open = false;
        if (!open)
            break;
    }
    uv_mutex_unlock(&report->mutex);
    return open;
}

void dev_report_close(struct dev_report *report)
{
    shut(report);
    buffer_free(&report->line);
    uv_mutex_destroy(&report->mutex);
}
