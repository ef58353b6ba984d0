/* Saves how far the inbox was answered: the cursor file, written by the disk thread. The latest
 * wins, a few times a second at most, always at the end. */
#ifndef MOLECULE_JOURNAL_CURSOR_WRITER_H
#define MOLECULE_JOURNAL_CURSOR_WRITER_H

#include "base/reserve.h"
#include "base/thread.h"
#include "state/cursor.h"
#include "state/disk.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct journal;

/* What there is to save now; the texts are borrowed for the call. */
struct cursor_now {
    const char *watermark, *stamp;  /* NULL: nothing was finished yet */
    unsigned long deferred_changes; /* how often the list of deferred rows changed */
};

/* Borrowed for the life of the writer. */
struct cursor_writer_env {
    const char *workspace_id; /* for the log */
    struct journal *journal;
    struct disk *disk;
    struct thread *network;
    struct reserve *reserve;
    const size_t *workspaces; /* of the process: the more there are, the less often one saves */
    bool fleet;
    void (*look)(void *context, struct cursor_now *now);
    /* wall clock: every row created before is finished, or in the ledger; 0: unknown */
    int64_t (*covered_ms)(void *context);
    json_t *(*list_deferred)(void *context); /* the file's member; NULL: there are none; taken */
    void (*saved)(void *context);            /* cursor_writer_finish is done */
    void *context;
};

struct cursor_writer {
    struct cursor_writer_env env;
    struct cursor cursor; /* the disk thread's while `busy`; loaded by the owner */
    uv_timer_t timer;     /* the owner takes it off the loop */
    char *saved;          /* what the file holds, as far as we know */
    char *writing, *writing_stamp;
    bool busy, failing, final;
    bool lost; /* the file is gone, though `saved` is known: it must be written in any case */
    unsigned failures;
    int64_t last_save_ms;
    int64_t writing_covered_ms;
    json_t *writing_deferred;                       /* the disk thread's while `busy`; NULL: none */
    unsigned long deferred_changes, saved_deferred; /* as of what is written, and of the file */
    char problem[512];                              /* why it fails */
    char writing_problem[512]; /* the disk thread's while `busy`, as is `result` */
    bool result;
};

/* Its cursor was loaded. `saved`: what the file is known to hold, NULL: nothing; `lost`: it does
 * not, or not any more. */
void cursor_writer_open(struct cursor_writer *writer, const struct cursor_writer_env *env,
                        const char *saved, bool lost);
/* What there is to save may have changed. */
void cursor_writer_request(struct cursor_writer *writer);
/* A last save if one is needed, then `saved`. */
void cursor_writer_finish(struct cursor_writer *writer);
const char *cursor_writer_problem(const struct cursor_writer *writer); /* NULL: it works */
void cursor_writer_close(struct cursor_writer *writer);

#endif
