/* What the files of the tasks share. Only they include this. */
#ifndef MOLECULE_DOORS_TASKS_PRIVATE_H
#define MOLECULE_DOORS_TASKS_PRIVATE_H

#include "doors/tasks.h"
#include "journal/journal.h"

/* The task by its message; NULL: none. */
struct a2a_task *tasks_of_message(const struct tasks *tasks, const struct message *message);
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
/* Its end is recorded: told, and forgotten here. */
void task_end(struct a2a_task *task);
/* tasks_door.c */
void tasks_door_open(struct tasks *tasks);

#endif
