/* What is told about a request: its header fields, its client, its id, its line in the log. */
#include "net/http_server_request.h"

#include "base/host_name.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LOGGED_PATH 200 /* bytes */

const char *http_request_method(const struct http_request *request)
{
    return request->method;
}

const char *http_request_path(const struct http_request *request)
{
    return request->path;
}

const char *http_request_body(const struct http_request *request, size_t *length)
{
    *length = request->body.length;
    return request->body.data ? request->body.data : "";
}

/* ---- header fields and arguments ---- */

struct visit {
    http_pair_visitor *visitor;
    void *context;
};

static enum MHD_Result visit_pair(void *context, enum MHD_ValueKind kind, const char *name,
                                  size_t name_length, const char *value, size_t length)
{
    (void)kind;
    (void)name_length;
    struct visit *visit = context;
    visit->visitor(name, value ? value : "", value ? length : 0, visit->context);
    return MHD_YES;
}

void http_request_each_header(struct http_request *request, http_pair_visitor *visitor,
                              void *context)
{
    struct visit visit = {visitor, context};
    (void)MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, visit_pair, &visit);
}

void http_request_each_argument(struct http_request *request, http_pair_visitor *visitor,
                                void *context)
{
    struct visit visit = {visitor, context};
    (void)MHD_get_connection_values_n(request->connection, MHD_GET_ARGUMENT_KIND, visit_pair,
                                      &visit);
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

struct lookup {
    const char *name, *value;
};

/* Names of arguments are case-sensitive; MHD_lookup_connection_value is not. */
static void look_at(const char *name, const char *value, size_t length, void *context)
{
    (void)length;
    struct lookup *lookup = context;
    if (!lookup->value && strcmp(name, lookup->name) == 0)
        lookup->value = value;
}

const char *http_request_argument(const struct http_request *request, const char *name)
{
    struct lookup lookup = {.name = name};
    struct visit visit = {look_at, &lookup};
    (void)MHD_get_connection_values_n(request->connection, MHD_GET_ARGUMENT_KIND, visit_pair,
                                      &visit);
    return lookup.value;
}

/* ---- client, host and id ---- */

struct hops {
    const char *forwarded_for, *forwarded_host, *forwarded; /* of each the last line */
};

static void see_hops(const char *name, const char *value, size_t length, void *context)
{
    (void)length;
    struct hops *hops = context;
    if (strcasecmp(name, "X-Forwarded-For") == 0)
        hops->forwarded_for = value;
    else if (strcasecmp(name, "X-Forwarded-Host") == 0)
        hops->forwarded_host = value;
    else if (strcasecmp(name, "Forwarded") == 0)
        hops->forwarded = value;
}

static const char *last_element(const char *list)
{
    const char *comma = strrchr(list, ',');
    return comma ? comma + 1 : list;
}

/* "10.0.0.1", "10.0.0.1:123", "::1", "[::1]:123", with or without quotes; else nothing is set. */
static void take_address(struct http_request *request, const char *text)
{
    char address[HTTP_CLIENT_SIZE];
    unsigned char parsed[sizeof(struct in6_addr)];
    text += strspn(text, " \t\"");
    bool bracketed = *text == '[';
    text += bracketed;
    size_t length = strcspn(text, bracketed ? "]" : " \t\";,");
    const char *colon = memchr(text, ':', length);
    if (!bracketed && colon && !memchr(colon + 1, ':', length - (size_t)(colon + 1 - text)))
        length = (size_t)(colon - text);
    if (length >= sizeof address)
        return;
    memcpy(address, text, length);
    address[length] = 0;
    if (inet_pton(AF_INET, address, parsed) == 1 || inet_pton(AF_INET6, address, parsed) == 1)
        memcpy(request->client, address, length + 1);
}

/* What the last hop says of it in Forwarded (RFC 7239), "host=" for one; NULL: nothing. What stands
 * in quotes is no separator. */
static const char *find_told(const char *forwarded, const char *parameter)
{
    const char *found = NULL;
    bool begins = true;
    for (const char *at = forwarded; *at; at++) {
        if (*at == ',')
            found = NULL;
        if (begins && strncasecmp(at, parameter, strlen(parameter)) == 0)
            found = at + strlen(parameter);
        begins = *at == ',' || *at == ';' || (begins && (*at == ' ' || *at == '\t'));
        if (*at != '"')
            continue;
        for (at++; *at && *at != '"'; at++)
            at += *at == '\\' && at[1];
        if (!*at)
            break;
    }
    return found;
}

static void take_hop(struct http_request *request)
{
    struct hops hops = {0};
    http_request_each_header(request, see_hops, &hops);
    const char *told = hops.forwarded_for ? last_element(hops.forwarded_for)
                       : hops.forwarded   ? find_told(hops.forwarded, "for=")
                                          : NULL;
    if (told)
        take_address(request, told);
}

bool http_request_host(struct http_request *request, char name[HOST_NAME_SIZE])
{
    struct hops hops = {0};
    const char *host = http_request_header(request, "Host"), *told = NULL;
    if (request->server->options.trust_proxy) {
        http_request_each_header(request, see_hops, &hops);
        told = hops.forwarded_host ? last_element(hops.forwarded_host)
               : hops.forwarded    ? find_told(hops.forwarded, "host=")
                                   : NULL;
    }
    host = told ? told : host ? host : "";
    host += strspn(host, " \t\"");
    size_t length = strcspn(host, " \t\";,");
    const char *rest = host + length + strspn(host + length, " \t\"");
    bool more = *rest && (!told || hops.forwarded_host || !strchr(";,", *rest));
    return host_name_take(host, more ? 0 : length, name);
}

const char *http_request_client(const struct http_request *request)
{
    return request->client[0] ? request->client : request->on->client;
}

static void take_id(struct http_request *request, const char *id)
{
    size_t length = 0;
    char clean[HTTP_ID_SIZE];
    for (; *id && length < sizeof clean - 1; id++)
        if (isalnum((unsigned char)*id) || strchr("._-", *id))
            clean[length++] = *id;
    clean[length] = 0;
    if (length > 0)
        memcpy(request->id, clean, length + 1);
}

void http_request_name(struct http_request *request)
{
    if (!request->server->options.trust_proxy)
        return;
    const char *id = http_request_header(request, "X-Request-Id");
    if (id)
        take_id(request, id);
    take_hop(request);
}

const char *http_request_id(const struct http_request *request)
{
    return request->id;
}

/* ---- the log ---- */

static void escape(char *out, size_t size, const char *text)
{
    size_t length = 0;
    for (; *text && length + 5 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < ' ' || c == 127)
            length += (size_t)snprintf(out + length, size - length, "\\x%02x", c);
        else
            out[length++] = (char)c;
    }
    out[length] = 0;
}

void http_request_log(const struct http_request *request)
{
    const char *name = request->server->access_log_name;
    if (!name || log_get_level() < LOG_LEVEL_DEBUG || !request->method)
        return;
    char path[LOGGED_PATH + 5], method[32];
    escape(path, sizeof path, request->path);
    escape(method, sizeof method, request->method);
    log_debug(LOG_SERVER_REQUEST, ((struct log_subject){.part = name}),
              "%s %s %u %" PRIu64 " bytes %" PRIu64 " ms %s %s", method, path, request->status,
              request->sent_bytes, uv_now(request->server->loop) - request->began_ms,
              http_request_client(request), request->id);
}

const char *http_status_text(unsigned status)
{
    switch (status) {
    case MHD_HTTP_CONTENT_TOO_LARGE: return "request body too large";
    case MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE: return "request head too large";
    case MHD_HTTP_REQUEST_TIMEOUT: return "the request took too long to arrive";
    case MHD_HTTP_EXPECTATION_FAILED: return "only 100-continue can be expected";
    default: return "malformed request";
    }
}

void http_request_set_data(struct http_request *request, void *data)
{
    request->data = data;
}

void *http_request_data(const struct http_request *request)
{
    return request->data;
}
