/* The tasks of one agent that others talk to by A2A (molecule serve). A request becomes a message
 * of the ledger; what its handler says and how it ends becomes the task's. Those that have not
 * ended are in memory, the others in the ledger alone.
 *
 * Watchers are told nothing before it is recorded, but for "working", which says nothing that could
 * be taken back; whoever asks for an open task (task_now) may see what is being recorded. All on
 * the network thread. */
#ifndef MOLECULE_DOORS_TASKS_H
#define MOLECULE_DOORS_TASKS_H

#include "base/uuid.h"
#include "doors/task.h"
#include "messages/door.h"
#include "wire/a2a.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct dispatch;
struct journal;
struct journal_loaded;
struct journal_notification;
struct journal_task;
struct webhooks;

#define TASKS_BUCKETS 1024
/* Tasks of one agent that have not ended; more are refused (A2A_UNAVAILABLE). */
#define TASKS_OPEN_MAXIMUM 20000

struct a2a_task;

/* Whoever is told what happens to a task. Embedded; yours. */
struct task_watcher {
    struct task_watcher *next, *previous; /* the rest is the tasks' */
    struct a2a_task *task;                /* NULL: it watches nothing */
    size_t skip;                          /* events that its first one contains already */
    json_t *first;                        /* … which is told when they are recorded */
    /* `response`: a StreamResponse of 1.0, borrowed; the first one is the task as it is. `record`:
     * the record as it is now, borrowed. `last`: the task has ended. Both NULL: it is gone, and
     * nothing is known of it. It may stop watching, and should after the last one. */
    void (*event)(struct task_watcher *watcher, const json_t *response, const json_t *record,
                  bool last);
};

struct said_waiting; /* a handler that waits until what it said is recorded */

struct a2a_task {
    struct a2a_task *bucket_next;
    struct tasks *tasks;
    char id[UUID_TEXT_SIZE];
    char *principal, *context_id;
    json_t *record;    /* with what is not recorded yet */
    json_t *ending;    /* the record as it will be when its message's end is recorded; NULL: it has
                          not ended */
    bool beginning;    /* it is being recorded for the first time */
    json_t *unsaid;    /* events that are not with the disk thread yet */
    json_t *saying;    /* … that are; NULL: nothing is */
    json_t *last_said; /* … that go with its end */
    struct journal_notification *last_notifications;
    json_t *places;        /* of its artifacts: task_places */
    size_t written, added; /* bytes of its document as recorded, and of pieces since then */
    size_t bytes;          /* of its artifacts, about */
    size_t old_bytes;      /* of its messages when it began, or was loaded, about */
    size_t said_bytes;     /* of what its client has said since it began, about */
    struct said_waiting *waiting, *recording;
    struct task_watcher *watchers;
};

struct tasks {
    /* the owner's */
    const char *agent_id; /* for the log */
    struct journal *journal;
    struct dispatch *dispatch;
    struct webhooks *webhooks;
    bool pushed;             /* the platform brings the messages: they are the canvas\'s */
    bool new_tasks;          /* a messageId that was used before begins another task */
    const char *error_reply; /* what a client is told of a message that failed; NULL: a default */
    /* upwards: a message is kept, and is to be handled; takes it */
    void (*admit)(void *context, struct journal_loaded *loaded);
    void *context;
    /* the tasks' */
    struct door door;
    struct a2a_task *buckets[TASKS_BUCKETS];
    size_t open;
    bool stopping; /* no task begins any more */
    bool closed;
};

void tasks_open(struct tasks *tasks);
/* What an earlier process left; takes the list. */
void tasks_load(struct tasks *tasks, struct journal_task *list);
/* After its journal, and before its dispatch. */
void tasks_close(struct tasks *tasks);

/* Of those that have not ended, or whose end is not told yet; NULL: none of this id that this
 * principal may see. */
struct a2a_task *tasks_find(const struct tasks *tasks, const char *principal, const char *id);
/* What it is now. Borrowed. */
const json_t *task_now(const struct a2a_task *task);

/* A message that begins a task, whose id is that of its message. `config`: of its notifications,
 * NULL: none; borrowed, with "version". NULL: `problem` says why not. A repeated one finds its task
 * if that has not ended (`*known`). If the ledger turns out to have it, the watchers get it as it
 * is there. */
struct a2a_task *tasks_begin(struct tasks *tasks, const char *principal, const json_t *message,
                             const json_t *metadata, const json_t *config, bool *known,
                             struct a2a_problem *problem);
/* A message that the platform pushed: its request, sound JSON, and its messageId. */
struct a2a_task *tasks_begin_pushed(struct tasks *tasks, const char *message_id,
                                    const char *request, size_t length,
                                    struct a2a_problem *problem);
/* Whoever waits for it will be told that the reply comes otherwise: `then` follows, when that is
 * recorded. false: it is ending. */
bool tasks_make_late(struct tasks *tasks, struct a2a_task *task, void (*then)(void *context),
                     void *context);
/* A message to a task that has not ended. false: `problem` says why not. */
bool tasks_continue(struct a2a_task *task, const json_t *message, const json_t *metadata,
                    const json_t *config, struct a2a_problem *problem);
/* Its handler is canceled; what becomes of that is told to its watchers. false: it has ended. */
bool tasks_cancel(struct tasks *tasks, struct a2a_task *task);
/* The configs of a task, as its record has them: replaced. */
void tasks_set_configs(struct tasks *tasks, struct a2a_task *task, json_t *configs);

/* Calls `event` with the task as it is, at once or soon, then with what happens. */
void tasks_watch(struct a2a_task *task, struct task_watcher *watcher);
void tasks_unwatch(struct task_watcher *watcher); /* one that watches nothing is fine */

/* All that have not ended and that this principal may see; yours to free(), not the tasks. */
struct a2a_task **tasks_list(const struct tasks *tasks, const char *principal, size_t *count);

#endif
