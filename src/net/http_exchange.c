/* One exchange, from http_send to its callback. Done ones are kept for the next request. */
#include "net/http_exchange.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define POOL_MAXIMUM 64     /* exchanges kept for the next request */
#define SECRETS_WITHIN 4096 /* bytes: an answer that holds a token is short */

void http_exchange_free(struct http_exchange *exchange)
{
    curl_easy_cleanup(exchange->easy);
    free(exchange);
}

/* A plain exchange with the platform keeps its easy handle's options, most of which are the same
 * each time. */
static void keep(struct http_exchange *exchange)
{
    struct http_client *client = exchange->client;
    CURL *easy = client->reuses_handles ? exchange->easy : NULL;
    bool prepared = easy && !exchange->general && !exchange->only_hosts && !exchange->public_only;
    if (!easy)
        curl_easy_cleanup(exchange->easy);
    else if (!prepared)
        curl_easy_reset(easy);
    memset(exchange, 0, offsetof(struct http_exchange, error));
    exchange->error[0] = exchange->refusal[0] = '\0';
    exchange->client = client;
    exchange->easy = easy;
    exchange->prepared = prepared;
    exchange->next = client->pool;
    client->pool = exchange;
    client->pooled++;
}

void http_exchange_release(struct http_exchange *exchange)
{
    struct http_client *client = exchange->client;
    http_sockets_sent(client, exchange);
    curl_multi_remove_handle(client->multi, exchange->easy);
    if (exchange->previous)
        exchange->previous->next = exchange->next;
    else
        client->exchanges = exchange->next;
    if (exchange->next)
        exchange->next->previous = exchange->previous;
    client->active--;
    free(exchange->headers);
    if (!exchange->general && exchange->body.data && exchange->body.length <= SECRETS_WITHIN)
        explicit_bzero(exchange->body.data, exchange->body.length);
    buffer_free(&exchange->body);
    parsed_url_release(exchange->url);
    if (client->pooled < POOL_MAXIMUM)
        keep(exchange);
    else
        http_exchange_free(exchange);
}

void http_exchange_start_again(struct http_exchange *exchange)
{
    CURLM *multi = exchange->client->multi;
    exchange->stale = false;
    exchange->again = true;
    exchange->connects = 0;
    exchange->error[0] = '\0';
    curl_multi_remove_handle(multi, exchange->easy);
    curl_easy_setopt(exchange->easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_multi_add_handle(multi, exchange->easy);
}

static struct http_exchange *take_exchange(struct http_client *client,
                                           const struct http_request *request)
{
    struct http_exchange *exchange = client->pool;
    if (exchange) {
        client->pool = exchange->next;
        client->pooled--;
        exchange->next = NULL;
    } else {
        exchange = memory_allocate(sizeof *exchange);
        exchange->client = client;
    }
    if (exchange->prepared && (request->general || request->only_hosts || request->public_only)) {
        curl_easy_reset(exchange->easy);
        exchange->prepared = false;
    }
    if (!exchange->easy)
        exchange->easy = curl_easy_init();
    if (!exchange->easy)
        abort(); /* libcurl could not allocate: as base/memory.h */
    return exchange;
}

struct http_exchange *http_send(struct http_client *client, const struct http_request *request,
                                http_callback *callback, void *context)
{
    struct http_exchange *exchange = take_exchange(client, request);
    exchange->callback = callback;
    exchange->context = context;
    exchange->on_data = request->on_data;
    exchange->request_length = request->body_length;
    exchange->socket = CURL_SOCKET_BAD;
    exchange->sent_over = CURL_SOCKET_BAD;
    exchange->watched_delivery = request->delivery_counts;
    exchange->general = request->general;
    exchange->only_hosts = request->only_hosts;
    exchange->public_only = request->public_only;
    exchange->public_except = request->public_except;
    exchange->public_option = request->public_option ? request->public_option : "--allow-file-host";
    exchange->response_maximum = request->response_maximum;
    buffer_init(&exchange->body, request->response_maximum);
    http_setup(exchange, request);
    exchange->next = client->exchanges;
    if (client->exchanges)
        client->exchanges->previous = exchange;
    client->exchanges = exchange;
    client->active++;
    /* starts with the timer, so that the callback never comes from inside this call */
    curl_multi_add_handle(client->multi, exchange->easy);
    return exchange;
}

void http_cancel(struct http_exchange *exchange)
{
    if (exchange)
        http_exchange_release(exchange);
}

void http_resume(struct http_exchange *exchange)
{
    curl_easy_pause(exchange->easy, CURLPAUSE_CONT);
}
