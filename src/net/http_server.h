/* An HTTP/1.1 server on one libuv loop, without threads, safe to face strangers. Every function is
 * called on that loop's thread.
 *
 * A request is handed over once it is whole (on_request), or also before its body is read
 * (on_head). Whoever gets it holds it until exactly one of these happens: http_request_answer,
 * http_request_reset, http_stream_end, or on_gone (the client went away; if the server closes,
 * on_gone is not even called). After that the pointer is dead. The accessors work while it is held.
 * A client that closes its sending side while waiting counts as gone.
 *
 * Malformed heads are answered with 4xx (an HTTP version that is not 1.0 or 1.1: 400 or 505), and
 * the connection is closed: both Content-Length and Transfer-Encoding, repeated Content-Length or
 * Host, folded lines, a bare LF, CR or NUL, a space before the colon, a length that is not plain
 * digits, a transfer coding that is not chunked, an absolute-form target of another host than that
 * of Host.
 *
 * What libmicrohttpd 0.9.75 reads in its way and we cannot see: chunk extensions and trailers are
 * skipped, and a bare LF may end a chunk's line, so a chunked request is the last of its
 * connection. Lines before a request that are empty or begin with a NUL are skipped. A NUL beside
 * an LF can stand for a CR or LF, and a line of a colon and LF for the end of the head. Its answers
 * to what it cannot parse have no X-Request-Id.
 *
 * There is no TLS: late clients are answered past libmicrohttpd, on the socket. Put a proxy before
 * the server, on a unix socket or a loopback address. */
#ifndef MOLECULE_NET_HTTP_SERVER_H
#define MOLECULE_NET_HTTP_SERVER_H

#include "base/host_name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define HTTP_SERVER_BODY_MAXIMUM ((size_t)104 << 20)  /* default of body_bytes */
#define HTTP_SERVER_STREAM_MAXIMUM ((size_t)16 << 20) /* default of stream_bytes */
#define HTTP_SERVER_CONNECTIONS 4096                  /* default of connections */
#define HTTP_SERVER_KEPT 1024                         /* default of kept_connections */
#define HTTP_SERVER_UNLIMITED UINT32_MAX              /* for a limit that says so */

struct http_server;
struct http_request;

/* 0 stands for the default. */
struct http_server_limits {
    size_t head_bytes;    /* request line and headers (64 KiB); more: 431, or 414 */
    size_t headers;       /* (100); more: 431 */
    size_t body_bytes;    /* more: 413, by Content-Length or when it has arrived */
    size_t stream_bytes;  /* what may wait for a slow reader of a stream */
    unsigned connections; /* at once; never more than the descriptor limit allows. Others wait */
    unsigned per_client;  /* connections of an IP address (unlimited); more are closed */
    unsigned head_ms;     /* for a whole head (10 s), or UNLIMITED; then 408 */
    unsigned body_ms;     /* for a whole body (60 s), or UNLIMITED; then 408 */
    unsigned idle_ms;     /* between requests, and for a reader who takes nothing (75 s), or
                           * UNLIMITED; then closed */
    /* Connections that stay open after an answer, or UNLIMITED; others are told "Connection:
     * close". libmicrohttpd then keeps about head_bytes + 11 KiB for each; a stream takes half of
     * that and 10 KiB. With many of either, choose head_bytes of 16 KiB. */
    unsigned kept_connections;
};

struct http_server_options {
    const char *address; /* an IP address; NULL: 127.0.0.1. Not used if there is a list */
    uint16_t port;       /* 0: any free one */
    /* Places: "127.0.0.1:8080", "[::1]:0", "unix:/path" (mode 0660), or "systemd" for the sockets
     * of socket activation (LISTEN_FDS; its variables are unset). */
    const char *const *listen;
    size_t listen_count;
    struct http_server_limits limits;
    bool trust_proxy; /* believe X-Forwarded-For, X-Forwarded-Host, Forwarded and X-Request-Id */
    /* Web origins ("https://example.org") that may read answers; copied. */
    const char *const *cors_origins;
    size_t cors_origin_count;
    const char *access_log_name; /* subject of a debug line per request; copied; NULL: none */
    /* Before any byte of the body is read; may be NULL. true: read it, on_request follows, or
     * on_gone if the client leaves or the body is refused. false: answered, or it will be, and the
     * body is not read. To a client that expects "100 Continue" it is sent only after true. */
    bool (*on_head)(struct http_request *request, void *context);
    void (*on_request)(struct http_request *request, void *context);
    void (*on_gone)(struct http_request *request, void *context); /* may be NULL */
    void *context;
};

/* NULL: `problem` says why in one sentence ("127.0.0.1:8080 is in use by another program"). */
struct http_server *http_server_open(uv_loop_t *loop, const struct http_server_options *options,
                                     char *problem, size_t problem_size);
/* Of the first place; 0 for a unix socket. */
uint16_t http_server_port(const struct http_server *server);
/* Where the server really listens: "http://127.0.0.1:38211", "unix:/path". false: there are at most
 * `index` places. "systemd" may stand for several. */
bool http_server_place(const struct http_server *server, size_t index, char *text, size_t size);

/* Ends every connection and drops every request held. Not from within a callback. The loop has to
 * turn once more to release the handles. */
void http_server_close(struct http_server *server);

const char *http_request_method(const struct http_request *request);
/* percent-decoded, without the query */
const char *http_request_path(const struct http_request *request);
/* Empty in on_head. */
const char *http_request_body(const struct http_request *request, size_t *length);
/* The first of that name, in any case; NULL: absent. Valid while the request is held. */
const char *http_request_header(const struct http_request *request, const char *name);
/* Of the query, percent-decoded; NULL: absent, "" also without "=". */
const char *http_request_argument(const struct http_request *request, const char *name);
/* The client's IP address, or "unix". With trust_proxy the last hop that the proxy tells. */
const char *http_request_client(const struct http_request *request);
/* The host that the client asks for, as host_name_take has it; with trust_proxy the one that the
 * last proxy tells. false: none. */
bool http_request_host(struct http_request *request, char name[HOST_NAME_SIZE]);
/* At most 64 of A-Z a-z 0-9 . _ -; also sent as X-Request-Id. */
const char *http_request_id(const struct http_request *request);

/* `value` is followed by a NUL that `length` does not count. */
typedef void http_pair_visitor(const char *name, const char *value, size_t length, void *context);
void http_request_each_header(struct http_request *request, http_pair_visitor *visit,
                              void *context);
void http_request_each_argument(struct http_request *request, http_pair_visitor *visit,
                                void *context);

/* Of a body that is multipart/form-data: called with each piece of a file's bytes, in order;
 * `first` begins a file. Texts are borrowed, and NULL where absent. false ends it. */
typedef bool http_file_visitor(void *context, const char *field, const char *name, const char *type,
                               const char *bytes, size_t length, bool first);
/* In on_request. false: the body is no such form, or is cut short, or the visitor ended it. */
bool http_request_each_file(struct http_request *request, http_file_visitor *visit, void *context);

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
/* false: the reader is too slow and stream_bytes wait; nothing was taken. Unless the stream is
 * ended now, its connection is reset in the loop's next turn, with on_gone. */
bool http_stream_send(struct http_request *request, const char *bytes, size_t length);
void http_stream_end(struct http_request *request);

#endif
