/* Whom we talk to, and as whom: the URL of a platform, the id of a workspace. */
#include "wire/platform.h"

#include "base/memory.h"
#include "base/uuid.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define URL_MAXIMUM 2048
#define ID_MAXIMUM 128

bool platform_valid_id(const char *id)
{
    if (!id || !isalnum((unsigned char)*id))
        return false;
    size_t length = 0;
    for (; id[length]; length++)
        if (length == ID_MAXIMUM ||
            (!isalnum((unsigned char)id[length]) && !strchr("._-", id[length])))
            return false;
    return true;
}

void platform_normalise_id(char *id)
{
    if (uuid_valid(id))
        for (; *id; id++)
            *id = (char)tolower((unsigned char)*id);
}

/* The pieces of a URL; they point into it. */
struct pieces {
    bool secure;
    const char *host; /* with the brackets of an IPv6 address */
    size_t host_length;
    const char *port; /* "" for none */
    size_t port_length;
    const char *path;
    size_t path_length; /* without slashes at the end */
};

static const char *check_characters(const char *url)
{
    for (const char *at = url; *at; at++) {
        if (*at == '?')
            return "the URL has a query";
        if (*at == '#')
            return "the URL has a fragment";
        if ((unsigned char)*at >= 0x80)
            return "the URL is not ASCII (a host outside ASCII is written as xn--...)";
        if (*at <= ' ' || *at == 0x7f || strchr("\\\"<>^`{|}", *at))
            return "the URL contains an invalid character";
    }
    return strlen(url) > URL_MAXIMUM ? "the URL is too long" : NULL;
}

static bool valid_host(const char *host, size_t length)
{
    if (length == 0 || length > 255)
        return false;
    if (*host == '[') {
        char address[256];
        struct in6_addr parsed;
        if (length < 3 || host[length - 1] != ']')
            return false;
        memcpy(address, host + 1, length - 2);
        address[length - 2] = '\0';
        return inet_pton(AF_INET6, address, &parsed) == 1;
    }
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)host[i]) && !strchr("._-", host[i]))
            return false;
    return true;
}

static const char *split_url(const char *url, struct pieces *pieces)
{
    if (strncasecmp(url, "https://", 8) != 0 && strncasecmp(url, "http://", 7) != 0)
        return "the URL does not begin with http:// or https://";
    pieces->secure = tolower((unsigned char)url[4]) == 's';
    pieces->host = url + (pieces->secure ? 8 : 7);
    size_t authority = strcspn(pieces->host, "/");
    if (memchr(pieces->host, '@', authority))
        return "the URL contains credentials";
    const char *end = pieces->host + authority, *from = pieces->host;
    if (*from == '[' && !(from = memchr(from, ']', authority)))
        return "the URL's host is not valid";
    const char *colon = memchr(from, ':', (size_t)(end - from));
    pieces->host_length = (size_t)((colon ? colon : end) - pieces->host);
    pieces->port = colon ? colon + 1 : end;
    pieces->port_length = (size_t)(end - pieces->port);
    pieces->path = end;
    pieces->path_length = strlen(end);
    while (pieces->path_length > 0 && end[pieces->path_length - 1] == '/')
        pieces->path_length--;
    if (pieces->host_length == 0)
        return "the URL has no host";
    return valid_host(pieces->host, pieces->host_length) ? NULL : "the URL's host is not valid";
}

/* -1: not a port; 0: none, or the scheme's own */
static int read_port(const struct pieces *pieces)
{
    int port = 0;
    for (size_t i = 0; i < pieces->port_length; i++) {
        if (!isdigit((unsigned char)pieces->port[i]) || port > 65535)
            return -1;
        port = port * 10 + (pieces->port[i] - '0');
    }
    if (pieces->port_length > 0 && (port < 1 || port > 65535))
        return -1;
    return port == (pieces->secure ? 443 : 80) ? 0 : port;
}

static bool printable(const char *text)
{
    for (; *text; text++)
        if (!isgraph((unsigned char)*text))
            return false;
    return true;
}

bool platform_open(struct platform *platform, const char *url, const char *workspace_id,
                   const char *org_id, const char **problem)
{
    struct pieces pieces = {0};
    *platform = (struct platform){.workspace_id = workspace_id, .org_id = org_id};
    *problem = check_characters(url);
    if (!*problem)
        *problem = split_url(url, &pieces);
    int port = *problem ? 0 : read_port(&pieces);
    if (!*problem && port < 0)
        *problem = "the URL's port is not a number from 1 to 65535";
    if (!*problem && workspace_id && !platform_valid_id(workspace_id))
        *problem = "the workspace id is invalid: 1 to 128 of A-Z a-z 0-9 . _ -, the first a letter "
                   "or digit";
    if (!*problem && org_id && !printable(org_id))
        *problem = "the organization id contains a space or a character that is not ASCII";
    if (*problem)
        return false;
    char digits[16] = "";
    if (port > 0)
        snprintf(digits, sizeof digits, ":%d", port);
    platform->origin = memory_format("%s%.*s%s", pieces.secure ? "https://" : "http://",
                                     (int)pieces.host_length, pieces.host, digits);
    for (char *at = platform->origin; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    platform->headers = memory_allocate(sizeof *platform->headers);
    platform->base_url = memory_format("%s%.*s", platform->origin, (int)pieces.path_length,
                                       pieces.path);
    return true;
}

void platform_close(struct platform *platform)
{
    free(platform->base_url);
    free(platform->origin);
    if (platform->headers)
        platform_headers_forget(platform->headers);
    free(platform->headers);
    *platform = (struct platform){0};
}

bool platform_is_private(const struct platform *platform)
{
    static const char plain[] = "http://";
    if (!platform->origin || strncmp(platform->origin, plain, sizeof plain - 1) != 0)
        return platform->origin != NULL;
    const char *host = platform->origin + sizeof plain - 1;
    size_t bracketed = *host == '[', length = strcspn(host + bracketed, bracketed ? "]" : ":");
    char name[256];
    if (length >= sizeof name)
        return false;
    memcpy(name, host + bracketed, length);
    name[length] = '\0';
    struct in_addr address;
    struct in6_addr address6;
    if (bracketed)
        return inet_pton(AF_INET6, name, &address6) == 1 && IN6_IS_ADDR_LOOPBACK(&address6);
    if (inet_pton(AF_INET, name, &address) == 1)
        return ntohl(address.s_addr) >> 24 == 127;
    return strcmp(name, "localhost") == 0;
}
