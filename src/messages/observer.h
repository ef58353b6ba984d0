/* Tells the embedding program what becomes of messages (molecule_options.on_event). Without an
 * observer nothing happens. */
#ifndef MOLECULE_MESSAGES_OBSERVER_H
#define MOLECULE_MESSAGES_OBSERVER_H

#include "molecule/event.h"

#include <stdint.h>

struct inbox_entry;
struct reply;
struct script_ask;
struct script_outcome;
struct script_said;

struct observer {
    void (*event)(void *context, const struct molecule_event *event); /* NULL: no observer */
    void *context;
    const char *workspace_id;
};

/* The script has loaded, for the first time or again; `problem`: it has not. */
void observer_script(const struct observer *observer, const char *problem);
/* Its handler is about to run. */
void observer_attempt(const struct observer *observer, const struct inbox_entry *entry);
void observer_said(const struct observer *observer, const struct script_said *said);
void observer_asked(const struct observer *observer, const struct script_ask *ask);
/* The answer is in it, or the problem. */
void observer_told(const struct observer *observer, const struct script_ask *ask, int64_t took_ms);
/* Its handler has ended. */
void observer_ended(const struct observer *observer, const struct inbox_entry *entry,
                    const struct script_outcome *outcome, int64_t wall_ms);
/* Its reply is about to be posted. */
void observer_reply(const struct observer *observer, const struct inbox_entry *entry);
/* Its reply is the result of its task. */
void observer_answer(const struct observer *observer, const struct inbox_entry *entry,
                     const struct reply *reply);
/* An A2A client is answered: JSON, as molecule/event.h has it. */
void observer_exchange(const struct observer *observer, const char *text);
void observer_later(const struct observer *observer, const struct inbox_entry *entry,
                    int64_t again_ms, const char *reason);
void observer_finished(const struct observer *observer, const struct inbox_entry *entry,
                       const char *outcome, const char *reason, const char *traceback);

#endif
