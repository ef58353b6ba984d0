/* What scripts ask of their host while a handler runs: the store, messages to peers and to the
 * canvas, files. */
#ifndef MOLECULE_MESSAGES_HOST_CALLS_H
#define MOLECULE_MESSAGES_HOST_CALLS_H

#include "messages/echoes.h"
#include "messages/inbox.h"
#include "script/script.h"

#include <stdbool.h>
#include <stdint.h>

struct door;
struct host_call;
struct journal;
struct link;
struct message;
struct observer;
struct questions;

struct host_calls {
    struct link *link;
    struct inbox *inbox;
    struct journal *journal; /* NULL: not opened, so nothing can be asked */
    struct echoes *echoes;
    const struct observer *observer;
    struct message_counts *counts;
    /* upwards: a peer's reply has gone to the handler that waited for it; the entry is finished */
    void (*answered)(void *context, struct inbox_entry *entry);
    /* a step of the message's handler is recorded */
    void (*advanced)(void *context, const char *row_id);
    /* the inbox should be looked at: host_calls_polled follows */
    void (*look)(void *context);
    void *context;
    struct questions *questions;
    const struct door *door;  /* as struct dispatch has it */
    struct host_call *first;  /* under way */
    bool closed;              /* the workspace is: every question is answered with a problem */
    char *upload_limits;      /* the platform's answer; NULL: not asked, or it says nothing */
    int64_t upload_limits_ms; /* when it was asked; 0: never */
};

/* Takes the question; script_answer follows, also when the workspace closes. */
void host_calls_ask(struct host_calls *calls, struct script_ask *ask);
/* A peer's reply that a handler is waiting for: it goes there, and `answered` follows. false:
 * nobody waits for it. */
bool host_calls_take_answer(struct host_calls *calls, struct inbox_entry *entry);
/* One that nobody waits for yet, or any longer: a handler that runs again and asks the same gets
 * it. */
void host_calls_remember_answer(struct host_calls *calls, const struct message *message);
/* Staged uploads that were read and may be forgotten by the platform. Does not wait for an
 * answer. */
void host_calls_acknowledge(struct host_calls *calls, const char *file_id);
/* A message is finished: what its conversation's next one says to the same receiver no longer has
 * to wait for its reply. */
void host_calls_go_on(struct host_calls *calls);
/* A poll that began then (monotonic) has read the inbox to its end, and its rows were taken in. */
void host_calls_polled(struct host_calls *calls, int64_t since_ms);
/* Tells the message's sender what no handler said: as a reply to it, or with `question` as a
 * message by itself. It is tried for a minute, and nobody hears how it went. */
void host_calls_say(struct host_calls *calls, const struct message *message, const char *text,
                    const char *purpose, bool question);
/* Questions that were posted before another client had the inbox are told again, if that is due. */
void host_calls_ask_again(struct host_calls *calls);
/* Everything under way is answered with a problem. Later questions are still taken. */
void host_calls_interrupt(struct host_calls *calls);
/* Like host_calls_interrupt, and frees what is left. */
void host_calls_close(struct host_calls *calls);

#endif
