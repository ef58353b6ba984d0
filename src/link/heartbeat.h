/* The heartbeat: at once after registration, then every --heartbeat-ms, on separate connections.
 * Nothing that the inbox, the script or the disk does can delay it, and none of its failures stops
 * the inbox. */
#ifndef MOLECULE_LINK_HEARTBEAT_H
#define MOLECULE_LINK_HEARTBEAT_H

#include "link/link.h"

/* What a heartbeat reports. Texts are borrowed for the call. */
struct heartbeat_snapshot {
    size_t active;         /* messages being handled or answered */
    bool handles;          /* at least one of them is handled: */
    const char *answering; /* its sender; NULL: the canvas */
    const char *problem;   /* of the state on disk; NULL: none */
    bool wedged;           /* the script does not return */
    int64_t uptime_ms;
};

struct heartbeat {
    struct link *link;
    void (*look)(void *context, struct heartbeat_snapshot *snapshot);
    void *context;
    struct call call;
    uv_timer_t timer;        /* the owner takes these two off the loop */
    uv_timer_t change_timer; /* until a change is reported */
    struct retry_backoff backoff;
    int64_t due_ms;
    int64_t told_ms;      /* when the last one was sent */
    int64_t succeeded_ms; /* wall clock; 0: none has */
    bool told_busy;       /* what it said */
    size_t active;        /* as of heartbeat_changed */
    unsigned beats; /* that succeeded, since the platform was asked how it shows the workspace */
    struct call standing; /* that question */
    bool running, stopped, failing;
    bool results[20]; /* of the last handlers: true is a failure */
    unsigned result_count, result_next;
    char sample[256]; /* the last failure's text */
    int64_t sample_ms;
};

void heartbeat_start(struct heartbeat *heartbeat);
void heartbeat_close(struct heartbeat *heartbeat);
/* A handler has ended. NULL: it succeeded. */
void heartbeat_record(struct heartbeat *heartbeat, const char *failure);
void heartbeat_now(struct heartbeat *heartbeat);
/* This many messages are being handled or answered now: if the platform shows otherwise, it is told
 * soon. */
void heartbeat_changed(struct heartbeat *heartbeat, size_t active);

#endif
