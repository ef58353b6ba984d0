/* Replies on their way. Each peer, and the canvas, has its own queue: first in, first out, a few at
 * once, one backoff. Within a conversation the next reply is posted once the last one is recorded
 * as finished. A post is repeated, the same bytes under the same id, until the platform's answer
 * settles it. */
#ifndef MOLECULE_MESSAGES_OUTBOX_H
#define MOLECULE_MESSAGES_OUTBOX_H

#include "messages/breaker.h"
#include "messages/echoes.h"
#include "messages/inbox.h"
#include "messages/observer.h"
#include "messages/peer_modes.h"

struct journal;
struct link;
struct outbox_peer;

/* Upwards: what became of an entry's reply. */
struct outbox_events {
    /* It was posted, and is believed to have arrived. */
    void (*replied)(void *context, struct inbox_entry *entry);
    /* It never will arrive: the message is a dead letter. */
    void (*failed)(void *context, struct inbox_entry *entry, const char *reason);
    /* It must be deferred for this long; call outbox_go_on when that is recorded. */
    void (*defer)(void *context, struct inbox_entry *entry, int64_t delay_ms, const char *reason);
};

struct outbox {
    struct link *link;
    struct inbox *inbox;
    struct journal *journal;
    struct breaker *breaker;
    struct echoes *echoes;
    struct message_counts *counts;
    struct observer *observer;
    struct outbox_events events;
    void *context; /* of the events */
    struct post *posts;
    struct outbox_peer *peers;
    struct peer_modes modes;
};

/* Posts the entry's reply, which is stored: now, or when those before it allow. */
void outbox_post(struct outbox *outbox, struct inbox_entry *entry);
/* The entry was parked, and the reply before it is finished. */
void outbox_release(struct outbox *outbox, struct inbox_entry *parked);
/* The entry was deferred: it continues to wait for its next attempt. */
void outbox_go_on(struct inbox_entry *entry);
/* It is too old to be retried (--reply-ttl). */
bool outbox_expired(const struct link *link, const struct inbox_entry *entry);
/* Drain is over: what is still on its way is unconfirmed or will be redelivered. `say`: log it. */
void outbox_close(struct outbox *outbox, bool say);

#endif
