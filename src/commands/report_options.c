/* How a running host was started. */
#include "commands/report.h"

#include "base/memory.h"
#include "commands/commands.h"
#include "state/atomic_file.h"
#include "wire/platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAXIMUM (2 * 1024 * 1024)
#define HIDDEN "[hidden]"

static bool is_among(const char *name, const char *const *list)
{
    while (*list && strcmp(*list, name) != 0)
        list++;
    return *list != NULL;
}

/* The value of an option, as far as it may be shown. */
static char *show_value(const struct option *option, const char *value)
{
    static const char *const harmless[] = {"api-url", "backend", "mode",       "org-id",
                                           "listen",  "metrics", "public-url", NULL};
    if (!option)
        return memory_copy_text(HIDDEN);
    if (option->type == OPTION_PAIRS) /* the key alone */
        return memory_format("%.*s=" HIDDEN, (int)strcspn(value, "="), value);
    return memory_copy_text(
        option->type == OPTION_TEXT && !is_among(option->name, harmless) ? HIDDEN : value);
}

static const struct command *find_command(const char *name)
{
    static const struct command *const serving[] = {&command_connect, &command_fleet,
                                                    &command_serve};
    for (size_t i = 0; i < sizeof serving / sizeof *serving; i++)
        if (strcmp(serving[i]->name, name) == 0)
            return serving[i];
    return NULL;
}

static const struct option *find_option(const struct command *command, const char *word)
{
    char *name = memory_copy(word + 2, strcspn(word + 2, "="));
    const struct option *option = word[1] == '-' ? options_find(command, name) : NULL;
    while (word[1] != '-' && (option = options_next(command, option)) && option->letter != word[1])
        ;
    free(name);
    return option;
}

static void add(struct buffer *text, const char *name, const char *value)
{
    char *line = memory_format("  %s%s%s\n", name, value ? " " : "", value ? value : ""),
         *shown = report_redact(line);
    buffer_append_text(text, shown);
    free(shown);
    free(line);
}

/* One option or argument; returns the word after it. */
static const char *add_word(struct buffer *text, const struct command *command, const char *word,
                            const char *end)
{
    const char *next = word + strlen(word) + 1, *equals = strchr(word, '=');
    if (*word != '-') {
        const char *dot = strrchr(word, '.');
        bool known = platform_valid_id(word) || (dot && strcmp(dot, ".lua") == 0);
        add(text, known ? word : HIDDEN, NULL);
        return next;
    }
    const struct option *option = find_option(command, word);
    char *name = memory_copy(word, word[1] == '-' ? strcspn(word, "=") : 2);
    bool flag = option && option->type == OPTION_FLAG, apart = !flag && !equals && next < end;
    const char *value = flag ? NULL : equals ? equals + 1 : apart ? next : NULL;
    char *shown = value ? show_value(option, value) : NULL;
    add(text, name, shown);
    free(shown);
    free(name);
    return apart ? next + strlen(next) + 1 : next;
}

static char *read_of(long pid, const char *name, size_t *length)
{
    int error;
    char *path = memory_format("/proc/%ld/%s", pid, name);
    char *bytes = atomic_file_read(path, FILE_MAXIMUM, length, &error);
    free(path);
    return bytes;
}

static void add_environment(struct buffer *text, const char *bytes, size_t length)
{
    static const char *const shown[] = {"MOLECULE_API_URL",
                                        "MOLECULE_STATE_DIR",
                                        "MOLECULE_ORG_ID",
                                        "MOLECULE_WORKSPACE_TOKEN_FILE",
                                        "STATE_DIRECTORY",
                                        "CREDENTIALS_DIRECTORY",
                                        "SSL_CERT_FILE",
                                        "SSL_CERT_DIR",
                                        "CURL_CA_BUNDLE",
                                        "http_proxy",
                                        "https_proxy",
                                        "HTTPS_PROXY",
                                        "all_proxy",
                                        "ALL_PROXY",
                                        "no_proxy",
                                        "NO_PROXY",
                                        "TZ",
                                        "LANG",
                                        "HOME",
                                        "OTEL_EXPORTER_OTLP_ENDPOINT",
                                        "OTEL_SERVICE_NAME",
                                        "OTEL_TRACES_SAMPLER",
                                        NULL};
    buffer_append_text(text, "environment (other variables by their names alone):\n");
    for (const char *at = bytes; at < bytes + length; at += strlen(at) + 1) {
        char *name = memory_copy(at, strcspn(at, "="));
        const char *value = strchr(at, '=');
        if (value && *name)
            add(text, name, is_among(name, shown) ? value + 1 : "");
        free(name);
    }
}

void report_options(long pid, struct buffer *text)
{
    size_t length;
    char *bytes = read_of(pid, "cmdline", &length);
    const char *end = bytes ? bytes + length : NULL, *word = bytes;
    buffer_printf(text, "process %ld\n", pid);
    if (!bytes || length == 0) {
        buffer_append_text(text, "  its command line cannot be read\n");
        free(bytes);
        return;
    }
    word += strlen(word) + 1; /* the program */
    const struct command *command = word < end ? find_command(word) : NULL;
    buffer_printf(text, "command: %s\n", command ? command->name : "another program");
    for (word += command ? strlen(word) + 1 : 0; command && word < end;)
        word = add_word(text, command, word, end);
    free(bytes);
    bytes = read_of(pid, "environ", &length);
    if (bytes)
        add_environment(text, bytes, length);
    free(bytes);
}
