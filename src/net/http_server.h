/* A small HTTP/1.1 server on one libuv loop, without threads. Every function is called on that
 * loop's thread.
 *
 * A request is handed over once it is whole. Whoever gets it holds it until exactly one of these
 * happens: http_request_answer, http_request_reset, http_stream_end, or on_gone (the client went
 * away, or the server closes and on_gone is not even called). After that the pointer is dead. The
 * accessors work while it is held. A client that closes its sending side while waiting counts as
 * gone. */
#ifndef MOLECULE_NET_HTTP_SERVER_H
#define MOLECULE_NET_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* a larger request body is answered with 413 by the server */
#define HTTP_SERVER_BODY_MAXIMUM ((size_t)104 << 20)
/* what may wait for a slow reader of a stream */
#define HTTP_SERVER_STREAM_MAXIMUM ((size_t)16 << 20)
#define HTTP_SERVER_CONNECTIONS 4096

struct http_server;
struct http_request;

struct http_server_options {
    const char *address; /* an IP address; NULL: 127.0.0.1 */
    uint16_t port;       /* 0: any free one */
    void (*on_request)(struct http_request *request, void *context);
    void (*on_gone)(struct http_request *request, void *context); /* may be NULL */
    void *context;
};

/* NULL: `problem` says why in one sentence ("127.0.0.1:8080 is in use by another program"). */
struct http_server *http_server_open(uv_loop_t *loop, const struct http_server_options *options,
                                     char *problem, size_t problem_size);
uint16_t http_server_port(const struct http_server *server);

/* Ends every connection and drops every request held. Not from within on_request or on_gone. The
 * loop has to turn once more to release the handles. */
void http_server_close(struct http_server *server);

const char *http_request_method(const struct http_request *request);
/* percent-decoded, without the query */
const char *http_request_path(const struct http_request *request);
const char *http_request_body(const struct http_request *request, size_t *length);

/* `value` is followed by a NUL that `length` does not count. */
typedef void http_pair_visitor(const char *name, const char *value, size_t length, void *context);
void http_request_each_header(struct http_request *request, http_pair_visitor *visit,
                              void *context);
void http_request_each_argument(struct http_request *request, http_pair_visitor *visit,
                                void *context);

/* For whoever holds the request. */
void http_request_set_data(struct http_request *request, void *data);
void *http_request_data(const struct http_request *request);

struct http_header {
    const char *name, *value;
};

struct http_answer {
    int status;                        /* 200..599 */
    const struct http_header *headers; /* copied */
    size_t header_count;
    const char *body; /* copied */
    size_t length;
    unsigned delay_ms; /* before the first byte of the answer */
    /* after `cut_after` bytes of the body the connection is reset (RST) */
    bool cut;
    size_t cut_after;
    size_t drip_bytes; /* >0: that many bytes of the body at a time, */
    unsigned drip_ms;  /* this far apart */
};

void http_request_answer(struct http_request *request, const struct http_answer *answer);

/* Closes the connection with an RST, before any byte of an answer. */
void http_request_reset(struct http_request *request);

/* The head of an answer whose body is sent in pieces; the request stays held until http_stream_end
 * or on_gone. */
void http_stream_begin(struct http_request *request, int status, const struct http_header *headers,
                       size_t count);
/* false: the reader is too slow and HTTP_SERVER_STREAM_MAXIMUM bytes wait; nothing was taken. */
bool http_stream_send(struct http_request *request, const char *bytes, size_t length);
void http_stream_end(struct http_request *request);

#endif
