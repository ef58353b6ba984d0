#include "host/errand.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/timer.h"
#include "base/uuid.h"
#include "host/checks.h"
#include "link/link.h"
#include "wire/envelope.h"
#include "wire/jsontext.h"
#include "wire/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 10000
#define ANSWER_MAXIMUM ((size_t)64 << 20)
#define LOOK_EVERY_MS 500 /* into the inbox, for a peer's answer */
#define LOOK_ROWS 100
#define LOOK_BACK_S (24 * 3600)

struct errand {
    uv_timer_t timer; /* first */
    struct host *host;
    struct link link;
    struct call call;
    char *problem;
    size_t problem_size;
    bool fine, passing; /* not fine, but it may be soon */
    int64_t floor_ms;   /* the platform wants no question before; 0: at once */
    char *body;         /* of the answer */
    size_t body_length;
};

static void on_answer(const struct call_answer *answer, void *context)
{
    struct errand *errand = context;
    const struct molecule_workspace_options *options = errand->link.options;
    enum retry_class class = answer->verdict.class;
    errand->fine = class == RETRY_OK || class == RETRY_DELIVERED;
    errand->passing = class == RETRY_TRANSIENT || class == RETRY_UNCONFIRMED;
    errand->floor_ms = answer->verdict.floor_ms;
    if (answer->status == 401)
        snprintf(errand->problem, errand->problem_size,
                 "%s does not take the token for the workspace %s: %s", options->api_url,
                 options->id, answer->verdict.reason);
    else if (!errand->fine)
        snprintf(errand->problem, errand->problem_size, "%s: %s", options->api_url,
                 answer->verdict.reason);
    free(errand->body);
    errand->body = memory_copy(answer->body, answer->body_length);
    errand->body_length = answer->body_length;
    uv_stop(&errand->host->network.loop);
}

/* NULL: `problem` says why it cannot go. */
static struct errand *begin(struct host *host, const struct molecule_workspace_options *options,
                            char *problem, size_t problem_size)
{
    *problem = '\0';
    struct errand *errand = memory_allocate(sizeof *errand);
    errand->host = host;
    errand->problem = problem;
    errand->problem_size = problem_size;
    errand->link.options = options;
    errand->link.shared = &host->link;
    if (checks_token(options, false, problem, problem_size) &&
        checks_open_platform(options, &errand->link.platform, problem, problem_size)) {
        token_open(&errand->link);
        uv_timer_init(&host->network.loop, &errand->timer);
        return errand;
    }
    free(errand);
    return NULL;
}

static void free_errand(uv_handle_t *timer)
{
    free(timer);
}

static void end(struct errand *errand)
{
    log_redact(errand->problem); /* it has the platform's words */
    token_close(&errand->link);
    platform_close(&errand->link.platform);
    free(errand->body);
    uv_close((uv_handle_t *)&errand->timer, free_errand);
}

static const char *token_of(const struct errand *errand)
{
    return errand->link.token.current;
}

/* Takes the request. */
static bool ask(struct errand *errand, struct platform_request request, int64_t timeout_ms)
{
    struct call_limits limits = {.timeout_ms = timeout_ms, .response_maximum = ANSWER_MAXIMUM};
    errand->passing = false;
    link_call(&errand->link, &errand->call, request, &limits, on_answer, errand);
    thread_run(&errand->host->network);
    return errand->fine;
}

bool errand_probe(struct host *host, const struct molecule_workspace_options *options,
                  char *problem, size_t problem_size)
{
    struct errand *errand = begin(host, options, problem, problem_size);
    if (!errand)
        return false;
    bool fine = ask(errand, platform_state(&errand->link.platform, token_of(errand)), TIMEOUT_MS);
    end(errand);
    return fine;
}

bool errand_peers(struct host *host, const struct molecule_workspace_options *options,
                  const char *query, char **list, char *problem, size_t problem_size)
{
    struct errand *errand = begin(host, options, problem, problem_size);
    *list = NULL;
    if (!errand)
        return false;
    bool fine = ask(errand, platform_peers(&errand->link.platform, token_of(errand), query),
                    TIMEOUT_MS);
    if (fine) {
        *list = errand->body;
        errand->body = NULL;
    }
    end(errand);
    return fine;
}

/* --- a message and its answer --- */

static void on_pause(uv_timer_t *timer)
{
    uv_stop(&((struct errand *)timer)->host->network.loop);
}

/* What the peer answered at once. false: it failed there. */
static bool read_result(struct errand *errand, char **answer)
{
    struct result result = {0};
    json_t *body = jsontext_read(errand->body, errand->body_length, NULL, NULL);
    const json_t *value = json_object_get(body, "result");
    bool fine = value && result_read(value, &result) && result.kind != RESULT_FAILURE;
    if (fine && result.kind != RESULT_UNDER_WAY)
        *answer = memory_copy_text(result.text ? result.text : "");
    else if (!fine)
        snprintf(errand->problem, errand->problem_size, "the peer failed: %s",
                 result.text ? result.text : errand->body);
    result_free(&result);
    json_decref(body);
    return fine;
}

static int64_t created_us(struct page_row row)
{
    struct page_row stamp;
    char text[64];
    int64_t us = 0;
    if (!page_member(row, "created_at", &stamp) || stamp.length < 2 ||
        stamp.length - 2 >= sizeof text)
        return 0;
    memcpy(text, stamp.bytes + 1, stamp.length - 2);
    text[stamp.length - 2] = '\0';
    return clock_parse(text, &us) ? us : 0;
}

static bool fetch_inbox(struct errand *errand)
{
    struct platform_fetch fetch = {.since_secs = LOOK_BACK_S, .limit = LOOK_ROWS};
    return ask(errand, platform_activity(&errand->link.platform, token_of(errand), &fetch),
               TIMEOUT_MS);
}

/* The stamp of the newest row, by the platform's clock; 0: no rows. */
static int64_t newest_us(const struct errand *errand)
{
    struct page page;
    const char *problem;
    int64_t newest = 0;
    if (!page_cut(errand->body, errand->body_length, &page, &problem))
        return 0;
    for (size_t i = 0; i < page.count; i++)
        newest = created_us(page.rows[i]) > newest ? created_us(page.rows[i]) : newest;
    page_free(&page);
    return newest;
}

/* The peer's first message after `before_us`; one that names another question is not it. */
static char *find_answer(const struct errand *errand, const char *peer, const char *question,
                         int64_t before_us)
{
    struct page page;
    const char *problem;
    char *found = NULL;
    if (!page_cut(errand->body, errand->body_length, &page, &problem))
        return NULL;
    for (size_t i = page.count; i-- > 0 && !found;) { /* the newest comes first */
        struct message *message = envelope_read(page.rows[i], errand->link.options->id);
        bool meant = !message->in_reply_to || strcmp(message->in_reply_to, question) == 0;
        if (created_us(page.rows[i]) > before_us && meant && message->source_id &&
            strcasecmp(message->source_id, peer) == 0)
            found = memory_copy_text(message->text);
        message_free(message);
    }
    page_free(&page);
    return found;
}

/* Looks into the inbox until the answer is there or the time is up; a failure that may pass is
 * waited out. false: the inbox cannot be read. */
static bool await(struct errand *errand, const char *peer, const char *question, int64_t before_us,
                  int64_t deadline_ms, char **answer)
{
    while (clock_monotonic_ms() < deadline_ms) {
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        int64_t pause_ms = errand->floor_ms > LOOK_EVERY_MS ? errand->floor_ms : LOOK_EVERY_MS;
        timer_arm(&errand->timer, on_pause, pause_ms < left_ms ? pause_ms : left_ms);
        thread_run(&errand->host->network);
        if (fetch_inbox(errand))
            *answer = find_answer(errand, peer, question, before_us);
        else if (!errand->passing)
            return false;
        if (*answer)
            break;
    }
    return true;
}

bool errand_send(struct host *host, const struct molecule_workspace_options *options,
                 const char *peer, const char *text, int64_t timeout_ms, char **answer,
                 char *problem, size_t problem_size)
{
    *answer = NULL;
    if (!platform_valid_id(peer)) {
        snprintf(problem, problem_size, "the peer's id \"%s\" is not a valid workspace id", peer);
        return false;
    }
    struct errand *errand = begin(host, options, problem, problem_size);
    if (!errand)
        return false;
    char id[UUID_TEXT_SIZE];
    uuid_random(id);
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    struct message origin = {.row_id = id, .source_id = (char *)peer};
    struct reply said = {.text = (char *)text, .text_length = strlen(text), .question = true};
    struct reply_request request = {0};
    bool fine = fetch_inbox(errand);
    int64_t before_us = fine ? newest_us(errand) : 0;
    fine = fine && reply_build(&origin, &said, "/send", &request, problem, problem_size) &&
           ask(errand,
               platform_send(&errand->link.platform, token_of(errand), peer, request.body,
                             request.body_length),
               timeout_ms);
    bool queued = fine && reply_read_answer(false, errand->body, errand->body_length) ==
                              REPLY_ANSWER_QUEUED;
    if (queued)
        fine = await(errand, peer, request.id, before_us, deadline_ms, answer);
    if (queued && !fine) {
        char *why = memory_copy_text(problem);
        snprintf(problem, problem_size, "%s has the message, but its answer cannot be fetched: %s",
                 peer, why);
        free(why);
    }
    if (fine && !queued)
        fine = read_result(errand, answer);
    reply_request_free(&request);
    end(errand);
    return fine;
}
