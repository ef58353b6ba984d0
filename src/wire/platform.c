/* The requests, byte for byte as they go out (contract §1, §9.1). */
#include "wire/platform.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/uuid.h"
#include "wire/jsontext.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define URL_MAXIMUM 2048
#define REQUEST_MAXIMUM (16 * 1024 * 1024)
#define ID_MAXIMUM 128
#define LIMIT_MAXIMUM 500 /* the platform's own clamp (contract §1.6) */

const char *platform_call_text(enum platform_call call)
{
    static const char *const texts[] = {
#define X(name, text) text,
        PLATFORM_CALLS(X)
#undef X
    };
    return (size_t)call < sizeof texts / sizeof *texts ? texts[call] : "unknown call";
}

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
            return "the URL carries a query";
        if (*at == '#')
            return "the URL carries a fragment";
        if ((unsigned char)*at >= 0x80)
            return "the URL is not ASCII (a host outside ASCII is written as xn--...)";
        if (*at <= ' ' || *at == 0x7f || strchr("\\\"<>^`{|}", *at))
            return "the URL holds a character that no URL has";
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
        return "the URL carries credentials";
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
        *problem = "the workspace id is not one: 1 to 128 of A-Z a-z 0-9 . _ -, the first a letter "
                   "or digit";
    if (!*problem && org_id && !printable(org_id))
        *problem = "the organisation id holds a space or a character that is not ASCII";
    if (*problem)
        return false;
    char digits[16] = "";
    if (port > 0)
        snprintf(digits, sizeof digits, ":%d", port);
    platform->origin = memory_format("%s%.*s%s", pieces.secure ? "https://" : "http://",
                                     (int)pieces.host_length, pieces.host, digits);
    for (char *at = platform->origin; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    platform->base_url = memory_format("%s%.*s", platform->origin, (int)pieces.path_length,
                                       pieces.path);
    return true;
}

void platform_close(struct platform *platform)
{
    free(platform->base_url);
    free(platform->origin);
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

void platform_request_free(struct platform_request *request)
{
    free(request->url);
    free(request->body);
    for (size_t i = 0; i < PLATFORM_HEADERS; i++)
        memory_wipe(request->headers[i]); /* one of them holds the token */
    *request = (struct platform_request){0};
}

/* `name` is as it goes out, with what stands in front of the value. */
static void add_header(struct platform_request *request, const char *name, const char *value)
{
    size_t slot = 0, name_length = strlen(name);
    while (slot < PLATFORM_HEADERS - 1 && request->headers[slot])
        slot++;
    if (!value || !*value || slot == PLATFORM_HEADERS - 1)
        return;
    char *header = memory_allocate(name_length + strlen(value) + 1), *to = header + name_length;
    memcpy(header, name, name_length);
    for (const char *from = value; *from; from++)
        if ((unsigned char)*from >= 0x20 && *from != 0x7f)
            *to++ = *from;
    request->headers[slot] = header;
}

static void append_encoded(struct buffer *url, const char *text)
{
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (isalnum(byte) || strchr("-._~", byte))
            buffer_append_char(url, *text);
        else
            buffer_printf(url, "%%%02X", byte);
    }
}

/* `path` is as it goes out, from its slash on. */
static struct platform_request start(const struct platform *platform, const char *token,
                                     enum platform_call call, const char *method, char *path)
{
    struct platform_request request = {.call = call, .method = method};
    request.url = memory_format("%s%s", platform->base_url, path);
    free(path);
    add_header(&request, "Authorization: Bearer ", token);
    add_header(&request, "Origin: ", platform->origin);
    add_header(&request,
               "Accept: ", call == PLATFORM_EVENTS ? "text/event-stream" : "application/json");
    add_header(&request, "X-Molecule-Org-Id: ", platform->org_id);
    if (strcmp(method, "POST") == 0 && call != PLATFORM_UPLOAD)
        add_header(&request, "Content-Type: ", "application/json");
    return request;
}

/* Takes the reference. Without memory for the JSON there is no request at all. */
static void give_body(struct platform_request *request, json_t *body, bool complete)
{
    struct buffer text;
    size_t needed;
    buffer_init(&text, REQUEST_MAXIMUM);
    if (complete && jsontext_write(body, &text, &needed)) {
        request->body_length = text.length;
        request->body = buffer_take(&text);
    } else {
        platform_request_free(request);
    }
    buffer_free(&text);
    json_decref(body);
}

static bool set_text(json_t *object, const char *key, const char *text)
{
    return !text || json_object_set_new(object, key, jsontext_string(text, strlen(text))) == 0;
}

static json_t *make_card(const struct platform_card *card)
{
    json_t *made = json_object();
    if (set_text(made, "name", card->name) && set_text(made, "description", card->description) &&
        set_text(made, "version", card->version) &&
        (!card->skills || json_object_set(made, "skills", (json_t *)card->skills) == 0))
        return made;
    json_decref(made);
    return NULL;
}

struct platform_request platform_register(const struct platform *platform, const char *token,
                                          const struct platform_card *card)
{
    if (!platform_valid_id(platform->workspace_id))
        return (struct platform_request){0};
    struct platform_request request = start(platform, token, PLATFORM_REGISTER, "POST",
                                            memory_copy_text("/registry/register"));
    json_t *body = json_object();
    /* without the mode a row made for push stays push (contract §1.3) */
    bool complete = set_text(body, "id", platform->workspace_id) &&
                    set_text(body, "delivery_mode", "poll") &&
                    json_object_set_new(body, "agent_card", make_card(card)) == 0;
    give_body(&request, body, complete);
    return request;
}

struct platform_request platform_heartbeat(const struct platform *platform, const char *token,
                                           const struct platform_beat *beat)
{
    if (!platform_valid_id(platform->workspace_id))
        return (struct platform_request){0};
    struct platform_request request = start(platform, token, PLATFORM_HEARTBEAT, "POST",
                                            memory_copy_text("/registry/heartbeat"));
    /* NaN is 0 */
    double rate = beat->error_rate > 0 ? beat->error_rate < 1 ? beat->error_rate : 1 : 0;
    json_t *body = json_object();
    bool complete =
        set_text(body, "workspace_id", platform->workspace_id) &&
        json_object_set_new(body, "error_rate", json_real(rate)) == 0 &&
        set_text(body, "sample_error", beat->sample_error ? beat->sample_error : "") &&
        json_object_set_new(body, "active_tasks", json_integer(beat->active_tasks)) == 0 &&
        json_object_set_new(body, "uptime_seconds", json_integer(beat->uptime_seconds)) == 0 &&
        set_text(body, "current_task", beat->current_task ? beat->current_task : "") &&
        set_text(body, "runtime_state", beat->wedged ? "wedged" : "");
    give_body(&request, body, complete);
    return request;
}

struct platform_request platform_activity(const struct platform *platform, const char *token,
                                          const struct platform_fetch *fetch)
{
    if (!platform_valid_id(platform->workspace_id))
        return (struct platform_request){0};
    int limit = fetch->limit < 1 ? 1 : fetch->limit > LIMIT_MAXIMUM ? LIMIT_MAXIMUM : fetch->limit;
    struct buffer path;
    buffer_init(&path, REQUEST_MAXIMUM);
    buffer_printf(&path, "/workspaces/%s/activity?type=%s&include=peer_info&limit=%d",
                  platform->workspace_id, fetch->type ? fetch->type : "a2a_receive", limit);
    if (fetch->since_id) {
        buffer_append_text(&path, "&since_id=");
        append_encoded(&path, fetch->since_id);
    } else if (fetch->since_secs > 0) {
        buffer_printf(&path, "&since_secs=%" PRId64, fetch->since_secs);
    }
    if (fetch->before_ts) {
        buffer_append_text(&path, "&before_ts=");
        append_encoded(&path, fetch->before_ts);
    }
    return start(platform, token, PLATFORM_ACTIVITY, "GET", buffer_take(&path));
}

struct platform_request platform_workspace(const struct platform *platform, const char *token,
                                           const char *id)
{
    if (!platform_valid_id(id))
        return (struct platform_request){0};
    return start(platform, token, PLATFORM_WORKSPACE, "GET", memory_format("/workspaces/%s", id));
}

struct platform_request platform_limits(const struct platform *platform, const char *token)
{
    return start(platform, token, PLATFORM_LIMITS, "GET", memory_copy_text("/uploads/limits"));
}

struct platform_request platform_state(const struct platform *platform, const char *token)
{
    if (!platform_valid_id(platform->workspace_id))
        return (struct platform_request){0};
    return start(platform, token, PLATFORM_STATE, "GET",
                 memory_format("/workspaces/%s/state", platform->workspace_id));
}

struct platform_request platform_events(const struct platform *platform, const char *token)
{
    if (!platform_valid_id(platform->workspace_id))
        return (struct platform_request){0};
    return start(platform, token, PLATFORM_EVENTS, "GET",
                 memory_format("/workspaces/%s/events/stream", platform->workspace_id));
}

/* `target` is whose inbox or canvas it goes to. */
static struct platform_request post(const struct platform *platform, const char *token,
                                    enum platform_call call, const char *target, const char *body,
                                    size_t length)
{
    if (!platform_valid_id(platform->workspace_id) || !platform_valid_id(target))
        return (struct platform_request){0};
    bool to_peer = call == PLATFORM_A2A || call == PLATFORM_SEND;
    const char *verb = to_peer ? "a2a" : "notify";
    struct platform_request request = start(platform, token, call, "POST",
                                            memory_format("/workspaces/%s/%s", target, verb));
    if (to_peer)
        add_header(&request, "X-Workspace-ID: ", platform->workspace_id);
    request.body = memory_copy(body, length);
    request.body_length = length;
    return request;
}

struct platform_request platform_a2a(const struct platform *platform, const char *token,
                                     const char *target, const char *body, size_t length)
{
    return post(platform, token, PLATFORM_A2A, target, body, length);
}

struct platform_request platform_notify(const struct platform *platform, const char *token,
                                        const char *body, size_t length)
{
    return post(platform, token, PLATFORM_NOTIFY, platform->workspace_id, body, length);
}

struct platform_request platform_send(const struct platform *platform, const char *token,
                                      const char *target, const char *body, size_t length)
{
    return post(platform, token, PLATFORM_SEND, target, body, length);
}

struct platform_request platform_say(const struct platform *platform, const char *token,
                                     const char *body, size_t length)
{
    return post(platform, token, PLATFORM_SAY, platform->workspace_id, body, length);
}

struct platform_request platform_peers(const struct platform *platform, const char *token,
                                       const char *query)
{
    struct buffer path;
    buffer_init(&path, REQUEST_MAXIMUM);
    buffer_printf(&path, "/registry/%s/peers", platform->workspace_id);
    if (query && *query) {
        buffer_append_text(&path, "?q=");
        append_encoded(&path, query);
    }
    return start(platform, token, PLATFORM_PEERS, "GET", buffer_take(&path));
}

struct platform_request platform_delegate(const struct platform *platform, const char *token,
                                          const char *target, const char *task, size_t length,
                                          const char *idempotency_key)
{
    if (!platform_valid_id(target))
        return (struct platform_request){0};
    struct platform_request request = start(
        platform, token, PLATFORM_DELEGATE, "POST",
        memory_format("/workspaces/%s/delegate", platform->workspace_id));
    json_t *body = json_object();
    bool complete = set_text(body, "target_id", target) &&
                    json_object_set_new(body, "task", jsontext_string(task, length)) == 0 &&
                    set_text(body, "idempotency_key", idempotency_key);
    give_body(&request, body, complete);
    return request;
}

static struct platform_request upload_request(const struct platform *platform, const char *token,
                                              const char *file_id, enum platform_call call,
                                              const char *method, const char *verb)
{
    if (!platform_valid_id(file_id))
        return (struct platform_request){0};
    return start(platform, token, call, method,
                 memory_format("/workspaces/%s/pending-uploads/%s/%s", platform->workspace_id,
                               file_id, verb));
}

struct platform_request platform_fetch(const struct platform *platform, const char *token,
                                       const char *file_id)
{
    return upload_request(platform, token, file_id, PLATFORM_FETCH, "GET", "content");
}

struct platform_request platform_ack(const struct platform *platform, const char *token,
                                     const char *file_id)
{
    struct platform_request request = upload_request(platform, token, file_id, PLATFORM_ACK, "POST",
                                                     "ack");
    if (request.url)
        give_body(&request, json_object(), true);
    return request;
}

struct platform_request platform_upload(const struct platform *platform, const char *token,
                                        const char *boundary, const char *body, size_t length)
{
    struct platform_request request = start(
        platform, token, PLATFORM_UPLOAD, "POST",
        memory_format("/workspaces/%s/chat/uploads", platform->workspace_id));
    add_header(&request, "Content-Type: multipart/form-data; boundary=", boundary);
    request.body = memory_copy(body, length);
    request.body_length = length;
    return request;
}
