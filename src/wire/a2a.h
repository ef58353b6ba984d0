/* What A2A clients say to us, and what they are told: versions 1.0 and 0.3, JSON-RPC and HTTP+JSON,
 * one model. The model is A2A 1.0 as JSON (jansson): operations take its request messages (`params`
 * of SendMessageRequest and so on) and give its Task, Message and StreamResponse. What another
 * version says differently is translated here, in both directions. No I/O.
 *
 * Sources: the A2A specification, docs/specification.md of 1.0.1 and of 0.3.0, named below by
 * section as [1.0 §3.1] and [0.3 §7]. */
#ifndef MOLECULE_WIRE_A2A_H
#define MOLECULE_WIRE_A2A_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum a2a_version { A2A_0_3, A2A_1_0 };
enum a2a_binding { A2A_JSON_RPC, A2A_HTTP_JSON };

/* X(enumerator, 1.0's method, 0.3's method; "": 0.3 has none) */
#define A2A_OPERATIONS(X)                                                                        \
    X(A2A_SEND, "SendMessage", "message/send")                                                   \
    X(A2A_STREAM, "SendStreamingMessage", "message/stream")                                      \
    X(A2A_GET, "GetTask", "tasks/get")                                                           \
    X(A2A_LIST, "ListTasks", "tasks/list")                                                       \
    X(A2A_CANCEL, "CancelTask", "tasks/cancel")                                                  \
    X(A2A_SUBSCRIBE, "SubscribeToTask", "tasks/resubscribe")                                     \
    X(A2A_CONFIG_CREATE, "CreateTaskPushNotificationConfig", "tasks/pushNotificationConfig/set") \
    X(A2A_CONFIG_GET, "GetTaskPushNotificationConfig", "tasks/pushNotificationConfig/get")       \
    X(A2A_CONFIG_LIST, "ListTaskPushNotificationConfigs", "tasks/pushNotificationConfig/list")   \
    X(A2A_CONFIG_DELETE, "DeleteTaskPushNotificationConfig",                                     \
      "tasks/pushNotificationConfig/delete")                                                     \
    X(A2A_EXTENDED_CARD, "GetExtendedAgentCard", "agent/getAuthenticatedExtendedCard")
enum a2a_operation {
#define X(name, v1, v03) name,
    A2A_OPERATIONS(X)
#undef X
};

/* [1.0 §5.4] X(enumerator, JSON-RPC code, HTTP status, google.rpc status, ErrorInfo reason).
 * HTTP statuses are 1.0.1's, but for Content-Type: 1.0.0 has 415, which the conformance kit wants
 * and HTTP means. */
#define A2A_ERRORS(X)                                                                           \
    X(A2A_TASK_NOT_FOUND, -32001, 404, "NOT_FOUND", "TASK_NOT_FOUND")                           \
    X(A2A_TASK_NOT_CANCELABLE, -32002, 400, "FAILED_PRECONDITION", "TASK_NOT_CANCELABLE")       \
    X(A2A_PUSH_NOT_SUPPORTED, -32003, 400, "FAILED_PRECONDITION",                               \
      "PUSH_NOTIFICATION_NOT_SUPPORTED")                                                        \
    X(A2A_UNSUPPORTED, -32004, 400, "FAILED_PRECONDITION", "UNSUPPORTED_OPERATION")             \
    X(A2A_CONTENT_TYPE, -32005, 415, "INVALID_ARGUMENT", "CONTENT_TYPE_NOT_SUPPORTED")          \
    X(A2A_INVALID_RESPONSE, -32006, 500, "INTERNAL", "INVALID_AGENT_RESPONSE")                  \
    X(A2A_NO_EXTENDED_CARD, -32007, 400, "FAILED_PRECONDITION",                                 \
      "EXTENDED_AGENT_CARD_NOT_CONFIGURED")                                                     \
    X(A2A_EXTENSION_REQUIRED, -32008, 400, "FAILED_PRECONDITION", "EXTENSION_SUPPORT_REQUIRED") \
    X(A2A_VERSION, -32009, 400, "FAILED_PRECONDITION", "VERSION_NOT_SUPPORTED")                 \
    X(A2A_PARSE, -32700, 400, "INVALID_ARGUMENT", "")                                           \
    X(A2A_INVALID_REQUEST, -32600, 400, "INVALID_ARGUMENT", "")                                 \
    X(A2A_NO_METHOD, -32601, 404, "NOT_FOUND", "")                                              \
    X(A2A_INVALID_PARAMS, -32602, 400, "INVALID_ARGUMENT", "")                                  \
    X(A2A_INTERNAL, -32603, 500, "INTERNAL", "")                                                \
    X(A2A_RATE_LIMITED, -32029, 429, "RESOURCE_EXHAUSTED", "")                                  \
    X(A2A_UNAVAILABLE, -32050, 503, "UNAVAILABLE", "")
enum a2a_error {
#define X(name, code, status, rpc, reason) name,
    A2A_ERRORS(X)
#undef X
};

#define A2A_PROBLEM_SIZE 400
struct a2a_problem {
    enum a2a_error error;
    char text[A2A_PROBLEM_SIZE]; /* one sentence, for the client; valid UTF-8 */
    char field[128]; /* A2A_INVALID_PARAMS: which, as "message.parts[0]"; "": none in particular */
    char task_id[128]; /* ErrorInfo's metadata.taskId; "": none */
};

/* The HTTP request, borrowed. Header values NULL where absent. */
struct a2a_http {
    const char *method; /* GET, POST, DELETE */
    const char *path;   /* below the agent's own, decoded: "/", "/tasks/x:cancel" */
    const char *content_type, *accept;
    const char *version; /* A2A-Version, or the query's A2A-Version */
    /* a query parameter's decoded value, NULL: absent */
    const char *(*argument)(void *context, const char *name);
    void *context;
    const char *body;
    size_t length;
};

/* A request, understood and checked. a2a_request_free. */
struct a2a_request {
    enum a2a_version version;
    enum a2a_binding binding;
    enum a2a_operation operation;
    bool typed;     /* HTTP+JSON: answers are application/a2a+json, as the client named it */
    json_t *id;     /* JSON-RPC: the request's id; NULL: null */
    json_t *params; /* in the form of 1.0: SendMessageRequest, GetTaskRequest, … */
};
void a2a_request_free(struct a2a_request *request); /* its members; NULL members are fine */

/* What a request to the path might be. false for what is neither of the two bindings (404), or has
 * another HTTP method there: then `allowed` names those it has ("GET, POST"; NULL: none, 404). */
bool a2a_routes(const char *method, const char *path, const char **allowed);

/* Reads a request; the members of `request` that are known are set even if it fails, so that
 * a2a_write_problem answers in its form. false: `problem` says why. Checked here: Content-Type
 * (before the body is parsed), JSON, JSON-RPC 2.0, method, version (§3.6: absent is 0.3; a method
 * of 1.0 without the header is A2A_VERSION), types and required members of the parameters, limits
 * (historyLength >= 0, pageSize 1..100). Unknown members are ignored. */
bool a2a_read(const struct a2a_http *http, struct a2a_request *request,
              struct a2a_problem *problem);

/* An answer's bytes; owned, free(). */
struct a2a_text {
    char *bytes;
    size_t length;
    int status;               /* HTTP */
    const char *content_type; /* static */
};

/* `result` in the form of 1.0: of A2A_SEND a SendMessageResponse ({"task": …} or {"message": …}),
 * of A2A_GET and A2A_CANCEL a Task, of A2A_LIST a ListTasksResponse, of the configs a
 * TaskPushNotificationConfig, {"configs": …} or {}, of A2A_EXTENDED_CARD the card (in both
 * versions' shapes already). Borrowed. */
struct a2a_text a2a_write_result(const struct a2a_request *request, const json_t *result);
struct a2a_text a2a_write_problem(const struct a2a_request *request,
                                  const struct a2a_problem *problem);
/* One event of a stream, as an SSE event with its blank line: `response` is a StreamResponse of
 * 1.0. `last`: the stream ends with it (0.3 says so in the event: "final"). */
struct a2a_text a2a_write_event(const struct a2a_request *request, const json_t *response,
                                bool last);
/* An error in mid-stream. */
struct a2a_text a2a_write_stream_problem(const struct a2a_request *request,
                                         const struct a2a_problem *problem);

/* The body of a webhook's POST: 1.0 the StreamResponse, 0.3 the Task. `*content_type` static. */
struct a2a_text a2a_write_notification(enum a2a_version version, const json_t *response,
                                       const json_t *task);

/* --- the two codecs: a2a_v1.c, a2a_v03.c --- */

/* A value of 0.3 in the form of 1.0; new reference, NULL: `problem` says why. */
json_t *a2a_v03_params(enum a2a_operation operation, const json_t *params,
                       struct a2a_problem *problem);
/* A result of 1.0 in the form of 0.3; new reference. */
json_t *a2a_v03_result(enum a2a_operation operation, const json_t *result);
json_t *a2a_v03_event(const json_t *response, bool last);
json_t *a2a_v03_task(const json_t *task);
json_t *a2a_v03_message(const json_t *message);
json_t *a2a_v03_part(const json_t *part);
/* The other way, for a client of ours. */
json_t *a2a_v03_read_part(const json_t *part, struct a2a_problem *problem);
json_t *a2a_v03_read_message(const json_t *message, struct a2a_problem *problem);
/* Checks the parameters of 1.0: types, required members, limits. */
bool a2a_v1_check(enum a2a_operation operation, const json_t *params, struct a2a_problem *problem);

/* --- the agent card --- */

/* Texts borrowed, NULL where the script says nothing. */
struct a2a_card {
    const char *url; /* where it is reached, without a trailing slash */
    const char *name, *description, *version;
    const char *documentation_url, *icon_url;
    const json_t *provider; /* {organization, url}; NULL */
    const json_t *skills;   /* array of {id, name, description, tags, examples?, inputModes?,
                               outputModes?}; NULL or empty: one that is made from the name */
    const json_t *input_modes, *output_modes; /* arrays of texts; NULL: ["text/plain"] */
    const json_t *extensions; /* array of {uri, description?, required?, params?}; NULL */
    bool streaming, push_notifications, extended;
    bool bearer; /* the security scheme: http bearer; false: none */
    /* Leaves out what 0.3 alone knows. The SDKs read the document with both; the schema of 1.0
     * (the conformance kit's CARD-STRUCT-001) allows no other members, and a signature neither. */
    bool only_1_0;
};
/* One document in the shapes of 1.0 and 0.3 [1.0 §8, 0.3 §5.5]; new reference. */
json_t *a2a_card_build(const struct a2a_card *card);

#endif
