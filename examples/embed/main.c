/* A program that embeds the host: it answers one message of a workspace, and ends.
 *
 *     embed WORKSPACE-ID PLATFORM-URL STATE-DIRECTORY
 *
 * The workspace's token is in $MOLECULE_WORKSPACE_TOKEN. Exit codes as those of molecule connect.
 */
#include <molecule/molecule.h>

#include <stdio.h>
#include <stdlib.h>

#ifndef SCRIPT
#define SCRIPT "agent.lua"
#endif

/* On the thread of molecule_run. */
static void notice(void *context, const struct molecule_event *event)
{
    struct molecule **host = context;
    if (event->kind != MOLECULE_EVENT_FINISHED)
        return;
    printf("message %s: %s\n", event->row_id, event->outcome);
    molecule_stop(*host); /* finishes what is under way */
}

int main(int argc, char **argv)
{
    char problem[1024];
    struct molecule *host = NULL;
    struct molecule_options options = {
        .handle_signals = true, .on_event = notice, .context = &host};
    struct molecule_workspace_options workspace;
    enum molecule_result result = MOLECULE_USAGE;
    if (argc != 4) {
        fprintf(stderr, "usage: embed WORKSPACE-ID PLATFORM-URL STATE-DIRECTORY\n");
        return MOLECULE_USAGE;
    }
    molecule_workspace_defaults(&workspace);
    workspace.id = argv[1];
    workspace.api_url = argv[2];
    workspace.state_directory = argv[3];
    workspace.token = getenv("MOLECULE_WORKSPACE_TOKEN");
    workspace.script = SCRIPT;
    host = molecule_open(&options, problem, sizeof problem);
    if (host)
        result = molecule_add(host, &workspace, problem, sizeof problem);
    if (!host || result != MOLECULE_STOPPED)
        fprintf(stderr, "embed: %s\n", problem);
    else
        result = molecule_run(host);
    molecule_close(host);
    return (int)result;
}
