/* Where an exchange may go: hosts of the sandbox's list, addresses of the public internet. Checked
 * before a name is resolved, before a connection is made, and before a request is sent, because
 * redirects and kept connections lead elsewhere. */
#include "net/http_exchange.h"

#include <stdio.h>
#include <strings.h>

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

/* Whether the host that libcurl is about to contact must be public: it is not among the exceptions.
 */
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
    snprintf(exchange->refusal, sizeof exchange->refusal, "%s%s%s; %s HOST would allow it", where,
             *where ? " " : "", what, exchange->public_option);
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

bool http_destination_named(struct http_exchange *exchange)
{
    return may_go_on(exchange) && may_use_scheme(exchange);
}

bool http_destination_reached(struct http_exchange *exchange, bool is_public)
{
    return http_destination_named(exchange) && may_connect(exchange, is_public);
}
