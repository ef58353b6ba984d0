/* Tells whoever watches the host what becomes of messages (molecule_options.on_event). Without a
 * watcher nothing happens. */
#ifndef MOLECULE_HOST_OBSERVER_H
#define MOLECULE_HOST_OBSERVER_H

#include <stdint.h>

struct inbox_entry;
struct workspace;

/* it is about to be posted */
void observer_reply(const struct workspace *workspace, const struct inbox_entry *entry);
void observer_later(const struct workspace *workspace, const struct inbox_entry *entry,
                    int64_t again_ms, const char *reason);
void observer_finished(const struct workspace *workspace, const struct inbox_entry *entry,
                       const char *outcome, const char *reason);

#endif
