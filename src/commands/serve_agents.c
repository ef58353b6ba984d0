#include "commands/serve_agents.h"

#include "base/host_name.h"
#include "base/memory.h"
#include "base/nearest.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "virtual_hosts" /* in the config file */

char *serve_id_of(const char *script)
{
    const char *slash = strrchr(script, '/'), *name = slash ? slash + 1 : script;
    size_t length = strlen(name);
    if (length > 4 && strcmp(name + length - 4, ".lua") == 0)
        length -= 4;
    char *id = memory_copy(name, length);
    for (char *at = id; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("._-", *at))
            *at = '-';
    if (!isalnum((unsigned char)*id)) {
        char *longer = memory_join("agent", id);
        free(id);
        id = longer;
    }
    return id;
}

/* --- hosts --- */

/* Of one pair. */
struct source {
    const struct command *command;
    const struct options_sources *sources;
    const struct molecule_option *pair;
};

__attribute__((format(printf, 2, 3))) static int complain(const struct source *source,
                                                          const char *format, ...)
{
    const struct molecule_option *pair = source->pair;
    const struct options_sources *sources = source->sources;
    const char *filed = json_string_value(
        json_object_get(json_object_get(sources->file.root, KEY), pair->name));
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    if (filed && strcmp(filed, pair->value) == 0)
        options_complain(source->command, "%s:%u: \"" KEY ".%s\": %s", sources->path,
                         table_file_line(&sources->file, KEY, pair->name), pair->name, text);
    else
        options_complain(source->command, "--virtual-host %s=%s: %s", pair->name, pair->value,
                         text);
    free(text);
    return 2;
}

/* NULL after saying that there is none of this name. */
static struct served *find_agent(const struct source *source, struct served *served, size_t count)
{
    const char *name = source->pair->name;
    struct nearest nearest = {.word = name};
    char *names = memory_copy_text("");
    struct served *found = NULL;
    for (size_t i = 0; i < count && !found; i++) {
        found = strcmp(served[i].id, name) == 0 ? &served[i] : NULL;
        nearest_offer(&nearest, served[i].id);
        char *longer = memory_join(names, i > 0 ? ", " : "", served[i].id);
        free(names);
        names = longer;
    }
    if (!found && nearest.best)
        complain(source, "no agent here is called %s; did you mean %s?", name, nearest.best);
    else if (!found)
        complain(source, "no agent here is called %s; %s %s", name,
                 count > 1 ? "they are" : "there is only", names);
    free(names);
    return found;
}

/* Segments of letters, digits and "._~-", none of them empty, "." or "..". */
static bool is_path(const char *path)
{
    for (const char *at = path; *at == '/'; at += strcspn(at, "/")) {
        size_t length = strcspn(++at, "/");
        bool dots = strspn(at, ".") == length && length <= 2; /* also none at all */
        for (size_t i = 0; i < length; i++)
            if (!isalnum((unsigned char)at[i]) && !strchr("._~-", at[i]))
                return false;
        if (dots)
            return false;
    }
    return true;
}

static int take_host(const struct source *source, struct served *served)
{
    const char *value = source->pair->value;
    size_t host_length = strcspn(value, "/"), path_length = strlen(value + host_length);
    char *host = memory_copy(value, host_length);
    const char *problem = host_name_problem(host);
    if (path_length > 0 && value[host_length + path_length - 1] == '/')
        path_length--;
    char *path = memory_copy(value + host_length, path_length), name[HOST_NAME_SIZE];
    int code = 0;
    if (problem)
        code = complain(source, "%s %s", *host ? host : "the host", problem);
    else if (!is_path(path))
        code = complain(source,
                        "the path %s is not made of letters, digits, \".\", \"_\", \"~\" and "
                        "\"-\" between single slashes",
                        path);
    if (code == 0 && host_name_take(host, host_length, name)) {
        free(served->host);
        free(served->path);
        served->host = memory_copy_text(name);
        served->path = *path ? memory_copy_text(path) : NULL;
    }
    free(path);
    free(host);
    return code;
}

int serve_take_hosts(const struct command *command, const struct options_sources *sources,
                     const struct molecule_option *pairs, size_t count, struct served *served,
                     size_t served_count)
{
    int code = 0;
    for (size_t i = 0; i < count && code == 0; i++) {
        const struct source source = {command, sources, &pairs[i]};
        struct served *agent = find_agent(&source, served, served_count);
        code = agent ? take_host(&source, agent) : 2;
    }
    return code;
}

/* --- places --- */

static const char *path_of(const struct served *served)
{
    return served->path ? served->path : "";
}

/* Whether a request may be for either, were it not for their paths. */
static bool share_host(const struct served *one, const struct served *other)
{
    return !one->host || !other->host || strcmp(one->host, other->host) == 0;
}

static bool same_host(const struct served *one, const struct served *other)
{
    return one->host && other->host ? strcmp(one->host, other->host) == 0
                                    : !one->host && !other->host;
}

/* Whether requests of A2A to `outer` would go to `inner`, which has a longer path. */
static bool hides(const struct served *inner, const struct served *outer)
{
    static const char *const needed[] = {"tasks", "v1", "extendedAgentCard", ".well-known"};
    const char *path = path_of(inner);
    size_t length = strlen(path_of(outer));
    if (!share_host(inner, outer) || strncmp(path, path_of(outer), length) != 0 ||
        path[length] != '/')
        return false;
    path += length + 1;
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (strncmp(path, needed[i], strlen(needed[i])) == 0 &&
            strchr("/", path[strlen(needed[i])])) /* or its end */
            return true;
    return false;
}

static int complain_of_same(const struct command *command, const struct served *one,
                            const struct served *other)
{
    return options_complain(command,
                            "%s and %s would both be at %s%s; give one of them another host or a "
                            "path: --virtual-host %s=%s/%s",
                            one->id, other->id, one->host, *path_of(one) ? path_of(one) : "/",
                            other->id, other->host, other->id);
}

static int complain_of_hidden(const struct command *command, const struct served *inner,
                              const struct served *outer)
{
    return options_complain(command,
                            "%s would hide %s of %s%s%s, which belongs to A2A; give it another "
                            "host or path, or another name",
                            inner->id, path_of(inner), outer->id, outer->host ? " at " : "",
                            outer->host ? outer->host : "");
}

int serve_check_places(const struct command *command, const struct served *served, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++) {
            if (j < i && strcmp(served[i].id, served[j].id) == 0)
                return options_complain(
                    command, "%s and %s would both be at /%s; rename one of them",
                    served[j].workspace.script, served[i].workspace.script, served[i].id);
            if (j < i && same_host(&served[i], &served[j]) &&
                strcmp(path_of(&served[i]), path_of(&served[j])) == 0)
                return complain_of_same(command, &served[j], &served[i]);
            if (i != j && hides(&served[i], &served[j]))
                return complain_of_hidden(command, &served[i], &served[j]);
        }
    return 0;
}
