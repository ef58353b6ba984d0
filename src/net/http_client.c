/* A client: what its exchanges share. One exchange is in http_exchange.c, what libcurl is told of
 * it in http_setup.c, what comes back in http_result.c, when a connection is reused in
 * http_reuse.c, where a request may go in http_destination.c, and sockets and timers in
 * http_sockets.c. */
#include "net/http_exchange.h"

#include "base/memory.h"

#include <stdlib.h>

/* earlier versions, on an answer whose first header is folded, read what the easy handle's last
 * transfer has freed (curl PR 11103) */
#define EASY_REUSE_SINCE 0x080101

void http_global_open(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

void http_global_close(void)
{
    curl_global_cleanup();
}

void http_read_messages(struct http_client *client)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(client->multi, &left));) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct http_exchange *exchange = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&exchange);
        http_result_finish(exchange, message->data.result);
    }
}

static CURLM *make_multi(struct http_client *client, const struct http_client_options *options)
{
    CURLM *multi = curl_multi_init();
    if (!multi)
        return NULL;
    http_sockets_attach(client, multi);
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    if (options->connections_maximum > 0)
        curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)options->connections_maximum);
    if (options->connections_total > 0)
        curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)options->connections_total);
    if (options->connections_at_once > 0)
        curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)options->connections_at_once);
    return multi;
}

struct http_client *http_client_open(uv_loop_t *loop, const struct http_client_options *options)
{
    struct http_client *client = memory_allocate(sizeof *client);
    client->loop = loop;
    client->keep_addresses = options->keep_addresses;
    client->read_size = options->read_size;
    http_trust_open(&client->trust, options->ca_file, options->ca_file_beside);
    if (options->user_agent)
        client->user_agent = memory_join("User-Agent: ", options->user_agent);
    client->owns_share = !options->share;
    client->share = options->share ? options->share->share : curl_share_init();
    client->addresses_failed = options->share ? options->share->addresses_failed
                                              : &client->own_addresses_failed;
    if (client->keep_addresses)
        client->watch = options->share ? options->share->watch : address_watch_open(loop);
    if (client->owns_share) {
        curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
        curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    }
    client->reuses_handles = curl_version_info(CURLVERSION_NOW)->version_num >= EASY_REUSE_SINCE;
    http_sockets_open(client);
    client->multi = make_multi(client, options);
    if (!client->multi) {
        http_client_close(client);
        return NULL;
    }
    return client;
}

void http_client_close(struct http_client *client)
{
    if (!client)
        return;
    while (client->exchanges)
        /* NOLINT(clang-analyzer-unix.Malloc): it unlinks what it frees */
        http_exchange_release(client->exchanges);
    while (client->pool) {
        struct http_exchange *kept = client->pool;
        client->pool = kept->next;
        http_exchange_free(kept);
    }
    if (client->multi)
        curl_multi_cleanup(client->multi); /* closes the kept connections */
    if (client->owns_share) {
        curl_share_cleanup(client->share);
        address_watch_close(client->watch);
    }
    parsed_urls_close(&client->urls);
    http_sockets_close(client);
    http_trust_close(&client->trust);
    free(client->user_agent);
    free(client);
}

int64_t http_client_moved_ms(const struct http_client *client)
{
    return client->watch ? address_watch_moved_ms(client->watch) : 0;
}

size_t http_client_active(const struct http_client *client)
{
    return client->active;
}
