#include "net/allowed_hosts.h"

#include "base/memory.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_SIZE 256 /* a name has at most 253 characters */

/* A place that a request may go to. */
struct place {
    char host[HOST_SIZE]; /* lower case, no dot at the end */
    long port;            /* 0: any */
    bool below;           /* every name below `host` */
};

struct allowed_hosts {
    struct place *places;
    size_t count;
};

/* As curl_easy_perform reads CURLOPT_URL. */
#define URL_FLAGS (CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME)

static bool is_plain(const char *host)
{
    if (*host == '[') {
        size_t length = 1 + strspn(host + 1, "0123456789abcdefABCDEF:.");
        return host[length] == ']' && !host[length + 1];
    }
    /* libcurl would turn other letters into plain ones only when it connects */
    return *host &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
               strlen(host);
}

static bool copy_host(const char *host, char *copy)
{
    size_t length = strlen(host);
    if (!is_plain(host) || length >= HOST_SIZE)
        return false;
    for (size_t i = 0; i <= length; i++)
        copy[i] = (char)tolower((unsigned char)host[i]);
    if (length > 1 && copy[length - 1] == '.')
        copy[length - 1] = '\0';
    return true;
}

/* false: not a URL with a host of plain letters. */
static bool read_url(const char *url, struct place *place, bool *http)
{
    CURLU *parsed = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL;
    bool read = parsed && curl_url_set(parsed, CURLUPART_URL, url, URL_FLAGS) == CURLUE_OK &&
                curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                curl_url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                copy_host(host, place->host);
    place->port = read ? strtol(port, NULL, 10) : 0;
    *http = read && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parsed);
    return read;
}

/* HOST[:PORT] after an optional "*.". */
static bool read_pattern(const char *pattern, struct place *place)
{
    place->below = strncmp(pattern, "*.", 2) == 0;
    const char *rest = pattern + (place->below ? 2 : 0);
    const char *colon = strrchr(rest, ':');
    bool has_port = colon && !strchr(colon, ']') && colon[1];
    size_t length = has_port ? (size_t)(colon - rest) : strlen(rest);
    bool http;
    if (length == 0 || length >= HOST_SIZE ||
        (has_port && strspn(colon + 1, "0123456789") != strlen(colon + 1)))
        return false;
    char *host = memory_copy(rest, length);
    char *url = memory_format("http://%s/", rest);
    /* an address has no subdomains */
    bool read = is_plain(host) && read_url(url, place, &http) && http &&
                !(place->below &&
                  (*host == '[' || strspn(place->host, "0123456789.") == strlen(place->host)));
    if (!has_port)
        place->port = 0;
    free(host);
    free(url);
    return read;
}

struct allowed_hosts *allowed_hosts_open(const char *const *patterns, size_t count, char *problem,
                                         size_t problem_size)
{
    struct allowed_hosts *hosts = memory_allocate(sizeof *hosts);
    hosts->places = memory_allocate((count + 1) * sizeof *hosts->places);
    for (; hosts->count < count; hosts->count++) {
        const char *pattern = patterns[hosts->count];
        if (read_pattern(pattern, &hosts->places[hosts->count]))
            continue;
        snprintf(problem, problem_size,
                 "\"%s\" is not HOST or HOST:PORT, for example api.example.com, *.example.com, "
                 "127.0.0.1:8080 or [::1]",
                 pattern);
        allowed_hosts_close(hosts);
        return NULL;
    }
    return hosts;
}

void allowed_hosts_close(struct allowed_hosts *hosts)
{
    if (!hosts)
        return;
    free(hosts->places);
    free(hosts);
}

static bool matches(const struct place *place, const struct place *wanted)
{
    if (place->port && place->port != wanted->port)
        return false;
    if (!place->below)
        return strcmp(place->host, wanted->host) == 0;
    size_t length = strlen(wanted->host), below = strlen(place->host);
    return length > below + 1 && wanted->host[length - below - 1] == '.' &&
           strcmp(wanted->host + length - below, place->host) == 0;
}

bool allowed_hosts_include(const struct allowed_hosts *hosts, const char *url, char *where,
                           size_t where_size)
{
    struct place wanted = {0};
    bool http;
    if (where_size > 0)
        *where = '\0';
    if (!read_url(url, &wanted, &http))
        return false;
    snprintf(where, where_size, "%s:%ld", wanted.host, wanted.port);
    for (size_t i = 0; http && i < hosts->count; i++)
        if (matches(&hosts->places[i], &wanted))
            return true;
    return false;
}
