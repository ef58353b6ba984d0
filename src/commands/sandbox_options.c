#include "commands/sandbox_options.h"

#include "base/memory.h"
#include "net/allowed_hosts.h"

#include <stdlib.h>

static char *list_problem(const char *option, const struct option_list *patterns)
{
    char problem[512];
    struct allowed_hosts *hosts = allowed_hosts_open(patterns->items, patterns->count, problem,
                                                     sizeof problem);
    if (!hosts)
        return memory_format("%s: %s", option, problem);
    allowed_hosts_close(hosts);
    return NULL;
}

char *sandbox_options_problem(bool sandbox, const struct option_list *allowed_hosts,
                              const struct option_list *file_hosts)
{
    if (allowed_hosts->count > 0 && !sandbox)
        return memory_copy_text(
            "--allow-host needs --sandbox; without it a script may reach every host");
    char *wrong = list_problem("--allow-host", allowed_hosts);
    return wrong ? wrong : list_problem("--allow-file-host", file_hosts);
}

int sandbox_options_check(const struct command *command, bool sandbox,
                          const struct option_list *allowed_hosts,
                          const struct option_list *file_hosts)
{
    char *problem = sandbox_options_problem(sandbox, allowed_hosts, file_hosts);
    if (!problem)
        return 0;
    options_complain(command, "%s", problem);
    free(problem);
    return 2;
}
