/* What the files of the tasks share. Only they include this. */
#ifndef MOLECULE_DOORS_TASKS_PRIVATE_H
#define MOLECULE_DOORS_TASKS_PRIVATE_H

#include "doors/tasks.h"
#include "journal/journal.h"

struct said_waiting {
    struct said_waiting *next;
    void (*then)(void *context, const char *problem, const char *code);
    void *context;
};

/* Calls them, and frees the list; `problem`: it was not recorded, NULL: it was. */
void said_waiting_free(struct said_waiting **list, const char *problem);

/* --- tasks.c --- */

struct a2a_task *tasks_find_id(const struct tasks *tasks, const char *id);
/* Takes the record. */
struct a2a_task *tasks_add(struct tasks *tasks, const char *id, const char *principal,
                           const char *context_id, json_t *record);
void task_drop(struct a2a_task *task); /* whoever watches it is told that it is gone */
void task_tell_all(struct a2a_task *task, const json_t *event, bool last);
/* `end`: the last of them is the last one of the task. */
void task_tell_each(struct a2a_task *task, const json_t *events, bool end);
/* The task by its message; NULL: none. */
struct a2a_task *tasks_of_message(const struct tasks *tasks, const struct message *message);
/* Its end is recorded: told, and forgotten here. */
void task_end(struct a2a_task *task);

/* --- tasks_record.c --- */

void notifications_free(struct journal_notification *list);
void task_post_notifications(struct a2a_task *task, struct journal_notification *list);
/* Sends what was not said yet to the disk thread. */
void task_record(struct a2a_task *task);
/* An event has changed the task: it is recorded, then told. Takes the event. `then` may be NULL. */
void task_happens(struct a2a_task *task, json_t *event,
                  void (*then)(void *context, const char *problem, const char *code),
                  void *context);
/* Told at once, where nothing waits to be told before it. Takes it. */
void task_mention(struct a2a_task *task, json_t *event);
/* How it is recorded; the caller's. `events`: those that its webhooks are told. */
struct journal_task *task_to_record(struct a2a_task *task, const json_t *record,
                                    const json_t *events);
/* Of what is to be recorded; yours. */
struct journal_notification *task_copy_notifications(const struct journal_task *row);

/* tasks_door.c */
void tasks_door_open(struct tasks *tasks);

#endif
