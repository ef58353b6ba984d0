#include "doors/webhooks.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/timer.h"
#include "journal/journal.h"
#include "net/allowed_hosts.h"
#include "net/http_client.h"
#include "net/public_address.h"
#include "wire/jsonmemory.h"
#include "wire/retry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TIMEOUT_MS 20000 /* [1.0 §4.3.3] names 10 to 30 s */
#define AT_ONCE 256      /* posts of one agent */
#define AT_ONCE_OF_TASK 4
#define REFUSALS_MAXIMUM 5
#define BACKOFF_BASE_MS 1000
#define BACKOFF_CAP_MS 300000
#define HEADERS_MAXIMUM 4
#define BUCKETS 1024

/* The webhooks of one task. */
struct group {
    struct group *next; /* in its bucket */
    struct hook *hooks; /* those that were there first, first; a task has few */
    char *task_id;
    unsigned under_way;
};

/* What one webhook of one task is to be told, in order. */
struct hook {
    uv_timer_t timer;  /* first: the next try */
    struct hook *next; /* in its group */
    struct hook *ready_next, *ready_previous;
    struct webhooks *webhooks;
    struct group *group;
    struct journal_notification *first, **end;
    struct http_exchange *exchange; /* NULL: none is under way */
    char **headers;                 /* … its own, and what its URL stands in */
    json_t *config;
    struct retry_backoff backoff;
    unsigned refusals; /* in a row */
    bool waits;        /* for the next try */
    bool ready;        /* it is in the list of those that may be posted */
};

struct webhooks {
    struct webhooks_env env;
    struct allowed_hosts *allowed;
    struct group *buckets[BUCKETS];
    struct hook *ready, *ready_last; /* in the order in which they became so */
    size_t under_way;
    int64_t sequence;
};

struct webhooks *webhooks_open(const struct webhooks_env *env, char *problem, size_t problem_size)
{
    struct allowed_hosts *allowed = allowed_hosts_open(env->allowed, env->allowed_count, problem,
                                                       problem_size);
    if (!allowed)
        return NULL;
    struct webhooks *webhooks = memory_allocate(sizeof *webhooks);
    webhooks->env = *env;
    webhooks->allowed = allowed;
    webhooks->sequence = clock_wall_ms() * 1000;
    return webhooks;
}

int64_t webhooks_next(struct webhooks *webhooks)
{
    return ++webhooks->sequence;
}

/* The host of "name:443" or "[::1]:443" is an address that is not public. */
static bool is_private(char *where)
{
    char *host = where, *port = strrchr(where, ':');
    if (port)
        *port = '\0';
    size_t length = strlen(host);
    if (*host == '[' && length > 2) {
        host[length - 1] = '\0';
        host++;
        return !public_address_text(host);
    }
    bool literal = strspn(host, "0123456789.") == length;
    return literal ? !public_address_text(host)
                   : strcasecmp(host, "localhost") == 0 ||
                         (length > 10 && strcasecmp(host + length - 10, ".localhost") == 0);
}

bool webhooks_allow(const struct webhooks *webhooks, const char *url, char *problem,
                    size_t problem_size)
{
    char where[300];
    if (allowed_hosts_include(webhooks->allowed, url, where, sizeof where))
        return true;
    if (!*where)
        snprintf(problem, problem_size, "it is no URL with a host");
    else if (strncasecmp(url, "https:", 6) != 0)
        snprintf(problem, problem_size, "it is not https");
    else if (is_private(where))
        snprintf(problem, problem_size, "its address is not public");
    else
        return true;
    return false;
}

/* --- a hook --- */

static void pump(struct webhooks *webhooks);

static struct group **bucket_of(struct webhooks *webhooks, const char *task_id)
{
    return &webhooks->buckets[hash_text(task_id) % BUCKETS];
}

static struct group *find_group(struct webhooks *webhooks, const char *task_id)
{
    struct group *group = *bucket_of(webhooks, task_id);
    while (group && strcmp(group->task_id, task_id) != 0)
        group = group->next;
    return group;
}

static struct group *group_of(struct webhooks *webhooks, const char *task_id)
{
    struct group *group = find_group(webhooks, task_id), **bucket = bucket_of(webhooks, task_id);
    if (group)
        return group;
    group = memory_allocate(sizeof *group);
    group->task_id = memory_copy_text(task_id);
    group->next = *bucket;
    *bucket = group;
    return group;
}

static void forget_group(struct webhooks *webhooks, struct group *group)
{
    struct group **link = bucket_of(webhooks, group->task_id);
    while (*link != group)
        link = &(*link)->next;
    *link = group->next;
    free(group->task_id);
    free(group);
}

/* Webhooks that do not answer must not hold up those of other tasks. */
static void make_ready(struct hook *hook)
{
    struct webhooks *webhooks = hook->webhooks;
    if (hook->ready || hook->exchange || hook->waits || !hook->first ||
        hook->group->under_way >= AT_ONCE_OF_TASK)
        return;
    hook->ready = true;
    hook->ready_next = NULL;
    hook->ready_previous = webhooks->ready_last;
    if (hook->ready_previous)
        hook->ready_previous->ready_next = hook;
    else
        webhooks->ready = hook;
    webhooks->ready_last = hook;
}

static void unready(struct hook *hook)
{
    struct webhooks *webhooks = hook->webhooks;
    if (!hook->ready)
        return;
    hook->ready = false;
    if (hook->ready_next)
        hook->ready_next->ready_previous = hook->ready_previous;
    else
        webhooks->ready_last = hook->ready_previous;
    if (hook->ready_previous)
        hook->ready_previous->ready_next = hook->ready_next;
    else
        webhooks->ready = hook->ready_next;
}

static void count_ended(struct hook *hook)
{
    hook->webhooks->under_way--;
    hook->group->under_way--;
    for (struct hook *each = hook->group->hooks; each; each = each->next)
        make_ready(each);
}

static void on_hook_closed(uv_handle_t *handle)
{
    free(handle);
}

static void free_request(struct hook *hook)
{
    for (size_t i = 0; hook->headers && hook->headers[i]; i++)
        memory_wipe(hook->headers[i]);
    free(hook->headers);
    jsonmemory_wipe(hook->config);
    hook->headers = NULL;
    hook->config = NULL;
    hook->exchange = NULL;
}

static void close_hook(struct hook *hook)
{
    struct group *group = hook->group;
    struct hook **link = &group->hooks;
    free_request(hook);
    unready(hook);
    while (*link != hook)
        link = &(*link)->next;
    *link = hook->next;
    if (!group->hooks)
        forget_group(hook->webhooks, group);
    while (hook->first) {
        struct journal_notification *next = hook->first->next;
        journal_notification_free(hook->first);
        hook->first = next;
    }
    uv_close((uv_handle_t *)&hook->timer, on_hook_closed);
}

static void drop_first(struct hook *hook)
{
    struct webhooks *webhooks = hook->webhooks;
    struct journal_notification *first = hook->first;
    hook->first = first->next;
    if (!hook->first)
        hook->end = &hook->first;
    webhooks->env.done(webhooks->env.context, first->sequence);
    journal_notification_free(first);
    if (hook->first)
        make_ready(hook);
    else
        close_hook(hook);
}

static void on_again(uv_timer_t *timer)
{
    struct hook *hook = (struct hook *)timer;
    hook->waits = false;
    make_ready(hook);
    pump(hook->webhooks);
}

static void try_again(struct hook *hook, const char *reason, int64_t floor_ms)
{
    int64_t wait = retry_next_delay(&hook->backoff, floor_ms, random_number());
    log_debug(LOG_WEBHOOK_RETRY, hook->webhooks->env.agent_id,
              "task %s: its webhook was not reached (%s); again in "
              "%.1f s",
              hook->first->task_id, reason, (double)wait / 1000);
    hook->waits = true;
    timer_arm(&hook->timer, on_again, wait);
}

static void give_up(struct hook *hook, const char *reason)
{
    log_warn(LOG_WEBHOOK_DROPPED, hook->webhooks->env.agent_id,
             "task %s: a notification is dropped: its webhook %s", hook->first->task_id, reason);
    drop_first(hook);
}

static void on_answer(const struct http_result *result, void *context)
{
    struct hook *hook = context;
    struct webhooks *webhooks = hook->webhooks;
    char reason[200];
    free_request(hook);
    hook->waits = true; /* not ready before it is clear what becomes of it */
    count_ended(hook);
    hook->waits = false;
    bool fine = result->progress == HTTP_ANSWERED && result->status >= 200 && result->status < 300;
    bool refused = result->progress == HTTP_ANSWERED && result->status >= 300 &&
                   result->status < 500 && result->status != 408 && result->status != 425 &&
                   result->status != 429;
    bool forbidden = result->code && strcmp(result->code, "FORBIDDEN") == 0;
    bool late = clock_wall_ms() - hook->first->at_ms > webhooks->env.give_up_ms;
    if (result->progress == HTTP_ANSWERED)
        snprintf(reason, sizeof reason, "answers with status %d", result->status);
    else
        snprintf(reason, sizeof reason, "cannot be reached: %.150s", result->error);
    hook->refusals = refused ? hook->refusals + 1 : 0;
    if (fine) {
        retry_succeeded(&hook->backoff);
        drop_first(hook);
    } else if (late || forbidden || hook->refusals >= REFUSALS_MAXIMUM) {
        hook->refusals = 0;
        give_up(hook, reason);
    } else {
        try_again(hook, reason, 0);
    }
    pump(webhooks);
}

/* What a client gave must not end a header. */
static bool is_one_line(const char *text)
{
    return text && *text && !strpbrk(text, "\r\n");
}

static void add_header(char **headers, size_t *count, const char *name, const char *scheme,
                       const char *value)
{
    headers[(*count)++] = memory_join(name, ": ", scheme ? scheme : "", scheme ? " " : "", value);
    headers[*count] = NULL;
}

static void post(struct hook *hook)
{
    struct webhooks *webhooks = hook->webhooks;
    const struct journal_notification *notification = hook->first;
    char **headers = memory_allocate((HEADERS_MAXIMUM + 1) * sizeof *headers);
    size_t count = 0;
    json_t *config = json_loads(notification->config, 0, NULL);
    const json_t *authentication = json_object_get(config, "authentication");
    const char *token = json_string_value(json_object_get(config, "token")),
               *scheme = json_string_value(json_object_get(authentication, "scheme")),
               *credentials = json_string_value(json_object_get(authentication, "credentials"));
    const char *url = json_string_value(json_object_get(config, "url"));
    add_header(headers, &count, "Content-Type", NULL, notification->type);
    if (is_one_line(token)) /* the SDKs' name for it */
        add_header(headers, &count, "X-A2A-Notification-Token", NULL, token);
    if (is_one_line(scheme) && is_one_line(credentials))
        add_header(headers, &count, "Authorization", scheme, credentials);
    struct http_request request = {.method = "POST",
                                   .url = url ? url : "",
                                   .headers = headers,
                                   .body = notification->body,
                                   .body_length = notification->length,
                                   .timeout_ms = TIMEOUT_MS,
                                   .response_maximum = 65536,
                                   .general = true,
                                   .public_only = true,
                                   .public_except = webhooks->allowed,
                                   .public_option = "--allow-webhook"};
    webhooks->under_way++;
    hook->group->under_way++;
    hook->headers = headers;
    hook->config = config;
    hook->exchange = http_send(webhooks->env.client, &request, on_answer, hook);
}

static void pump(struct webhooks *webhooks)
{
    while (webhooks->ready && webhooks->under_way < AT_ONCE) {
        struct hook *hook = webhooks->ready;
        unready(hook);
        if (hook->group->under_way < AT_ONCE_OF_TASK) /* else the end of one makes it ready */
            post(hook);
    }
}

static struct hook *hook_of(struct webhooks *webhooks, const struct journal_notification *given)
{
    struct group *group = group_of(webhooks, given->task_id);
    struct hook **link = &group->hooks;
    while (*link && strcmp((*link)->first->config, given->config) != 0)
        link = &(*link)->next;
    if (*link)
        return *link;
    struct hook *hook = memory_allocate(sizeof *hook);
    hook->webhooks = webhooks;
    hook->group = group;
    hook->end = &hook->first;
    hook->backoff = (struct retry_backoff){.base_ms = BACKOFF_BASE_MS, .cap_ms = BACKOFF_CAP_MS};
    uv_timer_init(webhooks->env.loop, &hook->timer);
    uv_unref((uv_handle_t *)&hook->timer);
    *link = hook;
    return hook;
}

void webhooks_post(struct webhooks *webhooks, struct journal_notification *notification)
{
    struct hook *hook = hook_of(webhooks, notification);
    notification->next = NULL;
    *hook->end = notification;
    hook->end = &notification->next;
    if (notification->sequence > webhooks->sequence)
        webhooks->sequence = notification->sequence;
    make_ready(hook);
    pump(webhooks);
}

static bool is_of(const struct hook *hook, const char *config_id)
{
    json_t *config = json_loads(hook->first->config, 0, NULL);
    const char *id = json_string_value(json_object_get(config, "id"));
    bool same = id && strcmp(id, config_id) == 0;
    jsonmemory_wipe(config);
    return same;
}

/* It is closed. */
static void cancel(struct hook *hook)
{
    struct http_exchange *exchange = hook->exchange;
    if (exchange) {
        hook->exchange = NULL;
        hook->waits = true;
        http_cancel(exchange);
        count_ended(hook);
    }
    close_hook(hook);
}

void webhooks_forget(struct webhooks *webhooks, const char *task_id, const char *config_id)
{
    struct group *group = find_group(webhooks, task_id);
    struct hook *next;
    for (struct hook *hook = group ? group->hooks : NULL; hook; hook = next) {
        next = hook->next;
        if (!is_of(hook, config_id))
            continue;
        for (const struct journal_notification *each = hook->first; each; each = each->next)
            webhooks->env.done(webhooks->env.context, each->sequence);
        cancel(hook);
    }
    pump(webhooks);
}

void webhooks_close(struct webhooks *webhooks)
{
    if (!webhooks)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (webhooks->buckets[i])
            cancel(webhooks->buckets[i]->hooks);
    allowed_hosts_close(webhooks->allowed);
    free(webhooks);
}
