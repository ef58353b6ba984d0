/* A small HTTP/1.1 server for measuring: one thread, epoll, keep-alive, loopback only. It is made
 * to cost little, not to withstand anybody: what is not a request it understands closes the
 * connection. A failed system call ends the process. */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct connection;

/* One request, whole. Everything points into the connection's input and is gone when the handler
 * returns. */
struct request {
    bool post;          /* else GET */
    const char *target; /* path and query, NUL-terminated */
    const char *body;
    size_t body_length;
    /* the exact bytes, head and body; `target` is cut with a NUL in them */
    const char *whole;
    size_t whole_length;
    int64_t read_ns; /* when its last byte was read */
};

struct server_handlers {
    void (*request)(struct connection *connection, const struct request *request);
    void (*tick)(void); /* the timer of server_every; NULL: none */
    /* everything that was there to read has been handled */
    void (*settled)(void);
    /* it will be freed; not called for the ones open at the end */
    void (*closed)(struct connection *connection);
};

/* Listens on 127.0.0.1 and returns the port. */
int server_open(const struct server_handlers *handlers);
/* Runs until SIGTERM or SIGINT. */
void server_run(void);
/* Calls `tick` every so many microseconds from now on; 0: stops. */
void server_every(int64_t microseconds);

/* Each request is answered once, at once or later, with a JSON body. `sent` (may be NULL) is told
 * when the last byte was given to the kernel, and when that call began. */
void server_answer(struct connection *connection, int status, const char *body, size_t length,
                   void (*sent)(void *context, int64_t began_ns), void *context);
/* Begins an answer without an end: text/event-stream in chunks. */
void server_stream(struct connection *connection);
void server_chunk(struct connection *connection, const char *bytes, size_t length);

int64_t server_now_ns(void); /* CLOCK_MONOTONIC */

#endif
