/* URLs that were parsed before. A workspace asks for the same few all the time, and libcurl spends
 * a fifth of a request on parsing its URL and writing it anew. Only net/ includes this. */
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

/* NULL: it is no URL that libcurl takes; the request with it will say so. Let go of it with
 * parsed_url_release. */
struct parsed_url *parsed_urls_take(struct parsed_urls *urls, const char *text);
void parsed_url_release(struct parsed_url *url); /* NULL is fine */
void parsed_urls_close(struct parsed_urls *urls);

#endif
