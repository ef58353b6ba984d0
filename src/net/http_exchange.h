/* What the files of the HTTP client share. Only they include this, and with it curl.h. */
#ifndef MOLECULE_NET_HTTP_EXCHANGE_H
#define MOLECULE_NET_HTTP_EXCHANGE_H

#include "net/http_client.h"

#include "base/buffer.h"
#include "net/address_watch.h"
#include "net/http_trust.h"
#include "net/parsed_urls.h"

#include <curl/curl.h>

struct http_client {
    CURLM *multi;
    uv_loop_t *loop;
    uv_timer_t *timer;
    uv_idle_t *soon;  /* libcurl wants to be called with the loop's next turn */
    char *user_agent; /* a header line; NULL: none */
    struct http_trust trust;
    long read_size; /* 0: libcurl's own */
    bool keep_addresses;
    /* the last connection failed: ask the resolver again; shared as `share` is */
    bool *addresses_failed;
    bool own_addresses_failed;
    /* of a client that keeps addresses; shared as `share` is. NULL: none */
    struct address_watch *watch;
    CURLSH *share;
    bool owns_share;
    /* this libcurl can use an easy handle for several requests in turn */
    bool reuses_handles;
    struct parsed_urls urls; /* of plain exchanges: scripts' go everywhere */
    /* finished, with their easy handles if those may be reused; linked by `next` */
    struct http_exchange *pool;
    size_t pooled;
    struct socket_slot *sockets; /* by descriptor */
    size_t socket_count;
    struct watched_socket *kept;     /* those that libcurl keeps for later */
    struct http_exchange *exchanges; /* under way, doubly linked */
    size_t active;
};

struct http_exchange {
    struct http_client *client;
    struct http_exchange *next, *previous;
    CURL *easy;
    struct curl_slist *headers; /* an array, linked */
    struct parsed_url *url;     /* NULL: libcurl parses it */
    struct buffer body;
    size_t header_bytes;
    size_t request_length;
    bool prepared; /* what set_common sets is set */
    bool too_large, header_flood, general, forbidden;
    bool stale; /* its connection must not be used; `again`: it was restarted for that reason */
    bool again;
    curl_socket_t socket; /* of its last send, where known */
    /* the request wants to know whether its bytes were acknowledged: `sent_over` is the socket */
    bool watched_delivery;
    /* when that was closed: some were not; the other side had not ended it */
    bool held, not_ended;
    curl_socket_t sent_over;
    long connects; /* how many connections it had opened by then */
    bool repeated; /* refused: libcurl was about to send it again */
    const struct allowed_hosts *only_hosts, *public_except;
    bool public_only;
    const char *public_option;
    size_t received, response_maximum;
    int sends; /* how often libcurl was about to send the request */
    int64_t sent_at_ms;
    bool (*on_data)(void *context, const char *bytes, size_t length);
    http_callback *callback;
    void *context;
    char error[CURL_ERROR_SIZE]; /* from here on nothing need be zeroed but the first bytes */
    char refusal[800];           /* of `forbidden` */
};

/* net/http_client.c: calls back whoever waits for what libcurl has finished */
void http_read_messages(struct http_client *client);

/* net/http_exchange.c: ends it without a callback */
void http_exchange_release(struct http_exchange *exchange);
void http_exchange_free(struct http_exchange *exchange); /* one of the client's pool */
/* Nothing was sent, and the connection is closed: once more, on another one. */
void http_exchange_start_again(struct http_exchange *exchange);

/* net/http_setup.c: the easy handle's options for this request */
void http_setup(struct http_exchange *exchange, const struct http_request *request);

/* net/http_destination.c: whether it may go to where its URL or the last redirect leads, and to an
 * address there. If not, `forbidden` and `refusal` are set. */
bool http_destination_named(struct http_exchange *exchange);
bool http_destination_reached(struct http_exchange *exchange, bool is_public);

/* net/http_reuse.c: for CURLOPT_PREREQFUNCTION */
int http_reuse_check(void *exchange, char *remote, char *local, int remote_port, int local_port);

/* net/http_result.c: for CURLOPT_XFERINFOFUNCTION, _WRITEFUNCTION and _HEADERFUNCTION */
int http_result_progress(void *exchange, curl_off_t down_total, curl_off_t down,
                         curl_off_t up_total, curl_off_t up);
size_t http_result_body(char *bytes, size_t size, size_t count, void *exchange);
size_t http_result_header(char *bytes, size_t size, size_t count, void *exchange);
/* libcurl has finished: the callback, unless it starts again. */
void http_result_finish(struct http_exchange *exchange, CURLcode code);

/* net/http_sockets.c: libcurl's sockets and its clock, on the loop */
void http_sockets_open(struct http_client *client);
void http_sockets_attach(struct http_client *client, CURLM *multi);
/* The kept connection with this local port; CURL_SOCKET_BAD: none. */
curl_socket_t http_sockets_kept(const struct http_client *client, int local_port);
/* The connection with these ports, even if libcurl's kept ones are not watched; CURL_SOCKET_BAD:
 * none. */
curl_socket_t http_sockets_find(struct http_client *client, int local_port, int remote_port);
/* The exchange goes over the connection with these ports: when that is closed before
 * http_sockets_sent, its `held` and `not_ended` are set. CURL_SOCKET_BAD: none. */
curl_socket_t http_sockets_send(struct http_client *client, struct http_exchange *exchange,
                                int local_port, int remote_port);
void http_sockets_sent(struct http_client *client, const struct http_exchange *exchange);
/* Several answers share it (HTTP/2): what waits on it says nothing about the next. */
void http_sockets_note_multiplexed(struct http_client *client, curl_socket_t socket);
bool http_sockets_multiplexed(const struct http_client *client, curl_socket_t socket);
/* for CURLOPT_OPENSOCKETFUNCTION and CURLOPT_CLOSESOCKETFUNCTION */
curl_socket_t http_sockets_open_one(void *exchange, curlsocktype purpose,
                                    struct curl_sockaddr *address);
int http_sockets_close_one(void *client, curl_socket_t socket);
void http_sockets_close(struct http_client *client);

#endif
