/* The requests, byte for byte as they go out (contract §1, §9.1). */
#include "wire/platform.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "wire/jsontext.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_MAXIMUM (16 * 1024 * 1024)
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

void platform_request_free(struct platform_request *request)
{
    free(request->url);
    free(request->body);
    platform_headers_release(request->headers);
    *request = (struct platform_request){0};
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

static struct platform_request begin(const struct platform *platform, enum platform_call call,
                                     const char *method, char *path)
{
    struct platform_request request = {.call = call, .method = method};
    request.url = memory_join(platform->base_url, path);
    free(path);
    return request;
}

/* `path` is sent as it is, from its slash on. */
static struct platform_request get(const struct platform *platform, const char *token,
                                   enum platform_call call, char *path)
{
    struct platform_request request = begin(platform, call, "GET", path);
    request.headers = platform_headers_take(
        platform, token, call == PLATFORM_EVENTS ? PLATFORM_HEADERS_EVENTS : PLATFORM_HEADERS_GET);
    return request;
}

/* Of JSON. */
static struct platform_request post(const struct platform *platform, const char *token,
                                    enum platform_call call, char *path)
{
    bool to_peer = call == PLATFORM_A2A || call == PLATFORM_SEND;
    struct platform_request request = begin(platform, call, "POST", path);
    request.headers = platform_headers_take(
        platform, token, to_peer ? PLATFORM_HEADERS_PEER : PLATFORM_HEADERS_POST);
    return request;
}

/* Takes the reference. Out of memory for the JSON: the request is emptied. */
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
    if (!platform->workspace_id)
        return (struct platform_request){0};
    struct platform_request request = post(platform, token, PLATFORM_REGISTER,
                                           memory_copy_text("/registry/register"));
    json_t *body = json_object();
    /* without the mode a row created for push stays push (contract §1.3) */
    bool complete = set_text(body, "id", platform->workspace_id) &&
                    set_text(body, "delivery_mode", card->push_url ? "push" : "poll") &&
                    set_text(body, "url", card->push_url) &&
                    json_object_set_new(body, "agent_card", make_card(card)) == 0;
    give_body(&request, body, complete);
    return request;
}

struct platform_request platform_heartbeat(const struct platform *platform, const char *token,
                                           const struct platform_beat *beat)
{
    if (!platform->workspace_id)
        return (struct platform_request){0};
    struct platform_request request = post(platform, token, PLATFORM_HEARTBEAT,
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
    if (!platform->workspace_id)
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
    return get(platform, token, PLATFORM_ACTIVITY, buffer_take(&path));
}

struct platform_request platform_workspace(const struct platform *platform, const char *token,
                                           const char *id)
{
    if (!platform_valid_id(id))
        return (struct platform_request){0};
    return get(platform, token, PLATFORM_WORKSPACE, memory_format("/workspaces/%s", id));
}

struct platform_request platform_limits(const struct platform *platform, const char *token)
{
    return get(platform, token, PLATFORM_LIMITS, memory_copy_text("/uploads/limits"));
}

struct platform_request platform_state(const struct platform *platform, const char *token)
{
    if (!platform->workspace_id)
        return (struct platform_request){0};
    return get(platform, token, PLATFORM_STATE,
               memory_format("/workspaces/%s/state", platform->workspace_id));
}

struct platform_request platform_events(const struct platform *platform, const char *token)
{
    if (!platform->workspace_id)
        return (struct platform_request){0};
    return get(platform, token, PLATFORM_EVENTS,
               memory_format("/workspaces/%s/events/stream", platform->workspace_id));
}

/* `target` is whose inbox or canvas it goes to. */
static struct platform_request say(const struct platform *platform, const char *token,
                                   enum platform_call call, const char *target, const char *body,
                                   size_t length)
{
    if (!platform->workspace_id || !platform_valid_id(target))
        return (struct platform_request){0};
    bool to_peer = call == PLATFORM_A2A || call == PLATFORM_SEND;
    struct platform_request request = post(
        platform, token, call, memory_join("/workspaces/", target, to_peer ? "/a2a" : "/notify"));
    request.body = memory_copy(body, length);
    request.body_length = length;
    return request;
}

struct platform_request platform_a2a(const struct platform *platform, const char *token,
                                     const char *target, const char *body, size_t length)
{
    return say(platform, token, PLATFORM_A2A, target, body, length);
}

struct platform_request platform_notify(const struct platform *platform, const char *token,
                                        const char *body, size_t length)
{
    return say(platform, token, PLATFORM_NOTIFY, platform->workspace_id, body, length);
}

struct platform_request platform_send(const struct platform *platform, const char *token,
                                      const char *target, const char *body, size_t length)
{
    return say(platform, token, PLATFORM_SEND, target, body, length);
}

struct platform_request platform_say(const struct platform *platform, const char *token,
                                     const char *body, size_t length)
{
    return say(platform, token, PLATFORM_SAY, platform->workspace_id, body, length);
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
    return get(platform, token, PLATFORM_PEERS, buffer_take(&path));
}

struct platform_request platform_delegate(const struct platform *platform, const char *token,
                                          const char *target, const char *task, size_t length,
                                          const char *idempotency_key)
{
    if (!platform_valid_id(target))
        return (struct platform_request){0};
    struct platform_request request = post(
        platform, token, PLATFORM_DELEGATE,
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
                                              const char *verb)
{
    if (!platform_valid_id(file_id))
        return (struct platform_request){0};
    char *path = memory_format("/workspaces/%s/pending-uploads/%s/%s", platform->workspace_id,
                               file_id, verb);
    return call == PLATFORM_ACK ? post(platform, token, call, path)
                                : get(platform, token, call, path);
}

struct platform_request platform_fetch(const struct platform *platform, const char *token,
                                       const char *file_id)
{
    return upload_request(platform, token, file_id, PLATFORM_FETCH, "content");
}

struct platform_request platform_ack(const struct platform *platform, const char *token,
                                     const char *file_id)
{
    struct platform_request request = upload_request(platform, token, file_id, PLATFORM_ACK, "ack");
    if (request.url)
        give_body(&request, json_object(), true);
    return request;
}

struct platform_request platform_upload(const struct platform *platform, const char *token,
                                        const char *boundary, const char *body, size_t length)
{
    struct platform_request request = begin(
        platform, PLATFORM_UPLOAD, "POST",
        memory_format("/workspaces/%s/chat/uploads", platform->workspace_id));
    request.headers = platform_headers_of_upload(platform, token, boundary);
    request.body = memory_copy(body, length);
    request.body_length = length;
    return request;
}
