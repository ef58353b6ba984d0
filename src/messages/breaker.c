#include "messages/breaker.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/plural.h"
#include "messages/inbox.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_MS 60000
#define SOON_MS 10000 /* an auto-responder answers within seconds */
#define HOLD_FIRST_MS 60000
#define HOLD_MAXIMUM_MS 3600000
#define PEERS_MAXIMUM 1000 /* the least recently used are forgotten */

struct breaker_peer {
    struct breaker_peer *next; /* most recently used first */
    uint64_t hash;             /* of the id: most comparisons are of these alone */
    char *id;
    int64_t replied_ms; /* as inbox_entry.first_seen_ms */
    int64_t window_ms, held_until_ms;
    int64_t hold_ms; /* of the next time */
    unsigned turns;
};

static void drop_behind(struct breaker_peer *peer, size_t most)
{
    for (size_t i = 1; peer && i < most; i++)
        peer = peer->next;
    while (peer && peer->next) {
        struct breaker_peer *last = peer->next;
        peer->next = last->next;
        free(last->id);
        free(last);
    }
}

/* NULL: unknown, and `make` is false */
static struct breaker_peer *find(struct breaker *breaker, const char *id, bool make)
{
    struct breaker_peer **link = &breaker->peers, *peer;
    uint64_t hash = hash_text(id);
    while (*link && ((*link)->hash != hash || strcmp((*link)->id, id) != 0))
        link = &(*link)->next;
    peer = *link;
    if (peer) {
        *link = peer->next;
    } else if (make) {
        peer = memory_allocate(sizeof *peer);
        peer->id = memory_copy_text(id);
        peer->hash = hash;
        peer->hold_ms = HOLD_FIRST_MS;
    } else {
        return NULL;
    }
    peer->next = breaker->peers;
    breaker->peers = peer;
    if (make)
        drop_behind(breaker->peers, PEERS_MAXIMUM);
    return peer;
}

void breaker_replied(struct breaker *breaker, const char *id)
{
    if (id && breaker->options->breaker > 0)
        find(breaker, id, true)->replied_ms = clock_steady_ms();
}

int64_t breaker_wait(struct breaker *breaker, const struct inbox_entry *entry)
{
    const struct message *message = entry->message;
    unsigned most = breaker->options->breaker;
    struct breaker_peer *peer = most > 0 && message->source_id && message->hops == 0
                                    ? find(breaker, message->source_id, false)
                                    : NULL;
    if (!peer)
        return 0;
    int64_t now = clock_steady_ms();
    if (peer->held_until_ms > now)
        return peer->held_until_ms - now;
    if (entry->deferred || entry->attempts > 0 || entry->first_seen_ms < peer->replied_ms ||
        entry->first_seen_ms > peer->replied_ms + SOON_MS)
        return 0; /* it was counted, or it is not an answer to our reply */
    if (now - peer->window_ms >= WINDOW_MS) {
        if (now - peer->window_ms >= 2 * peer->hold_ms)
            peer->hold_ms = HOLD_FIRST_MS;
        peer->window_ms = now;
        peer->turns = 0;
    }
    if (++peer->turns <= most)
        return 0;
    int64_t hold = peer->hold_ms;
    peer->held_until_ms = now + hold;
    peer->hold_ms = hold * 2 < HOLD_MAXIMUM_MS ? hold * 2 : HOLD_MAXIMUM_MS;
    peer->window_ms = peer->held_until_ms;
    peer->turns = 0;
    log_error(LOG_BREAKER_OPEN, breaker->options->id,
              "peer %s has answered our replies %u time%s within a minute: two agents that answer "
              "everything? Its messages wait for %lld s; none is lost (--breaker)",
              peer->id, most, plural(most), (long long)hold / 1000);
    return hold;
}

void breaker_close(struct breaker *breaker)
{
    while (breaker->peers) {
        struct breaker_peer *peer = breaker->peers;
        breaker->peers = peer->next;
        free(peer->id);
        free(peer);
    }
}
