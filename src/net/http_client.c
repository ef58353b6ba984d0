#include "net/http_exchange.h"
#include "net/http_trouble.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "net/public_address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* bytes of response headers; a platform needs a few hundred */
#define HEADERS_MAXIMUM (256 * 1024)
/* so long a connection is kept without use: longer than between two heartbeats */
#define IDLE_MAXIMUM_S 25L
/* also one that is in use all the time: load balancers move, certificates change */
#define LIFETIME_MAXIMUM_S 600
/* silence on a connection until the other side is asked whether it is still there */
#define KEEPALIVE_S 30
#define KEEPALIVE_EVERY_S 10
#define ACKNOWLEDGE_MS 60000 /* for bytes that the other side does not acknowledge */
#define POOL_MAXIMUM 64      /* exchanges kept for the next request */
#define SECRETS_WITHIN 4096  /* bytes: an answer that holds a token is short */
/* before, an answer whose first header is folded reads what the easy handle's last transfer has
   freed (curl PR 11103) */
#define EASY_REUSE_SINCE 0x080101

void http_global_open(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

void http_global_close(void)
{
    curl_global_cleanup();
}

/* Where libcurl is about to go: the URL as given, or the last redirect's. */
static bool may_go_on(struct http_exchange *exchange)
{
    char *url = NULL, where[300] = "";
    if (!exchange->only_hosts)
        return true;
    curl_easy_getinfo(exchange->easy, CURLINFO_EFFECTIVE_URL, &url);
    if (url && allowed_hosts_include(exchange->only_hosts, url, where, sizeof where))
        return true;
    exchange->forbidden = true;
    if (*where)
        snprintf(exchange->refusal, sizeof exchange->refusal,
                 "%s is blocked by the sandbox; --allow-host %s would allow it", where, where);
    else
        snprintf(exchange->refusal, sizeof exchange->refusal,
                 "its host is blocked by the sandbox (--allow-host)");
    return false;
}

/* Where libcurl is about to go is none of the hosts that may be anywhere. */
static bool must_be_public(struct http_exchange *exchange, const char **url, char *where,
                           size_t where_size)
{
    *where = '\0';
    *url = NULL;
    if (!exchange->public_only)
        return false;
    curl_easy_getinfo(exchange->easy, CURLINFO_EFFECTIVE_URL, (char **)url);
    return !*url || !exchange->public_except ||
           !allowed_hosts_include(exchange->public_except, *url, where, where_size);
}

static bool refuse_address(struct http_exchange *exchange, const char *where, const char *what)
{
    exchange->forbidden = true;
    snprintf(exchange->refusal, sizeof exchange->refusal,
             "%s%s%s; --allow-file-host HOST would allow it", where, *where ? " " : "", what);
    return false;
}

static bool may_use_scheme(struct http_exchange *exchange)
{
    char where[300];
    const char *url;
    if (!must_be_public(exchange, &url, where, sizeof where) ||
        (url && strncasecmp(url, "https:", 6) == 0))
        return true;
    return refuse_address(exchange, where, "is not https");
}

static bool may_connect(struct http_exchange *exchange, bool is_public)
{
    char where[300];
    const char *url;
    if (is_public || !must_be_public(exchange, &url, where, sizeof where))
        return true;
    return refuse_address(exchange, where, "has an address that is not public");
}

static int before_resolve(void *resolver, void *reserved, void *context)
{
    (void)resolver;
    (void)reserved;
    return may_go_on(context) && may_use_scheme(context) ? 0 : 1;
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    if (!may_go_on(context) || !may_use_scheme(context) ||
        !may_connect(context, public_address(&address->addr)))
        return CURL_SOCKET_BAD;
    curl_socket_t opened = socket(address->family, address->socktype | SOCK_CLOEXEC,
                                  address->protocol);
    struct http_client *client = ((struct http_exchange *)context)->client;
    if (opened == CURL_SOCKET_BAD)
        return opened;
    /* where the system does not know it, it waits for longer */
    unsigned int acknowledge_ms = ACKNOWLEDGE_MS;
    (void)setsockopt(opened, IPPROTO_TCP, TCP_USER_TIMEOUT, &acknowledge_ms, sizeof acknowledge_ms);
    http_sockets_opened(client, opened);
    return opened;
}

/* What the server may be asked twice without a second effect. */
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

/* More sends in one transfer than redirects ask for: libcurl repeats the request on a new
 * connection. */
static bool may_send_again(struct http_exchange *exchange)
{
    long redirects = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_REDIRECT_COUNT, &redirects);
    return exchange->general && (exchange->sends <= redirects + 1 || may_repeat(exchange));
}

/* The connection that this send goes over, if it served others before and is not one that answers
 * share. */
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

/* A kept connection on which something waits to be read before we have asked: a second answer, an
 * answer to a request that was given up, a farewell (408, close_notify). It would be taken for the
 * answer to what is sent now; libcurl 7.88 does not look, later ones do. */
static bool is_stale(curl_socket_t kept)
{
    char byte;
    return kept != CURL_SOCKET_BAD && recv(kept, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

/* What waits on it is nobody's. libcurl finds that it cannot send, and asks on a new connection. */
static void end_connection(curl_socket_t socket)
{
    char nobodys[4096];
    shutdown(socket, SHUT_RDWR);
    for (int i = 0; i < 256 && recv(socket, nobodys, sizeof nobodys, MSG_DONTWAIT) > 0; i++) {}
}

static int before_request(void *context, char *remote, char *local, int remote_port, int local_port)
{
    (void)local;
    struct http_exchange *exchange = context;
    /* also on a connection that another request left open */
    if (!may_go_on(exchange) || !may_use_scheme(exchange) ||
        !may_connect(exchange, public_address_text(remote)))
        return CURL_PREREQFUNC_ABORT;
    bool first = exchange->sends == 0;
    curl_socket_t reused = first && exchange->again
                               ? CURL_SOCKET_BAD
                               : find_reused(exchange, local_port, remote_port);
    if (is_stale(reused)) {
        exchange->stale = first;
        if (first)
            return CURL_PREREQFUNC_ABORT;
        end_connection(reused); /* where a redirect led: the sends before are not to be repeated */
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

static int on_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    (void)down_total;
    (void)up_total;
    struct http_exchange *exchange = context;
    if (down == 0 && up < (curl_off_t)exchange->request_length)
        exchange->sent_at_ms = clock_awake_ms() + 1;
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

/* "303 See Other" is followed by a GET, whatever the method was; libcurl would keep a name that it
 * was given. */
static void forget_method_after_303(struct http_exchange *exchange, const char *line, size_t length)
{
    bool is_status_line = length > 5 && memcmp(line, "HTTP/", 5) == 0;
    if (is_status_line && exchange->general && http_status(exchange) == 303)
        curl_easy_setopt(exchange->easy, CURLOPT_CUSTOMREQUEST, NULL);
}

static size_t on_header(char *bytes, size_t size, size_t count, void *context)
{
    struct http_exchange *exchange = context;
    forget_method_after_303(exchange, bytes, size * count);
    if (size * count > 7 && memcmp(bytes, "HTTP/2 ", 7) == 0 && exchange->socket != CURL_SOCKET_BAD)
        http_sockets_note_multiplexed(exchange->client, exchange->socket);
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
    bool sent = exchange->sends > 0 && request_size > 0 &&
                uploaded >= (curl_off_t)exchange->request_length;
    return sent || exchange->sends > 1 ? HTTP_NO_ANSWER : HTTP_NOT_SENT;
}

static void free_exchange(struct http_exchange *exchange)
{
    curl_easy_cleanup(exchange->easy);
    free(exchange);
}

/* A plain exchange with the platform keeps its easy handle's options, which but for a few are the
 * same each time. */
static void keep(struct http_exchange *exchange)
{
    struct http_client *client = exchange->client;
    CURL *easy = exchange->easy;
    bool prepared = !exchange->general && !exchange->only_hosts && !exchange->public_only;
    if (!prepared)
        curl_easy_reset(easy);
    *exchange = (struct http_exchange){
        .client = client, .easy = easy, .next = client->pool, .prepared = prepared};
    client->pool = exchange;
    client->pooled++;
}

/* One of them holds a token. */
static void free_headers(struct curl_slist *headers)
{
    for (struct curl_slist *each = headers; each; each = each->next)
        explicit_bzero(each->data, strlen(each->data));
    curl_slist_free_all(headers);
}

static void release(struct http_exchange *exchange)
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
    free_headers(exchange->headers);
    if (!exchange->general && exchange->body.data && exchange->body.length <= SECRETS_WITHIN)
        explicit_bzero(exchange->body.data, exchange->body.length);
    buffer_free(&exchange->body);
    parsed_url_release(exchange->url);
    if (client->reuses_handles && client->pooled < POOL_MAXIMUM)
        keep(exchange);
    else
        free_exchange(exchange);
}

static const char *code_text(const struct http_exchange *exchange, CURLcode code)
{
    if (exchange->too_large)
        return "TOO_LARGE";
    if (exchange->forbidden)
        return "FORBIDDEN";
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

/* Nothing was sent, and the connection is closed: once more, on one of its own. */
static void start_again(struct http_exchange *exchange)
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

static void finish(struct http_exchange *exchange, CURLcode code)
{
    if (exchange->stale && code == CURLE_ABORTED_BY_CALLBACK) {
        start_again(exchange);
        return;
    }
    long status = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    /* a process that was stopped has not waited for an answer */
    int64_t now = clock_awake_ms() + 1;
    struct http_result result = {
        .progress = progress_of(exchange, code),
        .status = (int)status,
        .body = exchange->body.data ? exchange->body.data : "",
        .body_length = exchange->body.length,
        .too_large = exchange->too_large,
        .cannot_connect = exchange->sends == 0,
        .since_sent_ms = exchange->sent_at_ms ? now - exchange->sent_at_ms : 0,
        .unacknowledged = code != CURLE_OK && status == 0 && exchange->held && exchange->not_ended,
        .exchange = exchange,
    };
    result.code = code == CURLE_OK ? NULL : code_text(exchange, code);
    if (code != CURLE_OK)
        result.error = exchange->forbidden      ? exchange->refusal
                       : exchange->header_flood ? "response headers too large"
                       : exchange->too_large    ? "the answer is larger than its maximum"
                       : exchange->repeated     ? "the connection closed before the answer came"
                       : exchange->error[0]     ? http_trouble_explain(exchange->error)
                                                : curl_easy_strerror(code);
    *exchange->client->addresses_failed = result.cannot_connect && code != CURLE_OK;
    exchange->callback(&result, exchange->context);
    release(exchange);
}

void http_read_messages(struct http_client *client)
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
    client->user_agent = memory_copy_text(options->user_agent);
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
        release(client->exchanges);
    while (client->pool) {
        struct http_exchange *kept = client->pool;
        client->pool = kept->next;
        free_exchange(kept);
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

static struct http_exchange *take_exchange(struct http_client *client,
                                           const struct http_request *request)
{
    struct http_exchange *exchange = client->pool;
    if (exchange) {
        client->pool = exchange->next;
        client->pooled--;
        exchange->next = NULL;
        if (exchange->prepared &&
            (request->general || request->only_hosts || request->public_only)) {
            curl_easy_reset(exchange->easy);
            exchange->prepared = false;
        }
        return exchange;
    }
    exchange = memory_allocate(sizeof *exchange);
    exchange->client = client;
    exchange->easy = curl_easy_init();
    if (!exchange->easy)
        abort(); /* libcurl could not allocate: as base/memory.h */
    return exchange;
}

/* What is the same for every request with this exchange. */
static void set_common(struct http_exchange *exchange)
{
    CURL *easy = exchange->easy;
    struct http_client *client = exchange->client;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_EVERY_S);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, http_sockets_close_one);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, client);
    if (exchange->only_hosts || exchange->public_only) {
        curl_easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION, before_resolve);
        curl_easy_setopt(easy, CURLOPT_RESOLVER_START_DATA, exchange);
        /* also none of the environment's: it would go anywhere */
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
    }
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_SHARE, client->share);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, exchange);
    if (client->read_size > 0)
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, client->read_size);
    if (client->user_agent)
        curl_easy_setopt(easy, CURLOPT_USERAGENT, client->user_agent);
    http_trust_apply(&client->trust, easy);
}

/* Which kept connections and addresses it may use. */
static void set_ages(CURL *easy, const struct http_client *client,
                     const struct http_request *request)
{
    int64_t moved_ms = http_client_moved_ms(client),
            since_s = (clock_monotonic_ms() - moved_ms) / 1000;
    long lifetime_s = LIFETIME_MAXIMUM_S, addresses_s = client->keep_addresses ? -1L : 60L;
    /* none of before; of a second afterwards neither, as libcurl counts those */
    if (moved_ms > 0 && since_s < LIFETIME_MAXIMUM_S) {
        lifetime_s = since_s > 2 ? (long)since_s - 1 : 1L;
        addresses_s = (long)since_s;
    }
    if (client->keep_addresses && *client->addresses_failed)
        addresses_s = 0;
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, addresses_s);
    curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, lifetime_s);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN,
                     request->idle_maximum_ms ? (long)((request->idle_maximum_ms + 999) / 1000)
                                              : IDLE_MAXIMUM_S);
}

static void set_limits(CURL *easy, const struct http_client *client,
                       const struct http_request *request)
{
    set_ages(easy, client, request);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(request->connect_timeout_ms ? request->connect_timeout_ms : 10000));
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, request->stall_timeout_ms > 0 ? 100L : 0L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
                     (long)((request->stall_timeout_ms + 999) / 1000));
    if (request->general) {
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
        curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
        curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, request->redirects_maximum > 0 ? 1L : 0L);
        curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)request->redirects_maximum);
        curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    }
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, request->fresh_connection ? 1L : 0L);
}

/* libcurl's own redirects are right for GET, HEAD and POST. A method that it does not know it sends
 * as a POST of another name, which on_header takes back after 303; the others keep the body with
 * the name. */
static void set_method(struct http_exchange *exchange, const struct http_request *request)
{
    CURL *easy = exchange->easy;
    bool is_post = strcmp(request->method, "POST") == 0;
    if (strcmp(request->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (!is_post && (request->body || strcmp(request->method, "GET") != 0)) {
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
        curl_easy_setopt(easy, CURLOPT_POSTREDIR,
                         (long)(CURL_REDIR_POST_301 | CURL_REDIR_POST_302));
    }
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
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, request->body_length > 64 * 1024 ? 0L : 1L);
    set_method(exchange, request);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->headers);
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
    exchange->response_maximum = request->response_maximum;
    buffer_init(&exchange->body, request->response_maximum);
    if (!exchange->prepared)
        set_common(exchange);
    bool recurs = !request->general && !strchr(request->url, '?'); /* a poll's holds a row's id */
    exchange->url = recurs ? parsed_urls_take(&client->urls, request->url) : NULL;
    curl_easy_setopt(exchange->easy, CURLOPT_CURLU, exchange->url ? exchange->url->handle : NULL);
    /* after it: libcurl 8.14 forgets the text for the handle */
    curl_easy_setopt(exchange->easy, CURLOPT_URL, request->url);
    set_limits(exchange->easy, client, request);
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

int64_t http_client_moved_ms(const struct http_client *client)
{
    return client->watch ? address_watch_moved_ms(client->watch) : 0;
}

size_t http_client_active(const struct http_client *client)
{
    return client->active;
}

void http_each_header(const struct http_result *result,
                      void (*each)(const char *name, const char *value, void *context),
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

const char *http_content_type(const struct http_exchange *exchange)
{
    char *type = NULL;
    curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_TYPE, &type);
    return type;
}

void http_resume(struct http_exchange *exchange)
{
    curl_easy_pause(exchange->easy, CURLPAUSE_CONT);
}
