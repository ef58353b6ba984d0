/* How a line of the log looks. */
#include "base/log_private.h"

#include "base/clock.h"
#include "base/terminal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define WORD_MAXIMUM 140  /* bytes of a subject: a workspace id has at most 128 */
#define FIELD_MAXIMUM 512 /* bytes */
#define SHORT_ID 8        /* characters of a UUID on a terminal */
#define RESET "\x1b[0m"
#define DIM "\x1b[2m"

/* A line under construction; what does not fit is left out. */
struct text {
    char *out;
    size_t length, size;
};

static void put(struct text *text, const char *bytes, size_t length)
{
    if (length > text->size - text->length)
        length = text->size - text->length;
    memcpy(text->out + text->length, bytes, length);
    text->length += length;
}

static void put_text(struct text *text, const char *words)
{
    put(text, words, strlen(words));
}

static void put_word(struct text *text, const char *word)
{
    put(text, word, strnlen(word, WORD_MAXIMUM));
}

static size_t without_line_ends(const char *text)
{
    size_t length = strlen(text);
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        length--;
    return length;
}

/* Whatever must not reach the operator's terminal is escaped; newlines stay, indented. */
static void put_lines(struct text *text, const char *words)
{
    size_t left = without_line_ends(words);
    while (left > 0 && text->length < text->size) {
        const char *end = memchr(words, '\n', left);
        size_t part = end ? (size_t)(end - words) + 1 : left;
        text->length += terminal_escape(words, part, TERMINAL_TEXT, text->out + text->length,
                                        text->size - text->length);
        if (end)
            put_text(text, "    ");
        words += part;
        left -= part;
    }
}

static void put_time(struct text *text, int64_t wall_ms)
{
    char at[CLOCK_TEXT_SIZE];
    clock_format(wall_ms, at);
    put_text(text, at);
}

static void put_local_time(struct text *text, int64_t wall_ms)
{
    char at[CLOCK_TEXT_SIZE];
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    localtime_r(&seconds, &parts);
    strftime(at, sizeof at, "%H:%M:%S", &parts);
    put_text(text, at);
}

static const char *who(const struct log_line *line)
{
    return line->subject.workspace ? line->subject.workspace : line->subject.part;
}

static const char *const padded[] = {"error", "warn ", "info ", "debug"};

static void render_text(const struct log_line *line, struct text *text)
{
    put_time(text, line->wall_ms);
    put_text(text, " ");
    put_text(text, padded[line->level]);
    put_text(text, " ");
    if (who(line)) {
        put_word(text, who(line));
        put_text(text, ": ");
    }
    put_lines(text, line->text);
}

/* A UUID by its beginning, others whole. */
static void put_short_id(struct text *text, const char *id)
{
    char word[WORD_MAXIMUM];
    bool is_uuid = id && strlen(id) == 36 && id[SHORT_ID] == '-';
    size_t length = terminal_escape(id ? id : "", is_uuid ? SHORT_ID : strlen(id ? id : ""),
                                    TERMINAL_WORD, word, sizeof word);
    put(text, word, length);
    for (; length < SHORT_ID; length++)
        put(text, " ", 1);
}

static void render_for_terminal(const struct log_line *line, bool colored, struct text *text)
{
    static const char *const colors[] = {"\x1b[1;31m", "\x1b[33m", "\x1b[32m", DIM};
    put_text(text, colored ? DIM : "");
    put_local_time(text, line->wall_ms);
    put_text(text, colored ? RESET " " : " ");
    put_text(text, colored ? colors[line->level] : "");
    put_text(text, padded[line->level]);
    put_text(text, colored ? RESET " " : " ");
    put_text(text, colored ? DIM : "");
    put_short_id(text, who(line));
    put_text(text, colored ? RESET "  " : "  ");
    put_lines(text, line->text);
}

/* --- fields --- */

struct field {
    const char *key, *journal; /* NULL: the journal has it otherwise */
    const char *value;
};

#define FIELDS 8
#define NUMBER_SIZE 16

/* Those that are known; texts of numbers are kept in `numbers`. */
static size_t list_fields(const struct log_subject *subject, char numbers[2][NUMBER_SIZE],
                          struct field fields[FIELDS])
{
    size_t count = 0;
    if (subject->attempt > 0)
        snprintf(numbers[0], NUMBER_SIZE, "%u", subject->attempt);
    if (subject->file)
        snprintf(numbers[1], NUMBER_SIZE, "%d", subject->line);
    const struct field all[FIELDS] = {
        {"workspace", "MOLECULE_WORKSPACE", subject->workspace},
        {"part", "MOLECULE_PART", subject->part},
        {"row", "MOLECULE_ROW", subject->row},
        {"peer", "MOLECULE_PEER", subject->peer},
        {"outcome", "MOLECULE_OUTCOME", subject->outcome},
        {"attempt", "MOLECULE_ATTEMPT", subject->attempt > 0 ? numbers[0] : NULL},
        {"trace_id", "MOLECULE_TRACE_ID", subject->trace_id},
        {"source", NULL, subject->file},
    };
    for (size_t i = 0; i < FIELDS; i++)
        if (all[i].value)
            fields[count++] = all[i];
    return count;
}

/* What may stand in logfmt as it is. */
static bool is_bare(const char *value, size_t length)
{
    static const bool special[256] = {
        [0 ... ' '] = true, ['"'] = true, ['='] = true, ['\\'] = true, [0x7f ... 0xff] = true};
    for (size_t i = 0; i < length; i++)
        if (special[(unsigned char)value[i]])
            return false;
    return length > 0;
}

/* Between quotation marks, as JSON has it; logfmt readers read the same. */
static void put_quoted(struct text *text, const char *escaped, size_t length)
{
    put_text(text, "\"");
    while (length > 0) {
        size_t plain = 0;
        while (plain < length && escaped[plain] != '\n' && escaped[plain] != '"' &&
               escaped[plain] != '\\')
            plain++;
        put(text, escaped, plain);
        if (plain == length)
            break;
        put(text, (const char[]){'\\', escaped[plain] == '\n' ? 'n' : escaped[plain]}, 2);
        escaped += plain + 1;
        length -= plain + 1;
    }
    put_text(text, "\"");
}

enum pair_form { PAIR_LOGFMT, PAIR_JSON, PAIR_JSON_NUMBER };

static void put_value(struct text *text, const char *value, size_t maximum, enum pair_form form)
{
    char escaped[LOG_LINE_MAXIMUM];
    size_t length = without_line_ends(value);
    bool bare = length <= maximum && is_bare(value, length);
    if (bare && form != PAIR_JSON) {
        put(text, value, length);
        return;
    }
    if (!bare) {
        length = terminal_escape(value, length, TERMINAL_TEXT, escaped, maximum);
        value = escaped;
    }
    put_quoted(text, value, length);
}

static void put_pair(struct text *text, const char *key, const char *value, size_t maximum,
                     enum pair_form form)
{
    bool json = form != PAIR_LOGFMT;
    put_text(text, json ? ",\"" : " ");
    put_text(text, key);
    put_text(text, json ? "\":" : "=");
    put_value(text, value, maximum, form);
}

static void put_fields(struct text *text, const struct log_subject *subject, enum pair_form form)
{
    char numbers[2][NUMBER_SIZE], source[FIELD_MAXIMUM];
    struct field fields[FIELDS];
    size_t count = list_fields(subject, numbers, fields);
    for (size_t i = 0; i < count; i++) {
        bool is_number = fields[i].value == numbers[0];
        if (!fields[i].journal)
            snprintf(source, sizeof source, "%s:%s", subject->file, numbers[1]);
        put_pair(text, fields[i].key, fields[i].journal ? fields[i].value : source, FIELD_MAXIMUM,
                 form == PAIR_JSON && is_number ? PAIR_JSON_NUMBER : form);
    }
}

static void render_pairs(const struct log_line *line, enum pair_form form, struct text *text)
{
    bool json = form == PAIR_JSON;
    put_text(text, json ? "{\"time\":\"" : "time=");
    put_time(text, line->wall_ms);
    put_text(text, json ? "\"" : "");
    put_pair(text, "level", log_level_name(line->level), FIELD_MAXIMUM, form);
    put_pair(text, "event", log_event_name(line->event), FIELD_MAXIMUM, form);
    put_fields(text, &line->subject, form);
    put_pair(text, "msg", line->text, LOG_LINE_MAXIMUM, form);
    put_text(text, json ? "}" : "");
}

/* --- the journal: systemd's Native Journal Protocol --- */

static void put_journal(struct text *text, const char *name, const char *value, size_t length)
{
    put_text(text, name);
    if (memchr(value, '\n', length)) {
        unsigned char size[8];
        for (size_t i = 0; i < sizeof size; i++)
            size[i] = (unsigned char)((uint64_t)length >> (8 * i));
        put_text(text, "\n");
        put(text, (const char *)size, sizeof size);
    } else {
        put_text(text, "=");
    }
    put(text, value, length);
    put_text(text, "\n");
}

static void put_journal_text(struct text *text, const char *name, const char *value)
{
    char escaped[LOG_LINE_MAXIMUM];
    size_t length = terminal_escape(value, without_line_ends(value), TERMINAL_TEXT, escaped,
                                    sizeof escaped);
    put_journal(text, name, escaped, length);
}

static const char *message_id(enum log_event event)
{
    static const char *const ids[] = {
#define LOG_EVENT(name, title, id, ...) id,
#include "base/log_events.def"
    };
    return ids[event];
}

static void render_journal(const struct log_line *line, struct text *text)
{
    static const char *const priorities[] = {"3", "4", "6", "7"};
    char numbers[2][NUMBER_SIZE];
    struct field fields[FIELDS];
    size_t count = list_fields(&line->subject, numbers, fields);
    put_journal_text(text, "PRIORITY", priorities[line->level]);
    put_journal_text(text, "SYSLOG_IDENTIFIER", "molecule");
    put_journal_text(text, "MESSAGE_ID", message_id(line->event));
    put_journal_text(text, "MOLECULE_EVENT", log_event_name(line->event));
    for (size_t i = 0; i < count; i++) {
        if (fields[i].journal) {
            put_journal_text(text, fields[i].journal, fields[i].value);
        } else {
            put_journal_text(text, "CODE_FILE", fields[i].value);
            put_journal_text(text, "CODE_LINE", numbers[1]);
        }
    }
    put_journal_text(text, "MESSAGE", line->text);
}

size_t log_render(enum log_form form, const struct log_line *line, char out[LOG_RENDERED_MAXIMUM])
{
    struct text text = {.out = out, .size = LOG_RENDERED_MAXIMUM - 1};
    switch (form) {
    case LOG_FORM_TEXT: render_text(line, &text); break;
    case LOG_FORM_TERMINAL: render_for_terminal(line, false, &text); break;
    case LOG_FORM_TERMINAL_COLORED: render_for_terminal(line, true, &text); break;
    case LOG_FORM_LOGFMT: render_pairs(line, PAIR_LOGFMT, &text); break;
    case LOG_FORM_JSON: render_pairs(line, PAIR_JSON, &text); break;
    case LOG_FORM_JOURNAL: render_journal(line, &text); return text.length;
    }
    text.size = LOG_RENDERED_MAXIMUM;
    put_text(&text, "\n");
    return text.length;
}
