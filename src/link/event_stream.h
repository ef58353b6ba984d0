/* The platform's event stream (contract §1.18), where it has one: a hint to poll now, never more.
 * It replays nothing, says nothing while nothing happens, and a proxy may hold it back; so polling
 * continues, and once a poll finds a message that the stream did not announce, the stream is
 * distrusted for minutes. Whatever becomes of it, the inbox notices only by its latency. */
#ifndef MOLECULE_LINK_EVENT_STREAM_H
#define MOLECULE_LINK_EVENT_STREAM_H

#include "link/announced.h"
#include "link/link.h"
#include "wire/sse.h"

struct event_stream {
    struct link *link;
    void (*hint)(void *context); /* there may be something new */
    void *context;
    struct announced *announced; /* what it announced; NULL: it was never started */
    struct http_exchange *http;  /* NULL: none is open or being opened */
    struct platform_request request;
    struct sse_reader events;
    /* the next attempt; while it is being opened: how long that may take. The owner takes all three
       off the loop */
    uv_timer_t timer;
    uv_timer_t news_timer;  /* what the stream said is acted upon outside of its callback */
    uv_timer_t doubt_timer; /* a message has not been announced yet */
    struct retry_backoff backoff;
    bool running;
    bool open;    /* it is up and trusted */
    bool refused; /* what came is not an event stream */
    bool away;    /* closed by us, until the platform takes requests again */
    bool news;    /* a message was announced since the last poll was asked for */
    bool said_missing;
    unsigned doubts; /* how often it was distrusted */
    int64_t opened_ms, announced_ms;
    bool flooded;            /* nothing more is read */
    size_t received;         /* bytes, until it is open */
    int64_t noise, noise_ms; /* recent bytes that led to no message, and as of when */
};

/* Asks the platform to announce what arrives. Polling continues, less often while it does. */
void event_stream_start(struct event_stream *stream);
/* The platform takes no requests: a server that is stopping waits for open streams, up to 30 s
 * (contract §12). */
void event_stream_let_go(struct event_stream *stream);
void event_stream_come_back(struct event_stream *stream); /* it does again */
void event_stream_follow(struct event_stream *stream);    /* where the platform moved, if it did */
bool event_stream_trusted(const struct event_stream *stream);
/* A poll that no hint prompted brought a message. */
void event_stream_doubt(struct event_stream *stream);
void event_stream_found(struct event_stream *stream); /* a poll found a message */
void event_stream_close(struct event_stream *stream);
void event_stream_free(struct event_stream *stream); /* after event_stream_close */

#endif
