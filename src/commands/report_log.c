/* The end of the log. Which words are the program's own is told by the event; a line without one is
 * left out but for its time. */
#include "commands/report.h"

#include "base/clock.h"
#include "base/memory.h"
#include "commands/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES 200
#define TAIL_MAXIMUM (1024 * 1024) /* bytes that are looked at */
#define JOURNAL_MS 10000

/* Whether the event's text is the program's and the platform's alone. */
static bool is_ours(const char *event)
{
    static const char *const kept[] = {
        "internal_error", "host.",   "descriptors.",  "address.",   "control.",    "log.lost",
        "log.reopened",   "log.f",   "workspace.",    "drain.",     "shutdown.",   "fleet.",
        "registered",     "regis",   "card.",         "push.",      "token.",      "secret.",
        "heartbeat.",     "poll.",   "rows.",         "row.known",  "row.skipped", "row.late",
        "inbox.",         "second_", "stream.",       "state.",     "ledger.",     "record.",
        "server.listen",  "inbound", "script.reload", "script.bus", "script.stuck"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (strncmp(event, kept[i], strlen(kept[i])) == 0)
            return true;
    return false;
}

static void add(struct buffer *lines, const char *head, const char *event, const char *text)
{
    char *line = memory_format("%s%s%s", head, text && is_ours(event) ? " msg=" : "",
                               text && is_ours(event) ? text
                               : text                 ? " [text hidden]"
                                                      : "");
    char *shown = report_redact(line);
    buffer_append_text(lines, shown);
    buffer_append_char(lines, '\n');
    free(shown);
    free(line);
}

/* time=… level=… event=… … msg="…" */
static void add_logfmt(struct buffer *lines, char *line)
{
    char *event = strstr(line, " event="), *text = strstr(line, " msg="), name[64] = "";
    if (event)
        snprintf(name, sizeof name, "%.*s", (int)strcspn(event + 7, " "), event + 7);
    if (text) {
        *text = '\0';
        text += 5;
    }
    add(lines, line, name, text);
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* A line of the program's JSON, or of journalctl's. */
static bool add_json(struct buffer *lines, const char *line)
{
    static const char *const pairs[][2] = {{"workspace", "MOLECULE_WORKSPACE"},
                                           {"row", "MOLECULE_ROW"},
                                           {"peer", "MOLECULE_PEER"},
                                           {"outcome", "MOLECULE_OUTCOME"}};
    json_t *object = json_loads(line, 0, NULL);
    if (!json_is_object(object)) {
        json_decref(object);
        return false;
    }
    struct buffer head;
    char time[CLOCK_TEXT_SIZE];
    const char *us = text_of(object, "__REALTIME_TIMESTAMP"),
               *event = text_of(object, *us ? "MOLECULE_EVENT" : "event"),
               *text = text_of(object, *us ? "MESSAGE" : "msg");
    clock_format(clock_bound_ms(strtoll(us, NULL, 10) / 1000), time);
    buffer_init(&head, 4096);
    buffer_printf(&head, "time=%.40s level=%.10s event=%.60s", *us ? time : text_of(object, "time"),
                  text_of(object, *us ? "PRIORITY" : "level"), *event ? event : "-");
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const char *value = text_of(object, pairs[i][*us ? 1 : 0]);
        if (*value)
            buffer_printf(&head, " %s=%.64s", pairs[i][0], value);
    }
    add(lines, head.data, event, *text ? text : NULL);
    buffer_free(&head);
    json_decref(object);
    return true;
}

/* Of a text line only the time and the level are known to be ours. */
static void add_text(struct buffer *lines, const char *line)
{
    const char *level = strpbrk(line, " T");
    bool begins = *line >= '0' && *line <= '9' && level;
    if (!begins) /* it continues the line before */
        return;
    char *head = memory_format("%.*s", (int)strcspn(line, " ") + 6, line);
    add(lines, head, "", " ");
    free(head);
}

static void add_lines(struct buffer *lines, char *text)
{
    for (char *line = text; line && *line;) {
        char *end = strchr(line, '\n');
        if (end)
            *end = '\0';
        if (*line == '{' && add_json(lines, line))
            ;
        else if (strncmp(line, "time=", 5) == 0)
            add_logfmt(lines, line);
        else
            add_text(lines, line);
        line = end ? end + 1 : NULL;
    }
}

/* Where the last lines begin. */
static char *last_lines(char *text, size_t length)
{
    size_t count = 0;
    while (length > 0) {
        if (text[length - 1] == '\n' && count++ == LINES)
            break;
        length--;
    }
    return text + length;
}

bool report_log_file(const char *path, struct buffer *lines, char *problem, size_t problem_size)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        snprintf(problem, problem_size, "%s: %s", path, strerror(errno));
        return false;
    }
    bool cut = fseeko(file, 0, SEEK_END) == 0 && ftello(file) > TAIL_MAXIMUM;
    if (cut)
        fseeko(file, -TAIL_MAXIMUM, SEEK_END);
    else
        rewind(file);
    char *text = memory_allocate(TAIL_MAXIMUM + 1);
    size_t length = fread(text, 1, TAIL_MAXIMUM, file);
    fclose(file);
    for (size_t i = 0; i < length; i++)
        if (text[i] == '\0')
            text[i] = '?';
    char *start = cut ? memchr(text, '\n', length) : text; /* the first line may be half of one */
    start = start ? start : text;
    char *last = last_lines(text, length);
    add_lines(lines, last > start ? last : start);
    free(text);
    return true;
}

bool report_log_journal(struct buffer *lines, char *problem, size_t problem_size)
{
    static const char *const words[] = {
        "journalctl", "--quiet", "--no-pager", "--output",
        "json",       "--lines", "200",        "SYSLOG_IDENTIFIER=molecule",
        NULL};
    struct buffer output;
    buffer_init(&output, 8 * TAIL_MAXIMUM);
    bool read = program_run(words, JOURNAL_MS, &output) == 0 && output.length > 0;
    if (read)
        add_lines(lines, output.data);
    else
        snprintf(problem, problem_size,
                 "the journal has no lines of molecule, or this user may not read it; give "
                 "--log-file");
    buffer_free(&output);
    return read;
}
