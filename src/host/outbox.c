/* Replies on their way. Each peer, and the canvas, has a queue of its own: first in, first out, a
 * few at once, one backoff; of one conversation the next reply goes when the last one is recorded
 * as finished. A post is repeated, the same bytes under the same id, until the platform's answer
 * settles it. */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "host/breaker.h"
#include "host/observer.h"
#include "host/receipt.h"
#include "wire/page.h"

#include <jansson.h>

#include <stdlib.h>
#include <string.h>

/* a push peer works for minutes, but the edge gives up after about 100 s */
#define PEER_TIMEOUT_MS 120000
#define CANVAS_TIMEOUT_MS 30000
#define ANSWER_MAXIMUM ((size_t)64 << 20) /* a push peer's whole result (contract §1.10) */
#define BACKOFF_CAP_MS 60000
/* a reply that waits for longer is kept in the ledger, and the cursor passes */
#define KEEP_AFTER_MS 30000
#define IN_FLIGHT_MAXIMUM 4 /* to one peer at once */
#define LOOKUP_TIMEOUT_MS 30000
#define LOOKUP_MAXIMUM (1 << 20)

struct post {
    struct post *next;       /* of the workspace's */
    struct post *queue_next; /* of its peer's that wait */
    struct workspace *workspace;
    struct outbox_peer *peer;
    struct inbox_entry *entry;
    struct stored_reply *stored; /* the entry's */
    struct exchange exchange;
    int64_t started_ms;
    int64_t refused_ms;     /* since when the platform says that we may not; 0: it does not */
    uint64_t refused_polls; /* polls that had succeeded by then */
    bool in_flight, repeated;
    bool uncertain; /* an earlier post of this reply may have arrived */
    /* what happened, when it depends on how the peer gets its messages what that means; else NULL
     */
    char *doubt;
    int64_t doubt_floor_ms;  /* as exchange_answer.verdict.floor_ms */
    int doubted;             /* the answer's status then; 0: there was none */
    struct receipt *receipt; /* it is being looked for */
};

struct outbox_peer {
    uv_timer_t timer; /* first: the end of its backoff */
    struct outbox_peer *next;
    struct workspace *workspace;
    char *id; /* NULL: the canvas */
    struct post *first, *last;
    size_t posts, in_flight;
    struct retry_backoff backoff;
    int64_t not_before_ms;
};

static void transmit(struct post *post);

/* --- queues --- */

static void free_peer(uv_handle_t *timer)
{
    struct outbox_peer *peer = (struct outbox_peer *)timer;
    free(peer->id);
    free(peer);
}

static struct outbox_peer *find_peer(struct workspace *workspace, const char *id)
{
    for (struct outbox_peer *peer = workspace->peers; peer; peer = peer->next)
        if (id ? peer->id && strcmp(peer->id, id) == 0 : !peer->id)
            return peer;
    struct outbox_peer *peer = memory_allocate(sizeof *peer);
    peer->workspace = workspace;
    peer->id = memory_copy_text(id);
    peer->backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = BACKOFF_CAP_MS};
    peer->next = workspace->peers;
    workspace->peers = peer;
    uv_timer_init(&workspace->host->network.loop, &peer->timer);
    return peer;
}

static void drop_peer(struct outbox_peer *peer)
{
    struct outbox_peer **link = &peer->workspace->peers;
    while (*link != peer)
        link = &(*link)->next;
    *link = peer->next;
    uv_close((uv_handle_t *)&peer->timer, free_peer);
}

static void pump(struct outbox_peer *peer);

static void on_peer_timer(uv_timer_t *timer)
{
    pump((struct outbox_peer *)timer);
}

/* Posts what may go now, else waits for the backoff's end, or for the platform's rate budget. */
static void pump(struct outbox_peer *peer)
{
    struct workspace *workspace = peer->workspace;
    int64_t now = clock_monotonic_ms(), wait = peer->not_before_ms - now;
    int64_t quiet = workspace->budget.quiet_until_ms - now;
    if (quiet > wait)
        wait = quiet;
    if (peer->first && wait > 0) {
        workspace_arm(&peer->timer, on_peer_timer, wait);
        return;
    }
    while (peer->first && peer->in_flight < IN_FLIGHT_MAXIMUM) {
        struct post *post = peer->first;
        peer->first = post->queue_next;
        if (!peer->first)
            peer->last = NULL;
        post->queue_next = NULL;
        post->in_flight = true;
        peer->in_flight++;
        transmit(post);
    }
}

static void enqueue(struct post *post, bool in_front)
{
    struct outbox_peer *peer = post->peer;
    if (in_front) {
        post->queue_next = peer->first;
        peer->first = post;
        if (!peer->last)
            peer->last = post;
    } else {
        if (peer->last)
            peer->last->queue_next = post;
        else
            peer->first = post;
        peer->last = post;
    }
}

static void land(struct post *post)
{
    if (post->in_flight)
        post->peer->in_flight--;
    post->in_flight = false;
}

static void end(struct post *post)
{
    struct workspace *workspace = post->workspace;
    struct outbox_peer *peer = post->peer;
    struct post **link = &workspace->posts;
    while (*link != post)
        link = &(*link)->next;
    *link = post->next;
    post->stored->post = NULL;
    land(post);
    exchange_cancel(&post->exchange);
    receipt_cancel(post->receipt);
    free(post->doubt);
    free(post);
    if (--peer->posts == 0)
        drop_peer(peer);
    else
        pump(peer);
}

/* --- outcomes --- */

static const char *whom(const struct post *post)
{
    return post->peer->id ? post->peer->id : "the canvas";
}

static void settle(struct post *post)
{
    struct workspace *workspace = post->workspace;
    struct inbox_entry *entry = post->entry;
    retry_succeeded(&post->peer->backoff);
    breaker_replied(workspace, post->peer->id);
    post->peer->not_before_ms = 0;
    end(post);
    workspace_replied(workspace, entry);
}

static void give_up(struct post *post, const char *reason)
{
    struct workspace *workspace = post->workspace;
    struct inbox_entry *entry = post->entry;
    end(post);
    workspace_dead(workspace, entry, reason, NULL);
}

static void on_kept(struct workspace *workspace, struct inbox_entry *entry, void *context)
{
    (void)context;
    const struct stored_reply *stored = entry->context;
    if (!stored->post) /* the host ends */
        return;
    inbox_keep(workspace->inbox, entry);
    enqueue(stored->post, true);
    pump(stored->post->peer);
    saver_request(workspace);
    poller_resume(workspace);
}

/* Posted again after its peer's backoff. One that has waited for long is kept in the ledger first,
 * so that it does not hold the cursor. */
static void again(struct post *post, const struct exchange_answer *answer, int64_t floor_ms)
{
    struct workspace *workspace = post->workspace;
    struct outbox_peer *peer = post->peer;
    int64_t now = clock_monotonic_ms();
    land(post);
    if (workspace_expired(workspace, post->entry)) {
        log_error(
            workspace->settings.id,
            "%s; message %s is set aside as a dead letter: its reply could not be posted within "
            "--reply-ttl",
            answer->verdict.reason, post->entry->row_id);
        give_up(post, answer->verdict.reason);
        return;
    }
    /* else another post has failed at the same time: one step of the backoff */
    if (peer->not_before_ms <= now)
        peer->not_before_ms = now + retry_next_delay(&peer->backoff, floor_ms, host_random());
    int64_t wait = peer->not_before_ms - now;
    if (!post->repeated)
        log_warn(workspace->settings.id, "%s (message %s); posting the same reply again",
                 answer->verdict.reason, post->entry->row_id);
    else
        log_debug(workspace->settings.id, "%s (message %s); again in %lld ms",
                  answer->verdict.reason, post->entry->row_id, (long long)wait);
    post->repeated = true;
    if (post->entry->kept || (wait < KEEP_AFTER_MS && now - post->started_ms < KEEP_AFTER_MS)) {
        enqueue(post, true);
        pump(peer);
        return;
    }
    journal_keep(workspace->journal, post->entry, clock_steady_ms() + wait, true,
                 answer->verdict.reason, on_kept, NULL);
}

/* While a platform's database is down, it may refuse everybody everything. So a refusal is believed
 * when it lasts, and the platform has answered a poll meanwhile. */
static bool is_refused_for_good(struct post *post)
{
    const struct workspace *workspace = post->workspace;
    int64_t now = clock_awake_ms();
    if (!post->refused_ms) {
        post->refused_ms = now;
        post->refused_polls = workspace->poller.successes;
    }
    return now - post->refused_ms >= workspace->settings.refusal_patience_ms &&
           workspace->poller.successes > post->refused_polls;
}

static void count_as_answered(struct post *post, const char *why)
{
    struct workspace *workspace = post->workspace;
    workspace->answered++;
    log_warn(workspace->settings.id, "%s; message %s counts as answered: %s", post->doubt,
             post->entry->row_id, why);
    settle(post);
}

/* A push peer's agent has the reply: it may work for minutes before it answers, it answers what it
 * likes, or it failed. For a peer that polls the platform answers itself, at once and always the
 * same: so the reply did not arrive, or that was lost. */
static void conclude_doubt(struct post *post, enum peer_mode mode)
{
    struct workspace *workspace = post->workspace;
    if (mode == PEER_POLLS) {
        struct exchange_answer answer = {.verdict.class = RETRY_UNCONFIRMED};
        snprintf(answer.verdict.reason, sizeof answer.verdict.reason,
                 "%.300s; the peer polls, so that is not its answer%s", post->doubt,
                 workspace->poller.numbered
                     ? ""
                     : " (this platform may show the reply twice, under one id)");
        free(post->doubt);
        post->doubt = NULL;
        again(post, &answer, post->doubt_floor_ms);
    } else if (post->doubted >= 400) {
        log_error(workspace->settings.id,
                  "%s; message %s is set aside as a dead letter: the peer's agent had the reply",
                  post->doubt, post->entry->row_id);
        char reason[RETRY_REASON_SIZE];
        snprintf(reason, sizeof reason, "%s", post->doubt);
        give_up(post, reason);
    } else if (post->doubted > 0) {
        count_as_answered(post, "the peer's agent has the reply");
    } else {
        count_as_answered(post, "the reply was sent whole, sending it again could answer twice");
    }
}

/* One that polls has no URL, but for one that the platform keeps (http://127.0.0.1, contract §1.3).
 * Silence from such a peer is taken for a loss where the platform drops what comes twice; an answer
 * is always a push peer's. */
static enum peer_mode mode_of(const struct post *post, const char *url)
{
    static const char kept[] = "http://127.0.0.1";
    if (!url || !*url)
        return PEER_POLLS;
    bool unclear = strncmp(url, kept, sizeof kept - 1) == 0 && post->doubted == 0 &&
                   post->workspace->poller.numbered;
    return unclear ? PEER_POLLS : PEER_PUSHED;
}

static void on_mode(const struct exchange_answer *answer, void *context)
{
    struct post *post = context;
    if (answer->verdict.class == RETRY_TRANSIENT || answer->verdict.class == RETRY_UNAUTHORIZED) {
        again(post, answer, answer->verdict.floor_ms); /* asks once more */
        return;
    }
    json_t *about = answer->verdict.class == RETRY_OK
                        ? json_loadb(answer->body, answer->body_length, JSON_ALLOW_NUL, NULL)
                        : NULL;
    enum peer_mode mode = about ? mode_of(post, json_string_value(json_object_get(about, "url")))
                                : PEER_PUSHED;
    json_decref(about);
    conclude_doubt(post, mode);
}

/* Only a push peer has a URL (contract §1.12). */
static void ask_for_mode(struct post *post)
{
    struct workspace *workspace = post->workspace;
    struct exchange_limits limits = {.timeout_ms = LOOKUP_TIMEOUT_MS,
                                     .response_maximum = LOOKUP_MAXIMUM,
                                     .fresh_connection = true};
    exchange_start(
        &post->exchange, &workspace->budget, workspace->host->client,
        platform_workspace(&workspace->platform, workspace->token.current, post->peer->id), &limits,
        on_mode, post);
}

static void doubt(struct post *post, const struct exchange_answer *answer)
{
    post->doubt = memory_copy_text(answer->verdict.reason);
    /* it gave up waiting */
    bool edge = answer->status == 502 || answer->status == 504 || answer->status >= 520;
    post->doubted = edge ? 0 : answer->status;
    post->doubt_floor_ms = answer->verdict.floor_ms;
    enum peer_mode mode = peer_modes_get(&post->workspace->peer_modes, post->peer->id,
                                         clock_monotonic_ms());
    if (mode == PEER_UNKNOWN)
        ask_for_mode(post);
    else
        conclude_doubt(post, mode);
}

/* The platform's answer for a peer that polls says so; any other is an agent's. */
static void note_mode(struct post *post, const struct exchange_answer *answer)
{
    static const char *const keys[] = {"delivery_mode"};
    struct page_row value, body = {.bytes = answer->body, .length = answer->body_length};
    if (!post->peer->id || answer->status < 200 || answer->status > 299)
        return;
    bool told = page_members(body, keys, 1, &value) && value.bytes;
    bool polls = told && value.length == 6 && memcmp(value.bytes, "\"poll\"", 6) == 0;
    peer_modes_note(&post->workspace->peer_modes, post->peer->id, polls ? PEER_POLLS : PEER_PUSHED,
                    clock_monotonic_ms());
}

static void on_answer(const struct exchange_answer *answer, void *context)
{
    struct post *post = context;
    struct workspace *workspace = post->workspace;
    const char *id = workspace->settings.id;
    if (answer->verdict.class != RETRY_REFUSED)
        post->refused_ms = 0; /* it did not last */
    switch (answer->verdict.class) {
    case RETRY_OK:
    case RETRY_DELIVERED:
        if (!post->peer->id)
            token_accepted(workspace);
        note_mode(post, answer);
        workspace->answered++;
        if (answer->verdict.remarkable)
            log_warn(id, "%s (message %s)", answer->verdict.reason, post->entry->row_id);
        log_info(id, "message %s from %s: replied", post->entry->row_id, whom(post));
        settle(post);
        return;
    case RETRY_UNCONFIRMED:
        if (!post->peer->id) { /* the canvas gives a receipt: look for it first */
            post->uncertain = true;
            again(post, answer, 0);
            return;
        }
        doubt(post, answer);
        return;
    case RETRY_TRANSIENT:
        if (answer->too_large) {
            post->doubt = memory_copy_text(answer->verdict.reason);
            count_as_answered(post, "the peer has answered, at length");
            return;
        }
        post->uncertain = post->uncertain || answer->sent;
        again(post, answer, answer->verdict.floor_ms);
        return;
    case RETRY_UNAUTHORIZED:
        token_refused(workspace, answer);
        again(post, answer, token_floor_ms(workspace));
        return;
    case RETRY_REFUSED:
        if (!is_refused_for_good(post)) {
            again(post, answer, answer->verdict.floor_ms);
            return;
        } /* fall through */
    case RETRY_GONE:
    case RETRY_PERMANENT:
        log_error(id, "%s; message %s is set aside as a dead letter, the inbox continues",
                  answer->verdict.reason, post->entry->row_id);
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
        log_info(post->workspace->settings.id,
                 "message %s from the canvas: replied (its receipt was found in the inbox)",
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
    if (post->uncertain && request->to_canvas) {
        post->receipt = receipt_look(workspace, post->entry, request, on_receipt, post);
        return;
    }
    if (post->doubt) {
        ask_for_mode(post);
        return;
    }
    if (request->to_canvas)
        workspace_tells(workspace, request->body, request->body_length);
    struct platform_request call =
        request->to_canvas ? platform_notify(&workspace->platform, workspace->token.current,
                                             request->body, request->body_length)
                           : platform_a2a(&workspace->platform, workspace->token.current,
                                          request->target, request->body, request->body_length);
    struct exchange_limits limits = {.timeout_ms = request->to_canvas ? CANVAS_TIMEOUT_MS
                                                                      : PEER_TIMEOUT_MS,
                                     .response_maximum = ANSWER_MAXIMUM,
                                     .fresh_connection = post->repeated,
                                     .delivery_counts = true};
    exchange_start(&post->exchange, &workspace->budget, workspace->host->client, call, &limits,
                   on_answer, post);
}

/* The platform's ids are UUIDs; whatever else a row claims must not become a path. */
static bool has_address(const struct reply_request *request)
{
    return request->to_canvas || (request->target && platform_valid_id(request->target));
}

static void go(struct post *post)
{
    post->started_ms = clock_monotonic_ms();
    observer_reply(post->workspace, post->entry);
    enqueue(post, false);
    pump(post->peer);
}

void outbox_post(struct workspace *workspace, struct inbox_entry *entry)
{
    struct stored_reply *stored = entry->context;
    if (!has_address(&stored->request)) {
        log_error(workspace->settings.id,
                  "message %s: its sender's id %s cannot be an address; it is set aside as a dead "
                  "letter",
                  entry->row_id, stored->request.target);
        workspace_dead(workspace, entry, "the sender's id cannot be an address", NULL);
        return;
    }
    struct post *post = memory_allocate(sizeof *post);
    post->workspace = workspace;
    post->entry = entry;
    post->stored = stored;
    post->uncertain = stored->restarted;
    post->peer = find_peer(workspace, stored->request.to_canvas ? NULL : stored->request.target);
    post->peer->posts++;
    post->next = workspace->posts;
    workspace->posts = post;
    stored->post = post;
    if (inbox_send(workspace->inbox, entry))
        go(post);
}

void outbox_go_on(struct workspace *workspace, struct inbox_entry *parked)
{
    const struct stored_reply *stored = parked->context;
    if (inbox_send(workspace->inbox, parked))
        go(stored->post);
}

void outbox_close(struct workspace *workspace)
{
    for (struct outbox_peer *peer = workspace->peers; peer; peer = peer->next)
        peer->first = peer->last = NULL; /* nothing is posted any more */
    while (workspace->posts) {
        /* NOLINTBEGIN(clang-analyzer-unix.Malloc): end() unlinks what it frees */
        struct post *post = workspace->posts;
        if (workspace->state >= WORKSPACE_DRAINING)
            log_warn(workspace->settings.id,
                     "the reply to message %s was not confirmed before the end; the next start "
                     "posts the same reply again",
                     post->entry->row_id);
        end(post); /* NOLINTEND(clang-analyzer-unix.Malloc) */
    }
}
