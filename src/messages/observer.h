/* Tells the embedding program what becomes of messages (molecule_options.on_event). Without an
 * observer nothing happens. */
#ifndef MOLECULE_MESSAGES_OBSERVER_H
#define MOLECULE_MESSAGES_OBSERVER_H

#include "molecule/event.h"

#include <stdint.h>

struct inbox_entry;

struct observer {
    void (*event)(void *context, const struct molecule_event *event); /* NULL: no observer */
    void *context;
    const char *workspace_id;
};

void observer_started(const struct observer *observer, const struct inbox_entry *entry);
/* Its reply is about to be posted. */
void observer_reply(const struct observer *observer, const struct inbox_entry *entry);
void observer_later(const struct observer *observer, const struct inbox_entry *entry,
                    int64_t again_ms, const char *reason);
void observer_finished(const struct observer *observer, const struct inbox_entry *entry,
                       const char *outcome, const char *reason, const char *traceback);

#endif
