/* What libcurl is told of a request: the options of its easy handle. */
#include "net/http_exchange.h"

#include "base/clock.h"
#include "base/memory.h"

#include <string.h>
#include <strings.h>

/* how long an idle connection is kept: longer than the time between two heartbeats */
#define IDLE_MAXIMUM_S 25L
/* also of a busy one: load balancers move, certificates change */
#define LIFETIME_MAXIMUM_S 600
/* bytes; libcurl expects "100 Continue" from a MiB on */
#define EXPECT_ABOVE 65536
/* silence on a connection before the first keepalive probe */
#define KEEPALIVE_S 30
#define KEEPALIVE_EVERY_S 10

static int before_resolve(void *resolver, void *reserved, void *context)
{
    (void)resolver;
    (void)reserved;
    return http_destination_named(context) ? 0 : 1;
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
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, http_sockets_open_one);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, http_sockets_close_one);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, client);
    if (exchange->only_hosts || exchange->public_only) {
        curl_easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION, before_resolve);
        curl_easy_setopt(easy, CURLOPT_RESOLVER_START_DATA, exchange);
        /* not even one from the environment: it could go anywhere */
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
    }
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, http_result_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, http_result_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, http_reuse_check);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_SHARE, client->share);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, http_result_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, exchange);
    if (client->read_size > 0)
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, client->read_size);
    http_trust_apply(&client->trust, easy);
}

/* Which kept connections and addresses it may use. */
static void set_ages(CURL *easy, const struct http_client *client,
                     const struct http_request *request)
{
    int64_t moved_ms = http_client_moved_ms(client),
            since_s = (clock_monotonic_ms() - moved_ms) / 1000;
    long lifetime_s = LIFETIME_MAXIMUM_S, addresses_s = client->keep_addresses ? -1L : 60L;
    /* none from before the move, nor from the second after it, as libcurl counts in seconds */
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

/* libcurl handles redirects correctly for GET, HEAD and POST. A method it does not know is sent as
 * a POST of another name, which http_result_header undoes after 303; other redirects keep name and
 * body. */
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

static void add_header(struct http_exchange *exchange, size_t *count, const char *line)
{
    exchange->headers[*count] = (struct curl_slist){.data = (char *)line};
    if (*count > 0)
        exchange->headers[*count - 1].next = &exchange->headers[*count];
    ++*count;
}

/* A list over the lines of the request, which stay as long as it is under way: libcurl only reads
 * it, and curl_slist_append would copy each line, one with a token. */
static void set_headers(struct http_exchange *exchange, const struct http_request *request)
{
    static const char agent[] = "User-Agent:";
    size_t lines = 0, count = 0;
    while (request->headers && request->headers[lines])
        lines++;
    exchange->headers = memory_resize(NULL, (lines + 2) * sizeof *exchange->headers);
    bool own_agent = false;
    for (size_t i = 0; i < lines; i++) {
        add_header(exchange, &count, request->headers[i]);
        own_agent = own_agent || strncasecmp(request->headers[i], agent, sizeof agent - 1) == 0;
    }
    /* as an option libcurl would print it twice for each request */
    if (!own_agent && exchange->client->user_agent)
        add_header(exchange, &count, exchange->client->user_agent);
    /* without this libcurl waits a second for "100 Continue" before a large body */
    if (request->body_length > EXPECT_ABOVE)
        add_header(exchange, &count, "Expect:");
    curl_easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, count > 0 ? exchange->headers : NULL);
}

static void set_body(struct http_exchange *exchange, const struct http_request *request)
{
    CURL *easy = exchange->easy;
    if (request->body || strcmp(request->method, "POST") == 0) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body ? request->body : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_length);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, request->body_length > 64 * 1024 ? 0L : 1L);
    set_method(exchange, request);
}

void http_setup(struct http_exchange *exchange, const struct http_request *request)
{
    struct http_client *client = exchange->client;
    bool recurs = !request->general && !strchr(request->url, '?'); /* a poll's holds a row's id */
    if (!exchange->prepared)
        set_common(exchange);
    exchange->url = recurs ? parsed_urls_take(&client->urls, request->url) : NULL;
    curl_easy_setopt(exchange->easy, CURLOPT_CURLU, exchange->url ? exchange->url->handle : NULL);
    /* after it: libcurl 8.14 forgets the text for the handle */
    curl_easy_setopt(exchange->easy, CURLOPT_URL, request->url);
    set_limits(exchange->easy, client, request);
    set_headers(exchange, request);
    set_body(exchange, request);
}
