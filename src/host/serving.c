#include "host/serving.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "doors/a2a_server.h"
#include "doors/tasks.h"
#include "doors/webhooks.h"
#include "host/host.h"
#include "host/parts.h"

#include <stdlib.h>

#define EXPIRE_EVERY_MS 60000

struct serving {
    uv_timer_t expire; /* first */
    struct tasks tasks;
    struct a2a_agent agent;
    struct webhooks *webhooks;
    struct journal *journal;
    struct a2a_push push;
};

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

static void on_delivered(void *context, int64_t sequence)
{
    journal_notification_drop(((struct serving *)context)->journal, sequence);
}

static void on_expire(uv_timer_t *timer)
{
    struct serving *serving = (struct serving *)timer;
    journal_tasks_expire(serving->journal, clock_wall_ms() - serving->agent.task_ttl_ms);
}

static bool knows_platform(void *context, const char *authorization)
{
    return inbound_secret_matches(&((struct workspace *)context)->link.inbound, authorization);
}

static bool has_secret(void *context)
{
    return ((struct workspace *)context)->link.inbound.current;
}

/* What an earlier process left. */
static bool load(struct serving *serving, char *problem, size_t problem_size)
{
    struct journal_task *tasks;
    struct journal_notification *notifications;
    if (!journal_tasks_load(serving->journal, &tasks, &notifications)) {
        snprintf(problem, problem_size, "the tasks in the ledger cannot be read");
        return false;
    }
    tasks_load(&serving->tasks, tasks);
    while (notifications) {
        struct journal_notification *next = notifications->next;
        webhooks_post(serving->webhooks, notifications);
        notifications = next;
    }
    return true;
}

struct serving *serving_open(struct workspace *workspace, char *problem, size_t problem_size)
{
    struct host *host = workspace->host;
    const struct molecule_serve_options *options = &host->serve;
    const char *path = workspace->options.serve_path;
    struct serving *serving = memory_allocate(sizeof *serving);
    uv_timer_init(&host->network.loop, &serving->expire);
    uv_unref((uv_handle_t *)&serving->expire);
    serving->journal = workspace->journal;
    struct webhooks_env env = {.agent_id = workspace_id(workspace),
                               .loop = &host->network.loop,
                               .client = host->link.client,
                               .allowed = options->allowed_webhooks,
                               .allowed_count = options->allowed_webhook_count,
                               .give_up_ms = options->webhook_ttl_ms,
                               .done = on_delivered,
                               .context = serving};
    serving->webhooks = webhooks_open(&env, problem, problem_size);
    serving->tasks.agent_id = workspace_id(workspace);
    serving->tasks.journal = workspace->journal;
    serving->tasks.dispatch = &workspace->dispatch;
    serving->tasks.webhooks = serving->webhooks;
    serving->tasks.error_reply = workspace->options.error_reply;
    serving->tasks.admit = on_admitted;
    serving->tasks.context = workspace;
    tasks_open(&serving->tasks);
    if (!serving->webhooks || !load(serving, problem, problem_size)) {
        serving_close(serving);
        serving_free(serving);
        return NULL;
    }
    dispatch_set_door(&workspace->dispatch, &serving->tasks.door);
    serving->agent = (struct a2a_agent){.id = workspace_id(workspace),
                                        .path = path ? path : "",
                                        .tasks = &serving->tasks,
                                        .journal = workspace->journal,
                                        .webhooks = serving->webhooks,
                                        .task_ttl_ms = options->task_ttl_ms};
    if (workspace->options.push) {
        serving->push = (struct a2a_push){
            .knows = knows_platform,
            .has_secret = has_secret,
            .context = workspace,
            .unauthenticated = workspace->options.push_unauthenticated,
            .answer_within_ms = workspace->options.answer_within_ms};
        serving->agent.push = &serving->push;
    }
    a2a_server_add(host->a2a, &serving->agent);
    uv_timer_start(&serving->expire, on_expire, EXPIRE_EVERY_MS, EXPIRE_EVERY_MS);
    return serving;
}

bool serving_describe(struct serving *serving, const struct platform_card *card,
                      const struct script_agent *agent, char *problem, size_t problem_size)
{
    serving->tasks.new_tasks = agent->new_tasks;
    return a2a_agent_describe(&serving->agent, card->name, card->description, card->skills,
                              agent->card, problem, problem_size);
}

void serving_drain(struct serving *serving)
{
    if (serving)
        serving->tasks.stopping = true;
}

void serving_close(struct serving *serving)
{
    if (!serving)
        return;
    uv_timer_stop(&serving->expire);
    a2a_server_remove(&serving->agent);
    webhooks_close(serving->webhooks);
    serving->webhooks = NULL;
    tasks_close(&serving->tasks);
}

static void on_timer_closed(uv_handle_t *timer)
{
    free(timer);
}

void serving_free(struct serving *serving)
{
    if (serving)
        uv_close((uv_handle_t *)&serving->expire, on_timer_closed);
}
