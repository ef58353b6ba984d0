/* Which messages' handlers were running: <state-dir>/<workspace-id>.runs, one line of fixed size
 * for each that may run at once. A line is written before a handler starts and reused by a later
 * one, so counting an attempt costs one write to the page cache, which survives a crash of the
 * process. The ledger tells whether a line still counts.
 *
 * All functions may block on the disk; each may be called from any thread, and for one place from
 * one at a time. */
#ifndef MOLECULE_STATE_RUNS_H
#define MOLECULE_STATE_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* the platform does not return older rows (contract §4.10) */
#define RUNS_KEEP_MS ((int64_t)7 * 86400 * 1000)

struct runs;

/* How many of the files the process keeps open; the others are opened for each line. */
void runs_keep_open(int maximum);

/* Creates no file. */
struct runs *runs_open(const char *path);
void runs_close(struct runs *runs); /* NULL is fine */

/* Strings are borrowed. */
struct run {
    size_t place;
    const char *row_id;
    unsigned attempts, failures;
    int64_t started_ms; /* wall clock */
};

/* What an earlier process left in the last RUNS_KEEP_MS. true: it could be read, or there is no
 * file. */
bool runs_load(struct runs *runs, void (*each)(const struct run *run, void *context),
               void *context);
/* The handler of this message is about to start. false: `problem` says why that cannot be written.
 */
bool runs_mark(struct runs *runs, size_t place, const char *row_id, unsigned attempts,
               unsigned failures, char *problem, size_t problem_size);
/* It ended, through no fault of the message. */
void runs_clear(struct runs *runs, size_t place);

#endif
