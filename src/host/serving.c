#include "host/serving.h"

#include "base/clock.h"
#include "base/host_name.h"
#include "base/memory.h"
#include "doors/a2a_server.h"
#include "doors/push_files.h"
#include "doors/tasks.h"
#include "doors/webhooks.h"
#include "journal/journal.h"
#include "messages/dispatch.h"
#include "script/script_types.h"
#include "state/disk.h"
#include "wire/platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPIRE_EVERY_MS 60000

struct serving {
    uv_timer_t expire; /* first */
    struct tasks tasks;
    struct a2a_agent agent;
    struct webhooks *webhooks;
    struct journal *journal;
    struct a2a_push push;
    char *directory; /* of files that the platform hands over */
    char *host;      /* of serve_host, as requests are compared with it; NULL: every */
};

static void on_delivered(void *context, int64_t sequence)
{
    journal_notification_drop(((struct serving *)context)->journal, sequence);
}

struct expiry {
    char *directory;
    int64_t before_ms;
};

static void work_expire(void *context)
{
    const struct expiry *expiry = context;
    push_files_expire(expiry->directory, expiry->before_ms);
}

static void work_expired(void *context)
{
    struct expiry *expiry = context;
    free(expiry->directory);
    free(expiry);
}

static void on_expire(uv_timer_t *timer)
{
    struct serving *serving = (struct serving *)timer;
    int64_t before_ms = clock_wall_ms() - serving->agent.task_ttl_ms;
    journal_tasks_expire(serving->journal, before_ms);
    if (!serving->agent.push)
        return;
    struct expiry *expiry = memory_allocate(sizeof *expiry);
    *expiry = (struct expiry){memory_copy_text(serving->directory), before_ms};
    disk_run(serving->push.disk, serving->push.network, work_expire, work_expired, expiry);
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

static bool open_webhooks(struct serving *serving, const struct serving_env *env, char *problem,
                          size_t problem_size)
{
    struct webhooks_env webhooks = {.agent_id = env->options->id,
                                    .loop = env->loop,
                                    .client = env->client,
                                    .allowed = env->serve->allowed_webhooks,
                                    .allowed_count = env->serve->allowed_webhook_count,
                                    .give_up_ms = env->serve->webhook_ttl_ms,
                                    .done = on_delivered,
                                    .context = serving};
    serving->webhooks = webhooks_open(&webhooks, problem, problem_size);
    return serving->webhooks;
}

static void open_tasks(struct serving *serving, const struct serving_env *env)
{
    serving->tasks.agent_id = env->options->id;
    serving->tasks.journal = env->journal;
    serving->tasks.dispatch = env->dispatch;
    serving->tasks.webhooks = serving->webhooks;
    serving->tasks.pushed = env->options->push;
    serving->tasks.error_reply = env->options->error_reply;
    serving->tasks.admit = env->admit;
    serving->tasks.context = env->context;
    tasks_open(&serving->tasks);
}

static char *take_host(const char *given)
{
    char name[HOST_NAME_SIZE];
    return given && host_name_take(given, strlen(given), name) ? memory_copy_text(name) : NULL;
}

/* false: another agent is at its place. */
static bool open_agent(struct serving *serving, const struct serving_env *env, char *problem,
                       size_t problem_size)
{
    const struct a2a_agent *other;
    const struct molecule_workspace_options *options = env->options;
    serving->directory = memory_format("%s/%s.files", options->state_directory, options->id);
    serving->host = take_host(options->serve_host);
    serving->push = (struct a2a_push){.knows = env->knows,
                                      .has_secret = env->has_secret,
                                      .context = env->context,
                                      .directory = serving->directory,
                                      .disk = env->disk,
                                      .network = env->network,
                                      .unauthenticated = options->push_unauthenticated,
                                      .answer_within_ms = options->answer_within_ms};
    serving->agent = (struct a2a_agent){.id = options->id,
                                        .path = options->serve_path ? options->serve_path : "",
                                        .host = serving->host,
                                        .tasks = &serving->tasks,
                                        .journal = env->journal,
                                        .webhooks = serving->webhooks,
                                        .task_ttl_ms = env->serve->task_ttl_ms,
                                        .push = options->push ? &serving->push : NULL};
    if (a2a_server_add(env->server, &serving->agent, &other))
        return true;
    snprintf(problem, problem_size, "%s is already served at %s%s, where %s would be", other->id,
             other->host ? other->host : "", *other->path || !other->host ? other->path : "/",
             options->id);
    return false;
}

struct serving *serving_open(const struct serving_env *env, char *problem, size_t problem_size)
{
    struct serving *serving = memory_allocate(sizeof *serving);
    uv_timer_init(env->loop, &serving->expire);
    uv_unref((uv_handle_t *)&serving->expire);
    serving->journal = env->journal;
    bool opened = open_webhooks(serving, env, problem, problem_size);
    open_tasks(serving, env);
    if (!opened || !load(serving, problem, problem_size) ||
        !open_agent(serving, env, problem, problem_size)) {
        serving_close(serving);
        serving_free(serving);
        return NULL;
    }
    dispatch_set_door(env->dispatch, &serving->tasks.door);
    uv_timer_start(&serving->expire, on_expire, EXPIRE_EVERY_MS, EXPIRE_EVERY_MS);
    return serving;
}

char *serving_url(const struct serving *serving)
{
    return a2a_agent_url(&serving->agent);
}

bool serving_asks(const struct serving *serving)
{
    return a2a_agent_asks(&serving->agent);
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

void serving_dismiss(struct serving *serving)
{
    if (serving)
        a2a_agent_dismiss(&serving->agent);
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
    free(((struct serving *)timer)->directory);
    free(((struct serving *)timer)->host);
    free(timer);
}

void serving_free(struct serving *serving)
{
    if (serving)
        uv_close((uv_handle_t *)&serving->expire, on_timer_closed);
}
