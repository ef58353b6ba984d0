/* --record FILE: one JSON line per finished message, for people and for `molecule replay`. */
#ifndef MOLECULE_HOST_TRANSCRIPT_H
#define MOLECULE_HOST_TRANSCRIPT_H

#include "host/inbox.h"

struct workspace;

/* Appends {at, workspace, row_id, from, envelope, outcome, reason, reply} on the disk thread;
 * secrets are hidden. Does nothing without --record. A file that cannot be written is said once and
 * changes nothing else. */
void transcript_write(struct workspace *workspace, struct inbox_entry *entry, const char *outcome,
                      const char *reason);

#endif
