/* Finds where rows and members begin and end, nothing more: brackets are counted, strings skipped,
 * values not examined. No recursion, and every byte is read a bounded number of times, whatever the
 * input. */
#include "wire/page.h"

#include "base/memory.h"
#include "wire/escape.h"

#include <stdlib.h>
#include <string.h>

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at;
}

/* Of a string with a quote after a backslash. Counting the backslashes backwards stops at the quote
 * before, so it stays linear. */
static const char *skip_escaped_string(const char *start, const char *end)
{
    for (const char *at = start; (at = memchr(at, '"', (size_t)(end - at))); at++) {
        const char *slash = at;
        while (slash > start && slash[-1] == '\\')
            slash--;
        if ((at - slash) % 2 == 0)
            return at + 1;
    }
    return NULL;
}

/* From after the opening quote to after the closing one; NULL: none. */
static inline const char *skip_string(const char *start, const char *end)
{
    const char *quote = memchr(start, '"', (size_t)(end - start));
    if (quote && quote[-1] != '\\')
        return quote + 1;
    return quote ? skip_escaped_string(start, end) : NULL;
}

/* From a value's first byte to the comma or closing bracket after it; NULL: the text ends first. */
static const char *skip_value(const char *at, const char *end)
{
    size_t depth = 0;
    while (at < end) {
        switch (*at) {
        case '"':
            at = skip_string(at + 1, end);
            if (!at)
                return NULL;
            continue;
        case '{':
        case '[': depth++; break;
        case '}':
        case ']':
            if (depth == 0)
                return at;
            depth--;
            break;
        case ',':
            if (depth == 0)
                return at;
            break;
        default: break;
        }
        at++;
    }
    return NULL;
}

static struct page_row trimmed(const char *start, const char *stop)
{
    while (stop > start &&
           (stop[-1] == ' ' || stop[-1] == '\n' || stop[-1] == '\r' || stop[-1] == '\t'))
        stop--;
    return (struct page_row){start, (size_t)(stop - start)};
}

static void add_row(struct page *page, struct page_row row)
{
    /* the capacity is the power of two at or above the count */
    if ((page->count & (page->count - 1)) == 0)
        page->rows = memory_resize(page->rows,
                                   sizeof *page->rows * (page->count ? page->count * 2 : 1));
    page->rows[page->count++] = row;
}

static const char *why_no_array(const char *at, const char *end)
{
    if (at == end)
        return "the body is empty";
    if (*at == '<')
        return "the body is HTML, not a JSON array";
    if (*at == '{')
        return "the body is a JSON object, not an array";
    return "the body is not a JSON array";
}

/* `at` is after the opening bracket. NULL: fine; else what is wrong. */
static const char *cut_rows(const char *at, const char *end, struct page *page)
{
    at = skip_space(at, end);
    if (at < end && *at == ']')
        return skip_space(at + 1, end) == end ? NULL : "bytes follow the body's array";
    for (;;) {
        const char *stop = skip_value(at, end);
        if (!stop)
            return "the body ends before its array does";
        if (*stop == '}')
            return "an unmatched closing brace in the body's array";
        struct page_row row = trimmed(at, stop);
        if (row.length == 0)
            return "a comma without a row in the body's array";
        if (page->count == PAGE_ROWS_MAXIMUM)
            return "too many rows in the body's array";
        add_row(page, row);
        if (*stop == ']')
            return skip_space(stop + 1, end) == end ? NULL : "bytes follow the body's array";
        at = skip_space(stop + 1, end);
    }
}

bool page_cut(const char *body, size_t length, struct page *page, const char **problem)
{
    *page = (struct page){0};
    const char *end = length > 0 ? body + length : body, *at = skip_space(body, end);
    if (at == end || *at != '[')
        *problem = why_no_array(at, end);
    else
        *problem = cut_rows(at + 1, end, page);
    if (*problem)
        page_free(page);
    return !*problem;
}

void page_free(struct page *page)
{
    free(page->rows);
    *page = (struct page){0};
}

/* The ASCII character of the escape after a backslash; -1: any other, which none of our keys
 * contains. */
static int read_escape(const char **at, const char *end)
{
    if (*at == end)
        return -1;
    char letter = *(*at)++;
    if (letter == '/' || letter == '\\' || letter == '"')
        return letter;
    int unit = escape_unit(*at - 2, end);
    *at += unit < 0 ? 0 : 4;
    return unit > 0 && unit < 0x80 ? unit : -1;
}

static bool key_equals(const char *at, const char *end, const char *key)
{
    while (at < end && *at && *at == *key && *at != '\\') { /* as most of them are */
        at++;
        key++;
    }
    while (at < end) {
        int character = (unsigned char)*at++;
        if (character == '\\')
            character = read_escape(&at, end);
        if (character <= 0 || character != (unsigned char)*key++)
            return false;
    }
    return *key == '\0';
}

bool page_members(struct page_row object, const char *const *keys, size_t count,
                  struct page_row *values)
{
    const char *end = object.length > 0 ? object.bytes + object.length : object.bytes;
    const char *at = skip_space(object.bytes, end);
    memset(values, 0, count * sizeof *values);
    if (at == end || *at != '{')
        return false;
    for (const char *stop; at < end; at = stop) {
        const char *name = skip_space(at + 1, end);
        if (name == end || *name != '"')
            return name < end && *name == '}' && *at == '{' && skip_space(name + 1, end) == end;
        const char *behind = skip_string(++name, end);
        if (!behind)
            return false;
        const char *colon = skip_space(behind, end);
        if (colon == end || *colon != ':')
            return false;
        const char *start = skip_space(colon + 1, end);
        stop = skip_value(start, end);
        if (!stop)
            return false;
        struct page_row value = trimmed(start, stop);
        for (size_t i = 0; i < count; i++)
            if ((*name == *keys[i] || *name == '\\') && key_equals(name, behind - 1, keys[i]) &&
                value.length > 0)
                values[i] = value;
        if (*stop != ',')
            return *stop == '}' && value.length > 0 && skip_space(stop + 1, end) == end;
        if (value.length == 0)
            return false;
    }
    return false;
}

bool page_member(struct page_row object, const char *key, struct page_row *value)
{
    struct page_row found;
    page_members(object, &key, 1, &found);
    if (found.bytes)
        *value = found;
    return found.bytes != NULL;
}
