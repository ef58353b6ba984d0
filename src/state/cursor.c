#include "state/cursor.h"

#include "base/decimal.h"
#include "base/memory.h"
#include "state/atomic_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FILE_MAXIMUM (1024 * 1024)

static enum cursor_status damaged(struct cursor *cursor, char *problem, size_t size,
                                  const char *what)
{
    snprintf(problem, size, "the state file %s %s", cursor->path, what);
    return CURSOR_DAMAGED;
}

enum cursor_status cursor_load(struct cursor *cursor, const char *path, const char *workspace_id,
                               char *problem, size_t problem_size)
{
    *cursor = (struct cursor){.path = memory_copy_text(path),
                              .workspace_id = memory_copy_text(workspace_id)};
    size_t length;
    int error;
    char what[256];
    char *bytes = atomic_file_read_own(path, FILE_MAXIMUM, &length, &error);
    if (!bytes && error == ENOENT)
        return CURSOR_ABSENT;
    if (!bytes) {
        snprintf(what, sizeof what, "cannot be read: %s",
                 error == ELOOP ? "symbolic links are not followed" : strerror(error));
        return damaged(cursor, problem, problem_size, what);
    }
    json_error_t place;
    json_t *members = json_loadb(bytes, length, 0, &place);
    free(bytes);
    if (!json_is_object(members)) {
        snprintf(what, sizeof what, "is damaged: %s",
                 members ? "it is not a JSON object" : place.text);
        json_decref(members);
        return damaged(cursor, problem, problem_size, what);
    }
    const json_t *owner = json_object_get(members, "workspace_id"),
                 *last = json_object_get(members, "last_since_id");
    if (owner &&
        (!json_is_string(owner) || strcasecmp(json_string_value(owner), workspace_id) != 0)) {
        json_decref(members);
        return damaged(cursor, problem, problem_size, "belongs to another workspace");
    }
    if (last && !json_is_string(last) && !json_is_null(last)) {
        json_decref(members);
        return damaged(cursor, problem, problem_size, "is damaged: last_since_id is not a string");
    }
    cursor->members = members;
    if (json_is_string(last) && json_string_length(last) > 0)
        cursor->last_since_id = memory_copy_text(json_string_value(last));
    return CURSOR_LOADED;
}

bool cursor_save(struct cursor *cursor, const char *last_since_id, char *problem,
                 size_t problem_size)
{
    if (!cursor->members)
        cursor->members = json_object();
    bool set = cursor->members && json_object_set_new(cursor->members, "workspace_id",
                                                      json_string(cursor->workspace_id)) == 0;
    if (last_since_id)
        set = set && json_object_set_new(cursor->members, "last_since_id",
                                         json_string(last_since_id)) == 0;
    else if (set)
        json_object_del(cursor->members, "last_since_id");
    char *text = set ? json_dumps(cursor->members, JSON_INDENT(2)) : NULL;
    if (!text) {
        snprintf(problem, problem_size, "cannot write %s: out of memory", cursor->path);
        return false;
    }
    bool saved = atomic_file_write(cursor->path, text, decimal_shorten(text, strlen(text)), problem,
                                   problem_size);
    free(text);
    if (saved) {
        free(cursor->last_since_id);
        cursor->last_since_id = memory_copy_text(last_since_id);
    }
    return saved;
}

void cursor_free(struct cursor *cursor)
{
    free(cursor->path);
    free(cursor->workspace_id);
    free(cursor->last_since_id);
    json_decref(cursor->members);
    *cursor = (struct cursor){0};
}
