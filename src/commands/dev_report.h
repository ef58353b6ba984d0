/* What the host of `molecule dev` reports to the process that started it: one line of JSON for each
 * event, through a pipe. */
#ifndef MOLECULE_COMMANDS_DEV_REPORT_H
#define MOLECULE_COMMANDS_DEV_REPORT_H

#include "base/buffer.h"
#include "molecule/event.h"

#include <stdbool.h>
#include <uv.h>

/* In the host. For molecule_options.on_event: from any thread; returns when the line is in the
 * pipe. Of a reply it tells the digest and the length. */
void dev_report_write(int fd, const struct molecule_event *event);

/* In the other process. */
struct dev_report {
    uv_mutex_t mutex;
    int fd; /* -1: closed */
    struct buffer line;
    void (*event)(void *context, const struct molecule_event *event);
    /* Its reply with these bytes is about to be posted. */
    void (*reply)(void *context, const char *row_id, uint64_t digest, size_t length);
    void *context;
};

/* With the callbacks set, the rest zeroed. */
void dev_report_open(struct dev_report *report);
/* From now on it reads from here, which it will close; the rest of a line is dropped. */
void dev_report_attach(struct dev_report *report, int fd);
/* Passes on what is in the pipe, and does not wait. From any thread, but one at a time calls back.
 * false: the host has closed it. */
bool dev_report_drain(struct dev_report *report);
void dev_report_close(struct dev_report *report);

#endif
