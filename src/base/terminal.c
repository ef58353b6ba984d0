#include "base/terminal.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONGEST 16 /* bytes of an escape, or of a character */

/* The code point at `text` and its length; -1: no UTF-8 character begins there. */
static int32_t decode(const unsigned char *text, size_t left, size_t *length)
{
    static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = text[0];
    *length = 1;
    if (first < 0x80)
        return first;
    size_t size = first >= 0xf0 && first <= 0xf4  ? 4
                  : first >= 0xe0 && first < 0xf0 ? 3
                  : first >= 0xc2 && first < 0xe0 ? 2
                                                  : 0;
    if (size == 0 || size > left)
        return -1;
    int32_t point = first & (0x7f >> size);
    for (size_t i = 1; i < size; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return -1;
        point = point << 6 | (text[i] & 0x3f);
    }
    if (point < least[size] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
        return -1;
    *length = size;
    return point;
}

static bool is_control(int32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x61c || point == 0x200e ||
           point == 0x200f || (point >= 0x2028 && point <= 0x202e) ||
           (point >= 0x2066 && point <= 0x2069);
}

static int write_escape(int32_t point, unsigned char byte, enum terminal_style style,
                        char out[LONGEST])
{
    if (style == TERMINAL_JSON)
        return snprintf(out, LONGEST, "\\u%04x", point >= 0 ? (unsigned)point : 0xfffdu);
    if (style == TERMINAL_WORD && (point == '\n' || point == '\r' || point == '\t'))
        return snprintf(out, LONGEST, "\\%c", point == '\n' ? 'n' : point == '\r' ? 'r' : 't');
    if (point > 0x7f)
        return snprintf(out, LONGEST, "\\u{%x}", (unsigned)point);
    return snprintf(out, LONGEST, "\\x%02x", byte);
}

/* How many bytes are letters, digits, marks and blanks of ASCII. */
static size_t count_plain(const unsigned char *text, size_t length)
{
    size_t count = 0;
    while (count < length && text[count] >= 0x20 && text[count] < 0x7f)
        count++;
    return count;
}

size_t terminal_escape(const char *text, size_t length, enum terminal_style style, char *out,
                       size_t size)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t used = 0, step;
    for (size_t left = length; left > 0; at += step, left -= step) {
        char piece[LONGEST];
        step = count_plain(at, left < size - used ? left : size - used);
        if (step > 0) {
            memcpy(out + used, at, step);
            used += step;
            continue;
        }
        size_t wanted;
        int32_t point = decode(at, left, &step);
        if (style != TERMINAL_WORD && point == '\r' && left > 1 && at[1] == '\n')
            continue;
        if (point >= 0 && (!is_control(point) || (style != TERMINAL_WORD && point == '\n'))) {
            memcpy(piece, at, step);
            wanted = step;
        } else if (style != TERMINAL_WORD && point == '\t') {
            piece[0] = ' ';
            wanted = 1;
        } else {
            wanted = (size_t)write_escape(point, *at, style, piece);
        }
        if (wanted > size - used)
            break;
        memcpy(out + used, piece, wanted);
        used += wanted;
    }
    return used;
}

char *terminal_copy(const char *text, enum terminal_style style)
{
    if (!text)
        return NULL;
    size_t length = strlen(text), size = length * 8;
    char *copy = memory_allocate(size + 1);
    copy[terminal_escape(text, length, style, copy, size)] = '\0';
    return copy;
}

void terminal_print(FILE *out, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    char *shown = terminal_copy(text, TERMINAL_TEXT);
    fputs(shown, out);
    free(shown);
    free(text);
}

bool terminal_colors(int fd, const char *wanted)
{
    if (wanted && strcmp(wanted, "auto") != 0)
        return strcmp(wanted, "always") == 0;
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fd) && !(none && *none) && term && strcmp(term, "dumb") != 0;
}
