/* Before libcurl sends a request: not over a kept connection with unread input, and never twice
 * what must take effect once. */
#include "net/http_exchange.h"

#include "base/clock.h"
#include "net/public_address.h"

#include <string.h>
#include <sys/socket.h>

/* Idempotent methods: the server may be asked twice. */
static bool may_repeat(struct http_exchange *exchange)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"};
    char *method = NULL; /* of this send: a redirect may have changed it */
    curl_easy_getinfo(exchange->easy, CURLINFO_EFFECTIVE_METHOD, &method);
    for (size_t i = 0; method && i < sizeof methods / sizeof *methods; i++)
        if (strcmp(method, methods[i]) == 0)
            return true;
    return false;
}

/* More sends in one transfer than redirects account for: libcurl repeats the request on a new
 * connection. */
static bool may_send_again(struct http_exchange *exchange)
{
    long redirects = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_REDIRECT_COUNT, &redirects);
    return exchange->general && (exchange->sends <= redirects + 1 || may_repeat(exchange));
}

/* The connection this send uses, if it served other requests before and is not multiplexed. */
static curl_socket_t find_reused(struct http_exchange *exchange, int local_port, int remote_port)
{
    if (!exchange->general)
        return http_sockets_kept(exchange->client, local_port);
    long before = exchange->connects;
    curl_easy_getinfo(exchange->easy, CURLINFO_NUM_CONNECTS, &exchange->connects);
    exchange->socket = http_sockets_find(exchange->client, local_port, remote_port);
    bool shared = http_sockets_multiplexed(exchange->client, exchange->socket);
    return exchange->connects > before || shared ? CURL_SOCKET_BAD : exchange->socket;
}

/* A kept connection with input before we have sent anything: a second answer, an answer to an
 * abandoned request, a goodbye (408, close_notify). It would be taken for the answer to this
 * request; libcurl 7.88 does not check, later versions do. */
static bool is_stale(curl_socket_t kept)
{
    char byte;
    return kept != CURL_SOCKET_BAD && recv(kept, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

/* Discards its input. libcurl finds that it cannot send, and uses a new connection. */
static void end_connection(curl_socket_t socket)
{
    char nobodys[4096];
    shutdown(socket, SHUT_RDWR);
    for (int i = 0; i < 256 && recv(socket, nobodys, sizeof nobodys, MSG_DONTWAIT) > 0; i++) {}
}

int http_reuse_check(void *context, char *remote, char *local, int remote_port, int local_port)
{
    (void)local;
    struct http_exchange *exchange = context;
    /* also on a connection that another request left open */
    if (!http_destination_reached(exchange, public_address_text(remote)))
        return CURL_PREREQFUNC_ABORT;
    bool first = exchange->sends == 0;
    curl_socket_t reused = first && exchange->again
                               ? CURL_SOCKET_BAD
                               : find_reused(exchange, local_port, remote_port);
    if (is_stale(reused)) {
        exchange->stale = first;
        if (first)
            return CURL_PREREQFUNC_ABORT;
        end_connection(reused); /* where a redirect led: earlier sends must not be repeated */
        return CURL_PREREQFUNC_OK;
    }
    exchange->repeated = ++exchange->sends > 1 && !may_send_again(exchange);
    if (exchange->repeated) /* what counts is when it was sent */
        return CURL_PREREQFUNC_ABORT;
    if (exchange->watched_delivery)
        exchange->sent_over = http_sockets_send(exchange->client, exchange, local_port,
                                                remote_port);
    if (exchange->client->watch && exchange->url && exchange->url->host)
        address_watch_note(exchange->client->watch, exchange->url->host, remote);
    exchange->sent_at_ms = clock_awake_ms() + 1;
    return CURL_PREREQFUNC_OK;
}
