/* Replies on their way: posted again, the same bytes under the same id, until the platform's answer settles them. */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "host/receipt.h"

#include <stdlib.h>

#define PEER_TIMEOUT_MS 120000 /* a push peer works for minutes, but the edge gives up after about 100 s */
#define CANVAS_TIMEOUT_MS 30000
#define ANSWER_MAXIMUM ((size_t)64 << 20) /* a push peer's whole result (contract §1.10) */
#define BACKOFF_CAP_MS 60000
#define KEEP_AFTER_MS 30000

struct post {
    struct post *next;
    struct workspace *workspace;
    struct inbox_entry *entry;
    struct stored_reply *stored;  /* the entry's */
    struct exchange exchange;
    uv_timer_t timer;
    struct retry_backoff backoff;
    int64_t started_ms;
    bool uncertain;               /* an earlier post of this reply may have arrived */
    struct receipt *receipt;      /* it is being looked for */
};

static void transmit(struct post *post);

static void free_post(uv_handle_t *timer)
{
    free(timer->data);
}

static void end(struct post *post)
{
    struct post **link = &post->workspace->posts;
    while (*link != post)
        link = &(*link)->next;
    *link = post->next;
    exchange_cancel(&post->exchange);
    receipt_cancel(post->receipt);
    uv_close((uv_handle_t *)&post->timer, free_post);
}

static void on_timer(uv_timer_t *timer)
{
    transmit(timer->data);
}

static const char *whom(const struct post *post)
{
    return post->stored->request.to_canvas ? "the canvas" : post->stored->request.target;
}

static void settle(struct post *post)
{
    struct workspace *workspace = post->workspace;
    struct inbox_entry *entry = post->entry;
    end(post);
    workspace_finish(workspace, entry, "replied");
}

static void give_up(struct post *post, const char *reason)
{
    struct workspace *workspace = post->workspace;
    struct inbox_entry *entry = post->entry;
    end(post);
    workspace_dead(workspace, entry, reason, NULL);
}

struct keeping {
    int64_t wait_ms;
};

static void on_kept(struct workspace *workspace, struct inbox_entry *entry, void *context)
{
    struct keeping *keeping = context;
    for (struct post *post = workspace->posts; post; post = post->next)
        if (post->entry == entry) {
            inbox_keep(workspace->inbox, entry);
            workspace_arm(&post->timer, on_timer, keeping->wait_ms);
            saver_request(workspace);
            poller_resume(workspace);
            break;
        }
    free(keeping);
}

/* Posted again after a wait. One that has waited for long is kept in the ledger, so that it does not hold the cursor. */
static void again(struct post *post, const struct exchange_answer *answer, int64_t floor_ms)
{
    struct workspace *workspace = post->workspace;
    int64_t wait = retry_next_delay(&post->backoff, floor_ms, host_random());
    if (workspace_expired(workspace, post->entry)) {
        log_error(workspace->settings.id, "%s; message %s is set aside as a dead letter: its reply could not be posted within "
                  "--reply-ttl", answer->verdict.reason, post->entry->row_id);
        give_up(post, answer->verdict.reason);
        return;
    }
    if (post->backoff.failures == 1)
        log_warn(workspace->settings.id, "%s (message %s); posting the same reply again", answer->verdict.reason,
                 post->entry->row_id);
    else
        log_debug(workspace->settings.id, "%s (message %s); again in %lld ms", answer->verdict.reason,
                  post->entry->row_id, (long long)wait);
    bool long_wait = wait >= KEEP_AFTER_MS || clock_monotonic_ms() - post->started_ms >= KEEP_AFTER_MS;
    if (!long_wait || post->entry->kept) {
        workspace_arm(&post->timer, on_timer, wait);
        return;
    }
    struct keeping *keeping = memory_allocate(sizeof *keeping);
    keeping->wait_ms = wait;
    record_keep(workspace->record, post->entry, clock_wall_ms() + wait, answer->verdict.reason, on_kept, keeping);
}

static void on_answer(const struct exchange_answer *answer, void *context)
{
    struct post *post = context;
    struct workspace *workspace = post->workspace;
    const char *id = workspace->settings.id;
    switch (answer->verdict.class) {
    case RETRY_OK:
    case RETRY_DELIVERED:
        token_accepted(workspace);
        workspace->answered++;
        if (answer->verdict.reason[0] && answer->verdict.class == RETRY_DELIVERED)
            log_debug(id, "%s (message %s)", answer->verdict.reason, post->entry->row_id);
        log_info(id, "message %s from %s: replied", post->entry->row_id, whom(post));
        settle(post);
        return;
    case RETRY_UNCONFIRMED:
        if (post->stored->request.to_canvas) { /* the canvas gives a receipt: look for it first */
            post->uncertain = true;
            again(post, answer, 0);
            return;
        }
        workspace->answered++;
        log_warn(id, "%s; message %s counts as answered: the reply was sent whole, sending it again could answer twice",
                 answer->verdict.reason, post->entry->row_id);
        settle(post);
        return;
    case RETRY_TRANSIENT:
        post->uncertain = post->uncertain || answer->sent;
        again(post, answer, answer->verdict.floor_ms);
        return;
    case RETRY_UNAUTHORIZED:
        token_refused(workspace, answer);
        again(post, answer, token_floor_ms(workspace));
        return;
    case RETRY_GONE:
    case RETRY_PERMANENT:
        log_error(id, "%s; message %s is set aside as a dead letter, the inbox goes on", answer->verdict.reason,
                  post->entry->row_id);
        give_up(post, answer->verdict.reason);
        return;
    }
}

static void on_receipt(bool found, void *context)
{
    struct post *post = context;
    post->receipt = NULL;
    if (found) {
        post->workspace->answered++;
        log_info(post->workspace->settings.id, "message %s from the canvas: replied (its receipt was found in the inbox)",
                 post->entry->row_id);
        settle(post);
        return;
    }
    post->uncertain = false;
    transmit(post);
}

static void transmit(struct post *post)
{
    struct workspace *workspace = post->workspace;
    const struct reply_request *request = &post->stored->request;
    int64_t quiet = workspace->host->quiet_until_ms - clock_monotonic_ms();
    if (quiet > 0) {
        log_debug(workspace->settings.id, "the platform's rate budget is nearly spent; the reply waits %lld ms",
                  (long long)quiet);
        workspace_arm(&post->timer, on_timer, quiet);
        return;
    }
    if (post->uncertain && request->to_canvas) {
        post->receipt = receipt_look(workspace, post->entry, request, on_receipt, post);
        return;
    }
    struct platform_request call =
        request->to_canvas
            ? platform_notify(&workspace->platform, workspace->token.current, request->body, request->body_length)
            : platform_a2a(&workspace->platform, workspace->token.current, request->target, request->body,
                           request->body_length);
    if (!call.url) {
        log_error(workspace->settings.id, "message %s: its sender's id %s cannot be an address; it is set aside as a dead "
                  "letter", post->entry->row_id, request->target);
        give_up(post, "the sender's id cannot be an address");
        return;
    }
    struct exchange_limits limits = {.timeout_ms = request->to_canvas ? CANVAS_TIMEOUT_MS : PEER_TIMEOUT_MS,
                                     .response_maximum = ANSWER_MAXIMUM,
                                     .fresh_connection = post->backoff.failures > 0};
    exchange_start(&post->exchange, workspace->host, workspace->host->client, call, &limits, on_answer, post);
}

void outbox_post(struct workspace *workspace, struct inbox_entry *entry)
{
    struct post *post = memory_allocate(sizeof *post);
    post->workspace = workspace;
    post->entry = entry;
    post->stored = entry->context;
    post->uncertain = post->stored->restarted;
    post->backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = BACKOFF_CAP_MS};
    post->started_ms = clock_monotonic_ms();
    uv_timer_init(&workspace->host->network.loop, &post->timer);
    post->timer.data = post;
    post->next = workspace->posts;
    workspace->posts = post;
    transmit(post);
}

void outbox_close(struct workspace *workspace)
{
    while (workspace->posts) {
        struct post *post = workspace->posts;
        if (workspace->state >= WORKSPACE_DRAINING)
            log_warn(workspace->settings.id,
                     "the reply to message %s was not confirmed before the end; the next start posts the same reply again",
                     post->entry->row_id);
        end(post);
    }
}
