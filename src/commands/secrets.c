#include "commands/secrets.h"

#include "base/memory.h"
#include "base/secret_file.h"
#include "script/call_words.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROBLEM_SIZE 1024

char *secrets_credential(const char *name)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    if (!directory || !*directory)
        return NULL;
    char *path = memory_join(directory, "/", name);
    if (access(path, F_OK) == 0)
        return path;
    free(path);
    return NULL;
}

char *secrets_token_credential(const char *id, bool alone)
{
    char *name = memory_join(id, ".token"), *path = alone ? secrets_credential("token") : NULL;
    if (!path)
        path = secrets_credential(name);
    free(name);
    return path;
}

char *secrets_hide(const struct option *option, const char *text)
{
    static const char hidden[] = "[hidden]";
    static const char *const names[] = {"token", "admin-token"};
    size_t name = strcspn(text, "=");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(option->name, names[i]) == 0)
            return memory_copy_text(hidden);
    if (option->type == OPTION_PAIRS && call_words_secret(text, name))
        return memory_format("%.*s=%s", (int)name, text, hidden);
    return call_words_hide(text);
}

int secrets_check_file(const struct command *command, const char *path, const char *what)
{
    char problem[PROBLEM_SIZE];
    if (!path || !secret_file_refused(path, what, problem, sizeof problem))
        return 0;
    return options_complain(command, "%s", problem);
}

int secrets_check_config(const struct command *command, const struct options_sources *sources)
{
    char problem[PROBLEM_SIZE];
    if (!sources->has_secret ||
        secret_file_check(sources->path, "secrets", NULL, problem, sizeof problem))
        return 0;
    return options_complain(command, "%s", problem);
}
