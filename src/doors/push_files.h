/* Files that the platform hands to a workspace it pushes to, and reads back (contract §1.16, §5):
 * <url>/internal/chat/uploads/ingest and /internal/file/read. They are kept in
 * <state-dir>/<id>.files, mode 0600. A file's URI is "workspace:" and PUSH_FILES_ROOT and its name
 * there, as the platform's own runtime names them. */
#ifndef MOLECULE_DOORS_PUSH_FILES_H
#define MOLECULE_DOORS_PUSH_FILES_H

#include "doors/a2a_server.h"

#define PUSH_FILES_ROOT "/workspace/.molecule/chat-uploads/"

struct a2a_exchange;

/* Each answers the exchange, at once or later. */
void push_files_take(struct a2a_exchange *exchange);
void push_files_give(struct a2a_exchange *exchange);
/* Blocks: on the disk thread. Removes those that were last changed before. */
void push_files_expire(const char *directory, int64_t before_ms);

#endif
