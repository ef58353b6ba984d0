#include "messages/post.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "link/link.h"
#include "messages/receipt.h"
#include "messages/spans.h"
#include "wire/page.h"

#include <jansson.h>

#include <stdlib.h>
#include <string.h>

/* a push peer works for minutes, but the edge gives up after about 100 s */
#define PEER_TIMEOUT_MS 120000
#define CANVAS_TIMEOUT_MS 30000
#define ANSWER_MAXIMUM ((size_t)64 << 20) /* a push peer's whole result (contract §1.10) */
#define LOOKUP_TIMEOUT_MS 30000
#define LOOKUP_MAXIMUM (1 << 20)

static const char *whom(const struct post *post)
{
    return post->peer->id ? post->peer->id : "the canvas";
}

static void settle(struct post *post)
{
    struct outbox *outbox = post->outbox;
    struct inbox_entry *entry = post->entry;
    retry_succeeded(&post->peer->backoff);
    breaker_replied(outbox->breaker, post->peer->id);
    span_post(post->entry, post->peer->id, post->started_ms);
    histogram_observe_us(&outbox->counts->reply, (clock_monotonic_ms() - post->started_ms) * 1000);
    post->peer->not_before_ms = 0;
    outbox_end(post);
    outbox->events.replied(outbox->context, entry);
}

static void give_up(struct post *post, const char *reason)
{
    struct outbox *outbox = post->outbox;
    struct inbox_entry *entry = post->entry;
    outbox_end(post);
    outbox->events.failed(outbox->context, entry, reason);
}

void outbox_go_on(struct inbox_entry *entry)
{
    outbox_enqueue(entry->post, true);
    outbox_pump(entry->post->peer);
}

/* Posted again after its peer's backoff. One that has waited long is first deferred to the ledger,
 * so that it does not hold the cursor. */
static void again(struct post *post, const struct call_answer *answer, int64_t floor_ms)
{
    struct outbox *outbox = post->outbox;
    struct outbox_peer *peer = post->peer;
    int64_t now = clock_monotonic_ms();
    outbox_land(post);
    if (outbox_expired(outbox->link, post->entry)) {
        log_error(
            LOG_MESSAGE_DEAD, inbox_subject(outbox->link->options->id, post->entry, "dead"),
            "%s; message %s is set aside as a dead letter: its reply could not be posted within "
            "--reply-ttl",
            answer->verdict.reason, post->entry->row_id);
        give_up(post, answer->verdict.reason);
        return;
    }
    /* otherwise another post failed at the same time: one backoff step for both */
    if (peer->not_before_ms <= now)
        peer->not_before_ms = now + retry_next_delay(&peer->backoff, floor_ms, random_number());
    int64_t wait = peer->not_before_ms - now;
    if (!post->repeated)
        log_warn(LOG_REPLY_RETRY, inbox_subject(outbox->link->options->id, post->entry, NULL),
                 "%s (message %s); posting the same reply again", answer->verdict.reason,
                 post->entry->row_id);
    else
        log_debug(LOG_REPLY_RETRY, inbox_subject(outbox->link->options->id, post->entry, NULL),
                  "%s (message %s); retrying in %lld ms", answer->verdict.reason,
                  post->entry->row_id, (long long)wait);
    post->repeated = true;
    if (post->entry->deferred ||
        (wait < DEFER_AFTER_MS && now - post->started_ms < DEFER_AFTER_MS)) {
        outbox_enqueue(post, true);
        outbox_pump(peer);
        return;
    }
    outbox->events.defer(outbox->context, post->entry, wait, answer->verdict.reason);
}

/* While a platform's database is down, it may refuse everything. So a refusal is believed only if
 * it lasts and the platform has answered a poll meanwhile. */
static bool is_refused_for_good(struct post *post)
{
    const struct outbox *outbox = post->outbox;
    int64_t now = clock_awake_ms();
    if (!post->refused_ms) {
        post->refused_ms = now;
        post->refused_polls = outbox->link->polls;
    }
    return now - post->refused_ms >= outbox->link->options->refusal_patience_ms &&
           (outbox->link->pushed || outbox->link->polls > post->refused_polls);
}

static void count_as_answered(struct post *post, const char *why)
{
    struct outbox *outbox = post->outbox;
    log_warn(LOG_REPLY_DOUBTFUL, inbox_subject(outbox->link->options->id, post->entry, NULL),
             "%s; message %s counts as answered: %s", post->doubt, post->entry->row_id, why);
    settle(post);
}

/* A push peer's agent has the reply: it may work for minutes before it answers, it answers what it
 * likes, or fails. For a peer that polls the platform answers itself, at once and always the same:
 * so the reply did not arrive, or that answer was lost. */
static void conclude_doubt(struct post *post, enum peer_mode mode)
{
    struct outbox *outbox = post->outbox;
    if (mode == PEER_POLLS) {
        struct call_answer answer = {.verdict.class = RETRY_UNCONFIRMED};
        snprintf(answer.verdict.reason, sizeof answer.verdict.reason,
                 "%.300s; the peer polls, so that is not its answer%s", post->doubt,
                 outbox->link->numbered
                     ? ""
                     : " (this platform may show the reply twice, under one id)");
        free(post->doubt);
        post->doubt = NULL;
        again(post, &answer, post->doubt_floor_ms);
    } else if (post->doubted >= 400) {
        log_error(LOG_MESSAGE_DEAD, inbox_subject(outbox->link->options->id, post->entry, "dead"),
                  "%s; message %s is set aside as a dead letter: the peer's agent had the reply",
                  post->doubt, post->entry->row_id);
        char reason[RETRY_REASON_SIZE];
        snprintf(reason, sizeof reason, "%s", post->doubt);
        give_up(post, reason);
    } else if (post->doubted > 0) {
        count_as_answered(post, "the peer's agent has the reply");
    } else {
        count_as_answered(post,
                          "the reply was sent whole, and sending it again could answer twice");
    }
}

/* One that polls has no URL, but for one that the platform keeps (http://127.0.0.1, contract §1.3).
 * Silence from such a peer counts as a loss if the platform drops duplicates; an answer is always a
 * push peer's. */
static enum peer_mode mode_of(const struct post *post, const char *url)
{
    static const char kept[] = "http://127.0.0.1";
    if (!url || !*url)
        return PEER_POLLS;
    bool unclear = strncmp(url, kept, sizeof kept - 1) == 0 && post->doubted == 0 &&
                   post->outbox->link->numbered;
    return unclear ? PEER_POLLS : PEER_PUSHED;
}

static void on_mode(const struct call_answer *answer, void *context)
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
    struct outbox *outbox = post->outbox;
    struct call_limits limits = {.timeout_ms = LOOKUP_TIMEOUT_MS,
                                 .response_maximum = LOOKUP_MAXIMUM,
                                 .fresh_connection = true};
    link_call(
        outbox->link, &post->call,
        platform_workspace(&outbox->link->platform, outbox->link->token.current, post->peer->id),
        &limits, on_mode, post);
}

static void doubt(struct post *post, const struct call_answer *answer)
{
    post->doubt = memory_copy_text(answer->verdict.reason);
    /* it gave up waiting */
    bool edge = answer->status == 502 || answer->status == 504 || answer->status >= 520;
    post->doubted = edge ? 0 : answer->status;
    post->doubt_floor_ms = answer->verdict.floor_ms;
    enum peer_mode mode = peer_modes_get(&post->outbox->modes, post->peer->id,
                                         clock_monotonic_ms());
    if (mode == PEER_UNKNOWN)
        ask_for_mode(post);
    else
        conclude_doubt(post, mode);
}

/* The platform's answer for a peer that polls says so; any other is an agent's. */
static void note_mode(struct post *post, const struct call_answer *answer)
{
    static const char *const keys[] = {"delivery_mode"};
    struct page_row value, body = {.bytes = answer->body, .length = answer->body_length};
    if (!post->peer->id || answer->status < 200 || answer->status > 299)
        return;
    bool told = page_members(body, keys, 1, &value) && value.bytes;
    bool polls = told && value.length == 6 && memcmp(value.bytes, "\"poll\"", 6) == 0;
    peer_modes_note(&post->outbox->modes, post->peer->id, polls ? PEER_POLLS : PEER_PUSHED,
                    clock_monotonic_ms());
}

static void on_answer(const struct call_answer *answer, void *context)
{
    struct post *post = context;
    struct outbox *outbox = post->outbox;
    const char *id = outbox->link->options->id;
    if (answer->verdict.class != RETRY_REFUSED)
        post->refused_ms = 0; /* it did not last */
    switch (answer->verdict.class) {
    case RETRY_OK:
    case RETRY_DELIVERED:
        if (!post->peer->id)
            token_accepted(outbox->link);
        note_mode(post, answer);
        if (answer->verdict.remarkable)
            log_warn(LOG_REPLY_REMARK, inbox_subject(id, post->entry, NULL), "%s (message %s)",
                     answer->verdict.reason, post->entry->row_id);
        log_info_words(LOG_MESSAGE_REPLIED,
                       inbox_subject(id, post->entry, post->entry->dead ? NULL : "replied"),
                       "message ", post->entry->row_id, " from ", whom(post), ": replied");
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
            count_as_answered(post, "the peer's answer is too large to read");
            return;
        }
        post->uncertain = post->uncertain || answer->sent;
        again(post, answer, answer->verdict.floor_ms);
        return;
    case RETRY_UNAUTHORIZED:
        token_refused(outbox->link, answer);
        again(post, answer, token_floor_ms(outbox->link));
        return;
    case RETRY_REFUSED:
        if (!is_refused_for_good(post)) {
            again(post, answer, answer->verdict.floor_ms);
            return;
        } /* fall through */
    case RETRY_GONE:
    case RETRY_PERMANENT:
        log_error(LOG_MESSAGE_DEAD, inbox_subject(id, post->entry, "dead"),
                  "%s; message %s is set aside as a dead letter, the inbox continues",
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
        log_info(LOG_MESSAGE_REPLIED,
                 inbox_subject(post->outbox->link->options->id, post->entry,
                               post->entry->dead ? NULL : "replied"),
                 "message %s from the canvas: replied (its receipt was found in the inbox)",
                 post->entry->row_id);
        settle(post);
        return;
    }
    post->uncertain = false;
    outbox_transmit(post);
}

void outbox_transmit(struct post *post)
{
    struct outbox *outbox = post->outbox;
    const struct reply_request *request = post->entry->reply;
    if (post->uncertain && request->to_canvas) {
        post->receipt = receipt_look(outbox->link, outbox->journal, post->entry, request,
                                     on_receipt, post);
        return;
    }
    if (post->doubt) {
        ask_for_mode(post);
        return;
    }
    if (request->to_canvas)
        echoes_told_body(outbox->echoes, request->body, request->body_length);
    struct platform_request call =
        request->to_canvas ? platform_notify(&outbox->link->platform, outbox->link->token.current,
                                             request->body, request->body_length)
                           : platform_a2a(&outbox->link->platform, outbox->link->token.current,
                                          request->target, request->body, request->body_length);
    struct call_limits limits = {.timeout_ms = request->to_canvas ? CANVAS_TIMEOUT_MS
                                                                  : PEER_TIMEOUT_MS,
                                 .response_maximum = ANSWER_MAXIMUM,
                                 .fresh_connection = post->repeated,
                                 .delivery_counts = true};
    link_call(outbox->link, &post->call, call, &limits, on_answer, post);
}

/* The platform's ids are UUIDs; whatever else a row contains must not become a path. */
static bool has_address(const struct reply_request *request)
{
    return request->to_canvas || (request->target && platform_valid_id(request->target));
}

static void go(struct post *post)
{
    post->started_ms = clock_monotonic_ms();
    observer_reply(post->outbox->observer, post->entry);
    outbox_enqueue(post, false);
    outbox_pump(post->peer);
}

void outbox_post(struct outbox *outbox, struct inbox_entry *entry)
{
    const struct reply_request *request = entry->reply;
    if (!has_address(request)) {
        log_error(LOG_MESSAGE_DEAD, inbox_subject(outbox->link->options->id, entry, "dead"),
                  "message %s: its sender's id %s cannot be an address; it is set aside as a dead "
                  "letter",
                  entry->row_id, request->target);
        outbox->events.failed(outbox->context, entry, "the sender's id cannot be an address");
        return;
    }
    check(!entry->post); /* it would be posted twice */
    struct post *post = memory_allocate(sizeof *post);
    post->outbox = outbox;
    post->entry = entry;
    post->uncertain = entry->reply_restarted;
    post->peer = outbox_peer(outbox, request->to_canvas ? NULL : request->target);
    post->peer->posts++;
    post->next = outbox->posts;
    outbox->posts = post;
    entry->post = post;
    if (inbox_send(outbox->inbox, entry))
        go(post);
}

void outbox_release(struct outbox *outbox, struct inbox_entry *parked)
{
    if (inbox_send(outbox->inbox, parked))
        go(parked->post);
}

bool outbox_expired(const struct link *link, const struct inbox_entry *entry)
{
    int64_t ttl_ms = link->options->reply_ttl_ms;
    return ttl_ms > 0 && clock_awake_ms() - entry->awake_from_ms > ttl_ms;
}

void outbox_close(struct outbox *outbox, bool say)
{
    for (struct outbox_peer *peer = outbox->peers; peer; peer = peer->next)
        peer->first = peer->last = NULL; /* nothing more is posted */
    while (outbox->posts) {
        /* NOLINTBEGIN(clang-analyzer-unix.Malloc): outbox_end() unlinks what it frees */
        struct post *post = outbox->posts;
        if (say)
            log_warn(LOG_REPLY_UNCONFIRMED,
                     inbox_subject(outbox->link->options->id, post->entry, NULL),
                     "the reply to message %s was not confirmed before shutdown; the next start "
                     "posts the same reply again",
                     post->entry->row_id);
        outbox_end(post); /* NOLINTEND(clang-analyzer-unix.Malloc) */
    }
}
