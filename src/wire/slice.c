#include "wire/slice.h"

#include "base/memory.h"
#include "wire/escape.h"
#include "wire/plain.h"
#include "wire/repair.h"

#include <stdlib.h>
#include <string.h>

#define INTEGER_DIGITS 18 /* any such integer has 64 bits */
#define REAL_MAXIMUM 64   /* bytes; with an exponent of two digits it is finite */
#define EXPONENT_DIGITS 2

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

/* --- what is sound; `at` NULL: it is not --- */

/* `at` is on a backslash. */
static const char *pass_escape(const char *at, const char *end)
{
    if (end - at < 2)
        return NULL;
    if (at[1] != 'u')
        return at[1] && strchr("\"\\/bfnrt", at[1]) ? at + 2 : NULL;
    int unit = escape_unit(at, end);
    if (unit < 0)
        return NULL;
    if (unit < 0xd800 || unit > 0xdfff)
        return at + 6;
    return escape_pair(unit, escape_unit(at + 6, end)) < 0 ? NULL : at + 12;
}

/* `at` is after the opening quote. */
static const char *pass_string(const char *at, const char *end, bool escapes)
{
    while ((at = plain_end(at, end)) < end) {
        unsigned char byte = (unsigned char)*at;
        if (byte == '"')
            return at + 1;
        if (byte < ' ')
            return NULL;
        if (byte == '\\') {
            at = escapes ? pass_escape(at, end) : NULL;
            if (!at)
                return NULL;
        } else {
            size_t size = repair_character(at, (size_t)(end - at));
            if (size == 0)
                return NULL;
            at += size;
        }
    }
    return NULL;
}

static const char *pass_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

static const char *pass_number(const char *start, const char *end)
{
    const char *first = start + (*start == '-'), *at = pass_digits(first, end);
    if (at == first || (*first == '0' && at > first + 1))
        return NULL;
    bool real = at < end && (*at == '.' || *at == 'e' || *at == 'E');
    if (!real)
        return at - first <= INTEGER_DIGITS ? at : NULL;
    if (*at == '.') {
        const char *digits = ++at;
        at = pass_digits(at, end);
        if (at == digits)
            return NULL;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        const char *digits = at;
        at = pass_digits(at, end);
        if (at == digits || at - digits > EXPONENT_DIGITS)
            return NULL;
    }
    return at - start <= REAL_MAXIMUM ? at : NULL;
}

static const char *pass_word(const char *at, const char *end, const char *word, size_t length)
{
    return (size_t)(end - at) >= length && memcmp(at, word, length) == 0 ? at + length : NULL;
}

static const char *pass_value(const char *at, const char *end, int depth);

/* `at` is on the bracket. */
static const char *pass_items(const char *at, const char *end, int depth)
{
    bool object = *at == '{';
    char closing = object ? '}' : ']';
    at = skip_space(at + 1, end);
    if (at < end && *at == closing)
        return at + 1;
    for (;; at = skip_space(at + 1, end)) {
        if (object) {
            if (at == end || *at != '"' || !(at = pass_string(at + 1, end, false)))
                return NULL;
            at = skip_space(at, end);
            if (at == end || *at != ':')
                return NULL;
            at = skip_space(at + 1, end);
        }
        at = pass_value(at, end, depth);
        if (!at)
            return NULL;
        at = skip_space(at, end);
        if (at < end && *at == closing)
            return at + 1;
        if (at == end || *at != ',')
            return NULL;
    }
}

static const char *pass_value(const char *at, const char *end, int depth)
{
    if (at == end)
        return NULL;
    switch (*at) {
    case '"': return pass_string(at + 1, end, true);
    case '{':
    case '[': return depth < SLICE_DEPTH_MAXIMUM ? pass_items(at, end, depth + 1) : NULL;
    case 't': return pass_word(at, end, "true", 4);
    case 'f': return pass_word(at, end, "false", 5);
    case 'n': return pass_word(at, end, "null", 4);
    default: return pass_number(at, end);
    }
}

bool slice_sound(struct page_row value)
{
    const char *end = value.length > 0 ? value.bytes + value.length : value.bytes;
    return value.length > 0 && pass_value(value.bytes, end, 0) == end;
}

/* --- reading what is --- */

bool slice_is_string(struct page_row value)
{
    return value.bytes && *value.bytes == '"';
}

bool slice_is_object(struct page_row value)
{
    return value.bytes && *value.bytes == '{';
}

bool slice_is_array(struct page_row value)
{
    return value.bytes && *value.bytes == '[';
}

bool slice_is_number(struct page_row value)
{
    return value.bytes && (*value.bytes == '-' || (*value.bytes >= '0' && *value.bytes <= '9'));
}

bool slice_is_plain(struct page_row value)
{
    return slice_is_string(value) && !memchr(value.bytes, '\\', value.length);
}

bool slice_says(struct page_row value, const char *text)
{
    size_t length = strlen(text);
    return slice_is_string(value) && value.length == length + 2 &&
           memcmp(value.bytes + 1, text, length) == 0;
}

/* `at` is on a backslash. Returns the position after the escape. */
static const char *decode_escape(const char *at, const char *end, char **to)
{
    static const char letters[] = "b\bf\fn\nr\rt\t";
    if (at[1] == 'u') {
        int unit = escape_unit(at, end);
        bool paired = unit >= 0xd800 && unit <= 0xdfff;
        *to = escape_put_utf8(*to, paired ? escape_pair(unit, escape_unit(at + 6, end)) : unit);
        return at + (paired ? 12 : 6);
    }
    char letter = at[1]; /* a quote, a backslash or a slash stands for itself */
    for (const char *pair = letters; *pair; pair += 2)
        if (*pair == at[1])
            letter = pair[1];
    *(*to)++ = letter;
    return at + 2;
}

size_t slice_decode(struct page_row value, char *to)
{
    const char *at = value.bytes + 1, *end = value.bytes + value.length - 1;
    char *start = to;
    for (;;) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        size_t length = (size_t)((escape ? escape : end) - at);
        memcpy(to, at, length);
        to += length;
        if (!escape)
            return (size_t)(to - start);
        at = decode_escape(escape, end, &to);
    }
}

char *slice_text(struct page_row value, size_t *length)
{
    char *text = memory_resize(NULL, value.length);
    *length = slice_decode(value, text);
    text[*length] = '\0';
    return text;
}

bool slice_number(struct page_row value, long long *integer, double *real)
{
    char text[REAL_MAXIMUM + 1];
    bool is_real = false;
    for (size_t i = 0; i < value.length; i++) {
        text[i] = value.bytes[i];
        is_real = is_real || text[i] == '.' || text[i] == 'e' || text[i] == 'E';
    }
    text[value.length] = '\0';
    if (is_real)
        *real = strtod(text, NULL);
    else
        *integer = strtoll(text, NULL, 10);
    return !is_real;
}

const char *slice_gap(const char *at)
{
    while (*at == ',' || *at == ':' || *at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')
        at++;
    return at;
}

struct page_row slice_scalar(const char *at)
{
    const char *start = at, *slash;
    if (*at == '"') {
        do { /* an even number of backslashes stands before the closing quote */
            at = rawmemchr(at + 1, '"');
            slash = at;
            while (slash[-1] == '\\')
                slash--;
        } while ((at - slash) % 2 == 1);
        at++;
    } else {
        while (*at >= '+' && *at != ',' && *at != ']' && *at != '}')
            at++;
    }
    return (struct page_row){start, (size_t)(at - start)};
}

const char *slice_after(const char *at)
{
    for (size_t depth = 0;; at = slice_gap(at)) {
        if (*at == '{' || *at == '[') {
            depth++;
            at++;
        } else if (*at == '}' || *at == ']') {
            depth--;
            at++;
        } else {
            at += slice_scalar(at).length;
        }
        if (depth == 0)
            return at;
    }
}

bool slice_item(struct page_row array, const char **at, struct page_row *item)
{
    const char *start = slice_gap(*at ? *at : array.bytes + 1);
    if (*start == ']')
        return false;
    *at = slice_after(start);
    *item = (struct page_row){start, (size_t)(*at - start)};
    return true;
}
