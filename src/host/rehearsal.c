/* --dry-run: everything that can be checked without the platform and without touching the state. */
#include "host/workspace.h"

#include "base/terminal.h"

#include <stdio.h>

struct rehearsal {
    struct host *host;
    struct script *script;
    const struct workspace_settings *settings;
    enum host_exit code;
};

static void on_closed(void *context)
{
    struct rehearsal *rehearsal = context;
    uv_stop(&rehearsal->host->network.loop);
}

static void on_loaded(void *context, const struct script_agent *agent)
{
    struct rehearsal *rehearsal = context;
    const struct workspace_settings *settings = rehearsal->settings;
    const char *kind = settings->script.path ? "script" : "backend";
    const char *source = settings->script.path ? settings->script.path : settings->script.backend;
    if (agent->problem) {
        terminal_print(stderr, "molecule connect: the %s %s does not load: %s\n", kind, source, agent->problem);
        rehearsal->code = HOST_EXIT_USAGE;
    } else {
        terminal_print(stdout, "workspace  %s\n%-10s %s\nmode       poll\napi        %s\nstate      %s/%s.json\nagent      %s\n",
               settings->id, kind, source, settings->api_url, settings->state_directory, settings->id,
               settings->name ? settings->name : agent->name ? agent->name : "molecule");
        printf("dry run: the %s loads; nothing was sent, nothing was written\n", kind);
    }
    script_close(rehearsal->script, false, on_closed, rehearsal);
}

enum host_exit workspace_rehearse(struct host *host, const struct workspace_settings *settings)
{
    char problem[1024];
    if (!workspace_check_address(settings, problem, sizeof problem)) {
        terminal_print(stderr, "molecule connect: %s\n", problem);
        return HOST_EXIT_USAGE;
    }
    struct rehearsal rehearsal = {.host = host, .settings = settings, .code = HOST_EXIT_STOPPED};
    struct script_settings script = settings->script;
    struct script_events events = {.loaded = on_loaded, .context = &rehearsal};
    script.load_only = true;
    rehearsal.script = script_open(&host->workers[0].thread, &host->network, &script, &events);
    thread_run(&host->network);
    return rehearsal.code;
}
