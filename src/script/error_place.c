#include "script/error_place.h"

#include "base/memory.h"
#include "script/embedded.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LINE_SHOWN 200        /* bytes; a longer line is not shown */
#define LINES_MAXIMUM 1000000 /* of a file */
#define SHORTENED "..."       /* what Lua puts before the end of a long name */

/* --- the line --- */

/* A file's name that an error may quote a line of: the script's, or of a module below its
 * directory. An error's text is the script's to choose, and must not show other files. */
static char *file_of(const char *script, const char *name, size_t length)
{
    size_t script_length = strlen(script), shortened = strlen(SHORTENED);
    if (length == script_length && memcmp(name, script, length) == 0)
        return memory_copy_text(script);
    if (length > shortened && memcmp(name, SHORTENED, shortened) == 0 &&
        script_length >= length - shortened &&
        memcmp(script + script_length - (length - shortened), name + shortened,
               length - shortened) == 0)
        return memory_copy_text(script);
    const char *slash = strrchr(script, '/');
    size_t directory = slash ? (size_t)(slash - script) + 1 : 0;
    char *path = memory_copy(name, length);
    bool below = slash && length > directory && memcmp(path, script, directory) == 0 &&
                 !strstr(path, "..") && length > 4 && strcmp(path + length - 4, ".lua") == 0;
    if (below)
        return path;
    free(path);
    return NULL;
}

/* Its line without the end; NULL: no such line, or it is too long to show. */
static char *read_line(const char *path, long number)
{
    struct stat status;
    FILE *file = stat(path, &status) == 0 && S_ISREG(status.st_mode) ? fopen(path, "re") : NULL;
    char *line = NULL;
    size_t size = 0;
    ssize_t length = -1;
    for (long i = 0; file && i < number; i++)
        if ((length = getline(&line, &size, file)) < 0)
            break;
    if (file)
        fclose(file);
    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        line[--length] = '\0';
    if (length > 0 && length <= LINE_SHOWN && strlen(line) == (size_t)length)
        return line;
    free(line);
    return NULL;
}

static bool is_name(char letter)
{
    return isalnum((unsigned char)letter) || letter == '_';
}

/* As a whole word; NULL: the line does not have it. */
static const char *find_whole(const char *line, const char *word, size_t size)
{
    for (const char *at = line; size > 0 && *at; at++)
        if (strncmp(at, word, size) == 0 &&
            !(is_name(at[0]) && ((at > line && is_name(at[-1])) || is_name(at[size]))))
            return at;
    return NULL;
}

/* The first word in quotes of the text, or what raised it, where the line has it; else the line's
 * first word. */
static const char *find_word(const char *line, const char *text, size_t *length)
{
    const char *quote = strchr(text, '\''), *end = quote ? strchr(quote + 1, '\'') : NULL;
    const struct {
        const char *text;
        size_t size;
    } words[] = {{quote ? quote + 1 : NULL, end ? (size_t)(end - quote) - 1 : 0},
                 {"error", strlen("error")},
                 {"assert", strlen("assert")}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const char *found = find_whole(line, words[i].text, words[i].size);
        *length = words[i].size;
        if (found)
            return found;
    }
    const char *first = line + strspn(line, " \t");
    *length = strcspn(first, " \t(");
    return first;
}

/* How many characters the bytes are. */
static size_t count_characters(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += (text[i] & 0xc0) != 0x80;
    return count;
}

/* Takes the line. */
static char *mark_line(char *line, const char *text)
{
    size_t length;
    const char *word = find_word(line, text, &length);
    size_t before = count_characters(line, (size_t)(word - line)),
           marks = count_characters(word, length);
    char *marked = memory_allocate(strlen(line) + 1 + before + marks + 2), *to = marked;
    for (const char *at = line; *at; at++)
        *to++ = *at == '\t' ? ' ' : *at;
    *to++ = '\n';
    memset(to, ' ', before);
    to += before;
    *to++ = '^';
    for (size_t i = 1; i < marks; i++)
        *to++ = '~';
    free(line);
    return marked;
}

char *error_place(const char *script, const char *text)
{
    const char *colon = script && text ? strchr(text, ':') : NULL;
    char *end = NULL;
    long number = 0;
    /* a name may have colons, too */
    while (colon && ((number = strtol(colon + 1, &end, 10)) <= 0 || end == colon + 1 ||
                     !isdigit((unsigned char)colon[1]) || strncmp(end, ": ", 2) != 0))
        colon = strchr(colon + 1, ':');
    if (!colon || number > LINES_MAXIMUM)
        return NULL;
    char *path = file_of(script, text, (size_t)(colon - text));
    char *line = path ? read_line(path, number) : NULL;
    free(path);
    return line ? mark_line(line, end + 2) : NULL;
}

/* --- the traceback --- */

/* "\tmolecule/http.lua:77: in …", "\t[C]: in function 'molecule.core.refuse_field'", "\t[C]: in ?"
 */
static bool is_own(const char *frame, size_t length)
{
    static const char *const own[] = {"\t[C]: in ?", "\t[C]: in function 'molecule.core."};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (length >= strlen(own[i]) && strncmp(frame, own[i], strlen(own[i])) == 0)
            return true;
    char name[128];
    size_t end = strcspn(frame, ":\n");
    if (end < 2 || end >= sizeof name || frame[0] != '\t')
        return false;
    memcpy(name, frame + 1, end - 1);
    name[end - 1] = '\0';
    return embedded_find(name) != NULL;
}

static bool is_tail_call(const char *frame)
{
    return strncmp(frame, "\t(...tail calls...)", 19) == 0;
}

char *error_tidy_traceback(char *text)
{
    if (!text)
        return NULL;
    char *to = text, *end = text + strlen(text);
    bool dropped = false, kept = false;
    for (char *line = text, *next; line < end; line = next) {
        size_t length = strcspn(line, "\n");
        next = line + length + (line[length] == '\n');
        bool frame = *line == '\t', tail = is_tail_call(line);
        /* a tail call's mark belongs to the frame above it */
        bool drop = frame && (is_own(line, length) || (tail && dropped));
        dropped = drop;
        if (drop)
            continue;
        kept = kept || (frame && !tail);
        memmove(to, line, length);
        to += length;
        *to++ = '\n';
    }
    if (to > text)
        to--;
    *to = '\0';
    while (to > text && (size_t)(to - text) > 19 && is_tail_call(to - 19) && to[-20] == '\n') {
        to -= 20;
        *to = '\0';
    }
    if (kept)
        return text;
    free(text);
    return NULL;
}
