#include "script/call_words.h"

#include "base/buffer.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "wire/repair.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HIDDEN "[hidden]"
#define NAME_MAXIMUM 64

/* --- names --- */

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

/* max_tokens is a number of them. */
static bool has_token(const char *name)
{
    for (const char *at = name; (at = strstr(at, "token")); at++)
        if (at[strlen("token")] != 's')
            return true;
    return false;
}

bool call_words_secret(const char *name, size_t length)
{
    static const char *const parts[] = {"secret",    "passw",         "credential",
                                        "signature", "authorization", "cookie"};
    static const char *const whole[] = {"sig", "auth", "code", "pwd", "pass", "sid", "session"};
    char lower[NAME_MAXIMUM];
    for (; length > 0 && *name == '-'; length--)
        name++;
    if (length == 0 || length >= sizeof lower)
        return false;
    for (size_t i = 0; i < length; i++)
        lower[i] = (char)tolower((unsigned char)name[i]);
    lower[length] = '\0';
    bool secret = has_token(lower) || ends_with(lower, "key");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        secret = secret || strstr(lower, parts[i]);
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        secret = secret || strcmp(lower, whole[i]) == 0;
    return secret;
}

static bool is_name(char character)
{
    return isalnum((unsigned char)character) || character == '_' || character == '-' ||
           character == '.';
}

static size_t name_length(const char *text, const char *at)
{
    const char *begin = at;
    while (begin > text && is_name(begin[-1]))
        begin--;
    return (size_t)(at - begin);
}

static bool name_before(const char *text, const char *at)
{
    size_t length = name_length(text, at);
    return call_words_secret(at - length, length);
}

/* "X-Api-Key", "Authorization", "Cookie"; not a word of a sentence, such as "code". */
static bool header_before(const char *text, const char *at)
{
    size_t length = name_length(text, at);
    const char *name = at - length;
    return call_words_secret(name, length) &&
           (memchr(name, '-', length) || strncasecmp(at - length, "authorization", length) == 0 ||
            strncasecmp(at - length, "cookie", length) == 0);
}

/* "--api-key", "-token" */
static bool option_before(const char *text, const char *at)
{
    size_t length = name_length(text, at);
    return length > 1 && *(at - length) == '-' && call_words_secret(at - length, length);
}

/* --- URLs and commands --- */

/* How long the user and password are, with their "@", after "://". */
static size_t user_length(const char *text)
{
    size_t authority = strcspn(text, "/?# \t\r\n\"'"), user = 0;
    for (size_t i = 0; i < authority; i++)
        if (text[i] == '@')
            user = i + 1;
    return user;
}

/* After a separator: how long the secret is; `*quote`: it is in such quotes, which stay. */
static size_t value_length(const char *value, const char *ends, char *quote)
{
    *quote = *value == '"' || *value == '\'' ? *value : '\0';
    return *quote ? strcspn(value + 1, (const char[]){*quote, '\0'}) : strcspn(value, ends);
}

static const char *hide_value(struct buffer *shown, const char *value, const char *ends)
{
    char quote;
    size_t length = value_length(value, ends, &quote);
    if (quote)
        buffer_append_char(shown, *value++);
    if (length > 0)
        buffer_append_text(shown, HIDDEN);
    return value + length;
}

/* Copies what is at `at`, or hides it; where the next is. */
static const char *take(struct buffer *shown, const char *text, const char *at)
{
    static const char scheme[] = "bearer ";
    if ((at == text || !is_name(at[-1])) && strncasecmp(at, scheme, sizeof scheme - 1) == 0) {
        buffer_append(shown, at, sizeof scheme - 1);
        return hide_value(shown, at + sizeof scheme - 1, " \t\r\n\"'");
    }
    if (strncmp(at, "://", 3) == 0) {
        size_t user = user_length(at + 3);
        buffer_append_text(shown, user ? "://" HIDDEN "@" : "://");
        return at + 3 + user;
    }
    buffer_append_char(shown, *at);
    if (*at == '=' && name_before(text, at))
        return hide_value(shown, at + 1, "&#; \t\r\n\"'");
    if (*at == ' ' && at[1] && at[1] != '-' && option_before(text, at))
        return hide_value(shown, at + 1, " \t\r\n\"';&|");
    if (*at == ':' && header_before(text, at)) {
        for (at++; *at == ' '; at++)
            buffer_append_char(shown, ' ');
        return hide_value(shown, at, "\r\n\"'");
    }
    return at + 1;
}

/* One that is too long ends with a digest of all of it. Takes the text. */
static char *shorten(char *text)
{
    size_t length = strlen(text);
    if (length <= CALL_WORDS_MAXIMUM)
        return text;
    uint64_t digest = hash_bytes(text, length);
    length = CALL_WORDS_MAXIMUM;
    while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    char *shorter = memory_format("%.*s… [%016" PRIx64 "]", (int)length, text, digest);
    free(text);
    return shorter;
}

char *call_words_hide(const char *text)
{
    struct buffer shown;
    size_t length;
    buffer_init(&shown, SIZE_MAX / 4);
    for (const char *at = text; *at;)
        at = take(&shown, text, at);
    char *hidden = buffer_take(&shown);
    log_redact(hidden);
    char *valid = repair_text(hidden, strlen(hidden), &length);
    free(hidden);
    return shorten(valid);
}

/* --- answers --- */

/* Between zero bytes, each text alone. */
static size_t redact(char *bytes, size_t length)
{
    size_t kept = 0;
    for (size_t at = 0; at <= length;) {
        size_t piece = strlen(bytes + at);
        log_redact(bytes + at);
        size_t left = strlen(bytes + at);
        memmove(bytes + kept, bytes + at, left);
        kept += left;
        at += piece + 1;
        if (at <= length)
            bytes[kept++] = '\0';
    }
    return kept;
}

/* Where the value of the JSON member that may begin at `at` does, after its quote; NULL: there is
 * no such member, or it is no credential. */
static const char *credential(const char *at, const char *end)
{
    static const char *const names[] = {"access_token",  "refresh_token", "id_token",
                                        "client_secret", "api_key",       "apikey",
                                        "password",      "private_key",   "session_token"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t length = strlen(names[i]);
        const char *next = at + 1 + length;
        if ((size_t)(end - at) < length + 5 || strncasecmp(at + 1, names[i], length) != 0 ||
            *next++ != '"')
            continue;
        while (next < end && isspace((unsigned char)*next))
            next++;
        if (next >= end || *next++ != ':')
            continue;
        while (next < end && isspace((unsigned char)*next))
            next++;
        if (next < end && *next == '"')
            return next + 1;
    }
    return NULL;
}

static const char *string_end(const char *at, const char *end)
{
    while (at < end && *at != '"')
        at += *at == '\\' && at + 1 < end ? 2 : 1;
    return at;
}

char *call_words_hide_answer(const char *bytes, size_t length, size_t *left)
{
    struct buffer shown;
    const char *end = bytes + length, *from = bytes;
    buffer_init(&shown, SIZE_MAX / 4);
    for (const char *at = bytes; (at = memchr(at, '"', (size_t)(end - at)));) {
        const char *value = credential(at, end);
        at++;
        if (!value)
            continue;
        buffer_append(&shown, from, (size_t)(value - from));
        buffer_append_text(&shown, HIDDEN);
        from = at = string_end(value, end);
    }
    buffer_append(&shown, from, (size_t)(end - from));
    *left = shown.length;
    char *hidden = buffer_take(&shown);
    *left = redact(hidden, *left);
    return hidden;
}
