/* Repairs text on a copy, in one pass. Valid bytes are copied in runs; only broken ones cost extra.
 */
#include "wire/repair.h"

#include "base/buffer.h"
#include "wire/escape.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

size_t repair_character(const char *text, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)text;
    if (length == 0)
        return 0;
    unsigned char first = bytes[0];
    if (first < 0x80)
        return 1;
    size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || length < size)
        return 0;
    /* the second byte's range is what keeps out overlong forms, surrogates and what lies above
     * U+10FFFF */
    unsigned char lowest = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char highest = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (bytes[1] < lowest || bytes[1] > highest)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

/* `at` is on a backslash. Returns the position after the escape. */
static const char *repair_escape(struct buffer *out, const char *at, const char *end)
{
    int unit = escape_unit(at, end);
    size_t size = 6;
    if (unit >= 0xd800 && unit <= 0xdfff) {
        if (escape_pair(unit, escape_unit(at + 6, end)) < 0) {
            buffer_append_text(out, "\\ufffd");
            return at + 6;
        }
        size = 12;
    } else if (unit < 0) {
        /* not a JSON escape: both bytes stay as they are, so that the second is not repaired into
         * one */
        size = end - at >= 2 && (unsigned char)at[1] < 0x80 ? 2 : 1;
    }
    buffer_append(out, at, size);
    return at + size;
}

/* `at` is on the opening quote. */
static const char *repair_string(struct buffer *out, const char *at, const char *end)
{
    const char *sound = at++;
    while (at < end) {
        size_t size = repair_character(at, (size_t)(end - at));
        if (size > 0 && (unsigned char)*at >= 0x20 && *at != '"' && *at != '\\') {
            at += size;
            continue;
        }
        bool closes = *at == '"';
        buffer_append(out, sound, (size_t)(at - sound) + (closes ? 1 : 0));
        if (closes)
            return at + 1;
        if (*at == '\\') {
            at = repair_escape(out, at, end);
        } else if (size == 0) {
            buffer_append_text(out, REPLACEMENT);
            at++;
        } else {
            static const char hex[] = "0123456789abcdef";
            char escape[] = {'\\', 'u', '0', '0', hex[*at >> 4], hex[*at & 15]};
            buffer_append(out, escape, sizeof escape);
            at++;
        }
        sound = at;
    }
    buffer_append(out, sound, (size_t)(at - sound));
    return at;
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? and nothing after it */
static bool well_formed(const char *number, bool *is_real)
{
    const char *at = number + (*number == '-');
    *is_real = false;
    if (!isdigit((unsigned char)*at) || (at[0] == '0' && isdigit((unsigned char)at[1])))
        return false;
    at += strspn(at, "0123456789");
    if (*at == '.') {
        *is_real = true;
        size_t digits = strspn(++at, "0123456789");
        if (digits == 0)
            return false;
        at += digits;
    }
    if (*at == 'e' || *at == 'E') {
        *is_real = true;
        at += at[1] == '+' || at[1] == '-' ? 2 : 1;
        size_t digits = strspn(at, "0123456789");
        if (digits == 0)
            return false;
        at += digits;
    }
    return *at == '\0';
}

static bool too_large(const char *number)
{
    bool is_real;
    if (!well_formed(number, &is_real))
        return false;
    errno = 0;
    if (is_real)
        return isinf(strtod(number, NULL));
    return strtoll(number, NULL, 10) != 0 && errno == ERANGE;
}

static bool is_key(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at < end && *at == ':';
}

static const char *repair_number(struct buffer *out, const char *at, const char *end)
{
    const char *stop = at;
    while (stop < end && (isdigit((unsigned char)*stop) || (*stop && strchr("+-.eE", *stop))))
        stop++;
    size_t length = (size_t)(stop - at), start = out->length;
    buffer_append(out, at, length);
    /* a number in place of a key is not JSON, and must not become JSON */
    if (too_large(out->data + start) && !is_key(stop, end)) {
        buffer_append_text(out, "\"\"");
        memmove(out->data + start + 1, out->data + start, length);
        out->data[start] = '"';
    }
    return stop;
}

char *repair_json(const char *text, size_t length, size_t *repaired_length)
{
    struct buffer out;
    buffer_init(&out, SIZE_MAX / 4);
    const char *at = text, *end = length > 0 ? text + length : text;
    while (at < end) {
        const char *sound = at;
        while (at < end && *at != '"' && *at != '-' && !isdigit((unsigned char)*at))
            at++;
        buffer_append(&out, sound, (size_t)(at - sound));
        if (at < end)
            at = *at == '"' ? repair_string(&out, at, end) : repair_number(&out, at, end);
    }
    *repaired_length = out.length;
    return buffer_take(&out);
}

char *repair_text(const char *text, size_t length, size_t *repaired_length)
{
    struct buffer out;
    buffer_init(&out, SIZE_MAX / 4);
    const char *at = text, *end = length > 0 ? text + length : text, *sound = at;
    while (at < end) {
        size_t size = repair_character(at, (size_t)(end - at));
        if (size > 0 && *at) {
            at += size;
            continue;
        }
        buffer_append(&out, sound, (size_t)(at - sound));
        if (size == 0)
            buffer_append_text(&out, REPLACEMENT);
        sound = ++at;
    }
    buffer_append(&out, sound, (size_t)(at - sound));
    *repaired_length = out.length;
    return buffer_take(&out);
}
