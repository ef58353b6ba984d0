/* Who calls whom between a workspace and the server that it is asked through. */
#include "host/parts.h"

#include "base/log.h"
#include "doors/a2a_server.h"
#include "host/host.h"
#include "host/serving.h"

#include <stdlib.h>

static void on_admitted(void *context, struct journal_loaded *loaded)
{
    struct workspace *workspace = context;
    if (workspace->options.push) {
        intake_take_pushed(&workspace->intake, loaded);
        return;
    }
    intake_resume(&workspace->intake, loaded, false);
    dispatch_step(&workspace->dispatch);
}

static bool knows_platform(void *context, const char *authorization)
{
    return inbound_secret_matches(&((struct workspace *)context)->link.inbound, authorization);
}

static bool has_secret(void *context)
{
    return ((struct workspace *)context)->link.inbound.current;
}

bool wiring_open_serving(struct workspace *workspace, char *problem, size_t problem_size)
{
    struct host *host = workspace->host;
    struct serving_env env = {.options = &workspace->options,
                              .serve = &host->serve,
                              .server = host->a2a,
                              .loop = &host->network.loop,
                              .client = host->link.client,
                              .journal = workspace->journal,
                              .dispatch = &workspace->dispatch,
                              .disk = &host->disk,
                              .network = &host->network,
                              .admit = on_admitted,
                              .knows = knows_platform,
                              .has_secret = has_secret,
                              .context = workspace};
    bool wanted = workspace->options.serve || workspace->options.serve_as ||
                  workspace->options.push;
    if (wanted)
        workspace->serving = serving_open(&env, problem, problem_size);
    return !wanted || workspace->serving;
}

bool wiring_describe(struct workspace *workspace, const struct script_agent *agent)
{
    char problem[512];
    struct platform_card card = workspace->card;
    if (workspace->options.serve_as && !card.named)
        card.name = workspace->options.serve_as;
    if (!workspace->serving ||
        serving_describe(workspace->serving, &card, agent, problem, sizeof problem))
        return true;
    log_error(LOG_SCRIPT_NOT_LOADED, workspace_id(workspace), "%s", problem);
    if (workspace->state == WORKSPACE_REGISTERING) /* else its card stays as it was */
        workspace_fail(workspace, HOST_EXIT_USAGE);
    return false;
}

json_t *wiring_card(void *context, const char *name, bool only_1_0, char *problem,
                    size_t problem_size)
{
    const struct workspace *workspace = context;
    const struct platform_card *card = &workspace->card;
    char *url = workspace->options.serve_as ? serving_url(workspace->serving) : NULL;
    const struct a2a_card_words words = {
        .url = url ? url : A2A_STANDARD_URL,
        .name = card->named || !name ? card->name : name,
        .description = card->description,
        .skills = card->skills,
        .said = card->more,
    };
    bool bearer = url && serving_asks(workspace->serving);
    json_t *made = a2a_card_of(&words, only_1_0, bearer, problem, problem_size);
    free(url);
    return made;
}
