#include "net/parsed_urls.h"

#include "base/hash.h"
#include "base/memory.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* NULL: it is an address already */
static char *name_of(CURLU *handle)
{
    char *host = NULL, *copy = NULL;
    unsigned char address[sizeof(struct in6_addr)];
    if (curl_url_get(handle, CURLUPART_HOST, &host, 0) == CURLUE_OK && host[0] != '[' &&
        inet_pton(AF_INET, host, address) != 1)
        copy = memory_copy_text(host);
    curl_free(host);
    return copy;
}

static struct parsed_url *parse(const char *text)
{
    CURLU *handle = curl_url();
    if (!handle || curl_url_set(handle, CURLUPART_URL, text, 0) != CURLUE_OK) {
        curl_url_cleanup(handle);
        return NULL;
    }
    struct parsed_url *url = memory_allocate(sizeof *url);
    *url = (struct parsed_url){
        .handle = handle, .text = memory_copy_text(text), .host = name_of(handle), .users = 1};
    return url;
}

struct parsed_url *parsed_urls_take(struct parsed_urls *urls, const char *text)
{
    struct parsed_url **place = &urls->places[(hash_text(text) >> 32) % PARSED_URLS];
    if (!*place || strcmp((*place)->text, text) != 0) {
        parsed_url_release(*place);
        *place = parse(text);
    }
    if (*place)
        (*place)->users++;
    return *place;
}

void parsed_url_release(struct parsed_url *url)
{
    if (!url || --url->users > 0)
        return;
    curl_url_cleanup(url->handle);
    free(url->text);
    free(url->host);
    free(url);
}

void parsed_urls_close(struct parsed_urls *urls)
{
    for (size_t i = 0; i < PARSED_URLS; i++)
        parsed_url_release(urls->places[i]);
    *urls = (struct parsed_urls){0};
}
