/* One question of a script's to its host, for the files that answer them: host_calls.c takes the
 * questions, host_call_platform.c talks to the platform, host_call_send.c knows what peers answer,
 * host_call_notify.c what the canvas was told. All on the network thread. */
#ifndef MOLECULE_MESSAGES_HOST_CALL_H
#define MOLECULE_MESSAGES_HOST_CALL_H

#include "base/uuid.h"
#include "link/delegated.h"
#include "messages/host_calls.h"
#include "messages/receipt.h"
#include "link/link.h"
#include "journal/journal.h"

#include <jansson.h>

/* the platform needs some time even when nobody waits for the peer */
#define HOST_CALL_LEAST_MS 10000

struct host_call {
    uv_timer_t timer; /* first: the next attempt, or the end of waiting */
    struct host_call *next;
    struct host_calls *calls;
    struct script_ask *ask; /* NULL: answered */
    struct call request_call;
    struct retry_backoff backoff;
    struct reply_request request;    /* SEND, NOTIFY */
    int64_t started_ms, deadline_ms; /* monotonic */
    bool recording;                  /* the disk thread has it */
    bool tried;                      /* it may have reached the platform */
    /* it waits for a reply to the same receiver; it has, and does not again */
    bool blocked, was_blocked;
    /* NOTIFY: looks for whether an earlier attempt showed it */
    struct receipt *receipt;
    struct delegated *delegated;         /* DELEGATE: its result is awaited */
    json_t *delegation;                  /* what the platform answered to it; NULL: nothing yet */
    char delegation_key[UUID_TEXT_SIZE]; /* DELEGATE: the same in each attempt */
    char *file_id;                       /* of an acknowledgment, which nobody waits for */
    struct question *question;           /* CLOSE: being recorded */
    bool looking;                        /* QUESTION, CLOSE: a poll is awaited */
    char problem[RETRY_REASON_SIZE];
};

/* What handlers have done for good is to be safe against power loss (--step-sync). */
bool host_call_durable(const struct host_call *call);
/* Asks the platform, now or when it may. */
void host_call_transmit(struct host_call *call);
/* What /uploads/limits said, where the platform has it, and how long a message may be. */
void host_call_answer_limits(struct host_call *call);
/* Answers the question, if it is still open, and ends the call once the disk thread is done with
 * it. Takes `value`. */
void host_call_answer(struct host_call *call, char *value, size_t length);
void host_call_fail(struct host_call *call, const char *problem, const char *code);
void host_call_end(struct host_call *call);

/* host_call_send.c. The question as the wire has it; false: it cannot be sent, and was
 * answered so. */
bool host_call_build_message(struct host_call *call);
/* The peer's answer to a message or a task is here, may have come earlier, or is yet to come. */
void host_call_take_result(struct host_call *call, const struct call_answer *given);
void host_call_know_answer(struct host_call *call);
void host_call_await_reply(struct host_call *call);
void host_call_await_delegation(struct host_call *call, const struct call_answer *given);

/* host_call_question.c. ctx.ask is recorded: JSON of the question (question_describe) and
 * `may_post`; null: it has its answer. Its post has arrived: JSON of its deadline (wall clock, ms),
 * or null. It ends: true: it has an answer, this one or another; false: not yet. */
void host_call_question(struct host_call *call);
void host_call_posted(struct host_call *call);
void host_call_close(struct host_call *call);

/* host_call_door.c: what is said of a message that came in through a door; false: it did not, and
 * the platform is asked. */
bool host_call_says(struct host_call *call);
/* A piece of a task's result (ctx.artifact). */
void host_call_artifact(struct host_call *call);

/* host_call_notify.c: tells the canvas, unless an earlier attempt of the handler did; it was told;
 * it may have been told. */
void host_call_show(struct host_call *call);
void host_call_shown(struct host_call *call);
void host_call_show_unsure(struct host_call *call, const struct call_answer *given);
void host_call_mark_unsure(struct host_call *call);

#endif
