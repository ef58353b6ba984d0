#include "link/link.h"

#include "base/clock.h"
#include "base/hash.h"

#include <stdio.h>

void link_call(struct link *link, struct call *call, struct platform_request request,
               const struct call_limits *limits, call_callback *callback, void *context)
{
    call->answers = link->answers;
    call_start(call, &link->budget, link->shared->client, request, limits, callback, context);
}

void link_away(struct link *link, const char *reason)
{
    if (reason && !link->away_ms)
        link->away_ms = clock_wall_ms();
    if (!reason)
        link->away_ms = 0;
    snprintf(link->away_reason, sizeof link->away_reason, "%s", reason ? reason : "");
}

int64_t link_phase(const struct link *link, int64_t span_ms)
{
    uint64_t hash = hash_text(link->options->id) >> 11;
    return span_ms > 0 ? (int64_t)(hash % (uint64_t)span_ms) : 0;
}

size_t link_message_maximum(const struct link *link)
{
    return link->numbered ? REPLY_BODY_MAXIMUM_LATEST : REPLY_BODY_MAXIMUM;
}

void link_fit_reply(const struct link *link, struct reply *reply)
{
    reply->maximum = link_message_maximum(link);
    reply->cut_summary = !link->numbered;
}
