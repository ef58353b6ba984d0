/* Fetches the inbox: a window at first and after a pruned cursor, else what follows the last row
 * seen. No outcome ends this loop: it waits and retries. */
#ifndef MOLECULE_LINK_POLLER_H
#define MOLECULE_LINK_POLLER_H

#include "link/batch.h"
#include "link/deferred.h"
#include "link/event_stream.h"
#include "link/link.h"
#include "link/reread.h"

/* Upwards: who takes the rows in. */
struct poller_events {
    bool (*has_room)(void *context);
    /* There is no room: makes some if it can. poller_resume follows when there is some; the poller
       also checks by itself. */
    void (*make_room)(void *context);
    /* The row was taken in already. */
    bool (*knows)(void *context, const char *row_id);
    /* A batch, complete and in order. It is the taker's until poller_taken, which comes at once or
       later. */
    void (*arrived)(void *context, struct batch *batch);
};

struct poller {
    struct link *link;
    struct event_stream *stream;
    struct poller_events events;
    void *context; /* of the events */
    struct call call;
    uv_timer_t timer; /* the owner takes it off the loop */
    struct retry_backoff backoff;
    char *position;       /* since_id of the next fetch; NULL: by window */
    int64_t last_poll_ms; /* wall clock; of the last one that succeeded, also of an earlier run; 0:
                             none */
    int64_t polled_ms;    /* monotonic; of this process's last one that succeeded; 0: none */
    /* wall clock: every row created before was fetched, also by an earlier run; 0: unknown */
    int64_t covered_ms;
    int64_t covered_boot_ms; /* the same on a clock that nobody sets; 0: of an earlier run */
    /* its value once the batch is taken in; 0: unchanged */
    int64_t covering_ms;
    /* wall clock: when the poll under way began; of a window that is paged: its first */
    int64_t asked_wall_ms;
    int64_t asked_ms; /* the same, monotonic, of the last one */
    int64_t began_ms; /* the same, monotonic, of the first one of a window that is paged */
    /* of the last window: how far back it reached, and from when */
    int64_t window_s, window_asked_ms;
    int limit; /* rows a page, halved when a page is too large */
    int asked; /* the limit of the poll under way */
    unsigned lookup_failures;
    bool running, failing, paused;
    bool spread; /* in a fleet, polls have their place in the interval */
    struct batch batch;
    bool taking;  /* the batch is the taker's */
    bool more;    /* the last poll's page was full */
    bool hinted;  /* there may be something new that no poll has looked for */
    bool wanted;  /* somebody waits for a poll that begins after now */
    bool by_hint; /* a hint prompted the poll under way, not a full page before it */
    /* of the poll under way: a hint prompted it; the event stream was open when it began */
    bool expected, watched;
    int64_t hint_free_ms; /* when a hint may lead to the next poll */
    int64_t hint_wait_ms; /* between two such polls: longer after each that found nothing */
    bool seen_end; /* of the inbox, since the start or the last window: what follows is new */
    struct reread *reread;
    struct deferred *deferred; /* what a lost ledger held and is still missing; NULL: nothing */
    char *recovered_to; /* how far back that search has come: a created_at; NULL: not begun */
};

/* The owner sets the first members. `anchor`: an older row to re-read from once, for what was
 * committed late; NULL: none. */
void poller_open(struct poller *poller, const char *cursor, const char *anchor, int64_t covered_ms);
/* Messages from a lost ledger: they are fetched again before anything else. Takes them; NULL is
 * fine. */
void poller_recover(struct poller *poller, struct deferred *deferred);
void poller_start(struct poller *poller);
void poller_resume(struct poller *poller); /* there may be room again */
void poller_hint(struct poller *poller);   /* there may be something new: poll soon */
/* What the inbox has must be known: poll soon, whether or not there is anything new. */
void poller_look(struct poller *poller);
/* The batch was taken in. `found`: it had an unknown message. */
void poller_taken(struct poller *poller, bool found);
void poller_close(struct poller *poller); /* stops fetching */
void poller_free(struct poller *poller);  /* after poller_close */

#endif
