/* The paths of A2A's two HTTP bindings. JSON-RPC has one; those of HTTP+JSON are [1.0 §11.3] and
 * the google.api.http options of specification/a2a.proto. 0.3 has the same below /v1 [0.3 §3.5.6],
 * and /v1/card. Paths with a tenant in front are not ours: no interface of our card has one. */
#include "wire/a2a_private.h"

#include <string.h>

#define SEGMENTS 4 /* tasks/{id}/pushNotificationConfigs/{id} */
#define NONE (-1)

struct segment {
    const char *text;
    size_t length;
};

/* What may be done at a path: the operation for each HTTP method. */
struct place {
    int get, post, delete;
    const char *allowed;
};

static const struct place rpc = {NONE, A2A_SEND, NONE, "POST"},
                          send_it = {NONE, A2A_SEND, NONE, "POST"},
                          stream_it = {NONE, A2A_STREAM, NONE, "POST"},
                          tasks = {A2A_LIST, NONE, NONE, "GET"},
                          task = {A2A_GET, NONE, NONE, "GET"},
                          cancel = {NONE, A2A_CANCEL, NONE, "POST"},
                          /* POST in [1.0 §11.3], GET in a2a.proto */
    subscribe = {A2A_SUBSCRIBE, A2A_SUBSCRIBE, NONE, "GET, POST"},
                          configs = {A2A_CONFIG_LIST, A2A_CONFIG_CREATE, NONE, "GET, POST"},
                          config = {A2A_CONFIG_GET, NONE, A2A_CONFIG_DELETE, "GET, DELETE"},
                          card = {A2A_EXTENDED_CARD, NONE, NONE, "GET"};

static bool is(const struct segment *segment, const char *text)
{
    return segment->length == strlen(text) && memcmp(segment->text, text, segment->length) == 0;
}

/* Cuts off the suffix; false: it has none, or nothing before it. */
static bool cut(struct segment *segment, const char *suffix)
{
    size_t length = strlen(suffix);
    if (segment->length <= length ||
        memcmp(segment->text + segment->length - length, suffix, length) != 0)
        return false;
    segment->length -= length;
    return true;
}

/* The number of segments; SEGMENTS + 1: too many. Slashes at the end do not count. */
static size_t split(const char *path, struct segment segments[SEGMENTS])
{
    size_t length = strlen(path), count = 0;
    while (length > 0 && path[length - 1] == '/')
        length--;
    const char *end = path + length, *at = length > 0 && *path == '/' ? path + 1 : path;
    while (at < end) {
        const char *stop = memchr(at, '/', (size_t)(end - at));
        if (!stop)
            stop = end;
        if (count == SEGMENTS || stop == at)
            return SEGMENTS + 1;
        segments[count++] = (struct segment){at, (size_t)(stop - at)};
        at = stop + 1;
    }
    return count;
}

static const struct place *find_task(struct segment *segments, size_t count,
                                     struct a2a_route *route)
{
    const struct place *place = NULL;
    if (count == 1)
        return &tasks;
    if (count == 2)
        place = cut(&segments[1], ":cancel")      ? &cancel
                : cut(&segments[1], ":subscribe") ? &subscribe
                                                  : &task;
    else if (is(&segments[2], "pushNotificationConfigs"))
        place = count == 3 ? &configs : &config;
    route->id = segments[1].text;
    route->id_length = segments[1].length;
    if (count == 4) {
        route->config = segments[3].text;
        route->config_length = segments[3].length;
    }
    return place;
}

static const struct place *find(const char *path, struct a2a_route *route)
{
    struct segment segments[SEGMENTS + 1], *first = segments;
    bool old = strncmp(path, "/v1/", 4) == 0;
    size_t count = split(old ? path + 3 : path, segments);
    route->binding = A2A_HTTP_JSON;
    route->version = old ? A2A_0_3 : A2A_1_0;
    if (count == 0 && !old) {
        route->binding = A2A_JSON_RPC;
        return &rpc;
    }
    if (count == 0 || count > SEGMENTS)
        return NULL;
    if (is(first, "tasks"))
        return find_task(segments, count, route);
    if (count > 1)
        return NULL;
    return is(first, "message:send")                       ? &send_it
           : is(first, "message:stream")                   ? &stream_it
           : is(first, old ? "card" : "extendedAgentCard") ? &card
                                                           : NULL;
}

bool a2a_route(const char *method, const char *path, struct a2a_route *route, const char **allowed)
{
    *route = (struct a2a_route){0};
    const struct place *place = find(path, route);
    *allowed = place ? place->allowed : NULL;
    if (!place)
        return false;
    int operation = strcmp(method, "GET") == 0      ? place->get
                    : strcmp(method, "POST") == 0   ? place->post
                    : strcmp(method, "DELETE") == 0 ? place->delete
                                                    : NONE;
    if (operation == NONE)
        return false;
    route->operation = (enum a2a_operation)operation;
    *allowed = NULL;
    return true;
}

bool a2a_routes(const char *method, const char *path, const char **allowed)
{
    struct a2a_route route;
    return a2a_route(method, path, &route, allowed);
}
