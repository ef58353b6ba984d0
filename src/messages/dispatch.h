/* Gives the script the messages that are ready, one attempt at a time, and has each result applied
 * (outcome.h). */
#ifndef MOLECULE_MESSAGES_DISPATCH_H
#define MOLECULE_MESSAGES_DISPATCH_H

#include "messages/host_calls.h"
#include "messages/inbox.h"
#include "messages/naming.h"
#include "messages/outbox.h"
#include "messages/questions.h"
#include "messages/schedules.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct attempts;
struct changes;
struct door;
struct heartbeat;
struct journal;
struct link;
struct script;

/* Upwards. */
struct dispatch_events {
    /* The ledger knows more than before: the cursor may move, the inbox may have room. */
    void (*settled)(void *context);
    /* Something ended: call dispatch_step, unless the workspace was only waiting for that. */
    void (*ended)(void *context);
    /* The inbox should be looked at soon. */
    void (*look)(void *context);
    /* The script has something to do. */
    void (*handling)(void *context);
};

struct dispatch {
    struct link *link;
    struct inbox *inbox;
    struct journal *journal;
    struct attempts *attempts;
    struct heartbeat *heartbeat;
    struct script *script; /* NULL: closed */
    struct door *door;     /* of messages that are no rows of the platform; NULL: there are none */
    struct outbox outbox;
    struct host_calls calls;
    struct breaker breaker;
    struct echoes echoes;
    struct observer observer;
    struct naming naming;
    struct questions questions;
    struct schedules schedules; /* `due` and its context are the owner's */
    const char *state_path;     /* for commands that the log names; NULL: temporary state
                                 */
    unsigned concurrency;       /* handlers at once */
    bool answers_replies;       /* the agent sees what other molecule hosts reply */
    uv_timer_t timer; /* the next attempt of a message that failed; the owner takes it off the loop
                       */
    /* messages during which an earlier process ended: until they have outcomes, one at a time */
    size_t suspects;
    char uncounted[512]; /* why attempts cannot be counted, so that nothing is handled; "": they can
                          */
    unsigned long answered, dead;
    struct message_counts counts;
    struct { /* of the last attempt that failed; at_ms 0: none has */
        char row_id[128], reason[256];
        int64_t at_ms; /* wall clock */
    } failed;
    struct dispatch_events events;
    void *context; /* of the events */
};

/* Wires the parts. The owner has set link, inbox, heartbeat, observer, events and context, and sets
 * journal, attempts, door, script and state_path with dispatch_set… below. */
void dispatch_open(struct dispatch *dispatch);
void dispatch_set_journal(struct dispatch *dispatch, struct journal *journal,
                          struct attempts *attempts);
void dispatch_set_door(struct dispatch *dispatch, struct door *door);
void dispatch_set_script(struct dispatch *dispatch, struct script *script);
/* Gives the script what is ready. */
void dispatch_step(struct dispatch *dispatch);
/* Being handled or answered now. */
size_t dispatch_active(const struct dispatch *dispatch);
/* An earlier process ended while it was handled: it runs alone. */
void dispatch_suspect(struct dispatch *dispatch, struct inbox_entry *entry);
/* What a handler stored is recorded with its outcome. Takes the changes. */
void dispatch_changes_stand(struct dispatch *dispatch, struct changes *changes);
void dispatch_close(struct dispatch *dispatch);

#endif
