/* What must not be in a report. Rather too much is hidden than too little. */
#include "commands/report.h"

#include "base/log.h"
#include "base/memory.h"
#include "commands/local_state.h"
#include "state/atomic_file.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HIDDEN "[hidden]"
#define SECRET_FILE_MAXIMUM 8192
#define VALUE_LEAST 6 /* bytes of a value that is worth hiding */
#define RANDOM_LEAST 24
#define HEX_LEAST 32

static const char *const names[] = {"token",   "secret", "password",   "passwd",        "api_key",
                                    "api-key", "apikey", "credential", "authorization", "key",
                                    "headers", "cookie", "auth",       "pass"};

static bool sounds_secret(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t at = 0; at + strlen(names[i]) <= length; at++)
            if (strncasecmp(name + at, names[i], strlen(names[i])) == 0)
                return true;
    return false;
}

void report_hide_environment(const char *bytes, size_t length)
{
    for (const char *at = bytes; at < bytes + length; at += strlen(at) + 1) {
        const char *value = strchr(at, '=');
        if (value && strlen(value + 1) >= VALUE_LEAST && sounds_secret(at, (size_t)(value - at)) &&
            value[1] != '/') /* a path to a secret is none */
            log_hide(value + 1);
    }
}

void report_hide_file(const char *path)
{
    size_t length;
    int error;
    char *text = atomic_file_read(path, SECRET_FILE_MAXIMUM, &length, &error);
    if (!text)
        return;
    text[strcspn(text, "\r\n")] = '\0';
    log_hide(text);
    memory_wipe(text);
}

void report_hide_files(const char *directory, char *const *ids, size_t count)
{
    static const char *const endings[] = {"token", "inbound"};
    for (size_t i = 0; i < count; i++)
        for (size_t ending = 0; ending < 2; ending++) {
            char *path = local_state_path(directory, ids[i], endings[ending]);
            report_hide_file(path);
            free(path);
        }
}

/* --- what only looks like one --- */

static bool is_word(char character)
{
    return isalnum((unsigned char)character) || character == '_' || character == '-';
}

static bool has_prefix(const char *word, size_t length)
{
    static const char *const prefixes[] = {"sk-",    "ghp_", "gho_", "ghs_", "github_pat_",
                                           "glpat-", "xox",  "AKIA", "eyJ",  "ws_secret"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (length >= 12 && strncmp(word, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* Base64 or hexadecimal digits, as keys are written; a UUID is none. */
static bool is_random(const char *word, size_t length)
{
    size_t upper = 0, lower = 0, digits = 0, hex = 0;
    for (size_t i = 0; i < length; i++) {
        upper += isupper((unsigned char)word[i]) != 0;
        lower += islower((unsigned char)word[i]) != 0;
        digits += isdigit((unsigned char)word[i]) != 0;
        hex += isxdigit((unsigned char)word[i]) != 0;
    }
    return (length >= RANDOM_LEAST && upper && lower && digits) ||
           (length >= HEX_LEAST && hex == length && digits);
}

/* Between "://" and the host, without the "@"; 0: none. */
static size_t user_length(const char *after_scheme)
{
    size_t authority = strcspn(after_scheme, "/?# \t\r\n\"'");
    for (size_t i = authority; i > 0; i--)
        if (after_scheme[i - 1] == '@')
            return i - 1;
    return 0;
}

/* What comes between a name and its value: "=", ": ", "\":\""; 0: none. */
static size_t separator_length(const char *text)
{
    size_t quotes = strspn(text, "\\\"'"), at = quotes + strspn(text + quotes, " ");
    if (text[at] != '=' && text[at] != ':')
        return 0;
    at++;
    at += strspn(text + at, " \\\"'");
    if (strncasecmp(text + at, "Bearer ", 7) == 0 || strncasecmp(text + at, "Basic ", 6) == 0)
        at += strcspn(text + at, " ") + 1;
    return at;
}

static size_t value_length(const char *value)
{
    return strcspn(value, " \t\r\n\"'\\,;&})");
}

char *report_redact(const char *text)
{
    struct buffer out;
    char *known = memory_copy_text(text);
    log_redact(known);
    buffer_init(&out, SIZE_MAX);
    for (const char *at = known; *at;) {
        size_t length = 0, skip = 0;
        if (strncmp(at, "://", 3) == 0 && (skip = user_length(at + 3)) > 0) {
            buffer_append_text(&out, "://" HIDDEN);
            at += 3 + skip;
            continue;
        }
        while (is_word(at[length]))
            length++;
        if (length == 0) {
            buffer_append_char(&out, *at++);
            continue;
        }
        bool bearer = (strncasecmp(at, "Bearer", length) == 0 ||
                       strncasecmp(at, "Basic", length) == 0) &&
                      length >= 5;
        size_t between = bearer                      ? strspn(at + length, " ")
                         : sounds_secret(at, length) ? separator_length(at + length)
                                                     : 0;
        size_t value = between > 0 ? value_length(at + length + between) : 0;
        if (has_prefix(at, length) || is_random(at, length))
            buffer_append_text(&out, HIDDEN);
        else
            buffer_append(&out, at, length + (value >= VALUE_LEAST ? between : 0));
        if (value >= VALUE_LEAST && !(has_prefix(at, length) || is_random(at, length))) {
            buffer_append_text(&out, HIDDEN);
            at += between + value;
        }
        at += length;
    }
    free(known);
    return buffer_take(&out);
}
