#include "net/http_client.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADERS_MAXIMUM (256 * 1024) /* bytes of response headers; a platform needs a few hundred */
#define POOL_MAXIMUM 32              /* easy handles kept for the next request */

struct http_client {
    CURLM *multi;
    uv_loop_t *loop;
    uv_timer_t *timer;
    char *ca_file, *user_agent;
    bool keep_addresses;
    bool *addresses_failed;  /* the last connection failed: ask the resolver again; shared as `share` is */
    bool own_addresses_failed;
    CURLSH *share;
    bool owns_share;
    CURL *pool[POOL_MAXIMUM];
    size_t pooled;
    struct http_exchange *exchanges; /* under way, doubly linked */
    size_t active;
};

struct http_exchange {
    struct http_client *client;
    struct http_exchange *next, *previous;
    CURL *easy;
    struct curl_slist *headers;
    struct buffer body;
    size_t header_bytes;
    size_t request_length;
    bool too_large, header_flood, general;
    size_t received, response_maximum;
    int sends;            /* how often libcurl was about to send the request */
    int64_t sent_at_ms;
    bool (*on_data)(void *context, const char *bytes, size_t length);
    http_callback *callback;
    void *context;
    char error[CURL_ERROR_SIZE];
};

/* libuv's view of one socket of libcurl's */
struct watched_socket {
    uv_poll_t poll;
    curl_socket_t socket;
    struct http_client *client;
};

void http_global_open(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

void http_global_close(void)
{
    curl_global_cleanup();
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)context;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* A second call in one transfer is libcurl repeating the request on a new connection: refuse. */
static int before_request(void *context, char *remote, char *local, int remote_port, int local_port)
{
    (void)remote;
    (void)local;
    (void)remote_port;
    (void)local_port;
    struct http_exchange *exchange = context;
    exchange->sent_at_ms = clock_monotonic_ms();
    return ++exchange->sends > 1 && !exchange->general ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static int on_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    (void)down_total;
    (void)up_total;
    struct http_exchange *exchange = context;
    if (down == 0 && up < (curl_off_t)exchange->request_length)
        exchange->sent_at_ms = clock_monotonic_ms();
    return 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct http_exchange *exchange = context;
    size_t length = size * count;
    if (exchange->on_data) {
        exchange->too_large = exchange->received + length > exchange->response_maximum;
        if (exchange->too_large)
            return 0;
        if (!exchange->on_data(exchange->context, bytes, length))
            return CURL_WRITEFUNC_PAUSE;
        exchange->received += length;
        return length;
    }
    if (buffer_append(&exchange->body, bytes, length))
        return length;
    exchange->too_large = true;
    return 0;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    struct http_exchange *exchange = context;
    exchange->header_bytes += size * count;
    exchange->header_flood = exchange->header_bytes > HEADERS_MAXIMUM;
    return exchange->header_flood ? 0 : size * count;
}

static enum http_progress progress_of(struct http_exchange *exchange, CURLcode code)
{
    if (code == CURLE_OK)
        return HTTP_ANSWERED;
    curl_off_t uploaded = 0;
    long request_size = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
    curl_easy_getinfo(exchange->easy, CURLINFO_REQUEST_SIZE, &request_size);
    bool sent = exchange->sends > 0 && request_size > 0 && uploaded >= (curl_off_t)exchange->request_length;
    return sent || exchange->sends > 1 ? HTTP_NO_ANSWER : HTTP_NOT_SENT;
}

static void release(struct http_exchange *exchange)
{
    struct http_client *client = exchange->client;
    curl_multi_remove_handle(client->multi, exchange->easy);
    if (client->pooled < POOL_MAXIMUM) {
        curl_easy_reset(exchange->easy);
        client->pool[client->pooled++] = exchange->easy;
    } else {
        curl_easy_cleanup(exchange->easy);
    }
    if (exchange->previous)
        exchange->previous->next = exchange->next;
    else
        client->exchanges = exchange->next;
    if (exchange->next)
        exchange->next->previous = exchange->previous;
    client->active--;
    curl_slist_free_all(exchange->headers);
    buffer_free(&exchange->body);
    free(exchange);
}

static const char *code_text(const struct http_exchange *exchange, CURLcode code)
{
    if (exchange->too_large)
        return "TOO_LARGE";
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT: return "TIMEOUT";
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return "RESOLVE";
    case CURLE_COULDNT_CONNECT: return "CONNECT";
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_PEER_FAILED_VERIFICATION: return "TLS";
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return "URL";
    case CURLE_TOO_MANY_REDIRECTS: return "REDIRECTS";
    default: return "NETWORK";
    }
}

static void finish(struct http_exchange *exchange, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    int64_t now = clock_monotonic_ms();
    struct http_result result = {
        .progress = progress_of(exchange, code),
        .status = (int)status,
        .body = exchange->body.data ? exchange->body.data : "",
        .body_length = exchange->body.length,
        .too_large = exchange->too_large,
        .cannot_connect = exchange->sends == 0,
        .since_sent_ms = exchange->sent_at_ms ? now - exchange->sent_at_ms : 0,
        .exchange = exchange,
    };
    result.code = code == CURLE_OK ? NULL : code_text(exchange, code);
    if (code != CURLE_OK)
        result.error = exchange->header_flood ? "more response headers than can be right"
                       : exchange->too_large  ? "the answer is larger than its maximum"
                       : exchange->sends > 1 && !exchange->general
                           ? "the connection closed before the answer came"
                       : exchange->error[0]   ? exchange->error
                                              : curl_easy_strerror(code);
    *exchange->client->addresses_failed = result.cannot_connect && code != CURLE_OK;
    exchange->callback(&result, exchange->context);
    release(exchange);
}

static void read_messages(struct http_client *client)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(client->multi, &left));) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct http_exchange *exchange = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&exchange);
        finish(exchange, message->data.result);
    }
}

static void on_socket_ready(uv_poll_t *poll, int status, int events)
{
    struct watched_socket *watched = poll->data;
    struct http_client *client = watched->client;
    int flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0) |
                (status < 0 ? CURL_CSELECT_ERR : 0);
    int running;
    curl_multi_socket_action(client->multi, watched->socket, flags, &running);
    read_messages(client);
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *assigned)
{
    (void)easy;
    struct http_client *client = context;
    struct watched_socket *watched = assigned;
    if (what == CURL_POLL_REMOVE) {
        if (watched) {
            uv_poll_stop(&watched->poll);
            uv_close((uv_handle_t *)&watched->poll, free_handle);
            curl_multi_assign(client->multi, socket, NULL);
        }
        return 0;
    }
    if (!watched) {
        watched = memory_allocate(sizeof *watched);
        watched->socket = socket;
        watched->client = client;
        if (uv_poll_init_socket(client->loop, &watched->poll, socket) < 0) {
            free(watched);
            return -1;
        }
        watched->poll.data = watched;
        curl_multi_assign(client->multi, socket, watched);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    uv_poll_start(&watched->poll, events, on_socket_ready);
    return 0;
}

static void on_timeout(uv_timer_t *timer)
{
    struct http_client *client = timer->data;
    int running;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    read_messages(client);
}

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct http_client *client = context;
    if (timeout_ms < 0)
        uv_timer_stop(client->timer);
    else
        uv_timer_start(client->timer, on_timeout, (uint64_t)timeout_ms, 0);
    return 0;
}

static CURLM *make_multi(struct http_client *client, int connections)
{
    CURLM *multi = curl_multi_init();
    if (!multi)
        return NULL;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    if (connections > 0)
        curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)connections);
    return multi;
}

struct http_client *http_client_open(uv_loop_t *loop, const struct http_client_options *options)
{
    struct http_client *client = memory_allocate(sizeof *client);
    client->loop = loop;
    client->keep_addresses = options->keep_addresses;
    client->ca_file = memory_copy_text(options->ca_file);
    client->user_agent = memory_copy_text(options->user_agent);
    client->owns_share = !options->share;
    client->share = options->share ? options->share->share : curl_share_init();
    client->addresses_failed = options->share ? options->share->addresses_failed : &client->own_addresses_failed;
    if (client->owns_share) {
        curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
        curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    }
    client->timer = memory_allocate(sizeof *client->timer);
    uv_timer_init(loop, client->timer);
    client->timer->data = client;
    client->multi = make_multi(client, options->connections_maximum);
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
        release(client->exchanges); /* NOLINT(clang-analyzer-unix.Malloc): it unlinks what it frees */
    while (client->pooled > 0)
        curl_easy_cleanup(client->pool[--client->pooled]);
    if (client->multi)
        curl_multi_cleanup(client->multi);
    if (client->owns_share)
        curl_share_cleanup(client->share);
    uv_close((uv_handle_t *)client->timer, free_handle);
    free(client->ca_file);
    free(client->user_agent);
    free(client);
}

static CURL *take_easy(struct http_client *client)
{
    if (client->pooled > 0)
        return client->pool[--client->pooled];
    return curl_easy_init();
}

static void set_common(struct http_exchange *exchange, const struct http_request *request)
{
    CURL *easy = exchange->easy;
    struct http_client *client = exchange->client;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, !client->keep_addresses       ? 60L
                                                   : *client->addresses_failed ? 0L
                                                                               : -1L);
    curl_easy_setopt(easy, CURLOPT_SHARE, client->share);
    if (client->user_agent)
        curl_easy_setopt(easy, CURLOPT_USERAGENT, client->user_agent);
    if (client->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
}

static void set_limits(CURL *easy, const struct http_request *request)
{
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(request->connect_timeout_ms ? request->connect_timeout_ms : 10000));
    if (request->stall_timeout_ms > 0) {
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 100L);
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)((request->stall_timeout_ms + 999) / 1000));
    }
    if (request->general) {
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
        curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
        curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, request->redirects_maximum > 0 ? 1L : 0L);
        curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)request->redirects_maximum);
        curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    }
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, request->fresh_connection ? 1L : 0L);
}

static void set_body(struct http_exchange *exchange, const struct http_request *request)
{
    CURL *easy = exchange->easy;
    for (char *const *header = request->headers; header && *header; header++)
        exchange->headers = curl_slist_append(exchange->headers, *header);
    if (request->body || strcmp(request->method, "POST") == 0) {
        /* without this libcurl waits a second for "100 Continue" before a large body */
        exchange->headers = curl_slist_append(exchange->headers, "Expect:");
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body ? request->body : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_length);
        if (request->body_length > 64 * 1024) {
            curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
            curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
            curl_easy_setopt(easy, CURLOPT_XFERINFODATA, exchange);
        }
    }
    if (strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (strcmp(request->method, "POST") != 0 && strcmp(request->method, "GET") != 0)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->headers);
}

struct http_exchange *http_send(struct http_client *client, const struct http_request *request,
                                http_callback *callback, void *context)
{
    struct http_exchange *exchange = memory_allocate(sizeof *exchange);
    exchange->client = client;
    exchange->callback = callback;
    exchange->context = context;
    exchange->on_data = request->on_data;
    exchange->request_length = request->body_length;
    exchange->general = request->general;
    exchange->response_maximum = request->response_maximum;
    buffer_init(&exchange->body, request->response_maximum);
    exchange->easy = take_easy(client);
    if (!exchange->easy)
        abort(); /* libcurl could not allocate: as base/memory.h */
    set_common(exchange, request);
    set_limits(exchange->easy, request);
    set_body(exchange, request);
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
        release(exchange);
}

const char *http_header(const struct http_result *result, const char *name)
{
    struct curl_header *header;
    if (curl_easy_header(result->exchange->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    return header->value;
}

size_t http_client_active(const struct http_client *client)
{
    return client->active;
}

void http_each_header(const struct http_result *result, void (*each)(const char *name, const char *value, void *context),
                      void *context)
{
    for (struct curl_header *header = NULL;
         (header = curl_easy_nextheader(result->exchange->easy, CURLH_HEADER, -1, header));)
        each(header->name, header->value, context);
}

int http_status(const struct http_exchange *exchange)
{
    long status = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

void http_resume(struct http_exchange *exchange)
{
    curl_easy_pause(exchange->easy, CURLPAUSE_CONT);
}
