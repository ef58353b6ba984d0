#include "messages/receipt.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/timer.h"
#include "base/uuid.h"
#include "journal/journal.h"
#include "link/link.h"
#include "wire/page.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT 500
#define PAGE_MAXIMUM ((size_t)64 << 20)
#define TIMEOUT_MS 60000
/* equal replies posted this long before the message was seen still count: better twice than
 * never */
#define SLACK_MS 600000

struct receipt {
    struct link *link;
    struct journal *journal;
    char *text; /* of the reply */
    size_t text_length;
    char *position; /* since_id */
    char *row_id;
    char digest[UUID_TEXT_SIZE];
    int64_t first_seen_ms;
    int64_t echoes;
    struct call call;
    uv_timer_t timer;
    struct retry_backoff backoff;
    bool cancelled, waiting; /* for the disk thread */
    void (*done)(bool found, void *context);
    void *context;
};

static void fetch(struct receipt *receipt);

static void free_receipt(uv_handle_t *timer)
{
    struct receipt *receipt = timer->data;
    free(receipt->text);
    free(receipt->position);
    free(receipt->row_id);
    free(receipt);
}

static void end(struct receipt *receipt)
{
    call_cancel(&receipt->call);
    uv_close((uv_handle_t *)&receipt->timer, free_receipt);
}

static void on_counted(void *context, int64_t same)
{
    struct receipt *receipt = context;
    receipt->waiting = false;
    bool cancelled = receipt->cancelled, found = receipt->echoes > same;
    void (*done)(bool found, void *context) = receipt->done;
    void *done_context = receipt->context;
    end(receipt);
    if (!cancelled)
        done(found, done_context);
}

/* All rows were read. Without an echo there is nothing to account for. */
static void conclude(struct receipt *receipt)
{
    receipt->waiting = true;
    if (receipt->echoes == 0)
        on_counted(receipt, 0);
    else
        journal_count_same(receipt->journal, receipt->digest, receipt->row_id,
                           receipt->first_seen_ms - SLACK_MS, on_counted, receipt);
}

static void on_timer(uv_timer_t *timer)
{
    fetch(timer->data);
}

static void read_row(struct receipt *receipt, struct page_row row)
{
    struct message *message = envelope_read(row, receipt->link->options->id);
    if (message->echo && message->echo_length == receipt->text_length &&
        memcmp(message->echo, receipt->text, receipt->text_length) == 0)
        receipt->echoes++;
    if (message->row_id) {
        free(receipt->position);
        receipt->position = memory_copy_text(message->row_id);
    }
    message_free(message);
}

static void on_answer(const struct call_answer *answer, void *context)
{
    struct receipt *receipt = context;
    struct page page = {0};
    const char *problem;
    if (answer->verdict.class == RETRY_GONE || answer->verdict.cursor_lookup_failed) {
        conclude(receipt);
        return;
    }
    if (answer->verdict.class != RETRY_OK ||
        !page_cut(answer->body, answer->body_length, &page, &problem)) {
        int64_t wait = retry_next_delay(&receipt->backoff, answer->verdict.floor_ms,
                                        random_number());
        log_debug(LOG_RECEIPT_SEARCHED, receipt->link->options->id,
                  "looking for a receipt: %s; retrying in %lld ms", answer->verdict.reason,
                  (long long)wait);
        timer_arm(&receipt->timer, on_timer, wait);
        return;
    }
    for (size_t i = 0; i < page.count; i++)
        read_row(receipt, page.rows[i]);
    bool more = page.count >= LIMIT;
    page_free(&page);
    if (more)
        fetch(receipt);
    else
        conclude(receipt);
}

static void fetch(struct receipt *receipt)
{
    struct link *link = receipt->link;
    struct platform_fetch wanted = {.since_id = receipt->position, .limit = LIMIT};
    struct call_limits limits = {.timeout_ms = TIMEOUT_MS, .response_maximum = PAGE_MAXIMUM};
    link_call(link, &receipt->call,
              platform_activity(&link->platform, link->token.current, &wanted), &limits, on_answer,
              receipt);
}

struct receipt *receipt_look(struct link *link, struct journal *journal,
                             const struct inbox_entry *entry, const struct reply_request *request,
                             void (*done)(bool found, void *context), void *context)
{
    struct receipt *receipt = memory_allocate(sizeof *receipt);
    json_t *body = json_loadb(request->body, request->body_length, JSON_ALLOW_NUL, NULL);
    const json_t *text = json_object_get(body, "message");
    receipt->link = link;
    receipt->journal = journal;
    receipt->text_length = json_string_length(text);
    receipt->text = memory_copy(json_is_string(text) ? json_string_value(text) : "",
                                receipt->text_length);
    json_decref(body);
    receipt->position = memory_copy_text(entry->row_id);
    receipt->row_id = memory_copy_text(entry->row_id);
    uuid_of_name(request->body, receipt->digest);
    receipt->first_seen_ms = entry->first_seen_ms;
    receipt->backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = 30000};
    receipt->done = done;
    receipt->context = context;
    uv_timer_init(&link->shared->network->loop, &receipt->timer);
    receipt->timer.data = receipt;
    fetch(receipt);
    return receipt;
}

void receipt_cancel(struct receipt *receipt)
{
    if (!receipt)
        return;
    receipt->cancelled = true;
    uv_timer_stop(&receipt->timer);
    if (!receipt->waiting)
        end(receipt);
}
