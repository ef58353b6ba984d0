/* --record FILE: one JSON line per finished message, for people and for `molecule replay`. */
#ifndef MOLECULE_JOURNAL_TRANSCRIPT_H
#define MOLECULE_JOURNAL_TRANSCRIPT_H

#include "state/disk.h"
#include "wire/envelope.h"
#include "wire/reply_request.h"

/* Everything is borrowed for the call. */
struct transcript_line {
    const char *path, *workspace_id;
    const char *row_id;
    const struct message *message;     /* whole: its text and parts were not shed */
    const char *outcome, *reason;      /* reason NULL: none */
    const struct reply_request *reply; /* NULL: none */
    const char *calls;                 /* of script/calls.h, a JSON array; NULL: not known */
};

/* Appends {at, workspace, row_id, from, envelope, outcome, reason, reply, calls} on the disk
 * thread; secrets are hidden. A file that cannot be written is logged once and changes nothing
 * else. */
void transcript_write(struct disk *disk, const struct transcript_line *line);

#endif
