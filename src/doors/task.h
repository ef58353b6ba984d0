/* A task of A2A, as its clients see it: a document (Task of A2A 1.0, [1.0 §4.1]) that changes by
 * events, and what the host keeps with it. No I/O. */
#ifndef MOLECULE_DOORS_TASK_H
#define MOLECULE_DOORS_TASK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The numbers are those of A2A's protobuf, and stand in the ledger.
 * X(enumerator, number, word, ended, the next message of its client answers) */
#define TASK_STATES(X)                                                  \
    X(TASK_SUBMITTED, 1, "TASK_STATE_SUBMITTED", false, false)          \
    X(TASK_WORKING, 2, "TASK_STATE_WORKING", false, false)              \
    X(TASK_COMPLETED, 3, "TASK_STATE_COMPLETED", true, false)           \
    X(TASK_FAILED, 4, "TASK_STATE_FAILED", true, false)                 \
    X(TASK_CANCELED, 5, "TASK_STATE_CANCELED", true, false)             \
    X(TASK_INPUT_REQUIRED, 6, "TASK_STATE_INPUT_REQUIRED", false, true) \
    X(TASK_REJECTED, 7, "TASK_STATE_REJECTED", true, false)             \
    X(TASK_AUTH_REQUIRED, 8, "TASK_STATE_AUTH_REQUIRED", false, true)
enum task_state {
#define X(name, number, text, ended, asks) name = number,
    TASK_STATES(X)
#undef X
};
const char *task_state_text(enum task_state state);
enum task_state task_state_of(const char *text); /* 0: none of this name */
bool task_state_ended(enum task_state state);
/* The task waits for its client: input-required, auth-required. */
bool task_state_asks(enum task_state state);

/* What the ledger has of it: {"task": Task, "configs": [TaskPushNotificationConfig with "version",
 * …], "said": {branch: number}, "message": the answer as a Message (or absent)}. */
#define TASK_DOCUMENT_MAXIMUM ((size_t)16 << 20) /* bytes of artifacts */
/* Of what the agent says while it works; older ones are dropped. */
#define TASK_HISTORY_MAXIMUM 100

/* A new record; the message is borrowed, and has its contextId. */
json_t *task_record_new(const char *id, const char *context_id, const json_t *message,
                        int64_t now_ms);
/* A copy whose parts may be changed without the other's (not those of messages and artifacts). */
json_t *task_record_copy(const json_t *record);
json_t *task_of_record(const json_t *record);                      /* borrowed */
enum task_state task_state(const json_t *task);                    /* 0: damaged */
int64_t task_updated_ms(const json_t *task);                       /* of its status; 0: damaged */
bool task_has_message(const json_t *task, const char *message_id); /* in its history */
void task_add_history(json_t *task, const json_t *message);

/* These change the task and return the event that says so (a StreamResponse), yours. */

/* `text_parts`: parts of 1.0, borrowed; NULL: no message. `message_id`: of that message. */
json_t *task_set_status(json_t *task, enum task_state state, const json_t *parts,
                        const char *message_id, int64_t now_ms);
/* `artifact`: as artifacts_take_one (wire/artifacts.h) gives it, borrowed. `append`: its parts come
 * after those of the artifact with this id; one that is not there begins. */
json_t *task_put_artifact(json_t *task, json_t *places, const char *artifact_id,
                          const json_t *artifact, bool append, bool last);
/* Where in the task each artifact is, by its id: an object, kept up by task_put_artifact. Yours. */
json_t *task_places(const json_t *task);
/* NULL: it has none of this id. Borrowed. */
const json_t *task_artifact(const json_t *task, const json_t *places, const char *artifact_id);
/* {said, events}: artifacts that the record got after it was written. */
void task_put_piece(json_t *record, json_t *places, const json_t *piece);

/* The task as a StreamResponse, yours. */
json_t *task_response(const json_t *task);
/* As a client asked for it: at most so many of its history's messages, the newest (-1: all; 0: no
 * history), with or without artifacts. A new reference. */
json_t *task_view(const json_t *task, json_int_t history, bool artifacts);

#endif
