/* The cursor file: <state-dir>/<workspace-id>.json, {"workspace_id": "…", "last_since_id": "…"}.
 * The Go client reads and writes the same file; keys that neither knows are kept. Mode 0600,
 * replaced atomically. */
#ifndef MOLECULE_STATE_CURSOR_H
#define MOLECULE_STATE_CURSOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct cursor {
    char *path;
    char *workspace_id;
    char *last_since_id; /* NULL: none yet */
    json_t *members;     /* the object as read, including unknown keys */
};

enum cursor_status {
    CURSOR_LOADED,
    CURSOR_ABSENT, /* no file: a first start */
    /* unreadable, not our JSON, or another workspace's; `problem` says so with the path */
    CURSOR_DAMAGED
};

/* Always leaves a cursor that cursor_save and cursor_free may be given. */
enum cursor_status cursor_load(struct cursor *cursor, const char *path, const char *workspace_id,
                               char *problem, size_t problem_size);
/* Writes `last_since_id` (NULL: the key is removed). Blocks on the disk. false: the old file
 * stands, `problem` says why. */
bool cursor_save(struct cursor *cursor, const char *last_since_id, char *problem,
                 size_t problem_size);
void cursor_free(struct cursor *cursor);

#endif
