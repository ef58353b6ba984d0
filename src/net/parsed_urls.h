/* A cache of parsed URLs. A workspace requests the same few all the time, and libcurl spends a
 * fifth of a request parsing its URL and printing it again. Only net/ includes this. */
#ifndef MOLECULE_NET_PARSED_URLS_H
#define MOLECULE_NET_PARSED_URLS_H

#include <curl/curl.h>
#include <stddef.h>

struct parsed_url {
    CURLU *handle;
    char *text;
    char *host;   /* NULL: an address, not a name */
    size_t users; /* exchanges, and the table */
};

#define PARSED_URLS 512

struct parsed_urls {
    struct parsed_url *places[PARSED_URLS];
};

/* NULL: libcurl does not take this URL; the request will say so. Release it with
 * parsed_url_release. */
struct parsed_url *parsed_urls_take(struct parsed_urls *urls, const char *text);
void parsed_url_release(struct parsed_url *url); /* NULL is fine */
void parsed_urls_close(struct parsed_urls *urls);

#endif
