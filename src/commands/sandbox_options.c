#include "commands/sandbox_options.h"

#include "base/memory.h"
#include "net/allowed_hosts.h"

#include <stdlib.h>

char *sandbox_options_problem(bool sandbox, const struct option_list *allowed_hosts)
{
    char problem[512];
    if (allowed_hosts->count > 0 && !sandbox)
        return memory_copy_text("--allow-host needs --sandbox; without it a script may reach every host");
    struct allowed_hosts *hosts = allowed_hosts_open(allowed_hosts->items, allowed_hosts->count, problem, sizeof problem);
    if (!hosts)
        return memory_format("--allow-host: %s", problem);
    allowed_hosts_close(hosts);
    return NULL;
}

int sandbox_options_check(const struct command *command, bool sandbox, const struct option_list *allowed_hosts)
{
    char *problem = sandbox_options_problem(sandbox, allowed_hosts);
    if (!problem)
        return 0;
    options_complain(command, "%s", problem);
    free(problem);
    return 2;
}
