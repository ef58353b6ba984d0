/* Refuses heads that another reader of the same bytes could understand differently (request
 * smuggling). libmicrohttpd 0.9.75 ends lines at a bare LF, ends texts at a NUL, joins folded lines
 * and takes the first of several lengths. It leaves the head's texts where they arrived, so what
 * lies between them tells: one separator of the right size, and nothing else. */
#include "net/http_server_request.h"

#include "base/host_name.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool is_token(const char *text, size_t length)
{
    if (length == 0)
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (!isalnum(c) && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return true;
}

static bool is_field_value(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < ' ' && c != '\t') || c == 127)
            return false;
    }
    return true;
}

static bool is_host(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("-._~!$&'()*+,;=:[]%", text[i]))
            return false;
    return true;
}

const char *http_server_target_host(const char *target, size_t *length)
{
    size_t scheme = strncasecmp(target, "http://", 7) == 0    ? 7
                    : strncasecmp(target, "https://", 8) == 0 ? 8
                                                              : 0;
    const char *host = target + scheme;
    *length = strcspn(host, "/?");
    bool sound = *length > 0 && is_host(host, *length) && !memchr(host, '%', *length);
    return scheme > 0 && sound ? host : NULL;
}

/* A target in absolute form names the same host as Host (RFC 9112 §3.2). Names are compared as
 * http_request_host has them, other hosts as they stand. */
static bool is_other_host(const struct http_request *request)
{
    char asked[HOST_NAME_SIZE], named[HOST_NAME_SIZE];
    size_t length;
    const char *host = http_server_target_host(request->url, &length),
               *field = http_request_header(request, "Host");
    if (!host)
        return false;
    if (!field)
        return true;
    if (host_name_take(host, length, asked) && host_name_take(field, strlen(field), named))
        return strcmp(asked, named) != 0;
    return strlen(field) != length || strncasecmp(host, field, length) != 0;
}

bool http_server_target_bad(const char *target)
{
    size_t length;
    if (target[0] != '/' && strcmp(target, "*") != 0 && !http_server_target_host(target, &length))
        return true;
    for (const char *at = target; *at; at++) {
        unsigned char c = (unsigned char)*at;
        if (c <= ' ' || c == 127 || c == '#' || strncmp(at, "%00", 3) == 0)
            return true;
    }
    return false;
}

struct scan {
    const char *end; /* of what came before, without its line end */
    size_t headers, hosts, lengths, codings;
    bool misplaced; /* bytes were skipped, or the text is not where it arrived */
    bool bad;
    bool bad_expectation, expects;
    bool chunked;
    uint64_t length;
    bool too_long; /* the number has more digits than any body */
};

static bool named(const char *name, size_t length, const char *wanted)
{
    return length == strlen(wanted) && strncasecmp(name, wanted, length) == 0;
}

static void scan_length(struct scan *scan, const char *value, size_t length)
{
    scan->lengths++;
    scan->bad |= length == 0;
    scan->too_long = length > 18;
    scan->length = 0;
    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)value[i]))
            scan->bad = true;
        else if (!scan->too_long)
            scan->length = scan->length * 10 + (uint64_t)(value[i] - '0');
    }
}

static enum MHD_Result scan_header(void *context, enum MHD_ValueKind kind, const char *name,
                                   size_t name_length, const char *value, size_t length)
{
    (void)kind;
    struct scan *scan = context;
    scan->headers++;
    scan->misplaced |= name != scan->end + 2 || value < name + name_length + 1;
    for (const char *at = name + name_length + 1; !scan->misplaced && at < value; at++)
        scan->misplaced |= *at != ' ' && *at != '\t';
    scan->end = value + length;
    scan->bad |= !is_token(name, name_length) || !is_field_value(value, length);
    if (named(name, name_length, "Host")) {
        scan->hosts++;
        scan->bad |= !is_host(value, length);
    } else if (named(name, name_length, "Content-Length")) {
        scan_length(scan, value, length);
    } else if (named(name, name_length, "Transfer-Encoding")) {
        scan->codings++;
        scan->chunked = named(value, length, "chunked");
    } else if (named(name, name_length, "Expect")) {
        scan->expects = true;
        scan->bad_expectation |= !named(value, length, "100-continue");
    }
    return MHD_YES;
}

/* Newer libmicrohttpd is strict by itself, and may trim what we measure. */
static bool layout_is_known(void)
{
    return strncmp(MHD_get_version(), "0.9.7", 5) == 0;
}

static bool is_misplaced(const struct http_request *request, const char *version,
                         const struct scan *scan, size_t head_bytes)
{
    return scan->misplaced || request->target != request->method + strlen(request->method) + 1 ||
           version != request->target + request->target_length + 1 ||
           scan->end + 4 != request->method + head_bytes;
}

static size_t head_bytes(const struct http_request *request)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        request->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info ? info->header_size : 0;
}

unsigned http_server_guard(struct http_request *request, const char *version)
{
    const struct http_server_limits *limits = &request->server->options.limits;
    struct scan scan = {.end = version + strlen(version)};
    (void)MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, scan_header, &scan);
    bool modern = strcmp(version, "HTTP/1.1") == 0;
    size_t size = head_bytes(request);
    request->has_body = scan.expects || scan.codings > 0 || scan.length > 0 || scan.too_long;
    if (size > limits->head_bytes || scan.headers > limits->headers)
        return MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
    if (layout_is_known() && is_misplaced(request, version, &scan, size))
        return MHD_HTTP_BAD_REQUEST;
    if (scan.bad || request->target_bad || is_other_host(request) ||
        !is_token(request->method, strlen(request->method)) ||
        (!modern && strcmp(version, "HTTP/1.0") != 0) || scan.hosts > 1 ||
        (modern && scan.hosts == 0) || scan.lengths > 1)
        return MHD_HTTP_BAD_REQUEST;
    if (scan.codings > 0 && (scan.codings > 1 || !scan.chunked || scan.lengths > 0 || !modern))
        return MHD_HTTP_BAD_REQUEST;
    if (request->path[0] == '*' && strcmp(request->method, "OPTIONS") != 0)
        return MHD_HTTP_BAD_REQUEST;
    if (scan.bad_expectation)
        return MHD_HTTP_EXPECTATION_FAILED;
    if (scan.too_long || scan.length > limits->body_bytes)
        return MHD_HTTP_CONTENT_TOO_LARGE;
    request->last = scan.codings > 0;
    return 0;
}
