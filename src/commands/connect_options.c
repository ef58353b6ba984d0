#include "commands/connect_options.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/uuid.h"
#include "net/allowed_hosts.h"
#include "script/script.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *find_list_problem(const char *flag, const char *const *patterns, size_t count)
{
    char problem[512];
    struct allowed_hosts *hosts = allowed_hosts_open(patterns, count, problem, sizeof problem);
    if (!hosts)
        return memory_format("%s: %s", flag, problem);
    allowed_hosts_close(hosts);
    return NULL;
}

static char *find_host_problem(const struct molecule_workspace_options *workspace)
{
    if (workspace->allowed_host_count > 0 && !workspace->sandbox)
        return memory_copy_text(
            "--allow-host needs --sandbox; without it a script may reach every host");
    char *problem = find_list_problem("--allow-host", workspace->allowed_hosts,
                                      workspace->allowed_host_count);
    return problem ? problem
                   : find_list_problem("--allow-file-host", workspace->file_hosts,
                                       workspace->file_host_count);
}

char *connect_find_problem(const struct molecule_workspace_options *workspace,
                           const char *workspace_id)
{
    size_t length = strlen(workspace_id);
    if ((length > 4 && strcmp(workspace_id + length - 4, ".lua") == 0) || strchr(workspace_id, '/'))
        return memory_format("\"%s\" cannot be a workspace id; a script is given as --script %s",
                             workspace_id, workspace_id);
    if (!uuid_valid(workspace_id))
        return memory_format(
            "\"%s\" cannot be a workspace id: the platform's ids are UUIDs like "
            "7f1d0c9e-3a52-4a0e-9d0b-6f2b1f3f8a11; for the name on the agent card use --name",
            workspace_id);
    if (!workspace->script && !workspace->backend)
        return memory_format("nothing to answer with: give --script FILE or --backend NAME (%s)",
                             script_backend_names());
    if (workspace->script && workspace->backend)
        return memory_copy_text("--script and --backend cannot be combined");
    if (workspace->backend_option_count > 0 && !workspace->backend)
        return memory_copy_text("--backend-opt requires --backend; for a script use --script-opt");
    if (workspace->script && access(workspace->script, R_OK) != 0)
        return memory_format("the script %s cannot be read: %s", workspace->script,
                             strerror(errno));
    for (size_t i = 0; i < workspace->allowed_sender_count; i++)
        if (strcasecmp(workspace->allowed_senders[i], "canvas") != 0 &&
            !uuid_valid(workspace->allowed_senders[i]))
            return memory_format("--allow-from takes canvas (the human) or a peer's workspace id, "
                                 "a UUID as in msg.from; got \"%s\"",
                                 workspace->allowed_senders[i]);
    return find_host_problem(workspace);
}

char *connect_take_token(const char *text, const char **problem)
{
    static const char blanks[] = " \t\r\n";
    const char *start = text + strspn(text, blanks);
    size_t length = strlen(start);
    while (length > 0 && strchr(blanks, start[length - 1]))
        length--;
    size_t word = strcspn(start, blanks);
    *problem = length == 0 ? "is empty"
               : strncasecmp(start, "Bearer ", 7) == 0
                   ? "begins with \"Bearer\"; give the token alone, the word is added for you"
               : word < length ? "contains a space; a token is one word"
               : *start == '"' || *start == '\''
                   ? "begins with a quotation mark; give the token without it"
                   : NULL;
    return *problem ? NULL : memory_copy(start, length);
}

char *connect_token_path(const char *pattern, const char *workspace_id)
{
    char *path = memory_copy_text(pattern);
    static const char *const marks[] = {"{id}", "%s"};
    for (size_t i = 0; path && i < 2; i++) {
        char *at = strstr(path, marks[i]);
        if (!at)
            continue;
        char *filled = memory_format("%.*s%s%s", (int)(at - path), path, workspace_id,
                                     at + strlen(marks[i]));
        free(path);
        path = filled;
    }
    return path;
}

bool connect_take_script(const struct command *command,
                         struct molecule_workspace_options *workspace, const char *script)
{
    if (script && workspace->script) {
        options_complain(command, "two scripts: %s and --script %s; one is enough", script,
                         workspace->script);
        return false;
    }
    if (script)
        workspace->script = script;
    return true;
}
