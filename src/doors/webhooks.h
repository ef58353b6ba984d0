/* Notifications of tasks on their way to the webhooks that clients have named [1.0 §4.3.3]: each is
 * recorded with what it tells, posted in order per task, again after a failure, and dropped once it
 * has arrived. On the network thread. */
#ifndef MOLECULE_DOORS_WEBHOOKS_H
#define MOLECULE_DOORS_WEBHOOKS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct http_client;
struct journal_notification;
struct webhooks;

/* Borrowed for the life of the webhooks. */
struct webhooks_env {
    const char *agent_id; /* for the log */
    uv_loop_t *loop;
    struct http_client *client;
    /* hosts that may be posted to although their addresses are not public (--allow-webhook):
     * patterns as of --allow-host */
    const char *const *allowed;
    size_t allowed_count;
    int64_t give_up_ms; /* after so long without success a notification is dropped */
    /* it has arrived, or was given up */
    void (*done)(void *context, int64_t sequence);
    void *context;
};

/* NULL: `problem` says what is wrong with the patterns. */
struct webhooks *webhooks_open(const struct webhooks_env *env, char *problem, size_t problem_size);
/* What was not delivered stays in the ledger. */
void webhooks_close(struct webhooks *webhooks); /* NULL is fine */

/* Whether a client may name this URL: http or https, and no address that is not public (unless
 * allowed); names are looked up again at each post. false: `problem` says why not. */
bool webhooks_allow(const struct webhooks *webhooks, const char *url, char *problem,
                    size_t problem_size);
/* The next sequence number; larger than any before, also of earlier processes. */
int64_t webhooks_next(struct webhooks *webhooks);
/* It is recorded, and is to be posted. Takes it. Its config: a TaskPushNotificationConfig of 1.0
 * {url, token?, authentication?: {scheme, credentials?}}. */
void webhooks_post(struct webhooks *webhooks, struct journal_notification *notification);
/* The client no longer wants them: what was not delivered to this config (by its id) is dropped. */
void webhooks_forget(struct webhooks *webhooks, const char *task_id, const char *config_id);

#endif
