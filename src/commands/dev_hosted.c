#include "commands/dev_hosted.h"

#include "base/log.h"
#include "base/terminal.h"
#include "commands/dev_listen.h"

#include <stdlib.h>
#include <string.h>

#define SINCE_SECS_LEAST 3600 /* everything ever said to this emulator */

bool dev_is_pushed(const struct dev_options *given)
{
    return strcmp(given->mode, "push") == 0;
}

struct dev_clients dev_clients_of(const struct dev_options *given)
{
    return (struct dev_clients){given->listens, given->listen_count, given->auth_token_file};
}

static struct molecule_workspace_options make_workspace(const struct dev_options *given,
                                                        const struct dev_host_orders *orders)
{
    struct molecule_workspace_options workspace = given->workspace;
    workspace.id = orders->workspace_id;
    workspace.org_id = given->org_id;
    workspace.state_directory = orders->state_directory;
    workspace.api_url = orders->url;
    workspace.platform_name = "molecule dev"; /* its port may differ every time */
    workspace.bootstrap = true;
    workspace.temporary_state = !given->state_directory && !given->keep;
    workspace.watch = workspace.script != NULL;
    workspace.replay_check = true;
    workspace.push = dev_is_pushed(given);
    workspace.serve_as = orders->served_as;
    workspace.push_unauthenticated = strcmp(given->profile, "t1") == 0; /* it shows no secret */
    workspace.answer_within_ms = given->answer_within;
    if (workspace.since_secs < SINCE_SECS_LEAST)
        workspace.since_secs = SINCE_SECS_LEAST;
    return workspace;
}

struct hosted {
    struct molecule *molecule;
    struct dev_clients clients;
    int report_fd;
    bool again; /* it is not the first one */
    bool said;
};

static void on_event(void *context, const struct molecule_event *event)
{
    struct hosted *hosted = context;
    bool loaded = event->kind == MOLECULE_EVENT_SCRIPT && !event->reason;
    if (loaded && hosted->clients.listen_count > 0 && !hosted->said) {
        dev_clients_say(hosted->molecule, &hosted->clients, hosted->again);
        hosted->said = true;
    }
    dev_report_write(hosted->report_fd, event);
}

static bool add(struct molecule *molecule, const struct molecule_workspace_options *workspace,
                enum molecule_result *code)
{
    char problem[1024];
    *code = molecule_add(molecule, workspace, problem, sizeof problem);
    if (*code != MOLECULE_STOPPED)
        log_error(LOG_WORKSPACE_NOT_STARTED, workspace->id, "%s", problem);
    return *code == MOLECULE_STOPPED;
}

/* Whoever brings messages besides polls. false: `problem` says why they cannot. */
static bool listen_there(const struct hosted *hosted, struct molecule_workspace_options *workspace,
                         struct molecule_serve_options *listener, char **url, char *problem,
                         size_t problem_size)
{
    if (workspace->push)
        workspace->public_url = *url = dev_listen(hosted->molecule, listener, problem,
                                                  problem_size);
    else if (workspace->serve_as)
        return dev_clients_listen(hosted->molecule, &hosted->clients, listener, problem,
                                  problem_size);
    return !workspace->push || *url;
}

int dev_hosted_run(const struct dev_options *given, const struct dev_host_orders *orders,
                   int report_fd)
{
    char problem[1024], *url = NULL;
    struct molecule_serve_options listener = {0};
    struct molecule_workspace_options workspace = make_workspace(given, orders);
    struct hosted hosted = {
        .clients = dev_clients_of(given), .report_fd = report_fd, .again = orders->again};
    struct molecule_options host = given->host;
    host.handle_signals = true;
    host.on_event = on_event;
    host.context = &hosted;
    struct molecule *molecule = hosted.molecule = molecule_open(&host, problem, sizeof problem);
    if (!molecule) {
        terminal_print(stderr, "molecule dev: %s\n", problem);
        return MOLECULE_FAILED;
    }
    enum molecule_result code = MOLECULE_FAILED;
    if (!listen_there(&hosted, &workspace, &listener, &url, problem, sizeof problem))
        log_error(LOG_WORKSPACE_NOT_STARTED, orders->workspace_id, "%s", problem);
    else if (add(molecule, &workspace, &code))
        code = molecule_run(molecule);
    molecule_close(molecule);
    free(url);
    return (int)code;
}
