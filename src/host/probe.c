#include "host/probe.h"

#include "base/memory.h"
#include "host/checks.h"
#include "link/link.h"

#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_MS 10000
#define ANSWER_MAXIMUM ((size_t)1 << 20)

struct probe {
    struct host *host;
    struct link link;
    struct call call;
    char *problem;
    size_t problem_size;
    bool fine;
};

static void on_answer(const struct call_answer *answer, void *context)
{
    struct probe *probe = context;
    const struct molecule_workspace_options *options = probe->link.options;
    probe->fine = answer->verdict.class == RETRY_OK;
    if (answer->status == 401)
        snprintf(probe->problem, probe->problem_size,
                 "%s does not take the token for the workspace %s: %s", options->api_url,
                 options->id, answer->verdict.reason);
    else if (!probe->fine)
        snprintf(probe->problem, probe->problem_size, "%s: %s", options->api_url,
                 answer->verdict.reason);
    uv_stop(&probe->host->network.loop);
}

bool probe_platform(struct host *host, const struct molecule_workspace_options *options,
                    char *problem, size_t problem_size)
{
    *problem = '\0';
    struct probe *probe = memory_allocate(sizeof *probe);
    probe->host = host;
    probe->problem = problem;
    probe->problem_size = problem_size;
    probe->link.options = options;
    probe->link.shared = &host->link;
    bool asked = checks_token(options, false, problem, problem_size) &&
                 checks_open_platform(options, &probe->link.platform, problem, problem_size);
    if (asked) {
        struct call_limits limits = {.timeout_ms = TIMEOUT_MS, .response_maximum = ANSWER_MAXIMUM};
        token_open(&probe->link);
        link_call(&probe->link, &probe->call,
                  platform_state(&probe->link.platform, probe->link.token.current), &limits,
                  on_answer, probe);
        thread_run(&host->network);
        token_close(&probe->link);
    }
    platform_close(&probe->link.platform);
    bool fine = probe->fine;
    free(probe);
    return fine;
}
