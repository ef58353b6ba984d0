/* What a handler changes in the workspace's store, and whatever else happens only if its outcome
 * stands: collected on the worker, carried with the outcome, applied in the outcome's transaction.
 * Plain data, tied to no thread. */
#ifndef MOLECULE_BASE_CHANGES_H
#define MOLECULE_BASE_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANGES_BYTES_MAXIMUM (64 * 1024 * 1024) /* of one handler */

enum change_verb {
    CHANGE_SET,
    CHANGE_DELETE,
    CHANGE_INCR,  /* `value` is the number to add: replayed on what is stored by then */
    CHANGE_APPEND /* `value` goes to the end of the stored list, of which the last `most` stay */
};

struct change {
    struct change *next;
    enum change_verb verb;
    char *key;
    char *value;        /* JSON text; NULL for CHANGE_DELETE */
    int64_t made_ms;    /* wall clock: decides what has expired */
    int64_t expires_ms; /* wall clock; 0: never; -1: as it was (CHANGE_INCR, CHANGE_APPEND) */
    int64_t most;       /* CHANGE_APPEND; 0: no bound */
};

struct changes {
    struct change *first, **end;
    size_t bytes;
    /* ids of staged uploads that were read: acknowledged when the outcome stands */
    char **uploads;
    size_t upload_count;
    uint64_t locks; /* of the worker's: released when the outcome is recorded; 0: none */
};

/* The strings are copied. false: more than CHANGES_BYTES_MAXIMUM. */
bool changes_add(struct changes **changes, enum change_verb verb, const char *key,
                 const char *value, size_t value_length, int64_t expires_ms, int64_t most);
void changes_add_upload(struct changes **changes, const char *id);
struct changes *changes_make(void);
void changes_free(struct changes *changes); /* NULL is fine */

#endif
